"""Metrics of curves against loops over windows, and what the report makes of them."""

import numpy as np
import pytest
from scipy import integrate, stats

from imujax.report import curve_metrics

RATE = 50.0


def make_curves(seed=0):
    """Truth and estimate [40, 30] of windows of any length, and whose they are."""
    rng = np.random.default_rng(seed)
    time = np.arange(30) / RATE
    truth = rng.uniform(0.5, 2, (40, 1)) * np.sin(7 * time + rng.uniform(0, 1, (40, 1)))
    estimate = 0.9 * truth + rng.normal(0, 0.1, truth.shape)
    length = rng.integers(10, 31, 40)
    truth[np.arange(30) >= length[:, None]] = np.nan
    return truth, estimate, np.repeat(["P", "Q"], 20), length


def test_all_samples_count_within_the_windows_and_readings_by_window():
    truth, estimate, subject, length = make_curves()
    rows = curve_metrics.score_by_keys({"subject": subject}, truth, estimate, 1 / RATE)
    assert [row["subject"] for row in rows] == ["P", "Q"]
    for row in rows:
        x, y, peaks, times, areas = [], [], [], [], []
        for i in np.flatnonzero(subject == row["subject"]):
            a, b = truth[i, : length[i]], estimate[i, : length[i]]
            x, y = np.r_[x, a], np.r_[y, b]
            peaks.append(b.max() - a.max())
            times.append((b.argmax() - a.argmax()) / RATE)
            areas.append(integrate.trapezoid(b - a, dx=1 / RATE))
        assert row["n"] == 20 and row["undefined"] == ""
        assert row["r"] == pytest.approx(stats.pearsonr(x, y).statistic)
        assert row["rmse"] == pytest.approx(np.sqrt(np.mean((y - x) ** 2)))
        assert row["rrmse"] == pytest.approx(row["rmse"] / np.ptp(x))
        for name, errors in zip(curve_metrics.READINGS, (peaks, times, areas), strict=True):
            assert row[name] == pytest.approx(np.sqrt(np.mean(np.square(errors))))


def test_an_estimate_that_is_not_finite_is_named():
    truth, estimate, subject, _ = make_curves()
    estimate[3, 2] = np.nan
    rows = curve_metrics.score_by_keys({"subject": subject}, truth, estimate, 1 / RATE)
    assert [row["undefined"] for row in rows] == ["not finite", ""]
    assert np.isnan([rows[0][name] for name in ("r", *curve_metrics.READINGS)]).all()
    estimate[3, 2], estimate[3, 29] = 0.0, np.nan  # beyond the window it does not count
    truth[3, 29] = np.nan
    rows = curve_metrics.score_by_keys({"subject": subject}, truth, estimate, 1 / RATE)
    assert [row["undefined"] for row in rows] == ["", ""]
