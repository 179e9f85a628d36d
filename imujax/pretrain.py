"""Pre-training: two towers learn which accelerometer window belongs to which gyroscope window.

`train` is re-entrant: called again it goes on from the last checkpoint, or returns at once.  Every
batch and every random number is a function of the seed and the step, so a resumed run takes the
same steps as one that was never stopped.
"""

import dataclasses
import functools
import json
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np

from imujax import contrastive, datasets, log, mesh, optim, towers, windows
from imujax.checkpoint import Checkpoints
from imujax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Samples:
    """Sensor-windows: every sensor of every window is its own sample.

    acc [M, L, 3] m/s^2, gyr [M, L, 3] rad/s, length [M] valid samples; window, recording, subject
    and sensor [M] integer ids (equal ids, equal thing; across data sets they differ), start [M] s.
    """

    acc: np.ndarray
    gyr: np.ndarray
    length: np.ndarray
    window: np.ndarray
    recording: np.ndarray
    subject: np.ndarray
    sensor: np.ndarray
    start: np.ndarray

    def __len__(self):
        return len(self.length)

    def take(self, rows) -> "Samples":
        return Samples(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))


def load_samples(paths, config) -> tuple[Samples, dict]:
    """Fold the sensors of one or more data sets into samples -> (samples, counts).

    config: rate [Hz] and window [samples] that the sets must offer, sensors (empty for all) and
    motion [m/s^2], the least mean SD of a sensor's acceleration for its sample to be kept.
    Raises UserError where a set does not fit.
    """
    parts, offset, dropped = [], {"window": 0, "recording": 0, "subject": 0, "sensor": 0}, 0
    for path in paths:
        data = datasets.arrays(path, sensors=tuple(config.sensors) or None)
        fits(data, path, config.rate, config.window)
        part = _fold(data, offset)
        moving = windows.motion(data.acc).reshape(-1) >= config.motion
        dropped += int((~moving).sum())
        parts.append(part.take(moving))
        offset = {name: int(getattr(part, name).max()) + 1 for name in offset}
    span = min(part.acc.shape[1] for part in parts)
    joined = {}
    for field in dataclasses.fields(Samples):
        columns = [getattr(part, field.name) for part in parts]
        if field.name in ("acc", "gyr"):
            columns = [column[:, :span] for column in columns]
        joined[field.name] = np.concatenate(columns)
    joined["length"] = np.minimum(joined["length"], span)
    samples = Samples(**joined)
    return samples, {"samples": len(samples), "dropped without motion": dropped}


def fits(data, path, rate: float, window: int):
    """Raise UserError unless the data set has this rate [Hz] and windows at least this long."""
    if abs(data.info["rate"] - rate) > 1e-6 * rate:
        raise UserError(
            f"{path} holds data at {data.info['rate']:g} Hz but the configuration wants {rate:g}; "
            f"build it again with --rate {rate:g}"
        )
    if data.acc.shape[1] < window:
        raise UserError(
            f"{path} holds windows of {data.acc.shape[1]} samples but the configuration wants "
            f"{window}; build it again with --window {window}"
        )


def _fold(data, offset) -> Samples:
    """[N, L, S, 3] -> [N * S, L, 3], the sensors of a window next to each other."""
    count, _, sensors, _ = data.acc.shape

    def codes(labels, name):
        return np.unique(labels, return_inverse=True)[1].astype(np.int32) + offset[name]

    recordings = np.char.add(np.char.add(data.subject, "/"), data.recording)
    ids = {
        "window": np.arange(count, dtype=np.int32) + offset["window"],
        "recording": codes(recordings, "recording"),
        "subject": codes(data.subject, "subject"),
        "start": data.start,
        "length": data.length,
    }
    return Samples(
        acc=np.moveaxis(data.acc, 2, 1).reshape(count * sensors, -1, 3),
        gyr=np.moveaxis(data.gyr, 2, 1).reshape(count * sensors, -1, 3),
        sensor=np.tile(np.arange(sensors, dtype=np.int32), count) + offset["sensor"],
        **{name: np.repeat(values, sensors) for name, values in ids.items()},
    )


