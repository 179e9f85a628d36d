"""The encoder that comes with imujax: there, small, the same numbers, and better than chance.

simulated_steps.npz holds 240 steps of 12 simulated people, a unit on the right shank at 100 Hz and
the peak knee flexion moment of each step, made by `imujax simulate --sets knee_moment --subjects 12
--seed 77` and `imujax build simulated --task knee_moment`, 20 steps of each at random, as float16.
"""

import pathlib

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

import imujax
from imujax.pretrain import encoder, packed

STEPS = pathlib.Path(__file__).parent / "simulated_steps.npz"
# What embeds of the first three steps, at these places: written down when it was packed.
PLACES = (0, 7, 500, 1100, 1343, 1344, 2000, 2687)
EXPECTED = [
    [0.0013277, -0.0064861, -0.0025255, 0.0179828, -0.0062047, 0.0018431, 0.0037126, 0.0035912],
    [0.0013508, -0.0063034, -0.0027953, 0.0219997, -0.0081388, 0.0031017, 0.0061134, 0.0035958],
    [0.0009984, -0.0068178, -0.0024143, 0.0216007, -0.0076382, 0.0025914, 0.0040000, 0.0030259],
]


@pytest.fixture(scope="module")
def steps():
    with np.load(STEPS) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def boxed():
    return imujax.load("gait")


def embed(trained, steps, rows=slice(None)):
    acc, gyr = (steps[name][rows].astype(np.float32) for name in ("acc", "gyr"))
    return trained.embed(acc, gyr, steps["length"][rows].astype(int))


def test_it_is_in_the_box_and_says_what_it_is(boxed):
    assert packed.list_names() == ["gait"]
    assert packed.find("gait").stat().st_size < 3e6
    settings = boxed.card["settings"]
    assert settings["stream"]["gait"] == 0.5 and not settings["data"]  # simulated people alone
    assert boxed.card["step"] == settings["steps"] and boxed.rate == 100.0
    assert len(packed.read_content("gait").hash) == 0
    assert "pelvis" in boxed.card["sensors"] and "foot_r" in boxed.card["sensors"]


def test_it_embeds_to_the_numbers_that_were_written_down(boxed, steps):
    found = embed(boxed, steps, slice(3))
    np.testing.assert_allclose(found[:, PLACES], EXPECTED, atol=1e-5)


def r_of_other_people(features, steps):
    """Mean r within a person of ridge regression that is fitted to the others."""
    person, truth, scores = steps["person"], steps["moment"].astype(np.float64), []
    for one in np.unique(person):
        others = person != one
        scaler = StandardScaler().fit(features[others])
        train, test = (scaler.transform(features[rows]) for rows in (others, ~others))
        model = Ridge(alpha=0.3 * features.shape[1]).fit(train, truth[others])
        scores.append(np.corrcoef(model.predict(test), truth[~others])[0, 1])
    return np.mean(scores)


def test_it_beats_random_weights_on_simulated_steps(boxed, steps):
    trained = r_of_other_people(embed(boxed, steps), steps)
    random = [
        r_of_other_people(embed(encoder.random_encoder(boxed.card, seed), steps), steps)
        for seed in range(3)
    ]
    assert trained > np.mean(random) + 0.03
