"""How a batch goes through the networks in training: each device its own part, in microbatches."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from imujax.nets import networks
from imujax.runtime import sharding


def make_encode(
    config: ConfigDict,
    mesh: jax.sharding.Mesh | None,
    full: bool,
    forward: Callable[..., tuple[Any, Any]],
    names: Sequence[str],
) -> Callable[..., tuple[Any, dict]]:
    """Let `forward` do a batch, at once or in microbatches.

    Each device encodes its own samples: left to itself, XLA gathers the activations of strided
    convolutions on every device. Batch norm takes its statistics over all devices; where windows
    are shorter than others, and devices differ in how many samples they have, that is left to XLA.
    With config.microbatch a device encodes so many of its samples at a time and, in the
    backward pass, once more, so that the activations of one microbatch are all that is kept.

    Parameters
    ----------
    config, mesh, full
        See objectives.make_objective.
    forward : callable
        (variables, batch, length [B] or None) -> (arrays [B, ..], a row for each sample, and what
        has changed of the variables).
    names : sequence of str
        Of the batch, what `forward` looks at.

    Returns
    -------
    callable
        (params, stats, batch) -> (the arrays of the whole batch, new stats).

    References
    ----------
    Gradient caching: Gao et al. 2021, arXiv 2101.06983.
    """

    def encode_together(params, stats, batch):
        length = None if full else batch["length"]
        rows, changed = forward({"params": params, "batch_stats": stats}, batch, length)
        return rows, changed.get("batch_stats", {})

    def encode_own(shared, batch):
        params, stats = shared
        if not config.microbatch:
            return encode_together(params, stats, batch)
        encode = jax.checkpoint(lambda microbatch: encode_together(params, stats, microbatch)[0])
        microbatches = jax.tree.map(lambda x: x.reshape(-1, config.microbatch, *x.shape[1:]), batch)
        rows = jax.lax.map(encode, microbatches)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rows), stats

    has_batch_norm = networks.resolve_net(config.net)["norm"] == "batch"
    if mesh is None or (has_batch_norm and not full):
        return encode_together
    encode_rows = sharding.map_rows(encode_own, mesh)

    def encode_apart(params, stats, batch):
        return encode_rows((params, stats), {name: batch[name] for name in names})

    return encode_apart
