"""The third picture: training loss and inner error along the budget, for each share and arm."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from imujax.report import panels, training
from imujax.report.sentences import format_percent
from imujax.report.task_summary import TaskSummary
from imujax.report.training import LAST_FIFTH, ShareTraining
from imujax.runtime.drawing import GREY, PALE, STYLE

# Inches.
LEFT_MARGIN, RIGHT_MARGIN, PANEL_HEIGHT, COLUMN_GAP, ROW_GAP = 0.8, 0.15, 1.35, 0.16, 0.14
MIN_PANELS_WIDTH, MIN_PANEL_WIDTH = 5.0, 1.5  # of a row, for header and legend; of a panel
HEADER_LINE, TITLE, LABELS, LEGEND_LINE = 0.17, 0.46, 0.5, 0.2
MAX_DOT = 70  # points squared: all runs of an arm end there
CURVES = {"loss": "training loss\n[label variance]", "error": "inner error\n[1 \u2212 r]"}


def training_figure(task: TaskSummary) -> Figure:
    """Two rows of panels for each axis: training loss and inner error, a column a share.

    Parameters
    ----------
    task : TaskSummary
        With at least one fine-tuned arm.

    Returns
    -------
    Figure
        Means and bands over the inner runs, a line an arm; dots where the runs end, as large as
        many.
    """
    by_axis = {axis: [s for s in task.training if s.axis == axis] for axis in task.axes}
    by_axis = {axis: shares for axis, shares in by_axis.items() if shares}
    fractions = {axis: sorted({s.fraction for s in s_list}) for axis, s_list in by_axis.items()}
    n_columns = max(map(len, fractions.values()))
    panel_width = max(MIN_PANEL_WIDTH, MIN_PANELS_WIDTH / n_columns)
    header = header_lines(task)
    legend = [_arm_handles(task), _note_handles()]
    block = TITLE + 2 * PANEL_HEIGHT + ROW_GAP + LABELS
    height = HEADER_LINE * (1 + len(header)) + block * len(by_axis)
    height += LEGEND_LINE * len(legend) + 0.1
    width = LEFT_MARGIN + n_columns * (panel_width + COLUMN_GAP) + RIGHT_MARGIN
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(figure)
        _write_header(figure, task, header)
        top = height - HEADER_LINE * (1 + len(header)) - TITLE
        for axis, shares in by_axis.items():
            _draw_block(figure, task, axis, shares, top, panel_width)
            top -= block
        for i, handles in enumerate(reversed(legend)):
            figure.legend(
                handles=handles,
                loc="lower left",
                bbox_to_anchor=(LEFT_MARGIN / width, LEGEND_LINE * i / height),
                ncols=len(handles),
                frameon=False,
                fontsize=7.5,
                borderaxespad=0.2,
                columnspacing=1.4,
            )
    return figure


def header_lines(task: TaskSummary) -> list[str]:
    """What stands at the head: a small budget, and the arms that were not trained to their end.

    Parameters
    ----------
    task : TaskSummary

    Returns
    -------
    list of str
    """
    lines = [training.SMALL_BUDGET] if training.has_small_budget(task.sweep) else []
    for axis in task.axes:
        of_axis = training.unfinished_lines([s for s in task.training if s.axis == axis])
        lines += [f"{line} of the {axis}" for line in of_axis]
    return lines


def _write_header(figure: Figure, task: TaskSummary, header: Sequence[str]) -> None:
    stamp = ", simulated data" if task.simulated else ""
    lines = [f"{task.title}: how the arms were fine-tuned{stamp}", *header]
    width, height = figure.get_size_inches()
    for i, line in enumerate(lines):
        size, weight = (9.5, "bold") if i == 0 else (8, "normal")
        y = 1 - HEADER_LINE * (i + 0.35) / height
        figure.text(0.1 / width, y, line, va="top", fontsize=size, fontweight=weight)


def _draw_block(
    figure: Figure,
    task: TaskSummary,
    axis: str,
    shares: Sequence[ShareTraining],
    top: float,
    panel_width: float,
) -> None:
    """The panels of one axis, whose upper edge is at `top`, in inches from below."""
    width, height = figure.get_size_inches()
    size = panel_width / width, PANEL_HEIGHT / height
    columns = [
        [share for share in shares if share.fraction == fraction]
        for fraction in sorted({share.fraction for share in shares})
    ]
    for curve, label in CURVES.items():
        is_upper = curve == "loss"
        bottom = top - PANEL_HEIGHT - (0 if is_upper else PANEL_HEIGHT + ROW_GAP)
        lefts = (LEFT_MARGIN + j * (panel_width + COLUMN_GAP) for j in range(len(columns)))
        row = [figure.add_axes((left / width, bottom / height, *size)) for left in lefts]
        for ax, of_column in zip(row, columns, strict=True):
            ax.sharey(row[0])
            _draw_panel(ax, task, of_column, curve)
            ax.tick_params(labelleft=ax is row[0], labelbottom=not is_upper)
            if is_upper:
                _write_title(ax, axis, of_column)
        _set_value_axis(row[0], shares, curve)
        row[0].set_ylabel(label)
        if not is_upper:
            row[0].set_xlabel("% of the budget", loc="left")


def _draw_panel(ax: Axes, task: TaskSummary, shares: Sequence[ShareTraining], curve: str) -> None:
    ax.axvspan(LAST_FIFTH, 1, color=PALE, alpha=0.45, lw=0, zorder=0)
    for share in sorted(shares, key=lambda s: task.arms.index(s.arm), reverse=True):
        colour, marker = panels.arm_style(task, share.arm)
        low, mean, high = getattr(share, curve)
        ax.fill_between(share.stops, low, high, color=colour, alpha=0.13, lw=0, zorder=1)
        ax.plot(share.stops, mean, color=colour, lw=1.5, zorder=3)
        ends = share.choices["steps"].counts
        size = [MAX_DOT * n / share.n_runs for n in ends.values()]
        height = np.interp(list(ends), share.stops, mean)
        dots: dict[str, Any] = {
            "color": colour,
            "marker": marker,
            "ec": "white",
            "lw": 0.5,
            "zorder": 4,
        }
        dots["clip_on"] = False
        ax.scatter(list(ends), height, s=size, **dots)
    ax.set_xlim(0, 1)
    ax.set_xticks([0, 0.5, 1], ["0", "50", "100"])
    first, _, last = ax.get_xticklabels()  # centred, they run into those of the next panel
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    ax.grid(axis="y", color=PALE, lw=0.5, zorder=0)


def _write_title(ax: Axes, axis: str, shares: Sequence[ShareTraining]) -> None:
    """The share, and how much its budget is, above a panel."""
    style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    title = f"{format_percent(shares[0].fraction)} of the {axis}"
    ax.annotate(title, (0, 1), xytext=(0, 16), fontweight="bold", **style)
    passes = np.median([share.budget_passes for share in shares])
    steps = np.median([share.budget_steps for share in shares])
    budget = f"{passes:.{0 if passes >= 10 else 1}f} passes, {steps:.0f} steps"
    ax.annotate(budget, (0, 1), xytext=(0, 5), color=GREY, fontsize=7.5, **style)


def _set_value_axis(ax: Axes, shares: Sequence[ShareTraining], curve: str) -> None:
    """Logarithmic, so that equal falls are equal changes; limits of the means and bands drawn."""
    values = np.concatenate([getattr(share, curve).ravel() for share in shares])
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values):
        ax.set_yticks([])
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": GREY, "fontsize": 8}
        ax.text(0.5, 0.5, "nothing was chosen", transform=ax.transAxes, **style)
        return
    ax.set_yscale("log")
    ax.set_ylim(values.min() / 1.06, values.max() * 1.06)
    bottom, top = ax.get_ylim()
    is_wide = top > 6 * bottom
    ax.yaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5)) if is_wide else MaxNLocator(4, steps=(1, 2, 5, 10))
    )
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def _arm_handles(task: TaskSummary) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = []
    for arm in task.arms:
        colour, marker = panels.arm_style(task, arm)
        handles.append(Line2D([], [], color=colour, marker=marker, ms=5, lw=1.5, label=arm))
    return handles


def _note_handles() -> list[Line2D | Patch]:
    low, high = training.BAND
    dots: dict[str, Any] = {"color": GREY, "marker": "o", "ls": "none", "ms": 5, "mec": "white"}
    return [
        Patch(color=GREY, alpha=0.3, lw=0, label=f"{low}th to {high}th percentile"),
        Line2D([], [], label="ends of runs (area: how many)", **dots),
        Patch(color=PALE, alpha=0.45, lw=0, label="last fifth"),
    ]
