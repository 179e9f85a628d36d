"""Curves as a few numbers each, so that what is fitted to numbers can be fitted to curves.

The numbers are scores on the leading singular vectors of the training curves about their mean, as
Song et al. 2024 take them for ridge; references are fitted to each of them by itself.
"""

import numpy as np

SHARE = 0.99  # of the variance of the training curves that the vectors keep
MOST_VECTORS = 10


class CurveBasis:
    """Mean and leading singular vectors of curves.

    Parameters
    ----------
    curves : ndarray, [n, Lt]
        Those to train on, NaN beyond the end of a window; there they count as their mean.

    Attributes
    ----------
    mean : ndarray, [Lt]
    vectors : ndarray, [V, Lt]
        Orthonormal: as few as keep SHARE of the variance, at least one and at most MOST_VECTORS.
    """

    def __init__(self, curves: np.ndarray):
        count = np.isfinite(curves).sum(axis=0)
        self.mean = np.nansum(curves, axis=0) / np.maximum(count, 1)
        _, sizes, vectors = np.linalg.svd(self._deviations(curves), full_matrices=False)
        lacking = np.sum(sizes**2) - np.cumsum(sizes**2) > (1 - SHARE) * np.sum(sizes**2)
        self.vectors = vectors[: min(1 + int(lacking.sum()), MOST_VECTORS)]

    def _deviations(self, curves: np.ndarray) -> np.ndarray:
        return np.nan_to_num(curves - self.mean)

    def to_scores(self, curves: np.ndarray) -> np.ndarray:
        """Scores [n, V] of curves [n, Lt]."""
        return self._deviations(curves) @ self.vectors.T

    def to_curves(self, scores: np.ndarray) -> np.ndarray:
        """Curves [n, Lt] of scores [n, V]."""
        return self.mean + scores @ self.vectors
