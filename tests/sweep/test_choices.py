"""Settings are chosen on inner subjects alone, by one rule, from stops along the same runs."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers.fake_sweep import estimate_of_r
from helpers.labelled import make_arm, people
from ml_collections import ConfigDict

from imujax.configs import common
from imujax.report import metrics
from imujax.sweep import budget, choices, finals, grid, lanes, runs

RATES, STOPS = (1e-3, 3e-3, 1e-2), (0.1, 0.2, 0.6, 1.0)
SUBJECT = np.repeat([f"P{i}" for i in range(6)], [30, 20, 25, 10, 40, 15])


class Silent:
    """In place of a progress bar."""

    def update(self, *_):
        pass


class PretendTrainer:
    """Stands in for the trainer: after a stop, 1 - r within a subject is what the table says."""

    def __init__(self, errors, width, runs=8):
        self.errors, self.width, self.runs, self.advanced = errors, width, runs, []
        target = np.random.default_rng(0).normal(size=(len(SUBJECT), 1)).astype(np.float32)
        self.examples = lanes.LabelledArrays(None, None, None, target)

    def begin(self, group, heads):
        assert all(
            head["penalty"] == lane.penalties[0] for head, lane in zip(heads, group, strict=True)
        )
        return SimpleNamespace(lanes=list(group), step=0)

    def advance(self, stack, first, last):
        assert stack.step == first < last
        stack.step = last
        self.advanced += [(lane, last) for lane in stack.lanes]
        return np.full(len(stack.lanes), 1.0 / last)

    def estimate(self, stack):
        return [
            pretend_estimates(self.examples.target, lane.test, self.errors(lane, stack.step))
            for lane in stack.lanes
        ]

    def regroup(self, stacks, keeps):
        kept_lanes = [
            x
            for s, k in zip(stacks, keeps, strict=True)
            for x, keep in zip(s.lanes, k, strict=True)
            if keep
        ]
        assert len({stack.step for stack in stacks}) == 1
        return [SimpleNamespace(lanes=kept_lanes, step=stacks[0].step)] if kept_lanes else []


def pretend_estimates(target, test, error):
    """Estimates of examples `test` with r = 1 - error within each subject."""
    estimates, rng = np.full((len(test), 1), np.nan), np.random.default_rng(1)
    for name in np.unique(SUBJECT[test]) if np.isfinite(error) else ():
        rows = np.flatnonzero(SUBJECT[test] == name)
        if len(rows) < 3:  # whom nobody can score
            estimates[rows] = 0
            continue
        truth = target[test[rows], 0].astype(float)
        estimates[rows, 0] = estimate_of_r(truth, 1 - error, rng)
    return estimates.astype(np.float32)


@pytest.fixture
def pretend(monkeypatch, tmp_path):
    """A function that lets an arm choose, with a table of errors for the trainer."""

    def run(errors, penalty_errors=(0.3, 0.1, 0.2), **changes):
        config = common.task(
            "x",
            "X",
            common.arms("e"),
            folds=3,
            draws=2,
            penalties=(0.1, 1.0, 10.0),
            rates=RATES,
            stops=STOPS,
            passes=40.0,
            steps=(100, 4000),
            batch=8,
        )
        config.axes = {"windows": (0.2, 1.0)}
        config.select = {"folds": 2, "splits": (2, 2), "draws": 1}
        config.update(changes)
        cells = grid.make_grid(config, SUBJECT, seed=0)
        trainer = PretendTrainer(errors, max(len(c.train) for c in cells))
        arm = SimpleNamespace(
            name="one",
            config=config,
            seed=0,
            trainer=trainer,
            start=lambda cell: 7,
            initial_encoder=lambda cell: None,
            input_scales=lambda train, cell: {},
            prepare_finetuning=lambda cell: None,
        )

        def fit_probes(arm, cell, group):
            errors = dict(zip(config.penalties, penalty_errors, strict=True))
            heads = [{"penalty": lane.penalties[0]} for lane in group]
            return heads, [
                np.stack(
                    [
                        pretend_estimates(arm.trainer.examples.target, lane.test, errors[p])
                        for p in lane.penalties
                    ]
                )
                for lane in group
            ]

        monkeypatch.setattr(choices, "fit_probes", fit_probes)
        chosen, training = choices.choose_settings(
            arm, cells, SUBJECT, runs.Parts(tmp_path), Silent()
        )
        return chosen, training, trainer, cells

    return run


def test_rate_and_stop_of_least_inner_error_are_taken(pretend):
    """Rate 3e-3 is best at a middle stop and worse later; 1e-2 diverges at the end."""

    def errors(lane, step):
        share = step / budget.most_steps(CONFIG, len(lane.train))
        if lane.rate == 1e-2:
            return np.nan if share > 0.9 else 0.42
        return 0.4 + abs(share - 0.6) * 0.1 + (lane.rate == 1e-3) * 0.02

    chosen, training, trainer, cells = pretend(errors)
    assert len(chosen) == 6  # folds times points
    for choice in chosen.values():
        assert (choice.penalty, choice.rate, choice.stop) == (1.0, 3e-3, 0.6)
    rows = [row for row in training if row["learning_rate"] == 3e-3]
    assert all(row["is_chosen"] for row in rows)
    assert not any(row["is_chosen"] for row in training if row["learning_rate"] != 3e-3)
    for row in rows:
        share = row["step"] / budget.most_steps(CONFIG, row["count"])
        assert row["stop"] == pytest.approx(share, abs=0.02)
        assert row["error"] == pytest.approx(0.4 + abs(share - 0.6) * 0.1, rel=1e-4)
    by_fold = {c.fold: set(SUBJECT[c.test]) for c in cells}
    first_draw = [cell for cell in cells if cell.draw == 0]
    for lane, _ in trainer.advanced:
        seen = set(SUBJECT[lane.train]) | set(SUBJECT[lane.test])
        assert not set(SUBJECT[lane.train]) & set(SUBJECT[lane.test])
        assert any(
            set(lane.train) | set(lane.test) <= set(cell.train) and not seen & by_fold[cell.fold]
            for cell in first_draw
        )


CONFIG = ConfigDict({"passes": 40.0, "steps": (100, 4000), "batch": 8, "warmup": 0.05})


def last_stops(training) -> dict[float, float]:
    """By rate."""
    last_stop = {}
    for row in training:
        key = row["learning_rate"]
        last_stop[key] = max(last_stop.get(key, 0), row["stop"])
    return last_stop


def test_a_rate_that_is_clearly_lost_goes_no_further(pretend):
    """1e-3 has 1.5 times the error of the best at a fifth, 1e-2 has 1.08 times."""
    factor = {1e-3: 1.5, 3e-3: 1.0, 1e-2: 1.08}
    _, training, trainer, _ = pretend(lambda lane, step: 0.4 * factor[lane.rate])
    assert last_stops(training) == {1e-3: 0.2, 3e-3: 1.0, 1e-2: 1.0}
    steps_of_lost = [last for lane, last in trainer.advanced if lane.rate == 1e-3]
    assert max(steps_of_lost) <= 0.21 * max(last for _, last in trainer.advanced)


def test_a_second_look_is_stricter_and_brings_nobody_back(pretend):
    """1e-3 is lost at a fifth although the others grow worse; 1e-2 at the stop after two fifths."""

    def errors(lane, step):
        share = step / budget.most_steps(CONFIG, len(lane.train))
        first = {1e-3: 0.5, 3e-3: 0.4, 1e-2: 0.46}[lane.rate]
        return first if share < 0.3 else first + 0.3

    _, training, *_ = pretend(errors)
    assert last_stops(training) == {1e-3: 0.2, 3e-3: 1.0, 1e-2: 0.6}
    assert choices.looks(ConfigDict({"stops": STOPS})) == [(1, 1.2), (2, 1.1), (3, np.inf)]
    assert choices.looks(ConfigDict({"stops": (0.5, 1.0)})) == [(0, 1.2), (1, np.inf)]
    assert choices.looks(ConfigDict({"stops": (1.0,)})) == [(0, np.inf)]


def test_where_every_rate_diverges_the_lowest_is_taken_and_it_is_noted(pretend):
    chosen, *_ = pretend(lambda lane, step: np.nan)
    for choice in chosen.values():
        assert (choice.rate, choice.stop) == (1e-3, 0.1) and "diverged" in choice.note


def test_a_single_value_is_taken_without_a_trial(pretend):
    chosen, training, trainer, _ = pretend(None, rates=(5e-3,), stops=(1.0,))
    assert not trainer.advanced and not training
    assert all((c.rate, c.stop, c.penalty) == (5e-3, 1.0, 1.0) for c in chosen.values())


def test_a_run_without_choice_has_its_loss_noted_over_the_last_fifth():
    """By these alone the report can tell whether it was trained to its end."""
    config = common.task("x", "X", common.arms("e"), passes=40.0, steps=(1, 4000), batch=8)
    config.stops = (1.0,)
    assert budget.most_steps(config, 200) == 1024
    assert finals._ends(config, 200, 1.0) == (205, 614, 819, 1024)
    assert finals._ends(config, 200, 0.5) == (102, 512)


def test_with_one_training_subject_nothing_is_chosen_and_it_is_noted(pretend):
    chosen, training, trainer, _ = pretend(None, axes={"windows": (), "subjects": (0.1,)})
    assert len(chosen) == 3 and not trainer.advanced and not training
    for choice in chosen.values():
        assert (choice.penalty, choice.rate, choice.stop) == (1.0, 3e-3, 0.6)
        assert choice.note == choices.NOTHING_CHOSEN


def test_the_error_is_that_of_the_report():
    """1 - r within a subject against the report's own metric; who cannot be scored is left out.

    Of two targets the second is all right for P1, too.
    """
    rng = np.random.default_rng(0)
    target = rng.normal(5, 1, (len(SUBJECT), 2)).astype(np.float32)
    target[SUBJECT == "P1", 0] = 3.0
    test = np.flatnonzero(np.isin(SUBJECT, ("P0", "P1", "P2", "P3")))
    test = np.concatenate([test, np.flatnonzero(SUBJECT == "P4")[:2]])
    arm = SimpleNamespace(
        trainer=SimpleNamespace(examples=lanes.LabelledArrays(None, None, None, target))
    )
    lane = SimpleNamespace(test=test)
    estimates = (target[test] + rng.normal(0, 1, (3, len(test), 2))).astype(np.float32)
    estimates[1, SUBJECT[test] == "P2", 0] = 4.0
    estimates[2, 0, 1] = np.inf
    total = choices.sum_errors(arm, lane, estimates, SUBJECT)
    for row, estimate in zip(total[:2], estimates, strict=False):
        r = [
            score["r"]
            for column, known in enumerate((("P0", "P2", "P3"), ("P0", "P1", "P2", "P3")))
            for score in metrics.score_subjects(
                np.zeros(len(test)), SUBJECT[test], target[test, column], estimate[:, column]
            )
            if score["subject"] in known
        ]
        assert row == pytest.approx(7 - np.nansum(r), rel=1e-6)
    assert total[2] == np.inf and choices.count_scorable(arm, test, SUBJECT) == 7


def test_small_subsets_are_judged_on_more_inner_folds():
    for most, counts in ((9, [1, 2, 3, 4]), (2, [1, 2, 2, 2])):
        select = ConfigDict({"folds": 4, "splits": (1, most)})
        assert [choices.count_splits(select, 1000, n) for n in (1000, 999, 400, 100)] == counts


def test_final_runs_end_where_the_choice_says(tmp_path, monkeypatch):
    """Ends, fifths and losses of every run; from its parts the same estimates."""
    data = people()
    budget_of_all = {"passes": 20.0, "steps": (20, 100), "batch": 8, "stops": (0.2, 0.6, 1.0)}
    select = {"folds": 2, "splits": (2, 2), "draws": 1}
    arm, cells = make_arm(data, "random", rates=(1e-3, 1e-2), select=select, **budget_of_all)
    parts = runs.Parts(tmp_path)
    chosen, inner = choices.choose_settings(arm, cells, data.subject, parts, Silent())
    rows, outer = finals.final_rows(arm, cells, chosen, parts, Silent())
    stages = {(row["cell"].fold, row["cell"].draw, row["point"], row["stage"]) for row in rows}
    assert len(stages) == len(rows) == len(cells) * 3
    for cell in cells:
        choice = chosen[grid.selection_key(cell)]
        (end,) = (r for r in rows if r["cell"] is cell and r["stage"] == "finetune")
        (fifth,) = (r for r in rows if r["cell"] is cell and r["stage"] == "fifth")
        assert end["steps"] == budget.steps_at(arm.config, len(cell.train), choice.stop)
        assert fifth["steps"] == max(1, round(end["steps"] / 5))
        way = [r for r in outer if r["cell"] is cell]
        assert way[-1]["step"] == end["steps"] and fifth["steps"] in [r["step"] for r in way]
        assert all(np.isfinite(r["loss"]) for r in way)
        errors = end["estimate"] - data.target[cell.test]
        assert np.mean(errors**2) < np.var(data.target[cell.test])
    monkeypatch.setattr(arm, "trainer", None)  # all of it is there
    again, _ = finals.final_rows(arm, cells, chosen, parts, Silent())
    for first, second in zip(rows, again, strict=True):
        np.testing.assert_array_equal(first["estimate"], second["estimate"])
    assert {row["split"] for row in inner} == {0, 1}
