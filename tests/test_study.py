"""The whole study on made-up people, through the command line, as a user meets it."""

import csv
import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
from helpers import children, people
from pyarrow import parquet

import imujax
from imujax import UserError, cli
from imujax.data import builders, datasets
from imujax.pretrain import encoder, inputs
from imujax.report import tables
from imujax.runtime import checkpoint, files, processes
from imujax.sweep import arms, sweep


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return people.write_study(tmp_path_factory.mktemp("study"))


def arguments(place, work, *more):
    return [
        "--config",
        str(place["config"]),
        "--data",
        str(place["data"]),
        "--workdir",
        str(work),
        "--raw",
        str(place["raw"]),
        *more,
    ]


@pytest.fixture(scope="module")
def done(place):
    """The study run once, its folder."""
    work = place["raw"].parent / "work"
    cli.run_command(["study", *arguments(place, work)])
    return work


@pytest.mark.slow
def test_from_raw_files_to_the_figure(done):
    for name in (
        "figure.png",
        "figure.svg",
        "curves.csv",
        "differences.csv",
        "report.json",
        "report.html",
    ):
        assert (done / "report" / name).stat().st_size > 100
    found = tables.load_sweep(done / "tasks" / "force")
    stages = set(zip(found.runs["arm"].tolist(), found.runs["stage"].tolist(), strict=True))
    assert stages == {
        ("pretrained", "probe"),
        ("pretrained", "finetune"),
        ("pretrained", "fifth"),
        ("random", "probe"),
        ("random", "finetune"),
        ("random", "fifth"),
        ("ridge", "reference"),
        ("ridge+pretrained", "reference"),
    }
    assert found.summary["subjects"] == 6
    assert [target["unit"] for target in found.summary["targets"]] == ["N", "N s"]
    text = (done / "report" / "report.html").read_text()
    assert re.search(r"<dd>small: tabular/moves_\w+, 5 subjects, 0\.\d\d h</dd>", text)
    assert not (done / "tasks" / "force" / "parts").exists()
    # The bump's size is plain to see: every arm must find it on people it never met.
    whole = found.runs["run"][found.runs["fraction"] == 1.0]
    for name in ("peak force", "impulse"):
        scores = tables.load_sweep(done / "tasks" / "force", name).scores
        assert np.mean([row["r"] for row in scores if row["run"] in whole]) > 0.9
    with pytest.raises(UserError, match="target names 'peak': there are peak force, impulse"):
        tables.load_sweep(done / "tasks" / "force", "peak")


def test_every_arm_and_stage_is_tested_on_the_same_examples(done):
    found = tables.load_sweep(done / "tasks" / "force")
    runs, index = found.runs, found.predictions["index"]
    by_cell = {}
    for number in runs["run"][np.isin(runs["arm"], ("pretrained", "random"))]:
        at = runs["run"] == number
        cell = tuple(runs[k][at][0].item() for k in ("axis", "fraction", "draw", "fold", "n_train"))
        tested = tuple(index[found.predictions["run"] == number].tolist())
        by_cell.setdefault(cell, []).append(tested)
    assert {len(tests) for tests in by_cell.values()} == {6}  # two arms, three stages
    assert all(len(set(tests)) == 1 for tests in by_cell.values())


def test_a_finished_study_returns_at_once_and_changes_nothing(place, done):
    kept = (
        "encoders/small/seed0/metrics.jsonl",
        "tasks/force/runs.csv",
        "tasks/force/predictions.npz",
        "report/figure.png",
        "report/report.html",
    )
    before = {name: (done / name).read_bytes() for name in kept}
    cli.run_command(["study", *arguments(place, done)])
    assert {name: (done / name).read_bytes() for name in kept} == before


@pytest.mark.parametrize("part", ["encoders/small/seed0", "tasks/force"])
def test_two_runs_do_not_write_to_one_folder(place, done, part, monkeypatch):
    monkeypatch.setattr(processes, "CLAIM_TIMEOUT", 0)
    with (
        children.claiming(done / part),
        pytest.raises(UserError, match=rf"another run writes to .*{part} \(process"),
    ):
        cli.run_command(["study", *arguments(place, done)])


def test_a_sweep_that_was_stopped_goes_on_to_the_same_tables(place, done, tmp_path, monkeypatch):
    real, groups = files.save_arrays, []

    def stops(*args, **options):
        groups.append(args)
        if len(groups) == 4:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(files, "save_arrays", stops)
    words = ["sweep", *arguments(place, tmp_path, "--checkpoint", str(done / "encoders" / "small"))]
    with pytest.raises(KeyboardInterrupt):
        cli.run_command(words)
    folder = tmp_path / "tasks" / "force"
    kept = sorted((folder / "parts").glob("*.npz"))
    assert len(kept) == 3 and not (folder / "summary.json").exists()
    kept[0].write_bytes(b"damaged")  # a damaged part is computed again
    count = len(groups)
    cli.run_command(words)
    assert len(groups) > count
    require_same_tables(folder, done / "tasks" / "force")


def require_same_tables(folder, straight, differ=1e-4):
    """The same runs in the same order, and what they estimate, which may differ by so many SDs:
    runs round otherwise in a stack of another size."""
    found, expected = tables.load_sweep(folder), tables.load_sweep(straight)
    for column in expected.runs:
        np.testing.assert_array_equal(found.runs[column], expected.runs[column])
    scale = expected.predictions["truth"].std()
    np.testing.assert_allclose(
        found.predictions["estimate"], expected.predictions["estimate"], atol=differ * scale
    )


def test_machines_share_a_sweep(place, done, tmp_path):
    """Four processes; one is killed and goes on elsewhere, where there are two devices.  Which of
    them comes last and writes the tables is open; a share that is run again changes nothing."""
    checkpoint = str(done / "encoders" / "small")
    words = ["sweep", *arguments(place, tmp_path, "--checkpoint", checkpoint)]
    folder, log = tmp_path / "tasks" / "force", tmp_path / "log"

    def start(number, devices=1):
        return children.start([*words, "--share", f"{number}/4"], f"{log}{number}", devices)

    first = start(3)
    children.wait_until(first, lambda: len(list(folder.glob("parts/*.npz"))) > 1)
    first.kill()
    assert children.wait(first) == -signal.SIGKILL
    assert not (folder / "summary.json").exists()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("parts/*.npz")}
    running = [start(1), start(2), start(4)]
    assert [children.wait(child) for child in running] == [0, 0, 0]
    assert "force: share 2 of 4 is done, others are not" in pathlib.Path(f"{log}2").read_text()
    assert not (folder / "summary.json").exists()
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert children.wait(start(3, devices=2)) == 0
    assert pathlib.Path(f"{log}3").read_text().endswith(f"{folder}\n")
    require_same_tables(folder, done / "tasks" / "force", differ=1e-3)
    written = (folder / "summary.json").stat().st_mtime_ns
    cli.run_command([*words, "--share", "2/4"])
    assert (folder / "summary.json").stat().st_mtime_ns == written
    assert not (folder / "parts").exists()


