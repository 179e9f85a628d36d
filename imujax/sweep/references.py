"""The references: what can be had from the windows without a network.

A network that does not beat these has learned nothing that is worth its cost.  They stand under the
same rules: the same training subset, settings chosen on inner subjects of that subset only,
standardisation fitted on the training side only.

A reference is a line in REFERENCES: a function of a seed that makes a model of scikit-learn's
shape, fit(windows [n], target [n], groups [n]) and predict(windows [m]) -> [m], a function that
makes the fitted model again of the arrays and texts that its method `state` gives, without pickle,
and the names of what it sees.  The groups are the subjects.  Windows are records
(`window_features.records`), of which `columns` lays some fields side by side.  What the model has
chosen it tells in a dict `chosen`, for the tables; a member of another reference has its estimates
of inner subjects in `inner`.  A configuration names a reference, "ridge", or with the frozen
embedding of an arm beside what it sees, "ridge+ARM".
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from imujax.data import targets
from imujax.data.datasets import Dataset
from imujax.errors import UserError
from imujax.sweep import trees
from imujax.sweep.classifiers import SubjectClassTrees, SubjectLogistic
from imujax.sweep.curve_basis import CurveBasis
from imujax.sweep.ridge import SubjectRidge, SubjectRocket
from imujax.sweep.trees import TunedTrees

TREES = ("boosted", "extra")  # the first where there is nothing to choose on
STACKED = ("boosted", "extra", "rocket")
RESTORE_MEMBER = {
    "boosted": TunedTrees.restore,
    "extra": TunedTrees.restore,
    "rocket": SubjectRocket.restore,
}


class SubjectTrees:
    """Boosted or extremely randomised trees, whichever is better on inner subjects.

    Parameters
    ----------
    seed : int
        Of both.

    Attributes
    ----------
    chosen : dict
        "trees", a name of TREES, and what these trees have chosen.
    """

    def __init__(self, seed: int):
        self.seed = seed

    def fit(
        self,
        windows: np.ndarray,
        target: np.ndarray,
        groups: np.ndarray,
        fitted: Mapping[str, Any] | None = None,
    ) -> "SubjectTrees":
        """Fit both or take them from `fitted`, then choose; windows, target and groups [n]."""
        members = _fit_members(TREES, self.seed, windows, target, groups, fitted)
        errors = _inner_errors(members, target)
        best = int(np.argmin((errors**2).mean(axis=1))) if errors.size else 0
        self.model = members[TREES[best]]
        self.chosen = {"trees": TREES[best], **self.model.chosen}
        return self

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Estimates [m] for windows [m], in the target's unit."""
        return self.model.predict(windows)

    def state(self) -> dict[str, Any]:
        """What `restore` makes the fitted model of."""
        return self.model.state()

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "SubjectTrees":
        """The model that gave this state, fit to predict."""
        model = cls(0)
        model.model = TunedTrees.restore(state)
        return model


class SubjectStack:
    """The weighted mean of STACKED, with weights that suit inner subjects.

    Parameters
    ----------
    seed : int
        Of its members.

    Attributes
    ----------
    chosen : dict
        The weight of each member; "inner_folds", 0 where they are equal for want of subjects.
    """

    def __init__(self, seed: int):
        self.seed = seed

    def fit(
        self,
        windows: np.ndarray,
        target: np.ndarray,
        groups: np.ndarray,
        fitted: Mapping[str, Any] | None = None,
    ) -> "SubjectStack":
        """Fit all or take them from `fitted`, then weigh them; windows, target and groups [n]."""
        self.members = _fit_members(STACKED, self.seed, windows, target, groups, fitted)
        weights = stacking_weights(_inner_errors(self.members, target))
        self.weights = dict(zip(STACKED, weights.tolist(), strict=True))
        self.chosen = {name: round(weight, 3) for name, weight in self.weights.items()}
        self.chosen["inner_folds"] = min(
            member.chosen["inner_folds"] for member in self.members.values()
        )
        return self

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Estimates [m] for windows [m], in the target's unit."""
        return sum(self.weights[name] * self.members[name].predict(windows) for name in STACKED)

    def state(self) -> dict[str, Any]:
        """What `restore` makes the fitted model of."""
        state: dict[str, Any] = {"weights": np.array([self.weights[name] for name in STACKED])}
        for name, member in self.members.items():
            state |= {f"{name}.{key}": value for key, value in member.state().items()}
        return state

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> "SubjectStack":
        """The model that gave this state, fit to predict."""
        model = cls(0)
        model.weights = dict(zip(STACKED, state["weights"].tolist(), strict=True))
        model.members = {}
        for name in STACKED:
            own = {
                k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")
            }
            model.members[name] = RESTORE_MEMBER[name](own)
        return model


