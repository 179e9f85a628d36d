"""Batches cut out of longer windows on the device, and changed as a sensor worn otherwise would.

Pure functions of arrays and keys, for pre-training and for fine-tuning.
"""

import jax
import jax.numpy as jnp

from imujax.data.scales import standardise

# The settings with which batch_of only cuts.
NO_AUGMENTATION = {"rotation": 0.0, "gain": 0.0, "noise": (0.0, 0.0)}


def cut_batch(data: dict, rows, key, config, scale) -> dict:
    """Cut one batch on the device, augment and standardise it.

    data: acc, gyr [M, L, 3], length [M] and more entries [M], which go along; rows [B]: which of
    the samples, None where data is the batch.  Each sample is cut to config.window at a random
    place of its valid part: with longer windows in the data set that is the shift in time.  Then

    rotation: it is turned by a random angle of at most so many degrees about a random axis, both
        modalities alike
    gain: each modality is multiplied by a factor of its own, uniform in 1 -+ gain
    noise: white noise of these SDs [m/s^2, rad/s] is added

    -> acc, gyr [B, T, 3], length [B] and the other entries [B].
    """
    place, turn, scaled, hiss = jax.random.split(key, 4)
    batch = {name: x for name, x in data.items() if name not in ("acc", "gyr")}
    if rows is not None:
        batch = {name: x[rows] for name, x in batch.items()}
    room = jnp.maximum(batch["length"] - config.window, 0)
    begin = jax.random.randint(place, room.shape, 0, room + 1)
    at = begin[:, None] + jnp.arange(config.window)  # [B, T]
    pair = rotate_randomly(
        turn, *(_cut(data[name], rows, at) for name in ("acc", "gyr")), config.rotation
    )
    if config.gain:
        change = config.gain * jax.random.uniform(scaled, (2, len(at), 1, 1), minval=-1.0)
        pair = [x * (1 + by) for x, by in zip(pair, change, strict=True)]
    if any(config.noise):
        pair = [
            x + sd * jax.random.normal(k, x.shape)
            for x, sd, k in zip(pair, config.noise, jax.random.split(hiss), strict=True)
        ]
    acc, gyr = standardise(*pair, scale)
    length = jnp.minimum(batch["length"], config.window)
    return batch | {"acc": acc, "gyr": gyr, "length": length}


def _cut(x, rows, at):
    """x [M, L, 3], rows [B] or None, at [B, T] -> [B, T, 3]."""
    if rows is not None:
        return x[rows[:, None], at]
    # Along the second axis alone, so that nothing moves between the devices that share the first.
    return x if x.shape[1] == at.shape[1] else jnp.take_along_axis(x, at[:, :, None], axis=1)


def rotate_randomly(key, acc, gyr, degrees: float):
    """acc, gyr [B, T, 3], both of a sample turned alike about a random axis, at most `degrees`."""
    if not degrees:
        return acc, gyr
    matrices = random_rotations(key, acc.shape[0], degrees)  # [B, 3, 3]
    return tuple(jnp.einsum("bij,btj->bti", matrices, x, precision="highest") for x in (acc, gyr))


def random_rotations(key, count: int, degrees: float):
    """Rotation matrices [count, 3, 3]: uniform axes, angles uniform in [0, degrees] (Rodrigues)."""
    about, by = jax.random.split(key)
    axis = jax.random.normal(about, (count, 3))
    x, y, z = jnp.moveaxis(axis / jnp.linalg.norm(axis, axis=1, keepdims=True), 1, 0)
    zero = jnp.zeros_like(x)
    cross = jnp.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(count, 3, 3)
    angle = jnp.deg2rad(jax.random.uniform(by, (count, 1, 1), maxval=degrees))
    square = jnp.matmul(cross, cross, precision="highest")
    return jnp.eye(3)[None] + jnp.sin(angle) * cross + (1 - jnp.cos(angle)) * square
