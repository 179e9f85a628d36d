"""Resampled mean curves, for crossings: subjects and starts are drawn anew.

One fewer of everything is drawn than there is, with replacement, so that the variance over the
resamples is the unbiased one however few they are.
"""

import functools

import numpy as np

from imujax.report.mixed_model import Layout
from imujax.report.statistics import BOOTSTRAP_SEED, RESAMPLES


def resampled_means(
    values: np.ndarray, layout: Layout, seed: int = BOOTSTRAP_SEED, start_seed: int = 0
) -> np.ndarray:
    """Means over resamples of subjects, of draws within folds and of shared starts.

    With one draw what a start gives cannot be told from its fold: folds are drawn whole instead of
    subjects. The parts are added: a mean over the subjects that were drawn, how far the draws that
    were drawn lie from their fold's mean, and how far the shared starts that were drawn lie from
    all, by least squares on folds and starts.

    What the draws of a fold share cannot be told from its subjects here, and is left to them.

    Parameters
    ----------
    values : ndarray, [F, D, S]
        Of F curve points, D draws and S subjects.
    layout : Layout
        With the starts of one arm.
    seed : int
        Of subjects and draws, whose resamples are the same for all arms with the same folds.
    start_seed : int
        Of shared starts: another one for another arm, whose pre-trainings are others.

    Returns
    -------
    ndarray, [B, F]
        B = RESAMPLES; a row has the same subjects, draws and starts for all F. NaN without
        subjects.
    """
    n_sets, n_draws, n_subjects = values.shape
    if n_subjects == 0:
        return np.full((RESAMPLES, n_sets), np.nan)
    of_fold = _indicators(layout.fold)  # [S, folds]
    n_folds = of_fold.shape[1]
    by_subject = values.mean(axis=1)
    if n_draws == 1:
        counts = _counts(n_folds, 1, seed)[:, 0] @ of_fold.T
    else:
        counts = _counts(n_subjects, 1, seed)[:, 0]
    means = counts @ by_subject.T / counts.sum(axis=1, keepdims=True)
    if n_draws > 1:
        deviation = (values - by_subject[:, None]) @ of_fold / n_subjects  # [F, D, folds]
        shares = _counts(n_draws, n_folds, seed) / (n_draws - 1)  # [B, folds, D]
        means += np.einsum("bkd,fdk->bf", shares, deviation, optimize=True)
    for start in layout.starts:
        is_of_fold = n_draws > 1 and (start == start[0]).all()
        if 1 < len(np.unique(start)) < n_draws * n_folds and not is_of_fold:
            means += _drawn_starts(values, _indicators(start.ravel()), of_fold, start_seed)
    return means


def _drawn_starts(
    values: np.ndarray, of_start: np.ndarray, of_fold: np.ndarray, seed: int
) -> np.ndarray:
    """What the shared starts that were drawn add to the means [B, F]; of_start [D * S, K]."""
    n_sets, n_draws, _ = values.shape
    columns = of_start if n_draws == 1 else np.hstack([of_start, np.tile(of_fold, (n_draws, 1))])
    fit = np.linalg.lstsq(columns, values.reshape(n_sets, -1).T, rcond=None)[0]
    share = of_start.mean(axis=0)
    effects = fit[: len(share)] - share @ fit[: len(share)]  # [K, F]
    rng = np.random.default_rng(np.random.SeedSequence([seed, len(share), 1]))
    n_drawn = len(share) - 1
    return rng.multinomial(n_drawn, share, RESAMPLES) / n_drawn @ effects


@functools.lru_cache(maxsize=8)
def _counts(n: int, n_groups: int, seed: int) -> np.ndarray:
    """How often each of n is among n - 1 that are drawn, for each group anew: [B, groups, n].

    Cached, because every curve of a sweep needs the same ones.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, n, n_groups]))
    counts = rng.multinomial(max(1, n - 1), np.full(n, 1 / n), (RESAMPLES, n_groups))
    return counts.astype(np.float64)


def _indicators(labels: np.ndarray) -> np.ndarray:
    _, code = np.unique(labels, return_inverse=True)
    return np.eye(code.max() + 1)[code]
