"""One arm of the comparison: where its weights start, and training its runs group after group.

Settings are chosen on inner subjects of each run's own training subset, for every arm alike. Each
group of runs is kept in `parts/` when it is done, so that a sweep that was stopped goes on with the
next one.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Hashable, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from imujax.data import datasets, scales
from imujax.nets import networks
from imujax.pretrain import encoder
from imujax.runtime import files, log, sharding
from imujax.sweep import folds, grid, lanes

PROBES_PER_GROUP = 64


class Arm:
    """One arm of the comparison: where its weights come from, and the compiled training.

    Parameters
    ----------
    name : str
        Its name in the configuration.
    config : ConfigDict
        The task's section of a configuration.
    data : Dataset
        The labelled examples.
    cells : list of Cell
        The grid of the task.
    pretrained : Encoder
        The encoder of the arm. Where its weights are random, the network and the card are of it.
    spec : ConfigDict
        The arm's entry in the configuration: encoder, weights.
    seed : int
        Of random weights, inner folds and batches.
    """

    def __init__(
        self,
        name: str,
        config: ConfigDict,
        data: datasets.Dataset,
        cells: Sequence[grid.Cell],
        pretrained: encoder.Encoder,
        spec: ConfigDict,
        seed: int,
    ):
        self.name, self.config, self.data, self.seed = name, config, data, seed
        self.pretrained, self.is_random = pretrained, spec.weights == "random"
        self.embeddings: dict[Hashable, jax.Array] = {}
        self.random_encoders: dict[int, encoder.Encoder] = {}
        assert data.target is not None  # sweep.run_sweep has seen to it
        is_full = (data.length >= data.acc.shape[1]).all() or not config.mask
        self.length = None if is_full else data.length
        examples = lanes.LabelledArrays(data.acc, data.gyr, self.length, data.target[:, 0])
        width = max(len(cell.train) for cell in cells)
        # Stacking runs gains nothing on a CPU, and a short last group is filled up to the stack.
        runs = 4 if jax.default_backend() == "cpu" else len(cells)
        self.trainer = lanes.LaneTrainer(pretrained.card, examples, config, width, runs)

    def weights_key(self, cell: grid.Cell) -> tuple[int, ...]:
        """Say which cells start from the same weights: runs go together when their keys are equal.

        The pre-trained weights are the same for every cell, random ones are a draw's own.

        Parameters
        ----------
        cell : Cell

        Returns
        -------
        tuple of int
        """
        return (cell.draw,) if self.is_random else ()

    def initial_encoder(self, cell: grid.Cell) -> encoder.Encoder:
        """Give the weights that a cell starts from.

        Random weights with batch norm keep the statistics 0 and 1 that they come with until they
        are tuned: measured on the training windows they made the frozen probe worse.

        Parameters
        ----------
        cell : Cell

        Returns
        -------
        Encoder
        """
        if not self.is_random:
            return self.pretrained
        if cell.draw not in self.random_encoders:
            seed = self.seed + cell.draw
            self.random_encoders[cell.draw] = encoder.random_encoder(self.pretrained.card, seed)
        return self.random_encoders[cell.draw]

    def input_scales(self, train: np.ndarray) -> dict[str, dict[str, float]]:
        """Give the scales of the input: those of pre-training, or of a run's own training set.

        Parameters
        ----------
        train : ndarray, [n]
            Indices of the training set.

        Returns
        -------
        dict
            Means and SDs, see data/scales.input_scales.
        """
        if not self.config.rescale:
            return self.pretrained.card["scales"]
        acc, gyr = self.data.acc[train], self.data.gyr[train]
        full = np.full(len(train), acc.shape[1])
        return scales.input_scales(acc, gyr, full if self.length is None else self.length[train])

    def embed(self, cell: grid.Cell, train: np.ndarray) -> jax.Array:
        """Embed all examples under the weights that a cell starts from.

        Parameters
        ----------
        cell : Cell
        train : ndarray, [n]
            Indices of the training set, of which the input's scale may be.

        Returns
        -------
        jax.Array, [N, F]
            Kept for the next call.
        """
        key = (*self.weights_key(cell), train.tobytes() if self.config.rescale else b"")
        placed = self.embeddings.get(key)
        if placed is None:
            card = self.pretrained.card | {"scales": self.input_scales(train)}
            scaled = dataclasses.replace(self.initial_encoder(cell), card=card)
            features = scaled.embed(self.data.acc, self.data.gyr, self.length)
            placed = sharding.place(features, sharding.replicated(self.trainer.mesh))
            # One for every training set would fill the memory: the last one is kept.
            self.embeddings = {} if self.config.rescale else self.embeddings
            self.embeddings[key] = placed
        return placed

    def group_size(self, cell: grid.Cell, with_finetune: bool) -> int:
        """Say how many runs go together.

        Parameters
        ----------
        cell : Cell
            One of them.
        with_finetune : bool
            Whether they are fine-tuned after the probe.

        Returns
        -------
        int
            As many as fit the memory in full fine-tuning.
        """
        if not with_finetune:
            return PROBES_PER_GROUP
        if self.trainer.compiled_steps is None:
            embedding = networks.make_encoder(self.pretrained.card["net"]).embedding
            features = self.data.acc.shape[2] * 2 * embedding
            budget = memory_budget(self.trainer.mesh)
            self.trainer.compile_for_memory(self.initial_encoder(cell), features, budget)
        return self.trainer.runs


def memory_budget(mesh: jax.sharding.Mesh) -> float:
    """Bytes a device may be filled with: 80 % of what it reports, else 4 GiB for all together."""
    stats = mesh.devices.flat[0].memory_stats() or {}
    return 0.8 * stats["bytes_limit"] if "bytes_limit" in stats else 4 * 2**30 / mesh.size


def arm_rows(
    arm: Arm,
    cells: Sequence[grid.Cell],
    subject: np.ndarray,
    parts: pathlib.Path,
    progress: log.Progress,
) -> list[dict[str, Any]]:
    """Choose the settings of one arm, then train its final runs.

    Parameters
    ----------
    arm : Arm
    cells : list of Cell
        The grid of the task.
    subject : ndarray, [N]
        Of every example.
    parts : Path
        Folder in which groups of runs are kept when they are done.
    progress : Progress
        Counts runs.

    Returns
    -------
    list of dict
        For each cell, stage and point: arm, stage, learning_rate, cell, point, estimate [m], note.
    """
    chosen: dict[Hashable, dict[str, Any]] = {}
    for stage in ("probe", "finetune"):
        choices = choose_settings(arm, cells, subject, stage, chosen, parts, progress)
        for key, value, note in choices:
            chosen.setdefault(key, {"note": note})[stage] = value
    cell_lanes = [
        (cell, make_lane(arm, cell, cell.train, cell.test, chosen[grid.selection_key(cell)]))
        for cell in cells
    ]
    estimates = run_lanes(arm, cell_lanes, "final", parts, progress, with_finetune=True)
    rows = []
    for cell, by_stage in zip(cells, estimates, strict=True):
        settings = chosen[grid.selection_key(cell)]
        note = "; ".join(filter(None, (f"penalty {settings['probe']:g}", settings["note"])))
        for stage, estimate in zip(("probe", "finetune"), by_stage, strict=True):
            row = {
                "arm": arm.name,
                "stage": stage,
                "learning_rate": settings["finetune"] if stage == "finetune" else "",
                "cell": cell,
                "estimate": estimate,
                "note": note,
            }
            rows += [row | {"point": point} for point in cell.points]
    return rows


def make_lane(arm: Arm, cell: grid.Cell, train, test, settings: dict) -> lanes.Lane:
    """A run on part of a cell; settings: "probe" its penalty, "finetune" its learning rate."""
    seed, rate = grid.lane_seed(arm.seed, cell), settings.get("finetune", 0.0)
    return lanes.Lane(train, test, settings["probe"], rate, seed, arm.input_scales(train))


def choose_settings(arm: Arm, cells, subject, stage, chosen, parts, progress):
    """Yield (key, value, note): the setting of least RMSE on inner validation subjects.

    That is the penalty of the probe or the learning rate of fine-tuning.  The RMSE is pooled over
    the inner splits and the choosing draws.  With one training subject there is nothing to choose
    on: the middle one of the values is taken, and the note says so.  A single value is no choice.
    """
    config = arm.config
    values = list(config.penalties if stage == "probe" else config.rates)
    keys = list(dict.fromkeys(map(grid.selection_key, cells)))
    if len(values) == 1:
        yield from ((key, values[0], "") for key in keys)
        return
    trials, cell_lanes = [], []
    for cell in cells:
        if cell.draw >= config.select.draws:
            continue
        for train, validation in inner_splits(arm, cell, subject):
            for value in values:
                settings = chosen.get(grid.selection_key(cell), {}) | {stage: value}
                cell_lanes.append((cell, make_lane(arm, cell, train, validation, settings)))
                trials.append((grid.selection_key(cell), value))
    is_finetune = stage == "finetune"
    estimates = run_lanes(
        arm, cell_lanes, f"choose-{stage}", parts, progress, with_finetune=is_finetune
    )
    truth = arm.trainer.examples.target
    errors = {}
    for (key, value), (_, lane), (probe, tuned) in zip(trials, cell_lanes, estimates, strict=True):
        estimate = tuned if is_finetune else probe
        squared = (estimate.astype(np.float64) - truth[lane.test]) ** 2
        errors.setdefault(key, {}).setdefault(value, []).append(squared)
    for key in keys:
        if key not in errors:
            yield key, values[len(values) // 2], "one training subject: nothing chosen"
            continue
        pooled = {value: np.concatenate(e).mean() for value, e in errors[key].items()}
        finite = {value: e for value, e in pooled.items() if np.isfinite(e)}
        yield key, min(finite, key=finite.__getitem__, default=min(values)), ""


def inner_splits(arm: Arm, cell: grid.Cell, subject) -> list[tuple[np.ndarray, np.ndarray]]:
    """The splits of a cell's training subset that settings are chosen on, audited."""
    select = arm.config.select
    splits = folds.inner_folds(subject, cell.train, select.folds, arm.seed)[: select.splits]
    for train, validation in splits:
        others = np.concatenate([validation, cell.test])
        folds.audit_split(subject, train, others, f"fold {cell.fold}, inner")
    return splits


