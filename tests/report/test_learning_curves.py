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
        assert row["n_subjects"] == 17 and row["n_draws"] == 2


def test_draws_are_averaged_within_a_subject_first(tmp_path):
    # One draw of one share that lost everything: r of the share is half of what it was.
    fake_sweep.write_sweep(tmp_path / "t", FINE, n_subjects=5, n=6)
    before = tables.load_sweep(tmp_path / "t")
    runs, arrays = before.runs, dict(before.predictions)
    lost = runs["run"][(runs["arm"] == "random") & (runs["fraction"] == 0.1) & (runs["draw"] == 1)]
    arrays["estimate"] = np.where(np.isin(arrays["run"], lost), 3.0, arrays["estimate"])
    resave(tmp_path / "t", **arrays)
    before, after = (
        learning_curves.subject_curve(sweep, "random", "finetune", "windows", "r")
        for sweep in (before, tables.load_sweep(tmp_path / "t"))
    )
    np.testing.assert_allclose(after.values[0], before.values[0] / 2, rtol=1e-4)
    np.testing.assert_allclose(after.values[1:], before.values[1:])
    assert after.draws.tolist() == [0, 1] and after.n_faulty.tolist() == [5, 0, 0, 0, 0, 0]


def test_starts_and_folds_go_with_their_subjects(tmp_path):
    curves = FINE | {("ridge+pretrained", "reference", "windows"): [0.6] * 6}
    fake_sweep.write_sweep(tmp_path / "t", curves, n_subjects=7, n=6, starts={"pretrained": 3})
    sweep = tables.load_sweep(tmp_path / "t")
    own = [[d * 5 + s % 5 for s in range(7)] for d in range(2)]
    shared = [[(d + s % 5) % 3 for s in range(7)] for d in range(2)]
    layouts = {
        name: learning_curves.subject_curve(sweep, name, stage, "windows", "r").layout
        for name, stage in (
            ("random", "finetune"),
            ("pretrained", "finetune"),
            ("ridge+pretrained", "reference"),
        )
    }
    starts = {n: [start.tolist() for start in layout.starts] for n, layout in layouts.items()}
    assert starts == {
        "random": [own],
        "pretrained": [shared],
        "ridge+pretrained": [own, shared],  # the embedding is that of a pre-training
    }
    assert all(layout.fold.tolist() == [0, 1, 2, 3, 4, 0, 1] for layout in layouts.values())
    # Settings that are chosen on one of two draws are one more start, shared by both.
    sweep.summary["config"] |= {"draws": 2, "select": {"draws": 1}}
    once = learning_curves.subject_curve(sweep, "random", "finetune", "windows", "r").layout
    assert [start.tolist() for start in once.starts] == [own, [[0, 1, 2, 3, 4, 0, 1]] * 2]
    edit(tmp_path / "t", lambda rows: rows[0].update(start=99))
    with pytest.raises(UserError, match="start from different weights"):
        learning_curves.subject_curve(
            tables.load_sweep(tmp_path / "t"), "random", "finetune", "windows", "r"
        )


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
    names = np.unique(p["subject"])
    for row in rows:
        here = np.isin(p["run"], full) & (p["condition"] == row["condition"])
        r = [
            scipy.stats.pearsonr(p["truth"][i], p["estimate"][i]).statistic
            for run in full
            for i in (here & (p["subject"] == s) & (p["run"] == run) for s in names)
            if i.any()
        ]
        assert row["r"] == pytest.approx(np.mean(r)) and row["n_subjects"] == 17
        assert row["n"] == here.sum() / 2 == 17 * 8  # two draws
        assert row["low"] < row["r"] < row["high"]
