"""Probe and full fine-tuning of many runs at once: one compiled loop, the runs a stacked axis.

A lane is one run: its own weights to start from, training examples, examples it is tried on,
learning rate, warm-up and seed. The runs of a stack are shared out over the mesh axis "run"
by shard_map and stacked on each device by vmap, so a lane never sees another one.

Fine-tuning has a rate that is constant after a warm-up, and what is tried is an average of the
weights along the run, the late ones counting most (Shamir and Zhang 2013). So a run can be looked
at after any number of steps, as if that had been its end: the number of steps is chosen from points
along one run. With config.kept so large a share of the weights that are tried are those at the
start, the probe's with them, so that tuning keeps what the probe has (Wortsman et al. 2022, arXiv
2109.01903).
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from imujax.data import augment, scales
from imujax.errors import UserError
from imujax.nets import arithmetic, networks, parameters, towers
from imujax.pretrain import schedules
from imujax.pretrain.encoder import Encoder
from imujax.runtime import sharding
from imujax.sweep import probes

ESTIMATE_CHUNK = 256  # examples that are estimated at once
AVERAGE_POWER = 8  # the weights after step t count in the average as t to this power


@dataclasses.dataclass(frozen=True)
class Lane:
    """One run.

    Attributes
    ----------
    train, test : ndarray, [n] and [m]
        Indices into the task's examples; the test examples are those it is tried on.
    penalties : tuple of float
        Of the probe's ridge, for each example on standardised features.
    rate : float
        Learning rate of full fine-tuning, after the warm-up.
    rise : int
        Steps of the warm-up.
    seed : int
        Of its batches.
    start : Encoder
        The weights that it starts from.
    scale : dict
        Means and SDs of the input, see data/scales.input_scales.
    """

    train: np.ndarray
    test: np.ndarray
    penalties: tuple[float, ...]
    rate: float
    rise: int
    seed: int
    start: Encoder
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
    target : ndarray, [N, K], or of curves [N, Lt, K]
        In the targets' units; of a class 1 for the one of K that it is; of curves NaN beyond the
        length of a window, of a class a sample also where there is none.
    is_class : bool
        Whether the targets are the probabilities of classes.
    every : int
        Of curves, samples of the window from value to value.
    """

    acc: np.ndarray
    gyr: np.ndarray
    length: np.ndarray | None
    target: np.ndarray
    is_class: bool = False
    every: int = 0

    @property
    def arrays(self) -> dict[str, np.ndarray | None]:
        """What lies on the devices."""
        return {name: getattr(self, name) for name in ("acc", "gyr", "length", "target")}


def stack_lanes(
    lanes: Sequence[Lane], examples: LabelledArrays, size: int, width: int
) -> dict[str, Any]:
    """Lanes as arrays with a leading axis R = `size`; filling lanes repeat the last one.

    train [R, width] indices padded with zeros, count [R] how many are true, penalties [R, P], rate
    and rise [R], mean and sd of the training labels [R, 1, K], of curves [R, 1, 1, K], seed [R],
    scale of numbers [R].
    """
    shape = (1,) * (examples.target.ndim - 1) + (-1,)
    moments = [[x.reshape(shape) for x in label_moments(lane, examples)] for lane in lanes]
    columns = {
        "train": (pad_rows([lane.train for lane in lanes], width), np.int32),
        "count": ([len(lane.train) for lane in lanes], np.int32),
        "penalties": ([lane.penalties for lane in lanes], np.float32),
        "rate": ([lane.rate for lane in lanes], np.float32),
        "rise": ([lane.rise for lane in lanes], np.int32),
        "mean": ([mean for mean, _ in moments], np.float32),
        "sd": ([sd for _, sd in moments], np.float32),
        "seed": ([lane.seed for lane in lanes], np.uint32),
    }
    stacked = {
        name: repeat_last(np.asarray(values, dtype), size)
        for name, (values, dtype) in columns.items()
    }
    scale = jax.tree.map(
        lambda *x: repeat_last(np.asarray(x, np.float32), size), *(lane.scale for lane in lanes)
    )
    return stacked | {"scale": scale}


