"""The level of all intervals, corrected p values, and where a curve crosses a level."""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 10_000
BOOTSTRAP_SEED = 0
LEVEL = 0.95


def holm_correction(p_values: Sequence[float]) -> np.ndarray:
    """Step-down corrected p values.

    Parameters
    ----------
    p_values : sequence of float, [N]
        NaN where a test could not be made.

    Returns
    -------
    ndarray, [N]
        In the same order. NaN stays NaN and is not counted.

    References
    ----------
    Holm 1979.
    """
    p = np.asarray(p_values, np.float64)
    corrected = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.sum(~np.isnan(p))]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def smallest_fraction_reached(
    fractions: np.ndarray, curve: np.ndarray, target: float
) -> float | None:
    """The smallest of the fractions at which a curve is at or above a target.

    Parameters
    ----------
    fractions : ndarray, [F]
        Ascending.
    curve : ndarray, [F]
        The curve's value at each fraction.
    target : float
        The value to reach.

    Returns
    -------
    float or None
        None where the curve never reaches the target.
    """
    reached = np.flatnonzero(np.asarray(curve) >= target)
    return float(fractions[reached[0]]) if len(reached) else None


def crossing_fraction(fractions: np.ndarray, curve: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where curves, linear in log10(fraction), first reach their targets.

    Parameters
    ----------
    fractions : ndarray, [F]
        Ascending.
    curve : ndarray, [B, F]
        Values at the fractions.
    target : ndarray, [B]
        The value that each curve has to reach.

    Returns
    -------
    ndarray, [B]
        Fractions: the smallest one where a curve has reached its target there already, NaN where
        it never does.
    """
    x = np.log10(fractions)
    reached = curve >= target[:, None]
    after = reached.argmax(axis=1)
    before = np.maximum(after - 1, 0)
    row = np.arange(len(curve))
    rise = curve[row, after] - curve[row, before]
    share = np.where(after > 0, (target - curve[row, before]) / np.where(rise == 0, 1, rise), 1.0)
    fraction = 10 ** (x[before] + share * (x[after] - x[before]))
    fraction = np.where(after == 0, fractions[0], fraction)
    return np.where(reached.any(axis=1), fraction, np.nan)
