"""A table of labels: an event a row, with its recording, its time and what was measured."""

import difflib
import functools
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from imujax.data_builders.tabular import readers, sentences
from imujax.data_builders.tabular.card import Labels, is_text
from imujax.data_builders.tabular.sources import resolve_path
from imujax.data_builders.tabular.stamps import EventClock
from imujax.errors import UserError


def find_rows(
    labels: Labels,
    raw: Path,
    groups: dict[str, str],
    recording: str,
    clock: EventClock,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The events of one recording.

    Parameters
    ----------
    labels : Labels
    raw : Path
        Folder of the raw files.
    groups : dict of str
        What stands in braces; subject among it.
    recording : str
        Its id.
    clock : EventClock
        Of the recording.

    Returns
    -------
    times : ndarray, [E]
        s on the recording's clock, ascending.
    targets : ndarray, [E, K]
        NaN where nothing was measured.
    activities : ndarray of str, [E], or None
        Where the table tells them.
    """
    path = resolve_path(raw, labels.file, groups)
    table = _read_table(path, labels)
    times = clock.to_seconds(table[labels.time], labels.unit, str(path))
    is_own = np.isfinite(times)
    wanted = {labels.subject: groups["subject"], labels.recording: recording}
    for column, value in wanted.items():
        if column:
            is_own &= table[column] == sentences.tidy_name(value)
    times = times[is_own]
    order = np.argsort(times, kind="stable")
    targets = np.empty((len(times), len(labels.targets)))
    for number, (column, _, _) in enumerate(labels.targets):
        targets[:, number] = table[column][is_own]
    activities = table[labels.activity][is_own][order] if labels.activity else None
    return times[order], targets[order], activities


def find_strangers(labels: Labels, raw: Path, known: Iterable[tuple[str, str]]) -> tuple[int, str]:
    """Rows of a table of all recordings whose recording is not there.

    Parameters
    ----------
    labels : Labels
    raw : Path
        Folder of the raw files.
    known : iterable of (subject, recording)
        Those that are there.

    Returns
    -------
    count : int
    warning : str
        Names one of them, and what is there of the name nearest to it; "" where there is none.

    Raises
    ------
    UserError
        All rows are such.
    """
    if not labels.subject or not labels.recording:
        return 0, ""
    path = resolve_path(raw, labels.file, {})
    table = _read_table(path, labels)
    known = {(sentences.tidy_name(subject), sentences.tidy_name(name)) for subject, name in known}
    rows = list(zip(table[labels.subject].tolist(), table[labels.recording].tolist(), strict=True))
    strangers = [row for row in rows if row not in known]
    if not strangers:
        return 0, ""
    names = [_name_recording(*one) for one in sorted(known)]
    name = _name_recording(*strangers[0])
    (nearest,) = difflib.get_close_matches(name, names, n=1, cutoff=0)
    example = f"such as {name}, where {nearest} is there"
    if len(strangers) == len(rows):
        raise UserError(
            f"{path}: all {len(rows)} rows are of recordings that are not there, {example}: write "
            'the names alike, in this file or by "match" in the card'
        )
    share = f"{len(strangers)} of {len(rows)} rows of {path.name}"
    return len(strangers), f"{share} are of recordings that are not there, {example}"


def _name_recording(subject: str, recording: str) -> str:
    return sentences.printable_name(f'recording "{recording}" of subject "{subject}"')


def _read_table(path: Path, labels: Labels) -> dict[str, np.ndarray]:
    """Read once for all recordings, and again when the file has changed."""
    return _read_version(path, labels, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _read_version(path: Path, labels: Labels, changed: int) -> dict[str, np.ndarray]:
    texts = [column for column in (labels.subject, labels.recording, labels.activity) if column]
    numbers = [column for column, _, _ in labels.targets]
    (texts if is_text(labels.unit) else numbers).append(labels.time)
    return readers.read_table(path, labels.layout, numbers, texts)
