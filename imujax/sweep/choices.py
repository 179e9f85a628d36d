"""The settings of every arm, chosen on inner subjects of each training subset alone.

The penalty of the probe comes first. Then learning rate and number of steps are chosen together:
one run a rate, looked at by inner subjects at several stops of its budget; the rate and the stop of
least error are taken. Errors are pooled over the inner splits and the choosing draws. A rate whose
error is clearly larger than the best one's when a fifth of the budget is spent goes no further. It
is one rule for all arms.
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from imujax.runtime import log
from imujax.sweep import budget, folds, grid, lanes
from imujax.sweep.arms import Arm
from imujax.sweep.runs import Arrays, chunk_by, fit_probes, group_hash, keep_part, make_lane, walk

CHECK = 0.2  # share of the budget at which rates are weighed
LOST = 1.2  # times the error of the best rate: who has more goes no further
ONE_SUBJECT = "one training subject: nothing chosen"


@dataclasses.dataclass(frozen=True)
class Choice:
    """What the cells of one fold and point of the grid are trained with.

    Attributes
    ----------
    penalty : float
        Of the probe.
    rate : float
        Learning rate of fine-tuning.
    stop : float
        Share of the budget at which fine-tuning ends.
    note : str
        A warning, or nothing.
    """

    penalty: float
    rate: float
    stop: float
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Trial:
    """An inner run: part of a cell's training subset trains, the other part judges.

    Attributes
    ----------
    cell : Cell
    split : int
        Which inner split.
    lane : Lane
    """

    cell: grid.Cell
    split: int
    lane: lanes.Lane


def choose_settings(
    arm: Arm,
    cells: Sequence[grid.Cell],
    subject: np.ndarray,
    parts: pathlib.Path,
    progress: log.Progress,
) -> tuple[dict[Hashable, Choice], list[dict[str, Any]]]:
    """Choose the settings of an arm.

    Parameters
    ----------
    arm : Arm
    cells : sequence of Cell
        The grid of the task.
    subject : ndarray, [N]
        Of every example.
    parts : Path
        Folder in which groups of runs are kept when they are done.
    progress : Progress
        Counts runs.

    Returns
    -------
    choices : dict of Choice
        By grid.selection_key. With one training subject there is nothing to choose on: the middle
        one of the values is taken, and the note says so. A single value is no choice.
    training : list of dict
        What was seen along each inner run of fine-tuning: see `finals.final_rows`.
    """
    config = arm.config
    choosing = [cell for cell in cells if cell.draw < config.select.draws]
    choosing.sort(key=lambda cell: (cell.fold, cell.draw))  # by the weights that they start from
    splits = {id(cell): inner_splits(arm, cell, subject) for cell in choosing}
    penalties = _choose_penalties(arm, choosing, splits, parts)
    choices = {}
    for key in dict.fromkeys(map(grid.selection_key, cells)):
        has_inner = any(splits[id(c)] for c in choosing if grid.selection_key(c) == key)
        choices[key] = Choice(
            penalties.get(key, middle(config.penalties)),
            middle(config.rates),
            middle(config.stops),
            "" if has_inner else ONE_SUBJECT,
        )
    if "finetune" not in config.stages or len(config.rates) == len(config.stops) == 1:
        return choices, []
    training = []
    for trials in _contests(arm, choosing, splits, choices):
        name = group_hash(
            [trial.lane for trial in trials],
            [arm.start(trial.cell) for trial in trials],
            list(config.stops),
        )
        path = parts / f"{arm.name}-contest-{name}.npz"
        arrays = keep_part(path, functools.partial(run_contests, arm, trials))
        for key, (rate, stop, note) in least_errors(config, trials, arrays).items():
            choices[key] = dataclasses.replace(choices[key], rate=rate, stop=stop, note=note)
        training += _training_rows(arm, trials, arrays, choices)
        progress.update(len(trials), f"{arm.name} choices")
    return choices, training


def middle(values: Sequence[float]) -> float:
    """The middle one of the values of a grid: what is taken where nothing can be chosen."""
    return sorted(values)[len(values) // 2]


def inner_splits(
    arm: Arm, cell: grid.Cell, subject: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split a cell's training subset by subject, to choose settings on; audited.

    Small subsets have more splits, up to all inner folds: a choice on few examples is uncertain,
    and cheap.

    Parameters
    ----------
    arm : Arm
    cell : Cell
    subject : ndarray, [N]
        Of every example.

    Returns
    -------
    list of (ndarray, ndarray)
        Training and validation side, as indices into the whole data set.
    """
    select = arm.config.select
    count = count_splits(select, arm.trainer.width, len(cell.train))
    splits = folds.inner_folds(subject, cell.train, select.folds, arm.seed)[:count]
    for train, validation in splits:
        others = np.concatenate([validation, cell.test])
        folds.audit_split(subject, train, others, f"fold {cell.fold}, inner")
    return splits


