"""Sensor-windows in memory: folding them out of data sets, their order, and cutting batches.

Host arrays and pure functions; pretrain.py trains on them, finetune.py borrows the augmentation.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from imujax import datasets, windows
from imujax.errors import UserError

IDS = ("window", "recording", "subject", "sensor", "start")  # what relations.py compares


@dataclasses.dataclass(frozen=True)
class Samples:
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

    def take(self, rows) -> "Samples":
        return Samples(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))


def load(paths, config) -> tuple[Samples, dict]:
    """Fold the sensors of one or more data sets into samples -> (samples, counts).

    config: rate [Hz] and window [samples] that the sets must offer, sensors (empty for all) and
    motion [m/s^2], the least mean SD of a sensor's acceleration for its sample to be kept.
    Raises UserError where a set does not fit.
    """
    parts, offset, dropped = [], {"window": 0, "recording": 0, "subject": 0, "sensor": 0}, 0
    for path in paths:
        data = datasets.arrays(path, sensors=tuple(config.sensors) or None)
        fits(data, path, config.rate, config.window)
        part = _fold(data, offset)
        moving = motion(data).reshape(-1) >= config.motion
        dropped += int((~moving).sum())
        parts.append(part.take(moving))
        offset = {name: int(getattr(part, name).max()) + 1 for name in offset}
    span = min(part.acc.shape[1] for part in parts)
    joined = {}
    for field in dataclasses.fields(Samples):
        columns = [getattr(part, field.name) for part in parts]
        if field.name in ("acc", "gyr"):
            columns = [column[:, :span] for column in columns]
        joined[field.name] = np.concatenate(columns)
    joined["length"] = np.minimum(joined["length"], span)
    samples = Samples(**joined)
    return samples, {"samples": len(samples), "dropped without motion": dropped}


def motion(data) -> np.ndarray:
    """windows.motion over the valid part of each window -> [N, S] m/s^2."""
    found = np.empty((len(data.acc), data.acc.shape[2]))
    for length in np.unique(data.length):
        rows = data.length == length
        found[rows] = windows.motion(data.acc[rows, :length])
    return found


def fits(data, path, rate: float, window: int):
    """Raise UserError unless the data set has this rate [Hz] and windows at least this long."""
    if abs(data.info["rate"] - rate) > 1e-6 * rate:
        raise UserError(
            f"{path} holds data at {data.info['rate']:g} Hz but the configuration wants {rate:g}; "
            f"build it again with --rate {rate:g}"
        )
    if data.acc.shape[1] < window:
        raise UserError(
            f"{path} holds windows of {data.acc.shape[1]} samples but the configuration wants "
            f"{window}; build it again with --window {window}"
        )


def _fold(data, offset) -> Samples:
    """[N, L, S, 3] -> [N * S, L, 3], the sensors of a window next to each other."""
    count, _, sensors, _ = data.acc.shape

    def codes(labels, name):
        return np.unique(labels, return_inverse=True)[1].astype(np.int32) + offset[name]

    recordings = np.char.add(np.char.add(data.subject, "/"), data.recording)
    ids = {
        "window": np.arange(count, dtype=np.int32) + offset["window"],
        "recording": codes(recordings, "recording"),
        "subject": codes(data.subject, "subject"),
        "start": data.start,
        "length": data.length,
    }
    return Samples(
        acc=np.moveaxis(data.acc, 2, 1).reshape(count * sensors, -1, 3),
        gyr=np.moveaxis(data.gyr, 2, 1).reshape(count * sensors, -1, 3),
        sensor=np.tile(np.arange(sensors, dtype=np.int32), count) + offset["sensor"],
        **{name: np.repeat(values, sensors) for name, values in ids.items()},
    )


def monitored(samples: Samples, share: float, seed: int) -> np.ndarray:
    """Mask [M] of the samples of the subjects held out to watch the training (rounded up)."""
    subjects = np.unique(samples.subject)
    count = int(np.ceil(share * len(subjects))) if share else 0
    if count >= len(subjects):
        raise UserError(
            f"monitor={share:g} would hold out all {len(subjects)} subjects of the pre-training "
            "data; lower it"
        )
    held = np.random.default_rng([seed, 1]).permutation(subjects)[:count]
    return np.isin(samples.subject, held)


def scales(acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> dict:
    """One mean and one SD for each modality over all sensors, axes and windows, in SI units.

    acc, gyr [N, L, ..., 3], length [N]: how many samples of each window count.
    """
    found = {}
    valid = windows.length_mask(length, acc.shape[1])
    for name, values in (("acc", acc), ("gyr", gyr)):
        values = values if valid.all() else values[valid]
        found[name] = {
            "mean": float(values.mean(dtype=np.float64)),
            "sd": float(values.std(dtype=np.float64)),
        }
    return found


def standardise(acc, gyr, scale):
    """Apply the scales of `scales` to arrays of any shape."""
    return (
        (acc - scale["acc"]["mean"]) / scale["acc"]["sd"],
        (gyr - scale["gyr"]["mean"]) / scale["gyr"]["sd"],
    )


class Order:
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


def batch_of(data: dict, rows, key, config, scale) -> dict:
    """Gather and cut one batch on the device.

    data: acc, gyr [M, L, 3], length [M] and ids [M].  Each sample is cut to config.window at a
    random place of its valid part, rotated by a random angle of at most config.rotation degrees
    about a random axis (both modalities alike), and standardised.
    -> acc, gyr [B, T, 3], length and the ids [B].
    """
    place, turn = jax.random.split(key)
    length = data["length"][rows]
    room = jnp.maximum(length - config.window, 0)
    begin = jax.random.randint(place, rows.shape, 0, room + 1)
    at = begin[:, None] + jnp.arange(config.window)  # [B, T]
    acc, gyr = (data[name][rows[:, None], at] for name in ("acc", "gyr"))
    acc, gyr = standardise(*turned(turn, acc, gyr, config.rotation), scale)
    ids = {name: data[name][rows] for name in data.keys() & set(IDS)}
    return {"acc": acc, "gyr": gyr, "length": jnp.minimum(length, config.window), **ids}


def turned(key, acc, gyr, degrees: float):
    """acc, gyr [B, T, 3], both of a sample turned alike about a random axis, at most `degrees`."""
    if not degrees:
        return acc, gyr
    matrices = rotations(key, acc.shape[0], degrees)  # [B, 3, 3]
    return tuple(jnp.einsum("bij,btj->bti", matrices, x, precision="highest") for x in (acc, gyr))


def rotations(key, count: int, degrees: float):
    """Rotation matrices [count, 3, 3]: uniform axes, angles uniform in [0, degrees] (Rodrigues)."""
    about, by = jax.random.split(key)
    axis = jax.random.normal(about, (count, 3))
    x, y, z = jnp.moveaxis(axis / jnp.linalg.norm(axis, axis=1, keepdims=True), 1, 0)
    zero = jnp.zeros_like(x)
    cross = jnp.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(count, 3, 3)
    angle = jnp.deg2rad(jax.random.uniform(by, (count, 1, 1), maxval=degrees))
    square = jnp.matmul(cross, cross, precision="highest")
    return jnp.eye(3)[None] + jnp.sin(angle) * cross + (1 - jnp.cos(angle)) * square
