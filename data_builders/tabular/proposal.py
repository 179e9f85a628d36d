"""A card that writes itself: what a folder of recordings looks like, as a card with comments.

Each line is marked: `sure` follows from the files, `guess` from names or values, and `yours` is
what only the user can know.
"""

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
    table = read_everything(main[0])
    clock = inspection.find_clock(main[0], table)
    rate = _rate_of(clock, table, main[0])
    lines = [
        f"# Proposed by a look at {main[0].path.name} and the like: read it before you build.",
        "# sure: follows from the files; guess: from names and values; yours: only you know.",
        "",
    ]
    lines += _path_lines(names, main[0])
    lines += _layout_lines(main[0].layout)
    lines += ["", "[time]", *_clock_lines(clock, is_alone=not any(u.gyr_look for u in units))]
    lines += _sensor_lines(units, table, rate, raw, main[0])
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
        reason = faults[0] if faults else f"{raw}: holds no files"
        raise UserError(reason)
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
    time = Time(clock.column, clock.unit, None, 0.0, spread=clock.fault in ("blocks", "bursts"))
    try:
        seconds, _ = stamps.to_seconds(table[clock.column], time, str(look.path))
        return clocks.find_rate(np.unique(seconds))
    except UserError:
        return None


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


def _clock_lines(clock: Clock, is_alone: bool) -> list[str]:
    """[time]; of several files none is split."""
    split = ["split = true  # guess: at longer gaps"] if is_alone else []
    if clock.column:
        lines = [f"column = {_quote(clock.column)}  # guess"]
        if clock.unit != "s":
            lines.append(f"unit = {_quote(clock.unit)}  # guess: a rate of movement comes out")
        if clock.fault in ("blocks", "bursts"):
            lines.append(f"spread = true  # sure: the stamps come in {clock.fault}")
        elif not clock.fault:
            lines += ["max_gap = 0.1  # guess: s that may be interpolated", *split]
        return lines
    lines = []
    if clock.counter:
        lines += [f"counter = {_quote(clock.counter)}  # guess", "max_gap = 0.1", *split]
    if clock.rate:
        lines.append(f"rate = {clock.rate:g}  # guess: Hz, as the file says")
    else:
        lines.append("rate = 100  # yours: Hz; no clock was found")
    return lines


def _sensor_lines(
    units: list[Unit], table: dict[str, np.ndarray], rate: float | None, raw: Path, look: Look
) -> list[str]:
    """[units] by the first sensor, and all of them."""
    first = units[0]
    others = {u.gyr_look.path: read_everything(u.gyr_look) for u in units if u.gyr_look}
    acc = _stack(table, first.acc)
    if first.gravity:
        acc = acc + _stack(table, first.gravity)
    gyr = _stack(others[first.gyr_look.path] if first.gyr_look else table, first.gyr)
    size = min(len(acc), len(gyr))  # of two files, for this look good enough
    lines = _unit_lines(acc[:size], gyr[:size], first, rate or 100.0)
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
        clock = inspection.find_clock(unit.gyr_look, others[unit.gyr_look.path])
        timed = f"time = {_quote(clock.column)}" if clock.column else f"rate = {clock.rate or 100}"
        if clock.column and clock.unit != "s":
            timed += f", time_unit = {_quote(clock.unit)}"
        folder = look.path.parent.relative_to(raw).as_posix()
        place = "{subject}_{recording}" if "_" in folder and "/" not in folder else "{subject}"
        file = f"{place}/{unit.gyr_look.path.name}" if folder != "." else unit.gyr_look.path.name
        lines.append(f"gyr = {{ file = {_quote(file)}, columns = [{columns}], {timed} }}")
    return lines


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
    why = f"turned back, it reads {norm:.1f} m/s^2" if is_good else "NOT SURE"
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
    marks = ["sure" if said else "guess" for said in (unit.acc.unit, unit.gyr.unit)]
    lines.append(f"acc = {_quote(acc_unit)}  # {marks[0]}: {why}")
    if acc_factor != 1:
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
