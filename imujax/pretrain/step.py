"""One step of pre-training as a pure function, its start, and the look at held-out subjects."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from imujax.data import augment
from imujax.objectives.objectives import make_objective
from imujax.pretrain import schedules
from imujax.runtime import sharding
from imujax.simulate.forces import PART

# Keep what is random in an objective, and of simulated windows, apart from cutting the batch.
OBJECTIVE_KEY, SIMULATED_KEY = 5, 6


def init_state(config: ConfigDict, seed: int) -> dict[str, Any]:
    """A fresh state {step, params, stats, opt} of an encoder's section."""
    objective = make_objective(config, None, full=True)

    @jax.jit
    def make(key):
        variables = objective.init(key)
        opt = make_optimiser(config, objective).init(variables["params"])
        return {"step": jnp.int32(0), **variables, "opt": opt}

    return make(jax.random.key(seed))


def make_optimiser(config, objective) -> optax.GradientTransformation:
    """AdamW with the schedule of an encoder's section."""
    rate = schedules.warmup_cosine(config.learning_rate, config.steps, config.warmup)
    return schedules.adamw(rate, config.weight_decay, objective.undecayed)


def make_step(
    config: ConfigDict, scale: dict[str, Any], seed: int, full: bool, mesh: jax.sharding.Mesh
) -> Callable[..., tuple[dict[str, Any], dict[str, jax.Array]]]:
    """The training step (state, data, rows [B]) -> (state, metrics), to be compiled.

    Parameters
    ----------
    config : ConfigDict
        An encoder's section of a configuration.
    scale : dict
        Means and SDs of the input, see data/scales.input_scales.
    seed : int
        Of all that is random: with the number of the step it gives the key.
    full : bool
        Whether every sample is a whole window, so that nothing needs masking.
    mesh : jax.sharding.Mesh
        The batch is split over it, the state is not; loss and norm statistics are global.

    Returns
    -------
    function
        data: sensor-windows, rows: which of them make up the batch (see augment.cut_batch);
        metrics: "loss" and what the objective logs, scalars.
    """
    objective = make_objective(config, mesh, full)
    optimiser = make_optimiser(config, objective)

    def step(state, data, rows):
        key = jax.random.fold_in(jax.random.key(seed), state["step"])
        batch = _cut(data, rows, key, config, scale, config.simulated.batch)
        batch = jax.lax.with_sharding_constraint(batch, sharding.sharded(mesh))

        def loss_of(params):
            variables = {"params": params, "stats": state["stats"]}
            return objective.loss(variables, batch, jax.random.fold_in(key, OBJECTIVE_KEY))

        (loss, (metrics, stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(state["params"])
        updates, opt = optimiser.update(grads, state["opt"], state["params"])
        params = objective.constrain(optax.apply_updates(state["params"], updates))
        state = {"step": state["step"] + 1, "params": params, "stats": stats, "opt": opt}
        return state, {"loss": loss, **metrics}

    return step


def _cut(data, rows, key, config, scale, simulated: int = 0):
    """A batch; of simulated windows beside it so many at random, or all in their turn."""
    own = {name: x for name, x in data.items() if name != PART}
    batch: dict[str, Any] = augment.cut_batch(own, rows, key, config, scale)
    if PART in data:
        row_key, cut_key = jax.random.split(jax.random.fold_in(key, SIMULATED_KEY))
        made = data[PART]
        at = jax.random.randint(row_key, (simulated,), 0, len(made["acc"])) if simulated else None
        batch[PART] = augment.cut_batch(made, at, cut_key, config, scale)
    return batch


def compile_step(step, mesh):
    """Two compiled functions of (state, data, rows): a step for rows [B], several for [n, B].

    The state's memory is used again, and its arrays stay replicated.  Of several steps the metrics
    of the last come back.
    """

    def several(state, data, rows):
        state, metrics = jax.lax.scan(lambda state, rows: step(state, data, rows), state, rows)
        return state, jax.tree.map(lambda x: x[-1], metrics)

    jit = functools.partial(jax.jit, donate_argnums=0, out_shardings=sharding.replicated(mesh))
    return jit(step), jit(several)


def make_monitor(config, scale, full: bool):
    """The jitted look at held-out subjects (state, data, rows) -> dict of scalars."""
    objective = make_objective(config, None, full)
    unaugmented = config.copy_and_resolve_references()
    unaugmented.update(augment.NO_AUGMENTATION)

    @jax.jit
    def monitor(state, data, rows):
        key = jax.random.key(0)
        batch = _cut(data, rows, key, unaugmented, scale)
        variables = {"params": state["params"], "stats": state["stats"]}
        return objective.monitor(variables, batch, jax.random.fold_in(key, OBJECTIVE_KEY))

    return monitor


@jax.jit
def all_finite(tree):
    """Whether every number of a tree of arrays is finite -> bool."""
    return jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]).all()
