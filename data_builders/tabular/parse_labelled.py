"""Read the tables of a card that say where windows lie and what is measured there.

[activity], [events], [target] and [labels]: each function takes the table as it was written, or
None where the card has none.
"""

import math

from imujax.data.sensor_events import SensorEvents
from imujax.data_builders.tabular import keys, kinds
from imujax.data_builders.tabular.card import (
    CLASS,
    CURVE,
    FROM_START,
    SAMPLES,
    Activity,
    Events,
    Labels,
    Signal,
    Target,
    Time,
    is_text,
)
from imujax.errors import UserError


def parse_activity(table: dict | None) -> Activity | None:
    if table is None:
        return None
    t = kinds.complete_table(table, "activity", keys.ACTIVITY)
    return Activity(t["file"], keys.read_layout(t), t["name"], t["start"], t["end"], t["unit"])


def parse_labels(table: dict | None) -> Labels | None:
    if table is None:
        return None
    t = kinds.complete_table(table, "labels", keys.LABELS)
    fields = dict.fromkeys(("column", "unit"), (kinds.text, kinds.REQUIRED))
    targets = []
    for i, target in enumerate(t["targets"]):
        one = kinds.complete_table(
            target, f"labels.targets[{i}]", fields | {"name": (kinds.text, None)}
        )
        targets.append((one["column"], one["name"] or one["column"], one["unit"]))
    if not targets and t["activity"] is None:
        raise UserError(
            '[labels] needs "targets", numbers that were measured, or "activity", a column of words'
        )
    return Labels(
        t["file"],
        keys.read_layout(t),
        t["subject"],
        t["recording"],
        t["time"],
        t["time_unit"],
        tuple(targets),
        t["activity"],
    )


def parse_events(table: dict | None) -> Events | None:
    if table is None:
        return None
    t = kinds.complete_table(table, "events", keys.EVENTS)
    if t["sensor"] is not None:
        return _parse_sensor_events(t, set(table))
    if set(table) & set(keys.OF_SENSOR):
        extra = min(set(table) & set(keys.OF_SENSOR))
        raise UserError(f'[events] has "{extra}" without "sensor", the one that shows the events')
    rule = (t["distance"], t["hold"], t["below"], t["peak"])
    if t["times"]:
        if set(table) - {"times", "time_unit"}:
            extra = min(set(table) - {"times", "time_unit"})
            raise UserError(f'[events] gives "times", so "{extra}" has no place in it')
        if is_text(t["time_unit"]):
            raise UserError(f'[events] gives numbers as "times", and time_unit {t["time_unit"]!r}')
        return Events(t["times"], t["time_unit"], None, None, *rule)
    if t["level"] is not None:
        if is_text(t["time_unit"]) or t["time_unit"] in (*SAMPLES, *FROM_START):
            raise UserError(
                f'"events.time_unit" is {t["time_unit"]!r}, and that goes for times alone'
            )
        return Events((), "s", _parse_signal(t, "events"), t["level"], *rule)
    if t["column"] is None or t["file"] is None:
        raise UserError(
            '[events] needs "times", or "file" and "column" of event times, or "column" and '
            '"level", or "sensor" and "contacts" or "peaks"'
        )
    rule_keys = {"distance", "hold", "below", "peak", "rate", "time", "scale", "lowpass", "max_gap"}
    if set(table) & rule_keys:
        extra = min(set(table) & rule_keys)
        raise UserError(f'[events] has no "level", so "{extra}" has no place in it')
    return Events((), t["time_unit"], _times_signal(t), None, *rule)


def _parse_sensor_events(t: dict, given: set[str]) -> Events:
    """Contacts or peaks of a sensor, from the checked table and the keys that it gives."""
    if (t["contacts"] is None) == (t["peaks"] is None):
        raise UserError('[events] of a "sensor" needs one of "contacts" and "peaks"')
    known = {"sensor", "contacts"}
    if t["peaks"] is not None:
        known = {"distance", "scale", *keys.OF_SENSOR}
        if t["height"] is None and t["prominence"] is None:
            raise UserError('[events] of "peaks" needs a "height", a "prominence", or both')
    if given - known:
        way = "contacts" if t["contacts"] else "peaks"
        raise UserError(f'[events] looks for "{way}", so "{min(given - known)}" has no place in it')
    rule = {key: t[key] for key in (*keys.OF_SENSOR, "distance", "scale")}
    rule["peaks"] = t["peaks"] or "acc"
    of_sensor = SensorEvents(**rule)
    return Events((), "s", None, None, 0.0, 0.0, 0.0, -math.inf, of_sensor)


