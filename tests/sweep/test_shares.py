"""Shares of a grid: every cell in one of them, evenly, and read from what a scheduler says."""

import itertools

import numpy as np
import pytest

from imujax import UserError
from imujax.configs import common
from imujax.sweep import grid, shares

SUBJECT = np.repeat([f"P{i}" for i in range(8)], [60, 50, 40, 55, 45, 60, 50, 40])


def task(**changes):
    fields = {"axes": {"windows": (0.1, 0.3, 1.0)}, "folds": 4, "draws": 2}
    config = common.task("x", "X", common.arms("e"), **fields | changes)
    return config, grid.make_grid(config, SUBJECT, seed=0)


@pytest.mark.parametrize("count", [1, 3, 7, 16, 50])
def test_every_arm_meets_every_cell_in_one_share(count):
    """Draws of a fold and point stay together: they share what is chosen."""
    config, cells = task()
    all_shares = [
        shares.own_cells(config, cells, shares.Share(number + 1, count)) for number in range(count)
    ]
    for label in ("pretrained", "random", shares.REFERENCES):
        found = [cell for own in all_shares for cell in own[label]]
        assert len(found) == len(cells) and set(map(id, found)) == set(map(id, cells))
        keys = [set(map(grid.selection_key, own[label])) for own in all_shares]
        assert not any(a & b for a, b in itertools.combinations(keys, 2))


def test_no_share_is_much_dearer_than_another():
    """What is given to who has least: the dearest share is less than one unit above the mean."""
    config, cells = task()
    costs = shares.unit_costs(config, cells)
    sums = []
    for number in range(4):
        own = shares.own_cells(config, cells, shares.Share(number + 1, 4))
        units = {(label, grid.selection_key(cell)) for label in own for cell in own[label]}
        sums.append(sum(costs[unit] for unit in units))
    assert sum(sums) == sum(costs.values())
    assert max(sums) - np.mean(sums) < max(costs.values()) and max(sums) < 1.1 * np.mean(sums)


def test_a_unit_costs_the_steps_of_its_runs():
    """Two draws of which one chooses, by three rates on the two or four inner splits there are."""
    choosing = {"rates": (1e-3, 3e-3, 1e-2), "select": {"folds": 4, "splits": (2, 4), "draws": 1}}
    config, cells = task(passes=8.0, batch=8, steps=(40, 1000), **choosing)
    costs = shares.unit_costs(config, cells)
    small = next(cell for cell in cells if cell.points == (("windows", 0.1),))
    assert costs["random", grid.selection_key(small)] == 40 * (1 + 3 * 4) + 40
    assert costs[shares.REFERENCES, grid.selection_key(small)] == 2 * 40
    probes, _ = task(passes=8.0, batch=8, steps=(40, 1000), stages=("probe",), **choosing)
    assert shares.unit_costs(probes, cells)["random", grid.selection_key(small)] == 2 * 40


@pytest.mark.parametrize(
    ("text", "environ", "number", "count"),
    [
        ("3/16", {}, 3, 16),
        ("3/16", {"SLURM_ARRAY_TASK_ID": "5"}, 3, 16),
        ("16", {"SLURM_ARRAY_TASK_ID": "16"}, 16, 16),
        ("16", {"JOB_COMPLETION_INDEX": "0"}, 1, 16),
    ],
)
def test_a_share_is_read(text, environ, number, count):
    share = shares.parse_share(text, environ)
    assert (share.number, share.count) == (number, count)
    assert str(share) == f"share {number} of {count}"


@pytest.mark.parametrize(
    ("text", "environ", "sentence"),
    [
        ("three", {}, "write 3/16, or 16 where a scheduler counts"),
        ("/16", {}, "write 3/16"),
        ("1.5/3", {}, "write 3/16"),
        ("0/4", {}, "there is no share 0 of 4$"),
        ("5/4", {}, "there is no share 5 of 4$"),
        ("4", {}, "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX says which of 4"),
        ("4", {"SLURM_ARRAY_TASK_ID": "0"}, r"no share 0 of 4 \(SLURM_ARRAY_TASK_ID=0\)"),
        ("4", {"JOB_COMPLETION_INDEX": "4"}, r"no share 5 of 4 \(JOB_COMPLETION_INDEX=4\)"),
    ],
)
def test_no_such_share(text, environ, sentence):
    with pytest.raises(UserError, match=sentence):
        shares.parse_share(text, environ)