def stacking_weights(errors: np.ndarray) -> np.ndarray:
    """Weights that sum to 1, none of them negative, half way from equal ones to the best.

    The best ones give the least sum of squares of the weighted error.  Inner subjects are few, so
    that these follow chance, and equal weights are hard to beat (Breiman 1996, Stacked regressions;
    Claeskens et al. 2016, The forecast combination puzzle).

    Parameters
    ----------
    errors : ndarray, [k, n]
        Of k members on inner subjects, n may be 0.

    Returns
    -------
    ndarray, [k]
    """
    from scipy.optimize import nnls  # half of this module's time of import

    k, n = errors.shape
    equal = np.full(k, 1 / k)
    if not n:
        return equal
    # With the sum left free, but pulled to 1 with any force, the solution has the same direction.
    size = np.sqrt((errors**2).mean()) or 1.0
    system = np.vstack([errors.T / (size * np.sqrt(n)), np.ones(k)])
    direction, _ = nnls(system, np.r_[np.zeros(n), 1.0])
    return (equal + direction / direction.sum()) / 2


class Reference(NamedTuple):
    """A line of REFERENCES.

    Attributes
    ----------
    make : seed -> model
        With fit(windows, target, groups) and predict(windows), see the head of this file.
    inputs : tuple of str
        Names in window_features.FEATURES.
    members : tuple of str
        Names in REFERENCES of those that it is made of; its `fit` takes them as `fitted`.
    restore : state -> model, optional
        With predict(windows), of what the fitted model's `state` has given; without it the model
        cannot be kept.
    is_of_classes : bool
        Whether it gives probabilities of classes [m, C], fitted to 1 for that of each window
        [n, C].
    """

    make: Callable[[int], Any]
    inputs: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    restore: Callable[[Mapping[str, Any]], Any] | None = None
    is_of_classes: bool = False


REFERENCES = {
    "ridge": Reference(SubjectRidge, ("statistics",), restore=SubjectRidge.restore),
    "boosted": Reference(partial(TunedTrees, "boosted"), trees.INPUTS, restore=TunedTrees.restore),
    "extra": Reference(partial(TunedTrees, "extra"), trees.INPUTS, restore=TunedTrees.restore),
    "trees": Reference(SubjectTrees, members=TREES, restore=SubjectTrees.restore),
    "rocket": Reference(SubjectRocket, ("signals", "length"), restore=SubjectRocket.restore),
    "stack": Reference(SubjectStack, members=STACKED, restore=SubjectStack.restore),
    "logistic": Reference(
        SubjectLogistic, ("statistics",), restore=SubjectLogistic.restore, is_of_classes=True
    ),
    "class_trees": Reference(
        SubjectClassTrees, trees.INPUTS, restore=SubjectClassTrees.restore, is_of_classes=True
    ),
}


def parse_name(name: str) -> tuple[str, str]:
    """The name in REFERENCES and the arm, "" for none, of what a configuration names."""
    kind, _, arm = name.partition("+")
    return kind, arm


def reference_names(arms: Iterable[str], is_class: bool) -> list[str]:
    """What a configuration with these arms may name as references, of a class or of anything."""
    names = [name for name, line in REFERENCES.items() if line.is_of_classes or not is_class]
    return [*names, *(f"{name}+{arm}" for arm in arms for name in names)]


def require_fit(names: Iterable[str], data: Dataset) -> None:
    """Require that references fit what is estimated.

    Parameters
    ----------
    names : iterable of str
        As a configuration names them.
    data : Dataset
        As of `targets.select`.

    Raises
    ------
    UserError
        One is of numbers and a class is estimated, or the other way round; or a class a sample is
        to be estimated from the embedding of a whole window.
    """
    is_class = bool(targets.classes_of(data))
    for name in names:
        kind, arm = parse_name(name)
        if REFERENCES[kind].is_of_classes != is_class:
            fit = [key for key, line in REFERENCES.items() if line.is_of_classes == is_class]
            what = "a class" if is_class else "numbers"
            raise UserError(f"references names {name!r}: of {what} there are {', '.join(fit)}")
        if arm and is_class and targets.curve_every(data):
            raise UserError(
                f"references names {name!r}: a class a sample is not estimated from the embedding "
                f"of a window, take {kind!r}"
            )


