"""Ridges against scikit-learn, choices on inner subjects, stacking, and the table of references."""

import numpy as np
import pytest
import scipy.optimize
from helpers import small_references
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imujax import UserError
from imujax.configs import common
from imujax.sweep import folds, references, ridge, rocket, settings, trees
from imujax.sweep.references import REFERENCES
from imujax.sweep.window_features import FEATURES, columns, records

OF_NUMBERS = [name for name, line in references.REFERENCES.items() if not line.is_of_classes]


@pytest.fixture
def small(monkeypatch):
    small_references.shrink(monkeypatch)


def fitted(make, windows, target, subject, rows=slice(None), seed=0):
    """A model fitted on some of the windows."""
    return make(seed).fit(windows[rows], target[rows], subject[rows])


@pytest.fixture(scope="module")
def regression():
    """Statistics of ten subjects, of whom the first seven train; a linear law and noise."""
    rng = np.random.default_rng(1)
    subject = np.repeat([f"S{i}" for i in range(10)], 30)
    features = rng.normal(size=(300, 25)) * np.logspace(-2, 3, 25) + 100
    target = 700 + ((features - 100) / np.logspace(-2, 3, 25)) @ rng.normal(size=25)
    target += 2 * rng.normal(size=300)
    return features, target, subject, np.arange(210), np.arange(210, 300)


@pytest.fixture(scope="module")
def movements():
    """Records of two sensors; the target is a peak that is higher the later it is, with noise."""
    rng = np.random.default_rng(4)
    count, samples = 240, 20
    acc, gyr = rng.normal(size=(2, count, samples, 2, 3))
    target = rng.uniform(5, 15, count)
    acc[np.arange(count), target.astype(int), 0, 2] += 2 * target
    acc[:, :, 1] = 7  # a sensor that gives nothing
    length = np.where(np.arange(count) % 5, samples, samples - 3)
    windows = records({name: view(acc, gyr, length) for name, view in FEATURES.items()})
    return windows, target, np.array([f"P{i % 6}" for i in range(count)])


@pytest.mark.parametrize("n", [210, 15])
def test_ridge_is_that_of_scikit_learn(regression, n):
    features, target, _, train, test = regression
    train = train[:n]  # with 15 examples the dual form is taken
    scaler = StandardScaler().fit(features[train])
    penalties = np.array([1e-3, 0.1, 10.0])
    result = ridge._Linear(features[train], target[train], penalties).predict(features[test])
    for row, penalty in zip(result, penalties, strict=True):
        model = Ridge(alpha=penalty * n).fit(scaler.transform(features[train]), target[train])
        np.testing.assert_allclose(row, model.predict(scaler.transform(features[test])), rtol=1e-8)


def test_a_constant_column_is_ignored(regression):
    features, target, subject, train, test = regression
    extra = np.full((300, 1), 0.3)
    extra[test] = 1e6
    estimates = []
    for x in (features, np.hstack([features, extra])):
        windows = records({"statistics": x})
        model = fitted(ridge.SubjectRidge, windows, target, subject, train)
        estimates.append(model.predict(windows[test]))
    np.testing.assert_allclose(*estimates, rtol=1e-9)


def test_the_penalty_is_the_best_on_inner_subjects(regression):
    features, target, subject, train, _ = regression
    windows = records({"statistics": features})
    chosen = fitted(ridge.SubjectRidge, windows, target, subject, train, seed=3).chosen
    errors = []
    for penalty in ridge.PENALTIES:
        total = 0.0
        for fit, held in folds.inner_folds(subject, train, ridge.INNER_FOLDS, 3):
            model = make_pipeline(StandardScaler(), Ridge(alpha=penalty * len(fit)))
            model.fit(features[fit], target[fit])
            total += ((model.predict(features[held]) - target[held]) ** 2).sum()
        errors.append(total)
    assert chosen == {"penalty": ridge.PENALTIES[np.argmin(errors)], "inner_folds": 4}


def test_ridge_on_multirocket_is_that_of_scikit_learn(movements, small, monkeypatch):
    """Its penalty, its estimates of inner subjects, and those of others."""
    windows, target, subject = movements
    monkeypatch.setattr(ridge, "WINDOWS_AT_ONCE", 33)
    train, test = np.flatnonzero(subject != "P5"), np.flatnonzero(subject == "P5")
    model = fitted(ridge.SubjectRocket, windows, target, subject, train, seed=2)
    x, other = (
        rocket.transform(model.rocket, windows["signals"][rows], windows["length"][rows])
        for rows in (train, test)
    )
    scaler = StandardScaler().fit(x.astype(np.float64))
    x, other, y = scaler.transform(x), scaler.transform(other), target[train]

    def estimates(fit, at, penalty):
        return Ridge(alpha=penalty * len(fit)).fit(x[fit], y[fit]).predict(at)

    inner = np.empty((len(ridge.ROCKET_PENALTIES), len(train)))
    for fit, held in folds.inner_folds(subject[train], np.arange(len(train)), 4, 2):
        for row, penalty in zip(inner, ridge.ROCKET_PENALTIES, strict=True):
            row[held] = estimates(fit, x[held], penalty)
    best = np.argmin(((inner - y) ** 2).mean(axis=1))
    assert model.chosen == {"penalty": ridge.ROCKET_PENALTIES[best], "inner_folds": 4}
    np.testing.assert_allclose(model.inner, inner[best], atol=1e-3)
    expected = estimates(np.arange(len(train)), other, model.chosen["penalty"])
    np.testing.assert_allclose(model.predict(windows[test]), expected, atol=1e-3)


