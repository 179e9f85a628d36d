"""The mean over subjects whose runs share weights to start from, with its interval and its test.

A value of subject s in draw d, tested in fold f of s, is

    mean + subject s + start of (d, f) + start of every set of runs that share one + rest,

each but the mean random, with a variance of its own. What differs between the runs of two (draw,
fold) cells, random weights, training subset and batches, is the start of the cell. What several
cells start from is a start that is shared: one of the pre-trainings of an encoder, or the settings
of a fold where they are chosen once for all of its draws.

The mean is the plain one over subjects of their means over draws. Its variance is that of the
subjects' means over their number, S^2 / n, which lacks what two subjects have in common, and that:

    S^2 / n + sum over the kinds of start of (what 1/n of the pairs misses) * (variance of the kind)

The variances of the kinds come by moments: quadratic forms of the values that are 0 for the mean,
set to their expectations. Degrees of freedom are those of Satterthwaite, from the same expectations
under normality. The t statistic is mended for skewed subjects as Hall does. His cubic is for the
quantiles of many degrees, and folds the wide ones of few: an interval of 95 % has the lopsidedness
that it would have with the degrees of its subjects, and the width that belongs to its own.

References
----------
.. [1] Rao 1971, MINQUE: the quadratic forms, here with the weights in WEIGHTS.
.. [2] Satterthwaite 1946: degrees of freedom of a sum of mean squares.
.. [3] Hall 1992, On the removal of skewness by transformation.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.stats

from imujax.report.statistics import LEVEL

POWER = 0.8
REPETITIONS = 500
# Of subject, start and rest, relative to each other, for the quadratic forms. Whatever they are,
# the variances are estimated without bias; these are near what sweeps have.
WEIGHTS = {"subject": 1.0, "start": 0.25, "rest": 0.5}
# Found by simulation (launch/coverage.py), for kinds of start of which there are few: those that
# are shared, and with one draw those of the folds. As their variance has a large error either way,
# it may count as negative, as long as the variance of the mean keeps this share of S^2 / n; with
# all negative ones cut off the intervals would be too wide.
LEAST_SHARE = 1 / 3


@dataclass(frozen=True)
class Layout:
    """Who was tested where, and from what his runs started.

    Attributes
    ----------
    fold : ndarray, [S]
        The fold of every subject, the same in all draws.
    starts : tuple of ndarray, each [D, S]
        Of every kind of start that has a part in the value a label: which one the run of a
        subject's fold in a draw had. For an arm, its weights.
    """

    fold: np.ndarray
    starts: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class MeanEstimate:
    """Means with their intervals; every attribute is an ndarray, [F].

    Attributes
    ----------
    mean : ndarray
        Over subjects, of their means over draws.
    low, high : ndarray
        The interval of the level that was asked for; NaN below three subjects.
    error : ndarray
        Standard error of the mean.
    degrees : ndarray
        Degrees of freedom of the standard error.
    t : ndarray
        Of the mean against 0, mended for skewness.
    p : ndarray
        Two-sided. Values that are all 0 are no evidence at all: p = 1.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    error: np.ndarray
    degrees: np.ndarray
    t: np.ndarray
    p: np.ndarray


def estimate_mean(values: np.ndarray, layout: Layout, level: float = LEVEL) -> MeanEstimate:
    """Mean over subjects, its interval, and its test against 0.

    Parameters
    ----------
    values : ndarray, [F, D, S]
        F sets of values, each of D draws and S subjects.
    layout : Layout
    level : float
        Of the interval.

    Returns
    -------
    MeanEstimate
    """
    n_sets, _, n_subjects = values.shape
    if n_subjects < 3:
        mean = values.mean(axis=(1, 2)) if values.size else np.full(n_sets, np.nan)
        return MeanEstimate(mean, *[np.full(n_sets, np.nan)] * 6)
    mean, error, skewness, degrees = _moments_of_mean(values, layout)
    width = _relative_width(degrees, n_subjects)
    with np.errstate(divide="ignore", invalid="ignore"):
        sure = np.where(mean == 0, 0.0, np.copysign(np.inf, mean))  # where nothing varies
        t = np.where(error == 0, sure, _mend(mean / error, skewness, width))
    quantile = scipy.stats.t.ppf((1 + level) / 2, degrees)
    return MeanEstimate(
        mean,
        mean - error * _mend_back(quantile, skewness, width),
        mean - error * _mend_back(-quantile, skewness, width),
        error,
        degrees,
        t,
        2 * scipy.stats.t.sf(np.abs(t), degrees),
    )


