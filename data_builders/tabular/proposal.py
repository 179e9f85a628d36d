"""A card that writes itself: what a folder of recordings looks like, as a card with comments.

Each line is marked: `sure` follows from the files, `guess` from names or values, and `yours` is
what only the user can know.
"""

import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imujax.data import clocks, gravity
from imujax.data.gravity import G
from imujax.data.recordings import to_si
from imujax.data_builders.tabular import delimited, inspection, readers, stamps
from imujax.data_builders.tabular.card import Layout, Time
from imujax.data_builders.tabular.inspection import Clock, Look, Triple
from imujax.errors import UserError

MOST_FILES, OF_A_KIND = 60, 4  # that are looked at
SUBJECT = re.compile(r"(?<![a-z])(subject|user|participant|person|volunteer|subj)(?![a-z])")
ACTIVITY = re.compile(r"(?<![a-z])(activity|label|gt|class|task|condition)(?![a-z])")
LAYOUT_KEYS = ("format", "delimiter", "decimal", "comment", "skip_rows", "header_rows", "unit_rows")
LAYOUT_KEYS += ("footer_rows",)
CORE_MOTION = re.compile(r"accelerometerAcceleration|motionUserAcceleration|^motionGravity")
GOOD_NORM = (0.9 * G, 1.12 * G)


class Unit(NamedTuple):
    """A sensor: its name, its axes, and the file of its gyroscope where that is another."""

    name: str
    acc: Triple
    gyr: Triple
    gyr_look: Look | None
    gravity: Triple | None = None


def propose_card(raw: Path) -> str:
    """Write a card for the recordings of a folder.

    Parameters
    ----------
    raw : Path

    Returns
    -------
    str
        TOML with comments; `parse.parse_card` takes it.

    Raises
    ------
    UserError
        There is nothing that could be a recording; the sentence says what was seen.
    """
    paths = sorted(p for p in raw.rglob("*") if p.is_file() and not p.name.startswith("."))
    paths = [p for p in paths if p.suffix.lower() not in (".toml", ".md", ".json", ".pdf")]
    units, main = _find_units(_look_at_some(paths, raw))
    kind = _kind_of(main[0].path, raw)
    names = [path.relative_to(raw) for path in paths if _kind_of(path, raw) == kind]
    siblings = [u.gyr_look.path.relative_to(raw) for u in units if u.gyr_look]
    table = read_everything(main[0])
    word_lines = _word_lines(table, [c for u in units for c in _own_axes(u)])
    clock = inspection.find_clock(main[0], table)
    rate = _rate_of(clock, table, main[0])
    lines = [
        f"# Proposed by a look at {main[0].path.name} and the like: read it before you build.",
        "# sure: follows from the files; guess: from names and values; yours: only you know.",
        "",
    ]
    first = main[0].path.relative_to(raw)
    path_lines = _path_lines(names, main[0])
    if siblings and siblings[0].parent == first.parent:
        path_lines = _lines_of_pairs(first, siblings[0], path_lines)
    lines += path_lines
    lines += _layout_lines(main[0].layout) + word_lines
    lines += ["", "[time]", *_clock_lines(clock, main[0], table, is_alone=not siblings)]
    template = _sibling_template(first, siblings[0], path_lines) if siblings else ""
    lines += _sensor_lines(units, table, rate, template, main[0], clock)
    lines += _column_lines(main[0], table)
    whole = rate if rate and rate < 100 else 100.0
    lines += [
        "",
        "[window]",
        f"rate = {whole:.6g}  # guess: of the data set [Hz]; that of your encoder in the end",
        f"length = {128 if whole > 60 else 64}  # guess: samples of a window",
    ]
    return "\n".join(lines) + "\n"


def _kind_of(path: Path, raw: Path) -> tuple[int, str, str]:
    """Files of one kind lie equally deep and have the same ending, and in folders the same name."""
    depth = len(path.relative_to(raw).parts)
    return depth, re.sub(r"\d+", "", path.stem) if depth > 1 else "", path.suffix


