"""From the tables that a card describes to Recordings in SI units on a regular clock."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from imujax.data import clocks, windows
from imujax.data.recordings import Channel, Interval, Recording, rotate, to_si
from imujax.data_builders.tabular import events, hdf5, kinds, readers, stamps
from imujax.data_builders.tabular.card import (
    TEXT_STAMPS,
    TIME_UNITS,
    Card,
    Quantity,
    Signal,
    Time,
    fill_template,
)
from imujax.data_builders.tabular.sources import Item, resolve_path
from imujax.errors import UserError


def read_recordings(card: Card, item: Item) -> Iterator[tuple[Recording, int]]:
    """The recordings of one item, one for each row of a data set, each side and each stretch that
    the card splits it into, and how many of its samples were interpolated.

    Labelled ones have the channel "target" and the times of their events under "events".
    """
    path = item.paths[0]
    of_sides = [{**item.groups, "side": side} for side in card.sides or ("",)]
    columns = dict.fromkeys(name for groups in of_sides for name in _columns_in_file(card, groups))
    texts = [name for name in columns if name in _text_columns(card, of_sides)]
    numbers = [name for name in columns if name not in texts]
    if card.hdf5:
        tables = hdf5.read_recordings(path, item.dataset, card.hdf5, numbers)
    else:
        tables = [("", readers.read_table(path, card.layout, numbers, texts))]
    for suffix, table in tables:
        source = f"{path} ({item.dataset}{suffix})" if card.hdf5 else str(path)
        for groups in of_sides:
            try:
                yield from _make_recordings(card, item, table, suffix, groups, source)
            except clocks.ClockError as error:
                raise stamps.explain(error) from None


def _text_columns(card: Card, of_sides: list[dict[str, str]]) -> set[str]:
    """Stamps that are text."""
    column = card.time.column
    if column is None or card.time.unit not in TEXT_STAMPS:
        return set()
    return {fill_template(column, groups) for groups in of_sides}


def _signals_in_file(card: Card) -> dict[str, Signal]:
    """The signals that are columns of the recording's own file."""
    parts = {"events": card.events, "target": card.target}
    signals = {name: part.signal for name, part in parts.items() if part and part.signal}
    return {name: signal for name, signal in signals.items() if signal.file is None}


def _columns_in_file(card: Card, groups: dict[str, str]) -> list[str]:
    """All columns wanted from the recording's own file for one side."""
    names = [name for sensor in card.sensors for name in (*sensor.acc, *sensor.gyr)]
    names += [card.time.stamps] if card.time.stamps else []
    names += [signal.column for signal in _signals_in_file(card).values()]
    bodies = (card.mass, card.height)
    names += [q.column for q in bodies if q and q.column and q.file is None]
    return [fill_template(name, groups) for name in names]


def _make_recordings(
    card: Card, item: Item, table: dict, suffix: str, groups: dict[str, str], source: str
) -> Iterator[tuple[Recording, int]]:
    """One side of one table: its stretches, and how many of their samples were interpolated."""
    imu_columns = [fill_template(name, groups) for s in card.sensors for name in (*s.acc, *s.gyr)]
    own_signals = _signals_in_file(card)
    columns = imu_columns + [
        fill_template(signal.column, groups) for signal in own_signals.values()
    ]
    stack = np.stack([table[name] for name in columns], axis=1)
    seconds, origin, stretches = None, 0.0, [slice(None)]
    if card.time.stamps:
        clock = table[fill_template(card.time.stamps, groups)]
        seconds, origin = stamps.to_seconds(clock, card.time, source)
        stretches = stamps.find_stretches(seconds, card.time, source)
    for part in stretches:
        values, rate, start, gaps = _put_on_clock(
            stack[part],
            None if seconds is None else seconds[part],
            card.time,
            0.0,
            source,
            len(imu_columns),
        )
        start += origin
        imu, holes = clocks.fill_gaps(
            values[:, : len(imu_columns)], rate, card.time.max_gap, source
        )
        acc, gyr = _convert_sensors(card, imu)
        channels = {}
        for name, described in (("events", card.events), ("target", card.target)):
            if name in own_signals:
                column = values[:, len(imu_columns) + list(own_signals).index(name)]
                channels[name] = _make_channel(
                    described.signal, column, rate, start, card.time.max_gap, source
                )
            elif described and described.signal and described.signal.time:
                channels[name] = _read_channel(described.signal, item.raw, groups, start)
        end = start + len(acc) / rate
        times = _event_times(card, item.raw, groups, channels, start, end, source)
        if len(stretches) > 1:  # each event is of one of them
            times = times[(times >= start) & (times < end)]
        recording = Recording(
            subject=item.groups["subject"],
            recording=item.recording + suffix + (f"/{groups['side']}" if groups["side"] else ""),
            sensors=tuple(s.name for s in card.sensors),
            rate=rate,
            acc=acc,
            gyr=gyr,
            source=source,
            intervals=_read_intervals(card, item.raw, groups),
            channels=channels,
            events={"events": times},
            mass=_read_body(card.mass, item.raw, groups, table, source),
            height=_read_body(card.height, item.raw, groups, table, source),
            start=start,
            rest_error=card.rest_error,
            origin=origin,
            interpolated=gaps + holes,
        )
        yield recording, gaps + holes


