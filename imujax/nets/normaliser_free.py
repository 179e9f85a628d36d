"""Residual blocks without norms: Brock, De & Smith 2021 (arXiv 2101.08692).

ReLU before each convolution, whose weights are standardised (`layers.standardise_weights`), and
residual branches of known variance, so that all is as large as it should be without a look at the
batch; what comes out follows the amplitude of what goes in.
"""

import math
from collections.abc import Callable, Sequence

import jax

from imujax.nets import convolution

ALPHA = 0.2  # size of a residual branch
GAMMA = math.sqrt(2 / (1 - 1 / math.pi))  # 1 / SD of ReLU(unit normal)


def scaled_relu(x: jax.Array) -> jax.Array:
    """ReLU that leaves a unit normal its variance; of any shape."""
    return jax.nn.relu(x) * GAMMA


def residual_block(
    convolve: Callable,
    name: str,
    x: jax.Array,
    length: jax.Array | None,
    branch: Sequence[tuple[int, int, int]],
    project: bool,
    variance: float,
) -> tuple[jax.Array, jax.Array | None, float]:
    """shortcut(x) + ALPHA * branch(ReLU(x) / beta), beta the expected SD of x at the start.

    Where the shape changes, the shortcut takes the scaled pre-activation and the expected variance
    begins again at 1.

    Parameters
    ----------
    convolve : callable
        (name, channels out, kernel, stride, x, length) -> y, with standardised weights.
    name : str
        Of the block; its convolutions are NAME_conv1 and so on, and NAME_shortcut.
    x : jax.Array, [C, T, B]
    length : jax.Array, [B], or None
        True samples of each window; None where all are full.
    branch : sequence of (int, int, int)
        The convolutions: channels out, kernel and stride [samples].
    project : bool
        Whether the shortcut is a convolution.
    variance : float
        Expected of x.

    Returns
    -------
    y : jax.Array, [F, T', B]
    length : jax.Array, [B], or None
        True samples of y.
    variance : float
        Expected of y.
    """
    y = scaled_relu(x) / math.sqrt(variance)
    shortcut = x
    if project:
        stride = math.prod(step for _, _, step in branch)
        shortcut = convolve(f"{name}_shortcut", branch[-1][0], 1, stride, y, length)
    for i, (features, kernel, stride) in enumerate(branch, 1):
        if i > 1:
            y = scaled_relu(y)
        y = convolve(f"{name}_conv{i}", features, kernel, stride, y, length)
        length = convolution.out_length(length, kernel, stride, kernel // 2)
    return shortcut + ALPHA * y, length, (1.0 if project else variance) + ALPHA**2
