"""From finished sweeps to what is shown: the figure, the tables, the page, and their numbers."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from imujax.errors import UserError
from imujax.report import (
    agreement,
    confusion,
    figures,
    kinds,
    mean_curves,
    page,
    subjects,
    tables,
    training,
    training_figure,
)
from imujax.report.statistics import BOOTSTRAP_SEED, LEVEL, RESAMPLES
from imujax.report.task_summary import TaskSummary, reference_sentence, summarise
from imujax.runtime import drawing, files


def write_report(workdirs: Sequence[Path | str], out: Path | str | None = None) -> list[Path]:
    """Write the report on every task below the working directories.

    Everything is read and computed before the first file is written.

    Parameters
    ----------
    workdirs : sequence of (Path or str)
        With tasks/TASK/{runs.csv, predictions.npz, summary.json}. scores.csv is written into each
        task's folder.
    out : Path or str, optional
        Where figure.png, figure.svg, {agreement,training,subjects}_N.png, curves.csv,
        differences.csv, report.json and report.html are written; the first working directory's
        report/ by default.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    UserError
        There is no task, a folder is not whole, or `out` cannot be written.
    """
    paths = [Path(workdir) for workdir in workdirs]
    found = [_task_folders(workdir) for workdir in paths]
    folders = [folder for begun, _ in found for folder in begun]
    missing = [name for _, not_begun in found for name in not_begun]
    tasks = [summarise(sweep) for folder in folders for sweep in tables.load_sweeps(folder)]
    out = Path(out) if out is not None else paths[0] / "report"
    scores: dict[Path, list[dict[str, Any]]] = {}
    for task in tasks:
        path = task.sweep.folder / "scores.csv"
        scores[path] = scores.get(path, []) + _name_target(task, task.sweep.scores)
    curves = [row for task in tasks for row in _name_target(task, task.curves)]
    differences = [
        row for task in tasks for c in task.comparisons for row in _name_target(task, c.differences)
    ]
    csv_rows = [*scores.items(), (out / "curves.csv", curves)]
    csv_rows += [(out / "differences.csv", differences)]
    contents = _pictures_and_pages(tasks, missing)
    try:
        out.mkdir(parents=True, exist_ok=True)
        written = [files.write_csv(path, rows) for path, rows in csv_rows]
        return written + [files.write_bytes(out / name, data) for name, data in contents.items()]
    except OSError as error:
        raise UserError(f"the report cannot be written to {out}: {error.strerror}") from error


def _name_target(task: TaskSummary, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a table of several targets."""
    return [row | {"target": task.sweep.target["name"]} for row in rows]


def report_numbers(tasks: Sequence[TaskSummary]) -> dict[str, Any]:
    """What report.json holds: the answers and how they were made.

    Parameters
    ----------
    tasks : sequence of TaskSummary

    Returns
    -------
    dict
        Plain JSON; NaN has become None.
    """
    return _nan_to_none(
        {
            "level": LEVEL,
            "resamples": RESAMPLES,
            "bootstrap_seed": BOOTSTRAP_SEED,
            "tasks": [
                {
                    "task": tables.task_name(task.sweep),
                    "target": task.sweep.target["name"],
                    "title": task.title,
                    "unit": task.unit,
                    "simulated": task.simulated,
                    "subjects": task.n_subjects,
                    "faults": task.faults,
                    "small_budget": training.has_small_budget(task.sweep),
                    "unfinished": training.unfinished_sentence(task.training),
                    "training": training.training_rows(task.training),
                    "comparisons": [
                        {
                            "arm": comparison.arm,
                            "baseline": comparison.baseline,
                            "axis": comparison.axis,
                            "verdict": comparison.verdict,
                            "overall": comparison.overall,
                            "fifth": comparison.fifth,
                            "reduction": comparison.reduction,
                            "reference": reference_sentence(task, comparison.arm),
                        }
                        for comparison in task.comparisons
                    ],
                    "added_values": task.added_values,
                    "conditions": task.conditions,
                    "published": task.published,
                }
                for task in tasks
            ],
        }
    )


def _task_folders(workdir: Path) -> tuple[list[Path], list[str]]:
    """The folders of the tasks that the configuration names, and those that have none yet."""
    folder = workdir / "tasks"
    names = tables.configured_tasks(workdir)
    if names is None:  # no sweep has been here, only its folders
        names = sorted(path.name for path in folder.glob("*/"))
    begun = [folder / name for name in names if (folder / name).is_dir()]
    if not begun:
        raise UserError(f"{folder} holds no task: give the working directory of a finished sweep")
    return begun, [name for name in names if not (folder / name).is_dir()]


def _pictures_and_pages(tasks: Sequence[TaskSummary], missing: Sequence[str]) -> dict[str, bytes]:
    """The content of every file that is no CSV, by its name."""
    curves = figures.curves_figure(tasks)
    svg = drawing.svg(curves)
    agreement_pngs = [
        drawing.png(_draw_agreement(task), dpi=130) if task.conditions else None for task in tasks
    ]
    training_pngs = [
        drawing.png(training_figure.training_figure(task), dpi=200) if task.training else None
        for task in tasks
    ]
    subjects_pngs = [
        drawing.png(subjects.subjects_figure(task), dpi=200) if task.conditions else None
        for task in tasks
    ]
    page_text = page.render_page(tasks, svg, agreement_pngs, training_pngs, subjects_pngs, missing)
    contents = {
        "figure.png": drawing.png(curves),
        "figure.svg": svg,
        "report.json": (
            json.dumps(report_numbers(tasks) | {"missing": list(missing)}, indent=1) + "\n"
        ).encode(),
        "report.html": page_text.encode(),
    }
    pictures = {
        "agreement": agreement_pngs,
        "training": training_pngs,
        "subjects": subjects_pngs,
    }
    for name, pngs in pictures.items():
        contents |= {f"{name}_{i}.png": png for i, png in enumerate(pngs, start=1) if png}
    return contents


def _draw_agreement(task: TaskSummary) -> Figure:
    drawings = {
        kinds.NUMBERS: agreement.agreement_figure,
        kinds.CLASSES: confusion.confusion_figure,
        kinds.CURVES: mean_curves.mean_curves_figure,
    }
    return drawings[task.sweep.kind](task)


def _nan_to_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nan_to_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nan_to_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
