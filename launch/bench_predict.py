"""An hour of eight sensors through `imujax predict`: reading, cutting, estimating, writing."""

import csv
import pathlib
import subprocess
import sys
import tempfile
import time

import jax
import numpy as np

from imujax.data import scales
from imujax.models import keeping, parts, seen
from imujax.nets import networks, resnet, towers
from imujax.sweep import fitting, references

SENSORS = ("trunk", "pelvis", "thigh_l", "thigh_r", "shank_l", "shank_r", "foot_l", "foot_r")
AXES = ("ax", "ay", "az", "gx", "gy", "gz")
RATE, WINDOW, STRIDE = 100, 128, 1.0  # Hz, samples, s
EXAMPLES = 200  # windows that the stack is fitted on
GOAL = 60  # s

CARD = """
files = "*.csv"
match = '(?P<subject>\\w+)\\.csv'
[time]
rate = 100
[units]
acc = "m/s^2"
gyr = "rad/s"
"""


def report():
    """Print how long the command takes, from its start to the table."""
    with tempfile.TemporaryDirectory() as place:
        root = pathlib.Path(place)
        for kind in ("finetuned", "average"):
            make_model(root / kind, kind)
        write_hour(root)
        for kind in ("finetuned", "average"):
            out = root / kind / "estimates.csv"
            words = ["predict", root / kind, "--card", root / "card.toml", "--stride", STRIDE]
            command = [sys.executable, "-m", "imujax", *map(str, words), "--out", str(out)]
            begin = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds = time.perf_counter() - begin
            with out.open() as file:
                count = sum(1 for _ in csv.DictReader(file))
            what = {"finetuned": "the study's network", "average": "it and the stack"}[kind]
            print(
                f"predict: an hour of {len(SENSORS)} sensors, {count} windows by {what}: "
                f"{seconds:.0f} s; goal {GOAL}",
                flush=True,
            )


def make_model(folder: pathlib.Path, kind: str):
    """A model of random weights: what it says is nothing, how long it takes is what it takes."""
    net = networks.resolve_net(resnet.tan2023("none") | {"pool": "mean_max"})
    acc, gyr = draw_windows(EXAMPLES)
    variables = jax.device_get(towers.Regressor(net).init(jax.random.key(0), acc[:2], gyr[:2]))
    length = np.full(EXAMPLES, WINDOW)
    scale = scales.input_scales(acc, gyr, length)
    network = fitting.FittedNetwork(
        net, variables["params"], variables.get("batch_stats", {}), scale, [0.0], [1.0], {}
    )
    members: list[tuple[float, parts.Part]] = [(1.0, parts.NetworkPart(network, True))]
    if kind == "average":
        windows = fitting.see("stack", acc, gyr, length)
        target, people = acc.std(axis=(1, 2, 3)).astype(np.float64), np.arange(EXAMPLES) % 5
        stack = references.fit_references(["stack"], windows, target, people, 0)[0]["stack"]
        members.append((1.0, parts.ReferencePart("stack", [stack])))
    card = {
        "targets": [{"name": "nothing", "unit": "1", "half": 1.0, "range": [0.0, 1.0]}],
        "rate": RATE,
        "window": WINDOW,
        "sensors": list(SENSORS),
        "before": None,
        "interval": {"level": 0.9},
        "signals": seen.describe(acc, gyr, length),
    }
    keeping.save(folder, card, members)


def draw_windows(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Units that stand upright and shake: acc, gyr [N, L, S, 3]."""
    rng = np.random.default_rng(0)
    shape = (count, WINDOW, len(SENSORS), 3)
    size = rng.uniform(0.5, 2, (count, 1, 1, 1))
    acc, gyr = (size * rng.normal(size=shape) for _ in range(2))
    acc[..., 2] += 9.81
    return acc.astype(np.float32), gyr.astype(np.float32)


def write_hour(root: pathlib.Path):
    """An hour of all sensors in one CSV file, and its card."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(3600 * RATE, len(AXES) * len(SENSORS)))
    values[:, 2 :: len(AXES)] += 9.81
    names = [f"{sensor}_{axis}" for sensor in SENSORS for axis in AXES]
    np.savetxt(root / "somebody.csv", values, "%.4f", ",", header=",".join(names), comments="")
    card = CARD
    for sensor in SENSORS:
        acc, gyr = ([f"{sensor}_{axis}" for axis in part] for part in (AXES[:3], AXES[3:]))
        card += f"[sensors.{sensor}]\nacc = {acc}\ngyr = {gyr}\n"
    (root / "card.toml").write_text(card)
