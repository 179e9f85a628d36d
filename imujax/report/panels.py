"""One panel of the main picture: curves of mean r above, differences to the baseline below.

Colours are those of Okabe & Ito, which colour-blind readers can tell apart; every arm has its own
marker too, and the stages differ in dash and fill, so that nothing is lost in grey.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from imujax.report.sentences import format_percent, reduction_interval
from imujax.report.task_summary import Comparison, TaskSummary
from imujax.runtime.drawing import GREY, INK, PALE

BASELINE_STYLES = (("#D55E00", "s"), ("#E69F00", "v"))
ARM_STYLES = (("#0072B2", "o"), ("#009E73", "^"), ("#CC79A7", "D"), ("#56B4E9", "P"))
REFERENCE_DASHES = ((0, (1, 1.4)), (0, (5, 1.5, 1, 1.5)), (0, (5, 2)), (0, (8, 1.5)))
REFERENCE_DASHES += ((0, (1, 3)), (0, (8, 1.5, 1, 1.5, 1, 1.5)))  # in turn, if there are more
PROBE_DASHES = (0, (3, 2))
PUBLISHED_STYLE: dict[str, Any] = {
    "marker": "x",
    "ms": 4.5,
    "lw": 0.9,
    "ls": (0, (1, 2)),
    "zorder": 3,
}
SHARE_MARGIN = 10**0.08  # beyond the first and the last share
MAX_NAMED_SENSORS = 3  # above a panel; more are counted
AXIS_LABELS = {
    "windows": "share of the training windows",
    "subjects": "share of the training subjects",
}


def arm_style(task: TaskSummary, arm: str) -> tuple[str, str]:
    """Colour and marker of an arm, the same in every picture.

    What is called pretrained comes first, whatever stands beside it in a task.

    Parameters
    ----------
    task : TaskSummary
    arm : str
        One of its fine-tuned arms.

    Returns
    -------
    colour, marker : str
        Of matplotlib.
    """
    baselines = [name for name in task.arms if name in task.baselines.values()]
    if arm in baselines:
        return BASELINE_STYLES[baselines.index(arm) % len(BASELINE_STYLES)]
    others = [name for name in task.arms if name not in baselines]
    others.sort(key=lambda name: name != "pretrained")
    return ARM_STYLES[others.index(arm) % len(ARM_STYLES)]


def line_style(task: TaskSummary, arm: str, stage: str) -> dict[str, Any]:
    """How the line of an arm and stage is drawn, in a panel and in the legend.

    Parameters
    ----------
    task : TaskSummary
    arm : str
        One of its fine-tuned arms.
    stage : {"finetune", "probe"}

    Returns
    -------
    dict
        Properties of a matplotlib Line2D.
    """
    colour, marker = arm_style(task, arm)
    style = {"color": colour, "marker": marker, "mec": colour}
    if stage == "finetune":
        return style | {"ms": 5, "mfc": colour, "lw": 1.9, "ls": "-"}
    return style | {"ms": 4, "mfc": "white", "lw": 1.1, "ls": PROBE_DASHES}


def draw_curves(ax: Axes, task: TaskSummary, axis: str) -> None:
    """Draw the mean r of every curve of a task on one axis, with the panel's header above.

    Parameters
    ----------
    ax : Axes
        The upper axes of a panel.
    task : TaskSummary
    axis : {"windows", "subjects"}
    """
    values, end_labels = _draw_references(ax, task, axis)
    values += _draw_arms(ax, task, axis)
    if axis == "windows":
        values += _draw_published(ax, task)
    _set_r_limits(ax, values, task.simulated)
    _set_share_axis(ax, task, axis)
    ax.tick_params(labelbottom=False)
    ax.grid(axis="y", color=PALE, lw=0.5, zorder=0)
    _label_ends(ax, end_labels)
    _draw_reduction(ax, [c for c in task.comparisons if c.axis == axis])
    _write_header(ax, task)
    if task.simulated:
        box = {"boxstyle": "square,pad=0.3", "fc": "white", "ec": INK, "lw": 0.8}
        style = {"va": "top", "fontsize": 7.5, "fontweight": "bold", "bbox": box, "zorder": 6}
        ax.text(0.015, 0.975, "SIMULATED DATA", transform=ax.transAxes, **style)


def draw_differences(ax: Axes, task: TaskSummary, axis: str) -> None:
    """Draw the paired differences to the baseline with their intervals.

    The overlap of the bands above says little, because subjects who are hard are hard for both
    arms.

    Parameters
    ----------
    ax : Axes
        The lower axes of a panel.
    task : TaskSummary
    axis : {"windows", "subjects"}
    """
    ax.axhline(0, color=INK, lw=0.8, zorder=1)
    comparisons = [c for c in task.comparisons if c.axis == axis]
    n = 2 * len(comparisons)
    for i, comparison in enumerate(comparisons):
        for k, stage in enumerate(("finetune", "probe")):
            # Side by side, a little apart on the logarithmic axis.
            shift = min(0.028, 0.13 / n) * (2 * i + k - (n - 1) / 2)
            _draw_error_bars(ax, comparison, stage, arm_style(task, comparison.arm), shift)
    _set_share_axis(ax, task, axis)
    ax.locator_params(axis="y", nbins=4)
    ax.grid(axis="y", color=PALE, lw=0.5, zorder=0)
    ax.set_xlabel(AXIS_LABELS[axis])


def _draw_references(
    ax: Axes, task: TaskSummary, axis: str
) -> tuple[list[float], list[tuple[float, str]]]:
    """The values drawn, and where each reference ends, with its name."""
    values, ends = [], []
    for dashes, name in zip(itertools.cycle(REFERENCE_DASHES), task.references, strict=False):
        if rows := task.curve(name, "reference", axis):
            x, mean, _, _ = _columns(rows)
            ax.plot(x, mean, color=GREY, lw=1.0, ls=dashes, zorder=2)
            if np.isfinite(mean[-1]):
                ends.append((mean[-1], name))
            values += list(mean)
    return values, ends


def _draw_arms(ax: Axes, task: TaskSummary, axis: str) -> list[float]:
    values = []
    for arm in task.arms:
        for stage in ("probe", "finetune"):
            if not (rows := task.curve(arm, stage, axis)):
                continue
            x, mean, low, high = _columns(rows)
            is_compared = stage == task.stage
            style = line_style(task, arm, stage)
            ax.plot(x, mean, **style, zorder=4 if is_compared else 3)
            values += list(mean)
            if is_compared:
                ax.fill_between(x, low, high, color=style["color"], alpha=0.14, lw=0, zorder=1)
                values += [*low, *high]
    return values


def _draw_published(ax: Axes, task: TaskSummary) -> list[float]:
    values = []
    for arm in task.arms:
        if rows := [row for row in task.published if row["arm"] == arm]:
            x, y = (np.array([row[key] for row in rows]) for key in ("fraction", "published"))
            ax.plot(x, y, color=arm_style(task, arm)[0], **PUBLISHED_STYLE)
            values += list(y)
    return values


def _draw_error_bars(
    ax: Axes, comparison: Comparison, stage: str, style: tuple[str, str], shift: float
) -> None:
    rows = [row for row in comparison.differences if row["stage"] == stage]
    if not rows:
        return
    x, y, low, high = _columns(rows, "difference")
    colour, marker = style
    if stage == "finetune":
        look = {"ms": 4.2, "mfc": colour, "lw": 1.3}
    else:
        look = {"ms": 3.6, "mfc": "white", "lw": 0.9}
    look |= {"color": colour, "marker": marker, "ls": "none", "zorder": 3}
    ax.errorbar(x * 10**shift, y, yerr=[y - low, high - y], **look)


def _set_r_limits(ax: Axes, values: Sequence[float], is_stamped: bool) -> None:
    finite = [value for value in values if np.isfinite(value)] or [0.0, 1.0]
    bottom, top = min(finite), max(finite)
    span = max(top - bottom, 0.02)
    # The strip above is kept free of curves for the stamp.
    ax.set_ylim(bottom - 0.05 * span, top + (0.18 if is_stamped else 0.05) * span)


def _set_share_axis(ax: Axes, task: TaskSummary, axis: str) -> None:
    fractions = sorted({row["fraction"] for row in task.curves if row["axis"] == axis})
    ax.set_xscale("log")
    ax.set_xlim(fractions[0] / SHARE_MARGIN, fractions[-1] * SHARE_MARGIN)
    step = 1 if len(fractions) <= 7 else 2
    labelled = fractions[::-1][::step][::-1]
    ax.set_xticks(labelled, [format_percent(f) for f in labelled])
    ax.set_xticks([f for f in fractions if f not in labelled], minor=True)
    ax.tick_params(axis="x", which="minor", labelbottom=False)


def _draw_reduction(ax: Axes, compared: Sequence[Comparison]) -> None:
    """The level the baseline ends at, from where an arm first reaches it to 100 %.

    Drawn only where a reduction is told, for the arm whose interval is furthest from none;
    otherwise the header says that there is no such arm.
    """
    if not compared:
        return
    certain = [c.reduction for c in compared if c.reduction and c.reduction["is_told"]]
    note, size = "no sure reduction of data", 8
    if certain:
        best = max(certain, key=lambda reduction: reduction["low"])
        _draw_arrow(ax, 1 - best["crossing"], best["target_r"])
        fewer = ("\u2265 " if best["at_least"] else "") + format_percent(best["crossing"])
        limits = reduction_interval(best, at_least="\u2265 ")
        level = format_percent(best["level"])
        note = f"same r with {fewer} fewer {best['axis']} ({level}: {limits})"
        if len(compared) > 1:
            arms = f"{len(certain)} of {len(compared)} arms"
            note, size = f"{_shorten(best['arm_a'], 14)}: {note}, {arms}", 6.5
    _write_above(ax, note, 8, fontsize=size)


def _draw_arrow(ax: Axes, fraction: float, target: float) -> None:
    arrow = {"arrowstyle": "->", "lw": 1.1, "color": INK, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (fraction, target), (1, target), arrowprops=arrow, zorder=5)
    ends = [ax.get_ylim()[0], target]
    ax.plot([fraction, fraction], ends, color=INK, lw=0.8, ls=(0, (1, 2)), zorder=2)


def _write_header(ax: Axes, task: TaskSummary) -> None:
    _write_above(ax, task.title, 34, fontsize=10, fontweight="bold")
    is_long = len(task.sensors) > MAX_NAMED_SENSORS  # the page names them all
    sensors = f"{len(task.sensors)} sensors" if is_long else ", ".join(task.sensors)
    subjects = f"{task.n_subjects} subjects"
    line = f"{sensors} \u00b7 {subjects}" if sensors else subjects
    _write_above(ax, _shorten(line, 52), 21, color=GREY)


def _write_above(ax: Axes, text: str, points: float, **style: Any) -> None:
    """A line of text above the axes, from their left edge on."""
    style |= {"xycoords": "axes fraction", "textcoords": "offset points"}
    ax.annotate(text, (0, 1), xytext=(0, points), **style)


def _label_ends(ax: Axes, ends: Sequence[tuple[float, str]]) -> None:
    """Names to the right of the last points, pushed apart where they would cover each other, each
    with a line from where its curve ends.
    """
    low, high = ax.get_ylim()
    last = ax.get_xlim()[1] / SHARE_MARGIN
    style: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    style |= {"va": "center", "fontsize": 7.5, "color": GREY}
    height, leaders = -np.inf, []
    for value, name in sorted(ends):
        height = max((value - low) / (high - low), height + 0.058)
        ax.annotate(_shorten(name, 17), (1, height), xytext=(4, 0), **style)
        leaders.append([(last, value), (ax.get_xlim()[1], low + height * (high - low))])
    thin = LineCollection(leaders, colors=GREY, linewidths=0.5, zorder=1)
    ax.add_collection(thin, autolim=False)


def _columns(rows: Sequence[dict[str, Any]], value: str = "mean") -> tuple[np.ndarray, ...]:
    return tuple(np.array([r[key] for r in rows]) for key in ("fraction", value, "low", "high"))


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"
