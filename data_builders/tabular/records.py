"""From the tables that a card describes to Recordings in SI units on a regular clock."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imujax.data import clocks, sensor_events, windows
from imujax.data.recordings import Channel, Interval, Recording
from imujax.data_builders.tabular import events, labels, readers, sensors, sentences, stamps, tables
from imujax.data_builders.tabular.card import (
    FROM_START,
    SAMPLES,
    Card,
    Quantity,
    Signal,
    fill_template,
    is_text,
)
from imujax.data_builders.tabular.sources import Item, resolve_path
from imujax.errors import UserError


class Read(NamedTuple):
    """A recording, how many of its samples were interpolated, and what tables say of its events.

    Attributes
    ----------
    recording : Recording
        Labelled ones have the times of their events under "events".
    mended : int
    targets : ndarray, [E, K], or None
        From a table of labels; None where channels have them, or nothing has.
    activities : ndarray of str, [E], or None
        From a table of labels that tells them.
    condition : str
        Of the named group `condition`, or nothing.
    """

    recording: Recording
    mended: int
    targets: np.ndarray | None
    activities: np.ndarray | None
    condition: str


def read_recordings(card: Card, item: Item) -> Iterator[Read]:
    """The recordings of one item, one for each row of a data set, each person in its columns, each
    side and each stretch that the card splits it into.
    """
    of_sides = [{**item.groups, "side": side} for side in card.sides or ("",)]
    columns = dict.fromkeys(name for groups in of_sides for name in _columns_in_file(card, groups))
    texts = [name for groups in of_sides for name in stamps.text_columns(card.time, groups)]
    texts += card.columns.names
    numbers = [name for name in columns if name not in texts]
    for suffix, source, table in tables.read_own(card, item, numbers, texts):
        for part, named in _split_people(card, table, source):
            for groups in of_sides:
                try:
                    yield from _make_recordings(card, item, part, suffix, groups | named, source)
                except clocks.ClockError as error:
                    raise stamps.explain(error) from None


def _split_people(card: Card, table: dict, source: str) -> Iterator[tuple[dict, dict[str, str]]]:
    """(rows, groups) of each subject and recording that the table's own columns name."""
    keys = {name: getattr(card.columns, name) for name in ("subject", "recording")}
    keys = {name: column for name, column in keys.items() if column}
    if not keys:
        yield table, {}
        return
    values = np.stack([table[column] for column in keys.values()], axis=1)
    if (values == "").any():
        row, which = np.argwhere(values == "")[0]
        raise UserError(f'{source}: column "{list(keys.values())[which]}" of row {row} is empty')
    for value in dict.fromkeys(map(tuple, values.tolist())):
        rows = (values == np.array(value)).all(axis=1)
        yield (
            {name: column[rows] for name, column in table.items()},
            dict(zip(keys, value, strict=True)),
        )


def _signals_in_file(card: Card) -> dict[str, Signal]:
    """The signals that are columns of the recording's own file."""
    return {name: signal for name, signal in card.signals.items() if signal.file is None}


def _columns_in_file(card: Card, groups: dict[str, str]) -> list[str]:
    """All columns wanted from the recording's own file for one side."""
    names = [card.time.stamps] if card.time.stamps else []
    names += [signal.column for signal in _signals_in_file(card).values()]
    bodies = (card.mass, card.height)
    names += [q.column for q in bodies if q and q.column and q.file is None]
    return [*sensors.own_columns(card, groups), *(fill_template(name, groups) for name in names)]


