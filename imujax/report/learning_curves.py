"""From the predictions of a sweep to curves, tests, data reductions and one honest sentence.

The unit of analysis is the subject: a metric is taken within each test subject, averaged over the
draws of the training subset, and then averaged over subjects. Intervals are percentile bootstraps
over subjects, and the same resamples serve every arm and fraction of a sweep, so that differences
and crossings are resampled as pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imujax.errors import UserError
from imujax.report import metrics, sentences
from imujax.report.statistics import (
    BOOTSTRAP_SEED,
    LEVEL,
    crossing,
    first_reached,
    holm_correction,
    interval,
    paired_tests,
    resampled_means,
)
from imujax.report.tables import Sweep, task_name


@dataclass(frozen=True)
class SubjectCurve:
    """One metric of one (arm, stage, axis): values [F, S] per subject, averaged over the draws.

    fractions [F] ascending; subjects [S] sorted; draws [F]: how many there are; counted [F]: how
    many (subject, draw) cells had a constant or diverged estimate; left_out: subjects nobody can
    score (see metrics.py).
    """

    fractions: np.ndarray
    subjects: np.ndarray
    values: np.ndarray
    draws: np.ndarray
    counted: np.ndarray
    left_out: tuple[str, ...]


def arms_of_stage(sweep: Sweep, stage: str) -> list[str]:
    """Arms that have this stage, in the order in which runs.csv names them."""
    return list(dict.fromkeys(sweep.runs["arm"][sweep.runs["stage"] == stage].tolist()))


def axes_of(sweep: Sweep) -> list[str]:
    """The axes there are, "windows" first."""
    return sorted(set(sweep.runs["axis"].tolist()), reverse=True)


def subject_curve(sweep: Sweep, arm: str, stage: str, axis: str, metric: str) -> SubjectCurve:
    """Per-subject values of one curve.

    All training subjects are all training windows: where axis "subjects" has no run at 100 %,
    those of axis "windows" stand in. UserError: no such runs, a subject tested twice in a draw, or
    a draw in which a subject is missing (an unfinished sweep).
    """
    chosen = _runs_of(sweep, arm, stage, axis)
    where = {int(run): i for i, run in enumerate(sweep.runs["run"][chosen])}
    fraction, draw = sweep.runs["fraction"][chosen], sweep.runs["draw"][chosen]
    rows = [row for row in sweep.scores if row["run"] in where]
    position = np.array([where[row["run"]] for row in rows])
    value, kept = metrics.for_means(
        metric, [row[metric] for row in rows], [row["undefined"] for row in rows]
    )
    faulty = np.isin([row["undefined"] for row in rows], ("constant estimate", "not finite"))
    names, subject = np.unique([row["subject"] for row in rows], return_inverse=True)
    fractions, f = np.unique(fraction[position], return_inverse=True)
    draws, d = np.unique(draw[position], return_inverse=True)

    shape = (len(fractions), len(draws), len(names))
    count = np.zeros(shape, int)
    np.add.at(count, (f, d, subject), 1)
    what = f"{sweep.folder}: arm {arm}, {stage}, {axis}"
    if count.max() > 1:
        i, j, k = np.argwhere(count > 1)[0]
        raise UserError(
            f"{what}: subject {names[k]} is tested twice at fraction {fractions[i]:g}, draw "
            f"{draws[j]}: every subject belongs to one fold"
        )
    there = count.any(axis=2)
    if (count[there] == 0).any():
        i, j, k = np.argwhere((count == 0) & there[:, :, None])[0]
        raise UserError(
            f"{what}: subject {names[k]} is not tested at fraction {fractions[i]:g}, draw "
            f"{draws[j]}: run the sweep to its end"
        )
    table = np.zeros(shape)
    table[f, d, subject] = value
    scorable = np.ones(len(names), bool)
    scorable[subject[~kept]] = False
    n_draws = there.sum(axis=1)
    return SubjectCurve(
        fractions,
        names[scorable],
        (table.sum(axis=1) / n_draws[:, None])[:, scorable],
        n_draws,
        np.bincount(f[faulty & scorable[subject]], minlength=len(fractions)),
        tuple(names[~scorable].tolist()),
    )


def curve_rows(
    sweep: Sweep, names: Sequence[str] = metrics.METRICS, seed: int = BOOTSTRAP_SEED
) -> list[dict]:
    """One row for every arm, stage, axis, metric and fraction: mean over subjects and interval."""
    rows = []
    keys = zip(sweep.runs["arm"], sweep.runs["stage"], strict=True)
    for arm, stage in dict.fromkeys((str(a), str(s)) for a, s in keys):
        for axis in axes_of(sweep):
            if not has_runs(sweep, arm, stage, axis):
                continue
            for metric in names:
                table = subject_curve(sweep, arm, stage, axis, metric)
                low, high = interval(resampled_means(table.values, seed))
                for i, fraction in enumerate(table.fractions):
                    rows.append(
                        {
                            "task": task_name(sweep),
                            "arm": arm,
                            "stage": stage,
                            "axis": axis,
                            "fraction": float(fraction),
                            "metric": metric,
                            "mean": mean(table.values[i]),
                            "low": float(low[i]),
                            "high": float(high[i]),
                            "n_subjects": len(table.subjects),
                            "n_draws": int(table.draws[i]),
                            "n_counted_as_zero": int(table.counted[i]) if metric == "r" else 0,
                            "n_left_out": len(table.left_out),
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
) -> list[dict]:
    """Arm A minus arm B, paired over subjects, for every stage, axis and fraction both have.

    Mean difference with bootstrap interval, paired t-test and Wilcoxon signed-rank test, two-sided;
    p values of either test are corrected by Holm (1979) over all rows that come back.
    """
    rows = []
    for stage in stages:
        for axis in axes_of(sweep):
            if not (has_runs(sweep, arm_a, stage, axis) and has_runs(sweep, arm_b, stage, axis)):
                continue
            fractions, gain = _paired(sweep, arm_a, arm_b, stage, axis, metric)
            low, high = interval(resampled_means(gain, seed))
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
                        "difference": mean(gain[i]),
                        "low": float(low[i]),
                        "high": float(high[i]),
                        "n_subjects": gain.shape[1],
                        **paired_tests(gain[i]),
                    }
                )
    return correct_by_holm(rows)


def correct_by_holm(rows: list[dict]) -> list[dict]:
    """The rows of `differences`, of one arm or several, corrected by Holm over all of them."""
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
) -> dict:
    """The one main comparison: r of arm A minus arm B, averaged over the fractions, by subject."""
    _, gain = _paired(sweep, arm_a, arm_b, stage, axis, "r")
    gain = gain.mean(axis=0)
    low, high = interval(resampled_means(gain[None], seed))
    return {
        "difference": mean(gain),
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
) -> dict:
    """How much less data arm A needs for the mean r that arm B has at 100 %.

    plotted: 1 - the smallest plotted fraction at which A reaches it (the rule of the abstract);
    crossing: 1 - the fraction where A's curve, linear in log10(fraction), first reaches it; both
    None when never reached; at_least: reached at the smallest fraction already, where the crossing
    cannot be seen. low, high: percentile interval of the crossing over the resamples of subjects,
    in which a resample that never reaches counts as worse than any number: low is None when more
    than 2.5 % of them do. not_reached, at_smallest: shares of the resamples. UserError: an arm
    without runs at 100 %.
    """
    a, b = (
        subject_curve(sweep, arm_a, stage, axis, "r"),
        subject_curve(sweep, arm_b, stage, axis, "r"),
    )
    for arm, table in ((arm_a, a), (arm_b, b)):
        if table.fractions[-1] != 1:
            raise UserError(f"{sweep.folder}: arm {arm} has no run at 100 % of axis {axis}")
    both_a, both_b = _of_both(sweep, a, b)
    values_a, values_b = a.values[:, both_a], b.values[-1:, both_b]
    curve, target = values_a.mean(axis=1), values_b.mean()
    at = float(crossing(a.fractions, curve[None], np.array([target]))[0])
    plotted = first_reached(a.fractions, curve, target)
    samples = crossing(
        a.fractions, resampled_means(values_a, seed), resampled_means(values_b, seed)[:, 0]
    )
    saved = np.where(np.isnan(samples), -np.inf, 1 - samples)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(saved, [tail, 1 - tail], method="nearest")
    result = {
        "arm_a": arm_a,
        "arm_b": arm_b,
        "stage": stage,
        "axis": axis,
        "target_r": float(target),
        "smallest": float(a.fractions[0]),
        "plotted": None if plotted is None else 1 - plotted,
        "crossing": None if np.isnan(at) else 1 - at,
        "at_least": bool(at == a.fractions[0]),
        "low": float(low) if np.isfinite(low) else None,
        "high": float(high) if np.isfinite(high) else None,
        "not_reached": float(np.isnan(samples).mean()),
        "at_smallest": float((samples == a.fractions[0]).mean()),
    }
    return result | {"sentence": sentences.reduction_sentence(result)}


def condition_rows(
    sweep: Sweep, arm: str, stage: str, axis: str = "windows", seed: int = BOOTSTRAP_SEED
) -> list[dict]:
    """Mean over subjects of r and RMSE within each condition, at 100 % of the data.

    r within a condition is lower than over all of them: the spread between conditions is gone.
    """
    chosen = _runs_of(sweep, arm, stage, axis)
    chosen &= sweep.runs["fraction"] == 1
    here = np.isin(sweep.predictions["run"], sweep.runs["run"][chosen])
    columns = {name: sweep.predictions[name][here] for name in ("condition", "subject", "run")}
    index = sweep.predictions["index"][here]
    scored = metrics.per_group(
        columns, sweep.predictions["truth"][here], sweep.predictions["estimate"][here]
    )
    rows = []
    for condition in sorted({row["condition"] for row in scored}):
        of_it = [row for row in scored if row["condition"] == condition]
        values = {}
        for metric in ("r", "rmse"):
            value, kept = metrics.for_means(
                metric, [row[metric] for row in of_it], [row["undefined"] for row in of_it]
            )
            subject = np.array([row["subject"] for row in of_it])[kept]
            names, code = np.unique(subject, return_inverse=True)
            values[metric] = np.bincount(code, weights=value[kept]) / np.bincount(code)
        low, high = interval(resampled_means(values["r"][None], seed))
        rows.append(
            {
                "condition": condition,
                "n_subjects": len(names),
                "n": len(np.unique(index[columns["condition"] == condition])),
                "r": mean(values["r"]),
                "low": float(low[0]),
                "high": float(high[0]),
                "rmse": mean(values["rmse"]),
            }
        )
    return rows


def mean(values: np.ndarray) -> float:
    """Plain mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")


