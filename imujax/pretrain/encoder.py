"""A trained encoder as an analyst meets it: weights, network, input scales and what they fit.

encoder = imujax.load("work/encoders/sisfall")
h = encoder.embed(acc, gyr)
"""

import dataclasses
import functools
import hashlib

import jax
import jax.numpy as jnp
import numpy as np

from imujax.data import scales
from imujax.errors import UserError
from imujax.nets import parameters, towers
from imujax.runtime import checkpoint

ENCODER_PATHS = (
    r"(\w+_)?encoder/.*"  # the names of what pre-training hands on; heads are left behind
)


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Encoder weights and the card that came with them.

    card: net (network configuration), scales (mean and SD of each modality, SI units), rate [Hz],
    window [samples], sensors, settings, provenance.  params, stats: the encoder's part of the two
    collections, as NumPy arrays, under the names that towers.Regressor has.
    """

    card: dict
    params: dict
    stats: dict

    @property
    def rate(self) -> float:
        """Sampling rate [Hz] that the encoder was trained at."""
        return self.card["rate"]

    def embed(self, acc, gyr, length=None, batch: int = 512) -> np.ndarray:
        """Embeddings of windows, running statistics frozen -> [N, S * 2 * D] float32.

        acc [N, T, S, 3] m/s^2 (gravity included), gyr [N, T, S, 3] rad/s at `rate`; a single
        sensor may be given as [N, T, 3].  length [N]: valid samples, all T if None.  For each
        sensor the accelerometer's D numbers come first, then the gyroscope's.
        """
        acc, gyr = np.asarray(acc, np.float32), np.asarray(gyr, np.float32)
        if acc.ndim == 3:
            acc, gyr = acc[:, :, None], gyr[:, :, None]
        if acc.shape != gyr.shape or acc.ndim != 4 or acc.shape[-1] != 3:
            raise UserError(
                f"acc {acc.shape} and gyr {gyr.shape} must both be [windows, samples, sensors, 3]"
            )
        acc, gyr = scales.standardise(acc, gyr, self.card["scales"])
        if length is not None and (np.asarray(length) >= acc.shape[1]).all():
            length = None
        found = []
        for first in range(0, len(acc), batch):
            rows = np.arange(first, first + batch).clip(max=len(acc) - 1)  # one compiled shape
            part = None if length is None else np.asarray(length, np.int32)[rows]
            h = _features(self.net, self.params, self.stats, acc[rows], gyr[rows], part)
            found.append(np.asarray(h)[: len(acc) - first])
        return np.concatenate(found)

    @property
    def digest(self) -> str:
        """What tells these weights from others, in 16 hexadecimal digits."""
        found = hashlib.sha256()
        for leaf in jax.tree.leaves((self.params, self.stats)):
            found.update(np.ascontiguousarray(leaf).tobytes())
        return found.hexdigest()[:16]

    @property
    def net(self) -> "towers.Regressor":
        return towers.Regressor(self.card["net"])


@functools.partial(jax.jit, static_argnums=0)
def _features(net, params, stats, acc, gyr, length):
    return net.apply({"params": params, "batch_stats": stats}, acc, gyr, length, method="features")


def load(folder) -> Encoder:
    """The newest checkpoint of a pre-training folder, on this machine, without its configuration.

    Raises UserError where `folder` holds no checkpoint, or one that lacks a part of its network.
    """
    card, state = checkpoint.read_newest(folder)
    shapes = jax.eval_shape(_init(card), jax.random.key(0))
    found = {}
    for part, saved in (("params", state["params"]), ("batch_stats", state["stats"])):
        wanted = encoder_part(shapes.get(part, {}))  # no statistics without a norm
        found[part] = parameters.graft(wanted, saved, [(ENCODER_PATHS, True)])[0] if wanted else {}
    return Encoder(card, *jax.device_get((found["params"], found["batch_stats"])))


def random_encoder(card: dict, seed: int) -> Encoder:
    """The same network with random weights: the arm that pre-training is compared with."""
    made = jax.device_get(jax.jit(_init(card))(jax.random.key(seed)))
    return Encoder(card, encoder_part(made["params"]), encoder_part(made.get("batch_stats", {})))


def _init(card: dict):
    """key -> the variables of the regressor of this card."""
    net, window = towers.Regressor(card["net"]), jnp.zeros((2, card["window"], 1, 3))
    return functools.partial(net.init, acc=window, gyr=window, length=None, train=False)


def encoder_part(tree: dict) -> dict:
    """The encoders' part of a collection: what pre-training hands on."""
    return {name: sub for name, sub in tree.items() if name.endswith("encoder")}
