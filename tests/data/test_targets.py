"""What a task estimates: numbers by name, or the class of a window; and what cannot be."""

import dataclasses

import numpy as np
import pytest

from imujax import UserError
from imujax.data import targets
from imujax.data.datasets import Dataset


def make(words, subjects, numbers=None):
    """A data set of these activities, each window of its own subject."""
    count = len(words)
    named = [{"name": "force", "unit": "N"}, {"name": "time", "unit": "s"}]
    return Dataset(
        acc=np.arange(count * 12.0).reshape(count, 4, 1, 3),
        gyr=np.zeros((count, 4, 1, 3)),
        length=np.full(count, 4),
        subject=np.array(subjects),
        recording=np.full(count, "r"),
        activity=np.array(words),
        condition=np.full(count, ""),
        start=np.arange(count, dtype=np.float32),
        target=numbers,
        info={"targets": named if numbers is not None else [], "rate": 100.0},
    )


def test_numbers_are_taken_by_their_names():
    data = make(["a"] * 3, ["P", "Q", "R"], np.array([[1.0, 0.1], [2.0, 0.2], [3.0, 0.3]]))
    assert targets.select(data, (), "x").target.shape == (3, 2)
    chosen = targets.select(data, ("time",), "x")
    np.testing.assert_array_equal(chosen.target, [[0.1], [0.2], [0.3]])
    assert chosen.info["targets"] == [{"name": "time", "unit": "s"}]
    assert not targets.classes_of(chosen)
    np.testing.assert_array_equal(targets.outputs(chosen), chosen.target)
    with pytest.raises(UserError, match="targets names 'forces': there are force, time"):
        targets.select(data, ("forces",), "x")


def test_a_class_is_numbered_and_who_has_none_is_left_out_and_counted():
    words = ["walk", "sit", "", "walk", "sit", "jump", "jump", "run"]
    data = make(words, ["P", "P", "P", "Q", "Q", "Q", "Q", "P"])
    chosen = targets.select(data, ("activity",), "x")
    assert targets.classes_of(chosen) == ["sit", "walk"]
    np.testing.assert_array_equal(chosen.target[:, 0], [1, 0, 1, 0])
    np.testing.assert_array_equal(chosen.acc, data.acc[[0, 1, 3, 4]])
    np.testing.assert_array_equal(chosen.start, [0, 1, 3, 4])
    np.testing.assert_array_equal(targets.outputs(chosen), [[0, 1], [1, 0], [0, 1], [1, 0]])
    assert chosen.info["left_out"] == {
        "windows without activity": 1,
        "windows of the activity jump, which one subject alone has": 2,
        "windows of the activity run, which one subject alone has": 1,
    }


def test_what_cannot_be_estimated_is_one_sentence():
    data = make(["walk", "walk", "sit"], ["P", "Q", "P"])
    with pytest.raises(UserError, match="x has no target: a task needs a labelled data set, or"):
        targets.select(data, (), "x")
    with pytest.raises(UserError, match="x has 1 activity that 2 subjects or more have"):
        targets.select(data, ("activity",), "x")


def test_curves_are_taken_by_their_names_and_are_no_number_beyond_the_window():
    data = make(["a"] * 2, ["P", "Q"], np.array([[1.0, 0.1], [2.0, 0.2]]))
    curves = np.arange(8.0).reshape(2, 2, 2)  # a value every second sample
    info = data.info | {"curves": [{"name": "left", "unit": "N"}, {"name": "right", "unit": "BW"}]}
    data = dataclasses.replace(
        data, curve=curves, length=np.array([4, 2]), info=info | {"curve_every": 2}
    )
    assert targets.curve_every(targets.select(data, (), "x")) == 0  # its numbers
    chosen = targets.select(data, ("right", "left"), "x")
    assert targets.curve_every(chosen) == 2
    assert [one["unit"] for one in chosen.info["targets"]] == ["BW", "N"]
    np.testing.assert_array_equal(chosen.target[0], [[1.0, 0.0], [3.0, 2.0]])
    np.testing.assert_array_equal(chosen.target[1], [[5.0, 4.0], [np.nan, np.nan]])
    without = dataclasses.replace(data, target=None, info=data.info | {"targets": []})
    assert targets.select(without, (), "x").target.shape == (2, 2, 2)
    with pytest.raises(UserError, match="force, left: numbers and curves are not estimated at"):
        targets.select(data, ("force", "left"), "x")
    with pytest.raises(UserError, match="targets names 'foot': there are force, time, left, right"):
        targets.select(data, ("foot",), "x")


def test_a_class_a_sample_is_a_curve_of_words_and_a_rare_word_is_left_out():
    data = make(["a"] * 3, ["P", "Q", "R"])
    codes = np.array([[0, 1, 1], [1, 0, 2], [0, 0, 1]], np.float32)[..., None]
    phase = {"name": "phase", "unit": "", "classes": ["stance", "swing", "slip"]}
    info = data.info | {"curves": [phase, {"name": "force", "unit": "N"}], "curve_every": 1}
    data = dataclasses.replace(
        data, curve=np.tile(codes, 2), length=np.array([3, 3, 2]), info=info, acc=data.acc[:, :3]
    )
    chosen = targets.select(data, ("phase",), "x")
    assert targets.classes_of(chosen) == ["stance", "swing"] and targets.class_every(chosen) == 1
    nan = np.nan
    expected = [[0, 1, 1], [1, 0, nan], [0, 0, nan]]
    np.testing.assert_array_equal(chosen.target[..., 0], expected)
    reason = "samples of the phase slip, which one subject alone has"
    assert chosen.info["left_out"] == {reason: 1}
    outputs = targets.outputs(chosen)
    np.testing.assert_array_equal(outputs[0], [[1, 0], [0, 1], [0, 1]])
    assert np.isnan(outputs[1, 2]).all() and np.isnan(outputs[2, 2]).all()
    with pytest.raises(UserError, match="phase, force: a class a sample is estimated by itself"):
        targets.select(data, ("phase", "force"), "x")
    alone = dataclasses.replace(data, subject=np.array(["P", "P", "P"]))
    with pytest.raises(UserError, match="x has 0 words of phase that 2 subjects or more have"):
        targets.select(alone, ("phase",), "x")


def test_the_mean_curve_holds_its_last_value_where_no_window_reaches():
    nan = np.nan
    curves = np.array([[1.0, 2.0, nan, nan], [3.0, nan, nan, nan]])
    np.testing.assert_array_equal(targets.mean_curve(curves), [2.0, 2.0, 2.0, 2.0])
    np.testing.assert_array_equal(targets.mean_curve(np.full((2, 3), nan)), np.zeros(3))
