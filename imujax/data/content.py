"""By what signals are known again, whatever they are called: hashes of what was recorded.

Two kinds.  Of each sensor of a recording, at its own rate, hashes of stretches of 0.3 s: the norms
of acceleration and angular rate, rounded, so that neither another unit, attitude or order of the
axes nor another number of digits makes a stranger of a copy.  One is kept of every 0.8 s (the
least, by winnowing: Schleimer, Wilkerson and Aiken, SIGMOD 2003), so that two recordings which
share 2.5 s of movement share two of them that lie 0.6 s or more apart, wherever they were cut and
whatever the clock says.  One alone proves nothing: in smooth movement two of a hundred people do
have 0.3 s alike.  And of each example one hash of all that it holds.

What hardly changes from sample to sample (a resting sensor, zeros, clipped values) is not hashed:
it is alike in everybody.  A copy that was filtered, or brought to another rate by a filter, is
another signal and is not known again.
"""

import contextlib
import contextvars
import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imujax.errors import UserError
from imujax.runtime import files

if TYPE_CHECKING:
    from imujax.data.recordings import Recording

CONTENT_FILE = "content.npz"  # in the folder of a data set, and in that of a pre-training
VERSION = 1  # raised when the same signals give other hashes
POINTS, SPACING = 16, 0.02  # points of a stretch, s between them (at least one sample)
ROUNDING = (0.2, 0.1)  # of the norms [m/s^2, rad/s]
LEAST_CHANGES = 10  # between neighbouring points of a stretch, for each norm
WINNOW = 0.8  # s in which one hash is kept at least
EXAMPLE_ROUNDING = 0.01  # m/s^2 and rad/s
MOST_EQUAL = 32  # equal hashes that are all compared; of more, those that stand side by side
APART = 600  # ms between the first and the last shared hash of a copy, at least
JITTER = 20  # ms by which the distance of two shared hashes may differ in a copy
NO_HASH = np.uint64(2**64 - 1)
# Odd numbers without pattern, the same on any machine, by which the points are weighed.
NOISE = hashlib.shake_256(b"imujax content").digest(2 * POINTS * 8)
FACTORS = np.frombuffer(NOISE, "<u8").reshape(2, POINTS) | np.uint64(1)
NAMES = ("subject", "recording", "source")
FIELDS: dict[str, type] = dict.fromkeys((*NAMES, "sensor"), str)
FIELDS |= {"hash": np.uint64, "track": np.int32, "time": np.int64}


@dataclass(frozen=True, eq=False)
class Content:
    """Hashes of signals, and where they lie.

    Attributes
    ----------
    subject, recording, source, sensor : ndarray, [K], str
        Of each track: one sensor of one recording, or, with the sensor "", the examples of one
        recording. The source is the raw file.
    hash : ndarray, [H], uint64
    track : ndarray, [H], int32
        The track that each hash is of; none stands twice in the track of a sensor.
    time : ndarray, [H], int64
        Where the stretch or example begins on the recording's clock [ms].
    """

    subject: np.ndarray
    recording: np.ndarray
    source: np.ndarray
    sensor: np.ndarray
    hash: np.ndarray
    track: np.ndarray
    time: np.ndarray


@dataclass(frozen=True)
class Place:
    """A stretch of a recording.

    Attributes
    ----------
    subject, recording, source : str
    start, end : float
        Of the first and the last shared hash, s on the recording's clock.
    """

    subject: str
    recording: str
    source: str
    start: float
    end: float

    def __str__(self):
        return (
            f"{self.source} (subject {self.subject}, recording {self.recording}, "
            f"from {self.start:.1f} s on)"
        )


_collected: contextvars.ContextVar[list["Recording"] | None] = contextvars.ContextVar(
    "collected", default=None
)


