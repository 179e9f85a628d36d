"""The grid and its honesty: splits, choices on inner subjects, one start for a fold's arms."""

from types import SimpleNamespace

import numpy as np
import pytest

from imujax import UserError
from imujax.configs import common
from imujax.sweep import arms, grid

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
    at = {(c.fold, c.draw, point): c for c in cells for point in c.points}
    assert len(at) == 3 * 2 * 5 and len(cells) == 3 * 2 * 4  # both axes meet at 100 %
    for cell in cells:
        assert not set(SUBJECT[cell.train]) & set(SUBJECT[cell.test])
    for fold in range(3):
        for draw in range(2):
            small, half, all_ = (set(at[fold, draw, ("windows", f)].train) for f in (0.1, 0.5, 1.0))
            assert small < half < all_
            assert len(set(SUBJECT[at[fold, draw, ("subjects", 0.5)].train])) == 2
    tested = np.concatenate([at[fold, 0, ("windows", 1.0)].test for fold in range(3)])
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


class Pretend:
    """Stands in for an arm: an estimate is off by what the table says for its value."""

    def __init__(self, off, draws=1):
        self.config = settings(
            penalties=(0.1, 1.0, 10.0),
            rates=(1e-3, 1e-2),
            select={"folds": 2, "splits": 2, "draws": draws},
        )
        self.seed, self.off, self.asked = 0, off, []
        task = SimpleNamespace(target=np.zeros(len(SUBJECT), np.float32))
        self.trainer = SimpleNamespace(task=task)

    def scale(self, train):
        return None


def test_settings_are_chosen_on_inner_subjects_only(monkeypatch):
    arm = Pretend({0.1: 3.0, 1.0: 1.0, 10.0: 2.0, 1e-3: np.nan, 1e-2: 5.0})
    cells = grid.make_grid(arm.config, SUBJECT, seed=0)
    by_fold = {c.fold: set(SUBJECT[c.test]) for c in cells}

    def train(arm, jobs, purpose, parts, progress, both):
        found = []
        for _, lane in jobs:
            seen = set(SUBJECT[lane.train]) | set(SUBJECT[lane.test])
            arm.asked.append((lane, seen))
            assert not set(SUBJECT[lane.train]) & set(SUBJECT[lane.test])
            estimate = np.full(len(lane.test), arm.off[lane.rate if both else lane.penalty])
            found.append((estimate, estimate))
        return found

    monkeypatch.setattr(arms, "run_jobs", train)
    chosen = {}
    assert len(list(arms.choose_settings(arm, cells, SUBJECT, "probe", {}, None, None))) == 3 * 4
    for key, value, note in arms.choose_settings(arm, cells, SUBJECT, "probe", chosen, None, None):
        assert value == 1.0 and note == ""
        chosen[key] = {"probe": value}
    for key, value, _ in arms.choose_settings(arm, cells, SUBJECT, "finetune", chosen, None, None):
        assert value == 1e-2 and key in chosen  # a rate that diverges is never taken
    whole = [cell for cell in cells if cell.draw == 0]
    for lane, seen in arm.asked:
        assert any(
            set(lane.train) | set(lane.test) <= set(cell.train) and not seen & by_fold[cell.fold]
            for cell in whole
        )
    assert all(lane.penalty == 1.0 for lane, _ in arm.asked if lane.rate)


def test_with_one_training_subject_nothing_is_chosen_and_it_is_said(monkeypatch):
    arm = Pretend({})
    arm.config.axes = {"subjects": (0.1,)}
    cells = grid.make_grid(arm.config, SUBJECT, seed=0)
    monkeypatch.setattr(arms, "run_jobs", lambda *_, **__: [])
    found = list(arms.choose_settings(arm, cells, SUBJECT, "probe", {}, None, None))
    assert len(found) == 3
    for _, value, note in found:
        assert value == 1.0 and note == "one training subject: nothing chosen"
