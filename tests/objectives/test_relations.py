"""Weights of pairs against a loop over pairs."""

import numpy as np
import pytest

from imujax import UserError
from imujax.objectives import relations


def draw_ids(count=40, seed=0) -> dict:
    rng = np.random.default_rng(seed)
    ids = {"window": rng.integers(0, 20, count), "sensor": rng.integers(0, 3, count)}
    ids["recording"] = ids["window"] // 4
    ids["subject"] = ids["recording"] // 2
    ids["start"] = (ids["window"] % 4) * 2.56 + ids["window"] // 4
    return ids | {"row": np.arange(count)}


def brute_force(ids, changes, i, j) -> float:
    """The product of the weights of all relations that hold for one pair."""
    weights = {"window": 0.0} | changes
    same = {name: ids[name][i] == ids[name][j] for name in ("window", "recording", "subject")}
    weight = 1.0
    for name, holds in same.items():
        weight *= weights.get(name, 1.0) if holds else 1.0
    if "near" in weights and same["recording"]:
        is_near = abs(ids["start"][i] - ids["start"][j]) < weights["seconds"]
        weight *= weights["near"] if is_near else 1
    if "other_sensor" in weights and ids["sensor"][i] != ids["sensor"][j]:
        weight *= weights["other_sensor"]
    return weight


CHANGES = [
    {},
    {"window": 1.0},
    {"recording": 0.0},
    {"subject": 0.25},
    {"other_sensor": 0.0},
    {"near": 0.0, "seconds": 3.0},
    {"window": 0.5, "near": 0.3, "seconds": 6.0, "subject": 0.7, "other_sensor": 2.0},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_weights_are_products_over_the_relations_that_hold(changes):
    ids = draw_ids()
    weights = np.exp(relations.log_weights(relations.resolve(changes), ids, ids, np.float32))
    expected = [[brute_force(ids, changes, i, j) for j in range(40)] for i in range(40)]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert not changes or (np.asarray(expected) != np.asarray(brute_table(ids))).any()


def brute_table(ids):
    return [[brute_force(ids, {}, i, j) for j in range(40)] for i in range(40)]


def test_only_the_ids_that_are_looked_at_are_needed():
    assert relations.required_ids(relations.resolve({})) == ["window"]
    assert relations.required_ids(relations.resolve({"window": 1, "near": 0, "seconds": 9})) == [
        "recording",
        "start",
    ]
    assert relations.required_ids(relations.resolve({"window": 1.0})) == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"person": 0.0}, "no 'person': they have window, near"),
        ({"subject": -1.0}, "relations.subject is -1: it must be 0 or more"),
        ({"near": 0.0}, "near needs relations.seconds"),
        ({"seconds": 4.0}, "near needs relations.seconds"),
    ],
)
def test_mistakes_are_one_sentence(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        relations.resolve(settings)
