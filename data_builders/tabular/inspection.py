"""What a file of a user looks like: its format and lines, its columns, and what they may hold.

Nothing is decided here for good: `proposal` makes a card of it, which the user reads.
"""

import dataclasses
import re
from collections import Counter
from pathlib import Path

import numpy as np

from imujax.data import clocks, gravity
from imujax.data.recordings import to_si
from imujax.data_builders.tabular import delimited, extras, readers, sentences, stamps
from imujax.data_builders.tabular.card import BLANKS, TEXT_STAMPS, TIME_UNITS, Layout, Time
from imujax.errors import UserError

HEAD_BYTES = 1 << 20  # that are looked at for delimiter and names
DELIMITERS = (",", ";", "\t", "|")
UNITS = {
    "m/s^2": r"m/s\^?2|m/s\u00b2|m\.s-2|m/s/s|ms-2",
    "mg": r"mg",
    "g": r"g|G",
    "rad/s": r"rad/s(?:ec)?",
    "deg/s": r"deg/s(?:ec)?|dps|\u00b0/s|degrees?/s(?:ec)?",
    "mdeg/s": r"mdeg/s|mdps",
    "s": r"s|sec(?:onds?)?",
    "ms": r"ms|milliseconds?",
    "us": r"us|\u00b5s|microseconds?",
    "ns": r"ns|nanoseconds?",
    "Hz": r"[\d.]+ ?Hz",
    "other": r"uT|\u00b5T|gauss|V|mV|\u00b0C|C|hPa|lux|rad|deg|N|%|n/a|none|-|",
}
ACC = re.compile(
    r"acc(?:el(?:eration|erometer)?)?(?![a-z])|acc(?=[xyz](?![a-z]))"
    r"|(?<![a-z])a(?=[_ ]?[xyz](?![a-z]))"
)
GYR = re.compile(
    r"gyr(?:o(?:scope)?)?|angular(?:[ _]?(?:velocity|rate))?|rot(ation)?[ _]?rate|omega"
    r"|(?<![a-z])[gw](?=[_ ]?[xyz](?![a-z]))"
)
NOT_TOTAL = re.compile(r"user|linear|gravity|without|free")
TIME = re.compile(r"time|stamp|epoch|clock|elapsed|(?<![a-z])(t|ms|us|sec|seconds)(?![a-z])")
SUBJECT = re.compile(r"(?<![a-z])(subject|user|participant|person|volunteer|subj)(?![a-z])")
COUNTER = re.compile(r"counter|packet|sample ?(no|num|index)|(?<![a-z])(index|frame)(?![a-z])")
FORMATS = tuple(
    f"{date} {clock}"
    for date in ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d")
    for clock in ("%H:%M:%S.%f", "%H:%M:%S", "%I:%M:%S.%f %p", "%I:%M:%S %p")
)
USUAL_RATES, SLOW_RATES = (8.0, 4000.0), (0.5, 8.0)  # Hz of recordings
AXIS = re.compile(r"(?<![a-z])([xyz])(?![a-z])|(?<=[a-z_ ])([xyz])(?=$|[^a-z])|([XYZ])(?=$|[^a-z])")
RATE = re.compile(r"(?:rate|frequency|freq)\D{0,24}?(\d+(?:\.\d+)?)\s*(?:hz)?", re.IGNORECASE)


@dataclasses.dataclass
class Look:
    """A file, looked at.

    Attributes
    ----------
    path : Path
    format : str
    layout : Layout
    names : list of str
        Of the columns, without what cannot be a signal.
    units : dict of str
        Of columns whose name or units row says one.
    said_rate : float or None
        That a line of the head says [Hz].
    """

    path: Path
    format: str
    layout: Layout
    names: list[str]
    units: dict[str, str]
    said_rate: float | None = None


@dataclasses.dataclass
class Triple:
    """Three columns that look like the axes of one instrument.

    Attributes
    ----------
    sensor : str
        What is left of the names without instrument and axis.
    columns : list of str, [3]
    unit : str or None
        As the file says.
    """

    sensor: str
    columns: list[str]
    unit: str | None


