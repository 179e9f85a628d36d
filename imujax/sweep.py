"""The grid of runs of one labelled task: which there are, choosing rates, training, tables out.

A job is one (arm, fold, draw, training subset); a row of runs.csv is a job in one stage at one
point of an axis.  Learning rates are chosen on inner subjects of each job's own training subset,
for every arm alike; test subjects are seen once, by the final runs.  Each group of runs is kept in
`parts/` when it is done, so that a sweep that was stopped goes on with the next group.
"""

import dataclasses
import hashlib
import json
import pathlib
import shutil

import jax
import numpy as np

from imujax import datasets, encoder, finetune, folds, log, pretrain, shallow, tables
from imujax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Cell:
    """One point of the grid, the same for every arm: a training subset and the fold it tests.

    points: the (axis, fraction) pairs that it stands for; all of the training windows are also all
    of the training subjects.
    """

    fold: int
    draw: int
    points: tuple[tuple[str, float], ...]
    train: np.ndarray
    test: np.ndarray


def grid(config, subject: np.ndarray, seed: int) -> list[Cell]:
    """All cells of a task; every split is audited, a subject on both sides is a UserError.

    config: folds (number, "leave_one_out" or lists of names), shuffle, axes {axis: fractions},
    draws.  subject [N]: of every example.
    """
    asked = config.folds if isinstance(config.folds, int | str) else [list(f) for f in config.folds]
    tested = folds.subject_folds(sorted(set(subject.tolist())), asked, seed, config.shuffle)
    cells = {}
    for fold, names in enumerate(tested):
        test = np.flatnonzero(np.isin(subject, names))
        others = sorted(set(subject.tolist()) - set(names))
        for draw in range(config.draws):
            for axis, fractions in config.axes.items():
                for fraction in fractions:
                    train = folds.nested(subject, others, axis, fraction, draw, seed, fold)
                    folds.audit(
                        subject, train, test, f"fold {fold}, draw {draw}, {axis} {fraction}"
                    )
                    key = (fold, draw, train.tobytes())
                    old = cells.get(key)
                    points = (*old.points, (axis, fraction)) if old else ((axis, fraction),)
                    cells[key] = Cell(fold, draw, points, train, test)
    return list(cells.values())


def lane_seed(seed: int, cell: Cell) -> int:
    """The seed of a run's batches: the same for every arm, rate and fraction of a fold and draw."""
    sequence = np.random.SeedSequence([seed, 5, cell.fold, cell.draw])
    return int(sequence.generate_state(1)[0])


class Arm:
    """One arm of the comparison: where its weights come from, and the compiled training."""

    def __init__(self, name: str, config, data, cells, source: encoder.Encoder, spec, seed: int):
        self.name, self.config, self.seed = name, config, seed
        self.source, self.random = source, spec.weights == "random"
        self.raw, self.made = data, {}
        length = None if (data.length >= data.acc.shape[1]).all() else data.length
        scale = source.card["scales"]
        task = finetune.Task(data.acc, data.gyr, length, data.target[:, 0], scale)
        width = max(len(cell.train) for cell in cells)
        # Stacking runs gains nothing on a CPU, and a short last group is filled up to the stack.
        runs = 4 if jax.default_backend() == "cpu" else len(cells)
        self.trainer = finetune.Trainer(source.card, task, config, width, runs)

    def start(self, draw: int) -> tuple[encoder.Encoder, np.ndarray]:
        """The weights a draw starts from, and all examples' embeddings [N, F] under them.

        The pre-trained weights are the same for every draw, random ones are a draw's own.
        """
        which = draw if self.random else 0
        if which not in self.made:
            fresh = encoder.fresh(self.source.card, self.seed + which) if self.random else None
            chosen = fresh or self.source
            features = chosen.embed(self.raw.acc, self.raw.gyr, self.raw.length)
            self.made[which] = chosen, features
        return self.made[which]

    def group(self, both: bool) -> int:
        """How many runs go together: as many as fit the memory in full fine-tuning."""
        if not both:
            return 64
        if self.trainer.some is None:
            weights, features = self.start(0)
            self.trainer.fit(weights, features.shape[1], memory(self.trainer.where))
        return self.trainer.runs


def memory(where) -> float:
    """Bytes a device may be filled with: 80 % of what it reports, else 4 GiB for all together."""
    stats = where.devices.flat[0].memory_stats() or {}
    return 0.8 * stats["bytes_limit"] if "bytes_limit" in stats else 4 * 2**30 / where.size


