"""Probe and full fine-tuning of many runs at once: one compiled step, the runs a stacked axis.

A lane is one run: its own training examples, test examples, learning rates and seed. All lanes of a
call start from one encoder. The runs are shared out over the mesh axis "run" by shard_map and
stacked on each device by vmap, so a lane never sees another one.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from imujax.data import augment, scales
from imujax.errors import UserError
from imujax.nets import towers
from imujax.pretrain import schedules
from imujax.pretrain.encoder import Encoder
from imujax.runtime import sharding

ESTIMATE_CHUNK = 256  # examples that are estimated at once
MIN_PENALTY = 4 * float(np.finfo(np.float32).eps)  # of a sum, what single precision may lose of it


@dataclasses.dataclass(frozen=True)
class Lane:
    """One run.

    Attributes
    ----------
    train, test : ndarray, [n] and [m]
        Indices into the task's examples.
    penalty : float
        Of the probe's ridge, for each example on standardised features.
    rate : float
        Peak learning rate of full fine-tuning.
    seed : int
        Of its batches.
    scale : dict
        Means and SDs of the input, see data/scales.input_scales.
    """

    train: np.ndarray
    test: np.ndarray
    penalty: float
    rate: float
    seed: int
    scale: dict[str, dict[str, float]]


@dataclasses.dataclass(frozen=True)
class LabelledArrays:
    """A labelled set on its way into the network.

    Attributes
    ----------
    acc, gyr : ndarray, [N, T, S, 3]
        m/s^2, gravity included, and rad/s.
    length : ndarray, [N], or None
        Valid samples of each window; None where every window counts whole.
    target : ndarray, [N]
        In the task's unit.
    """

    acc: np.ndarray
    gyr: np.ndarray
    length: np.ndarray | None
    target: np.ndarray


def stack_lanes(lanes: list[Lane], examples: LabelledArrays, runs: int, width: int) -> dict:
    """Lanes as arrays with a leading axis R = `runs`; filling lanes repeat the last one.

    train [R, width] indices padded with zeros, count [R] how many are true, penalty, rate [R],
    mean and sd of the training labels [R], seed [R], scale of numbers [R]. Fixed shapes, one
    compilation.
    """
    labels = [examples.target[lane.train].astype(np.float64) for lane in lanes]
    sd = [y.std() or 1.0 for y in labels]  # equal labels: learn the mean
    columns = {
        "train": (pad_rows([lane.train for lane in lanes], width), np.int32),
        "count": ([len(lane.train) for lane in lanes], np.int32),
        "penalty": ([lane.penalty for lane in lanes], np.float32),
        "rate": ([lane.rate for lane in lanes], np.float32),
        "mean": ([y.mean() for y in labels], np.float32),
        "sd": (sd, np.float32),
        "seed": ([lane.seed for lane in lanes], np.uint32),
    }
    stacked = {
        name: repeat_last(np.asarray(values, dtype), runs)
        for name, (values, dtype) in columns.items()
    }
    scale = jax.tree.map(
        lambda *x: repeat_last(np.asarray(x, np.float32), runs), *(lane.scale for lane in lanes)
    )
    return stacked | {"scale": scale}


def pad_rows(rows: list[np.ndarray], width: int) -> np.ndarray:
    """Index lists as one array [R, width], padded with zeros."""
    padded = np.zeros((len(rows), width), np.int32)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded


def repeat_last(values: np.ndarray, runs: int) -> np.ndarray:
    """Repeat the last entry along the first axis until there are `runs`."""
    return np.concatenate([values, np.repeat(values[-1:], runs - len(values), axis=0)])


def sample_rows(lane, step, batch: int):
    """The examples of a lane's batch, with replacement, from its seed and the step -> [B]."""
    key = jax.random.fold_in(jax.random.key(lane["seed"]), step)
    return lane["train"][jax.random.randint(key, (batch,), 0, lane["count"])]


