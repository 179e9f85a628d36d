"""The second picture of classes: which are taken for which, for each arm and the best reference."""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from imujax.report import class_metrics
from imujax.report.sentences import STAGE_NAMES
from imujax.report.subjects import full_curves, full_rows
from imujax.report.task_summary import TaskSummary
from imujax.runtime.drawing import GREY, INK, STYLE

MOST_NUMBERED = 12  # classes whose shares fit into their cells as numbers
COLUMNS = 2


def confusion_figure(task: TaskSummary) -> Figure:
    """Draw the share of the windows of each true class that is taken for each class.

    With all windows, of the first draw; the mean over the subjects who have the class.

    Parameters
    ----------
    task : TaskSummary
        Of a class, with at least one arm in `conditions`.

    Returns
    -------
    Figure
    """
    curves, classes = full_curves(task), task.sweep.target["classes"]
    rows = -(-len(curves) // COLUMNS)
    with matplotlib.rc_context(STYLE):
        side = max(2.6, 0.24 * len(classes) + 1.0)
        size = (COLUMNS * side + 0.6, rows * (side + 0.3) + 0.4)
        figure = Figure(figsize=size, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        for ax, (name, stage) in zip(axes, curves, strict=False):
            _draw(ax, shares(task, name, stage), classes)
            title = f"{name}, {STAGE_NAMES.get(stage, stage)}"
            ax.set_title(title, loc="left", fontweight="bold", fontsize=9.5)
        for ax in axes[len(curves) :]:
            ax.set_axis_off()
        stamp = ", simulated data" if task.simulated else ""
        title = (
            f"{task.title}: {task.n_subjects} subjects{stamp}; of the windows of each true class, "
            "the share taken for each class: white none, dark all"
        )
        figure.suptitle(title, x=0.01, ha="left", fontsize=8.5, color=GREY)
    return figure


def shares(task: TaskSummary, name: str, stage: str) -> np.ndarray:
    """Take the confusion of an arm or reference with all windows, of the first draw.

    Parameters
    ----------
    task : TaskSummary
        Of a class.
    name, stage : str
        Which curve.

    Returns
    -------
    ndarray, [C, C]
        Of each true class (rows) the share that is taken for each class, the mean over the subjects
        who have it; NaN where nobody has.
    """
    predictions, rows = task.sweep.predictions, full_rows(task, name, stage)
    subject = predictions["subject"][rows]
    truth, estimate = predictions["truth"][rows], predictions["estimate"][rows]
    count = len(task.sweep.target["classes"])
    of_people = [
        class_metrics.in_one(truth[subject == one], estimate[subject == one])
        for one in np.unique(subject)
    ]
    tables = np.stack([class_metrics.confusion(*own, count) for own in of_people]).astype(float)
    of_truth = tables.sum(axis=2, keepdims=True)  # [subjects, C, 1]
    share = np.divide(tables, of_truth, out=np.zeros_like(tables), where=of_truth > 0)
    people = (of_truth > 0).sum(axis=0)
    return np.divide(
        share.sum(axis=0), people, out=np.full((count, count), np.nan), where=people > 0
    )


def _draw(ax: Axes, share: np.ndarray, classes: list[str]) -> None:
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    place = np.arange(len(classes))
    ax.set_xticks(place, classes, rotation=90, fontsize=7)
    ax.set_yticks(place, classes, fontsize=7)
    ax.set_xlabel("estimate")
    ax.set_ylabel("truth")
    if len(classes) <= MOST_NUMBERED:
        for (i, j), value in np.ndenumerate(share):
            if np.isfinite(value) and value >= 0.005:
                colour = "white" if value > 0.6 else INK
                ax.text(j, i, f"{100 * value:.0f}", ha="center", va="center", size=6, color=colour)