def run(config, data_path, encoders: dict, workdir, seed: int, name: str) -> pathlib.Path:
    """Run the sweep of one task -> `workdir`, with runs.csv, predictions.npz and summary.json.

    config: a task section of a configuration (see configs/); encoders: folder of the checkpoint by
    encoder name.  Re-entrant.
    """
    workdir = pathlib.Path(workdir)
    data = datasets.arrays(data_path, sensors=tuple(config.sensors) or None)
    if data.target is None:
        raise UserError(f"{data_path} has no target: a task needs a labelled data set")
    found = {key: encoder.load(encoders[key]) for key in {a.encoder for a in config.arms.values()}}
    for key, trained in found.items():
        pretrain.fits(data, data_path, trained.rate, 1)
        leaks(trained.card, key, data_path)
    settings = json.loads(config.to_json()) | {
        "seed": seed, "data": [datasets.fingerprint(data_path)],
        "encoders": {key: trained.card["settings"] for key, trained in found.items()},
    }  # fmt: skip
    begin(workdir, settings)
    if (workdir / "summary.json").exists():
        return workdir
    cells = grid(config, data.subject, seed)
    rows, progress = [], None
    total = work(config, cells)
    progress = log.Progress(total, name, "run")
    arms = {}
    for arm, spec in config.arms.items():
        arms[arm] = Arm(arm, config, data, cells, found[spec.encoder], spec, seed)
        rows += arm_rows(arms[arm], cells, data.subject, workdir / "parts", progress)
    rows += reference_rows(config, arms, cells, data, workdir / "parts", progress)
    progress.close()
    write(workdir, rows, data, config, settings, found, name)
    return workdir


def leaks(card: dict, key: str, data_path):
    """UserError if the encoder was pre-trained on recordings whose subjects are tested."""
    ours = set(datasets.fingerprint(data_path)["files"])
    if any(ours & set(theirs["files"]) for theirs in card["settings"]["data"]):
        raise UserError(
            f"encoder {key} was pre-trained on the raw files of {data_path}, so test subjects "
            "would stand on both sides; pre-train it on other recordings"
        )


def begin(workdir: pathlib.Path, settings: dict):
    """Make the folder and note what runs there; other settings in it are a UserError."""
    note = workdir / "settings.json"
    text = json.dumps(settings, indent=1, sort_keys=True)
    if note.exists():
        pretrain.same_settings(json.loads(note.read_text(encoding="utf-8")), settings, workdir)
        return
    (workdir / "parts").mkdir(parents=True, exist_ok=True)
    whole(note, lambda path: path.write_text(text, encoding="utf-8"))


def whole(path: pathlib.Path, make):
    """Write a file under another name and put it in place when it is complete."""
    part = path.with_name("." + path.name)
    make(part)
    part.replace(path)


def work(config, cells) -> int:
    """How many runs a task takes, for the progress bar."""
    choosing = [cell for cell in cells if cell.draw < config.select.draws]
    splits = min(config.select.splits, config.select.folds)
    each = splits * (len(config.penalties) + len(config.rates))
    return len(config.arms) * (2 * len(cells) + each * len(choosing)) + len(cells)


def arm_rows(arm: Arm, cells, subject, parts, progress) -> list[dict]:
    """Choose the settings of one arm, then train its final runs; both stages of every cell."""
    chosen = {}
    for stage in ("probe", "finetune"):
        for key, value, note in choose(arm, cells, subject, stage, chosen, parts, progress):
            chosen.setdefault(key, {"note": note})[stage] = value
    jobs = [job(arm, cell, cell.train, cell.test, chosen[choice_key(cell)]) for cell in cells]
    found = train(arm, jobs, "final", parts, progress, both=True)
    rows = []
    for cell, (probe, tuned) in zip(cells, found, strict=True):
        picked = chosen[choice_key(cell)]
        note = "; ".join(filter(None, (f"penalty {picked['probe']:g}", picked["note"])))
        for stage, estimate in (("probe", probe), ("finetune", tuned)):
            rate = picked["finetune"] if stage == "finetune" else ""
            rows += [
                {"arm": arm.name, "stage": stage, "learning_rate": rate, "cell": cell,
                 "point": point, "estimate": estimate, "note": note}
                for point in cell.points
            ]  # fmt: skip
    return rows


