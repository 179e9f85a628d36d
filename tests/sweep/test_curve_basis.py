"""Curves as scores: against scikit-learn's PCA, and what references are fitted to."""

import numpy as np
from sklearn.decomposition import PCA

from imujax.data.datasets import Dataset
from imujax.sweep import references
from imujax.sweep.curve_basis import MOST_VECTORS, SHARE, CurveBasis


def make_curves(count=60, seed=0):
    rng = np.random.default_rng(seed)
    time = np.linspace(0, 1, 25)
    shapes = np.stack([np.sin(np.pi * k * time) for k in (1, 2, 3, 5)])
    return 2 + rng.normal(size=(count, 4)) * [4, 2, 1, 0.1] @ shapes


def test_the_basis_is_that_of_principal_components():
    curves = make_curves()
    basis = CurveBasis.fit(curves)
    pca = PCA(SHARE).fit(curves)
    assert len(basis.vectors) == pca.n_components_ == 3
    expected = pca.inverse_transform(pca.transform(make_curves(seed=1)))
    new = make_curves(seed=1)
    np.testing.assert_allclose(basis.to_curves(basis.to_scores(new)), expected, atol=1e-9)


def test_the_end_of_a_short_window_counts_as_the_mean():
    curves = make_curves()
    curves[:20, 15:] = np.nan
    basis = CurveBasis.fit(curves)
    np.testing.assert_allclose(basis.mean, np.nanmean(curves, axis=0))
    filled = np.where(np.isnan(curves), np.nanmean(curves, axis=0), curves)
    np.testing.assert_allclose(basis.to_scores(curves), basis.to_scores(filled))


def test_equal_curves_have_one_vector_and_noise_has_no_more_than_most():
    assert len(CurveBasis.fit(np.ones((5, 7))).vectors) == 1
    assert (
        len(CurveBasis.fit(np.random.default_rng(0).normal(size=(200, 50))).vectors) == MOST_VECTORS
    )


def test_references_are_fitted_to_scores_of_the_rows_alone_and_give_curves():
    """Two curves; estimates that are the scores themselves come back as the curves."""
    curves = np.stack([make_curves(), 3 * make_curves(seed=2)], axis=-1).astype(np.float32)
    info = {"targets": [{"name": name, "unit": "N", "every": 1} for name in "ab"]}
    empty = dict.fromkeys(Dataset.__dataclass_fields__)
    data = Dataset(**(empty | {"target": curves, "info": info}))
    rows = np.arange(40)
    to_fit = references.values_to_fit(data, rows)
    assert [len(values) for values in to_fit.values] == [40] * 6
    np.testing.assert_allclose(
        references.join_estimates(to_fit.values, to_fit.bases), curves[rows], atol=1.0
    )
    alone = CurveBasis.fit(curves[rows, :, 1].astype(np.float64))
    np.testing.assert_array_equal(to_fit.bases[1].vectors, alone.vectors)