def test_an_encoder_from_elsewhere_stands_for_all_pretraining(place, done, tmp_path, capsys):
    """The same encoder gives the same numbers; nothing is trained, nor built without labels."""
    words = ["study", *arguments(place | {"data": tmp_path / "data"}, tmp_path / "work")]
    cli.run_command([*words, "--checkpoint", str(done / "encoders" / "small")])
    assert not (tmp_path / "work" / "encoders").exists()
    assert [path.parent.name for path in (tmp_path / "data" / "tabular").glob("*/*/")] == [
        path.parent.name for path in (place["data"] / "tabular").glob("force_*/*/")
    ]
    for name in ("runs.csv", "scores.csv"):
        ours, theirs = (
            (work / "tasks" / "force" / name).read_text() for work in (tmp_path / "work", done)
        )
        assert ours == theirs
    assert (tmp_path / "work" / "report" / "report.html").is_file()


def test_a_share_that_others_have_done_meanwhile_ends_in_peace(place, done, tmp_path, monkeypatch):
    """The tables are written, and the parts gone, while it is still at one of its own."""
    checkpoint = str(done / "encoders" / "small")
    words = ["sweep", *arguments(place, tmp_path, "--checkpoint", checkpoint)]
    folder, real = tmp_path / "tasks" / "force", files.save_arrays

    def comes_late(path, arrays, **options):
        shutil.rmtree(folder / "parts")
        for name in ("runs.csv", "training.csv", "predictions.npz", "summary.json"):
            shutil.copy(done / "tasks" / "force" / name, folder)
        return real(path, arrays, **options)

    monkeypatch.setattr(files, "save_arrays", comes_late)
    cli.run_command([*words, "--share", "1/2"])
    assert not (folder / "parts").exists()


TWO_TASKS = """
    task = config.tasks.force
    task.stages, task.references = ("probe",), ("ridge",)
    config.tasks.later = task.copy_and_resolve_references()
    return config
"""


def test_a_study_is_shared_once_its_encoders_are_there(place, done, tmp_path, capsys, monkeypatch):
    """Two shares of two tasks: the first task is ended by one of them, the second by the other,
    which writes the report."""
    file, work = tmp_path / "two.py", tmp_path / "work"
    file.write_text(people.CONFIG.replace("    return config\n", TWO_TASKS))
    words = ["study", *arguments(place | {"config": file}, work)]
    said = says(capsys, [*words, "--share", "1/2"])
    assert "encoders of" in said and "run `imujax pretrain`" in said
    shutil.copytree(done / "encoders", work / "encoders")
    run, said = sweep.run_sweep, []

    def other_share_comes_between(config, *more):
        ended = run(config, *more)
        if not said:
            said.append("")
            cli.run_command([*words, "--share", "2/2"])
            said[0] = capsys.readouterr()
        return ended

    monkeypatch.setattr(sweep, "run_sweep", other_share_comes_between)
    cli.run_command([*words, "--share", "1/2"])
    between, last = said[0], capsys.readouterr()
    assert between.out == "" and "later: share 2 of 2 is done, others are not" in between.err
    assert "force: share" not in between.err and "others are not" not in last.err
    assert "report.html" in last.out
    assert (work / "report" / "figure.png").stat().st_size > 100


def test_a_finished_task_mends_itself_when_one_of_its_files_is_gone(place, done, tmp_path, capsys):
    """Each in turn; what cannot be had from the others is made again, to the same numbers."""
    quick = ("--config.tasks.force.stages=('probe',)", "--config.tasks.force.references=('ridge',)")
    words = ["sweep", *arguments(place, tmp_path, *quick)]
    words += ["--checkpoint", str(done / "encoders" / "small")]
    folder = tmp_path / "tasks" / "force"

    def report():
        cli.run_command(["report", str(tmp_path)])
        return (tmp_path / "report" / "curves.csv").read_bytes()

    cli.run_command(words)
    straight = report()
    names = sorted(path.name for path in folder.iterdir() if path.name != "run.lock")
    assert {"runs.csv", "training.csv", "predictions.npz", "summary.json"} < set(names)
    for name in names:
        (folder / name).unlink()
        if name in ("runs.csv", "predictions.npz", "summary.json"):
            said = says(capsys, ["report", str(tmp_path)])
            assert f"{name} is missing: give `imujax sweep` again" in said
        cli.run_command(words)
        err = capsys.readouterr().err
        lost = name in ("runs.csv", "training.csv", "predictions.npz")
        assert (f"{name} in {folder} is missing or damaged: the task is run again" in err) == lost
        assert report() == straight
    (folder / "predictions.npz").write_bytes(b"PK cut short")
    cli.run_command(words)
    assert report() == straight
    (folder / "settings.json").write_text("{")
    assert f"settings.json is damaged: delete {folder}" in says(capsys, words)


@pytest.fixture(scope="module", params=["average", "probe", "ridge"])
def kept(request, place, done):
    """The folder of a model of each kind, fitted on the people of the study."""
    words = ["fit", *arguments(place, done), "--model", request.param]
    cli.run_command(words)
    folder = done / "models" / "force"
    return request.param, folder.rename(done / "models" / request.param)