def _make_recordings(
    card: Card, item: Item, table: dict, suffix: str, groups: dict[str, str], source: str
) -> Iterator[Read]:
    """One side of one table: its stretches."""
    imu = list(dict.fromkeys(sensors.own_columns(card, groups)))
    seconds, origin, zone, twice, stretches = None, 0.0, None, 0, [slice(None)]
    if card.time.stamps:
        clock = table[fill_template(card.time.stamps, groups)]
        if any(axes.has_own_clock for axes in card.axes):
            table = sensors.without_tail(table, clock)
            clock = table[fill_template(card.time.stamps, groups)]
        seconds, origin = stamps.to_seconds(clock, card.time, source)
        zone = stamps.has_zone(clock, card.time.unit) if clock.dtype.kind == "U" else None
        table, seconds, twice = stamps.without_repeats(table, seconds, card.time)
        stretches = stamps.find_stretches(seconds, card.time, source)
    others = sensors.read_others(card, item, suffix, groups, origin)
    signals = _signals_in_file(card)
    for part in stretches:
        rows = {name: column[part] for name, column in table.items()}
        clock = None if seconds is None else seconds[part]
        own = (imu, sensors.read_track(rows, imu, clock, card.time, source)) if imu else None
        columns, rate, start, mended = sensors.join_tracks(own, others, source)
        start += origin
        acc, gyr = sensors.convert_sensors(card, columns, groups)
        channels = {}
        for name, signal in card.signals.items():
            if name in signals:
                column = rows[fill_template(signal.column, groups)]
                values, own_rate, own_start, _ = stamps.put_on_clock(
                    column, clock, card.time, source
                )
                channels[name] = _make_channel(
                    signal, values, own_rate, own_start + origin, card.time.max_gap, source
                )
            elif signal.time:
                channels[name] = _read_channel(signal, item.raw, groups, start)
        end = start + len(acc) / rate
        index = stamps.EventClock(None if seconds is None else seconds + origin, start, rate, zone)
        recording_id = groups.get("recording") if card.columns.recording else item.recording
        targets = activities = None
        if card.labels:
            times, targets, activities = labels.find_rows(
                card.labels, item.raw, groups, str(recording_id), index
            )
        elif card.events and card.events.of_sensor:
            names = [sensor.name for sensor in card.sensors]
            rule = card.events.of_sensor
            times = start + sensor_events.find(rule, acc, gyr, rate, names, source)
        else:
            times = _event_times(card, item.raw, groups, channels, index, end, source)
        _require_on_clock(times, index, end, source)
        if len(stretches) > 1:  # each event is of one of them
            inside = (times >= start) & (times < end)
            times = times[inside]
            targets, activities = (
                x[inside] if x is not None else None for x in (targets, activities)
            )
        side = f"/{groups['side']}" if groups["side"] else ""
        intervals = _read_intervals(card, item.raw, groups, index)
        if card.columns.activity:
            when = start + np.arange(len(acc)) / rate if clock is None else clock + origin
            intervals = _find_intervals(rows[card.columns.activity], when, 1 / rate)
        recording = Recording(
            subject=groups["subject"],
            recording=f"{recording_id}{suffix}{side}",
            sensors=tuple(s.name for s in card.sensors),
            rate=rate,
            acc=acc,
            gyr=gyr,
            source=source,
            intervals=intervals,
            channels=channels,
            events=({"events": times} if card.events or card.labels else {})
            | _target_times(card, item.raw, groups, index),
            mass=_read_body(card.mass, item.raw, groups, table, source),
            height=_read_body(card.height, item.raw, groups, table, source),
            start=start,
            rest_error=card.rest_error,
            origin=origin,
            interpolated=mended,
            warnings=(*_repeats(twice), *sensors.upside_down(card, acc, gyr, rate)),
        )
        yield Read(recording, mended, targets, activities, groups.get("condition", ""))


def _repeats(count: int) -> list[str]:
    return [f"{count} rows that repeat the one before were left out"] if count else []


def _find_intervals(names: np.ndarray, time: np.ndarray, step: float) -> tuple[Interval, ...]:
    """Runs of rows with one name, each up to the next row; rows without one are in none."""
    ends = np.append(time, time[-1] + step)
    edges = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1), len(names)]
    return tuple(
        Interval(str(names[a]), float(time[a]), float(ends[b]))
        for a, b in itertools.pairwise(edges)
        if names[a]
    )


def _make_channel(
    signal: Signal, values: np.ndarray, rate: float, start: float, max_gap: float, source: str
) -> Channel:
    values = values * signal.scale
    if signal.lowpass:
        filled, is_gap = clocks.fill_short_gaps(values[:, None], rate, max_gap, source)
        values = np.where(is_gap, np.nan, windows.lowpass(filled[:, 0], rate, signal.lowpass))
    return Channel(values, rate, "", start)


def _read_channel(signal: Signal, raw: Path, groups: dict[str, str], start: float) -> Channel:
    """A signal of another file; with a rate alone it begins with the recording, at `start`."""
    path = resolve_path(raw, signal.file, groups)
    column = fill_template(signal.column, groups)
    clock = signal.time.column and fill_template(signal.time.column, groups)
    table = readers.read_table(path, signal.layout, [column, *([clock] if clock else [])])
    if not clock:
        values, rate, _, _ = stamps.put_on_clock(table[column], None, signal.time, str(path))
        return _make_channel(signal, values, rate, start, signal.time.max_gap, str(path))
    seconds, origin = stamps.to_seconds(table[clock], signal.time, str(path))
    values, rate, first, _ = stamps.put_on_clock(table[column], seconds, signal.time, str(path))
    return _make_channel(signal, values, rate, first + origin, signal.time.max_gap, str(path))