def has_runs(sweep: Sweep, arm: str, stage: str, axis: str) -> bool:
    """Whether there is a run of this arm and stage on this very axis."""
    runs = sweep.runs
    return bool(np.any((runs["arm"] == arm) & (runs["stage"] == stage) & (runs["axis"] == axis)))


def _runs_of(sweep: Sweep, arm: str, stage: str, axis: str) -> np.ndarray:
    """Bool [R]; with the runs at 100 % of "windows" where "subjects" has none of its own."""
    runs = sweep.runs
    curve = (runs["arm"] == arm) & (runs["stage"] == stage)
    chosen = curve & (runs["axis"] == axis)
    if not chosen.any():
        raise UserError(f"{sweep.folder}: there is no run of arm {arm}, {stage}, {axis}")
    full = runs["fraction"] == 1
    if axis == "subjects" and not (chosen & full).any():
        chosen |= curve & full & (runs["axis"] == "windows")
    return chosen


def _paired(
    sweep: Sweep, arm_a: str, arm_b: str, stage: str, axis: str, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Fractions [F] both arms have, and A - B [F, S] of the subjects both have."""
    a, b = (
        subject_curve(sweep, arm_a, stage, axis, metric),
        subject_curve(sweep, arm_b, stage, axis, metric),
    )
    both_a, both_b = _of_both(sweep, a, b)
    fractions, in_a, in_b = np.intersect1d(a.fractions, b.fractions, return_indices=True)
    return fractions, a.values[in_a][:, both_a] - b.values[in_b][:, both_b]


def _of_both(sweep: Sweep, a: SubjectCurve, b: SubjectCurve) -> tuple[np.ndarray, np.ndarray]:
    names, in_a, in_b = np.intersect1d(a.subjects, b.subjects, return_indices=True)
    if len(names) == 0:
        raise UserError(f"{sweep.folder}: no subject can be scored in both arms")
    return in_a, in_b