def monitored(samples: Samples, share: float, seed: int) -> np.ndarray:
    """Mask [M] of the samples of the subjects held out to watch the training (rounded up)."""
    subjects = np.unique(samples.subject)
    count = int(np.ceil(share * len(subjects))) if share else 0
    if count >= len(subjects):
        raise UserError(
            f"monitor={share:g} would hold out all {len(subjects)} subjects of the pre-training "
            "data; lower it"
        )
    held = np.random.default_rng([seed, 1]).permutation(subjects)[:count]
    return np.isin(samples.subject, held)


def scales(samples: Samples) -> dict:
    """One mean and one SD for each modality over all sensors, axes and windows, in SI units."""
    found = {}
    for name in ("acc", "gyr"):
        values = getattr(samples, name)
        found[name] = {
            "mean": float(values.mean(dtype=np.float64)),
            "sd": float(values.std(dtype=np.float64)),
        }
    return found


def standardise(acc, gyr, scale):
    """Apply the scales of `scales` to arrays of any shape."""
    return (
        (acc - scale["acc"]["mean"]) / scale["acc"]["sd"],
        (gyr - scale["gyr"]["mean"]) / scale["gyr"]["sd"],
    )


class Order:
    """Which samples make up batch k: epoch after epoch of permutations, a function of the step.

    `grouped` keeps the sensors of a window together, as the study did, so that a batch holds whole
    windows (but for its ends).
    """

    def __init__(self, window: np.ndarray, batch: int, seed: int, grouped: bool):
        self.window, self.batch, self.seed, self.grouped = window, batch, seed, grouped
        self.epoch = functools.lru_cache(maxsize=2)(self._epoch)

    def _epoch(self, number: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, 2, number])
        if not self.grouped:
            return rng.permutation(len(self.window))
        rank = rng.permutation(int(self.window.max()) + 1)
        return np.argsort(rank[self.window], kind="stable")

    def rows(self, step: int) -> np.ndarray:
        """The sample numbers of batch `step` -> [B] int32."""
        count = len(self.window)
        first, found = step * self.batch, []
        while sum(map(len, found)) < self.batch:
            missing = self.batch - sum(map(len, found))
            number, at = divmod(first, count)
            found.append(self.epoch(number)[at : at + missing])
            first += len(found[-1])
        return np.concatenate(found).astype(np.int32)


def batch_of(data: dict, rows, key, config, scale) -> dict:
    """Gather and cut one batch on the device.

    data: acc, gyr [M, L, 3], length, window [M].  Each sample is cut to config.window at a random
    place of its valid part, rotated by a random angle of at most config.rotation degrees about a
    random axis (both modalities alike), and standardised.
    -> acc, gyr [B, T, 3], length, window [B].
    """
    place, turn = jax.random.split(key)
    length = data["length"][rows]
    room = jnp.maximum(length - config.window, 0)
    begin = jax.random.randint(place, rows.shape, 0, room + 1)
    at = begin[:, None] + jnp.arange(config.window)  # [B, T]
    acc, gyr = (data[name][rows[:, None], at] for name in ("acc", "gyr"))
    if config.rotation:
        matrices = rotations(turn, rows.shape[0], config.rotation)  # [B, 3, 3]
        acc, gyr = (jnp.einsum("bij,btj->bti", matrices, x, precision="highest")
                    for x in (acc, gyr))  # fmt: skip
    acc, gyr = standardise(acc, gyr, scale)
    length = jnp.minimum(length, config.window)
    return {"acc": acc, "gyr": gyr, "length": length, "window": data["window"][rows]}


