"""Folds, nested subsets and the audit, against sets, loops and scikit-learn's GroupKFold."""

import math

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold

from imujax.errors import UserError
from imujax.sweep import folds

FRACTIONS = [0.01, 0.1, 0.158, 0.251, 0.398, 0.631, 1.0]


def cohort(rng):
    """Subjects of very unequal size in a shuffled order: (names, subject [N])."""
    names = [f"S{i:02d}" for i in range(rng.integers(6, 24))]
    return names, rng.permutation(np.repeat(names, rng.integers(1, 40, len(names))))


@pytest.mark.parametrize("seed", range(20))
def test_every_subject_is_tested_exactly_once(seed):
    rng = np.random.default_rng(seed)
    names, _ = cohort(rng)
    number = int(rng.integers(2, len(names) + 1))
    tests = folds.subject_folds(names, number, seed)
    assert sorted(name for fold in tests for name in fold) == sorted(names)
    sizes = [len(fold) for fold in tests]
    assert len(tests) == number and max(sizes) - min(sizes) <= 1
    assert tests == folds.subject_folds(rng.permutation(names), number, seed), "order on arrival"


def test_folds_depend_on_the_seed_and_have_the_sizes_of_group_k_fold():
    names = [f"S{i}" for i in range(17)]
    first, second = (folds.subject_folds(names, 5, seed) for seed in (0, 1))
    assert first != second
    oracle = [len(t) for _, t in GroupKFold(5).split(names, groups=names)]
    assert sorted(map(len, first)) == sorted(oracle)


def test_without_shuffle_the_folds_are_consecutive():
    names = [f"S{i}" for i in range(7)]
    assert folds.subject_folds(names, 3, 0, shuffle=False) == [names[:3], names[3:5], names[5:]]
    assert folds.subject_folds(names, "leave_one_out", 0, shuffle=False) == [[n] for n in names]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ([["a", "b"], ["b", "c"]], "subject b stands twice"),
        ([["a", "b"], ["c", "d"]], "subject d"),
        ([["a"], ["b"]], "leave out subject c"),
        ([["a", "b", "c"], []], "none of them empty"),
        (4, "at least 4 subjects"),
        (1, "at least 2"),
        ("loso", "leave_one_out"),
    ],
)
def test_folds_that_cannot_be_are_named(given, word):
    with pytest.raises(UserError, match=word):
        folds.subject_folds(["a", "b", "c"], given, 0)


def test_given_folds_are_kept_and_a_repeated_subject_is_refused():
    assert folds.subject_folds(["a", "b", "c"], [["c"], ["a", "b"]], 0) == [["c"], ["a", "b"]]
    with pytest.raises(UserError, match="subject a stands twice"):
        folds.subject_folds(["a", "b", "a"], 2, 0)


@pytest.mark.parametrize("axis", ["windows", "subjects"])
@pytest.mark.parametrize("seed", range(8))
def test_subsets_are_nested_inside_the_training_subjects(axis, seed):
    rng = np.random.default_rng(seed)
    names, subject = cohort(rng)
    for fold, test in enumerate(folds.subject_folds(names, 5, seed)):
        train = [name for name in names if name not in test]
        smaller = set()
        for fraction in FRACTIONS:
            chosen = folds.nested_subset(subject, train, axis, fraction, 2, seed, fold)
            assert (np.diff(chosen) > 0).all()
            assert smaller <= set(chosen.tolist())
            assert not set(subject[chosen]) & set(test)
            smaller = set(chosen.tolist())
            if axis == "windows":
                assert len(chosen) == max(1, math.ceil(fraction * np.isin(subject, train).sum()))
            else:
                present = set(subject[chosen])
                assert len(present) == max(1, math.ceil(fraction * len(train)))
                assert len(chosen) == np.isin(subject, list(present)).sum(), "subjects come whole"
        assert smaller == set(np.flatnonzero(np.isin(subject, train)).tolist())


