"""The main picture, r against the share of labelled data, and the look that all pictures share.

Colours are those of Okabe & Ito, which colour-blind readers can tell apart; every arm has its own
marker too, and the stages differ in dash and fill, so that nothing is lost in grey.
"""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from imujax.report.sentences import percent, reduction_limits
from imujax.report.statistics import LEVEL
from imujax.report.task_summary import Comparison, TaskSummary
from imujax.runtime.drawing import GREY, INK, PALE, STYLE

BASELINE_LOOKS = (("#D55E00", "s"), ("#E69F00", "v"))
LOOKS = (("#0072B2", "o"), ("#009E73", "^"), ("#CC79A7", "D"), ("#56B4E9", "P"))
REFERENCE_DASHES = ((0, (1, 1.4)), (0, (5, 1.5, 1, 1.5)), (0, (5, 2)), (0, (8, 1.5)))
AS_PUBLISHED = {"marker": "x", "ms": 4.5, "lw": 0.9, "ls": (0, (1, 2)), "zorder": 3}
# Inches: a row of panels from top to bottom, a panel from left to right.
HEIGHTS = {"title": 0.78, "curves": 2.5, "gap": 0.12, "differences": 0.8, "label": 0.55}
LEFT, PANEL, LINE = 0.74, 3.0, 0.19
NAMED = 3  # sensors that are named above a panel; more are counted
STAGES = {"finetune": "fine-tuned", "probe": "frozen probe"}
AXIS_LABEL = {
    "windows": "share of the training windows",
    "subjects": "share of the training subjects",
}


