"""Each sample's neighbourhood in its window, as a window of its own.

So that references which are made for a class a window go for a class a sample.
"""

from collections.abc import Iterable

import numpy as np

from imujax.sweep.window_features import FEATURES

HALF = 16  # samples to either side, as far as the window goes
BLOCK = 64  # windows whose neighbourhoods are laid out at once


def lay_views(
    names: Iterable[str], acc: np.ndarray, gyr: np.ndarray, length: np.ndarray, every: int
) -> dict[str, np.ndarray]:
    """Lay out what references see of windows, or of the neighbourhoods of their samples.

    Parameters
    ----------
    names : iterable of str
        In window_features.FEATURES.
    acc, gyr : ndarray, [N, L, S, 3]
    length : ndarray, [N]
    every : int
        From sample to sample, or 0 for windows.

    Returns
    -------
    dict of ndarray, [N, ...] or [N * Lt, ...]
    """
    names = list(names)
    if not every:
        return {name: FEATURES[name](acc, gyr, length) for name in names}
    blocks: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for first in range(0, len(acc), BLOCK):
        rows = slice(first, first + BLOCK)
        around = around_samples(acc[rows], gyr[rows], length[rows], every)
        for name in names:
            blocks[name].append(FEATURES[name](*around))
    return {name: np.concatenate(of_name) for name, of_name in blocks.items()}


def around_samples(
    acc: np.ndarray, gyr: np.ndarray, length: np.ndarray, every: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut the neighbourhoods of samples.

    Parameters
    ----------
    acc, gyr : ndarray, [N, L, S, 3]
    length : ndarray, [N]
        Valid samples; a sample beyond them has the neighbourhood of the last one.
    every : int
        From sample to sample.

    Returns
    -------
    acc, gyr : ndarray, [N * Lt, 2 * HALF + 1, S, 3]
        Those of one window behind each other; 0 beyond their length.
    length : ndarray, [N * Lt]
    """
    place = np.arange(0, acc.shape[1], every)[None]
    last = np.asarray(length)[:, None] - 1
    first = np.maximum(np.minimum(place, last) - HALF, 0)  # [N, Lt]
    count = np.minimum(np.minimum(place, last) + HALF, last) - first + 1
    samples = first[..., None] + np.arange(2 * HALF + 1)
    inside = np.arange(2 * HALF + 1) < count[..., None]
    rows = np.arange(len(acc))[:, None, None]
    at = np.minimum(samples, acc.shape[1] - 1)
    acc, gyr = (
        np.where(inside[..., None, None], x[rows, at], 0).reshape(-1, *at.shape[2:], *x.shape[2:])
        for x in (acc, gyr)
    )
    return acc, gyr, count.ravel()


def number_samples(rows: np.ndarray, values: int) -> np.ndarray:
    """Rows [n * Lt] of what `around_samples` gives for the windows `rows` [n] of Lt = `values`."""
    return (np.asarray(rows)[:, None] * values + np.arange(values)).ravel()
