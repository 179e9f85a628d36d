"""The card: what one TOML file says about a user's own recordings. README.md tells of each key."""

import dataclasses
import math
import pathlib
import re
from collections.abc import Mapping

from imujax.data.sensor_events import SensorEvents

STATISTICS = ("max", "min", "mean", "range", "slope", "impulse", "time_of_max", "value")
STATISTICS += ("duration",)
CURVE = "curve"  # in the place of a statistic: no number, but the signal itself
CLASS = "class"  # or a word at every sample, by its number
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "days": 86400.0}
BLANKS = "blanks"  # in runs, as a delimiter
TEXT_STAMPS = ("ISO 8601", "hh:mm:ss")
# Units of events that count from the first sample of the recording's own file, in s.
FROM_START = {f"{unit} from start": TIME_UNITS[unit] for unit in ("s", "ms", "us", "ns")}
SAMPLES = {"samples": 0, "samples from 1": 1}  # units of events, with the number of the first one
BODY_UNITS = {"mass": {"kg": 1.0, "lb": 0.45359237}, "height": {"m": 1.0, "cm": 1e-2, "mm": 1e-3}}


@dataclasses.dataclass(frozen=True)
class Layout:
    """How one table lies in its file; README.md beside this file has the keys.

    Attributes
    ----------
    format : str or None
        csv, tsv, parquet, hdf5 or mat; None: by the end of the file's name.
    delimiter : str or None
        One character, or BLANKS for runs of blanks; None: a comma, in TSV the tabulator.
    decimal : str
        One character.
    skip_rows : int
        Lines before the one with the column names.
    names : tuple of str
        The column names, where the file has no line with them.
    header_rows : int
        Lines with names, which are joined by "/".
    unit_rows : int
        Lines between names and data.
    footer_rows : int
        Lines after the data.
    comment : str or None
        What lines that are left out begin with.
    header_has : tuple of str
        In the place of `skip_rows`: the line with the names is the first that has one of these.
    sheet : str or None
        Of a workbook; None: the first one.
    alias : tuple of (str, tuple of str)
        Other names that a column has in other versions of an export.
    until_blank : bool
        Whether the data end at the first blank line.
    thousands : str or None
        One character between the thousands of a number.
    missing : tuple of str
        Texts and numbers that stand for missing values.
    where : tuple of (str, tuple of str)
        Columns of text, and their values in the rows that count.
    """

    format: str | None = None
    delimiter: str | None = None
    decimal: str = "."
    skip_rows: int = 0
    names: tuple[str, ...] = ()
    header_rows: int = 1
    unit_rows: int = 0
    footer_rows: int = 0
    comment: str | None = None
    header_has: tuple[str, ...] = ()
    sheet: str | None = None
    alias: tuple[tuple[str, tuple[str, ...]], ...] = ()
    until_blank: bool = False
    thousands: str | None = None
    missing: tuple[str, ...] = ()
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclasses.dataclass(frozen=True)
class Hdf5:
    """Which data sets of an HDF5 file are recordings.

    Attributes
    ----------
    dataset : str
        Regular expression for the whole name of a data set or group.
    columns : str or None
        Attribute with the column names as a JSON list.
    trim : bool
        Whether rows at the end in which all columns are zero are left out.
    """

    dataset: str
    columns: str | None
    trim: bool


@dataclasses.dataclass(frozen=True)
class Time:
    """The clock of a table: a column of stamps or a counter, or a rate alone, or both.

    Attributes
    ----------
    column : str or None
        Time stamps.
    unit : str or float
        Of the stamps: one of TIME_UNITS or so many seconds; where they are text one of TEXT_STAMPS
        or a format of `datetime.strptime`.
    rate : float or None
        Hz.
    max_gap : float
        s: gaps and missing values up to this long are interpolated, longer ones are an error.
    counter : str or None
        Column with the number of each sample, which may wrap around; `rate` is its own.
    spread : str or None
        Stamps in blocks or bursts are spread evenly; the sample of a block that its stamp is the
        time of, one of `clocks.STAMPED`.
    wrap : float or None
        At which stamps begin anew, in their unit.
    split : bool
        Whether a longer gap splits the recording.
    """

    column: str | None
    unit: str | float
    rate: float | None
    max_gap: float
    counter: str | None = None
    spread: str | None = None
    split: bool = False
    wrap: float | None = None

    @property
    def stamps(self) -> str | None:
        """The column that the clock is read from, if there is one."""
        return self.column or self.counter


