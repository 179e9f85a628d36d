"""Bands around estimated curves for a new person, from residuals of people who were held out.

As in intervals.py people count alike, whatever the number of their windows, and the person to come
is one of them. Three widths: at each value of a window by itself (`half`); around whole curves
(`whole`), as many times the size of the residuals at each value that a window's largest ratio to it
lies within, a person's windows by the size of the other people's; and one for values at any place
of a window (`anywhere`), for curves that are joined over a recording.
"""

from typing import Any, NamedTuple

import numpy as np

from imujax.models import intervals


class Band(NamedTuple):
    """How far an estimated curve may miss, in the target's unit.

    Attributes
    ----------
    half : ndarray, [Lt]
        At each value. Where the windows of too few people reach to promise as much as all of them,
        the last width that was found, or `anywhere` where that is more.
    whole : ndarray, [Lt]
        At all values at once; nowhere less than `half`.
    anywhere : float
        At any place of a window.
    """

    half: np.ndarray
    whole: np.ndarray
    anywhere: float


def find_band(residual: np.ndarray, subject: np.ndarray, level: float) -> Band:
    """Find how far the curve of a new person may miss.

    Parameters
    ----------
    residual : ndarray, [N, Lt]
        Estimate minus truth of people who were held out; NaN beyond the end of a window, infinite
        where an estimate is no number.
    subject : ndarray, [N]
        Whose window it is, of at least two people.
    level : float
        Between 0 and 1.

    Returns
    -------
    Band
        Each width for as much as so many people can promise, see intervals.half_width.
    """
    inside = ~np.isnan(residual)
    names = np.unique(subject)
    promised = intervals.promise(level, len(names))
    samples = np.repeat(subject, inside.sum(axis=1))
    anywhere = intervals.half_width(residual[inside], samples, level).half
    half = np.full(residual.shape[1], np.nan)
    for place in range(len(half)):
        own = inside[:, place]
        if intervals.promise(level, len(np.unique(subject[own]))) == promised:
            half[place] = intervals.half_width(residual[own, place], subject[own], level).half
    last = np.flatnonzero(~np.isnan(half))[-1]  # all windows reach the first value
    half[last + 1 :] = max(half[last], anywhere)
    ratio = np.empty(len(subject))
    for name in names:
        mine = subject == name
        ratio[mine] = _largest_ratios(residual[mine], _sizes(residual[~mine], subject[~mine]))
    factor = intervals.half_width(ratio, subject, level).half
    whole = np.maximum(factor * _sizes(residual, subject), half)
    return Band(half, whole, anywhere)


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
        inside, size = ~np.isnan(residual[mine]), np.abs(residual[mine])
        shares["pointwise"].append(float(np.mean((size <= band.half)[inside])))
        shares["whole"].append(float(np.mean(((size <= band.whole) | ~inside).all(axis=1))))
        shares["anywhere"].append(float(np.mean((size <= band.anywhere)[inside])))
    return {key: intervals.summarise(of_people)._asdict() for key, of_people in shares.items()}


def _sizes(residual: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Root mean square [Lt] at each value, of each person alike; where no window reaches, the one
    before it."""
    squares = np.where(np.isfinite(residual), residual, 0.0) ** 2
    of_people = []
    for name in np.unique(subject):
        mine = subject == name
        count = (~np.isnan(residual[mine])).sum(axis=0)
        total = squares[mine].sum(axis=0)
        of_people.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
    known = ~np.isnan(of_people)
    mean = np.where(known, of_people, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    last = np.flatnonzero(known.any(axis=0))[-1]
    return np.sqrt(mean[np.minimum(np.arange(len(mean)), last)])


def _largest_ratios(residual: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Of each window [N] the largest residual over the size there."""
    size = np.abs(np.where(np.isnan(residual), 0.0, residual))
    return (size / np.maximum(sizes, np.finfo(np.float64).tiny)).max(axis=1)
