"""Who is trained on and who is tested: folds by subject, nested subsets, and the audit.

Everything here returns indices into the whole data set, never positions inside a subset, so that
the result of one function can be given to the next without a translation that could be forgotten.

Every random choice has its own generator, `SeedSequence([seed, purpose, fold, draw])`, with
purpose 1 for outer folds, 2 for subsets of windows, 3 for subsets of subjects and 4 for inner
folds (fold and draw are 0 where they mean nothing). So a choice does not depend on which others
were made before it, nor on the arm or the stage that asks.
"""

from collections.abc import Sequence

import numpy as np

from imujax.errors import UserError

PURPOSE = {"folds": 1, "windows": 2, "subjects": 3, "inner": 4}


def subject_folds(
    subjects: Sequence[str],
    folds: int | str | Sequence[Sequence[str]],
    seed: int,
    shuffle: bool = True,
) -> list[list[str]]:
    """Choose the test subjects of each fold; every subject is tested exactly once.

    Parameters
    ----------
    subjects : sequence of str
        Unique names.
    folds : int, str or sequence of sequences of str
        How many folds, "leave_one_out", or the folds themselves as lists of names.
    seed : int
        Of the permutation.
    shuffle : bool
        With it the names are sorted and then permuted by the seed, so that their order on arrival
        is of no effect; without it they are taken in consecutive blocks of the given order.

    Returns
    -------
    list of list of str
        Sizes of those that are not given differ by one at most.

    Raises
    ------
    UserError
        A subject is named twice, unknown or missing, or there are fewer subjects than folds.
    """
    subjects = [str(name) for name in subjects]
    _require_unique(subjects, "the subjects")
    if folds == "leave_one_out":
        folds = len(subjects)
    if isinstance(folds, str):
        raise UserError(
            f'folds is "{folds}": give a number, "leave_one_out" or lists of subject names'
        )
    if not isinstance(folds, int | np.integer):
        return _named_folds(subjects, folds)
    if folds < 2:
        raise UserError(f"{folds} folds leave nothing to train on: ask for at least 2")
    if len(subjects) < folds:
        raise UserError(
            f"{folds} folds need at least {folds} subjects, there are {len(subjects)}: "
            'ask for fewer folds or "leave_one_out"'
        )
    if not shuffle:
        return [block.tolist() for block in np.array_split(np.array(subjects), folds)]
    order = _generator(seed, "folds").permutation(np.array(sorted(subjects)))
    return [sorted(block.tolist()) for block in np.array_split(order, folds)]


def nested_subset(
    subject: np.ndarray,
    train_subjects: Sequence[str],
    axis: str,
    fraction: float,
    draw: int,
    seed: int,
    fold: int,
) -> np.ndarray:
    """Choose a training subset, nested over the fractions.

    There is one permutation for each (seed, axis, fold, draw) and its head is taken, so a smaller
    fraction is always a part of a larger one. Arm and stage are no arguments: all of them train on
    the same examples.

    Parameters
    ----------
    subject : ndarray, [N]
        The subject of every example.
    train_subjects : sequence of str
        Names of those who are not tested.
    axis : str
        "windows": ceil(fraction * n) of the n examples of the training subjects; "subjects": all
        examples of ceil(fraction * s) of the s training subjects.
    fraction : float
        Above 0 and not above 1.
    draw, seed, fold : int
        Of the permutation.

    Returns
    -------
    ndarray, [n]
        Sorted indices into the whole data set.

    Raises
    ------
    UserError
        A training subject has no example, or an argument is out of its range.
    """
    subject = np.asarray(subject).astype(str)
    names = sorted({str(name) for name in train_subjects})
    unknown = sorted(set(names) - set(subject.tolist()))
    if unknown:
        raise UserError(f"training subject {unknown[0]} has no example in the data set")
    if not 0 < fraction <= 1:
        raise UserError(f"the fraction {fraction} must lie above 0 and not above 1")
    if axis not in ("windows", "subjects"):
        raise UserError(f'the axis is "{axis}": it must be "windows" or "subjects"')
    rng = _generator(seed, axis, fold, draw)
    if axis == "subjects":
        chosen = rng.permutation(np.array(names))[: _subset_size(fraction, len(names))]
        return np.flatnonzero(np.isin(subject, chosen))
    pool = np.flatnonzero(np.isin(subject, names))
    return np.sort(rng.permutation(pool)[: _subset_size(fraction, len(pool))])


