"""What a model is made of: networks and references that estimate, and that are kept as arrays."""

import functools
from collections.abc import Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np
from flax import traverse_util
from scipy import special

from imujax.data import rates, scales
from imujax.nets import networks, towers
from imujax.runtime import host
from imujax.sweep import fitting, references

BASIS = "basis"  # begins the names of arrays of a CurveBasis
BATCH = 128  # windows that are estimated at once
State = dict[str, Any]  # arrays and texts by name


class Part(Protocol):
    """One estimator of a model."""

    def estimate(self, acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Estimate windows.

        Parameters
        ----------
        acc, gyr : ndarray, [N, L, S, 3], float32
            m/s^2, gravity included, and rad/s.
        length : ndarray, [N]
            Valid samples of each window.

        Returns
        -------
        ndarray, [N, K]
            In the targets' units; of a class the probabilities [N, C], of curves [N, Lt, K].
        """
        ...

    @property
    def margin(self) -> int:
        """Samples at the ends of a window in which curves are not as one long pass has them."""
        ...

    def state(self) -> tuple[dict[str, Any], State]:
        """Describe it for the card, and give the arrays and texts that it is kept as."""
        ...


@dataclass(frozen=True, eq=False)
class NetworkPart:
    """A network, or a probe on a frozen one.

    Attributes
    ----------
    fitted : FittedNetwork
    is_masked : bool
        Whether what lies beyond the length of a window is not seen.
    is_class : bool
        Whether its outputs are the log odds of classes.
    every : int
        Of curves, samples of the window from value to value.
    resampled : sequence of float
        Rate of the windows, and the one that the network sees them at [Hz]; empty where it sees
        them as they come.
    """

    fitted: fitting.FittedNetwork
    is_masked: bool
    is_class: bool = False
    every: int = 0
    resampled: Sequence[float] = ()

    @property
    def margin(self) -> int:
        """See Part."""
        return networks.make_encoder(self.fitted.net).receptive_field // 2

    def estimate(self, acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
        """See Part."""
        fitted = self.fitted
        if self.resampled:
            acc, _ = rates.resample(acc, length, *self.resampled)
            gyr, length = rates.resample(gyr, length, *self.resampled)
        acc, gyr = scales.standardise(acc, gyr, fitted.scales)
        outputs = fitted.net, len(fitted.mean)
        net = towers.CurveRegressor(*outputs, self.every) if self.every else None
        net = net or towers.Regressor(*outputs)
        variables = {"params": fitted.params, "batch_stats": fitted.stats}
        is_full = not self.is_masked or bool((length >= acc.shape[1]).all())
        estimates = []
        for first in range(0, len(acc), BATCH):
            rows = np.arange(first, first + BATCH).clip(max=len(acc) - 1)  # one compiled shape
            valid = None if is_full else np.asarray(length, np.int32)[rows]
            y = _apply(net, variables, acc[rows], gyr[rows], valid)
            estimates.append(np.asarray(y, np.float64)[: len(acc) - first])
        made = np.concatenate(estimates) * np.array(fitted.sd) + np.array(fitted.mean)
        return special.softmax(made, axis=-1) if self.is_class else made

    def state(self) -> tuple[dict[str, Any], State]:
        """See Part."""
        described = {"kind": "network"} | {name: getattr(self, name) for name in FLAGS}
        described |= {name: getattr(self.fitted, name) for name in PLAIN}
        trees = {"params": self.fitted.params, "stats": self.fitted.stats}
        return described, traverse_util.flatten_dict(trees, sep="/")


FLAGS = ("is_masked", "is_class", "every", "resampled")  # of a NetworkPart
PLAIN = ("net", "scales", "mean", "sd", "chosen")  # of a FittedNetwork


@dataclass(frozen=True, eq=False)
class ReferencePart:
    """A reference, by a model for each target, one of classes, or of curves one for each score.

    Attributes
    ----------
    kind : str
        A name in sweep/references.REFERENCES.
    models : sequence of object
        With predict(windows) and state().
    bases : sequence of CurveBasis
        Of curves, one for each target.
    every : int
        Of a class a sample, samples of the window from value to value.
    """

    kind: str
    models: Sequence[Any]
    bases: Sequence[references.CurveBasis] = ()
    every: int = 0

    @property
    def margin(self) -> int:
        """See Part."""
        return 0  # each window is estimated by itself: there is no long pass

    def estimate(self, acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
        """See Part."""
        blocks = [slice(first, first + BATCH) for first in range(0, len(acc), BATCH)]

        def of_block(rows: slice) -> np.ndarray:
            windows = fitting.see(self.kind, acc[rows], gyr[rows], length[rows], self.every)
            estimates = [model.predict(windows) for model in self.models]
            joined = references.join_estimates(estimates, self.bases)
            count = len(acc[rows])
            return joined.reshape(count, -1, joined.shape[-1]) if self.every else joined

        with futures.ThreadPoolExecutor(len(host.available_cores())) as pool:
            return np.concatenate(list(pool.map(of_block, blocks)))

    def state(self) -> tuple[dict[str, Any], State]:
        """See Part."""
        plain = [
            {key: getattr(value, "item", lambda v=value: v)() for key, value in chosen.items()}
            for chosen in (getattr(model, "chosen", {}) for model in self.models)
        ]
        state = {
            f"{number}.{name}": value
            for number, model in enumerate(self.models)
            for name, value in model.state().items()
        }
        for number, basis in enumerate(self.bases):
            state |= {f"{BASIS}{number}.{name}": x for name, x in basis._asdict().items()}
        described = {"kind": self.kind, "chosen": plain, "bases": len(self.bases)}
        return described | {"every": self.every}, state


def restore(described: Mapping[str, Any], state: State) -> Part:
    """Make a part again.

    Parameters
    ----------
    described : mapping
        Its entry in the card.
    state : dict
        Arrays and texts by name.

    Returns
    -------
    Part
    """
    if described["kind"] == "network":
        trees = traverse_util.unflatten_dict(state, sep="/")
        plain = {name: described[name] for name in PLAIN}
        fitted = fitting.FittedNetwork(
            params=trees["params"], stats=trees.get("stats", {}), **plain
        )
        return NetworkPart(fitted, *(described.get(name, 0) for name in FLAGS))
    make = references.REFERENCES[described["kind"]].restore
    assert make is not None  # else it could not have been kept
    by_number: dict[str, State] = {}
    for name, value in state.items():
        number, _, rest = name.partition(".")
        by_number.setdefault(number, {})[rest] = value
    models = [make(by_number[str(number)]) for number in range(len(described["chosen"]))]
    bases = [
        references.CurveBasis(**by_number[f"{BASIS}{number}"])
        for number in range(described.get("bases", 0))
    ]
    return ReferencePart(described["kind"], models, bases, described.get("every", 0))


@functools.partial(jax.jit, static_argnums=0)
def _apply(net, variables, acc, gyr, length):
    return net.apply(variables, acc, gyr, length, train=False)
