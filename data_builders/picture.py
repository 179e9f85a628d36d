"""A picture of a few examples: what a data set holds, seen before anything is trained on it."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from imujax.runtime.drawing import GREY, INK, STYLE

FILE = "examples.png"  # in the folder of the data set
MOST = 4  # examples
ROW = 1.5  # inches of an example
WIDTH, SHORTEST = 78, 16  # letters of a title, and of a recording's name in it
WORD = 8  # letters of a class beside an axis
COLOURS = ("#0072B2", "#D55E00", "#009E73")  # x, y, z
QUANTITIES = {"acc": "m/s\u00b2", "gyr": "rad/s"}


def examples_figure(examples: Sequence[dict[str, Any]], info: dict[str, Any]) -> Figure:
    """Acceleration and angular rate of a few windows, with the event, the target and the curve.

    Parameters
    ----------
    examples : sequence of dict
        As of `windows.make_example`; the first MOST are drawn, of their first sensor and curve.
    info : dict
        Metadata of the data set: sensors, rate, targets, before [samples] where events are, and
        curves with curve_every where there are any, a class among them with its words as classes.

    Returns
    -------
    Figure
        A row of axes for each example: two, or with a curve three.
    """
    shown = list(examples[:MOST])
    curves = info.get("curves", [])
    with matplotlib.rc_context(STYLE):
        height = ROW * len(shown) + 0.85
        figure = Figure(figsize=(8.6, height), facecolor="white")
        FigureCanvasAgg(figure)
        columns = 3 if curves else 2
        axes = figure.subplots(len(shown), columns, squeeze=False, sharex=True, sharey="col")
        # By hand: matplotlib's own layout takes twice the time, and every build has this picture.
        edges = {"bottom": 0.45 / height, "top": 1 - 0.55 / height}
        edges |= {"hspace": 0.34, "wspace": 0.28 if curves else 0.17}
        figure.subplots_adjust(left=0.075, right=0.985, **edges)
        for row, example in zip(axes, shown, strict=True):
            length = int(example["length"])
            time = np.arange(length) / info["rate"]
            drawn = [(q, time, example[kind][:length, 0]) for kind, q in QUANTITIES.items()]
            if curves:
                when = time[:: info["curve_every"]]
                drawn.append((curves[0]["unit"], when, example["curve"][: len(when), :1]))
            for ax, (quantity, when, values) in zip(row, drawn, strict=True):
                colours = COLOURS if values.shape[1] == len(COLOURS) else (INK,)
                for line, colour in zip(values.T, colours, strict=True):
                    ax.plot(when, line, color=colour, lw=1.1)
                if info.get("before") is not None:
                    ax.axvline(info["before"] / info["rate"], color=INK, lw=0.8, ls=(0, (4, 2)))
                ax.set_ylabel(quantity)
            if curves and (words := curves[0].get("classes")):
                row[2].lines[0].set_drawstyle("steps-post")
                row[2].set_yticks(range(len(words)), [_shorten(word, WORD) for word in words])
            row[0].set_title(_title(example, info), loc="left", fontsize=8.5)
        for ax in axes[-1]:
            ax.set_xlabel("s from the first sample of the window")
        sensors = info["sensors"]
        others = f", the first of {len(sensors)} sensors" if len(sensors) > 1 else ""
        event = "; dashed: the event" if info.get("before") is not None else ""
        curve = f"; right: {curves[0]['name']}" if curves else ""
        curve += f", the first of {len(curves)} curves" if len(curves) > 1 else ""
        head = f"{sensors[0]}{others}{curve}{event}"
        figure.suptitle(head, x=0.01, ha="left", fontsize=8.5, color=GREY)
        lines = [Line2D([], [], color=colour, lw=1.1) for colour in COLOURS]
        figure.legend(lines, "xyz", loc="upper right", ncols=3, frameon=False, fontsize=8)
    return figure


def _title(example: dict[str, Any], info: dict[str, Any]) -> str:
    words = [f"{float(example['start']):.2f} s"]
    words += [example["activity"]] if example["activity"] else []
    rest = ", ".join(words)
    if "target" in example and example["target"] is not None:
        values = zip(info["targets"], np.atleast_1d(example["target"]), strict=True)
        rest += ": " + ", ".join(f"{t['name']} {v:.4g} {t['unit']}" for t, v in values)
    subject, recording = example["subject"], example["recording"]
    room = max(SHORTEST, WIDTH - len(f"{subject}, , {rest}"))
    if len(recording) > room:  # of a path the end tells most
        recording = "\u2026" + recording[1 - room :]
    return _shorten(f"{subject}, {recording}, {rest}", WIDTH)


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "\u2026"
