"""One arm of the comparison: where its weights start, and training its runs group after group.

Settings are chosen on inner subjects of each run's own training subset, for every arm alike.  Each
group of runs is kept in `parts/` when it is done, so that a sweep that was stopped goes on with the
next one.
"""

import dataclasses
import hashlib
import json

import jax
import numpy as np

from imujax.data import scales
from imujax.nets import networks
from imujax.pretrain import encoder
from imujax.runtime import files, sharding
from imujax.sweep import folds, grid, lanes


class Arm:
    """One arm of the comparison: where its weights come from, and the compiled training."""

    def __init__(self, name: str, config, data, cells, source: encoder.Encoder, spec, seed: int):
        self.name, self.config, self.seed = name, config, seed
        self.source, self.random = source, spec.weights == "random"
        self.data, self.made, self.fresh = data, {}, {}
        whole = (data.length >= data.acc.shape[1]).all() or not config.mask
        self.length = None if whole else data.length
        task = lanes.LabelledArrays(data.acc, data.gyr, self.length, data.target[:, 0])
        width = max(len(cell.train) for cell in cells)
        # Stacking runs gains nothing on a CPU, and a short last group is filled up to the stack.
        runs = 4 if jax.default_backend() == "cpu" else len(cells)
        self.trainer = lanes.LaneTrainer(source.card, task, config, width, runs)

    def key(self, cell: grid.Cell) -> tuple:
        """Which cells start from the same weights: runs go together when their keys are equal.

        The pre-trained weights are the same for every cell, random ones are a draw's own.
        """
        return (cell.draw,) if self.random else ()

    def start(self, cell: grid.Cell) -> encoder.Encoder:
        """The weights a cell starts from.

        Random weights with batch norm keep the statistics 0 and 1 that they come with until they
        are tuned: measured on the training windows they made the frozen probe worse.
        """
        if not self.random:
            return self.source
        if cell.draw not in self.fresh:
            self.fresh[cell.draw] = encoder.random_encoder(self.source.card, self.seed + cell.draw)
        return self.fresh[cell.draw]

    def scale(self, train: np.ndarray) -> dict:
        """The means and SDs of the input: those of pre-training, or of a run's own training set."""
        if not self.config.rescale:
            return self.source.card["scales"]
        acc, gyr = self.data.acc[train], self.data.gyr[train]
        whole = np.full(len(train), acc.shape[1])
        return scales.input_scales(acc, gyr, whole if self.length is None else self.length[train])

    def features(self, cell: grid.Cell, train: np.ndarray) -> jax.Array:
        """All examples' embeddings [N, F] under the weights of a cell and the scale of `train`."""
        key = (*self.key(cell), train.tobytes() if self.config.rescale else b"")
        found = self.made.get(key)
        if found is None:
            card = self.source.card | {"scales": self.scale(train)}
            weights = dataclasses.replace(self.start(cell), card=card)
            found = weights.embed(self.data.acc, self.data.gyr, self.length)
            found = sharding.place(found, sharding.replicated(self.trainer.where))
            # One for every training set would fill the memory: the last one is kept.
            self.made = {} if self.config.rescale else self.made
            self.made[key] = found
        return found

    def group(self, cell: grid.Cell, both: bool) -> int:
        """How many runs go together: as many as fit the memory in full fine-tuning."""
        if not both:
            return 64
        if self.trainer.some is None:
            embedding = networks.make_encoder(self.source.card["net"]).embedding
            width = self.data.acc.shape[2] * 2 * embedding
            self.trainer.fit(self.start(cell), width, memory_budget(self.trainer.where))
        return self.trainer.runs


def memory_budget(where) -> float:
    """Bytes a device may be filled with: 80 % of what it reports, else 4 GiB for all together."""
    stats = where.devices.flat[0].memory_stats() or {}
    return 0.8 * stats["bytes_limit"] if "bytes_limit" in stats else 4 * 2**30 / where.size


def arm_rows(arm: Arm, cells, subject, parts, progress) -> list[dict]:
    """Choose the settings of one arm, then train its final runs; both stages of every cell."""
    chosen = {}
    for stage in ("probe", "finetune"):
        for key, value, note in choose_settings(
            arm, cells, subject, stage, chosen, parts, progress
        ):
            chosen.setdefault(key, {"note": note})[stage] = value
    jobs = [
        make_job(arm, cell, cell.train, cell.test, chosen[grid.selection_key(cell)])
        for cell in cells
    ]
    found = run_jobs(arm, jobs, "final", parts, progress, both=True)
    made = []
    for cell, (probe, tuned) in zip(cells, found, strict=True):
        picked = chosen[grid.selection_key(cell)]
        note = "; ".join(filter(None, (f"penalty {picked['probe']:g}", picked["note"])))
        for stage, estimate in (("probe", probe), ("finetune", tuned)):
            rate = picked["finetune"] if stage == "finetune" else ""
            made += [
                {
                    "arm": arm.name,
                    "stage": stage,
                    "learning_rate": rate,
                    "cell": cell,
                    "point": point,
                    "estimate": estimate,
                    "note": note,
                }
                for point in cell.points
            ]
    return made


