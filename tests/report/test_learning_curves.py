"""Curves and conditions against loops and the true r of a made-up sweep."""

import numpy as np
import pytest
import scipy.stats
from helpers import fake_sweep
from helpers.fake_sweep import FINE, PAIR, edit, resave

from imujax.errors import UserError
from imujax.report import learning_curves, tables


def test_the_curve_is_the_mean_over_subjects_of_the_true_r(knee):
    sweep, true = knee
    rows = [row for row in learning_curves.curve_rows(sweep) if row["metric"] == "r"]
    assert len(rows) == 5 * 6
    for row in rows:
        values = true[row["arm"], row["stage"], row["axis"]]
        subject_r = values[fake_sweep.FRACTIONS.index(row["fraction"])]
        assert row["mean"] == pytest.approx(subject_r.mean(), abs=1e-6)
        assert row["low"] < row["mean"] < row["high"]
        assert row["n_subjects"] == 17 and row["n_draws"] == (1 if row["fraction"] == 1 else 2)


def test_draws_are_averaged_within_a_subject_first(small):
    # A second draw of one cell that lost everything: r of that cell is half of what it was.
    sweep = tables.load_sweep(small)
    before = learning_curves.subject_curve(sweep, "random", "finetune", "windows", "r")
    runs = sweep.runs
    rows = np.flatnonzero((runs["arm"] == "random") & (runs["fraction"] == 0.1))
    extra = np.flatnonzero(np.isin(sweep.predictions["run"], rows))
    arrays = {name: np.concatenate([v, v[extra]]) for name, v in sweep.predictions.items()}
    arrays["run"][-len(extra) :] += 1000
    arrays["estimate"][-len(extra) :] = 3.0
    resave(small, **arrays)
    edit(small, lambda r: r.extend([r[i] | {"run": i + 1000, "draw": 7} for i in rows]))
    after = learning_curves.subject_curve(
        tables.load_sweep(small), "random", "finetune", "windows", "r"
    )
    np.testing.assert_allclose(after.values[0], before.values[0] / 2)
    np.testing.assert_allclose(after.values[1:], before.values[1:])
    assert after.n_draws.tolist() == [2, 1, 1, 1, 1, 1]
    assert after.n_faulty.tolist() == [5, 0, 0, 0, 0, 0]


def test_a_subject_nobody_can_score_is_left_out_of_every_arm(small):
    sweep = tables.load_sweep(small)
    arrays = dict(sweep.predictions)
    arrays["truth"] = np.where(arrays["subject"] == "S02", 1.0, arrays["truth"])
    resave(small, **arrays)
    curve = learning_curves.subject_curve(
        tables.load_sweep(small), "random", "finetune", "windows", "rmse"
    )
    assert curve.left_out == ("S02",) and "S02" not in curve.subjects
    assert curve.values.shape == (6, 4)


def test_all_subjects_are_all_windows(tmp_path):
    curves = FINE | {(arm, "finetune", "subjects"): [0.5] * 6 for arm in PAIR}
    fake_sweep.write_sweep(tmp_path / "t", curves, n_subjects=5, n=6)
    sweep = tables.load_sweep(tmp_path / "t")
    values = learning_curves.subject_curve(sweep, "random", "finetune", "subjects", "r").values
    assert values.mean(axis=1) == pytest.approx([0.5] * 6, abs=1e-6)
    full = (sweep.runs["axis"] == "subjects") & (sweep.runs["fraction"] == 1)
    dropped = {str(run) for run in sweep.runs["run"][full]}
    keep = ~np.isin(sweep.predictions["run"], sweep.runs["run"][full])
    resave(tmp_path / "t", **{n: v[keep] for n, v in sweep.predictions.items()})
    edit(
        tmp_path / "t",
        lambda rows: rows.__setitem__(slice(None), [r for r in rows if r["run"] not in dropped]),
    )
    borrowed = learning_curves.subject_curve(
        tables.load_sweep(tmp_path / "t"), "random", "finetune", "subjects", "r"
    )
    assert borrowed.values.mean(axis=1) == pytest.approx([0.5] * 5 + [0.870], abs=1e-6)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda rows: rows[0].update(draw=5), "is not tested at fraction 0.1"),
        (lambda rows: rows[5].update(fraction=0.1), "is tested twice at fraction 0.1"),
    ],
)
def test_an_unfinished_or_doubled_cell_is_refused(small, change, word):
    edit(small, change)
    sweep = tables.load_sweep(small)
    with pytest.raises(UserError, match=word):
        learning_curves.subject_curve(sweep, "random", "finetune", "windows", "r")
    with pytest.raises(UserError, match="no run of arm nobody"):
        learning_curves.subject_curve(sweep, "nobody", "finetune", "windows", "r")


def test_conditions_against_loops(knee):
    sweep, _ = knee
    rows = learning_curves.condition_rows(sweep, "pretrained", "finetune")
    assert [row["condition"] for row in rows] == ["level", "ramp", "stairs"]
    table, p = sweep.runs, sweep.predictions
    full = (table["arm"] == "pretrained") & (table["stage"] == "finetune")
    full = table["run"][full & (table["fraction"] == 1)]
    for row in rows:
        here = np.isin(p["run"], full) & (p["condition"] == row["condition"])
        r = [
            scipy.stats.pearsonr(p["truth"][i], p["estimate"][i]).statistic
            for i in (here & (p["subject"] == name) for name in np.unique(p["subject"]))
        ]
        assert row["r"] == pytest.approx(np.mean(r)) and row["n_subjects"] == 17
        assert row["n"] == here.sum() == 17 * 8