def test_a_model_is_kept_and_estimates_new_people(place, done, kept, tmp_path):
    """Its folder alone is enough; the size of a bump is plain to see, within the interval."""
    kind, folder = kept
    moved = shutil.copytree(folder, tmp_path / "model")
    names = {path.name for path in moved.iterdir()}
    assert {"card.json", "weights.safetensors", "README.md"} == names - {"run.lock"}
    assert not [name for name in names if name.endswith((".pkl", ".joblib", ".npy"))]
    kept_model = imujax.load(moved)
    assert len(repr(kept_model).split("\n")) <= 10 and "peak force [N]; impulse [N s]" in repr(
        kept_model
    )
    new = people.write_people(tmp_path / "raw", subjects=18)
    for number in range(6):  # those that it was trained on
        (new / f"P{number:02d}_walk.csv").unlink()
    path = builders.build("tabular", new, tmp_path / "data", card=str(new / "force.toml"))
    data = imujax.read(path)
    made = kept_model.predict(data.acc, data.gyr, data.length)
    truth, within = data.target, (made.low <= data.target) & (data.target <= made.high)
    for column in range(2):
        r = np.corrcoef(truth[:, column], made.estimate[:, column])[0, 1]
        assert r > (0.85 if kind == "probe" else 0.9)
        assert within[:, column].mean() > 0.7
    assert made.units == ("N", "N s") and made.level == pytest.approx(
        6 / 7
    )  # of six people no more
    assert not made.is_unlike.mean() > 0.2
    table = made.table()
    assert list(table.columns) == ["target", "estimate", "low", "high", "unit", "is_unlike"]
    own = table[table["target"] == "impulse"]["estimate"].to_numpy()
    np.testing.assert_array_equal(own, made.estimate[:, 1])
    again = imujax.load(moved).predict(data.acc, data.gyr, data.length)
    np.testing.assert_array_equal(again.estimate, made.estimate)
    assert kept_model.predict(data.acc[:5], data.gyr[:5] + 9).is_unlike.all()
    with pytest.raises(UserError, match="has 2 sensors, and the model was trained on 1: shank"):
        kept_model.predict(*(np.repeat(x, 2, axis=2) for x in (data.acc, data.gyr)))


def without_force(raw):
    """The recordings of tomorrow: no force plate."""
    for file in raw.glob("*.csv"):
        lines = file.read_text().splitlines()
        file.write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")


def test_a_model_estimates_recordings_by_the_sensors_part_of_their_card(kept, tmp_path, capsys):
    """The same numbers at the same events as those of windows that a builder has cut."""
    _, folder = kept
    raw = people.write_people(tmp_path / "raw", subjects=3, seconds=20)
    path = builders.build("tabular", raw, tmp_path / "data", card=str(raw / "force.toml"))
    data = imujax.read(path)
    expected = imujax.load(folder).predict(data.acc, data.gyr, data.length)
    events = tmp_path / "events.csv"
    rows = [
        f"{s},{r},{start + 0.08:.4f}"  # the card has eight samples before an event
        for s, r, start in zip(data.subject, data.recording, data.start, strict=True)
    ]
    events.write_text("\n".join(["subject,recording,time", *rows, "P00,walk,19.95"]))
    without_force(raw)
    out = tmp_path / "new" / "estimates.csv"
    words = ["predict", folder, "--card", raw / "force.toml", "--out", out]
    cli.run_command([str(w) for w in (*words, "--events", events, "--plot", tmp_path / "plots")])
    with out.open() as file:
        table = list(csv.DictReader(file))
    assert [row["subject"] for row in table] == data.subject.repeat(2).tolist()
    assert [row["target"] for row in table] == ["peak force", "impulse"] * len(data.subject)
    for name in ("estimate", "low", "high"):
        numbers = [float(row[name]) for row in table]
        np.testing.assert_allclose(numbers, getattr(expected, name).ravel(), rtol=1e-5, atol=1e-3)
    assert {(row["target"], row["unit"]) for row in table} == {
        ("peak force", "N"),
        ("impulse", "N s"),
    }
    assert len(list((tmp_path / "plots").glob("P0*_walk.png"))) == 3
    assert f"{len(rows)} windows of 3 recordings" in capsys.readouterr().err
    one = [raw / "P01_walk.csv", "--stride", "0.5", "--out", tmp_path / "one.parquet"]
    cli.run_command([str(w) for w in (*words[:2], *one[:1], *words[2:4], *one[1:])])
    table = parquet.read_table(tmp_path / "one.parquet").to_pydict()
    assert set(table["subject"]) == {"P01"} and np.allclose(np.diff(table["time"][::2]), 0.5)


PEAKS = """
[events]
sensor = "shank"
peaks = "acc"
band = [0.5, 15]
prominence = 2.0
distance = 0.4
"""


def test_windows_lie_where_the_card_of_tomorrow_finds_peaks(kept, tmp_path):
    """A card of sensors and [events] alone: no force, no window; the bumps come each second."""
    _, folder = kept
    raw = people.write_people(tmp_path / "raw", subjects=2, seconds=20)
    without_force(raw)
    card = raw / "new.toml"
    card.write_text((raw / "force.toml").read_text().partition("[events]")[0] + PEAKS)
    out = tmp_path / "estimates.csv"
    cli.run_command(["predict", str(folder), "--card", str(card), "--out", str(out)])
    with out.open() as file:
        table = list(csv.DictReader(file))
    times = np.array([float(row["time"]) for row in table if row["target"] == "impulse"])
    assert len(times) > 0.9 * 2 * 20
    np.testing.assert_allclose(times % 1, 0.5, atol=0.05)
    model = imujax.load(folder)
    recordings = list(imujax.read_recordings(card, with_events=True))
    made = [model.predict(recording) for recording in recordings]
    np.testing.assert_allclose(np.concatenate([one.time for one in made]), times)
    estimates = np.array([float(row["estimate"]) for row in table]).reshape(-1, 2)
    np.testing.assert_allclose(np.concatenate([one.estimate for one in made]), estimates)
    assert "time" in made[0].table()
    none = model.predict(recordings[0], events={})
    assert len(none.estimate) == len(none.time) == 0
    for wrong in ({"stride": 1.0, "contacts": "foot:shank"}, {"strid": 1.0}, {"gyr": made}):
        with pytest.raises(UserError, match="takes windows of acc and gyr, or a recording"):
            model.predict(recordings[0], **wrong)
    with pytest.raises(UserError, match="takes windows of acc and gyr, or a recording"):
        model.predict(recordings[0].acc)


