"""The references of a sweep on its cells: what a training subset does not hold has no effect."""

import dataclasses

import numpy as np
import pytest
from helpers import small_references

from imujax.configs import common
from imujax.data import datasets
from imujax.sweep import grid, reference_runs, references


class Silent:
    """In place of a progress bar."""

    def update(self, *_):
        pass


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


@pytest.mark.parametrize("name", references.REFERENCES)
def test_nothing_outside_the_training_subset_has_any_effect(name, tmp_path, monkeypatch):
    """Signals and targets of the same subjects' other windows are spoiled: no estimate moves."""
    small_references.shrink(monkeypatch)
    config = common.task("steps", "Steps", common.arms("e"), references=(name,), folds=3, draws=1)
    config.axes = {"windows": (0.5,)}
    data = steps()
    (cell, *_) = grid.make_grid(config, data.subject, seed=0)
    outside = np.setdiff1d(np.arange(len(data.subject)), [*cell.train, *cell.test])
    assert len(outside) > 10
    acc, target = data.acc.copy(), data.target.copy()
    acc[outside], target[outside] = 1e9, np.nan
    target[cell.test] = 1e9  # nor have the targets that are asked for
    spoiled = dataclasses.replace(data, acc=acc, target=target)

    def estimate(examples, folder):
        folder.mkdir()
        (row,) = reference_runs.reference_rows(config, {}, [cell], examples, 0, folder, Silent())
        assert row["arm"] == name and row["point"] == ("windows", 0.5)
        return row["estimate"]

    clean = estimate(data, tmp_path / "clean")
    np.testing.assert_array_equal(clean, estimate(spoiled, tmp_path / "spoiled"))
    assert np.corrcoef(clean, data.target[cell.test, 0])[0, 1] > 0.3
