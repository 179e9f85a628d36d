"""The settings of every arm, chosen on inner subjects of each training subset alone.

The penalty of the probe comes first. Then learning rate and number of steps are chosen together:
one run a rate, looked at by inner subjects at several stops of its budget; the rate and the stop of
least error are taken. The error is that of what the report shows: 1 - r within an inner subject,
mean over inner subjects, targets, splits and choosing draws. A rate whose error is clearly larger
than the best one's when a fifth or two fifths of the budget are spent goes no further (LOOKS). It
is one rule for all arms.
"""

import dataclasses
import math
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from imujax.runtime import log
from imujax.sweep import budget, folds, grid, lanes
from imujax.sweep.arms import Arm
from imujax.sweep.runs import Arrays, Parts, chunk_by, fit_probes, group_hash, make_lane, walk
from imujax.sweep.settings import NOTHING_CHOSEN

# Shares of the budget at which rates are weighed, and times the error of the best one: who has more
# goes no further.  Replayed on the inner runs of two tasks whose rates were weighed at .2 alone
# (training.csv of public:cores and insole:cores, 2026-11-29): .66 and .81 of all steps, where the
# first look leaves .79 and .90; 2 of 30 and 1 of 60 choices differ, by .3 and .1 % of the inner
# error on the mean.
LOOKS = ((0.2, 1.2), (0.4, 1.1))


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
    parts: Parts,
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
    parts : Parts
    progress : Progress
        Counts runs.

    Returns
    -------
    choices : dict of Choice
        By grid.selection_key. Without inner subjects of three examples or more there is nothing to
        choose on: the middle one of the values is taken, and the note says so. A single value is no
        choice.
    training : list of dict
        What was seen along each inner run of fine-tuning: see `finals.final_rows`.
    """
    config = arm.config
    choosing = [cell for cell in cells if cell.draw < config.select.draws]
    choosing.sort(key=lambda cell: (cell.fold, cell.draw))  # by the weights that they start from
    splits = {id(cell): inner_splits(arm, cell, subject) for cell in choosing}
    splits = {
        key: [pair for pair in pairs if count_scorable(arm, pair[1], subject)]
        for key, pairs in splits.items()
    }
    penalties = _choose_penalties(arm, choosing, splits, subject, parts)
    choices = {}
    for key in dict.fromkeys(map(grid.selection_key, cells)):
        has_inner = any(splits[id(c)] for c in choosing if grid.selection_key(c) == key)
        choices[key] = Choice(
            penalties.get(key, middle(config.penalties)),
            middle(config.rates),
            middle(config.stops),
            "" if has_inner else NOTHING_CHOSEN,
        )
    if not has_contests(config):
        return choices, []
    contests = _contests(arm, choosing, splits, choices)

    def group(missing: list[int]) -> list[list[int]]:
        arm.prepare_finetuning(choosing[0])
        return _fill([len(trials) for trials in contests], arm.trainer.runs, missing)

    def make(numbers: list[int]) -> Iterator[tuple[int, Arrays]]:
        together = run_contests(arm, [t for number in numbers for t in contests[number]], subject)
        edges = np.cumsum([len(contests[number]) for number in numbers])[:-1]
        of_each = {name: np.split(rows, edges) for name, rows in together.items()}
        for place, number in enumerate(numbers):
            yield number, {name: rows[place] for name, rows in of_each.items()}

    def tell(numbers: list[int], kept: bool):
        count = sum(len(contests[number]) for number in numbers)
        progress.update(count, f"{arm.name} choices", kept)

    names = [
        f"{arm.name}-contest-{_contest_hash(arm, trials, list(config.stops))}"
        for trials in contests
    ]
    training = []
    for trials, arrays in zip(contests, parts.take(names, group, make, tell), strict=True):
        for key, (rate, stop, note) in least_errors(config, trials, arrays["errors"]).items():
            choices[key] = dataclasses.replace(choices[key], rate=rate, stop=stop, note=note)
        training += _training_rows(arm, trials, arrays, choices)
    return choices, training


def has_contests(config: ConfigDict) -> bool:
    """Say whether a task has inner runs of fine-tuning: more than one rate or stop to choose from.

    Parameters
    ----------
    config : ConfigDict
        Of the task.

    Returns
    -------
    bool
    """
    return "finetune" in config.stages and (len(config.rates) > 1 or len(config.stops) > 1)


def middle(values: Sequence[float]) -> float:
    """The middle one of the values of a grid: what is taken where nothing can be chosen."""
    return sorted(values)[len(values) // 2]


def inner_splits(
    arm: Arm, cell: grid.Cell, subject: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split a cell's training subset by subject, to choose settings on; audited.

    Small subsets have more splits: a choice on few examples is uncertain, and cheap.

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
        From the least to the most of splits, as many more as the subset is smaller.
    """
    least, most = select.splits
    return min(select.folds, most, math.ceil(least * width / count))