def curves_figure(tasks: Sequence[TaskSummary]) -> Figure:
    """One panel a task and axis: mean per-subject r, and below it the difference to the baseline.

    A single task has its axes side by side; several tasks have one row of panels for each axis.
    """
    rows = _rows(tasks)
    wide = max(len(row) for row in rows)
    right = 1.1 if any(task.references for task in tasks) else 0.3
    cell = LEFT + PANEL + right
    width = wide * cell
    with matplotlib.rc_context(STYLE):
        handles = _handles(tasks)
        lines = max(2, -(-len(handles) // max(1, int(width / 1.9))))
        height = len(rows) * sum(HEIGHTS.values()) + LINE * lines + 0.15
        figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(figure)
        for i, row in enumerate(rows):
            top = height - i * sum(HEIGHTS.values()) - HEIGHTS["title"]
            for j, (task, axis) in enumerate(row):
                left = (j * cell + LEFT) / width
                base = top - HEIGHTS["curves"]
                size = PANEL / width, HEIGHTS["curves"] / height
                upper = figure.add_axes((left, base / height, *size))
                base -= HEIGHTS["gap"] + HEIGHTS["differences"]
                size = PANEL / width, HEIGHTS["differences"] / height
                lower = figure.add_axes((left, base / height, *size), sharex=upper)
                _curves(upper, task, axis)
                _differences(lower, task, axis)
                if j == 0:
                    upper.set_ylabel("mean r over subjects")
                    lower.set_ylabel("difference")
                    figure.align_ylabels([upper, lower])
        figure.legend(
            handles=handles,
            loc="lower center",
            ncols=-(-len(handles) // lines),
            frameon=False,
            fontsize=8,
            handlelength=2.6,
            columnspacing=1.6,
            borderaxespad=0.2,
        )
    return figure


def _rows(tasks: Sequence[TaskSummary]) -> list[list[tuple[TaskSummary, str]]]:
    axes = ("windows", "subjects")
    if len(tasks) == 1:
        return [[(tasks[0], axis) for axis in axes if axis in tasks[0].axes]]
    rows = []
    for axis in axes:
        row = [(task, axis) for task in tasks if axis in task.axes]
        rows += [row[i : i + 3] for i in range(0, len(row), 3)]
    return rows


def look(task: TaskSummary, arm: str) -> tuple[str, str]:
    """Colour and marker of an arm, the same in every picture."""
    others = [name for name in task.arms if name in task.baselines.values()]
    looks = BASELINE_LOOKS
    if arm not in others:
        others, looks = [name for name in task.arms if name not in others], LOOKS
    return looks[others.index(arm) % len(looks)]


def _curves(ax: Axes, task: TaskSummary, axis: str) -> None:
    shown: list[float] = []
    ends: list[tuple[float, str]] = []
    for dashes, name in zip(REFERENCE_DASHES, task.references, strict=False):
        if rows := task.curve(name, "reference", axis):
            x, mean, _, _ = _columns(rows)
            ax.plot(x, mean, color=GREY, lw=1.0, ls=dashes, zorder=2)
            if np.isfinite(mean[-1]):
                ends.append((mean[-1], name))
            shown += list(mean)
    for arm in task.arms:
        colour, marker = look(task, arm)
        for stage in ("probe", "finetune"):
            if not (rows := task.curve(arm, stage, axis)):
                continue
            x, mean, low, high = _columns(rows)
            fine = stage == "finetune"
            ax.plot(
                x,
                mean,
                color=colour,
                marker=marker,
                ms=5 if fine else 4,
                mfc=colour if fine else "white",
                mec=colour,
                lw=1.9 if fine else 1.1,
                ls="-" if fine else (0, (3, 2)),
                zorder=4 if fine else 3,
            )
            shown += list(mean)
            if fine:
                ax.fill_between(x, low, high, color=colour, alpha=0.14, lw=0, zorder=1)
                shown += [*low, *high]
    for arm in task.arms if axis == "windows" else ():
        if rows := [row for row in task.published if row["arm"] == arm]:
            x, y = (np.array([row[key] for row in rows]) for key in ("fraction", "published"))
            ax.plot(x, y, color=look(task, arm)[0], **AS_PUBLISHED)
            shown += list(y)
    shown = [value for value in shown if np.isfinite(value)] or [0.0, 1.0]
    bottom, top = min(shown), max(shown)
    span = max(top - bottom, 0.02)
    # The strip above is kept free of curves for the stamp.
    bottom, top = bottom - 0.05 * span, top + (0.18 if task.simulated else 0.05) * span
    ax.set_ylim(bottom, top)
    _shares(ax, task, axis)
    ax.tick_params(labelbottom=False)
    ax.grid(axis="y", color=PALE, lw=0.5, zorder=0)
    _end_labels(ax, ends)
    of_axis = [c for c in task.comparisons if c.axis == axis]
    _reduction(ax, [c for c in of_axis if c.reduction is not None])
    ax.annotate(
        task.title,
        (0, 1),
        xytext=(0, 34),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=10,
        fontweight="bold",
    )
    many = len(task.sensors) > NAMED  # the page names them all
    sensors = f"{len(task.sensors)} sensors" if many else ", ".join(task.sensors)
    about = f"{sensors} \u00b7 {task.subjects} subjects" if sensors else f"{task.subjects} subjects"
    ax.annotate(
        _short(about, 52),
        (0, 1),
        xytext=(0, 21),
        xycoords="axes fraction",
        textcoords="offset points",
        color=GREY,
    )
    if task.simulated:
        ax.text(
            0.015,
            0.975,
            "SIMULATED DATA",
            transform=ax.transAxes,
            va="top",
            fontsize=7.5,
            fontweight="bold",
            bbox={"boxstyle": "square,pad=0.3", "fc": "white", "ec": INK, "lw": 0.8},
            zorder=6,
        )


def _differences(ax: Axes, task: TaskSummary, axis: str) -> None:
    """Paired differences to the baseline with their intervals: the overlap of the bands above
    says little, because subjects who are hard are hard for both arms."""
    ax.axhline(0, color=INK, lw=0.8, zorder=1)
    of_axis = [c for c in task.comparisons if c.axis == axis]
    n = 2 * len(of_axis)
    for i, comparison in enumerate(of_axis):
        colour, marker = look(task, comparison.arm)
        for k, stage in enumerate(("finetune", "probe")):
            rows = [r for r in comparison.differences if r["stage"] == stage]
            if not rows:
                continue
            shift = min(0.028, 0.13 / n) * (2 * i + k - (n - 1) / 2)
            x = np.array([r["fraction"] for r in rows]) * 10**shift
            y, low, high = (
                np.array([r[key] for r in rows]) for key in ("difference", "low", "high")
            )
            ax.errorbar(
                x,
                y,
                yerr=[y - low, high - y],
                color=colour,
                marker=marker,
                ms=4.2 if stage == "finetune" else 3.6,
                mfc=colour if stage == "finetune" else "white",
                ls="none",
                lw=1.3 if stage == "finetune" else 0.9,
                zorder=3,
            )
    _shares(ax, task, axis)
    ax.locator_params(axis="y", nbins=4)
    ax.grid(axis="y", color=PALE, lw=0.5, zorder=0)
    ax.set_xlabel(AXIS_LABEL[axis])


def _reduction(ax: Axes, comparisons: list[Comparison]) -> None:
    """The level the baseline ends at, from where an arm first reaches it to 100 %.

    Drawn only where the interval leaves out "none", for the arm whose interval is furthest from it;
    otherwise the header says that there is no such arm.
    """
    if not comparisons:
        return
    told = [
        c
        for c in comparisons
        if c.reduction["crossing"] is not None and (c.reduction["low"] or 0) > 0
    ]
    several = len(comparisons) > 1
    note = "no reduction of data that can be told from none"
    if told:
        best = max(told, key=lambda c: c.reduction["low"])
        result = best.reduction
        at, target = 1 - result["crossing"], result["target_r"]
        line = {"arrowstyle": "->", "lw": 1.1, "color": INK, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", (at, target), (1, target), arrowprops=line, zorder=5)
        ends = [ax.get_ylim()[0], target]
        ax.plot([at, at], ends, color=INK, lw=0.8, ls=(0, (1, 2)), zorder=2)
        fewer = "\u2265 " * result["at_least"] + percent(result["crossing"])
        limits = reduction_limits(result, at_least="\u2265 ")
        note = f"same r with {fewer} fewer {best.axis} ({percent(LEVEL)}: {limits})"
        if several:
            note = f"{_short(best.arm, 14)}: {note}, {len(told)} of {len(comparisons)} arms"
    ax.annotate(
        note,
        (0, 1),
        xytext=(0, 8),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=7 if several and told else 8,
    )


def _end_labels(ax: Axes, ends: list[tuple[float, str]]) -> None:
    """Names right of the last points, pushed apart where they would cover each other."""
    low, high = ax.get_ylim()
    height = -np.inf
    for value, name in sorted(ends):
        height = max((value - low) / (high - low), height + 0.058)
        ax.annotate(
            _short(name, 17),
            (1, height),
            xytext=(4, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=GREY,
        )


def _shares(ax: Axes, task: TaskSummary, axis: str) -> None:
    fractions = sorted({row["fraction"] for row in task.curves if row["axis"] == axis})
    ax.set_xscale("log")
    margin = 10**0.08
    ax.set_xlim(fractions[0] / margin, fractions[-1] * margin)
    step = 1 if len(fractions) <= 7 else 2
    labelled = fractions[::-1][::step][::-1]
    ax.set_xticks(labelled, [percent(f) for f in labelled])
    ax.set_xticks([f for f in fractions if f not in labelled], minor=True)
    ax.tick_params(axis="x", which="minor", labelbottom=False)


def _handles(tasks: Sequence[TaskSummary]) -> list[Line2D | Patch]:
    handles, done = [], set()
    for task in tasks:
        for arm in task.arms:
            colour, marker = look(task, arm)
            for stage in ("finetune", "probe"):
                there = any(task.curve(arm, stage, axis) for axis in task.axes)
                if (arm, stage) in done or not there:
                    continue
                done.add((arm, stage))
                fine = stage == "finetune"
                handles.append(
                    Line2D(
                        [],
                        [],
                        color=colour,
                        marker=marker,
                        ms=5 if fine else 4,
                        mfc=colour if fine else "white",
                        lw=1.9 if fine else 1.1,
                        ls="-" if fine else (0, (3, 2)),
                        label=f"{arm}, {STAGES[stage]}",
                    )
                )
    if any(task.references for task in tasks):
        dashes = REFERENCE_DASHES[2]
        handles.append(Line2D([], [], color=GREY, lw=1.0, ls=dashes, label="shallow reference"))
    if any(task.published for task in tasks):
        handles.append(Line2D([], [], color=GREY, label="published, fine-tuned", **AS_PUBLISHED))
    handles.append(
        Patch(color=GREY, alpha=0.25, lw=0, label=f"{percent(LEVEL)} interval over subjects")
    )
    return handles


def _columns(rows: Sequence[dict]) -> tuple[np.ndarray, ...]:
    return tuple(np.array([r[key] for r in rows]) for key in ("fraction", "mean", "low", "high"))


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"