def _look_at_some(paths: list[Path], raw: Path) -> list[Look]:
    """The first files of each kind that can be read."""
    kinds: dict[tuple, list[Path]] = {}
    for path in paths:
        kinds.setdefault(_kind_of(path, raw), []).append(path)
    some = [path for of_kind in kinds.values() for path in of_kind[:OF_A_KIND]]
    looks, faults = [], []
    for path in some[:MOST_FILES]:
        try:
            looks.append(inspection.look_at(path))
        except UserError as error:
            faults.append(str(error))
    if not looks:
        known = ", ".join(readers.SUFFIXES)
        raise UserError(
            faults[0] if faults else f"{raw}: holds no files of recordings: known are {known}"
        )
    return looks


def _find_units(looks: list[Look]) -> tuple[list[Unit], list[Look]]:
    """The sensors, and the files that a recording is named after."""
    found = [(look, *inspection.find_triples(look)) for look in looks]
    both = [(look, a, w) for look, a, w in found if a and w]
    if both:
        look, accs, gyrs = both[0]
        return _pair(accs, gyrs, None), [x for x, _, _ in both if x.names == look.names]
    split = [(look, inspection.find_split_gravity(look), w) for look, _, w in found]
    for look, sums, gyrs in split:
        if sums and gyrs:
            user, gravity = sums
            return [Unit("unit", user, gyrs[0], None, gravity)], [look]
    accs = [(look, a) for look, a, w in found if a and not w]
    accs.sort(key=lambda pair: "total" not in pair[0].path.stem.lower())  # with gravity, first
    gyrs = [(look, w) for look, a, w in found if w and not a]
    for look, a in accs:
        for other, w in gyrs:
            if other.path.parent == look.path.parent:
                same = [x for x, _ in accs if x.path.name == look.path.name]
                return _pair(a[:1], w[:1], other), same or [look]
    if accs or gyrs:
        a, b = "an accelerometer", "a gyroscope"
        there, lacking = (a, b) if accs else (b, a)
        raise UserError(
            f"{(accs or gyrs)[0][0].path}: has {there} alone, and imujax needs {lacking} of the "
            "same unit too"
        )
    look = looks[0]
    raise UserError(
        f"{look.path}: no columns that look like the three axes of an accelerometer and of a "
        f"gyroscope: there are {', '.join(look.names[:12])}"
    )


def _pair(accs: list[Triple], gyrs: list[Triple], gyr_look: Look | None) -> list[Unit]:
    by_sensor = {w.sensor: w for w in gyrs}
    pairs = [(a, by_sensor[a.sensor]) for a in accs if a.sensor in by_sensor]
    if not pairs:
        pairs = list(zip(accs, gyrs, strict=False))
    names = [re.sub(r"\W+", "_", a.sensor) or "unit" for a, _ in pairs]
    names = [n if names.count(n) == 1 else f"{n}{i + 1}" for i, n in enumerate(names)]
    return [Unit(n, a, w, gyr_look) for n, (a, w) in zip(names, pairs, strict=True)]


def read_everything(look: Look) -> dict[str, np.ndarray]:
    """All columns of a file: numbers where they are, else text."""
    table: dict[str, np.ndarray] = {}
    if look.format != "csv":
        for name in look.names:
            try:
                table |= readers.read_table(look.path, look.layout, [name])
            except UserError:
                table |= readers.read_table(look.path, look.layout, [], [name])
        return table
    text = readers.read_text(look.path, look.layout)
    texts = dict.fromkeys(look.names)
    parsed = delimited.parse_columns(text, look.layout, [], list(texts), look.path)
    for name in texts:
        words = parsed[name].to_pylist()
        filled = ["" if w is None else w.strip() for w in words]
        if all(delimited.is_number(w, look.layout.decimal) for w in filled):
            numbers = [w.replace(look.layout.decimal, ".") for w in filled]
            table[name] = np.array([_to_float(w) for w in numbers])
        else:
            table[name] = np.array(filled, dtype=str)
    return table