def choice_key(cell: Cell):
    """Settings are chosen for each fold and point of the grid, over the draws."""
    return cell.fold, cell.points


def job(arm: Arm, cell: Cell, train, test, values: dict) -> tuple[int, finetune.Lane]:
    seed = lane_seed(arm.seed, cell)
    return cell.draw, finetune.Lane(train, test, values["probe"], values.get("finetune", 0.0), seed)


def choose(arm: Arm, cells, subject, stage, chosen, parts, progress):
    """Yield (key, value, note): the setting of least RMSE on inner validation subjects.

    That is the penalty of the probe or the learning rate of fine-tuning.  The RMSE is pooled over
    the inner splits and the choosing draws.  With one training subject there is nothing to choose
    on: the middle one of the values is taken, and the note says so.
    """
    config = arm.config
    values = list(config.penalties if stage == "probe" else config.rates)
    jobs, labels = [], []
    for cell in cells:
        if cell.draw >= config.select.draws:
            continue
        splits = folds.inner(subject, cell.train, config.select.folds, arm.seed)
        for fit, held in splits[: config.select.splits]:
            folds.audit(subject, fit, np.concatenate([held, cell.test]), f"fold {cell.fold}, inner")
            for value in values:
                fixed = chosen.get(choice_key(cell), {}) | {stage: value}
                jobs.append(job(arm, cell, fit, held, fixed))
                labels.append((choice_key(cell), value))
    found = train(arm, jobs, f"choose-{stage}", parts, progress, both=stage == "finetune")
    truth = arm.trainer.task.target
    errors = {}
    for (key, value), (_, lane), (probe, tuned) in zip(labels, jobs, found, strict=True):
        estimate = probe if stage == "probe" else tuned
        squared = (estimate.astype(np.float64) - truth[lane.test]) ** 2
        errors.setdefault(key, {}).setdefault(value, []).append(squared)
    for key in dict.fromkeys(choice_key(cell) for cell in cells):
        if key not in errors:
            yield key, values[len(values) // 2], "one training subject: nothing chosen"
            continue
        pooled = {value: np.concatenate(e).mean() for value, e in errors[key].items()}
        finite = {value: e for value, e in pooled.items() if np.isfinite(e)}
        yield key, min(finite, key=finite.get, default=min(values)), ""


def train(arm: Arm, jobs, purpose: str, parts, progress, both: bool):
    """Run jobs in groups -> for each (estimate of the probe, of the fine-tuned net or None)."""
    found = [None] * len(jobs)
    by_encoder = {}
    for place, (draw, _) in enumerate(jobs):
        by_encoder.setdefault(draw if arm.random else 0, []).append(place)
    for draw, places in by_encoder.items():
        places.sort(key=lambda place: len(jobs[place][1].test))  # alike next to each other
        size = arm.group(both)
        for first in range(0, len(places), size):
            group = places[first : first + size]
            lanes = [jobs[place][1] for place in group]
            path = parts / f"{arm.name}-{purpose}-{digest(lanes, draw)}.npz"
            if not path.exists():
                save(path, *train_group(arm, lanes, draw, both))
            for place, estimates in zip(group, read(path, lanes), strict=True):
                found[place] = estimates
            progress.update(len(lanes) * (2 if purpose == "final" else 1), f"{arm.name} {purpose}")
    return found


def train_group(arm: Arm, lanes, draw: int, both: bool):
    weights, features = arm.start(draw)
    heads, probes = arm.trainer.probe(lanes, features)
    return probes, arm.trainer.finetune(lanes, weights, heads) if both else None


def digest(lanes, draw: int) -> str:
    """What tells one group of lanes from another, as a short hexadecimal word."""
    found = hashlib.sha256(str(draw).encode())
    for lane in lanes:
        for part in (lane.train, lane.test):
            found.update(np.asarray(part, np.int64).tobytes() + b"|")
        found.update(json.dumps([lane.penalty, lane.rate, lane.seed]).encode())
    return found.hexdigest()[:16]


def save(path, probes, tuned):
    arrays = {"probe": np.concatenate(probes)}
    if tuned is not None:
        arrays["finetune"] = np.concatenate(tuned)
    savez(path, arrays)


def savez(path, arrays):
    """Arrays as one compressed file, whole or not at all."""

    def make(part):
        with part.open("wb") as file:
            np.savez_compressed(file, **arrays)

    whole(path, make)


def read(path, lanes):
    ends = np.cumsum([len(lane.test) for lane in lanes])[:-1]
    with np.load(path, allow_pickle=False) as file:
        probes = np.split(file["probe"], ends)
        tuned = np.split(file["finetune"], ends) if "finetune" in file else [None] * len(lanes)
    return list(zip(probes, tuned, strict=True))


def reference_rows(config, arms, cells, data, parts, progress) -> list[dict]:
    """The shallow references on the same cells: ridge, trees, and ridge with each arm's embedding.

    config.references: "ridge" and "trees" on hand-made statistics (trees on some samples too), and
    "ridge+ARM" on statistics and the frozen embedding of that arm together.
    """
    length = data.length
    statistics = shallow.statistics(data.acc, data.gyr, length)
    sampled = np.concatenate([statistics, shallow.samples(data.acc, data.gyr, length)], axis=1)
    target = data.target[:, 0].astype(np.float64)
    rows = []
    for cell in cells:
        path = parts / f"references-{cell.fold}-{cell.draw}-{digest_of(cell)}.npz"
        if not path.exists():
            found = {}
            for name in config.references:
                features, fit = statistics, shallow.ridge
                if name == "trees":
                    features, fit = sampled, shallow.trees
                elif name.startswith("ridge+"):
                    h = arms[name.removeprefix("ridge+")].start(cell.draw)[1]
                    features = np.concatenate([statistics, h], axis=1)
                estimate, chosen = fit(
                    features, target, data.subject, cell.train, cell.test, lane_seed(0, cell)
                )
                note = ", ".join(f"{key} {value}" for key, value in chosen.items())
                found |= {name: estimate, f"{name} note": np.array(note)}
            savez(path, found)
        with np.load(path, allow_pickle=False) as file:
            for name in config.references:
                rows += [
                    {"arm": name, "stage": "reference", "learning_rate": "", "cell": cell,
                     "point": point, "estimate": file[name], "note": str(file[f"{name} note"])}
                    for point in cell.points
                ]  # fmt: skip
        progress.update(1, "references")
    return rows


def digest_of(cell: Cell) -> str:
    return hashlib.sha256(cell.train.tobytes() + b"|" + cell.test.tobytes()).hexdigest()[:16]


def write(workdir, rows, data, config, settings, found, name):
    """runs.csv, predictions.npz and, last, summary.json: its presence says that all is done."""
    runs, columns = [], {key: [] for key in ("run", "index", "truth", "estimate")}
    for number, row in enumerate(rows):
        cell, (axis, fraction) = row["cell"], row["point"]
        runs.append(
            {"run": number, "task": name, "arm": row["arm"], "stage": row["stage"], "axis": axis,
             "fraction": fraction, "draw": cell.draw, "fold": cell.fold,
             "learning_rate": row["learning_rate"], "n_train": len(cell.train),
             "n_train_subjects": len(set(data.subject[cell.train].tolist())),
             "n_test": len(cell.test), "note": row["note"]}
        )  # fmt: skip
        columns["run"].append(np.full(len(cell.test), number, np.int32))
        columns["index"].append(cell.test.astype(np.int32))
        columns["truth"].append(data.target[cell.test, 0])
        columns["estimate"].append(row["estimate"].astype(np.float32))
    columns = {key: np.concatenate(values) for key, values in columns.items()}
    for key in ("subject", "condition", "recording", "start"):
        columns[key] = getattr(data, key)[columns["index"]]
    tables.write_csv(workdir / "runs.csv", runs)
    savez(workdir / "predictions.npz", columns)
    target = data.info["targets"][0]
    summary = {
        "task": name, "title": config.title, "target": target["name"], "unit": target["unit"],
        "dataset": settings["data"][0]["name"], "sensors": data.info["sensors"],
        "subjects": len(set(data.subject.tolist())), "examples": len(data.subject),
        "arms": list(config.arms), "references": list(config.references),
        "axes": {axis: list(points) for axis, points in config.axes.items()},
        "simulated": bool(data.info.get("simulated", False)), "seed": settings["seed"],
        "config": settings, "provenance": log.provenance(),
        "encoders": {key: trained.card["provenance"] for key, trained in found.items()},
    }  # fmt: skip
    text = json.dumps(summary, indent=1)
    whole(workdir / "summary.json", lambda part: part.write_text(text, encoding="utf-8"))
    shutil.rmtree(workdir / "parts")
