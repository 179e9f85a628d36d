"""What lies beside the recordings of a folder: tables of labels, recordings of another kind, more.

As in `proposal` nothing is decided here: it becomes comments of a card.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imujax.data_builders.tabular import delimited, inspection, readers, stamps
from imujax.data_builders.tabular.card import TEXT_STAMPS, TIME_UNITS, Time
from imujax.data_builders.tabular.card_lines import layout_lines, quote
from imujax.data_builders.tabular.inspection import Look
from imujax.data_builders.tabular.sentences import printable_name
from imujax.errors import UserError

MOST_GROUPS = 60  # of files that are called alike, of each of which one is looked at
MOST_BYTES = 5_000_000  # of a table of labels
RECORDING = re.compile(r"(?<![a-z])(recording|trial|session|file|run|walk|test)(?![a-z])")
INTERVAL = re.compile(r"(?<![a-z])(end|stop)(?![a-z])")
UNIT = re.compile(r"[(\[]([^)\]]+)[)\]]|_(m|cm|mm|s|ms|N|Nm|kg|BW|deg|W|J)$")
SAME_STEP, REGULAR = 0.02, 0.8  # share of the median, and of the steps, of a regular rate


class LabelTable(NamedTuple):
    """A table that looks like labels.

    Attributes
    ----------
    look : Look
    subject, recording : str or None
        Its columns, as far as they are known.
    time, unit : str
        Its column of times, and their unit.
    targets : list of str
        Its other columns of numbers.
    is_foreign : bool
        Whether nobody in it is known from the recordings.
    """

    look: Look
    subject: str | None
    recording: str | None
    time: str
    unit: str
    targets: list[str]
    is_foreign: bool


class Leftovers(NamedTuple):
    """Files that a proposed card leaves aside.

    Attributes
    ----------
    labels : list of (LabelTable, int)
        One of each kind, and how many files are such.
    recordings : list of (Look, int)
        The same of files that have an accelerometer and a gyroscope in other columns.
    others : list of Path
        Of neither kind.
    unseen : list of Path
        Nobody looked at them: there are too many kinds of files.
    """

    labels: list[tuple[LabelTable, int]]
    recordings: list[tuple[Look, int]]
    others: list[Path]
    unseen: list[Path]


def sort_out(paths: Sequence[Path], known: Sequence[tuple[str, str]]) -> Leftovers:
    """Tell what kinds of files there are.

    Parameters
    ----------
    paths : sequence of Path
        Those that the card does not take.
    known : sequence of (subject, recording)
        Of those that it takes, as their paths say.

    Returns
    -------
    Leftovers
    """
    groups: dict[tuple, list[Path]] = {}
    for path in paths:
        groups.setdefault((path.parent.parent, re.sub(r"\d+", "", path.name)), []).append(path)
    labels: dict[tuple, tuple[LabelTable, int]] = {}
    recordings: dict[tuple, tuple[Look, int]] = {}
    others: list[Path] = []
    looked_at = list(groups.values())[:MOST_GROUPS]
    for group in looked_at:
        found = _look_at(group[0], known)
        if isinstance(found, LabelTable):
            first, count = labels.get(tuple(found.look.names), (found, 0))
            labels[tuple(found.look.names)] = first, count + len(group)
        elif found:
            same, count = recordings.get(tuple(found.names), (found, 0))
            recordings[tuple(found.names)] = same, count + len(group)
        else:
            others += group
    unseen = [path for group in list(groups.values())[MOST_GROUPS:] for path in group]
    return Leftovers(list(labels.values()), list(recordings.values()), others, unseen)


def _look_at(path: Path, known: Sequence[tuple[str, str]]) -> LabelTable | Look | None:
    """A table of labels, a recording by its look, or neither."""
    try:
        look = inspection.look_at(path)
        if all(inspection.find_triples(look)) or inspection.find_split_gravity(look):
            return look
    except UserError:
        pass  # as of a table of words
    try:
        return find_labels(path, known) if path.stat().st_size < MOST_BYTES else None
    except UserError:
        return None


def find_labels(path: Path, known: Sequence[tuple[str, str]]) -> LabelTable | None:
    """Look for events and what was measured at them in a table.

    Parameters
    ----------
    path : Path
    known : sequence of (subject, recording)
        Of the recordings, by which columns are known too.

    Returns
    -------
    LabelTable or None
        None where it has no times, nothing else that is a number, or rows at a regular rate.

    Raises
    ------
    UserError
        It is no table that could be read.
    """
    look = inspection.look_at_table(path)
    table = readers.read_table(path, look.layout, [], look.names)
    subjects, recordings = (set(names) - {""} for names in zip(*known, strict=True))
    subject = _column_of(table, subjects, inspection.SUBJECT)
    rest = {name: words for name, words in table.items() if name != subject}
    recording = _column_of(rest, recordings, RECORDING)
    numbers = {
        name: values
        for name, words in rest.items()
        if name != recording and (values := _numbers(words, look.layout.decimal)) is not None
    }
    owner = [table[name] for name in (subject, recording) if name]
    time, unit = _find_time(look, table, numbers, owner)
    targets = [name for name in numbers if name != time]
    if not time or not targets or any(INTERVAL.search(name.lower()) for name in targets):
        return None
    if time in numbers and _is_regular(_steps(numbers[time], owner)):
        return None
    is_foreign = bool(subject and subjects and not subjects & set(table[subject].tolist()))
    return LabelTable(look, subject, recording, time, unit, targets, is_foreign)


def _column_of(
    table: dict[str, np.ndarray], values: set[str], pattern: re.Pattern[str]
) -> str | None:
    """The column in which the values stand, else the first that is called so."""
    shares = {name: len(values & set(words.tolist())) for name, words in table.items()}
    best = max(shares, key=lambda name: shares[name], default=None)
    if best and shares[best]:
        return best
    return next((name for name in table if pattern.search(name.lower())), None)


def _numbers(words: np.ndarray, decimal: str) -> np.ndarray | None:
    """The values of a column that holds numbers, some of which may be missing."""
    if not all(delimited.is_number(word, decimal) for word in words.tolist()):
        return None
    values = np.array([delimited.to_number(word, decimal) for word in words.tolist()])
    return values if np.isfinite(values).any() else None


def _find_time(
    look: Look,
    table: dict[str, np.ndarray],
    numbers: dict[str, np.ndarray],
    owner: Sequence[np.ndarray],
) -> tuple[str | None, str]:
    """The column of times and their unit, by its name, its unit and that it grows, or of rows."""
    scores = {}
    for name in look.names:
        plain = UNIT.sub("", name).lower()
        score = bool(inspection.TIME.search(plain)) + bool(inspection.TIME.fullmatch(plain))
        score += look.units.get(name) in TIME_UNITS
        if name in numbers:
            steps = _steps(numbers[name], owner)
            is_counter = bool(inspection.COUNTER.search(plain))
            if len(steps) >= 3 and (steps > 0).all() and (is_counter or (steps != 1).any()):
                score += 2
            scores[name] = score
        elif score and (unit := _text_unit(table[name], str(look.path))):
            return name, unit
    best = max(scores, key=lambda name: scores[name], default=None)
    if best is None or not scores[best]:
        return None, ""
    said = look.units.get(best)
    if said in TIME_UNITS:
        return best, said
    is_time = inspection.TIME.search(best.lower())
    return best, "samples" if inspection.COUNTER.search(best.lower()) and not is_time else "s"


def _text_unit(words: np.ndarray, source: str) -> str | None:
    """In which of the known ways words are times."""
    for unit in (*TEXT_STAMPS, *inspection.FORMATS):
        try:
            stamps.to_seconds(words, Time("time", unit, None, 0.0), source)
        except UserError:
            continue
        return unit
    return None


def _steps(times: np.ndarray, owner: Sequence[np.ndarray]) -> np.ndarray:
    """From each row to the next one of its recording."""
    order = np.lexsort(owner) if owner else np.arange(len(times))  # stable
    is_next = np.ones(len(times) - 1, bool)
    for words in owner:
        is_next &= words[order][1:] == words[order][:-1]
    steps = np.diff(times[order])[is_next]
    return steps[np.isfinite(steps)]


def _is_regular(steps: np.ndarray) -> bool:
    """Whether these come at one rate."""
    if len(steps) < 4:
        return False
    usual = np.median(steps)
    return bool(np.mean(abs(steps - usual) <= SAME_STEP * abs(usual)) > REGULAR)


def comments(left: Leftovers, raw: Path, taken: Look) -> list[str]:
    """Say what is left aside and why, a comment a kind.

    Parameters
    ----------
    left : Leftovers
    raw : Path
    taken : Look
        Of a recording that is not left aside.

    Returns
    -------
    list of str
    """
    lines = []
    for number, (labels, count) in enumerate(left.labels):
        file = _name(labels.look.path, raw)
        see = "see [labels]" if not number else "[labels] takes one kind of table"
        looks = f"{file} looks like a table of labels"
        if count > 1:
            looks = f"{count} files look like tables of labels, e.g. {file}"
        whose = " of other people" if labels.is_foreign else ""
        lines.append(f"# {looks}{whose}: {see}.")
    for look, count in left.recordings:
        file = _name(look.path, raw)
        files = f"{count} file{'s' if count > 1 else ''}"
        if (look.names, look.layout) == (taken.names, taken.layout):
            lines.append(f"# {files} of the same columns left aside, e.g. {file}: widen `files`.")
        else:
            shown = ", ".join(map(printable_name, look.names[:8]))
            shown += ", ..." if len(look.names) > 8 else ""
            kind = f"{files} of another kind left aside, e.g. {file}"
            lines.append(f"# {kind} ({shown}): a card of their own.")
    for paths, reason in (
        (left.others, "neither both sensors nor labels"),
        (left.unseen, "not looked at"),
    ):
        if paths:
            files = f"{len(paths)} more files" if paths[1:] else "1 more file"
            lines.append(f"# {files} left aside, e.g. {_name(paths[0], raw)}: {reason}.")
    return lines


def _name(path: Path, raw: Path) -> str:
    return printable_name(path.relative_to(raw).as_posix())


def label_lines(labels: LabelTable, file: str, begin: float | None) -> list[str]:
    """[labels], as comments.

    Parameters
    ----------
    labels : LabelTable
    file : str
        Its path, or with braces those of each recording.
    begin : float or None
        Where the clock of a recording begins [s], if it has one.

    Returns
    -------
    list of str
    """
    lines = [f"file = {quote(file)}", *layout_lines(labels.look.layout)]
    if "{" not in file:
        for key in ("subject", "recording"):
            column = getattr(labels, key)
            lines.append(f"{key} = {quote(column or '')}  # {'guess' if column else 'yours'}")
    lines.append(f"time = {quote(labels.time)}  # guess")
    unit = labels.unit
    if unit in ("s", "ms", "us", "ns") and begin is not None and begin > stamps.FAR:
        unit += " from start"
    if unit != "s":
        lines.append(f"time_unit = {quote(unit)}  # guess")
    lines.append("targets = [  # yours: which, and in which unit")
    for name in labels.targets:
        found = UNIT.search(name)
        unit = next(filter(None, found.groups())) if found else "?"
        lines.append(f"  {{ column = {quote(name)}, unit = {quote(unit)} }},")
    head = [
        "",
        "# One window for each row of the labels: take these marks away, and say in [window] how",
        "# many samples lie `before` the event.",
    ]
    return [*head, "# [labels]", *(f"# {line}" for line in [*lines, "]"])]
