"""Metrics against SciPy, scikit-learn, the analysis of variance and published numbers."""

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from imujax.report import metrics

# Shrout & Fleiss 1979, Psychol Bull 86(2), table 2: six targets, four judges.
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def icc_by_mean_squares(ratings):
    """ICC(2,1) from the two-way analysis of variance, any number of raters."""
    n, k = ratings.shape
    grand = ratings.mean()
    rows = k * ((ratings.mean(1) - grand) ** 2).sum() / (n - 1)
    columns = n * ((ratings.mean(0) - grand) ** 2).sum() / (k - 1)
    residual = ratings - ratings.mean(1, keepdims=True) - ratings.mean(0) + grand
    error = (residual**2).sum() / ((n - 1) * (k - 1))
    return (rows - error) / (rows + (k - 1) * error + k * (columns - error) / n)


def test_the_oracle_gives_the_published_icc():
    assert round(icc_by_mean_squares(np.array(JUDGES, float)), 2) == 0.29


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)])
def test_icc_of_two_of_the_judges(pair):
    ratings = np.array(JUDGES, float)[:, pair]
    assert metrics.score_points(*ratings.T)["icc"] == pytest.approx(icc_by_mean_squares(ratings))


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_against_an_oracle(seed):
    rng = np.random.default_rng(seed)
    truth = 800 + 50 * rng.normal(size=40)
    estimate = 300 + 0.6 * truth + 20 * rng.normal(size=40)
    row = metrics.score_points(truth, estimate)
    line = scipy.stats.linregress(truth, estimate)
    difference = estimate - truth
    rmse = root_mean_squared_error(truth, estimate)
    oracle = {
        "n": 40,
        "r": scipy.stats.pearsonr(truth, estimate).statistic,
        "rmse": rmse,
        "rrmse": rmse / np.ptp(truth),
        "r2": r2_score(truth, estimate),
        "mae": mean_absolute_error(truth, estimate),
        "bias": difference.mean(),
        "loa_low": difference.mean() - 1.96 * difference.std(ddof=1),
        "loa_high": difference.mean() + 1.96 * difference.std(ddof=1),
        "slope": line.slope,
        "intercept": line.intercept,
        "icc": icc_by_mean_squares(np.stack([truth, estimate], 1)),
    }
    assert row.pop("undefined") == ""
    assert set(row) == set(oracle) == {"n", *metrics.METRICS}
    for name, value in oracle.items():
        assert row[name] == pytest.approx(value, rel=1e-9), name


def test_rows_are_the_scores_of_each_group_whatever_the_order():
    rng = np.random.default_rng(1)
    run, subject = rng.integers(3, 6, 400), rng.choice(["ann", "bob", "cy"], 400)
    truth, estimate = rng.normal(size=(2, 400))
    rows = metrics.score_subjects(run, subject, truth, estimate)
    assert [(r["run"], r["subject"]) for r in rows] == sorted(set(zip(run, subject, strict=True)))
    for row in rows:
        here = (run == row["run"]) & (subject == row["subject"])
        group = metrics.score_points(truth[here], estimate[here])
        for name, value in group.items():
            assert row[name] == (pytest.approx(value) if name != "undefined" else value)


def test_a_large_offset_costs_no_digits():
    x = np.array([1.0, 2.0, 4.0, 3.0])
    y = np.array([1.0, 3.0, 3.0, 4.0])
    far = metrics.score_points(x + 1e6, y + 1e6)
    assert far["r"] == pytest.approx(scipy.stats.pearsonr(x, y).statistic, abs=1e-9)


@pytest.mark.parametrize(
    ("truth", "estimate", "why", "defined"),
    [
        ([1, 2], [1, 3], "few", {"rmse", "mae", "bias"}),
        ([5, 5, 5], [1, 2, 3], "constant truth", {"rmse", "mae", "bias", "loa_low", "loa_high"}),
        ([1, 2, 3], [0.1, 0.1, 0.1], "constant estimate", set(metrics.METRICS) - {"r"}),
        ([1, 2, 3], [1, np.nan, 3], "not finite", set()),
        ([1, 2, 3], [1, np.inf, 3], "not finite", set()),
        ([1, 2], [1, np.nan], "few", set()),
        ([7, 7, 7], [1, np.nan, 2], "constant truth", set()),
    ],
)
def test_what_is_undefined_is_nan_and_says_why(truth, estimate, why, defined):
    row = metrics.score_points(truth, estimate)
    assert row["undefined"] == why
    assert {name for name in metrics.METRICS if np.isfinite(row[name])} == defined


def test_a_constant_in_float32_is_a_constant():
    estimate = np.full(50, np.float32(0.1)) + np.float32(5e-10) * np.arange(50, dtype=np.float32)
    assert metrics.score_points(np.arange(50), estimate)["undefined"] == "constant estimate"
    assert metrics.score_points(np.arange(50), 1e-3 * np.arange(50))["r"] == pytest.approx(1)


def test_how_the_undefined_enters_a_mean():
    run = np.zeros(12, int)
    subject = np.repeat(["good", "flat", "dull", "lost"], 3)
    truth = np.array([1, 2, 3, 1, 2, 3, 5, 5, 5, 1, 2, 3.0])
    estimate = np.array([1, 2, 3, 9, 9, 9, 1, 2, 3, 1, np.nan, 3])
    rows = metrics.score_subjects(run, subject, truth, estimate)
    # good 1, flat (constant estimate) 0, lost (diverged) 0; dull (constant truth) is left out.
    undefined = [row["undefined"] for row in rows]
    value, is_scorable = metrics.values_for_mean("r", [row["r"] for row in rows], undefined)
    assert is_scorable.tolist() == [row["subject"] != "dull" for row in rows]
    assert value[is_scorable].mean() == pytest.approx(1 / 3)
    value, is_scorable = metrics.values_for_mean("rmse", [row["rmse"] for row in rows], undefined)
    assert is_scorable.sum() == 3 and np.isnan(value[is_scorable]).sum() == 1
