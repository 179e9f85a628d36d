"""Curves of overlapping windows, joined to one curve of their recording.

Near the ends of a window a network sees zeros in the place of the recording. A value nearer to an
end than half of the receptive field differs from what one pass over the whole recording would give,
and counts only where no other window has a better one; the others are weighed by a taper. So away
from the ends of the recording the joined curve is that of one pass, if windows begin at multiples
of the network's own step. Where the receptive field is longer than half a window, as it is in deep
networks, a quarter of the window takes its place, and the joined curve is not that of one pass.
"""

import numpy as np

LEAST = 1e-7  # weight of what counts only where there is no other


def taper(values: int, margin: int) -> np.ndarray:
    """Weigh the values of a window.

    Parameters
    ----------
    values : int
        Lt of a window.
    margin : int
        Of these at either end that are not as one pass would have them, in values; at most a
        quarter of the window counts.

    Returns
    -------
    ndarray, [Lt]
        Highest in the middle, LEAST within the margins.
    """
    weight = np.sin(np.pi * (np.arange(values) + 0.5) / values) ** 2
    place = np.arange(values)
    nearest = np.minimum(place, values - 1 - place)
    return np.where(nearest < min(margin, values // 4), LEAST * weight, weight)


def join(curves: np.ndarray, starts: np.ndarray, count: int, margin: int) -> np.ndarray:
    """Join the curves of windows.

    Parameters
    ----------
    curves : ndarray, [N, Lt, ...]
    starts : ndarray of int, [N]
        First value of each window in the recording.
    count : int
        T, values of the recording.
    margin : int
        As of `taper`.

    Returns
    -------
    ndarray, [T, ...]
        NaN where no window lies.
    """
    weight = taper(curves.shape[1], margin)
    total = np.zeros((count, *curves.shape[2:]))
    weights = np.zeros(count)
    for curve, start in zip(curves, starts, strict=True):
        own = slice(start, start + len(weight))
        total[own] += weight.reshape(-1, *(1,) * (curve.ndim - 1)) * curve
        weights[own] += weight
    weights = np.where(weights > 0, weights, np.nan)
    return total / weights.reshape(-1, *(1,) * (total.ndim - 1))
