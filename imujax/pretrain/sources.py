"""Where the batches of pre-training come from: the device, the disk, or a simulation.

Whatever the source, batch k is a function of the seed and k.
"""

import functools
import math
import pathlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from imujax.data import blocks, datasets, scales, sensor_windows
from imujax.errors import UserError
from imujax.runtime import sharding
from imujax.simulate import forces, stream

# Keep the keys of the simulated people apart from those of the steps.
STREAM_KEY, FORCES_KEY = 8, 9
MONITOR_WINDOWS = 4096  # sensor-windows that the monitor looks at, at most


class BatchSource(NamedTuple):
    """Where batches come from.

    Attributes
    ----------
    batch : function of a step
        Sensor-windows on the device {acc, gyr [M, L, 3], length and ids [M]}, and the rows [B] of
        those to take, None for all.
    batches : function of a step and a count, or None
        The same for so many steps with rows [n, B]; None where the steps do not share their
        sensor-windows.
    monitor_batch : tuple
        A batch for the monitor, as of `batch`.
    full : bool
        Whether every window is whole.
    scale : dict
        Means and SDs of the input, see data/scales.input_scales.
    counts : dict of int
        How many samples there are, and how many were dropped.
    sensors : set of str
        Their names.
    """

    batch: Callable[[int], tuple[dict[str, jax.Array], jax.Array | None]]
    batches: Callable[[int, int], tuple[dict[str, jax.Array], jax.Array]] | None
    monitor_batch: tuple[dict[str, jax.Array], jax.Array | None]
    full: bool
    scale: dict[str, dict[str, float]]
    counts: dict[str, int]
    sensors: set[str]


def make_source(
    config: ConfigDict,
    paths: Sequence[pathlib.Path | str],
    seed: int,
    mesh: jax.sharding.Mesh,
    without: Collection[str] = (),
) -> BatchSource:
    """Make the source that an encoder's section asks for.

    Parameters
    ----------
    config : ConfigDict
        An encoder's section of a configuration.
    paths : sequence of Path
        Folders of the data sets; empty where the section has `stream`.
    seed : int
        Of the order of the batches, of the subjects held out for the monitor and of the simulation.
    mesh : jax.sharding.Mesh
        What is resident is replicated over it, what is read from the disk is shared out.
    without : collection of str
        Subjects of whom nothing is taken.

    Returns
    -------
    BatchSource

    Raises
    ------
    UserError
        The data sets do not fit, or are smaller than a batch.
    """
    if "stream" in config:
        source = simulated_source(config, seed, mesh)
    else:
        make = resident_source if config.resident else disk_source
        source = make(config, paths, seed, mesh, without)
    if "forces" in (config.loss, *config.beside):
        return _with_forces(source, config, seed, mesh)
    return source


def resident_source(config, paths, seed: int, mesh, without: Collection[str] = ()) -> BatchSource:
    """The data sets at `paths`, kept on the device; some subjects are held out for the monitor."""
    samples, counts = sensor_windows.load_sensor_windows(paths, config)
    if without:
        samples = samples.take(~sensor_windows.subject_mask(samples.subject, paths, without))
        counts = counts | {"samples": len(samples)}
    held_out = sensor_windows.monitor_mask(samples.subject, config.monitor, seed)
    watched = held_out if held_out.any() else ~held_out
    training, monitored = samples.take(~held_out), samples.take(watched)
    _require_full_batch(len(training), config, paths)

    def make_order(mask, batch):
        if config.order == "windows":
            return sensor_windows.WindowOrder(samples.window[mask], batch, seed, config.grouped)
        begin = blocks.block_starts(samples.subject)
        count = np.diff(begin, append=len(samples))
        return blocks.BlockOrder(count[mask[begin]], batch, seed)

    count = min(config.batch, MONITOR_WINDOWS, len(monitored))
    place = functools.partial(sharding.place, sharding=sharding.replicated(mesh))
    data, monitor_data = (place(vars(part)) for part in (training, monitored))
    order = make_order(~held_out, config.batch)

    def step_rows(first: int, count: int) -> np.ndarray:
        return np.stack([order.rows(first + k) for k in range(count)]).astype(np.int32)

    return BatchSource(
        batch=lambda step: (data, place(step_rows(step, 1)[0])),
        batches=lambda step, count: (data, place(step_rows(step, count))),
        monitor_batch=(monitor_data, place(make_order(watched, count).rows(0).astype(np.int32))),
        full=bool((samples.length >= config.window).all()),
        scale=scales.input_scales(training.acc, training.gyr, training.length),
        counts=counts,
        sensors=_sensor_names(paths),
    )