def make_job(arm: Arm, cell: grid.Cell, train, test, values: dict) -> tuple[grid.Cell, lanes.Lane]:
    seed, rate = grid.lane_seed(arm.seed, cell), values.get("finetune", 0.0)
    return cell, lanes.Lane(train, test, values["probe"], rate, seed, arm.scale(train))


def choose_settings(arm: Arm, cells, subject, stage, chosen, parts, progress):
    """Yield (key, value, note): the setting of least RMSE on inner validation subjects.

    That is the penalty of the probe or the learning rate of fine-tuning.  The RMSE is pooled over
    the inner splits and the choosing draws.  With one training subject there is nothing to choose
    on: the middle one of the values is taken, and the note says so.  A single value is no choice.
    """
    config = arm.config
    values = list(config.penalties if stage == "probe" else config.rates)
    if len(values) == 1:
        yield from ((key, values[0], "") for key in dict.fromkeys(map(grid.selection_key, cells)))
        return
    jobs, labels = [], []
    for cell in cells:
        if cell.draw >= config.select.draws:
            continue
        splits = folds.inner_folds(subject, cell.train, config.select.folds, arm.seed)
        for fit, held in splits[: config.select.splits]:
            folds.audit_split(
                subject, fit, np.concatenate([held, cell.test]), f"fold {cell.fold}, inner"
            )
            for value in values:
                fixed = chosen.get(grid.selection_key(cell), {}) | {stage: value}
                jobs.append(make_job(arm, cell, fit, held, fixed))
                labels.append((grid.selection_key(cell), value))
    found = run_jobs(arm, jobs, f"choose-{stage}", parts, progress, both=stage == "finetune")
    truth = arm.trainer.task.target
    errors = {}
    for (key, value), (_, lane), (probe, tuned) in zip(labels, jobs, found, strict=True):
        estimate = probe if stage == "probe" else tuned
        squared = (estimate.astype(np.float64) - truth[lane.test]) ** 2
        errors.setdefault(key, {}).setdefault(value, []).append(squared)
    for key in dict.fromkeys(grid.selection_key(cell) for cell in cells):
        if key not in errors:
            yield key, values[len(values) // 2], "one training subject: nothing chosen"
            continue
        pooled = {value: np.concatenate(e).mean() for value, e in errors[key].items()}
        finite = {value: e for value, e in pooled.items() if np.isfinite(e)}
        yield key, min(finite, key=finite.get, default=min(values)), ""


def run_jobs(arm: Arm, jobs, purpose: str, parts, progress, both: bool):
    """Run jobs in groups -> for each (estimate of the probe, of the fine-tuned net or None)."""
    found = [None] * len(jobs)
    together = {}
    for place, (cell, _) in enumerate(jobs):
        together.setdefault(arm.key(cell), []).append(place)
    for key, places in together.items():
        places.sort(key=lambda place: len(jobs[place][1].test))  # alike next to each other
        cell = jobs[places[0]][0]
        size = arm.group(cell, both)
        for first in range(0, len(places), size):
            group = places[first : first + size]
            lanes = [jobs[place][1] for place in group]
            path = parts / f"{arm.name}-{purpose}-{group_hash(lanes, key)}.npz"
            arrays = files.load_arrays(path)
            if arrays is None:
                arrays = run_group(arm, lanes, cell, both)
                files.save_arrays(path, arrays)
            for place, estimates in zip(group, split_by_lane(arrays, lanes), strict=True):
                found[place] = estimates
            progress.update(len(lanes) * (2 if purpose == "final" else 1), f"{arm.name} {purpose}")
    return found


def run_group(arm: Arm, lanes, cell: grid.Cell, both: bool) -> dict:
    """Estimates of all lanes' test examples end to end, by stage: what a part holds."""
    alike = [[lane] for lane in lanes] if arm.config.rescale else [lanes]
    made = [arm.trainer.probe(some, arm.features(cell, some[0].train)) for some in alike]
    arrays = {"probe": np.concatenate([row for _, found in made for row in found])}
    if both:
        heads = jax.tree.map(lambda *parts: np.concatenate(parts), *(head for head, _ in made))
        tuned = arm.trainer.finetune(lanes, arm.start(cell), heads)
        arrays["finetune"] = np.concatenate(tuned)
    return arrays


def group_hash(lanes, key: tuple) -> str:
    """What tells one group of lanes from another, as a short hexadecimal word."""
    found = hashlib.sha256(str(key).encode())
    for lane in lanes:
        for part in (lane.train, lane.test):
            found.update(np.asarray(part, np.int64).tobytes() + b"|")
        found.update(json.dumps([lane.penalty, lane.rate, lane.seed]).encode())
    return found.hexdigest()[:16]


def split_by_lane(arrays: dict, lanes) -> list[tuple]:
    """For each lane its estimates by the probe and by the fine-tuned net, or None."""
    ends = np.cumsum([len(lane.test) for lane in lanes])[:-1]
    probes = np.split(arrays["probe"], ends)
    tuned = np.split(arrays["finetune"], ends) if "finetune" in arrays else [None] * len(lanes)
    return list(zip(probes, tuned, strict=True))
