"""Probe and full fine-tuning of many runs at once: one compiled step, the runs a stacked axis.

A lane is one run: its own training examples, test examples, learning rates and seed.  All lanes of
a call start from one encoder.  The runs are shared out over the mesh axis "run" by shard_map and
stacked on each device by vmap, so a lane never sees another one.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from imujax.data import augment, scales
from imujax.errors import UserError
from imujax.nets import towers
from imujax.pretrain import schedules
from imujax.runtime import sharding

ESTIMATE_CHUNK = 256  # examples that are estimated at once
MIN_PENALTY = 4 * float(np.finfo(np.float32).eps)  # of a sum, what single precision may lose of it


@dataclasses.dataclass(frozen=True)
class Lane:
    """One run.  train [n], test [m]: indices into the task's examples.

    penalty: of the probe's ridge, for each example on standardised features; rate: peak learning
    rate of full fine-tuning; seed: of its batches; scale: means and SDs of the input, see
    scales.input_scales.
    """

    train: np.ndarray
    test: np.ndarray
    penalty: float
    rate: float
    seed: int
    scale: dict


@dataclasses.dataclass(frozen=True)
class LabelledArrays:
    """A labelled set on its way into the network.

    acc, gyr [N, T, S, 3] in SI units, length [N] or None when every window counts whole, target [N]
    in the task's unit.
    """

    acc: np.ndarray
    gyr: np.ndarray
    length: np.ndarray | None
    target: np.ndarray


def stack_lanes(lanes: list[Lane], task: LabelledArrays, runs: int, width: int) -> dict:
    """Lanes as arrays with a leading axis R = `runs`; filling lanes repeat the last one.

    train [R, width] indices padded with zeros, count [R] how many are true, penalty, rate [R],
    mean and sd of the training labels [R], seed [R], scale of numbers [R].  Fixed shapes, one
    compilation.
    """
    labels = [task.target[lane.train].astype(np.float64) for lane in lanes]
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
    found = {
        name: repeat_last(np.asarray(value, kind), runs) for name, (value, kind) in columns.items()
    }
    scales = jax.tree.map(
        lambda *x: repeat_last(np.float32(x), runs), *(lane.scale for lane in lanes)
    )
    return found | {"scale": scales}


def pad_rows(rows: list[np.ndarray], width: int) -> np.ndarray:
    """Index lists as one array [R, width], padded with zeros."""
    padded = np.zeros((len(rows), width), np.int32)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded


def repeat_last(values: np.ndarray, runs: int) -> np.ndarray:
    """Repeat the last entry along the first axis until there are `runs`."""
    return np.concatenate([values, np.repeat(values[-1:], runs - len(values), axis=0)])


def draw_rows(lane, step, batch: int):
    """The examples of one lane's batch, with replacement, from its seed and the step -> [B]."""
    key = jax.random.fold_in(jax.random.key(lane["seed"]), step)
    return lane["train"][jax.random.randint(key, (batch,), 0, lane["count"])]


def fit_probe(lane, features, target):
    """The linear probe of one lane on frozen features -> {"kernel" [F, 1], "bias" [1]}.

    features [N, F].  They are standardised with mean and SD of the lane's training examples alone,
    and so is the label; the weights w minimise mean (x w - y)^2 + penalty |w|^2, solved exactly: in
    the space of features, or in that of examples where these are fewer.  The penalty is never below
    ROUNDING of the summed variance of the features: single precision cannot tell a smaller one from
    none, and the solution of a batch of features that depend on each other would not be finite.  A
    feature that is constant here but for rounding is left out.  The head acts on the features as
    they are given.
    """
    dot = functools.partial(jnp.matmul, precision="highest")
    count = lane["count"]
    valid = (jnp.arange(lane["train"].shape[0]) < count).astype(jnp.float32)[:, None]
    x = features[lane["train"]]  # [n, F]
    least = 1e-5 * jnp.abs(x * valid).max(axis=0, keepdims=True)
    mean = (x * valid).sum(axis=0, keepdims=True) / count
    x = (x - mean) * valid
    sd = jnp.sqrt((x**2).sum(axis=0, keepdims=True) / count)
    sd = jnp.where(sd > least, sd, jnp.inf)
    x = x / sd
    y = (target[lane["train"]] - lane["mean"])[:, None] / lane["sd"] * valid
    few = x.shape[1] > x.shape[0]
    gram = dot(x, x.T) if few else dot(x.T, x)
    gram = gram / count
    penalty = jnp.maximum(lane["penalty"], MIN_PENALTY * jnp.trace(gram))
    gram = gram + penalty * jnp.eye(gram.shape[0])
    right = y if few else dot(x.T, y) / count
    w = jax.scipy.linalg.solve(gram, right, assume_a="pos")
    kernel = (dot(x.T, w) / count if few else w) / sd.T
    return {"kernel": kernel, "bias": -dot(mean, kernel)[0]}


