"""What each candidate says of people it has not seen, from a sweep, and which is best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imujax.errors import UserError
from imujax.models import sets
from imujax.report import metrics
from imujax.report.kinds import CLASSES, Kind, kind_of
from imujax.report.tables import Sweep
from imujax.sweep.references import REFERENCES

NETWORKS = {"finetuned": "finetune", "probe": "probe"}  # the names of a model, and its stage
AVERAGE = "average"  # of the network and the best reference, each with half the weight
BEST = "best"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A model and its estimates of people who were held out, with all windows.

    Attributes
    ----------
    name : str
        finetuned, probe, a reference, or average.
    parts : tuple of str
        Names of what it is made of, with equal weights.
    subject : ndarray, [N]
    truth, estimate : ndarray, [N, K]
        The mean over the draws, in the targets' units; of a class its number [N, 1] and the
        probabilities [N, C], of a class a sample each sample as a window, of curves [N, Lt, K], the
        truth NaN beyond the end of a window.
    kind : Kind
        Of the targets.
    scores : list of dict of float, [K]
        Of each target: metric to its mean over people.
    """

    name: str
    parts: tuple[str, ...]
    subject: np.ndarray
    truth: np.ndarray
    estimate: np.ndarray
    kind: Kind
    scores: list[dict[str, float]]

    @property
    def is_class(self) -> bool:
        """Whether classes are estimated."""
        return self.kind is CLASSES

    @property
    def judged(self) -> list[float]:
        """What it is chosen by, the mean over people: RMSE of each target, or [balanced accuracy].

        Of a class the greatest is best.
        """
        return [one[self.kind.main if self.is_class else "rmse"] for one in self.scores]

    @property
    def error(self) -> float:
        """1 - balanced accuracy, or RMSE in SDs of the truth, the mean over the targets."""
        if self.is_class:
            return 1 - self.judged[0]
        sizes = np.nanstd(self.truth, axis=tuple(range(self.truth.ndim - 1)))
        sizes[sizes == 0] = 1.0
        return float(np.mean(self.judged / sizes))

    @property
    def residuals(self) -> np.ndarray:
        """How far they miss [K, N], in the unit of each target; of a class as `sets.miss` says, of
        curves [K, N, Lt]; infinite where an estimate is no number."""
        if self.is_class:
            return sets.miss(self.truth[:, 0], self.estimate)[None]
        is_lost = np.isfinite(self.truth) & ~np.isfinite(self.estimate)
        return np.moveaxis(np.where(is_lost, np.inf, self.estimate - self.truth), -1, 0)


def list_candidates(sweeps: Sequence[Sweep], arm: str) -> dict[str, Candidate]:
    """List what a model can be made of.

    Parameters
    ----------
    sweeps : sequence of Sweep
        Of a task, one for each target.
    arm : str
        Whose network it is.

    Returns
    -------
    dict of Candidate
        By name, those that have runs with all windows and can be kept; references that need an
        arm are left out.
    """
    named = [(name, arm, stage) for name, stage in NETWORKS.items()]
    runs, targets = sweeps[0].runs, [sweep.target for sweep in sweeps]
    references = dict.fromkeys(runs["arm"][runs["stage"] == "reference"].tolist())
    named += [(name, name, "reference") for name in references if _can_be_kept(name)]
    found = {}
    for name, label, stage in named:
        columns = [_read(sweep, label, stage) for sweep in sweeps]
        if columns[0] is not None:
            subjects, truths, estimates = zip(*columns, strict=True)
            is_class = sweeps[0].kind is CLASSES
            estimate = estimates[0] if is_class else np.stack(estimates, axis=-1)
            both = np.stack(truths, axis=-1), estimate
            found[name] = _make(name, (name,), subjects[0], *both, targets)
    best = [found[name] for name in references if name in found]
    if "finetuned" in found and best:
        network, reference = found["finetuned"], min(best, key=lambda one: one.error)
        mean = (network.estimate + reference.estimate) / 2
        members = (network.name, reference.name)
        found[AVERAGE] = _make(AVERAGE, members, network.subject, network.truth, mean, targets)
    return found


def _can_be_kept(name: str) -> bool:
    """Whether a reference stands alone and comes back from what it is kept as."""
    return name in REFERENCES and REFERENCES[name].restore is not None


def choose(candidates: dict[str, Candidate], name: str) -> Candidate:
    """Take a candidate by name, or the one of least error.

    Parameters
    ----------
    candidates : dict of Candidate
    name : str
        "best", or one of them.

    Returns
    -------
    Candidate

    Raises
    ------
    UserError
        It has no runs with all windows.
    """
    if name == BEST and candidates:
        return min(candidates.values(), key=lambda one: one.error)
    if name not in candidates:
        known = ", ".join([BEST, *candidates]) or "none"
        raise UserError(f"no model {name!r} with runs on all windows: there are {known}")
    return candidates[name]


def _read(sweep: Sweep, label: str, stage: str) -> tuple[np.ndarray, ...] | None:
    """Subject, truth and mean estimate over the draws, as of one target of a Candidate, by number
    of the example."""
    runs, made = sweep.runs, sweep.predictions
    chosen = (runs["arm"] == label) & (runs["stage"] == stage)
    chosen &= (runs["axis"] == "windows") & (runs["fraction"] == 1)
    rows = np.isin(made["run"], runs["run"][chosen])
    if not rows.any():
        return None
    _, first, code = np.unique(made["index"][rows], return_index=True, return_inverse=True)
    subject, truth = made["subject"][rows][first], made["truth"][rows][first].astype(np.float64)
    estimates = made["estimate"][rows].astype(np.float64).reshape(len(code), -1)
    sums = np.stack([np.bincount(code, column) for column in estimates.T], axis=1)
    mean = sums / np.bincount(code)[:, None]
    mean = mean.reshape(len(first), *made["estimate"].shape[1:])
    if sweep.kind is CLASSES and truth.ndim > 1:  # every sample that has a class counts as a window
        is_there = np.isfinite(truth)
        return np.repeat(subject, is_there.sum(axis=1)), truth[is_there], mean[is_there]
    return subject, truth, mean


def _make(
    name: str,
    parts: tuple[str, ...],
    subject: np.ndarray,
    truth: np.ndarray,
    estimate: np.ndarray,
    targets: Sequence[dict[str, Any]],
) -> Candidate:
    kind = kind_of(targets[0])
    columns = [estimate] if kind is CLASSES else np.moveaxis(estimate, -1, 0)
    pairs = zip(targets, np.moveaxis(truth, -1, 0), columns, strict=True)
    scores = [_score(target, subject, *pair) for target, *pair in pairs]
    return Candidate(name, parts, subject, truth, estimate, kind, scores)


def _score(
    target: dict[str, Any], subject: np.ndarray, truth: np.ndarray, estimate: np.ndarray
) -> dict[str, float]:
    """Mean over people of every metric of one target."""
    kind = kind_of(target)
    rows = kind.score(target, {"subject": subject}, truth, estimate)
    undefined = [row["undefined"] for row in rows]
    scores: dict[str, float] = {}
    for metric in kind.metrics:
        values, is_scorable = metrics.values_for_mean(
            metric, [row[metric] for row in rows], undefined
        )
        scores[metric] = float(values[is_scorable].mean()) if is_scorable.any() else float("nan")
    return scores