@contextlib.contextmanager
def collect_recordings() -> Iterator[list["Recording"]]:
    """Collect all recordings that are made meanwhile, in the order in which they are made.

    Yields
    ------
    list of Recording
        Grows as they are made.
    """
    recordings: list[Recording] = []
    token = _collected.set(recordings)
    try:
        yield recordings
    finally:
        _collected.reset(token)


def note_recording(recording: "Recording"):
    """Give a recording that was just made to who collects them, if anybody does."""
    recordings = _collected.get()
    if recordings is not None:
        recordings.append(recording)


def hash_signals(
    recordings: Iterable["Recording"], examples: Iterable[dict[str, Any]], source: str = ""
) -> Content:
    """Hash what was read of one item.

    Parameters
    ----------
    recordings : iterable of Recording
    examples : iterable of dict
        As of `windows.make_example`.
    source : str
        The raw file that they come from.

    Returns
    -------
    Content
    """
    tracks: list[tuple[str, str, str]] = []
    parts = []

    def add_track(subject: str, recording: str, sensor: str, hashes, seconds):
        time = np.rint(1000 * np.asarray(seconds, np.float64))
        parts.append((np.asarray(hashes, np.uint64), np.full(len(time), len(tracks)), time))
        tracks.append((subject, recording, sensor))

    for r in recordings:
        for s, sensor in enumerate(r.sensors):
            hashes, place = hash_stretches(r.acc[:, s], r.gyr[:, s], r.rate)
            hashes, first = np.unique(hashes, return_index=True)
            add_track(r.subject, r.recording, sensor, hashes, r.start + place[first] / r.rate)
    rows: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for example in examples:
        digest = _hash_example(example["acc"], example["gyr"])
        if digest is not None:
            key = (example["subject"], example["recording"])
            rows.setdefault(key, []).append((digest, example["start"]))
    for (subject, recording), hashed in rows.items():
        add_track(subject, recording, "", *zip(*hashed, strict=True))
    names = [[track[i] for track in tracks] for i in range(3)]
    hashes, track, time = (
        np.concatenate([part[i] for part in parts]) if parts else [] for i in range(3)
    )
    columns = (names[0], names[1], [source] * len(tracks), names[2], hashes, track, time)
    return _make_content(columns)


def _make_content(columns: Iterable[Any]) -> Content:
    named = zip(FIELDS.items(), columns, strict=True)
    return Content(**{name: np.asarray(values, kind) for (name, kind), values in named})