def test_what_a_model_cannot_estimate_is_one_sentence(kept, tmp_path, capsys):
    _, folder = kept
    raw = people.write_people(tmp_path / "raw", subjects=1, seconds=20)
    card, out = raw / "force.toml", tmp_path / "out.csv"

    def says_so(*more, files=(), card=card, out=out):
        return says(capsys, ["predict", folder, *files, "--card", card, "--out", out, *more])

    assert "say once where windows lie" in says_so("--stride", "1", "--contacts", "foot:shank")
    bare = raw / "bare.toml"
    bare.write_text(card.read_text().partition("[events]")[0])
    assert "at a stride in s, or by [events] in the card" in says_so(card=bare)
    alone = raw / "alone.toml"
    alone.write_text(bare.read_text() + PEAKS.replace('"shank"', '"shin"'))
    assert '"events.sensor" is \'shin\'; did you mean "shank"' in says_so(card=alone)
    without_force(raw)
    assert 'no column "force"' in says_so()
    assert "written as .csv or .parquet" in says_so("--stride", "1", out=tmp_path / "x.xlsx")
    assert "must be UNIT:SENSOR" in says_so("--contacts", "hand:shank")
    assert "must be UNIT:SENSOR" in says_so("--contacts", "foot:hip")
    for stride in ("0.001", "inf", "-1"):
        assert "it must be a sample or longer" in says_so("--stride", stride)
    other = tmp_path / "other.csv"
    other.write_text("who,when\nP00,1\n")
    assert "need the columns subject, recording and time" in says_so("--events", other)
    other.write_text("subject,recording,time\nP00,walk,19.99\n")
    assert "of 0.32 s lies in these 1 recordings: 1 events lie too near" in says_so(
        "--events", other
    )
    inside = raw / "out.csv"
    assert f"{inside}: the card would take it for a recording" in says_so(
        "--stride", "1", out=inside
    )
    other.write_text("subject,recording,time\nP0,walk,5\n")
    said = says_so("--events", other)
    assert "the events are of subject P0, recording walk, and the first recording is walk" in said
    other.write_text("subject,recording,time\nP00,walk,nan\n")
    assert "a time is no number" in says_so("--events", other)
    assert f"{other} is read here" in says_so("--events", other, out=other)
    assert "is read here" in says_so("--stride", "1", out=raw / "P00_walk.csv")
    stranger = tmp_path / "P09_walk.csv"
    stranger.write_text("a")
    assert f"{stranger}: the card {card} takes" in says_so("--stride", "1", files=[stranger])
    hip = raw / "hip.toml"
    hip.write_text(card.read_text().replace("[sensors.shank]", "[sensors.hip]"))
    assert "sees the sensors shank, and there are hip" in says_so("--stride", "1", card=hip)
    rows = (raw / "P00_walk.csv").read_text().splitlines()
    short = tmp_path / "short" / "P00_walk.csv"
    short.parent.mkdir()
    short.write_text("\n".join(rows[:31]))
    words = ("--stride", "1", "--raw", short.parent)
    assert "no window of 0.32 s lies in these 1 recordings: none of them" in says_so(*words)
    of_g = raw / "g.toml"
    of_g.write_text(card.read_text().replace('acc = "m/s^2"', 'acc = "g"'))
    assert "the accelerometer reads 109 m/s^2 over a second" in says_so("--stride", "1", card=of_g)
    gap = list(rows)
    gap[300:400] = [",,,,," for _ in range(100)]
    short.write_text("\n".join(gap))
    assert f"{short}: 100 values in a row are missing from 2.99 s on" in says_so(*words)
    assert not out.exists()
    turned = raw / "turned.toml"
    frame = "frame = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]\n"
    turned.write_text(card.read_text().replace("[events]", frame + "[events]"))
    said = says_so("--stride", "1", card=turned)
    assert "sensor shank lies turned by" in said and "turn its axes by frame in the card" in said
    slow = raw / "slow.toml"
    slow.write_text(card.read_text().replace("rate = 100\n[units]", "rate = 50\n[units]"))
    assert "was recorded at 50 Hz, and the model sees 100 Hz" in says_so("--stride", "1", card=slow)
    assert not out.exists()


def test_a_card_holds_what_the_sweep_has_measured(done, kept):
    kind, folder = kept
    card = json.loads((folder / "card.json").read_text())
    found = tables.load_sweep(done / "tasks" / "force")
    arm, stage = {"probe": ("pretrained", "probe")}.get(kind, ("ridge", "reference"))
    runs = found.runs
    full = (runs["arm"] == arm) & (runs["stage"] == stage) & (runs["fraction"] == 1)
    full &= runs["axis"] == "windows"
    if kind != "average":
        assert full.sum() == 6  # three folds, two draws
        by_draw = []
        for draw in (0, 1):
            chosen = runs["run"][full & (runs["draw"] == draw)]
            rows = np.isin(found.predictions["run"], chosen)
            order = np.argsort(found.predictions["index"][rows])
            by_draw.append(found.predictions["estimate"][rows][order].astype(float))
        subject, truth = (found.predictions[k][rows][order] for k in ("subject", "truth"))
        error = np.mean(by_draw, axis=0) - truth
        rmse = [np.sqrt(np.mean(error[subject == s] ** 2)) for s in np.unique(subject)]
        assert card["targets"][0]["metrics"]["rmse"] == pytest.approx(np.mean(rmse), rel=1e-6)
    assert card["interval"]["people"] == 6 and card["interval"]["asked"] == 0.9
    assert set(card["candidates"]) == {"finetuned", "probe", "ridge", "average"}
    page = (folder / "README.md").read_text()
    assert "6 people can promise 86 %" in page and "{" not in page.replace("{samples}", "")
    assert "P00" not in page and "P00" not in (folder / "card.json").read_text()


def test_the_intervals_of_every_candidate_are_printed(done, capsys):
    """By the script whose numbers stand in the documents."""
    place = pathlib.Path(__file__).parents[1] / "launch" / "intervals.py"
    script = importlib.util.module_from_spec(
        spec := importlib.util.spec_from_file_location("launch_intervals", place)
    )
    spec.loader.exec_module(script)
    script.print_table(done / "tasks" / "force", 0.9)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "force, 6 people, 90 % asked"
    assert lines[::6] == ["peak force [N]", "impulse [N s]"]
    words = [row.split() for row in lines[2:6] + lines[8:]]
    assert {row[0] for row in words} == {"finetuned", "probe", "ridge", "average"}
    assert {row[2] for row in words} == {"85.7"}
    assert all(float(row[3]) > 0 and 50 < float(row[4]) <= 100 for row in words)


def change_a_byte(file):
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)


def without_interval(file):
    card = json.loads(file.read_text())
    file.write_text(json.dumps({key: card[key] for key in card if key != "interval"}))


