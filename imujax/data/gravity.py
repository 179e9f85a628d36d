"""Gravity as a moving unit must read it: accelerations turned back by the unit's own gyroscope.

Over a second a body's own acceleration averages out, since it keeps its speed to a few m/s; what is
left of the readings, turned back into the axes of the second's beginning, is gravity. That holds
while people walk and run, and only where units, gravity, rates and axes are right.
"""

from typing import NamedTuple

import numpy as np

G = 9.80665  # standard gravity [m/s^2]
MOST_SECONDS = 60  # that are looked at, spread over a recording
STEPS = 25  # into so many a second is cut; what moves faster than these averages out
MOSTLY = 0.9  # of gravity on one axis
LEAST_SECONDS = 5  # below which nothing is concluded
# By these shares of gravity, beyond that by which a unit's calibration may miss it, it may be off.
LIKELY = (-0.05, 0.05)
SURE = (-0.1, 0.2)
RADIAN = 180 / np.pi  # degrees
NEXT, LAST = [1, 2, 0], [2, 0, 1]  # of x, y and z

REMOVED = "gravity was removed (linear or user acceleration)"
SLOW = "the gyroscope is in rad/s and said to be in deg/s"
FAST = "the gyroscope is in deg/s and said to be in rad/s"
UNIT = "the accelerations are in another unit than was said"
AXES = "columns or axes of the gyroscope are exchanged or negated"


class Doubt(NamedTuple):
    """A unit that reads something else than gravity.

    Attributes
    ----------
    norm : float
        Of `turned_back` [m/s^2].
    is_sure : bool
        Nothing right reads so; otherwise it is likely that something is wrong.
    causes : tuple of str
        Three, the likeliest first.
    """

    norm: float
    is_sure: bool
    causes: tuple[str, ...]


def find_doubt(acc: np.ndarray, gyr: np.ndarray, rate: float, error: float) -> Doubt | None:
    """Judge a unit by what it reads of gravity while it moves.

    Parameters
    ----------
    acc, gyr : ndarray, [T, 3]
        m/s^2 and rad/s, as they were said to be.
    rate : float
        Hz
    error : float
        The share of gravity by which the unit's calibration may miss it.

    Returns
    -------
    Doubt or None
        None where it reads gravity, or is too short to tell.
    """
    acc, gyr = acc[:, None], gyr[:, None]
    if len(acc) < LEAST_SECONDS * rate:
        return None
    (norm,) = turned_back(acc, gyr, rate).tolist()
    if np.isnan(norm) or _is_within(norm, LIKELY, error):
        return None

    factors = np.array([G, 1000, 1000 / G])  # of g, mg and m/s^2 said to be each other
    mended = [(UNIT, norm * factor) for factor in (factors if norm < G else 1 / factors)]
    ways = [(FAST, 1 / RADIAN)] if norm < G else []
    for cause, factor in (*ways, (SLOW, RADIAN), (AXES, -1.0)):
        mended.append((cause, float(turned_back(acc, gyr * factor, rate)[0])))
    # What comes nearest to gravity is likeliest.
    mended.sort(key=lambda way: abs(np.log(way[1] / G)) if way[1] > 0 else np.inf)
    causes = [cause for cause, value in mended if _is_within(value, LIKELY, error)]
    causes += [REMOVED, FAST, AXES] if norm < G else [SLOW, AXES, UNIT]
    causes = list(dict.fromkeys(causes))[:3]
    return Doubt(norm, not _is_within(norm, SURE, error), tuple(causes))


def at_rest(acc: np.ndarray, gyr: np.ndarray, rate: float) -> tuple[int, np.ndarray] | None:
    """Find the stillest second of a unit.

    Parameters
    ----------
    acc, gyr : ndarray, [T, 3]
        m/s^2 and rad/s.
    rate : float
        Hz

    Returns
    -------
    (int, ndarray [3]) or None
        Which second, and the mean acceleration in it; None where none is still.
    """
    size = max(1, round(rate))
    count = len(acc) // size
    acc = acc[: count * size].reshape(count, size, 3)
    gyr = gyr[: count * size].reshape(count, size, 3)
    noise = acc.std(axis=1).mean(axis=1)  # [seconds]
    still = (noise < 0.2) & (np.linalg.norm(gyr, axis=2).mean(axis=1) < 0.1)
    if not still.any():
        return None
    best = int(np.argmin(np.where(still, noise, np.inf)))
    return best, acc[best].mean(axis=0)


