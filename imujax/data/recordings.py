"""A recording: what a raw file becomes. Units, frames, a regular clock, and the checks.

Everything past a builder is SI: m/s^2 with gravity included (+9.81 on the axis that points up at
rest), rad/s, s, N, N m, kg, m. A mistake in the raw data (a wrong unit, a dead sensor, a broken
clock) is named here, with the file, before anything is written.
"""

from dataclasses import dataclass, field

import numpy as np

from imujax.data import content, doubts, gravity
from imujax.data.gravity import G
from imujax.errors import UserError

# Factor to SI of each unit that a raw file may be in.
UNITS = {
    "m/s^2": 1.0,
    "g": G,
    "mg": G / 1000,
    "rad/s": 1.0,
    "deg/s": np.pi / 180,
    "mdeg/s": np.pi / 180_000,
    "N": 1.0,
    "kN": 1000.0,
    "N m": 1.0,
    "N mm": 0.001,
    "kg": 1.0,
    "m": 1.0,
    "cm": 0.01,
    "mm": 0.001,
    "s": 1.0,
    "ms": 0.001,
}


@dataclass(frozen=True, eq=False)
class Channel:
    """A further signal at its own rate on the recording's clock, e.g. a force.

    Attributes
    ----------
    values : ndarray, [N]
    rate : float
        Hz
    unit : str
        Of the values.
    start : float
        Time of the first value [s].
    """

    values: np.ndarray
    rate: float
    unit: str
    start: float = 0.0


@dataclass(frozen=True)
class Interval:
    """A named stretch of a recording.

    Attributes
    ----------
    name : str
    start, end : float
        s on the recording's clock.
    """

    name: str
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Recording:
    """One continuous recording of one subject, checked when it is made.

    Attributes
    ----------
    subject, recording : str
        Ids.  A file that was split at a gap gives several recordings with one id.
    sensors : tuple of str
        Names of the S sensors.
    rate : float
        Hz
    acc : ndarray, [T, S, 3]
        m/s^2, gravity included.
    gyr : ndarray, [T, S, 3]
        rad/s
    source : str
        The file name that error sentences show.
    activity : str
        May be unknown: "".
    intervals : tuple of Interval
    channels : dict of Channel
        By name.
    events : dict of ndarray
        Times [s] by name.
    mass : float or None
        kg
    height : float or None
        m
    start : float
        Time of the first sample on the recording's clock [s].
    rest_error : float
        The share of gravity by which the sensor may be wrong at rest.
    origin : float
        What the `start` of examples counts from on the recording's clock [s]: 0, or for a clock
        whose seconds float32 cannot hold, the first sample of the file.
    interpolated : int
        How many samples were put in between measured ones.
    warnings : tuple of str
        Sentences on what is likely to be wrong; those of `list_warnings` are added.

    Raises
    ------
    UserError
        As of `list_warnings`.
    """

    subject: str
    recording: str
    sensors: tuple[str, ...]
    rate: float
    acc: np.ndarray
    gyr: np.ndarray
    source: str
    activity: str = ""
    intervals: tuple[Interval, ...] = ()
    channels: dict[str, Channel] = field(default_factory=dict)
    events: dict[str, np.ndarray] = field(default_factory=dict)
    mass: float | None = None
    height: float | None = None
    start: float = 0.0
    rest_error: float = 0.1
    origin: float = 0.0
    interpolated: int = 0
    warnings: tuple[str, ...] = ()

    def __post_init__(self):
        found = list_warnings(self)
        self.add_warning(*found)
        content.note_recording(self)

    def add_warning(self, *sentences: str) -> None:
        """Add sentences on what is likely to be wrong to `warnings`."""
        object.__setattr__(self, "warnings", (*self.warnings, *sentences))


