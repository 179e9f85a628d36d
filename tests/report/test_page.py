"""The page: what was not trained to its end stands first, and what the numbers rest on is shown."""

import dataclasses
import re

import numpy as np
import pytest
from helpers import fake_sweep, fake_training
from helpers.fake_training import cut_short, settled
from markupsafe import escape

from imujax.report import figures, page, page_tables, report, tables, task_summary, training
from imujax.runtime import drawing

R = np.array([0.6, 0.65, 0.69, 0.73, 0.76, 0.78])
CURVES = {
    (arm, stage, axis): R + gain - (0.1 if stage == "probe" else 0)
    for axis in ("windows", "subjects")
    for arm, gain in (("pretrained", 0.04), ("random", 0.0))
    for stage in ("finetune", "probe")
} | {(name, "reference", "windows"): np.full(6, 0.7) for name in ("ridge", "stack")}
CURVES |= {
    (arm, "fifth", axis): R + gain
    for axis in ("windows", "subjects")
    for arm, gain in (("pretrained", 0.01), ("random", -0.09))
}


def make_task(folder, curve_of=lambda arm, fraction: settled, curves=CURVES, **summary):
    """A task summed up, all of whose fine-tuned runs are trained like `curve_of`."""
    fake_sweep.write_sweep(folder, curves, n_subjects=6, title="Peak force", **summary)
    fake_training.write_training(folder, curve_of)
    return task_summary.summarise(tables.load_sweep(folder))


def render(task):
    """The page without its pictures."""
    return page.render_page([task], b"<svg></svg>", [None], [None], [None])


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """Random weights at 100 %, and pre-trained ones at 10 % of the windows, not to their end."""
    places = {("random", 1.0), ("pretrained", 0.1)}
    return make_task(
        tmp_path_factory.mktemp("cut") / "t",
        lambda arm, fraction: cut_short if (arm, fraction) in places else settled,
    )


def rows_below(text, heading):
    """The cells of the first table below a heading, row by row."""
    text = text.replace("\u00a0", " ")
    body = text[text.index(heading) :].split("<tbody>")[1].split("</tbody>")[0]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in body.split("</tr>")]
    return [row for row in rows if row]


def test_the_title_names_the_study_and_the_caption_tells_of_what_is_drawn(tmp_path):
    """No word of an arrow, of references or of a published curve where there is none."""
    full = make_task(tmp_path / "full")
    text = render(full)
    assert "<title>Peak force: does pre-training save labels?</title>" in text
    assert "References are drawn" in text and "published curve" not in text
    assert "An arrow runs" in text and any(c.reduction for c in full.comparisons)
    alone = {k: v - 0.04 * (k[0] == "pretrained") for k, v in CURVES.items() if k[1] == "probe"}
    probes = make_task(tmp_path / "probes", curves=alone)
    text = render(probes)
    assert "References are drawn" not in text and "of the probes where" not in text
    assert "An arrow runs" not in text and not any(c.reduction for c in probes.comparisons)


def test_tasks_that_have_not_been_begun_are_named(cut):
    text = page.render_page([cut], b"<svg></svg>", [None], [None], [None], ["pull", "push"])
    assert "Named in the configuration and not yet run: pull, push." in text


def test_what_a_share_is_stands_in_windows_and_subjects(cut):
    rows = rows_below(render(cut), "What a share is")
    runs = cut.sweep.runs
    assert len(rows) == len(set(zip(runs["axis"], runs["fraction"], strict=True)))
    is_it = (runs["axis"] == "windows") & (runs["fraction"] == 1)
    n = runs["n_train"][is_it]
    (row,) = (row for row in rows if row[:2] == ["windows", "100 %"])
    assert row[2].startswith(f"{np.median(n):.0f}")
    assert min(n) == max(n) or f"{min(n)} to {max(n)}" in row[2]


def test_all_subjects_are_all_windows(cut):
    """A sweep runs them once, under the windows."""
    runs = cut.sweep.runs
    kept = ~((runs["axis"] == "subjects") & (runs["fraction"] == 1))
    sweep = dataclasses.replace(cut.sweep, runs={k: v[kept] for k, v in runs.items()})
    rows = page_tables.shares_table(dataclasses.replace(cut, sweep=sweep)).rows
    assert rows == page_tables.shares_table(cut).rows