def parse_targets(tables: tuple[dict, ...] | None) -> tuple[Target, ...]:
    targets = tuple(_parse_target(table) for table in tables or ())
    names = [target.name for target in targets]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f'two [[target]] have the name "{twice}": give each its own')
    words = {"activity", "condition"}.intersection(names)
    if words:
        raise UserError(
            f'a [[target]] has the name "{min(words)}", which is that of a word of every window: '
            "take another"
        )
    curves = {target.every: target.name for target in targets if target.is_curve}
    if len(curves) > 1:
        (one, name), (other, other_name), *_ = curves.items()
        raise UserError(
            f'the curve "{name}" has every = {one} and "{other_name}" every = {other}: give all '
            "curves the same"
        )
    return targets


def _parse_target(table: dict) -> Target:
    t = kinds.complete_table(table, "target", keys.TARGET)
    if t["statistic"] == CLASS:
        return _make_class(t, set(table))
    if t["classes"]:
        raise UserError(f'[target] has "classes", and the statistic is no "{CLASS}"')
    if t["unit"] is None:
        raise UserError('the key "target.unit" is missing')
    is_curve = t["statistic"] == CURVE
    if is_curve and (extra := set(table) & {"from", "to", "to_share", "level", "until"}):
        raise UserError(
            f'[target] is a "{CURVE}" over the whole window, so "{min(extra)}" has no place in it'
        )
    if t["every"] is not None and not is_curve:
        raise UserError(
            f'[target] has "every", and the statistic is neither "{CURVE}" nor "{CLASS}"'
        )
    is_times = t["statistic"] == "duration" and t["level"] is None
    if t["statistic"] != "duration" and (t["level"] is not None or t["until"] is not None):
        raise UserError('[target] has "level" or "until", and the statistic is no "duration"')
    if is_times and (t["file"] is None or t["column"] is None or t["until"] is not None):
        raise UserError(
            '[target] is a "duration": give the "level" up to whose crossing it runs, or "file" '
            'and "column" of event times'
        )
    is_of_events = is_text(t["time_unit"]) or t["time_unit"] in (*SAMPLES, *FROM_START)
    if is_of_events and not is_times:
        raise UserError(
            f'"target.time_unit" is {t["time_unit"]!r}, and that goes for event times alone'
        )
    if t["statistic"] == "value":
        if t["to"] is not None or t["to_share"] is not None:
            raise UserError('[target] takes the "value" at "from", so it has no "to" or "to_share"')
    elif not is_curve and (t["to"] is None) == (t["to_share"] is None):
        raise UserError('[target] needs one of "to" [s after the event] and "to_share"')
    if t["to"] is not None and t["to"] <= t["from"]:
        raise UserError('"target.to" must be later than "target.from"')
    return Target(
        name=t["name"],
        unit=t["unit"],
        signal=_times_signal(t) if is_times else _parse_signal(t, "target"),
        start=t["from"],
        end=t["to"],
        end_share=t["to_share"],
        statistic=t["statistic"],
        divide_by=t["divide_by"],
        level=t["level"],
        until=t["until"] or "below",
        time_unit=t["time_unit"],
        every=t["every"] or 1,
    )


def _make_class(t: dict, given: set[str]) -> Target:
    """A class, from the checked table and the keys that it gives."""
    if extra := given - {"name", "statistic", "classes", "every"}:
        raise UserError(
            f'[target] is a "{CLASS}", whose words are the activities of the recording, so '
            f'"{min(extra)}" has no place in it'
        )
    if not t["classes"]:
        raise UserError(f'[target] is a "{CLASS}" and needs "classes", its words')
    return Target(
        name=t["name"],
        unit="",
        signal=None,
        start=0.0,
        end=None,
        end_share=None,
        statistic=CLASS,
        divide_by=(),
        every=t["every"] or 1,
        classes=t["classes"],
    )


def _parse_signal(table: dict, name: str) -> Signal:
    """The signal of [events] or [target]: with `file` it needs a clock of its own."""
    if table["column"] is None:
        raise UserError(f'the key "{name}.column" is missing')
    time = None
    if table["file"] is not None:
        time = Time(table["time"], table["time_unit"], table["rate"], table["max_gap"])
        if time.column is None and time.rate is None:
            raise UserError(f'[{name}] reads another file and needs its "time" column or "rate"')
    elif table["time"] is not None or table["rate"] is not None:
        raise UserError(f'[{name}] has "time" or "rate" without "file": its clock is [time]')
    return Signal(
        table["column"],
        table["file"],
        keys.read_layout(table),
        time,
        table["scale"],
        table["lowpass"],
    )


def _times_signal(table: dict) -> Signal:
    """A column of times in a file."""
    return Signal(table["column"], table["file"], keys.read_layout(table), None, 1.0, None)
