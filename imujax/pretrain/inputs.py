"""What a user gives an encoder to embed, looked at before it is believed."""

from typing import Any

import numpy as np

from imujax.data import gravity
from imujax.errors import UserError

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray | None]
# Mean acceleration of a window [m/s^2]: gravity, less what a turning unit loses of it.
LEAST_MEAN, MOST_MEAN = 3.0, 25.0
MOST_TURNING = 20.0  # root mean square of angular rates that a body can have [rad/s]
CALIBRATION = 0.05  # share of gravity by which an accelerometer may miss it
MEND = "embed takes m/s^2 with gravity and rad/s"


def check(acc: Any, gyr: Any, length: Any, card: dict[str, Any]) -> Arrays:
    """Check windows against each other, against physics and against an encoder.

    Parameters
    ----------
    acc, gyr : array, [N, T, S, 3] or [N, T, 3]
        m/s^2, gravity included, and rad/s.
    length : array, [N], or None
        Valid samples of each window.
    card : dict
        Of the encoder: rate [Hz], window [samples].

    Returns
    -------
    acc, gyr : ndarray, [N, T, S, 3], float32
        Zero beyond the length of a window.
    length : ndarray, [N], int, or None

    Raises
    ------
    UserError
        See `Encoder.embed`.
    """
    acc, gyr = np.asarray(acc, np.float32), np.asarray(gyr, np.float32)
    if acc.shape != gyr.shape or acc.ndim not in (3, 4) or acc.shape[-1] != 3 or not acc.size:
        raise UserError(
            f"acc {acc.shape} and gyr {gyr.shape} must both be [windows, samples, sensors, 3], or "
            "[windows, samples, 3] of one sensor"
        )
    if acc.shape[1] != card["window"]:
        raise UserError(
            f"acc {acc.shape} holds windows of {acc.shape[1]} samples, and the encoder was trained "
            f"on {card['window']} at {card['rate']:g} Hz: cut the recordings into such windows, "
            "fill up shorter ones and give their `length`, and give one window as [1, samples, ...]"
        )
    if acc.ndim == 3:
        acc, gyr = acc[:, :, None], gyr[:, :, None]
    length = _check_length(length, acc)
    beyond = np.zeros(acc.shape[:2], bool)
    if length is not None:
        beyond = np.arange(acc.shape[1]) >= length[:, None]
        acc, gyr = (np.where(beyond[..., None, None], np.float32(0), x) for x in (acc, gyr))
    for name, values in (("acc", acc), ("gyr", gyr)):
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            window, sample = bad[0][:2]
            raise UserError(
                f"{name} is not finite at sample {sample} of window {window}: leave such windows "
                "out, or end them before it by `length`"
            )
    _require_physics(acc, gyr, (~beyond).sum(axis=1), card["rate"])
    return acc, gyr, length


def _check_length(length, acc) -> np.ndarray | None:
    if length is None:
        return None
    length = np.asarray(length)
    whole = length.shape == (len(acc),) and np.issubdtype(length.dtype, np.integer)
    if not whole or length.min() < 1 or length.max() > acc.shape[1]:
        raise UserError(
            f"length must be a whole number from 1 to {acc.shape[1]} for each of the {len(acc)} "
            "windows"
        )
    return length


def _require_physics(acc: np.ndarray, gyr: np.ndarray, count: np.ndarray, rate: float) -> None:
    """UserError for signals that are surely no m/s^2 with gravity and rad/s."""
    share = count[:, None, None]
    pull, drift = (np.median(np.linalg.norm(x.sum(axis=1) / share, axis=-1)) for x in (acc, gyr))
    turning = np.sqrt((gyr.astype(np.float64) ** 2).sum() / (count.sum() * gyr.shape[2]))
    if pull < LEAST_MEAN and gravity.G / 2 < drift < MOST_MEAN:
        raise UserError(f"acc and gyr seem to be exchanged, gravity stands in gyr: {MEND}")
    if not LEAST_MEAN < pull < MOST_MEAN:
        guess = "is it in g?" if 0.3 < pull < 3 else "is it in another unit, or without gravity?"
        raise UserError(
            f"acc reads {pull:.3g} m/s^2 on average, and gravity is {gravity.G:.2f}: {guess} {MEND}"
        )
    if turning > MOST_TURNING:
        raise UserError(
            f"gyr reads {turning:.3g} rad/s on average, more than a body can turn: is it in deg/s? "
            f"{MEND}"
        )
    size = round(rate)
    rows = np.flatnonzero(count >= size)
    for sensor in range(acc.shape[2]):
        pulled, turned = (x[rows, :size, sensor].reshape(-1, 3) for x in (acc, gyr))
        doubt = gravity.find_doubt(pulled, turned, rate, CALIBRATION)
        if doubt is not None and doubt.is_sure:
            raise UserError(f"sensor {sensor}: {gravity.describe(doubt)}")
