"""Pre-training: two towers learn which accelerometer window belongs to which gyroscope window.

`train` is re-entrant: called again it goes on from the last checkpoint, or returns at once.  Every
batch and every random number is a function of the seed and the step, so a resumed run takes the
same steps as one that was never stopped.
"""

import functools
import json
import math
import pathlib
import time

import jax
import jax.numpy as jnp

from imujax.data import augment, datasets
from imujax.errors import UserError
from imujax.nets import arithmetic, resnet, towers
from imujax.objectives import contrastive, relations
from imujax.pretrain import schedules, sources
from imujax.runtime import log, processes, sharding
from imujax.runtime.checkpoint import Checkpoints
from imujax.runtime.settings import require_same_command, require_same_settings

LOG_SCALE = "log_scale"  # the parameter of a learned temperature
MAX_LOG_SCALE = math.log(100.0)  # its largest value, as in Radford et al. 2021 (arXiv 2103.00020)
STEPS_PER_CALL = 10  # steps in one call on an accelerator


def init_state(config, seed: int) -> dict:
    """A fresh state {step, params, stats, opt}.

    With config.learn_temperature the parameters have `log_scale`, the logarithm of 1 / temperature.
    """
    tower = towers.DualTower(config.net)

    @jax.jit
    def make(key):
        window = jnp.zeros((2, config.window, 3))
        made = tower.init(key, window, window, None, train=False)
        params = made["params"]
        if config.learn_temperature:
            params |= {LOG_SCALE: -jnp.log(jnp.float32(config.temperature))}
        opt = schedules.adam(config.weight_decay, undecayed=(LOG_SCALE,)).init(params)
        stats = made.get("batch_stats", {})
        return {"step": jnp.int32(0), "params": params, "stats": stats, "opt": opt}

    return make(jax.random.key(seed))


def make_embed(config, where, full: bool):
    """The function (params, stats, batch) -> ((z_acc, z_gyr) [B, P], new stats) of training.

    With config.microbatch each device encodes so many of its samples at a time and, in the backward
    pass, once more, so that the activations of one microbatch are all that is kept (gradient
    caching, Gao et al. 2021, arXiv 2101.06983).  Exact, since no sample sees another one: see
    check.
    """
    tower = towers.DualTower(config.net)

    def forward(params, stats, batch):
        length = None if full else batch["length"]
        return tower.apply(
            {"params": params, "batch_stats": stats},
            batch["acc"],
            batch["gyr"],
            length,
            train=True,
            mutable=["batch_stats"],
        )

    def whole(params, stats, batch):
        z, changed = forward(params, stats, batch)
        return z, changed.get("batch_stats", {})

    def pieces(params, stats, batch):
        @jax.checkpoint
        def encode(part):
            return forward(params, stats, part)[0]

        parts = {name: batch[name] for name in ("acc", "gyr", "length")}
        parts = jax.tree.map(lambda x: sharding.to_microbatches(x, config.microbatch, where), parts)
        z = jax.lax.map(encode, parts)
        return jax.tree.map(lambda x: sharding.from_microbatches(x, where), z), stats

    return pieces if config.microbatch else whole


def temperature_of(config, params):
    """The temperature of the loss: the configuration's, or the one that is learned."""
    return jnp.exp(-params[LOG_SCALE]) if config.learn_temperature else config.temperature


def make_step(config, scale, seed: int, full: bool, where):
    """The training step (state, data, rows [B]) -> (state, loss), to be compiled.

    full: every sample is a whole window, so nothing needs masking.  where: the mesh; the batch is
    split over it, the state is not, and the loss and the norm statistics are global.
    """
    encode, loss_of = make_embed(config, where, full), getattr(contrastive, config.loss)
    related = relations.resolve(config.relations)
    optimiser = schedules.adam(config.weight_decay, undecayed=(LOG_SCALE,))

    def objective(params, stats, batch):
        z, stats = encode(params, stats, batch)
        return loss_of(*z, batch, temperature_of(config, params), related, where), stats

    def step(state, data, rows):
        key = jax.random.fold_in(jax.random.key(seed), state["step"])
        batch = augment.cut_batch(data, rows, key, config, scale)
        batch = jax.lax.with_sharding_constraint(batch, sharding.sharded(where))
        (loss, stats), grads = jax.value_and_grad(objective, has_aux=True)(
            state["params"], state["stats"], batch
        )
        share = schedules.warmup_cosine(state["step"], config.steps, config.warmup)
        params, opt = schedules.apply(
            optimiser, grads, state["opt"], state["params"], config.learning_rate * share
        )
        if config.learn_temperature:
            params |= {LOG_SCALE: jnp.minimum(params[LOG_SCALE], MAX_LOG_SCALE)}
        return {"step": state["step"] + 1, "params": params, "stats": stats, "opt": opt}, loss

    return step


def compile_step(step, where):
    """Two compiled functions of (state, data, rows): a step for rows [B], several for [n, B].

    The state's memory is used again, and its arrays stay replicated.
    """

    def several(state, data, rows):
        state, losses = jax.lax.scan(lambda state, rows: step(state, data, rows), state, rows)
        return state, losses[-1]

    jit = functools.partial(jax.jit, donate_argnums=0, out_shardings=sharding.replicated(where))
    return jit(step), jit(several)


