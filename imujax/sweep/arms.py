"""One arm of the comparison: the weights that its runs start from, and what they see at first."""

import dataclasses
import functools
import json
from collections.abc import Hashable, Sequence

import jax
import numpy as np
from ml_collections import ConfigDict

from imujax.data import datasets, scales, targets
from imujax.errors import UserError
from imujax.nets import networks
from imujax.pretrain import encoder
from imujax.runtime import sharding
from imujax.sweep import grid, lanes

EMBEDDINGS_KEPT = 3


class Arm:
    """One arm of the comparison: where its weights come from, and the compiled training.

    Parameters
    ----------
    name : str
        Its name in the configuration.
    config : ConfigDict
        The task's section of a configuration.
    data : Dataset
        The labelled examples, at the rate of the encoder.
    cells : list of Cell
        The grid of the task.
    pretrained : sequence of Encoder
        The pre-trainings of the arm's encoder; of those that were made fold by fold each serves
        its own. Where the arm's weights are random, network and input scales are of the one that a
        pre-trained arm would have there.
    spec : ConfigDict
        The arm's entry in the configuration: encoder, weights, and for random weights start.
    seed : int
        Of random weights, inner folds and batches.
    trainers : dict of LaneTrainer
        Of the task's arms so far, by their network and rate: arms of one network share what is
        compiled. One that is not yet there is added.
    mesh : jax.sharding.Mesh, optional
        See lanes.LaneTrainer.
    """

    def __init__(
        self,
        name: str,
        config: ConfigDict,
        data: datasets.Dataset,
        cells: Sequence[grid.Cell],
        pretrained: Sequence[encoder.Encoder],
        spec: ConfigDict,
        seed: int,
        trainers: dict[str, lanes.LaneTrainer],
        mesh: jax.sharding.Mesh | None = None,
    ):
        self.name, self.config, self.data, self.seed = name, config, data, seed
        self.pretrained, self.is_random = pretrained, spec.weights == "random"
        self.random_set = spec.get("start", 0)
        self.embeddings: dict[Hashable, jax.Array] = {}
        self.random_encoders: dict[int, encoder.Encoder] = {}
        assert data.target is not None  # sweep.run_sweep has seen to it
        is_full = (data.length >= data.acc.shape[1]).all() or not config.mask
        self.length = None if is_full else data.length
        card = pretrained[0].card
        if targets.curve_every(data):
            networks.require_curves(card["net"])
        net = json.dumps([card["net"], card["rate"]], sort_keys=True)
        if net not in trainers:
            examples = lanes.LabelledArrays(
                data.acc,
                data.gyr,
                self.length,
                targets.outputs(data),
                bool(targets.classes_of(data)),
                targets.curve_every(data),
            )
            width = max(len(cell.train) for cell in cells)
            # A CPU gains little from large stacks, and a short last one is filled up.
            platform = jax.default_backend() if mesh is None else mesh.devices.flat[0].platform
            runs = 4 if platform == "cpu" else len(cells)
            trainers[net] = lanes.LaneTrainer(card, examples, config, width, runs, mesh)
        self.trainer = trainers[net]

    def start(self, cell: grid.Cell) -> int:
        """Say from which weights the runs of a cell start.

        Every (fold, draw) has random weights of its own; the pre-trainings of an encoder are spread
        over folds and draws in turn.

        Parameters
        ----------
        cell : Cell

        Returns
        -------
        int
            The seed of the weights; runs with the same one start from the same weights.
        """
        if self.is_random:
            return grid.start_seed(self.seed, self.random_set, cell)
        return self._member(cell).card["settings"]["seed"]

    def _member(self, cell: grid.Cell) -> encoder.Encoder:
        members = [
            one for one in self.pretrained if encoder.own_fold(one.card) in (None, cell.fold)
        ]
        return members[(cell.fold + cell.draw) % len(members)]

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
            return self._member(cell)
        start = self.start(cell)  # its own for every fold and draw
        if start not in self.random_encoders:
            card = self._member(cell).card
            self.random_encoders[start] = encoder.random_encoder(card, start)
        return self.random_encoders[start]

    def input_scales(self, train: np.ndarray, cell: grid.Cell) -> dict[str, dict[str, float]]:
        """Give the scales of the input: those of pre-training, or of a run's own training set.

        Parameters
        ----------
        train : ndarray, [n]
            Indices of the training set.
        cell : Cell
            Of the run.

        Returns
        -------
        dict
            Means and SDs, see data/scales.input_scales.
        """
        if not self.config.rescale:
            return self.initial_encoder(cell).card["scales"]
        acc, gyr = self.data.acc[train], self.data.gyr[train]
        full = np.full(len(train), acc.shape[1])
        return scales.input_scales(acc, gyr, full if self.length is None else self.length[train])

    def embed(self, cell: grid.Cell, train: np.ndarray, along: bool = True) -> jax.Array:
        """Embed all examples under the weights that a cell starts from.

        Parameters
        ----------
        cell : Cell
        train : ndarray, [n]
            Indices of the training set, of which the input's scale may be.
        along : bool
            Whether, for curves, along the windows.

        Returns
        -------
        jax.Array, [N, F], for curves [N, Lt, F]
            Kept for the next calls: whoever goes through the cells by `start` computes each once.
        """
        every = self.trainer.examples.every if along else 0
        key = (self.start(cell), train.tobytes() if self.config.rescale else b"", every)
        placed = self.embeddings.pop(key, None)
        if placed is None:
            start = self.initial_encoder(cell)
            card = start.card | {"scales": self.input_scales(train, cell)}
            scaled = dataclasses.replace(start, card=card)
            self._require_memory(every)
            features = scaled.features(self.data.acc, self.data.gyr, self.length, every=every)
            placed = sharding.place(features, sharding.replicated(self.trainer.mesh))
            while len(self.embeddings) >= (1 if every else EMBEDDINGS_KEPT):
                self.embeddings.pop(next(iter(self.embeddings)))
        self.embeddings[key] = placed  # the last one used stands last
        return placed

    def prepare_finetuning(self, cell: grid.Cell, memory: float | None = None):
        """Compile full fine-tuning for as many runs at once as fit the memory, the first time.

        Parameters
        ----------
        cell : Cell
            Any one, for the shapes.
        memory : float, optional
            Bytes that a device may be filled with, where it is not there to say so.
        """
        if self.trainer.programs:
            return
        memory = memory_budget(self.trainer.mesh) if memory is None else memory
        budget = memory - self._feature_bytes(self.trainer.examples.every)
        self.trainer.compile_for_memory(self.initial_encoder(cell), self._count_features(), budget)

    def _count_features(self) -> int:
        """F, what the output layer sees of a window or of each of its samples."""
        net = self.trainer.net
        window = jax.ShapeDtypeStruct((1, *self.data.acc.shape[1:]), np.float32)
        start = {"params": self.pretrained[0].params, "batch_stats": self.pretrained[0].stats}
        apply = functools.partial(net.apply, method="features")
        return jax.eval_shape(apply, start, window, window).shape[-1]

    def _feature_bytes(self, every: int) -> float:
        """Of the features of all windows along their samples, which stay placed; of windows that
        are embedded whole they are not worth counting."""
        count, samples = self.data.acc.shape[:2]
        return 4.0 * count * -(-samples // every) * self._count_features() if every else 0.0

    def _require_memory(self, every: int) -> None:
        """UserError where the features of curves would not fit into the memory."""
        needed, memory = self._feature_bytes(every), memory_budget(self.trainer.mesh)
        if needed > memory:
            raise UserError(
                f"the features of {len(self.data.acc)} windows along their samples take "
                f"{needed / 2**30:.1f} GiB, and there are {memory / 2**30:.1f}: take "
                "fewer sensors, a narrower network, or fewer values of the curves"
            )


def memory_budget(mesh: jax.sharding.Mesh) -> float:
    """Bytes a device may be filled with: 80 % of what it reports, else 4 GiB for all together."""
    stats = mesh.devices.flat[0].memory_stats() or {}
    return 0.8 * stats["bytes_limit"] if "bytes_limit" in stats else 4 * 2**30 / mesh.size