def smallest_seen(values: np.ndarray, layout: Layout, alpha: float = 1 - LEVEL) -> float:
    """The smallest mean that a study like this one finds with the power POWER.

    The study is repeated with normal effects of the variances that these values have.

    Parameters
    ----------
    values : ndarray, [D, S]
    layout : Layout
    alpha : float
        Level of the two-sided test.

    Returns
    -------
    float
        In the unit of the values; NaN below three subjects.
    """
    if values.shape[1] < 3 or not np.isfinite(values).all():
        return float("nan")
    forms = _forms_of(layout, *values.shape)
    variances = np.maximum(_variances(values.reshape(1, -1), forms)[0], 0.0)
    spread = np.sqrt(forms.share @ variances)  # of the mean over repetitions
    if spread == 0:
        return 0.0
    rng = np.random.default_rng(0)
    repeated = sum(
        np.sqrt(variance) * rng.normal(size=(REPETITIONS, z.shape[1])) @ z.T
        for variance, z in zip(variances, forms.indicators, strict=True)
    )
    repeated = np.reshape(repeated, (REPETITIONS, *values.shape))
    mean, error, skewness, degrees = _moments_of_mean(repeated, layout)
    # What has to be added to the mean of each for its p to be alpha.
    width = _relative_width(degrees, values.shape[1])
    quantile = scipy.stats.t.ppf(1 - alpha / 2, degrees)
    missing = error * _mend_back(quantile, skewness, width) - mean
    seen_error = _moments_of_mean(values[None], layout)[1][0]
    return float(np.quantile(missing, POWER) * seen_error / spread)


def _moments_of_mean(values: np.ndarray, layout: Layout) -> tuple[np.ndarray, ...]:
    """Mean, its standard error, its skewness over the error's cube and degrees, each [F]."""
    n_sets, n_draws, n_subjects = values.shape
    by_subject = values.mean(axis=1)  # [F, S]
    mean = by_subject.mean(axis=1)
    forms = _forms_of(layout, n_draws, n_subjects)
    variance, degrees = _variance_of_mean(values.reshape(n_sets, -1), by_subject, forms)
    error = np.sqrt(variance)
    third = ((by_subject - mean[:, None]) ** 3).sum(axis=1)
    third *= n_subjects / ((n_subjects - 1) * (n_subjects - 2))  # the unbiased third moment
    with np.errstate(divide="ignore", invalid="ignore"):
        # An error below that of the subjects alone is a chance of the estimate: no skewness of it.
        least = np.sqrt(by_subject.var(axis=1, ddof=1) / n_subjects)
        scale = np.maximum(error, least)
        skewness = np.where(error > 0, third / n_subjects**2 / scale**3, 0.0)
    return mean, error, skewness, degrees


class _Forms(NamedTuple):
    """What a layout says of N = D * S values; K kinds of effect: subject, cell, shared, rest.

    indicators: of each kind [N, levels]. projection [N, N] takes out the mean. inverse [K, K] makes
    variances of the quadratic forms. share [K]: how much of each variance the mean has. lacking
    [K]: how much of it S^2 / n lacks, 0 but for starts. traces [K, K]: of the variance of the
    mean's variance. is_few [K]: starts of which there are few. least: fewest degrees of freedom.
    """

    indicators: tuple[np.ndarray, ...]
    projection: np.ndarray
    inverse: np.ndarray
    share: np.ndarray
    lacking: np.ndarray
    traces: np.ndarray
    is_few: np.ndarray
    least: int


def _forms_of(layout: Layout, n_draws: int, n_subjects: int) -> _Forms:
    draw = np.repeat(np.arange(n_draws), n_subjects)
    _, fold = np.unique(np.tile(layout.fold, n_draws), return_inverse=True)
    labels = [np.tile(np.arange(n_subjects), n_draws), draw * (fold.max() + 1) + fold]
    for start in layout.starts:
        levels, label = np.unique(start.ravel(), return_inverse=True)
        # What all draws of a subject have, of hardly more than one subject each, is the subject's.
        is_of_subjects = (start == start[0]).all() and len(levels) > n_subjects / 2
        is_new = not any(_is_same_partition(label, other) for other in labels)
        if len(levels) > 1 and is_new and not (n_draws > 1 and is_of_subjects):
            labels.append(label)
    return _compute_forms(n_draws, n_subjects, tuple(label.tobytes() for label in labels))


def _is_same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    n_pairs = len(np.unique(np.stack([a, b]), axis=1).T)
    return n_pairs == len(np.unique(a)) == len(np.unique(b))


