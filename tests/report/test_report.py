"""The report: what is drawn is what was computed, nothing is cut off, nothing from a file runs."""

import csv
import dataclasses
import html.parser
import json
import re
import shutil

import numpy as np
import pytest
from helpers import fake_sweep
from markupsafe import escape
from matplotlib.collections import PolyCollection

from imujax.configs import published
from imujax.errors import UserError
from imujax.report import (
    figures,
    page,
    page_tables,
    panels,
    report,
    sentences,
    statistics,
    tables,
    task_summary,
)

EVIL = "<script>alert('GRF')</script>"
ARMS = {arm: {"encoder": "e", "weights": arm} for arm in ("pretrained", "random")}
VOID = {"meta", "path", "use", "rect", "img", "stop", "br"}


def curves(gain=0.04, axes=("windows", "subjects")):
    """Curves of two arms, their probes and three references on both axes."""
    random = np.array([0.6, 0.65, 0.69, 0.73, 0.76, 0.78])
    values = {}
    for axis in axes:
        values["random", "finetune", axis] = random
        values["random", "probe", axis] = random - 0.15
        values["pretrained", "finetune", axis] = random + gain
        values["pretrained", "probe", axis] = random - 0.05
    for name, r in (("ridge", 0.7), ("trees", 0.705), ("ridge+embedding", 0.71)):
        values[name, "reference", "windows"] = np.full(6, r)
    return values


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A working directory of two tasks, the second simulated, with names out to do harm."""
    folder = tmp_path_factory.mktemp("work")
    fake_sweep.write_sweep(
        folder / "tasks" / "grf", curves(), title=f"Peak GRF {EVIL}", sensors=[EVIL], dataset=EVIL
    )
    fake_sweep.write_sweep(
        folder / "tasks" / "moment",
        curves(-0.04, ("windows",)),
        n_subjects=8,
        title="Knee moment",
        unit="%BW*BH",
        simulated=True,
        config={"name": EVIL},
    )
    return folder


@pytest.fixture(scope="module")
def written(workdir):
    return report.write_report([workdir])


@pytest.fixture(scope="module")
def tasks(workdir):
    folders = sorted((workdir / "tasks").iterdir())
    return [task_summary.summarise(tables.load_sweep(folder)) for folder in folders]


@pytest.fixture(scope="module")
def text(written):
    return next(path for path in written if path.name == "report.html").read_text("utf-8")


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Files


def test_every_file_is_written_where_it_belongs(workdir, written):
    names = {str(path.relative_to(workdir)) for path in written}
    shown = ["figure.png", "figure.svg", "agreement_1.png", "agreement_2.png", "report.html"]
    shown += ["training_1.png", "training_2.png", "subjects_1.png", "subjects_2.png"]
    shown += ["curves.csv", "differences.csv", "report.json"]
    assert names == {f"report/{name}" for name in shown} | {
        "tasks/grf/scores.csv",
        "tasks/moment/scores.csv",
    }
    assert not list(workdir.rglob("*.part"))


def test_the_same_sweep_gives_the_same_bytes(workdir, written, tmp_path):
    again = report.write_report([workdir], tmp_path / "again")
    for first, second in zip(written, again, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_scores_are_recomputed_from_the_predictions(workdir, written):
    rows = rows_of(workdir / "tasks" / "grf" / "scores.csv")
    with np.load(workdir / "tasks" / "grf" / "predictions.npz") as p:
        for row in rows[::97]:
            here = (p["run"] == int(row["run"])) & (p["subject"] == row["subject"])
            truth, estimate = p["truth"][here].astype(float), p["estimate"][here].astype(float)
            assert float(row["r"]) == pytest.approx(np.corrcoef(truth, estimate)[0, 1], abs=1e-7)
            assert float(row["bias"]) == pytest.approx((estimate - truth).mean(), abs=1e-8)
            assert int(row["n"]) == here.sum()


def test_the_tables_hold_the_known_truth(workdir, written):
    rows = [row for row in rows_of(workdir / "report" / "curves.csv") if row["metric"] == "r"]
    for row in rows:
        if row["task"] == "fake" and row["n_subjects"] == "15":
            truth = curves()[row["arm"], row["stage"], row["axis"]]
            i = int(np.argmin(np.abs(np.array(fake_sweep.FRACTIONS) - float(row["fraction"]))))
            assert float(row["mean"]) == pytest.approx(truth[i], abs=1e-6)
    gains = rows_of(workdir / "report" / "differences.csv")
    fine = [float(g["difference"]) for g in gains if g["stage"] == "finetune"]
    assert fine == pytest.approx([0.04] * 12 + [-0.04] * 6, abs=1e-6)


def test_the_numbers_are_plain_json(workdir, written):
    def refuse(name):
        raise ValueError(f"{name} is no JSON")

    text = (workdir / "report" / "report.json").read_text("utf-8")
    content = json.loads(text, parse_constant=refuse)
    assert content["resamples"] == statistics.RESAMPLES and content["bootstrap_seed"] == 0
    grf, moment = content["tasks"]
    assert [c["verdict"]["word"] for c in grf["comparisons"]] == ["helps", "helps"]
    assert [c["verdict"]["word"] for c in moment["comparisons"]] == ["harms"]
    assert moment["simulated"] and moment["comparisons"][0]["reduction"] is None
    assert all(c["reduction"]["is_told"] for c in grf["comparisons"])


def test_nothing_is_written_when_a_task_is_not_whole(workdir, tmp_path):
    shutil.copytree(workdir / "tasks", tmp_path / "tasks")
    for path in tmp_path.rglob("scores.csv"):
        path.unlink()
    (tmp_path / "tasks" / "moment" / "predictions.npz").write_bytes(b"PK")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=r"moment/predictions\.npz cannot be read"):
        report.write_report([tmp_path])
    assert sorted(tmp_path.rglob("*")) == before


def test_mistakes_end_in_one_sentence(workdir, tmp_path):
    with pytest.raises(UserError, match="holds no task"):
        report.write_report([tmp_path])
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        report.write_report([workdir], tmp_path / "taken")


# Page


class Balance(html.parser.HTMLParser):
    """Finds tags that are not closed in order, and every attribute that could fetch or run."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.fetched = [], set(), []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href"):
                self.fetched.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, tag