def _to_float(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _rate_of(clock: Clock, table: dict[str, np.ndarray], look: Look) -> float | None:
    """Hz, as far as it can be told."""
    if clock.column is None:
        return clock.rate
    seconds = _seconds(clock, table, look)
    return None if seconds is None else clocks.find_rate(np.unique(seconds))


def _path_lines(names: list[Path], look: Look) -> list[str]:
    """`files`, and where subject and recording stand."""
    depth = Counter(len(name.parts) for name in names).most_common(1)[0][0]
    same_name = len({name.name for name in names}) == 1 and depth > 1
    n_suffixes = 2 if names[0].name.endswith(".gz") else 1
    end = names[0].name if same_name else "*" + "".join(names[0].suffixes[-n_suffixes:])
    lines = [f"files = {_quote('/'.join(['*'] * (depth - 1) + [end]))}  # guess"]
    if any(SUBJECT.search(name.lower()) for name in look.names):
        return lines  # [columns] says it
    # Folders that all files share come before the subject.
    shared = 0
    while shared < depth - 2 and len({name.parts[shared] for name in names}) == 1:
        shared += 1
    first = names[0].parts[shared] if depth > 1 else names[0].name
    before = "".join(re.escape(part) + "/" for part in names[0].parts[:shared])
    left = depth - shared
    if depth > 1 and not (same_name and left == 2 and "_" in first):
        recording = "/(?P<recording>[^.]+)"
        if same_name:
            recording = "/(?P<recording>.+)/" if left > 2 else "/"
        lines.append(f"match = '^{before}(?P<subject>[^/]+){recording}'  # guess")
    elif "_" in first or "-" in first:
        tail = "/" if depth > 1 else r"\."
        lines.append(f"match = '^(?P<subject>[^_/-]+)[_-](?P<recording>[^/.]+){tail}'  # guess")
    elif len(names) == 1:
        lines.append('subject = "p1"  # yours: who was recorded')
    else:
        lines.append(r"match = '^(?P<subject>[^/.]+)\.'  # guess: a file a person")
    return lines


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _layout_lines(layout: Layout) -> list[str]:
    """What differs from the defaults; follows from the lines of the file."""
    lines = []
    for key in LAYOUT_KEYS:
        value = getattr(layout, key)
        if value != getattr(Layout(), key):
            lines.append(f"{key} = {_quote(value) if isinstance(value, str) else value}  # sure")
    if layout.names:
        names = ", ".join(map(_quote, layout.names))
        lines.append(f"names = [{names}]  # yours: the file has no names")
    return lines


def _own_axes(unit: Unit) -> list[str]:
    """Columns of a sensor in the file that a recording is named after."""
    triples = [unit.acc, unit.gravity, None if unit.gyr_look else unit.gyr]
    return [name for triple in triples if triple for name in triple.columns]


def _word_lines(table: dict[str, np.ndarray], columns: list[str]) -> list[str]:
    """What is to be said of words among the numbers of these columns, which become numbers here."""
    marks: Counter[str] = Counter()
    has_thousands = False
    for name in columns:
        if table[name].dtype.kind != "U":
            continue
        words = table[name].tolist()
        has_thousands |= any(delimited.THOUSANDS.fullmatch(word) for word in words)
        words = [
            word.replace(",", "") if delimited.THOUSANDS.fullmatch(word) else word for word in words
        ]
        marks.update(word for word in words if not delimited.is_number(word, "."))
        table[name] = np.array([_to_float(word) for word in words])
        if np.isfinite(table[name]).mean() < 0.5:
            raise UserError(
                f'column "{name}" looks like an axis and holds text: "{words[len(words) // 2]}"'
            )
    lines = ['thousands = ","  # sure: commas between thousands'] if has_thousands else []
    if marks:
        shown = ", ".join(_quote(word) for word, _ in marks.most_common(3))
        lines.append(f"missing = [{shown}]  # guess: no numbers, where numbers should be")
    return lines


def _clock_lines(
    clock: Clock, look: Look, table: dict[str, np.ndarray], is_alone: bool
) -> list[str]:
    """[time]; of several files none is split."""
    split = ["split = true  # guess: at longer gaps"] if is_alone else []
    if clock.column:
        lines = [f"column = {_quote(clock.column)}  # guess"]
        if clock.unit != "s":
            lines.append(f"unit = {_quote(clock.unit)}  # guess: a rate of movement comes out")
        if clock.fault in ("blocks", "bursts"):
            lines.append(f'spread = "middle"  # sure: the stamps come in {clock.fault};')
            lines.append("# yours: which sample of one is stamped, the first, middle or last")
        elif clock.fault in ("", "repeat"):
            lines += ["max_gap = 0.1  # guess: s that may be interpolated", *split]
        return lines
    lines = []
    if clock.counter:
        lines += [f"counter = {_quote(clock.counter)}  # guess", "max_gap = 0.1", *split]
    if clock.rate:
        return [*lines, f"rate = {clock.rate:g}  # guess: Hz, as the file says"]
    lines.append("# rate =   yours: Hz; no clock was found that could be read")
    for name in look.names:
        if inspection.TIME.search(name.lower()):
            value = str(table[name][len(table[name]) // 2])
            lines.append(f'# column = {_quote(name)}   it reads "{value[:60]}": in which unit?')
    return lines


def _lines_of_pairs(first: Path, sibling: Path, lines: list[str]) -> list[str]:
    """`files` and `match` where each recording is two files beside each other: p1_acc, p1_gyr."""
    pairs = zip(first.name, sibling.name, strict=False)
    prefix = "".join(a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    prefix = prefix[: max(map(prefix.rfind, "_-. "), default=-1) + 1]
    folder = "/".join(["*"] * (len(first.parts) - 1)) + "/" if len(first.parts) > 1 else ""
    if folder or not prefix.strip("_-. "):
        return lines
    rest = first.name[len(prefix) :]
    inner = prefix.strip("_-. ")
    recording = r"[_-](?P<recording>.+)" if re.search(r"[_-]", inner) else ""
    return [
        f"files = {_quote('*' + prefix[-1] + rest)}  # guess",
        f"match = '^(?P<subject>[^_-]+){recording}{re.escape(prefix[-1] + rest)}$'  # guess",
    ]


def _sibling_template(first: Path, sibling: Path, lines: list[str]) -> str:
    """The path of a recording's other file, with braces for what `match` finds in the first."""
    text = "\n".join(lines)
    found = re.search(r"match = '(.*)'", text)
    match = re.search(found[1], first.as_posix()) if found else None
    template = sibling.as_posix()
    groups = match.groupdict(default="") if match else {}
    for name, value in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        if value:
            template = template.replace(value, f"{{{name}}}", 1)
    return template


def _sensor_lines(
    units: list[Unit],
    table: dict[str, np.ndarray],
    rate: float | None,
    template: str,
    look: Look,
    clock: Clock,
) -> list[str]:
    """[units] by the first sensor, and all; a gyroscope's own file is that of `template`."""
    first = units[0]
    others = {u.gyr_look.path: read_everything(u.gyr_look) for u in units if u.gyr_look}
    for unit in units:
        if unit.gyr_look:
            _word_lines(others[unit.gyr_look.path], unit.gyr.columns)
    acc = _stack(table, first.acc)
    if first.gravity:
        acc = acc + _stack(table, first.gravity)
    gyr = _stack(others[first.gyr_look.path] if first.gyr_look else table, first.gyr)
    if first.gyr_look:
        other = others[first.gyr_look.path]
        times = [
            _seconds(clock, table, look),
            _seconds(inspection.find_clock(first.gyr_look, other), other, first.gyr_look),
        ]
        acc, gyr = _on_one_clock(acc, gyr, times)
    lines = _unit_lines(acc, gyr, first, rate or 100.0)
    for unit in units:
        lines += ["", f"[sensors.{unit.name}]  # yours: a name for where it sits"]
        columns = ", ".join(map(_quote, unit.acc.columns))
        if unit.gravity:
            pairs = zip(unit.acc.columns, unit.gravity.columns, strict=True)
            columns = ", ".join(f"[{_quote(a)}, {_quote(g)}]" for a, g in pairs)
        lines.append(f"acc = [{columns}]")
        columns = ", ".join(map(_quote, unit.gyr.columns))
        if unit.gyr_look is None:
            lines.append(f"gyr = [{columns}]")
            continue
        own = inspection.find_clock(unit.gyr_look, others[unit.gyr_look.path])
        timed = f"time = {_quote(own.column)}" if own.column else f"rate = {own.rate or 0:g}"
        if own.column and own.unit != "s":
            timed += f", time_unit = {_quote(own.unit)}"
        if own.fault in ("blocks", "bursts") and own.fault != clock.fault:
            timed += ', spread = "middle"'
        lines.append(f"gyr = {{ file = {_quote(template)}, columns = [{columns}], {timed} }}")
    return lines


def _seconds(clock: Clock, table: dict[str, np.ndarray], look: Look) -> np.ndarray | None:
    """The times of a file's rows since 1970 or whatever its clock counts from [s]."""
    if clock.column is None:
        return None
    spread = "middle" if clock.fault in ("blocks", "bursts") else None
    time = Time(clock.column, clock.unit, None, 0.0, spread=spread)
    try:
        seconds, origin = stamps.to_seconds(table[clock.column], time, str(look.path))
    except UserError:
        return None
    return seconds + origin


def _on_one_clock(
    acc: np.ndarray, gyr: np.ndarray, times: list[np.ndarray | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Both at the times of the accelerometer, as far as the clocks overlap; else row by row."""
    ours, its = times
    if ours is not None and its is not None:
        rows = (ours >= its[0]) & (ours <= its[-1])
        if rows.sum() > 10:
            gyr = np.stack([np.interp(ours[rows], its, axis) for axis in gyr.T], axis=1)
            return acc[rows], gyr
    size = min(len(acc), len(gyr))
    return acc[:size], gyr[:size]


def _stack(table: dict[str, np.ndarray], triple: Triple) -> np.ndarray:
    return np.stack([table[name] for name in triple.columns], axis=1)


def _unit_lines(acc: np.ndarray, gyr: np.ndarray, unit: Unit, rate: float) -> list[str]:
    """[units] of a sensor whose columns [T, 3] are these, with what they read of gravity."""
    rows = np.isfinite(acc).all(axis=1) & np.isfinite(gyr).all(axis=1)
    acc, gyr = acc[rows], gyr[rows]
    acc_unit, acc_factor, gyr_unit, gyr_factor, norm = inspection.guess_units(
        acc, gyr, rate, unit.acc.unit, unit.gyr.unit
    )
    is_good = GOOD_NORM[0] <= norm <= GOOD_NORM[1]
    why = f"turned back, it reads {norm:.1f} m/s^2; of which sign cannot be told"
    why = why if is_good else "see above"
    lines = ["", "[units]"]
    if not is_good:
        lines.append(
            f"# Turned back by its gyroscope it reads {norm:.1f} m/s^2, not {G:.1f}: is gravity"
        )
        lines.append("# missing, is a unit another, or does it hardly move?")
    si = to_si(acc * acc_factor, acc_unit), to_si(gyr * gyr_factor, gyr_unit)
    if down := gravity.axis_down(*si, rate):
        lines.append(f"# At rest {down[0]} reads {down[1]:.1f} m/s^2: if that axis points up, say")
        lines.append("# acc_factor = -1 (iOS does so); if it points down, all is well.")
    marks = ["sure" if said and is_good else "guess" for said in (unit.acc.unit, unit.gyr.unit)]
    lines.append(f"acc = {_quote(acc_unit)}  # {marks[0]}: {why}")
    if any(CORE_MOTION.search(name) for name in unit.acc.columns):
        lines.append("acc_factor = -1  # guess: Core Motion (iOS) reads -1 g upwards")
    elif acc_factor != 1:
        lines.append(f'acc_factor = "1/{1 / acc_factor:.6g}"  # guess: counts')
    lines.append(f"gyr = {_quote(gyr_unit)}  # {marks[1]}")
    if gyr_factor != 1:
        lines.append(f'gyr_factor = "1/{1 / gyr_factor:.6g}"  # guess: counts')
    return lines


def _column_lines(look: Look, table: dict[str, np.ndarray]) -> list[str]:
    """[columns], where rows say whose they are or what is done."""
    found = {}
    for key, pattern in (("subject", SUBJECT), ("activity", ACTIVITY)):
        for name in look.names:
            values = table[name]
            is_word = values.dtype.kind == "U" or len(np.unique(values)) <= 60
            if pattern.search(name.lower()) and is_word:
                found.setdefault(key, name)
    if not found:
        return []
    return ["", "[columns]", *(f"{key} = {_quote(name)}  # guess" for key, name in found.items())]
