"""What is unlike the training, against rotations by SciPy and numbers known by hand."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from imujax import UserError
from imujax.models import seen

LENGTH = np.full(40, 50)


def make_windows(seed=0, tilt=0.0, count=40):
    """Two units, each upright in its own way but for up to 10 degrees, and turned by `tilt`."""
    rng = np.random.default_rng(seed)
    up = np.array([[0, 0, 9.81], [0, 9.81, 0]])
    lean = Rotation.from_rotvec(np.radians(rng.uniform(-10, 10, count))[:, None] * [1, 0, 0])
    turned = Rotation.from_euler("x", tilt, degrees=True)
    acc = np.stack([(turned * lean).apply(v) for v in up], axis=1)[:, None]
    acc = acc + rng.normal(0, 0.5, (count, 50, 2, 3))
    return acc.astype(np.float32), rng.normal(0, 1, (count, 50, 2, 3)).astype(np.float32)


@pytest.fixture
def limits():
    return seen.describe(*make_windows(), LENGTH)


def test_the_directions_of_gravity_are_those_of_the_units(limits):
    np.testing.assert_allclose(limits["gravity"], [[0, 0, 1], [0, 1, 0]], atol=0.05)
    assert limits["tilt"] == pytest.approx([10, 10], abs=1.5)


@pytest.mark.parametrize("tilt", [0, 25])
def test_units_that_lie_much_as_they_did_are_taken(limits, tilt):
    acc, gyr = make_windows(1, tilt)
    assert seen.is_unlike(acc, gyr, LENGTH, limits).mean() < 0.2
    seen.require_axes(acc, LENGTH, limits, ("hip", "foot"), "walk.csv")


@pytest.mark.parametrize("tilt", [55, 90, 180])
def test_a_turned_recording_is_refused_and_its_windows_are_marked(limits, tilt):
    acc, gyr = make_windows(1, tilt)
    assert seen.is_unlike(acc, gyr, LENGTH, limits).mean() > 0.9
    with pytest.raises(UserError, match=r"walk.csv: sensor hip lies turned by \d+ deg") as said:
        seen.require_axes(acc, LENGTH, limits, ("hip", "foot"), "walk.csv")
    assert int(str(said.value).split(" degrees")[0].split()[-1]) == pytest.approx(tilt, abs=6)


def test_what_lies_beyond_the_length_is_not_seen(limits):
    acc, gyr = make_windows(2)
    short, cut = np.full(40, 30), (acc[:, :30], gyr[:, :30])
    expected = seen.describe(*cut, short), seen.is_unlike(*cut, short, limits)
    acc[:, 30:], gyr[:, 30:] = 0, 0
    described, unlike = seen.describe(acc, gyr, short), seen.is_unlike(acc, gyr, short, limits)
    np.testing.assert_array_equal(unlike, expected[1])
    for name in ("least", "most", "gravity", "tilt"):
        np.testing.assert_allclose(described[name], expected[0][name])


def test_a_measure_beyond_its_range_by_a_tenth_is_marked(limits):
    acc, gyr = make_windows(3)
    gyr[:5] *= 10
    assert seen.is_unlike(acc, gyr, LENGTH, limits)[:5].all()
    largest = seen.measure(acc, gyr, LENGTH)[0, 0, 3]
    assert largest == pytest.approx(np.linalg.norm(gyr[0, :, 0], axis=1).max())