@dataclasses.dataclass(frozen=True)
class Axes:
    """Where the three axes of an accelerometer or gyroscope lie.

    Attributes
    ----------
    columns : tuple of tuple of str, [3]
        For x, y and z the columns that are added up, most often one.
    unit : str
        Of the columns, after `factor`.
    factor : float
    offset : tuple of float, [3]
        Added to the columns, before `factor`.
    file : str or None
        Path below the raw folder; None: the recording's own file.
    layout : Layout
        Of `file`.
    time : Time or None
        Their own clock, of `file` or within the recording's own file.
    shift : float
        s that are added to it.
    """

    columns: tuple[tuple[str, ...], ...]
    unit: str
    factor: float
    offset: tuple[float, ...]
    file: str | None
    layout: Layout
    time: Time | None
    shift: float

    @property
    def place(self) -> tuple:
        """The table in which they lie."""
        return self.file, self.layout.where

    @property
    def names(self) -> list[str]:
        """All columns."""
        return [name for added in self.columns for name in added]

    @property
    def has_own_clock(self) -> bool:
        """Whether they lie in the recording's own file, but with a clock of their own."""
        return self.file is None and self.time is not None


@dataclasses.dataclass(frozen=True)
class Sensor:
    """One inertial unit.

    Attributes
    ----------
    name : str
    acc, gyr : Axes
    frame : tuple of tuple of float, [3][3], or None
        Rotation of its axes into the common ones: row i is the new axis i in the old axes.
    """

    name: str
    acc: Axes
    gyr: Axes
    frame: tuple[tuple[float, ...], ...] | None


@dataclasses.dataclass(frozen=True)
class Activity:
    """A second file with named intervals of time.

    Attributes
    ----------
    file : str
        Path below the raw folder.
    layout : Layout
    name, start, end : str
        Its columns.
    unit : str
        Of start and end, s or ms.
    """

    file: str
    layout: Layout
    name: str
    start: str
    end: str
    unit: str


@dataclasses.dataclass(frozen=True)
class Columns:
    """What the rows of a recording's own file say of themselves.

    Attributes
    ----------
    subject, recording, activity : str or None
        Columns of text.
    """

    subject: str | None = None
    recording: str | None = None
    activity: str | None = None

    @property
    def names(self) -> list[str]:
        """Those that are given."""
        return [name for name in (self.subject, self.recording, self.activity) if name]


@dataclasses.dataclass(frozen=True)
class Labels:
    """A table of labels, a row an event.

    Attributes
    ----------
    file : str
        Path below the raw folder.
    layout : Layout
    subject, recording : str or None
        Its columns; None: every row of the file is of the recording, whose names its path has in
        braces.
    time : str
        Its column of event times.
    unit : str
        Of the times, one of TIME_UNITS or, in the recording's own file, of SAMPLES.
    targets : tuple of (str, str, str)
        Column, name and unit of each target.
    activity : str or None
        Its column of words, which are the activities of the windows.
    """

    file: str
    layout: Layout
    subject: str | None
    recording: str | None
    time: str
    unit: str
    targets: tuple[tuple[str, str, str], ...]
    activity: str | None


@dataclasses.dataclass(frozen=True)
class Signal:
    """One measured quantity.

    Attributes
    ----------
    column : str
        Its name.
    file : str or None
        Path below the raw folder; None: a column of the recording's own file.
    layout : Layout
    time : Time or None
        Clock of `file`.
    scale : float
        Factor on the values.
    lowpass : float or None
        Hz: Butterworth, 4th order, forwards and backwards.
    """

    column: str
    file: str | None
    layout: Layout
    time: Time | None
    scale: float
    lowpass: float | None


