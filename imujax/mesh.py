"""Devices and placing: the only file in which shardings are made.

Two meshes, each of one axis: "data" for pre-training (the batch is sharded, the state replicated)
and "run" for sweeps (every device trains runs of its own).
"""

import os

import jax
import numpy as np

if "force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
    # Virtual CPU devices wait for each other in collectives, two of which may be under way at once;
    # with as few threads as cores they lock. XLA reads the size of its pool from here.
    os.environ.setdefault("NPROC", "64")


def make(axis: str, devices: int | None = None) -> jax.sharding.Mesh:
    """A mesh of one axis, "data" or "run", over the first `devices` devices (all by default)."""
    chosen = jax.devices()[:devices]
    auto = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((len(chosen),), (axis,), devices=chosen, axis_types=auto)


def replicated(mesh) -> jax.sharding.NamedSharding:
    """Every device holds the whole array."""
    return jax.sharding.NamedSharding(mesh, jax.P())


def split(mesh) -> jax.sharding.NamedSharding:
    """The first axis of an array is shared out over the devices."""
    return jax.sharding.NamedSharding(mesh, jax.P(mesh.axis_names[0]))


def put(tree, sharding):
    """Place a tree of host arrays, the same on every process, under one sharding."""

    def place(x):
        x = np.asarray(x)
        return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    return jax.tree.map(place, tree)


def described(tree, sharding):
    """Shapes and dtypes of a tree with a sharding, to compile for it before it is there."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def fetch(tree):
    """Arrays of any sharding as NumPy arrays on this host; split ones are gathered."""

    def get(x):
        if x.is_fully_addressable or x.is_fully_replicated:
            return np.asarray(x)
        return np.asarray(jax.jit(lambda y: y, out_shardings=replicated(x.sharding.mesh))(x))

    return jax.tree.map(get, tree)
