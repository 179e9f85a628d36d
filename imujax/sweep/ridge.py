"""Ridge on the statistics of a window, and on its MultiRocket features.

Both choose their penalty on inner subjects.  MultiRocket has more features than there are windows,
so its ridge is solved from the products of windows with each other.
"""

from collections.abc import Mapping

import numpy as np
import scipy.linalg

from imujax.sweep import folds, rocket
from imujax.sweep.window_features import columns

INNER_FOLDS = 4
# Penalties for each example, on standardised features: the sum of squares is over n of them.
PENALTIES = 10.0 ** np.arange(-4, 2.1, 0.5)
DEFAULT_PENALTY = 0.1
ROCKET_PENALTIES = 10.0 ** np.arange(-0.5, 4.1, 0.5)
DEFAULT_ROCKET_PENALTY = 30.0
KERNELS = 6250  # biases for each of the two representations
MOST_WINDOWS = 6000  # for the ridge on MultiRocket, whose cost is their third power
WINDOWS_AT_ONCE = 1000  # of those that are estimated
COLUMNS_AT_ONCE = 2048


class SubjectRidge:
    """Ridge with its penalty chosen on inner subjects.

    Parameters
    ----------
    seed : int
        Of the inner folds.

    Attributes
    ----------
    chosen : dict
        "penalty" for each example; "inner_folds", 0 where there is only one subject and the default
        is taken.
    inner : ndarray, [n] or [0]
        Every training window's estimate by a ridge that has not seen its subject, if there are
        inner folds.
    """

    def __init__(self, seed: int):
        self.seed = seed

    def fit(self, windows: np.ndarray, target: np.ndarray, groups: np.ndarray) -> "SubjectRidge":
        """Choose the penalty, then fit; windows [n], target [n], groups [n]."""
        x = columns(windows, ("statistics",))
        pairs = folds.inner_folds(groups, np.arange(len(target)), INNER_FOLDS, self.seed)
        inner = np.empty((len(PENALTIES), len(target) if pairs else 0))
        for fit, held in pairs:
            inner[:, held] = _Linear(x[fit], target[fit], PENALTIES).predict(x[held])
        penalty, self.inner = _choose(PENALTIES, DEFAULT_PENALTY, inner, target)
        self.chosen = {"penalty": penalty, "inner_folds": len(pairs)}
        self.model = _Linear(x, target, np.array([penalty]))
        return self

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Estimates [m] for windows [m], in the target's unit."""
        return self.model.predict(columns(windows, ("statistics",)))[0]

    def state(self) -> dict[str, np.ndarray]:
        """What `restore` makes the fitted model of."""
        return self.model.state()

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> "SubjectRidge":
        """The model that gave this state, fit to predict."""
        model = cls(0)
        model.model = _Linear.restore(state)
        return model


class SubjectRocket:
    """Ridge on MultiRocket, with its penalty chosen on inner subjects.

    The kernels' biases and the scale of the features are those of the whole training subset, inner
    validation subjects among them: they know nothing of the target.  Of more than MOST_WINDOWS
    training windows a random part is taken.  An embedding beside the features weighs as much as all
    of them together.

    Parameters
    ----------
    seed : int
        Of the part, the kernels and the inner folds.

    Attributes
    ----------
    chosen : dict
        As of SubjectRidge, and "windows" where they are a part.
    inner : ndarray, [n] or [0]
        As of SubjectRidge, NaN for windows that are not taken.
    """

    def __init__(self, seed: int):
        self.seed = seed

    def fit(self, windows: np.ndarray, target: np.ndarray, groups: np.ndarray) -> "SubjectRocket":
        """Draw the kernels, choose the penalty, then fit; windows [n], target [n], groups [n]."""
        part = np.arange(len(target))
        if len(part) > MOST_WINDOWS:
            part = np.sort(np.random.default_rng(self.seed).permutation(part)[:MOST_WINDOWS])
        windows, y = windows[part], target[part]
        self.rocket = rocket.fit_rocket(windows["signals"], windows["length"], KERNELS, self.seed)
        x, others = self._features(windows)
        self.mean, self.sd = _standardise(x)
        if others:
            self.sd[-others:] /= np.sqrt(x.shape[1] / others - 1)
            x[:, -others:] *= np.sqrt(x.shape[1] / others - 1)
        products = (x @ x.T).astype(np.float64)
        pairs = folds.inner_folds(groups[part], np.arange(len(part)), INNER_FOLDS, self.seed)
        inner = np.empty((len(ROCKET_PENALTIES), len(part) if pairs else 0))
        for fit, held in pairs:
            offsets, duals = _solve(products[np.ix_(fit, fit)], y[fit], ROCKET_PENALTIES)
            inner[:, held] = offsets[:, None] + duals @ products[np.ix_(fit, held)]
        penalty, inner_part = _choose(ROCKET_PENALTIES, DEFAULT_ROCKET_PENALTY, inner, y)
        self.inner = np.full(len(target) if pairs else 0, np.nan)
        self.inner[part[: len(inner_part)]] = inner_part
        self.chosen = {"penalty": penalty, "inner_folds": len(pairs)}
        self.chosen |= {"windows": len(part)} if len(part) < len(target) else {}
        (self.offset,), (dual,) = _solve(products, y, np.array([penalty]))
        self.weights = dual.astype(np.float32) @ x
        return self

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Estimates [m] for windows [m], in the target's unit."""
        estimates = []
        for first in range(0, len(windows), WINDOWS_AT_ONCE):
            x, _ = self._features(windows[first : first + WINDOWS_AT_ONCE])
            x -= self.mean
            x /= self.sd
            estimates.append(self.offset + (x @ self.weights).astype(np.float64))
        return np.concatenate(estimates)

    def state(self) -> dict[str, np.ndarray]:
        """What `restore` makes the fitted model of."""
        ends = {name: getattr(self, name) for name in ("mean", "sd", "weights")}
        return rocket.state(self.rocket) | ends | {"offset": np.array(self.offset)}

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> "SubjectRocket":
        """The model that gave this state, fit to predict."""
        model = cls(0)
        model.rocket = rocket.restore(state)
        model.mean, model.sd, model.weights = (state[name] for name in ("mean", "sd", "weights"))
        model.offset = float(state["offset"])
        return model

    def _features(self, windows: np.ndarray) -> tuple[np.ndarray, int]:
        """MultiRocket's features and the embedding, float32 [n, F], and the width of the latter."""
        x = rocket.transform(self.rocket, windows["signals"], windows["length"])
        others = columns(windows, ()).astype(np.float32)
        width = others.shape[1]
        return np.concatenate([x, others], axis=1) if width else x, width