def list_warnings(recording: Recording) -> list[str]:
    """Check a recording: what cannot be right is an error, what is likely to be wrong a warning.

    Shapes, rate and names; finite values; no constant sensor; median accelerometer norm within 5
    to 60 m/s^2 (a runner's foot has 30, a hand in jumping jacks 40); 99.9th percentile of the
    gyroscope norm below 60 rad/s; samples that no movement makes (see `doubts`); gravity, where a
    unit moves, in its accelerations turned back by its own gyroscope (see `gravity`); and, where
    the recording has a still second, gravity within `rest_error` in the stillest one.

    Parameters
    ----------
    recording : Recording

    Returns
    -------
    list of str
        A sentence each, that begins with the sensor.

    Raises
    ------
    UserError
        Naming the file, the sensor and what may be wrong.
    """
    r = recording
    shape = r.acc.shape
    if len(set(r.sensors)) != len(r.sensors) or not r.sensors:
        raise UserError(f"{r.source}: sensor names must be given and differ, not {r.sensors}")
    if len(shape) != 3 or shape[1:] != (len(r.sensors), 3) or r.gyr.shape != shape or not shape[0]:
        raise UserError(
            f"{r.source}: accelerometer {r.acc.shape} and gyroscope {r.gyr.shape} must both be "
            f"[samples, {len(r.sensors)} sensors, 3 axes] with at least one sample"
        )
    if not (np.isfinite(r.rate) and r.rate > 0):
        raise UserError(f"{r.source}: the sampling rate must be above 0 Hz, not {r.rate}")
    for value, name, low, high in ((r.mass, "mass [kg]", 2, 400), (r.height, "height [m]", 0.3, 3)):
        if value is not None and not low <= value <= high:
            raise UserError(f"{r.source}: {name} is {value:g}, expected {low} to {high}: its unit?")
    warnings: list[str] = []
    for s, sensor in enumerate(r.sensors):
        title = f"{r.source}: sensor {sensor}"
        _check_values(r.acc[:, s], f"{title}: accelerometer", r)
        _check_values(r.gyr[:, s], f"{title}: gyroscope", r)
        found = doubts.list_doubts(r.acc[:, s], r.gyr[:, s], r.rate, r.start)
        warnings += [f"sensor {sensor}: {sentence}" for sentence in found]
        doubt = gravity.find_doubt(r.acc[:, s], r.gyr[:, s], r.rate, r.rest_error)
        if doubt and doubt.is_sure:
            raise UserError(f"{title}: {gravity.describe(doubt)}")
        warnings += [f"sensor {sensor}: {gravity.describe(doubt)}"] if doubt else []
        _check_units(r.acc[:, s], r.gyr[:, s], title)
        _check_gravity(r.acc[:, s], r.gyr[:, s], title, r)
    return warnings


def _check_values(x: np.ndarray, title: str, r: Recording) -> None:
    """x [T, 3]: finite, and not constant on all three axes."""
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        first = r.start + np.argmax(bad) / r.rate
        raise UserError(
            f"{title} has {bad.sum()} samples that are not finite, the first at {first:.2f} s: "
            "fill short gaps or split the file there"
        )
    if len(x) > 1 and not np.ptp(x, axis=0).any():
        raise UserError(f"{title} is constant from end to end: a dead sensor; leave it out")


def _check_units(acc: np.ndarray, gyr: np.ndarray, title: str) -> None:
    """acc, gyr [T, 3]: magnitudes of a body in movement, so that a wrong unit is named."""
    norm = float(np.median(np.linalg.norm(acc, axis=1)))
    if not 5 <= norm <= 60:
        raise UserError(
            f"{title}: accelerometer median norm {norm:.3g}, expected 5 to 60 m/s^2: another unit "
            "than was said, gravity removed, or columns of something else"
        )
    turn = float(np.percentile(np.linalg.norm(gyr, axis=1), 99.9))
    if turn >= 60:
        raise UserError(
            f"{title}: gyroscope reaches {turn:.3g}, expected below 60 rad/s: deg/s said to be "
            "rad/s, or columns of something else"
        )


def _check_gravity(acc: np.ndarray, gyr: np.ndarray, title: str, r: Recording) -> None:
    """acc, gyr [T, 3]: the stillest second, if there is one, must read gravity."""
    rest = gravity.at_rest(acc, gyr, r.rate)
    if rest is None:
        return
    best, mean = rest
    norm = float(np.linalg.norm(mean))
    if abs(norm - G) > r.rest_error * G:
        raise UserError(
            f"{title}: accelerometer reads {norm:.2f} m/s^2 at rest ({best:.0f} s from its start), "
            f"expected {G:.2f} within {r.rest_error:.0%}: a wrong scale, gravity removed, or a "
            "sensor out of calibration (units.rest_error of a card allows more)"
        )


def to_si(values: np.ndarray, unit: str) -> np.ndarray:
    """Convert values to the SI unit of the same kind.

    Parameters
    ----------
    values : ndarray
        Of any shape.
    unit : str
        One of UNITS.

    Returns
    -------
    ndarray, float64
        Of the same shape.

    Raises
    ------
    UserError
        For an unknown unit.
    """
    if unit not in UNITS:
        raise UserError(f"unknown unit {unit!r}: known are {', '.join(UNITS)}")
    return np.asarray(values, np.float64) * UNITS[unit]


def rotate(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turn vectors into a new frame.

    Parameters
    ----------
    x : ndarray, [..., 3]
    matrix : ndarray, [3, 3]
        Row i is new axis i in the old frame.  It must be a rotation: a mirror would turn angular
        rates the wrong way.

    Returns
    -------
    ndarray, [..., 3]

    Raises
    ------
    UserError
        Where the matrix is no rotation.
    """
    matrix = np.asarray(matrix, np.float64)
    orthonormal = matrix.shape == (3, 3) and np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
    if not orthonormal or np.linalg.det(matrix) < 0:
        raise UserError(
            f"the frame matrix {matrix.tolist()} is no rotation: orthonormal, determinant +1"
        )
    return np.asarray(x) @ matrix.T