def fit_probe(lane: dict[str, Any], features: jax.Array, target: jax.Array) -> dict[str, jax.Array]:
    """Fit the linear probe of a lane on frozen features.

    Features are standardised with mean and SD of the lane's training examples alone, and so is the
    label; the weights w minimise mean (x w - y)^2 + penalty |w|^2, solved exactly: in the space of
    features, or in that of examples where these are fewer. The penalty is never below MIN_PENALTY
    of the summed variance of the features: single precision cannot tell a smaller one from none,
    and the solution of a batch of features that depend on each other would not be finite. A feature
    that is constant here but for rounding is left out.

    Parameters
    ----------
    lane : dict
        Of `stack_lanes`, without the leading axis: train, count, penalty, mean, sd.
    features : jax.Array, [N, F]
        Embeddings of all examples.
    target : jax.Array, [N]
        In the task's unit.

    Returns
    -------
    dict of jax.Array
        "kernel" [F, 1] and "bias" [1]; the head acts on the features as they are given, and gives
        the label in SDs of the training labels from their mean.
    """
    dot = functools.partial(jnp.matmul, precision="highest")
    count = lane["count"]
    valid = (jnp.arange(lane["train"].shape[0]) < count).astype(jnp.float32)[:, None]
    x = features[lane["train"]]  # [n, F]
    threshold = 1e-5 * jnp.abs(x * valid).max(axis=0, keepdims=True)
    mean = (x * valid).sum(axis=0, keepdims=True) / count
    x = (x - mean) * valid
    sd = jnp.sqrt((x**2).sum(axis=0, keepdims=True) / count)
    sd = jnp.where(sd > threshold, sd, jnp.inf)
    x = x / sd
    y = (target[lane["train"]] - lane["mean"])[:, None] / lane["sd"] * valid
    is_wide = x.shape[1] > x.shape[0]
    gram = dot(x, x.T) if is_wide else dot(x.T, x)
    gram = gram / count
    penalty = jnp.maximum(lane["penalty"], MIN_PENALTY * jnp.trace(gram))
    gram = gram + penalty * jnp.eye(gram.shape[0])
    right = y if is_wide else dot(x.T, y) / count
    w = jax.scipy.linalg.solve(gram, right, assume_a="pos")
    kernel = (dot(x.T, w) / count if is_wide else w) / sd.T
    return {"kernel": kernel, "bias": -dot(mean, kernel)[0]}


def estimate_probe(lane, head, features):
    """The probe's estimates for all examples, in the task's unit -> [N]."""
    y = jnp.matmul(features, head["kernel"], precision="highest")[:, 0]
    return (y + head["bias"][0]) * lane["sd"] + lane["mean"]


def augment_batch(lane, data, rows, step, config):
    """acc, gyr [B, T, S, 3] of examples `rows`, standardised, as a colleague would have cut them.

    Each window is moved by at most config.shift samples, its end samples repeated, and turned by
    at most config.rotation degrees about a random axis, all sensors and both modalities alike.
    """
    acc, gyr = data["acc"][rows], data["gyr"][rows]
    shift_key, turn_key = jax.random.split(jax.random.fold_in(jax.random.key(~lane["seed"]), step))
    if config.shift:
        shift = jax.random.randint(shift_key, rows.shape, -config.shift, config.shift + 1)
        last = acc.shape[1] - 1 if data["length"] is None else data["length"][rows, None] - 1
        samples = jnp.clip(jnp.arange(acc.shape[1])[None, :] + shift[:, None], 0, last)  # [B, T]
        acc, gyr = (jnp.take_along_axis(x, samples[..., None, None], axis=1) for x in (acc, gyr))
    if config.rotation:
        matrices = augment.random_rotations(turn_key, rows.shape[0], config.rotation)
        acc, gyr = (
            jnp.einsum("bij,btsj->btsi", matrices, x, precision="highest") for x in (acc, gyr)
        )
    return scales.standardise(acc, gyr, lane["scale"])


def make_optimiser(config, peak):
    """AdamW of full fine-tuning; peak: a lane's own learning rate, a scalar array."""
    rate = schedules.warmup_cosine(peak, config.finetune_steps, config.warmup)
    return schedules.adamw(rate, config.weight_decay)


def finetune_lane(lane, state, data, first, net, config, steps: int):
    """`steps` steps of full fine-tuning of a lane from step `first` on -> (state, mean loss)."""
    optimiser = make_optimiser(config, lane["rate"])

    def loss_and_stats(params, stats, rows, acc, gyr):
        length = None if data["length"] is None else data["length"][rows]
        y, updated = net.apply(
            {"params": params, "batch_stats": stats},
            acc,
            gyr,
            length,
            train=True,
            mutable=["batch_stats"],
        )
        truth = (data["target"][rows] - lane["mean"]) / lane["sd"]
        return ((y[:, 0] - truth) ** 2).mean(), updated.get("batch_stats", {})

    def take_step(state, step):
        rows = sample_rows(lane, step, config.batch)
        acc, gyr = augment_batch(lane, data, rows, step, config)
        (loss, stats), grads = jax.value_and_grad(loss_and_stats, has_aux=True)(
            state["params"], state["stats"], rows, acc, gyr
        )
        updates, opt = optimiser.update(grads, state["opt"], state["params"])
        params = optax.apply_updates(state["params"], updates)
        return {"params": params, "stats": stats, "opt": opt}, loss

    state, losses = jax.lax.scan(take_step, state, first + jnp.arange(steps))
    return state, losses.mean()