def hash_stretches(acc: np.ndarray, gyr: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Hash the stretches of one sensor in which both norms change, and thin them out.

    Parameters
    ----------
    acc, gyr : ndarray, [T, 3]
        m/s^2 and rad/s.
    rate : float
        Hz

    Returns
    -------
    hashes : ndarray, [H], uint64
    place : ndarray, [H]
        Sample at which each stretch begins, ascending.
    """
    spacing = max(1, round(SPACING * rate))
    count = len(acc) - (POINTS - 1) * spacing
    if count < 1:
        return np.zeros(0, np.uint64), np.zeros(0, int)
    hashes, is_varied = np.zeros(count, np.uint64), np.ones(count, bool)
    for x, step, factors in zip((acc, gyr), ROUNDING, FACTORS, strict=True):
        norm = np.rint(np.sqrt((np.asarray(x, np.float64) ** 2).sum(-1)) / step).astype(np.int64)
        changes = np.zeros(count, np.int8)
        for k, factor in enumerate(factors):
            point = norm[k * spacing :][:count]
            hashes += point.astype(np.uint64) * factor
            if k:
                changes += point != norm[(k - 1) * spacing :][:count]
        is_varied &= changes >= LEAST_CHANGES
    hashes[~is_varied] = NO_HASH
    width = min(max(1, round(WINNOW * rate)), count)
    stretches = np.lib.stride_tricks.sliding_window_view(hashes, width)
    place = np.unique(stretches.argmin(axis=1) + np.arange(len(stretches)))
    place = place[hashes[place] != NO_HASH]
    return hashes[place], place


def _hash_example(acc: np.ndarray, gyr: np.ndarray) -> int | None:
    """The hash of one example, acc and gyr [L, S, 3]; None where its samples hardly change."""
    rounded = np.rint(np.stack([acc, gyr]).astype(np.float64) / EXAMPLE_ROUNDING).astype("<i4")
    changes = (np.diff(rounded, axis=1) != 0).any(axis=(0, 2, 3)).sum()
    if changes < LEAST_CHANGES:
        return None
    return int.from_bytes(hashlib.blake2b(rounded.tobytes(), digest_size=8).digest(), "little")


def concatenate(contents: Sequence[Content]) -> Content:
    """Put contents together.

    Parameters
    ----------
    contents : sequence of Content

    Returns
    -------
    Content
        The tracks of each after those of the ones before; empty for none.
    """
    offset = np.cumsum([0, *(len(content.subject) for content in contents)])
    moved = [
        replace(content, track=content.track + first)
        for content, first in zip(contents, offset, strict=False)
    ]
    return _make_content(
        np.concatenate([getattr(content, name) for content in moved]) if moved else []
        for name in FIELDS
    )


def leave_out(content: Content, subjects: Iterable[str]) -> Content:
    """Take the signals of some subjects out of a content.

    Parameters
    ----------
    content : Content
    subjects : iterable of str

    Returns
    -------
    Content
    """
    stays = ~np.isin(content.subject, list(subjects))
    rows, number = stays[content.track], np.cumsum(stays) - 1
    columns = {name: getattr(content, name)[stays] for name in (*NAMES, "sensor")}
    columns |= {"hash": content.hash[rows], "time": content.time[rows]}
    return Content(**columns, track=number[content.track[rows]].astype(np.int32))


def save(folder: Path | str, content: Content) -> Path:
    """Keep a content in the folder of a data set or of a pre-training.

    Parameters
    ----------
    folder : Path or str
    content : Content

    Returns
    -------
    Path
        That of the file; equal contents give equal files.
    """
    arrays = {name: getattr(content, name) for name in FIELDS}
    return files.save_arrays(Path(folder) / CONTENT_FILE, arrays | {"version": np.array(VERSION)})


def read(folder: Path | str, mend: str = "remove that folder and build it again") -> Content:
    """Read the content of a data set or of a pre-training.

    Parameters
    ----------
    folder : Path or str
    mend : str
        What to do where there is none, for the sentence.

    Returns
    -------
    Content

    Raises
    ------
    UserError
        Where there is none, as of an older imujax, or a damaged one.
    """
    arrays = files.load_arrays(Path(folder) / CONTENT_FILE)
    if arrays is None or set(arrays) != {*FIELDS, "version"} or arrays["version"] != VERSION:
        raise UserError(
            f"{folder} has no {CONTENT_FILE} that can be read, by which copied recordings are "
            f"known again (an older imujax wrote none): {mend}"
        )
    return _make_content(arrays[name] for name in FIELDS)


def read_sets(paths: Iterable[Path | str]) -> Content:
    """Read the contents of data sets as one, each source with the name of its data set before it.

    Parameters
    ----------
    paths : iterable of Path or str
        Folders of the data sets.

    Returns
    -------
    Content

    Raises
    ------
    UserError
        See `read`.
    """
    contents = []
    for path in paths:
        content, name = read(path), "/".join(Path(path).parts[-3:-1])
        sources = [f"{name}: {source}" for source in content.source.tolist()]
        contents.append(replace(content, source=np.array(sources, str)))
    return concatenate(contents)


def find_copy(content: Content, other: Content | None = None) -> tuple[Place, Place] | None:
    """Find signals that stand in two places.

    Parameters
    ----------
    content : Content
    other : Content, optional
        Without it the two places are two subjects of `content`, whose names differ by more than
        their spelling; with it one is in either, whosoever it is.

    Returns
    -------
    (Place, Place) or None
        The largest overlap: an example, or hashes of a sensor, APART or more, that are as far apart
        in both places. None where there is none.
    """
    if other is None:
        names = [_fold_name(name) for name in content.subject.tolist()]
        side = np.unique(names, return_inverse=True)[1][content.track]
    else:
        side = np.repeat([0, 1], [len(content.hash), len(other.hash)])
        content = concatenate([content, other])
    first, second = _pair_equal(content, side)
    # What was copied lies as far apart here as there: sort by the two tracks and the shift.
    tracks = content.track[first] * np.int64(len(content.subject)) + content.track[second]
    shift = content.time[second] - content.time[first]
    order = np.lexsort((shift, tracks))
    first, second, tracks, shift = (x[order] for x in (first, second, tracks, shift))
    follows = (np.diff(tracks) == 0) & (np.diff(shift) <= JITTER)
    group = np.cumsum(np.concatenate([[0], ~follows])) if len(shift) else shift
    begin = np.flatnonzero(np.diff(group, prepend=-1))
    time = content.time[first]
    span = (
        np.maximum.reduceat(time, begin) - np.minimum.reduceat(time, begin) if len(begin) else time
    )
    is_copy = (content.sensor[content.track[first]] == "") | (span >= APART)[group]
    if not is_copy.any():
        return None
    first, second, tracks = first[is_copy], second[is_copy], tracks[is_copy]
    values, size = np.unique(tracks, return_counts=True)
    largest = tracks == values[size.argmax()]
    return _place(content, first[largest]), _place(content, second[largest])


def _pair_equal(content: Content, side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of equal hashes on different sides [H], two by two."""
    order = np.lexsort((content.track, side, content.hash))
    hashes, side = content.hash[order], side[order]
    first, second = [order[:0]], [order[:0]]
    for lag in range(1, MOST_EQUAL):
        is_equal = hashes[lag:] == hashes[:-lag]
        if not is_equal.any():
            break
        at = np.flatnonzero(is_equal & (side[lag:] != side[:-lag]))
        first.append(order[at])
        second.append(order[at + lag])
    return np.concatenate(first), np.concatenate(second)


def _place(content: Content, rows: np.ndarray) -> Place:
    """Where these hashes of one track lie."""
    track, time = content.track[rows[0]], content.time[rows] / 1000
    names = {name: str(getattr(content, name)[track]) for name in NAMES}
    return Place(**names, start=float(time.min()), end=float(time.max()))


def count_equal_examples(content: Content) -> int:
    """Count the examples that are equal to an earlier one.

    Parameters
    ----------
    content : Content

    Returns
    -------
    int
    """
    is_example = content.sensor[content.track] == ""
    return int(is_example.sum()) - len(np.unique(content.hash[is_example]))


def require_separate_subjects(content: Content, subjects: Iterable[str], place: Path | str):
    """Require that everybody has one name, in one spelling.

    Parameters
    ----------
    content : Content
    subjects : iterable of str
        All names.
    place : Path or str
        Where they stand, for the sentence.

    Raises
    ------
    UserError
        Two names are equal but for spaces, capitals and the way in which accents are written, or
        the same signals stand under two names; both places are named.
    """
    spellings: dict[str, str] = {}
    for name in sorted(set(subjects)):
        other = spellings.setdefault(_fold_name(name), name)
        if other != name:
            raise UserError(
                f"{place} has the subjects {other!r} and {name!r}: one person in two spellings; "
                "spell the name alike everywhere, or give two people names that differ more"
            )
    copy = find_copy(content)
    if copy is not None:
        raise UserError(
            f"{place} has the same signals under two names, in {copy[0]} and in {copy[1]}: "
            "give them the name of the person who was recorded, or leave one of them out"
        )


def _fold_name(name: str) -> str:
    """A subject's name in the form in which all its spellings are equal."""
    return unicodedata.normalize("NFKC", name).strip().casefold()
