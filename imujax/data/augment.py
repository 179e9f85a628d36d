"""Batches cut out of longer windows on the device, and changed as a sensor worn otherwise would.

Pure functions of arrays and keys, for pre-training and for fine-tuning.
"""

from typing import Any

import jax
import jax.numpy as jnp

from imujax.data.scales import standardise

# The settings with which cut_batch only cuts.
NO_AUGMENTATION = {"rotation": 0.0, "gain": 0.0, "noise": (0.0, 0.0)}


def cut_batch(
    data: dict[str, jax.Array],
    rows: jax.Array | None,
    key: jax.Array,
    config: Any,
    scale: dict[str, dict[str, Any]],
) -> dict[str, jax.Array]:
    """Cut one batch on the device, augment and standardise it.

    Each sample is cut to the window at a random place of its valid part: with longer windows in the
    data set that is the shift in time.  Then it is turned, multiplied and made noisy.

    Parameters
    ----------
    data : dict of jax.Array
        acc, gyr [M, L, 3] (m/s^2, rad/s), length [M] and more entries [M], which go along.
    rows : jax.Array, [B], or None
        Which of the samples; None where `data` is the batch.
    key : jax.Array
        Random key.
    config : ConfigDict
        window: samples T.  rotation: a sample is turned by a random angle of at most so many
        degrees about a random axis, both modalities alike.  gain: each modality is multiplied by a
        factor of its own, uniform in 1 -+ gain.  noise: white noise of these SDs [m/s^2, rad/s] is
        added.
    scale : dict
        As of `scales.input_scales`.

    Returns
    -------
    dict of jax.Array
        acc, gyr [B, T, 3], standardised, length [B] and the other entries [B].
    """
    cut_key, rotation_key, gain_key, noise_key = jax.random.split(key, 4)
    batch = {name: x for name, x in data.items() if name not in ("acc", "gyr")}
    if rows is not None:
        batch = {name: x[rows] for name, x in batch.items()}
    slack = jnp.maximum(batch["length"] - config.window, 0)
    starts = jax.random.randint(cut_key, slack.shape, 0, slack + 1)
    times = starts[:, None] + jnp.arange(config.window)[None, :]  # [B, T]
    acc, gyr = (_cut_signal(data[name], rows, times) for name in ("acc", "gyr"))
    acc, gyr = rotate_randomly(rotation_key, acc, gyr, config.rotation)
    if config.gain:
        gains = config.gain * jax.random.uniform(gain_key, (2, len(times), 1, 1), minval=-1.0)
        acc, gyr = acc * (1 + gains[0]), gyr * (1 + gains[1])
    if any(config.noise):
        acc, gyr = (
            x + sd * jax.random.normal(k, x.shape)
            for x, sd, k in zip((acc, gyr), config.noise, jax.random.split(noise_key), strict=True)
        )
    acc, gyr = standardise(acc, gyr, scale)
    length = jnp.minimum(batch["length"], config.window)
    return batch | {"acc": acc, "gyr": gyr, "length": length}


def _cut_signal(x: jax.Array, rows: jax.Array | None, times: jax.Array) -> jax.Array:
    """x [M, L, 3], rows [B] or None, times [B, T] -> [B, T, 3]."""
    if rows is not None:
        return x[rows[:, None], times]
    # Along the second axis alone, so that nothing moves between the devices that share the first.
    if x.shape[1] == times.shape[1]:
        return x
    return jnp.take_along_axis(x, times[:, :, None], axis=1)


def rotate_randomly(
    key: jax.Array, acc: jax.Array, gyr: jax.Array, degrees: float
) -> tuple[jax.Array, jax.Array]:
    """acc, gyr [B, T, 3], both of a sample turned alike about a random axis, at most `degrees`."""
    if not degrees:
        return acc, gyr
    matrices = random_rotations(key, acc.shape[0], degrees)  # [B, 3, 3]

    def rotate(x):
        return jnp.einsum("bij,btj->bti", matrices, x, precision="highest")

    return rotate(acc), rotate(gyr)


def random_rotations(key: jax.Array, count: int, degrees: float) -> jax.Array:
    """Draw rotation matrices: uniform axes, uniform angles, by Rodrigues' formula.

    Parameters
    ----------
    key : jax.Array
        Random key.
    count : int
    degrees : float
        Angles lie in [0, degrees].

    Returns
    -------
    jax.Array, [count, 3, 3]
    """
    axis_key, angle_key = jax.random.split(key)
    axis = jax.random.normal(axis_key, (count, 3))
    x, y, z = jnp.moveaxis(axis / jnp.linalg.norm(axis, axis=1, keepdims=True), 1, 0)
    zero = jnp.zeros_like(x)
    cross = jnp.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(count, 3, 3)
    angle = jnp.deg2rad(jax.random.uniform(angle_key, (count, 1, 1), maxval=degrees))
    square = jnp.matmul(cross, cross, precision="highest")
    return jnp.eye(3)[None] + jnp.sin(angle) * cross + (1 - jnp.cos(angle)) * square
