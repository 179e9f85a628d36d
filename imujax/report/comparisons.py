"""Two arms compared: differences with tests, and how much less data one needs than the other.

Everything is paired over subjects, whose resamples are the same for every arm and fraction, so that
differences and crossings are resampled as pairs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from imujax.errors import UserError
from imujax.report import sentences
from imujax.report.learning_curves import (
    SubjectCurve,
    axes_of_sweep,
    has_runs,
    mean_or_nan,
    subject_curve,
)
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
                        "difference": mean_or_nan(gain[i]),
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
        "difference": mean_or_nan(gain),
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
