"""Sensor-windows beyond memory: blocks of them on disk, an order that reads few, a reader.

A block is one record of an array_record file: up to BLOCK_SIZE sensor-windows of one subject,
column after column (COLUMNS), little-endian.  Since it is of one subject, leaving subjects out is
leaving blocks out, and one pack serves every seed.  What is known of the blocks without reading
them (`BlockTable`) lies beside them.
"""

import collections
import dataclasses
import functools
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import grain
import numpy as np
from array_record.python import array_record_module

from imujax.data import builders, datasets, sensor_windows, windows
from imujax.data.sensor_windows import SensorWindows
from imujax.runtime import files, log

BLOCK_SIZE = 256  # sensor-windows in a block: 0.8 MB at 128 samples
SHUFFLE_BLOCKS = 256  # blocks in a shuffle window
PREFETCH_THREADS, PREFETCH_BATCHES = 2, 4  # that prepare batches; batches prepared ahead
BLOCKS_FILE, TABLE_FILE = "blocks.array_record", "table.npz"
# The fields of sensor_windows.SensorWindows as they follow each other in a record.
COLUMNS = {"acc": "<f4", "gyr": "<f4", "start": "<f4"}
COLUMNS |= dict.fromkeys(("length", "window", "recording", "subject", "sensor"), "<i4")


@dataclasses.dataclass(frozen=True)
class BlockTable:
    """What is known of N blocks without reading them.

    Attributes
    ----------
    count : ndarray, [N]
        Sensor-windows in each.
    subject : ndarray, [N]
        Whose they are.
    shortest : ndarray, [N]
        The least valid samples among them.
    values : ndarray, [N]
        How many numbers of each modality are valid.
    mean, spread : ndarray, [N, 2], float64
        Their mean, and the sum of their squared deviations from it (acc, gyr; SI units).
    span : ndarray, []
        Samples L of a window as it is stored.
    dropped : ndarray, []
        Sensor-windows without motion.
    """

    count: np.ndarray
    subject: np.ndarray
    shortest: np.ndarray
    values: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    span: np.ndarray
    dropped: np.ndarray

    def input_scales(self, selected: np.ndarray) -> dict[str, dict[str, float]]:
        """scales.input_scales of the blocks `selected` [N] bool."""
        share = self.values[selected, None] / self.values[selected].sum()
        mean = (share * self.mean[selected]).sum(0)
        between = share * (self.mean[selected] - mean) ** 2
        variance = between.sum(0) + self.spread[selected].sum(0) / self.values[selected].sum()
        return {
            name: {"mean": float(mean[i]), "sd": float(np.sqrt(variance[i]))}
            for i, name in enumerate(("acc", "gyr"))
        }


def block_starts(subject: np.ndarray) -> np.ndarray:
    """Tell where blocks begin among samples: at a new subject, or after BLOCK_SIZE samples.

    Parameters
    ----------
    subject : ndarray, [M]
        Whose each sample is; the samples of a subject lie together.

    Returns
    -------
    ndarray, [N]
        Number of the first sample of each block.
    """
    edges = [0, *(np.flatnonzero(np.diff(subject)) + 1), len(subject)]
    runs = [np.arange(a, b, BLOCK_SIZE) for a, b in itertools.pairwise(edges)]
    return np.concatenate(runs)


def pack_blocks(paths: Sequence[pathlib.Path | str], config: Any) -> pathlib.Path:
    """Pack the sensor-windows of data sets into blocks, where that is not done yet.

    The folder of the blocks lies in that of the first data set and is named after what the data
    sets say of themselves and the settings; it appears when it is whole.  Processes that share a
    disk wait for the one that packs.

    Parameters
    ----------
    paths : sequence of Path or str
        Folders of the data sets.
    config : ConfigDict
        As of `sensor_windows.iter_sensor_windows`.

    Returns
    -------
    Path
        The folder of the blocks.

    Raises
    ------
    UserError
        Where a data set does not fit, or the disk is full.
    """
    sets = [datasets.read_metadata(path) for path in paths]
    for path, metadata in zip(paths, sets, strict=True):
        sensor_windows.require_rate_and_window(metadata, path, config.rate, config.window)
    contents = [sets, list(config.sensors), config.motion, BLOCK_SIZE]
    name = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]
    folder = pathlib.Path(paths[0]) / "blocks" / name
    total = sum(s["kept"] * len(config.sensors or s["sensors"]) for s in sets)
    with builders.explain_full_disk(folder.parent):
        folder.parent.mkdir(exist_ok=True)
        with builders.lock_folder(folder.parent, wait=True):
            if not folder.exists():
                pieces = sensor_windows.iter_sensor_windows(paths, config)
                _write_folder(folder, _show_progress(pieces, total))
    return folder


