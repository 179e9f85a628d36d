"""A task of curves from raw files to a kept model: the force of a bump, sample by sample."""

import csv
import dataclasses
import json
import pathlib
import runpy
import sys

import numpy as np
import pytest
from helpers import people

import imujax
from imujax import UserError, cli
from imujax.models import joining, keeping
from imujax.report import tables

LAUNCHER = pathlib.Path(__file__).parents[1] / "launch" / "intervals.py"
TASK = "--config.tasks.force."
CHANGES = {
    f"{TASK}targets": "('force',)",
    f"{TASK}references": "('ridge',)",
    f"{TASK}draws": "1",
    f"{TASK}axes.windows": "(1.0,)",
    f"{TASK}axes.subjects": "(1.0,)",
    "--config.encoders.small.seeds": "1",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Where everything lies, and how it is asked for."""
    place = people.write_study(tmp_path_factory.mktemp("curves"))
    work = place["raw"].parent / "work"
    words = ["--config", place["config"], "--data", place["data"], "--workdir", work]
    words += [f"{name}={value}" for name, value in CHANGES.items()]
    return place["raw"], work, [str(word) for word in words]


@pytest.fixture(scope="module")
def found(folders):
    raw, work, words = folders
    cli.run_command(["study", *words, "--raw", str(raw)])
    return tables.load_sweep(work / "tasks" / "force")


@pytest.fixture(scope="module")
def model(folders, found):
    _, work, words = folders
    cli.run_command(["fit", *words, "--model", "average"])
    return imujax.load(work / "models" / "force")


@pytest.mark.slow
def test_curves_are_estimated_and_told(folders, found):
    _, work, _ = folders
    assert found.target == {"name": "force", "unit": "N", "every": 1, "seconds": 0.01}
    truth, estimate = found.predictions["truth"], found.predictions["estimate"]
    assert truth.shape == estimate.shape and truth.shape[1] == 32 and np.isfinite(truth).all()
    # The truth is the bump of each window: it reaches its peak a fraction of a second later.
    assert (np.abs(truth.argmax(axis=1) - 8 - 10) <= 8).all()
    for row in found.scores:
        assert row["r"] > 0.85 and row["peak_time_rmse"] < 0.1
        assert row["undefined"] == "" and row["rmse"] < row["peak_rmse"] * 5
    page = (work / "report" / "report.html").read_text()
    assert "RMSE of the peak" in page and "mean of the training labels" in page
    assert "Pearson r over all samples" in page
    assert (work / "report" / "agreement_1.png").stat().st_size > 10_000


def test_a_model_of_curves_says_what_it_promises(folders, model, capsys):
    _, work, _ = folders
    card = model.card
    (target,) = card["targets"]
    assert len(target["half"]) == len(target["whole"]) == 32 and target["anywhere"] > 0
    assert set(target["coverage"]) == {"pointwise", "whole", "anywhere"}
    assert target["metrics"]["r"] > 0.9 and model.every == 1
    assert "force [N], a value every 0.01 s" in repr(model)
    page = (work / "models" / "force" / "README.md").read_text()
    assert "| force, whole curves |" in page and "of its time" in page
    assert not {"{", "}"} & set(page)
    opened = keeping.open_model(work / "models" / "force")
    acc, gyr = (np.random.default_rng(0).normal(size=(3, 32, 1, 3)) for _ in range(2))
    windows = acc.astype(np.float32), gyr.astype(np.float32), np.full(3, 32)
    np.testing.assert_array_equal(opened.estimate(*windows), model.estimate(*windows))
    with pytest.raises(UserError, match="a curve is not explained"):
        model.explain(9.81 + acc, gyr)


def test_windows_of_new_recordings_have_curves_with_bands(folders, model, tmp_path, capsys):
    """Of three people it has not seen: mostly within, and the file holds what Python gives."""
    raw = people.write_people(tmp_path / "raw", subjects=9, seconds=20)
    for number in range(6):
        (raw / f"P{number:02d}_walk.csv").unlink()
    out, (_, work, _) = tmp_path / "curves.csv", folders
    words = ["predict", work / "models" / "force", "--card", raw / "force.toml", "--out", out]
    cli.run_command([str(word) for word in (*words, "--plot", tmp_path / "plots")])
    assert "values of 3 recordings" in capsys.readouterr().err
    assert len(list((tmp_path / "plots").glob("P0*_walk.png"))) == 3
    made = [
        model.predict(recording)
        for recording in imujax.read_recordings(raw / "force.toml", with_events=True)
    ]
    with out.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["subject"] for row in table] == [
        name
        for name, one in zip(("P06", "P07", "P08"), made, strict=True)
        for _ in range(one.estimate.size)
    ]
    for name in ("estimate", "low", "high", "lowest", "highest"):
        by_hand = np.concatenate([getattr(one, name).ravel() for one in made])
        np.testing.assert_allclose([float(row[name]) for row in table], by_hand, atol=1e-6)
    inside = []
    for number, one in enumerate(made, start=6):
        assert one.estimate.shape == (len(one.time), 32) and one.offset[8] == 0
        rows = np.loadtxt(raw / f"P{number:02d}_walk.csv", delimiter=",", skiprows=1)
        at = np.round((one.time[:, None] + one.offset) * 100).astype(int)
        truth = rows[at, 6]
        inside.append(np.mean((one.low <= truth) & (truth <= one.high)))
        assert ((one.lowest <= one.low) & (one.high <= one.highest)).all()
    assert np.mean(inside) > 0.6


def test_the_launcher_tells_of_every_candidate(folders, found, capsys, monkeypatch):
    _, work, _ = folders
    monkeypatch.setattr(sys, "argv", ["intervals.py", str(work / "tasks" / "force")])
    runpy.run_path(str(LAUNCHER), run_name="__main__")
    said = capsys.readouterr().out
    assert "force [N]" in said and "finetuned" in said and "whole " in said


def test_a_whole_recording_has_one_curve_of_its_windows(folders, model, tmp_path):
    raw = people.write_people(tmp_path / "raw", subjects=1, seconds=20)
    (recording,) = imujax.read_recordings(raw / "force.toml")
    made = model.predict(recording, stride=0.08)
    starts = np.arange(0, len(recording.acc) - 32 + 1, 8)
    cut = [np.stack([x[s : s + 32] for s in starts]) for x in (recording.acc, recording.gyr)]
    curves = model.estimate(*(x.astype(np.float32) for x in cut), np.full(len(starts), 32))
    margin = max(part.margin for part in model.parts)
    assert margin > 0
    joined = joining.join(curves[..., 0], starts, starts[-1] + 32, margin)
    np.testing.assert_allclose(made.estimate[0], joined, rtol=1e-6)
    assert made.estimate.shape == made.is_unlike.shape == (1, starts[-1] + 32)
    assert made.lowest is None and "lowest" not in made.columns()
    assert (made.high - made.low).std() < 1e-6  # one width
    assert made.columns()["time"][100] == pytest.approx(recording.start + 1.0)
    short = dataclasses.replace(recording, acc=recording.acc[:30], gyr=recording.gyr[:30])
    nothing = model.predict(short, stride=0.08)
    assert nothing.estimate.shape[0] == 0 and not len(nothing.columns()["time"])
    gaps = model.predict(recording, stride=0.5)  # windows are .32 s long
    assert np.isnan(gaps.estimate).sum() == 18 * (len(gaps.offset) // 50)
    assert np.isfinite(gaps.columns()["estimate"]).all()


def test_numbers_and_curves_at_once_are_refused(folders, capsys):
    _, work, words = folders
    card = json.loads((work / "config.json").read_text())
    assert card["tasks"]["force"]["targets"] == ["force"]
    with pytest.raises(UserError, match="numbers and curves are not estimated at once"):
        cli.run_command(["sweep", *words, f"{TASK}targets=('force', 'impulse')"])


PHASES = """
[activity]
file = "Phases/{subject}.csv"
name = "phase"
start = "from"
end = "to"
[[target]]
name = "phase"
statistic = "class"
classes = ["rest", "push"]
[window]
"""


def write_phases(raw):
    """A table of phases for each person: push where the force is above 80 N; and the card."""
    (raw / "Phases").mkdir()
    for path in raw.glob("P*_walk.csv"):
        force = np.loadtxt(path, delimiter=",", skiprows=1)[:, 6]
        is_push = force > 80
        edges = np.r_[0, np.flatnonzero(np.diff(is_push)) + 1, len(force)] / 100
        words = ["push" if is_push[round(100 * edge)] else "rest" for edge in edges[:-1]]
        lines = [
            f"{word},{a:.3f},{b:.3f}"
            for word, a, b in zip(words, edges[:-1], edges[1:], strict=True)
        ]
        name = path.name.partition("_")[0]
        (raw / "Phases" / f"{name}.csv").write_text("\n".join(["phase,from,to", *lines]) + "\n")
    card = people.LABELLED.replace("[window]\n", PHASES.lstrip("\n"))
    (raw / "phases.toml").write_text(card)
    return raw / "phases.toml"


def test_a_class_a_sample_goes_the_whole_way(folders, found, tmp_path, capsys):
    """The phase of a bump, by network and references, and of a new person's whole recording."""
    raw, work, _ = folders
    write_phases(raw / "people")
    config = tmp_path / "config.py"
    text = (work.parent / "config.py").read_text()
    config.write_text(text.replace("people/force.toml", "people/phases.toml"))
    at = ["--config", config, "--data", tmp_path / "data", "--workdir", tmp_path, "--raw", raw]
    at += ["--checkpoint", work / "encoders" / "small"]
    changes = CHANGES | {f"{TASK}targets": "('phase',)"}
    changes[f"{TASK}references"] = "('logistic', 'class_trees')"
    words = [str(word) for word in (*at, *(f"{name}={value}" for name, value in changes.items()))]
    cli.run_command(["sweep", *words])
    sweep = tables.load_sweep(tmp_path / "tasks" / "force")
    assert sweep.target["classes"] == ["rest", "push"] and sweep.target["every"] == 1
    truth, estimate = sweep.predictions["truth"], sweep.predictions["estimate"]
    assert truth.shape[1] == 32 and estimate.shape == (*truth.shape, 2)
    np.testing.assert_allclose(estimate.sum(axis=-1), 1, atol=1e-5)
    for arm, stage in (("pretrained", "finetune"), ("logistic", "reference")):
        is_run = (sweep.runs["arm"] == arm) & (sweep.runs["stage"] == stage)
        own = [s for s in sweep.scores if s["run"] in sweep.runs["run"][is_run]]
        assert np.mean([row["balanced_accuracy"] for row in own]) > 0.75
    cli.run_command(["report", str(tmp_path)])
    assert (tmp_path / "report" / "agreement_1.png").stat().st_size > 1000
    cli.run_command(["fit", *words, "--model", "average"])
    model = imujax.load(tmp_path / "models" / "force")
    assert "phase: rest, push, every 0.01 s" in repr(model)
    page = (tmp_path / "models" / "force" / "README.md").read_text()
    assert "there were samples of rest (" in page and not {"{", "}"} & set(page)
    new = people.write_people(tmp_path / "new", subjects=7, seconds=20)
    for number in range(6):
        (new / f"P{number:02d}_walk.csv").unlink()
    (recording,) = imujax.read_recordings(new / "force.toml")
    made = model.predict(recording, stride=0.08)
    force = np.loadtxt(new / "P06_walk.csv", delimiter=",", skiprows=1)[:, 6]
    assert made.time[0] == recording.start and len(made.time) > 1900
    is_right = (made.estimate == "push") == (force[: len(made.time)] > 80)
    assert is_right.mean() > 0.8
    at_events = model.predict(recording, events={("P06", "walk"): np.array([5.0, 6.0])})
    assert at_events.probability.shape == (2 * 32, 2)
    np.testing.assert_allclose(at_events.time[8:10], [5.0, 5.01])
    wrong = [word.replace("'logistic', 'class_trees'", "'ridge',") for word in words]
    with pytest.raises(UserError, match="'ridge': of a class there are logistic, class_trees"):
        cli.run_command(["sweep", *wrong])
