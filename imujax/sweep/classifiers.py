"""References for classes: logistic regression on statistics, and boosted trees.

Both are fitted to the classes of windows as 1 for the one of C that it is, [n, C], and give
probabilities [m, C]; they choose by the cross entropy on inner subjects.  A class that is not among
the training windows has the probability 0, by trees next to 0.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from imujax.sweep import folds
from imujax.sweep.ridge import INNER_FOLDS, spread
from imujax.sweep.trees import INPUTS, boost
from imujax.sweep.window_features import columns

PENALTIES = 10.0 ** np.arange(-4, 0.1)  # for each example, on standardised features
DEFAULT_PENALTY = 0.01
ROUNDS = (30, 60, 120)  # of boosting; the middle one is the default
LEAVES, RATE = 15, 0.1
LEAST = 1e-6  # of a probability, in the cross entropy


class SubjectLogistic:
    """Multinomial logistic regression with its penalty chosen on inner subjects.

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

    def fit(self, windows: np.ndarray, target: np.ndarray, groups: np.ndarray) -> "SubjectLogistic":
        """Choose the penalty, then fit; windows [n], target [n, C], groups [n]."""
        x = columns(windows, ("statistics",))

        def estimate(fit: np.ndarray, held: np.ndarray) -> list[np.ndarray]:
            return [
                _Logistic.fit(x[fit], target[fit], penalty).predict(x[held])
                for penalty in PENALTIES
            ]

        best, count = _choose(estimate, len(PENALTIES), target, groups, self.seed)
        penalty = float(PENALTIES[best]) if count else DEFAULT_PENALTY
        self.chosen = {"penalty": penalty, "inner_folds": count}
        self.model = _Logistic.fit(x, target, penalty)
        return self

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Probabilities [m, C] for windows [m]."""
        return self.model.predict(columns(windows, ("statistics",)))

    def state(self) -> dict[str, np.ndarray]:
        """What `restore` makes the fitted model of."""
        return dict(vars(self.model))

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> "SubjectLogistic":
        """The model that gave this state, fit to predict."""
        model = cls(0)
        model.model = _Logistic(**state)
        return model


class _Logistic:
    """Features standardised by mean and sd [F], then log odds by kernel [F, C] and bias [C]."""

    def __init__(self, mean: np.ndarray, sd: np.ndarray, kernel: np.ndarray, bias: np.ndarray):
        self.mean, self.sd, self.kernel, self.bias = mean, sd, kernel, bias

    @classmethod
    def fit(cls, features: np.ndarray, target: np.ndarray, penalty: float) -> "_Logistic":
        from sklearn.linear_model import LogisticRegression

        mean, sd = features.mean(axis=0), spread(features)
        number = target.argmax(axis=1)
        seen = np.unique(number)
        kernel = np.zeros((features.shape[1], target.shape[1]))
        bias = np.full(target.shape[1], -np.inf)
        bias[seen] = 0.0
        if len(seen) > 1:
            regression = LogisticRegression(C=1 / (penalty * len(number)), max_iter=500)
            regression.fit((features - mean) / sd, number)
            odds, offset = regression.coef_.T, regression.intercept_
            if len(seen) == 2:  # scikit-learn has the log odds of the second alone
                odds, offset = np.hstack([-odds, odds]) / 2, np.r_[-offset, offset] / 2
            kernel[:, seen], bias[seen] = odds, offset
        return cls(mean, sd, kernel, bias)

    def predict(self, features: np.ndarray) -> np.ndarray:
        odds = (features - self.mean) / self.sd @ self.kernel + self.bias
        weight = np.exp(odds - odds.max(axis=1, keepdims=True))
        return weight / weight.sum(axis=1, keepdims=True)


class SubjectClassTrees:
    """Boosted trees for classes (LightGBM), their number chosen on inner subjects.

    Parameters
    ----------
    seed : int
        Of the inner folds and of the trees.

    Attributes
    ----------
    chosen : dict
        "rounds"; "inner_folds", 0 where there is only one subject and the default is taken.
    """

    def __init__(self, seed: int):
        self.seed = seed

    def fit(
        self, windows: np.ndarray, target: np.ndarray, groups: np.ndarray
    ) -> "SubjectClassTrees":
        """Choose the number of rounds, then fit; windows [n], target [n, C], groups [n]."""
        x = columns(windows, INPUTS).astype(np.float32)

        def estimate(fit: np.ndarray, held: np.ndarray) -> list[np.ndarray]:
            trees = self._grow(x[fit], target[fit], ROUNDS[-1])
            return [trees.predict(x[held], num_iteration=n, num_threads=1) for n in ROUNDS]

        best, count = _choose(estimate, len(ROUNDS), target, groups, self.seed)
        rounds = ROUNDS[best] if count else ROUNDS[len(ROUNDS) // 2]
        self.chosen = {"rounds": rounds, "inner_folds": count}
        self.trees = self._grow(x, target, rounds)
        return self

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Probabilities [m, C] for windows [m]."""
        return self.trees.predict(columns(windows, INPUTS).astype(np.float32), num_threads=1)

    def state(self) -> dict[str, Any]:
        """What `restore` makes the fitted model of: LightGBM's text."""
        return {"model": self.trees.model_to_string()}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "SubjectClassTrees":
        """The model that gave this state, fit to predict."""
        import lightgbm

        model = cls(0)
        model.trees = lightgbm.Booster(model_str=state["model"])
        return model

    def _grow(self, x: np.ndarray, target: np.ndarray, rounds: int) -> Any:
        own = {
            "objective": "multiclass",
            "num_class": target.shape[1],
            "learning_rate": RATE,
            "num_leaves": LEAVES,
            # Without these two the trees of 19 activities diverged (SisFall, 2026-11-30): balanced
            # accuracy .16 over the folds, and .59 to .62 with them in a trial on one of 13 people.
            "min_sum_hessian_in_leaf": 1.0,
            "lambda_l2": 1.0,
        }
        seed = int(np.random.SeedSequence(self.seed).generate_state(1)[0])
        return boost(x, target.argmax(axis=1), rounds, seed, own)


def _choose(
    estimate: Callable[[np.ndarray, np.ndarray], list[np.ndarray]],
    settings: int,
    target: np.ndarray,
    groups: np.ndarray,
    seed: int,
) -> tuple[int, int]:
    """Which setting has the least cross entropy on inner subjects, and how many folds judged."""
    pairs = folds.inner_folds(groups, np.arange(len(target)), INNER_FOLDS, seed)
    errors = np.zeros(settings)
    for fit, held in pairs:
        for k, probability in enumerate(estimate(fit, held)):
            of_truth = (probability * target[held]).sum(axis=1)
            errors[k] -= np.log(np.maximum(of_truth, LEAST)).sum()
    return int(np.argmin(errors)), len(pairs)
