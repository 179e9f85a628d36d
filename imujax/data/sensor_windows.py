"""Sensor-windows in memory: folding them out of data sets, and their order."""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from imujax.data import datasets, windows
from imujax.errors import UserError


@dataclasses.dataclass(frozen=True)
class SensorWindows:
    """Sensor-windows: every sensor of every window is its own sample.

    acc [M, L, 3] m/s^2, gyr [M, L, 3] rad/s, length [M] valid samples; window, recording, subject
    and sensor [M] integer ids (equal ids, equal thing; across data sets they differ), start [M] s.
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

    def take(self, rows) -> "SensorWindows":
        return SensorWindows(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))


def load_sensor_windows(paths, config) -> tuple[SensorWindows, dict]:
    """All samples of one or more data sets -> (samples, counts); see `pieces`."""
    found, dropped = zip(*iter_sensor_windows(paths, config), strict=True)
    samples = concatenate(found)
    return samples, {"samples": len(samples), "dropped without motion": sum(dropped)}


def concatenate(parts) -> SensorWindows:
    """Samples one after the other."""
    names = [field.name for field in dataclasses.fields(SensorWindows)]
    return SensorWindows(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in names)
    )


def iter_sensor_windows(paths, config) -> Iterator[tuple[SensorWindows, int]]:
    """Fold the sensors of data sets into samples, piece by piece -> (samples, how many dropped).

    config: rate [Hz] and window [samples] that the sets must offer, sensors (empty for all) and
    motion [m/s^2], the least mean SD of a sensor's acceleration for its sample to be kept.  L is
    that of the shortest windows.  Raises UserError where a set does not fit.
    """
    sets = [datasets.read_metadata(path) for path in paths]
    for path, about in zip(paths, sets, strict=True):
        require_rate_and_window(about, path, config.rate, config.window)
    span = min(about["window"] for about in sets)
    offset = dict.fromkeys(("window", "recording", "subject", "sensor"), 0)
    for path in paths:
        recordings: dict[str, int] = {}
        for data in datasets.iter_arrays(path, sensors=tuple(config.sensors) or None):
            part = _fold(data, offset, recordings, span)
            offset["window"] += len(data.acc)
            moving = motion(data).reshape(-1) >= config.motion
            yield part.take(moving), int((~moving).sum())
        offset["recording"] += len(recordings)
        offset["subject"] += len(data.info["subjects"])
        offset["sensor"] += len(data.info["sensors"])


def motion(data) -> np.ndarray:
    """windows.motion over the valid part of each window -> [N, S] m/s^2."""
    found = np.empty((len(data.acc), data.acc.shape[2]))
    for length in np.unique(data.length):
        rows = data.length == length
        found[rows] = windows.motion(data.acc[rows, :length])
    return found


def require_rate_and_window(about: dict, path, rate: float, window: int):
    """Raise UserError unless the data set, of which its info tells, has this rate [Hz] and windows
    at least this long."""
    if abs(about["rate"] - rate) > 1e-6 * rate:
        raise UserError(
            f"{path} holds data at {about['rate']:g} Hz but the configuration wants {rate:g}; "
            f"build it again with --rate {rate:g}"
        )
    if about["window"] < window:
        raise UserError(
            f"{path} holds windows of {about['window']} samples but the configuration wants "
            f"{window}; build it again with --window {window}"
        )


def _fold(data, offset: dict, recordings: dict, span: int) -> SensorWindows:
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


def monitor_mask(subject: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Mask of what belongs to the subjects held out to watch the training (rounded up).

    subject [M]: whose each sample, or block of samples, is.
    """
    subjects = np.unique(subject)
    count = int(np.ceil(share * len(subjects))) if share else 0
    if count >= len(subjects):
        raise UserError(
            f"monitor={share:g} would hold out all {len(subjects)} subjects of the pre-training "
            "data; lower it"
        )
    held = np.random.default_rng([seed, 1]).permutation(subjects)[:count]
    return np.isin(subject, held)


class WindowOrder:
    """Which samples make up batch k: epoch after epoch of permutations, a function of the step.

    `grouped` keeps the sensors of a window together, as the study did, so that a batch holds whole
    windows (but for its ends).
    """

    def __init__(self, window: np.ndarray, batch: int, seed: int, grouped: bool):
        self.window, self.batch, self.seed, self.grouped = window, batch, seed, grouped
        self.epoch = functools.lru_cache(maxsize=2)(self._epoch)

    def _epoch(self, number: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 2, number])
        if not self.grouped:
            return rng.permutation(len(self.window))
        rank = rng.permutation(int(self.window.max()) + 1)
        return np.argsort(rank[self.window], kind="stable")

    def rows(self, step: int) -> np.ndarray:
        """The sample numbers of batch `step` -> [B] int32."""
        count = len(self.window)
        first, found = step * self.batch, []
        while sum(map(len, found)) < self.batch:
            missing = self.batch - sum(map(len, found))
            number, at = divmod(first, count)
            found.append(self.epoch(number)[at : at + missing])
            first += len(found[-1])
        return np.concatenate(found).astype(np.int32)
