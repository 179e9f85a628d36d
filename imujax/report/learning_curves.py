"""From the predictions of a sweep to curves: a metric against the share of the labelled data.

The unit of analysis is the subject: a metric is taken within each test subject, averaged over the
draws of the training subset, and then averaged over subjects. Intervals are those of
`mixed_model.estimate_mean`: of subjects and of the weights that their runs started from.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imujax.errors import UserError
from imujax.report import kinds, metrics
from imujax.report.mixed_model import Layout, MeanEstimate, estimate_mean
from imujax.report.tables import Sweep, task_name


@dataclass(frozen=True)
class SubjectCurve:
    """One metric of one (arm, stage, axis), by subject.

    Attributes
    ----------
    fractions : ndarray, [F]
        Ascending.
    draws : ndarray of int, [D]
        Ascending, the same for all fractions.
    subjects : ndarray of str, [S]
        Sorted.
    by_draw : ndarray, [F, D, S]
        The metric.
    layout : Layout
        Folds of the subjects, and the weights that their runs started from; then, where draws
        share them, what else: the folds whose settings are chosen once.
    n_faulty : ndarray of int, [F]
        How many (subject, draw) cells had a constant or diverged estimate.
    left_out : tuple of str
        Subjects nobody can score (see metrics.py).
    """

    fractions: np.ndarray
    draws: np.ndarray
    subjects: np.ndarray
    by_draw: np.ndarray
    layout: Layout
    n_faulty: np.ndarray
    left_out: tuple[str, ...]

    @property
    def values(self) -> np.ndarray:
        """The metric averaged over the draws, [F, S]."""
        return self.by_draw.mean(axis=1)

    def narrowed(self, subjects: np.ndarray, draws: np.ndarray) -> "SubjectCurve":
        """The same curve of some of its subjects and draws.

        Parameters
        ----------
        subjects, draws : ndarray
            Which ones.

        Returns
        -------
        SubjectCurve
        """
        s, d = np.isin(self.subjects, subjects), np.isin(self.draws, draws)
        starts = tuple(start[d][:, s] for start in self.layout.starts)
        return dataclasses.replace(
            self,
            draws=self.draws[d],
            subjects=self.subjects[s],
            by_draw=self.by_draw[:, d][:, :, s],
            layout=Layout(self.layout.fold[s], starts),
        )


def arms_of_stage(sweep: Sweep, stage: str) -> list[str]:
    """Arms that have a stage.

    Parameters
    ----------
    sweep : Sweep
    stage : {"finetune", "fifth", "probe", "reference"}

    Returns
    -------
    list of str
        In the order in which runs.csv names them.
    """
    return list(dict.fromkeys(sweep.runs["arm"][sweep.runs["stage"] == stage].tolist()))


def compared_stage(sweep: Sweep) -> str:
    """The stage that a task's comparisons rest on.

    Parameters
    ----------
    sweep : Sweep

    Returns
    -------
    str
        "finetune", or "probe" where nothing was fine-tuned.
    """
    return "finetune" if arms_of_stage(sweep, "finetune") else "probe"


def axes_of_sweep(sweep: Sweep) -> list[str]:
    """The axes a sweep has.

    Parameters
    ----------
    sweep : Sweep

    Returns
    -------
    list of str
        "windows" first, then "subjects".
    """
    return sorted(set(sweep.runs["axis"].tolist()), reverse=True)


def subject_curve(sweep: Sweep, arm: str, stage: str, axis: str, metric: str) -> SubjectCurve:
    """Per-subject values of one curve.

    All training subjects are all training windows: where axis "subjects" has no run at 100 %,
    those of axis "windows" stand in.

    Parameters
    ----------
    sweep : Sweep
    arm, stage, axis : str
        Which curve.
    metric : str
        Of those of its kind.

    Returns
    -------
    SubjectCurve

    Raises
    ------
    UserError
        There are no such runs, a subject is tested twice in a draw or misses in one (an unfinished
        sweep), or the runs of a draw and fold started from different weights.
    """
    is_chosen = _runs_of(sweep, arm, stage, axis)
    curve = f"{sweep.folder}: arm {arm}, {stage}, {axis}"
    position_of = {int(run): i for i, run in enumerate(sweep.runs["run"][is_chosen])}
    rows = [row for row in sweep.scores if row["run"] in position_of]
    position = np.array([position_of[row["run"]] for row in rows])
    columns = {name: values[is_chosen][position] for name, values in sweep.runs.items()}
    fractions, f = np.unique(columns["fraction"], return_inverse=True)
    draws, d = np.unique(columns["draw"], return_inverse=True)
    names, s = np.unique([row["subject"] for row in rows], return_inverse=True)
    count = np.zeros((len(fractions), len(draws), len(names)), int)
    np.add.at(count, (f, d, s), 1)
    _require_every_subject_once(count, fractions, draws, names, curve)
    fold, starts = np.zeros(len(names), int), np.zeros(count.shape[1:], np.int64)
    fold[s], starts[d, s] = columns["fold"], columns["start"]
    if (fold[s] != columns["fold"]).any() or (starts[d, s] != columns["start"]).any():
        raise UserError(
            f"{curve}: a subject changes its fold, or its runs of a draw start from different "
            "weights: run the sweep again"
        )

    undefined = np.array([row["undefined"] for row in rows])
    value, is_scorable = metrics.values_for_mean(metric, [row[metric] for row in rows], undefined)
    values = np.zeros(count.shape)
    values[f, d, s] = value
    scorable = np.ones(len(names), bool)
    scorable[s[~is_scorable]] = False
    is_faulty = np.isin(undefined, metrics.ESTIMATE_FAULTS)
    shared = _starts_of_embedding(sweep, arm, stage, draws, fold)
    if stage != "reference" and _are_settings_shared(sweep):
        shared.append(np.tile(fold, (len(draws), 1)))
    return SubjectCurve(
        fractions,
        draws,
        names[scorable],
        values[:, :, scorable],
        Layout(fold[scorable], tuple(start[:, scorable] for start in (starts, *shared))),
        np.bincount(f[is_faulty & scorable[s]], minlength=len(fractions)),
        tuple(names[~scorable].tolist()),
    )


def _starts_of_embedding(
    sweep: Sweep, arm: str, stage: str, draws: np.ndarray, fold: np.ndarray
) -> list[np.ndarray]:
    """A reference with the embedding of an arm depends on the weights of that arm too: [D, S]."""
    _, _, label = arm.partition("+")
    if stage != "reference" or not label:
        return []
    runs = sweep.runs
    is_arm = (runs["arm"] == label) & (runs["stage"] != "reference")
    columns = (runs[name][is_arm].tolist() for name in ("draw", "fold", "start"))
    start_of = {(d, f): start for d, f, start in zip(*columns, strict=True)}
    if not start_of:
        return []
    return [np.array([[start_of.get((d, f), -1) for f in fold.tolist()] for d in draws.tolist()])]


def _are_settings_shared(sweep: Sweep) -> bool:
    """Whether the settings of a fold are chosen on some of its draws, for all of them."""
    config = sweep.summary.get("config")
    config = config if isinstance(config, dict) else {}
    select = config.get("select", {})
    return select.get("draws", 1) < config.get("draws", 1)


def _require_every_subject_once(
    count: np.ndarray, fractions: np.ndarray, draws: np.ndarray, names: np.ndarray, curve: str
) -> None:
    """Of the (fraction, draw, subject) cells [F, D, S]."""
    for is_wrong, says, mend in (
        (count > 1, "is tested twice", "every subject belongs to one fold"),
        (count == 0, "is not tested", "run the sweep to its end"),
    ):
        if is_wrong.any():
            i, j, k = np.argwhere(is_wrong)[0]
            raise UserError(
                f"{curve}: subject {names[k]} {says} at fraction {fractions[i]:g}, draw "
                f"{draws[j]}: {mend}"
            )


def curve_rows(sweep: Sweep, metric_names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Mean over subjects and interval of every curve.

    Parameters
    ----------
    sweep : Sweep
    metric_names : sequence of str, optional
        Of those of its kind, all by default.

    Returns
    -------
    list of dict
        One row for every arm, stage, axis, metric and fraction: the columns of curves.csv.
    """
    rows = []
    keys = zip(sweep.runs["arm"], sweep.runs["stage"], strict=True)
    for arm, stage in dict.fromkeys((str(a), str(s)) for a, s in keys):
        for axis in axes_of_sweep(sweep):
            if not has_runs(sweep, arm, stage, axis):
                continue
            for metric in metric_names or sweep.kind.metrics:
                curve = subject_curve(sweep, arm, stage, axis, metric)
                estimate = estimate_mean(curve.by_draw, curve.layout)
                for i, fraction in enumerate(curve.fractions):
                    rows.append(
                        {
                            "task": task_name(sweep),
                            "arm": arm,
                            "stage": stage,
                            "axis": axis,
                            "fraction": float(fraction),
                            "metric": metric,
                            "mean": float(estimate.mean[i]),
                            "low": float(estimate.low[i]),
                            "high": float(estimate.high[i]),
                            "n_subjects": len(curve.subjects),
                            "n_draws": len(curve.draws),
                            "n_counted_as_zero": int(curve.n_faulty[i])
                            if metric == sweep.kind.main
                            else 0,
                            "n_left_out": len(curve.left_out),
                        }
                    )
    return rows


