"""Features of a window that need no training: hand-made statistics, and some of its samples."""

from collections.abc import Mapping

import numpy as np

STATISTICS = ("mean", "sd", "min", "max", "median", "rms", "rms_difference", "skewness")
CHUNK = 4096  # windows whose statistics are computed at once


def window_statistics(acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Hand-made statistics of windows, float64 [N, S*64], of the first `length` samples only.

    acc [N, L, S, 3] m/s^2, gyr [N, L, S, 3] rad/s, length [N] from 1 to L. For each sensor, for
    the three axes and the norm of the acceleration and then of the angular rate: STATISTICS. The
    range is no column of its own, being max - min; rms_difference is the root mean square of the
    step from sample to sample; the skewness of a constant is 0.
    """
    length = np.asarray(length)
    blocks = [
        _statistics(acc[i : i + CHUNK], gyr[i : i + CHUNK], length[i : i + CHUNK])
        for i in range(0, len(length), CHUNK)
    ]
    return np.concatenate(blocks)


def subsampled_signals(
    acc: np.ndarray, gyr: np.ndarray, length: np.ndarray, stride: int = 4
) -> np.ndarray:
    """Every `stride`-th sample of all channels [N, ceil(L/stride)*S*6], 0 beyond the length."""
    signals = np.concatenate([acc, gyr], axis=-1)[:, ::stride].astype(np.float64)
    inside = np.arange(0, acc.shape[1], stride) < np.asarray(length)[:, None]
    return (signals * inside[:, :, None, None]).reshape(len(signals), -1)


def extreme_times(acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
    """When each axis and norm is least and when greatest, in samples, float64 [N, S*16].

    acc [N, L, S, 3], gyr [N, L, S, 3], length [N] from 1 to L; the first such sample counts.
    """
    x = _with_norms(acc, gyr)
    inside = (np.arange(x.shape[1]) < np.asarray(length)[:, None])[:, :, None, None]
    least = np.argmin(np.where(inside, x, np.inf), axis=1)
    greatest = np.argmax(np.where(inside, x, -np.inf), axis=1)
    return np.stack([least, greatest], axis=-1).reshape(len(x), -1).astype(np.float64)


def all_signals(acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
    """All channels, those of one sensor together, float32 [N, L, S*6]; length is not looked at."""
    del length
    signals = np.concatenate([acc, gyr], axis=-1, dtype=np.float32)
    return signals.reshape(*signals.shape[:2], -1)


def valid_length(acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Samples of each window before it is filled up, int [N]."""
    del acc, gyr
    return np.asarray(length)


# What a reference may ask for; each is a function (acc, gyr, length) -> [N, ...].
FEATURES = {
    "statistics": window_statistics,
    "times": extreme_times,
    "samples": subsampled_signals,
    "signals": all_signals,
    "length": valid_length,
}


def records(arrays: Mapping[str, np.ndarray], rows: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Lay arrays [N, ...] side by side: a structured array [n] of some rows, a field for each."""
    shapes = {name: np.asarray(array[rows]) for name, array in arrays.items()}
    fields = [(name, array.dtype, array.shape[1:]) for name, array in shapes.items()]
    windows = np.empty(len(next(iter(shapes.values()))), fields)
    for name, array in shapes.items():
        windows[name] = array
    return windows


def columns(windows: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Some fields of records, and "embedding" where it is one, side by side; float64 [n, F]."""
    fields = windows.dtype.names or ()
    parts = [
        windows[name].reshape(len(windows), -1)
        for name in (*names, *(field for field in fields if field == "embedding"))
    ]
    return np.concatenate([np.empty((len(windows), 0)), *parts], axis=1)


def _with_norms(acc: np.ndarray, gyr: np.ndarray) -> np.ndarray:
    """Axes and norm of the acceleration, then of the angular rate, float64 [N, L, S, 8]."""
    acc, gyr = np.asarray(acc, np.float64), np.asarray(gyr, np.float64)
    norms = [np.linalg.norm(m, axis=-1, keepdims=True) for m in (acc, gyr)]
    return np.concatenate([acc, norms[0], gyr, norms[1]], axis=-1)


def _statistics(acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
    x = _with_norms(acc, gyr)
    n = length.astype(np.float64)[:, None, None]
    inside = (np.arange(x.shape[1]) < length[:, None])[:, :, None, None]

    mean = np.sum(x, axis=1, where=inside) / n
    centred = np.where(inside, x - mean[:, None], 0.0)
    variance = np.mean(centred**2, axis=1) * x.shape[1] / n
    sd = np.sqrt(variance)
    third = np.mean(centred**3, axis=1) * x.shape[1] / n
    flat = sd <= 1e-9 * np.abs(mean)
    skewness = np.where(flat, 0.0, third / np.where(flat, 1.0, sd) ** 3)

    order = np.sort(np.where(inside, x, np.inf), axis=1)
    low = np.take_along_axis(order, (length[:, None, None, None] - 1) // 2, axis=1)[:, 0]
    high = np.take_along_axis(order, length[:, None, None, None] // 2 % x.shape[1], axis=1)[:, 0]
    median = np.where(length[:, None, None] % 2 == 1, low, (low + high) / 2)
    largest = np.max(np.where(inside, x, -np.inf), axis=1)

    steps = np.where(inside[:, 1:], np.diff(x, axis=1), 0.0)
    rms_difference = np.sqrt(np.sum(steps**2, axis=1) / np.maximum(n - 1, 1))
    rms = np.sqrt(variance + mean**2)
    columns = (mean, sd, order[:, 0], largest, median, rms, rms_difference, skewness)
    return np.stack(columns, axis=-1).reshape(len(x), -1)  # [N, S*8*8]
