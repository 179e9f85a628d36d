"""The final runs of an arm, with the settings that were chosen: the only ones that meet the test
subjects, and only to estimate them."""

import functools
import pathlib
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from imujax.runtime import log
from imujax.sweep import budget, choices, grid
from imujax.sweep.arms import Arm
from imujax.sweep.runs import Arrays, chunk_by, fit_probes, group_hash, keep_part, make_lane, walk

WATCHED = (0.6, 0.8)  # of the budget: stops at which the loss is noted even where none is offered


def final_rows(
    arm: Arm,
    cells: Sequence[grid.Cell],
    chosen: dict[Hashable, choices.Choice],
    parts: pathlib.Path,
    progress: log.Progress,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Train the final runs of an arm.

    Parameters
    ----------
    arm : Arm
    cells : sequence of Cell
        The grid of the task.
    chosen : dict of Choice
        By grid.selection_key.
    parts : Path
        Folder in which groups of runs are kept when they are done.
    progress : Progress
        Counts runs.

    Returns
    -------
    runs : list of dict
        For each cell, stage and point: arm, stage, cell, point, start, penalty, note, estimate
        [m, K], and for a fine-tuned network learning_rate, stop, steps.
    training : list of dict
        What was seen along each run: arm, cell, point, split, learning_rate, is_chosen, count,
        stop, step, loss, error.
    """
    settings = [chosen[grid.selection_key(cell)] for cell in cells]
    cell_lanes = [
        make_lane(arm, cell, cell.train, cell.test, (choice.penalty,), choice.rate)
        for cell, choice in zip(cells, settings, strict=True)
    ]
    heads, estimates = _probe_all(arm, cells, cell_lanes, parts)
    runs, training = [], []
    for cell, choice, estimate in zip(cells, settings, estimates, strict=True):
        row = _row(arm, cell, choice, "probe", estimate)
        runs += [row | {"point": point} for point in cell.points]
    if "finetune" not in arm.config.stages:
        progress.update(len(cells), f"{arm.name} probes")
        return runs, training
    ends = [
        _ends(arm.config, len(cell.train), choice.stop)
        for cell, choice in zip(cells, settings, strict=True)
    ]
    arm.prepare_finetuning(cells[0])
    for members in chunk_by(ends, arm.trainer.runs):
        group = [cell_lanes[i] for i in members]
        starts, of_group = [arm.start(cells[i]) for i in members], [heads[i] for i in members]
        path = _group_path(arm, group, starts, ends[members[0]], parts)
        is_kept = path.exists()
        compute = functools.partial(_finetune_group, arm, group, of_group, ends[members[0]])
        arrays = keep_part(path, compute)
        edges = np.cumsum([len(lane.test) for lane in group])[:-1]
        for stage in ("finetune", "fifth"):
            split = np.split(arrays[stage], edges)
            for i, estimate in zip(members, split, strict=True):
                row = _row(arm, cells[i], settings[i], stage, estimate)
                runs += [row | {"point": point} for point in cells[i].points]
        for i, losses in zip(members, arrays["losses"], strict=True):
            training += _training_rows(arm, cells[i], settings[i], ends[i], losses)
        progress.update(len(members), f"{arm.name} finals", is_kept)
    return runs, training


def _probe_all(arm: Arm, cells, cell_lanes, parts) -> tuple[list[dict], list[np.ndarray]]:
    """Head and estimates [m, K] of every cell; cells of the same starting weights go together."""
    heads: list[Any] = [None] * len(cells)
    estimates: list[Any] = [None] * len(cells)
    for members in chunk_by([arm.start(cell) for cell in cells], len(cells)):
        cell, group = cells[members[0]], [cell_lanes[i] for i in members]

        def compute(cell=cell, group=group) -> Arrays:
            heads, estimates = fit_probes(arm, cell, group)
            arrays = {name: np.stack([head[name] for head in heads]) for name in heads[0]}
            return arrays | {"estimate": np.concatenate([y[0] for y in estimates])}

        name = group_hash(group, [arm.start(cell)])
        arrays = keep_part(parts / f"{arm.name}-probe-{name}.npz", compute)
        edges = np.cumsum([len(lane.test) for lane in group])[:-1]
        for k, (i, y) in enumerate(zip(members, np.split(arrays["estimate"], edges), strict=True)):
            heads[i] = {"kernel": arrays["kernel"][k], "bias": arrays["bias"][k]}
            estimates[i] = y
    return heads, estimates


def _ends(config, count: int, stop: float) -> tuple[int, ...]:
    """Where the loss is noted: stops and WATCHED before the end, a fifth of the way, the end."""
    last = budget.steps_at(config, count, stop)
    stops = {budget.steps_at(config, count, s) for s in (*config.stops, *WATCHED)}
    return tuple(sorted({s for s in stops if s < last} | {_fifth(last), last}))


def _fifth(steps: int) -> int:
    return max(1, round(steps / budget.FIFTH))


def _group_path(arm: Arm, group, starts, ends: tuple[int, ...], parts) -> pathlib.Path:
    return parts / f"{arm.name}-final-{group_hash(group, starts, list(ends))}.npz"


def _finetune_group(arm: Arm, group, heads, ends: tuple[int, ...]) -> Arrays:
    """Estimates of the lanes' test examples end to end, after a fifth and at the end; losses."""
    stack = arm.trainer.begin(group, heads)
    losses, estimates = walk(arm.trainer, stack, ends)
    at = {"fifth": ends.index(_fifth(ends[-1])), "finetune": len(ends) - 1}
    return {stage: np.concatenate(estimates[i]) for stage, i in at.items()} | {"losses": losses}


def _row(arm: Arm, cell: grid.Cell, choice, stage: str, estimate: np.ndarray) -> dict[str, Any]:
    row = {
        "arm": arm.name,
        "stage": stage,
        "cell": cell,
        "start": arm.start(cell),
        "penalty": choice.penalty,
        "note": choice.note,
        "estimate": estimate,
    }
    if stage == "probe":
        return row
    steps, stop = budget.steps_at(arm.config, len(cell.train), choice.stop), choice.stop
    if stage == "fifth":
        steps, stop = _fifth(steps), stop / budget.FIFTH
    return row | {"learning_rate": choice.rate, "stop": stop, "steps": steps}


def _training_rows(arm: Arm, cell: grid.Cell, choice, ends, losses) -> list[dict[str, Any]]:
    budget_steps = budget.most_steps(arm.config, len(cell.train))
    run = {
        "arm": arm.name,
        "cell": cell,
        "split": -1,
        "learning_rate": choice.rate,
        "is_chosen": 1,
        "count": len(cell.train),
        "error": "",
    }
    return [
        run | {"point": point, "stop": end / budget_steps, "step": end, "loss": loss}
        for point in cell.points
        for end, loss in zip(ends, losses, strict=True)
    ]
