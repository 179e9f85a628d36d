"""From the predictions of a sweep to curves: a metric against the share of the labelled data.

The unit of analysis is the subject: a metric is taken within each test subject, averaged over the
draws of the training subset, and then averaged over subjects. Intervals are percentile bootstraps
over subjects, and the same resamples serve every arm and fraction of a sweep, so that differences
and crossings are resampled as pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imujax.errors import UserError
from imujax.report import metrics
from imujax.report.statistics import (
    BOOTSTRAP_SEED,
    percentile_interval,
    resampled_means,
)
from imujax.report.tables import Sweep, task_name


@dataclass(frozen=True)
class SubjectCurve:
    """One metric of one (arm, stage, axis), by subject.

    Attributes
    ----------
    fractions : ndarray, [F]
        Ascending.
    subjects : ndarray of str, [S]
        Sorted.
    values : ndarray, [F, S]
        The metric, averaged over the draws.
    n_draws : ndarray of int, [F]
        How many draws there are.
    n_faulty : ndarray of int, [F]
        How many (subject, draw) cells had a constant or diverged estimate.
    left_out : tuple of str
        Subjects nobody can score (see metrics.py).
    """

    fractions: np.ndarray
    subjects: np.ndarray
    values: np.ndarray
    n_draws: np.ndarray
    n_faulty: np.ndarray
    left_out: tuple[str, ...]


def arms_of_stage(sweep: Sweep, stage: str) -> list[str]:
    """Arms that have a stage.

    Parameters
    ----------
    sweep : Sweep
    stage : {"finetune", "probe", "reference"}

    Returns
    -------
    list of str
        In the order in which runs.csv names them.
    """
    return list(dict.fromkeys(sweep.runs["arm"][sweep.runs["stage"] == stage].tolist()))


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
        Of `metrics.METRICS`.

    Returns
    -------
    SubjectCurve

    Raises
    ------
    UserError
        There are no such runs, a subject is tested twice in a draw, or a draw misses a subject
        (an unfinished sweep).
    """
    is_chosen = _runs_of(sweep, arm, stage, axis)
    position_of = {int(run): i for i, run in enumerate(sweep.runs["run"][is_chosen])}
    rows = [row for row in sweep.scores if row["run"] in position_of]
    position = np.array([position_of[row["run"]] for row in rows])
    fractions, f = np.unique(sweep.runs["fraction"][is_chosen][position], return_inverse=True)
    draws, d = np.unique(sweep.runs["draw"][is_chosen][position], return_inverse=True)
    names, s = np.unique([row["subject"] for row in rows], return_inverse=True)
    count = np.zeros((len(fractions), len(draws), len(names)), int)
    np.add.at(count, (f, d, s), 1)
    curve = f"{sweep.folder}: arm {arm}, {stage}, {axis}"
    _require_every_subject_once(count, fractions, draws, names, curve)

    undefined = np.array([row["undefined"] for row in rows])
    value, is_scorable = metrics.values_for_mean(metric, [row[metric] for row in rows], undefined)
    values = np.zeros(count.shape)
    values[f, d, s] = value
    scorable = np.ones(len(names), bool)
    scorable[s[~is_scorable]] = False
    n_draws = count.any(axis=2).sum(axis=1)
    is_faulty = np.isin(undefined, metrics.ESTIMATE_FAULTS)
    return SubjectCurve(
        fractions,
        names[scorable],
        (values.sum(axis=1) / n_draws[:, None])[:, scorable],
        n_draws,
        np.bincount(f[is_faulty & scorable[s]], minlength=len(fractions)),
        tuple(names[~scorable].tolist()),
    )