def _put_on_clock(
    values: np.ndarray,
    seconds: np.ndarray | None,
    time: Time,
    start: float,
    source: str,
    n_filled: int = 0,
) -> tuple[np.ndarray, float, float, int]:
    """(values [N, ...] on a regular clock, rate [Hz], time of the first [s], interpolated ones)."""
    if seconds is None:
        if not len(values):
            raise UserError(f"{source}: the table has no rows")
        return values, time.rate, start, 0
    values, rate, gaps = clocks.regular_clock(
        seconds, values, time.rate, time.max_gap, source, n_filled
    )
    return values, rate, float(seconds[0]), gaps


def _convert_sensors(card: Card, imu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns [T, S * 6] as read -> acc [T, S, 3] m/s^2 and gyr [T, S, 3] rad/s."""
    imu = imu.reshape(len(imu), len(card.sensors), 2, 3)
    acc, gyr = to_si(imu[:, :, 0], card.acc_unit), to_si(imu[:, :, 1], card.gyr_unit)
    for i, sensor in enumerate(card.sensors):
        if sensor.frame:
            acc[:, i] = rotate(acc[:, i], sensor.frame)
            gyr[:, i] = rotate(gyr[:, i], sensor.frame)
    return acc, gyr


def _make_channel(
    signal: Signal, values: np.ndarray, rate: float, start: float, max_gap: float, source: str
) -> Channel:
    values = values * signal.scale
    if signal.lowpass:
        values, _ = clocks.fill_gaps(values, rate, max_gap, f"{source}: {signal.column}")
        values = windows.lowpass(values, rate, signal.lowpass)
    return Channel(values, rate, "", start)


def _read_channel(signal: Signal, raw: Path, groups: dict[str, str], start: float) -> Channel:
    """A signal of another file; with a rate alone it begins with the recording, at `start`."""
    path = resolve_path(raw, signal.file, groups)
    column = fill_template(signal.column, groups)
    clock = signal.time.column and fill_template(signal.time.column, groups)
    table = readers.read_table(path, signal.layout, [column, *([clock] if clock else [])])
    seconds, origin = None, 0.0
    if clock:
        seconds, origin = stamps.to_seconds(table[clock], signal.time, str(path))
    values, rate, start, _ = _put_on_clock(table[column], seconds, signal.time, start, str(path))
    return _make_channel(signal, values, rate, start + origin, signal.time.max_gap, str(path))


def _event_times(
    card: Card,
    raw: Path,
    groups: dict[str, str],
    channels: dict[str, Channel],
    start: float,
    end: float,
    source: str,
) -> np.ndarray:
    """Times [s] of the events on the recording's clock, which runs from `start` to `end`."""
    rule = card.events
    if rule is None:
        return np.zeros(0)
    if rule.times:
        return start + np.array(rule.times) * TIME_UNITS[rule.unit]
    if rule.level is None:
        column = fill_template(rule.signal.column, groups)
        table = readers.read_table(
            resolve_path(raw, rule.signal.file, groups), rule.signal.layout, [column]
        )
        times = table[column] * TIME_UNITS[rule.unit]
        return np.sort(times[np.isfinite(times)])
    channel = channels["events"]
    if not np.isfinite(channel.values).all():
        raise UserError(
            f"{source}: {rule.signal.column} has values that are missing, so events may be too: "
            "fill them in (with 0 where there is no contact)"
        )
    return events.find_crossings(channel, rule, card.target, start, end)


def _read_intervals(card: Card, raw: Path, groups: dict[str, str]) -> tuple[Interval, ...]:
    activity = card.activity
    if activity is None:
        return ()
    path = resolve_path(raw, activity.file, groups)
    name, start, end = (
        fill_template(n, groups) for n in (activity.name, activity.start, activity.end)
    )
    table = readers.read_table(path, activity.layout, [start, end], [name])
    unit = TIME_UNITS[activity.unit]
    intervals = []
    for row, (label, a, b) in enumerate(zip(table[name], table[start], table[end], strict=True)):
        if not a < b:  # NaN too
            raise UserError(f"{path}: interval {row + 1} ({label}) runs from {a:g} to {b:g}")
        intervals.append(Interval(str(label), float(a) * unit, float(b) * unit))
    return tuple(intervals)


def _read_body(
    quantity: Quantity | None, raw: Path, groups: dict[str, str], table: dict, source: str
) -> float | None:
    """Mass [kg] or height [m]. A column of the recording's own file must not change."""
    if quantity is None or quantity.value is not None:
        return quantity and quantity.value
    column = fill_template(quantity.column, groups)
    if quantity.file is None:
        values = table[column]
    else:
        path = resolve_path(raw, quantity.file, groups)
        source = str(path)
        rows = readers.read_table(path, quantity.layout, [column], [quantity.key])
        is_subject = rows[quantity.key] == readers.tidy_name(groups["subject"])
        if not is_subject.any():
            raise UserError(
                f"{path}: no row for subject {groups['subject']}"
                + kinds.suggest_names(groups["subject"], dict.fromkeys(rows[quantity.key]))
            )
        values = rows[column][is_subject]
    if not np.isfinite(values).all() or np.ptp(values) > 0.01 * abs(values[0]):
        subject = groups["subject"]
        raise UserError(f"{source}: {column} of subject {subject} must be one number without gaps")
    return float(values[0]) * quantity.unit
