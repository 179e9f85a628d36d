"""A trained encoder as an analyst meets it: weights, network, input scales and what they fit.

encoder = imujax.load("work/encoders/sisfall")
h = encoder.embed(acc, gyr)
"""

import dataclasses
import functools
import hashlib
import json
import math
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imujax.data import scales
from imujax.errors import UserError
from imujax.nets import parameters, towers
from imujax.pretrain import inputs, packed

# Parameters that pre-training hands on; heads are left behind.
ENCODER_PATHS = r"(\w+_)?encoder/.*"


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Encoder weights and the card that came with them.

    Attributes
    ----------
    card : dict
        net (network configuration), scales (mean and SD of each modality, SI units), rate [Hz],
        window [samples], sensors, data (how much its sets hold), settings, provenance.
    params, stats : dict of np.ndarray
        The encoder's part of the parameters and of the running statistics, under the names that
        towers.Regressor has.
    """

    card: dict[str, Any]
    params: dict[str, Any]
    stats: dict[str, Any]

    @property
    def rate(self) -> float:
        """Sampling rate that the encoder was trained at.

        Returns
        -------
        float
            Hz.
        """
        return self.card["rate"]

    def __repr__(self) -> str:
        """What it is, in at most ten lines."""
        settings, net = self.card.get("settings", {}), self.card["net"]
        sizes = [leaf.size for leaf in jax.tree.leaves(self.params)]
        stages = "-".join(map(str, net.get("stages", ())))
        words = [net.get("network", "resnet"), net.get("block", ""), stages]
        words += [
            f"width {net['width']}" if "width" in net else "",
            f"norm {net['norm']}" if "norm" in net else "",
        ]
        sensors = self.card.get("sensors", [])
        lines = {
            "network": " ".join(filter(None, words)),
            "parameters": f"{sum(sizes):,}",
            "input": f"{self.card['window']} samples at {self.card.get('rate', math.nan):g} Hz",
            "sensors": ", ".join(sensors[:8]) + (", ..." if len(sensors) > 8 else ""),
            "trained on": _name_data(settings),
            "goes on from": _name_parents(settings),
            "steps": f"{self.card['step']} of {settings['steps']}" if settings.get("steps") else "",
        }
        if retrieval := self.card.get("retrieval"):
            among = retrieval["among"]
            lines["retrieval"] = (
                f"{100 * retrieval['found']:.0f} % among {among:,} windows, "
                f"chance {100 / among:.2g} %"
            )
        shown = [f"  {name}: {text}" for name, text in lines.items() if text]
        return "\n".join(["imujax encoder", *shown])

    def embed(
        self,
        acc: np.ndarray | None,
        gyr: np.ndarray | None,
        length: np.ndarray | None = None,
        rate: float | None = None,
        batch: int = 512,
    ) -> np.ndarray:
        """Embed windows of any set, once they have been looked at.

        Of any sensors: each goes through the same towers by itself, whatever it is called and
        wherever it sat. Where a modality is missing its half is left out, and nothing is put in its
        place: what comes out is the embedding of the other tower alone.

        Windows of another rate are brought to the encoder's, each by itself (`data.rates.resample`:
        polyphase, zero phase; on the way down what lies above the new Nyquist frequency is taken
        out before). On the way up nothing comes to be above the old one: windows recorded at 20 Hz
        have nothing above 10 Hz, which an encoder of 100 Hz was trained to see. The first sample
        stays the first, and T samples become T * encoder.rate / rate, to the nearest whole number.

        Windows of another length than in pre-training, a quarter of it to four times as long, are
        embedded whole, as those of a task are in a study: they are neither cut nor filled up,
        since the networks have no length of their own and pool over the samples that there are.

        Parameters
        ----------
        acc : ndarray, [N, T, S, 3], or None
            m/s^2, gravity included; a single sensor may be given as [N, T, 3].
        gyr : ndarray, [N, T, S, 3], or None
            rad/s, of the same shape as `acc`. One of both may be missing.
        length : ndarray, [N], optional
            Valid samples of each window, all T by default; what lies beyond is not seen.
        rate : float, optional
            Of the windows, from 20 to 200 Hz; that of the encoder by default.
        batch : int
            Windows that are embedded at once.

        Returns
        -------
        ndarray, [N, S * 2 * D], of one modality [N, S * D]
            float32; for each sensor the accelerometer's D numbers, then the gyroscope's.

        Raises
        ------
        UserError
            Other shapes or rates, no modality, windows that are much longer or shorter than in
            pre-training, samples that are not finite, or signals that cannot be m/s^2 with gravity
            and rad/s; what the other modality would tell of one that is alone is not looked at.
        """
        return self.features(*inputs.bring(acc, gyr, length, rate, self.card), batch)

    def features(
        self,
        acc: np.ndarray | None,
        gyr: np.ndarray | None,
        length: np.ndarray | None = None,
        batch: int = 512,
        every: int = 0,
    ) -> np.ndarray:
        """Embed windows as they come, of any length.

        Parameters
        ----------
        acc, gyr : ndarray, [N, T, S, 3], or None
            m/s^2 and rad/s, at the encoder's rate; one of them may be missing.
        length : ndarray, [N], optional
            Valid samples of each window, all T by default.
        batch : int
            Windows that are embedded at once.
        every : int
            Where it is not 0, features along the windows in the place of the embedding, at each so
            many samples.

        Returns
        -------
        ndarray, [N, S * 2 * D], or along the windows [N, Lt, S * 2 * E]
            float32; for each sensor the accelerometer's D numbers, then the gyroscope's, of those
            that there are.
        """
        net = towers.CurveRegressor(self.card["net"], every=every) if every else self.net
        signals = [
            None if x is None else scales.standardise_one(x, self.card["scales"][name])
            for name, x in (("acc", acc), ("gyr", gyr))
        ]
        count, samples = next(x.shape[:2] for x in signals if x is not None)
        if length is not None and (np.asarray(length) >= samples).all():
            length = None
        embeddings = []
        for first in range(0, count, batch):
            rows = np.arange(first, first + batch).clip(max=count - 1)  # one compiled shape
            valid = None if length is None else np.asarray(length, np.int32)[rows]
            given = (None if x is None else x[rows] for x in signals)
            h = _embed_batch(net, self.params, self.stats, *given, valid)
            embeddings.append(np.asarray(h)[: count - first])
        return np.concatenate(embeddings)

    @property
    def weights_digest(self) -> str:
        """What tells these weights from others.

        Returns
        -------
        str
            16 hexadecimal digits.
        """
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves((self.params, self.stats)):
            digest.update(np.ascontiguousarray(leaf).tobytes())
        return digest.hexdigest()[:16]

    @property
    def net(self) -> towers.Regressor:
        """The network that the weights belong to, with the output that tasks put on it.

        Returns
        -------
        towers.Regressor
        """
        return towers.Regressor(self.card["net"])


def _name_parents(settings: dict[str, Any]) -> str:
    """What the pre-training that this one goes on from was trained on, and so on back."""
    words = []
    while parent := settings.get("parent"):
        settings = parent["settings"]
        if settings["steps"]:
            words.append(f"{_name_data(settings)} ({parent['step']} steps)")
    return ", before it ".join(words)


def _name_data(settings: dict[str, Any]) -> str:
    """What a pre-training was trained on, by name."""
    if "stream" in settings:
        return "simulated people"
    return ", ".join(one["name"] for one in settings.get("data", ()))


@functools.partial(jax.jit, static_argnums=0)
def _embed_batch(net, params, stats, acc, gyr, length):
    return net.apply({"params": params, "batch_stats": stats}, acc, gyr, length, method="features")


def own_fold(card: dict[str, Any]) -> int | None:
    """Say in which fold of its task a pre-training serves: one, or with None all of them.

    Parameters
    ----------
    card : dict
        As of `Encoder`.

    Returns
    -------
    int or None
    """
    return card.get("settings", {}).get("without", {}).get("fold")


def fold_folder(folder: pathlib.Path | str, fold: int) -> pathlib.Path:
    """Name the folder of an encoder's pre-trainings for one fold of a task, such as
    work/encoders/own/fold0."""
    return pathlib.Path(folder) / f"fold{fold}"


def member_folder(folder: pathlib.Path | str, member: int) -> pathlib.Path:
    """Name the folder of one of an encoder's pre-trainings, which differ in their seed.

    Parameters
    ----------
    folder : Path
        Of the encoder, such as work/encoders/waist.
    member : int
        Counted from zero.

    Returns
    -------
    Path
        Such as work/encoders/waist/seed0.
    """
    return pathlib.Path(folder) / f"seed{member}"


def list_members(folder: pathlib.Path | str) -> list[pathlib.Path]:
    """List the folders of an encoder's pre-trainings.

    Parameters
    ----------
    folder : Path
        Of the encoder.

    Returns
    -------
    list of Path
        In the order of their numbers; none where `folder` is that of one pre-training.

    Raises
    ------
    UserError
        A number is missing between others.
    """
    names = (path.name.removeprefix("seed") for path in pathlib.Path(folder).glob("seed*/"))
    numbers = sorted(int(name) for name in names if name.isdecimal())
    if missing := sorted(set(range(len(numbers))) - set(numbers)):
        raise UserError(
            f"{folder} holds {len(numbers)} pre-trainings, but no seed{missing[0]}: put it back, "
            f"or give one of them by itself, such as {member_folder(folder, numbers[0])}"
        )
    return [member_folder(folder, number) for number in numbers]


def load(folder: pathlib.Path | str) -> Encoder:
    """Load the newest checkpoint of a pre-training folder, without its configuration.

    Parameters
    ----------
    folder : Path
        Of one encoder, such as work/encoders/sisfall, of which the first pre-training is taken; or
        of one of its pre-trainings, such as work/encoders/sisfall/seed2; or a file that `pack` has
        written, or the name of one that comes with imujax.

    Returns
    -------
    Encoder
        On this machine, whatever it was trained on.

    Raises
    ------
    UserError
        `folder` holds no checkpoint, or one that lacks a part of its network.
    """
    card, state = packed.read((list_members(folder) or [pathlib.Path(folder)])[0])
    shapes = jax.eval_shape(_make_init(card), jax.random.key(0))
    collections = []
    for name, saved in (("params", state["params"]), ("batch_stats", state["stats"])):
        expected = encoder_part(shapes.get(name, {}))  # no statistics without a norm
        if expected:
            expected = parameters.graft(expected, saved, [(ENCODER_PATHS, True)])[0]
        collections.append(expected)
    return Encoder(card, *jax.device_get(tuple(collections)))


def pack(folder: pathlib.Path | str, file: pathlib.Path | str) -> pathlib.Path:
    """Write an encoder to one file, to pass on.

    Parameters
    ----------
    folder : Path
        As of `load`.
    file : Path
        Such as shank.safetensors. It holds weights, card, and the hashes and names of the
        recordings of the training, so that a study can tell whether it has seen whom it tests.

    Returns
    -------
    Path
        `file`.

    Raises
    ------
    UserError
        `folder` holds no checkpoint, or the file's name ends otherwise.
    """
    file = pathlib.Path(file)
    if file.suffix != packed.SUFFIX or not file.parent.is_dir():
        raise UserError(f"{file}: give a file in a folder that is there, NAME{packed.SUFFIX}")
    place = (list_members(folder) or [pathlib.Path(folder)])[0]
    trained = load(place)
    state = {"params": trained.params, "stats": trained.stats}
    packed.write(file, trained.card, state, packed.read_content(place))
    return file


def random_encoder(card: dict[str, Any], seed: int) -> Encoder:
    """Give the network of a card random weights: the arm that pre-training is compared with.

    Parameters
    ----------
    card : dict
        As of `Encoder`.
    seed : int
        Of the weights.

    Returns
    -------
    Encoder
    """
    net = json.dumps(card["net"], sort_keys=True)
    variables = jax.device_get(_compiled_init(net, card["window"])(jax.random.key(seed)))
    params, stats = (encoder_part(variables.get(name, {})) for name in ("params", "batch_stats"))
    return Encoder(card, params, stats)


@functools.lru_cache(maxsize=8)
def _compiled_init(net: str, window: int) -> Callable[..., Any]:
    """Of a network as JSON: a sweep draws weights for every fold and draw, and compiles once."""
    return jax.jit(_make_init({"net": json.loads(net), "window": window}))


def _make_init(card: dict[str, Any]) -> Callable[..., Any]:
    """The function of a key that gives the variables of the regressor of this card."""
    net, window = towers.Regressor(card["net"]), jnp.zeros((2, card["window"], 1, 3))
    return functools.partial(net.init, acc=window, gyr=window, length=None, train=False)


def encoder_part(tree: dict[str, Any]) -> dict[str, Any]:
    """Take the encoders out of a collection: what pre-training hands on.

    Parameters
    ----------
    tree : dict
        Parameters or statistics of a network, by the name of its parts.

    Returns
    -------
    dict
        Those parts whose name ends in "encoder".
    """
    return {name: part for name, part in tree.items() if name.endswith("encoder")}