def test_what_the_data_and_the_encoders_are_stands_below(tmp_path):
    built = {"kept": 3401, "hours": 1.25, "dropped": {"steps without an end": 7}}
    sets = [
        {"name": "sisfall/w128", "subjects": 38, "examples": 9000, "hours": 11.204},
        {"name": "movi/w128", "subjects": 90, "examples": 9000, "hours": 6.6},
    ]
    encoders = {
        "waist": [{"retrieval": {"found": 0.29, "among": 512}, "data": sets}, {"retrieval": None}],
        "old": [{"retrieval": None, "data": None, "windows": 9000, "window_seconds": 1.28}],
        "own": [{"retrieval": None, "data": sets[:1], "fold": 0}, {"data": sets[1:], "fold": 1}],
        "older": [{"retrieval": None}],
    }
    text = render(make_task(tmp_path / "t", built=built, encoders=encoders))
    assert (
        "<dd>waist: sisfall/w128, 38 subjects, 11.20 h and movi/w128, 90 subjects, 6.60 h; "
        "old: 9,000 sensor-windows of 1.28 s, 3.20 h; "
        "own: sisfall/w128, 38 subjects, 11.20 h (the first fold&#39;s; anew in each)</dd>"
    ) in text
    assert "<dd>3,401 examples, 1.25 h</dd>" in text
    assert "<dd>7 steps without an end</dd>" in text
    assert "window of 29 % of the accelerometer windows that it watches, among 512, where" in text
    assert "chance finds 0.195 %" in text


def test_an_encoder_that_has_not_learned_is_told_before_the_verdict(tmp_path):
    arms = {
        "pretrained": {"encoder": "waist", "weights": "pretrained"},
        "random": {"encoder": "waist", "weights": "random"},
    }
    for found, is_told in ((0.0097, True), (0.5, False)):
        encoders = {"waist": [{"retrieval": {"found": found, "among": 207}}]}
        config = {"arms": arms, "axes": {}}
        text = render(make_task(tmp_path / str(found), config=config, encoders=encoders))
        text = text.replace("\u00a0", " ").split("<figure>")[0]
        assert ("it finds the partner of 0.97 % of the windows" in text) == is_told


def test_a_list_of_raw_files_is_a_number_in_the_configuration(tmp_path):
    config = {"data": [{"name": "sisfall", "files": ["a.txt 12", "b.txt 34"]}], "folds": [["A"]]}
    text = render(make_task(tmp_path / "t", config=config | {"arms": {}, "axes": {}}))
    assert "2 raw files" in text and "a.txt" not in text


def test_what_was_not_trained_to_its_end_stands_before_the_verdict(cut):
    text = render(cut)
    for comparison in cut.comparisons:
        sentence = (
            f"Not trained to its end: pretrained at 10 % of the {comparison.axis}; random at 100 % "
            f"of the {comparison.axis}."
        )
        answer = text.index(f"Peak force, share of {comparison.axis}")
        warning = text.index(page.keep_together(sentence), answer)
        verdict = escape(page.keep_together(comparison.verdict["sentence"]))
        assert answer < warning < text.index(verdict, answer)
        assert warning < text.index("<figure>")


def test_the_numbers_say_it_too(cut):
    (numbers,) = report.report_numbers([cut])["tasks"]
    assert numbers["unfinished"] == training.unfinished_sentence(cut.training)
    shares = {(row["arm"], row["axis"], row["fraction"]): row for row in numbers["training"]}
    assert len(shares) == 24
    reasons = {key: row["not_trained_to_its_end"] for key, row in shares.items()}
    unfinished = {key for key, why in reasons.items() if why}
    assert {(arm, fraction) for arm, _, fraction in unfinished} == {
        ("random", 1.0),
        ("pretrained", 0.1),
    }
    assert not numbers["small_budget"]


def test_an_arm_that_was_trained_to_its_end_is_not_named(tmp_path):
    task = make_task(tmp_path / "t")
    assert "Not trained" not in render(task)
    assert report.report_numbers([task])["tasks"][0]["unfinished"] is None


def test_an_arm_without_comparison_is_named_too(tmp_path):
    curve = {("pretrained", "finetune", "windows"): R}
    text = render(make_task(tmp_path / "t", lambda *_: cut_short, curves=curve))
    sentence = "Not trained to its end: pretrained at every share of the windows."
    assert text.index(sentence) < text.index("no arm of random weights")


def test_a_small_budget_is_the_first_line(tmp_path):
    task = make_task(tmp_path / "t", config={"is_small": True})
    text = render(task)
    first = text[text.index("</h1>") :].split("</p>")[0]
    assert first.endswith("Small budget: this shows the path, not what pre-training is worth.")
    assert report.report_numbers([task])["tasks"][0]["small_budget"]


def test_the_table_of_training_holds_what_was_summed_up(cut):
    rows = rows_below(render(cut), "How the arms were fine-tuned")
    assert len(rows) == len(cut.training) == 24
    for row, share in zip(rows, cut.training, strict=True):
        assert row[:3] == [share.arm, share.axis, page_tables.format_percent(share.fraction)]
        assert row[3] == (
            f"no<small>{', '.join(share.reasons)}</small>" if share.reasons else "yes"
        )
        assert row[-1] == page_tables.format_change(share.error_change)


