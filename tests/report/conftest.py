"""Two made-up sweeps that several tests of the report read."""

import pytest
from helpers import fake_sweep
from helpers.fake_sweep import FINE

from imujax.report import tables


@pytest.fixture(scope="module")
def knee(tmp_path_factory):
    """A sweep whose mean curves are the published ones of the knee moment, and its true r."""
    folder = tmp_path_factory.mktemp("sweep") / "knee"
    curves = FINE | {
        ("random", "probe", "windows"): [0.5, 0.55, 0.6, 0.62, 0.64, 0.65],
        ("pretrained", "probe", "windows"): [0.7, 0.72, 0.74, 0.76, 0.78, 0.8],
        ("ridge", "reference", "windows"): [0.6] * 6,
    }
    true = fake_sweep.write_sweep(folder, curves, n_subjects=17)
    return tables.load_sweep(folder), true


@pytest.fixture
def small(tmp_path):
    fake_sweep.write_sweep(tmp_path / "t", FINE, n_subjects=5, draws=1, n=6)
    return tmp_path / "t"