def count_splits(select: ConfigDict, width: int, count: int) -> int:
    """Say how many inner splits a training subset has.

    Parameters
    ----------
    select : ConfigDict
        folds and splits, see configs/common.py.
    width, count : int
        Examples of the largest training subset, and of this one.

    Returns
    -------
    int
        From splits to folds.
    """
    return min(select.folds, math.ceil(select.splits * width / count))


def _choose_penalties(arm: Arm, choosing, splits, parts) -> dict[Hashable, float]:
    """The penalty of least error for each selection key that has inner subjects."""
    penalties = tuple(arm.config.penalties)
    totals: dict[Hashable, np.ndarray] = {}
    for cell in choosing if len(penalties) > 1 else ():
        group = [make_lane(arm, cell, train, held, penalties) for train, held in splits[id(cell)]]
        if not group:
            continue
        name = group_hash(group, [arm.start(cell)])

        def compute(cell=cell, group=group) -> Arrays:
            _, estimates = fit_probes(arm, cell, group)
            errors = [
                squared_errors(arm, lane, y) for lane, y in zip(group, estimates, strict=True)
            ]
            return {"squared": np.sum(errors, axis=0)}

        part = keep_part(parts / f"{arm.name}-penalty-{name}.npz", compute)
        key = grid.selection_key(cell)
        totals[key] = totals.get(key, 0) + part["squared"]
    chosen = {}
    for key, total in totals.items():
        total = np.where(np.isfinite(total), total, np.inf)
        chosen[key] = penalties[int(np.argmin(total))]
    if len(penalties) == 1:
        chosen = {grid.selection_key(cell): penalties[0] for cell in choosing}
    return chosen


def squared_errors(arm: Arm, lane: lanes.Lane, estimates: np.ndarray) -> np.ndarray:
    """Sum of squared errors over a lane's test examples, float64.

    Parameters
    ----------
    arm : Arm
    lane : Lane
    estimates : ndarray, [.., m]
        In the task's unit.

    Returns
    -------
    ndarray, [..]
        In the square of the task's unit.
    """
    truth = arm.trainer.examples.target[lane.test].astype(np.float64)
    return ((estimates.astype(np.float64) - truth) ** 2).sum(axis=-1)


def _contests(arm: Arm, choosing, splits, choices):
    """Yield lists of trials: all rates of some selection keys, as many as go together."""
    arm.prepare_finetuning(choosing[0])
    by_key: dict[Hashable, list[tuple]] = {}
    for cell in choosing:
        by_key.setdefault(grid.selection_key(cell), []).extend(
            (cell, number, *split) for number, split in enumerate(splits[id(cell)])
        )
    batch: list[Trial] = []
    for key, members in by_key.items():
        trials = [
            Trial(cell, number, make_lane(arm, cell, train, held, (choices[key].penalty,), rate))
            for cell, number, train, held in members
            for rate in arm.config.rates
        ]
        if batch and len(batch) + len(trials) > arm.trainer.runs:
            yield batch
            batch = []
        batch += trials
    if batch:
        yield batch


def run_contests(arm: Arm, trials: Sequence[Trial]) -> Arrays:
    """Take inner runs from stop to stop; rates that are lost end early.

    Parameters
    ----------
    arm : Arm
    trials : sequence of Trial
        All rates of each selection key among them.

    Returns
    -------
    dict of ndarray, [trials, stops]
        losses : mean training loss since the stop before.
        squared : sum of squared errors over the validation examples.
        NaN after a run's end.
    """
    config, trainer = arm.config, arm.trainer
    heads: dict[tuple, dict] = {}
    for trial in trials:  # the rates of a split share its probe
        key = (id(trial.cell), trial.split)
        if key not in heads:
            heads[key] = fit_probes(arm, trial.cell, [trial.lane])[0][0]
    ends = [ends_of(config, len(trial.lane.train)) for trial in trials]
    losses = np.full((len(trials), len(config.stops)), np.nan)
    squared = losses.copy()
    check = first_check(config)

    def go(stack, members, stops: slice):
        path = ends[members[0]]
        begin = path[stops.start - 1] if stops.start else 0
        losses[members, stops], estimates = walk(trainer, stack, path[stops], begin)
        for column, of_stop in zip(range(*stops.indices(len(path))), estimates, strict=True):
            for member, lane, estimate in zip(members, stack.lanes, of_stop, strict=True):
                squared[member, column] = squared_errors(arm, lane, estimate)

    waiting = []
    for members in chunk_by(ends, trainer.runs):
        starts = [heads[id(trials[i].cell), trials[i].split] for i in members]
        stack = trainer.begin([trials[i].lane for i in members], starts)
        go(stack, members, slice(0, check + 1))
        waiting.append((stack, members))
    if check + 1 == len(config.stops):
        return {"losses": losses, "squared": squared}
    keeps = survivors(trials, squared[:, : check + 1])
    for path in dict.fromkeys(ends):  # in the order of `waiting`
        alike = [(s, m) for s, m in waiting if ends[m[0]] == path]
        stacks = trainer.regroup([s for s, _ in alike], [keeps[m] for _, m in alike])
        members = [i for _, m in alike for i in m if keeps[i]]
        for stack in stacks:
            go(stack, members[: len(stack.lanes)], slice(check + 1, len(path)))
            members = members[len(stack.lanes) :]
    return {"losses": losses, "squared": squared}


