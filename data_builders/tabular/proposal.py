"""A card that writes itself: what a folder of recordings looks like, as a card with comments.

Each line is marked: `sure` follows from the files, `guess` from names or values, and `yours` is
what only the user can know.
"""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imujax.data import clocks, gravity
from imujax.data.gravity import G
from imujax.data.recordings import to_si
from imujax.data_builders.tabular import (
    delimited,
    inspection,
    leftovers,
    path_lines,
    readers,
    stamps,
)
from imujax.data_builders.tabular.card import Time
from imujax.data_builders.tabular.card_lines import layout_lines, quote
from imujax.data_builders.tabular.inspection import SUBJECT, Clock, Look, Triple
from imujax.data_builders.tabular.sentences import printable_name
from imujax.errors import UserError

MOST_FILES, OF_A_KIND = 60, 4  # that are looked at
MOST_COMPARED = 200  # files whose columns are compared
ACTIVITY = re.compile(r"(?<![a-z])(activity|label|gt|class|task|condition)(?![a-z])")
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
    siblings = [u.gyr_look.path.relative_to(raw) for u in units if u.gyr_look]
    table = read_everything(main[0])
    word_lines = _word_lines(table, [c for u in units for c in _own_axes(u)])
    clock = inspection.find_clock(main[0], table)
    rate = _rate_of(clock, table, main[0])
    taken, left = _split_paths(paths, raw, units, main[0], clock)
    names = [path.relative_to(raw) for path in taken]
    first = main[0].path.relative_to(raw)
    where = path_lines.files_and_match(names, [path.relative_to(raw) for path in left], main[0])
    if siblings and siblings[0].parent == first.parent:
        where = path_lines.lines_of_pairs(first, siblings[0], where)
    leftover = leftovers.sort_out(left, path_lines.known_names(names, where))
    lines = [
        f"# Proposed by a look at {printable_name(main[0].path.name)} and the like: read it before "
        "you build.",
        "# sure: follows from the files; guess: from names and values; yours: only you know.",
        *leftovers.comments(leftover, raw, main[0]),
        "",
        *where,
        *layout_lines(main[0].layout),
        *word_lines,
    ]
    lines += ["", "[time]", *_clock_lines(clock, main[0], table, is_alone=not siblings)]
    template = path_lines.sibling_template(first, siblings[0], where) if siblings else ""
    lines += _sensor_lines(units, table, rate, template, main[0], clock)
    lines += _column_lines(main[0], table)
    for labels, count in leftover.labels[:1]:
        file = labels.look.path.relative_to(raw)
        beside = next((name for name in names if name.parent == file.parent), first)
        own = path_lines.sibling_template(beside, file, where) if count > 1 else file.as_posix()
        seconds = _seconds(clock, table, main[0])
        begin = None if seconds is None else float(seconds[0])
        lines += leftovers.label_lines(labels, own, begin)
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
    """The first files of each kind that can be read, small ones last: recordings are not."""
    kinds: dict[tuple, list[Path]] = {}
    for path in paths:
        kinds.setdefault(_kind_of(path, raw), []).append(path)
    some = []
    for of_kind in kinds.values():
        sizes = {path: path.stat().st_size for path in of_kind}
        small = max(sizes.values()) / 10
        some += sorted(of_kind, key=lambda path: sizes[path] < small)[:OF_A_KIND]
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


def _split_paths(
    paths: list[Path], raw: Path, units: list[Unit], look: Look, clock: Clock
) -> tuple[list[Path], list[Path]]:
    """The files of recordings that have the columns of this one, and those that nothing takes."""
    kind, depth = _kind_of(look.path, raw), len(look.path.relative_to(raw).parts)
    others = [unit.gyr_look for unit in units if unit.gyr_look]
    columns = [name for unit in units for name in _own_axes(unit)]
    columns += filter(None, (clock.column, clock.counter))
    like = [
        path
        for path in paths
        if _kind_of(path, raw) == kind
        or (not others and len(path.relative_to(raw).parts) == depth and path.suffix == kind[2])
    ]
    compared = sorted(like, key=lambda path: path.stat().st_size)[:MOST_COMPARED]
    is_own = {path: _has_columns(path, look, columns) for path in compared} | {look.path: True}
    taken = [path for path in like if is_own.get(path, _kind_of(path, raw) == kind)]
    left = set(paths).difference(taken)
    for other in others:
        axes = [name for unit in units if unit.gyr_look is other for name in unit.gyr.columns]
        kind = _kind_of(other.path, raw)
        left -= {p for p in left if _kind_of(p, raw) == kind and _has_columns(p, other, axes)}
    return taken, sorted(left)


