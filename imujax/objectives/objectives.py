"""The objectives of pre-training that there are.

An objective is a function (config, mesh, full) -> Objective in a file of its own and one line in
OBJECTIVES; `loss` in an encoder's section names it.
"""

from collections.abc import Callable, Mapping

import jax
from ml_collections import ConfigDict

from imujax.objectives import forces, masked, pairs
from imujax.objectives.objective import Objective

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "symmetric": pairs.symmetric,
    "one_sided": pairs.one_sided,
    "masked": masked.masked,
    "forces": forces.forces,
}


def make_objective(config: ConfigDict, mesh: jax.sharding.Mesh | None, full: bool) -> Objective:
    """The objective that an encoder's section names.

    Parameters
    ----------
    config : ConfigDict
        An encoder's section of a configuration, see configs/common.py.
    mesh : jax.sharding.Mesh or None
        The devices that share the batch, None for one device.
    full : bool
        Whether every window of a batch is whole, so that nothing needs masking.

    Returns
    -------
    Objective
        Pure functions, not compiled yet; of several, see `add_up`.
    """
    parts = {name: OBJECTIVES[name](config, mesh, full) for name in (config.loss, *config.beside)}
    return add_up(parts, config.beside) if config.beside else parts[config.loss]


def add_up(parts: Mapping[str, Objective], weights: Mapping[str, float]) -> Objective:
    """One objective of several that share their encoders: the first one, and others by weight.

    Parameters
    ----------
    parts : mapping of str to Objective
        The first has weight 1; where it has running statistics, they are kept.
    weights : mapping of str to float
        Of the others.

    Returns
    -------
    Objective
        Its metrics are those of the first, and of the others under NAME_ and their own name, their
        loss among them. What two have under one name, as the encoders, is one parameter.
    """
    first, *others = parts

    def init(key):
        variables = [part.init(key) for part in parts.values()]
        params = {name: x for one in reversed(variables) for name, x in one["params"].items()}
        stats = {name: x for one in reversed(variables) for name, x in one["stats"].items()}
        return {"params": params, "stats": stats}

    def loss(variables, batch, key):
        total, (metrics, stats) = parts[first].loss(variables, batch, key)
        for number, name in enumerate(others, 1):
            own_key = jax.random.fold_in(key, number)
            value, (own, own_stats) = parts[name].loss(variables, batch, own_key)
            total, stats = total + weights[name] * value, own_stats | stats
            metrics |= {f"{name}_{metric}": x for metric, x in own.items()} | {
                f"{name}_loss": value
            }
        return total, (metrics, stats)

    def monitor(variables, batch, key):
        metrics = parts[first].monitor(variables, batch, key)
        for name in others:
            own = parts[name].monitor(variables, batch, key)
            metrics |= {f"{name}_{metric}": x for metric, x in own.items()}
        return metrics

    def constrain(params):
        for part in parts.values():
            params = part.constrain(params)
        return params

    undecayed = tuple({name: None for part in parts.values() for name in part.undecayed})
    return Objective(init, loss, monitor, constrain, undecayed)
