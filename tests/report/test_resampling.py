"""The variance over resamples against that of the model, part by part."""

import numpy as np
import pytest

from imujax.report.mixed_model import Layout
from imujax.report.resampling import resampled_means

FOLD = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
CELLS = np.arange(2)[:, None] * 5 + FOLD


def test_subjects_are_resampled_without_bias():
    values = np.repeat(np.random.default_rng(0).normal(size=(1, 1, 11)), 2, axis=1)
    means = resampled_means(values, Layout(FOLD, (CELLS,)))
    assert means.shape == (10_000, 1)
    assert means.mean() == pytest.approx(values.mean(), abs=0.01)
    assert means.var() == pytest.approx(values[0, 0].var(ddof=1) / 11, rel=0.05)


def test_draws_are_resampled_within_folds():
    """Subjects all alike, (draw, fold) cells not: the variance is that of the cells' share."""
    effects = np.random.default_rng(0).normal(size=(3, 5))
    effects -= effects.mean(axis=0)
    means = resampled_means(
        effects[:, FOLD][None], Layout(FOLD, (np.arange(3)[:, None] * 5 + FOLD,))
    )
    share = np.bincount(FOLD) / 11
    assert means.var() == pytest.approx(
        (share**2 * effects.var(axis=0, ddof=1) / 3).sum(), rel=0.05
    )


def test_shared_starts_are_resampled_with_all_that_start_from_them():
    seeds = (np.arange(2)[:, None] + FOLD) % 3
    effects = np.array([-1.0, 0.0, 1.0])
    share = np.bincount(seeds.ravel()) / 22
    values = (effects - share @ effects)[seeds][None]
    means, other = (
        resampled_means(values, Layout(FOLD, (seeds,)), start_seed=seed) for seed in (1, 2)
    )
    without = resampled_means(values, Layout(FOLD, (CELLS,)))
    of_folds = resampled_means(values, Layout(FOLD, (np.tile(FOLD, (2, 1)),)))
    np.testing.assert_array_equal(of_folds, without)  # left to the subjects
    added = (share * (effects - share @ effects) ** 2).sum() / 2
    assert means.var() - without.var() == pytest.approx(added, rel=0.1)
    assert not np.allclose(means, other)


def test_with_one_draw_folds_are_resampled_whole():
    """Folds that differ, with subjects all alike in them."""
    fold = np.repeat(np.arange(5), 2)
    values = np.array([0.0, 1.0, 2.0, 4.0, 8.0])[fold][None, None]
    means = resampled_means(values, Layout(fold, (fold[None],)))
    assert means.var() == pytest.approx(np.var([0, 1, 2, 4, 8], ddof=1) / 5, rel=0.05)


def test_resamples_are_shared_by_all_curves_of_a_sweep():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 1, 2, 11))
    layout = Layout(FOLD, (CELLS,))
    apart = resampled_means(a, layout) - resampled_means(b, layout)
    np.testing.assert_allclose(apart, resampled_means(a - b, layout), atol=1e-12)
    assert not np.allclose(resampled_means(a, layout, 0), resampled_means(a, layout, 1))
