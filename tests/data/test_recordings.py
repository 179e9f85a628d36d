"""Recordings: units, frames, clocks and the sentences that name what is wrong."""

import numpy as np
import pytest
from helpers.recordings import make_recording, signals
from scipy.interpolate import interp1d
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


def test_regular_reads_a_line_through_jitter_and_a_short_gap():
    rng = np.random.default_rng(0)
    time = 5 + np.arange(400) / 100 + rng.uniform(-0.002, 0.002, 400)
    time = np.delete(time, [200, 201, 202])
    line = np.stack([3 * time, 1 - time], axis=1)
    out, rate, filled = recordings.regular_clock(time, line, 100, 0.05, "f")
    grid = time[0] + np.arange(len(out)) / 100
    np.testing.assert_allclose(out, np.stack([3 * grid, 1 - grid], axis=1), atol=1e-9)
    assert (rate, filled) == (100, 3)
    assert abs(len(out) - 400) <= 1


@pytest.mark.parametrize("true", [30.0, 100.0, 148.15])
def test_regular_finds_the_rate_of_stamps_in_milliseconds(true):
    time = np.round(np.arange(2000) / true, 3)
    _, rate, filled = recordings.regular_clock(time, time, None, 0.1, "f")
    assert rate == pytest.approx(true, rel=2e-3)
    assert filled == 0


@pytest.mark.parametrize(
    ("time", "rate", "says"),
    [
        ([0, 0.01, 0.03, 0.02, 0.04], 100, "goes back at 0.030 s"),
        ([0, 0.01, 0.02, 0.02, 0.03], 100, "repeats at 0.020 s"),
        (np.arange(50) / 100, 98.5, "say 100.00 Hz, the declared rate is 98.5 Hz"),
        (np.r_[0:0.1:0.01, 0.3:0.4:0.01], 100, "no sample for 0.210 s after 0.090 s"),
        ([0, np.nan, 0.02], 100, "row 1"),
        ([0.0], 100, "two samples"),
    ],
)
def test_a_broken_clock_is_named(time, rate, says):
    with pytest.raises(UserError, match=r"^walk\.csv") as error:
        recordings.regular_clock(np.array(time), np.ones((len(time), 3)), rate, 0.05, "walk.csv")
    assert says in str(error.value)


def test_fill_interpolates_short_runs_and_holds_the_ends():
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((60, 2))
    holed = whole.copy()
    holed[[10, 11, 30], 0] = np.nan
    holed[[0, 59, 30], 1] = np.nan
    out, count = recordings.fill_gaps(holed, 100, 0.03, "f")
    for column in range(2):
        good = ~np.isnan(holed[:, column])
        ends = (whole[1, column], whole[58, column])
        at = interp1d(
            np.flatnonzero(good), holed[good, column], bounds_error=False, fill_value=ends
        )
        np.testing.assert_allclose(out[:, column], at(np.arange(60)), atol=1e-12)
    assert count == 5
    assert np.isnan(holed).sum() == 6  # the input is left as it was


@pytest.mark.parametrize("run", [slice(20, 25), slice(0, 5), slice(None)])
def test_fill_refuses_a_long_run(run):
    holed = np.ones((60, 3))
    holed[run, 1] = np.nan
    with pytest.raises(UserError, match=r"a\.csv: \d+ values in a row are missing from \d\.\d\d s"):
        recordings.fill_gaps(holed, 100, 0.03, "a.csv")
