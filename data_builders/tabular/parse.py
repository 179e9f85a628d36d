"""Read a card: every key known, every value checked, and the tables consistent with each other.

Nothing in a card is executed: names with braces are filled in by plain replacement, and every path
stays below the raw folder.
"""

import math
import pathlib
import re
import tomllib

from imujax.data_builders.tabular import keys, kinds, parse_labelled, sentences
from imujax.data_builders.tabular.card import (
    BODY_UNITS,
    Axes,
    Card,
    Columns,
    Hdf5,
    Layout,
    Quantity,
    Sensor,
    Time,
    Window,
    is_text,
)
from imujax.errors import UserError

NO_WINDOW = {"rate": 1.0, "length": 1}  # that stands for none


def load_card(path: str | pathlib.Path, to_estimate: bool = False) -> Card:
    """Read and check a card.

    Parameters
    ----------
    path : str or Path
        A TOML file, UTF-8.
    to_estimate : bool
        Of recordings for a model, which knows its windows: [window] may be missing, and [events]
        may stand without [target].

    Returns
    -------
    Card
        Every key is known, every value checked, and the tables fit each other.

    Raises
    ------
    UserError
        Naming the card and the key.
    """
    path = pathlib.Path(path)
    try:
        return parse_card(path.read_text(encoding="utf-8"), path, to_estimate)
    except OSError as error:
        raise UserError(f"the card {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"the card {path} is not UTF-8 text: save it as UTF-8") from None


def parse_card(text: str, path: pathlib.Path, to_estimate: bool = False) -> Card:
    """The card in `text`; `path` gives its default name and stands in error sentences."""
    try:
        raw = tomllib.loads(text)
        return _build_card({"window": NO_WINDOW} | raw if to_estimate else raw, path, to_estimate)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"the card {path.name} is not valid TOML: {error}") from None
    except UserError as error:
        raise UserError(f"the card {path.name}: {error}") from None


def _build_card(raw: dict, path: pathlib.Path, to_estimate: bool) -> Card:
    top = kinds.complete_table(raw, "", keys.CARD)
    top["given"] = raw
    hdf5 = _parse_hdf5(top["hdf5"])
    mat = _parse_mat(top["mat"])
    groups = _named_groups(top, {"hdf5.dataset": hdf5 and hdf5.dataset, "mat.variable": mat})
    units = kinds.complete_table(top["units"], "units", keys.UNITS)
    body = kinds.complete_table(top["body"], "body", dict.fromkeys(BODY_UNITS, (_anything, None)))
    measured = parse_labelled.parse_targets(top["target"])
    may_be_alone = to_estimate
    if top["target"] is not None:
        is_back_to_back = to_estimate or "stride" in top["window"]
        may_be_alone = is_back_to_back and all(one.is_curve for one in measured)
    if (top["target"] is None) != (top["events"] is None) and not may_be_alone:
        raise UserError(
            "[target] and [events] belong together: give both, or neither, or curves alone with "
            '"window.stride"'
        )
    if top["labels"] is not None and top["target"] is not None:
        raise UserError("[labels] says where events are and what was measured: leave out [target]")
    at_events = bool(measured) and top["events"] is not None
    labelled = at_events or top["labels"] is not None
    card = Card(
        path=path,
        name=_check_name(top["name"] or path.stem),
        files=top["files"],
        match=top["match"],
        layout=keys.read_layout(top),
        hdf5=hdf5,
        mat=mat,
        sides=top["sides"],
        time=_parse_time(top["time"]),
        subject=top["subject"],
        columns=Columns(**kinds.complete_table(top["columns"], "columns", keys.COLUMNS)),
        labels=parse_labelled.parse_labels(top["labels"]),
        rest_error=units["rest_error"],
        sensors=tuple(
            _parse_sensor(name, table, top, units) for name, table in top["sensors"].items()
        ),
        activity=parse_labelled.parse_activity(top["activity"]),
        events=parse_labelled.parse_events(top["events"]),
        measured=measured,
        mass=_parse_quantity("mass", body["mass"]),
        height=_parse_quantity("height", body["height"]),
        window=_parse_window(top["window"], labelled, bool(measured)),
    )
    _check_across_tables(card, groups)
    return card


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f'"name" may hold letters, digits, _ and -, but is "{name}"')
    return name


def _named_groups(top: dict, others: dict[str, str | None]) -> set[str]:
    """What may stand in braces: the named groups of the card's expressions."""
    expressions = {"match": top["match"]} | {key: e for key, e in others.items() if e}
    groups = {name for e in expressions.values() if e for name in re.compile(e).groupindex}
    places = " or ".join(f'"{key}"' for key in expressions)
    ways = {
        f"a named group (?P<subject>...) in {places}": "subject" in groups,
        '"subject" of one person for all files': top["subject"] is not None,
        '"columns.subject"': "subject" in top["columns"],
    }
    if sum(ways.values()) != 1:
        found = "says nothing of" if not any(ways.values()) else "says more than once"
        raise UserError(f"the card {found} the subject: give one of {'; '.join(ways)}")
    groups |= {"subject"}
    return groups | ({"recording"} if "recording" in top["columns"] else set())


