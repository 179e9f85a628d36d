"""The law of growth: slopes that were put in come out, and as surely as the interval says."""

import importlib.util
import pathlib

import numpy as np
import pytest
import scipy.stats
from matplotlib.figure import Figure

from imujax import UserError

PATH = pathlib.Path(__file__).parents[2] / "launch" / "growth.py"
spec = importlib.util.spec_from_file_location("growth", PATH)
growth = importlib.util.module_from_spec(spec)
spec.loader.exec_module(growth)

VALUES = np.array([50.0, 100, 200, 400, 800, 1600])


def made_up(rng, slope=0.02, subjects=11, noise=0.004):
    """r [V, S]: people differ in height and in slope, pre-trainings by chance."""
    x = np.log10(VALUES / VALUES[-1])[:, None]
    people = 0.8 + 0.05 * rng.normal(size=subjects)
    slopes = slope + 0.01 * rng.normal(size=subjects)
    return people + slopes * x + noise * rng.normal(size=(len(VALUES), 1))


def test_the_law_is_the_line_through_the_means():
    r = made_up(np.random.default_rng(0))
    law = growth.fit_law(VALUES, r)
    line = scipy.stats.linregress(np.log10(VALUES), r.mean(1))
    np.testing.assert_allclose(law.slope, line.slope, rtol=1e-9)
    np.testing.assert_allclose(law.level, line.intercept + line.slope * np.log10(1600), rtol=1e-9)


def test_intervals_hold_the_slope_as_often_as_they_say():
    rng, held = np.random.default_rng(1), 0
    for trial in range(100):
        low, high = growth.fit_law(VALUES, made_up(rng), seed=trial).interval
        held += low < 0.02 < high
    assert 86 <= held <= 99


def test_another_pretext_is_compared_person_by_person():
    middle = {"S0": 0.70, "S1": 0.80, "S2": 0.90}
    scores = {"middle": middle, "pretext_forces": {name: r + 0.02 for name, r in middle.items()}}
    scores["pretext_own"] = {"S0": 0.71, "S1": 0.80, "S2": 0.92}
    gains = growth.compare_pretexts(scores | {"steps_50": middle}, "middle")
    np.testing.assert_allclose(gains["pretext_forces"], 0.02, atol=1e-12)
    paired = scipy.stats.ttest_1samp([0.01, 0.0, 0.02], 0).confidence_interval(0.95)
    np.testing.assert_allclose(gains["pretext_own"], (0.01, paired.low, paired.high), atol=1e-9)
    assert gains.keys() == {"pretext_forces", "pretext_own"}


def test_the_middle_belongs_to_every_series_and_two_points_are_no_law():
    people = {f"S{i}": 0.7 + 0.01 * i for i in range(5)}
    scores = {f"steps_{value:g}": people for value in VALUES if value != 400}
    random = {name: r - 0.01 for name, r in people.items()}
    laws = growth.fit_series(scores | {"middle": people, "width_4": people, "random_16": random})
    assert list(laws) == ["steps"] and laws["steps"].values.tolist() == VALUES.tolist()
    assert abs(laws["steps"].slope) < 1e-12
    np.testing.assert_allclose(laws["steps"].gain, 0.01, atol=1e-12)
    for bound in laws["steps"].at(np.array([400.0, 1e5])):
        np.testing.assert_allclose(bound, 0.01, atol=1e-12)
    assert isinstance(growth.draw(laws), Figure)
    wide = scores | {"middle": people, "random_16": random, "width_4": people, "width_8": people}
    with pytest.raises(UserError, match="no arm random_4"):
        growth.fit_series(wide)
    with pytest.raises(UserError, match="no series of three arms"):
        growth.fit_series({"middle": people, "width_4": people})