def condition_rows(
    sweep: Sweep, arm: str, stage: str, axis: str = "windows"
) -> list[dict[str, Any]]:
    """Mean over subjects of r and RMSE within each condition, at 100 % of the data.

    r within a condition is lower than over all of them: the spread between conditions is gone.

    Parameters
    ----------
    sweep : Sweep
    arm, stage, axis : str
        Which curve.

    Returns
    -------
    list of dict
        A row a condition, by name: condition, n_subjects, n (test examples), r with its interval
        low, high, and rmse in the target's unit. None of a class.
    """
    if sweep.kind is kinds.CLASSES:
        return []
    curve = subject_curve(sweep, arm, stage, axis, "r")
    runs, predictions = sweep.runs, sweep.predictions
    is_full = _runs_of(sweep, arm, stage, axis) & (runs["fraction"] == 1)
    draw_of = dict(zip(runs["run"][is_full].tolist(), runs["draw"][is_full].tolist(), strict=True))
    is_of_run = np.isin(predictions["run"], list(draw_of))
    columns = {name: values[is_of_run] for name, values in predictions.items()}
    keys = {name: columns[name] for name in ("condition", "subject", "run")}
    scores = sweep.kind.score(sweep.target, keys, columns["truth"], columns["estimate"])
    rows = []
    for condition in sorted({row["condition"] for row in scores}):
        within = [
            row | {"draw": draw_of[row["run"]]} for row in scores if row["condition"] == condition
        ]
        r, rmse = (_estimate_within(curve, within, metric) for metric in ("r", "rmse"))
        rows.append(
            {
                "condition": condition,
                "n_subjects": len(_scorable_subjects(within)),
                "n": len(np.unique(columns["index"][columns["condition"] == condition])),
                "r": float(r.mean[0]),
                "low": float(r.low[0]),
                "high": float(r.high[0]),
                "rmse": float(rmse.mean[0]),
            }
        )
    return rows


