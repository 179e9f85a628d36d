"""The files of a sweep: runs.csv, training.csv, predictions.npz and summary.json."""

import json
import pathlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from imujax.data import datasets
from imujax.pretrain import encoder
from imujax.runtime import files, log
from imujax.sweep import budget, grid

TABLES = ("runs.csv", "training.csv", "predictions.npz")


def is_complete(workdir: pathlib.Path) -> bool:
    """Say whether the files of a task are there and whole.

    Parameters
    ----------
    workdir : Path
        Folder of the task.

    Returns
    -------
    bool
    """
    return (workdir / "summary.json").is_file() and not _faults(workdir)


def tell_loss(workdir: pathlib.Path, name: str) -> None:
    """Say on stderr which file of a finished task is missing or damaged.

    The task has to be run again, for its parts are gone.

    Parameters
    ----------
    workdir : Path
        Folder of the task.
    name : str
        Of the task.
    """
    faults = _faults(workdir)
    if (workdir / "summary.json").is_file() and faults:
        print(
            f"{name}: {', '.join(faults)} in {workdir} is missing or damaged: the task is run "
            "again",
            file=sys.stderr,
        )


def _faults(workdir: pathlib.Path) -> list[str]:
    """The files of a finished task that are missing or damaged."""
    faults = [file for file in TABLES if not (workdir / file).is_file()]
    if not faults and files.load_arrays(workdir / "predictions.npz") is None:
        faults = ["predictions.npz"]
    return faults


def write_results(
    workdir: pathlib.Path,
    name: str,
    settings: Mapping[str, Any],
    data: datasets.Dataset,
    encoders: Mapping[str, Sequence[encoder.Encoder]],
    rows: Sequence[Mapping[str, Any]],
    training: Sequence[Mapping[str, Any]],
) -> None:
    """Write the files of a task; last summary.json, whose presence says that all is done.

    Parameters
    ----------
    workdir : Path
        Folder of the task; its parts are removed.
    name : str
        Of the task.
    settings : mapping
        The task's section with seed, data and encoders.
    data : Dataset
        The labelled examples.
    encoders : mapping of str to sequence of Encoder
        The pre-trainings of each encoder.
    rows, training : sequence of mapping
        Of `finals.final_rows`, and of the references.
    """
    config = ConfigDict(settings)
    columns = _prediction_columns(rows, data)
    (workdir / "summary.json").unlink(missing_ok=True)
    files.write_csv(workdir / "runs.csv", _run_rows(rows, name, config, data), is_shared=True)
    files.write_csv(
        workdir / "training.csv", _training_rows(training, name, config), is_shared=True
    )
    files.save_arrays(workdir / "predictions.npz", columns, is_shared=True)
    summary = {
        "task": name,
        "title": settings["title"],
        "targets": data.info["targets"],
        "dataset": settings["data"][0]["name"],
        "sensors": data.info["sensors"],
        "rate": data.info["rate"],
        "subjects": len(set(data.subject.tolist())),
        "examples": len(data.subject),
        "arms": list(settings["arms"]),
        "references": list(settings["references"]),
        "axes": {axis: list(points) for axis, points in settings["axes"].items()},
        "simulated": bool(data.info.get("simulated", False)),
        "seed": settings["seed"],
        "config": settings,
        "provenance": log.provenance(),
        "built": {name: data.info[name] for name in ("kept", "hours", "dropped")},
        "left_out": data.info.get("left_out", {}),
        "encoders": {
            key: [
                trained.card["provenance"]
                | {name: trained.card.get(name) for name in ("retrieval", "data")}
                | _fold(trained)
                | {
                    "windows": trained.card.get("counts", {}).get("samples"),
                    "window_seconds": trained.card["window"] / trained.rate,
                    "rate": trained.rate,
                }
                for trained in members
            ]
            for key, members in encoders.items()
        },
    }
    text = json.dumps(summary, indent=1)
    files.write_text(workdir / "summary.json", text, is_shared=True)
    shutil.rmtree(workdir / "parts", ignore_errors=True)  # where a share may still be writing


def _fold(trained: encoder.Encoder) -> dict[str, int]:
    """The fold that a pre-training was made for, where it was for one."""
    fold = encoder.own_fold(trained.card)
    return {} if fold is None else {"fold": fold}


def _run_rows(rows, name: str, config: ConfigDict, data: datasets.Dataset) -> list[dict]:
    runs = []
    for number, row in enumerate(rows):
        cell, (axis, fraction), steps = row["cell"], row["point"], row.get("steps", 0)
        n_train = len(cell.train)
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
                "start": row.get("start", grid.lane_seed(config.seed, cell)),
                "learning_rate": row.get("learning_rate", ""),
                "penalty": row.get("penalty", ""),
                "stop": row.get("stop", ""),
                "steps": steps,
                "passes": round(budget.passes_of(config, n_train, steps), 3),
                "n_train": n_train,
                "n_train_subjects": len(set(data.subject[cell.train].tolist())),
                "n_test": len(cell.test),
                "note": row["note"],
            }
        )
    return runs


def _training_rows(training, name: str, config: ConfigDict) -> list[dict]:
    return [
        {
            "task": name,
            "arm": row["arm"],
            "axis": row["point"][0],
            "fraction": row["point"][1],
            "draw": row["cell"].draw,
            "fold": row["cell"].fold,
            "split": row["split"],
            "learning_rate": row["learning_rate"],
            "is_chosen": row["is_chosen"],
            "stop": round(row["stop"], 6),
            "step": row["step"],
            "passes": round(budget.passes_of(config, row["count"], row["step"]), 3),
            "loss": f"{row['loss']:.6g}",
            "error": row["error"] if row["error"] == "" else f"{row['error']:.6g}",
        }
        for row in training
    ]


def _prediction_columns(rows, data: datasets.Dataset) -> dict[str, np.ndarray]:
    assert data.target is not None
    columns: dict[str, list] = {key: [] for key in ("run", "index", "truth", "estimate")}
    for number, row in enumerate(rows):
        test = row["cell"].test
        columns["run"].append(np.full(len(test), number, np.int32))
        columns["index"].append(test.astype(np.int32))
        columns["truth"].append(data.target[test])
        columns["estimate"].append(row["estimate"].astype(np.float32))
    arrays = {key: np.concatenate(values) for key, values in columns.items()}
    for key in ("subject", "condition", "recording", "start"):
        arrays[key] = getattr(data, key)[arrays["index"]]
    return arrays
