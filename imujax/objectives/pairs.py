"""Which accelerometer window belongs to which gyroscope window: the study's objective.

The batch goes through both towers, and a contrastive loss compares every accelerometer embedding
with every gyroscope embedding.
"""

import math

import jax
import jax.numpy as jnp

from imujax.nets import towers
from imujax.objectives import contrastive, relations
from imujax.objectives.objective import Objective
from imujax.runtime import sharding

LOG_SCALE = "log_scale"  # the parameter of a learned temperature
MAX_LOG_SCALE = math.log(100.0)  # its largest value, as in Radford et al. 2021 (arXiv 2103.00020)


def symmetric(config, mesh, full: bool) -> Objective:
    """InfoNCE in both directions: contrastive.symmetric_loss."""
    return _of_pairs(config, mesh, full, contrastive.symmetric_loss)


def one_sided(config, mesh, full: bool) -> Objective:
    """The study's own form: contrastive.one_sided_loss."""
    return _of_pairs(config, mesh, full, contrastive.one_sided_loss)


def _of_pairs(config, mesh, full, pair_loss) -> Objective:
    tower = towers.DualTower(config.net)
    encode = make_encode(config, mesh, full)
    related = relations.resolve(config.relations)

    def init(key):
        """With config.learn_temperature, `log_scale` is the logarithm of 1 / temperature."""
        window = jnp.zeros((2, config.window, 3))
        variables = tower.init(key, window, window, None, train=False)
        params = variables["params"]
        if config.learn_temperature:
            params |= {LOG_SCALE: -jnp.log(jnp.float32(config.temperature))}
        return {"params": params, "stats": variables.get("batch_stats", {})}

    def temperature_of(params):
        return jnp.exp(-params[LOG_SCALE]) if config.learn_temperature else config.temperature

    def loss(variables, batch, key):
        del key  # nothing here is random
        params = variables["params"]
        z, stats = encode(params, variables["stats"], batch)
        return pair_loss(*z, batch, temperature_of(params), related, mesh), ({}, stats)

    def monitor(variables, batch, key):
        del key
        length = None if full else batch["length"]
        frozen = {"params": variables["params"], "batch_stats": variables["stats"]}
        z = tower.apply(frozen, batch["acc"], batch["gyr"], length, train=False)
        temperature = temperature_of(variables["params"])
        metrics = contrastive.embedding_metrics(*z, batch["window"])
        if config.learn_temperature:
            metrics["temperature"] = temperature
        return {"monitor_loss": pair_loss(*z, batch, temperature, related), **metrics}

    def constrain(params):
        if config.learn_temperature:
            params |= {LOG_SCALE: jnp.minimum(params[LOG_SCALE], MAX_LOG_SCALE)}
        return params

    return Objective(init, loss, monitor, constrain, undecayed=(LOG_SCALE,))


def make_encode(config, mesh, full: bool):
    """The function (params, stats, batch) -> ((z_acc, z_gyr) [B, P], new stats) of training.

    With config.microbatch each device encodes so many of its samples at a time and, in the backward
    pass, once more, so that the activations of one microbatch are all that is kept (gradient
    caching, Gao et al. 2021, arXiv 2101.06983).  Exact, since no sample sees another one: see
    pretrain/settings.check_devices.
    """
    tower = towers.DualTower(config.net)

    def forward(params, stats, batch):
        length = None if full else batch["length"]
        variables = {"params": params, "batch_stats": stats}
        windows = (batch["acc"], batch["gyr"], length)
        return tower.apply(variables, *windows, train=True, mutable=["batch_stats"])

    def at_once(params, stats, batch):
        z, changed = forward(params, stats, batch)
        return z, changed.get("batch_stats", {})

    def by_microbatches(params, stats, batch):
        @jax.checkpoint
        def encode(microbatch):
            return forward(params, stats, microbatch)[0]

        def cut(x):
            return sharding.to_microbatches(x, config.microbatch, mesh)

        microbatches = {name: cut(batch[name]) for name in ("acc", "gyr", "length")}
        z = jax.lax.map(encode, microbatches)
        return jax.tree.map(lambda x: sharding.from_microbatches(x, mesh), z), stats

    return by_microbatches if config.microbatch else at_once
