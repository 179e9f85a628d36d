"""Pre-training: two towers learn which accelerometer window belongs to which gyroscope window.

`train` is re-entrant: called again it goes on from the last checkpoint, or returns at once.  Every
batch and every random number is a function of the seed and the step, so a resumed run takes the
same steps as one that was never stopped.
"""

import functools
import json
import pathlib
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from imujax import contrastive, datasets, log, mesh, optim, processes, samples, towers
from imujax.checkpoint import Checkpoints
from imujax.errors import UserError

STREAM = 8  # keeps the keys of the simulated people apart from those of the steps


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
        batch = samples.batch_of(data, rows, key, config, scale)
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
        batch = samples.batch_of(data, rows, jax.random.key(0), still, scale)
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

    config: an encoder section of a configuration (see configs/); where it has `stream`, `paths` is
    empty and the batches are simulated (imujax/simulate/stream.py).  Returns `workdir`.  A finished
    run returns at once, an unfinished one goes on; one that was started with other settings is a
    UserError that names the first difference.  SIGTERM ends it after the step under way, which is
    saved, with SystemExit(143): see processes.Notice.
    """
    workdir = pathlib.Path(workdir)
    settings = json.loads(config.to_json()) | {
        "seed": seed,
        "data": [datasets.fingerprint(path) for path in paths],
    }
    theirs = processes.first(lambda: settings)
    processes.every(lambda: same_command(theirs, settings))
    with Checkpoints(workdir) as checkpoints:
        done = checkpoints.latest()
        if done is not None:
            same_settings(checkpoints.card(done)["settings"], settings, workdir)
            if done >= config.steps:
                return workdir
        where = mesh.make("data")
        if config.batch % where.size:
            raise UserError(
                f"a batch of {config.batch} cannot be shared out over {where.size} devices; "
                f"make it a multiple of {where.size}"
            )
        if "stream" in config:
            source = simulated(config, seed, where)
        else:
            source = stored(config, paths, seed, where)
        card = {
            "settings": settings, "net": settings["net"], "scales": source.scale,
            "counts": source.counts, "rate": config.rate, "window": config.window,
            "sensors": sorted(set(config.sensors) or source.sensors),
            "provenance": log.provenance(),
        }  # fmt: skip
        with processes.Notice() as notice:
            _loop(config, source, where, seed, checkpoints, card, title, notice)
    return workdir


class Source(NamedTuple):
    """Where batches come from.

    batch: of a step, the sensor-windows on the device {acc, gyr [M, L, 3], length, window [M]} and
    the numbers [B] of those to take; watch: the same for the monitor; full: whether every window is
    whole; scale, counts, sensors: for the checkpoint's card.
    """

    batch: Callable[[int], tuple[dict, jax.Array]]
    watch: tuple[dict, jax.Array]
    full: bool
    scale: dict
    counts: dict
    sensors: set[str]


def stored(config, paths, seed: int, where) -> Source:
    """The data sets at `paths`, kept on the device; some subjects are held out for the monitor."""
    every, counts = samples.load(paths, config)
    held = samples.monitored(every, config.monitor, seed)
    ours = every.take(~held)
    watch = every.take(held) if held.any() else ours
    if len(ours) < config.batch:
        raise UserError(
            f"a batch of {config.batch} is larger than the {len(ours)} sensor-windows of "
            f"{', '.join(map(str, paths))}; lower batch"
        )
    order = samples.Order(ours.window, config.batch, seed, config.grouped)
    count = min(config.batch, len(watch))
    watched = samples.Order(watch.window, count, seed, config.grouped).rows(0)
    put = functools.partial(mesh.put, sharding=mesh.replicated(where))
    data, watch_data = (
        put({name: getattr(part, name) for name in ("acc", "gyr", "length", "window")})
        for part in (ours, watch)
    )
    return Source(
        batch=lambda step: (data, put(order.rows(step))),
        watch=(watch_data, put(watched)),
        full=all(bool((part.length >= config.window).all()) for part in (ours, watch)),
        scale=samples.scales(ours.acc, ours.gyr, ours.length),
        counts=counts,
        sensors={s for path in paths for s in datasets.info(path)["sensors"]},
    )


def simulated(config, seed: int, where) -> Source:
    """People without end: each step has its own, and so has the monitor."""
    from imujax.simulate import stream

    make = stream.maker(config, mesh.replicated(where))
    every = mesh.put(np.arange(config.batch, dtype=np.int32), mesh.replicated(where))
    key = jax.random.fold_in(jax.random.key(seed), STREAM)
    watch = make(jax.random.fold_in(key, 0))
    return Source(
        batch=lambda step: (make(jax.random.fold_in(key, step + 1)), every),
        watch=(watch, every),
        full=True,
        scale={
            name: {"mean": float(watch[name].mean()), "sd": float(watch[name].std())}
            for name in ("acc", "gyr")
        },
        counts={},
        sensors=set(stream.settings(config.stream.to_dict())["sensors"]),
    )


def _loop(config, source: Source, where, seed, checkpoints, card, title, notice):
    step_of, monitor = (
        make_step(config, source.scale, seed, source.full, where),
        make_monitor(config, source.scale, source.full),
    )
    state = mesh.put(init(config, seed), mesh.replicated(where))
    begin = checkpoints.latest() or 0
    if begin:
        state = checkpoints.restore(begin, state)
    mute = not processes.lead()
    lines = log.Lines(checkpoints.folder / "metrics.jsonl", mute)
    lines.trim(begin)
    progress = log.Progress(config.steps, title, "step", done=begin, mute=mute)
    clock, since = time.monotonic(), begin
    for step in range(begin, config.steps):
        state, loss = step_of(state, *source.batch(step))
        now, stop = step + 1, notice.reached()
        if now % config.log_every == 0 or now == config.steps:
            values = mesh.fetch({"loss": loss, **monitor(state, *source.watch)})
            speed = (now - since) * config.batch / (time.monotonic() - clock)
            lines.write(step=now, **values, windows_per_s=speed)
            progress.update(now - since, f"loss {float(values['loss']):.3f}, retrieval "
                            f"{float(values['retrieval_acc']):.3f}")  # fmt: skip
            clock, since = time.monotonic(), now
        if now % config.save_every == 0 or now == config.steps or stop:
            if not np.isfinite(mesh.fetch(optax.global_norm(state["params"]))):
                raise UserError(
                    f"the weights are no longer finite at step {now}; lower the learning rate, or "
                    "look at the data for values out of range"
                )
            checkpoints.save(now, state, card)
        if stop:
            progress.close()
            processes.end(
                f"{title} was told to stop; step {now} of {config.steps} is saved, and the same "
                "command goes on from there"
            )
    progress.close()


def same_settings(old: dict, new: dict, workdir):
    """Raise UserError naming the first setting in which a finished or resumed run differs."""
    for name, was, now in differences(old, new):
        raise UserError(
            f"{workdir} holds a run with {name}={was!r} but the configuration says {now!r}; take "
            "another --workdir or delete that folder"
        )


def same_command(first: dict, ours: dict):
    """Raise UserError naming the first setting in which this process differs from process 0."""
    for name, there, here in differences(first, ours):
        raise UserError(
            f"{name} is {here!r} here but {there!r} on process 0; start all processes with the "
            "same command, code and data"
        )


def differences(old: dict, new: dict):
    """(name, old value, new value) of each setting in which two trees differ, as JSON has them."""

    def flat(tree, name=""):
        if isinstance(tree, dict):
            return {
                k: v for key, sub in tree.items() for k, v in flat(sub, f"{name}.{key}").items()
            }
        return {name[1:]: tree}

    old, new = flat(json.loads(json.dumps(old))), flat(json.loads(json.dumps(new)))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield name, old.get(name), new.get(name)
