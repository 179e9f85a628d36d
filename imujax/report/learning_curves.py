"""From the predictions of a sweep to curves, tests, data reductions and one honest sentence.

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
from imujax.report import metrics, sentences
from imujax.report.statistics import (
    BOOTSTRAP_SEED,
    LEVEL,
    crossing_fraction,
    holm_correction,
    paired_tests,
    percentile_interval,
    resampled_means,
    smallest_fraction_reached,
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
                            "mean": _mean_or_nan(curve.values[i]),
                            "low": float(low[i]),
                            "high": float(high[i]),
                            "n_subjects": len(curve.subjects),
                            "n_draws": int(curve.n_draws[i]),
                            "n_counted_as_zero": int(curve.n_faulty[i]) if metric == "r" else 0,
                            "n_left_out": len(curve.left_out),
                        }
                    )
    return rows


def difference_rows(
    sweep: Sweep,
    arm_a: str,
    arm_b: str,
    stages: Sequence[str] = ("finetune", "probe"),
    metric: str = "r",
    seed: int = BOOTSTRAP_SEED,
) -> list[dict[str, Any]]:
    """Arm A minus arm B, paired over subjects, for every stage, axis and fraction both have.

    Parameters
    ----------
    sweep : Sweep
    arm_a, arm_b : str
        The difference is A - B.
    stages : sequence of str
        The stages to compare.
    metric : str
        Of `metrics.METRICS`.
    seed : int
        Of the resamples.

    Returns
    -------
    list of dict
        The columns of differences.csv: mean difference with bootstrap interval, paired t-test and
        Wilcoxon signed-rank test, two-sided; p values of either test are corrected by Holm (1979)
        over all rows that come back.
    """
    rows = []
    for stage in stages:
        for axis in axes_of_sweep(sweep):
            if not (has_runs(sweep, arm_a, stage, axis) and has_runs(sweep, arm_b, stage, axis)):
                continue
            fractions, gain = _paired_gain(sweep, arm_a, arm_b, stage, axis, metric)
            low, high = percentile_interval(resampled_means(gain, seed))
            for i, fraction in enumerate(fractions):
                rows.append(
                    {
                        "task": task_name(sweep),
                        "arm_a": arm_a,
                        "arm_b": arm_b,
                        "stage": stage,
                        "axis": axis,
                        "fraction": float(fraction),
                        "metric": metric,
                        "difference": _mean_or_nan(gain[i]),
                        "low": float(low[i]),
                        "high": float(high[i]),
                        "n_subjects": gain.shape[1],
                        **paired_tests(gain[i]),
                    }
                )
    return correct_by_holm(rows)


def correct_by_holm(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Correct the p values of all these rows together, in place.

    Parameters
    ----------
    rows : list of dict
        Of `difference_rows`, of one arm or several.

    Returns
    -------
    list of dict
        The same rows, with p_t_holm and p_wilcoxon_holm.
    """
    for test in ("p_t", "p_wilcoxon"):
        for row, p in zip(rows, holm_correction([row[test] for row in rows]), strict=True):
            row[f"{test}_holm"] = float(p)
    return rows


def overall_difference(
    sweep: Sweep,
    arm_a: str,
    arm_b: str,
    stage: str = "finetune",
    axis: str = "windows",
    seed: int = BOOTSTRAP_SEED,
) -> dict[str, Any]:
    """The one main comparison: r of arm A minus arm B, averaged over the fractions, by subject.

    Parameters
    ----------
    sweep : Sweep
    arm_a, arm_b : str
        The difference is A - B.
    stage, axis : str
        Which curves.
    seed : int
        Of the resamples.

    Returns
    -------
    dict
        difference, low, high, n_subjects, and what `statistics.paired_tests` gives.
    """
    _, gain = _paired_gain(sweep, arm_a, arm_b, stage, axis, "r")
    gain = gain.mean(axis=0)
    low, high = percentile_interval(resampled_means(gain[None], seed))
    return {
        "difference": _mean_or_nan(gain),
        "low": float(low[0]),
        "high": float(high[0]),
        "n_subjects": len(gain),
        **paired_tests(gain),
    }