def test_a_damaged_model_is_named(kept, tmp_path, capsys):
    _, folder = kept
    for name, damage, sentence in (
        ("weights.safetensors", lambda file: file.unlink(), "is missing: copy the folder"),
        ("weights.safetensors", lambda file: file.write_bytes(b"123"), "is damaged"),
        ("weights.safetensors", change_a_byte, "weights.safetensors has changed since it was"),
        ("card.json", lambda file: file.write_text("{"), "is damaged"),
        ("card.json", without_interval, "card.json lacks interval"),
        ("card.json", lambda file: file.write_text('{"version": 1}'), "an older imujax"),
        ("card.json", lambda file: file.write_text('{"version": 3, "parts": []}'), "is damaged"),
        ("card.json", lambda file: file.write_text('{"version": 99}'), "a newer imujax"),
    ):
        copy = shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True)
        damage(copy / name)
        with pytest.raises(UserError, match=sentence):
            imujax.load(copy)


def test_mistakes_of_a_fit_are_one_sentence(place, done, capsys):
    at = arguments(place, done)
    said = says(capsys, ["fit", *at, "--model", "forest"])
    assert "no model 'forest'" in said and "there are best, finetuned, probe, ridge" in said
    said = says(capsys, ["fit", *at, "--config.tasks.force.passes=9.0"])
    assert "holds a run with passes=8.0 but the configuration says 9.0" in said
    said = says(capsys, ["fit", *at, "--arm", "pretraind"])
    assert "--arm names 'pretraind': there are pretrained, random" in said
    said = says(capsys, ["fit", *at, "--level", "90"])
    assert "--level is 90, but must lie between 0 and 1" in said
    assert not (done / "models" / "force").exists()


def test_a_model_without_a_sweep_holds_people_out_itself(place, done, tmp_path, capsys):
    words = ["fit", *arguments(place, tmp_path, "--model", "probe")]
    cli.run_command([*words, "--checkpoint", str(done / "encoders" / "small")])
    card = imujax.load(tmp_path / "models" / "force").card
    assert set(card["candidates"]) == {"probe"} and card["model"].startswith("probe")
    said, held = capsys.readouterr().err, card["targets"][0]["coverage"]["mean"]
    assert "promises 86% of the windows of a new person (90% asked, 6 people)" in said
    assert f"within which {held:.0%} (" in said
    assert card["targets"][0]["metrics"]["r"] > 0.8


def test_classes_go_from_windows_to_their_confusion(place, done, tmp_path, monkeypatch, capsys):
    """Bumps that are small, middle or large, as words; nothing else of the data set is known."""
    real = datasets.read

    def read(path, **options):
        data = real(path, **options)
        words = np.array(["small", "middle", "large"])[np.digitize(data.target[:, 0], (200, 300))]
        return dataclasses.replace(data, activity=words)

    monkeypatch.setattr(datasets, "read", read)
    changes = {"targets": ("activity",), "references": ("logistic",), "draws": 1}
    words = [f"--config.tasks.force.{name}={value}" for name, value in changes.items()]
    words += ["--config.tasks.force.select.draws=1"]
    words += ["--checkpoint", str(done / "encoders" / "small")]
    cli.run_command(["sweep", *arguments(place, tmp_path, *words)])
    found = tables.load_sweep(tmp_path / "tasks" / "force")
    assert found.target["classes"] == ["large", "middle", "small"]
    np.testing.assert_allclose(found.predictions["estimate"].sum(axis=1), 1, atol=1e-5)
    whole = found.runs["run"][found.runs["fraction"] == 1.0]
    scores = [row["balanced_accuracy"] for row in found.scores if row["run"] in whole]
    assert np.mean(scores) > 0.75
    cli.run_command(["report", str(tmp_path)])
    assert (tmp_path / "report" / "agreement_1.png").stat().st_size > 1000
    capsys.readouterr()
    cli.run_command(["fit", *arguments(place, tmp_path, *words), "--model", "average"])
    said = capsys.readouterr().err
    assert "fine-tuned network, arm pretrained and logistic; activity: of people held out" in said
    assert "a set promises 86% of the windows of a new person (90% asked, 6 people)" in said
    check_model_of_classes(tmp_path / "models" / "force", tmp_path, capsys)


def check_model_of_classes(folder, place, capsys):
    """Its card and page, and its estimates of new people, in Python and as a table."""
    card, page = json.loads((folder / "card.json").read_text()), (folder / "README.md").read_text()
    (target,) = card["targets"]
    assert card["version"] == 3 and sum(target["windows"]) == card["trained_on"]["examples"]
    assert set(card["candidates"]) == {"finetuned", "probe", "logistic", "average"}
    assert card["candidates"]["average"] == [target["metrics"]["balanced_accuracy"]]
    assert "**activity: large, middle, small**" in page and "6 people can promise 86 %" in page
    best = max(card["candidates"], key=lambda name: card["candidates"][name])
    assert f"Balanced accuracy of what there was to choose from: {best} " in page
    for fault in ("{", "}", "[]", "RMSE", "P00"):
        assert fault not in page
    model = imujax.load(folder)
    assert "activity: large, middle, small" in repr(model) and len(repr(model).split("\n")) <= 10
    raw = people.write_people(place / "raw", subjects=9, seconds=20)
    for number in range(6):  # those that it was trained on
        (raw / f"P{number:02d}_walk.csv").unlink()
    out = place / "classes.csv"
    words = ["predict", folder, "--card", raw / "force.toml", "--out", out]
    cli.run_command([str(word) for word in (*words, "--plot", place / "plots")])
    assert "windows of 3 recordings" in capsys.readouterr().err
    assert len(list((place / "plots").glob("P0*_walk.png"))) == 3
    recordings = list(imujax.read_recordings(raw / "force.toml", with_events=True))
    made = [model.predict(recording) for recording in recordings]
    with out.open(newline="") as file:
        table = list(csv.DictReader(file))
    classes = ["large", "middle", "small"]
    assert list(table[0]) == [
        *("subject", "recording", "time", "target", "estimate", "probability", "set"),
        *("p_large", "p_middle", "p_small", "unlike"),
    ]
    p = np.array([[float(row[f"p_{word}"]) for word in classes] for row in table])
    np.testing.assert_allclose(p, np.concatenate([one.probability for one in made]), atol=1e-6)
    for row, probability in zip(table, p, strict=True):
        assert row["estimate"] == classes[int(probability.argmax())] in row["set"].split("|")
        assert float(row["probability"]) == probability.max()
        held = {
            word for word, one in zip(classes, probability, strict=True) if one >= target["least"]
        }
        assert held | {row["estimate"]} == set(row["set"].split("|"))
    data = imujax.read(builders.build("tabular", raw, place / "data", card=str(raw / "force.toml")))
    found = model.predict(data.acc, data.gyr, data.length)
    is_right = found.estimate == data.activity
    is_held = [word in held for word, held in zip(data.activity, found.sets, strict=True)]
    assert is_right.mean() > 0.7 and np.mean(is_held) > 0.75
    none = model.predict(recordings[0], events={})
    assert none.probability.shape == (0, 3) and len(none.table()) == len(none.sets) == 0


