"""The second picture of curves: the mean curve of each subject, true and estimated."""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from imujax.report.panels import arm_style
from imujax.report.sentences import STAGE_NAMES
from imujax.report.subjects import full_curves, full_rows
from imujax.report.task_summary import TaskSummary
from imujax.runtime.drawing import GREY, INK, PALE, STYLE

COLUMNS = 4
MOST_SUBJECTS = 12  # panels that can be read; of more subjects so many, by name evenly spread


def mean_curves_figure(task: TaskSummary) -> Figure:
    """Draw each subject's mean curve, with a band of one SD over the windows, and the estimates'.

    With all windows, of the first draw: of every arm and the best reference. A sample has the mean
    of the windows that are as long.

    Parameters
    ----------
    task : TaskSummary
        Of curves, with at least one arm in `conditions`.

    Returns
    -------
    Figure
    """
    shown = {curve: full_rows(task, *curve) for curve in full_curves(task)}
    names = np.unique(task.sweep.predictions["subject"])
    spread = np.linspace(0, len(names) - 1, min(len(names), MOST_SUBJECTS))
    chosen = names[np.round(spread).astype(int)]
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    with matplotlib.rc_context(STYLE):
        size = (2.0 * columns + 0.6, 1.6 * rows + 0.9)
        figure = Figure(figsize=size, facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for i, (ax, name) in enumerate(zip(axes.ravel(), chosen.tolist(), strict=False)):
            _draw_subject(ax, task, shown, name)
            ax.set_title(name, loc="left", fontsize=8.5)
            if i + columns >= len(chosen):  # nothing stands below
                ax.tick_params(labelbottom=True)
                ax.set_xlabel("time in the window [s]")
        for ax in axes.ravel()[len(chosen) :]:
            ax.set_axis_off()
        figure.supylabel(f"{task.sweep.target['name']} [{task.unit}]", fontsize=8.5)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
        some = "" if len(chosen) == len(names) else f"{len(chosen)} of "
        stamp = ", simulated data" if task.simulated else ""
        title = f"{task.title}: {some}{task.n_subjects} subjects{stamp}"
        figure.suptitle(title, x=0.01, ha="left", fontsize=8.5, color=GREY)
    return figure


def _draw_subject(
    ax: Axes, task: TaskSummary, shown: dict[tuple[str, str], np.ndarray], name: str
) -> None:
    """One subject's panel; `shown` has the rows [M] of the predictions of each arm and stage."""
    predictions = task.sweep.predictions
    for i, ((arm, stage), of_curve) in enumerate(shown.items()):
        rows = of_curve & (predictions["subject"] == name)
        truth, estimate = (predictions[k][rows].astype(float) for k in ("truth", "estimate"))
        lasting = np.isfinite(truth).any(axis=0)  # some samples no window of a subject reaches
        truth, estimate = truth[:, lasting], estimate[:, lasting]
        time = np.flatnonzero(lasting) * task.sweep.target["seconds"]
        if i == 0:
            mean, sd = np.nanmean(truth, axis=0), np.nanstd(truth, axis=0)
            ax.fill_between(time, mean - sd, mean + sd, color=PALE, lw=0, label="truth, one SD")
            ax.plot(time, mean, color=INK, lw=1.1, label="truth, mean")
        mean = np.nanmean(np.where(np.isfinite(truth), estimate, np.nan), axis=0)
        label = f"{arm}, {STAGE_NAMES.get(stage, stage)}"
        if stage == "reference":
            ax.plot(time, mean, color=GREY, lw=1.1, ls=(0, (4, 2)), label=label)
        else:
            ax.plot(time, mean, color=arm_style(task, arm)[0], lw=1.1, label=label)