def count_inner(config: ConfigDict, cell: grid.Cell, width: int) -> int:
    """Say how many inner runs of fine-tuning a cell has at most.

    Parameters
    ----------
    config : ConfigDict
        Of the task.
    cell : Cell
    width : int
        Examples of the largest training subset.

    Returns
    -------
    int
    """
    if cell.draw >= config.select.draws or not has_contests(config):
        return 0
    return len(config.rates) * count_splits(config.select, width, len(cell.train))


def _choose_penalties(arm: Arm, choosing, splits, subject, parts) -> dict[Hashable, float]:
    """The penalty of least error for each selection key that has inner subjects."""
    penalties = tuple(arm.config.penalties)
    groups = [
        (cell, [make_lane(arm, cell, train, held, penalties) for train, held in splits[id(cell)]])
        for cell in (choosing if len(penalties) > 1 else ())
        if splits[id(cell)]
    ]

    def make(members: list[int]) -> Iterator[tuple[int, Arrays]]:
        for number in members:
            cell, group = groups[number]
            _, estimates = fit_probes(arm, cell, group)
            errors = [
                sum_errors(arm, lane, y, subject) for lane, y in zip(group, estimates, strict=True)
            ]
            yield number, {"errors": np.sum(errors, axis=0)}

    names = [f"{arm.name}-penalty-{group_hash(group, [arm.start(cell)])}" for cell, group in groups]
    totals: dict[Hashable, np.ndarray] = {}  # the number of subjects is the same for all penalties
    done = parts.take(names, lambda missing: [missing], make)
    for (cell, _), arrays in zip(groups, done, strict=True):
        key = grid.selection_key(cell)
        totals[key] = totals.get(key, 0) + arrays["errors"]
    chosen = {}
    for key, total in totals.items():
        total = np.where(np.isfinite(total), total, np.inf)
        chosen[key] = penalties[int(np.argmin(total))]
    if len(penalties) == 1:
        chosen = {grid.selection_key(cell): penalties[0] for cell in choosing}
    return chosen


def sum_errors(
    arm: Arm, lane: lanes.Lane, estimates: np.ndarray, subject: np.ndarray
) -> np.ndarray:
    """Sum 1 - r within a subject over subjects and targets of a lane's test examples, float64.

    Parameters
    ----------
    arm : Arm
    lane : Lane
    estimates : ndarray, [.., m, K], of curves [.., m, Lt, K]
        In the targets' units.
    subject : ndarray, [N]
        Of every example.

    Returns
    -------
    ndarray, [..]
        Over what `count_scorable` counts. A constant estimate has r = 0; one that is not finite
        makes the sum infinite. Of classes 1 - balanced accuracy, the mean recall of those that the
        subject has; of curves r is that of all samples of a subject's windows.
    """
    if arm.trainer.examples.every:  # every sample as an example
        estimates = estimates.reshape(*estimates.shape[:-3], -1, estimates.shape[-1])
    total = np.zeros(estimates.shape[:-2])
    if arm.trainer.examples.is_class:
        for truth, rows, _ in _scorable(arm, lane.test, subject):
            of_subject = estimates[..., rows, :]
            is_right = of_subject.argmax(axis=-1) == truth
            recalls = [is_right[..., truth == one].mean(axis=-1) for one in np.unique(truth)]
            is_finite = np.isfinite(of_subject).all(axis=(-2, -1))
            total += np.where(is_finite, 1 - np.mean(recalls, axis=0), np.inf)
        return total
    with np.errstate(invalid="ignore", divide="ignore"):
        for truth, rows, target in _scorable(arm, lane.test, subject):
            x, y = (
                z - z.mean(axis=-1, keepdims=True)
                for z in (truth, estimates[..., rows, target].astype(np.float64))
            )
            spread = np.sqrt((x**2).sum() * (y**2).sum(axis=-1))
            r = np.where(spread == 0, 0.0, (x * y).sum(axis=-1) / spread)
            total += np.where(np.isfinite(spread), 1 - r, np.inf)
    return total


def count_scorable(arm: Arm, test: np.ndarray, subject: np.ndarray) -> int:
    """Count the subjects among examples `test` [m] of whom r can be told, for every target."""
    return len(_scorable(arm, test, subject))


