"""The second picture: how estimates agree with the truth, for each arm and subject."""

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from imujax.report.task_summary import TaskSummary
from imujax.runtime.drawing import GREY, INK, STYLE


def agreement_figure(task: TaskSummary) -> Figure:
    """Estimate against truth, and Bland-Altman, of every arm fine-tuned with all windows.

    The first draw; one colour a subject, who was not trained on. Limits are bias -/+ 1.96 SD of all
    differences.
    """
    arms = list(task.conditions)
    with matplotlib.rc_context(STYLE):
        height = 3.1 * len(arms) + 0.35
        figure = Figure(figsize=(8.0, height), facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(arms), 2, squeeze=False, sharex="col", sharey="col")
        shades = matplotlib.colormaps["cividis"](np.linspace(0, 0.92, task.subjects))
        for (left, right), arm in zip(axes, arms, strict=True):
            truth, estimate, subject = _full_predictions(task, arm)
            _, code = np.unique(subject, return_inverse=True)
            size = 16 if len(truth) < 500 else 7
            look_of = {"c": shades[code], "s": size, "lw": 0, "alpha": 0.7}
            left.scatter(truth, estimate, **look_of)
            ends = [min(truth.min(), estimate.min()), max(truth.max(), estimate.max())]
            left.plot(ends, ends, color=INK, lw=0.9)
            left.set_ylabel(f"estimate{_unit(task)}")
            left.set_title(f"{arm}, fine-tuned", loc="left", fontweight="bold", fontsize=9.5)
            error = estimate - truth
            right.scatter((truth + estimate) / 2, error, **look_of)
            bias, sd = error.mean(), error.std(ddof=1)
            digits = max(0, 1 - int(np.floor(np.log10(sd)))) if sd > 0 else 3
            for level, name in (
                (bias + 1.96 * sd, "+1.96 SD"),
                (bias, "bias"),
                (bias - 1.96 * sd, "\u22121.96 SD"),
            ):
                right.axhline(level, color=INK, lw=0.9, ls="-" if name == "bias" else (0, (4, 2)))
                right.annotate(
                    f"{name}\n{_level(level, digits)}",
                    (1, level),
                    xytext=(4, 0),
                    xycoords=("axes fraction", "data"),
                    textcoords="offset points",
                    va="center",
                    fontsize=7.5,
                )
            right.set_ylabel(f"estimate \u2212 truth{_unit(task)}")
        axes[-1, 0].set_xlabel(f"truth{_unit(task)}")
        axes[-1, 1].set_xlabel(f"mean of estimate and truth{_unit(task)}")
        stamp = ", simulated data" if task.simulated else ""
        figure.suptitle(
            f"{task.title}: {task.subjects} subjects{stamp}",
            x=0.01,
            ha="left",
            fontsize=8.5,
            color=GREY,
        )
    return figure


def _full_predictions(task: TaskSummary, arm: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    runs, predictions = task.sweep.runs, task.sweep.predictions
    chosen = (runs["arm"] == arm) & (runs["stage"] == "finetune") & (runs["axis"] == "windows")
    chosen &= runs["fraction"] == 1
    chosen &= runs["draw"] == runs["draw"][chosen].min()
    here = np.isin(predictions["run"], runs["run"][chosen])
    here &= np.isfinite(predictions["estimate"])
    return tuple(predictions[name][here] for name in ("truth", "estimate", "subject"))


def _level(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\u2212")


def _unit(task: TaskSummary) -> str:
    return f" [{task.unit}]" if task.unit else ""
