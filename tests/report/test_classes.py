"""Reports on classes: metrics against scikit-learn, and what the page and pictures say."""

import numpy as np
import pytest
from helpers import fake_classes
from sklearn import metrics as oracle

from imujax.report import class_metrics, confusion, learning_curves, report, tables, task_summary
from imujax.report.metrics import values_for_mean


def test_metrics_are_those_of_scikit_learn():
    """Of subjects who lack a class, too; F1 counts the classes that are there or named."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, len(fake_classes.CLASSES), 300)
    subject = np.array([f"S{i % 5}" for i in range(300)])
    truth[(subject == "S1") & (truth == 2)] = 0
    estimate = fake_classes.guess(truth, rng, 1.5)
    rows = class_metrics.score_by_keys({"subject": subject}, truth.astype(np.float32), estimate)
    assert [row["subject"] for row in rows] == ["S0", "S1", "S2", "S3", "S4"]
    for row in rows:
        own = subject == row["subject"]
        pair = truth[own], estimate[own].argmax(axis=1)
        assert row["n"] == own.sum() and row["undefined"] == ""
        assert row["accuracy"] == pytest.approx(oracle.accuracy_score(*pair))
        assert row["kappa"] == pytest.approx(oracle.cohen_kappa_score(*pair))
        assert row["macro_f1"] == pytest.approx(oracle.f1_score(*pair, average="macro"))
        recalls = oracle.recall_score(*pair, average=None, labels=np.unique(pair[0]))
        assert row["balanced_accuracy"] == pytest.approx(np.mean(recalls))


def test_samples_count_like_windows_where_they_have_a_class():
    """Windows of five samples against the same samples as windows, those without a class gone."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, len(fake_classes.CLASSES), 200)
    subject, estimate = np.repeat(["P", "Q", "R", "S"], 50), fake_classes.guess(truth, rng, 1.0)
    is_there = rng.random(200) > 0.2
    by_window = np.where(is_there, truth, np.nan).reshape(40, 5)
    keys = {"subject": subject[::5]}
    rows = class_metrics.score_by_keys(keys, by_window, estimate.reshape(40, 5, -1))
    expected = class_metrics.score_by_keys(
        {"subject": subject[is_there]}, truth[is_there], estimate[is_there]
    )
    for row, other in zip(rows, expected, strict=True):
        assert row["n"] == 10 and row["undefined"] == ""
        for metric in class_metrics.CLASS_METRICS:
            assert row[metric] == pytest.approx(other[metric])


def test_what_cannot_be_scored_is_named():
    subject = np.repeat(["few", "one", "wild", "well"], [2, 5, 5, 5])
    truth = np.array([0, 1, *[2] * 5, *[0, 1, 0, 1, 2], *[0, 1, 0, 1, 2]])
    estimate = np.eye(4)[truth]
    estimate[8] = np.nan
    rows = class_metrics.score_by_keys({"subject": subject}, truth, estimate)
    undefined = {row["subject"]: row["undefined"] for row in rows}
    assert undefined == {"few": "few", "one": "constant truth", "wild": "not finite", "well": ""}
    values, is_scorable = values_for_mean(
        "kappa", [row["kappa"] for row in rows], [row["undefined"] for row in rows]
    )
    assert dict(zip(undefined, is_scorable.tolist(), strict=True)) == {
        "few": False,
        "one": False,
        "wild": True,
        "well": True,
    }
    assert values[[row["subject"] for row in rows].index("wild")] == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sweep of a class: the pre-trained arm knows more, and a reference knows the most."""
    skills = {("pretrained", "probe"): 2.0, ("random", "probe"): 1.0}
    skills["class_trees", "reference"] = 3.0
    return fake_classes.write_sweep(tmp_path_factory.mktemp("classes") / "tasks" / "t", skills)


def test_curves_and_verdicts_rest_on_balanced_accuracy(folder):
    task = task_summary.summarise(tables.load_sweep(folder))
    curve = task.curve("pretrained", "probe", "windows")
    by_hand = learning_curves.subject_curve(
        task.sweep, "pretrained", "probe", "windows", "balanced_accuracy"
    )
    assert [row["mean"] for row in curve] == pytest.approx(by_hand.values.mean(axis=1))
    (comparison,) = task.comparisons
    assert comparison.verdict["word"] == "helps"
    assert "mean difference in balanced accuracy" in comparison.verdict["sentence"]
    assert "not above the best shallow reference" in task_summary.reference_sentence(
        task, "pretrained"
    )
    alone, together = (task.added_values["pretrained"][-1][name] for name in ("alone", "together"))
    assert 0.5 < alone < together  # two estimates that err apart
    sentence = task.added_values["pretrained"][-1]["sentence"]
    assert "averaged with it, balanced accuracy is" in sentence


def test_confusion_is_the_mean_over_those_who_have_the_class(folder):
    task = task_summary.summarise(tables.load_sweep(folder))
    share = confusion.shares(task, "random", "probe")
    np.testing.assert_allclose(share.sum(axis=1), 1)
    recall = np.diag(share)
    assert np.mean(recall) == pytest.approx(
        task.curve("random", "probe", "windows")[-1]["mean"], abs=1e-9
    )  # where everybody has every class


def test_the_report_says_what_it_measures(folder):
    written = report.write_report([folder.parents[1]])
    names = {path.name for path in written}
    assert {"agreement_1.png", "subjects_1.png", "report.html", "scores.csv"} <= names
    text = (folder.parents[1] / "report" / "report.html").read_text()
    assert "balanced accuracy within the subject" in text and "kappa" in text
    assert "7 windows without activity: left out" in text
    assert "Pearson r within" not in text and "difference in r " not in text
