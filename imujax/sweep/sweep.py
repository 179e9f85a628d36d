"""The sweep of one labelled task: every cell of the grid in every arm and stage, and tables out.

Test subjects are seen once, by the final runs.  A row of runs.csv is one cell of the grid in one
arm and stage, at one point of an axis.
"""

import json
import pathlib
import shutil
from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from imujax.data import datasets, sensor_windows
from imujax.errors import UserError
from imujax.pretrain import encoder
from imujax.runtime import files, log, processes
from imujax.runtime.settings import require_same_settings
from imujax.sweep import arms, grid, reference_runs


def run_sweep(
    config: ConfigDict,
    data_path: pathlib.Path | str,
    encoder_paths: Mapping[str, pathlib.Path | str],
    workdir: pathlib.Path | str,
    seed: int,
    name: str,
) -> pathlib.Path:
    """Run the sweep of one task; called again it goes on, and a finished one returns at once.

    Parameters
    ----------
    config : ConfigDict
        A task's section of a configuration, see configs/common.py.
    data_path : Path
        Folder of the labelled data set.
    encoder_paths : mapping of str to Path
        Folder of the checkpoints of each encoder.
    workdir : Path
        Folder of the results.
    seed : int
        Of folds, subsets, random weights and batches.
    name : str
        The task's name, for the tables and the progress bar.

    Returns
    -------
    Path
        `workdir`, with runs.csv, predictions.npz and summary.json.

    Raises
    ------
    UserError
        The data set has no target or does not fit an encoder, an encoder is not trained to its end
        or has seen files that are tested on, the folder holds another sweep, or another run writes
        there.
    """
    workdir = pathlib.Path(workdir)
    data = datasets.read_arrays(data_path, sensors=tuple(config.sensors) or None)
    if data.target is None:
        raise UserError(f"{data_path} has no target: a task needs a labelled data set")
    used = {arm.encoder for arm in config.arms.values()}
    encoders = {key: encoder.load(encoder_paths[key]) for key in used}
    for key, trained in encoders.items():
        sensor_windows.require_rate_and_window(data.info, data_path, trained.rate, 1)
        require_usable(trained.card, key, data_path)
    settings = json.loads(config.to_json()) | {
        "seed": seed,
        "data": [datasets.fingerprint(data_path)],
        "encoders": {
            key: trained.card["settings"] | {"digest": trained.weights_digest}
            for key, trained in encoders.items()
        },
    }
    cells = grid.make_grid(config, data.subject, seed)
    with processes.claim_folder(workdir):
        begin_folder(workdir, settings)
        if (workdir / "summary.json").exists():
            return workdir
        parts = workdir / "parts"
        progress = log.Progress(count_runs(config, cells), name, "run")
        rows, arm_by_label = [], {}
        for label, spec in config.arms.items():
            arm = arms.Arm(label, config, data, cells, encoders[spec.encoder], spec, seed)
            rows += arms.arm_rows(arm, cells, data.subject, parts, progress)
            arm_by_label[label] = arm
        rows += reference_runs.reference_rows(
            config, arm_by_label, cells, data, seed, parts, progress
        )
        progress.close()
        write_tables(workdir, rows, data, config, settings, encoders, name)
    return workdir


def require_usable(card: dict, key: str, data_path: pathlib.Path | str):
    """UserError if the encoder is not trained to its end, or has seen files that are tested on."""
    steps = card["settings"]["steps"]
    if card["step"] < steps:
        raise UserError(
            f"encoder {key} stands at step {card['step']} of {steps}; "
            "finish `imujax pretrain` first"
        )
    labelled_files = set(datasets.fingerprint(data_path)["files"])
    if any(labelled_files & set(data["files"]) for data in card["settings"]["data"]):
        raise UserError(
            f"encoder {key} was pre-trained on the raw files of {data_path}, so test subjects "
            "would stand on both sides; pre-train it on other recordings"
        )


def begin_folder(workdir: pathlib.Path, settings: dict):
    """Make the folder and note what runs there; other settings in it are a UserError."""
    settings_file = workdir / "settings.json"
    text = json.dumps(settings, indent=1, sort_keys=True)
    if settings_file.exists():
        old = json.loads(settings_file.read_text(encoding="utf-8"))
        require_same_settings(old, settings, workdir)
        return
    (workdir / "parts").mkdir(parents=True, exist_ok=True)
    files.write_whole(settings_file, lambda path: path.write_text(text, encoding="utf-8"))


def count_runs(config: ConfigDict, cells: list[grid.Cell]) -> int:
    """How many runs a task takes, for the progress bar."""
    choosing = [cell for cell in cells if cell.draw < config.select.draws]
    splits = min(config.select.splits, config.select.folds)
    each = splits * sum(
        len(values) for values in (config.penalties, config.rates) if len(values) > 1
    )
    return len(config.arms) * (2 * len(cells) + each * len(choosing)) + len(cells)


def write_tables(workdir, rows, data, config, settings, encoders, name):
    """runs.csv, predictions.npz and, last, summary.json: its presence says that all is done."""
    runs, columns = [], {key: [] for key in ("run", "index", "truth", "estimate")}
    for number, row in enumerate(rows):
        cell, (axis, fraction) = row["cell"], row["point"]
        runs.append(
            {
                "run": number,
                "task": name,
                "arm": row["arm"],
                "stage": row["stage"],
                "axis": axis,
                "fraction": fraction,
                "draw": cell.draw,
                "fold": cell.fold,
                "learning_rate": row["learning_rate"],
                "n_train": len(cell.train),
                "n_train_subjects": len(set(data.subject[cell.train].tolist())),
                "n_test": len(cell.test),
                "note": row["note"],
            }
        )
        columns["run"].append(np.full(len(cell.test), number, np.int32))
        columns["index"].append(cell.test.astype(np.int32))
        columns["truth"].append(data.target[cell.test, 0])
        columns["estimate"].append(row["estimate"].astype(np.float32))
    columns = {key: np.concatenate(values) for key, values in columns.items()}
    for key in ("subject", "condition", "recording", "start"):
        columns[key] = getattr(data, key)[columns["index"]]
    files.write_csv(workdir / "runs.csv", runs)
    files.save_arrays(workdir / "predictions.npz", columns)
    target = data.info["targets"][0]
    summary = {
        "task": name,
        "title": config.title,
        "target": target["name"],
        "unit": target["unit"],
        "dataset": settings["data"][0]["name"],
        "sensors": data.info["sensors"],
        "subjects": len(set(data.subject.tolist())),
        "examples": len(data.subject),
        "arms": list(config.arms),
        "references": list(config.references),
        "axes": {axis: list(points) for axis, points in config.axes.items()},
        "simulated": bool(data.info.get("simulated", False)),
        "seed": settings["seed"],
        "config": settings,
        "provenance": log.provenance(),
        "encoders": {key: trained.card["provenance"] for key, trained in encoders.items()},
    }
    text = json.dumps(summary, indent=1)
    files.write_whole(
        workdir / "summary.json", lambda part: part.write_text(text, encoding="utf-8")
    )
    shutil.rmtree(workdir / "parts")
