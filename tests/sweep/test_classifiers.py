"""References for classes against scikit-learn, and what they do where classes are missing."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imujax.sweep import classifiers, references
from imujax.sweep.window_features import FEATURES, columns, records


@pytest.fixture(scope="module")
def movements():
    """Records of one sensor; of three classes each swings about another axis, under noise."""
    rng = np.random.default_rng(4)
    count, samples = 180, 20
    acc, gyr = rng.normal(size=(2, count, samples, 1, 3))
    number = rng.integers(0, 3, count)
    acc[np.arange(count), 5, 0, number] += 5
    gyr[np.arange(count), :, 0, number] *= 1.7
    views = {name: view(acc, gyr, np.full(count, samples)) for name, view in FEATURES.items()}
    return records(views), np.eye(3)[number], np.array([f"P{i % 4}" for i in range(count)])


def test_logistic_regression_is_scikit_learns_with_the_penalty_of_least_cross_entropy(movements):
    windows, target, subject = movements
    train, test, number = subject < "P3", subject == "P3", target.argmax(axis=1)
    model = classifiers.SubjectLogistic(0).fit(windows[train], target[train], subject[train])
    x = columns(windows, ("statistics",))
    losses, made = [], []
    for penalty in classifiers.PENALTIES:
        regression = LogisticRegression(C=1 / (penalty * train.sum()), max_iter=2000)
        own = make_pipeline(StandardScaler(), regression).fit(x[train], number[train])
        made.append(own.predict_proba(x[test]))
        # As many penalties for each example in the inner folds, which have fewer of these.
        regression.set_params(C=1 / (penalty * (2 / 3) * train.sum()))
        inner = cross_val_predict(
            make_pipeline(StandardScaler(), regression),
            x[train],
            number[train],
            groups=subject[train],
            cv=LeaveOneGroupOut(),
            method="predict_proba",
        )
        losses.append(log_loss(number[train], inner))
    best = int(np.argmin(losses))
    assert model.chosen["penalty"] == pytest.approx(classifiers.PENALTIES[best])
    np.testing.assert_allclose(model.predict(windows[test]), made[best], atol=1e-3)


@pytest.mark.parametrize("kind", ["logistic", "class_trees"])
def test_classes_are_found_and_kept_without_an_object(movements, kind, monkeypatch):
    monkeypatch.setattr(classifiers, "ROUNDS", (5, 15, 30))
    windows, target, subject = movements
    train, test = subject < "P3", subject == "P3"
    make = references.REFERENCES[kind]
    model = make.make(3).fit(windows[train], target[train], subject[train])
    made = model.predict(windows[test])
    np.testing.assert_allclose(made.sum(axis=1), 1, atol=1e-6)
    assert np.mean(made.argmax(axis=1) == target[test].argmax(axis=1)) > 0.9
    again = make.make(3).fit(windows[train], target[train], subject[train])
    np.testing.assert_array_equal(again.predict(windows[test]), made)
    state = model.state()
    assert all(isinstance(value, np.ndarray | str) for value in state.values())
    np.testing.assert_array_equal(make.restore(state).predict(windows[test]), made)


@pytest.mark.parametrize("kind", ["logistic", "class_trees"])
@pytest.mark.parametrize("seen", [(0, 2), (1,)])
def test_classes_that_are_not_among_the_training_windows(movements, kind, seen, monkeypatch):
    """They are not expected; with one subject the default is taken."""
    monkeypatch.setattr(classifiers, "ROUNDS", (5, 15, 30))
    windows, target, subject = movements
    train = np.isin(target.argmax(axis=1), seen) & (subject == "P0")
    model = references.REFERENCES[kind].make(0).fit(windows[train], target[train], subject[train])
    made = model.predict(windows)
    others = np.setdiff1d(np.arange(3), seen)
    assert made.shape == (180, 3) and (made[:, others] < 0.01).all()
    assert model.chosen["inner_folds"] == 0
