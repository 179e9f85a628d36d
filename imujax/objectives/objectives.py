"""The objectives of pre-training that there are.

An objective is a function (config, mesh, full) -> Objective in a file of its own and one line in
OBJECTIVES; `loss` in an encoder's section names it.
"""

from collections.abc import Callable

import jax
from ml_collections import ConfigDict

from imujax.objectives import pairs
from imujax.objectives.objective import Objective

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "symmetric": pairs.symmetric,
    "one_sided": pairs.one_sided,
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
        Pure functions, not compiled yet.
    """
    return OBJECTIVES[config.loss](config, mesh, full)
