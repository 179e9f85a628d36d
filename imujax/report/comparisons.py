"""Two arms compared: differences with tests, and how much less data one needs than the other.

Everything is paired over subjects and draws. Intervals and tests of differences are those of
`mixed_model.estimate_mean`, of subjects and of the weights that both arms started from; where a
curve crosses a level is resampled.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from imujax.errors import UserError
from imujax.report import sentences
from imujax.report.learning_curves import SubjectCurve, axes_of_sweep, has_runs, subject_curve
from imujax.report.mixed_model import Layout, MeanEstimate, estimate_mean, smallest_seen
from imujax.report.resampling import resampled_means
from imujax.report.statistics import (
    BOOTSTRAP_SEED,
    LEVEL,
    crossing_fraction,
    holm_correction,
    smallest_fraction_reached,
)
from imujax.report.tables import Sweep, task_name

REDUCTION_ALPHA = 0.01


def difference_rows(
    sweep: Sweep,
    arm_a: str,
    arm_b: str,
    stages: Sequence[str] = ("finetune", "probe"),
    metric: str = "",
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
        Of those of its kind, the main one by default.

    Returns
    -------
    list of dict
        The columns of differences.csv: mean difference with its interval, t, its degrees of freedom
        and p, two-sided; p_t_holm is corrected by Holm (1979) over all rows that come back.
    """
    rows, metric = [], metric or sweep.kind.main
    for stage in stages:
        for axis in axes_of_sweep(sweep):
            if not (has_runs(sweep, arm_a, stage, axis) and has_runs(sweep, arm_b, stage, axis)):
                continue
            fractions, gain, layout = paired_gain(sweep, arm_a, arm_b, stage, axis, metric)
            estimate = estimate_mean(gain, layout)
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
                        **mean_row(estimate, i, gain.shape[2]),
                    }
                )
    return correct_by_holm(rows)


def mean_row(estimate: MeanEstimate, i: int, n_subjects: int) -> dict[str, Any]:
    """One mean difference as a row of a table has it.

    Parameters
    ----------
    estimate : MeanEstimate
    i : int
        Which of its means.
    n_subjects : int
        Over so many.

    Returns
    -------
    dict
        difference, low, high, n_subjects, t, degrees, p_t.
    """
    return {
        "difference": float(estimate.mean[i]),
        "low": float(estimate.low[i]),
        "high": float(estimate.high[i]),
        "n_subjects": n_subjects,
        "t": float(estimate.t[i]),
        "degrees": float(estimate.degrees[i]),
        "p_t": float(estimate.p[i]),
    }