def label_moments(lane: Lane, examples: LabelledArrays) -> tuple[np.ndarray, np.ndarray]:
    """Mean and SD [K] of a lane's training labels, float64; the SD of equal labels counts as 1.

    Of classes 0 and 1: what a network gives is then their log odds. Of curves over all samples.
    """
    outputs = examples.target.shape[-1]
    if examples.is_class:
        return np.zeros(outputs), np.ones(outputs)
    labels = examples.target[lane.train].reshape(-1, outputs).astype(np.float64)
    sd = np.nanstd(labels, axis=0)
    return np.nanmean(labels, axis=0), np.where(sd == 0, 1.0, sd)


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


def augment_batch(lane, data, rows, step, config, every=0):
    """acc, gyr [B, T, S, 3] of examples `rows`, standardised, as a colleague would have cut them,
    and their targets.

    Each window is moved by at most config.shift samples, its end samples repeated, and turned by
    at most config.rotation degrees about a random axis, all sensors and both modalities alike.
    Curves, of which `every` tells the values, move with their windows.
    """
    acc, gyr, target = data["acc"][rows], data["gyr"][rows], data["target"][rows]
    shift_key, turn_key = jax.random.split(jax.random.fold_in(jax.random.key(~lane["seed"]), step))
    if config.shift:
        shift = jax.random.randint(shift_key, rows.shape, -config.shift, config.shift + 1)
        last = acc.shape[1] - 1 if data["length"] is None else data["length"][rows, None] - 1
        samples = jnp.clip(jnp.arange(acc.shape[1])[None, :] + shift[:, None], 0, last)  # [B, T]
        acc, gyr = (jnp.take_along_axis(x, samples[..., None, None], axis=1) for x in (acc, gyr))
        target = _read_curves(target, samples[:, ::every], every) if every else target
    if config.rotation:
        matrices = augment.random_rotations(turn_key, rows.shape[0], config.rotation)
        acc, gyr = (
            jnp.einsum("bij,btsj->btsi", matrices, x, precision="highest") for x in (acc, gyr)
        )
    return *scales.standardise(acc, gyr, lane["scale"]), target


def _read_curves(curves, samples, every):
    """Curves [B, Lt, K] at samples of their windows [B, P], on the line between their values."""
    before = samples // every
    share = (samples % every / every)[..., None]
    after = jnp.minimum(before + 1, curves.shape[1] - 1)
    at, later = (jnp.take_along_axis(curves, i[..., None], axis=1) for i in (before, after))
    return jnp.where(jnp.isfinite(later), at + share * (later - at), at)


def make_optimiser(config, lane):
    """AdamW of fine-tuning, with a lane's own learning rate, and the factors of `tune` on it."""
    rate = schedules.warmup_constant(lane["rate"], lane["rise"])
    return schedules.adamw(rate, config.weight_decay, factors=config.tune)


def finetune_lane(lane, state, data, first, last, net, config, is_class, every):
    """Full fine-tuning of a lane from step `first` to step `last` -> (state, mean loss)."""
    optimiser = make_optimiser(config, lane)

    def loss_and_stats(params, stats, rows, acc, gyr, target):
        length = None if data["length"] is None else data["length"][rows]
        params = parameters.hold(params, config.tune)
        y, updated = net.apply(
            {"params": params, "batch_stats": stats},
            acc,
            gyr,
            length,
            train=True,
            mutable=["batch_stats"],
        )
        truth = (target - lane["mean"]) / lane["sd"]
        inside = jnp.isfinite(truth)  # of curves, as far as the window goes
        if is_class:
            entropy = optax.softmax_cross_entropy(y, jnp.where(inside, truth, 0.0))
            loss = entropy.sum() / jnp.maximum(inside.all(axis=-1).sum(), 1)
        else:
            loss = (jnp.where(inside, y - truth, 0.0) ** 2).sum() / inside.sum()
        return loss, updated.get("batch_stats", {})

    def take_step(step, carry):
        state, total = carry
        rows = sample_rows(lane, step, config.batch)
        acc, gyr, target = augment_batch(lane, data, rows, step, config, every)
        (loss, stats), grads = jax.value_and_grad(loss_and_stats, has_aux=True)(
            state["params"], state["stats"], rows, acc, gyr, target
        )
        updates, opt = optimiser.update(grads, state["opt"], state["params"])
        weights = {"params": optax.apply_updates(state["params"], updates), "stats": stats}
        share = (AVERAGE_POWER + 1) / (step + 1 + AVERAGE_POWER)  # 1 at step 0
        # What does not move stays as it is to the last bit.
        average = jax.tree.map(lambda x, old: old + share * (x - old), weights, state["average"])
        return state | weights | {"opt": opt, "average": average}, total + loss

    state, total = jax.lax.fori_loop(first, last, take_step, (state, 0.0))
    return state, total / (last - first)


