"""Bands around estimated curves for a new person, from residuals of people who were held out.

As in intervals.py people count alike, whatever the number of their windows, and the person to come
is one of them. Three widths: at each value of a window by itself (`half`); as many times these that
a window's whole curve lies within (`factor`), by the largest ratio of a window's residuals to them;
and one for values at any place of a window (`anywhere`), for curves that are joined over a
recording.
"""

from typing import Any, NamedTuple

import numpy as np

from imujax.models import intervals

LEAST_SHARE = 0.5  # of the people, whose windows reach a value: beyond, the last width holds


class Band(NamedTuple):
    """How far an estimated curve may miss.

    Attributes
    ----------
    half : ndarray, [Lt]
        At each value, in the target's unit.
    factor : float
        Times these, for a whole curve.
    anywhere : float
        In the target's unit, for values at any place of a window.
    level : float
        What each of the three promises.
    """

    half: np.ndarray
    factor: float
    anywhere: float
    level: float


def find_band(residual: np.ndarray, subject: np.ndarray, level: float) -> Band:
    """Find how far the curve of a new person may miss.

    Parameters
    ----------
    residual : ndarray, [N, Lt]
        Estimate minus truth of people who were held out; NaN beyond the end of a window.
    subject : ndarray, [N]
        Whose window it is.
    level : float
        Between 0 and 1.

    Returns
    -------
    Band
    """
    inside = np.isfinite(residual)
    people = len(np.unique(subject))
    half = np.full(residual.shape[1], np.nan)
    for place in range(residual.shape[1]):
        own = inside[:, place]
        if len(np.unique(subject[own])) >= LEAST_SHARE * people:
            width = intervals.half_width(residual[own, place], subject[own], level)
            half[place] = width.half
    reached = np.flatnonzero(np.isfinite(half))
    half = half[np.minimum(np.arange(len(half)), reached[-1])]
    whole = intervals.half_width(_largest_ratios(residual, half), subject, level)
    samples = np.repeat(subject, inside.sum(axis=1))
    anywhere = intervals.half_width(residual[inside], samples, level)
    return Band(half, whole.half, anywhere.half, whole.level)


def measure_bands(
    residual: np.ndarray, subject: np.ndarray, level: float
) -> dict[str, dict[str, Any]]:
    """Measure what lies within, for each person by the residuals of the others.

    Parameters
    ----------
    residual, subject, level
        As of `find_band`, of at least three people.

    Returns
    -------
    dict of dict
        Of `pointwise`, `whole` and `anywhere` an intervals.Coverage as a dict: shares of values, of
        whole curves, and of values.
    """
    shares: dict[str, list[float]] = {"pointwise": [], "whole": [], "anywhere": []}
    for name in np.unique(subject):
        mine = subject == name
        band = find_band(residual[~mine], subject[~mine], level)
        own = residual[mine]
        inside = np.isfinite(own)
        size = np.abs(np.where(inside, own, 0))
        shares["pointwise"].append(float(np.mean((size <= band.half)[inside])))
        shares["whole"].append(float(np.mean(_largest_ratios(own, band.half) <= band.factor)))
        shares["anywhere"].append(float(np.mean((size <= band.anywhere)[inside])))
    return {key: intervals.summarise(of_people)._asdict() for key, of_people in shares.items()}


def _largest_ratios(residual: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Of each window [N] the largest residual in widths."""
    tiny = np.finfo(np.float64).tiny
    size = np.abs(np.where(np.isfinite(residual), residual, 0))
    return (size / np.maximum(half, tiny)).max(axis=1)
