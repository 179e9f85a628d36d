"""Sensor-windows beyond memory: blocks of them on disk, an order that reads few, a reader.

A block is one record of an array_record file: up to SIZE sensor-windows of one subject, column
after column (COLUMNS), little-endian.  Since it is of one subject, leaving subjects out is leaving
blocks out, and one pack serves every seed.  What is known of the blocks without reading them
(`Table`) lies beside them.
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
from collections.abc import Iterable, Iterator

import grain
import numpy as np
from array_record.python import array_record_module

from imujax.data import datasets, sensor_windows, windows
from imujax.runtime import log

BLOCK_SIZE = 256  # sensor-windows in a block: 0.8 MB at 128 samples
SHUFFLE_BLOCKS = 256  # blocks in a shuffle window
THREADS, AHEAD = 2, 4  # that prepare batches; batches prepared ahead
FILE, TABLE = "blocks.array_record", "table.npz"
# The fields of sensor_windows.SensorWindows as they follow each other in a record.
COLUMNS = {"acc": "<f4", "gyr": "<f4", "start": "<f4"}
COLUMNS |= dict.fromkeys(("length", "window", "recording", "subject", "sensor"), "<i4")


@dataclasses.dataclass(frozen=True)
class BlockTable:
    """What is known of N blocks.

    count [N] sensor-windows in each, subject [N] whose they are, shortest [N] the least valid
    samples among them; values [N] how many numbers of each modality are valid, mean, spread [N, 2]
    their mean and the sum of their squared deviations from it (acc, gyr; SI units, float64);
    span [] samples L of a window as it is stored; dropped [] sensor-windows without motion.
    """

    count: np.ndarray
    subject: np.ndarray
    shortest: np.ndarray
    values: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    span: np.ndarray
    dropped: np.ndarray

    def scales(self, kept: np.ndarray) -> dict:
        """scales.input_scales of the blocks `kept` [N] bool."""
        share = self.values[kept, None] / self.values[kept].sum()
        mean = (share * self.mean[kept]).sum(0)
        apart = share * (self.mean[kept] - mean) ** 2
        variance = apart.sum(0) + self.spread[kept].sum(0) / self.values[kept].sum()
        return {
            name: {"mean": float(mean[i]), "sd": float(np.sqrt(variance[i]))}
            for i, name in enumerate(("acc", "gyr"))
        }


def block_starts(subject: np.ndarray) -> np.ndarray:
    """Where blocks begin among samples of these subjects [M]: at a new subject, or after SIZE."""
    edges = [0, *(np.flatnonzero(np.diff(subject)) + 1), len(subject)]
    runs = [np.arange(a, b, BLOCK_SIZE) for a, b in itertools.pairwise(edges)]
    return np.concatenate(runs)


def pack_blocks(paths, config) -> pathlib.Path:
    """The folder of the blocks of these data sets, packed where it is not there yet.

    config: as of sensor_windows.iter_sensor_windows.  The folder lies in that of the first data set and is named after
    what the data sets say of themselves and the settings; it appears when it is whole.  Processes
    that share a disk wait for the one that packs.  Raises UserError where a set does not fit, or
    the disk is full.
    """
    sets = [datasets.read_metadata(path) for path in paths]
    for path, about in zip(paths, sets, strict=True):
        sensor_windows.require_rate_and_window(about, path, config.rate, config.window)
    told = [sets, list(config.sensors), config.motion, BLOCK_SIZE]
    name = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    folder = pathlib.Path(paths[0]) / "blocks" / name
    with datasets.explain_full_disk(folder.parent):
        folder.parent.mkdir(exist_ok=True)
        with datasets.lock_folder(folder.parent, wait=True):
            if not folder.exists():
                for left in folder.parent.glob("incomplete.*"):
                    shutil.rmtree(left)
                part = folder.with_name(f"incomplete.{name}")
                try:
                    part.mkdir()
                    total = sum(a["kept"] * len(config.sensors or a["sensors"]) for a in sets)
                    write_blocks(
                        part, _told(sensor_windows.iter_sensor_windows(paths, config), total)
                    )
                    os.rename(part, folder)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
    return folder


def _told(pieces, total: int):
    """The same pieces, with a progress bar of `total` sensor-windows."""
    progress = log.Progress(total, "pack", "sensor-windows")
    for piece, dropped in pieces:
        yield piece, dropped
        progress.update(len(piece) + dropped)
    progress.close()


def write_blocks(folder: pathlib.Path, pieces: Iterable[tuple[sensor_windows.SensorWindows, int]]):
    """Write the samples of the pieces, (samples, how many were dropped), into an empty folder."""
    known, span, dropped = [], 0, 0

    def counted():
        nonlocal span, dropped
        for piece, without in pieces:
            span, dropped = piece.acc.shape[1], dropped + without
            yield piece

    writer = array_record_module.ArrayRecordWriter(str(folder / FILE), "group_size:1,uncompressed")
    for block in _cut(counted()):
        columns = (np.asarray(getattr(block, name), kind) for name, kind in COLUMNS.items())
        writer.write(b"".join(column.tobytes() for column in columns))
        known.append(_known(block))
    writer.close()
    columns = {name: np.array([row[name] for row in known]) for name in known[0]} if known else {}
    np.savez(folder / TABLE, **columns, span=span, dropped=dropped)


def _cut(pieces: Iterable[sensor_windows.SensorWindows]) -> Iterator[sensor_windows.SensorWindows]:
    rest = None
    for piece in pieces:
        rest = piece if rest is None else sensor_windows.concatenate([rest, piece])
        begin = block_starts(rest.subject)
        yield from (rest.take(slice(a, b)) for a, b in itertools.pairwise(begin))
        rest = rest.take(slice(begin[-1] if len(begin) else 0, None))  # it may go on
    if rest is not None and len(rest):
        yield rest


def _known(block: sensor_windows.SensorWindows) -> dict:
    """One row of the table."""
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
    """What is known of the blocks of a folder; UserError where it cannot be read."""
    with (
        datasets.explain_damage(folder, "run"),
        np.load(folder / TABLE, allow_pickle=False) as kept,
    ):
        return BlockTable(**{name: kept[name] for name in kept.files})


class BlockOrder:
    """Which samples make up batch k: like sensor_windows.WindowOrder a function of seed and step, but of blocks.

    count [N]: samples in each block.  An epoch permutes the blocks and takes `group` of them, or a
    few less, as a shuffle window, within which the samples are permuted.  The numbers of a batch
    ascend, so that whoever needs a part of it needs only a part of the blocks.
    """

    def __init__(self, count: np.ndarray, batch: int, seed: int, group: int = SHUFFLE_BLOCKS):
        self.count, self.batch, self.seed = np.asarray(count, np.int64), batch, seed
        self.first = np.cumsum(self.count) - self.count
        self.windows = -(-len(self.count) // group)
        self.epoch = functools.lru_cache(maxsize=2)(self._epoch)
        self.window = functools.lru_cache(maxsize=3)(self._window)

    def _epoch(self, number: int) -> tuple[list[np.ndarray], np.ndarray]:
        """The blocks of each shuffle window, and the end of each in samples."""
        blocks = np.random.default_rng([self.seed, 3, number]).permutation(len(self.count))
        parts = np.array_split(blocks, self.windows)
        return parts, np.cumsum([self.count[part].sum() for part in parts])

    def _window(self, number: int, at: int) -> np.ndarray:
        """The samples of shuffle window `at` of epoch `number`, permuted."""
        blocks = np.sort(self.epoch(number)[0][at])
        inside = [np.arange(self.first[b], self.first[b] + self.count[b]) for b in blocks]
        rng = np.random.default_rng([self.seed, 4, number, at])
        return rng.permutation(np.concatenate(inside))

    def rows(self, step: int) -> np.ndarray:
        """The sample numbers of batch `step`, ascending -> [B] int64."""
        first, missing, found = step * self.batch, self.batch, []
        while missing:
            number, place = divmod(first, int(self.count.sum()))
            ends = self.epoch(number)[1]
            at = int(np.searchsorted(ends, place, side="right"))
            place -= int(ends[at - 1]) if at else 0
            found.append(self.window(number, at)[place : place + missing])
            first, missing = first + len(found[-1]), missing - len(found[-1])
        return np.sort(np.concatenate(found))


class BlockReader:
    """Samples of the blocks `kept` [N] bool of a folder, numbered through; from several threads.

    The `cache` blocks that were used last stay in memory.
    """

    def __init__(self, folder: pathlib.Path, known: BlockTable, kept: np.ndarray, cache: int):
        self.folder, self.span, self.cache = folder, int(known.span), cache
        self.record, self.count = np.flatnonzero(kept), known.count[kept]
        self.first = np.cumsum(self.count) - self.count
        self.blocks: collections.OrderedDict[int, dict] = collections.OrderedDict()
        self.lock = threading.Lock()
        with self._readable():
            self.file = array_record_module.ArrayRecordReader(
                str(folder / FILE), "readahead_buffer_size:0"
            )

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Samples `rows` [B], which must ascend -> the fields of sensor_windows.SensorWindows [B, ...]."""
        which = np.searchsorted(self.first, rows, side="right") - 1
        numbers, begin = np.unique(which, return_index=True)
        shapes = self._shapes(len(rows))
        out = {name: np.empty(shape, COLUMNS[name]) for name, shape in shapes.items()}
        ends = [*begin[1:], len(rows)]
        for number, block, a, b in zip(numbers, self._read(numbers), begin, ends, strict=True):
            inside = rows[a:b] - self.first[number]
            for name, values in block.items():
                np.take(values, inside, axis=0, out=out[name][a:b], mode="clip")  # no copy between
        return out

    def _shapes(self, count: int) -> dict[str, tuple]:
        return {
            name: (count, self.span, 3) if name in ("acc", "gyr") else (count,) for name in COLUMNS
        }

    def _read(self, numbers: np.ndarray) -> list[dict]:
        """The blocks of these numbers; what several threads want is read once."""
        with self.lock:
            missing = [number for number in numbers if number not in self.blocks]
            if missing:
                with self._readable():
                    records = self.file.read(self.record[missing].tolist())
                    for number, record in zip(missing, records, strict=True):
                        self.blocks[number] = self._decoded(record, int(self.count[number]))
            for number in numbers:
                self.blocks.move_to_end(number)
            found = [self.blocks[number] for number in numbers]
            while len(self.blocks) > self.cache:
                self.blocks.popitem(last=False)
        return found

    def _decoded(self, record: bytes, count: int) -> dict[str, np.ndarray]:
        """One record as arrays, not copied."""
        out, at = {}, 0
        for name, shape in self._shapes(count).items():
            size = int(np.prod(shape))
            out[name] = np.frombuffer(record, COLUMNS[name], size, at).reshape(shape)
            at += 4 * size
        return out

    def _readable(self):
        return datasets.explain_damage(self.folder, "run")


class BatchReader:
    """Batch after batch of a reader, prepared ahead by threads; the step is all there is to store.

    order: an Order over the reader's samples; mine: which rows of a batch this process needs,
    ascending; steps: where the training ends.
    """

    def __init__(self, reader: BlockReader, order: BlockOrder, mine: np.ndarray, steps: int):
        self.reader, self.order, self.mine, self.steps = reader, order, mine, steps
        self.next, self.ahead = None, None

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        """This process's rows of batch `step` -> the fields of sensor_windows.SensorWindows."""
        if step != self.next:
            steps = grain.MapDataset.range(step, self.steps).map(self._rows)
            self.ahead = iter(steps.to_iter_dataset(grain.ReadOptions(THREADS, AHEAD)))
        self.next = step + 1
        return next(self.ahead)

    def _rows(self, step: int) -> dict[str, np.ndarray]:
        return self.reader.take(self.order.rows(int(step))[self.mine])