def estimate_network(lane, rows, average, data, net, is_class):
    """The averaged network's estimates for examples `rows` [m], in the units -> [m, K], of curves
    [m, Lt, K]."""
    length = None if data["length"] is None else data["length"][rows]
    acc, gyr = scales.standardise(data["acc"][rows], data["gyr"][rows], lane["scale"])
    variables = {"params": average["params"], "batch_stats": average["stats"]}
    y = net.apply(variables, acc, gyr, length, train=False)
    return jax.nn.softmax(y) if is_class else y * lane["sd"] + lane["mean"]


def _blend(weights, others, share: float):
    """Weights, and by `share` others."""
    return jax.tree.map(lambda x, other: x + share * (other - x), weights, others)


@jax.jit
def _pick_lanes(states: list[dict[str, Any]], index: np.ndarray) -> dict[str, Any]:
    """Lanes of several states [R, ..], one behind the other: those of `index` [R']."""
    return jax.tree.map(lambda *x: jnp.concatenate(x)[index], *states)


def map_lanes(function, mesh, n_stacked: int, n_shared: int, **static):
    """Jit of shard_map of vmap: the first `n_stacked` arguments have the run axis, the rest not."""
    axes = (0,) * n_stacked + (None,) * n_shared
    stacked = jax.vmap(functools.partial(function, **static), in_axes=axes)
    specs = (jax.P("run"),) * n_stacked + (jax.P(),) * n_shared
    return jax.jit(
        jax.shard_map(stacked, mesh=mesh, in_specs=specs, out_specs=jax.P("run"), check_vma=False)
    )


@dataclasses.dataclass
class Stack:
    """Lanes that take their steps together.

    Attributes
    ----------
    lanes : list of Lane
        The true ones; behind them the last one is repeated until the stack is full.
    arrays : dict of jax.Array, [R, ..]
        See `stack_lanes`.
    state : dict
        Parameters, statistics, optimiser and average of every lane, stacked.
    """

    lanes: list[Lane]
    arrays: dict[str, Any]
    state: dict[str, Any]


