"""A walk with a force, files of it, and cards: what the tests of the tabular builder share."""

import collections
import csv
import gzip

import numpy as np

from imujax.data_builders.tabular import examples

COLUMNS = ["time", "ax", "ay", "az", "gx", "gy", "gz", "force"]
CARD = """
files = "*.{suffix}"
match = '(?P<subject>s\\d+)_(?P<recording>\\w+)'
[time]
column = "time"
[units]
acc = "g"
gyr = "deg/s"
[sensors.shank]
acc = ["ax", "ay", "az"]
gyr = ["gx", "gy", "gz"]
"""
EVENTS = """
[events]
column = "force"
level = 50
distance = 0.25
hold = 0.1
below = 0.3
peak = 150
"""
TARGET = """
[target]
name = "peak force"
unit = "N"
column = "force"
to = 0.4
statistic = "max"
"""
WINDOW = """
[window]
rate = 100
length = 64
before = 20
"""
PLAIN_WINDOW = """
[window]
rate = 100
length = 64
motion = 0
"""
LABELLED = CARD + EVENTS + TARGET + WINDOW


def make_table(n=1000, seed=0):
    """[n, 8] in the order of COLUMNS: a step each second, 100 Hz, g and deg/s, N."""
    rng = np.random.default_rng(seed)
    time = np.arange(n) / 100
    swing = np.sin(2 * np.pi * time)
    acc = np.stack([0.3 * swing, 0.1 * np.cos(4 * np.pi * time), 1 + 0.2 * swing], axis=1)
    gyr = np.stack([200 * swing, 20 * swing, 100 * np.cos(2 * np.pi * time)], axis=1)
    force = np.maximum(0, swing) * (700 + 50 * np.cos(time))
    noise = rng.normal(size=(n, 6)) * [0.02] * 3 + 0
    table = np.concatenate([time[:, None], acc, gyr, force[:, None]], axis=1)
    table[:, 1:4] += noise[:, :3]
    table[:, 4:7] += 50 * noise[:, 3:]
    return table


def write_table(path, table, columns=COLUMNS, delimiter=","):
    """A table as CSV or TSV, packed where the name ends in .gz; numbers as exact decimals."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", newline="") as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerow(columns)
        rows.writerows([[repr(float(v)) if v == v else "" for v in row] for row in table])


def read_all_examples(raw, card, name="mine"):
    """All examples of a card, and what was dropped, without the data set."""
    path = raw.parent / f"{name}.toml"
    path.write_text(card)
    options = examples.complete_options({"card": str(path)})
    all_examples, dropped = [], collections.Counter()
    for item in examples.list_items(raw, options):
        item_examples, item_dropped, _ = examples.read_examples(item, options)
        all_examples += item_examples
        dropped.update(item_dropped)
    return all_examples, dropped