@dataclasses.dataclass(frozen=True)
class Events:
    """Where the windows lie: given times, a column of them, crossings of a level, or what a sensor
    shows by itself.

    Attributes
    ----------
    times : tuple of float
        From the first sample of each recording on.
    unit : str
        Of times and of a column of times, one of TIME_UNITS or SAMPLES.
    signal : Signal or None
        The column of times, or the signal that crosses the level.
    level : float or None
        None: the column holds times.
    distance : float
        s, at least so long after the previous event.
    hold, below : float
        Of the samples in the next `hold` s at most the share `below` is below the level.
    peak : float
        The signal reaches this within the target's span.
    of_sensor : SensorEvents or None
        Contacts or peaks of a sensor, and nothing of the above.
    """

    times: tuple[float, ...]
    unit: str
    signal: Signal | None
    level: float | None
    distance: float
    hold: float
    below: float
    peak: float
    of_sensor: SensorEvents | None = None


@dataclasses.dataclass(frozen=True)
class Target:
    """A statistic of a signal over [event + start, event + end) seconds, or over the whole window a
    curve: the signal itself, or a class.

    Attributes
    ----------
    name, unit : str
        Of the target, after all scaling; a class has no unit, "".
    signal : Signal or None
        None: the names of the recording's intervals are the words of a class.
    start : float
        s after the event.
    end : float or None
        s after the event.
    end_share : float or None
        Instead of `end`: the span ends at this share of the recording's true length.
    statistic : str
        max, min, mean, range, slope (per s), impulse (the integral over time), time_of_max (s after
        the event), value (at `start`), duration (s from the event to a crossing or other event),
        CURVE or CLASS.
    divide_by : tuple of str or float
        "mass", "height" and numbers, by which the statistic or curve is divided.
    level : float or None
        Of a duration: that the signal crosses; None: the signal's column holds times.
    until : str
        Of a duration: "below" or "above" the level.
    time_unit : str
        Of a duration up to times in a file: one of TIME_UNITS or SAMPLES.
    every : int
        Of a curve: samples of the window for each value.
    classes : tuple of str
        Of a class: its words, in the order of their numbers.
    """

    name: str
    unit: str
    signal: Signal | None
    start: float
    end: float | None
    end_share: float | None
    statistic: str
    divide_by: tuple[str | float, ...]
    level: float | None = None
    until: str = "below"
    time_unit: str = "s"
    every: int = 1
    classes: tuple[str, ...] = ()

    @property
    def is_curve(self) -> bool:
        """Whether it has a value at every sample of a window."""
        return self.statistic in (CURVE, CLASS)

    def divisor(self, mass: float | None, height: float | None) -> float:
        """The product of `divide_by`, of a person of this mass [kg] and height [m]."""
        body = {"mass": mass, "height": height}
        return math.prod(body.get(part, part) for part in self.divide_by)


@dataclasses.dataclass(frozen=True)
class Quantity:
    """Body mass [kg] or height [m]: a number, a column, or a table with one row a subject.

    Attributes
    ----------
    value : float or None
        kg or m, the same for all.
    column : str or None
        Of the recording's own file, or of `file`.
    file : str or None
        Path of a table below the raw folder.
    layout : Layout
        Of `file`.
    key : str or None
        Column of `file` with the subjects.
    unit : float
        Factor that makes kg or m of the column.
    """

    value: float | None
    column: str | None
    file: str | None
    layout: Layout
    key: str | None
    unit: float


