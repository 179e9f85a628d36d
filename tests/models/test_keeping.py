"""The folder of a model: another model in the same place, and cards that somebody has changed."""

import json

import numpy as np
import pytest

from imujax import UserError
from imujax.models import keeping, parts, seen
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