def rotations(key, count: int, degrees: float):
    """Rotation matrices [count, 3, 3]: uniform axes, angles uniform in [0, degrees] (Rodrigues)."""
    about, by = jax.random.split(key)
    axis = jax.random.normal(about, (count, 3))
    x, y, z = jnp.moveaxis(axis / jnp.linalg.norm(axis, axis=1, keepdims=True), 1, 0)
    zero = jnp.zeros_like(x)
    cross = jnp.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(count, 3, 3)
    angle = jnp.deg2rad(jax.random.uniform(by, (count, 1, 1), maxval=degrees))
    square = jnp.matmul(cross, cross, precision="highest")
    return jnp.eye(3)[None] + jnp.sin(angle) * cross + (1 - jnp.cos(angle)) * square


def init(config, seed: int) -> dict:
    """A fresh state {step, params, stats, opt}."""
    tower = towers.DualTower(config.net)

    @jax.jit
    def make(key):
        window = jnp.zeros((2, config.window, 3))
        made = tower.init(key, window, window, None, train=False)
        opt = optim.adam(config.weight_decay).init(made["params"])
        stats = made.get("batch_stats", {})
        return {"step": jnp.int32(0), "params": made["params"], "stats": stats, "opt": opt}

    return make(jax.random.key(seed))


def make_step(config, scale, seed: int, full: bool, where):
    """The jitted training step (state, data, rows [B]) -> (state, loss).

    full: every sample is a whole window, so nothing needs masking.  where: the mesh; the batch is
    split over it, the state is not, and the loss and the norm statistics are global.
    """
    tower = towers.DualTower(config.net)
    loss_of = getattr(contrastive, config.loss)
    optimiser = optim.adam(config.weight_decay)

    def objective(params, stats, batch):
        length = None if full else batch["length"]
        (z_acc, z_gyr), changed = tower.apply(
            {"params": params, "batch_stats": stats}, batch["acc"], batch["gyr"], length,
            train=True, mutable=["batch_stats"],
        )  # fmt: skip
        loss = loss_of(z_acc, z_gyr, batch["window"], config.temperature)
        return loss, changed.get("batch_stats", {})

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, data, rows):
        key = jax.random.fold_in(jax.random.key(seed), state["step"])
        batch = batch_of(data, rows, key, config, scale)
        batch = jax.lax.with_sharding_constraint(batch, mesh.split(where))
        (loss, stats), grads = jax.value_and_grad(objective, has_aux=True)(
            state["params"], state["stats"], batch
        )
        share = optim.warmup_cosine(state["step"], config.steps, config.warmup)
        params, opt = optim.apply(
            optimiser, grads, state["opt"], state["params"], config.learning_rate * share
        )
        return {"step": state["step"] + 1, "params": params, "stats": stats, "opt": opt}, loss

    return step


def make_monitor(config, scale, full: bool):
    """The jitted look at held-out subjects (state, data, rows) -> dict of scalars."""
    tower = towers.DualTower(config.net)

    @jax.jit
    def monitor(state, data, rows):
        still = config.copy_and_resolve_references()
        still.rotation = 0.0
        batch = batch_of(data, rows, jax.random.key(0), still, scale)
        length = None if full else batch["length"]
        z_acc, z_gyr = tower.apply(
            {"params": state["params"], "batch_stats": state["stats"]},
            batch["acc"], batch["gyr"], length, train=False,
        )  # fmt: skip
        found = contrastive.monitors(z_acc, z_gyr, batch["window"])
        loss = getattr(contrastive, config.loss)(z_acc, z_gyr, batch["window"], config.temperature)
        return {"monitor_loss": loss, **found}

    return monitor


