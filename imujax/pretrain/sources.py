"""Where the batches of pre-training come from: the device, the disk, or a simulation.

Whatever the source, batch k is a function of the seed and k.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from imujax.data import blocks, datasets, scales, sensor_windows
from imujax.errors import UserError
from imujax.runtime import sharding

STREAM_KEY = 8  # keeps the keys of the simulated people apart from those of the steps
MONITOR_WINDOWS = 4096  # sensor-windows that the monitor looks at, at most


class BatchSource(NamedTuple):
    """Where batches come from.

    batch: of a step, sensor-windows on the device {acc, gyr [M, L, 3], length and ids [M]} and the
    numbers [B] of those to take, None for all; batches: of a step and so many, the same with
    numbers [n, B], None where the steps do not share their sensor-windows; watch: a batch for the
    monitor; full: whether every window is whole; scale, counts, sensors: for the checkpoint's card.
    """

    batch: Callable[[int], tuple[dict, jax.Array | None]]
    batches: Callable[[int, int], tuple[dict, jax.Array]] | None
    watch: tuple[dict, jax.Array | None]
    full: bool
    scale: dict
    counts: dict
    sensors: set[str]


def make_source(config, paths, seed: int, where) -> BatchSource:
    """The source that an encoder's section asks for; where: the mesh.

    UserError where the data sets at `paths` do not fit, or are smaller than a batch.
    """
    if "stream" in config:
        return simulated_source(config, seed, where)
    return (resident_source if config.resident else disk_source)(config, paths, seed, where)


def resident_source(config, paths, seed: int, where) -> BatchSource:
    """The data sets at `paths`, kept on the device; some subjects are held out for the monitor."""
    every, counts = sensor_windows.load_sensor_windows(paths, config)
    held = sensor_windows.monitor_mask(every.subject, config.monitor, seed)
    watched = held if held.any() else ~held
    ours, watch = every.take(~held), every.take(watched)
    _enough(len(ours), config, paths)

    def order(mask, batch):
        if config.order == "windows":
            return sensor_windows.WindowOrder(every.window[mask], batch, seed, config.grouped)
        begin = blocks.block_starts(every.subject)
        count = np.diff(begin, append=len(every))
        return blocks.BlockOrder(count[mask[begin]], batch, seed)

    count = min(config.batch, MONITOR_WINDOWS, len(watch))
    put = functools.partial(sharding.place, sharding=sharding.replicated(where))
    data, watch_data = (put(vars(part)) for part in (ours, watch))
    chosen = order(~held, config.batch)

    def numbers(first: int, count: int) -> np.ndarray:
        return np.stack([chosen.rows(first + k) for k in range(count)]).astype(np.int32)

    return BatchSource(
        batch=lambda step: (data, put(numbers(step, 1)[0])),
        batches=lambda step, count: (data, put(numbers(step, count))),
        watch=(watch_data, put(order(watched, count).rows(0).astype(np.int32))),
        full=bool((every.length >= config.window).all()),
        scale=scales.input_scales(ours.acc, ours.gyr, ours.length),
        counts=counts,
        sensors=_sensors(paths),
    )


def disk_source(config, paths, seed: int, where) -> BatchSource:
    """The data sets at `paths`, read from the disk batch by batch; every process reads its part.

    The same batches as those of `stored` in the order "blocks", to the last bit.
    """
    folder = blocks.pack_blocks(paths, config)
    known = blocks.read_table(folder)
    held = sensor_windows.monitor_mask(known.subject, config.monitor, seed)
    watched = held if held.any() else ~held
    _enough(known.count[~held].sum(), config, paths)
    rows = sharding.local_rows(where, config.batch)
    # A batch may end one shuffle window and begin the next; its parts' edges move a little.
    cache = 2 * math.ceil(blocks.SHUFFLE_BLOCKS * len(rows) / config.batch) + 8
    reader = blocks.BlockReader(folder, known, ~held, cache)
    order = blocks.BlockOrder(known.count[~held], config.batch, seed)
    batches = blocks.BatchReader(reader, order, rows, config.steps)
    count = min(config.batch, MONITOR_WINDOWS, int(known.count[watched].sum()))
    watch = blocks.BlockReader(folder, known, watched, cache).take(
        blocks.BlockOrder(known.count[watched], count, seed).rows(0)
    )
    return BatchSource(
        batch=lambda step: (sharding.from_local_rows(batches(step), where, config.batch), None),
        batches=None,
        watch=(sharding.place(watch, sharding.replicated(where)), None),
        full=bool((known.shortest >= config.window).all()),
        scale=known.scales(~held),
        counts={
            "samples": int(known.count.sum()),
            "dropped without motion": int(known.dropped),
        },
        sensors=_sensors(paths),
    )


def _enough(count: int, config, paths):
    if count < config.batch:
        raise UserError(
            f"a batch of {config.batch} is larger than the {count} sensor-windows of "
            f"{', '.join(map(str, paths))}; lower batch"
        )


def _sensors(paths) -> set[str]:
    return {sensor for path in paths for sensor in datasets.read_metadata(path)["sensors"]}


def simulated_source(config, seed: int, where) -> BatchSource:
    """People without end: each step has its own, and so has the monitor."""
    from imujax.simulate import stream

    make = stream.compile_batch(config, sharding.replicated(where))
    put = functools.partial(sharding.place, sharding=sharding.replicated(where))

    @functools.partial(jax.jit, out_shardings=sharding.replicated(where))
    def key(number):
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), STREAM_KEY), number)

    def people(number: int):
        return make(key(put(np.uint32(number))))

    watch = people(0)
    return BatchSource(
        batch=lambda step: (people(step + 1), None),
        batches=None,
        watch=(watch, None),
        full=True,
        scale={
            name: {"mean": float(watch[name].mean()), "sd": float(watch[name].std())}
            for name in ("acc", "gyr")
        },
        counts={},
        sensors=set(stream.settings(config.stream.to_dict())["sensors"]),
    )