def test_the_page_is_one_file_that_runs_and_fetches_nothing(text):
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert not parser.tags & {"script", "iframe", "object", "link", "form"}
    assert all(f.startswith(("#", "data:image/png;base64,")) for f in parser.fetched)
    assert "://" not in text and "@import" not in text


def test_names_from_files_are_escaped(text, workdir):
    assert EVIL not in text and "&lt;script&gt;" in text
    assert EVIL not in (workdir / "report" / "figure.svg").read_text("utf-8")


def test_the_page_says_what_was_found(text, tasks):
    for task in tasks:
        for comparison in task.comparisons:
            for sentence in filter(None, (comparison.verdict, comparison.reduction)):
                assert escape(page.keep_together(sentence["sentence"])) in text
    assert "<dt>versions</dt><dd>imujax 0.1.0, jax 0.10.2</dd>" in text
    assert 'class="helps"' in text and 'class="harms"' in text
    assert text.count("SIMULATED DATA") == 2  # its answer and its section
    reference = task_summary.reference_sentence(tasks[0], "pretrained")
    assert escape(page.keep_together(reference)) in text


def test_what_cannot_be_scored_is_said(tmp_path):
    fake_sweep.write_sweep(tmp_path / "tasks" / "t", curves(axes=("windows",)), n_subjects=6)
    path = tmp_path / "tasks" / "t" / "predictions.npz"
    with np.load(path) as file:
        arrays = dict(file)
    arrays["truth"][arrays["subject"] == "S01"] = 1.0
    lost = arrays["subject"] == "S02"
    arrays["estimate"][lost & (arrays["run"] == arrays["run"][lost][0])] = np.nan
    np.savez(path, **arrays)
    task = task_summary.summarise(tables.load_sweep(path.parent))
    assert len(task.faults) == 2
    assert "1 subjects (S01)" in task.faults[0] and "not finite" in task.faults[1]
    text = report.write_report([tmp_path])[-1].parent.joinpath("report.html").read_text("utf-8")
    assert escape(task.faults[1]) in text