@dataclasses.dataclass(frozen=True)
class Window:
    """Samples of a window at the output rate.

    Attributes
    ----------
    rate : float
        Hz of the data set.
    length : int
        Samples of a window.
    before : int
        Labelled: samples before the event.
    pad : bool
        Labelled: whether a window may run past the end and is filled up with zeros.
    stride : int
        Unlabelled: samples from window to window.
    motion : float
        Unlabelled: m/s^2, the threshold of the motion test.
    upsample : float
        By so many times at most the rate may be above that of a recording.
    """

    rate: float
    length: int
    before: int
    pad: bool
    stride: int
    motion: float
    upsample: float


@dataclasses.dataclass(frozen=True)
class Card:
    """A whole card.

    Attributes
    ----------
    path : Path
        Of the card.
    name : str
        Beginning of the data set's folder.
    files : str
        Pattern of the recordings' paths below the raw folder.
    match : str or None
        Regular expression, searched for in these paths, with named groups.
    layout : Layout
        Of the recordings' files.
    hdf5 : Hdf5 or None
    mat : str or None
        Regular expression for the whole names of the variables that are recordings.
    sides : tuple of str
        Names put in turn for {side}.
    time : Time
    subject : str or None
        Of all recordings, where no path says it.
    columns : Columns
    labels : Labels or None
        In the place of `events` and `measured`.
    rest_error : float
        Share by which the accelerometer may miss gravity at rest.
    sensors : tuple of Sensor
    activity : Activity or None
    events : Events or None
    measured : tuple of Target
        At each event. Curves alone need no events; without these, and without `labels`, windows lie
        back to back.
    mass, height : Quantity or None
    window : Window
    """

    path: pathlib.Path
    name: str
    files: str
    match: str | None
    layout: Layout
    hdf5: Hdf5 | None
    mat: str | None
    sides: tuple[str, ...]
    time: Time
    subject: str | None
    columns: Columns
    labels: Labels | None
    rest_error: float
    sensors: tuple[Sensor, ...]
    activity: Activity | None
    events: Events | None
    measured: tuple[Target, ...]
    mass: Quantity | None
    height: Quantity | None
    window: Window

    @property
    def signals(self) -> dict[str, Signal]:
        """Those of [events] and of each [target], by the names that a recording has them under."""
        parts = {"events": self.events} | self.numbers | self.curves
        return {key: part.signal for key, part in parts.items() if part and part.signal}

    @property
    def axes(self) -> list[Axes]:
        """Accelerometer and gyroscope of every sensor."""
        return [axes for sensor in self.sensors for axes in (sensor.acc, sensor.gyr)]

    @property
    def is_labelled(self) -> bool:
        """Whether windows lie at events, where something is measured."""
        return bool(self.measured and self.events) or self.labels is not None

    @property
    def numbers(self) -> dict[str, Target]:
        """The targets that are a number each, by the names that a recording has them under."""
        return {key: one for key, one in self._keyed.items() if not one.is_curve}

    @property
    def curves(self) -> dict[str, Target]:
        """Those that are curves, classes among them."""
        return {key: one for key, one in self._keyed.items() if one.is_curve}

    @property
    def _keyed(self) -> dict[str, Target]:
        return {f"target {number}": target for number, target in enumerate(self.measured)}

    @property
    def targets(self) -> list[dict[str, str]]:
        """Name and unit of each target that is a number."""
        if self.labels:
            return [{"name": name, "unit": unit} for _, name, unit in self.labels.targets]
        return [{"name": one.name, "unit": one.unit} for one in self.numbers.values()]


def is_text(unit: str | float) -> bool:
    """Whether time stamps in this unit are text."""
    return unit in TEXT_STAMPS or "%" in str(unit)


def unit_seconds(unit: str | float) -> float:
    """How many seconds a unit of time has."""
    return TIME_UNITS[unit] if isinstance(unit, str) else unit


def fill_template(template: str, groups: Mapping[str, str]) -> str:
    """Put the groups into the braces of `template` in one pass: {subject}, {side}, ..."""
    if not groups:
        return template
    pattern = "|".join(re.escape("{" + name + "}") for name in groups)
    return re.sub(pattern, lambda brace: groups[brace.group()[1:-1]], template)