def _parse_hdf5(table: dict | None) -> Hdf5 | None:
    if table is None:
        return None
    fields = {
        "dataset": (kinds.regex, kinds.REQUIRED),
        "columns": (kinds.text, None),
        "trim": (kinds.one_of("zeros"), None),
    }
    t = kinds.complete_table(table, "hdf5", fields)
    return Hdf5(t["dataset"], t["columns"], t["trim"] == "zeros")


def _parse_mat(table: dict | None) -> str | None:
    if table is None:
        return None
    return kinds.complete_table(table, "mat", {"variable": (kinds.regex, kinds.REQUIRED)})[
        "variable"
    ]


def _parse_time(table: dict) -> Time:
    t = kinds.complete_table(table, "time", keys.TIME)
    if t["column"] is None and t["rate"] is None:
        raise UserError('[time] needs "column" or "rate"')
    if t["counter"] is not None and t["column"] is not None:
        raise UserError('[time] has a "column" of stamps and a "counter": give the better one')
    for key in ("spread", "split"):
        if t[key] and t["column"] is None and (key == "spread" or t["counter"] is None):
            raise UserError(f'"time.{key}" needs a clock that is read: "time.column"')
    return Time(**t)


def _parse_sensor(name: str, table: dict, top: dict, units: dict) -> Sensor:
    key = f"sensors.{name}"
    if isinstance(table, dict) and set(table) - {"frame"} in ({"acc"}, {"gyr"}):
        there, lacking = ("acc", "gyroscope") if "acc" in table else ("gyr", "accelerometer")
        raise UserError(
            f'[{key}] has "{there}" alone, and imujax needs both an accelerometer and a gyroscope '
            f"of every unit: without the {lacking} this recording cannot be used"
        )
    given = (_anything, kinds.REQUIRED)
    fields = {"acc": given, "gyr": given, "frame": (kinds.frame, None)}
    t = kinds.complete_table(table, key, fields)
    acc, gyr = (
        _parse_axes(t[kind], f"{key}.{kind}", known, units[kind], units[f"{kind}_factor"], top)
        for kind, known in (("acc", keys.ACC_UNITS), ("gyr", keys.GYR_UNITS))
    )
    names = [(axes.place, column) for axes in (acc, gyr) for column in axes.names]
    for place in names:
        if names.count(place) > 1:
            raise UserError(
                f'"{key}" names the same column twice, "{place[1]}": acceleration and angular '
                f'rate have three columns each (the second one of that name is "{place[1]}#2")'
            )
    return Sensor(name, acc, gyr, t["frame"])


def _parse_axes(
    value, key: str, known: tuple[str, ...], unit: str, factor: float, top: dict
) -> Axes:
    """A list of three columns, or a table that says more of them.

    What a table leaves out of layout and clock is as the card has it of the recording's own file.
    """
    table = value if isinstance(value, dict) else {"columns": value}
    if "file" in table:
        shared = {k: v for k, v in top["given"].items() if k in keys.LAYOUT}
        shared |= {k: v for k, v in top["time"].items() if k in ("max_gap", "spread")}
        table = shared | table
    fields = keys.AXES | {"unit": (kinds.one_of(*known), unit)}
    if not isinstance(value, dict):
        kinds.axes(value, f'"{key}"')
    t = kinds.complete_table(table, key, fields)
    time = None
    if t["time"] is not None or t["rate"] is not None:
        own = ("time", "time_unit", "rate", "max_gap")
        time = Time(*(t[name] for name in own), spread=t["spread"])
    elif t["file"] is not None:
        raise UserError(f'[{key}] reads another file and needs its "time" column or "rate"')
    used = factor if t["factor"] is None else t["factor"]
    if t["where"] and time is None:
        raise UserError(f'[{key}] takes rows by "where", and needs a clock of its own: "time"')
    layout = keys.read_layout(t)
    return Axes(t["columns"], t["unit"], used, t["offset"], t["file"], layout, time, t["shift"])


def _anything(value, key: str):
    return value


def _parse_quantity(name: str, value) -> Quantity | None:
    key = f"body.{name}"
    if value is None:
        return None
    if not isinstance(value, dict):
        return Quantity(kinds.positive(value, f'"{key}"'), None, None, Layout(), None, 1.0)
    units = BODY_UNITS[name]
    fields = {
        "column": (kinds.text, kinds.REQUIRED),
        "file": (kinds.path, None),
        **keys.LAYOUT,
        "subject": (kinds.text, None),
        "unit": (kinds.one_of(*units), next(iter(units))),
    }
    t = kinds.complete_table(value, key, fields)
    if (t["file"] is None) != (t["subject"] is None):
        raise UserError(f'[{key}] needs "file" and "subject" (its column of subjects) together')
    return Quantity(
        None, t["column"], t["file"], keys.read_layout(t), t["subject"], units[t["unit"]]
    )