def estimate_probe(lane, head, features):
    """The probe's estimates for all examples, in the task's unit -> [N]."""
    y = jnp.matmul(features, head["kernel"], precision="highest")[:, 0]
    return (y + head["bias"][0]) * lane["sd"] + lane["mean"]


def cut_batch(lane, data, rows, step, config):
    """acc, gyr [B, T, S, 3] of examples `rows`, standardised, as a colleague would have cut them.

    Each window is moved by at most config.shift samples, its end samples repeated, and turned by
    at most config.rotation degrees about a random axis, all sensors and both modalities alike.
    """
    acc, gyr = data["acc"][rows], data["gyr"][rows]
    move, turn = jax.random.split(jax.random.fold_in(jax.random.key(~lane["seed"]), step))
    if config.shift:
        by = jax.random.randint(move, rows.shape, -config.shift, config.shift + 1)
        last = acc.shape[1] - 1 if data["length"] is None else data["length"][rows, None] - 1
        at = jnp.clip(jnp.arange(acc.shape[1])[None, :] + by[:, None], 0, last)[..., None, None]
        acc, gyr = (jnp.take_along_axis(x, at, axis=1) for x in (acc, gyr))
    if config.rotation:
        matrices = augment.random_rotations(turn, rows.shape[0], config.rotation)
        acc, gyr = (
            jnp.einsum("bij,btsj->btsi", matrices, x, precision="highest") for x in (acc, gyr)
        )
    return scales.standardise(acc, gyr, lane["scale"])


def make_optimiser(config, peak):
    """AdamW of full fine-tuning; peak: a lane's own learning rate, a scalar array."""
    rate = schedules.warmup_cosine(peak, config.finetune_steps, config.warmup)
    return schedules.adamw(rate, config.weight_decay)


def finetune_steps(lane, state, data, first, net, config, steps: int):
    """`steps` steps of full fine-tuning of one lane from step `first` on -> (state, mean loss)."""
    optimiser = make_optimiser(config, lane["rate"])

    def objective(params, stats, rows, acc, gyr):
        length = None if data["length"] is None else data["length"][rows]
        y, changed = net.apply(
            {"params": params, "batch_stats": stats},
            acc,
            gyr,
            length,
            train=True,
            mutable=["batch_stats"],
        )
        truth = (data["target"][rows] - lane["mean"]) / lane["sd"]
        return ((y[:, 0] - truth) ** 2).mean(), changed.get("batch_stats", {})

    def one(state, step):
        rows = draw_rows(lane, step, config.batch)
        acc, gyr = cut_batch(lane, data, rows, step, config)
        (loss, stats), grads = jax.value_and_grad(objective, has_aux=True)(
            state["params"], state["stats"], rows, acc, gyr
        )
        updates, opt = optimiser.update(grads, state["opt"], state["params"])
        params = optax.apply_updates(state["params"], updates)
        return {"params": params, "stats": stats, "opt": opt}, loss

    state, losses = jax.lax.scan(one, state, first + jnp.arange(steps))
    return state, losses.mean()


def estimate_network(lane, rows, state, data, net):
    """The network's estimates for examples `rows` [m], statistics frozen, in the task's unit."""
    length = None if data["length"] is None else data["length"][rows]
    acc, gyr = scales.standardise(data["acc"][rows], data["gyr"][rows], lane["scale"])
    variables = {"params": state["params"], "batch_stats": state["stats"]}
    y = net.apply(variables, acc, gyr, length, train=False)
    return y[:, 0] * lane["sd"] + lane["mean"]


def map_lanes(function, where, lanes: int, shared: int, **static):
    """Jit of shard_map of vmap: the first `lanes` arguments have the run axis, the rest do not."""
    axes = (0,) * lanes + (None,) * shared
    stacked = jax.vmap(functools.partial(function, **static), in_axes=axes)
    specs = (jax.P("run"),) * lanes + (jax.P(),) * shared
    return jax.jit(
        jax.shard_map(stacked, mesh=where, in_specs=specs, out_specs=jax.P("run"), check_vma=False)
    )


