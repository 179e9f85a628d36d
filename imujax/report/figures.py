"""The main picture, r against the share of labelled data: its panels in rows, and one legend."""

import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from imujax.report import panels, training
from imujax.report.sentences import STAGE_NAMES, format_percent
from imujax.report.statistics import LEVEL
from imujax.report.task_summary import TaskSummary
from imujax.runtime.drawing import GREY, STYLE

# Inches: a row of panels from top to bottom, a panel from left to right.
HEIGHTS = {"title": 0.78, "curves": 2.5, "gap": 0.12, "differences": 0.8, "label": 0.55}
LEFT_MARGIN, PANEL_WIDTH, LEGEND_LINE = 0.86, 3.0, 0.19
PANELS_IN_ROW = 3
WARNING_LINE, WARNING_WIDTH = 0.15, 68  # inches; letters


def curves_figure(tasks: Sequence[TaskSummary]) -> Figure:
    """One panel a task and axis: mean per-subject r, and below it the difference to the baseline.

    A single task has its axes side by side; several tasks have one row of panels for each axis.

    Parameters
    ----------
    tasks : sequence of TaskSummary

    Returns
    -------
    Figure
        Of two axes a panel, the upper and the lower.
    """
    rows = _panel_rows(tasks)
    right_margin = 1.1 if any(task.references for task in tasks) else 0.3
    cell = LEFT_MARGIN + PANEL_WIDTH + right_margin
    width = max(len(row) for row in rows) * cell
    warnings = [[_warnings(task, axis) for task, axis in row] for row in rows]
    warning_heights = [WARNING_LINE * max(map(len, of_row)) for of_row in warnings]
    with matplotlib.rc_context(STYLE):
        handles = _legend_handles(tasks)
        legend_lines = max(2, -(-len(handles) // max(1, int(width / 1.9))))
        height = len(rows) * sum(HEIGHTS.values()) + sum(warning_heights)
        height += LEGEND_LINE * legend_lines + 0.15
        figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(figure)
        top = height
        for row, of_row, warning_height in zip(rows, warnings, warning_heights, strict=True):
            top -= HEIGHTS["title"] + warning_height
            for j, (task, axis) in enumerate(row):
                upper, lower = _add_panel(figure, j * cell + LEFT_MARGIN, top)
                _write_warnings(upper, of_row[j])
                panels.draw_curves(upper, task, axis)
                panels.draw_differences(lower, task, axis)
                if j == 0:
                    upper.set_ylabel(f"mean {task.sweep.kind.word} over subjects")
                    lower.set_ylabel("difference")
                    figure.align_ylabels([upper, lower])
            top -= sum(HEIGHTS.values()) - HEIGHTS["title"]
        _add_legend(figure, handles, legend_lines)
    return figure


def _panel_rows(tasks: Sequence[TaskSummary]) -> list[list[tuple[TaskSummary, str]]]:
    axes = ("windows", "subjects")
    if len(tasks) == 1:
        return [[(tasks[0], axis) for axis in axes if axis in tasks[0].axes]]
    rows = []
    for axis in axes:
        row = [(task, axis) for task in tasks if axis in task.axes]
        rows += [row[i : i + PANELS_IN_ROW] for i in range(0, len(row), PANELS_IN_ROW)]
    return rows


def _warnings(task: TaskSummary, axis: str) -> list[str]:
    """A small budget and what was not trained to its end: lines above the title of a panel."""
    lines = [training.SMALL_BUDGET] if training.has_small_budget(task.sweep) else []
    lines += training.unfinished_lines(training.shares_of_axis(task.training, axis))
    lines = [line.replace(" %", "\u00a0%") for line in lines]
    return [part for line in lines for part in textwrap.wrap(line, WARNING_WIDTH)]


def _write_warnings(ax: Axes, lines: Sequence[str]) -> None:
    for i, line in enumerate(reversed(lines)):
        height = 72 * (HEIGHTS["title"] - 0.08 + WARNING_LINE * i)  # above the panel's title
        style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        ax.annotate(line, (0, 1), xytext=(0, height), fontsize=7.5, **style)


def _add_panel(figure: Figure, left: float, top: float) -> tuple[Axes, Axes]:
    """Upper and lower axes of a panel whose upper left corner is at (left, top), in inches."""
    width, height = figure.get_size_inches()

    def add_axes(bottom: float, part: str, sharex: Axes | None = None) -> Axes:
        size = PANEL_WIDTH / width, HEIGHTS[part] / height
        return figure.add_axes((left / width, bottom / height, *size), sharex=sharex)

    bottom = top - HEIGHTS["curves"]
    upper = add_axes(bottom, "curves")
    bottom -= HEIGHTS["gap"] + HEIGHTS["differences"]
    return upper, add_axes(bottom, "differences", upper)


def _add_legend(figure: Figure, handles: list[Line2D | Patch], n_lines: int) -> None:
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=-(-len(handles) // n_lines),
        frameon=False,
        fontsize=8,
        handlelength=2.6,
        columnspacing=1.6,
        borderaxespad=0.2,
    )


def _legend_handles(tasks: Sequence[TaskSummary]) -> list[Line2D | Patch]:
    handles: dict[str, Line2D | Patch] = {}
    for task in tasks:
        for arm in task.arms:
            for stage in ("finetune", "probe"):
                label = f"{arm}, {STAGE_NAMES[stage]}"
                if label not in handles and any(task.curve(arm, stage, a) for a in task.axes):
                    style = panels.line_style(task, arm, stage)
                    handles[label] = Line2D([], [], **style, label=label)
    shared = []
    if any(task.references for task in tasks):
        dashes = panels.REFERENCE_DASHES[2]
        shared.append(Line2D([], [], color=GREY, lw=1.0, ls=dashes, label="reference"))
    if any(task.published for task in tasks):
        style = panels.PUBLISHED_STYLE
        shared.append(Line2D([], [], color=GREY, **style, label="published, fine-tuned"))
    interval = f"{format_percent(LEVEL)} interval"
    return [*handles.values(), *shared, Patch(color=GREY, alpha=0.25, lw=0, label=interval)]
