"""The grid of a task: which training subsets are tuned on and which fold each of them is tested on.

A cell is the same for every arm and stage; the splits are by subject, nested over the fractions of
a draw, and every one of them is audited.
"""

import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np
from ml_collections import ConfigDict

from imujax.errors import UserError
from imujax.sweep import folds


@dataclasses.dataclass(frozen=True)
class Cell:
    """One point of the grid, the same for every arm: a training subset and the fold it tests.

    Attributes
    ----------
    fold : int
        Which fold is tested, counted from zero.
    draw : int
        Which random choice of training subset this is, counted from zero.
    points : tuple of (str, float)
        The axes ("windows" or "subjects") and fractions that it stands for; all of the training
        windows are also all of the training subjects.
    train, test : ndarray, [n] and [m]
        Ascending indices into the whole data set.
    """

    fold: int
    draw: int
    points: tuple[tuple[str, float], ...]
    train: np.ndarray
    test: np.ndarray


def make_grid(config: ConfigDict, subject: np.ndarray, seed: int) -> list[Cell]:
    """Make all cells of a task, and audit every split.

    Parameters
    ----------
    config : ConfigDict
        folds (a number, "leave_one_out" or lists of names), shuffle, axes {axis: fractions}, draws.
    subject : ndarray, [N]
        Of every example.
    seed : int
        Of folds and subsets, see folds.py.

    Returns
    -------
    list of Cell
        By fold and draw; points with the same training subset share a cell.

    Raises
    ------
    UserError
        The folds or the axes cannot be, or a subject stands on both sides of a split.
    """
    points = _points(config)
    subjects = sorted(set(subject.tolist()))
    cells: dict[Hashable, Cell] = {}
    for fold, names in enumerate(tested_subjects(config, subjects, seed)):
        test = np.flatnonzero(np.isin(subject, names))
        train_subjects = sorted(set(subjects) - set(names))
        for draw in range(config.draws):
            for axis, fraction in points:
                train = folds.nested_subset(
                    subject, train_subjects, axis, fraction, draw, seed, fold
                )
                folds.audit_split(
                    subject, train, test, f"fold {fold}, draw {draw}, {axis} {fraction}"
                )
                key = (fold, draw, train.tobytes())
                shared = cells[key].points if key in cells else ()
                cells[key] = Cell(fold, draw, (*shared, (axis, fraction)), train, test)
    return list(cells.values())


def tested_subjects(config: ConfigDict, subjects: Sequence[str], seed: int) -> list[list[str]]:
    """Say who is tested in each fold of a task.

    Parameters
    ----------
    config : ConfigDict
        Of the task: folds, shuffle.
    subjects : sequence of str
        Everybody, sorted.
    seed : int
        See folds.py.

    Returns
    -------
    list of list of str

    Raises
    ------
    UserError
        The folds cannot be.
    """
    is_named = not isinstance(config.folds, int | str)
    fold_spec = [list(names) for names in config.folds] if is_named else config.folds
    return folds.subject_folds(subjects, fold_spec, seed, config.shuffle)


def _points(config) -> list[tuple[str, float]]:
    """The (axis, fraction) pairs of a task."""
    for axis, fractions in config.axes.items():
        if len({round(fraction, 6) for fraction in fractions}) < len(fractions):
            raise UserError(f"axes.{axis} names a fraction twice: {tuple(fractions)}")
    if config.draws < 1 or not any(config.axes.values()):
        raise UserError("a sweep needs at least one draw and one fraction")
    return [(axis, fraction) for axis, fractions in config.axes.items() for fraction in fractions]


def lane_seed(seed: int, cell: Cell) -> int:
    """Seed the batches of a run.

    Parameters
    ----------
    seed : int
        Of the task.
    cell : Cell

    Returns
    -------
    int
        The same for every arm, rate and fraction of a fold and draw.
    """
    # 5 is none of folds.PURPOSE, so that no split shares its random numbers.
    sequence = np.random.SeedSequence([seed, 5, cell.fold, cell.draw])
    return int(sequence.generate_state(1)[0])


def start_seed(seed: int, random_set: int, cell: Cell) -> int:
    """Seed the random weights of a run.

    Parameters
    ----------
    seed : int
        Of the task.
    random_set : int
        Which of several independent sets of random weights.
    cell : Cell

    Returns
    -------
    int
        Its own for every fold and draw, the same for every fraction.
    """
    sequence = np.random.SeedSequence([seed, 6, random_set, cell.fold, cell.draw])
    return int(sequence.generate_state(1)[0] >> 1)  # jax and CSV readers take it as it is


def selection_key(cell: Cell) -> Hashable:
    """Say which cells are tuned with the same settings.

    Parameters
    ----------
    cell : Cell

    Returns
    -------
    hashable
        Equal for the draws of a fold and point of the grid.
    """
    return cell.fold, cell.points
