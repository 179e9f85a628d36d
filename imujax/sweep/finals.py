"""The final runs of an arm, with the settings that were chosen: the only ones that meet the test
subjects, and only to estimate them."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from imujax.runtime import log
from imujax.sweep import budget, choices, grid, lanes
from imujax.sweep.arms import Arm
from imujax.sweep.runs import Arrays, Parts, chunk_by, fit_probes, group_hash, make_lane, walk

WATCHED = (0.6, 0.8)  # of the budget: stops at which the loss is noted even where none is offered


def final_rows(
    arm: Arm,
    cells: Sequence[grid.Cell],
    chosen: dict[Hashable, choices.Choice],
    parts: Parts,
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
    parts : Parts
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

    def group(missing: list[int]) -> list[list[int]]:
        arm.prepare_finetuning(cells[0])
        return chunk_by(ends, arm.trainer.runs, missing)

    def make(members: list[int]) -> Iterable[tuple[int, Arrays]]:
        group, starts = [cell_lanes[i] for i in members], [heads[i] for i in members]
        return zip(members, _finetune(arm, group, starts, ends[members[0]]), strict=True)

    names = [
        f"{arm.name}-final-{group_hash([lane], [arm.start(cell)], list(of_run))}"
        for cell, lane, of_run in zip(cells, cell_lanes, ends, strict=True)
    ]
    done = parts.take(
        names, group, make, lambda n, kept: progress.update(len(n), f"{arm.name} finals", kept)
    )
    for cell, choice, of_run, arrays in zip(cells, settings, ends, done, strict=True):
        for stage in ("finetune", "fifth"):
            row = _row(arm, cell, choice, stage, arrays[stage])
            runs += [row | {"point": point} for point in cell.points]
        training += _training_rows(arm, cell, choice, of_run, arrays["losses"])
    return runs, training


def _probe_all(
    arm: Arm, cells: Sequence[grid.Cell], cell_lanes: Sequence[lanes.Lane], parts: Parts
) -> tuple[list[Arrays], list[np.ndarray]]:
    """Head and estimates [m, K] of every cell; cells of the same starting weights go together."""
    starts = [arm.start(cell) for cell in cells]

    def make(members: list[int]) -> Iterator[tuple[int, Arrays]]:
        fits = fit_probes(arm, cells[members[0]], [cell_lanes[i] for i in members])
        for number, head, estimates in zip(members, *fits, strict=True):
            yield number, head | {"estimate": estimates[0]}

    names = [
        f"{arm.name}-probe-{group_hash([lane], [start])}"
        for lane, start in zip(cell_lanes, starts, strict=True)
    ]
    done = parts.take(names, lambda missing: chunk_by(starts, len(cells), missing), make)
    return done, [arrays["estimate"] for arrays in done]


def _ends(config, count: int, stop: float) -> tuple[int, ...]:
    """Where the loss is noted: stops and WATCHED before the end, a fifth of the way, the end."""
    last = budget.steps_at(config, count, stop)
    stops = {budget.steps_at(config, count, s) for s in (*config.stops, *WATCHED)}
    return tuple(sorted({s for s in stops if s < last} | {_fifth(last), last}))


def _fifth(steps: int) -> int:
    return max(1, round(steps / budget.FIFTH))


def _finetune(
    arm: Arm, group: Sequence[lanes.Lane], heads: Sequence[Arrays], ends: tuple[int, ...]
) -> list[Arrays]:
    """Of each lane the estimates of its test examples, after a fifth and at the end; losses."""
    stack = arm.trainer.begin(group, heads)
    losses, estimates = walk(arm.trainer, stack, ends)
    at = {"fifth": ends.index(_fifth(ends[-1])), "finetune": len(ends) - 1}
    return [
        {stage: estimates[stop][lane] for stage, stop in at.items()} | {"losses": losses[lane]}
        for lane in range(len(group))
    ]


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
