"""The files of a sweep, one folder a task: what they hold, and reading them with care.

runs.csv has one row for a run and stage, predictions.npz one entry for a test example of a run,
summary.json what was asked for. scores.csv is always recomputed from the predictions.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imujax.errors import UserError, require_known
from imujax.report.columns import read_columns
from imujax.report.kinds import Kind, kind_of
from imujax.runtime import files

RUN_COLUMNS = {
    "run": int,
    "task": str,
    "arm": str,
    "stage": str,
    "axis": str,
    "fraction": float,
    "draw": int,
    "fold": int,
    "start": int,
    "learning_rate": float,
    "penalty": float,
    "stop": float,
    "steps": int,
    "passes": float,
    "n_train": int,
    "n_train_subjects": int,
    "n_test": int,
    "note": str,
}
CONFIG_FILE = "config.json"  # in a working folder: the configuration of its last sweep
PREDICTION_COLUMNS = (
    "run",
    "index",
    "subject",
    "condition",
    "truth",
    "estimate",
    "start",
    "recording",
)


@dataclass(frozen=True)
class Sweep:
    """One task's folder, of one of its targets.

    Attributes
    ----------
    folder : Path
    runs : dict of ndarray, each [R]
        The columns of runs.csv, a row for a run and stage.
    predictions : dict of ndarray, each [M]
        The arrays of predictions.npz, an entry for a test example of a run; truth and estimate of
        the target, of a class its number and the probabilities [M, C], of a curve [M, Lt] both.
    summary : dict
        What was asked for.
    scores : list of dict
        Rows a run and subject of its kind, recomputed from the predictions.
    target : dict
        Its name and unit; of a class its classes, too, of a curve every [samples] and seconds from
        value to value.
    n_targets : int
        Of the task.
    """

    folder: Path
    runs: dict[str, np.ndarray]
    predictions: dict[str, np.ndarray]
    summary: dict[str, Any]
    scores: list[dict[str, Any]]
    target: dict[str, Any]
    n_targets: int

    @property
    def kind(self) -> Kind:
        """How it is scored."""
        return kind_of(self.target)


def keep_configuration(workdir: Path | str, text: str) -> Path:
    """Keep the configuration of a sweep, as JSON, in its working folder -> its file."""
    path = Path(workdir) / CONFIG_FILE
    return files.write_text(path, f"{text}\n", is_shared=True)


def configured_tasks(workdir: Path | str) -> list[str] | None:
    """List the tasks that the configuration of a working folder names.

    Parameters
    ----------
    workdir : Path or str

    Returns
    -------
    list of str, or None
        In their order; None where no sweep has kept its configuration.

    Raises
    ------
    UserError
        The configuration is damaged.
    """
    path = Path(workdir) / CONFIG_FILE
    if not path.is_file():
        return None
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["tasks"])
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: delete it, or give `imujax sweep` again") from None


def load_sweep(folder: Path | str, target: str = "") -> Sweep:
    """Read the three files of a task's folder.

    Parameters
    ----------
    folder : Path or str
        With runs.csv, predictions.npz and summary.json.
    target : str
        Of those that the task has estimated at once; the first by default.

    Returns
    -------
    Sweep

    Raises
    ------
    UserError
        A file is missing, cut short, or not of the same sweep as the others; or there is no such
        target.
    """
    sweeps = load_sweeps(folder)
    names = [sweep.target["name"] for sweep in sweeps]
    if target:
        require_known("target", target, names)
    return sweeps[names.index(target) if target else 0]


def load_sweeps(folder: Path | str) -> list[Sweep]:
    """Read the three files of a task's folder, as of `load_sweep`, for every target of it."""
    folder = Path(folder)
    for name in ("runs.csv", "predictions.npz", "summary.json"):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder / name} is missing: give `imujax sweep` again, which runs the task anew"
            )
    runs = _read_runs(folder / "runs.csv")
    predictions = _read_predictions(folder / "predictions.npz")
    summary = _read_summary(folder / "summary.json")
    unknown = np.setdiff1d(predictions["run"], runs["run"])
    if len(unknown):
        raise UserError(
            f"{folder / 'predictions.npz'} has run {unknown[0]}, which runs.csv does not list"
        )
    silent = np.setdiff1d(runs["run"], predictions["run"])
    if len(silent):
        raise UserError(
            f"{folder / 'runs.csv'} lists run {silent[0]}, of which predictions.npz has nothing: "
            "run the sweep to its end"
        )
    targets = summary.get("targets") or [
        {"name": str(summary.get("target", "")), "unit": str(summary.get("unit", ""))}
    ]
    truth, estimate = predictions["truth"], predictions["estimate"]
    is_class = "classes" in targets[0]
    width = len(targets[0]["classes"]) if is_class else len(targets)
    if truth.shape[-1] != len(targets) or estimate.shape[-1] != width:
        raise UserError(
            f"{folder / 'predictions.npz'} has other targets than summary.json: run the sweep again"
        )
    sweeps = []
    for column, target in enumerate(targets):
        own = predictions | {"truth": truth[..., column]}
        own["estimate"] = estimate if is_class else estimate[..., column]
        keys = {"run": own["run"], "subject": own["subject"]}
        scores = kind_of(target).score(target, keys, own["truth"], own["estimate"])
        sweeps.append(Sweep(folder, runs, own, summary, scores, target, len(targets)))
    return sweeps


def task_name(sweep: Sweep) -> str:
    """The name of a sweep's task, by its summary or else its folder.

    Parameters
    ----------
    sweep : Sweep

    Returns
    -------
    str
    """
    return str(sweep.summary.get("task", sweep.folder.name))


def _read_runs(path: Path) -> dict[str, np.ndarray]:
    columns = read_columns(path, RUN_COLUMNS)
    if not len(columns["run"]):
        raise UserError(f"{path} lists no run: run the sweep to its end")
    if len(np.unique(columns["run"])) < len(columns["run"]):
        raise UserError(f"{path} lists a run twice: run the sweep again")
    columns["fraction"] = np.round(columns["fraction"], 6)  # one number for one fraction
    return columns


def _read_summary(path: Path) -> dict[str, Any]:
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not whole JSON: {error}") from error
    if not isinstance(summary, dict):
        raise UserError(f"{path} must hold one JSON object")
    return summary


def _read_predictions(path: Path) -> dict[str, np.ndarray]:
    try:
        arrays = files.read_npz(path)
    except files.NPZ_ERRORS as error:
        raise UserError(f"{path} cannot be read ({error}): it is cut short or damaged") from error
    for name in PREDICTION_COLUMNS:
        if name not in arrays:
            raise UserError(f"{path} has no array {name}: run the sweep again")
    columns = {name: arrays[name] for name in PREDICTION_COLUMNS}
    for name in ("truth", "estimate"):  # [M], [M, targets], or of curves [M, Lt, targets]
        if columns[name].ndim == 1:
            columns[name] = columns[name][:, None]
    lengths = {
        len(values) if (values.ndim > 1) == (name in ("truth", "estimate")) else -1
        for name, values in columns.items()
    }
    if len(lengths) > 1 or lengths == {-1}:
        raise UserError(f"{path}: the arrays do not have one common length: run the sweep again")
    for name in ("subject", "condition", "recording"):
        columns[name] = columns[name].astype(str)
    return columns