def _parse_window(table: dict, labelled: bool, measured: bool) -> Window:
    t = kinds.complete_table(table, "window", keys.WINDOW)
    if measured and "motion" not in table:
        t["motion"] = 0.0  # what is measured of somebody who stands still counts, too
    for key in ("stride", "motion") if labelled else ("before", "pad"):
        if key in table:
            kind = "labelled" if labelled else "unlabelled"
            raise UserError(f'"window.{key}" has no place in a card for {kind} windows')
    if t["before"] > t["length"]:
        raise UserError('"window.before" must not be larger than "window.length"')
    t["stride"] = t["stride"] or t["length"]
    return Window(**t)


def _check_across_tables(card: Card, groups: set[str]) -> None:
    """What concerns several tables: braces, sides, the body that the target is divided by."""
    if not card.sensors:
        raise UserError("[sensors] is empty: name at least one sensor with its columns")
    if len(set(card.sides)) != len(card.sides):
        raise UserError('"sides" names one side twice')
    known = groups | ({"side"} if card.sides else set())
    for key, template in _list_templates(card):
        for word in re.findall(r"\{(\w+)\}", template):
            if word not in known:
                raise UserError(
                    f"{key} has unknown braces {{{word}}}{sentences.suggest_names(word, known)}"
                )
    _check_sources(card)
    if card.sides and not any("{side}" in text for _, text in _list_templates(card)):
        raise UserError('"sides" is given, but no column or path has {side} in it')
    if card.measured and card.events and card.events.peak > -math.inf:
        first = next(iter((card.numbers | card.curves).values()))
        statistic = first.statistic
        if statistic == "value" or first.is_curve:
            raise UserError(
                f'"events.peak" is looked for in the target\'s span, and "{statistic}" has none'
            )
    if card.events and card.events.of_sensor:
        name, names = card.events.of_sensor.sensor, [sensor.name for sensor in card.sensors]
        if name not in names:
            raise UserError(f'"events.sensor" is {name!r}{sentences.suggest_names(name, names)}')
    for target in card.measured:
        if target.classes and not (card.activity or card.columns.activity):
            raise UserError(
                f'the words of the class "{target.name}" are those of [activity] or of '
                '"columns.activity", and neither is given'
            )
    for quantity in ("mass", "height"):
        divides = any(quantity in target.divide_by for target in card.measured)
        if divides and getattr(card, quantity) is None:
            raise UserError(f'[target] is divided by {quantity}, so "body.{quantity}" is needed')


def _check_sources(card: Card) -> None:
    """Several files, people in columns and labels in a table do not go with everything else."""
    if card.time.split and any(axes.time for axes in card.axes):
        raise UserError('"time.split" goes for one clock, and the sensors have several')
    if card.columns.names and any(axes.has_own_clock for axes in card.axes):
        raise UserError("[columns] goes for one clock, and the sensors have several")
    of_tables = [card.layout, *(axes.layout for axes in card.axes if axes.file is None)]
    if (card.hdf5 or card.mat) and any(layout.where or layout.alias for layout in of_tables):
        raise UserError(
            '"where" and "alias" are for tables, and [hdf5] and [mat] take arrays apart'
        )
    if card.hdf5 and card.mat:
        raise UserError("[hdf5] and [mat] are for files of different formats: give one of them")
    if card.hdf5 and (card.columns.names or (card.time.column and is_text(card.time.unit))):
        raise UserError("[columns] and stamps of text are for tables, and HDF5 files hold numbers")
    if card.labels and card.labels.activity and (card.activity or card.columns.activity):
        raise UserError(
            'both "labels.activity" and another place tell the activity of a window: leave one out'
        )
    if card.labels and (card.labels.subject is None) != (card.labels.recording is None):
        raise UserError('[labels] needs both of "subject" and "recording", its columns, or neither')


def _list_templates(card: Card) -> list[tuple[str, str]]:
    """(key, text) of everything in which braces are filled in."""
    both = [(f"sensors.{s.name}", axes) for s in card.sensors for axes in (s.acc, s.gyr)]
    templates: list[tuple[str, str | None]] = [(k, n) for k, axes in both for n in axes.names]
    templates += [(key, axes.file) for key, axes in both]
    templates += [(key, axes.time.column) for key, axes in both if axes.time]
    if card.labels:
        templates += [("labels.file", card.labels.file)]
    templates += [("time.column", card.time.column), ("time.counter", card.time.counter)]
    if card.activity:
        a = card.activity
        templates += [("activity.file", a.file)]
        templates += [(f"activity.{k}", getattr(a, k)) for k in ("name", "start", "end")]
    for name, signal in card.signals.items():
        table = name.partition(" ")[0]
        templates += [(f"{table}.file", signal.file), (f"{table}.column", signal.column)]
        templates += [(f"{table}.time", signal.time and signal.time.column)]
    for key, quantity in (("body.mass", card.mass), ("body.height", card.height)):
        if quantity:
            templates += [(key, quantity.file), (key, quantity.column)]
    return [(key, text) for key, text in templates if text]
