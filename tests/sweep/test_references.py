"""Ridge against scikit-learn, choices on inner subjects, no leak, and the table of references."""

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from imujax import UserError
from imujax.configs import common
from imujax.sweep import folds, references, settings
from imujax.sweep.references import REFERENCES, SubjectRidge, SubjectTrees


def fitted(make, regression, rows=slice(None), seed=0):
    """A model fitted on some of the training examples."""
    features, target, subject, train, _ = regression
    train = train[rows]
    return make(seed).fit(features[train], target[train], subject[train])


@pytest.fixture(scope="module")
def regression():
    """Ten subjects, of whom the first seven train; a linear law and noise."""
    rng = np.random.default_rng(1)
    subject = np.repeat([f"S{i}" for i in range(10)], 30)
    features = rng.normal(size=(300, 25)) * np.logspace(-2, 3, 25) + 100
    target = 700 + ((features - 100) / np.logspace(-2, 3, 25)) @ rng.normal(size=25)
    target += 2 * rng.normal(size=300)
    return features, target, subject, np.arange(210), np.arange(210, 300)


@pytest.mark.parametrize("n", [210, 15])
def test_ridge_is_that_of_scikit_learn(regression, n):
    features, target, _, train, test = regression
    train = train[:n]  # with 15 examples the dual form is taken
    scaler = StandardScaler().fit(features[train])
    penalties = np.array([1e-3, 0.1, 10.0])
    result = references._Linear(features[train], target[train], penalties).predict(features[test])
    for row, penalty in zip(result, penalties, strict=True):
        model = Ridge(alpha=penalty * n).fit(scaler.transform(features[train]), target[train])
        np.testing.assert_allclose(row, model.predict(scaler.transform(features[test])), rtol=1e-8)


def test_a_constant_column_is_ignored(regression):
    features, *others, test = regression
    extra = np.full((300, 1), 0.3)
    extra[test] = 1e6
    wider = np.hstack([features, extra])
    plain = fitted(SubjectRidge, regression).predict(features[test])
    with_extra = fitted(SubjectRidge, (wider, *others, test)).predict(wider[test])
    np.testing.assert_allclose(plain, with_extra, rtol=1e-9)


def test_the_penalty_is_the_best_on_inner_subjects(regression):
    features, target, subject, train, _ = regression
    chosen = fitted(SubjectRidge, regression, seed=3).chosen
    errors = []
    for penalty in references.PENALTIES:
        total = 0.0
        for fit, held in folds.inner_folds(subject, train, references.RIDGE_FOLDS, 3):
            scaler = StandardScaler().fit(features[fit])
            model = Ridge(alpha=penalty * len(fit))
            model.fit(scaler.transform(features[fit]), target[fit])
            total += ((model.predict(scaler.transform(features[held])) - target[held]) ** 2).sum()
        errors.append(total)
    assert chosen == {"penalty": references.PENALTIES[np.argmin(errors)], "inner_folds": 4}


@pytest.mark.parametrize("name", REFERENCES)
def test_the_same_seed_gives_the_same_estimates_and_learns_something(regression, name):
    features, target, _, _, test = regression
    first, second = (fitted(REFERENCES[name].make, regression, slice(60)) for _ in range(2))
    np.testing.assert_array_equal(first.predict(features[test]), second.predict(features[test]))
    assert first.chosen == second.chosen
    assert np.corrcoef(first.predict(features[test]), target[test])[0, 1] > 0.2


@pytest.mark.parametrize(("model", "key"), [(SubjectRidge, "penalty"), (SubjectTrees, "trees")])
def test_one_training_subject_takes_the_default_and_says_so(regression, model, key):
    features, _, _, _, test = regression
    alone = fitted(model, regression, slice(30))
    assert np.isfinite(alone.predict(features[test])).all() and alone.chosen["inner_folds"] == 0
    assert alone.chosen[key] in (references.DEFAULT_PENALTY, references.DEFAULT_TREES)


def test_trees_find_what_a_line_cannot():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(600, 4))
    target = np.abs(features[:, 0]) + 0.1 * rng.normal(size=600)
    subject = np.repeat([f"S{i}" for i in range(6)], 100)
    bent = features, target, subject, np.arange(400), np.arange(400, 600)
    line, trees = fitted(SubjectRidge, bent), fitted(SubjectTrees, bent)
    assert abs(np.corrcoef(line.predict(features[400:]), target[400:])[0, 1]) < 0.4
    assert np.corrcoef(trees.predict(features[400:]), target[400:])[0, 1] > 0.9
    assert trees.chosen["trees"] in references.TREES and trees.chosen["inner_folds"] == 2


def test_a_new_reference_is_one_line(monkeypatch):
    """A toy of scikit-learn's own; a name that is not in the table is told with those that are."""
    toy = references.Reference(lambda seed: DummyRegressor(), ("statistics",))
    monkeypatch.setitem(REFERENCES, "mean", toy)
    task = common.task("steps", "Steps", common.arms("e"), references=("mean", "mean+random"))
    settings.check_task("steps", task, ["steps"], ["e"])
    task.references = ("median",)
    sentence = "tasks.steps.references names 'median': there are ridge, trees, mean, ridge\\+pre"
    with pytest.raises(UserError, match=sentence):
        settings.check_task("steps", task, ["steps"], ["e"])
