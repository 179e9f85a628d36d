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
    """Test subjects of each fold; every subject is tested exactly once.

    subjects: unique names. folds: a number, "leave_one_out", or the folds themselves as lists of
    names. With shuffle the names are sorted and then permuted by the seed, so that their order on
    arrival is of no effect; without it they are taken in consecutive blocks of the given order.
    Sizes differ by one at most. UserError: a subject that is named twice, unknown or missing, or
    fewer subjects than folds.
    """
    subjects = [str(name) for name in subjects]
    _unique(subjects, "the subjects")
    if folds == "leave_one_out":
        folds = len(subjects)
    if isinstance(folds, str):
        raise UserError(
            f'folds is "{folds}": give a number, "leave_one_out" or lists of subject names'
        )
    if not isinstance(folds, int | np.integer):
        return _given_folds(subjects, folds)
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
    """Sorted indices [n] of the training subset, nested over the fractions.

    subject [N]: the subject of every example. axis "windows": ceil(fraction * n) of the n examples
    of the training subjects; "subjects": all examples of ceil(fraction * s) of the s training
    subjects. One permutation is drawn for each (seed, axis, fold, draw) and its head is taken, so
    a smaller fraction is always a part of a larger one. Arm and stage are no arguments: all of
    them train on the same examples.
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
        chosen = rng.permutation(np.array(names))[: _share(fraction, len(names))]
        return np.flatnonzero(np.isin(subject, chosen))
    pool = np.flatnonzero(np.isin(subject, names))
    return np.sort(rng.permutation(pool)[: _share(fraction, len(pool))])


def inner_folds(
    subject: np.ndarray, indices: np.ndarray, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds by subject inside a training subset, for choosing settings: (train, validation) pairs.

    subject [N]; indices [n]: the subset, as indices into the whole data set, which is what comes
    back too. No index outside the subset is ever used. With fewer subjects than folds every
    subject is one fold; with one subject only there is nothing to choose on and the list is empty:
    the caller takes its default and says so.
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


def audit_split(subject: np.ndarray, train: np.ndarray, test: np.ndarray, what: str) -> None:
    """UserError if a subject stands on both sides, or an example twice on one.

    subject [N]; train, test: indices into it; what: the split's name, for the sentence.
    """
    subject = np.asarray(subject).astype(str)
    for side, indices in (("training", train), ("test", test)):
        indices = np.asarray(indices)
        if len(indices) == 0:
            raise UserError(f"{what}: the {side} side is empty")
        values, counts = np.unique(indices, return_counts=True)
        if counts.max() > 1:
            twice = values[counts > 1][0]
            raise UserError(f"{what}: example {twice} stands twice on the {side} side")
    both = np.intersect1d(subject[train], subject[test])
    if len(both):
        raise UserError(f"{what}: subject {both[0]} stands on the training and on the test side")


def _given_folds(subjects: list[str], folds: Sequence[Sequence[str]]) -> list[list[str]]:
    given = [[str(name) for name in fold] for fold in folds]
    if len(given) < 2 or not all(given):
        raise UserError("the given folds must be at least two lists, none of them empty")
    named = [name for fold in given for name in fold]
    _unique(named, "the given folds")
    unknown = sorted(set(named) - set(subjects))
    if unknown:
        raise UserError(f"the given folds name subject {unknown[0]}, which the data do not have")
    missing = sorted(set(subjects) - set(named))
    if missing:
        raise UserError(f"the given folds leave out subject {missing[0]}: add it to one of them")
    return given


def _unique(names: list[str], where: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"subject {twice[0]} stands twice in {where}: name every subject once")


def _share(fraction: float, n: int) -> int:
    # The small slack keeps 0.1 * 70 = 7.000000000000001 from becoming 8.
    return max(1, int(np.ceil(fraction * n - 1e-9)))


def _generator(seed: int, purpose: str, fold: int = 0, draw: int = 0) -> np.random.Generator:
    if seed < 0:
        raise UserError(f"the seed {seed} must not be negative")
    return np.random.default_rng(np.random.SeedSequence([seed, PURPOSE[purpose], fold, draw]))
