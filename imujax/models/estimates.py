"""What a model says of windows: numbers with intervals, a class with a set of classes, or curves
with bands."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imujax.data import datasets

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates of N windows.

    Attributes
    ----------
    estimate, low, high : ndarray, [N], or of several targets [N, K]
        In the units; the interval holds `level` of the windows of a new person, of each target by
        itself.
    is_unlike : ndarray of bool, [N]
        Where the signals lie outside of what the model has seen.
    names, units : tuple of str
        Of the targets.
    level : float
    time : ndarray, [N], or None
        s, of windows that were cut from a recording: of their event, or of their first sample.
    lost : int
        Events of it whose window would leave it.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    is_unlike: np.ndarray
    names: tuple[str, ...]
    units: tuple[str, ...]
    level: float
    time: np.ndarray | None = None
    lost: int = 0

    def columns(self) -> dict[str, np.ndarray]:
        """Lay them out, a row a window and target.

        Returns
        -------
        dict of ndarray, [N * K]
            time where there is one, target, estimate, low, high, unit, is_unlike.
        """
        count, windows = len(self.names), len(self.is_unlike)
        numbers = {name: getattr(self, name).ravel() for name in ("estimate", "low", "high")}
        named = {"target": np.tile(self.names, windows)}
        last = {"unit": np.tile(self.units, windows), "is_unlike": self.is_unlike.repeat(count)}
        return _of_time(self.time, count) | named | numbers | last

    def table(self) -> "pandas.DataFrame":
        """Lay them out; needs pandas.

        Returns
        -------
        pandas.DataFrame
            As of `columns`; of one target without target and unit.

        Raises
        ------
        UserError
            Where pandas is not installed.
        """
        table = datasets.make_table(self.columns())
        return table if len(self.names) > 1 else table.drop(columns=["target", "unit"])


@dataclass(frozen=True, eq=False)
class ClassEstimates:
    """Classes of N windows, or of N samples of them or of a recording.

    Attributes
    ----------
    probability : ndarray, [N, C]
    is_held : ndarray of bool, [N, C]
        Which classes a window's set has: in `level` of the windows of a new person the true one is
        among them. The most probable one always is.
    is_unlike : ndarray of bool, [N]
        Where the signals lie outside of what the model has seen.
    names : tuple of str
        Of the target alone: activity or condition.
    classes : tuple of str
    level, time, lost
        As of Estimates.
    """

    probability: np.ndarray
    is_held: np.ndarray
    is_unlike: np.ndarray
    names: tuple[str, ...]
    classes: tuple[str, ...]
    level: float
    time: np.ndarray | None = None
    lost: int = 0

    @property
    def estimate(self) -> np.ndarray:
        """The most probable class of each window, [N] of str."""
        return np.array(self.classes)[self.probability.argmax(axis=1)]

    @property
    def sets(self) -> list[tuple[str, ...]]:
        """The classes of each window's set, the most probable one first."""
        order = np.argsort(-self.probability, axis=1, kind="stable")
        pairs = zip(order.tolist(), self.is_held.tolist(), strict=True)
        return [tuple(self.classes[k] for k in row if held[k]) for row, held in pairs]

    def columns(self) -> dict[str, np.ndarray]:
        """Lay them out, a row a window.

        Returns
        -------
        dict of ndarray, [N]
            time where there is one, target, estimate, its probability, set, its words joined by
            "|", p_CLASS, the probability of each, is_unlike.
        """
        own: dict[str, Any] = {
            "target": np.repeat(self.names, len(self.is_unlike)),
            "estimate": self.estimate,
            "probability": self.probability.max(axis=1),
            "set": np.array(["|".join(words) for words in self.sets], str),
        }
        each = zip(self.classes, self.probability.T, strict=True)
        own |= {f"p_{word}": column for word, column in each}
        return _of_time(self.time, 1) | own | {"is_unlike": self.is_unlike}

    def table(self) -> "pandas.DataFrame":
        """Lay them out, as of `columns` without target; needs pandas, else a UserError."""
        return datasets.make_table(self.columns()).drop(columns="target")


@dataclass(frozen=True, eq=False)
class CurveEstimates:
    """Curves of N windows, or one of a whole recording.

    Attributes
    ----------
    estimate, low, high : ndarray, [N, Lt], or of several targets [N, Lt, K]
        In the units; between low and high lie `level` of the values of a new person, at each place
        of a window by itself. NaN beyond the end of a window, or where none lies.
    lowest, highest : ndarray, as estimate, or None
        Between these lie all of the curve, in `level` of the windows of a new person; None of a
        whole recording, of which nothing like it is promised.
    is_unlike : ndarray of bool, [N, Lt]
        Where the signals of the window lie outside of what the model has seen.
    names, units : tuple of str
        Of the targets.
    offset : ndarray, [Lt]
        s from `time`, or from the first sample, to each value.
    level : float
    time : ndarray, [N], or None
        s, of windows that were cut from a recording: of their event; of a whole recording, of its
        first sample.
    lost : int
        Events of it whose window would leave it.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lowest: np.ndarray | None
    highest: np.ndarray | None
    is_unlike: np.ndarray
    names: tuple[str, ...]
    units: tuple[str, ...]
    offset: np.ndarray
    level: float
    time: np.ndarray | None = None
    lost: int = 0

    def columns(self) -> dict[str, np.ndarray]:
        """Lay them out, a row a value and target; without the values that are NaN.

        Returns
        -------
        dict of ndarray
            window, its number, time, target, estimate, low, high, where they are lowest and
            highest, unit, is_unlike.
        """
        count, (windows, values) = len(self.names), self.is_unlike.shape
        shape = (windows, values, count)
        begin = np.zeros(windows) if self.time is None else self.time
        laid: dict[str, np.ndarray] = {
            "window": np.arange(windows)[:, None, None],
            "time": (begin[:, None] + self.offset[None])[..., None],
            "target": np.array(self.names)[None, None],
        }
        for name in ("estimate", "low", "high", "lowest", "highest"):
            if (numbers := getattr(self, name)) is not None:
                laid[name] = numbers.reshape(shape)
        laid |= {"unit": np.array(self.units)[None, None], "is_unlike": self.is_unlike[..., None]}
        is_there = np.isfinite(self.estimate.reshape(shape))
        return {name: np.broadcast_to(x, shape)[is_there] for name, x in laid.items()}

    def table(self) -> "pandas.DataFrame":
        """Lay them out, as of `columns`; of one target without target and unit; needs pandas, else
        a UserError."""
        table = datasets.make_table(self.columns())
        return table if len(self.names) > 1 else table.drop(columns=["target", "unit"])


def _of_time(time: np.ndarray | None, count: int) -> dict[str, np.ndarray]:
    return {} if time is None else {"time": time.repeat(count)}
