"""Corrections and crossings against loops and the published figure."""

import math

import numpy as np
import pytest
from helpers import fake_sweep

from imujax.report import statistics


def test_holm_against_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(7) ** 3
        alpha = rng.random()
        rejected, remaining = set(), sorted(range(7), key=lambda i: p[i])
        while remaining and p[remaining[0]] <= alpha / len(remaining):
            rejected.add(remaining.pop(0))
        assert set(np.flatnonzero(statistics.holm_correction(p) <= alpha).tolist()) == rejected
    # Holm's steps by hand, with one test that could not be made.
    corrected = statistics.holm_correction([0.01, math.nan, 0.04, 0.03])
    np.testing.assert_allclose(corrected, [0.03, math.nan, 0.06, 0.06])


def test_crossings_against_a_scan_of_the_interpolated_curve():
    rng = np.random.default_rng(0)
    fractions = np.array([0.05, 0.1, 0.3, 1.0])
    curve, target = rng.normal(size=(200, 4)), rng.normal(size=200)
    crossings = statistics.crossing_fraction(fractions, curve, target)
    x = np.linspace(np.log10(0.05), 0, 20_001)
    for at, y, goal in zip(crossings, curve, target, strict=True):
        above = np.flatnonzero(np.interp(x, np.log10(fractions), y) >= goal)
        if len(above):
            assert np.log10(at) == pytest.approx(x[above[0]], abs=2e-4)
        else:
            assert np.isnan(at)
    assert np.isnan(crossings).any() and (crossings == 0.05).any()


@pytest.mark.parametrize(
    ("task", "percent"),
    # The abstract prints 90, 60 and 75 %. The curves read off its own figure give 84 % in the
    # second, because the pre-trained arm has .794 at 16 %, above the .793 of the random arm at
    # 100 %; as .795 at 25 % and .794 at 40 % no threshold puts the first crossing at 40 %.
    [("loading_rate", 90), ("peak_force", 84), ("knee_moment", 75)],
)
def test_the_rule_of_the_abstract_on_its_curves(task, percent):
    pretrained, random = fake_sweep.PUBLISHED[task]
    at = statistics.smallest_fraction_reached(
        np.array(fake_sweep.FRACTIONS), np.array(pretrained), random[-1]
    )
    assert round(100 * (1 - at)) == percent