def _write_folder(folder: pathlib.Path, pieces: Iterable[tuple[SensorWindows, int]]):
    """Write the blocks under another name, and rename their folder when it is whole."""
    for leftover in folder.parent.glob("incomplete.*"):
        shutil.rmtree(leftover)
    part = folder.with_name(f"incomplete.{folder.name}")
    try:
        part.mkdir()
        write_blocks(part, pieces)
        os.rename(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _show_progress(
    pieces: Iterable[tuple[SensorWindows, int]], total: int
) -> Iterator[tuple[SensorWindows, int]]:
    """The same pieces, with a progress bar of `total` sensor-windows."""
    progress = log.Progress(total, "pack", "sensor-windows")
    for piece, dropped in pieces:
        yield piece, dropped
        progress.update(len(piece) + dropped)
    progress.close()


def write_blocks(folder: pathlib.Path, pieces: Iterable[tuple[SensorWindows, int]]):
    """Write samples into an empty folder, as blocks and their table.

    Parameters
    ----------
    folder : Path
    pieces : iterable of (SensorWindows, int)
        Samples, and how many were dropped; one piece at a time is in memory.
    """
    rows, span, total_dropped = [], 0, 0

    def count_dropped():
        nonlocal span, total_dropped
        for piece, dropped in pieces:
            span, total_dropped = piece.acc.shape[1], total_dropped + dropped
            yield piece

    path = str(folder / BLOCKS_FILE)
    writer = array_record_module.ArrayRecordWriter(path, "group_size:1,uncompressed")
    for block in _split_into_blocks(count_dropped()):
        columns = (np.asarray(getattr(block, name), dtype) for name, dtype in COLUMNS.items())
        writer.write(b"".join(column.tobytes() for column in columns))
        rows.append(_table_row(block))
    writer.close()
    names = rows[0] if rows else ()
    table: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in names}
    table |= {"span": span, "dropped": total_dropped}
    np.savez(folder / TABLE_FILE, **table)


def _split_into_blocks(pieces: Iterable[SensorWindows]) -> Iterator[SensorWindows]:
    pending = None
    for piece in pieces:
        pending = piece if pending is None else sensor_windows.concatenate([pending, piece])
        starts = block_starts(pending.subject)
        yield from (pending.take(slice(a, b)) for a, b in itertools.pairwise(starts))
        pending = pending.take(slice(starts[-1] if len(starts) else 0, None))  # it may go on
    if pending is not None and len(pending):
        yield pending


def _table_row(block: SensorWindows) -> dict[str, Any]:
    """What the table says of a block."""
    valid = windows.length_mask(block.length, block.acc.shape[1])
    pair = [values[valid].astype(np.float64) for values in (block.acc, block.gyr)]
    mean = [values.mean() for values in pair]
    return {
        "count": len(block),
        "subject": block.subject[0],
        "shortest": block.length.min(),
        "values": pair[0].size,
        "mean": mean,
        "spread": [((x - middle) ** 2).sum() for x, middle in zip(pair, mean, strict=True)],
    }


def read_table(folder: pathlib.Path) -> BlockTable:
    """Read what is known of the blocks of a folder.

    Parameters
    ----------
    folder : Path
        As `pack_blocks` returns it.

    Returns
    -------
    BlockTable

    Raises
    ------
    UserError
        Where it cannot be read.
    """
    with datasets.explain_damage(folder, "run"):
        return BlockTable(**files.read_npz(folder / TABLE_FILE))


