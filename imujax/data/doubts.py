"""Samples that no movement makes: marks for missing values, zeros, frozen and clipped stretches.

A mark for missing values that was not read as one is an error, for it makes movement of its own;
the others are told of, since a sensor may be like that.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from imujax.errors import UserError

ZERO_ROWS = 3  # in a row in which an accelerometer reads nothing at all
FROZEN = 0.5  # s for which neither sensor changes in any axis
PLATEAU, PLATEAUS = 4, 3  # equal samples at the end of an axis's range, and how many such stretches
FAR = 5.0  # times the usual size of a reading: where marks lie
TURNING = 0.3, 20.0  # rad/s of the mean angular rate, in a recording of so many s


def require_no_marks(x: np.ndarray, place: str) -> None:
    """Require that no row holds one and the same value in all axes, far from all others.

    Parameters
    ----------
    x : ndarray, [T, 3]
        Of one sensor, in any unit, as it stands in the file.
    place : str
        The file, for the sentence.

    Raises
    ------
    UserError
        There are two such rows or more.
    """
    is_equal = (x[:, 0] == x[:, 1]) & (x[:, 1] == x[:, 2]) & (x[:, 0] != 0)
    if is_equal.sum() < 2 or is_equal.all():
        return
    values, counts = np.unique(x[is_equal, 0], return_counts=True)
    usual = np.nanmedian(np.abs(x[~is_equal]), axis=0).max()
    value, count = values[counts.argmax()], counts.max()
    if count < 2 or not abs(value) > FAR * usual:
        return
    row = int(np.argmax(is_equal & (x[:, 0] == value)))
    raise UserError(
        f"{place}: all three axes read {value:.6g} in {count} rows, the first is row {row}: a mark "
        "for missing values? Say so (in a card: missing), or leave these rows out"
    )


def list_doubts(acc: np.ndarray, gyr: np.ndarray, rate: float, start: float) -> Iterator[str]:
    """Tell of stretches that no movement makes.

    Parameters
    ----------
    acc, gyr : ndarray, [T, 3]
        m/s^2 and rad/s.
    rate : float
        Hz
    start : float
        Time of the first sample [s].

    Yields
    ------
    str
        The end of a sentence on one sensor.
    """
    length, first = _longest(~acc.any(axis=1))
    if length >= ZERO_ROWS:
        yield (
            f"the accelerometer reads 0 in all axes for {length / rate:.2f} s from "
            f"{start + first / rate:.2f} s on, as nothing but free fall does: missing values?"
        )
    both = np.concatenate([acc, gyr], axis=1)
    length, first = _longest(~np.diff(both, axis=0).any(axis=1))
    if length / rate >= FROZEN:
        yield (
            f"not one reading changes for {length / rate:.2f} s from {start + first / rate:.2f} s "
            "on: frozen?"
        )
    for x, name in ((acc, "accelerometer"), (gyr, "gyroscope")):
        share = clipped_share(x)
        if share:
            yield f"the {name} is clipped in {100 * share:.2g} % of the samples: too small a range"
    mean = np.linalg.norm(gyr.mean(axis=0))
    if mean > TURNING[0] and len(gyr) / rate >= TURNING[1]:
        yield (
            f"the gyroscope reads {mean:.2f} rad/s on the mean over {len(gyr) / rate:.0f} s: a "
            "bias, or a body that turns all the time"
        )


def clipped_share(x: np.ndarray) -> float:
    """The share of samples in which an axis stays at the end of its range.

    Parameters
    ----------
    x : ndarray, [T, 3]

    Returns
    -------
    float
        0 where there are no such plateaus.
    """
    is_clipped = np.zeros(len(x), bool)
    for axis in x.T:
        for end in (axis.min(), axis.max()):
            at_end = axis == end
            lengths, _ = _runs(at_end)
            if (lengths >= PLATEAU).sum() >= PLATEAUS and abs(end) > 0:
                is_clipped |= at_end
    return float(is_clipped.mean())


def _longest(mask: Any) -> tuple[int, int]:
    """Length and begin of the longest run of True."""
    lengths, begins = _runs(mask)
    if not len(lengths):
        return 0, 0
    which = int(lengths.argmax())
    return int(lengths[which]), int(begins[which])


def _runs(mask: Any) -> tuple[np.ndarray, np.ndarray]:
    """Lengths and begins of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask, [0]])))
    return edges[1::2] - edges[::2], edges[::2]
