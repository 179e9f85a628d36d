"""What a user gives an encoder to embed, looked at before it is believed."""

from typing import Any, NamedTuple

import numpy as np

from imujax.data import gravity, rates
from imujax.errors import UserError

Signals = dict[str, np.ndarray]  # "acc", "gyr" or both
# Mean acceleration of a window [m/s^2]: gravity, less what a turning unit loses of it.
LEAST_MEAN, MOST_MEAN = 3.0, 25.0
MOST_TURNING = 20.0  # root mean square of angular rates that a body can have [rad/s]
CALIBRATION = 0.05  # share of gravity by which an accelerometer may miss it
SPAN = 4  # times as long or as short as an encoder's windows may others be
MEND = "embed takes m/s^2 with gravity and rad/s"


class Windows(NamedTuple):
    """Windows that have been looked at.

    Attributes
    ----------
    acc, gyr : ndarray, [N, T, S, 3], float32, or None
        Zero beyond the length of a window; None where a modality is missing.
    length : ndarray, [N], int, or None
        Valid samples; None where all are.
    """

    acc: np.ndarray | None
    gyr: np.ndarray | None
    length: np.ndarray | None


def check(
    acc: Any, gyr: Any, length: Any, card: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Check windows against each other, against physics and against a model.

    Parameters
    ----------
    acc, gyr : array, [N, T, S, 3] or [N, T, 3]
        m/s^2, gravity included, and rad/s.
    length : array, [N], or None
        Valid samples of each window.
    card : dict
        Of the model: rate [Hz], window [samples].

    Returns
    -------
    acc, gyr : ndarray, [N, T, S, 3], float32
        Zero beyond the length of a window.
    length : ndarray, [N], int, or None

    Raises
    ------
    UserError
        Other shapes, windows of another length, samples that are not finite, or signals that
        cannot be m/s^2 with gravity and rad/s.
    """
    signals = _as_windows({"acc": acc, "gyr": gyr})
    samples = signals["acc"].shape[1]
    if samples != card["window"]:
        raise UserError(
            f"acc {np.shape(acc)} holds windows of {samples} samples, and the model was trained "
            f"on {card['window']} at {card['rate']:g} Hz: cut the recordings into such windows, "
            "fill up shorter ones and give their `length`, and give one window as [1, samples, ...]"
        )
    signals, length = _look_at(signals, length, card["rate"])
    return signals["acc"], signals["gyr"], length


def bring(acc: Any, gyr: Any, length: Any, rate: float | None, card: dict[str, Any]) -> Windows:
    """Check windows as `check` does, and bring them to the rate of an encoder.

    Parameters
    ----------
    acc, gyr : array, [N, T, S, 3] or [N, T, 3], or None
        m/s^2, gravity included, and rad/s; one of them may be missing.
    length : array, [N], or None
        Valid samples of each window.
    rate : float, optional
        Of the windows [Hz], the encoder's by default.
    card : dict
        Of the encoder: rate [Hz], window [samples].

    Returns
    -------
    Windows
        At the encoder's rate, see `rates.resample`.

    Raises
    ------
    UserError
        See `Encoder.embed`.
    """
    wanted = card["rate"]
    rate = wanted if rate is None else rate
    mend = f"resample the recordings to {wanted:g} Hz first"
    rates.require(rate, wanted, "the windows are said to have", mend)
    given = {name: x for name, x in (("acc", acc), ("gyr", gyr)) if x is not None}
    if not given:
        raise UserError("acc and gyr are both None: an encoder takes one of them or both")
    signals = _as_windows(given)
    samples = next(iter(signals.values())).shape[1]
    own, trained = samples / rate, card["window"] / wanted
    if not trained / SPAN <= own <= trained * SPAN:
        raise UserError(
            f"windows of {samples} samples at {rate:g} Hz last {own:.3g} s, and the encoder was "
            f"trained on {trained:.3g} s, {card['window']} samples at {wanted:g} Hz: give windows "
            f"from a quarter to {SPAN} times as long, and one window as [1, samples, ...]"
        )
    signals, length = _look_at(signals, length, rate)
    if not rates.are_same(rate, wanted):
        valid = np.full(len(next(iter(signals.values()))), samples) if length is None else length
        for name, x in signals.items():
            signals[name], resampled = rates.resample(x, valid, rate, wanted)
        length = None if length is None else resampled
    return Windows(signals.get("acc"), signals.get("gyr"), length)


def _as_windows(given: dict[str, Any]) -> Signals:
    """Of one shape, [N, T, S, 3]."""
    signals = {name: np.asarray(x, np.float32) for name, x in given.items()}
    shape, *others = {x.shape for x in signals.values()}
    if others or len(shape) not in (3, 4) or shape[-1] != 3 or not np.prod(shape):
        told = " and ".join(f"{name} {x.shape}" for name, x in signals.items())
        raise UserError(
            f"{told} must {'both ' if len(signals) > 1 else ''}be [windows, samples, sensors, 3], "
            "or [windows, samples, 3] of one sensor"
        )
    return {name: x[:, :, None] if x.ndim == 3 else x for name, x in signals.items()}


def _look_at(signals: Signals, length: Any, rate: float) -> tuple[Signals, np.ndarray | None]:
    """Windows that are zero beyond their length; UserError for what is not finite or cannot be."""
    shape = next(iter(signals.values())).shape
    length = _check_length(length, shape)
    beyond = np.zeros(shape[:2], bool)
    if length is not None:
        beyond = np.arange(shape[1]) >= length[:, None]
        signals = {
            name: np.where(beyond[..., None, None], np.float32(0), x) for name, x in signals.items()
        }
    for name, values in signals.items():
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            window, sample = bad[0][:2]
            raise UserError(
                f"{name} is not finite at sample {sample} of window {window}: leave such windows "
                "out, or end them before it by `length`"
            )
    _require_physics(signals, (~beyond).sum(axis=1), rate)
    return signals, length


def _check_length(length, shape) -> np.ndarray | None:
    if length is None:
        return None
    length = np.asarray(length)
    whole = length.shape == shape[:1] and np.issubdtype(length.dtype, np.integer)
    if not whole or length.min() < 1 or length.max() > shape[1]:
        raise UserError(
            f"length must be a whole number from 1 to {shape[1]} for each of the {shape[0]} windows"
        )
    return length


def _require_physics(signals: Signals, count: np.ndarray, rate: float) -> None:
    """UserError for signals that are surely no m/s^2 with gravity and rad/s."""
    mean = {
        name: float(np.median(np.linalg.norm(x.sum(axis=1) / count[:, None, None], axis=-1)))
        for name, x in signals.items()
    }
    if "acc" in signals:
        pull = mean["acc"]
        if pull < LEAST_MEAN and gravity.G / 2 < mean.get("gyr", 0) < MOST_MEAN:
            raise UserError(f"acc and gyr seem to be exchanged, gravity stands in gyr: {MEND}")
        if not LEAST_MEAN < pull < MOST_MEAN:
            guess = (
                "is it in g?" if 0.3 < pull < 3 else "is it in another unit, or without gravity?"
            )
            raise UserError(
                f"acc reads {pull:.3g} m/s^2 on average, and gravity is {gravity.G:.2f}: {guess} "
                f"{MEND}"
            )
    if "gyr" in signals:
        gyr = signals["gyr"]
        turning = np.sqrt((gyr.astype(np.float64) ** 2).sum() / (count.sum() * gyr.shape[2]))
        if turning > MOST_TURNING:
            raise UserError(
                f"gyr reads {turning:.3g} rad/s on average, more than a body can turn: is it in "
                f"deg/s? {MEND}"
            )
    if len(signals) < 2:
        return
    size = round(rate)
    rows = np.flatnonzero(count >= size)
    for sensor in range(signals["acc"].shape[2]):
        pulled, turned = (
            signals[name][rows, :size, sensor].reshape(-1, 3) for name in ("acc", "gyr")
        )
        doubt = gravity.find_doubt(pulled, turned, rate, CALIBRATION)
        if doubt is not None and doubt.is_sure:
            raise UserError(f"sensor {sensor}: {gravity.describe(doubt)}")
