"""Windows of simulated walkers with their forces: Newton's law, sides, and what gives none."""

import jax
import numpy as np
import pytest

from imujax import UserError
from imujax.simulate import forces

SENSORS = ("pelvis", "foot_r", "foot_l")
PEOPLE, WINDOWS, LENGTH, RATE = 4, 3, 50, 50.0


@pytest.fixture(scope="module")
def made():
    options = forces.settings({"sensors": list(SENSORS), "windows": WINDOWS})
    wanted = PEOPLE * WINDOWS * len(SENSORS)
    return forces.simulate_windows(jax.random.key(0), options, wanted, RATE, LENGTH)


@pytest.fixture(scope="module")
def curves(made):
    """[people, windows, sensors, samples, targets]"""
    shape = (PEOPLE, WINDOWS, len(SENSORS), LENGTH, len(forces.TARGETS))
    return made["forces"].reshape(shape)


def test_feet_carry_the_weight(curves):
    """Over three seconds of steady gait the ground holds what gravity pulls, and no more."""
    up = curves[:, :, 0][..., [0, 3]].astype(np.float64)
    np.testing.assert_allclose(up.sum(-1).mean((1, 2)), 1, atol=0.12)
    ahead = curves[:, :, 0][..., [1, 4]].sum(-1).mean((1, 2))
    np.testing.assert_allclose(ahead, 0, atol=0.03)
    assert up.min() > -0.05 and 1 < up.max() < 4
    # Walkers are the even numbers, and never in the air; runners are, and never on both feet.
    both = (up > 0.02).sum(-1)
    assert both[::2].min() == 1 and both[1::2].max() == 1
    assert 0.5 < np.abs(curves[..., 2]).max() < 40  # % of body weight times height


def test_a_sensor_has_its_own_side_first(curves):
    middle, right, left = (curves[:, :, k] for k in range(3))
    np.testing.assert_array_equal(right, middle)
    np.testing.assert_array_equal(left[..., :3], right[..., 3:])
    np.testing.assert_array_equal(left[..., 3:], right[..., :3])


def test_the_foot_that_stands_hardly_turns(made, curves):
    """So the curves are those of the times of the readings."""
    turning = np.linalg.norm(made["gyr"], axis=-1).reshape(curves.shape[:-1])[:, :, 1:]
    force = curves[:, :, 1:, :, 0]
    stands, swings = turning[force > 0.5].mean(), turning[force == 0].mean()
    assert swings > 2 * stands


def test_only_gait_has_forces():
    with pytest.raises(UserError, match=r"forces of 0\.3 of the people are asked for"):
        forces.settings({"gait": 0.3})
