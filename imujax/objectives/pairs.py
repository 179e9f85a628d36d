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
from imujax.objectives import contrastive, encoding, relations
from imujax.objectives.objective import Objective

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
    """The two towers' encoding of training, see encoding.make_encode.

    Parameters
    ----------
    config, mesh, full
        See objectives.make_objective.

    Returns
    -------
    callable
        (params, stats, batch) -> ((z_acc, z_gyr) [B, P], new stats).
    """
    tower = towers.DualTower(config.net)

    def forward(variables, batch, length):
        windows = batch["acc"], batch["gyr"], length
        return tower.apply(variables, *windows, train=True, mutable=["batch_stats"])

    return encoding.make_encode(config, mesh, full, forward, ("acc", "gyr", "length"))
