"""Devices and placing: the only file in which shardings are made.

Two meshes, each of one axis: "data" for pre-training (the batch is sharded, the state replicated)
and "run" for sweeps (every device trains runs of its own).
"""

import math
import os

import jax
import numpy as np

if "force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
    # Virtual CPU devices wait for each other in collectives; with as few threads as cores they
    # lock. XLA reads the size of its pool from here.
    os.environ.setdefault("NPROC", "64")


def make_mesh(axis: str, devices: int | None = None) -> jax.sharding.Mesh:
    """A mesh of one axis, "data" or "run", over the first `devices` devices (all by default)."""
    chosen = jax.devices()[:devices]
    auto = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((len(chosen),), (axis,), devices=chosen, axis_types=auto)


def replicated(mesh) -> jax.sharding.NamedSharding:
    """Every device holds the whole array."""
    return jax.sharding.NamedSharding(mesh, jax.P())


def sharded(mesh) -> jax.sharding.NamedSharding:
    """The first axis of an array is shared out over the devices."""
    return jax.sharding.NamedSharding(mesh, jax.P(mesh.axis_names[0]))


def to_microbatches(x, size: int, mesh):
    """A split array [B, ...] as [k, n * size, ...], each piece split over the n devices as well.

    Every device cuts up its own part, so that nothing is sent.
    """
    cut = x.reshape(mesh.size, -1, size, *x.shape[1:]).swapaxes(0, 1)
    return _second(cut.reshape(cut.shape[0], -1, *x.shape[1:]), mesh)


def from_microbatches(x, mesh):
    """The array [B, ...] of which `pieces` has made x [k, n * size, ...]."""
    cut = _second(x, mesh).reshape(len(x), mesh.size, -1, *x.shape[2:]).swapaxes(0, 1)
    return jax.lax.with_sharding_constraint(cut.reshape(-1, *x.shape[2:]), sharded(mesh))


def _second(x, mesh):
    """Share out the second axis."""
    return jax.lax.with_sharding_constraint(
        x, jax.sharding.NamedSharding(mesh, jax.P(None, mesh.axis_names[0]))
    )


def place(tree, sharding):
    """Place a tree of host arrays, the same on every process, under one sharding."""

    def place(x):
        x = np.asarray(x)
        with jax.transfer_guard("allow"):  # this one is meant
            return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    return jax.tree.map(place, tree)


def call_collective(mesh, function, *arguments):
    """Call a jitted function whose programs have collectives over the mesh.

    On several CPU devices two things lock them in XLA, each device waiting for another one: a
    second such program under way at the same time, so the result is waited for; and a program that
    comes from the compilation cache, where the order of its collectives is lost, so this one is
    never kept there.
    """
    if mesh.size == 1 or mesh.devices.flat[0].platform != "cpu":
        return function(*arguments)
    name = "jax_persistent_cache_min_compile_time_secs"
    least = getattr(jax.config, name)
    jax.config.update(name, math.inf)
    try:
        return jax.block_until_ready(function(*arguments))
    finally:
        jax.config.update(name, least)


def local_rows(mesh, count: int) -> np.ndarray:
    """Which of `count` rows that are shared out over the devices lie on those of this process."""
    places = sharded(mesh).addressable_devices_indices_map((count,)).values()
    return np.unique(np.concatenate([np.arange(count)[index] for index in places]))


def from_local_rows(tree, mesh, count: int):
    """Global arrays of `count` rows, shared out over the devices, from each process's `mine`."""
    rows, sharding = local_rows(mesh, count), sharded(mesh)

    def place(x):
        def part(index):
            first = np.searchsorted(rows, index[0].start or 0)
            return x[first : first + count // mesh.size]

        with jax.transfer_guard("allow"):  # this one is meant
            return jax.make_array_from_callback((count, *x.shape[1:]), sharding, part)

    return jax.tree.map(place, tree)


def as_shapes(tree, sharding):
    """Shapes and dtypes of a tree with a sharding, to compile for it before it is there."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def to_host(tree):
    """Arrays of any sharding as NumPy arrays on this host; split ones are gathered."""

    def get(x):
        if x.is_fully_addressable or x.is_fully_replicated:
            return np.asarray(x)
        return np.asarray(jax.jit(lambda y: y, out_shardings=replicated(x.sharding.mesh))(x))

    return jax.tree.map(get, tree)