def required_inputs(kinds: Iterable[str]) -> list[str]:
    """Say what references see.

    Parameters
    ----------
    kinds : iterable of str
        Names in REFERENCES.

    Returns
    -------
    list of str
        Names in window_features.FEATURES, those of members among them.
    """
    inputs: set[str] = set()
    for kind in kinds:
        inputs |= {*REFERENCES[kind].inputs, *required_inputs(REFERENCES[kind].members)}
    return sorted(inputs)


class ToFit(NamedTuple):
    """What references are fitted to.

    Attributes
    ----------
    values : list of ndarray
        What a model each is fitted to: the numbers [n] of each target, the classes [n, C], or of
        curves each score [n].
    bases : list of CurveBasis
        Of curves, one for each target.
    samples : ndarray of bool, [n * Lt], or None
        Of a class a sample those that have one, which are what values are of.
    """

    values: list[np.ndarray]
    bases: list[CurveBasis]
    samples: np.ndarray | None = None


def join_estimates(estimates: Sequence[np.ndarray], bases: Sequence[CurveBasis]) -> np.ndarray:
    """Join what models estimate, each for one of ToFit.values.

    Parameters
    ----------
    estimates : sequence of ndarray, [m], or of classes [m, C]
    bases : sequence of CurveBasis
        Of ToFit.

    Returns
    -------
    ndarray, [m, K], or of curves [m, Lt, K]
    """
    joined = np.concatenate([x.reshape(len(x), -1) for x in estimates], axis=1)
    if not bases:
        return joined
    edges = np.cumsum([len(basis.vectors) for basis in bases])[:-1]
    pairs = zip(bases, np.split(joined, edges, axis=1), strict=True)
    return np.stack([basis.to_curves(scores) for basis, scores in pairs], axis=-1)


def values_to_fit(data: Dataset, rows: np.ndarray | slice = slice(None)) -> ToFit:
    """Lay out what references are fitted to on some rows of a data set."""
    values = targets.outputs(data)[rows].astype(np.float64)
    if targets.classes_of(data):
        values = values.reshape(-1, values.shape[-1])
        is_there = np.asarray(np.isfinite(values).all(axis=1))
        return ToFit([values[is_there]], [], is_there if targets.curve_every(data) else None)
    if not targets.curve_every(data):
        return ToFit(list(values.T), [])
    curves = [values[..., k] for k in range(values.shape[-1])]
    bases = [CurveBasis.fit(of_target) for of_target in curves]
    scores = [basis.to_scores(own) for basis, own in zip(bases, curves, strict=True)]
    return ToFit([column for own in scores for column in own.T], bases)


def fit_references(
    kinds: Iterable[str], windows: np.ndarray, target: np.ndarray, groups: np.ndarray, seed: int
) -> tuple[dict[str, Any], dict[str, float]]:
    """Fit references on the same windows, each once though several are made of it.

    Parameters
    ----------
    kinds : iterable of str
        Names in REFERENCES.
    windows : ndarray, [n]
        Records with what they see.
    target : ndarray, [n]
        Of references of classes [n, C].
    groups : ndarray, [n]
        The subjects.
    seed : int
        Of all of them.

    Returns
    -------
    tuple of dict
        The models by name, those of members among them, and how long each fit has kept its core
        busy [s], without its members.
    """
    fitted: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for kind in kinds:
        members = REFERENCES[kind].members
        lacking = [name for name in (*members, kind) if name not in fitted]
        for name in lacking:
            begin = time.thread_time()
            model = REFERENCES[name].make(seed)
            shared = {"fitted": fitted} if REFERENCES[name].members else {}
            fitted[name] = model.fit(windows, target, groups, **shared)
            seconds[name] = time.thread_time() - begin
    return fitted, seconds


def _fit_members(names, seed, windows, target, groups, fitted) -> dict[str, Any]:
    fitted = fitted or {}
    return {
        name: fitted[name]
        if name in fitted
        else REFERENCES[name].make(seed).fit(windows, target, groups)
        for name in names
    }


def _inner_errors(members: Mapping[str, Any], target: np.ndarray) -> np.ndarray:
    """Errors [k, n] on those windows that all members have estimated as inner subjects'."""
    inner = np.stack([member.inner for member in members.values()])
    if not inner.size:
        return inner
    return (inner - target)[:, np.isfinite(inner).all(axis=0)]
