"""The clock of a table: stamps of any kind that a card can name, to seconds from the first one."""

import datetime
import itertools
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from imujax.data import clocks
from imujax.data_builders.tabular.card import (
    SAMPLES,
    TEXT_STAMPS,
    TIME_UNITS,
    Time,
    fill_template,
)
from imujax.data_builders.tabular.sentences import printable_name
from imujax.errors import UserError

DAY = 86400.0  # s
FAR = 1e4  # s: a clock that begins beyond counts from its first sample, as float32 cannot hold it

# What a card can say to a fault of the clock.
MENDS = {
    "blocks": "let [time] spread them evenly (spread = true)",
    "bursts": "let [time] spread them evenly (spread = true)",
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
    if time.unit in TEXT_STAMPS and time.column:
        seconds = _parse_texts(column, time.unit, source)
        if time.unit == "hh:mm:ss":  # midnight
            seconds += DAY * np.concatenate([[0], np.cumsum(np.diff(seconds) < -DAY / 2)])
        origin = float(seconds[0])
        seconds -= origin
    elif time.counter:
        seconds, origin = clocks.unwrap_counter(column, source) / (time.rate or 1.0), 0.0
        seconds -= seconds[:1]
    else:
        unit = TIME_UNITS[time.unit]
        first = float(column[0]) if len(column) else 0.0
        is_far = np.isfinite(first) and abs(first * unit) > FAR
        origin = first * unit if is_far else 0.0
        seconds = (column - first) * unit if is_far else column * unit
    return (clocks.spread_stamps(seconds, source) if time.spread else seconds), origin


class EventClock(NamedTuple):
    """How times in other tables are told on the clock of a recording.

    Attributes
    ----------
    seconds : ndarray, [T], or None
        Of each row of the recording's own file; None where the rate alone is known.
    start, rate : float
        s and Hz.
    """

    seconds: np.ndarray | None
    start: float
    rate: float

    def to_seconds(self, values: np.ndarray, unit: str, source: str = "") -> np.ndarray:
        """Read times.

        Parameters
        ----------
        values : ndarray, [E]
            Numbers in one of TIME_UNITS, rows in one of SAMPLES (beyond either end of the recording
            its rate goes on), or text in one of TEXT_STAMPS.
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
        if unit in TEXT_STAMPS:
            return self._read_texts(values, unit, source)
        if unit in TIME_UNITS:
            return values * TIME_UNITS[unit]
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
        if unit == "hh:mm:ss":
            times += DAY * np.round((self.start - times) / DAY)
        return times


def text_columns(time: Time, groups: Mapping[str, str]) -> list[str]:
    """The column of stamps, where they are text."""
    if time.column is None or time.unit not in TEXT_STAMPS:
        return []
    return [fill_template(time.column, groups)]


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


def _parse_texts(column: np.ndarray, unit: str, source: str) -> np.ndarray:
    """Seconds since 1970 or midnight."""
    parse: Callable[[str], float] = _parse_clock if unit == "hh:mm:ss" else _parse_iso
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


def _parse_iso(text: str) -> float:
    moment = datetime.datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()
