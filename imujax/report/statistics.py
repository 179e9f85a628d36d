"""Inference on arrays of per-subject values: resampling, paired tests, corrected p, crossings."""

import functools
from collections.abc import Sequence

import numpy as np
import scipy.stats

RESAMPLES = 10_000
BOOTSTRAP_SEED = 0
LEVEL = 0.95


def resampled_means(values: np.ndarray, seed: int = BOOTSTRAP_SEED) -> np.ndarray:
    """Means [B, F] of values [F, S] over RESAMPLES resamples of the subjects, the same for all F.

    For one seed and one number of subjects the resamples are always the same ones.
    """
    n = values.shape[1]
    if n == 0:
        return np.full((RESAMPLES, len(values)), np.nan)
    return _counts(n, seed) @ values.T / n


@functools.lru_cache(maxsize=4)
def _counts(n: int, seed: int) -> np.ndarray:
    """How often each of n subjects is drawn in each resample: [RESAMPLES, n], for matrix products.

    Kept, because every curve of a sweep asks for the same one.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, n]))
    drawn = rng.integers(0, n, (RESAMPLES, n)) + n * np.arange(RESAMPLES)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=RESAMPLES * n).reshape(RESAMPLES, n)
    return counts.astype(np.float64)


def interval(samples: np.ndarray) -> np.ndarray:
    """Percentile interval [2, F] of resampled means [B, F]."""
    tail = (1 - LEVEL) / 2
    return np.quantile(samples, [tail, 1 - tail], axis=0)


def paired_tests(gain: np.ndarray) -> dict[str, float]:
    """Two-sided paired tests of differences [S]: t, p_t, p_wilcoxon. NaN below three subjects.

    Differences that are all 0 are no evidence at all: p = 1.
    """
    if len(gain) < 3 or not np.isfinite(gain).all():
        return {"t": float("nan"), "p_t": float("nan"), "p_wilcoxon": float("nan")}
    if not gain.any():
        return {"t": 0.0, "p_t": 1.0, "p_wilcoxon": 1.0}
    with np.errstate(divide="ignore", invalid="ignore"):
        t = scipy.stats.ttest_1samp(gain, 0.0)
    p = scipy.stats.wilcoxon(gain).pvalue
    return {"t": float(t.statistic), "p_t": float(t.pvalue), "p_wilcoxon": float(p)}


def holm_correction(p: Sequence[float]) -> np.ndarray:
    """Step-down corrected p values [N] (Holm 1979). NaN stays NaN and is not counted."""
    p = np.asarray(p, np.float64)
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.sum(~np.isnan(p))]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def first_reached(fractions: np.ndarray, curve: np.ndarray, target: float) -> float | None:
    """The smallest of the ascending fractions [F] whose curve [F] is at or above the target."""
    reached = np.flatnonzero(np.asarray(curve) >= target)
    return float(fractions[reached[0]]) if len(reached) else None


def crossing(fractions: np.ndarray, curve: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fractions [B] where curves [B, F], linear in log10(fraction), first reach targets [B].

    fractions [F] ascending. The smallest fraction where it is reached there; NaN where it never is.
    """
    x = np.log10(fractions)
    reached = curve >= target[:, None]
    right = reached.argmax(axis=1)
    left = np.maximum(right - 1, 0)
    row = np.arange(len(curve))
    rise = curve[row, right] - curve[row, left]
    share = np.where(right > 0, (target - curve[row, left]) / np.where(rise == 0, 1, rise), 1.0)
    at = 10 ** (x[left] + share * (x[right] - x[left]))
    at = np.where(right == 0, fractions[0], at)
    return np.where(reached.any(axis=1), at, np.nan)
