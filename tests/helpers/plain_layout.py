"""A moving unit's file in the plain layout, and what every other layout of it must give."""

import numpy as np
import pytest

from helpers.moving import moving_unit
from helpers.tabular_files import read_all_examples

RATE, COUNT = 50.0, 600
NAMES = ["time", "ax", "ay", "az", "gx", "gy", "gz"]
CARD = """
files = "*.csv"
match = '(?P<subject>\\w+?)_(?P<recording>\\w+)'
[time]
column = "time"
[units]
acc = "m/s^2"
gyr = "rad/s"
[sensors.waist]
acc = ["ax", "ay", "az"]
gyr = ["gx", "gy", "gz"]
[window]
rate = 50
length = 64
motion = 0
"""


def make_values(seed=0):
    """[600, 7]: time [s], acc [m/s^2], gyr [rad/s], of 12 s at 50 Hz."""
    acc, gyr = moving_unit(COUNT / RATE, RATE, seed)
    return np.concatenate([np.arange(COUNT)[:, None] / RATE, acc[:, 0], gyr[:, 0]], axis=1)


def lines_of(values, names=NAMES, delimiter=","):
    rows = [delimiter.join(f"{x:.6f}" for x in row) for row in values]
    return [delimiter.join(names), *rows]


def write(raw, lines, name="p1_walk.csv", end="\n", encoding="utf-8"):
    raw.mkdir(exist_ok=True, parents=True)
    (raw / name).write_bytes(end.join([*lines, ""]).encode(encoding))


def require_equal(examples, plain, tolerance=2e-5):
    assert len(examples) == len(plain) == 9
    for one, other in zip(examples, plain, strict=True):
        np.testing.assert_allclose(one["acc"], other["acc"], atol=tolerance)
        np.testing.assert_allclose(one["gyr"], other["gyr"], atol=tolerance)
        assert one["start"] == pytest.approx(other["start"], abs=1e-4)
        assert (one["subject"], one["recording"]) == ("p1", "walk")


def read(raw, card=CARD):
    """All examples of a card."""
    return read_all_examples(raw, card)[0]