def test_a_sweep_that_has_lost_its_parts_begins_again(place, done, tmp_path, monkeypatch):
    words = ["sweep", *arguments(place, tmp_path, "--checkpoint", str(done / "encoders" / "small"))]
    words += [
        "--config.tasks.force.stages=('probe',)",
        "--config.tasks.force.references=('ridge',)",
    ]
    real = files.save_arrays

    def stops(path, arrays, **options):
        real(path, arrays, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "save_arrays", stops)
    with pytest.raises(KeyboardInterrupt):
        cli.run_command(words)
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "tasks" / "force" / "parts")
    cli.run_command(words)
    assert tables.load_sweep(tmp_path / "tasks" / "force").summary["subjects"] == 6


def test_the_report_covers_the_tasks_that_the_configuration_names(place, done, tmp_path, capsys):
    """A task that has been renamed leaves its folder behind, but not its numbers."""
    quick = ["--config.tasks.force.stages=('probe',)", "--config.tasks.force.references=('ridge',)"]
    checkpoint = ["--checkpoint", str(done / "encoders" / "small")]
    cli.run_command(["sweep", *arguments(place, tmp_path, *checkpoint, *quick)])
    text = place["config"].read_text().replace('"force": common.task(', '"push": common.task(')
    renamed = tmp_path / "renamed.py"
    renamed.write_text(text)
    words = [
        word.replace(str(place["config"]), str(renamed)) for word in arguments(place, tmp_path)
    ]
    quick = [word.replace("tasks.force", "tasks.push") for word in quick]
    cli.run_command(["sweep", *words, *checkpoint, *quick])
    cli.run_command(["report", str(tmp_path)])
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    told = [(task["task"], task["target"]) for task in numbers["tasks"]]
    assert told == [("push", "peak force"), ("push", "impulse")]
    assert (tmp_path / "tasks" / "force").is_dir() and numbers["missing"] == []
    config = tmp_path / "config.json"
    kept = json.loads(config.read_text())
    kept["tasks"]["pull"] = {}
    config.write_text(json.dumps(kept))
    cli.run_command(["report", str(tmp_path)])
    assert "not yet run: pull" in (tmp_path / "report" / "report.html").read_text()


def test_a_checkpoint_opens_in_three_lines_in_a_process_of_its_own(done):
    code = (
        "import imujax, numpy as np\n"
        f"encoder = imujax.load({str(done / 'encoders' / 'small')!r})\n"
        "print(encoder.embed(np.full((5, 32, 3), 5.6), np.zeros((5, 32, 3))).shape, encoder.rate)"
    )
    alone = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}  # one device
    said = subprocess.run([sys.executable, "-c", code], env=alone, capture_output=True, text=True)
    assert said.stdout == "(5, 32) 100.0\n", said.stderr


def test_an_encoder_says_what_it_is_in_ten_lines(done):
    trained = encoder.load(done / "encoders" / "small")
    said = repr(trained).split("\n")
    assert len(said) <= 10 and max(map(len, said)) < 100 and str(trained) == repr(trained)
    count = sum(leaf.size for leaf in jax.tree.leaves(trained.params))
    found, among = (trained.card["retrieval"][key] for key in ("found", "among"))
    assert 0 < found < 1 and among == 64  # the batch
    assert said == [
        "imujax encoder",
        "  network: resnet basic 1-1 width 8 norm none",
        f"  parameters: {count:,}",
        "  input: 32 samples at 100 Hz",
        "  sensors: shank",
        "  trained on: tabular/moves_" + said[5].partition("moves_")[2],
        "  steps: 30 of 30",
        f"  retrieval: {100 * found:.0f} % among 64 windows, chance 1.6 %",
    ]


def walking(count=6, samples=32, seed=0):
    """Windows [N, T, 3] of a unit that swings about, in m/s^2 and rad/s; gravity turns with it."""
    rng, t = np.random.default_rng(seed), np.arange(samples) / 100
    angle = 0.3 * np.sin(2 * np.pi * t + rng.uniform(0, 6, (count, 1)))
    rate = np.gradient(angle, 0.01, axis=1)
    acc = 9.81 * np.stack([np.sin(angle), np.cos(angle), 0 * angle], axis=-1)
    gyr = np.stack([0 * rate, 0 * rate, rate], axis=-1)
    return acc + rng.normal(0, 0.3, acc.shape), gyr + rng.normal(0, 0.1, gyr.shape)


def test_an_embedding_scales_si_units(done):
    trained = encoder.load(done / "encoders" / "small")
    assert 5 < trained.card["scales"]["acc"]["sd"] < 9 and trained.card["sensors"] == ["shank"]
    acc, gyr = walking()
    h = trained.embed(acc, gyr)
    assert h.shape == (6, 32) and np.isfinite(h).all()
    np.testing.assert_array_equal(h, trained.embed(acc[:, :, None], gyr[:, :, None]))
    np.testing.assert_array_equal(h, trained.features(*np.float32([acc, gyr])[..., None, :]))