class LaneTrainer:
    """The compiled stages for one network, task and configuration, reused for stack after stack.

    Parameters
    ----------
    card : dict
        Of the encoder, see encoder.Encoder.
    examples : LabelledArrays
        All examples of the task.
    config : ConfigDict
        batch, weight_decay, rotation, shift, tune, kept.
    width : int
        Size of the largest training subset.
    runs : int
        At most so many lanes at once; fewer where they do not fit the memory.
    mesh : jax.sharding.Mesh, optional
        Devices, those that there are by default; of others what is to run there can be compiled.

    Attributes
    ----------
    mesh : jax.sharding.Mesh
        Of all devices, over which the lanes are shared out.
    runs : int
        How many lanes are trained at once: the number of devices times a power of two.
    programs : dict
        The compiled loops of full fine-tuning, by the number of lanes in the stack.
    """

    def __init__(
        self,
        card: dict[str, Any],
        examples: LabelledArrays,
        config: ConfigDict,
        width: int,
        runs: int,
        mesh: jax.sharding.Mesh | None = None,
    ):
        net = networks.resolve_net(card["net"])
        if net.get("conv") == "auto":  # which knows nothing of the other runs
            net |= {"conv": "dot"}
        outputs = net, examples.target.shape[-1]
        self.net = towers.Regressor(*outputs)
        if examples.every:
            self.net = towers.CurveRegressor(*outputs, examples.every)
        self.config = config
        self.examples, self.width = examples, width
        self.mesh = sharding.make_mesh("run") if mesh is None else mesh
        kind = {"is_class": examples.is_class}
        fit_head = probes.fit_curve_probe if examples.every else probes.fit_probe
        fit_head = probes.fit_logistic if examples.is_class else fit_head
        self.fit_heads = map_lanes(fit_head, self.mesh, 1, 2)
        self.estimate_heads = map_lanes(probes.estimate_probe, self.mesh, 2, 1, **kind)
        kind_and_net = kind | {"net": self.net}
        self.estimate_examples = map_lanes(estimate_network, self.mesh, 3, 1, **kind_and_net)
        net_and_config = kind_and_net | {"config": config, "every": examples.every}
        self.advance_lanes = map_lanes(finetune_lane, self.mesh, 2, 3, **net_and_config)
        self.runs = self.mesh.size * 2 ** max(0, (runs // self.mesh.size).bit_length() - 1)
        self.keep_start = jax.jit(functools.partial(_blend, share=config.kept))
        self.init_state = jax.jit(self._init_state, out_shardings=sharding.sharded(self.mesh))
        self.programs: dict[int, Any] = {}

    @functools.cached_property
    def data(self) -> dict[str, jax.Array | None]:
        """All examples, on every device."""
        return sharding.place(self.examples.arrays, sharding.replicated(self.mesh))

    def probe(
        self, lanes: Sequence[Lane], features: jax.Array | np.ndarray
    ) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray]]:
        """Fit the probes of any number of lanes that start from the same weights.

        Parameters
        ----------
        lanes : sequence of Lane
            With equally many penalties P.
        features : array, [N, F], or for curves [N, Lt, F]
            Embeddings of all examples, by the frozen encoder that the lanes share.

        Returns
        -------
        heads : list of dict of ndarray
            For each lane "kernel" [P, F, K] and "bias" [P, K].
        estimates : list of ndarray
            Of each lane's test examples [P, m, K], of curves [P, m, Lt, K], in the targets' units.
        """
        heads, estimates = [], []
        # Of classes one at a time: each takes the steps that it needs, on examples of its own.
        size = self.mesh.size if self.examples.is_class else self.runs
        for first in range(0, len(lanes), size):
            group = lanes[first : first + size]
            stacked = self.place(group, size, self._rows(group))
            placed = self.fit_heads(stacked, features, self.data["target"])
            rows = sharding.to_host(self.estimate_heads(stacked, placed, features))
            estimates += [row[:, lane.test] for row, lane in zip(rows, group, strict=False)]
            on_host = sharding.to_host(placed)
            heads += [{name: x[i] for name, x in on_host.items()} for i in range(len(group))]
        return heads, estimates

    def begin(self, lanes: Sequence[Lane], heads: Sequence[dict[str, np.ndarray]]) -> Stack:
        """Make a stack of lanes that have taken no step yet.

        Parameters
        ----------
        lanes : sequence of Lane
            At most `runs`.
        heads : sequence of dict of ndarray
            Where their output layers start: of `probe`, the first of the penalties counts.

        Returns
        -------
        Stack
        """
        size = self.stack_size(len(lanes))
        arrays = self.place(lanes, size)
        starts = [
            {
                "params": lane.start.params
                | {"output": {"kernel": head["kernel"][0], "bias": head["bias"][0]}},
                "stats": lane.start.stats,
            }
            for lane, head in zip(lanes, heads, strict=True)
        ]
        weights = jax.tree.map(lambda *x: repeat_last(np.stack(x), size), *starts)
        weights = sharding.place(weights, sharding.sharded(self.mesh))
        return Stack(list(lanes), arrays, self.init_state(weights))

    def advance(self, stack: Stack, first: int, last: int) -> np.ndarray:
        """Take the steps from `first` to `last` in every lane of a stack.

        Parameters
        ----------
        stack : Stack
            Its state is changed.
        first, last : int
            Steps taken before and after; last > first.

        Returns
        -------
        ndarray, [lanes]
            Mean training loss of these steps, in units of the variance of the training labels, the
            mean over the targets; of classes the cross entropy.
        """
        size = len(stack.arrays["rate"])
        if size not in self.programs:
            self.programs[size] = self._compile(stack.arrays, stack.state)
        bounds = jnp.int32(first), jnp.int32(last)
        stack.state, losses = self.programs[size](stack.arrays, stack.state, self.data, *bounds)
        return sharding.to_host(losses)[: len(stack.lanes)]

    def tried(self, stack: Stack) -> dict[str, Any]:
        """Give the weights of every lane that are tried, and that a model is made of.

        Parameters
        ----------
        stack : Stack

        Returns
        -------
        dict of jax.Array, [R, ..]
            params and stats: the average along the run, and with config.kept so much of the start.
        """
        if not self.config.kept:
            return stack.state["average"]
        return self.keep_start(stack.state["average"], stack.state["start"])

    def estimate(self, stack: Stack) -> list[np.ndarray]:
        """Estimate the test examples of every lane of a stack by the weights that are tried.

        Parameters
        ----------
        stack : Stack

        Returns
        -------
        list of ndarray
            For each lane [m, K], of curves [m, Lt, K], in the targets' units.
        """
        size, chunks, weights = len(stack.arrays["rate"]), [], self.tried(stack)
        for first in range(0, max(len(lane.test) for lane in stack.lanes), ESTIMATE_CHUNK):
            rows = [lane.test[first : first + ESTIMATE_CHUNK] for lane in stack.lanes]
            rows = repeat_last(pad_rows(rows, ESTIMATE_CHUNK), size)
            rows = sharding.place(rows, sharding.sharded(self.mesh))
            chunk = self.estimate_examples(stack.arrays, rows, weights, self.data)
            chunks.append(sharding.to_host(chunk))
        estimates = np.concatenate(chunks, axis=1)
        return [row[: len(lane.test)] for row, lane in zip(estimates, stack.lanes, strict=False)]

    def regroup(self, stacks: Sequence[Stack], keeps: Sequence[np.ndarray]) -> list[Stack]:
        """Put those lanes that go on into fewer stacks.

        Parameters
        ----------
        stacks : sequence of Stack
            All after the same number of steps.
        keeps : sequence of ndarray of bool, each [lanes]
            Which lanes of each stack go on.

        Returns
        -------
        list of Stack
            In the order of the lanes.
        """
        sources = [
            (stack, i)
            for stack, keep in zip(stacks, keeps, strict=True)
            for i in np.flatnonzero(keep)
        ]
        regrouped = []
        for first in range(0, len(sources), self.runs):
            members = sources[first : first + self.runs]
            size = self.stack_size(len(members))
            used = list({id(stack): stack for stack, _ in members}.values())
            sizes = [len(jax.tree.leaves(stack.state)[0]) for stack in used]
            begins = dict(zip(map(id, used), np.cumsum([0, *sizes]), strict=False))
            index = [begins[id(stack)] + i for stack, i in members]
            index += [index[-1]] * (size - len(index))
            state = _pick_lanes([stack.state for stack in used], np.array(index))
            state = sharding.place(state, sharding.sharded(self.mesh))
            lanes = [stack.lanes[i] for stack, i in members]
            regrouped.append(Stack(lanes, self.place(lanes, size), state))
        return regrouped

    def stack_size(self, count: int) -> int:
        """Say how many lanes a stack of `count` true ones has.

        Parameters
        ----------
        count : int
            At most `runs`.

        Returns
        -------
        int
            `runs` halved as often as `count` allows, so that few sizes are ever compiled.
        """
        size = self.runs
        while size // 2 >= max(count, self.mesh.size):
            size //= 2
        return size

    def _rows(self, lanes: Sequence[Lane]) -> int:
        """To how many training examples lanes are padded: the width, halved while all fit."""
        rows, most = self.width, max(len(lane.train) for lane in lanes)
        while -(-rows // 2) >= most:
            rows = -(-rows // 2)
        return rows

    def place(self, lanes: Sequence[Lane], size: int, width: int = 0) -> dict[str, Any]:
        """Stack lanes and share them out over the devices.

        Parameters
        ----------
        lanes : sequence of Lane
            At most `size`.
        size : int
            Of the stack.
        width : int
            To which training examples are padded; 0: that of the largest subset of all.

        Returns
        -------
        dict of jax.Array, [R, ..]
            See `stack_lanes`.
        """
        stacked = stack_lanes(lanes, self.examples, size, width or self.width)
        return sharding.place(stacked, sharding.sharded(self.mesh))

    def _init_state(self, weights) -> dict:
        """The state of lanes that begin with stacked weights: params, stats."""
        unit = {"rate": 0.0, "rise": 1}
        opt = jax.vmap(make_optimiser(self.config, unit).init)(weights["params"])
        start = {"start": weights} if self.config.kept else {}
        return weights | {"opt": opt, "average": weights} | start

    def _compile(self, arrays, state):
        replicated, bound = sharding.replicated(self.mesh), jax.ShapeDtypeStruct((), jnp.int32)
        data = sharding.as_shapes(self.examples.arrays, replicated)
        return self.advance_lanes.lower(arrays, state, data, bound, bound).compile()

    def compile_for_memory(self, start: Encoder, features: int, memory: float) -> int:
        """Compile the fine-tuning loop for as many lanes as the memory allows.

        The compiled program's own account counts: temporaries, and the state before and after;
        nothing is placed on a device to find out.

        Parameters
        ----------
        start : Encoder
            Of the shapes that the lanes' weights have.
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
        lane = Lane(index, index, (1.0,), 0.0, rise=1, seed=0, start=start, scale=scale)
        while True:
            state = self._state_shapes(start, features)
            arrays = stack_lanes([lane], self.examples, self.runs, self.width)
            sharded = sharding.sharded(self.mesh)
            leaves = jax.tree.leaves(state)
            needed = 2 * sum(x.size * x.dtype.itemsize for x in leaves) / self.mesh.size
            try:
                program = self._compile(sharding.as_shapes(arrays, sharded), state)
                needed += program.memory_analysis().temp_size_in_bytes
            except jax.errors.JaxRuntimeError as error:  # a TPU's compiler refuses
                if not sharding.is_too_large(error):
                    raise
                needed = max(needed, memory + 1)
            if needed <= memory:
                self.programs[self.runs] = program
                return self.runs
            if self.runs == self.mesh.size:
                raise UserError(
                    f"one run of fine-tuning takes {needed / 2**30:.1f} GiB and the device has "
                    f"{memory / 2**30:.1f}; lower batch"
                )
            self.runs //= 2

    def step_flops(self) -> int:
        """The arithmetic of a step of all `runs` lanes, see arithmetic.product_flops."""
        window = jax.ShapeDtypeStruct((self.config.batch, *self.examples.acc.shape[1:]), np.float32)
        variables = jax.eval_shape(
            functools.partial(self.net.init, train=False), jax.random.key(0), window, window
        )
        apply = functools.partial(self.net.apply, train=False)
        return 3 * self.runs * arithmetic.product_flops(apply, variables, window, window)

    def _state_shapes(self, start, features: int) -> dict:
        """The shapes of the state of `runs` lanes."""
        outputs = self.examples.target.shape[-1]
        output = {
            "kernel": np.broadcast_to(np.float32(0), (features, outputs)),
            "bias": np.zeros(outputs, np.float32),
        }
        weights = {"params": start.params | {"output": output}, "stats": start.stats}
        shapes = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((self.runs, *x.shape), x.dtype), weights
        )
        state = jax.eval_shape(self.init_state, shapes)
        return sharding.as_shapes(state, sharding.sharded(self.mesh))
