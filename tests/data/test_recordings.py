"""Recordings: units, frames, clocks and the sentences that name what is wrong."""

import numpy as np
import pytest
from helpers.recordings import make_recording, signals
from scipy.spatial.transform import Rotation

from imujax.data import recordings
from imujax.data.recordings import G
from imujax.errors import UserError


def test_a_plausible_recording_passes():
    acc, gyr = signals()
    assert make_recording(acc, gyr, mass=70.0, height=1.8).sensors == ("s0", "s1")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a, g: (a / G, g), "s0: turned back by its gyroscope, the accelerometer reads 1 m"),
        (lambda a, g: (a / G, g), "most likely the accelerations are in another unit"),
        (lambda a, g: (a / G * 1000, g), "most likely the accelerations are in another unit"),
        (lambda a, g: (a, g * 180 / np.pi), "most likely the gyroscope is in deg/s and said to be"),
        (lambda a, g: (a - [0, G, 0], g), "most likely gravity was removed"),
        (lambda a, g: (a[:150] * 10, g[:150]), "norm 98.1, expected 5 to 60 m/s^2: another unit"),
        (lambda a, g: (a[:150], g[:150] * 60), "expected below 60 rad/s: deg/s said to be rad/s"),
        (lambda a, g: (a * 1.2, g), "reads 11.77 m/s^2 at rest"),
        (lambda a, g: (np.where(np.arange(len(a))[:, None, None] == 70, np.nan, a), g), "1.40 s"),
        (lambda a, g: (a, np.where(np.arange(len(a))[:, None, None] > 99, np.inf, g)), "finite"),
        (lambda a, g: (a, np.concatenate([g[:, :1], 0 * g[:, 1:]], 1)), "s1: gyroscope is const"),
        (lambda a, g: (a[:-1], g), "must both be"),
        (lambda a, g: (a[:0], g[:0]), "at least one sample"),
    ],
)
def test_wrong_values_are_named(change, says):
    with pytest.raises(UserError, match=r"^x\.csv") as error:
        make_recording(*change(*signals()))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"rate": 0.0}, "rate"),
        ({"rate": np.nan}, "rate"),
        ({"sensors": ("a", "a")}, "differ"),
        ({"mass": 70000.0}, "mass"),
        ({"height": 180.0}, "height"),
    ],
)
def test_wrong_facts_are_named(other, says):
    with pytest.raises(UserError, match=says):
        make_recording(*signals(), **other)


def test_gravity_is_not_asked_of_a_recording_without_rest():
    acc, gyr = signals()
    moving = slice(100, None)
    make_recording(1.2 * acc[moving], gyr[moving])
    with pytest.raises(UserError, match="at rest"):
        make_recording(1.2 * acc, gyr)
    make_recording(1.2 * acc, gyr, rest_error=0.25)


@pytest.mark.parametrize(
    ("unit", "one"),
    [("g", 9.80665), ("mg", 0.00980665), ("deg/s", 0.017453292519943295), ("m/s^2", 1.0)],
)
def test_units(unit, one):
    np.testing.assert_allclose(recordings.to_si(np.array([[1, -2]]), unit), [[one, -2 * one]])


def test_an_unknown_unit_is_named():
    with pytest.raises(UserError, match="'furlong'"):
        recordings.to_si(np.ones(3), "furlong")


def test_rotation_keeps_norms_and_cross_products():
    matrix = Rotation.random(rng=np.random.default_rng(1)).as_matrix()
    x, y = np.random.default_rng(0).standard_normal((2, 5, 4, 3))
    turned = recordings.rotate(x, matrix)
    slow = np.array(
        [[sum(matrix[i, j] * v[j] for j in range(3)) for i in range(3)] for v in x.reshape(-1, 3)]
    ).reshape(x.shape)
    np.testing.assert_allclose(turned, slow, atol=1e-12)
    both = np.cross(turned, recordings.rotate(y, matrix))
    np.testing.assert_allclose(both, recordings.rotate(np.cross(x, y), matrix), atol=1e-12)


@pytest.mark.parametrize("matrix", [np.diag([1, 1, -1]), 2 * np.eye(3), np.eye(2)])
def test_a_matrix_that_is_no_rotation_is_refused(matrix):
    with pytest.raises(UserError, match="no rotation"):
        recordings.rotate(np.ones((4, 3)), matrix)