def test_the_published_curve_stands_beside_ours(tmp_path):
    """Ours is made .01 above the published curve of the pre-trained arm, on it for the other."""
    arms = fake_sweep.PUBLISHED["loading_rate"]
    curves_here = {
        ("pretrained", "finetune", "windows"): np.array(arms[0]) + 0.01,
        ("random", "finetune", "windows"): np.array(arms[1]),
    }
    config = {"published": published.curve_config("loading_rate"), "arms": ARMS}
    fake_sweep.write_sweep(tmp_path / "tasks" / "t", curves_here, config=config, spread=0.01)
    report.write_report([tmp_path])
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())["tasks"][0]
    points = {(row["arm"], row["fraction"]): row for row in numbers["published"]}
    assert len(points) == 12
    for (arm, _), row in points.items():
        assert row["difference"] == pytest.approx(0.01 if arm == "pretrained" else 0, abs=2e-6)
        assert row["low"] < row["here"] < row["high"]
    text = (tmp_path / "report" / "report.html").read_text("utf-8")
    row = "<td>pretrained minus random</td><td>published</td>"
    cells = text[text.index(row) :].split("</tr>")[0].removeprefix(row)
    assert re.findall(r">(0\.\d+)<", cells) == [
        "0.094",
        "0.083",
        "0.074",
        "0.051",
        "0.032",
        "0.033",
    ]
    assert "the abstract says: 90\u00a0% fewer windows, without an interval" in text
    line = [artist for artist in drawn(tmp_path).axes[0].lines if artist.get_marker() == "x"]
    assert [list(artist.get_ydata()) for artist in line] == [list(arm) for arm in arms]


def test_points_that_were_not_published_are_left_out(tmp_path):
    """A curve at other fractions: no number is put where there is none."""
    curves_here = {("pretrained", "finetune", "windows"): np.linspace(0.5, 0.7, 6)}
    curve = {
        "source": "A",
        "fractions": [0.02, 0.16, 1.0],
        "arms": {"pretrained": [0.1, 0.2, 0.3]},
        "reduction": 0.5,
    }
    fake_sweep.write_sweep(tmp_path / "tasks" / "t", curves_here, config={"published": curve})
    report.write_report([tmp_path])
    rows = json.loads((tmp_path / "report" / "report.json").read_text())["tasks"][0]["published"]
    assert [row["here"] and round(row["here"], 3) for row in rows] == [None, 0.54, 0.7]
    assert rows[0]["difference"] is None


def drawn(workdir):
    folders = sorted((workdir / "tasks").iterdir())
    return figures.curves_figure(
        [task_summary.summarise(tables.load_sweep(folder)) for folder in folders]
    )


def test_one_arm_alone_is_reported_without_a_verdict(tmp_path):
    one_arm = {("pretrained", "finetune", "windows"): np.linspace(0.5, 0.7, 6)}
    fake_sweep.write_sweep(tmp_path / "tasks" / "t", one_arm, n_subjects=5)
    report.write_report([tmp_path], tmp_path / "out")
    assert "no arm of random weights" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "differences.csv").read_text() == ""


