"""Shallow references: a ridge and trees on features that need no training.

A network that does not beat these has learned nothing that is worth its cost. They stand under the
same rules: the same training subset, settings chosen on inner subjects of that subset only,
standardisation fitted on the training side only.

A reference is a function of a seed that makes a model of scikit-learn's shape, fit(features [n, F],
target [n], groups [n]) and predict(features [m, F]) -> [m], the groups being the subjects; and one
line in REFERENCES. What the model has chosen it may tell in a dict `chosen`, for the tables. A
configuration names a reference, "ridge", or with the frozen embedding of an arm among its features,
"ridge+ARM".
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from imujax.sweep import folds

# Penalties for each example, on standardised features: the sum of squares is over n of them.
PENALTIES = 10.0 ** np.arange(-4, 2.1, 0.5)
DEFAULT_PENALTY = 0.1
RIDGE_FOLDS, TREE_FOLDS = 4, 2  # inner ones


def random_forest(seed: int, count: int):
    """A forest for so many examples."""
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(
        60,
        max_features=0.15,
        max_samples=max(int(0.6 * count), 1),
        min_samples_leaf=3,
        random_state=seed,
    )


def boosted_trees(seed: int, count: int):
    """Boosted trees, whatever the number of examples."""
    del count
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=150,
        learning_rate=0.08,
        max_leaf_nodes=12,
        min_samples_leaf=5,
        l2_regularization=1.0,
        max_features=0.3,
        early_stopping=False,
        random_state=seed,
    )


# Imported when they are made: pre-training reads this table too, and needs no scikit-learn.
TREES = {"forest": random_forest, "boosted": boosted_trees}
DEFAULT_TREES = "boosted"


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
    """

    def __init__(self, seed: int):
        self.seed = seed

    def fit(self, features: np.ndarray, target: np.ndarray, groups: np.ndarray) -> "SubjectRidge":
        """Choose the penalty, then fit; features [n, F], target [n], groups [n]."""
        pairs = folds.inner_folds(groups, np.arange(len(target)), RIDGE_FOLDS, self.seed)
        penalty = DEFAULT_PENALTY
        if pairs:
            errors = [
                _Linear(features[fit], target[fit], PENALTIES).predict(features[held])
                - target[held]
                for fit, held in pairs
            ]
            squared = np.concatenate(errors, axis=1) ** 2  # [penalties, n]
            penalty = PENALTIES[np.argmin(squared.mean(axis=1))]
        self.chosen = {"penalty": float(penalty), "inner_folds": len(pairs)}
        self.model = _Linear(features, target, np.array([penalty]))
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Estimates [m] for features [m, F], in the target's unit."""
        return self.model.predict(features)[0]


class SubjectTrees:
    """Random forest or boosted trees, whichever is better on inner subjects.

    Parameters
    ----------
    seed : int
        Of the inner folds and of the trees.

    Attributes
    ----------
    chosen : dict
        "trees", a name in TREES; "inner_folds", as of SubjectRidge.
    """

    def __init__(self, seed: int):
        self.seed = seed

    def fit(self, features: np.ndarray, target: np.ndarray, groups: np.ndarray) -> "SubjectTrees":
        """Choose the kind, then fit; features [n, F], target [n], groups [n]."""
        pairs = folds.inner_folds(groups, np.arange(len(target)), TREE_FOLDS, self.seed)

        def fitted(kind, rows):
            return TREES[kind](self.seed, len(rows)).fit(features[rows], target[rows])

        def squared_error(kind):
            errors = [
                fitted(kind, fit).predict(features[held]) - target[held] for fit, held in pairs
            ]
            return np.mean(np.concatenate(errors) ** 2)

        kind = min(TREES, key=squared_error) if pairs else DEFAULT_TREES
        self.chosen = {"trees": kind, "inner_folds": len(pairs)}
        self.model = fitted(kind, np.arange(len(target)))
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Estimates [m] for features [m, F], in the target's unit."""
        return self.model.predict(features)


class Reference(NamedTuple):
    """A line of REFERENCES.

    Attributes
    ----------
    make : seed -> model
        With fit(features, target, groups) and predict(features), see the head of this file.
    inputs : tuple of str
        Names in window_features.FEATURES, side by side.
    """

    make: Callable[[int], Any]
    inputs: tuple[str, ...]


REFERENCES = {
    "ridge": Reference(SubjectRidge, ("statistics",)),
    "trees": Reference(SubjectTrees, ("statistics", "samples")),
}


def parse_name(name: str) -> tuple[str, str]:
    """The name in REFERENCES and the arm, "" for none, of what a configuration names."""
    kind, _, arm = name.partition("+")
    return kind, arm


def reference_names(arms: Iterable[str]) -> list[str]:
    """What a configuration with these arms may name as references."""
    return [*REFERENCES, *(f"{name}+{arm}" for name in REFERENCES for arm in arms)]


class _Linear:
    """Ridge on standardised features for several penalties, from one eigendecomposition of the
    smaller Gram matrix."""

    def __init__(self, features: np.ndarray, target: np.ndarray, penalties: np.ndarray):
        x = np.asarray(features, np.float64)
        self.mean, sd = x.mean(axis=0), x.std(axis=0)
        # A column that is constant, but for float32 rounding, says nothing: it becomes 0.
        sd[sd <= 1e-6 * np.abs(x).max(axis=0)] = np.inf
        self.sd = sd
        x = (x - self.mean) / sd
        y = np.asarray(target, np.float64)
        self.offset, n = y.mean(), len(y)
        wide = x.shape[1] > n
        values, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
        right = vectors.T @ ((y - self.offset) if wide else x.T @ (y - self.offset))
        weights = vectors @ (right / (np.maximum(values, 0) + n * penalties[:, None])).T
        self.weights = x.T @ weights if wide else weights  # [F, penalties]

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Estimates [penalties, m]."""
        x = (np.asarray(features, np.float64) - self.mean) / self.sd
        return self.offset + (x @ self.weights).T