def _event_times(
    card: Card,
    raw: Path,
    groups: dict[str, str],
    channels: dict[str, Channel],
    index: stamps.EventClock,
    end: float,
    source: str,
) -> np.ndarray:
    """Times [s] of the events on the recording's clock, which ends at `end`."""
    rule = card.events
    if rule is None:
        return np.zeros(0)
    if rule.times:
        offset = 0.0 if rule.unit in (*SAMPLES, *FROM_START) else index.start
        return index.to_seconds(np.array(rule.times), rule.unit) + offset
    if rule.level is None:
        return _read_times(rule.signal, rule.unit, raw, groups, index)
    channel = channels["events"]
    if not np.isfinite(channel.values).all():
        raise UserError(
            f"{source}: {rule.signal.column} has values that are missing, so events may be too: "
            "fill them in (with 0 where there is no contact)"
        )
    first = next(iter(card.numbers.values()), None)
    return events.find_crossings(channel, rule, first, index.start, end)


def _require_on_clock(times: np.ndarray, index: stamps.EventClock, end: float, source: str) -> None:
    """UserError for events that lie on no recording, but would if they counted from its start."""
    last = end if index.seconds is None else float(np.nanmax(index.seconds))
    begin, seconds = index.begin, last - index.begin
    if not len(times) or begin <= seconds:
        return
    if ((times >= 0) & (times <= seconds)).all():
        raise UserError(
            f"{source}: its events lie at {times[0]:.6g} to {times[-1]:.6g} s, and its clock runs "
            f"from {begin:.10g} s on: if they count from the start of the file, say so by "
            'time_unit = "s from start"'
        )


def _target_times(
    card: Card, raw: Path, groups: dict[str, str], index: stamps.EventClock
) -> dict[str, np.ndarray]:
    """The second events, up to which durations run, where the card has them in a file."""
    return {
        key: _read_times(target.signal, target.time_unit, raw, groups, index)
        for key, target in card.numbers.items()
        if target.statistic == "duration" and target.level is None
    }


def _read_times(
    signal: Signal, unit: str, raw: Path, groups: dict[str, str], index: stamps.EventClock
) -> np.ndarray:
    """A column of event times, ascending [s]."""
    column = fill_template(signal.column, groups)
    path = resolve_path(raw, signal.file, groups)
    numbers, texts = ([], [column]) if is_text(unit) else ([column], [])
    values = readers.read_table(path, signal.layout, numbers, texts)[column]
    times = index.to_seconds(values, unit, str(path))
    return np.sort(times[np.isfinite(times)])


def _read_intervals(
    card: Card, raw: Path, groups: dict[str, str], index: stamps.EventClock
) -> tuple[Interval, ...]:
    activity = card.activity
    if activity is None:
        return ()
    path = resolve_path(raw, activity.file, groups)
    name, start, end = (
        fill_template(n, groups) for n in (activity.name, activity.start, activity.end)
    )
    numbers, texts = ([], [start, end]) if is_text(activity.unit) else ([start, end], [])
    table = readers.read_table(path, activity.layout, numbers, [*texts, name])
    begins, ends = (index.to_seconds(table[key], activity.unit, str(path)) for key in (start, end))
    intervals = []
    for row, (label, a, b) in enumerate(zip(table[name], begins, ends, strict=True)):
        if not a < b:  # NaN too
            raise UserError(
                f"{path}: interval {row + 1} ({label}) runs from {_as_read(table[start][row])} to "
                f"{_as_read(table[end][row])}"
            )
        intervals.append(Interval(str(label), float(a), float(b)))
    return tuple(intervals)


def _as_read(value: float | str) -> str:
    return sentences.printable_name(value) if isinstance(value, str) else f"{value:g}"


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
        is_subject = rows[quantity.key] == sentences.tidy_name(groups["subject"])
        if not is_subject.any():
            raise UserError(
                f"{path}: no row for subject {groups['subject']}"
                + sentences.suggest_names(groups["subject"], dict.fromkeys(rows[quantity.key]))
            )
        values = rows[column][is_subject]
    if not np.isfinite(values).all() or np.ptp(values) > 0.01 * abs(values[0]):
        subject = groups["subject"]
        raise UserError(f"{source}: {column} of subject {subject} must be one number without gaps")
    return float(values[0]) * quantity.unit
