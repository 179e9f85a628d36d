"""Devices and placing: the only file in which shardings are made.

Two meshes, each of one axis: "data" for pre-training (the batch is sharded, the state replicated)
and "run" for sweeps (every device trains runs of its own).
"""

import contextlib
import contextvars
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

if "force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
    # Virtual CPU devices wait for each other in collectives; with as few threads as cores they
    # lock. XLA reads the size of its pool from here.
    os.environ.setdefault("NPROC", "64")

_platform: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)


def make_mesh(axis: str, devices: int | None = None) -> jax.sharding.Mesh:
    """Put the first devices into a mesh of one axis.

    Parameters
    ----------
    axis : str
        "data" for pre-training, "run" for sweeps.
    devices : int, optional
        How many devices; all by default.

    Returns
    -------
    jax.sharding.Mesh
    """
    members = jax.devices()[:devices]
    auto = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((len(members),), (axis,), devices=members, axis_types=auto)


def replicated(mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
    """Sharding under which every device holds the whole array.

    Parameters
    ----------
    mesh : jax.sharding.Mesh

    Returns
    -------
    jax.sharding.NamedSharding
    """
    return jax.sharding.NamedSharding(mesh, jax.P())


def sharded(mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
    """Sharding under which the first axis of an array is shared out over the devices.

    Parameters
    ----------
    mesh : jax.sharding.Mesh

    Returns
    -------
    jax.sharding.NamedSharding
    """
    return jax.sharding.NamedSharding(mesh, jax.P(mesh.axis_names[0]))


def map_rows(
    function: Callable[[Any, Any], tuple[Any, Any]], mesh: jax.sharding.Mesh
) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Let every device do its own rows, and nothing be sent but gradients of what they share.

    Parameters
    ----------
    function : Callable
        Of arrays that all devices have, and of arrays [n, ...] that are shared out, to such ones,
        and to ones that come out alike on all devices. What it sends itself goes over
        `mapped_axis`.
    mesh : jax.sharding.Mesh
        Of the axis "data".

    Returns
    -------
    Callable
        The same of whole arrays.
    """
    own, every = jax.P("data"), jax.P()
    return jax.shard_map(
        function, mesh=mesh, in_specs=(every, own), out_specs=(own, every), check_vma=False
    )


def mapped_axis() -> str | None:
    """The axis of the mesh over which `map_rows` shares out the rows here; None outside of it."""
    return "data" if "data" in jax.sharding.get_abstract_mesh().manual_axes else None


def place(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    """Place a tree of host arrays, the same on every process, under one sharding.

    Parameters
    ----------
    tree : pytree of array_like
    sharding : jax.sharding.Sharding

    Returns
    -------
    pytree of jax.Array
    """

    def place_array(x):
        x = np.asarray(x)
        with jax.transfer_guard("allow"):  # this one is meant
            return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])

    return jax.tree.map(place_array, tree)


def call_collective(mesh: jax.sharding.Mesh, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a jitted function whose programs have collectives over the mesh.

    On several CPU devices two things lock them in XLA, each device waiting for another one: a
    second such program under way at the same time, so the result is waited for; and a program that
    comes from the compilation cache, where the order of its collectives is lost, so this one is
    never kept there.

    Parameters
    ----------
    mesh : jax.sharding.Mesh
    function : Callable
        Jitted.
    *arguments
        Those of `function`.

    Returns
    -------
    Any
        What `function` returns.
    """
    if mesh.size == 1 or mesh.devices.flat[0].platform != "cpu":
        return function(*arguments)
    with not_cached():
        return jax.block_until_ready(function(*arguments))


def target_platform() -> str:
    """What programs are made for: what is here, or as `made_for` says; "cpu" or another one."""
    return _platform.get() or jax.default_backend()


@contextlib.contextmanager
def made_for(platform: str) -> Iterator[None]:
    """Make programs for devices of a platform that is not here."""
    token = _platform.set(platform)
    try:
        yield
    finally:
        _platform.reset(token)


@contextlib.contextmanager
def not_cached() -> Iterator[None]:
    """Keep what is compiled out of the compilation cache: what could not be read from there."""
    name = "jax_persistent_cache_min_compile_time_secs"
    seconds = getattr(jax.config, name)
    jax.config.update(name, math.inf)
    try:
        yield
    finally:
        jax.config.update(name, seconds)


def local_rows(mesh: jax.sharding.Mesh, count: int) -> np.ndarray:
    """Which rows of a sharded array lie on the devices of this process.

    Parameters
    ----------
    mesh : jax.sharding.Mesh
    count : int
        Rows of the whole array, a multiple of the number of devices.

    Returns
    -------
    np.ndarray
        Ascending row numbers.
    """
    slices = sharded(mesh).addressable_devices_indices_map((count,)).values()
    return np.unique(np.concatenate([np.arange(count)[index] for index in slices]))


def from_local_rows(tree: Any, mesh: jax.sharding.Mesh, count: int) -> Any:
    """Make global arrays of which each process gives the rows that `local_rows` names.

    Parameters
    ----------
    tree : pytree of np.ndarray, [len(local_rows(mesh, count)), ...]
        This process's rows.
    mesh : jax.sharding.Mesh
    count : int
        Rows of the global arrays.

    Returns
    -------
    pytree of jax.Array, [count, ...]
        The first axis is shared out over the devices.
    """
    rows, sharding = local_rows(mesh, count), sharded(mesh)

    def place_rows(x):
        def part(index):
            first = np.searchsorted(rows, index[0].start or 0)
            return x[first : first + count // mesh.size]

        with jax.transfer_guard("allow"):  # this one is meant
            return jax.make_array_from_callback((count, *x.shape[1:]), sharding, part)

    return jax.tree.map(place_rows, tree)


def is_too_large(error: Exception) -> bool:
    """Say whether what a compiler says is that a program does not fit the memory.

    Parameters
    ----------
    error : Exception

    Returns
    -------
    bool
    """
    words = ("RESOURCE_EXHAUSTED", "Ran out of memory", "out of memory")
    return any(word in str(error) for word in words)


def as_shapes(tree: Any, sharding: jax.sharding.Sharding) -> Any:
    """Describe a tree by shapes, dtypes and a sharding, to compile for it before it is there.

    Parameters
    ----------
    tree : pytree of arrays
        Or of what has a shape and a dtype.
    sharding : jax.sharding.Sharding

    Returns
    -------
    pytree of jax.ShapeDtypeStruct
    """
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def to_host(tree: Any) -> Any:
    """Fetch arrays of any sharding to this host; those that are shared out are gathered.

    Parameters
    ----------
    tree : pytree of jax.Array

    Returns
    -------
    pytree of np.ndarray
    """

    def fetch(x):
        if x.is_fully_addressable or x.is_fully_replicated:
            return np.asarray(x)
        return np.asarray(jax.jit(lambda y: y, out_shardings=replicated(x.sharding.mesh))(x))

    return jax.tree.map(fetch, tree)
