"""The grid and its honesty: audited splits, and the same batches for a fold's arms."""

import numpy as np
import pytest

from imujax import UserError
from imujax.configs import common
from imujax.sweep import grid

SUBJECT = np.repeat([f"P{i}" for i in range(6)], [30, 20, 25, 10, 40, 15])


def settings(**changes):
    return common.task(
        "x",
        "X",
        common.arms("e"),
        **{"folds": 3, "draws": 2, "axes": {"windows": (0.1, 0.5, 1.0), "subjects": (0.5, 1.0)}}
        | changes,
    )


def test_the_grid_is_nested_audited_and_shared():
    cells = grid.make_grid(settings(), SUBJECT, seed=0)
    by_point = {(c.fold, c.draw, point): c for c in cells for point in c.points}
    assert len(by_point) == 3 * 2 * 5 and len(cells) == 3 * 2 * 4  # both axes meet at 100 %
    for cell in cells:
        assert not set(SUBJECT[cell.train]) & set(SUBJECT[cell.test])
    for fold in range(3):
        for draw in range(2):
            small, half, full = (
                set(by_point[fold, draw, ("windows", fraction)].train)
                for fraction in (0.1, 0.5, 1.0)
            )
            assert small < half < full
            assert len(set(SUBJECT[by_point[fold, draw, ("subjects", 0.5)].train])) == 2
    tested = np.concatenate([by_point[fold, 0, ("windows", 1.0)].test for fold in range(3)])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(SUBJECT)))


def test_batches_are_the_same_for_both_arms_but_not_for_two_draws():
    cells = grid.make_grid(settings(), SUBJECT, seed=0)
    seeds = {(c.fold, c.draw): grid.lane_seed(0, c) for c in cells}
    assert len(set(seeds.values())) == 6
    assert grid.lane_seed(1, cells[0]) != grid.lane_seed(0, cells[0])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"folds": 7}, "7 folds need at least 7 subjects, there are 6"),
        ({"folds": (("P0", "P1"), ("P1", "P2"))}, "P1 stands twice"),
        ({"axes": {"windows": (0.0,)}}, "fraction 0.0 must lie above 0"),
        ({"axes": {"windows": (0.5, 0.5)}}, "axes.windows names a fraction twice"),
        ({"draws": 0}, "at least one draw"),
        ({"axes": {"steps": (0.5,)}}, 'must be "windows" or "subjects"'),
    ],
)
def test_a_grid_that_cannot_be_is_told(changes, words):
    with pytest.raises(UserError, match=words):
        grid.make_grid(settings(**changes), SUBJECT, seed=0)