def correct_by_holm(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Correct the p values of all these rows together, in place.

    Parameters
    ----------
    rows : list of dict
        Of `difference_rows`, of one arm or several, or of `overall_difference`.

    Returns
    -------
    list of dict
        The same rows, with p_t_holm.
    """
    for row, p in zip(rows, holm_correction([row["p_t"] for row in rows]), strict=True):
        row["p_t_holm"] = float(p)
    return rows


def overall_difference(
    sweep: Sweep,
    arm_a: str,
    arm_b: str,
    stage: str = "finetune",
    axis: str = "windows",
    n_arms: int = 1,
) -> dict[str, Any]:
    """The one main comparison: r of arm A minus arm B, averaged over the fractions, by subject.

    Parameters
    ----------
    sweep : Sweep
    arm_a, arm_b : str
        The difference is A - B.
    stage, axis : str
        Which curves.
    n_arms : int
        How many arms are compared on this axis, over which p is to be corrected by Holm.

    Returns
    -------
    dict
        What `mean_row` gives, and
        stage, n_arms : as given.
        p_t_holm : p_t times n_arms, no more than 1, until all arms are corrected together.
        n_draws : of training subsets.
        measure : the name of what is compared.
        smallest : the smallest gain that this design would have seen in 80 of 100 repetitions,
        at the level .05 / n_arms.
        few_starts : of arms whose runs share one set of weights, or two, how many: of one there is
        no variance to see, of two it has one degree of freedom.
    """
    _, gain, layout = paired_gain(sweep, arm_a, arm_b, stage, axis, sweep.kind.main)
    gain = gain.mean(axis=0)
    estimate = estimate_mean(gain[None], layout)
    main = mean_row(estimate, 0, gain.shape[1])
    return main | {
        "stage": stage,
        "measure": sweep.kind.word,
        "n_arms": n_arms,
        "p_t_holm": min(1.0, main["p_t"] * n_arms),
        "n_draws": len(gain),
        "smallest": smallest_seen(gain, layout, (1 - LEVEL) / n_arms),
        "few_starts": {
            arm: count
            for arm in (arm_a, arm_b)
            if (count := _count_shared_starts(sweep, arm, stage, axis)) in (1, 2)
        },
    }


def gain_at_a_fifth(
    sweep: Sweep, arm_a: str, arm_b: str, word: str, axis: str = "windows"
) -> dict[str, Any] | None:
    """The main comparison after a fifth of the steps that were chosen, beside that at all of them.

    Parameters
    ----------
    sweep : Sweep
    arm_a, arm_b : str
        The difference is A - B.
    word : str
        Of the verdict at the chosen steps.
    axis : str
        Which curves.

    Returns
    -------
    dict or None
        What `mean_row` gives; change, change_low, change_high: that gain less the gain at the
        chosen steps; sentence: all this in words. None where an arm was not looked at there.
    """
    if not all(has_runs(sweep, arm, "fifth", axis) for arm in (arm_a, arm_b)):
        return None
    fractions, early, layout = paired_gain(sweep, arm_a, arm_b, "fifth", axis, sweep.kind.main)
    also, late, _ = paired_gain(sweep, arm_a, arm_b, "finetune", axis, sweep.kind.main)
    if early.shape != late.shape or (fractions != also).any():
        raise UserError(
            f"{sweep.folder}: {arm_a} and {arm_b}, {axis}: what was seen at a fifth of the steps "
            "is of other runs than the fine-tuned ones: run the sweep again"
        )
    gains = np.stack([early.mean(axis=0), (early - late).mean(axis=0)])
    estimate = estimate_mean(gains, layout)
    fifth = mean_row(estimate, 0, gains.shape[2])
    fifth |= {
        "change": float(estimate.mean[1]),
        "change_low": float(estimate.low[1]),
        "change_high": float(estimate.high[1]),
    }
    return fifth | {"sentence": sentences.fifth_sentence(fifth, word)}


def data_reduction(
    sweep: Sweep,
    arm_a: str,
    arm_b: str,
    main: dict[str, Any],
    stage: str = "finetune",
    axis: str = "windows",
    seed: int = BOOTSTRAP_SEED,
) -> dict[str, Any]:
    """How much less data arm A needs for the mean r that arm B has at 100 %.

    Where B's curve is flat, B needs less of its own data for that r too, so that A must need less
    than B does. A reduction says more than a verdict, and is told at a level of its own,
    REDUCTION_ALPHA. Of several arms the one that looks best is looked at: the level is divided by
    their number (Bonferroni).

    Parameters
    ----------
    sweep : Sweep
    arm_a, arm_b : str
        A reaches what B has.
    main : dict
        Of `overall_difference`, for the same stage and axis, whose verdict is that A helps.
    stage, axis : str
        Which curves.
    seed : int
        Of the resamples.

    Returns
    -------
    dict
        arm_a, arm_b, stage, axis : as given.
        is_told : whether the gain stands at the level of reductions, the interval leaves out
        "none" and A needs less than B of its own: only then is it a reduction.
        doubts : which of these fail: "gain", "interval", "own".
        level : of the interval, 1 - REDUCTION_ALPHA over the number of arms.
        target_r : the mean r of B at 100 %.
        smallest : the smallest fraction of A.
        plotted : 1 - the smallest plotted fraction at which A reaches it (the rule of the
        abstract), None when never reached.
        crossing : 1 - the fraction where A's curve, linear in log10(fraction), first reaches it,
        None when never reached.
        at_least : reached at the smallest fraction already, where the crossing cannot be seen.
        low, high : percentile interval of the crossing over the resamples of subjects and starts,
        in which a resample that never reaches counts as worse than any number: low is None when
        too many of them do.
        not_reached, at_smallest : shares of the resamples.
        own : what 1 - crossing is for B's own curve.
        p_own : two-sided, of A's crossing less B's own, from the same resamples.
        sentence : all this in words.

    Raises
    ------
    UserError
        An arm has no runs at 100 %.
    """
    a, b = (subject_curve(sweep, arm, stage, axis, sweep.kind.main) for arm in (arm_a, arm_b))
    for arm, curve in ((arm_a, a), (arm_b, b)):
        if curve.fractions[-1] != 1:
            raise UserError(f"{sweep.folder}: arm {arm} has no run at 100 % of axis {axis}")
    a, b = _of_common_subjects(sweep, a, b)
    means_a, means_b = a.values.mean(axis=1)[None], b.values.mean(axis=1)[None]
    target = means_b[:, -1]
    reached_at = float(crossing_fraction(a.fractions, means_a, target)[0])
    plotted = smallest_fraction_reached(a.fractions, means_a[0], float(target[0]))
    samples_a = resampled_means(a.by_draw, a.layout, seed, start_seed=1)
    samples_b = resampled_means(b.by_draw, b.layout, seed, start_seed=2)
    saved = _saved(a.fractions, samples_a, samples_b[:, -1])
    own = _saved(b.fractions, samples_b, samples_b[:, -1])
    alpha = REDUCTION_ALPHA / main["n_arms"]
    low, high = np.quantile(saved, [alpha / 2, 1 - alpha / 2], method="nearest")
    no_less, no_more = float(np.mean(saved <= own)), float(np.mean(saved >= own))
    doubts = {
        "gain": not (main["difference"] > 0 and main["p_t_holm"] < REDUCTION_ALPHA),
        "interval": not low > 0,
        "own": not no_less < alpha / 2,
    }
    reduction = {
        "arm_a": arm_a,
        "arm_b": arm_b,
        "stage": stage,
        "axis": axis,
        "is_told": not any(doubts.values()),
        "doubts": [name for name, is_doubtful in doubts.items() if is_doubtful],
        "level": 1 - alpha,
        "target_r": float(target[0]),
        "measure": sweep.kind.word,
        "smallest": float(a.fractions[0]),
        "plotted": None if plotted is None else 1 - plotted,
        "crossing": None if np.isnan(reached_at) else 1 - reached_at,
        "at_least": bool(reached_at == a.fractions[0]),
        "low": float(low) if np.isfinite(low) else None,
        "high": float(high) if np.isfinite(high) else None,
        "not_reached": float(np.isinf(saved).mean()),
        "at_smallest": float((saved == 1 - a.fractions[0]).mean()),
        "own": float(_saved(b.fractions, means_b, target)[0]),
        "p_own": min(1.0, 2 * min(no_less, no_more)),
    }
    return reduction | {"sentence": sentences.reduction_sentence(reduction)}


def paired_gain(
    sweep: Sweep, arm_a: str, arm_b: str, stage: str, axis: str, metric: str
) -> tuple[np.ndarray, np.ndarray, Layout]:
    """Arm A minus arm B, of the subjects and fractions that both have.

    Parameters
    ----------
    sweep : Sweep
    arm_a, arm_b, stage, axis, metric : str
        Which curves.

    Returns
    -------
    fractions : ndarray, [F]
    gain : ndarray, [F, D, S]
    layout : Layout
        With the starts of A and of B.
    """
    curves = (subject_curve(sweep, arm, stage, axis, metric) for arm in (arm_a, arm_b))
    a, b = _of_common_subjects(sweep, *curves)
    fractions, in_a, in_b = np.intersect1d(a.fractions, b.fractions, return_indices=True)
    layout = Layout(a.layout.fold, (*a.layout.starts, *b.layout.starts))
    return fractions, a.by_draw[in_a] - b.by_draw[in_b], layout


def _count_shared_starts(sweep: Sweep, arm: str, stage: str, axis: str) -> int:
    """How many weights the runs of an arm share; 0 where every fold and draw has its own."""
    runs = sweep.runs
    is_arm = (runs["arm"] == arm) & (runs["stage"] == stage) & (runs["axis"] == axis)
    count = len(np.unique(runs["start"][is_arm]))
    n_cells = len(set(zip(runs["draw"][is_arm], runs["fold"][is_arm], strict=True)))
    return count if count == 1 or count < n_cells else 0


def _saved(fractions: np.ndarray, curves: np.ndarray, target: np.ndarray) -> np.ndarray:
    """1 - where curves [B, F] first reach their targets [B]; minus infinity where they do not."""
    reached_at = crossing_fraction(fractions, curves, target)
    return np.where(np.isnan(reached_at), -np.inf, 1 - reached_at)


def _of_common_subjects(
    sweep: Sweep, a: SubjectCurve, b: SubjectCurve
) -> tuple[SubjectCurve, SubjectCurve]:
    """Both curves of the subjects and draws that both have, in the same order."""
    names = np.intersect1d(a.subjects, b.subjects)
    draws = np.intersect1d(a.draws, b.draws)
    if len(names) == 0 or len(draws) == 0:
        raise UserError(f"{sweep.folder}: no subject can be scored in both arms")
    a, b = a.narrowed(names, draws), b.narrowed(names, draws)
    if (a.layout.fold != b.layout.fold).any():
        raise UserError(f"{sweep.folder}: the arms have different folds: run the sweep again")
    return a, b
