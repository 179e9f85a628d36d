"""Boosted trees and extremely randomised trees, each tuned on inner subjects.

Boosted trees are LightGBM's, whose models are text.  Of the others scikit-learn grows one tree at a
time: a forest of its own goes through joblib, which changes Python's list of warnings while another
thread reads it.  Friedman 2001; Geurts, Ernst, Wehenkel 2006.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imujax.sweep import folds
from imujax.sweep.window_features import columns

INPUTS = ("statistics", "times", "samples")
INNER_FOLDS = 4
# What is tried on inner subjects: most leaves of a boosted tree, least windows in a leaf of the
# others.  The middle one is the default.
SETTINGS = {"boosted": (7, 15, 31), "extra": (1, 3, 10)}
COUNTS = {"boosted": (1, 3), "extra": (50, 300)}  # seeds, or trees: on inner subjects, and at last
ROUNDS = 300  # of boosting
COLUMNS = 200  # that are looked at, at most: for each boosted tree, for each split of the others


class TunedTrees:
    """One kind of trees with its setting chosen on inner subjects.

    Parameters
    ----------
    kind : str
        "boosted" or "extra".
    seed : int
        Of the inner folds and of the trees.

    Attributes
    ----------
    chosen : dict
        "leaves", or "least" windows in a leaf; "inner_folds", 0 where there is only one subject and
        the default is taken.
    inner : ndarray, [n] or [0]
        Every training window's estimate by trees that have not seen its subject, if there are inner
        folds.
    """

    def __init__(self, kind: str, seed: int):
        self.kind, self.seed = kind, seed

    def fit(self, windows: np.ndarray, target: np.ndarray, groups: np.ndarray) -> "TunedTrees":
        """Choose the setting, then fit; windows [n], target [n], groups [n]."""
        grow, settings = GROW[self.kind], SETTINGS[self.kind]
        few, many = COUNTS[self.kind]
        x = columns(windows, INPUTS).astype(np.float32)
        pairs = folds.inner_folds(groups, np.arange(len(target)), INNER_FOLDS, self.seed)
        inner = np.empty((len(settings), len(target) if pairs else 0))
        for fit, held in pairs:
            for row, setting in zip(inner, settings, strict=True):
                models = grow(x[fit], target[fit], setting, self.seed, few)
                row[held] = mean_estimate(self.kind, models, x[held])
        best = np.argmin(((inner - target) ** 2).mean(axis=1)) if pairs else len(settings) // 2
        self.inner = inner[best]
        name = "leaves" if self.kind == "boosted" else "least"
        self.chosen = {name: settings[best], "inner_folds": len(pairs)}
        self.trees = grow(x, target, settings[best], self.seed, many)
        return self

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Estimates [m] for windows [m], in the target's unit."""
        return mean_estimate(self.kind, self.trees, columns(windows, INPUTS).astype(np.float32))

    def state(self) -> dict[str, Any]:
        """What `restore` makes the fitted model of: LightGBM's text, or arrays of nodes."""
        if self.kind == "boosted":
            return {f"model{k}": model.model_to_string() for k, model in enumerate(self.trees)}
        return lay_out_nodes(self.trees)

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "TunedTrees":
        """The model that gave this state, fit to predict."""
        if "model0" not in state:
            model = cls("extra", 0)
            model.trees = [KeptForest(**state)]
            return model
        import lightgbm

        model = cls("boosted", 0)
        texts = (state[f"model{k}"] for k in range(len(state)))
        model.trees = [lightgbm.Booster(model_str=text) for text in texts]
        return model


@dataclass(frozen=True, eq=False)
class KeptForest:
    """Trees as arrays, one behind the other.

    Attributes
    ----------
    root : ndarray, [trees]
        The node where each begins.
    left, right : ndarray, [nodes]
        Where a window goes on whose feature is at most the threshold, or above; -1 in a leaf.
    feature, threshold : ndarray, [nodes]
    value : ndarray, [nodes]
        Of a leaf, in the target's unit.
    """

    root: np.ndarray
    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    value: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The mean [m] of what all trees say of features [m, F], float32."""
        total, rows = np.zeros(len(x)), np.arange(len(x))
        for root in self.root:
            node = np.full(len(x), root)
            while (inner := self.left[node] >= 0).any():
                is_low = x[rows, np.maximum(self.feature[node], 0)] <= self.threshold[node]
                node = np.where(inner, np.where(is_low, self.left[node], self.right[node]), node)
            total += self.value[node]
        return total / len(self.root)


def lay_out_nodes(trees: Sequence[Any]) -> dict[str, np.ndarray]:
    """The fields of a KeptForest of scikit-learn's trees."""
    nodes = [tree.tree_ for tree in trees]
    root = np.cumsum([0, *(one.node_count for one in nodes)])[:-1].astype(np.int32)

    def children(name: str) -> np.ndarray:
        moved = (
            np.where(getattr(one, name) < 0, -1, getattr(one, name) + first)
            for one, first in zip(nodes, root, strict=True)
        )
        return np.concatenate(list(moved)).astype(np.int32)

    return {
        "root": root,
        "left": children("children_left"),
        "right": children("children_right"),
        "feature": np.concatenate([one.feature for one in nodes]).astype(np.int32),
        "threshold": np.concatenate([one.threshold for one in nodes]),
        "value": np.concatenate([one.value[:, 0, 0] for one in nodes]),
    }


def grow_boosted(
    x: np.ndarray, target: np.ndarray, leaves: int, seed: int, count: int
) -> list[Any]:
    """Boosted trees for features [n, F], from several seeds: so many boosters."""
    own = {"learning_rate": 0.05, "num_leaves": leaves}
    return [
        boost(x, target, ROUNDS, int(one), own)
        for one in np.random.SeedSequence(seed).generate_state(count)
    ]


def boost(x: np.ndarray, target: np.ndarray, rounds: int, seed: int, own: dict[str, Any]) -> Any:
    """A LightGBM booster for features [n, F] and target [n], the same on any number of cores.

    `own` are the settings that differ from one use to another.
    """
    import lightgbm

    settings = own | {
        "min_data_in_leaf": 5,
        "feature_fraction": min(0.3, COLUMNS / x.shape[1]),
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    seeded = settings | {"seed": seed >> 1}  # LightGBM's are below 2^31
    return lightgbm.train(seeded, lightgbm.Dataset(x, target, params=settings), rounds)


def grow_extra(x: np.ndarray, target: np.ndarray, least: int, seed: int, count: int) -> list[Any]:
    """Extremely randomised trees for features [n, F]: so many of them."""
    from sklearn.tree import ExtraTreeRegressor

    most = min(COLUMNS, x.shape[1])
    return [
        ExtraTreeRegressor(max_features=most, min_samples_leaf=least, random_state=one).fit(
            x, target
        )
        for one in np.random.SeedSequence(seed).generate_state(count)
    ]


def mean_estimate(kind: str, models: list[Any], x: np.ndarray) -> np.ndarray:
    """The mean [m] of what all models of a kind say of features [m, F], by one thread."""
    options = {"num_threads": 1} if kind == "boosted" else {}
    return np.mean([model.predict(x, **options) for model in models], axis=0)


# They import what they need when they grow: pre-training reads the table of references, too.
GROW = {"boosted": grow_boosted, "extra": grow_extra}
