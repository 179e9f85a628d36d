"""Made-up people for the tests of training: a bump a second, whose size is the label.

The accelerometer shows the bump with noise, the gyroscope its slope, the force channel its size
exactly; every person has a gain and a sensor attitude of their own.
"""

import json
import pathlib

import numpy as np

LABELLED = """
name = "force"
files = "*.csv"
match = '(?P<subject>P\\d+)_(?P<recording>\\w+)\\.csv'
[time]
rate = 100
[units]
acc = "m/s^2"
gyr = "rad/s"
[sensors.shank]
acc = ["ax", "ay", "az"]
gyr = ["gx", "gy", "gz"]
[events]
column = "force"
level = 50
distance = 0.4
[[target]]
name = "peak force"
unit = "N"
column = "force"
from = 0.0
to = 0.3
statistic = "max"
[[target]]
name = "impulse"
unit = "N s"
column = "force"
from = -0.05
to = 0.3
statistic = "impulse"
[[target]]
name = "force"
unit = "N"
column = "force"
statistic = "curve"
[window]
rate = 100
length = 32
before = 8
"""
UNLABELLED = LABELLED[: LABELLED.index("[events]")].replace('"force"', '"moves"') + (
    "[window]\nrate = 100\nlength = 64\nstride = 32\n"
)


def write_people(
    raw: pathlib.Path, subjects: int = 6, seconds: int = 40, rate: int = 100
) -> pathlib.Path:
    """One file a person in `raw`, and the cards force.toml and moves.toml beside them."""
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "force.toml").write_text(LABELLED)
    (raw / "moves.toml").write_text(UNLABELLED)
    for number in range(subjects):
        rng = np.random.default_rng(number)
        t = np.arange(seconds * rate) / rate
        size = rng.uniform(0.5, 2.0, seconds)
        width = 0.06
        centre = np.arange(seconds) + 0.5
        bump = sum(
            a * np.exp(-0.5 * ((t - c) / width) ** 2) for a, c in zip(size, centre, strict=True)
        )
        slope = np.gradient(bump, t)
        turn = np.linalg.qr(np.eye(3) + 0.1 * rng.normal(size=(3, 3)))[0]
        turn *= np.sign(np.diagonal(turn))[None]
        up, forward = np.array([0, 1.0, 0]), np.array([1.0, 0, 0])
        gain = rng.uniform(0.9, 1.1)
        acc = 9.80665 * up + gain * (6 * bump[:, None] * up + 3 * bump[:, None] * forward)
        acc = acc @ turn + rng.normal(0, 0.15, (len(t), 3))
        gyr = (0.2 * slope[:, None] * np.array([0, 0, 1.0])) @ turn + rng.normal(
            0, 0.05, (len(t), 3)
        )
        rows = np.column_stack([acc, gyr, 200 * bump])
        np.savetxt(
            raw / f"P{number:02d}_walk.csv",
            rows,
            "%.5f",
            ",",
            comments="",
            header="ax,ay,az,gx,gy,gz,force",
        )
    return raw


CONFIG = """
from ml_collections import ConfigDict

from imujax.configs import common
from imujax.nets import resnet


def get_config(size="full"):
    config = ConfigDict({"seed": 0})
    config.data_sets = ConfigDict({
        "moves": common.data_set("tabular", "others", card="others/moves.toml"),
        "force": common.data_set("tabular", "people", card="people/force.toml"),
    })
    config.encoders = ConfigDict({
        "small": common.encoder(
            ("moves",), resnet.tiny("none"), window=32, batch=64, steps=30, log_every=10,
            save_every=10, monitor=0.2, learning_rate=3e-3, seeds=2,
        ),
    })
    config.tasks = ConfigDict({
        "force": common.task(
            "force", "Force of a bump", common.arms("small"), folds=3, draws=2,
            axes={"windows": (0.25, 1.0), "subjects": (0.5, 1.0)},
            passes=8.0, steps=(20, 30), stops=(0.2, 1.0), batch=32, penalties=(0.1, 1.0),
            rates=(1e-3, 3e-3), select={"folds": 4, "splits": (1, 4), "draws": 1},
            references=("ridge", "ridge+pretrained"),
        )
    })
    return config
"""


def write_study(folder: pathlib.Path) -> dict:
    """Raw people in `folder`/raw (others to pre-train on), the configuration beside it."""
    write_people(folder / "raw" / "people")
    write_people(folder / "raw" / "others", subjects=5, seconds=41)
    (folder / "config.py").write_text(CONFIG)
    return {"raw": folder / "raw", "data": folder / "data", "config": folder / "config.py"}


def read_lines(path: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def without_times(lines: list[dict]) -> list[dict]:
    """Lines of metrics without what depends on the clock."""
    timed = ("windows_per_s", "tflop_per_s")
    return [{name: value for name, value in line.items() if name not in timed} for line in lines]