def estimate_network(lane, rows, state, data, net):
    """The network's estimates for examples `rows` [m], statistics frozen, in the task's unit."""
    length = None if data["length"] is None else data["length"][rows]
    acc, gyr = scales.standardise(data["acc"][rows], data["gyr"][rows], lane["scale"])
    variables = {"params": state["params"], "batch_stats": state["stats"]}
    y = net.apply(variables, acc, gyr, length, train=False)
    return y[:, 0] * lane["sd"] + lane["mean"]


def map_lanes(function, mesh, n_stacked: int, n_shared: int, **static):
    """Jit of shard_map of vmap: the first `n_stacked` arguments have the run axis, the rest not."""
    axes = (0,) * n_stacked + (None,) * n_shared
    stacked = jax.vmap(functools.partial(function, **static), in_axes=axes)
    specs = (jax.P("run"),) * n_stacked + (jax.P(),) * n_shared
    return jax.jit(
        jax.shard_map(stacked, mesh=mesh, in_specs=specs, out_specs=jax.P("run"), check_vma=False)
    )


class LaneTrainer:
    """The compiled stages for one network, task and configuration, reused for group after group.

    Parameters
    ----------
    card : dict
        Of the encoder, see encoder.Encoder.
    examples : LabelledArrays
        All examples of the task.
    config : ConfigDict
        finetune_steps, batch, warmup, weight_decay, rotation, shift.
    width : int
        Size of the largest training subset.
    runs : int
        At most so many lanes at once; fewer where they do not fit the memory.

    Attributes
    ----------
    mesh : jax.sharding.Mesh
        Of all devices, over which the lanes are shared out.
    runs : int
        How many lanes are trained at once, a multiple of the number of devices.
    compiled_steps : function or None
        The compiled steps of full fine-tuning, once `compile_for_memory` was called.
    """

    def __init__(
        self,
        card: dict[str, Any],
        examples: LabelledArrays,
        config: ConfigDict,
        width: int,
        runs: int,
    ):
        self.net, self.config = towers.Regressor(card["net"]), config
        self.examples, self.width = examples, width
        self.mesh = sharding.make_mesh("run")
        self.steps_per_call = max(n for n in range(1, 26) if config.finetune_steps % n == 0)
        self.data = sharding.place(vars(examples), sharding.replicated(self.mesh))
        self.fit_heads = map_lanes(fit_probe, self.mesh, 1, 2)
        self.estimate_heads = map_lanes(estimate_probe, self.mesh, 2, 1)
        self.estimate_examples = map_lanes(estimate_network, self.mesh, 3, 1, net=self.net)
        self.runs = self.mesh.size * -(-runs // self.mesh.size)
        self.init_state = jax.jit(self._init_state, out_shardings=sharding.sharded(self.mesh))
        self.compiled_steps: Any = None

    def probe(
        self, lanes: list[Lane], features: jax.Array | np.ndarray
    ) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
        """Fit the probes of any number of lanes.

        Parameters
        ----------
        lanes : list of Lane
        features : array, [N, F]
            Embeddings of all examples, by the frozen encoder that the lanes share.

        Returns
        -------
        heads : dict of ndarray
            "kernel" [R, F, 1] and "bias" [R, 1], R the number of lanes.
        estimates : list of ndarray
            Of each lane's test examples [m], in the task's unit.
        """
        heads, estimates = [], []
        for first in range(0, len(lanes), self.runs):
            group = lanes[first : first + self.runs]
            stacked = self.place(group)
            head = self.fit_heads(stacked, features, self.data["target"])
            rows = sharding.to_host(self.estimate_heads(stacked, head, features))
            estimates += [row[lane.test] for row, lane in zip(rows, group, strict=False)]
            heads += zip(
                *(x[: len(group)] for x in sharding.to_host((head["kernel"], head["bias"]))),
                strict=True,
            )
        kernel, bias = (np.stack(parts) for parts in zip(*heads, strict=True))
        return {"kernel": kernel, "bias": bias}, estimates

    def finetune(
        self, lanes: list[Lane], encoder: Encoder, heads: dict[str, np.ndarray]
    ) -> list[np.ndarray]:
        """Fine-tune the whole network in every lane, after `compile_for_memory`.

        Parameters
        ----------
        lanes : list of Lane
            At most `runs`.
        encoder : Encoder
            Where all of them start.
        heads : dict of ndarray
            Where their output layers start, see `probe`.

        Returns
        -------
        list of ndarray
            Estimates of each lane's test examples [m], in the task's unit.
        """
        stacked = self.place(lanes)
        heads = jax.tree.map(lambda x: repeat_last(x, self.runs), heads)
        state = self.init_state(encoder.params, encoder.stats, heads)
        for first in range(0, self.config.finetune_steps, self.steps_per_call):
            state, _ = self.compiled_steps(stacked, state, self.data, jnp.int32(first))
        chunks = []
        for first in range(0, max(len(lane.test) for lane in lanes), ESTIMATE_CHUNK):
            rows = pad_rows(
                [lane.test[first : first + ESTIMATE_CHUNK] for lane in lanes], ESTIMATE_CHUNK
            )
            rows = sharding.place(repeat_last(rows, self.runs), sharding.sharded(self.mesh))
            chunks.append(sharding.to_host(self.estimate_examples(stacked, rows, state, self.data)))
        estimates = np.concatenate(chunks, axis=1)
        return [row[: len(lane.test)] for row, lane in zip(estimates, lanes, strict=False)]

    def place(self, lanes: list[Lane]) -> dict[str, Any]:
        """Stack lanes and share them out over the devices.

        Parameters
        ----------
        lanes : list of Lane
            At most `runs`.

        Returns
        -------
        dict of jax.Array, [R, ..]
            See `stack_lanes`.
        """
        return sharding.place(
            stack_lanes(lanes, self.examples, self.runs, self.width), sharding.sharded(self.mesh)
        )

    def _init_state(self, params, stats, heads) -> dict:
        """The stacked state of lanes that begin with one encoder and heads [R, ..] of their own."""
        runs = len(heads["bias"])
        params, stats = jax.tree.map(
            lambda x: jnp.broadcast_to(x[None], (runs, *x.shape)), (params, stats)
        )
        params = params | {"output": heads}
        opt = jax.vmap(make_optimiser(self.config, 0.0).init)(params)
        return {"params": params, "stats": stats, "opt": opt}

    def compile_for_memory(self, encoder: Encoder, features: int, memory: float) -> int:
        """Compile the fine-tuning steps for as many lanes as the memory allows.

        The compiled program's own account counts: temporaries, and the state before and after;
        nothing is placed on a device to find out.

        Parameters
        ----------
        encoder : Encoder
            Where the lanes will start.
        features : int
            F, the numbers that the output layer sees.
        memory : float
            Bytes that a device may be filled with.

        Returns
        -------
        int
            How many lanes, which `runs` says from now on.

        Raises
        ------
        UserError
            Not even one lane fits.
        """
        unit = {"mean": 0.0, "sd": 1.0}
        index, scale = np.zeros(1, int), {"acc": unit, "gyr": unit}
        lane = Lane(index, index, penalty=1.0, rate=0.0, seed=0, scale=scale)
        static = {"net": self.net, "config": self.config, "steps": self.steps_per_call}
        finetune = map_lanes(finetune_lane, self.mesh, 2, 2, **static)
        while True:
            state = self._state_shapes(encoder, features)
            arguments = (self.place([lane]), state, self.data, jnp.int32(0))
            self.compiled_steps = finetune.lower(*arguments).compile()
            leaves = jax.tree.leaves(state)
            state_bytes = sum(x.size * x.dtype.itemsize for x in leaves) / self.mesh.size
            needed = self.compiled_steps.memory_analysis().temp_size_in_bytes + 2 * state_bytes
            if needed <= memory:
                return self.runs
            if self.runs == self.mesh.size:
                raise UserError(
                    f"one run of fine-tuning takes {needed / 2**30:.1f} GiB and the device has "
                    f"{memory / 2**30:.1f}; lower batch"
                )
            runs_per_device = self.runs // self.mesh.size
            fitting = min(runs_per_device - 1, int(runs_per_device * memory // needed))
            self.runs = self.mesh.size * max(1, fitting)

    def _state_shapes(self, encoder, features: int) -> dict:
        """The shapes of the state of `runs` lanes."""
        shapes = {"kernel": (self.runs, features, 1), "bias": (self.runs, 1)}
        heads = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}
        state = jax.eval_shape(self.init_state, encoder.params, encoder.stats, heads)
        return sharding.as_shapes(state, sharding.sharded(self.mesh))