def inner_folds(
    subject: np.ndarray, indices: np.ndarray, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Fold a training subset by subject, for choosing settings; nothing outside it is used.

    Parameters
    ----------
    subject : ndarray, [N]
        The subject of every example.
    indices : ndarray, [n]
        The subset, as indices into the whole data set.
    folds : int
        How many; with fewer subjects than folds every subject is one fold.
    seed : int
        Of the permutation of the subjects.

    Returns
    -------
    list of (ndarray, ndarray)
        Training and validation side, as indices into the whole data set. With one subject only
        there is nothing to choose on and the list is empty: the caller takes its default and says
        so.
    """
    subject = np.asarray(subject).astype(str)
    indices = np.sort(np.asarray(indices))
    names = np.unique(subject[indices])
    if len(names) < 2:
        return []
    order = _generator(seed, "inner").permutation(names)
    pairs = []
    for block in np.array_split(order, min(max(folds, 2), len(names))):
        held_out = np.isin(subject[indices], block)
        pairs.append((indices[~held_out], indices[held_out]))
    return pairs


def audit_split(subject: np.ndarray, train: np.ndarray, test: np.ndarray, name: str) -> None:
    """Check that no subject stands on both sides of a split, and no example twice on one.

    Parameters
    ----------
    subject : ndarray, [N]
        The subject of every example.
    train, test : ndarray
        Indices into the whole data set.
    name : str
        The split's, for the sentence.

    Raises
    ------
    UserError
        Something stands twice, or a side is empty.
    """
    subject = np.asarray(subject).astype(str)
    for side, indices in (("training", train), ("test", test)):
        indices = np.asarray(indices)
        if len(indices) == 0:
            raise UserError(f"{name}: the {side} side is empty")
        values, counts = np.unique(indices, return_counts=True)
        if counts.max() > 1:
            twice = values[counts > 1][0]
            raise UserError(f"{name}: example {twice} stands twice on the {side} side")
    shared = np.intersect1d(subject[train], subject[test])
    if len(shared):
        raise UserError(f"{name}: subject {shared[0]} stands on the training and on the test side")


def _named_folds(subjects: list[str], folds: Sequence[Sequence[str]]) -> list[list[str]]:
    named = [[str(name) for name in fold] for fold in folds]
    if len(named) < 2 or not all(named):
        raise UserError("the given folds must be at least two lists, none of them empty")
    names = [name for fold in named for name in fold]
    _require_unique(names, "the given folds")
    unknown = sorted(set(names) - set(subjects))
    if unknown:
        raise UserError(f"the given folds name subject {unknown[0]}, which the data do not have")
    missing = sorted(set(subjects) - set(names))
    if missing:
        raise UserError(f"the given folds leave out subject {missing[0]}: add it to one of them")
    return named


def _require_unique(names: list[str], place: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"subject {twice[0]} stands twice in {place}: name every subject once")


def _subset_size(fraction: float, n: int) -> int:
    # The small slack keeps 0.1 * 70 = 7.000000000000001 from becoming 8.
    return max(1, int(np.ceil(fraction * n - 1e-9)))


def _generator(seed: int, purpose: str, fold: int = 0, draw: int = 0) -> np.random.Generator:
    if seed < 0:
        raise UserError(f"the seed {seed} must not be negative")
    return np.random.default_rng(np.random.SeedSequence([seed, PURPOSE[purpose], fold, draw]))
