"""The clock of a table: stamps of any kind that a card can name, to seconds from the first one."""

import datetime
import functools
import itertools
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from imujax.data import clocks
from imujax.data_builders.tabular.card import (
    FROM_START,
    SAMPLES,
    Time,
    fill_template,
    is_text,
    unit_seconds,
)
from imujax.data_builders.tabular.sentences import printable_name
from imujax.errors import UserError

DAY = 86400.0  # s
ZONE = re.compile(r"(Z|UTC|[+-]\d\d(:?\d\d)?)\s*$")
FAR = 1e4  # s: a clock that begins beyond counts from its first sample, as float32 cannot hold it

# What a card can say to a fault of the clock.
MENDS = {
    "blocks": "let [time] spread them evenly (spread = true)",
    "bursts": "let [time] spread them evenly (spread = true)",
    "repeat": "leave one of the two out, or say which rows count (where)",
    "restart": "cut the file there, or name a packet counter instead (time.counter)",
    "order": "sort the rows by the order in which they were measured",
    "missing": "allow a longer hole (time.max_gap), or cut the file there",
    "gap": "let the gap split it (split = true), or allow a longer one (time.max_gap)",
    "rate": "see unit and rate in [time]",
}


def explain(error: clocks.ClockError) -> UserError:
    """The error with what a card can say to it."""
    mend = MENDS.get(error.fault)
    sentence = str(error).removesuffix(": split the file there")
    return UserError(f"{sentence}: {mend}") if mend else error


def to_seconds(column: np.ndarray, time: Time, source: str) -> tuple[np.ndarray, float]:
    """Read the clock of a table.

    Parameters
    ----------
    column : ndarray, [T]
        The card's column of stamps or its counter: numbers, or text in one of TEXT_STAMPS.
    time : Time
    source : str
        The file name that error sentences show.

    Returns
    -------
    seconds : ndarray, [T]
        On a clock whose zero is `origin`.
    origin : float
        Zero for a clock that begins within FAR of it, else its first stamp [s].

    Raises
    ------
    UserError
        For text that is no time, and a counter that is none.
    """
    if is_text(time.unit) and time.column:
        seconds = _parse_texts(column, time.unit, source)
        if time.unit == "hh:mm:ss":  # midnight
            seconds += DAY * np.concatenate([[0], np.cumsum(np.diff(seconds) < -DAY / 2)])
        origin = float(seconds[0])
        seconds -= origin
    elif time.counter:
        seconds, origin = clocks.unwrap_counter(column, source) / (time.rate or 1.0), 0.0
        seconds -= seconds[:1]
    else:
        unit = unit_seconds(time.unit)
        if time.wrap:
            column = np.unwrap(column, period=time.wrap)
        first = float(column[0]) if len(column) else 0.0
        is_far = np.isfinite(first) and abs(first * unit) > FAR
        origin = first * unit if is_far else 0.0
        seconds = (column - first) * unit if is_far else column * unit
    if time.spread:
        seconds = clocks.spread_stamps(seconds, source, time.spread)
    return seconds, origin


class EventClock(NamedTuple):
    """How times in other tables are told on the clock of a recording.

    Attributes
    ----------
    seconds : ndarray, [T], or None
        Of each row of the recording's own file; None where the rate alone is known.
    start, rate : float
        s and Hz.
    has_zone : bool or None
        Whether its stamps are text with a time zone; None where they are no text with a date.
    """

    seconds: np.ndarray | None
    start: float
    rate: float
    has_zone: bool | None = None

    @property
    def begin(self) -> float:
        """Of the first sample of the recording's own file [s]."""
        return self.start if self.seconds is None else float(self.seconds[0])

    def to_seconds(self, values: np.ndarray, unit: str, source: str = "") -> np.ndarray:
        """Read times.

        Parameters
        ----------
        values : ndarray, [E]
            Numbers, from the clock's zero or in one of FROM_START; rows in one of SAMPLES (beyond
            either end of the recording its rate goes on); or text.
        unit : str
        source : str
            The file name that error sentences show.

        Returns
        -------
        ndarray, [E]
            s; NaN where nothing stands.

        Raises
        ------
        UserError
            For text that is no time.
        """
        if is_text(unit):
            return self._read_texts(values, unit, source)
        if unit in FROM_START:
            return self.begin + values * FROM_START[unit]
        if unit not in SAMPLES:
            return values * unit_seconds(unit)
        rows = values - SAMPLES[unit]
        if self.seconds is None:
            return self.start + rows / self.rate
        last = len(self.seconds) - 1
        beyond = np.minimum(rows, 0) + np.maximum(rows - last, 0)
        return np.interp(rows, np.arange(last + 1), self.seconds) + beyond / self.rate

    def _read_texts(self, values: np.ndarray, unit: str, source: str) -> np.ndarray:
        """Those of a clock without dates lie within half a day of the recording's start."""
        times, filled = np.full(len(values), np.nan), np.flatnonzero(values != "")
        if len(filled):
            times[filled] = _parse_texts(values[filled], unit, source)
        zones = has_zone(values[filled], unit), self.has_zone
        if None not in zones and zones[0] != zones[1]:
            here, there = ("a", "none") if zones[0] else ("no", "one")
            raise UserError(
                f"{source}: its time stamps have {here} time zone, and those of the recording have "
                f"{there}: write both alike"
            )
        if unit == "hh:mm:ss":
            times += DAY * np.round((self.start - times) / DAY)
        return times