def test_ridge_on_multirocket_takes_a_part_of_many_windows(movements, small, monkeypatch):
    windows, target, subject = movements
    monkeypatch.setattr(ridge, "MOST_WINDOWS", 150)
    model = fitted(ridge.SubjectRocket, windows, target, subject)
    assert model.chosen["windows"] == np.isfinite(model.inner).sum() == 150
    assert np.corrcoef(model.predict(windows), target)[0, 1] > 0.9
    with_others = references._inner_errors({"a": model, "b": model}, target)
    assert with_others.shape == (2, 150) and np.isfinite(with_others).all()


def test_extra_trees_are_those_of_scikit_learn():
    """Not tree by tree, for the seeds differ, but by as much as four forests do by chance."""
    rng = np.random.default_rng(0)
    x, held = rng.normal(size=(240, 220)).astype(np.float32)[:200], rng.normal(size=(40, 220))
    target = 3 * x[:, 0] + x[:, 1] ** 2 + rng.normal(size=200)
    forest = ExtraTreesRegressor(100, max_features=trees.COLUMNS, min_samples_leaf=3)
    forests = [
        forest.set_params(random_state=seed).fit(x, target).predict(held) for seed in range(4)
    ]
    estimate = trees.mean_estimate("extra", trees.grow_extra(x, target, 3, 0, 400), held)
    by_chance = np.std(forests, axis=0, ddof=1).mean() / np.sqrt(2)  # of two means of four
    assert (estimate - np.mean(forests, axis=0)).std() < 1.3 * by_chance < 0.2 * target.std()


@pytest.mark.parametrize("kind", trees.SETTINGS)
def test_the_setting_of_trees_is_the_best_on_inner_subjects(movements, kind, small):
    windows, target, subject = movements
    model = trees.TunedTrees(kind, 5).fit(windows, target, subject)
    x, errors = columns(windows, trees.INPUTS).astype(np.float32), []
    for setting in trees.SETTINGS[kind]:
        squared = 0.0
        for fit, held in folds.inner_folds(subject, np.arange(len(target)), 4, 5):
            grown = trees.GROW[kind](x[fit], target[fit], setting, 5, trees.COUNTS[kind][0])
            squared += ((trees.mean_estimate(kind, grown, x[held]) - target[held]) ** 2).sum()
        errors.append(squared / len(target))
    (setting,) = {*model.chosen.values()} - {model.chosen["inner_folds"]}
    assert setting == trees.SETTINGS[kind][np.argmin(errors)]
    assert np.mean((model.inner - target) ** 2) == pytest.approx(min(errors))


def test_stacking_weights_are_half_way_to_the_best_of_all_that_sum_to_one():
    rng = np.random.default_rng(3)
    errors = rng.normal(size=(3, 400)) * [[1.0], [1.2], [3.0]] + rng.normal(size=400)

    def squared(weights):
        return ((weights @ errors) ** 2).sum()

    law = {"type": "eq", "fun": lambda weights: weights.sum() - 1}
    best = scipy.optimize.minimize(
        squared, np.full(3, 1 / 3), bounds=[(0, 1)] * 3, constraints=law, tol=1e-12
    ).x
    weights = references.stacking_weights(errors)
    np.testing.assert_allclose(weights, (best + 1 / 3) / 2, atol=1e-4)
    np.testing.assert_allclose(references.stacking_weights(errors[:, :0]), 1 / 3)


def test_what_several_references_are_made_of_is_fitted_once(movements, small):
    windows, target, subject = movements
    kinds = ("stack", "trees", "extra")
    models, seconds = references.fit_references(kinds, windows, target, subject, 7)
    assert set(models) == set(seconds) == {"boosted", "extra", "rocket", "trees", "stack"}
    assert models["trees"].model in (models["boosted"], models["extra"])
    estimate = sum(
        weight * models[name].predict(windows) for name, weight in models["stack"].weights.items()
    )
    alone = REFERENCES["stack"].make(7).fit(windows, target, subject)
    np.testing.assert_array_equal(alone.predict(windows), estimate)
    np.testing.assert_array_equal(alone.predict(windows), models["stack"].predict(windows))
    errors = {name: np.mean((models[name].inner - target) ** 2) for name in references.TREES}
    assert models["trees"].chosen["trees"] == min(errors, key=errors.__getitem__)