def run_lanes(
    arm: Arm, cell_lanes, purpose: str, parts, progress, with_finetune: bool
) -> list[Any]:
    """Run lanes in groups -> for each (estimate of the probe, of the fine-tuned net or None).

    cell_lanes: (cell, lane) pairs; the cell says where the lane starts.
    """
    estimates: list[Any] = [None] * len(cell_lanes)
    by_weights = {}
    for index, (cell, _) in enumerate(cell_lanes):
        by_weights.setdefault(arm.weights_key(cell), []).append(index)
    for key, indices in by_weights.items():
        indices.sort(key=lambda index: len(cell_lanes[index][1].test))  # alike next to each other
        cell = cell_lanes[indices[0]][0]
        size = arm.group_size(cell, with_finetune)
        for first in range(0, len(indices), size):
            members = indices[first : first + size]
            group = [cell_lanes[index][1] for index in members]
            path = parts / f"{arm.name}-{purpose}-{group_hash(group, key)}.npz"
            arrays = files.load_arrays(path)
            if arrays is None:
                arrays = run_group(arm, group, cell, with_finetune)
                files.save_arrays(path, arrays)
            for index, by_stage in zip(members, split_by_lane(arrays, group), strict=True):
                estimates[index] = by_stage
            progress.update(len(group) * (2 if purpose == "final" else 1), f"{arm.name} {purpose}")
    return estimates