def make_monitor(config, scale, full: bool):
    """The jitted look at held-out subjects (state, data, rows) -> dict of scalars."""
    tower = towers.DualTower(config.net)
    related = relations.resolve(config.relations)

    @jax.jit
    def monitor(state, data, rows):
        still = config.copy_and_resolve_references()
        still.update(augment.NO_AUGMENTATION)
        batch = augment.cut_batch(data, rows, jax.random.key(0), still, scale)
        length = None if full else batch["length"]
        z = tower.apply(
            {"params": state["params"], "batch_stats": state["stats"]},
            batch["acc"],
            batch["gyr"],
            length,
            train=False,
        )
        temperature = temperature_of(config, state["params"])
        found = contrastive.embedding_metrics(*z, batch["window"])
        if config.learn_temperature:
            found["temperature"] = temperature
        loss = getattr(contrastive, config.loss)(*z, batch, temperature, related)
        return {"monitor_loss": loss, **found}

    return monitor


def check_settings(config, devices: int):
    """UserError where the settings of an encoder do not go together, on so many devices."""
    resnet.check(config.net)
    relations.resolve(config.relations)
    if config.batch % devices:
        raise UserError(
            f"a batch of {config.batch} cannot be shared out over {devices} devices; "
            f"make it a multiple of {devices}"
        )
    if not config.microbatch:
        return
    if config.net.get("norm", "batch") == "batch":
        raise UserError(
            f"microbatch={config.microbatch} with batch norm would train another network, since "
            "its statistics are those of the whole batch; take net.norm=none, or microbatch=0"
        )
    if config.batch // devices % config.microbatch:
        raise UserError(
            f"the {config.batch // devices} sensor-windows of each device cannot be cut into "
            f"microbatches of {config.microbatch}; take a divisor"
        )


def train(config, paths, workdir, seed: int = 0, title: str = "pretrain") -> pathlib.Path:
    """Pre-train on the data sets at `paths`; the checkpoints and metrics.jsonl lie in `workdir`.

    config: an encoder section of a configuration (see configs/); where it has `stream`, `paths` is
    empty and the batches are simulated (imujax/simulate/stream.py).  Returns `workdir`.  A finished
    run returns at once, an unfinished one goes on; one that was started with other settings is a
    UserError that names the first difference, and so is one that runs already.  SIGTERM ends it
    after the step under way, which is saved, with SystemExit(143): see processes.PreemptionNotice.
    """
    workdir = pathlib.Path(workdir)
    settings = json.loads(config.to_json()) | {
        "seed": seed,
        "data": [datasets.fingerprint(path) for path in paths],
    }
    theirs = processes.on_main(lambda: settings)
    processes.on_all(lambda: require_same_command(theirs, settings))
    with processes.claim_folder(workdir), Checkpoints(workdir) as checkpoints:
        done = checkpoints.latest()
        if done is not None:
            require_same_settings(checkpoints.card(done)["settings"], settings, workdir)
            if done >= config.steps:
                return workdir
        where = sharding.make_mesh("data")
        check_settings(config, where.size)
        source = sources.make_source(config, paths, seed, where)
        card = {
            "settings": settings,
            "net": settings["net"],
            "scales": source.scale,
            "counts": source.counts,
            "rate": config.rate,
            "window": config.window,
            "sensors": sorted(set(config.sensors) or source.sensors),
            "provenance": log.provenance(),
        }
        with processes.PreemptionNotice() as notice:
            _loop(config, source, where, seed, checkpoints, card, title, notice)
    return workdir


def _loop(config, source: sources.BatchSource, where, seed, checkpoints, card, title, notice):
    step_of, several_of = compile_step(
        make_step(config, source.scale, seed, source.full, where), where
    )
    monitor = make_monitor(config, source.scale, source.full)
    state = sharding.place(init_state(config, seed), sharding.replicated(where))
    begin = checkpoints.latest() or 0
    if begin:
        state = checkpoints.restore(begin, state)
    mute = not processes.is_main()
    lines = log.MetricsLog(checkpoints.folder / "metrics.jsonl", mute)
    lines.trim(begin)
    progress = log.Progress(config.steps, title, "step", done=begin, mute=mute)
    work = arithmetic.training_flops(config.net, config.window) * config.batch  # of a step
    most = STEPS_PER_CALL if source.batches and on_accelerator() else 1
    clock, since, now = time.monotonic(), begin, begin
    while now < config.steps:
        ahead = min(every - now % every for every in (config.log_every, config.save_every))
        count = most if most <= min(ahead, config.steps - now) else 1
        with jax.transfer_guard("disallow"):  # but for what sharding.place sends
            if count > 1:
                state, loss = sharding.call_collective(
                    where, several_of, state, *source.batches(now, count)
                )
            else:
                state, loss = sharding.call_collective(where, step_of, state, *source.batch(now))
        now, stop = now + count, notice.reached()
        if now % config.log_every == 0 or now == config.steps:
            values = sharding.to_host({"loss": loss, **monitor(state, *source.watch)})
            speed = (now - since) / (time.monotonic() - clock)
            lines.write(
                step=now,
                **values,
                windows_per_s=speed * config.batch,
                **arithmetic.achieved_rate(speed * work, where),
            )
            progress.update(
                now - since,
                f"loss {float(values['loss']):.3f}, retrieval {float(values['retrieval_acc']):.3f}",
            )
            clock, since = time.monotonic(), now
        if now % config.save_every == 0 or now == config.steps or stop:
            if not sharding.to_host(all_finite(state["params"])):
                raise UserError(
                    f"the weights are no longer finite at step {now}; lower the learning rate, or "
                    "look at the data for values out of range"
                )
            checkpoints.save(now, state, card)
        if stop:
            progress.close()
            processes.exit_preempted(
                f"{title} was told to stop; step {now} of {config.steps} is saved, and the same "
                "command goes on from there"
            )
    progress.close()


def on_accelerator() -> bool:
    """Whether this runs on something else than a CPU."""
    return jax.default_backend() != "cpu"


@jax.jit
def all_finite(tree):
    """Whether every number of a tree of arrays is finite -> bool."""
    return jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]).all()
