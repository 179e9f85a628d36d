"""A table of labels: an event a row, with its recording, its time and what was measured."""

import functools
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from imujax.data_builders.tabular import readers, sentences
from imujax.data_builders.tabular.card import Labels, is_text
from imujax.data_builders.tabular.sources import resolve_path
from imujax.data_builders.tabular.stamps import EventClock


def find_rows(
    labels: Labels,
    raw: Path,
    groups: dict[str, str],
    recording: str,
    clock: EventClock,
) -> tuple[np.ndarray, np.ndarray]:
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
    targets = np.stack([table[column][is_own] for column, _, _ in labels.targets], axis=1)
    order = np.argsort(times, kind="stable")
    return times[order], targets[order]


def count_strangers(labels: Labels, raw: Path, known: Iterable[tuple[str, str]]) -> int:
    """Rows of a table of all recordings whose recording is none of the (subject, recording)s."""
    if not labels.subject or not labels.recording:
        return 0
    table = _read_table(resolve_path(raw, labels.file, {}), labels)
    known = {(sentences.tidy_name(subject), sentences.tidy_name(name)) for subject, name in known}
    rows = zip(table[labels.subject].tolist(), table[labels.recording].tolist(), strict=True)
    return sum(row not in known for row in rows)


def _read_table(path: Path, labels: Labels) -> dict[str, np.ndarray]:
    """Read once for all recordings, and again when the file has changed."""
    return _read_version(path, labels, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _read_version(path: Path, labels: Labels, changed: int) -> dict[str, np.ndarray]:
    texts = [column for column in (labels.subject, labels.recording) if column]
    numbers = [column for column, _, _ in labels.targets]
    (texts if is_text(labels.unit) else numbers).append(labels.time)
    return readers.read_table(path, labels.layout, numbers, texts)