def test_subsets_differ_by_draw_fold_and_seed_and_repeat_otherwise():
    subject = np.repeat([f"S{i}" for i in range(10)], 50)
    train = [f"S{i}" for i in range(8)]

    def subset(draw=0, seed=0, fold=0, train=train, axis="windows"):
        return folds.nested_subset(subject, train, axis, 0.25, draw, seed, fold).tolist()

    assert subset() == subset() == subset(train=train[::-1])
    assert len({tuple(subset(**k)) for k in ({}, {"draw": 1}, {"seed": 1}, {"fold": 1})}) == 4
    # Fold 1, draw 0 and fold 0, draw 1 must not share a generator.
    assert subset(draw=1) != subset(fold=1)


def test_the_subsets_follow_the_documented_recipe():
    subject = np.repeat(["a", "b", "c", "d"], 5)
    rng = np.random.default_rng(np.random.SeedSequence([7, 2, 1, 3]))
    windows = np.sort(rng.permutation(15)[:6])  # the examples of a, b and c
    chosen = folds.nested_subset(subject, ["c", "b", "a"], "windows", 0.4, draw=3, seed=7, fold=1)
    assert chosen.tolist() == windows.tolist()
    rng = np.random.default_rng(np.random.SeedSequence([7, 3, 1, 3]))
    subjects = set(rng.permutation(["a", "b", "c"])[:2].tolist())
    chosen = folds.nested_subset(subject, ["c", "b", "a"], "subjects", 0.4, draw=3, seed=7, fold=1)
    assert set(subject[chosen].tolist()) == subjects


def test_rounding_does_not_add_an_example():
    subject = np.repeat(["a", "b"], 35)
    assert 0.1 * 70 == 7.0 and 0.55 * 100 > 55
    assert len(folds.nested_subset(subject, ["a", "b"], "windows", 0.1, 0, 0, 0)) == 7
    subject = np.repeat(["a", "b"], 50)
    assert len(folds.nested_subset(subject, ["a", "b"], "windows", 0.55, 0, 0, 0)) == 55


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"train_subjects": ["a", "z"]}, "subject z"),
        ({"fraction": 0.0}, "fraction 0.0"),
        ({"fraction": 1.1}, "fraction 1.1"),
        ({"axis": "steps"}, "steps"),
        ({"seed": -1}, "negative"),
    ],
)
def test_wrong_subsets_are_refused(change, word):
    call = {"train_subjects": ["a"], "axis": "windows", "fraction": 0.5, "seed": 0} | change
    with pytest.raises(UserError, match=word):
        folds.nested_subset(np.array(["a", "b"]), draw=0, fold=0, **call)


@pytest.mark.parametrize("seed", range(10))
def test_inner_folds_stay_inside_the_subset_and_part_the_subjects(seed):
    rng = np.random.default_rng(seed)
    names, subject = cohort(rng)
    subset = folds.nested_subset(subject, names[:-3], "windows", 0.4, 0, seed, 0)
    pairs = folds.inner_folds(subject, subset, 4, seed)
    assert len(pairs) == min(4, len(set(subject[subset])))
    held_out = np.concatenate([validation for _, validation in pairs])
    assert sorted(held_out) == sorted(subset), "every example of the subset is held out once"
    for train, validation in pairs:
        folds.audit_split(subject, train, validation, "inner")
        assert set(train) | set(validation) == set(subset.tolist())


def test_inner_folds_of_few_subjects():
    subject = np.array(["a", "a", "b", "c"])
    assert len(folds.inner_folds(subject, np.array([0, 1, 2, 3]), 5, 0)) == 3
    assert len(folds.inner_folds(subject, np.array([1, 3]), 5, 0)) == 2
    assert folds.inner_folds(subject, np.array([0, 1]), 5, 0) == []


@pytest.mark.parametrize(
    ("train", "test", "word"),
    [
        ([0, 1], [2, 3], "subject b stands on the training and on the test side"),
        ([0, 0], [3], "example 0 stands twice on the training side"),
        ([0, 1], [3, 3], "example 3 stands twice on the test side"),
        ([], [3], "training side is empty"),
    ],
)
def test_the_audit_names_what_it_finds(train, test, word):
    subject = np.array(["a", "b", "b", "c"])
    with pytest.raises(UserError, match=f"grf, fold 2: .*{word}"):
        folds.audit_split(subject, np.array(train, int), np.array(test, int), "grf, fold 2")


def test_the_audit_passes_a_clean_split():
    folds.audit_split(np.array(["a", "b", "b", "c"]), np.array([0, 1, 2]), np.array([3]), "clean")
