"""From recordings to a table of estimates, and a picture of each."""

import pathlib
import re
from collections.abc import Iterable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from imujax.data.recordings import Recording
from imujax.errors import UserError
from imujax.models import cutting
from imujax.models.model import Model
from imujax.runtime import drawing, files

ENDS = (".csv", ".parquet")  # of the files that can be written


def predict_recordings(
    model: Model, recordings: Iterable[Recording], cut: cutting.Cut
) -> list[dict[str, Any]]:
    """Estimate all windows of recordings.

    Parameters
    ----------
    model : Model
    recordings : iterable of Recording
    cut : Cut

    Returns
    -------
    list of dict
        A row a window and target: subject, recording, time [s], target, estimate, low, high, unit,
        unlike: whether the signals lie outside of what the model has seen. Of a class a row a
        window, of curves a row a value, as of the `columns` of their estimates.

    Raises
    ------
    UserError
        A recording does not fit the model, or no window lies in any of them.
    """
    rows: list[dict[str, Any]] = []
    lost, names = 0, []
    for recording in recordings:
        names.append((recording.subject, recording.recording))
        made = model.predict(recording, **cut._asdict())
        assert made.time is not None  # since they were cut from a recording
        lost += made.lost
        columns = made.columns()
        columns["unlike"] = columns.pop("is_unlike")
        who = {"subject": recording.subject, "recording": recording.recording}
        lists = [column.tolist() for column in columns.values()]
        rows += [who | dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
    if not rows:
        seconds = model.card["window"] / model.card["rate"]
        reason = "none of them shows an event, or is as long as that"
        if cut.events and not any(key in cut.events for key in names):
            (subject, recording), (theirs, other) = next(iter(cut.events)), names[0]
            reason = (
                f"the events are of subject {subject}, recording {recording}, and the first "
                f"recording is {other} of {theirs}"
            )
        elif lost:
            reason = f"{lost} events lie too near to an end"
        raise UserError(
            f"no window of {seconds:.3g} s lies in these {len(names)} recordings: {reason}"
        )
    return rows


def require_name(path: pathlib.Path, *read: pathlib.Path | None) -> None:
    """UserError for a table that cannot be written under this name, or over a file that is read."""
    if path.suffix not in ENDS:
        raise UserError(f"{path}: estimates are written as {' or '.join(ENDS)}")
    if path.resolve() in [other.resolve() for other in read if other is not None]:
        raise UserError(f"{path} is read here: write the table to another file")


def write_table(rows: list[dict[str, Any]], path: pathlib.Path) -> pathlib.Path:
    """Write estimates as CSV or Parquet, by the end of the name -> the path."""
    require_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        return files.write_csv(path, rows)
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(rows)
    return files.write_whole(path, lambda part: parquet.write_table(table, part))


def draw(rows: list[dict[str, Any]], model: Model, folder: pathlib.Path) -> list[pathlib.Path]:
    """Draw the estimates of each recording over its time.

    Parameters
    ----------
    rows : list of dict
        Of `predict_recordings`.
    model : Model
    folder : Path
        Where SUBJECT_RECORDING.png are written.

    Returns
    -------
    list of Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    by_recording: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        by_recording.setdefault((row["subject"], row["recording"]), []).append(row)
    written = []
    for (subject, recording), own in by_recording.items():
        name = re.sub(r"[^\w.-]+", "_", f"{subject}_{recording}")
        data = drawing.png(_picture(own, model, f"{subject}, {recording}"), dpi=150)
        written.append(files.write_bytes(folder / f"{name}.png", data))
    return written


def _picture(rows: list[dict[str, Any]], model: Model, title: str) -> Figure:
    targets, level = model.card["targets"], f"{100 * model.card['interval']['level']:.0f} %"
    with matplotlib.rc_context(drawing.STYLE):
        height = 0.8 + (0.25 * len(model.classes) or 2.0 * len(targets))
        figure = Figure(figsize=(8.0, height), facecolor="white", layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(targets), sharex=True, squeeze=False)[:, 0]
        for ax, target in zip(axes, targets, strict=True):
            own = [row for row in rows if row["target"] == target["name"]]
            if model.classes:
                _draw_sets(ax, own, model.classes, f"{level} set")
                continue
            if model.every:
                _draw_curves(ax, own, f"{level} band")
            else:
                _draw_intervals(ax, own, f"{level} interval")
            ax.set_ylabel(f"{target['name']} [{target['unit']}]")
        axes[-1].set_xlabel("time [s]")
        axes[0].set_title(title, loc="left", fontweight="bold", fontsize=9.5)
        axes[0].legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def _draw_intervals(ax: Any, rows: list[dict[str, Any]], label: str) -> None:
    """The estimates of one target, with their intervals."""
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    ax.vlines(
        columns["time"], columns["low"], columns["high"], color=drawing.PALE, lw=3, label=label
    )
    _draw_estimates(ax, rows, columns["estimate"])


def _draw_curves(ax: Any, rows: list[dict[str, Any]], label: str) -> None:
    """The curves of one target, window by window, with their bands."""
    columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    steps = np.diff(columns["time"])  # a long stride leaves gaps between windows
    is_edge = (np.diff(columns["window"]) > 0) | (steps > 1.5 * np.median(steps))
    edges = np.flatnonzero(is_edge) + 1
    for number, own in enumerate(np.split(np.arange(len(rows)), edges)):
        time, low, high, estimate = (
            columns[key][own] for key in ("time", "low", "high", "estimate")
        )
        ax.fill_between(time, low, high, color=drawing.PALE, lw=0, label="" if number else label)
        ax.plot(time, estimate, color="#0072B2", lw=0.9, label="" if number else "estimate")
    _mark_unlike(ax, rows, columns["estimate"], marker=".", size=3)


def _draw_sets(ax: Any, rows: list[dict[str, Any]], classes: tuple[str, ...], label: str) -> None:
    """The class of each window, with its set: a line of the picture a class."""
    held = [
        (row["time"], number)
        for row in rows
        for number, word in enumerate(classes)
        if f"|{word}|" in f"|{row['set']}|"
    ]
    ax.plot(*zip(*held, strict=True), "s", ms=6, color=drawing.PALE, label=label)
    _draw_estimates(ax, rows, np.array([classes.index(row["estimate"]) for row in rows]))
    ax.set_yticks(range(len(classes)), classes)
    ax.set_ylim(len(classes) - 0.5, -0.5)


def _draw_estimates(ax: Any, rows: list[dict[str, Any]], estimate: np.ndarray) -> None:
    time = [row["time"] for row in rows]
    ax.plot(time, estimate, "o", ms=3.5, color="#0072B2", label="estimate")
    _mark_unlike(ax, rows, estimate, marker="x", size=7)


def _mark_unlike(
    ax: Any, rows: list[dict[str, Any]], estimate: np.ndarray, marker: str, size: float
) -> None:
    time, unlike = (np.array([row[key] for row in rows]) for key in ("time", "unlike"))
    if unlike.any():
        label = "unlike what the model has seen"
        ax.plot(time[unlike], estimate[unlike], marker, ms=size, color="#D55E00", label=label)
