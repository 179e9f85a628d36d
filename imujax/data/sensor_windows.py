"""Sensor-windows in memory: folding them out of data sets, and their order."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imujax.data import datasets, windows
from imujax.data.datasets import Dataset
from imujax.errors import UserError


@dataclasses.dataclass(frozen=True)
class SensorWindows:
    """Sensor-windows: every sensor of every window is its own sample.

    Attributes
    ----------
    acc : ndarray, [M, L, 3]
        m/s^2, gravity included.
    gyr : ndarray, [M, L, 3]
        rad/s
    length : ndarray, [M]
        Valid samples.
    window, recording, subject, sensor : ndarray, [M]
        Integer ids: equal ids, equal thing; across data sets they differ.
    start : ndarray, [M]
        s
    """

    acc: np.ndarray
    gyr: np.ndarray
    length: np.ndarray
    window: np.ndarray
    recording: np.ndarray
    subject: np.ndarray
    sensor: np.ndarray
    start: np.ndarray

    def __len__(self):
        return len(self.length)

    def take(self, rows: np.ndarray | slice) -> "SensorWindows":
        """Those of these numbers, of this mask, or of this slice."""
        return SensorWindows(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))


def load_sensor_windows(
    paths: Sequence[Path | str], config: Any
) -> tuple[SensorWindows, dict[str, int]]:
    """Read all samples of one or more data sets.

    Parameters
    ----------
    paths : sequence of Path or str
        Folders of the data sets.
    config : ConfigDict
        As of `iter_sensor_windows`.

    Returns
    -------
    samples : SensorWindows
    counts : dict
        How many there are, and how many were dropped.

    Raises
    ------
    UserError
        Where a data set does not fit.
    """
    pieces, dropped = zip(*iter_sensor_windows(paths, config), strict=True)
    samples = concatenate(pieces)
    return samples, {"samples": len(samples), "dropped without motion": sum(dropped)}


def concatenate(parts: Sequence[SensorWindows]) -> SensorWindows:
    """Samples one after the other."""
    names = [field.name for field in dataclasses.fields(SensorWindows)]
    return SensorWindows(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in names)
    )


def iter_sensor_windows(
    paths: Sequence[Path | str], config: Any
) -> Iterator[tuple[SensorWindows, int]]:
    """Fold the sensors of data sets into samples, piece by piece -> (samples, how many dropped).

    config: rate [Hz] and window [samples] that the sets must offer, sensors (empty for all) and
    motion [m/s^2], the least mean SD of a sensor's acceleration for its sample to stay.  L is
    that of the shortest windows.  Raises UserError where a set does not fit.
    """
    sets = [datasets.read_metadata(path) for path in paths]
    for path, metadata in zip(paths, sets, strict=True):
        require_rate_and_window(metadata, path, config.rate, config.window)
    span = min(metadata["window"] for metadata in sets)
    offset = dict.fromkeys(("window", "recording", "subject", "sensor"), 0)
    for path in paths:
        recordings: dict[str, int] = {}
        for data in datasets.iter_arrays(path, sensors=tuple(config.sensors) or None):
            part = _fold_sensors(data, offset, recordings, span)
            offset["window"] += len(data.acc)
            moving = valid_motion(data).reshape(-1) >= config.motion
            yield part.take(moving), int((~moving).sum())
        offset["recording"] += len(recordings)
        offset["subject"] += len(data.info["subjects"])
        offset["sensor"] += len(data.info["sensors"])


def valid_motion(data: Dataset) -> np.ndarray:
    """windows.motion over the valid part of each window -> [N, S] m/s^2."""
    motion = np.empty((len(data.acc), data.acc.shape[2]))
    for length in np.unique(data.length):
        rows = data.length == length
        motion[rows] = windows.motion(data.acc[rows, :length])
    return motion


def require_rate_and_window(
    metadata: Mapping[str, Any], path: Path | str, rate: float, window: int
):
    """Require that a data set has this rate and windows at least this long.

    Parameters
    ----------
    metadata : mapping
        Of the data set, as of `datasets.read_metadata`.
    path : Path or str
        Its folder, named in the sentence.
    rate : float
        Hz
    window : int
        Samples.

    Raises
    ------
    UserError
        Where it has not.
    """
    if abs(metadata["rate"] - rate) > 1e-6 * rate:
        raise UserError(
            f"{path} holds data at {metadata['rate']:g} Hz but the configuration wants {rate:g}; "
            f"build it again with the option rate={rate:g}, or in a card [window] rate"
        )
    if metadata["window"] < window:
        raise UserError(
            f"{path} holds windows of {metadata['window']} samples but the configuration wants "
            f"{window}; build it again with the option window={window}, or in a card [window] "
            "length"
        )


def _fold_sensors(data: Dataset, offset: dict, recordings: dict, span: int) -> SensorWindows:
    """[N, L, S, 3] -> [N * S, span, 3], the sensors of a window next to each other.

    Subjects are numbered in the order of their names, recordings (numbered so far in `recordings`)
    as they come.
    """
    count, _, sensors, _ = data.acc.shape
    names = np.char.add(np.char.add(data.subject, "/"), data.recording)
    numbers = [recordings.setdefault(name, len(recordings)) for name in names.tolist()]
    ids = {
        "window": np.arange(count) + offset["window"],
        "recording": np.array(numbers) + offset["recording"],
        "subject": np.searchsorted(data.info["subjects"], data.subject) + offset["subject"],
    }
    ids = {name: values.astype(np.int32) for name, values in ids.items()}
    ids |= {"start": data.start, "length": np.minimum(data.length, span)}
    return SensorWindows(
        acc=np.moveaxis(data.acc[:, :span], 2, 1).reshape(count * sensors, -1, 3),
        gyr=np.moveaxis(data.gyr[:, :span], 2, 1).reshape(count * sensors, -1, 3),
        sensor=np.tile(np.arange(sensors, dtype=np.int32), count) + np.int32(offset["sensor"]),
        **{name: np.repeat(values, sensors) for name, values in ids.items()},
    )


def subject_mask(
    subject: np.ndarray, paths: Sequence[Path | str], names: Iterable[str]
) -> np.ndarray:
    """Tell which samples are of subjects of these names.

    Parameters
    ----------
    subject : ndarray, [M]
        Ids of the subjects of samples or blocks, as `iter_sensor_windows` numbers them.
    paths : sequence of Path or str
        Folders of the data sets, in the order in which they were read.
    names : iterable of str
        In each of the data sets.

    Returns
    -------
    ndarray, [M], bool
    """
    everybody = [name for path in paths for name in datasets.read_metadata(path)["subjects"]]
    return np.isin(everybody, list(names))[subject]


def monitor_mask(subject: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose the subjects that are held out to watch the training.

    Parameters
    ----------
    subject : ndarray, [M]
        Whose each sample, or block of samples, is.
    share : float
        Of the subjects, rounded up to whole ones.
    seed : int

    Returns
    -------
    ndarray, [M], bool
        True for what belongs to the subjects held out.

    Raises
    ------
    UserError
        Where all subjects would be held out.
    """
    subjects = np.unique(subject)
    count = int(np.ceil(share * len(subjects))) if share else 0
    if count >= len(subjects):
        raise UserError(
            f"monitor={share:g} would hold out all {len(subjects)} subjects of the pre-training "
            "data; lower it"
        )
    held_out = np.random.default_rng([seed, 1]).permutation(subjects)[:count]
    return np.isin(subject, held_out)


class WindowOrder:
    """Which samples make up batch k: epoch after epoch of permutations, a function of the step.

    Parameters
    ----------
    window : ndarray, [M]
        Id of each sample's window.
    batch : int
        Samples in a batch.
    seed : int
    grouped : bool
        Keeps the sensors of a window together, as the study did, so that a batch holds whole
        windows (but for its ends).
    """

    def __init__(self, window: np.ndarray, batch: int, seed: int, grouped: bool):
        self.window, self.batch, self.seed, self.grouped = window, batch, seed, grouped
        self.epoch = functools.lru_cache(maxsize=2)(self._permute_samples)

    def _permute_samples(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 2, epoch])
        if not self.grouped:
            return rng.permutation(len(self.window))
        rank = rng.permutation(int(self.window.max()) + 1)
        return np.argsort(rank[self.window], kind="stable")

    def rows(self, step: int) -> np.ndarray:
        """The sample numbers of batch `step` -> [B] int32."""
        first, missing, parts = step * self.batch, self.batch, []
        while missing:
            epoch, place = divmod(first, len(self.window))
            parts.append(self.epoch(epoch)[place : place + missing])
            first, missing = first + len(parts[-1]), missing - len(parts[-1])
        return np.concatenate(parts).astype(np.int32)