def run_group(arm: Arm, group, cell: grid.Cell, with_finetune: bool) -> dict:
    """Estimates of all lanes' test examples end to end, by stage: what a part holds."""
    alike = [[lane] for lane in group] if arm.config.rescale else [group]
    probes = [arm.trainer.probe(same, arm.embed(cell, same[0].train)) for same in alike]
    arrays = {"probe": np.concatenate([row for _, estimates in probes for row in estimates])}
    if with_finetune:
        heads = jax.tree.map(lambda *rows: np.concatenate(rows), *(head for head, _ in probes))
        tuned = arm.trainer.finetune(group, arm.initial_encoder(cell), heads)
        arrays["finetune"] = np.concatenate(tuned)
    return arrays


def group_hash(group, weights_key: tuple) -> str:
    """What tells one group of lanes from another, as a short hexadecimal word."""
    digest = hashlib.sha256(str(weights_key).encode())
    for lane in group:
        for indices in (lane.train, lane.test):
            digest.update(np.asarray(indices, np.int64).tobytes() + b"|")
        digest.update(json.dumps([lane.penalty, lane.rate, lane.seed]).encode())
    return digest.hexdigest()[:16]


def split_by_lane(arrays: dict, group) -> list[tuple]:
    """For each lane its estimates by the probe and by the fine-tuned net, or None."""
    ends = np.cumsum([len(lane.test) for lane in group])[:-1]
    probes = np.split(arrays["probe"], ends)
    tuned = np.split(arrays["finetune"], ends) if "finetune" in arrays else [None] * len(group)
    return list(zip(probes, tuned, strict=True))