class LaneTrainer:
    """The compiled stages for one network, task and configuration, reused for group after group.

    config: finetune_steps, batch, warmup, weight_decay, rotation, shift.  width: the largest
    training subset.  runs: at most so many lanes at once; fewer where they do not fit the memory.
    """

    def __init__(self, card: dict, task: LabelledArrays, config, width: int, runs: int):
        self.net, self.config = towers.Regressor(card["net"]), config
        self.task, self.width = task, width
        self.where = sharding.make_mesh("run")
        self.chunk = max(n for n in range(1, 26) if config.finetune_steps % n == 0)  # a dispatch
        data = {"acc": task.acc, "gyr": task.gyr, "length": task.length, "target": task.target}
        self.data = sharding.place(data, sharding.replicated(self.where))
        self.head = map_lanes(fit_probe, self.where, 1, 2)
        self.estimate_head = map_lanes(estimate_probe, self.where, 2, 1)
        self.estimate = map_lanes(estimate_network, self.where, 3, 1, net=self.net)
        self.runs = self.where.size * -(-runs // self.where.size)
        self.start = jax.jit(self._start, out_shardings=sharding.sharded(self.where))
        self.some = None

    def probe(self, lanes: list[Lane], features) -> tuple[dict, list[np.ndarray]]:
        """Heads [R, ..] on frozen features [N, F], and each lane's estimates for its test set."""
        heads, found = [], []
        for first in range(0, len(lanes), self.runs):
            group = lanes[first : first + self.runs]
            placed = self.place(group)
            head = self.head(placed, features, self.data["target"])
            every = sharding.to_host(self.estimate_head(placed, head, features))
            found += [row[lane.test] for row, lane in zip(every, group, strict=False)]
            heads += zip(
                *(x[: len(group)] for x in sharding.to_host((head["kernel"], head["bias"]))),
                strict=True,
            )
        kernel, bias = (np.stack(parts) for parts in zip(*heads, strict=True))
        return {"kernel": kernel, "bias": bias}, found

    def finetune(self, lanes: list[Lane], encoder, heads) -> list[np.ndarray]:
        """Full fine-tuning from `encoder` and `heads` -> each lane's estimates for its test set.

        At most `self.runs` lanes; `fit` says how many that is.
        """
        placed = self.place(lanes)
        heads = jax.tree.map(lambda x: repeat_last(x, self.runs), heads)
        state = self.start(encoder.params, encoder.stats, heads)
        for first in range(0, self.config.finetune_steps, self.chunk):
            state, _ = self.some(placed, state, self.data, jnp.int32(first))
        found, most = [], max(len(lane.test) for lane in lanes)
        for first in range(0, most, ESTIMATE_CHUNK):
            rows = pad_rows(
                [lane.test[first : first + ESTIMATE_CHUNK] for lane in lanes], ESTIMATE_CHUNK
            )
            rows = sharding.place(repeat_last(rows, self.runs), sharding.sharded(self.where))
            found.append(sharding.to_host(self.estimate(placed, rows, state, self.data)))
        every = np.concatenate(found, axis=1)
        return [row[: len(lane.test)] for row, lane in zip(every, lanes, strict=False)]

    def place(self, lanes: list[Lane]) -> dict:
        return sharding.place(
            stack_lanes(lanes, self.task, self.runs, self.width), sharding.sharded(self.where)
        )

    def _start(self, params, stats, heads) -> dict:
        """The stacked state of lanes that begin with one encoder and heads [R, ..] of their own."""
        runs = len(heads["bias"])
        params, stats = jax.tree.map(
            lambda x: jnp.broadcast_to(x[None], (runs, *x.shape)), (params, stats)
        )
        params = params | {"output": heads}
        opt = jax.vmap(make_optimiser(self.config, 0.0).init)(params)
        return {"params": params, "stats": stats, "opt": opt}

    def fit(self, encoder, features: int, room: float) -> int:
        """Compile the fine-tuning step for as many lanes as `room` bytes a device allow.

        The compiled program's own account counts: temporaries, and the state before and after;
        nothing is placed on a device to find out.  Raises UserError where not even one lane fits.
        """
        unit = {"mean": 0.0, "sd": 1.0}
        lane = Lane(
            np.zeros(1, int),
            np.zeros(1, int),
            penalty=1.0,
            rate=0.0,
            seed=0,
            scale={"acc": unit, "gyr": unit},
        )
        fixed = {"net": self.net, "config": self.config}
        step = map_lanes(finetune_steps, self.where, 2, 2, **fixed, steps=self.chunk)
        while True:
            shapes = {"kernel": (self.runs, features, 1), "bias": (self.runs, 1)}
            heads = {key: jax.ShapeDtypeStruct(shape, np.float32) for key, shape in shapes.items()}
            state = jax.eval_shape(self.start, encoder.params, encoder.stats, heads)
            state = sharding.as_shapes(state, sharding.sharded(self.where))
            self.some = step.lower(self.place([lane]), state, self.data, jnp.int32(0)).compile()
            leaves = jax.tree.leaves(state)
            held = sum(x.size * x.dtype.itemsize for x in leaves) / self.where.size
            needed = self.some.memory_analysis().temp_size_in_bytes + 2 * held
            if needed <= room:
                return self.runs
            if self.runs == self.where.size:
                raise UserError(
                    f"one run of fine-tuning takes {needed / 2**30:.1f} GiB and the device has "
                    f"{room / 2**30:.1f}; lower batch"
                )
            each = self.runs // self.where.size
            fits = min(each - 1, int(each * room // needed))
            self.runs = self.where.size * max(1, fits)
