"""Means, intervals and tests against SciPy, mean squares by hand, and repetitions."""

import numpy as np
import pytest
import scipy.stats

from imujax.report import mixed_model
from imujax.report.mixed_model import Layout, estimate_mean

FOLD = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4])  # 11 subjects in 5 folds, as the insoles have


def layout_of(fold, draws, seeds=None):
    """Own starts of every (draw, fold), and beside them `seeds` pre-trainings, spread over all.

    seeds: a number, or "fold" where every fold has one of its own, as chosen settings.
    """
    own = np.arange(draws)[:, None] * (fold.max() + 1) + fold
    if seeds is None:
        return Layout(fold, (own,))
    if seeds == "fold":
        return Layout(fold, (np.tile(fold, (draws, 1)), own))
    return Layout(fold, ((np.arange(draws)[:, None] + fold) % seeds, own))


def draw_values(rng, layout, n, start=0.0, shared=0.0, skewed=False, rest_variance=0.5):
    """n studies of values [D, S] with mean 0; variances relative to that of the subjects."""
    own = layout.starts[-1]
    shape = (n, 1, own.shape[1])
    values = rng.exponential(size=shape) - 1 if skewed else rng.normal(size=shape)
    values = values + np.sqrt(start) * rng.normal(size=(n, own.max() + 1))[:, own]
    if len(layout.starts) > 1:
        seeds = layout.starts[0]
        values = values + np.sqrt(shared) * rng.normal(size=(n, seeds.max() + 1))[:, seeds]
    return values + np.sqrt(rest_variance) * rng.normal(size=(n, *own.shape))


def coverage(estimate):
    return np.mean((estimate.low <= 0) & (estimate.high >= 0))


def test_subjects_alone_are_a_t_test():
    """One draw and a fold each: nothing is shared. Symmetric values, so that nothing is mended."""
    half = np.random.default_rng(0).normal(size=5)
    values = 0.3 + np.concatenate([half, -half])
    estimate = estimate_mean(values[None, None], layout_of(np.arange(10), 1))
    oracle = scipy.stats.ttest_1samp(values, 0.0)
    assert estimate.t[0] == pytest.approx(oracle.statistic)
    assert estimate.p[0] == pytest.approx(oracle.pvalue)
    assert estimate.degrees[0] == pytest.approx(9)
    interval = oracle.confidence_interval(0.95)
    assert [estimate.low[0], estimate.high[0]] == pytest.approx(list(interval))


def test_skewed_values_are_mended_as_by_hall():
    """Hall's cubic is ((1 + a t)^3 - 1) / (3 a) + skewness / 6, its limits those of p = .05."""
    values = np.random.default_rng(0).exponential(size=(1, 1, 9))
    estimate = estimate_mean(values, layout_of(np.arange(9), 1))
    t = scipy.stats.ttest_1samp(values.ravel(), 0.0).statistic
    error = scipy.stats.sem(values.ravel())
    skewness = scipy.stats.kstat(values.ravel(), 3) / 81 / error**3
    a = skewness / 3
    assert estimate.t[0] == pytest.approx(((1 + a * t) ** 3 - 1) / (3 * a) + skewness / 6)
    for limit in (estimate.low[0], estimate.high[0]):
        at_limit = estimate_mean(values - limit, layout_of(np.arange(9), 1))
        assert at_limit.p[0] == pytest.approx(0.05)
    assert estimate.high[0] - estimate.mean[0] > estimate.mean[0] - estimate.low[0]


