"""The references on a grid: what a training subset does not hold, and how many fits go at once,
have no effect."""

import dataclasses
import threading

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import small_references

from imujax.configs import common
from imujax.data import datasets
from imujax.runtime import host
from imujax.sweep import grid, reference_runs, references, runs


class Counter:
    """In place of a progress bar."""

    def __init__(self):
        self.done = 0

    def update(self, count, _, kept=False):
        self.done += count

    def restart_pace(self):
        """It has none."""


class StandInArm:
    """Two starts in turn; the embedding is the start's number and the target."""

    def __init__(self, data):
        self.data, self.calls = data, []

    def start(self, cell):
        return (cell.fold + cell.draw) % 2

    def embed(self, cell, train, along):
        assert threading.current_thread() is threading.main_thread()
        self.calls.append((self.start(cell), train.tobytes()))
        start = np.full_like(self.data.target, self.start(cell))
        return jnp.asarray(np.concatenate([start, self.data.target], axis=1))


def steps(count=120, subjects=6, seed=0) -> datasets.Dataset:
    """Windows whose target is their mean acceleration, times each subject's own factor."""
    rng = np.random.default_rng(seed)
    subject = np.array([f"P{i % subjects}" for i in range(count)])
    size = rng.uniform(1, 2, count)
    acc = rng.normal(size=(count, 24, 1, 3)) + size[:, None, None, None]
    words = np.full(count, "w")
    return datasets.Dataset(
        acc=acc.astype(np.float32),
        gyr=rng.normal(size=(count, 24, 1, 3)).astype(np.float32),
        length=np.full(count, 24, np.int32),
        subject=subject,
        recording=subject,
        activity=words,
        condition=words,
        start=np.arange(count, dtype=np.float32),
        target=(size * (1 + 0.01 * (np.arange(count) % subjects)))[:, None].astype(np.float32),
        info={"sensors": ["shank"]},
    )


def task(references, **changes):
    return common.task("steps", "Steps", common.arms("e"), references=references, **changes)


@pytest.mark.parametrize(
    "name", [name for name, line in references.REFERENCES.items() if not line.is_of_classes]
)
def test_nothing_outside_the_training_subset_has_any_effect(name, tmp_path, monkeypatch):
    """Signals and targets of the same subjects' other windows are spoiled: no estimate moves."""
    small_references.shrink(monkeypatch)
    config = task((name,), folds=3, draws=1, axes={"windows": (0.5,)})
    data = steps()
    (cell, *_) = grid.make_grid(config, data.subject, seed=0)
    outside = np.setdiff1d(np.arange(len(data.subject)), [*cell.train, *cell.test])
    assert len(outside) > 10
    acc, target = data.acc.copy(), data.target.copy()
    acc[outside], target[outside] = 1e9, np.nan
    target[cell.test] = 1e9  # nor have the targets that are asked for
    spoiled = dataclasses.replace(data, acc=acc, target=target)

    def estimate(examples, folder):
        parts = runs.Parts(folder)
        (row,) = reference_runs.reference_rows(config, {}, [cell], examples, 0, parts, Counter())
        assert row["arm"] == name and row["point"] == ("windows", 0.5)
        return row["estimate"]

    clean = estimate(data, tmp_path / "clean")
    np.testing.assert_array_equal(clean, estimate(spoiled, tmp_path / "spoiled"))
    assert np.corrcoef(clean[:, 0], data.target[cell.test, 0])[0, 1] > 0.3


def test_estimates_are_the_same_on_any_number_of_cores_and_a_stopped_grid_goes_on(
    tmp_path, monkeypatch
):
    """Rows in the order of the cells, embeddings start by start, and no warning from a thread."""
    small_references.shrink(monkeypatch)
    names = ("stack", "ridge", "ridge+random", "extra+random")
    config = task(names, folds=3, draws=2, axes={"windows": (0.5, 1.0), "subjects": (1.0,)})
    data = steps()
    cells = grid.make_grid(config, data.subject, seed=0)
    estimates = []
    for cores in (1, 4):
        monkeypatch.setattr(host, "available_cores", lambda cores=cores: list(range(cores)))
        folder = tmp_path / str(cores)
        parts = runs.Parts(folder)
        arm, counter = StandInArm(data), Counter()
        arguments = config, {"random": arm}, cells, data, 0, parts, counter
        rows = reference_runs.reference_rows(*arguments)
        assert [(row["cell"], row["arm"], row["point"]) for row in rows] == [
            (cell, name, point) for cell in cells for name in names for point in cell.points
        ]
        starts = [start for start, _ in arm.calls]
        assert starts == sorted(starts) and len(starts) == len(cells) == counter.done == 12
        estimates.append([row["estimate"] for row in rows])
        errors = {name: [] for name in names}
        for row in rows:
            errors[row["arm"]].append(row["estimate"] - data.target[row["cell"].test])
        spread = {name: np.concatenate(values).std() for name, values in errors.items()}
        assert spread["ridge+random"] < 0.8 * spread["ridge"]  # the embedding knows the target
    for first, second in zip(*estimates, strict=True):
        np.testing.assert_array_equal(first, second)

    *_, gone = sorted(folder.iterdir())
    gone.unlink()
    arm.calls.clear()
    again = reference_runs.reference_rows(*arguments)
    assert len(arm.calls) == 1 and counter.done == 24
    for row, estimate in zip(again, estimates[0], strict=True):
        np.testing.assert_array_equal(row["estimate"], estimate)


def test_a_task_without_references_has_no_rows(tmp_path):
    config, data, counter = task((), folds=3, draws=1), steps(), Counter()
    cells = grid.make_grid(config, data.subject, seed=0)
    assert (
        reference_runs.reference_rows(config, {}, cells, data, 0, runs.Parts(tmp_path), counter)
        == []
    )
    assert counter.done == len(cells)


def test_memory_limits_how_many_fits_go_at_once(monkeypatch):
    monkeypatch.setattr(host, "available_cores", lambda: list(range(64)))
    assert reference_runs.fits_at_once(100) == 64
    assert reference_runs.fits_at_once(4000) == 4  # of 2 GB each
    assert reference_runs.fits_at_once(10**6) == 2  # of which ridge.MOST_WINDOWS are taken