def _choose(penalties, default, inner, target) -> tuple[float, np.ndarray]:
    """The penalty of least error, and its row of inner [penalties, n]; or the default, and []."""
    if not inner.shape[1]:
        return float(default), inner[0]
    best = np.argmin(((inner - target) ** 2).mean(axis=1))
    return float(penalties[best]), inner[best]


def _standardise(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring the columns of x [n, F] to mean 0 and SD 1, in place -> both as they were, [F]."""
    mean, sd = np.empty((2, x.shape[1]), np.float32)
    for first in range(0, x.shape[1], COLUMNS_AT_ONCE):
        block = slice(first, first + COLUMNS_AT_ONCE)
        exact = x[:, block].astype(np.float64)
        mean[block], sd[block] = exact.mean(axis=0), spread(exact)
        x[:, block] = (exact - mean[block]) / sd[block]
    return mean, sd


def spread(x: np.ndarray) -> np.ndarray:
    """SD of each column; infinite where it is constant but for the rounding of float32."""
    sd = x.std(axis=0)
    sd[sd <= 1e-6 * np.abs(x).max(axis=0)] = np.inf
    return sd


def _solve(products, target, penalties) -> tuple[np.ndarray, np.ndarray]:
    """Ridge from the products [n, n] of windows -> offsets [penalties], duals [penalties, n].

    The estimate for a window is the offset and the sum of its products with the n windows, each
    times its dual.  The duals sum to 0, so that the mean of the features needs no thought.
    """
    n, mean = len(target), products.mean(axis=0)
    centred = products - mean - mean[:, None] + mean.mean()
    duals = np.empty((len(penalties), n))
    for row, penalty in zip(duals, penalties, strict=True):
        system = centred.copy()
        system[np.diag_indices(n)] += n * penalty
        row[:] = scipy.linalg.solve(
            system, target - target.mean(), assume_a="pos", overwrite_a=True, check_finite=False
        )
    return target.mean() - duals @ mean, duals


class _Linear:
    """Ridge on standardised features for several penalties, from one eigendecomposition of the
    smaller Gram matrix."""

    def __init__(self, features: np.ndarray, target: np.ndarray, penalties: np.ndarray):
        x = np.asarray(features, np.float64)
        self.mean, self.sd = x.mean(axis=0), spread(x)
        x = (x - self.mean) / self.sd
        y = np.asarray(target, np.float64)
        self.offset, n = y.mean(), len(y)
        wide = x.shape[1] > n
        values, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
        right = vectors.T @ ((y - self.offset) if wide else x.T @ (y - self.offset))
        weights = vectors @ (right / (np.maximum(values, 0) + n * penalties[:, None])).T
        self.weights = x.T @ weights if wide else weights  # [F, penalties]

    def state(self) -> dict[str, np.ndarray]:
        """What `restore` makes it of."""
        arrays = {name: getattr(self, name) for name in ("mean", "sd", "weights")}
        return arrays | {"offset": np.array(self.offset)}

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> "_Linear":
        """The ridge that gave this state."""
        linear = cls.__new__(cls)
        linear.mean, linear.sd, linear.weights = (state[name] for name in ("mean", "sd", "weights"))
        linear.offset = float(state["offset"])
        return linear

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Estimates [penalties, m]."""
        x = (np.asarray(features, np.float64) - self.mean) / self.sd
        return self.offset + (x @ self.weights).T
