"""Events that one sensor shows by itself: the contacts of a foot, or the peaks of a signal."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import signal

from imujax.data import contacts
from imujax.errors import UserError

# Where a unit sits, and the rule that finds contacts from there (imujax/data/contacts.py).
CONTACTS = {
    "foot": lambda acc, gyr, rate: contacts.of_foot(gyr, rate).initial,
    "shank": lambda acc, gyr, rate: contacts.of_shank(gyr, rate).initial,
    "back": lambda acc, gyr, rate: contacts.of_lower_back(acc, rate),
}
SIGNALS = ("acc", "gyr", *(f"{name}.{axis}" for name in ("acc", "gyr") for axis in "xyz"))
SHORTEST, FEWEST = 1.0, 20  # s and samples of a recording in which anything is looked for
ORDER = 2  # of the Butterworth filter, which runs forwards and backwards


@dataclasses.dataclass(frozen=True)
class SensorEvents:
    """Which events of which sensor: contacts, or peaks.

    Attributes
    ----------
    sensor : str
    contacts : str or None
        Where the sensor sits, of CONTACTS; None: peaks.
    peaks : str
        Of SIGNALS: an axis of the acceleration [m/s^2] or the angular rate [rad/s], or its norm.
    scale : float
        Factor on it; -1 for troughs.
    band : tuple of float or None
        Hz, from and to, of a band-pass before peaks are looked for; from 0 is a low-pass.
    height, prominence : float or None
        That a peak reaches, and by which it rises above what is around it, after the filter.
    distance : float
        s between two peaks, at least: of two nearer ones the lower goes.
    """

    sensor: str
    contacts: str | None = None
    peaks: str = "acc"
    scale: float = 1.0
    band: tuple[float, float] | None = None
    height: float | None = None
    prominence: float | None = None
    distance: float = 0.0


def find(
    rule: SensorEvents,
    acc: np.ndarray,
    gyr: np.ndarray,
    rate: float,
    sensors: Sequence[str],
    source: str,
) -> np.ndarray:
    """Find the events of a recording.

    Parameters
    ----------
    rule : SensorEvents
    acc, gyr : ndarray, [T, S, 3]
        m/s^2, gravity included, and rad/s.
    rate : float
        Hz
    sensors : sequence of str
        The names of the S.
    source : str
        Of the recording, for sentences.

    Returns
    -------
    ndarray
        s from the first sample, ascending; none in less than SHORTEST or FEWEST.

    Raises
    ------
    UserError
        There is no such sensor, or the band reaches beyond half the rate.
    """
    if rule.sensor not in sensors:
        raise UserError(f"{source}: events of {rule.sensor}, and there are {', '.join(sensors)}")
    if rule.band and rule.band[1] >= rate / 2:
        raise UserError(
            f"{source}: peaks are looked for up to {rule.band[1]:g} Hz, and at {rate:.4g} Hz there "
            f"is nothing beyond {rate / 2:.4g}: take a lower end of the band"
        )
    if len(acc) < max(SHORTEST * rate, FEWEST):
        return np.empty(0)
    place = list(sensors).index(rule.sensor)
    acc, gyr = acc[:, place].astype(np.float64), gyr[:, place].astype(np.float64)
    if rule.contacts is not None:
        return CONTACTS[rule.contacts](acc, gyr, rate)
    name, _, axis = rule.peaks.partition(".")
    vector = {"acc": acc, "gyr": gyr}[name]
    wave = vector[:, "xyz".index(axis)] if axis else np.linalg.norm(vector, axis=-1)
    wave = rule.scale * wave
    if rule.band:
        low, high = rule.band
        cut, kind = ((low, high), "band") if low > 0 else (high, "low")
        sections = signal.butter(ORDER, cut, kind, fs=rate, output="sos")
        wave = signal.sosfiltfilt(sections, wave)
    found, _ = signal.find_peaks(
        wave,
        height=rule.height,
        prominence=rule.prominence,
        distance=max(1, int(np.ceil(rule.distance * rate - 1e-6))),
    )
    return found / rate
