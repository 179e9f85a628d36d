"""A model that was kept: estimates with their intervals or sets, from its folder alone.

model = imujax.load("work/models/peak_force")
estimates = model.predict(acc, gyr)
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imujax.data.recordings import Recording
from imujax.errors import UserError, require_known
from imujax.models import cutting, joining, page, parts, seen, sets
from imujax.models.estimates import ClassEstimates, CurveEstimates, Estimates
from imujax.pretrain import inputs

if TYPE_CHECKING:
    from imujax.models.explanation import Explanation


BOTH_WAYS = (
    "predict takes windows of acc and gyr, or a recording and one of "
    f"{', '.join(cutting.Cut._fields)}"
)


@dataclass(frozen=True, eq=False)
class Model:
    """A model and its card.

    Attributes
    ----------
    card : dict
        task, title, model, targets [{name, unit, half, range, coverage, metrics}, of a class
        classes, least and windows for half and range, of a curve every, seconds, whole and
        anywhere too, see bands.Band], interval {level, ...}, rate [Hz], window [samples], sensors,
        parts, signals, trained_on, versions.
    parts : tuple of Part
        Their weighted mean is the estimate; the weights stand in the card.
    """

    card: dict[str, Any]
    parts: tuple[parts.Part, ...]

    @property
    def rate(self) -> float:
        """Of the windows [Hz]."""
        return self.card["rate"]

    @property
    def classes(self) -> tuple[str, ...]:
        """Words of the class that is estimated; none where numbers are."""
        return tuple(self.card["targets"][0].get("classes", ()))

    @property
    def every(self) -> int:
        """Samples of a window from value to value of the curves that are estimated, or 0."""
        return self.card["targets"][0].get("every", 0)

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """Of each number that `estimate` gives: its name, unit and range."""
        if not self.classes:
            return self.card["targets"]
        of_each = {"unit": "", "range": [0.0, 1.0]}
        return [{"name": f"probability of {word}"} | of_each for word in self.classes]

    def __repr__(self) -> str:
        """What it estimates, in at most ten lines."""
        card, words = self.card, page.wording(self.card)

        def each(text: str) -> str:
            return page.each_target(card["targets"], text, "; ")

        lines = {
            "estimates": each(words.estimates),
            "by": card["model"],
            "from": f"{card['window']} samples at {card['rate']:g} Hz of "
            + ", ".join(card["sensors"]),
            "trained on": f"{card['trained_on']['subjects']} subjects of "
            f"{card['trained_on']['data']['name']}",
            "held out": each(words.scores),
            words.sure: f"{each(words.reach)}{words.holds} "
            f"{100 * card['interval']['level']:.0f} % of the {words.what} of a new person",
        }
        return "\n".join(["imujax model", *(f"  {name}: {text}" for name, text in lines.items())])

    def predict(
        self,
        acc: np.ndarray | Recording,
        gyr: np.ndarray | None = None,
        length: np.ndarray | None = None,
        **cut: Any,
    ) -> Estimates | ClassEstimates | CurveEstimates:
        """Estimate windows like those that the model was trained on, or those of a recording.

        Curves of windows that are cut at a stride are joined to one of the recording, up to the end
        of the last window, see `joining`; those at events or contacts stay curves of windows.

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
        Estimates, ClassEstimates or CurveEstimates
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
            self._require_stride(cut.get("stride"))
            acc, gyr, time, lost = cutting.lay(acc, self.card, cutting.Cut(**cut))
        elif gyr is None or cut:
            raise UserError(BOTH_WAYS)
        if time is not None and not len(time):
            values = (-(-self.card["window"] // self.every),) if self.every else ()
            estimate, unlike = np.empty((0, *values, len(self.outputs))), np.empty(0, bool)
        else:
            acc, gyr, length = self.check(acc, gyr, length)
            estimate = self.estimate(acc, gyr, length)
            limits = self.card["signals"]
            if source:
                seen.require_axes(acc, length, limits, self.card["sensors"], source)
            unlike = seen.is_unlike(acc, gyr, length, limits)
        targets = self.card["targets"]
        names = tuple(target["name"] for target in targets)
        of_windows = {"level": self.card["interval"]["level"], "time": time, "lost": lost}
        is_joined = self.every > 0 and cut.get("stride") is not None
        if self.classes:
            if self.every:
                lay = self._join if is_joined else functools.partial(self._lay_samples, length)
                estimate, unlike, time = lay(estimate, unlike, time)
                is_there = np.isfinite(estimate).all(axis=1)  # a stride may leave gaps
                estimate, unlike = estimate[is_there], unlike[is_there]
                of_windows["time"] = None if time is None else time[is_there]
            held = sets.hold(estimate, targets[0]["least"])
            return ClassEstimates(estimate, held, unlike, names, self.classes, **of_windows)
        units = tuple(target["unit"] for target in targets)
        if is_joined:
            return self._lay_joined(estimate, unlike, names, units, **of_windows)
        if self.every:
            return self._lay_curves(estimate, unlike, names, units, **of_windows, length=length)
        half = np.array([target["half"] for target in targets])
        if len(targets) == 1:
            estimate = estimate[:, 0]
        bounds = estimate - half, estimate + half
        return Estimates(estimate, *bounds, unlike, names, units, **of_windows)

    def _require_stride(self, stride: float | None) -> None:
        """UserError where windows at a stride [s] would have values between each other's."""
        if self.every > 1 and stride is not None and round(stride * self.rate) % self.every:
            raise UserError(
                f"the curve has a value every {self.every / self.rate:g} s: give a stride of a "
                "multiple of that"
            )

    def _offset(self, values: int, at_events: bool) -> np.ndarray:
        """Seconds from the time of a window to its values [Lt]."""
        before = (self.card["before"] or 0) if at_events else 0
        return (np.arange(values) * self.every - before) / self.rate

    def _lay_samples(self, length, estimate, unlike, time):
        """Classes of the samples of windows behind each other, as far as a window goes."""
        values = estimate.shape[1]
        inside = np.full(estimate.shape[:2], True)
        if length is not None:
            inside = np.arange(values) * self.every < np.asarray(length)[:, None]
        if time is not None:
            time = (time[:, None] + self._offset(values, at_events=True))[inside]
        return estimate[inside], np.repeat(unlike, inside.sum(axis=1)), time

    def _lay_curves(self, estimate, unlike, names, units, level, time, lost, length):
        """Curves of windows, each with its bands."""
        targets = self.card["targets"]
        half = np.array([target["half"] for target in targets]).T
        whole = np.array([target["whole"] for target in targets]).T
        if length is not None:
            inside = np.arange(len(half)) * self.every < np.asarray(length)[:, None]
            estimate = np.where(inside[..., None], estimate, np.nan)
        offset = self._offset(len(half), at_events=time is not None)
        bounds = (estimate - half, estimate + half, estimate - whole, estimate + whole)
        numbers = (x[..., 0] if len(targets) == 1 else x for x in (estimate, *bounds))
        is_unlike = np.repeat(unlike[:, None], len(half), axis=1)
        return CurveEstimates(*numbers, is_unlike, names, units, offset, level, time, lost)

    def _join(self, estimate, unlike, time):
        """Curves of overlapping windows as one of their recording [T, K], whether a window over a
        value is unlike, and the times of the values."""
        every = self.every
        starts = np.round((time - time[:1]) * self.rate).astype(int)
        values, starts = estimate.shape[1], starts // every
        count = starts[-1] + values if len(starts) else 0
        margin = -(-max(part.margin for part in self.parts) // every)
        joined = joining.join(estimate, starts, count, margin)
        covers = (start + np.arange(values) for start in starts[unlike])
        is_unlike = np.isin(np.arange(count), np.concatenate([np.empty(0, int), *covers]))
        begin = time[0] if len(time) else 0.0
        return joined, is_unlike, begin + np.arange(count) * every / self.rate

    def _lay_joined(self, estimate, unlike, names, units, level, time, lost):
        """Curves of overlapping windows as one of their recording, with one band."""
        targets = self.card["targets"]
        joined, is_unlike, at = self._join(estimate, unlike, time)
        joined, is_unlike = (x[None][: len(time)] for x in (joined, is_unlike))  # none of no window
        half = np.array([target["anywhere"] for target in targets])
        numbers = (joined, joined - half, joined + half)
        numbers = (x[..., 0] if len(targets) == 1 else x for x in numbers)
        offset = at - at[:1]
        bounds = (*numbers, None, None)
        return CurveEstimates(*bounds, is_unlike, names, units, offset, level, time[:1], lost)

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
            Of several, the first by default. Of a class one of its words, whose probability is
            told; by default the one that is most probable, on average over the windows.

        Returns
        -------
        Explanation
            explanation.save("why.png") draws the first window.

        Raises
        ------
        UserError
            As of `predict`, or there is no such target, or it is a curve.
        """
        from imujax.models import explanation  # and with it matplotlib

        if self.every:
            raise UserError("a curve is not explained: explain takes models of numbers or a class")
        windows = self.check(acc, gyr, length)
        names = self.classes or tuple(one["name"] for one in self.card["targets"])
        if target is not None:
            require_known("target", target, names)
            number = names.index(target)
        else:
            number = int(self.estimate(*windows).mean(axis=0).argmax()) if self.classes else 0
        return explanation.explain(self, *windows, number)

    def estimate(self, acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Estimate windows as they come.

        Parameters
        ----------
        acc, gyr : ndarray, [N, L, S, 3], float32
        length : ndarray, [N]

        Returns
        -------
        ndarray, [N, K]
            In the targets' units; of a class the probabilities [N, C], of curves [N, Lt, K].
        """
        weights = [described["weight"] for described in self.card["parts"]]
        estimates = [part.estimate(acc, gyr, length) for part in self.parts]
        return np.average(estimates, axis=0, weights=weights)
