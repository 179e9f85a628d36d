"""Which accelerometer window belongs to which gyroscope window: the study's objective.

The batch goes through both towers, and a contrastive loss compares every accelerometer embedding
with every gyroscope embedding.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from imujax.nets import towers
from imujax.objectives import contrastive, relations
from imujax.objectives.objective import Objective
from imujax.runtime import sharding

LOG_SCALE = "log_scale"  # the parameter of a learned temperature
MAX_LOG_SCALE = math.log(100.0)  # its largest value, as in Radford et al. 2021 (arXiv 2103.00020)


def symmetric(config: ConfigDict, mesh: jax.sharding.Mesh | None, full: bool) -> Objective:
    """InfoNCE in both directions: contrastive.symmetric_loss.

    Parameters
    ----------
    config, mesh, full
        See objectives.make_objective.

    Returns
    -------
    Objective
    """
    return _make_pair_objective(config, mesh, full, contrastive.symmetric_loss)


def one_sided(config: ConfigDict, mesh: jax.sharding.Mesh | None, full: bool) -> Objective:
    """The study's own form: contrastive.one_sided_loss.

    Parameters
    ----------
    config, mesh, full
        See objectives.make_objective.

    Returns
    -------
    Objective
    """
    return _make_pair_objective(config, mesh, full, contrastive.one_sided_loss)


def _make_pair_objective(config, mesh, full, pair_loss) -> Objective:
    tower = towers.DualTower(config.net)
    encode = make_encode(config, mesh, full)
    related = relations.resolve(config.relations)

    def init(key):
        """With config.learn_temperature, `log_scale` is the logarithm of 1 / temperature."""
        window = jnp.zeros((2, config.window, 3))
        variables: dict[str, Any] = dict(tower.init(key, window, window, None, train=False))
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

    def encode_frozen(variables, batch) -> Any:
        length = None if full else batch["length"]
        frozen = {"params": variables["params"], "batch_stats": variables["stats"]}
        return tower.apply(frozen, batch["acc"], batch["gyr"], length, train=False)

    def monitor(variables, batch, key):
        del key
        z_acc, z_gyr = encode_frozen(variables, batch)
        temperature = temperature_of(variables["params"])
        metrics = contrastive.embedding_metrics(z_acc, z_gyr, batch["window"])
        if config.learn_temperature:
            metrics["temperature"] = temperature
        return {"monitor_loss": pair_loss(z_acc, z_gyr, batch, temperature, related), **metrics}

    def constrain(params):
        if config.learn_temperature:
            params |= {LOG_SCALE: jnp.minimum(params[LOG_SCALE], MAX_LOG_SCALE)}
        return params

    return Objective(init, loss, monitor, constrain, undecayed=(LOG_SCALE,))


def make_encode(
    config: ConfigDict, mesh: jax.sharding.Mesh | None, full: bool
) -> Callable[..., tuple[tuple[jax.Array, jax.Array], dict]]:
    """The encoding of training, at once or in microbatches.

    With config.microbatch each device encodes so many of its samples at a time and, in the backward
    pass, once more, so that the activations of one microbatch are all that is kept.  Exact, since
    no sample sees another one: see pretrain/settings.check_devices.

    Parameters
    ----------
    config, mesh, full
        See objectives.make_objective.

    Returns
    -------
    callable
        (params, stats, batch) -> ((z_acc, z_gyr) [B, P], new stats).

    References
    ----------
    Gradient caching: Gao et al. 2021, arXiv 2101.06983.
    """
    tower = towers.DualTower(config.net)

    def forward(params, stats, batch) -> tuple[Any, Any]:
        length = None if full else batch["length"]
        variables = {"params": params, "batch_stats": stats}
        windows = (batch["acc"], batch["gyr"], length)
        return tower.apply(variables, *windows, train=True, mutable=["batch_stats"])

    def encode_at_once(params, stats, batch):
        z, changed = forward(params, stats, batch)
        return z, changed.get("batch_stats", {})

    def encode_by_microbatches(params, stats, batch):
        assert mesh is not None  # a step of training has one

        @jax.checkpoint
        def encode_microbatch(microbatch):
            return forward(params, stats, microbatch)[0]

        microbatches = {
            name: sharding.to_microbatches(batch[name], config.microbatch, mesh)
            for name in ("acc", "gyr", "length")
        }
        z_acc, z_gyr = jax.lax.map(encode_microbatch, microbatches)
        z = sharding.from_microbatches(z_acc, mesh), sharding.from_microbatches(z_gyr, mesh)
        return z, stats

    return encode_by_microbatches if config.microbatch else encode_at_once
