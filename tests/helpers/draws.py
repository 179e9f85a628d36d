"""Windows and variables drawn by NumPy: compiling a model's own draw takes seconds a test."""

import jax
import numpy as np


def stream(seed):
    """A function of a shape that draws standard normal float32, other numbers at each call."""
    rng = np.random.default_rng(seed)
    return lambda *shape: rng.standard_normal(shape).astype(np.float32)


def windows(*shape, seed=3):
    """Standard normal float32 of any shape."""
    return stream(seed)(*shape)


def variables(model, *inputs, perturb=True, seed=5):
    """Flax variables of `model`: kernels normal with variance 2 / fan-in.

    With `perturb` every bias, gain, scale and running statistic is moved away from its initial
    0 or 1, so that each of them counts.
    """
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        if path[-1].key == "kernel":
            values = rng.standard_normal(leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1]))
        else:
            values = np.full(leaf.shape, float(path[-1].key in ("gain", "scale", "var")))
            values += perturb * rng.uniform(0.05, 0.3, leaf.shape)
        return values.astype(np.float32)

    shapes = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    return jax.tree_util.tree_map_with_path(draw, shapes)