@dataclasses.dataclass
class Clock:
    """How the rows of a file are timed.

    Attributes
    ----------
    column, counter : str or None
    unit : str
    rate : float or None
        Where a counter needs one, or nothing else is there [Hz].
    fault : str
        Of `clocks.ClockError`, or nothing.
    """

    column: str | None = None
    counter: str | None = None
    unit: str = "s"
    rate: float | None = None
    fault: str = ""


def look_at(path: Path) -> Look:
    """Look at one file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Look

    Raises
    ------
    UserError
        It is no table of numbers that could be read.
    """
    sentences.refuse_pointer(path)
    kind = readers.table_format(path, Layout()) if _suffix(path) in readers.KNOWN else "csv"
    if kind not in readers.TEXTS:
        names = readers.list_columns(path, Layout())
        return Look(path, kind, Layout(), names, _units_of(names, []))
    if kind == "xlsx":
        return _look_at_text(path, extras.sheet_to_csv(path, None), "utf-8")
    return _look_at_text(path, *delimited.unpack(path))


def _look_at_text(path: Path, content: bytes, encoding: str) -> Look:
    lines = content[:HEAD_BYTES].decode(encoding, errors="ignore").split("\n")
    if len(content) > HEAD_BYTES:
        lines = lines[:-1]
    marks = Counter(m[1] for line in lines if (m := delimited.COMMENT.match(line)))
    comment = next((m for m, _ in marks.most_common(1) if m in ("#", "//", "%")), None)
    said = next((float(m[1]) for line in lines[:60] if (m := RATE.search(line))), None)
    if comment:
        lines = [line for line in lines if not line.lstrip().startswith(comment)]
    has_separator = bool(lines) and bool(delimited.SEPARATOR.fullmatch(lines[0]))
    skip = int(has_separator)
    filled = [i for i, line in enumerate(lines) if line.strip()]
    if len(filled) < 4:
        raise UserError(f"{path}: has fewer than four lines, so it cannot be told what it is")
    delimiter, decimal = _guess_delimiter([lines[i] for i in filled])
    fields = [_cut(line, delimiter) for line in lines]
    width = Counter(len(fields[i]) for i in filled[len(filled) // 3 :]).most_common(1)[0][0]
    begin = _first_data_line(fields, filled, width, decimal)
    if begin is None or width < 3:
        raise UserError(
            f'{path}: no table of numbers: "{sentences.printable_name(lines[filled[0]])[:60]}"'
        )
    above = [i for i in filled if i < begin]
    units: list[str] = []
    unit_rows, header_rows, names = 0, 1, []
    if above and _looks_like_units(fields[above[-1]]) and len(above) > 1:
        units, unit_rows, above = fields[above[-1]], begin - above[-1], above[:-1]
    has_names = bool(above) and abs(len(fields[above[-1]]) - width) <= 1
    if has_names:
        rows = [fields[above[-1]]]
        if len(above) > 1 and len(fields[above[-2]]) == len(rows[0]) and _repeats(rows[0]):
            rows, header_rows = [fields[above[-2]], rows[0]], 2
        names = delimited.join_names(rows)
        skip = above[-header_rows] if above[-header_rows] > skip or not skip else 0
    else:
        names = [f"c{i + 1}" for i in range(width)]
        skip = begin
    last = content.rstrip(b"\n").rsplit(b"\n", 1)[-1].decode(encoding)
    footer = int(len(_cut(last, delimiter)) != width and not _is_comment(last, comment))
    has_separator &= skip <= 1  # nothing else stands above the names
    layout = Layout(
        format=None if readers.SUFFIXES.get(_suffix(path)) else "csv",
        delimiter=None if delimiter == _usual_delimiter(path) or has_separator else delimiter,
        decimal=decimal,
        skip_rows=0 if has_separator else skip,
        names=() if has_names else tuple(names),
        header_rows=header_rows,
        unit_rows=unit_rows,
        footer_rows=footer,
        comment=comment,
    )
    numbered = [
        name if names.count(name) == 1 else f"{name}#{names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    ]
    named = [name for name in numbered if name and name[0] != "#"]
    return Look(path, "csv", layout, named, _units_of(numbered, units), said)


def look_at_table(path: Path) -> Look:
    """Look at a table with its names in the first line, whatever stands below: labels, say.

    Parameters
    ----------
    path : Path

    Returns
    -------
    Look

    Raises
    ------
    UserError
        It is none that could be read.
    """
    kind = readers.table_format(path, Layout()) if _suffix(path) in readers.KNOWN else "csv"
    if kind not in readers.TEXTS:
        return look_at(path)
    if kind == "xlsx":
        content, encoding = extras.sheet_to_csv(path, None), "utf-8"
    else:
        content, encoding = delimited.unpack(path)
    head = content[:HEAD_BYTES].decode(encoding, errors="ignore")
    lines = [line for line in head.split("\n") if line.strip()]
    if len(lines) < 2:
        raise UserError(f"{path}: has no line below that of the names")
    delimiter, decimal = _guess_delimiter(lines[1:])
    names = [name for name in _cut(lines[0], delimiter) if name]
    if len(names) < 2 or any(delimited.is_number(name, decimal) for name in names):
        raise UserError(f"{path}: its first line has no names of columns")
    layout = Layout(
        format=None if readers.SUFFIXES.get(_suffix(path)) else "csv",
        delimiter=None if delimiter == _usual_delimiter(path) else delimiter,
        decimal=decimal,
    )
    return Look(path, "csv", layout, names, _units_of(names, []))


def _usual_delimiter(path: Path) -> str:
    return "\t" if readers.SUFFIXES.get(_suffix(path)) == "tsv" else ","


def _suffix(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _is_comment(line: str, comment: str | None) -> bool:
    return bool(comment) and line.lstrip().startswith(comment or "")


def _cut(line: str, delimiter: str) -> list[str]:
    if delimiter == BLANKS:
        return line.split()
    return [field.strip() for field in delimited.cut(line, delimiter)]


def _guess_delimiter(lines: list[str]) -> tuple[str, str]:
    """The delimiter and decimal by which most lines are equally many numbers."""
    sample = lines[len(lines) // 3 :][:200]
    best, most = (",", "."), -1.0
    for delimiter in (*DELIMITERS, BLANKS):
        for decimal in (".", ",") if delimiter != "," else (".",):
            cut = [_cut(line, delimiter) for line in sample]
            width, count = Counter(map(len, cut)).most_common(1)[0]
            shares = [np.mean([delimited.is_number(f, decimal) for f in row]) for row in cut if row]
            numbers = np.mean(shares or [0])
            score = (count / len(sample)) * numbers * min(width, 7) if width > 1 else 0.0
            if score > most + 1e-9:
                best, most = (delimiter, decimal), score
    return best


def _first_data_line(
    fields: list[list[str]], filled: list[int], width: int, decimal: str
) -> int | None:
    """The first of three lines in a row that are mostly numbers."""

    def is_data(i: int) -> bool:
        row = fields[i]
        numbers = sum(bool(f) and delimited.is_number(f, decimal) for f in row)
        return abs(len(row) - width) <= 1 and numbers >= max(2, 0.5 * sum(map(bool, row)))

    for place, i in enumerate(filled[:-2]):
        if all(is_data(j) for j in filled[place : place + 3]):
            return i
    return None


def _looks_like_units(row: list[str]) -> bool:
    """Whether most words of a row are units, and some are no mere blanks."""
    words = [word.strip("()[] ") for word in row]
    known = [any(re.fullmatch(p, w) for p in UNITS.values()) for w in words]
    real = [bool(w) and k for w, k in zip(words, known, strict=True)]
    return bool(words) and np.mean(known) > 0.8 and sum(real) >= 2


def _repeats(names: list[str]) -> bool:
    filled = [name for name in names if name]
    return len(set(filled)) < len(filled)


def _units_of(names: list[str], row: list[str]) -> dict[str, str]:
    units = {}
    for i, name in enumerate(names):
        words = re.findall(r"[(\[]([^)\]]+)[)\]]", name)
        words += [row[i].strip("()[] ")] if i < len(row) else []
        words += re.findall(r"(?<![a-z])(ms|us|ns)$", name)
        for word in words:
            unit = next((u for u, p in UNITS.items() if re.fullmatch(p, word.strip())), None)
            if unit and unit not in ("Hz", "other"):
                units[name] = unit
    return units


def find_triples(look: Look) -> tuple[list[Triple], list[Triple]]:
    """Find columns that look like accelerometers and gyroscopes, by their names.

    Parameters
    ----------
    look : Look

    Returns
    -------
    accelerometers, gyroscopes : list of Triple
    """
    if look.layout.names:  # none of their own: a clock, and the two as they mostly stand
        six = look.names[-6:] if len(look.names) in (6, 7) else []
        return ([Triple("", six[:3], None)], [Triple("", six[3:], None)]) if six else ([], [])
    groups: dict[str, dict[str, dict[str, str]]] = {"acc": {}, "gyr": {}, "": {}}
    for name in look.names:
        plain = re.sub(r"[(\[][^)\]:]*[)\]]", "", name)
        axis = _axis_of(plain)
        low = plain.lower()
        if axis is None or "mag" in low or NOT_TOTAL.search(low):
            continue
        kind = _kind_of(low, look, name)
        rest = {"acc": ACC, "gyr": GYR}[kind].sub("", low) if kind else low
        rest = re.sub(r"\(:,\d\)|^_?[123]$", "", rest)
        key = re.sub(r"[^a-z0-9]+", "_", AXIS.sub("", rest)).strip("_")
        groups[kind].setdefault(key, {}).setdefault(axis, name)
    found = {
        kind: [
            Triple(key, [axes[a] for a in "xyz"], look.units.get(axes["x"]))
            for key, axes in of_kind.items()
            if set(axes) == set("xyz")
        ]
        for kind, of_kind in groups.items()
    }
    if found["gyr"] and not found["acc"] and len(found[""]) == 1:
        found["acc"] = found[""]  # x, y, z beside the axes of a gyroscope
    return found["acc"], found["gyr"]


def _kind_of(name: str, look: Look, column: str) -> str:
    """ "acc" or "gyr" by the name of a column, else by its unit, else by that of its file."""
    if GYR.search(name):
        return "gyr"
    if ACC.search(name):
        return "acc"
    unit, stem = look.units.get(column), look.path.stem.lower()
    if unit in ("rad/s", "deg/s", "mdeg/s"):
        return "gyr"
    if unit in ("m/s^2", "mg", "g"):
        return "acc"
    if "gyr" in stem or "acc" in stem:
        return "gyr" if "gyr" in stem else "acc"
    return ""


def find_split_gravity(look: Look) -> tuple[Triple, Triple] | None:
    """Find user acceleration and gravity in columns of their own.

    Parameters
    ----------
    look : Look

    Returns
    -------
    (Triple, Triple) or None
    """
    found = {}
    for kind, pattern in (("user", r"user|linear"), ("gravity", r"gravity")):
        axes: dict[str, str] = {}
        for name in look.names:
            axis = _axis_of(re.sub(r"[(\[][^)\]]*[)\]]", "", name))
            if re.search(pattern, name.lower()) and axis:
                axes.setdefault(axis, name)
        if set(axes) == set("xyz"):
            found[kind] = Triple("", [axes[a] for a in "xyz"], look.units.get(axes["x"]))
    return (found["user"], found["gravity"]) if len(found) == 2 else None


def _axis_of(name: str) -> str | None:
    if match := re.search(r"\(:,([123])\)$", name):
        return "xyz"[int(match[1]) - 1]
    places = list(AXIS.finditer(name)) or list(AXIS.finditer(name.lower()))
    if not places:
        match = re.search(r"([xyz])$|(?:acc|gyr)[a-z]*_?([123])$", name.strip().lower())
        return (match[1] or "xyz"[int(match[2]) - 1]) if match else None
    return next(filter(None, places[-1].groups())).lower()


def find_clock(look: Look, table: dict[str, np.ndarray]) -> Clock:
    """Find the clock of a file by names and values.

    Parameters
    ----------
    look : Look
    table : dict of ndarray
        All its columns: numbers where they are, else text.

    Returns
    -------
    Clock
        Without column and counter where there is none.
    """
    candidates = [name for name in look.names if TIME.search(name.lower())]
    candidates += look.names[:1] if len(look.layout.names) == 7 else []
    for rates in (USUAL_RATES, SLOW_RATES):
        for name in candidates:
            column, units = table[name], [*TEXT_STAMPS, *FORMATS]
            if column.dtype.kind != "U":
                if not np.isfinite(column).all() or len(np.unique(column)) < 3:
                    continue
                said = look.units.get(name)
                units = [said] if said in TIME_UNITS else list(TIME_UNITS)
            for unit in units:
                if clock := _try(name, column, unit, look, rates):
                    return clock
    for name in look.names:
        column = table[name]
        if COUNTER.search(name.lower()) and column.dtype.kind == "f" and len(column) > 2:
            step = np.diff(column)
            if np.isfinite(column).all() and (step == 1).mean() > 0.3 and (step != 0).all():
                return Clock(counter=name, rate=look.said_rate)
    return Clock(rate=look.said_rate)


def _try(
    name: str, column: np.ndarray, unit: str, look: Look, rates: tuple[float, float]
) -> Clock | None:
    """The clock of a column in a unit, if such a rate comes out, on the mean or most often."""
    try:
        seconds, _ = stamps.to_seconds(column, Time(name, unit, None, 0.0), str(look.path))
    except UserError:
        return None
    span = float(seconds[-1] - seconds[0])
    if not np.isfinite(span) or span <= 0:
        return None
    usual = np.median(np.diff(seconds))
    found = [(len(seconds) - 1) / span, 1 / usual if usual > 0 else 0.0]
    if not any(rates[0] <= rate <= rates[1] for rate in found):
        return None
    fault = ""
    try:
        clocks.check_stamps(seconds, str(look.path))
    except clocks.ClockError as error:
        fault = error.fault
    return Clock(name, None, unit, None, fault)


def guess_units(
    acc: np.ndarray, gyr: np.ndarray, rate: float, acc_unit: str | None, gyr_unit: str | None
) -> tuple[str, float, str, float, float]:
    """Guess units by what a moving unit reads of gravity.

    Parameters
    ----------
    acc, gyr : ndarray, [T, 3]
        As they stand in the file.
    rate : float
        Hz
    acc_unit, gyr_unit : str or None
        As the file says, if it does.

    Returns
    -------
    acc_unit : str
    acc_factor : float
        Counts to that unit.
    gyr_unit : str
    gyr_factor : float
    norm : float
        What the turned-back accelerations come to then [m/s^2]; NaN where it cannot be told.
    """
    acc_ways = [(acc_unit, 1.0)] if acc_unit in ("m/s^2", "g", "mg") else []
    acc_ways = acc_ways or [("m/s^2", 1.0), ("g", 1.0), ("mg", 1.0)]
    acc_ways += [("g", 1.0 / n) for n in (16384, 8192, 4096, 2048)] if not acc_unit else []
    gyr_ways = [(gyr_unit, 1.0)] if gyr_unit in ("rad/s", "deg/s", "mdeg/s") else []
    gyr_ways = gyr_ways or [("rad/s", 1.0), ("deg/s", 1.0), ("mdeg/s", 1.0)]
    best, least = (acc_ways[0], gyr_ways[0], float("nan")), np.inf
    for a in acc_ways:
        ways = gyr_ways
        if a[1] != 1 and not gyr_unit:
            ways = [("deg/s", 1 / n) for n in (131.0, 65.5, 32.8, 16.4)]
        for w in ways:
            x, y = to_si(a[1] * acc[:, None], a[0]), to_si(w[1] * gyr[:, None], w[0])
            (norm,) = gravity.turned_back(x, y, rate).tolist()
            off = abs(np.log(norm / gravity.G)) if norm > 0 else np.inf
            if off < least - 0.01:
                best, least = (a, w, norm), off
    (unit_a, factor_a), (unit_w, factor_w), norm = best
    return unit_a, factor_a, unit_w, factor_w, norm