class BlockOrder:
    """Which samples make up batch k: like WindowOrder a function of seed and step, but of blocks.

    An epoch permutes the blocks and takes `group` of them, or a few less, as a shuffle window,
    within which the samples are permuted.  The numbers of a batch ascend, so that whoever needs a
    part of it needs only a part of the blocks.

    Parameters
    ----------
    count : ndarray, [N]
        Samples in each block.
    batch : int
        Samples in a batch.
    seed : int
    group : int
        Blocks in a shuffle window, at most.
    """

    def __init__(self, count: np.ndarray, batch: int, seed: int, group: int = SHUFFLE_BLOCKS):
        self.count, self.batch, self.seed = np.asarray(count, np.int64), batch, seed
        self.first = np.cumsum(self.count) - self.count
        self.window_count = -(-len(self.count) // group)
        self.epoch = functools.lru_cache(maxsize=2)(self._permute_blocks)
        self.window = functools.lru_cache(maxsize=3)(self._permute_window)

    def _permute_blocks(self, epoch: int) -> tuple[list[np.ndarray], np.ndarray]:
        """The blocks of each shuffle window, and the end of each in samples."""
        blocks = np.random.default_rng([self.seed, 3, epoch]).permutation(len(self.count))
        groups = np.array_split(blocks, self.window_count)
        return groups, np.cumsum([self.count[group].sum() for group in groups])

    def _permute_window(self, epoch: int, number: int) -> np.ndarray:
        """The samples of shuffle window `number` of an epoch, permuted."""
        blocks = np.sort(self.epoch(epoch)[0][number])
        samples = [self.first[b] + np.arange(int(self.count[b])) for b in blocks]
        rng = np.random.default_rng([self.seed, 4, epoch, number])
        return rng.permutation(np.concatenate(samples))

    def rows(self, step: int) -> np.ndarray:
        """The sample numbers of batch `step`, ascending -> [B] int64."""
        first, missing, parts = step * self.batch, self.batch, []
        while missing:
            epoch, place = divmod(first, int(self.count.sum()))
            ends = self.epoch(epoch)[1]
            number = int(np.searchsorted(ends, place, side="right"))
            place -= int(ends[number - 1]) if number else 0
            parts.append(self.window(epoch, number)[place : place + missing])
            first, missing = first + len(parts[-1]), missing - len(parts[-1])
        return np.sort(np.concatenate(parts))


class BlockReader:
    """Samples of some blocks of a folder, numbered through; may be used by several threads.

    Parameters
    ----------
    folder : Path
        As `pack_blocks` returns it.
    table : BlockTable
        Of that folder.
    selected : ndarray, [N], bool
        Which blocks.
    cache_size : int
        So many blocks, those that were used last, stay in memory.

    Raises
    ------
    UserError
        Where the blocks cannot be read.
    """

    def __init__(
        self, folder: pathlib.Path, table: BlockTable, selected: np.ndarray, cache_size: int
    ):
        self.folder, self.span, self.cache_size = folder, int(table.span), cache_size
        self.record, self.count = np.flatnonzero(selected), table.count[selected]
        self.first = np.cumsum(self.count) - self.count
        self.blocks: collections.OrderedDict[int, dict] = collections.OrderedDict()
        self.lock = threading.Lock()
        with self._explain_damage():
            self.file = array_record_module.ArrayRecordReader(
                str(folder / BLOCKS_FILE), "readahead_buffer_size:0"
            )

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Samples `rows` [B], which must ascend -> the fields of SensorWindows [B, ...]."""
        owner = np.searchsorted(self.first, rows, side="right") - 1
        numbers, begin = np.unique(owner, return_index=True)
        shapes = self._shapes(len(rows))
        out = {name: np.empty(shape, COLUMNS[name]) for name, shape in shapes.items()}
        ends = [*begin[1:], len(rows)]
        blocks = self._read_blocks(numbers)
        for number, block, a, b in zip(numbers, blocks, begin, ends, strict=True):
            inside = rows[a:b] - self.first[number]
            for name, values in block.items():
                np.take(values, inside, axis=0, out=out[name][a:b], mode="clip")  # no copy between
        return out

    def _shapes(self, count: int) -> dict[str, tuple]:
        return {
            name: (count, self.span, 3) if name in ("acc", "gyr") else (count,) for name in COLUMNS
        }

    def _read_blocks(self, numbers: np.ndarray) -> list[dict]:
        """The blocks of these numbers; what several threads need is read once."""
        with self.lock:
            missing = [number for number in numbers if number not in self.blocks]
            if missing:
                with self._explain_damage():
                    records = self.file.read(self.record[missing].tolist())
                    for number, record in zip(missing, records, strict=True):
                        self.blocks[number] = self._decode(record, int(self.count[number]))
            for number in numbers:
                self.blocks.move_to_end(number)
            blocks = [self.blocks[number] for number in numbers]
            while len(self.blocks) > self.cache_size:
                self.blocks.popitem(last=False)
        return blocks

    def _decode(self, record: bytes, count: int) -> dict[str, np.ndarray]:
        """One record as arrays, not copied."""
        arrays, offset = {}, 0
        for name, shape in self._shapes(count).items():
            size = int(np.prod(shape))
            arrays[name] = np.frombuffer(record, COLUMNS[name], size, offset).reshape(shape)
            offset += 4 * size
        return arrays

    def _explain_damage(self):
        return datasets.explain_damage(self.folder, "run")


class BatchReader:
    """Batch after batch of a reader, prepared ahead by threads; the step is all there is to store.

    Parameters
    ----------
    reader : BlockReader
    order : BlockOrder
        Over the reader's samples.
    local_rows : ndarray
        Which rows of a batch this process needs, ascending.
    steps : int
        Where the training ends.
    """

    def __init__(self, reader: BlockReader, order: BlockOrder, local_rows: np.ndarray, steps: int):
        self.reader, self.order, self.local_rows, self.steps = reader, order, local_rows, steps
        self.next_step = -1  # none yet
        self.batches = iter(())

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        """This process's rows of batch `step` -> the fields of SensorWindows."""
        if step != self.next_step:
            steps = grain.MapDataset.range(step, self.steps).map(self._read_batch)
            options = grain.ReadOptions(PREFETCH_THREADS, PREFETCH_BATCHES)
            self.batches = iter(steps.to_iter_dataset(options))
        self.next_step = step + 1
        return next(self.batches)

    def _read_batch(self, step: int) -> dict[str, np.ndarray]:
        return self.reader.take(self.order.rows(int(step))[self.local_rows])
