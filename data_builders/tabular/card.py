"""The card: what one TOML file says about a user's own recordings. README.md tells of each key."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping

STATISTICS = ("max", "min", "mean", "slope", "value")
TIME_UNITS = {"s": 1.0, "ms": 1e-3}
BODY_UNITS = {"mass": {"kg": 1.0, "lb": 0.45359237}, "height": {"m": 1.0, "cm": 1e-2, "mm": 1e-3}}


@dataclasses.dataclass(frozen=True)
class Layout:
    """How one table lies in its file; None means: by the end of the file's name."""

    format: str | None = None
    delimiter: str | None = None
    decimal: str = "."
    skip_rows: int = 0
    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Hdf5:
    """Which data sets of an HDF5 file are recordings; `columns` is the attribute with the names."""

    dataset: str
    columns: str | None
    trim: bool


@dataclasses.dataclass(frozen=True)
class Time:
    """The clock of a table: a column of stamps [unit], or a rate [Hz] alone, or both."""

    column: str | None
    unit: str
    rate: float | None
    max_gap: float


@dataclasses.dataclass(frozen=True)
class Sensor:
    """Column names of one inertial unit; `frame` [3][3] turns its axes into the common ones."""

    name: str
    acc: tuple[str, ...]
    gyr: tuple[str, ...]
    frame: tuple[tuple[float, ...], ...] | None


@dataclasses.dataclass(frozen=True)
class Activity:
    """A second file with named intervals of time."""

    file: str
    layout: Layout
    name: str
    start: str
    end: str
    unit: str


@dataclasses.dataclass(frozen=True)
class Signal:
    """One measured quantity: a column of the recording's own file, or of `file` with its clock."""

    column: str
    file: str | None
    layout: Layout
    time: Time | None
    scale: float
    lowpass: float | None


@dataclasses.dataclass(frozen=True)
class Events:
    """Where the windows lie: given times, a column of times, or crossings of a level."""

    times: tuple[float, ...]
    unit: str
    signal: Signal | None
    level: float | None
    distance: float
    hold: float
    below: float
    peak: float


@dataclasses.dataclass(frozen=True)
class Target:
    """A statistic of a signal over [event + start, event + end) seconds, divided by `divide_by`.

    With `end_share` the span ends at that share of the recording's true length instead.
    """

    name: str
    unit: str
    signal: Signal
    start: float
    end: float | None
    end_share: float | None
    statistic: str
    divide_by: tuple[str | float, ...]


@dataclasses.dataclass(frozen=True)
class Quantity:
    """Body mass [kg] or height [m]: a number, a column, or a table with one row a subject."""

    value: float | None
    column: str | None
    file: str | None
    layout: Layout
    key: str | None
    unit: float


@dataclasses.dataclass(frozen=True)
class Window:
    """Samples at the output rate [Hz]; `motion` [m/s^2] is the threshold of the motion test."""

    rate: float
    length: int
    before: int
    pad: bool
    stride: int
    motion: float


@dataclasses.dataclass(frozen=True)
class Card:
    """A whole card. `target` None means an unlabelled set of windows back to back."""

    path: pathlib.Path
    name: str
    files: str
    match: str | None
    layout: Layout
    hdf5: Hdf5 | None
    sides: tuple[str, ...]
    time: Time
    acc_unit: str
    gyr_unit: str
    rest_error: float
    sensors: tuple[Sensor, ...]
    activity: Activity | None
    events: Events | None
    target: Target | None
    mass: Quantity | None
    height: Quantity | None
    window: Window


def fill_in(template: str, groups: Mapping[str, str]) -> str:
    """Put the groups into the braces of `template` in one pass: {subject}, {side}, ..."""
    if not groups:
        return template
    pattern = "|".join(re.escape("{" + name + "}") for name in groups)
    return re.sub(pattern, lambda found: groups[found.group()[1:-1]], template)
