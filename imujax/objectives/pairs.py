"""Which accelerometer window belongs to which gyroscope window: the study's objective.

The batch goes through both towers, and a contrastive loss compares every accelerometer embedding
with every gyroscope embedding.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from imujax.nets import networks, towers
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
    config: ConfigDict,
    mesh: jax.sharding.Mesh | None,
    full: bool,
    forward: Callable[..., tuple[Any, Any]] | None = None,
    names: Sequence[str] = ("acc", "gyr", "length"),
) -> Callable[..., tuple[Any, dict]]:
    """The encoding of training, at once or in microbatches.

    Each device encodes its own samples: left to itself, XLA gathers the activations of strided
    convolutions on every device. Batch norm takes its statistics over all devices; where windows
    are shorter than others, and devices differ in how many samples they have, that is left to XLA.
    With config.microbatch a device encodes so many of its samples at a time and, in the
    backward pass, once more, so that the activations of one microbatch are all that is kept.

    Parameters
    ----------
    config, mesh, full
        See objectives.make_objective.
    forward : callable, optional
        (variables, batch, length [B] or None) -> (arrays of a row for each sample, and what has
        changed of the variables); by default that of towers.DualTower, whose arrays are
        (z_acc, z_gyr) [B, P].
    names : sequence of str
        Of the batch, what `forward` looks at.

    Returns
    -------
    callable
        (params, stats, batch) -> (what `forward` gives for all, new stats).

    References
    ----------
    Gradient caching: Gao et al. 2021, arXiv 2101.06983.
    """
    tower = towers.DualTower(config.net)

    def encode_pairs(variables, batch, length):
        windows = batch["acc"], batch["gyr"], length
        return tower.apply(variables, *windows, train=True, mutable=["batch_stats"])

    forward = encode_pairs if forward is None else forward

    def encode_together(params, stats, batch):
        length = None if full else batch["length"]
        z, changed = forward({"params": params, "batch_stats": stats}, batch, length)
        return z, changed.get("batch_stats", {})

    def encode_own(shared, batch):
        params, stats = shared
        if not config.microbatch:
            return encode_together(params, stats, batch)
        encode = jax.checkpoint(lambda microbatch: encode_together(params, stats, microbatch)[0])
        microbatches = jax.tree.map(lambda x: x.reshape(-1, config.microbatch, *x.shape[1:]), batch)
        z = jax.lax.map(encode, microbatches)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), z), stats

    has_batch_norm = networks.resolve_net(config.net)["norm"] == "batch"
    if mesh is None or (has_batch_norm and not full):
        return encode_together
    encode_rows = sharding.map_rows(encode_own, mesh)

    def encode_apart(params, stats, batch):
        windows = {name: batch[name] for name in names}
        return encode_rows((params, stats), windows)

    return encode_apart
