"""How well estimated curves follow the true ones, for many groups of windows at once. Float64.

All samples of a group's windows count alike, as far as their windows go, in what metrics.py has for
numbers, with its words for what is undefined. What people read from a curve is taken window by
window: its maximum, when that is, and its integral.
"""

from typing import Any

import numpy as np

from imujax.report import metrics
from imujax.report.metrics import CURVE_METRICS

READINGS = CURVE_METRICS[-3:]


def score_by_keys(
    keys: dict[str, np.ndarray], truth: np.ndarray, estimate: np.ndarray, seconds: float
) -> list[dict[str, Any]]:
    """All metrics of every group of windows that have the same keys.

    Parameters
    ----------
    keys : dict of ndarray, each [M]
        Columns that name the group of a window.
    truth, estimate : ndarray, [M, Lt]
        In the target's unit; the truth is NaN beyond the end of a window.
    seconds : float
        From value to value.

    Returns
    -------
    list of dict
        For every combination of the keys there is, sorted by them: the keys; what
        `metrics.score_points` has of all samples, but n, which counts windows; and over the windows
        the root mean square errors of `read_curves`: peak_rmse in the unit, peak_time_rmse in s,
        impulse_rmse in the unit times s; NaN where an estimate is not finite.
    """
    columns, group = metrics.group_by_keys(keys)
    n_groups = int(group.max(initial=-1)) + 1
    inside = np.isfinite(truth)
    samples = np.repeat(group, inside.sum(axis=1))
    columns |= metrics.score_groups(samples, n_groups, truth[inside], estimate[inside])
    columns["n"] = np.bincount(group, minlength=n_groups)
    estimate = np.where(inside, estimate, np.nan)
    errors = read_curves(estimate, seconds, inside) - read_curves(truth, seconds, inside)
    for name, error in zip(READINGS, errors, strict=True):
        squared = np.bincount(group, weights=error**2, minlength=n_groups)
        columns[name] = np.sqrt(squared / columns["n"])
    lists = {name: values.tolist() for name, values in columns.items()}
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def read_curves(curves: np.ndarray, seconds: float, inside: np.ndarray) -> np.ndarray:
    """Read what people read from curves.

    Parameters
    ----------
    curves : ndarray, [M, Lt]
    seconds : float
        From value to value.
    inside : ndarray of bool, [M, Lt]
        What belongs to the window of each: its first values.

    Returns
    -------
    ndarray, [3, M]
        The greatest value, its time [s] from the first one, and the integral over the window by
        trapezoids; NaN where a value inside is none.
    """
    curves = np.asarray(curves, np.float64)
    is_gap = (inside & ~np.isfinite(curves)).any(axis=1) | ~inside.any(axis=1)
    largest = np.where(inside & np.isfinite(curves), curves, -np.inf)
    filled = np.where(inside, curves, 0.0)
    both = inside[:, 1:] & inside[:, :-1]
    areas = np.where(both, (filled[:, 1:] + filled[:, :-1]) / 2, 0.0)
    read = np.stack([largest.max(axis=1), largest.argmax(axis=1) * seconds, areas.sum(1) * seconds])
    return np.where(is_gap, np.nan, read)
