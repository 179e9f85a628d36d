"""What every objective of pre-training offers."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Variables = dict[str, Any]  # {"params": ..., "stats": ...}, both nested dicts of arrays
Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


class Objective(NamedTuple):
    """Something that encoders can learn without labels.

    A batch is {"acc", "gyr"} [B, T, 3] in standardised units, "length" [B], and the ids `window`,
    `recording`, `subject`, `sensor` [B] and `start` [B] in s: see data/augment.cut_batch.

    Attributes
    ----------
    init : key -> variables
        {"params": parameters, "stats": running statistics, {} where there are none}.  What lies
        under a name that ends in "encoder" is what pre-training hands on.
    loss : (variables, batch, key) -> (loss, (metrics, stats))
        The scalar to minimise, scalars to log beside it, and the running statistics after it.
    monitor : (variables, batch, key) -> metrics
        What is logged of held-out subjects, statistics frozen.
    constrain : params -> params
        Applied after each step; by default nothing is changed.
    undecayed : tuple of str
        Parameters at the top of the tree that weight decay leaves alone.
    """

    init: Callable[[jax.Array], Variables]
    loss: Callable[[Variables, Batch, jax.Array], tuple[jax.Array, tuple[Metrics, dict]]]
    monitor: Callable[[Variables, Batch, jax.Array], Metrics]
    constrain: Callable[[dict], dict] = lambda params: params
    undecayed: tuple[str, ...] = ()
