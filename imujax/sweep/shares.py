"""One task shared out over machines that do not talk to each other.

The unit is an arm, or the references, on the cells of one selection key: it chooses its settings
by itself, and nothing else depends on it. Each machine knows the whole grid, shares it out by the
same rule, and does its own units into the common folder (runs.Parts). What is there is not made
again, so that a share that was killed goes on, and one that is run twice adds nothing.
"""

import dataclasses
import pathlib
from collections.abc import Hashable, Mapping, Sequence

from ml_collections import ConfigDict

from imujax.errors import UserError
from imujax.sweep import budget, choices, grid

REFERENCES = ""  # in place of an arm's name
# Where a scheduler says which of many alike a job is, and the number of the first one.
NUMBERS = {"SLURM_ARRAY_TASK_ID": 1, "JOB_COMPLETION_INDEX": 0}

Unit = tuple[str, Hashable]


@dataclasses.dataclass(frozen=True)
class Share:
    """One of several shares.

    Attributes
    ----------
    number : int
        From 1 on.
    count : int
        How many there are.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"share {self.number} of {self.count}"


def parse_share(text: str, environ: Mapping[str, str]) -> Share:
    """Read which share a command is to do.

    Parameters
    ----------
    text : str
        "3/16", or "16": of so many the one whose number the scheduler says.
    environ : mapping
        Environment variables.

    Returns
    -------
    Share

    Raises
    ------
    UserError
        There is no such share, or no scheduler that says its number.
    """
    number, slash, count = text.rpartition("/")
    if not count.isdecimal() or not (number.isdecimal() if slash else not number):
        raise UserError(f"--share {text}: write 3/16, or 16 where a scheduler counts the jobs")
    if not slash:
        named = [name for name in NUMBERS if environ.get(name, "").isdecimal()]
        if not named:
            raise UserError(
                f"--share {text}: neither {' nor '.join(NUMBERS)} says which of {count} this is; "
                f"write --share 1/{count}"
            )
        number = str(int(environ[named[0]]) + 1 - NUMBERS[named[0]])
    if not 1 <= int(number) <= int(count):
        where = "" if slash else f" ({named[0]}={environ[named[0]]})"
        raise UserError(f"--share {text}: there is no share {number} of {count}{where}")
    return Share(int(number), int(count))


def own_cells(
    config: ConfigDict, cells: Sequence[grid.Cell], share: Share
) -> dict[str, list[grid.Cell]]:
    """Say which cells a share does.

    Parameters
    ----------
    config : ConfigDict
        A task's section of a configuration.
    cells : sequence of Cell
        The grid of the task.
    share : Share

    Returns
    -------
    dict of list of Cell
        By arm, and REFERENCES.  Over all shares each cell stands once at each; dear units first,
        each to the share that has least so far.
    """
    loads = [0] * share.count
    own: set[Unit] = set()
    costs = unit_costs(config, cells)
    for unit in sorted(costs, key=lambda unit: -costs[unit]):
        least = loads.index(min(loads))
        loads[least] += costs[unit]
        if least == share.number - 1:
            own.add(unit)
    return {
        label: [cell for cell in cells if (label, grid.selection_key(cell)) in own]
        for label in (*config.arms, REFERENCES)
    }


def unit_costs(config: ConfigDict, cells: Sequence[grid.Cell]) -> dict[Unit, int]:
    """What each unit costs, in steps of fine-tuning; the references of a cell count as one run.

    Parameters
    ----------
    config : ConfigDict
        A task's section of a configuration.
    cells : sequence of Cell
        The grid of the task.

    Returns
    -------
    dict of int
        By arm, or REFERENCES, and selection key.
    """
    width = max(len(cell.train) for cell in cells)
    costs: dict[Unit, int] = {}
    for cell in cells:
        key, steps = grid.selection_key(cell), budget.most_steps(config, len(cell.train))
        inner = choices.count_inner(config, cell, width)
        for label in config.arms:
            costs[label, key] = costs.get((label, key), 0) + steps * (1 + inner)
        if config.references:
            costs[REFERENCES, key] = costs.get((REFERENCES, key), 0) + steps
    return costs


def note_done(share: Share, folder: pathlib.Path) -> bool:
    """Note that a share is done, and say whether all are.

    Parameters
    ----------
    share : Share
    folder : Path
        Of the parts of the task.

    Returns
    -------
    bool
    """
    names = [f"done_{number}_of_{share.count}" for number in range(1, share.count + 1)]
    (folder / names[share.number - 1]).touch()
    return all((folder / name).exists() for name in names)
