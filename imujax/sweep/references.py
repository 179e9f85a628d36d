"""Shallow references: hand-made statistics of a window, a ridge on them, and trees.

A network that does not beat these has learned nothing that is worth its cost. They stand under the
same rules: the same training subset, settings chosen on inner subjects of that subset only,
standardisation fitted on the training side only.
"""

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor

from imujax.sweep import folds

STATISTICS = ("mean", "sd", "min", "max", "median", "rms", "rms_difference", "skewness")
# Penalties for each example, on standardised features: the sum of squares is over n of them.
PENALTIES = 10.0 ** np.arange(-4, 2.1, 0.5)
DEFAULT_PENALTY = 0.1
INNER_FOLDS = 4
CHUNK = 4096

TREES = {  # seed, number of examples
    "forest": lambda seed, n: RandomForestRegressor(
        60,
        max_features=0.15,
        max_samples=max(int(0.6 * n), 1),
        min_samples_leaf=3,
        random_state=seed,
    ),
    "boosted": lambda seed, n: HistGradientBoostingRegressor(
        max_iter=150,
        learning_rate=0.08,
        max_leaf_nodes=12,
        min_samples_leaf=5,
        l2_regularization=1.0,
        max_features=0.3,
        early_stopping=False,
        random_state=seed,
    ),
}
DEFAULT_TREES = "boosted"


def window_statistics(acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Hand-made statistics of windows, float64 [N, S*64], of the first `length` samples only.

    acc [N, L, S, 3] m/s^2, gyr [N, L, S, 3] rad/s, length [N] from 1 to L. For each sensor, for
    the three axes and the norm of the acceleration and then of the angular rate: STATISTICS. The
    range is no column of its own, being max - min; rms_difference is the root mean square of the
    step from sample to sample; the skewness of a constant is 0.
    """
    length = np.asarray(length)
    blocks = [
        _statistics(acc[i : i + CHUNK], gyr[i : i + CHUNK], length[i : i + CHUNK])
        for i in range(0, len(length), CHUNK)
    ]
    return np.concatenate(blocks)


def subsampled_signals(
    acc: np.ndarray, gyr: np.ndarray, length: np.ndarray, every: int = 4
) -> np.ndarray:
    """Every `every`-th sample of all channels [N, ceil(L/every)*S*6], 0 beyond the length."""
    signals = np.concatenate([acc, gyr], axis=-1)[:, ::every].astype(np.float64)
    inside = np.arange(0, acc.shape[1], every) < np.asarray(length)[:, None]
    return (signals * inside[:, :, None, None]).reshape(len(signals), -1)


def ridge(
    features: np.ndarray,
    target: np.ndarray,
    subject: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, dict]:
    """Ridge with its penalty chosen on inner subjects: estimates for `test` [n_test], and chosen.

    features [N, F]; target [N]; subject [N]; train, test: indices into them. chosen: {"penalty":
    for each example, "inner_folds": 0 when only one subject is there and the default is taken}.
    """
    pairs = folds.inner_folds(subject, train, INNER_FOLDS, seed)
    penalty = DEFAULT_PENALTY
    if pairs:
        errors = [
            (_ridge(features, target, fit, held, PENALTIES) - target[held]) ** 2
            for fit, held in pairs
        ]
        penalty = PENALTIES[np.argmin(np.concatenate(errors, axis=1).mean(axis=1))]
    estimate = _ridge(features, target, train, test, np.array([penalty]))[0]
    return estimate, {"penalty": float(penalty), "inner_folds": len(pairs)}


def trees(
    features: np.ndarray,
    target: np.ndarray,
    subject: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    seed: int,
) -> tuple[np.ndarray, dict]:
    """Random forest or boosted trees, whichever is better on inner subjects; arguments of `ridge`.

    Give statistics and samples side by side as features. chosen: {"trees": "forest" or "boosted",
    "inner_folds": as in `ridge`}.
    """
    pairs = folds.inner_folds(subject, train, 2, seed)

    def estimates(name, fit, held):
        model = TREES[name](seed, len(fit)).fit(features[fit], target[fit])
        return model.predict(features[held])

    choice = DEFAULT_TREES
    if pairs:
        errors = {
            name: np.concatenate([estimates(name, fit, held) - target[held] for fit, held in pairs])
            for name in TREES
        }
        choice = min(errors, key=lambda name: np.mean(errors[name] ** 2))
    return estimates(choice, train, test), {"trees": choice, "inner_folds": len(pairs)}


def _ridge(
    features: np.ndarray,
    target: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    penalties: np.ndarray,
) -> np.ndarray:
    """Estimates [P, n_test] for all penalties from one eigendecomposition of the smaller Gram."""
    x = np.asarray(features[train], np.float64)
    mean, sd = x.mean(axis=0), x.std(axis=0)
    # A column that is constant, but for float32 rounding, says nothing: it becomes 0.
    sd[sd <= 1e-6 * np.abs(x).max(axis=0)] = np.inf
    x, x_test = (x - mean) / sd, (np.asarray(features[test], np.float64) - mean) / sd
    y = np.asarray(target[train], np.float64)
    offset, n = y.mean(), len(y)
    if x.shape[1] <= n:
        values, vectors = np.linalg.eigh(x.T @ x)
        left, right = x_test @ vectors, vectors.T @ (x.T @ (y - offset))
    else:
        values, vectors = np.linalg.eigh(x @ x.T)
        left, right = (x_test @ x.T) @ vectors, vectors.T @ (y - offset)
    shrunk = right / (np.maximum(values, 0) + n * penalties[:, None])
    return offset + shrunk @ left.T


def _statistics(acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
    acc, gyr = np.asarray(acc, np.float64), np.asarray(gyr, np.float64)
    norms = [np.linalg.norm(m, axis=-1, keepdims=True) for m in (acc, gyr)]
    x = np.concatenate([acc, norms[0], gyr, norms[1]], axis=-1)  # [N, L, S, 8]
    n = length.astype(np.float64)[:, None, None]
    inside = (np.arange(x.shape[1]) < length[:, None])[:, :, None, None]

    mean = np.sum(x, axis=1, where=inside) / n
    centred = np.where(inside, x - mean[:, None], 0.0)
    variance = np.mean(centred**2, axis=1) * x.shape[1] / n
    sd = np.sqrt(variance)
    third = np.mean(centred**3, axis=1) * x.shape[1] / n
    flat = sd <= 1e-9 * np.abs(mean)
    skewness = np.where(flat, 0.0, third / np.where(flat, 1.0, sd) ** 3)

    order = np.sort(np.where(inside, x, np.inf), axis=1)
    low = np.take_along_axis(order, (length[:, None, None, None] - 1) // 2, axis=1)[:, 0]
    high = np.take_along_axis(order, length[:, None, None, None] // 2 % x.shape[1], axis=1)[:, 0]
    median = np.where(length[:, None, None] % 2 == 1, low, (low + high) / 2)
    largest = np.max(np.where(inside, x, -np.inf), axis=1)

    steps = np.where(inside[:, 1:], np.diff(x, axis=1), 0.0)
    rms_difference = np.sqrt(np.sum(steps**2, axis=1) / np.maximum(n - 1, 1))
    rms = np.sqrt(variance + mean**2)
    columns = (mean, sd, order[:, 0], largest, median, rms, rms_difference, skewness)
    return np.stack(columns, axis=-1).reshape(len(x), -1)  # [N, S*8*8]