def text_columns(time: Time, groups: Mapping[str, str]) -> list[str]:
    """The column of stamps, where they are text."""
    if time.column is None or not is_text(time.unit):
        return []
    return [fill_template(time.column, groups)]


def without_repeats(
    table: dict[str, np.ndarray], seconds: np.ndarray, time: Time
) -> tuple[dict[str, np.ndarray], np.ndarray, int]:
    """Leave out the rows that repeat the one before, stamp and all.

    Parameters
    ----------
    table : dict of ndarray, [T]
    seconds : ndarray, [T]
    time : Time
        Where it spreads blocks of stamps, readings that do not change are no repeats.

    Returns
    -------
    table, seconds
        Without them.
    count : int
        How many there were.
    """
    is_same = np.zeros(len(seconds), bool)
    if not time.spread:
        is_same[1:] = seconds[1:] == seconds[:-1]
    for column in table.values() if is_same.any() else ():
        same = column[1:] == column[:-1]
        if column.dtype.kind == "f":
            same |= np.isnan(column[1:]) & np.isnan(column[:-1])
        is_same[1:] &= same
    if not is_same.any():
        return table, seconds, 0
    kept = {name: column[~is_same] for name, column in table.items()}
    return kept, seconds[~is_same], int(is_same.sum())


def put_on_clock(
    values: np.ndarray, seconds: np.ndarray | None, time: Time, source: str, n_filled: int = 0
) -> tuple[np.ndarray, float, float, int]:
    """Put the rows of a table on a regular clock.

    Parameters
    ----------
    values : ndarray, [T, ...]
    seconds : ndarray, [T], or None
        Of `to_seconds`; None where the rate alone is known.
    time : Time
    source : str
        The file name that error sentences show.
    n_filled : int
        As of `clocks.regular_clock`.

    Returns
    -------
    values : ndarray, [N, ...]
    rate : float
        Hz
    start : float
        Of the first [s]; 0 without a clock.
    mended : int
        Samples interpolated.
    """
    if seconds is None:
        if not len(values):
            raise UserError(f"{source}: the table has no rows")
        return values, time.rate or 0.0, 0.0, 0
    values, rate, mended = clocks.regular_clock(
        seconds, values, time.rate, time.max_gap, source, n_filled
    )
    return values, rate, float(seconds[0]), mended


def find_stretches(seconds: np.ndarray, time: Time, source: str) -> list[slice]:
    """The stretches without a gap that is too long; one where the card does not split."""
    if not time.split:
        return [slice(0, len(seconds))]
    clocks.check_stamps(seconds, source)
    longest = max(time.max_gap, 1.5 / (time.rate or clocks.find_rate(seconds)))
    edges = [0, *(np.flatnonzero(np.diff(seconds) > longest) + 1), len(seconds)]
    return [slice(a, b) for a, b in itertools.pairwise(edges) if b - a > 1]


def has_zone(column: np.ndarray, unit: str | float) -> bool | None:
    """Whether stamps [T] of text have a time zone; None where they have no date either."""
    if unit == "ISO 8601" and len(column):
        return ZONE.search(column[0]) is not None
    return "%z" in str(unit) if "%d" in str(unit) else None


def _parse_texts(column: np.ndarray, unit: str, source: str) -> np.ndarray:
    """Seconds since 1970 or midnight."""
    known: dict[str, Callable[[str], float]] = {"hh:mm:ss": _parse_clock, "ISO 8601": _parse_iso}
    parse = known.get(unit) or functools.partial(_parse_format, form=unit)
    if unit == "ISO 8601" and len({ZONE.search(text) is None for text in column.tolist()}) > 1:
        raise UserError(f"{source}: some time stamps have a time zone, others have none")
    values = np.empty(len(column))
    for row, text in enumerate(column.tolist()):
        try:
            values[row] = parse(text)
        except ValueError:
            raise UserError(
                f'{source}: the time stamp of row {row} is "{printable_name(text)}", no {unit}'
            ) from None
    return values


def _parse_clock(text: str) -> float:
    match = re.fullmatch(r"(\d{1,2}):(\d\d):(\d\d(?:[.,:]\d+)?)", text.strip())
    if not match:
        raise ValueError(text)
    hours, minutes, seconds = match.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(re.sub("[,:]", ".", seconds))


def _parse_format(text: str, form: str) -> float:
    moment = datetime.datetime.strptime(text.strip(), form)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()


def _parse_iso(text: str) -> float:
    moment = datetime.datetime.fromisoformat(re.sub(r"\s*UTC$", "+00:00", text.strip()))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()