def test_the_same_seed_gives_the_same_estimates_and_learns_what_is_not_a_line(movements, small):
    windows, target, subject = movements
    train, test = subject < "P3", subject >= "P3"
    first, second = (
        references.fit_references(OF_NUMBERS, windows[train], target[train], subject[train], 1)[0]
        for _ in range(2)
    )
    for name, model in first.items():
        estimate = model.predict(windows[test])
        np.testing.assert_array_equal(estimate, second[name].predict(windows[test]))
        assert model.chosen == second[name].chosen and model.chosen["inner_folds"] == 3
        assert np.corrcoef(estimate, target[test])[0, 1] > 0.8, name


def test_one_training_subject_takes_the_default_and_says_so(movements, small):
    windows, target, subject = movements
    alone = subject == "P1"
    models, _ = references.fit_references(
        OF_NUMBERS, windows[alone], target[alone], subject[alone], 0
    )
    for model in models.values():
        assert model.chosen["inner_folds"] == 0 and np.isfinite(model.predict(windows)).all()
    assert models["ridge"].chosen["penalty"] == ridge.DEFAULT_PENALTY
    assert models["rocket"].chosen["penalty"] == ridge.DEFAULT_ROCKET_PENALTY
    assert models["trees"].chosen["trees"] == references.TREES[0]
    assert set(models["stack"].weights.values()) == {1 / 3}


@pytest.mark.parametrize(("sensors", "samples"), [(17, 12), (1, 6), (1, 2)])
def test_thirty_windows_of_two_subjects_are_enough(sensors, samples, small):
    """Many sensors, windows that are shorter than a kernel, an embedding beside."""
    rng = np.random.default_rng(0)
    acc, gyr = rng.normal(size=(2, 40, samples, sensors, 3)).astype(np.float32)
    arrays = {name: view(acc, gyr, np.full(40, samples)) for name, view in FEATURES.items()}
    windows = records(arrays | {"embedding": rng.normal(size=(40, 8)).astype(np.float32)})
    target, subject = rng.normal(size=40), np.array(["A", "B"])[np.arange(40) % 2]
    models, _ = references.fit_references(OF_NUMBERS, windows[:30], target[:30], subject[:30], 0)
    for model in models.values():
        assert np.isfinite(model.predict(windows)).all() and model.chosen["inner_folds"] == 2


@pytest.mark.parametrize("name", OF_NUMBERS)
def test_an_embedding_beside_the_features_is_used(name, movements, small):
    windows, target, subject = movements
    rng = np.random.default_rng(5)
    noise = {field: rng.normal(size=windows[field].shape) for field in FEATURES}
    noise["length"] = windows["length"]
    embedding = np.column_stack([target, rng.normal(size=(240, 3))])
    spoiled = records(noise | {"embedding": embedding})
    models, _ = references.fit_references([name], spoiled[:200], target[:200], subject[:200], 0)
    assert np.corrcoef(models[name].predict(spoiled[200:]), target[200:])[0, 1] > 0.5


def test_a_new_reference_is_one_line(monkeypatch):
    """A toy of scikit-learn's own; a name that is not in the table is told with those that are."""
    toy = references.Reference(lambda seed: DummyRegressor(), ("statistics",))
    monkeypatch.setitem(REFERENCES, "mean", toy)
    task = common.task("steps", "Steps", common.arms("e"), references=("mean", "mean+random"))
    settings.check_task("steps", task, ["steps"], {"e": {}})
    task.references = ("median",)
    sentence = "tasks.steps.references names 'median': there are ridge, boosted, .*, mean, ridge\\+"
    with pytest.raises(UserError, match=sentence):
        settings.check_task("steps", task, ["steps"], {"e": {}})


@pytest.mark.parametrize("kind", OF_NUMBERS)
def test_a_model_is_kept_as_arrays_and_texts(movements, small, kind):
    """What comes back estimates the same, to the last bit; no object is kept."""
    windows, target, subject = movements
    model = fitted(REFERENCES[kind].make, windows, target, subject, slice(0, 160))
    state = model.state()
    assert all(isinstance(value, np.ndarray | str) for value in state.values())
    assert all(v.dtype.kind in "fiu" for v in state.values() if isinstance(v, np.ndarray))
    again = REFERENCES[kind].restore(state)
    np.testing.assert_array_equal(again.predict(windows[160:]), model.predict(windows[160:]))
    assert np.std(again.predict(windows[160:])) > 0


def test_a_kept_forest_is_that_of_scikit_learn(movements):
    windows, target, _ = movements
    x = columns(windows, trees.INPUTS).astype(np.float32)
    grown = trees.grow_extra(x[:160], target[:160], 1, 0, 20)
    kept = trees.KeptForest(**trees.lay_out_nodes(grown))
    expected = np.mean([tree.predict(x[160:]) for tree in grown], axis=0)
    np.testing.assert_allclose(kept.predict(x[160:]), expected, rtol=1e-12)