def ends_of(config, count: int) -> tuple[int, ...]:
    """The steps taken at each stop by a run on `count` examples."""
    return tuple(budget.steps_at(config, count, stop) for stop in config.stops)


def first_check(config) -> int:
    """Which stop is the first at or after CHECK, where rates are weighed; the last one if none."""
    late = [i for i, stop in enumerate(config.stops) if stop >= CHECK - 1e-9]
    return late[0] if late else len(config.stops) - 1


def survivors(trials: Sequence[Trial], squared: np.ndarray) -> np.ndarray:
    """Say which trials go on: those of rates that are not clearly lost.

    Parameters
    ----------
    trials : sequence of Trial
    squared : ndarray, [trials, stops]
        Sums of squared errors so far.

    Returns
    -------
    ndarray of bool, [trials]
    """
    pooled = pool_errors(trials, squared)
    keep = np.zeros(len(trials), bool)
    for i, trial in enumerate(trials):
        rates = pooled[grid.selection_key(trial.cell)]
        least = {rate: np.min(errors) for rate, errors in rates.items()}
        best = min(least.values())
        keep[i] = np.isfinite(best) and least[trial.lane.rate] <= LOST * best
    return keep


def pool_errors(
    trials: Sequence[Trial], squared: np.ndarray
) -> dict[Hashable, dict[float, np.ndarray]]:
    """Pool errors over the splits and draws of a selection key.

    Parameters
    ----------
    trials : sequence of Trial
    squared : ndarray, [trials, stops]
        Sums of squared errors.

    Returns
    -------
    dict of dict of ndarray
        For each key and rate the mean squared error at each stop; what is not finite is infinite.
    """
    sums: dict[Hashable, dict[float, tuple]] = {}
    for trial, row in zip(trials, squared, strict=True):
        rates = sums.setdefault(grid.selection_key(trial.cell), {})
        total, count = rates.get(trial.lane.rate, (0.0, 0))
        rates[trial.lane.rate] = total + row, count + len(trial.lane.test)
    return {
        key: {
            rate: np.where(np.isfinite(total), total / count, np.inf)
            for rate, (total, count) in rates.items()
        }
        for key, rates in sums.items()
    }


def least_errors(
    config, trials: Sequence[Trial], arrays: Arrays
) -> dict[Hashable, tuple[float, float, str]]:
    """Choose rate and stop of each selection key.

    Parameters
    ----------
    config : ConfigDict
        A task's: stops.
    trials : sequence of Trial
    arrays : dict of ndarray
        Of `run_contests`.

    Returns
    -------
    dict
        By key (rate, stop, note). Where every rate has diverged, the lowest one and the first stop.
    """
    chosen = {}
    for key, rates in pool_errors(trials, arrays["squared"]).items():
        least, rate, stop = min(
            (error, rate, stop)
            for rate, errors in rates.items()
            for stop, error in zip(config.stops, errors.tolist(), strict=True)
        )
        note = "" if np.isfinite(least) else "every learning rate diverged"
        chosen[key] = (rate, stop, note)
    return chosen


def _training_rows(arm: Arm, trials, arrays: Arrays, choices) -> list[dict[str, Any]]:
    """What training.csv has of inner runs."""
    rows = []
    for trial, losses, squared in zip(trials, arrays["losses"], arrays["squared"], strict=True):
        cell, lane = trial.cell, trial.lane
        _, sd = lanes.label_moments(lane, arm.trainer.examples)
        run = {
            "arm": arm.name,
            "cell": cell,
            "split": trial.split,
            "learning_rate": lane.rate,
            "is_chosen": int(lane.rate == choices[grid.selection_key(cell)].rate),
            "count": len(lane.train),
        }
        ends = ends_of(arm.config, len(lane.train))
        for stop, end, loss, error in zip(arm.config.stops, ends, losses, squared, strict=True):
            if np.isnan(loss) and np.isnan(error):
                break  # ended early
            of_stop = {"stop": stop, "step": end, "loss": loss}
            of_stop["error"] = error / len(lane.test) / sd**2
            rows += [run | of_stop | {"point": point} for point in cell.points]
    return rows