def _scorable(arm: Arm, test, subject) -> list[tuple[np.ndarray, np.ndarray, int]]:
    """Truth, places among `test` and target, of whoever has three examples not all equal in it."""
    truth, names = arm.trainer.examples.target[test].astype(np.float64), subject[test]
    places = np.arange(len(names))[:, None]  # of each window's examples
    if arm.trainer.examples.every:
        places = np.arange(truth.shape[0] * truth.shape[1]).reshape(len(names), -1)
        truth = truth.reshape(-1, truth.shape[-1])
    inside = np.isfinite(truth).all(axis=1)
    if arm.trainer.examples.is_class:
        truth = truth.argmax(axis=1, keepdims=True)
    groups = [places[names == name].ravel() for name in np.unique(names)]
    groups = [g[inside[g]] for g in groups]
    return [
        (truth[g, k], g, k)
        for g in groups
        for k in range(truth.shape[1])
        if len(g) >= 3 and np.ptp(truth[g, k]) > 0
    ]


def _contests(arm: Arm, choosing, splits, choices) -> list[list[Trial]]:
    """The trials of each selection key: all rates, on all inner splits."""
    by_key: dict[Hashable, list[Trial]] = {}
    for cell in choosing:
        key = grid.selection_key(cell)
        by_key.setdefault(key, []).extend(
            Trial(cell, number, make_lane(arm, cell, train, held, (choices[key].penalty,), rate))
            for number, (train, held) in enumerate(splits[id(cell)])
            for rate in arm.config.rates
        )
    return [trials for trials in by_key.values() if trials]


def _contest_hash(arm: Arm, trials: Sequence[Trial], stops: list[float]) -> str:
    """What tells the trials of a selection key from others."""
    starts = [arm.start(trial.cell) for trial in trials]
    return group_hash([trial.lane for trial in trials], starts, stops)


def _fill(sizes: Sequence[int], most: int, numbers: Sequence[int]) -> list[list[int]]:
    """Numbers of things of these sizes in lists of at most `most` in all, or of a single one."""
    lists: list[list[int]] = []
    room = 0
    for number in numbers:
        if not lists or sizes[number] > room:
            lists.append([])
            room = most
        lists[-1].append(number)
        room -= sizes[number]
    return lists


