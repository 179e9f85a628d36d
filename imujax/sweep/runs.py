"""What all runs of an arm share: lanes made of cells, probes, the way from stop to stop, parts."""

import hashlib
import json
import pathlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from imujax.runtime import files
from imujax.sweep import budget, grid, lanes
from imujax.sweep.arms import Arm

Arrays = dict[str, np.ndarray]
PARTS_FORMAT = 2  # what stands in a part; one of another format is not found


def make_lane(
    arm: Arm,
    cell: grid.Cell,
    train: np.ndarray,
    test: np.ndarray,
    penalties: tuple[float, ...],
    rate: float = 0.0,
) -> lanes.Lane:
    """Make a run on a cell or a part of it.

    Parameters
    ----------
    arm : Arm
    cell : Cell
        From whose weights it starts.
    train, test : ndarray, [n] and [m]
        Indices of its training set, and of the examples that it is tried on.
    penalties : tuple of float
        Of the probe.
    rate : float
        Learning rate of fine-tuning.

    Returns
    -------
    Lane
    """
    return lanes.Lane(
        train,
        test,
        penalties,
        rate,
        budget.warmup_steps(arm.config, len(train)),
        grid.lane_seed(arm.seed, cell),
        arm.initial_encoder(cell),
        arm.input_scales(train, cell),
    )


def fit_probes(
    arm: Arm, cell: grid.Cell, group: Sequence[lanes.Lane]
) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray]]:
    """Fit the probes of lanes that start from the weights of one cell.

    Parameters
    ----------
    arm : Arm
    cell : Cell
    group : sequence of Lane

    Returns
    -------
    heads, estimates : list
        See lanes.LaneTrainer.probe.
    """
    # Where each run has its own scale of the input, each has its own embeddings.
    alike = [[lane] for lane in group] if arm.config.rescale else [list(group)]
    heads, estimates = [], []
    for same in alike:
        of_same = arm.trainer.probe(same, arm.embed(cell, same[0].train))
        heads += of_same[0]
        estimates += of_same[1]
    return heads, estimates


def walk(
    trainer: lanes.LaneTrainer, stack: lanes.Stack, ends: Sequence[int], begin: int = 0
) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Take the lanes of a stack from stop to stop.

    Parameters
    ----------
    trainer : LaneTrainer
    stack : Stack
        Its state is changed.
    ends : sequence of int
        Steps taken at each stop, ascending.
    begin : int
        Steps taken so far.

    Returns
    -------
    losses : ndarray, [lanes, stops]
        Mean training loss since the stop before. NaN where two stops are one step.
    estimates : list of list of ndarray
        For each stop and lane [m, K].
    """
    losses, estimates = [], []
    for end in ends:
        is_ahead = end > begin
        lost = np.full(len(stack.lanes), np.nan)
        losses.append(trainer.advance(stack, begin, end) if is_ahead else lost)
        estimates.append(trainer.estimate(stack))
        begin = end
    return np.stack(losses, axis=1), estimates


class Parts:
    """What runs have come to, a file each, in the folder of their task.

    A part is the least that is made by itself: the inner runs of a selection key, the probe or the
    final run of a cell.  Its name says all that it depends on, but neither with which others it was
    made nor where.  So parts are made by any number of machines, and none is made twice.

    Parameters
    ----------
    folder : Path
        Is made.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def take(
        self,
        names: Sequence[str],
        group: Callable[[list[int]], Iterable[list[int]]],
        make: Callable[[list[int]], Iterable[tuple[int, Arrays]]],
        tell: Callable[[list[int], bool], None] = lambda numbers, kept: None,
    ) -> list[Arrays]:
        """Read parts, and make those that are not there or damaged.

        Parameters
        ----------
        names : sequence of str
            Of each part.
        group : function
            Of the numbers of those to be made, to lists of them that are made together.
        make : function
            Of such a list, to each of its numbers and the arrays of that part, in any order.
        tell : function
            Of numbers of parts that are there now, and whether they were there before.

        Returns
        -------
        list of dict of ndarray
        """
        paths = [self.folder / f"{name}.npz" for name in names]
        parts = [files.load_arrays(path) for path in paths]
        missing = [number for number, arrays in enumerate(parts) if arrays is None]
        if len(missing) < len(names):
            tell([number for number, arrays in enumerate(parts) if arrays is not None], True)
        for numbers in group(missing) if missing else ():
            for number, arrays in make(numbers):
                files.save_arrays(paths[number], arrays, is_shared=True)
                parts[number] = arrays
                tell([number], False)
        assert all(arrays is not None for arrays in parts)
        return [arrays for arrays in parts if arrays is not None]


def group_hash(group: Sequence[lanes.Lane], starts: Sequence[int], more: object = None) -> str:
    """Tell one group of lanes from another.

    Parameters
    ----------
    group : sequence of Lane
    starts : sequence of int
        Seeds of the weights that they start from.
    more : plain value
        What else their results depend on.

    Returns
    -------
    str
        A short hexadecimal word.
    """
    digest = hashlib.sha256(json.dumps([PARTS_FORMAT, list(starts), more]).encode())
    for lane in group:
        for indices in (lane.train, lane.test):
            digest.update(np.asarray(indices, np.int64).tobytes() + b"|")
        digest.update(json.dumps([lane.penalties, lane.rate, lane.rise, lane.seed]).encode())
    return digest.hexdigest()[:16]


def chunk_by(keys: Sequence, size: int, numbers: Iterable[int] | None = None) -> list[list[int]]:
    """Put indices of equal keys together, at most `size` at a time, in the order of the keys.

    Parameters
    ----------
    keys : sequence of hashable
    size : int
    numbers : iterable of int, optional
        The indices; all by default.

    Returns
    -------
    list of list of int
    """
    by_key: dict = {}
    for index in range(len(keys)) if numbers is None else numbers:
        by_key.setdefault(keys[index], []).append(index)
    return [
        indices[first : first + size]
        for indices in by_key.values()
        for first in range(0, len(indices), size)
    ]