def _has_columns(path: Path, look: Look, columns: list[str]) -> bool:
    """Whether a file that lies as another one does has these columns of it."""
    try:
        names = readers.list_columns(path, look.layout)
        for name in columns:
            delimited.find_column(name, names, path)
        return not look.layout.names or inspection.look_at(path).layout.names == look.layout.names
    except UserError:
        return False


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
            table[name] = np.array([delimited.to_number(w, look.layout.decimal) for w in filled])
        else:
            table[name] = np.array(filled, dtype=str)
    return table


def _rate_of(clock: Clock, table: dict[str, np.ndarray], look: Look) -> float | None:
    """Hz, as far as it can be told."""
    if clock.column is None:
        return clock.rate
    seconds = _seconds(clock, table, look)
    return None if seconds is None else clocks.find_rate(np.unique(seconds))


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
        table[name] = np.array([delimited.to_number(word, ".") for word in words])
        if np.isfinite(table[name]).mean() < 0.5:
            raise UserError(
                f'column "{name}" looks like an axis and holds text: "{words[len(words) // 2]}"'
            )
    lines = ['thousands = ","  # sure: commas between thousands'] if has_thousands else []
    if marks:
        shown = ", ".join(quote(word) for word, _ in marks.most_common(3))
        lines.append(f"missing = [{shown}]  # guess: no numbers, where numbers should be")
    return lines


def _clock_lines(
    clock: Clock, look: Look, table: dict[str, np.ndarray], is_alone: bool
) -> list[str]:
    """[time]; of several files none is split."""
    split = ["split = true  # guess: at longer gaps"] if is_alone else []
    if clock.column:
        lines = [f"column = {quote(clock.column)}  # guess"]
        if clock.unit != "s":
            lines.append(f"unit = {quote(clock.unit)}  # guess: a rate of movement comes out")
        if clock.fault in ("blocks", "bursts"):
            lines.append(f'spread = "middle"  # sure: the stamps come in {clock.fault};')
            lines.append("# yours: which sample of one is stamped, the first, middle or last")
        elif clock.fault in ("", "repeat"):
            lines += ["max_gap = 0.1  # guess: s that may be interpolated", *split]
        return lines
    lines = []
    if clock.counter:
        lines += [f"counter = {quote(clock.counter)}  # guess", "max_gap = 0.1", *split]
    if clock.rate:
        return [*lines, f"rate = {clock.rate:g}  # guess: Hz, as the file says"]
    lines.append("# rate =   yours: Hz; no clock was found that could be read")
    for name in look.names:
        if inspection.TIME.search(name.lower()):
            value = str(table[name][len(table[name]) // 2])
            lines.append(f'# column = {quote(name)}   it reads "{value[:60]}": in which unit?')
    return lines


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
        columns = ", ".join(map(quote, unit.acc.columns))
        if unit.gravity:
            pairs = zip(unit.acc.columns, unit.gravity.columns, strict=True)
            columns = ", ".join(f"[{quote(a)}, {quote(g)}]" for a, g in pairs)
        lines.append(f"acc = [{columns}]")
        columns = ", ".join(map(quote, unit.gyr.columns))
        if unit.gyr_look is None:
            lines.append(f"gyr = [{columns}]")
            continue
        own = inspection.find_clock(unit.gyr_look, others[unit.gyr_look.path])
        timed = f"time = {quote(own.column)}" if own.column else f"rate = {own.rate or 0:g}"
        if own.column and own.unit != "s":
            timed += f", time_unit = {quote(own.unit)}"
        if own.fault in ("blocks", "bursts") and own.fault != clock.fault:
            timed += ', spread = "middle"'
        lines.append(f"gyr = {{ file = {quote(template)}, columns = [{columns}], {timed} }}")
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
    lines.append(f"acc = {quote(acc_unit)}  # {marks[0]}: {why}")
    if any(CORE_MOTION.search(name) for name in unit.acc.columns):
        lines.append("acc_factor = -1  # guess: Core Motion (iOS) reads -1 g upwards")
    elif acc_factor != 1:
        lines.append(f'acc_factor = "1/{1 / acc_factor:.6g}"  # guess: counts')
    lines.append(f"gyr = {quote(gyr_unit)}  # {marks[1]}")
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
    return ["", "[columns]", *(f"{key} = {quote(name)}  # guess" for key, name in found.items())]