def run_contests(arm: Arm, trials: Sequence[Trial], subject: np.ndarray) -> Arrays:
    """Take inner runs from stop to stop; rates that are lost end early.

    Parameters
    ----------
    arm : Arm
    trials : sequence of Trial
        All rates of each selection key among them.
    subject : ndarray, [N]
        Of every example.

    Returns
    -------
    dict of ndarray, [trials, stops]
        losses : mean training loss since the stop before.
        errors : mean over the validation subjects and the targets of 1 - r.
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
    errors = losses.copy()
    counts = [count_scorable(arm, trial.lane.test, subject) for trial in trials]

    def go(stack, members, stops: slice):
        path = ends[members[0]]
        begin = path[stops.start - 1] if stops.start else 0
        losses[members, stops], estimates = walk(trainer, stack, path[stops], begin)
        for column, of_stop in zip(range(*stops.indices(len(path))), estimates, strict=True):
            for member, lane, estimate in zip(members, stack.lanes, of_stop, strict=True):
                total = sum_errors(arm, lane, estimate, subject)
                errors[member, column] = total / counts[member]

    running = []
    for members in chunk_by(ends, trainer.runs):
        starts = [heads[id(trials[i].cell), trials[i].split] for i in members]
        running.append((trainer.begin([trials[i].lane for i in members], starts), members))
    is_alive, first = np.ones(len(trials), bool), 0
    for last, factor in looks(config):
        for stack, members in running:
            go(stack, members, slice(first, last + 1))
        first = last + 1
        if first < len(config.stops):
            is_alive &= survivors(trials, errors[:, :first], is_alive, factor)
            running = _regroup(trainer, running, ends, is_alive)
    return {"losses": losses, "errors": errors}


def _regroup(trainer, running, ends, is_alive) -> list[tuple[lanes.Stack, list[int]]]:
    """Stacks of the trials that go on, with their numbers."""
    regrouped = []
    for path in dict.fromkeys(ends):  # in the order of `running`
        alike = [(stack, members) for stack, members in running if ends[members[0]] == path]
        if not alike:
            continue
        stacks = trainer.regroup([s for s, _ in alike], [is_alive[m] for _, m in alike])
        rest = [i for _, members in alike for i in members if is_alive[i]]
        for stack in stacks:
            regrouped.append((stack, rest[: len(stack.lanes)]))
            rest = rest[len(stack.lanes) :]
    return regrouped


def ends_of(config, count: int) -> tuple[int, ...]:
    """The steps taken at each stop by a run on `count` examples."""
    return tuple(budget.steps_at(config, count, stop) for stop in config.stops)


def looks(config) -> list[tuple[int, float]]:
    """Where rates are weighed: number of the stop and factor of LOOKS; the last stop ends all."""
    stops = list(config.stops)
    places = [(_stop_at(stops, share), factor) for share, factor in LOOKS]
    chosen = dict(reversed(places))  # of looks at one stop the first
    chosen[len(stops) - 1] = np.inf
    return sorted(chosen.items())


def _stop_at(stops: Sequence[float], share: float) -> int:
    """The first stop at or after a share of the budget; the last one if there is none."""
    late = [i for i, stop in enumerate(stops) if stop >= share - 1e-9]
    return late[0] if late else len(stops) - 1


def survivors(
    trials: Sequence[Trial], errors: np.ndarray, is_alive: np.ndarray, factor: float
) -> np.ndarray:
    """Say which trials go on: those of rates that are not clearly lost.

    Parameters
    ----------
    trials : sequence of Trial
    errors : ndarray, [trials, stops]
        Of `run_contests`, so far.
    is_alive : ndarray of bool, [trials]
        Those that were not lost before.
    factor : float
        Of LOOKS.

    Returns
    -------
    ndarray of bool, [trials]
    """
    pooled = pool_errors(trials, errors)
    keep = np.zeros(len(trials), bool)
    for i in np.flatnonzero(is_alive).tolist():
        rates = pooled[grid.selection_key(trials[i].cell)]
        least = {rate: np.min(of_rate) for rate, of_rate in rates.items()}
        best = min(least.values())
        keep[i] = np.isfinite(best) and least[trials[i].lane.rate] <= factor * best
    return keep


def pool_errors(
    trials: Sequence[Trial], errors: np.ndarray
) -> dict[Hashable, dict[float, np.ndarray]]:
    """Take the mean of errors over the splits and draws of a selection key.

    Parameters
    ----------
    trials : sequence of Trial
    errors : ndarray, [trials, stops]
        Of `run_contests`.

    Returns
    -------
    dict of dict of ndarray
        For each key and rate the error at each stop; what is not finite is infinite.
    """
    rows: dict[Hashable, dict[float, list[np.ndarray]]] = {}
    for trial, row in zip(trials, errors, strict=True):
        rates = rows.setdefault(grid.selection_key(trial.cell), {})
        rates.setdefault(trial.lane.rate, []).append(np.where(np.isfinite(row), row, np.inf))
    return {
        key: {rate: np.mean(of_rate, axis=0) for rate, of_rate in rates.items()}
        for key, rates in rows.items()
    }


def least_errors(
    config, trials: Sequence[Trial], errors: np.ndarray
) -> dict[Hashable, tuple[float, float, str]]:
    """Choose rate and stop of each selection key.

    Parameters
    ----------
    config : ConfigDict
        A task's: stops.
    trials : sequence of Trial
    errors : ndarray, [trials, stops]
        Of `run_contests`.

    Returns
    -------
    dict
        By key (rate, stop, note). Where every rate has diverged, the lowest one and the first stop.
    """
    chosen = {}
    for key, rates in pool_errors(trials, errors).items():
        least, rate, stop = min(
            (error, rate, stop)
            for rate, of_rate in rates.items()
            for stop, error in zip(config.stops, of_rate.tolist(), strict=True)
        )
        note = "" if np.isfinite(least) else "every learning rate diverged"
        chosen[key] = (rate, stop, note)
    return chosen


def _training_rows(arm: Arm, trials, arrays: Arrays, choices) -> list[dict[str, Any]]:
    """What training.csv has of inner runs."""
    rows = []
    for trial, losses, errors in zip(trials, arrays["losses"], arrays["errors"], strict=True):
        cell, lane = trial.cell, trial.lane
        run = {
            "arm": arm.name,
            "cell": cell,
            "split": trial.split,
            "learning_rate": lane.rate,
            "is_chosen": int(lane.rate == choices[grid.selection_key(cell)].rate),
            "count": len(lane.train),
        }
        ends = ends_of(arm.config, len(lane.train))
        for stop, end, loss, error in zip(arm.config.stops, ends, losses, errors, strict=True):
            if np.isnan(loss) and np.isnan(error):
                break  # ended early
            of_stop = {"stop": stop, "step": end, "loss": loss, "error": error}
            rows += [run | of_stop | {"point": point} for point in cell.points]
    return rows