def test_what_lies_beyond_a_window_is_not_embedded(done):
    trained = encoder.load(done / "encoders" / "small")
    acc, gyr = walking()
    length = np.array([32, 20, 32, 25, 31, 32])
    h = trained.embed(acc, gyr, length)
    for n, end in enumerate(length):
        acc[n, end:], gyr[n, end:] = np.nan, 1e30
    np.testing.assert_array_equal(h, trained.embed(acc, gyr, length))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda a, g: (a[..., :2], g[..., :2]), r"must both be \[windows, samples, sensors, 3\]"),
        (lambda a, g: (a, g[:3]), "must both be"),
        (lambda a, g: (a[:0], g[:0]), "must both be"),
        (lambda a, g: (a / 9.81, g), r"acc reads (1|0\.9).*is it in g\?"),
        (lambda a, g: (a * 1000, g), "acc reads .*in another unit"),
        (lambda a, g: (a - a.mean(axis=1, keepdims=True), g), "acc reads .*without gravity"),
        (lambda a, g: (a, g * 57.3), r"gyr reads .*is it in deg/s\?"),
        (lambda a, g: (g, a), "seem to be exchanged"),
        (lambda a, g: (a[0][:, None], g[0][:, None]), "windows of 1 samples"),
        (lambda a, g: (a[:, :7], g[:, :7]), "windows of 7 samples.* 0.32 s, 32 samples at 100 Hz"),
        (lambda a, g: (np.where(a == a[2, 7, 1], np.nan, a), g), "acc is not .* 7 of window 2"),
        (lambda a, g: (a, g, [32, 32]), "length must be a whole number from 1 to 32"),
        (lambda a, g: (a, g, [0.5] * 6), "length must be a whole number"),
    ],
)
def test_what_cannot_be_embedded_is_one_sentence(done, change, sentence):
    trained = encoder.load(done / "encoders" / "small")
    acc, gyr = walking()
    with pytest.raises(UserError, match=sentence) as error:
        trained.embed(*change(acc, gyr))
    assert "\n" not in str(error.value)


def test_windows_of_a_second_are_turned_back_before_they_are_embedded():
    """What a mean over the window does not show: rad/s that are said to be deg/s."""
    card = {"rate": 100.0, "window": 128}
    acc, gyr = walking(40, 128)
    inputs.check(acc, gyr, None, card)
    with pytest.raises(UserError, match="sensor 0: turned back by its gyroscope"):
        inputs.check(acc, gyr * 9, None, card)