@functools.lru_cache(maxsize=32)
def _compute_forms(n_draws: int, n_subjects: int, labels: Sequence[bytes]) -> _Forms:
    """Cached, because every metric, share and pair of arms of a sweep has one of few layouts."""
    n = n_draws * n_subjects
    kinds = [np.unique(np.frombuffer(label, np.int64), return_inverse=True)[1] for label in labels]
    indicators = (*(np.eye(kind.max() + 1)[kind] for kind in kinds), np.eye(n))
    weights = [WEIGHTS["subject"], *[WEIGHTS["start"]] * (len(kinds) - 1), WEIGHTS["rest"]]
    covariance = sum(w * z @ z.T for w, z in zip(weights, indicators, strict=True))
    projection = np.linalg.inv(covariance)
    of_ones = projection.sum(axis=1)
    projection -= np.outer(of_ones, of_ones) / of_ones.sum()
    inverse = np.linalg.pinv(_traces(projection, indicators), hermitian=True)
    share = np.array([(z.sum(axis=0) ** 2).sum() for z in indicators]) / n**2
    centred = (indicators[0] - 1 / n_subjects) / n_draws  # [N, S]: means of subjects, less theirs
    between = centred @ centred.T / (n_subjects * (n_subjects - 1))  # the form S^2 / n
    lacking = share - [((z.T @ between) * z.T).sum() for z in indicators]
    lacking[[0, -1]] = 0.0
    within = sum(w * z @ z.T for w, z in zip(lacking @ inverse, indicators, strict=True))
    traces = _traces(between + projection @ within @ projection, indicators)
    is_few = np.array([False, n_draws == 1, *[True] * (len(kinds) - 2), False])
    least = max(1, min(z.shape[1] for z in indicators) - 1)
    return _Forms(indicators, projection, inverse, share, lacking, traces, is_few, least)


def _traces(form: np.ndarray, indicators: Sequence[np.ndarray]) -> np.ndarray:
    """tr(form Z_i Z_i' form Z_j Z_j') of a symmetric form for all pairs of kinds: [K, K]."""
    return np.array([[((a.T @ form @ b) ** 2).sum() for b in indicators] for a in indicators])


def _variances(values: np.ndarray, forms: _Forms) -> np.ndarray:
    """Of each kind of effect, without bias, so that they may be negative: values [F, N] -> [F, K].

    Forms that cannot be told apart, as cells of one subject and the rest, share what they have.
    """
    projected = values @ forms.projection
    squares = [((projected @ z) ** 2).sum(axis=1) for z in forms.indicators]
    return np.stack(squares, axis=1) @ forms.inverse


def _variance_of_mean(
    values: np.ndarray, by_subject: np.ndarray, forms: _Forms
) -> tuple[np.ndarray, np.ndarray]:
    """Variance of the mean and its degrees of freedom, each [F], of values [F, N]."""
    between = by_subject.var(axis=1, ddof=1) / by_subject.shape[1]
    variances = _variances(values, forms)
    positive = np.maximum(variances, 0.0)
    added = np.where(forms.is_few, variances, positive) @ forms.lacking
    variance = np.maximum(between + added, LEAST_SHARE * between)
    with np.errstate(divide="ignore", invalid="ignore"):
        error_of_it = np.einsum("fi,ij,fj->f", positive, forms.traces, positive)
        degrees = np.maximum((positive @ forms.share) ** 2 / error_of_it, forms.least)
    return variance, np.where(error_of_it > 0, degrees, forms.least)


def _relative_width(degrees: np.ndarray, n_subjects: int) -> np.ndarray:
    """Of an interval of so many degrees of freedom to one of those of the subjects; at least 1."""
    quantile = functools.partial(scipy.stats.t.ppf, (1 + LEVEL) / 2)
    return quantile(degrees) / quantile(np.maximum(degrees, n_subjects - 1))


def _mend(t: np.ndarray, skewness: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Hall's monotone cubic: a t statistic of skewed values, as if they were not."""
    a, t = skewness / 3, t / width
    with np.errstate(invalid="ignore"):
        return width * (t + a * t**2 + a**2 * t**3 / 3 + skewness / 6)


def _mend_back(t: np.ndarray, skewness: np.ndarray, width: np.ndarray) -> np.ndarray:
    """The inverse of `_mend`."""
    a, t = skewness / 3, t / width
    is_skewed = np.abs(a) > 1e-9
    a = np.where(is_skewed, a, 1.0)
    t = np.where(is_skewed, (np.cbrt(1 + 3 * a * (t - skewness / 6)) - 1) / a, t)
    return width * t
