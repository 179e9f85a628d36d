"""The sweep of one labelled task: every cell of the grid in every arm and stage, and tables out.

Test subjects are seen once, by the final runs.  A row of runs.csv is one cell of the grid in one
arm and stage, at one point of an axis.
"""

import hashlib
import json
import pathlib
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from imujax.data import datasets, sensor_windows
from imujax.errors import UserError
from imujax.pretrain import encoder
from imujax.runtime import files, host, log, processes, sharding
from imujax.runtime.settings import require_same_settings
from imujax.sweep import arms, grid, references


def run_sweep(config, data_path, encoders: dict, workdir, seed: int, name: str) -> pathlib.Path:
    """Run the sweep of one task -> `workdir`, with runs.csv, predictions.npz and summary.json.

    config: a task section of a configuration (see configs/); encoders: folder of the checkpoint by
    encoder name.  Re-entrant, one at a time.
    """
    workdir = pathlib.Path(workdir)
    data = datasets.read_arrays(data_path, sensors=tuple(config.sensors) or None)
    if data.target is None:
        raise UserError(f"{data_path} has no target: a task needs a labelled data set")
    found = {key: encoder.load(encoders[key]) for key in {a.encoder for a in config.arms.values()}}
    for key, trained in found.items():
        sensor_windows.require_rate_and_window(data.info, data_path, trained.rate, 1)
        require_usable(trained.card, key, data_path)
    settings = json.loads(config.to_json()) | {
        "seed": seed,
        "data": [datasets.fingerprint(data_path)],
        "encoders": {
            key: trained.card["settings"] | {"digest": trained.digest}
            for key, trained in found.items()
        },
    }
    cells = grid.make_grid(config, data.subject, seed)
    with processes.claim_folder(workdir):
        begin_folder(workdir, settings)
        if (workdir / "summary.json").exists():
            return workdir
        progress = log.Progress(count_runs(config, cells), name, "run")
        rows, compared = [], {}
        for label, spec in config.arms.items():
            arm = arms.Arm(label, config, data, cells, found[spec.encoder], spec, seed)
            rows += arms.arm_rows(arm, cells, data.subject, workdir / "parts", progress)
            compared[label] = arm
        rows += reference_rows(config, compared, cells, data, seed, workdir / "parts", progress)
        progress.close()
        write_tables(workdir, rows, data, config, settings, found, name)
    return workdir


def require_usable(card: dict, key: str, data_path):
    """UserError if the encoder is not trained to its end, or has seen files that are tested on."""
    steps = card["settings"]["steps"]
    if card["step"] < steps:
        raise UserError(
            f"encoder {key} stands at step {card['step']} of {steps}; "
            "finish `imujax pretrain` first"
        )
    ours = set(datasets.fingerprint(data_path)["files"])
    if any(ours & set(theirs["files"]) for theirs in card["settings"]["data"]):
        raise UserError(
            f"encoder {key} was pre-trained on the raw files of {data_path}, so test subjects "
            "would stand on both sides; pre-train it on other recordings"
        )


def begin_folder(workdir: pathlib.Path, settings: dict):
    """Make the folder and note what runs there; other settings in it are a UserError."""
    note = workdir / "settings.json"
    text = json.dumps(settings, indent=1, sort_keys=True)
    if note.exists():
        require_same_settings(json.loads(note.read_text(encoding="utf-8")), settings, workdir)
        return
    (workdir / "parts").mkdir(parents=True, exist_ok=True)
    files.write_whole(note, lambda path: path.write_text(text, encoding="utf-8"))


def count_runs(config, cells) -> int:
    """How many runs a task takes, for the progress bar."""
    choosing = [cell for cell in cells if cell.draw < config.select.draws]
    splits = min(config.select.splits, config.select.folds)
    each = splits * sum(
        len(values) for values in (config.penalties, config.rates) if len(values) > 1
    )
    return len(config.arms) * (2 * len(cells) + each * len(choosing)) + len(cells)


def reference_rows(config, compared, cells, data, seed, parts, progress) -> list[dict]:
    """The shallow references on the same cells: ridge, trees, and ridge with each arm's embedding.

    config.references: "ridge" and "trees" on hand-made statistics (trees on some samples too), and
    "ridge+ARM" on statistics and the frozen embedding of that arm together.
    """
    length = data.length
    statistics = references.window_statistics(data.acc, data.gyr, length)
    sampled = np.concatenate(
        [statistics, references.subsampled_signals(data.acc, data.gyr, length)], axis=1
    )
    target = data.target[:, 0].astype(np.float64)

    def fitted(cell) -> dict:
        indices = f"{cell.fold}|{cell.draw}|".encode() + cell.train.tobytes()
        path = parts / f"references-{hashlib.sha256(indices).hexdigest()[:16]}.npz"
        found = files.load_arrays(path)
        if found is not None:
            return found
        found = {}
        for name in config.references:
            features, fit = statistics, references.ridge
            if name == "trees":
                features, fit = sampled, references.trees
            elif name.startswith("ridge+"):
                embedding = compared[name.removeprefix("ridge+")].features(cell, cell.train)
                features = np.concatenate([statistics, sharding.to_host(embedding)], axis=1)
            side = (data.subject, cell.train, cell.test, grid.lane_seed(seed, cell))
            estimate, chosen = fit(features, target, *side)
            note = ", ".join(f"{key} {value}" for key, value in chosen.items())
            found |= {name: estimate, f"{name} note": np.array(note)}
        files.save_arrays(path, found)
        return found

    for name in config.references:
        for cell in cells if name.startswith("ridge+") and not config.rescale else ():
            arm = compared[name.removeprefix("ridge+")]
            arm.features(cell, cell.train)  # kept there for the threads
    rows = []
    # A fit uses one thread, so that it is the same on any machine; several go at once.  OpenMP is
    # limited thread by thread, BLAS in the whole process.
    one = {"initializer": threadpool_limits, "initargs": (1, "openmp")}
    with threadpool_limits(1), ThreadPoolExecutor(len(host.available_cores()), **one) as pool:
        for cell, found in zip(cells, pool.map(fitted, cells), strict=True):
            rows += [
                {
                    "arm": name,
                    "stage": "reference",
                    "learning_rate": "",
                    "cell": cell,
                    "point": point,
                    "estimate": found[name],
                    "note": str(found[f"{name} note"]),
                }
                for name in config.references
                for point in cell.points
            ]
            progress.update(1, "references")
    return rows


def write_tables(workdir, rows, data, config, settings, found, name):
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
        "encoders": {key: trained.card["provenance"] for key, trained in found.items()},
    }
    text = json.dumps(summary, indent=1)
    files.write_whole(
        workdir / "summary.json", lambda part: part.write_text(text, encoding="utf-8")
    )
    shutil.rmtree(workdir / "parts")