def axis_down(acc: np.ndarray, gyr: np.ndarray, rate: float) -> tuple[str, float] | None:
    """Find the axis that points down while a unit rests.

    Parameters
    ----------
    acc, gyr : ndarray, [T, 3]
        m/s^2 and rad/s.
    rate : float
        Hz

    Returns
    -------
    (str, float) or None
        "x", "y" or "z" and what it reads [m/s^2]; None without rest or such an axis.
    """
    rest = at_rest(acc, gyr, rate)
    axis = int(np.argmin(rest[1])) if rest else 0
    if rest is None or rest[1][axis] > -MOSTLY * G:
        return None
    return "xyz"[axis], float(rest[1][axis])


def describe(doubt: Doubt) -> str:
    """Say what a unit reads of gravity, and why that may be.

    Parameters
    ----------
    doubt : Doubt

    Returns
    -------
    str
    """
    first, *others = doubt.causes
    return (
        f"turned back by its gyroscope, the accelerometer reads {doubt.norm:.3g} m/s^2 over a "
        f"second, and gravity is {G:.2f}: most likely {first}; or {'; or '.join(others)}"
    )


def _is_within(norm: float, shares: tuple[float, float], error: float) -> bool:
    low, high = shares
    return bool(G * (1 + low - error) <= norm <= G * (1 + high + error))


def turned_back(acc: np.ndarray, gyr: np.ndarray, rate: float) -> np.ndarray:
    """Norm of the turned-back acceleration, the median over the seconds of a recording.

    Parameters
    ----------
    acc, gyr : ndarray, [T, S, 3]
        m/s^2 and rad/s.
    rate : float
        Hz

    Returns
    -------
    ndarray, [S]
        m/s^2, 9.8 where all is right; NaN for a recording of less than a second, and below 4 Hz.
    """
    size = round(rate)
    count = len(acc) // size if size >= 4 else 0
    if not count:
        return np.full(acc.shape[1], np.nan)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_SECONDS)).astype(int))
    block = -(-size // STEPS)  # samples a step
    steps = size // block
    rows = chosen[:, None] * size + np.arange(steps * block)
    shape = (len(chosen), steps, block, *acc.shape[1:])
    a, w = (x[rows].reshape(shape).mean(axis=2) for x in (acc, gyr))  # [seconds, steps, S, 3]
    turn = np.zeros((*a[:, 0].shape[:-1], 4))
    turn[..., 0] = 1  # from the axes of a step into those of the first one, as a quaternion
    total = a[:, 0].copy()
    for k in range(1, steps):
        turn = _multiply(turn, _quaternion((w[:, k - 1] + w[:, k]) * (block / rate / 2)))
        total += _rotate(turn, a[:, k])
    return np.median(np.linalg.norm(total / steps, axis=-1), axis=0)


def _quaternion(angle: np.ndarray) -> np.ndarray:
    """Of rotation vectors [..., 3]: [..., 4], scalar first."""
    half = np.linalg.norm(angle, axis=-1, keepdims=True) / 2
    return np.concatenate([np.cos(half), np.sinc(half / np.pi) * angle / 2], axis=-1)


def _multiply(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    a, u, b, v = p[..., :1], p[..., 1:], q[..., :1], q[..., 1:]
    scalar = a * b - (u * v).sum(axis=-1, keepdims=True)
    return np.concatenate([scalar, a * v + b * u + _cross(u, v)], axis=-1)


def _rotate(q: np.ndarray, x: np.ndarray) -> np.ndarray:
    a, u = q[..., :1], q[..., 1:]
    t = 2 * _cross(u, x)
    return x + a * t + _cross(u, t)


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Of small arrays [..., 3], where np.cross takes several times as long."""
    return u[..., NEXT] * v[..., LAST] - u[..., LAST] * v[..., NEXT]
