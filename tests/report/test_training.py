"""How the arms were trained: training.csv read with care, summed up, judged and drawn."""

import csv
import itertools
import statistics
import types

import numpy as np
import pytest
import scipy.stats
from helpers import fake_training
from helpers.fake_training import PENALTIES, RATES, STOPS, cut_short, rows_of_run, settled

from imujax.errors import UserError
from imujax.report import tables, training, training_figure
from imujax.sweep.settings import NOTHING_CHOSEN

CONFIG = {"rates": RATES, "penalties": PENALTIES, "stops": STOPS}
TARGET = {"name": "force", "unit": "N"}


def make_sweep(
    folder,
    curve=settled,
    chosen=lambda draw, fold: (1e-3, 0.4),
    arms=("a",),
    shares=(("windows", 0.1),),
    **change,
):
    """A sweep of 2 draws by 5 folds, budget 500 steps or 50 passes.

    `chosen` gives the rate and the stop of a (draw, fold); `change` columns of runs.csv.
    """
    runs, rows = [], []
    cells = itertools.product(arms, shares, range(2), range(5))
    for arm, (axis, fraction), draw, fold in cells:
        key = {"arm": arm, "axis": axis, "fraction": fraction, "draw": draw, "fold": fold}
        rate, stop = chosen(draw, fold)
        rows += rows_of_run(key, curve, (rate, stop), rng=np.random.default_rng(fold))
        run = key | {"penalty": 0.3, "note": ""} | change
        probe = {"learning_rate": np.nan, "stop": np.nan, "steps": 0, "passes": 0.0}
        tuned = {"learning_rate": rate, "stop": stop}
        tuned |= {"steps": round(500 * stop), "passes": 50 * stop}
        runs += [run | probe | {"stage": "probe"}, run | tuned | {"stage": "finetune"}]
    folder.mkdir(parents=True, exist_ok=True)
    fake_training.save(folder, rows)
    columns = {key: np.array([run[key] for run in runs]) for key in runs[0]}
    columns["run"] = np.arange(len(runs))
    return tables.Sweep(folder, columns, {}, {"config": dict(CONFIG)}, [], TARGET, 1)


def only_share(sweep):
    (share,) = training.summarise_training(sweep)
    return share