def test_with_few_degrees_skewness_moves_an_interval_and_never_narrows_it():
    """Two pre-trainings that differ much: 1.6 degrees of freedom, where plain t is 5.3 errors wide.

    The limits are further above than below, as for the subjects alone, and are those of p = .05.
    """
    layout = layout_of(np.arange(12), 4, 2)
    skewed = np.random.default_rng(0).exponential(size=(1, 1, 12))
    values = skewed + 0.3 * np.random.default_rng(1).normal(size=(1, 4, 12)) + 2 * layout.starts[0]
    estimate = estimate_mean(values, layout)
    assert estimate.degrees[0] < 2
    plain = scipy.stats.t.ppf(0.975, estimate.degrees[0]) * estimate.error[0]
    below, above = estimate.mean - estimate.low, estimate.high - estimate.mean
    assert above[0] > below[0] > 0.9 * plain
    assert below[0] + above[0] > 2 * plain
    for limit in (estimate.low[0], estimate.high[0]):
        assert estimate_mean(values - limit, layout).p[0] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("draws", "seeds"), [(2, None), (3, None), (2, 3), (3, 3), (2, "fold"), (1, None)]
)
def test_the_variance_of_the_mean_is_unbiased(draws, seeds):
    """S^2 / n and what it lacks, before anything is cut off, against the true variance."""
    layout = layout_of(FOLD, draws, seeds)
    n = len(FOLD)
    true = {"subject": 1.0, "own": 0.4, "shared": 0.7 if seeds else 0.0, "rest": 0.3}
    covariance = np.zeros((draws, n, draws, n))
    for d in range(draws):
        for s in range(n):
            for e in range(draws):
                for t in range(n):
                    covariance[d, s, e, t] += true["subject"] * (s == t)
                    covariance[d, s, e, t] += true["own"] * (d == e and FOLD[s] == FOLD[t])
                    if seeds:
                        is_one = layout.starts[0][d, s] == layout.starts[0][e, t]
                        covariance[d, s, e, t] += true["shared"] * is_one
                    covariance[d, s, e, t] += true["rest"] * (d == e and s == t)
    covariance = covariance.reshape(draws * n, draws * n)
    # The sum of a quadratic form over these columns is its expectation.
    columns = np.linalg.cholesky(covariance).T
    forms = mixed_model._forms_of(layout, draws, n)
    variances = mixed_model._variances(columns, forms).sum(axis=0)
    if draws > 1:
        expected = [1.0, 0.4, *([0.7] if seeds else []), 0.3]
        np.testing.assert_allclose(variances, expected, atol=1e-9)
    between = columns.reshape(-1, draws, n).mean(axis=1).var(axis=1, ddof=1).sum() / n
    assert between + variances @ forms.lacking == pytest.approx(covariance.mean())


@pytest.mark.parametrize(
    ("fold", "draws", "seeds", "start", "shared", "skewed"),
    [
        (FOLD, 2, None, 0.0, 0.0, False),
        (FOLD, 2, None, 1.0, 0.0, False),
        (FOLD, 3, 3, 0.25, 1.0, False),
        (FOLD, 5, None, 0.25, 0.0, True),
        (np.repeat(np.arange(5), [5, 4, 4, 4, 4]), 2, None, 1.0, 0.0, False),
        (np.array([0, 0, 1, 2, 3, 4]), 3, None, 0.5, 0.0, False),
        (np.repeat(np.arange(5), [5, 4, 4, 4, 4]), 3, "fold", 0.25, 0.25, False),
    ],
)
def test_intervals_cover_what_they_say(fold, draws, seeds, start, shared, skewed):
    """Between 93 and 97 % in 3,000 repetitions, whose own error is .4 %; see launch/coverage.py."""
    layout = layout_of(fold, draws, seeds)
    rng = np.random.default_rng(0)
    values = draw_values(rng, layout, 3000, start, shared, skewed)
    assert 0.925 < coverage(estimate_mean(values, layout)) < 0.975


def test_leaving_out_the_starts_would_not_cover():
    """What the test above would not forgive: intervals of subjects alone."""
    fold = np.repeat(np.arange(5), [5, 4, 4, 4, 4])
    values = draw_values(np.random.default_rng(0), layout_of(fold, 2), 3000, start=1.0)
    t = scipy.stats.ttest_1samp(values.mean(axis=1), 0.0, axis=1)
    assert np.mean(t.pvalue > 0.05) < 0.9


def test_one_pre_training_has_no_variance_to_see():
    """Shared by all: the interval is that of the one encoder, so the shared effect moves it."""
    values = draw_values(np.random.default_rng(0), layout_of(FOLD, 2), 2, start=0.5)
    one = Layout(FOLD, (np.zeros((2, 11), int), *layout_of(FOLD, 2).starts))
    alone, with_one = estimate_mean(values, layout_of(FOLD, 2)), estimate_mean(values + 5.0, one)
    np.testing.assert_allclose(with_one.low - 5.0, alone.low)
    np.testing.assert_allclose(with_one.degrees, alone.degrees)


@pytest.mark.parametrize("seeds", [None, 3])
def test_the_gain_that_would_have_been_seen_is_seen_in_80_of_100(seeds):
    """On average over studies: of one study it has the error of the study's own variances."""
    layout = layout_of(FOLD, 3, seeds)
    values = draw_values(np.random.default_rng(0), layout, 4000, start=0.5, shared=0.5)
    gain = np.mean([mixed_model.smallest_seen(study, layout) for study in values[:25]])
    assert np.mean(estimate_mean(gain + values[25:], layout).p < 0.05) == pytest.approx(
        0.8, abs=0.05
    )


@pytest.mark.parametrize(
    ("gain", "p"),
    [([0.0] * 6, 1.0), ([0.1] * 6, 0.0), ([0.1, 0.2], np.nan), ([0.1, np.nan, 0.2], np.nan)],
)
def test_means_that_have_nothing_to_test(gain, p):
    estimate = estimate_mean(np.array(gain)[None, None], layout_of(np.arange(len(gain)), 1))
    assert estimate.p[0] == pytest.approx(p, nan_ok=True)
    assert np.isnan(estimate.low[0]) == np.isnan(p)
