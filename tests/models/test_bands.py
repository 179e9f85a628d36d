"""Bands of curves: what they promise to new people, by simulation, and by a loop over people."""

import numpy as np
import pytest

from imujax.models import bands

LENGTH = 20


def make_people(people, seed, alike):
    """Residuals [N, 20] of windows of people.

    Each has a size and a smooth curve of errors of its own, and windows that differ from it, little
    where they are alike.
    """
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, LENGTH)
    residual, subject = [], []
    for person in range(people):
        count = int(rng.integers(5, 30))
        shapes = np.stack([np.sin(np.pi * k * time) for k in (1, 2, 3)])
        own = rng.normal(size=3) @ shapes + 0.5 * rng.normal()
        noise = rng.normal(size=(count, 3)) @ shapes + 0.3 * rng.normal(size=(count, LENGTH))
        size = rng.uniform(0.5, 2) * np.linspace(1, 3, LENGTH)
        residual.append(size * (own + (0.2 if alike else 1.5) * noise))
        subject += [f"P{person:02d}"] * count
    return np.concatenate(residual), np.array(subject)


@pytest.mark.parametrize("people", [9, 15])
@pytest.mark.parametrize("alike", [True, False])
def test_new_people_lie_within_as_often_as_promised(people, alike):
    """Of 300 studies the mean share of one person more: that of all curves, and of all values."""
    held = {"pointwise": [], "whole": [], "anywhere": []}
    for seed in range(300):
        residual, subject = make_people(people + 1, seed, alike)
        new = subject == f"P{people:02d}"
        band = bands.find_band(residual[~new], subject[~new], 0.8)
        size = np.abs(residual[new])
        held["pointwise"].append(np.mean(size <= band.half))
        held["whole"].append(np.mean((size <= band.whole).all(axis=1)))
        held["anywhere"].append(np.mean(size <= band.anywhere))
    means = {key: np.mean(shares) for key, shares in held.items()}
    assert all(0.77 <= mean <= 0.93 for mean in means.values()), means


def test_the_widths_are_quantiles_in_which_people_count_alike():
    """By hand: sorted residuals, each with 1 / (its person's windows) / (people + 1)."""
    residual, subject = make_people(7, 0, alike=False)
    band = bands.find_band(residual, subject, 0.8)
    names = np.unique(subject)
    weight = np.array([1 / np.sum(subject == name) / 8 for name in subject])
    for place in (0, 11):
        size = np.abs(residual[:, place])
        order = np.argsort(size)
        total = np.add.accumulate(weight[order])
        assert band.half[place] == size[order][np.flatnonzero(total >= 0.8 - 1e-9)[0]]
    mean_squares = {name: np.mean(residual[subject == name] ** 2, axis=0) for name in names}
    ratio = np.empty(len(subject))
    for name in names:
        others = np.sqrt(np.mean([mean_squares[one] for one in names if one != name], axis=0))
        ratio[subject == name] = (np.abs(residual[subject == name]) / others).max(axis=1)
    order = np.argsort(ratio)
    total = np.add.accumulate(weight[order])
    factor = ratio[order][np.flatnonzero(total >= 0.8 - 1e-9)[0]]
    sizes = np.sqrt(np.mean(list(mean_squares.values()), axis=0))
    np.testing.assert_allclose(band.whole, np.maximum(factor * sizes, band.half))


def test_short_windows_count_as_far_as_they_go():
    """Where too few people reach to promise as much, the width holds, or that of all places."""
    residual, subject = make_people(8, 1, alike=False)
    cut = residual.copy()
    cut[subject != "P00", 15:] = np.nan  # one person alone goes on
    band, whole = (bands.find_band(x, subject, 0.8) for x in (cut, residual))
    np.testing.assert_array_equal(band.half[:15], whole.half[:15])
    assert (band.half[15:] == max(band.half[14], band.anywhere)).all()
    measured = bands.measure_bands(cut, subject, 0.8)
    assert set(measured) == {"pointwise", "whole", "anywhere"}
    assert measured["whole"]["mean"] == pytest.approx(0.8, abs=0.2)


def test_an_estimate_that_is_no_number_is_an_infinite_miss():
    residual, subject = make_people(8, 2, alike=False)
    residual[subject == "P03"] = np.inf
    assert np.isfinite(bands.find_band(residual, subject, 0.7).half).all()
    assert np.isinf(bands.find_band(residual, subject, 0.9).half).all()