def says(capsys, words) -> str:
    """Run a command that must end in one sentence and exit status 2; the sentence."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(sys, "argv", ["imujax", *map(str, words)])
        cli.main()
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert stopped.value.code == 2 and said.startswith("imujax: ") and "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("changes", "says_so"),
    [
        (["tasks.force.folds=7"], "7 folds need at least 7 subjects, there are 6"),
        (["tasks.force.sensors=('hip',)"], "tasks.force.sensors names 'hip': there are shank"),
        (["encoders.small.sensors=('hip',)"], "encoders.small.sensors names 'hip'"),
        (["encoders.small.rate=200.0"], "data set moves holds data at 100 Hz"),
        (["encoders.small.window=65"], "data set moves holds windows of 64 samples"),
        (["encoders.small.batch=100000"], "encoders.small.batch is 100000, but moves have"),
        (["encoders.small.monitor=0.9"], "would hold out all 5 subjects"),
        (
            ["tasks.force.data=moves"],
            "tasks.force.data, moves, has no target: a task needs a labelled data set",
        ),
        (["encoders.small.data=('force',)"], "was pre-trained on signals of"),
        (["data_sets.force.raw=nobody"], "no folder"),
        (["data_sets.force.options.card=people/farce.toml"], "farce.toml"),
    ],
)
def test_a_mistake_in_a_later_part_is_told_before_the_first_step(
    place, tmp_path, capsys, changes, says_so
):
    words = [f"--config.{change}" for change in changes]
    said = says(capsys, ["study", *arguments(place, tmp_path / "work", *words)])
    assert says_so in said
    assert not (tmp_path / "work" / "encoders").exists()


def test_what_the_labelled_files_lack_is_told_before_anything_is_built(tmp_path, capsys):
    place = people.write_study(tmp_path)
    card = place["raw"] / "people" / "force.toml"
    card.write_text(card.read_text().replace("statistic", "statistics"))
    said = says(capsys, ["study", *arguments(place, tmp_path / "work")])
    assert "statistics" in said and "force.toml" in said
    assert not place["data"].exists()


def test_a_run_that_does_not_fit_the_memory_is_told_before_the_first_step(
    place, done, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(arms, "memory_budget", lambda mesh: 2**10)
    said = says(capsys, ["study", *arguments(place, tmp_path / "work")])
    assert "one run of fine-tuning takes" in said and "lower batch" in said
    assert not (tmp_path / "work" / "encoders").exists()


def test_mistakes_end_in_one_sentence_and_nothing_half_written(place, done, tmp_path, capsys):
    at = lambda *more: arguments(place, tmp_path / "new", *more)  # noqa: E731
    raw, data = place["raw"], tmp_path / "data"
    said = says(capsys, ["build", "sisfall", "--raw", raw / "nowhere", "--data", data])
    assert "no folder" in said and "nowhere" in said
    said = says(capsys, ["build", "sisfal", "--raw", raw, "--data", data])
    assert "no builder 'sisfal'" in said and "sisfall" in said
    said = says(capsys, ["build", "sisfall", "--raw", raw, "--data", data, "--windows", "64"])
    assert "no option 'windows'" in said
    said = says(capsys, ["pretrain", *at("--config.encoders.small.lerning_rate=1")])
    assert "lerning_rate" in said
    said = says(capsys, ["pretrain", *at("--colour", "red")])
    assert "no option '--colour'" in said
    said = says(capsys, ["pretrain", *at()[2:], "--config", tmp_path / "none.py"])
    assert "no configuration" in said and "none.py" in said
    said = says(capsys, ["sweep", *at()])
    assert "holds no checkpoint" in said
    said = says(capsys, ["sweep", *at("--task", "forse")])
    assert "--task names 'forse': there are force" in said
    said = says(capsys, ["report", tmp_path / "new"])
    assert str(tmp_path / "new") in said
    said = says(capsys, ["study", *at("--config.encoders.small.loss=symetric")])
    assert "encoders.small.loss names 'symetric': there are symmetric, one_sided" in said
    said = says(capsys, ["study", *at("--config.tasks.force.arms.random.weights=Random")])
    assert "arms.random.weights names 'Random': there are pretrained, in_domain, random" in said
    said = says(capsys, ["study", *at("--config.tasks.force.references=('tree',)")])
    assert "references names 'tree'" in said
    said = says(capsys, ["study", *at("--config.encoders.small.microbatch=7")])
    assert "cannot be cut into microbatches of 7; take a divisor" in said
    said = says(capsys, ["study", *at("--config.encoders.small.net.norm=bach")])
    assert "encoders.small.net.norm names 'bach': there are batch" in said
    said = says(capsys, ["study", *at("--config.encoders.small.seeds=0")])
    assert "encoders.small.seeds is 0, but must be at least 1" in said
    said = says(capsys, ["study", *at("--config.tasks.force.select.draws=3")])
    assert "tasks.force.select.draws is 3, but must be 1 to 2" in said
    said = says(capsys, ["study", *at("--config.tasks.force.stops=(0.5, 0.8)")])
    assert "tasks.force.stops is (0.5, 0.8): give ascending shares" in said
    said = says(capsys, ["build", "sisfall", "--raw", raw, "--data", data, "--workers", "two"])
    assert "--workers must be a number" in said
    (tmp_path / "file").touch()
    said = says(capsys, ["study", *arguments(place, tmp_path / "file" / "below")])
    assert "file/below" in said
    said = says(
        capsys,
        [
            "sweep",
            *at("--checkpoint", str(done / "encoders/small"), "--config.tasks.force.folds=9"),
        ],
    )
    assert "9 folds need at least 9 subjects, there are 6" in said
    assert not (tmp_path / "new" / "tasks").exists()
    assert not data.exists()


def test_a_checkpoint_that_does_not_fit_the_data_is_told(place, done, tmp_path, capsys):
    sensors = "--config.tasks.force.sensors=('wrist',)"
    checkpoint = ("--checkpoint", str(done / "encoders" / "small"))
    said = says(capsys, ["sweep", *arguments(place, tmp_path, *checkpoint, sensors)])
    assert "has no sensor wrist: there are shank" in said
    card = place["raw"] / "people" / "force.toml"
    text = card.read_text()
    try:
        card.write_text(text.replace("[window]\nrate = 100", "[window]\nrate = 10"))
        elsewhere = place | {"data": tmp_path / "data"}
        said = says(capsys, ["sweep", *arguments(elsewhere, tmp_path, *checkpoint)])
    finally:
        card.write_text(text)
    assert "holds data at 10 Hz, and the encoder sees 100" in said


def test_pre_training_on_the_test_subjects_is_refused(place, done, tmp_path, capsys):
    (place["raw"] / "people" / "moves2.toml").write_text(people.UNLABELLED.replace("moves", "own"))
    moves = "--config.data_sets.moves.raw=people"
    words = arguments(
        place,
        tmp_path,
        moves,
        "--config.data_sets.moves.options.card=people/moves2.toml",
        "--config.encoders.small.steps=1",
    )
    said = says(capsys, ["study", *words])
    assert "encoder small was pre-trained on signals of" in said and "P00" in said
    assert not (tmp_path / "tasks" / "force" / "runs.csv").exists()


def test_an_encoder_that_is_not_trained_to_its_end_is_refused(place, tmp_path, capsys, monkeypatch):
    real = checkpoint.Checkpoints.save

    def killed(self, step, state, card):
        real(self, step, state, card)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.Checkpoints, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        cli.run_command(["pretrain", *arguments(place, tmp_path)])
    monkeypatch.undo()
    said = says(capsys, ["sweep", *arguments(place, tmp_path)])
    assert "encoder small stands at step 10 of 30; finish `imujax pretrain` first" in said


def test_a_built_set_is_found_without_its_card(place, done, tmp_path, monkeypatch):
    words = [word for word in arguments(place, done) if word not in ("--raw", str(place["raw"]))]
    monkeypatch.chdir(tmp_path)
    cli.run_command(["sweep", *words])


def test_compiled_programs_are_kept_between_runs(place, done, tmp_path):
    """The cache is where HOME says, unless the environment names another place or another use."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("JAX_") and k != "XLA_FLAGS"}
    code = (
        "import sys, imujax.cli as c; c.run_command(sys.argv[1:]); import jax;"
        "print(jax.config.jax_compilation_cache_dir)"
    )
    command = [sys.executable, "-c", code, "study", *arguments(place, done)]
    said = subprocess.run(
        command, env=clean | {"HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert said.stdout.splitlines()[-1] == f"{tmp_path}/.cache/imujax/jax", said.stderr


def test_a_workdir_of_other_settings_is_refused(place, done, capsys):
    words = arguments(place, done, "--config.encoders.small.temperature=0.2")
    assert "temperature=0.1 but the configuration says 0.2" in says(capsys, ["study", *words])
    words = arguments(place, done, "--config.tasks.force.passes=9.0")
    assert "passes=8.0 but the configuration says 9.0" in says(capsys, ["study", *words])


def test_help_lists_the_verbs_with_examples_and_needs_no_jax(capsys):
    with pytest.raises(SystemExit):
        cli.run_command(["--help"])
    top = capsys.readouterr().out
    for name, verb in cli.VERBS.items():
        assert name in top
        with pytest.raises(SystemExit):
            cli.run_command([name, "--help"])
        assert verb.example in " ".join(capsys.readouterr().out.split())
    code = "import sys, imujax.cli; imujax.cli.make_parser(); "
    code += "print({'jax', 'numpy'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert said.stdout.strip() == "set()", said.stderr


@pytest.mark.parametrize(
    "name",
    [
        "public",
        "insole",
        "carry_over",
        "alike",
        "pretrain_pod",
        "study_as_published",
        "study_abstract",
        "study_better",
    ],
)
@pytest.mark.parametrize("size", ["full", "cores", "tiny"])
def test_every_configuration_is_whole(name, size):
    if size == "cores" and name in ("alike", "carry_over", "pretrain_pod"):
        size = {"alike": "finetune", "carry_over": "stance_time"}.get(name, "full")
    file = pathlib.Path(__file__).parents[1] / "configs" / f"{name}.py"
    config = cli.load_configuration(f"{file}:{size}", [])
    assert config.to_json() == cli.load_configuration(f"{name}:{size}", []).to_json()
    for spec in config.data_sets.values():
        if spec.builder != "tabular":  # whose card lies with the raw files
            builders.dataset_name(spec.builder, dict(spec.options))
    for spec in config.encoders.values():
        assert set(spec.data) <= set(config.data_sets)
    for spec in config.tasks.values():
        assert spec.data in config.data_sets
        assert {arm.encoder for arm in spec.arms.values()} <= set(config.encoders)
        assert any(arm.weights == "random" for arm in spec.arms.values())
