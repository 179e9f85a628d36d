"""The tables of the page: numbers become text here, and the template makes markup of them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from imujax.report import kinds, published, subjects, training
from imujax.report.sentences import STAGE_NAMES, format_percent
from imujax.report.statistics import LEVEL
from imujax.report.task_summary import Comparison, TaskSummary

DASH = "\u2013"
METRIC_NAMES = {
    "r": "r",
    "rmse": "RMSE",
    "rrmse": "rRMSE",
    "r2": "R\u00b2",
    "mae": "MAE",
    "bias": "bias",
    "loa": "limits of agreement",
    "slope": "slope",
    "intercept": "intercept",
    "icc": "ICC(A,1)",
}
CURVE_METRIC_NAMES = METRIC_NAMES | {
    "peak_rmse": "RMSE of the peak",
    "peak_time_rmse": "of its time",
    "impulse_rmse": "of the integral",
}
CLASS_METRIC_NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "kappa": "kappa",
    "accuracy": "accuracy",
}
NAMES = {
    kinds.NUMBERS: METRIC_NAMES,
    kinds.CURVES: CURVE_METRIC_NAMES,
    kinds.CLASSES: CLASS_METRIC_NAMES,
}
METRICS_IN_UNIT = ("rmse", "mae", "bias", "loa", "intercept", "peak_rmse", "impulse_rmse")
STAGE_ORDER = {"finetune": 0, "fifth": 1, "probe": 2}


class Cell(NamedTuple):
    """Text, and small text below it."""

    text: str
    small: str = ""


class Table(NamedTuple):
    """Rows of cells; the first `n_words` columns are words, the others numbers, set right."""

    head: list[Cell]
    rows: list[list[Cell]]
    n_words: int


def make_table(head: Sequence[object], rows: Sequence[Sequence[object]], n_words: int = 1) -> Table:
    """A table of values that are text, numbers to print as they are, or (text, small text)."""
    return Table(_cells(head), [_cells(row) for row in rows], n_words)


def format_number(value: float | None, digits: int = 3) -> str:
    """Fixed decimals with a true minus sign; a dash where there is no number."""
    if value is None or math.isnan(value):
        return DASH
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "\u2212")


def format_change(value: float) -> str:
    """A relative change in percent with its sign; a dash where there is no number."""
    if math.isnan(value):
        return DASH
    text = f"{100 * value:+.1f} %"
    return text[1:] if text[1:] == "0.0 %" else text.replace("-", "\u2212")


def format_p(value: float) -> str:
    """Three decimals, or that it is below them; a dash where there is no number."""
    if math.isnan(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def curves_table(task: TaskSummary, axis: str) -> Table:
    """Mean r and interval of every arm and stage on one axis, a column a fraction."""
    fractions = _fractions(task, axis)
    rows = [
        (arm, STAGE_NAMES[stage], *_curve_cells(task, arm, stage, axis, fractions))
        for arm, stage in _curve_keys(task, axis)
        if stage != "reference"
    ]
    return make_table(("arm", "stage", *map(format_percent, fractions)), rows, n_words=2)


def references_table(task: TaskSummary, axis: str) -> Table | None:
    """Mean r and interval of every reference on one axis; None where there is none."""
    fractions = _fractions(task, axis)
    rows = [
        (name, *_curve_cells(task, name, stage, axis, fractions))
        for name, stage in _curve_keys(task, axis)
        if stage == "reference"
    ]
    return make_table(("reference", *map(format_percent, fractions)), rows) if rows else None


def added_values_table(rows: Sequence[dict[str, Any]]) -> Table:
    """What an arm adds to the best reference, a row a share and one over all of them."""
    head = ("share", "reference", "alone", "with the arm", "added value")
    head += (f"{format_percent(LEVEL)} interval", "p")
    cells = [
        (
            "mean" if row["fraction"] is None else format_percent(row["fraction"]),
            row["references"],
            format_number(row["alone"]),
            format_number(row["together"]),
            format_number(row["difference"]),
            _format_interval(row),
            format_p(row["p_t"]),
        )
        for row in rows
    ]
    return make_table(head, cells, n_words=2)


def training_table(task: TaskSummary) -> Table:
    """Steps, passes and what happened over the last fifth, a row an arm and share."""
    head: list[object] = ["arm", "share of", "", "trained to its end", "passes", "steps"]
    head += [("budget", "passes"), ("last stop", "of the runs")]
    head += [(name, "last fifth") for name in ("training loss", "inner error")]
    rows = [
        (
            share.arm,
            share.axis,
            format_percent(share.fraction),
            ("no", ", ".join(share.reasons)) if share.reasons else _judged(share),
            _format_range(share.passes, 1),
            _format_range(share.steps, 0),
            (f"{share.budget_passes:.1f}", f"{share.budget_steps:.0f} steps"),
            DASH if math.isnan(share.at_last_stop) else format_percent(share.at_last_stop),
            format_change(share.loss_change),
            format_change(share.error_change),
        )
        for share in task.training
    ]
    return make_table(head, rows, n_words=4)


def published_table(task: TaskSummary) -> Table:
    """The published curve beside ours, arm by arm, and what either says of the gain."""
    config = task.sweep.summary["config"]["published"]
    arms = list(config["arms"])
    rows = []
    for arm in arms:
        points = [row for row in task.published if row["arm"] == arm]
        here = [
            DASH if row["here"] is None else (format_number(row["here"]), _format_interval(row))
            for row in points
        ]
        rows += [
            (arm, "published", *(format_number(row["published"]) for row in points)),
            (arm, "here", *here),
            (arm, "here minus published", *(format_number(row["difference"]) for row in points)),
        ]
    for arm, baseline in task.baselines.items():
        if arm in arms and baseline in arms:
            for source in ("published", "here"):
                gain = published.published_gain(task.published, arm, baseline, source)
                rows.append((f"{arm} minus {baseline}", source, *map(format_number, gain)))
    return make_table(("arm", "", *map(format_percent, config["fractions"])), rows, n_words=2)


def differences_table(comparison: Comparison) -> Table:
    """Paired differences with intervals and tests, a row a stage and fraction."""
    rows = [
        (
            STAGE_NAMES[row["stage"]],
            format_percent(row["fraction"]),
            format_number(row["difference"]),
            _format_interval(row),
            format_number(row["t"], 2),
            format_number(row["degrees"], 1),
            format_p(row["p_t"]),
            format_p(row["p_t_holm"]),
            row["n_subjects"],
        )
        for row in comparison.differences
    ]
    interval = f"{format_percent(LEVEL)} interval"
    measure = comparison.overall["measure"]
    head = ("stage", "share", f"difference in {measure}", interval, "t", "degrees of freedom", "p")
    head += ("p after Holm", "subjects")
    return make_table(head, rows)


def agreement_table(task: TaskSummary) -> Table:
    """All metrics with all windows, a row an arm and stage."""
    names = NAMES[task.sweep.kind]
    head: list[object] = ["arm", "stage"]
    head += [(name, _unit(task, m)) for m, name in names.items()]
    rows = []
    for arm, stage in _curve_keys(task):
        if stage == "fifth":
            continue
        key = (arm, stage, "windows", 1)
        values = {
            row["metric"]: format_number(row["mean"], _digits(task, row["metric"]))
            for row in task.curves
            if (row["arm"], row["stage"], row["axis"], row["fraction"]) == key
        }
        if values:
            if "loa" in names:
                values["loa"] = f"{values['loa_low']} to {values['loa_high']}"
            name = STAGE_NAMES.get(stage, stage)
            rows.append((arm, name, *(values[m] for m in names)))
    mean = subjects.training_mean(task.sweep)
    if rows and mean:
        values = {m: format_number(value, _digits(task, m)) for m, value in mean.items()}
        values["loa"] = f"{values['loa_low']} to {values['loa_high']}"
        named = ("mean of the training labels", "yardstick")
        rows.append((*named, *(values.get(m, DASH) for m in names)))
    return make_table(head, rows, n_words=2)


def subjects_table(task: TaskSummary) -> Table:
    """Two metrics of every subject with all windows, for each arm and the best reference."""
    names = [name for name, _ in subjects.full_curves(task)]
    head: list[object] = ["subject", "examples"]
    shown, all_names = task.sweep.kind.shown, NAMES[task.sweep.kind]
    for name in names:
        head += [(f"{all_names[m]}, {name}", _unit(task, m)) for m in shown]
    rows = []
    for row in subjects.subject_rows(task):
        cells: list[object] = [row["subject"], row["n"]]
        for name in names:
            cells += [format_number(row[name][m], _digits(task, m)) for m in shown]
        rows.append(cells)
    return make_table(head, rows)


def shares_table(task: TaskSummary) -> Table:
    """How many training windows and subjects a share is; the range over folds and draws."""
    runs = task.sweep.runs
    rows = []
    for axis in task.axes:
        for fraction in _fractions(task, axis):
            # All windows are also all subjects.
            rows_of = (runs["axis"] == axis) | (fraction == 1)
            rows_of &= runs["fraction"] == fraction
            counts = (runs[name][rows_of] for name in ("n_train", "n_train_subjects"))
            ranges = (_format_range((np.median(n), n.min(), n.max()), 0) for n in counts)
            rows.append((axis, format_percent(fraction), *ranges))
    return make_table(("share of", "", "training windows", "training subjects"), rows, n_words=2)


def conditions_table(task: TaskSummary) -> Table:
    """r and RMSE within each condition, two columns an arm."""
    by_arm = {arm: {row["condition"]: row for row in r} for arm, r in task.conditions.items()}
    head: list[object] = ["condition", "subjects", "examples"]
    for arm in by_arm:
        head += [f"r, {arm}", (f"RMSE, {arm}", task.unit)]
    digits = _digits(task, "rmse")
    rows = []
    for name in sorted({name for by_condition in by_arm.values() for name in by_condition}):
        of_arms = [by_condition.get(name) for by_condition in by_arm.values()]
        first = next(row for row in of_arms if row is not None)
        cells: list[object] = []
        for row in of_arms:
            if row is None:
                cells += [DASH, DASH]
            else:
                r = (format_number(row["r"]), _format_interval(row))
                cells += [r, format_number(row["rmse"], digits)]
        rows.append((name or "(none)", first["n_subjects"], first["n"], *cells))
    return make_table(head, rows)


def choices_table(task: TaskSummary) -> Table:
    """How often each setting of the arms was chosen, and how often it lay at an edge."""
    rows = [
        (
            share.arm,
            share.axis,
            format_percent(share.fraction),
            *(_choice_cell(share.choices[name], name) for name in training.SETTINGS),
        )
        for share in task.training
    ]
    head = ("arm", "share of", "", "learning rate", "penalty", "steps, % of the budget")
    return make_table(head, rows, n_words=len(head))


def settings_table(task: TaskSummary) -> Table | None:
    """How often which setting of the references was chosen; None where nothing was chosen."""
    rows = [
        (row["arm"], row["axis"], format_percent(row["fraction"]), row["chosen \u00d7 runs"])
        for row in task.settings
    ]
    head = ("reference", "share of", "", "chosen \u00d7 runs")
    return make_table(head, rows, n_words=len(head)) if rows else None


def _cells(values: Sequence[object]) -> list[Cell]:
    pairs = (value if isinstance(value, tuple) else (value, "") for value in values)
    return [Cell(str(text).replace(" %", "\u00a0%"), str(small)) for text, small in pairs]


def _curve_keys(task: TaskSummary, axis: str | None = None) -> list[tuple[str, str]]:
    """(arm, stage) of every curve, on one axis or on any: fine-tuned, probes, references."""
    rows = [row for row in task.curves if axis in (None, row["axis"])]
    keys = dict.fromkeys((row["arm"], row["stage"]) for row in rows)
    return sorted(keys, key=lambda key: STAGE_ORDER.get(key[1], 2))


def _fractions(task: TaskSummary, axis: str) -> list[float]:
    return sorted({row["fraction"] for row in task.curves if row["axis"] == axis})


def _curve_cells(
    task: TaskSummary, arm: str, stage: str, axis: str, fractions: Sequence[float]
) -> list[object]:
    points = {
        row["fraction"]: (format_number(row["mean"]), _format_interval(row))
        for row in task.curve(arm, stage, axis)
    }
    return [points.get(fraction, DASH) for fraction in fractions]


def _judged(share: training.ShareTraining) -> str:
    return DASH if math.isnan(share.loss_change) else "yes"


def _format_range(values: tuple[float, float, float], digits: int) -> tuple[str, str]:
    """Median, and the range below it."""
    median, least, most = (f"{value:.{digits}f}" for value in values)
    return median, "" if least == most else f"{least} to {most}"


def _choice_cell(choice: training.Choice, setting: str) -> tuple[str, str]:
    unit = 100 if setting == "steps" else 1
    counts = ", ".join(f"{unit * value:g} \u00d7 {n}" for value, n in choice.counts.items())
    if not choice.n_runs:
        return counts, "no choice"
    edges = f"{choice.n_lowest} lowest, {choice.n_highest} highest"
    return counts, f"{edges} of {choice.n_runs}"


def _format_interval(row: dict[str, Any]) -> str:
    limits = [format_number(row[key]) for key in ("low", "high")]
    return DASH if DASH in limits else " to ".join(limits)


def _unit(task: TaskSummary, metric: str) -> str:
    units = dict.fromkeys(METRICS_IN_UNIT, task.unit)
    units |= {"peak_time_rmse": "s", "impulse_rmse": f"{task.unit} s"}
    return units.get(metric, "")


def _digits(task: TaskSummary, metric: str) -> int:
    """Decimals so that the smallest RMSE shows three figures; ratios have three decimals."""
    errors = [row["mean"] for row in task.curves if row["metric"] == "rmse" and row["mean"] > 0]
    is_in_unit = {metric, metric.split("_")[0]} & set(METRICS_IN_UNIT)
    if not is_in_unit or metric == "impulse_rmse" or not errors:
        return 3
    return min(6, max(0, 2 - math.floor(math.log10(min(errors)))))
