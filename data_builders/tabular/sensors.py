"""The sensors of a recording from one file or several, each with its own clock, on one grid."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from imujax.data import clocks, doubts, gravity, windows
from imujax.data.recordings import rotate, to_si
from imujax.data_builders.tabular import readers, stamps, tables
from imujax.data_builders.tabular.card import Axes, Card, Layout, Time, fill_template
from imujax.data_builders.tabular.sources import Item, resolve_path
from imujax.errors import UserError

MOST = 1e9  # in any unit, and in counts of 24 bits
SAME_RATE = 0.01  # share by which two clocks may differ and still count as one rate

OWN = (None, ())  # the place of what has the clock of the recording's own file

Table = dict[str, np.ndarray]


class Source(NamedTuple):
    """A clock: that of a file, or another one in the recording's own."""

    file: str | None
    layout: Layout
    time: Time
    shift: float

    @property
    def place(self) -> tuple:
        """As of `Axes`."""
        return self.file, self.layout.where


class Track(NamedTuple):
    """Columns on a regular clock: values [N, C], rate [Hz], time of the first [s], interpolated."""

    values: np.ndarray
    rate: float
    start: float
    mended: int


def own_columns(card: Card, groups: dict[str, str]) -> list[str]:
    """Columns of the sensors that have the clock of the recording's own file."""
    axes = [axes for axes in card.axes if axes.time is None]
    return [fill_template(name, groups) for a in axes for name in a.names]


def without_tail(table: Table, clock: np.ndarray) -> Table:
    """Without the last rows, of a longer table beside this one, in which its clock has nothing."""
    is_there = clock != "" if clock.dtype.kind == "U" else np.isfinite(clock)
    count = int(np.flatnonzero(is_there)[-1]) + 1 if is_there.any() else 0
    return {name: column[:count] for name, column in table.items()}


def read_track(
    table: Table, columns: list[str], seconds: np.ndarray | None, time: Time, source: str
) -> Track:
    """Put columns of one file on a regular clock, with their holes filled.

    Parameters
    ----------
    table : dict of ndarray
    columns : list of str
        Of the table.
    seconds : ndarray or None
        Of the rows; None where the rate alone is known.
    time : Time
    source : str
        The file name that error sentences show.

    Returns
    -------
    Track
    """
    stack = np.stack([table[name] for name in columns], axis=1)
    if len(wild := np.argwhere(np.abs(stack) > MOST)):
        row, column = wild[0]
        raise UserError(
            f'{source}: row {row} has {stack[row, column]:.3g} in column "{columns[column]}": no '
            "sensor reads that; damaged?"
        )
    for first in range(0, len(columns) - 2, 3):  # as far as the axes of a sensor stand together
        doubts.require_no_marks(stack[:, first : first + 3], source)
    values, rate, start, gaps = stamps.put_on_clock(stack, seconds, time, source, len(columns))
    values, holes = clocks.fill_gaps(values, rate, time.max_gap, source)
    return Track(values, rate, start, gaps + holes)


def read_others(
    card: Card, item: Item, suffix: str, groups: dict[str, str], origin: float
) -> dict[Source, tuple[list[str], Track]]:
    """The columns of the sensors that have other clocks, a track a clock.

    Parameters
    ----------
    card : Card
    item : Item
    suffix : str
        Of the recording, as of `tables.read_own`.
    groups : dict of str
        What stands in braces.
    origin : float
        What the times of tracks count from [s].

    Returns
    -------
    dict
        By source the names of the columns, and their track.
    """
    wanted: dict[Source, list[str]] = {}
    for axes in card.axes:
        if axes.time is not None:
            names = wanted.setdefault(Source(axes.file, axes.layout, axes.time, axes.shift), [])
            names += [fill_template(name, groups) for name in axes.names]
    tracks = {}
    for source, names in wanted.items():
        columns, time = list(dict.fromkeys(names)), source.time
        clock = [fill_template(time.stamps, groups)] if time.stamps else []
        texts = stamps.text_columns(time, groups)
        numbers = [name for name in [*columns, *clock] if name not in texts]
        if source.file is None:
            read = tables.read_own(card, item, numbers, texts, source.layout.where)
            name, table = next((name, table) for end, name, table in read if end == suffix)
        else:
            path = resolve_path(item.raw, source.file, groups)
            name, table = str(path), readers.read_table(path, source.layout, numbers, texts)
        seconds = None
        if clock:
            table = without_tail(table, table[clock[0]]) if source.file is None else table
            seconds, zero = stamps.to_seconds(table[clock[0]], time, name)
            table, seconds, _ = stamps.without_repeats(table, seconds, time)
            seconds = seconds + (zero - origin)
        track = read_track(table, columns, seconds, time, name)
        tracks[source] = columns, track._replace(start=track.start + source.shift)
    return tracks


