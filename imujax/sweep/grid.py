"""The grid of a task: which training subsets are tuned on and which fold each of them is tested on.

A cell is the same for every arm and stage; the splits are by subject, nested over the fractions of
a draw, and every one of them is audited.
"""

import dataclasses

import numpy as np

from imujax.errors import UserError
from imujax.sweep import folds


@dataclasses.dataclass(frozen=True)
class Cell:
    """One point of the grid, the same for every arm: a training subset and the fold it tests.

    points: the (axis, fraction) pairs that it stands for; all of the training windows are also all
    of the training subjects.
    """

    fold: int
    draw: int
    points: tuple[tuple[str, float], ...]
    train: np.ndarray
    test: np.ndarray


def make_grid(config, subject: np.ndarray, seed: int) -> list[Cell]:
    """All cells of a task; every split is audited, a subject on both sides is a UserError.

    config: folds (number, "leave_one_out" or lists of names), shuffle, axes {axis: fractions},
    draws.  subject [N]: of every example.
    """
    for axis, fractions in config.axes.items():
        if len({round(fraction, 6) for fraction in fractions}) < len(fractions):
            raise UserError(f"axes.{axis} names a fraction twice: {tuple(fractions)}")
    if config.draws < 1 or not any(config.axes.values()):
        raise UserError("a sweep needs at least one draw and one fraction")
    asked = config.folds if isinstance(config.folds, int | str) else [list(f) for f in config.folds]
    tested = folds.subject_folds(sorted(set(subject.tolist())), asked, seed, config.shuffle)
    found = {}
    for fold, names in enumerate(tested):
        test = np.flatnonzero(np.isin(subject, names))
        others = sorted(set(subject.tolist()) - set(names))
        for draw in range(config.draws):
            for axis, fractions in config.axes.items():
                for fraction in fractions:
                    train = folds.nested_subset(subject, others, axis, fraction, draw, seed, fold)
                    folds.audit_split(
                        subject, train, test, f"fold {fold}, draw {draw}, {axis} {fraction}"
                    )
                    key = (fold, draw, train.tobytes())
                    old = found.get(key)
                    points = (*old.points, (axis, fraction)) if old else ((axis, fraction),)
                    found[key] = Cell(fold, draw, points, train, test)
    return list(found.values())


def lane_seed(seed: int, cell: Cell) -> int:
    """The seed of a run's batches: the same for every arm, rate and fraction of a fold and draw."""
    sequence = np.random.SeedSequence([seed, 5, cell.fold, cell.draw])
    return int(sequence.generate_state(1)[0])


def selection_key(cell: Cell) -> tuple:
    """Settings are chosen for each fold and point of the grid, over the draws."""
    return cell.fold, cell.points
