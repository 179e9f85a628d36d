"""Intervals by person: against their definition, and over many simulated studies."""

import numpy as np
import pytest
from scipy import stats

from imujax.models import intervals


def people(rng, count, heavy=False):
    """Residuals of people, each with a bias and a spread of its own, and 5 to 60 windows."""
    windows = rng.integers(5, 60, count)
    draw = (
        (lambda size: rng.exponential(1, size) - 1)
        if heavy
        else (lambda size: rng.normal(size=size))
    )
    bias, spread = draw(count), np.exp(0.3 * rng.normal(size=count))
    residual = [b + s * draw(n) for b, s, n in zip(bias, spread, windows, strict=True)]
    return np.concatenate(residual), np.repeat(np.arange(count), windows)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_the_width_is_the_smallest_that_holds_its_share_of_people(level):
    """The weighted quantile by its definition, candidate after candidate."""
    residual, subject = people(np.random.default_rng(0), 12)
    size = np.abs(residual)

    def held(q):
        return np.sum([np.mean(size[subject == s] <= q) for s in range(12)]) / 13

    expected = next(q for q in np.sort(size) if held(q) >= level - 1e-12)
    found = intervals.half_width(residual, subject, level)
    assert found == (pytest.approx(expected), level)


def test_few_people_promise_less():
    residual, subject = people(np.random.default_rng(1), 6)
    half, level = intervals.half_width(residual, subject, 0.9)
    assert level == pytest.approx(6 / 7) and half == np.abs(residual).max()


def test_each_person_counts_once_however_many_windows():
    """A thousand windows of one person change the width no more than ten of them."""
    rng = np.random.default_rng(2)
    rest, subject = people(rng, 15)
    mine = np.linspace(-5, 5, 11)
    halves = [
        intervals.half_width(
            np.concatenate([rest, np.repeat(mine, k)]),
            np.concatenate([subject, np.full(11 * k, 99)]),
            0.9,
        ).half
        for k in (1, 100)
    ]
    assert halves[0] == halves[1]


@pytest.mark.parametrize("count", [6, 11, 21])
@pytest.mark.parametrize("heavy", [False, True])
def test_a_new_person_is_covered_as_promised(count, heavy):
    """Over 1,500 studies: at least the level, and no more than one person's weight above it."""
    rng, shares = np.random.default_rng(count), []
    for _ in range(1500):
        residual, subject = people(rng, count + 1, heavy)
        new = subject == count
        half, level = intervals.half_width(residual[~new], subject[~new], 0.8)
        shares.append(np.mean(np.abs(residual[new]) <= half))
    error = stats.sem(shares)
    assert level - 3 * error < np.mean(shares) < level + 1 / (count + 1) + 3 * error


def test_coverage_is_measured_by_leaving_each_person_out():
    residual, subject = people(np.random.default_rng(3), 9)
    found = intervals.measure_coverage(residual, subject, 0.8)
    by_hand = []
    for s in range(9):
        others = subject != s
        q = intervals.half_width(residual[others], subject[others], 0.8).half
        by_hand.append(np.mean(np.abs(residual[~others]) <= q))
    low, high = stats.t.interval(0.95, 8, np.mean(by_hand), stats.sem(by_hand))
    assert found.mean == pytest.approx(np.mean(by_hand)) and found.least == min(by_hand)
    assert found.low == pytest.approx(low) and found.high == pytest.approx(min(high, 1))
