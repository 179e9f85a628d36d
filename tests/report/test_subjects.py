"""Each subject alone, and the yardstick: against numbers that are taken another way."""

import numpy as np
import pytest
from helpers import fake_sweep
from scipy import stats

from imujax.report import agreement, page_tables, subjects, tables, task_summary

R = np.linspace(0.6, 0.78, 6)
CURVES = {
    ("pretrained", "finetune", "windows"): R + 0.04,
    ("random", "finetune", "windows"): R,
    ("ridge", "reference", "windows"): np.full(6, 0.7),
    ("trees", "reference", "windows"): np.full(6, 0.9),
}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("subjects") / "t"
    fake_sweep.write_sweep(folder, CURVES, n_subjects=7, title="Peak force")
    return task_summary.summarise(tables.load_sweep(folder))


def predictions(task, arm, draw):
    """(subject, truth, estimate, fold) of an arm with all windows."""
    runs, made = task.sweep.runs, task.sweep.predictions
    chosen = (runs["arm"] == arm) & (runs["fraction"] == 1) & (runs["draw"] == draw)
    fold = dict(zip(runs["run"][chosen].tolist(), runs["fold"][chosen].tolist(), strict=True))
    rows = np.isin(made["run"], list(fold))
    folds = np.array([fold[run] for run in made["run"][rows].tolist()])
    return (*(made[name][rows] for name in ("subject", "truth", "estimate")), folds)


def test_the_arms_are_followed_by_the_best_reference(task):
    assert subjects.full_curves(task) == [
        ("pretrained", "finetune"),
        ("random", "finetune"),
        ("trees", "reference"),
    ]


def test_a_subject_has_its_own_r_and_rmse(task):
    """As scipy has them, averaged over the draws; in the order of the best reference."""
    rows = subjects.subject_rows(task)
    assert len(rows) == 7
    assert [row["trees"]["r"] for row in rows] == sorted(r["trees"]["r"] for r in rows)[::-1]
    for row in rows:
        for arm in ("pretrained", "random", "trees"):
            r, rmse = [], []
            for draw in (0, 1):
                subject, truth, estimate, _ = predictions(task, arm, draw)
                x, y = (z[subject == row["subject"]].astype(float) for z in (truth, estimate))
                r.append(stats.pearsonr(x, y).statistic)
                rmse.append(np.sqrt(np.mean((y - x) ** 2)))
            assert row["n"] == len(x)
            np.testing.assert_allclose(row[arm]["r"], np.mean(r), atol=1e-6)
            np.testing.assert_allclose(row[arm]["rmse"], np.mean(rmse), rtol=1e-6)
    table = page_tables.subjects_table(task)
    assert [cells[0].text for cells in table.rows] == [row["subject"] for row in rows]


def test_the_yardstick_knows_the_mean_of_the_training_subjects_alone(task):
    subject, truth, _, fold = predictions(task, "random", 0)
    rmse, r2 = [], []
    for name in np.unique(subject):
        mine = subject == name
        guess = truth[fold != fold[mine][0]].astype(float).mean()
        x = truth[mine].astype(float)
        rmse.append(np.sqrt(np.mean((x - guess) ** 2)))
        r2.append(1 - np.sum((x - guess) ** 2) / np.sum((x - x.mean()) ** 2))
    found = subjects.training_mean(task.sweep)
    np.testing.assert_allclose(found["rmse"], np.mean(rmse), rtol=1e-9)
    np.testing.assert_allclose(found["r2"], np.mean(r2), rtol=1e-9)
    assert "r" not in found and found["r2"] < 0
    last = [cell.text for cell in page_tables.agreement_table(task).rows[-1]]
    assert last[:3] == ["mean of the training labels", "yardstick", page_tables.DASH]


def test_the_pictures_show_every_arm_and_the_best_reference(task):
    legend = subjects.subjects_figure(task).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["pretrained", "random", "trees"]
    figure = agreement.agreement_figure(task)
    titles = [ax.get_title(loc="left") for ax in figure.axes[::2]]
    assert titles == ["pretrained, fine-tuned", "random, fine-tuned", "trees, reference"]