def test_edges_and_settings_are_counted(tmp_path):
    """Every run ends at the last stop, and those of the first fold at the highest rate."""
    make_task(tmp_path / "t")

    def change(runs):
        for run in runs:
            if run["stage"] == "finetune":
                run["stop"] = 1.0
                run["learning_rate"] = 1e-2 if run["fold"] == "0" else 1e-3

    fake_sweep.edit(tmp_path / "t", change)
    fake_training.write_training(tmp_path / "t")
    task = task_summary.summarise(tables.load_sweep(tmp_path / "t"))
    text = render(task)
    n = sum(share.n_runs for share in task.training)
    assert f"steps in {n} of {n} runs (0 lowest, {n} highest)" in text
    row = rows_below(text, "Settings of the arms")[0]
    assert row[3] == "0.001 \u00d7 8, 0.01 \u00d7 2<small>0 lowest, 2 highest of 10</small>"
    assert row[4] == "1 \u00d7 10<small>0 lowest, 0 highest of 10</small>"
    assert row[5] == "100 \u00d7 10<small>0 lowest, 10 highest of 10</small>"


def test_references_have_a_table_of_their_own(cut):
    text = render(cut)
    rows = rows_below(text, "References by share of windows")
    assert [row[0] for row in rows] == ["ridge", "stack"]
    assert all(cell.startswith("0.700<small>") for row in rows for cell in row[1:])
    assert "References by share of subjects" not in text
    assert {row[0] for row in rows_below(text, "Mean r by share of windows")} == {
        "pretrained",
        "random",
    }


def test_what_an_arm_adds_to_the_references_has_a_table(cut):
    text = render(cut)
    for arm in ("pretrained", "random"):
        rows = rows_below(text, f"Best reference averaged with {arm}")
        values = cut.added_values[arm]
        assert len(rows) == len(values) == 7
        for row, value in zip(rows, values, strict=True):
            assert row[4] == page_tables.format_number(value["difference"])
        assert rows[-1][0] == "mean"


def test_an_answer_goes_from_the_verdict_to_what_follows_from_it(cut):
    """The gain at a fifth of the steps, the reduction, the references, what is added to them."""
    text = render(cut)
    for comparison in cut.comparisons:
        numbers = [comparison.verdict, comparison.fifth, comparison.reduction]
        sentences = [part["sentence"] for part in numbers]
        if comparison.axis == "windows":
            sentences.append(task_summary.reference_sentence(cut, comparison.arm))
            sentences.append(cut.added_values[comparison.arm][-1]["sentence"])
        places = [text.index(str(escape(page.keep_together(s)))) for s in sentences]
        assert places == sorted(places) and places[-1] < text.index("<figure>")
    (numbers,) = report.report_numbers([cut])["tasks"]
    assert [c["fifth"] for c in numbers["comparisons"]] == [c.fifth for c in cut.comparisons]
    assert numbers["added_values"] == cut.added_values


def test_every_reference_is_drawn(cut):
    names = tuple(f"reference {i}" for i in range(7))
    rows = [
        row | {"arm": name} for row in cut.curve("ridge", "reference", "windows") for name in names
    ]
    task = dataclasses.replace(cut, references=names, curves=cut.curves + rows)
    upper = figures.curves_figure([task]).axes[0]
    drawn = {t.get_text() for t in upper.texts}
    assert set(names) <= drawn
    grey = [line for line in upper.lines if line.get_color() == drawing.GREY]
    assert len(grey) == 7 and len({str(line._dash_pattern) for line in grey}) == 6


def test_the_head_of_the_figure_names_them(cut):
    figure = figures.curves_figure([cut])
    texts = [t.get_text() for ax in figure.axes for t in ax.texts]
    assert "pretrained: not trained to its end at 10\u00a0%" in texts
    assert "random: not trained to its end at 100\u00a0%" in texts
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for ax in figure.axes[::2] for t in ax.texts if t.get_text()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(box.y1 <= figure.bbox.y1 for box in boxes)


def test_one_pre_training_is_said(tmp_path):
    text = render(make_task(tmp_path / "t", starts={"pretrained": 1}))
    starts = text[text.index("<dt>weights to start from</dt>") :].split("</dd>")[0]
    assert starts.endswith("pretrained one pre-training, random 10")


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0312, "\u22123.1 %"), (0.0004, "0.0 %"), (0.2, "+20.0 %"), (float("nan"), "\u2013")],
)
def test_changes_in_the_tables(value, text):
    assert page_tables.format_change(value) == text
