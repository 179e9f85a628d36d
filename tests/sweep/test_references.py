"""Statistics against one window at a time in SciPy; ridge against scikit-learn; no leak."""

import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from imujax.sweep import folds, references


@pytest.fixture(scope="module")
def windows():
    rng = np.random.default_rng(0)
    acc, gyr = rng.normal(1.0, 2.0, (2, 12, 20, 2, 3))
    return acc, gyr, np.array([20, 20, 19, 18, 7, 6, 5, 4, 3, 2, 1, 13])


def test_statistics_of_each_window_against_scipy(windows):
    acc, gyr, length = windows
    result = references.window_statistics(acc, gyr, length).reshape(12, 2, 2, 4, 8)
    for i in range(12):
        for s in range(2):
            for m, signal in enumerate((acc, gyr)):
                x = signal[i, : length[i], s]
                x = np.column_stack([x, np.sqrt((x**2).sum(1))])
                oracle = [
                    x.mean(0),
                    x.std(0),
                    x.min(0),
                    x.max(0),
                    np.median(x, 0),
                    np.sqrt((x**2).mean(0)),
                    np.sqrt((np.diff(x, axis=0) ** 2).mean(0)) if len(x) > 1 else np.zeros(4),
                    scipy.stats.skew(x) if len(x) > 1 else np.zeros(4),
                ]
                np.testing.assert_allclose(result[i, s, m].T, oracle, atol=1e-9)


def test_padding_is_never_seen(windows, monkeypatch):
    acc, gyr, length = (np.array(a) for a in windows)
    clean = (
        references.window_statistics(acc, gyr, length),
        references.subsampled_signals(acc, gyr, length, 3),
    )
    beyond = np.arange(20) >= length[:, None]
    acc[beyond], gyr[beyond] = 1e6, -1e6
    monkeypatch.setattr(references, "CHUNK", 5)
    np.testing.assert_allclose(references.window_statistics(acc, gyr, length), clean[0], rtol=1e-12)
    np.testing.assert_array_equal(references.subsampled_signals(acc, gyr, length, 3), clean[1])


def test_samples_are_every_fourth(windows):
    acc, gyr, length = windows
    result = references.subsampled_signals(acc, gyr, length).reshape(12, 5, 2, 6)
    np.testing.assert_array_equal(result[0, 3, 1, :3], acc[0, 12, 1])
    np.testing.assert_array_equal(result[0, 3, 1, 3:], gyr[0, 12, 1])
    assert (result[5, 2:] == 0).all()


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
    result = references._ridge(features, target, train, test, penalties)
    for row, penalty in zip(result, penalties, strict=True):
        model = Ridge(alpha=penalty * n).fit(scaler.transform(features[train]), target[train])
        np.testing.assert_allclose(row, model.predict(scaler.transform(features[test])), rtol=1e-8)


def test_a_constant_column_is_ignored(regression):
    features, target, subject, train, test = regression
    extra = np.full((300, 1), 0.3)
    extra[test] = 1e6
    plain, _ = references.ridge(features, target, subject, train, test, 0)
    with_extra, _ = references.ridge(np.hstack([features, extra]), target, subject, train, test, 0)
    np.testing.assert_allclose(plain, with_extra, rtol=1e-9)


def test_the_penalty_is_the_best_on_inner_subjects(regression):
    features, target, subject, train, test = regression
    _, chosen = references.ridge(features, target, subject, train, test, 3)
    errors = []
    for penalty in references.PENALTIES:
        total = 0.0
        for fit, held in folds.inner_folds(subject, train, references.INNER_FOLDS, 3):
            scaler = StandardScaler().fit(features[fit])
            model = Ridge(alpha=penalty * len(fit))
            model.fit(scaler.transform(features[fit]), target[fit])
            total += ((model.predict(scaler.transform(features[held])) - target[held]) ** 2).sum()
        errors.append(total)
    assert chosen == {"penalty": references.PENALTIES[np.argmin(errors)], "inner_folds": 4}


@pytest.mark.parametrize("model", [references.ridge, references.trees])
def test_nothing_outside_the_training_side_has_any_effect(regression, model):
    features, target, subject, train, test = regression
    clean, chosen = model(features, target, subject, train[:60], test, 0)
    spoiled = features.copy()
    spoiled[60:210] = 1e9
    noise = np.where(np.arange(300) < 60, target, np.nan)
    again, chosen_again = model(spoiled, noise, subject, train[:60], test, 0)
    np.testing.assert_array_equal(clean, again)
    assert chosen == chosen_again
    assert np.corrcoef(clean, target[test])[0, 1] > 0.2


@pytest.mark.parametrize(
    ("model", "key"), [(references.ridge, "penalty"), (references.trees, "trees")]
)
def test_one_training_subject_takes_the_default_and_says_so(regression, model, key):
    features, target, subject, _, test = regression
    estimate, chosen = model(features, target, subject, np.arange(30), test, 0)
    assert np.isfinite(estimate).all() and chosen["inner_folds"] == 0
    assert chosen[key] in (references.DEFAULT_PENALTY, references.DEFAULT_TREES)


def test_trees_find_what_a_line_cannot():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(600, 4))
    target = np.abs(features[:, 0]) + 0.1 * rng.normal(size=600)
    subject = np.repeat([f"S{i}" for i in range(6)], 100)
    arguments = (features, target, subject, np.arange(400), np.arange(400, 600), 0)
    (line, _), (tree, chosen) = references.ridge(*arguments), references.trees(*arguments)
    assert abs(np.corrcoef(line, target[400:])[0, 1]) < 0.4
    assert np.corrcoef(tree, target[400:])[0, 1] > 0.9
    assert chosen["trees"] in references.TREES and chosen["inner_folds"] == 2
