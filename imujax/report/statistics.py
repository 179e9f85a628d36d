"""Inference on arrays of per-subject values: resampling, paired tests, corrected p, crossings."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats

RESAMPLES = 10_000
BOOTSTRAP_SEED = 0
LEVEL = 0.95


def resampled_means(values: np.ndarray, seed: int = BOOTSTRAP_SEED) -> np.ndarray:
    """Means over bootstrap resamples of the subjects.

    For one seed and one number of subjects the resamples are always the same ones.

    Parameters
    ----------
    values : ndarray, [F, S]
        One number a curve point and subject.
    seed : int
        Of the resamples.

    Returns
    -------
    ndarray, [B, F]
        B = RESAMPLES; a row has the same subjects for all F. NaN without subjects.
    """
    n = values.shape[1]
    if n == 0:
        return np.full((RESAMPLES, len(values)), np.nan)
    return _counts(n, seed) @ values.T / n


@functools.lru_cache(maxsize=4)
def _counts(n: int, seed: int) -> np.ndarray:
    """How often each of n subjects is in each resample: [RESAMPLES, n], for matrix products.

    Cached, because every curve of a sweep needs the same one.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, n]))
    subjects = rng.integers(0, n, (RESAMPLES, n)) + n * np.arange(RESAMPLES)[:, None]
    counts = np.bincount(subjects.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n)
    return counts.astype(np.float64)


def percentile_interval(samples: np.ndarray) -> np.ndarray:
    """Percentile bootstrap interval of the level LEVEL.

    Parameters
    ----------
    samples : ndarray, [B, F]
        Resampled means.

    Returns
    -------
    ndarray, [2, F]
        Lower and upper limits.
    """
    tail = (1 - LEVEL) / 2
    return np.quantile(samples, [tail, 1 - tail], axis=0)


def paired_tests(gain: np.ndarray) -> dict[str, float]:
    """Two-sided paired t-test and Wilcoxon signed-rank test.

    Parameters
    ----------
    gain : ndarray, [S]
        Differences, one a subject.

    Returns
    -------
    dict
        t, p_t, p_wilcoxon. NaN below three subjects, and where a difference is not finite.
        Differences that are all 0 are no evidence at all: p = 1.
    """
    if len(gain) < 3 or not np.isfinite(gain).all():
        return {"t": float("nan"), "p_t": float("nan"), "p_wilcoxon": float("nan")}
    if not gain.any():
        return {"t": 0.0, "p_t": 1.0, "p_wilcoxon": 1.0}
    with np.errstate(divide="ignore", invalid="ignore"):
        t_test: Any = scipy.stats.ttest_1samp(gain, 0.0)
    wilcoxon: Any = scipy.stats.wilcoxon(gain)
    return {
        "t": float(t_test.statistic),
        "p_t": float(t_test.pvalue),
        "p_wilcoxon": float(wilcoxon.pvalue),
    }


def holm_correction(p_values: Sequence[float]) -> np.ndarray:
    """Step-down corrected p values.

    Parameters
    ----------
    p_values : sequence of float, [N]
        NaN where a test could not be made.

    Returns
    -------
    ndarray, [N]
        In the same order. NaN stays NaN and is not counted.

    References
    ----------
    Holm 1979.
    """
    p = np.asarray(p_values, np.float64)
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.sum(~np.isnan(p))]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def smallest_fraction_reached(
    fractions: np.ndarray, curve: np.ndarray, target: float
) -> float | None:
    """The smallest of the fractions at which a curve is at or above a target.

    Parameters
    ----------
    fractions : ndarray, [F]
        Ascending.
    curve : ndarray, [F]
        The curve's value at each fraction.
    target : float
        The value to reach.

    Returns
    -------
    float or None
        None where the curve never reaches the target.
    """
    reached = np.flatnonzero(np.asarray(curve) >= target)
    return float(fractions[reached[0]]) if len(reached) else None


def crossing_fraction(fractions: np.ndarray, curve: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where curves, linear in log10(fraction), first reach their targets.

    Parameters
    ----------
    fractions : ndarray, [F]
        Ascending.
    curve : ndarray, [B, F]
        Values at the fractions.
    target : ndarray, [B]
        The value that each curve has to reach.

    Returns
    -------
    ndarray, [B]
        Fractions: the smallest one where a curve has reached its target there already, NaN where
        it never does.
    """
    x = np.log10(fractions)
    reached = curve >= target[:, None]
    after = reached.argmax(axis=1)
    before = np.maximum(after - 1, 0)
    row = np.arange(len(curve))
    rise = curve[row, after] - curve[row, before]
    share = np.where(after > 0, (target - curve[row, before]) / np.where(rise == 0, 1, rise), 1.0)
    fraction = 10 ** (x[before] + share * (x[after] - x[before]))
    fraction = np.where(after == 0, fractions[0], fraction)
    return np.where(reached.any(axis=1), fraction, np.nan)