def join_tracks(
    own: tuple[list[str], Track] | None,
    others: dict[Source, tuple[list[str], Track]],
    name: str,
) -> tuple[dict[tuple, np.ndarray], float, float, int]:
    """Lay tracks of several files on one grid, over the time that all have.

    Parameters
    ----------
    own : (list of str, Track) or None
        Columns of the recording's own file.
    others : dict
        Of `read_others`.
    name : str
        Of the recording, for the sentence.

    Returns
    -------
    columns : dict of ndarray, [N]
        By (place, column).
    rate : float
        That of the first track [Hz].
    start : float
        Of the grid [s].
    mended : int
        Samples interpolated, of all tracks.

    Raises
    ------
    UserError
        The files have no time in common.
    """
    tracks = [(OWN, *own)] if own else []
    tracks += [(source.place, *both) for source, both in others.items()]
    first = tracks[0][2]
    mended = sum(track.mended for _, _, track in tracks)
    if len(tracks) == 1:
        place, columns, track = tracks[0]
        values = {(place, c): track.values[:, i] for i, c in enumerate(columns)}
        return values, track.rate, track.start, mended
    same = [_at_rate(track, first.rate) for _, _, track in tracks]
    start = max(track.start for track in same)
    end = min(track.start + (len(track.values) - 1) / track.rate for track in same)
    if end <= start:
        raise UserError(
            f"{name}: its files have no time in common: clocks of different devices? The last "
            f"begins at {start:.2f} s, the first ends at {end:.2f} s"
        )
    grid = start + np.arange(int((end - start) * first.rate + 1e-6) + 1) / first.rate
    values = {}
    for (place, columns, _), track in zip(tracks, same, strict=True):
        time = track.start + np.arange(len(track.values)) / track.rate
        for i, column in enumerate(columns):
            values[place, column] = np.interp(grid, time, track.values[:, i])
    return values, first.rate, start, mended


def _at_rate(track: Track, rate: float) -> Track:
    """The track at nearly that rate: by the anti-alias filter where the rates differ."""
    if abs(track.rate / rate - 1) <= SAME_RATE:
        return track
    return track._replace(values=windows.resample(track.values, track.rate, rate), rate=rate)


def convert_sensors(
    card: Card, columns: dict[tuple, np.ndarray], groups: dict[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """Put the columns of all sensors together.

    Parameters
    ----------
    card : Card
    columns : dict of ndarray, [N]
        By (place, column).
    groups : dict of str
        What stands in braces.

    Returns
    -------
    acc, gyr : ndarray, [N, S, 3]
        m/s^2 and rad/s.
    """
    both = []
    for kind in ("acc", "gyr"):
        of_sensors = []
        for sensor in card.sensors:
            values = _convert_axes(getattr(sensor, kind), columns, groups)
            of_sensors.append(rotate(values, sensor.frame) if sensor.frame else values)
        both.append(np.stack(of_sensors, axis=1))
    return both[0], both[1]


def upside_down(card: Card, acc: np.ndarray, gyr: np.ndarray, rate: float) -> Iterator[str]:
    """Warn of units that rest with gravity on a negative axis, if the card says nothing of it.

    Parameters
    ----------
    card : Card
    acc, gyr : ndarray, [N, S, 3]
        m/s^2 and rad/s.
    rate : float
        Hz

    Yields
    ------
    str
        A sentence that begins with the sensor.
    """
    for s, sensor in enumerate(card.sensors):
        if sensor.frame or sensor.acc.factor < 0:
            continue
        if down := gravity.axis_down(acc[:, s], gyr[:, s], rate):
            axis, reading = down
            yield (
                f"sensor {sensor.name}: at rest {axis} reads {reading:.1f} m/s^2, and an axis that "
                f"points up reads +{gravity.G:.2f}: if that axis does point up, the sign of the "
                "accelerations is wrong (acc_factor = -1), as with iOS"
            )


def _convert_axes(axes: Axes, columns, groups: dict[str, str]) -> np.ndarray:
    """[N, 3] in SI units."""
    parts = []
    for names, offset in zip(axes.columns, axes.offset, strict=True):
        added = [columns[axes.place, fill_template(name, groups)] for name in names]
        total = sum(added[1:], added[0])
        parts.append(total + offset if offset else total)
    values = np.stack(parts, axis=1)
    return to_si(values * axes.factor if axes.factor != 1 else values, axes.unit)