def train(config, paths, workdir, seed: int = 0, title: str = "pretrain") -> pathlib.Path:
    """Pre-train on the data sets at `paths`; the checkpoints and metrics.jsonl lie in `workdir`.

    config: an encoder section of a configuration (see configs/).  Returns `workdir`.  A finished
    run returns at once, an unfinished one goes on; one that was started with other settings is a
    UserError that names the first difference.
    """
    workdir = pathlib.Path(workdir)
    settings = json.loads(config.to_json()) | {
        "seed": seed,
        "data": [datasets.fingerprint(path) for path in paths],
    }
    with Checkpoints(workdir) as checkpoints:
        done = checkpoints.latest()
        if done is not None:
            same_settings(checkpoints.card(done)["settings"], settings, workdir)
            if done >= config.steps:
                return workdir
        samples, counts = load_samples(paths, config)
        held = monitored(samples, config.monitor, seed)
        watch = samples.take(held) if held.any() else samples
        samples = samples.take(~held)
        if len(samples) < config.batch:
            raise UserError(
                f"a batch of {config.batch} is larger than the {len(samples)} sensor-windows of "
                f"{', '.join(map(str, paths))}; lower batch"
            )
        scale = scales(samples)
        card = {
            "settings": settings, "net": settings["net"], "scales": scale, "counts": counts,
            "rate": config.rate, "window": config.window,
            "sensors": sorted({s for path in paths for s in datasets.info(path)["sensors"]}),
            "provenance": log.provenance(),
        }  # fmt: skip
        _loop(config, samples, watch, scale, seed, checkpoints, card, title)
    return workdir


def _loop(config, samples, watch, scale, seed, checkpoints, card, title):
    where = mesh.make("data")
    if config.batch % where.size:
        raise UserError(
            f"a batch of {config.batch} cannot be shared out over {where.size} devices; "
            f"make it a multiple of {where.size}"
        )
    full = bool((samples.length >= config.window).all() and (watch.length >= config.window).all())
    step_of, monitor = (
        make_step(config, scale, seed, full, where),
        make_monitor(config, scale, full),
    )
    order = Order(samples.window, config.batch, seed, config.grouped)
    watched = Order(watch.window, min(config.batch, len(watch)), seed, config.grouped).rows(0)
    data, watch_data = (
        mesh.put({name: getattr(part, name) for name in ("acc", "gyr", "length", "window")},
                 mesh.replicated(where))
        for part in (samples, watch)
    )  # fmt: skip
    state = mesh.put(init(config, seed), mesh.replicated(where))
    begin = checkpoints.latest() or 0
    if begin:
        state = checkpoints.restore(begin, state)
    lines = log.Lines(checkpoints.folder / "metrics.jsonl")
    lines.trim(begin)
    progress = log.Progress(config.steps, title, "step", done=begin)
    rows_of = functools.partial(mesh.put, sharding=mesh.replicated(where))
    watched = mesh.put(watched, mesh.replicated(where))
    clock, since = time.monotonic(), begin
    for step in range(begin, config.steps):
        state, loss = step_of(state, data, rows_of(order.rows(step)))
        now = step + 1
        if now % config.log_every == 0 or now == config.steps:
            values = mesh.fetch({"loss": loss, **monitor(state, watch_data, watched)})
            speed = (now - since) * config.batch / (time.monotonic() - clock)
            lines.write(step=now, **values, windows_per_s=speed)
            if not np.isfinite(values["loss"]):
                raise UserError(
                    f"the loss became {float(values['loss'])} by step {now}; lower the learning "
                    "rate, or look at the data for values out of range"
                )
            progress.update(now - since, f"loss {float(values['loss']):.3f}, retrieval "
                            f"{float(values['retrieval_acc']):.3f}")  # fmt: skip
            clock, since = time.monotonic(), now
        if now % config.save_every == 0 or now == config.steps:
            checkpoints.save(now, state, card)
    progress.close()


def same_settings(old: dict, new: dict, workdir):
    """Raise UserError naming the first setting in which a finished or resumed run differs."""

    def flat(tree, name=""):
        if isinstance(tree, dict):
            return {
                k: v for key, sub in tree.items() for k, v in flat(sub, f"{name}.{key}").items()
            }
        return {name[1:]: tree}

    old, new = flat(json.loads(json.dumps(old))), flat(json.loads(json.dumps(new)))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            raise UserError(
                f"{workdir} holds a run with {name}={old.get(name)!r} but the configuration says "
                f"{new.get(name)!r}; take another --workdir or delete that folder"
            )
