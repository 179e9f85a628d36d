"""A model that was kept: estimates with their intervals, from its folder alone.

model = imujax.load("work/models/peak_force")
estimates = model.predict(acc, gyr)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imujax.data import datasets
from imujax.data.recordings import Recording
from imujax.errors import UserError, require_known
from imujax.models import cutting, page, parts, seen
from imujax.pretrain import inputs

if TYPE_CHECKING:
    import pandas

    from imujax.models.explanation import Explanation


BOTH_WAYS = (
    "predict takes windows of acc and gyr, or a recording and one of "
    f"{', '.join(cutting.Cut._fields)}"
)


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

    def table(self) -> "pandas.DataFrame":
        """Lay them out; needs pandas.

        Returns
        -------
        pandas.DataFrame
            A row a window: time where there is one, estimate, low, high, is_unlike; of several
            targets a row a window and target, with target and unit.

        Raises
        ------
        UserError
            Where pandas is not installed.
        """
        columns = {} if self.time is None else {"time": self.time}
        columns |= {name: getattr(self, name) for name in ("estimate", "low", "high", "is_unlike")}
        count = len(self.names)
        if count == 1:
            return datasets.make_table(columns)
        rows = {key: x.ravel() if x.ndim == 2 else x.repeat(count) for key, x in columns.items()}
        named = {"target": np.array(self.names), "unit": np.array(self.units)}
        tiled = {key: np.tile(x, len(self.is_unlike)) for key, x in named.items()}
        return datasets.make_table(rows | tiled)


@dataclass(frozen=True, eq=False)
class Model:
    """A model and its card.

    Attributes
    ----------
    card : dict
        task, title, model, targets [{name, unit, half, range, coverage, metrics}], interval
        {level, ...}, rate [Hz], window [samples], sensors, parts, signals, trained_on, versions.
    parts : tuple of Part
        Their weighted mean is the estimate; the weights stand in the card.
    """

    card: dict[str, Any]
    parts: tuple[parts.Part, ...]

    @property
    def rate(self) -> float:
        """Of the windows [Hz]."""
        return self.card["rate"]

    def __repr__(self) -> str:
        """What it estimates, in at most ten lines."""
        card = self.card

        def each(text: str) -> str:
            return page.each_target(card["targets"], text, "; ")

        lines = {
            "estimates": each("{name} [{unit}]"),
            "by": card["model"],
            "from": f"{card['window']} samples at {card['rate']:g} Hz of "
            + ", ".join(card["sensors"]),
            "trained on": f"{card['trained_on']['subjects']} subjects of "
            f"{card['trained_on']['data']['name']}",
            "held out": each("r {metrics[r]:.3f}, RMSE {metrics[rmse]:.3g} {unit}"),
            "interval": f"{each('+-{half:.3g} {unit}')} holds "
            f"{100 * card['interval']['level']:.0f} % of the windows of a new person",
        }
        return "\n".join(["imujax model", *(f"  {name}: {text}" for name, text in lines.items())])

    def predict(
        self,
        acc: np.ndarray | Recording,
        gyr: np.ndarray | None = None,
        length: np.ndarray | None = None,
        **cut: Any,
    ) -> Estimates:
        """Estimate windows like those that the model was trained on, or those of a recording.

        Parameters
        ----------
        acc, gyr : ndarray, [N, L, S, 3]
            m/s^2, gravity included, and rad/s, at `rate`, the sensors in the order of the card; a
            single one may be given as [N, L, 3]. Or a Recording alone, which is cut first.
        length : ndarray, [N], optional
            Valid samples of each window, all by default.
        **cut
            Of a recording, one of `stride`, `contacts` and `events`, as of `cutting.Cut`; none of
            them: at its own events, which the card of its files has found.

        Returns
        -------
        Estimates
            Of a recording with the times of its windows.

        Raises
        ------
        UserError
            Windows or sensors of another number, or signals that cannot be m/s^2 and rad/s; of a
            recording, too, as of `cutting.lay` and `seen.require_axes`.
        """
        time, lost, source = None, 0, ""
        if isinstance(acc, Recording):
            given = [name for name in cut if cut[name] is not None]
            if gyr is not None or not set(cut) <= set(cutting.Cut._fields) or len(given) > 1:
                raise UserError(BOTH_WAYS)
            source = acc.source or acc.recording
            acc, gyr, time, lost = cutting.lay(acc, self.card, cutting.Cut(**cut))
        elif gyr is None or cut:
            raise UserError(BOTH_WAYS)
        if time is not None and not len(time):
            estimate, unlike = np.empty((0, len(self.card["targets"]))), np.empty(0, bool)
        else:
            acc, gyr, length = self.check(acc, gyr, length)
            estimate = self.estimate(acc, gyr, length)
            limits = self.card["signals"]
            if source:
                seen.require_axes(acc, length, limits, self.card["sensors"], source)
            unlike = seen.is_unlike(acc, gyr, length, limits)
        targets = self.card["targets"]
        half = np.array([target["half"] for target in targets])
        shape = len(estimate) if len(targets) == 1 else estimate.shape
        return Estimates(
            estimate.reshape(shape),
            (estimate - half).reshape(shape),
            (estimate + half).reshape(shape),
            unlike,
            tuple(target["name"] for target in targets),
            tuple(target["unit"] for target in targets),
            self.card["interval"]["level"],
            time,
            lost,
        )

    def check(
        self, acc: np.ndarray, gyr: np.ndarray, length: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Check windows as they come from a user.

        Parameters
        ----------
        acc, gyr, length
            As of `predict`.

        Returns
        -------
        acc, gyr : ndarray, [N, L, S, 3], float32
        length : ndarray, [N]

        Raises
        ------
        UserError
            As of `predict`.
        """
        acc, gyr, length = inputs.check(acc, gyr, length, self.card)
        if acc.shape[2] != len(self.card["sensors"]):
            raise UserError(
                f"acc {acc.shape} has {acc.shape[2]} sensors, and the model was trained on "
                f"{len(self.card['sensors'])}: {', '.join(self.card['sensors'])}"
            )
        return acc, gyr, np.full(len(acc), acc.shape[1]) if length is None else length

    def explain(
        self,
        acc: np.ndarray,
        gyr: np.ndarray,
        length: np.ndarray | None = None,
        target: str | None = None,
    ) -> "Explanation":
        """Say which samples and axes move the estimates, see `explanation.explain`.

        Parameters
        ----------
        acc, gyr, length
            As of `predict`.
        target : str, optional
            Of several, the first by default.

        Returns
        -------
        Explanation
            explanation.save("why.png") draws the first window.

        Raises
        ------
        UserError
            As of `predict`, or there is no such target.
        """
        from imujax.models import explanation  # and with it matplotlib

        names = [one["name"] for one in self.card["targets"]]
        if target is not None:
            require_known("target", target, names)
        number = 0 if target is None else names.index(target)
        return explanation.explain(self, *self.check(acc, gyr, length), number)

    def estimate(self, acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Estimate windows as they come.

        Parameters
        ----------
        acc, gyr : ndarray, [N, L, S, 3], float32
        length : ndarray, [N]

        Returns
        -------
        ndarray, [N, K]
            In the targets' units.
        """
        weights = [described["weight"] for described in self.card["parts"]]
        estimates = [part.estimate(acc, gyr, length) for part in self.parts]
        return np.average(estimates, axis=0, weights=weights)