def read_rows(folder):
    with (folder / "training.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Summing up


def test_means_are_those_of_the_inner_runs_at_the_chosen_rate(tmp_path):
    """Against a loop over the file: neither the other rate nor the final runs count."""
    share = only_share(make_sweep(tmp_path))
    rows = [row for row in read_rows(tmp_path) if row["is_chosen"] == "1" and row["split"] != "-1"]
    assert list(share.stops) == list(STOPS)
    for name in ("loss", "error"):
        for i, stop in enumerate(STOPS):
            values = [float(row[name]) for row in rows if float(row["stop"]) == stop]
            assert len(values) == 20
            assert getattr(share, name)[1, i] == pytest.approx(statistics.fmean(values))


def test_bands_show_where_runs_differ_in_shape_and_not_in_level(tmp_path):
    """Runs that are multiples of one another have a band without width; a bent one widens it."""
    sweep = make_sweep(tmp_path)
    low, mean, high = only_share(sweep).error
    np.testing.assert_allclose([low, high], [mean, mean], rtol=1e-9)
    rows = read_rows(tmp_path)
    bends = np.exp(np.random.default_rng(0).normal(0, 0.1, 20 * len(STOPS)))
    inner = [row for row in rows if row["is_chosen"] == "1" and row["split"] != "-1"]
    for row, bend in zip(inner, bends, strict=True):
        row["error"] = float(row["error"]) * bend
    fake_training.save(tmp_path, rows)
    lines = np.array([row["error"] for row in inner]).reshape(20, len(STOPS))
    mean = lines.mean(axis=0)
    level = scipy.stats.gmean(mean) / scipy.stats.gmean(lines, axis=1)
    share = only_share(sweep)
    np.testing.assert_allclose(share.error[1], mean)
    for i in range(len(STOPS)):
        tenths = statistics.quantiles((lines[:, i] * level).tolist(), n=10, method="inclusive")
        assert share.error[[0, 2], i] == pytest.approx((tenths[0], tenths[-1]))


def test_steps_and_passes_are_those_of_the_runs(tmp_path):
    ends = {(0, 0): 0.2, (1, 4): 0.8}
    sweep = make_sweep(tmp_path, chosen=lambda *cell: (1e-3, ends.get(cell, 0.4)))
    share = only_share(sweep)
    assert share.steps == (200, 100, 400)
    assert share.passes == pytest.approx((20, 10, 40))
    assert (share.budget_steps, share.budget_passes) == pytest.approx((500, 50))
    assert share.n_runs == 10


def test_choices_at_the_edges_of_the_grids_are_counted(tmp_path):
    rates = {0: RATES[1], 1: RATES[-1], 2: RATES[-1]}
    share = only_share(
        make_sweep(
            tmp_path,
            chosen=lambda draw, fold: (rates.get(fold, RATES[2]), STOPS[0 if fold else -1]),
            penalty=PENALTIES[0],
        )
    )
    rate, penalty, steps = (share.choices[name] for name in training.SETTINGS)
    assert rate == ({RATES[1]: 2, RATES[2]: 4, RATES[3]: 4}, 0, 4, 10)
    assert penalty == ({PENALTIES[0]: 10}, 10, 0, 10)
    assert steps == ({STOPS[0]: 8, 1.0: 2}, 8, 2, 10)
    assert share.at_last_stop == 0.2


def test_a_grid_of_one_value_has_no_edge(tmp_path):
    sweep = make_sweep(tmp_path, curve=settled, chosen=lambda *_: (1e-3, 1.0))
    sweep.summary["config"] |= {"stops": (1.0,), "rates": (1e-3,)}
    share = only_share(sweep)
    for name in ("steps", "learning rate"):
        choice = share.choices[name]
        assert (choice.n_lowest, choice.n_highest, choice.n_runs) == (0, 0, 0)
    assert np.isnan(share.at_last_stop) and share.reasons == ()
    assert share.choices["penalty"].n_runs == 10


@pytest.mark.parametrize(
    ("curve", "reasons"), [(cut_short, ("training loss alone",)), (settled, ())]
)
def test_where_nothing_is_chosen_the_loss_of_the_final_runs_is_judged(tmp_path, curve, reasons):
    chosen = {"chosen": lambda *_: (1e-3, 1.0), "note": NOTHING_CHOSEN}
    sweep = make_sweep(tmp_path, curve=curve, **chosen)
    rows = [row for row in read_rows(tmp_path) if row["split"] == "-1"]
    fake_training.save(tmp_path, rows)
    share = only_share(sweep)
    assert all(choice.n_runs == 0 for choice in share.choices.values())
    assert np.isnan(share.error).all() and np.isnan(share.error_change)
    before, after = (curve(stop)[0] for stop in (0.8, 1.0))
    assert share.loss_change == pytest.approx((after - before) / before)
    assert share.reasons == reasons


def test_a_run_that_diverged_or_ended_early_does_not_hide_the_others(tmp_path):
    sweep = make_sweep(tmp_path)
    whole_mean = only_share(sweep).error[1]
    rows = read_rows(tmp_path)
    first = [r for r in rows if (r["draw"], r["fold"], r["split"]) == ("0", "0", "0")]
    for row in first:
        row["error"] = "inf"
    second = [r for r in rows if (r["draw"], r["fold"], r["split"]) == ("0", "1", "0")]
    lost = [row for row in second if float(row["stop"]) > 0.4]
    fake_training.save(tmp_path, [row for row in rows if row not in lost])
    share = only_share(sweep)
    assert np.isfinite(share.error).all()
    assert share.error[1] == pytest.approx(whole_mean, rel=0.05)
    assert not np.allclose(share.error[1], whole_mean)


# The rule


def test_changes_over_the_last_fifth(tmp_path):
    """Straight lines: loss from .6 to .5, error from .68 to .6, between the stops .8 and 1."""
    share = only_share(make_sweep(tmp_path, curve=cut_short))
    assert share.loss_change == pytest.approx(-0.1 / 0.6)
    assert share.error_change == pytest.approx(-0.08 / 0.68)


def test_the_last_fifth_is_read_between_points(tmp_path):
    sweep = make_sweep(tmp_path, curve=cut_short)
    fake_training.save(tmp_path, [row for row in read_rows(tmp_path) if row["stop"] != "0.8"])
    assert only_share(sweep).loss_change == pytest.approx(-0.1 / 0.6)


@pytest.mark.parametrize(
    ("loss_falls", "error_falls", "last_chosen", "reasons"),
    [
        (0.0, 0.0, 3, ()),
        (0.0, 0.0, 4, ("last stop",)),  # in over a third of ten runs
        (0.0, 0.03, 0, ("inner error",)),
        (0.0, 0.01, 0, ()),
        (0.03, 0.01, 0, ("training loss",)),
        (0.01, 0.01, 0, ()),
        (0.3, 0.004, 0, ()),  # the error stands still while the loss falls
        (0.3, -0.001, 0, ()),  # the error rises while the loss falls: overfitting
        (0.03, 0.03, 4, ("last stop", "inner error", "training loss")),
    ],
)
def test_an_arm_is_not_trained_to_its_end(tmp_path, loss_falls, error_falls, last_chosen, reasons):
    def curve(stop):
        late = max(0.0, (stop - 0.8) / 0.2)
        return 0.4 * (1 - loss_falls * late), 0.5 * (1 - error_falls * late)

    sweep = make_sweep(
        tmp_path,
        curve=curve,
        chosen=lambda draw, fold: (1e-3, 1.0 if 5 * draw + fold < last_chosen else 0.4),
    )
    share = only_share(sweep)
    assert share.reasons == reasons
    sentence = "Not trained to its end: a at 10 % of the windows." if reasons else None
    assert training.unfinished_sentence([share]) == sentence


def shares_at(places):
    """Made-up shares {(arm, axis, share)} that were not trained to their end, and two that were."""
    empty = np.zeros(0)
    rows = [(*place, ("inner error",)) for place in places]
    rows += [(arm, "windows", 0.63, ()) for arm in ("pretrained", "random")]
    return [
        training.ShareTraining(
            arm, axis, fraction, 1, empty, empty, empty, 1.0, 1.0, (1.0,) * 3, (1.0,) * 3, {}, 0.0,
            0.0, 0.0, reasons,
        )
        for arm, axis, fraction, reasons in rows
    ]  # fmt: skip


def test_shares_are_named_by_arm_and_axis():
    shares = shares_at(
        [
            ("pretrained", "windows", 0.1),
            ("pretrained", "windows", 0.16),
            ("pretrained", "subjects", 0.25),
            ("random", "windows", 0.1),
            ("random", "windows", 0.16),
            ("free", "windows", 1.0),
            ("bare", "windows", 1.0),
            ("batch", "windows", 0.1),
            ("batch", "windows", 1.0),
        ]
    )
    assert training.unfinished_sentence(shares) == (
        "Not trained to its end: pretrained at 10 % and 16 % of the windows and 25 % of the "
        "subjects; random at 10 % and 16 % of the windows; free and bare at 100 % of the windows; "
        "batch at every share of the windows."
    )
    windows = training.shares_of_axis(shares, "windows")
    assert training.unfinished_lines(windows) == [
        "pretrained, random: not trained to its end at 10 %, 16 %",
        "free, bare: not trained to its end at 100 %",
        "batch: not trained to its end at every share",
    ]
    assert training.unfinished_sentence(shares_at([])) is None
    subjects = training.shares_of_axis(shares, "subjects")  # all subjects are all windows
    assert training.unfinished_lines(subjects) == [
        "pretrained: not trained to its end at 25 %",
        "free, bare, batch: not trained to its end at 100 %",
    ]


# Reading


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("loss", "x", "column loss: could not convert"),
        ("stop", "1.5", "1.5 is no share of a budget"),
        ("split", "", "column split: invalid literal"),
        ("fraction", None, "has no column fraction"),
    ],
)
def test_an_edited_file_ends_in_one_sentence(tmp_path, column, value, sentence):
    sweep = make_sweep(tmp_path)
    text = (tmp_path / "training.csv").read_text(encoding="utf-8")
    if value is None:
        text = text.replace(column, "share", 1)
    else:
        head, first, *others = text.splitlines()
        fields = first.split(",")
        fields[fake_training.COLUMNS.index(column)] = value
        text = "\n".join([head, ",".join(fields), *others])
    (tmp_path / "training.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=sentence):
        training.summarise_training(sweep)


def test_a_file_cut_short_or_missing_ends_in_one_sentence(tmp_path):
    sweep = make_sweep(tmp_path)
    path = tmp_path / "training.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.rindex(",", 0, len(text) // 2)], encoding="utf-8")
    with pytest.raises(UserError, match="a field is missing; a line is cut short"):
        training.summarise_training(sweep)
    rows = text.splitlines()[:1]
    path.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(UserError, match="has nothing of arm a at 10 % of the windows"):
        training.summarise_training(sweep)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not a CSV file"):
        training.summarise_training(sweep)
    path.unlink()
    with pytest.raises(UserError, match="is missing: give `imujax sweep` again"):
        training.summarise_training(sweep)


def test_a_task_without_fine_tuning_needs_no_file(tmp_path):
    sweep = make_sweep(tmp_path)
    (tmp_path / "training.csv").unlink()
    is_probe = sweep.runs["stage"] == "probe"
    runs = {key: column[is_probe] for key, column in sweep.runs.items()}
    assert training.summarise_training(tables.Sweep(tmp_path, runs, {}, {}, [], TARGET, 1)) == []


# The picture


WINDOWS = tuple(("windows", fraction) for fraction in (0.1, 0.16, 0.25, 0.4, 0.63, 1.0))
SUBJECTS = tuple(("subjects", fraction) for fraction in (0.25, 0.5, 1.0))
FOUR = ("pretrained", "pretrained-free", "random", "random-free")
LAYOUTS = [(FOUR[::2], WINDOWS[::2]), (FOUR, WINDOWS[::5]), (FOUR[::2], WINDOWS + SUBJECTS)]


def make_task(folder, arms, shares, **change):
    """What the picture needs of a task, small on purpose and not trained to its end."""
    sweep = make_sweep(folder, arms=arms, shares=shares, **change)
    sweep.summary["config"]["is_small"] = True
    return types.SimpleNamespace(
        sweep=sweep,
        title="Peak force of a foot",
        simulated=True,
        arms=arms,
        baselines=dict(zip(arms[: len(arms) // 2], arms[len(arms) // 2 :], strict=True)),
        axes=tuple(dict.fromkeys(axis for axis, _ in shares)),
        training=training.summarise_training(sweep),
    )


@pytest.mark.parametrize(("arms", "shares"), LAYOUTS)
def test_the_picture_shows_what_was_computed(tmp_path, arms, shares):
    """A row of panels for the loss and one for the error of each axis, a line an arm."""
    ends = {(0, 0): 0.2, (1, 4): 1.0}
    task = make_task(tmp_path, arms, shares, chosen=lambda *cell: (1e-3, ends.get(cell, 0.4)))
    panels = training_figure.training_figure(task).axes
    assert len(panels) == 2 * len(shares)
    order = [
        (axis, curve, fraction)
        for axis in task.axes
        for curve in ("loss", "error")
        for _, fraction in filter(lambda share: share[0] == axis, shares)
    ]
    for ax, (axis, curve, fraction) in zip(panels, order, strict=True):
        expected = {
            share.arm: getattr(share, curve)[1]
            for share in task.training
            if (share.axis, share.fraction) == (axis, fraction)
        }
        assert {tuple(line.get_ydata()) for line in ax.lines} == set(map(tuple, expected.values()))
        (dots,) = {tuple(dots.get_sizes()) for dots in ax.collections if len(dots.get_sizes())}
        assert np.array(dots) / sum(dots) == pytest.approx([0.1, 0.8, 0.1])


@pytest.mark.parametrize(("arms", "shares"), LAYOUTS)
def test_no_word_of_the_picture_is_cut_off_or_covered(tmp_path, arms, shares):
    task = make_task(tmp_path, arms, shares, curve=cut_short)
    figure = training_figure.training_figure(task)
    figure.draw_without_rendering()
    words = list(figure.texts)
    for ax in figure.axes:
        words += [*ax.texts, ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels()]
        low, high = ax.get_ylim()
        words += [t for t in ax.get_yticklabels() if low <= t.get_position()[1] <= high]
    words += [text for legend in figure.legends for text in legend.get_texts()]
    words = [word for word in words if word.get_text() and word.get_visible()]
    boxes = [word.get_window_extent() for word in words]
    assert "Small budget: this shows the path, not what pre-training is worth." in {
        text.get_text() for text in figure.texts
    }
    for i, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, words[i]
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, words[i]
        assert not any(box.overlaps(other) for other in boxes[:i]), words[i]


def test_the_head_of_the_picture_names_what_was_not_trained_to_its_end(tmp_path):
    task = make_task(tmp_path, *LAYOUTS[2], curve=cut_short)
    assert training_figure.header_lines(task) == [
        training.SMALL_BUDGET,
        "pretrained, random: not trained to its end at every share of the windows",
        "pretrained, random: not trained to its end at every share of the subjects",
    ]


def test_a_picture_without_inner_runs_says_so(tmp_path):
    """As where one rate and one stop leave nothing to choose."""
    task = make_task(tmp_path, *LAYOUTS[0])
    final = [row for row in read_rows(tmp_path) if int(row["split"]) < 0]
    fake_training.save(tmp_path, final)
    task.training = training.summarise_training(task.sweep)
    figure = training_figure.training_figure(task)
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[3].texts] == ["nothing was chosen"]
    assert len(figure.axes[0].lines) == 2
