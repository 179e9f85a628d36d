"""From finished sweeps to what is shown: the figure, the tables, the page, and their numbers."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

from imujax.errors import UserError
from imujax.report import agreement, figures, page, tables
from imujax.report.statistics import BOOTSTRAP_SEED, LEVEL, RESAMPLES
from imujax.report.task_summary import TaskSummary, reference_sentence, summarise
from imujax.runtime import drawing, files


def write_report(workdirs: Sequence[Path], out: Path | None = None) -> list[Path]:
    """Writes the report on every task below the working directories; returns the files written.

    Reads <workdir>/tasks/<task>/{runs.csv, predictions.npz, summary.json}. Writes scores.csv into
    each task's folder, and figure.png, figure.svg, agreement_<n>.png, curves.csv, differences.csv,
    report.json, report.html into `out`, by default <first workdir>/report. Everything is read and
    computed before the first file is written. UserError: no task, or a folder that is not whole.
    """
    workdirs = [Path(workdir) for workdir in workdirs]
    folders = [folder for workdir in workdirs for folder in _task_folders(workdir)]
    found = [summarise(tables.load_sweep(folder)) for folder in folders]
    out = Path(out) if out is not None else workdirs[0] / "report"

    curves = figures.curves_figure(found)
    svg = drawing.svg(curves)
    pictures = [
        drawing.png(agreement.agreement_figure(task), dpi=130) if task.conditions else None
        for task in found
    ]
    pictures_and_pages = {
        "figure.png": drawing.png(curves),
        "figure.svg": svg,
        "report.json": (json.dumps(report_numbers(found), indent=1) + "\n").encode(),
        "report.html": page.page(found, svg, pictures).encode(),
    }
    for i, picture in enumerate(pictures, start=1):
        if picture:
            pictures_and_pages[f"agreement_{i}.png"] = picture

    try:
        out.mkdir(parents=True, exist_ok=True)
        written = [files.write_csv(t.sweep.folder / "scores.csv", t.sweep.scores) for t in found]
        written.append(
            files.write_csv(out / "curves.csv", [row for t in found for row in t.curves])
        )
        gains = [row for t in found for c in t.comparisons for row in c.differences]
        written.append(files.write_csv(out / "differences.csv", gains))
        return written + [_write(out / name, data) for name, data in pictures_and_pages.items()]
    except OSError as error:
        raise UserError(f"the report cannot be written to {out}: {error.strerror}") from error


def report_numbers(found: Sequence[TaskSummary]) -> dict:
    """What report.json holds: the answers and how they were made. NaN becomes null."""
    return _finite(
        {
            "level": LEVEL,
            "resamples": RESAMPLES,
            "bootstrap_seed": BOOTSTRAP_SEED,
            "tasks": [
                {
                    "task": tables.task_name(task.sweep),
                    "title": task.title,
                    "unit": task.unit,
                    "simulated": task.simulated,
                    "subjects": task.subjects,
                    "faults": task.faults,
                    "comparisons": [
                        {
                            "arm": comparison.arm,
                            "baseline": comparison.baseline,
                            "axis": comparison.axis,
                            "verdict": comparison.verdict,
                            "overall": comparison.overall,
                            "reduction": comparison.reduction,
                            "reference": reference_sentence(task, comparison.arm),
                        }
                        for comparison in task.comparisons
                    ],
                    "conditions": task.conditions,
                    "published": task.published,
                }
                for task in found
            ],
        }
    )


def _task_folders(workdir: Path) -> list[Path]:
    folder = workdir / "tasks"
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not found:
        raise UserError(f"{folder} holds no task: give the working directory of a finished sweep")
    return found


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(path: Path, data: bytes) -> Path:
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)
    return path
