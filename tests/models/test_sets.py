"""Sets of classes: against loops over people, over simulated people, and what a sweep says."""

import importlib.util
import pathlib

import numpy as np
import pytest
from helpers import fake_classes
from scipy import stats
from sklearn import metrics as oracle

from imujax.models import held_out, intervals, sets
from imujax.report import tables

CLASSES = 5


def people(rng, count):
    """Truth, probabilities and subject of people, each of whom confuses classes in its own way."""
    truth, probability, subject = [], [], []
    for number in range(count):
        windows = rng.integers(5, 40)
        own = rng.integers(0, CLASSES, windows)
        odds = rng.normal(0, 1, (windows, CLASSES)) + rng.normal(0, 1, (CLASSES, CLASSES))[own]
        odds[np.arange(windows), own] += 1 + rng.normal()
        weight = np.exp(odds)
        truth.append(own)
        probability.append(weight / weight.sum(axis=1, keepdims=True))
        subject.append(np.full(windows, number))
    return tuple(np.concatenate(x) for x in (truth, probability, subject))


def smallest_bound(truth, probability, subject, level):
    """The least q for which enough people, each with the same weight, have their truth in sets."""
    names = sorted(set(subject.tolist()))
    candidates = sorted({0.0, *(1 - p for p in probability.ravel())})
    for q in candidates:
        shares = []
        for name in names:
            mine = np.flatnonzero(subject == name)
            shares.append(np.mean([truth[n] in held_by(probability[n], q) for n in mine]))
        if sum(shares) / (len(names) + 1) >= level - 1e-12:
            return q
    raise AssertionError("no bound")


def held_by(row, q):
    """The set of one window, class after class."""
    return {c for c in range(len(row)) if 1 - row[c] <= q} | {int(np.argmax(row))}


@pytest.mark.parametrize("level", [0.6, 0.85])
def test_the_bound_is_the_smallest_that_holds_its_share_of_people(level):
    truth, probability, subject = people(np.random.default_rng(0), 9)
    expected = smallest_bound(truth, probability, subject, level)
    found = intervals.half_width(sets.miss(truth, probability), subject, level).half
    assert found == pytest.approx(expected, abs=1e-12) and 0 < found < 1
    made = sets.hold(probability, 1 - found - 1e-9)
    for row, held in zip(probability, made, strict=True):
        assert set(np.flatnonzero(held)) == held_by(row, expected + 1e-9)


def test_coverage_and_size_leave_each_person_out():
    truth, probability, subject = people(np.random.default_rng(1), 7)
    shares, sizes = [], []
    for name in range(7):
        mine = subject == name
        q = smallest_bound(truth[~mine], probability[~mine], subject[~mine], 0.7)
        own = [held_by(row, q + 1e-12) for row in probability[mine]]
        shares.append(np.mean([t in held for t, held in zip(truth[mine], own, strict=True)]))
        sizes.append(np.mean([len(held) for held in own]))
    found = intervals.measure_coverage(sets.miss(truth, probability), subject, 0.7)
    assert found.mean == pytest.approx(np.mean(shares)) and found.least == min(shares)
    size = sets.measure_size(truth, probability, subject, 0.7)
    assert size == pytest.approx(np.mean(sizes)) and 1 < size < CLASSES


@pytest.mark.parametrize("count", [6, 12])
def test_the_true_class_of_a_new_person_is_held_as_promised(count):
    """Over 1,500 studies: at least the level, and no more than one person's weight above it."""
    rng, shares = np.random.default_rng(count), []
    for _ in range(1500):
        truth, probability, subject = people(rng, count + 1)
        new = subject == count
        miss = sets.miss(truth[~new], probability[~new])
        half, level = intervals.half_width(miss, subject[~new], 0.8)
        held = sets.hold(probability[new], 1 - half)
        shares.append(held[np.arange(new.sum()), truth[new]].mean())
    error = stats.sem(shares)
    assert level - 3 * error < np.mean(shares) < level + 1 / (count + 1) + 3 * error


def test_the_most_probable_class_is_always_held():
    probability = np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.0, 0.0, 1.0]])
    np.testing.assert_array_equal(sets.hold(probability, 1.0), [[0, 1, 0], [1, 0, 0], [0, 0, 1]])
    assert sets.hold(probability, 0.0).all() and sets.hold(probability[:0], 0.5).shape == (0, 3)
    np.testing.assert_allclose(sets.miss([1, 1, 0], probability), [0, 0.6, 1])


SKILLS = {
    ("pretrained", "probe"): 1.5,
    ("pretrained", "finetune"): 2.0,
    ("random", "finetune"): 9.0,
    ("logistic", "reference"): 1.0,
    ("class_trees", "reference"): 2.5,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fake_classes.write_sweep(tmp_path_factory.mktemp("classes") / "t", SKILLS)


def test_the_best_has_the_greatest_balanced_accuracy_over_people(folder):
    """The average is of probabilities, of the arm's network and the better reference."""
    found = held_out.list_candidates(tables.load_sweeps(folder), "pretrained")
    assert list(found) == ["finetuned", "probe", "logistic", "class_trees", "average"]
    average = found["average"]
    assert average.parts == ("finetuned", "class_trees")
    np.testing.assert_allclose(average.estimate.sum(axis=1), 1, atol=1e-6)
    both = zip(found["finetuned"].estimate, found["class_trees"].estimate, strict=True)
    np.testing.assert_allclose(average.estimate, [(a + b) / 2 for a, b in both])
    scores = {}
    for name, one in found.items():
        recalls = [
            oracle.balanced_accuracy_score(
                one.truth[one.subject == s, 0], one.estimate[one.subject == s].argmax(axis=1)
            )
            for s in np.unique(one.subject)
        ]
        scores[name] = np.mean(recalls)
        assert one.judged == [pytest.approx(scores[name])]
        assert one.error == pytest.approx(1 - scores[name])
    best = held_out.choose(found, "best")
    assert best.name == max(scores, key=lambda name: scores[name]) == "average"


def test_the_sets_of_every_candidate_are_printed(folder, capsys):
    place = pathlib.Path(__file__).parents[2] / "launch" / "intervals.py"
    spec = importlib.util.spec_from_file_location("launch_intervals", place)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.print_table(folder, 0.9)
    head, target, columns, *lines = capsys.readouterr().out.splitlines()
    assert (head, target) == ("t, 6 people, 90 % asked", "activity")
    assert columns.split()[:3] == ["balanced", "promised", "classes"]
    words = [line.split() for line in lines]
    assert {row[0] for row in words} >= {"finetuned", "average"} and len(words) == 5
    assert all(row[2] == "85.7" and 1 <= float(row[3]) <= 4 for row in words)
