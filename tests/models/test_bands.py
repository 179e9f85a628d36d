"""Bands of curves: what they promise to new people, by simulation, and by a loop over people."""

import numpy as np
import pytest

from imujax.models import bands


def make_people(people, seed, length=20):
    """Residuals [N, length] of windows of people, each with a bias and a size of their own."""
    rng = np.random.default_rng(seed)
    residual, subject = [], []
    for person in range(people):
        count = int(rng.integers(5, 30))
        size = rng.uniform(0.5, 2) * np.linspace(1, 3, length)
        noise = rng.normal(size=(count, length)).cumsum(axis=1) / np.sqrt(np.arange(1, length + 1))
        residual.append(size * (0.5 * rng.normal() + noise))
        subject += [f"P{person:02d}"] * count
    return np.concatenate(residual), np.array(subject)


def test_new_people_lie_within_as_often_as_promised():
    """Of 300 studies of 15 people, the mean share of a sixteenth one."""
    held = {"pointwise": [], "whole": [], "anywhere": []}
    for seed in range(300):
        residual, subject = make_people(16, seed)
        new = subject == "P15"
        band = bands.find_band(residual[~new], subject[~new], 0.9)
        size = np.abs(residual[new])
        held["pointwise"].append(np.mean(size <= band.half))
        held["whole"].append(np.mean((size <= band.factor * band.half).all(axis=1)))
        held["anywhere"].append(np.mean(size <= band.anywhere))
        assert band.level == 0.9
    means = {key: np.mean(shares) for key, shares in held.items()}
    assert all(0.88 <= mean <= 0.97 for mean in means.values()), means


def test_the_widths_are_quantiles_in_which_people_count_alike():
    """By hand: sorted residuals, each with 1 / (its person's windows) / (people + 1)."""
    residual, subject = make_people(7, 0)
    band = bands.find_band(residual, subject, 0.8)
    weight = np.array([1 / np.sum(subject == name) / 8 for name in subject])
    for place in (0, 11):
        size = np.abs(residual[:, place])
        order = np.argsort(size)
        total = np.add.accumulate(weight[order])
        assert band.half[place] == size[order][np.flatnonzero(total >= 0.8 - 1e-9)[0]]
    ratio = (np.abs(residual) / band.half).max(axis=1)
    assert weight[ratio <= band.factor].sum() >= 0.8 - 1e-9 > weight[ratio < band.factor].sum()


def test_short_windows_count_as_far_as_they_go():
    residual, subject = make_people(8, 1)
    cut = residual.copy()
    cut[subject != "P00", 15:] = np.nan  # one person alone goes on
    band, whole = (bands.find_band(x, subject, 0.8) for x in (cut, residual))
    np.testing.assert_array_equal(band.half[:15], whole.half[:15])
    assert (band.half[15:] == band.half[14]).all()
    measured = bands.measure_bands(cut, subject, 0.8)
    assert set(measured) == {"pointwise", "whole", "anywhere"}
    assert measured["whole"]["mean"] == pytest.approx(0.8, abs=0.2)
