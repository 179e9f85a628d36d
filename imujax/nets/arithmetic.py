"""Arithmetic of a network, and what share of a machine's it uses.

Counted are the products of the model, as in Chowdhery et al. 2022 (arXiv 2204.02311, appendix B):
what is computed twice to save memory counts once.
"""

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


def product_flops(function, *arguments) -> int:
    """Floating-point operations of the matrix products and convolutions of a function."""

    def count(jaxpr) -> int:
        total = 0
        for eqn in jaxpr.eqns:
            if eqn.primitive.name == "dot_general":
                (left, _), _ = eqn.params["dimension_numbers"]
                shared = np.prod([eqn.invars[0].aval.shape[axis] for axis in left])
                total += 2 * int(shared) * eqn.outvars[0].aval.size
            elif eqn.primitive.name == "conv_general_dilated":
                kernel = eqn.invars[1].aval  # [k, C, F]
                total += 2 * kernel.size // kernel.shape[-1] * eqn.outvars[0].aval.size
            total += sum(count(inner) for inner in jaxprs_in_params(eqn.params))
        return total

    return count(jax.make_jaxpr(function)(*arguments).jaxpr)


def training_flops(net, samples: int) -> int:
    """FLOP of a training step for one pair of windows through both towers and heads.

    Thrice those of the forward pass: the backward pass multiplies by weights and by activations.
    """
    tower = towers.DualTower(net)
    window = jnp.zeros((1, samples, 3))
    made = jax.eval_shape(lambda: tower.init(jax.random.key(0), window, window))
    return 3 * product_flops(lambda made: tower.apply(made, window, window), made)


def achieved_rate(rate: float, mesh) -> dict:
    """{"tflop_per_s"} of a rate in FLOP/s and, where the peak is known, {"utilisation"}."""
    kind = mesh.devices.flat[0].device_kind
    known = max((name for name in PEAKS if kind.startswith(name)), key=len, default=None)
    share = {"utilisation": rate / (PEAKS[known] * mesh.size)} if known else {}
    return {"tflop_per_s": rate / 1e12, **share}
