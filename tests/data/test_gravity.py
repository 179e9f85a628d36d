"""Turned-back accelerations: against SciPy's rotations, and physics of bodies that turn."""

import numpy as np
import pytest
from helpers.moving import moving_unit
from scipy.spatial.transform import Rotation

from imujax.data import gravity
from imujax.data.recordings import G

RATE = 200.0


def test_a_moving_unit_reads_gravity_when_turned_back():
    for seed in range(5):
        (norm,) = gravity.turned_back(*moving_unit(seed=seed), RATE)
        assert norm == pytest.approx(G, rel=0.07)


def test_it_is_the_mean_over_each_second_by_scipys_rotations():
    """Sample by sample, without steps; a second sensor has its own answer."""
    acc, gyr = (
        np.concatenate(x, axis=1) for x in zip(moving_unit(), moving_unit(seed=1), strict=True)
    )
    norms = np.zeros((12, 2))
    for second in range(12):
        rows = slice(round(second * RATE), round((second + 1) * RATE))
        for s in range(2):
            w = gyr[rows, s]
            attitude, turned = Rotation.identity(), [acc[rows, s][0]]
            for k in range(1, len(w)):
                attitude = attitude * Rotation.from_rotvec((w[k - 1] + w[k]) / 2 / RATE)
                turned.append(attitude.apply(acc[rows, s][k]))
            norms[second, s] = np.linalg.norm(np.mean(turned, axis=0))
    expected = np.median(norms, axis=0)
    np.testing.assert_allclose(gravity.turned_back(acc, gyr, RATE), expected, rtol=0.03)


@pytest.mark.parametrize(
    ("change", "low", "high"),
    [
        (lambda a, w: (a - G * a / np.linalg.norm(a, axis=2, keepdims=True), w), 0, 5),
        (lambda a, w: (a, w * 180 / np.pi), 0, 6),
        (lambda a, w: (a * G, w), 80, 110),
        (lambda a, w: (a / G, w), 0.8, 1.2),
    ],
    ids=["gravity removed", "deg/s", "not g", "g"],
)
def test_what_is_wrong_is_far_from_gravity(change, low, high):
    (norm,) = gravity.turned_back(*change(*moving_unit()), RATE)
    assert low <= norm <= high


def test_rates_and_lengths_of_every_kind():
    acc, gyr = moving_unit(300.0, 50.0, speed=0.3)
    assert gravity.turned_back(acc, gyr, 50.0) == pytest.approx(G, rel=0.05)
    assert gravity.turned_back(acc[:70], gyr[:70], 50.0) == pytest.approx(G, rel=0.3)
    for few, rate in ((acc[:49], 50.0), (acc, 2.0), (acc[:0], 50.0)):
        assert np.isnan(gravity.turned_back(few, few, rate)).all()


@pytest.mark.parametrize(
    ("change", "first", "is_sure"),
    [
        (lambda a, w: (a - G * a / np.linalg.norm(a, axis=1, keepdims=True), w), "REMOVED", True),
        (lambda a, w: (a, w * 180 / np.pi), "FAST", True),
        (lambda a, w: (a / G, w), "UNIT", True),
        (lambda a, w: (a / G * 1000, w), "UNIT", True),
        (lambda a, w: (a * G, w), "UNIT", True),
        (lambda a, w: (a * 1.18, w), "SLOW", False),
    ],
)
def test_the_likeliest_cause_comes_first_of_three(change, first, is_sure):
    acc, gyr = (x[:, 0] for x in moving_unit())
    doubt = gravity.find_doubt(*change(acc, gyr), RATE, 0.1)
    assert (doubt.causes[0], doubt.is_sure) == (getattr(gravity, first), is_sure)
    assert len(set(doubt.causes)) == len(doubt.causes) == 3


def test_what_is_right_short_or_badly_calibrated_raises_no_doubt():
    acc, gyr = (x[:, 0] for x in moving_unit())
    assert gravity.find_doubt(acc, gyr, RATE, 0.1) is None
    assert gravity.find_doubt(acc[:900] / G, gyr[:900], RATE, 0.1) is None
    assert gravity.find_doubt(1.2 * acc, gyr, RATE, 0.25) is None
    assert gravity.find_doubt(acc / G, gyr, RATE, np.inf) is None
