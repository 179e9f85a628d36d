"""Blocks of sensor-windows: packed as they are in memory, read once, trained on to the same bit."""

import tracemalloc

import jax
import numpy as np
import pytest
from helpers import people
from helpers.raw_files import write_ipol
from ml_collections import ConfigDict

from imujax import UserError, study
from imujax.configs import common, pretrain_pod
from imujax.data import augment, blocks, builders, scales, sensor_windows
from imujax.nets import resnet
from imujax.pretrain import loop
from imujax.runtime import sharding


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Two data sets, of one sensor and of three, with windows of 64 and 128 samples."""
    folder = tmp_path_factory.mktemp("blocks")
    raw = people.write_people(folder / "raw", subjects=5)
    moves = builders.build("tabular", raw, folder / "data", card=str(raw / "moves.toml"), workers=1)
    walks = builders.build("ipol_gait", write_ipol(folder / "ipol"), folder / "data")
    return [moves, walks]


def settings(**changes) -> ConfigDict:
    small = {"window": 32, "batch": 64, "steps": 6, "log_every": 1, "save_every": 3, "monitor": 0.2}
    small |= {"order": "blocks", "rotation": 20.0, "gain": 0.1, "noise": (0.2, 0.05)}
    return common.encoder(("moves",), resnet.tiny("none"), **small | changes)


def make_reader(folder, cache_size=100):
    table = blocks.read_table(folder)
    return blocks.BlockReader(folder, table, np.ones(len(table.count), bool), cache_size)


def watch(reader: blocks.BlockReader) -> list[int]:
    """The numbers of all records that `reader` will read."""
    file, numbers = reader.file, []

    class File:
        def read(self, records):
            numbers.extend(records)
            return file.read(records)

    reader.file = File()
    return numbers


def test_blocks_hold_what_memory_holds(sets, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 16)
    config = settings(motion=1.0)
    samples, counts = sensor_windows.load_sensor_windows(sets, config)
    folder = blocks.pack_blocks(sets, config)
    table = blocks.read_table(folder)
    assert counts["dropped without motion"] == table.dropped > 0
    got = make_reader(folder).take(np.arange(len(samples)))
    assert got.keys() == vars(samples).keys()
    for name, values in got.items():
        np.testing.assert_array_equal(values, getattr(samples, name), err_msg=name)
        assert values.dtype == getattr(samples, name).dtype
    # A block is of one subject, and full but for a subject's last.
    owner = np.repeat(table.subject, table.count)
    np.testing.assert_array_equal(owner, samples.subject)
    runs = np.unique(samples.subject, return_counts=True)[1]
    assert sorted(table.count) == sorted(n for r in runs for n in [16] * (r // 16) + [r % 16] if n)
    for subject in (0, 6):
        others = samples.take(samples.subject != subject)
        expected = scales.input_scales(others.acc.astype(np.float64), others.gyr, others.length)
        for name, scale in table.input_scales(table.subject != subject).items():
            assert scale == pytest.approx(expected[name], rel=1e-12)
    monkeypatch.setattr(sensor_windows, "iter_sensor_windows", None)  # nothing is read again
    assert blocks.pack_blocks(sets, config) == folder


def test_a_pack_is_named_by_what_is_in_it_and_appears_when_it_is_whole(sets, monkeypatch):
    names = {
        blocks.pack_blocks(sets[:1], settings(**c)).name
        for c in ({}, {"motion": 0.5}, {"batch": 9})
    }
    assert len(names) == 2  # the batch is not in it
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "_table_row", lambda block: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            blocks.pack_blocks(sets[:1], settings(motion=0.7))
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space")))
        patch.setattr(blocks.os, "strerror", lambda number: "No space")
        with pytest.raises(UserError, match="is full"):
            blocks.pack_blocks(sets[:1], settings(motion=0.7))
    assert {path.name for path in (sets[0] / "blocks").iterdir()} >= names
    assert not list((sets[0] / "blocks").glob("incomplete*"))
    (sets[0] / "blocks" / "incomplete.killed").mkdir()
    folder = blocks.pack_blocks(sets[:1], settings(motion=0.7))
    assert folder.is_dir() and not list(folder.parent.glob("incomplete*"))


def test_packing_needs_the_memory_of_a_piece(tmp_path):
    rng = np.random.default_rng(0)

    def pieces(count=40, size=500):
        for number in range(count):
            ids = np.full(size, number // 3, np.int32)
            acc = rng.normal(size=(size, 50, 3)).astype(np.float32)
            yield (
                sensor_windows.SensorWindows(acc, acc, ids + 50, ids, ids, ids, ids, acc[:, 0, 0]),
                0,
            )

    tracemalloc.start()
    blocks.write_blocks(tmp_path, pieces())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / blocks.BLOCKS_FILE).stat().st_size > 20e6 and peak < 6e6


def test_an_epoch_takes_every_sample_once_window_by_window():
    count = np.random.default_rng(0).integers(1, 20, 50)
    order = blocks.BlockOrder(count, batch=30, seed=3, group=7)
    total, first = count.sum(), np.cumsum(count) - count
    rows = np.concatenate([order.rows(step) for step in range(3 * total // 30 + 1)])
    assert (np.bincount(rows[: total // 30 * 30]) <= 1).all()
    order = blocks.BlockOrder(count, batch=int(total), seed=3, group=7)  # a batch an epoch
    np.testing.assert_array_equal(order.rows(5), np.arange(total))
    fine = blocks.BlockOrder(count, batch=1, seed=3, group=7)
    epoch = np.concatenate([fine.rows(step) for step in range(total)])
    np.testing.assert_array_equal(np.sort(epoch), np.arange(total))
    block = np.searchsorted(first, epoch, side="right") - 1
    # Blocks come in groups of at most seven: the first and the last place of each shows it.
    begin = np.array([np.flatnonzero(block == b)[0] for b in range(50)])
    end = np.array([np.flatnonzero(block == b)[-1] for b in range(50)])
    edges = [at for at in range(total + 1) if not ((begin < at) & (end >= at)).any()]
    groups = np.searchsorted(edges, begin, side="right")
    assert len(edges) == 9 and np.bincount(groups).max() == 7
    assert (np.diff(block) != 0).mean() > 0.7  # samples are mixed
    assert (np.diff(groups) != 0).sum() > 20  # and blocks
    again = blocks.BlockOrder(count, batch=30, seed=3, group=7)
    np.testing.assert_array_equal(again.rows(9), np.sort(epoch[270:300]))
    other = blocks.BlockOrder(count, batch=30, seed=4, group=7)
    assert (other.rows(9) != again.rows(9)).any()
    second = np.concatenate([fine.rows(step) for step in range(total, 2 * total)])
    assert (np.sort(second) == np.arange(total)).all() and (second != epoch).any()


def test_processes_share_a_batch_and_read_their_part(sets, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 8)
    folder = blocks.pack_blocks(sets, settings())
    table = blocks.read_table(folder)
    steps = int(table.count.sum()) // 64
    order = blocks.BlockOrder(table.count, 64, seed=1, group=16)
    whole = [make_reader(folder).take(order.rows(step)) for step in range(steps)]
    for n in (2, 4):
        for p in range(n):
            local = np.arange(p * 64 // n, (p + 1) * 64 // n)
            batches = blocks.BatchReader(make_reader(folder), order, local, steps)
            alone = make_reader(folder, cache_size=2 * 16 // n + 8)
            numbers = watch(alone)
            for step in range(steps):
                got = batches(step)
                for name, values in got.items():
                    np.testing.assert_array_equal(values, whole[step][name][local])
                alone.take(order.rows(step)[local])
            # Its part, and in every shuffle window a few that lie at the edge to other processes.
            assert len(numbers) < len(table.count) * (1 / n + 0.3)
            np.testing.assert_array_equal(batches(2)["acc"], whole[2]["acc"][local])  # any step


def run(paths, folder, **changes):
    done = loop.train(settings(**changes), paths, folder)
    return people.without_times(people.read_lines(done / "metrics.jsonl"))


@pytest.mark.slow
def test_streamed_training_is_that_from_memory_to_the_last_bit(
    sets, tmp_path, monkeypatch, four_devices
):
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 16)
    monkeypatch.setattr(blocks, "SHUFFLE_BLOCKS", 8)
    memory = run(sets, tmp_path / "memory", resident=True)
    real = loop.Checkpoints.save

    def killed(self, step, state, card):
        real(self, step, state, card)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.Checkpoints, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run(sets, tmp_path / "disk", resident=False)
    disk = run(sets, tmp_path / "disk", resident=False)
    assert disk == memory and len({line["loss"] for line in disk}) == 6


def test_a_batch_as_it_is_read_is_cut_like_one_that_is_gathered_and_moves_nothing(sets):
    samples, _ = sensor_windows.load_sensor_windows(sets[1:], settings())
    mesh = sharding.make_mesh("data", 4)
    host = vars(samples.take(np.arange(64)))
    data = sharding.place(host, sharding.replicated(mesh))
    batch = sharding.from_local_rows(host, mesh, 64)
    assert len(batch["acc"].sharding.device_set) == 4
    scale = {name: {"mean": 1.0, "sd": 2.0} for name in ("acc", "gyr")}

    def cut(data, rows):
        windows = augment.cut_batch(data, rows, jax.random.key(0), settings(), scale)
        return jax.lax.with_sharding_constraint(windows, sharding.sharded(mesh))

    gathered = jax.jit(cut)(data, np.arange(64))
    read = jax.jit(cut).lower(batch, None).compile()
    assert "all-" not in read.as_text() and "collective" not in read.as_text()
    for name, values in read(batch, None).items():
        np.testing.assert_array_equal(values, gathered[name], err_msg=name)
        if name not in ("acc", "gyr", "length"):
            np.testing.assert_array_equal(values, host[name])


def test_mistakes_are_one_sentence(sets, tmp_path):
    for changes, says in (
        ({"batch": 100000}, r"a batch of 100000 is larger than the \d+ sensor-windows"),
        ({"rate": 50.0}, "holds data at 100 Hz but the configuration wants 50"),
        ({"window": 65}, "windows of 64 samples but the configuration wants 65"),
    ):
        with pytest.raises(UserError, match=says):
            loop.train(settings(resident=False, **changes), sets, tmp_path / "wrong")
    folder = blocks.pack_blocks(sets, settings(motion=0.9))
    data = (folder / blocks.BLOCKS_FILE).read_bytes()
    (folder / blocks.BLOCKS_FILE).write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=f"{folder} cannot be read .*remove it and run again"):
        loop.train(settings(resident=False, motion=0.9), sets, tmp_path / "wrong")
    (folder / blocks.TABLE_FILE).write_bytes(b"nothing")
    with pytest.raises(UserError, match=f"{folder} cannot be read"):
        blocks.read_table(folder)

    for changes, says in (
        ({"order": "random"}, "encoders.movi.order names 'random': there are windows, blocks"),
        ({"order": "windows"}, "movi.resident is False: .* need order='blocks'"),
        ({"grouped": True}, "movi.grouped is True, which needs order='windows'"),
    ):
        config = pretrain_pod.get_config("tiny")
        study.check_config(config)
        config.encoders.movi.update(changes)
        with pytest.raises(UserError, match=says):
            study.check_config(config)