def test_where_nothing_is_fine_tuned_the_frozen_probes_are_compared(tmp_path):
    """Their gain, known beforehand, is in the verdict, and their bands are drawn."""
    probes = {key: r for key, r in curves(axes=("windows",)).items() if key[1] != "finetune"}
    config = {"arms": ARMS, "stages": ("probe",)}
    fake_sweep.write_sweep(tmp_path / "tasks" / "t", probes, spread=0.01, config=config)
    written = report.write_report([tmp_path])
    task = task_summary.summarise(tables.load_sweep(tmp_path / "tasks" / "t"))
    assert (task.stage, task.arms, task.training) == ("probe", ("pretrained", "random"), [])
    (comparison,) = task.comparisons
    assert comparison.overall["difference"] == pytest.approx(0.1, abs=1e-6)
    assert comparison.verdict["word"] == "helps" and comparison.fifth is None
    assert "r of the frozen probes over all fractions +0.100" in comparison.verdict["sentence"]
    assert comparison.reduction["stage"] == "probe" and comparison.reduction["is_told"]
    assert set(task.added_values) == set(task.conditions) == set(task.arms)
    upper = figures.curves_figure([task]).axes[0]
    assert len([one for one in upper.collections if isinstance(one, PolyCollection)]) == 2
    assert {path.name for path in written} >= {"report.html", "agreement_1.png"}


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0004, "0.000"), (-0.0126, "\u22120.013"), (float("nan"), "\u2013"), (None, "\u2013")],
)
def test_numbers_in_the_tables(value, text):
    assert page_tables.format_number(value) == text


def test_cells_are_set_right_and_escaped(tmp_path):
    curve = {("<b>", "finetune", "windows"): [0.9] * 6}
    fake_sweep.write_sweep(tmp_path / "tasks" / "t", curve, n_subjects=5)
    report.write_report([tmp_path])
    text = (tmp_path / "report" / "report.html").read_text("utf-8")
    row = "<td>&lt;b&gt;</td><td>fine-tuned</td>"
    assert "<b>" not in text and row in text
    cell = text[text.index(row) :].removeprefix(row).split("</td>")[0]
    assert re.fullmatch(r'<td class="n">0\.900<small>0\.\d+ to 0\.\d+</small>', cell)


# Figure


def axes_by_panel(figure):
    """(upper, lower) axes of every panel."""
    return list(zip(figure.axes[::2], figure.axes[1::2], strict=True))


def test_what_is_drawn_is_what_was_computed(tasks):
    figure = figures.curves_figure(tasks)
    shown = [(tasks[0], "windows"), (tasks[1], "windows"), (tasks[0], "subjects")]
    assert len(axes_by_panel(figure)) == 3
    for (upper, lower), (task, axis) in zip(axes_by_panel(figure), shown, strict=True):
        drawn = {tuple(np.round(line.get_ydata(), 9)) for line in upper.lines}
        low, high = upper.get_ylim()
        for arm, stage in (("random", "probe"), ("pretrained", "finetune")):
            rows = task.curve(arm, stage, axis)
            assert tuple(np.round([row["mean"] for row in rows], 9)) in drawn
            bounds = [row[key] for row in rows for key in ("low", "mean", "high")]
            assert stage == "probe" or (low < min(bounds) and max(bounds) < high)
        assert [tick.get_text() for tick in lower.get_xticklabels()] == [
            "10 %",
            "16 %",
            "25 %",
            "40 %",
            "63 %",
            "100 %",
        ]
        points = [c.lines[0].get_ydata() for c in lower.containers]
        gains = [
            [g["difference"] for g in task.comparisons[0].differences if g["stage"] == stage]
            for stage in ("finetune", "probe")
        ]
        if axis == "windows":
            np.testing.assert_allclose(points, gains)


def test_simulated_data_are_stamped(tasks):
    stamped = [
        any(t.get_text() == "SIMULATED DATA" for t in upper.texts)
        for upper, _ in axes_by_panel(figures.curves_figure(tasks))
    ]
    assert stamped == [False, True, False]


def test_a_few_sensors_are_named_above_the_panel_and_many_counted(tasks):
    names = ("trunk", "pelvis", "thigh_r", "shank_r", "foot_r", "thigh_l", "shank_l", "foot_l")
    for sensors, says in ((names[:3], "trunk, pelvis, thigh_r"), (names, "8 sensors")):
        task = dataclasses.replace(tasks[1], sensors=sensors)
        upper = axes_by_panel(figures.curves_figure([task]))[0][0]
        assert f"{says} \u00b7 8 subjects" in [t.get_text() for t in upper.texts]


