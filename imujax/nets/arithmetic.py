"""Arithmetic of a network, and what share of a machine's it uses.

Counted are the products of the model, as in Chowdhery et al. 2022 (arXiv 2204.02311, appendix B):
what is computed twice to save memory counts once.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxprs_in_params

from imujax.nets import towers

# Peak of dense bfloat16 products with float32 sums, FLOP/s of a device, from the makers' data
# sheets; the longest name that a device's own begins with is taken.
PEAKS = {
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H200": 989e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
}


def product_flops(function: Callable, *arguments) -> int:
    """Count the arithmetic of the matrix products and convolutions of a function.

    Parameters
    ----------
    function : callable
        Of arrays; it is traced, not run.
    *arguments
        What it would be called with, or their shapes.

    Returns
    -------
    int
        Floating-point operations: two for each multiplication and addition.  The body of a scan
        counts as often as it runs, that of another loop once, and what is mapped over devices
        (shard_map) on all of them.
    """

    def count_flops(jaxpr) -> int:
        total = 0
        for eqn in jaxpr.eqns:
            if eqn.primitive.name == "dot_general":
                (axes, _), _ = eqn.params["dimension_numbers"]
                summed = np.prod([eqn.invars[0].aval.shape[axis] for axis in axes])
                total += 2 * int(summed) * eqn.outvars[0].aval.size
            elif eqn.primitive.name == "conv_general_dilated":
                kernel = eqn.invars[1].aval
                features = kernel.shape[eqn.params["dimension_numbers"].rhs_spec[0]]
                total += 2 * kernel.size // features * eqn.outvars[0].aval.size
            inside = sum(count_flops(inner) for inner in jaxprs_in_params(eqn.params))
            if eqn.primitive.name == "scan":
                inside *= eqn.params["length"]
            elif eqn.primitive.name == "shard_map":
                inside *= eqn.params["mesh"].size
            total += inside
        return total

    return count_flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def training_flops(net: Mapping[str, Any], samples: int) -> int:
    """Count the arithmetic of a training step for one pair of windows.

    Parameters
    ----------
    net : dict or ConfigDict
        A net configuration, see `networks.resolve_net`.
    samples : int
        T, samples of a window.

    Returns
    -------
    int
        FLOP through both towers and heads: thrice those of the forward pass, since the backward
        pass multiplies by weights and by activations.
    """
    tower = towers.DualTower(net)
    window = jnp.zeros((1, samples, 3))
    variables = jax.eval_shape(lambda: tower.init(jax.random.key(0), window, window))
    return 3 * product_flops(lambda variables: tower.apply(variables, window, window), variables)


def achieved_rate(rate: float, mesh: jax.sharding.Mesh) -> dict[str, float]:
    """A rate of arithmetic as it is logged.

    Parameters
    ----------
    rate : float
        FLOP/s of all devices together.
    mesh : jax.sharding.Mesh
        The devices.

    Returns
    -------
    dict
        "tflop_per_s" and, where the peak of the devices is known, "utilisation": the share of it.
    """
    kind = mesh.devices.flat[0].device_kind
    chip = max((name for name in PEAKS if kind.startswith(name)), key=len, default=None)
    share = {"utilisation": rate / (PEAKS[chip] * mesh.size)} if chip else {}
    return {"tflop_per_s": rate / 1e12, **share}
