"""Windows brought to another rate, that of an encoder, and which ones can be."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imujax.data import targets, windows
from imujax.data.datasets import Dataset
from imujax.errors import UserError

LEAST_RATE, MOST_RATE = 20.0, 200.0  # of windows that are brought to another one [Hz]
REACH = 36  # samples of the lower rate that the filter of `windows.resample` sees to either side


def are_same(one: float, other: float) -> bool:
    """Whether two rates [Hz] are the same one."""
    return abs(one - other) <= 1e-6 * other


def require(rate: float, wanted: float, source: str, mend: str) -> None:
    """Require that windows can be brought to the rate of an encoder, or have it.

    Parameters
    ----------
    rate, wanted : float
        Theirs, and that of the encoder [Hz].
    source, mend : str
        What has that rate and what can be done, for the sentence.

    Raises
    ------
    UserError
        Their rate is another one, and below LEAST_RATE or above MOST_RATE.
    """
    if not are_same(rate, wanted) and not LEAST_RATE <= rate <= MOST_RATE:
        raise UserError(
            f"{source} {rate:g} Hz, and the encoder sees {wanted:g}: windows are brought to that "
            f"from {LEAST_RATE:g} to {MOST_RATE:g} Hz; {mend}"
        )


def resample(
    x: np.ndarray, length: np.ndarray, rate_in: float, rate_out: float
) -> tuple[np.ndarray, np.ndarray]:
    """Bring windows to another rate, each by itself.

    By the zero-phase polyphase filter of `windows.resample`: on the way down what lies above the
    new Nyquist frequency is taken out; on the way up nothing comes to be above the old one. Beyond
    its ends a window is continued by its own point reflection, so that value and slope go on. The
    first sample stays the first, and a window lasts as long as it did, to the nearest sample: on
    the way up the last ones, which lie less than a sample of its own beyond its last one, are read
    off the continuation.

    Parameters
    ----------
    x : ndarray, [N, T, ...]
    length : ndarray, [N]
        Valid samples of each window; what lies beyond is not seen.
    rate_in, rate_out : float
        Hz

    Returns
    -------
    x : ndarray, [N, L, ...]
        float32, zero beyond the length; L is the greatest length that T samples come to.
    length : ndarray, [N]
        length * rate_out / rate_in, to the nearest whole number, and at least 1.

    Raises
    ------
    UserError
        As of `windows.resample`.
    """
    ratio = windows.rate_ratio(rate_in, rate_out)
    up, down = ratio.numerator, ratio.denominator

    def resampled(n):
        return np.maximum((2 * n * up + down) // (2 * down), 1)

    y = np.zeros((len(x), resampled(x.shape[1]), *x.shape[2:]), np.float32)
    margin = down * -(-REACH * max(up, down) // (up * down))  # so that a sample is at the start
    for valid in np.unique(length).tolist():
        rows = np.flatnonzero(length == valid)
        part = np.moveaxis(x[rows, :valid], 1, 0).astype(np.float64)
        beside = [(margin, margin)] + [(0, 0)] * (part.ndim - 1)
        longer = np.pad(part, beside, mode="reflect", reflect_type="odd")
        first, count = margin * up // down, resampled(valid)
        part = windows.resample(longer, rate_in, rate_out)[first : first + count]
        y[rows, :count] = np.moveaxis(part, 0, 1)
    return y, resampled(np.asarray(length, np.int64))


def require_labelled(
    names: Sequence[str], info: Mapping[str, Any], rate: float, source: str
) -> None:
    """Require that labelled windows can be brought to the rate of an encoder, or have it.

    Parameters
    ----------
    names : sequence of str
        The targets of the task, as of `targets.select`.
    info : mapping
        Metadata of the data set: rate, targets, curves.
    rate : float
        Of the encoder [Hz].
    source : str
        The data set, for the sentence.

    Raises
    ------
    UserError
        As of `require`; or what is estimated has values along the windows, which belong to their
        samples.
    """
    mend = f"build it again with the option rate={rate:g}, or in a card [window] rate"
    require(info["rate"], rate, f"{source} holds data at", mend)
    if not are_same(info["rate"], rate) and targets.are_curves(names, info):
        raise UserError(
            f"{source} holds curves at {info['rate']:g} Hz, whose values belong to its samples, "
            f"and the encoder sees {rate:g}: {mend}"
        )


def at_rate(data: Dataset, rate: float) -> Dataset:
    """Bring labelled windows to the rate of an encoder, see `resample`.

    Parameters
    ----------
    data : Dataset
        Of numbers or a class a window.
    rate : float
        Hz

    Returns
    -------
    Dataset
        `data` itself, where it has that rate.
    """
    own = data.info["rate"]
    if are_same(own, rate):
        return data
    acc, length = resample(data.acc, data.length, own, rate)
    gyr, _ = resample(data.gyr, data.length, own, rate)
    info = data.info | {"rate": rate, "window": acc.shape[1], "curves": []}
    signals = {"acc": acc, "gyr": gyr, "length": length.astype(data.length.dtype)}
    return dataclasses.replace(data, **signals, curve=None, info=info)