def test_the_reduction_is_written_above_its_panel(tasks):
    upper = axes_by_panel(figures.curves_figure(tasks))[0][0]
    result = tasks[0].comparisons[0].reduction
    note = next(t.get_text() for t in upper.texts if "same r with" in t.get_text())
    assert sentences.format_percent(result["crossing"]) in note
    harm = axes_by_panel(figures.curves_figure(tasks))[1][0]
    assert not any("same r with" in t.get_text() for t in harm.texts)
    assert any("no sure reduction" in t.get_text() for t in harm.texts)


@pytest.mark.parametrize("which", [slice(0, 2), slice(0, 1), slice(1, 2)])
def test_no_word_is_cut_off_or_covered(tasks, which):
    tasks = [
        task_summary.summarise(
            tables.Sweep(
                **(vars(task.sweep) | {"summary": task.sweep.summary | {"title": "GRF, running"}})
            )
        )
        for task in tasks[which]
    ]
    figure = figures.curves_figure(tasks)
    figure.draw_without_rendering()
    canvas = figure.bbox
    for upper, lower in axes_by_panel(figure):
        words = [*upper.texts, upper.yaxis.label, lower.yaxis.label, lower.xaxis.label]
        words += [*lower.get_xticklabels(), *upper.get_yticklabels()]
        boxes = [w.get_window_extent() for w in words if w.get_text()]
        for box in boxes:
            assert canvas.x0 <= box.x0 and box.x1 <= canvas.x1
            assert canvas.y0 <= box.y0 and box.y1 <= canvas.y1
        texts = [t.get_window_extent() for t in upper.texts if t.get_text()]
        assert not any(a.overlaps(b) for i, a in enumerate(texts) for b in texts[:i])
    legend = figure.legends[0].get_window_extent()
    assert canvas.x0 <= legend.x0 and legend.x1 <= canvas.x1 and canvas.y0 <= legend.y0
    assert not any(legend.overlaps(ax.get_tightbbox()) for ax in figure.axes), (
        "the legend covers a panel"
    )


def test_small_differences_have_room_for_their_digits(tmp_path):
    curves = {
        ("random", "finetune", "windows"): np.full(6, 0.996),
        ("pretrained", "finetune", "windows"): np.full(6, 0.9955),
    }
    fake_sweep.write_sweep(tmp_path / "tasks" / "t", curves, n_subjects=5, spread=0.0005)
    figure = drawn(tmp_path)
    figure.draw_without_rendering()
    lower = figure.axes[1]
    assert max(len(label.get_text()) for label in lower.get_yticklabels()) >= 6
    for label in (lower.yaxis.label, figure.axes[0].yaxis.label):
        assert label.get_window_extent().x0 >= figure.bbox.x0


def test_every_arm_has_its_own_look(tasks):
    styles = [panels.arm_style(tasks[0], arm) for arm in tasks[0].arms]
    assert len({colour for colour, _ in styles}) == len({m for _, m in styles}) == len(styles)
    beside = dataclasses.replace(tasks[0], arms=("box", *tasks[0].arms))  # of another task
    assert panels.arm_style(beside, "pretrained") == panels.arm_style(tasks[0], "pretrained")


def test_an_arm_is_compared_with_the_random_weights_of_its_own_network():
    specs = {
        "bn": {"encoder": "a", "weights": "pretrained"},
        "random": {"encoder": "a", "weights": "random"},
        "nf": {"encoder": "b", "weights": "pretrained"},
        "random-nf": {"encoder": "b", "weights": "random"},
        "alone": {"encoder": "c", "weights": "pretrained"},
    }
    summary = {"config": {"arms": specs}}
    assert task_summary._baselines(summary, tuple(specs)) == {"bn": "random", "nf": "random-nf"}
    assert task_summary._baselines({}, ("x", "random")) == {"x": "random"}
    assert task_summary._baselines({}, ("x", "y")) == {}