def _scorable_subjects(rows: list[dict[str, Any]]) -> set[str]:
    return {row["subject"] for row in rows if row["undefined"] not in metrics.SUBJECT_FAULTS}


def _estimate_within(curve: SubjectCurve, rows: list[dict[str, Any]], metric: str) -> MeanEstimate:
    """Of some rows of scores, a subject and draw each: the mean over whom they can be scored for.

    The layout is that of the curve, of whose subjects these are some.
    """
    names = np.array(sorted(_scorable_subjects(rows)))
    draw = np.searchsorted(curve.draws, [row["draw"] for row in rows])
    subject = np.searchsorted(curve.subjects, [row["subject"] for row in rows])
    undefined = [row["undefined"] for row in rows]
    value, is_scorable = metrics.values_for_mean(metric, [row[metric] for row in rows], undefined)
    values = np.full((len(curve.draws), len(curve.subjects)), np.nan)
    values[draw[is_scorable], subject[is_scorable]] = value[is_scorable]
    within = dataclasses.replace(curve, by_draw=values[None]).narrowed(names, curve.draws)
    return estimate_mean(within.by_draw, within.layout)


def has_runs(sweep: Sweep, arm: str, stage: str, axis: str) -> bool:
    """Whether there is a run of this arm and stage on this very axis.

    Parameters
    ----------
    sweep : Sweep
    arm, stage, axis : str

    Returns
    -------
    bool
    """
    runs = sweep.runs
    return bool(np.any((runs["arm"] == arm) & (runs["stage"] == stage) & (runs["axis"] == axis)))


def _runs_of(sweep: Sweep, arm: str, stage: str, axis: str) -> np.ndarray:
    """Bool [R]; with the runs at 100 % of "windows" where "subjects" has none of its own."""
    runs = sweep.runs
    is_arm = (runs["arm"] == arm) & (runs["stage"] == stage)
    is_chosen = is_arm & (runs["axis"] == axis)
    if not is_chosen.any():
        raise UserError(f"{sweep.folder}: there is no run of arm {arm}, {stage}, {axis}")
    is_full = runs["fraction"] == 1
    if axis == "subjects" and not (is_chosen & is_full).any():
        is_chosen |= is_arm & is_full & (runs["axis"] == "windows")
    return is_chosen
