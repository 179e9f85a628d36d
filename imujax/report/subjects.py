"""What means over subjects hide: each subject alone, and what a constant estimate would give."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from imujax.data import targets
from imujax.report import kinds, learning_curves, metrics
from imujax.report.panels import arm_style
from imujax.report.tables import Sweep
from imujax.report.task_summary import TaskSummary, best_reference
from imujax.runtime.drawing import GREY, INK, PALE, STYLE

AXIS = "windows"
DODGE = 0.12  # between the marks of a subject, in distances of subjects
MOST_NAMED = 40  # subjects whose names fit below the picture


def full_curves(task: TaskSummary) -> list[tuple[str, str]]:
    """List what is compared with all windows: the arms, then the best reference.

    Parameters
    ----------
    task : TaskSummary

    Returns
    -------
    list of (str, str)
        Arm or reference, and its stage.
    """
    curves = [(arm, task.stage) for arm in task.conditions]
    best = best_reference(task)
    return curves + ([(best, "reference")] if best else [])


def full_rows(task: TaskSummary, name: str, stage: str) -> np.ndarray:
    """Find the predictions of an arm or reference with all windows, of its first draw.

    Parameters
    ----------
    task : TaskSummary
    name, stage : str
        Of `full_curves`.

    Returns
    -------
    ndarray of bool, [M]
    """
    runs = task.sweep.runs
    is_chosen = (runs["arm"] == name) & (runs["stage"] == stage) & (runs["axis"] == AXIS)
    is_chosen &= runs["fraction"] == 1
    is_chosen &= runs["draw"] == runs["draw"][is_chosen].min()
    return np.isin(task.sweep.predictions["run"], runs["run"][is_chosen])


def subject_rows(task: TaskSummary) -> list[dict[str, Any]]:
    """Score each subject with all windows, averaged over the draws.

    Parameters
    ----------
    task : TaskSummary

    Returns
    -------
    list of dict
        subject, n, its examples, and by the names of `full_curves` the metrics that its kind
        shows; by the first of these of the last of them, descending. Empty where nothing has runs
        with all windows.
    """
    curves = full_curves(task)
    n = {row["subject"]: row["n"] for row in task.sweep.scores}
    rows: dict[str, dict[str, Any]] = {}
    for name, stage in curves:
        for metric in task.sweep.kind.shown:
            curve = learning_curves.subject_curve(task.sweep, name, stage, AXIS, metric)
            for subject, value in zip(curve.subjects.tolist(), curve.values[-1], strict=True):
                row = rows.setdefault(subject, {"subject": subject, "n": n[subject]})
                row.setdefault(name, {})[metric] = float(value)
    main = task.sweep.kind.main
    return sorted(rows.values(), key=lambda row: -row[curves[-1][0]][main])


def subjects_figure(task: TaskSummary) -> Figure:
    """Draw the main metric of each subject with all windows.

    A mark for each arm and the best reference.

    Parameters
    ----------
    task : TaskSummary
        With at least one arm in `conditions`.

    Returns
    -------
    Figure
    """
    rows, curves, kind = subject_rows(task), full_curves(task), task.sweep.kind
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.0, 2.9), facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        ax = figure.subplots()
        place = np.arange(len(rows))
        ax.vlines(
            place, *np.array([_range(row, curves, kind.main) for row in rows]).T, color=PALE, lw=6
        )
        for i, (name, stage) in enumerate(curves):
            r = [row[name][kind.main] for row in rows]
            aside = place + DODGE * (i - (len(curves) - 1) / 2)
            if stage == "reference":
                style: dict[str, Any] = {"marker": "_", "color": INK, "mew": 1.6, "ms": 9}
            else:
                colour, marker = arm_style(task, name)
                style = {"marker": marker, "color": colour, "ms": 5}
            ax.plot(aside, r, ls="", label=name, **style)
        ax.set_ylabel(f"{kind.word} within the subject")
        if len(rows) <= MOST_NAMED:
            ax.set_xticks(place, [row["subject"] for row in rows], rotation=90, fontsize=7)
        else:
            ax.set_xlabel(f"{len(rows)} subjects, by {kind.word} of {curves[-1][0]}")
            ax.set_xticks([])
        ax.set_xlim(-0.7, len(rows) - 0.3)
        ax.legend(frameon=False, ncols=len(curves), loc="lower left", bbox_to_anchor=(0, 1))
        if task.simulated:
            ax.set_title("simulated data", loc="right", fontsize=8.5, color=GREY)
    return figure


def _range(row: dict[str, Any], curves: list[tuple[str, str]], metric: str) -> tuple[float, float]:
    values = [row[name][metric] for name, _ in curves]
    return min(values), max(values)


def training_mean(sweep: Sweep) -> dict[str, float]:
    """Score the mean of the training labels as an estimate: the yardstick of RMSE and R^2.

    Of curves it is the mean curve, sample by sample, which has an r, too.

    Parameters
    ----------
    sweep : Sweep

    Returns
    -------
    dict of float
        Metric to its mean over subjects, for those that a constant has; empty where nothing has
        runs with all windows.
    """
    runs, predictions = sweep.runs, sweep.predictions
    is_full = (runs["axis"] == AXIS) & (runs["fraction"] == 1)
    if sweep.kind is kinds.CLASSES or not is_full.any():
        return {}
    first = np.flatnonzero(is_full)[0]
    for key in ("arm", "stage", "draw"):
        is_full &= runs[key] == runs[key][first]
    rows = np.isin(predictions["run"], runs["run"][is_full])
    run, subject, truth = (predictions[name][rows] for name in ("run", "subject", "truth"))
    truth = truth.astype(np.float64)
    constant = np.empty(truth.shape)
    for number in np.unique(run):  # a fold; the others are its training subjects
        is_tested = run == number
        others = truth[~is_tested]
        constant[is_tested] = targets.mean_curve(others) if others.ndim > 1 else others.mean()
    scores = sweep.kind.score(sweep.target, {"subject": subject}, truth, constant)
    undefined = [row["undefined"] for row in scores]
    means = {}
    not_of_constants = ("r", "slope", "icc", "intercept")
    left_out = not_of_constants if sweep.kind is kinds.NUMBERS else ()
    for name in sweep.kind.metrics:
        values, is_scorable = metrics.values_for_mean(
            name, [row[name] for row in scores], undefined
        )
        if name not in left_out and is_scorable.any():
            means[name] = float(values[is_scorable].mean())
    return means
