"""The mean of an arm and the best reference, against loops over examples."""

import numpy as np
import pytest
from helpers import fake_sweep
from helpers.fake_sweep import resave

from imujax.report import added_value, tables

FINE = [0.6, 0.62, 0.64, 0.66, 0.68, 0.7]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Two references: "a" is the better one but for subjects of fold 0, who know "b" alone."""
    folder = tmp_path_factory.mktemp("added") / "t"
    curves = {
        ("random", "finetune", "windows"): FINE,
        ("a", "reference", "windows"): [0.7] * 6,
        ("b", "reference", "windows"): [0.69] * 6,
        ("a+random", "reference", "windows"): [0.9] * 6,
    }
    fake_sweep.write_sweep(folder, curves, n_subjects=11, n=30, spread=0.01)
    arrays = dict(tables.load_sweep(folder).predictions)
    runs = tables.load_sweep(folder).runs
    number_of = dict(zip(runs["run"].tolist(), runs["arm"].tolist(), strict=True))
    is_b = np.array([number_of[run] == "b" for run in arrays["run"].tolist()])
    is_b &= np.isin(arrays["subject"], ["S00", "S05", "S10"])
    arrays["estimate"] = np.where(is_b, arrays["truth"], arrays["estimate"])
    order = np.random.default_rng(0).permutation(len(is_b))  # examples must be put together again
    resave(folder, **{name: values[order] for name, values in arrays.items()})
    return tables.load_sweep(folder)


def r_of(sweep, arms, fraction, draw, subject):
    """r of the mean of what some arms or references estimate for a subject, and the truth."""
    runs, p = sweep.runs, sweep.predictions
    estimates = []
    for arm in arms:
        stage = "finetune" if arm == "random" else "reference"
        here = (runs["arm"] == arm) & (runs["stage"] == stage) & (runs["draw"] == draw)
        here = runs["run"][here & np.isclose(runs["fraction"], fraction)]
        rows = np.flatnonzero(np.isin(p["run"], here) & (p["subject"] == subject))
        rows = rows[np.argsort(p["index"][rows])]
        estimates.append(p["estimate"][rows].astype(float))
    return np.corrcoef(np.mean(estimates, axis=0), p["truth"][rows])[0, 1]


def test_against_loops_with_the_reference_chosen_on_other_folds(sweep):
    rows = added_value.added_rows(sweep, "random")
    assert [row["fraction"] for row in rows] == [*fake_sweep.FRACTIONS, None]
    for row in rows[:-1]:
        alone, together = [], []
        for i in range(11):
            # In fold 0 the perfect "b" of its own subjects must not be known.
            best = "a" if i % 5 == 0 else "b"
            for draw in (0, 1):
                subject = f"S{i:02d}"
                alone.append(r_of(sweep, [best], row["fraction"], draw, subject))
                together.append(r_of(sweep, [best, "random"], row["fraction"], draw, subject))
        assert row["alone"] == pytest.approx(np.mean(alone), abs=1e-6)
        assert row["together"] == pytest.approx(np.mean(together), abs=1e-6)
        assert row["difference"] == pytest.approx(np.mean(together) - np.mean(alone), abs=1e-6)
        assert row["references"] == "b \u00d7 4, a \u00d7 1"
    for name in ("alone", "together", "difference"):
        assert rows[-1][name] == pytest.approx(np.mean([row[name] for row in rows[:-1]]))


def test_the_sentence_follows_the_numbers(sweep):
    row = added_value.added_rows(sweep, "random")[-1]
    assert row["low"] > 0 and row["sentence"].startswith("Random adds to the best reference")
    assert f"r is {row['together']:.3f}" in row["sentence"]


def test_without_a_reference_or_an_arm_there_is_nothing_to_add(sweep, tmp_path):
    assert added_value.added_rows(sweep, "nobody") == []
    curves = {
        ("random", "finetune", "windows"): FINE,
        ("a+random", "reference", "windows"): FINE,
    }
    fake_sweep.write_sweep(tmp_path / "t", curves, n_subjects=5, n=6)
    assert added_value.added_rows(tables.load_sweep(tmp_path / "t"), "random") == []