def disk_source(config, paths, seed: int, mesh, without: Collection[str] = ()) -> BatchSource:
    """The data sets at `paths`, read from the disk batch by batch; every process reads its part.

    The same batches as those of `resident_source` in the order "blocks", to the last bit.
    """
    folder = blocks.pack_blocks(paths, config)
    table = blocks.read_table(folder)
    used = ~sensor_windows.subject_mask(table.subject, paths, without)
    held_out = np.zeros_like(used)
    held_out[used] = sensor_windows.monitor_mask(table.subject[used], config.monitor, seed)
    training = used & ~held_out
    watched = held_out if held_out.any() else used
    _require_full_batch(table.count[training].sum(), config, paths)
    rows = sharding.local_rows(mesh, config.batch)
    # A batch may end one shuffle window and begin the next; its parts' edges move a little.
    cache = 2 * math.ceil(blocks.SHUFFLE_BLOCKS * len(rows) / config.batch) + 8
    reader = blocks.BlockReader(folder, table, training, cache)
    order = blocks.BlockOrder(table.count[training], config.batch, seed)
    batches = blocks.BatchReader(reader, order, rows, config.steps)
    count = min(config.batch, MONITOR_WINDOWS, int(table.count[watched].sum()))
    monitored = blocks.BlockReader(folder, table, watched, cache).take(
        blocks.BlockOrder(table.count[watched], count, seed).rows(0)
    )
    return BatchSource(
        batch=lambda step: (sharding.from_local_rows(batches(step), mesh, config.batch), None),
        batches=None,
        monitor_batch=(sharding.place(monitored, sharding.replicated(mesh)), None),
        full=bool((table.shortest[used] >= config.window).all()),
        scale=table.input_scales(training),
        counts={
            "samples": int(table.count[used].sum()),
            "dropped without motion": int(table.dropped),
        },
        sensors=_sensor_names(paths),
    )


def _require_full_batch(count: int, config, paths):
    if count < config.batch:
        raise UserError(
            f"a batch of {config.batch} is larger than the {count} sensor-windows of "
            f"{', '.join(map(str, paths))}; lower batch"
        )


def _sensor_names(paths) -> set[str]:
    return {sensor for path in paths for sensor in datasets.read_metadata(path)["sensors"]}


def simulated_source(config, seed: int, mesh) -> BatchSource:
    """People without end: each step has its own, and so has the monitor."""
    make_batch = stream.compile_batch(config, sharding.replicated(mesh))
    place = functools.partial(sharding.place, sharding=sharding.replicated(mesh))

    @functools.partial(jax.jit, out_shardings=sharding.replicated(mesh))
    def stream_key(number):
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), STREAM_KEY), number)

    def simulate_batch(number: int) -> dict[str, Any]:
        return make_batch(stream_key(place(np.uint32(number))))

    monitored = simulate_batch(0)
    return BatchSource(
        batch=lambda step: (simulate_batch(step + 1), None),
        batches=None,
        monitor_batch=(monitored, None),
        full=True,
        scale={
            name: {"mean": float(monitored[name].mean()), "sd": float(monitored[name].std())}
            for name in ("acc", "gyr")
        },
        counts={},
        sensors=set(stream.settings(config.stream.to_dict())["sensors"]),
    )


def _with_forces(source: BatchSource, config, seed: int, mesh) -> BatchSource:
    """The same source with simulated windows beside it, as the part `simulated` of its data.

    They are made once; the monitor's are of people whom no step sees.
    """
    wanted, options = config.simulated, forces.settings(config.simulated.people.to_dict())
    of_person = options["windows"] * len(options["sensors"])
    key = jax.random.fold_in(jax.random.key(seed), FORCES_KEY)
    count = wanted.windows + of_person + wanted.batch
    made = forces.simulate_windows(key, options, count, config.rate, config.window)
    trained = made["forces"][: wanted.windows]
    mean, sd = (f(trained, axis=(0, 1), dtype=np.float64) for f in (np.mean, np.std))
    made["forces"] = ((made["forces"] - mean) / sd).astype(np.float32)
    made["length"] = np.full(count, config.window, np.int32)
    place = functools.partial(sharding.place, sharding=sharding.replicated(mesh))
    pool, watched = (
        place({name: x[part] for name, x in made.items()})
        for part in (slice(wanted.windows), slice(-wanted.batch, None))
    )

    def batch(step):
        data, rows = source.batch(step)
        return data | {forces.PART: pool}, rows

    def batches(first, count):
        assert source.batches is not None
        data, rows = source.batches(first, count)
        return data | {forces.PART: pool}, rows

    data, rows = source.monitor_batch
    return source._replace(
        batch=batch,
        batches=None if source.batches is None else batches,
        monitor_batch=(data | {forces.PART: watched}, rows),
        counts=source.counts | {"simulated, for forces": wanted.windows},
    )
