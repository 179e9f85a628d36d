"""The folder of a model: of classes, another in the same place, cards that somebody has changed."""

import json
import shutil

import numpy as np
import pytest
from helpers import draws

from imujax import UserError
from imujax.models import keeping, parts, seen
from imujax.nets import resnet, towers
from imujax.sweep import fitting, references

CARD = {
    "targets": [
        {"name": "force", "unit": "N", "half": 1.0, "range": [9.0, 14.0]},
        {"name": "turn", "unit": "rad/s", "half": 0.2, "range": [0.0, 4.0]},
    ],
    "rate": 100.0,
    "window": 16,
    "sensors": ["foot"],
    "interval": {"level": 0.9},
}


@pytest.fixture(scope="module")
def windows():
    rng = np.random.default_rng(0)
    acc, gyr = (rng.normal(0, 1, (60, 16, 1, 3)).astype(np.float32) for _ in range(2))
    acc[..., 2] += 9.81
    return acc, gyr, np.full(60, 16)


def fit(kind, windows):
    see, people = fitting.see(kind, *windows), np.arange(60) % 5
    targets = [x.max(axis=(1, 2, 3)).astype(np.float64) for x in windows[:2]]
    models = [
        references.fit_references([kind], see, target, people, 0)[0][kind] for target in targets
    ]
    return parts.ReferencePart(kind, models)


def keep(folder, windows, *kinds):
    card = CARD | {"signals": seen.describe(*windows)}
    return keeping.save(folder, card, [(1.0, fit(kind, windows)) for kind in kinds])


def test_a_model_takes_the_place_of_another_whole(tmp_path, windows):
    """Fewer parts, and parts with fewer texts: nothing of the first is left."""
    keep(tmp_path / "model", windows, "boosted", "ridge")
    keep(tmp_path / "model", windows, "ridge", "extra")
    last = keep(tmp_path / "model", windows, "extra")
    alone = keep(tmp_path / "other", windows, "extra")
    np.testing.assert_array_equal(last.estimate(*windows), alone.estimate(*windows))
    names = [{path.name for path in (tmp_path / name).iterdir()} for name in ("model", "other")]
    assert names[0] == names[1]


CLASSES = ["lying", "sitting, slowly", "walking"]
OF_CLASS = {"name": "activity", "unit": "", "classes": CLASSES, "least": 0.3}


def network(is_class):
    """Three outputs with weights drawn by NumPy: log odds of classes, or numbers."""
    net, some = resnet.tiny("none") | {"stages": (1,)}, draws.windows(2, 16, 1, 3)
    params = draws.variables(towers.Regressor(net, 3), some, some)["params"]
    scales = {name: {"mean": 0.0, "sd": 4.0} for name in ("acc", "gyr")}
    fitted = fitting.FittedNetwork(net, params, {}, scales, [0.0] * 3, [1.0] * 3, {})
    return parts.NetworkPart(fitted, False, is_class)


@pytest.fixture(scope="module")
def of_classes(tmp_path_factory, windows):
    """Folder of a network and a logistic regression with half the weight each."""
    see, people = fitting.see("logistic", *windows), np.arange(60) % 5
    number = np.digitize(windows[0].max(axis=(1, 2, 3)), (11.0, 11.6))
    fitted, _ = references.fit_references(["logistic"], see, np.eye(3)[number], people, 0)
    members = [(0.5, network(True)), (0.5, parts.ReferencePart("logistic", [fitted["logistic"]]))]
    card = CARD | {"signals": seen.describe(*windows), "targets": [OF_CLASS]}
    folder = tmp_path_factory.mktemp("models") / "classes"
    keeping.save(folder, card, members)
    return folder, members


def test_a_model_of_classes_gives_the_same_probabilities_again(of_classes, windows):
    """The mean of its parts', where a network's are its outputs, raised and shared out."""
    folder, ((_, first), (_, second)) = of_classes
    opened = keeping.open_model(folder)
    made = opened.predict(*windows)
    odds = np.exp(network(False).estimate(*windows))
    np.testing.assert_allclose(first.estimate(*windows), odds / odds.sum(axis=1)[:, None])
    expected = (first.estimate(*windows) + second.estimate(*windows)) / 2
    np.testing.assert_array_equal(made.probability, expected)
    np.testing.assert_allclose(made.probability.sum(axis=1), 1, atol=1e-9)
    assert len(set(made.estimate)) > 1 and made.level == 0.9
    for row, word, held in zip(made.probability, made.estimate, made.sets, strict=True):
        ranked = sorted(zip(-row, CLASSES, strict=True))
        assert word == ranked[0][1] == held[0]
        assert held[1:] == tuple(name for p, name in ranked[1:] if -p >= 0.3)
    assert {len(held) for held in made.sets} >= {1, 2}
    table = made.table()
    assert list(table.columns) == [
        "estimate", "probability", "set", *(f"p_{word}" for word in CLASSES), "is_unlike"
    ]  # fmt: skip
    assert table["set"][0] == "|".join(made.sets[0])
    np.testing.assert_array_equal(table["p_walking"], made.probability[:, 2])


def test_a_network_that_was_kept_before_there_were_classes_opens(tmp_path, windows):
    """Its part says nothing of classes, and gives numbers."""
    targets = [CARD["targets"][0] | {"name": name} for name in "abc"]
    card = CARD | {"signals": seen.describe(*windows), "targets": targets}
    new = keeping.save(tmp_path / "model", card, [(1.0, network(False))])
    file = tmp_path / "model" / "card.json"
    old = json.loads(file.read_text())
    del old["parts"][0]["is_class"]
    file.write_text(json.dumps(old))
    opened = keeping.open_model(tmp_path / "model").predict(*windows)
    np.testing.assert_array_equal(opened.estimate, new.predict(*windows).estimate)
    assert opened.estimate.min() < 0


@pytest.mark.parametrize("lost", ["least", "classes"])
def test_a_card_without_its_classes_is_named(of_classes, tmp_path, lost):
    copy = shutil.copytree(of_classes[0], tmp_path / "copy")
    card = json.loads((copy / "card.json").read_text())
    del card["targets"][0][lost]
    (copy / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"is damaged \(card.json lacks targets\)"):
        keeping.open_model(copy)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version": 1}, "was made by an older imujax: fit the model again"),
        ({"version": 99}, "was made by a newer imujax"),
        ({"parts": []}, "lacks parts"),
        ({"interval": {"asked": 1.0}}, "lacks interval"),
        ({"targets": [{"name": "force", "unit": "N", "half": 1.0}]}, "lacks targets"),
        ({"files": ["weights.safetensors"]}, "is damaged"),
        ({"files": {"weights.safetensors": "0"}}, "weights.safetensors has changed"),
        ({"files": {"weights.safetensors": "0", ".": "0"}}, "is damaged"),
    ],
)
def test_a_card_that_was_changed_is_named(tmp_path, windows, changes, sentence):
    keep(tmp_path / "model", windows, "ridge")
    file = tmp_path / "model" / "card.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(UserError, match=sentence):
        keeping.open_model(tmp_path / "model")