def data_reduction(
    sweep: Sweep,
    arm_a: str,
    arm_b: str,
    stage: str = "finetune",
    axis: str = "windows",
    seed: int = BOOTSTRAP_SEED,
) -> dict[str, Any]:
    """How much less data arm A needs for the mean r that arm B has at 100 %.

    Parameters
    ----------
    sweep : Sweep
    arm_a, arm_b : str
        A reaches what B has.
    stage, axis : str
        Which curves.
    seed : int
        Of the resamples.

    Returns
    -------
    dict
        arm_a, arm_b, stage, axis : as given.
        target_r : the mean r of B at 100 %.
        smallest : the smallest fraction of A.
        plotted : 1 - the smallest plotted fraction at which A reaches it (the rule of the
        abstract), None when never reached.
        crossing : 1 - the fraction where A's curve, linear in log10(fraction), first reaches it,
        None when never reached.
        at_least : reached at the smallest fraction already, where the crossing cannot be seen.
        low, high : percentile interval of the crossing over the resamples of subjects, in which a
        resample that never reaches counts as worse than any number: low is None when more than
        2.5 % of them do.
        not_reached, at_smallest : shares of the resamples.
        sentence : all this in words.

    Raises
    ------
    UserError
        An arm has no runs at 100 %.
    """
    a, b = (subject_curve(sweep, arm, stage, axis, "r") for arm in (arm_a, arm_b))
    for arm, curve in ((arm_a, a), (arm_b, b)):
        if curve.fractions[-1] != 1:
            raise UserError(f"{sweep.folder}: arm {arm} has no run at 100 % of axis {axis}")
    in_a, in_b = _common_subjects(sweep, a, b)
    values_a, values_b = a.values[:, in_a], b.values[-1:, in_b]
    mean_a, target = values_a.mean(axis=1), values_b.mean()
    reached_at = float(crossing_fraction(a.fractions, mean_a[None], np.array([target]))[0])
    plotted = smallest_fraction_reached(a.fractions, mean_a, target)
    samples = crossing_fraction(
        a.fractions, resampled_means(values_a, seed), resampled_means(values_b, seed)[:, 0]
    )
    saved = np.where(np.isnan(samples), -np.inf, 1 - samples)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(saved, [tail, 1 - tail], method="nearest")
    reduction = {
        "arm_a": arm_a,
        "arm_b": arm_b,
        "stage": stage,
        "axis": axis,
        "target_r": float(target),
        "smallest": float(a.fractions[0]),
        "plotted": None if plotted is None else 1 - plotted,
        "crossing": None if np.isnan(reached_at) else 1 - reached_at,
        "at_least": bool(reached_at == a.fractions[0]),
        "low": float(low) if np.isfinite(low) else None,
        "high": float(high) if np.isfinite(high) else None,
        "not_reached": float(np.isnan(samples).mean()),
        "at_smallest": float((samples == a.fractions[0]).mean()),
    }
    return reduction | {"sentence": sentences.reduction_sentence(reduction)}


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
                "r": _mean_or_nan(means["r"]),
                "low": float(low[0]),
                "high": float(high[0]),
                "rmse": _mean_or_nan(means["rmse"]),
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


def _mean_or_nan(values: np.ndarray) -> float:
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


def _paired_gain(
    sweep: Sweep, arm_a: str, arm_b: str, stage: str, axis: str, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Fractions [F] both arms have, and A - B [F, S] of the subjects both have."""
    a, b = (subject_curve(sweep, arm, stage, axis, metric) for arm in (arm_a, arm_b))
    subjects_a, subjects_b = _common_subjects(sweep, a, b)
    fractions, in_a, in_b = np.intersect1d(a.fractions, b.fractions, return_indices=True)
    return fractions, a.values[in_a][:, subjects_a] - b.values[in_b][:, subjects_b]


def _common_subjects(
    sweep: Sweep, a: SubjectCurve, b: SubjectCurve
) -> tuple[np.ndarray, np.ndarray]:
    """Where in A and where in B the subjects are whom both have."""
    names, in_a, in_b = np.intersect1d(a.subjects, b.subjects, return_indices=True)
    if len(names) == 0:
        raise UserError(f"{sweep.folder}: no subject can be scored in both arms")
    return in_a, in_b