def _require_every_subject_once(
    count: np.ndarray, fractions: np.ndarray, draws: np.ndarray, names: np.ndarray, curve: str
) -> None:
    """Of the (fraction, draw, subject) cells [F, D, S]; draws that a fraction lacks are allowed."""
    if count.max() > 1:
        i, j, k = np.argwhere(count > 1)[0]
        raise UserError(
            f"{curve}: subject {names[k]} is tested twice at fraction {fractions[i]:g}, draw "
            f"{draws[j]}: every subject belongs to one fold"
        )
    is_run = count.any(axis=2, keepdims=True)
    missing = np.argwhere((count == 0) & is_run)
    if len(missing):
        i, j, k = missing[0]
        raise UserError(
            f"{curve}: subject {names[k]} is not tested at fraction {fractions[i]:g}, draw "
            f"{draws[j]}: run the sweep to its end"
        )


def curve_rows(
    sweep: Sweep, metric_names: Sequence[str] = metrics.METRICS, seed: int = BOOTSTRAP_SEED
) -> list[dict[str, Any]]:
    """Mean over subjects and interval of every curve.

    Parameters
    ----------
    sweep : Sweep
    metric_names : sequence of str
        Of `metrics.METRICS`.
    seed : int
        Of the resamples.

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
            for metric in metric_names:
                curve = subject_curve(sweep, arm, stage, axis, metric)
                low, high = percentile_interval(resampled_means(curve.values, seed))
                for i, fraction in enumerate(curve.fractions):
                    rows.append(
                        {
                            "task": task_name(sweep),
                            "arm": arm,
                            "stage": stage,
                            "axis": axis,
                            "fraction": float(fraction),
                            "metric": metric,
                            "mean": mean_or_nan(curve.values[i]),
                            "low": float(low[i]),
                            "high": float(high[i]),
                            "n_subjects": len(curve.subjects),
                            "n_draws": int(curve.n_draws[i]),
                            "n_counted_as_zero": int(curve.n_faulty[i]) if metric == "r" else 0,
                            "n_left_out": len(curve.left_out),
                        }
                    )
    return rows


def condition_rows(
    sweep: Sweep, arm: str, stage: str, axis: str = "windows", seed: int = BOOTSTRAP_SEED
) -> list[dict[str, Any]]:
    """Mean over subjects of r and RMSE within each condition, at 100 % of the data.

    r within a condition is lower than over all of them: the spread between conditions is gone.

    Parameters
    ----------
    sweep : Sweep
    arm, stage, axis : str
        Which curve.
    seed : int
        Of the resamples.

    Returns
    -------
    list of dict
        A row a condition, by name: condition, n_subjects, n (test examples), r with its interval
        low, high, and rmse in the target's unit.
    """
    is_full = _runs_of(sweep, arm, stage, axis) & (sweep.runs["fraction"] == 1)
    is_of_run = np.isin(sweep.predictions["run"], sweep.runs["run"][is_full])
    columns = {name: values[is_of_run] for name, values in sweep.predictions.items()}
    keys = {name: columns[name] for name in ("condition", "subject", "run")}
    scores = metrics.score_by_keys(keys, columns["truth"], columns["estimate"])
    rows = []
    for condition in sorted({row["condition"] for row in scores}):
        within = [row for row in scores if row["condition"] == condition]
        undefined = [row["undefined"] for row in within]
        means = {}
        for metric in ("r", "rmse"):
            value, is_scorable = metrics.values_for_mean(
                metric, [row[metric] for row in within], undefined
            )
            subject = np.array([row["subject"] for row in within])[is_scorable]
            names, code = np.unique(subject, return_inverse=True)
            means[metric] = np.bincount(code, weights=value[is_scorable]) / np.bincount(code)
        low, high = percentile_interval(resampled_means(means["r"][None], seed))
        rows.append(
            {
                "condition": condition,
                "n_subjects": len(names),
                "n": len(np.unique(columns["index"][columns["condition"] == condition])),
                "r": mean_or_nan(means["r"]),
                "low": float(low[0]),
                "high": float(high[0]),
                "rmse": mean_or_nan(means["rmse"]),
            }
        )
    return rows


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


def mean_or_nan(values: np.ndarray) -> float:
    """Plain mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")


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
