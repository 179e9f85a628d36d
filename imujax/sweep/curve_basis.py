"""Curves as a few numbers each, so that what is fitted to numbers can be fitted to curves.

The numbers are scores on the leading singular vectors of the training curves about their mean, as
Song et al. 2024 take them for ridge; references are fitted to each of them by itself.
"""

from typing import NamedTuple

import numpy as np

from imujax.data import targets

SHARE = 0.99  # of the variance of the training curves that the vectors keep
MOST_VECTORS = 10


class CurveBasis(NamedTuple):
    """Mean and leading singular vectors of curves.

    Attributes
    ----------
    mean : ndarray, [Lt]
    vectors : ndarray, [V, Lt]
        Orthonormal.
    """

    mean: np.ndarray
    vectors: np.ndarray

    @classmethod
    def fit(cls, curves: np.ndarray) -> "CurveBasis":
        """Find them of curves to train on.

        Parameters
        ----------
        curves : ndarray, [n, Lt]
            NaN beyond the end of a window; there they count as their mean.

        Returns
        -------
        CurveBasis
            Of as few vectors as keep SHARE of the variance, at least one and at most MOST_VECTORS.
        """
        mean = targets.mean_curve(curves)
        _, sizes, vectors = np.linalg.svd(np.nan_to_num(curves - mean), full_matrices=False)
        lacking = np.sum(sizes**2) - np.cumsum(sizes**2) > (1 - SHARE) * np.sum(sizes**2)
        return cls(mean, vectors[: min(1 + int(lacking.sum()), MOST_VECTORS)])

    def to_scores(self, curves: np.ndarray) -> np.ndarray:
        """Scores [n, V] of curves [n, Lt]."""
        return np.nan_to_num(curves - self.mean) @ self.vectors.T

    def to_curves(self, scores: np.ndarray) -> np.ndarray:
        """Curves [n, Lt] of scores [n, V]."""
        return self.mean + scores @ self.vectors
