"""The second picture: how estimates agree with the truth, for each arm and subject."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from imujax.report.sentences import STAGE_NAMES
from imujax.report.subjects import full_curves, full_rows
from imujax.report.task_summary import TaskSummary
from imujax.runtime.drawing import GREY, INK, STYLE


def agreement_figure(task: TaskSummary) -> Figure:
    """Estimate against truth, and Bland-Altman, of every arm and the best reference.

    With all windows, of the first draw; one colour a subject, who was not trained on. Limits are
    bias -/+ 1.96 SD of all differences.

    Parameters
    ----------
    task : TaskSummary
        With at least one arm in `conditions`.

    Returns
    -------
    Figure
        A row of two axes for each of them.
    """
    curves = full_curves(task)
    unit = f" [{task.unit}]" if task.unit else ""
    with matplotlib.rc_context(STYLE):
        height = 3.1 * len(curves) + 0.35
        figure = Figure(figsize=(8.0, height), facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(curves), 2, squeeze=False, sharex="col", sharey="col")
        colours = matplotlib.colormaps["cividis"](np.linspace(0, 0.92, task.n_subjects))
        for (left, right), (name, stage) in zip(axes, curves, strict=True):
            truth, estimate, subject = _full_predictions(task, name, stage)
            _, code = np.unique(subject, return_inverse=True)
            size = 16 if len(truth) < 500 else 7
            dots = {"c": colours[code], "s": size, "lw": 0, "alpha": 0.7}
            _draw_agreement(left, truth, estimate, dots)
            left.set_ylabel(f"estimate{unit}")
            title = f"{name}, {STAGE_NAMES.get(stage, stage)}"
            left.set_title(title, loc="left", fontweight="bold", fontsize=9.5)
            _draw_bland_altman(right, truth, estimate, dots)
            right.set_ylabel(f"estimate \u2212 truth{unit}")
        axes[-1, 0].set_xlabel(f"truth{unit}")
        axes[-1, 1].set_xlabel(f"mean of estimate and truth{unit}")
        stamp = ", simulated data" if task.simulated else ""
        title = f"{task.title}: {task.n_subjects} subjects{stamp}"
        figure.suptitle(title, x=0.01, ha="left", fontsize=8.5, color=GREY)
    return figure


def _full_predictions(
    task: TaskSummary, name: str, stage: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, estimate and subject [M] of the first draw's finite estimates."""
    predictions, rows = task.sweep.predictions, full_rows(task, name, stage)
    rows &= np.isfinite(predictions["estimate"])
    return predictions["truth"][rows], predictions["estimate"][rows], predictions["subject"][rows]


def _draw_agreement(
    ax: Axes, truth: np.ndarray, estimate: np.ndarray, dots: dict[str, Any]
) -> None:
    ax.scatter(truth, estimate, **dots)
    ends = [min(truth.min(), estimate.min()), max(truth.max(), estimate.max())]
    ax.plot(ends, ends, color=INK, lw=0.9)


def _draw_bland_altman(
    ax: Axes, truth: np.ndarray, estimate: np.ndarray, dots: dict[str, Any]
) -> None:
    error = estimate - truth
    ax.scatter((truth + estimate) / 2, error, **dots)
    bias, sd = error.mean(), error.std(ddof=1)
    digits = max(0, 1 - int(np.floor(np.log10(sd)))) if sd > 0 else 3
    style = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    style |= {"va": "center", "fontsize": 7.5}
    levels = {"+1.96 SD": bias + 1.96 * sd, "bias": bias, "\u22121.96 SD": bias - 1.96 * sd}
    for name, level in levels.items():
        ax.axhline(level, color=INK, lw=0.9, ls="-" if name == "bias" else (0, (4, 2)))
        text = f"{name}\n{_format_level(level, digits)}"
        ax.annotate(text, (1, level), xytext=(4, 0), **style)


def _format_level(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\u2212")
