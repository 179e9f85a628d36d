"""Pre-training: samples, order, cutting, and runs that are stopped, moved and watched."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import people
from ml_collections import ConfigDict

from imujax import UserError
from imujax.configs import common
from imujax.data import augment, datasets, sensor_windows
from imujax.nets import resnet
from imujax.objectives import contrastive
from imujax.pretrain import encoder, loop
from imujax.runtime import sharding


@pytest.fixture(scope="module")
def moves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrain")
    raw = people.write(folder / "raw", subjects=5)
    return datasets.build("tabular", raw, folder / "data", card=str(raw / "moves.toml"), workers=1)


def settings(**changes) -> ConfigDict:
    tiny = {"window": 32, "batch": 64, "steps": 12, "log_every": 4, "save_every": 4, "monitor": 0.2}
    net = resnet.tiny(changes.pop("norm", "batch")) | changes.pop("net", {})
    return common.encoder(("moves",), net, **tiny | changes)


def made_up(count=40, sensors=3, seed=0) -> datasets.Dataset:
    rng = np.random.default_rng(seed)
    names = np.array([f"s{i % 4}" for i in range(count)])
    return datasets.Dataset(
        acc=rng.normal(size=(count, 48, sensors, 3)).astype(np.float32),
        gyr=rng.normal(size=(count, 48, sensors, 3)).astype(np.float32),
        length=np.full(count, 48, np.int32),
        subject=names,
        recording=names,
        activity=names,
        condition=names,
        start=np.arange(count, dtype=np.float32),
        target=None,
        info={
            "rate": 100.0,
            "sensors": ["a", "b", "c"][:sensors],
            "targets": [],
            "window": 48,
            "subjects": sorted(set(names.tolist())),
        },
    )


def test_samples_are_the_sensors_of_each_window(monkeypatch):
    sets = {"one": made_up(), "two": made_up(count=7, sensors=1, seed=1)}
    still = sets["one"].acc[3, :, 1]
    still[:] = [0, 9.81, 0]  # a sensor that does not move in one window

    def pieces(path, sensors, size=16):
        for first in range(0, len(sets[path].acc), size):
            yield dataclasses.replace(
                sets[path],
                **{
                    name: getattr(sets[path], name)[first : first + size]
                    for name in ("acc", "gyr", "length", "start", *datasets.STRING_FEATURES)
                },
            )

    monkeypatch.setattr(datasets, "read_metadata", lambda path: sets[path].info)
    monkeypatch.setattr(datasets, "iter_arrays", pieces)
    folded, counts = sensor_windows.load_sensor_windows(["one", "two"], settings(motion=0.3))
    assert counts == {"samples": 40 * 3 + 7 - 1, "dropped without motion": 1}
    row = 3 * 5 + 2 - 1  # window 5, sensor 2, one sample left out before it
    np.testing.assert_array_equal(folded.acc[row], sets["one"].acc[5, :, 2])
    np.testing.assert_array_equal(folded.gyr[row], sets["one"].gyr[5, :, 2])
    assert folded.window[row] == 5 and folded.sensor[row] == 2
    # ids of different sets never meet
    first, second = folded.take(slice(0, 119)), folded.take(slice(119, None))
    for name in ("window", "recording", "subject", "sensor"):
        assert not set(getattr(first, name)) & set(getattr(second, name))


def test_an_epoch_takes_every_sample_once_and_is_a_function_of_the_step():
    window = np.repeat(np.arange(50), 3)
    order = sensor_windows.WindowOrder(window, batch=40, seed=3, grouped=False)
    rows = np.concatenate([order.rows(step) for step in range(15)])  # 600 = 4 epochs of 150
    for epoch in rows.reshape(4, 150):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(150))
    again = sensor_windows.WindowOrder(window, batch=40, seed=3, grouped=False)
    np.testing.assert_array_equal(again.rows(9), rows[360:400])
    other = sensor_windows.WindowOrder(window, batch=40, seed=4, grouped=False)
    assert (other.rows(9) != rows[360:400]).any()


def test_grouped_order_keeps_the_sensors_of_a_window_together():
    window = np.repeat(np.arange(50), 3)
    rows = sensor_windows.WindowOrder(window, batch=150, seed=0, grouped=True).rows(0)
    taken = window[rows].reshape(50, 3)
    assert (taken == taken[:, :1]).all() and (taken[:, 0] != np.arange(50)).any()


def test_batches_are_cut_inside_the_valid_part_and_rotated_alike():
    count, span = 64, 48
    ramp = np.arange(span, dtype=np.float32)[None, :, None] + 100 * np.arange(count)[:, None, None]
    data = {
        "acc": np.repeat(ramp, 3, 2).astype(np.float32),
        "gyr": np.repeat(2 * ramp, 3, 2),
        "length": np.full(count, 40, np.int32),
        "window": np.arange(count),
    }
    data = {
        name: jnp.asarray(value, jnp.float32 if name in ("acc", "gyr") else jnp.int32)
        for name, value in data.items()
    }
    scale = {"acc": {"mean": 0.0, "sd": 1.0}, "gyr": {"mean": 1.0, "sd": 2.0}}
    rows, key = jnp.arange(count), jax.random.key(0)
    batch = augment.cut_batch(data, rows, key, settings(window=32), scale)
    acc = np.asarray(batch["acc"])
    begin = acc[:, 0, 0] - 100 * np.arange(count)
    assert begin.min() >= 0 and begin.max() <= 8 and len(set(begin)) == 9
    np.testing.assert_array_equal(np.diff(acc, axis=1), 1)
    np.testing.assert_allclose(batch["gyr"], (2 * acc - 1) / 2)
    turned = augment.cut_batch(data, rows, key, settings(window=32, rotation=30.0), scale)
    np.testing.assert_allclose(
        np.linalg.norm(turned["acc"], axis=-1), np.linalg.norm(acc, axis=-1), rtol=1e-5
    )
    assert np.abs(np.asarray(turned["acc"]) - acc).max() > 1


def test_gain_and_noise_are_those_of_the_settings_and_of_the_key():
    count, span = 400, 64
    acc = np.ones((count, span, 3), np.float32)
    data = {"acc": acc, "gyr": 3 * acc, "length": np.full(count, span, np.int32)}
    scale = {"acc": {"mean": 1.0, "sd": 2.0}, "gyr": {"mean": 3.0, "sd": 4.0}}

    def change(seed=0, **changes):
        made = augment.cut_batch(
            data, jnp.arange(count), jax.random.key(seed), settings(window=span, **changes), scale
        )
        return np.asarray(made["acc"]) * 2, np.asarray(made["gyr"]) * 4 / 3  # over the signal

    acc, gyr = change(gain=0.1)
    factors = np.stack([acc[:, 0, 0], gyr[:, 0, 0]])
    assert np.ptp(acc, axis=(1, 2)).max() < 1e-6  # one factor for a sample and modality
    assert 0.095 < factors.max() <= 0.1 + 1e-6 and -0.095 > factors.min() >= -0.1 - 1e-6
    assert abs(factors.mean()) < 0.01 and abs(factors.std() - 0.1 / np.sqrt(3)) < 0.003
    assert abs(np.corrcoef(factors)[0, 1]) < 0.2
    acc, gyr = change(noise=(0.5, 0.06))
    assert acc.std() == pytest.approx(0.5, rel=0.02) and gyr.std() == pytest.approx(0.02, rel=0.02)
    assert abs(np.corrcoef(acc.ravel(), gyr.ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(acc[:, 1:].ravel(), acc[:, :-1].ravel())[0, 1]) < 0.02  # white
    np.testing.assert_array_equal(change(noise=(0.5, 0.06))[0], acc)
    assert (change(seed=1, noise=(0.5, 0.06))[0] != acc).any()
    assert np.abs(change(**augment.NO_AUGMENTATION)).max() == 0


def test_rotations_are_rotations_of_at_most_the_angle():
    from scipy.spatial.transform import Rotation

    matrices = np.asarray(augment.random_rotations(jax.random.key(0), 500, 30.0), np.float64)
    angles = np.rad2deg(np.linalg.norm(Rotation.from_matrix(matrices).as_rotvec(), axis=1))
    product = matrices @ matrices.transpose(0, 2, 1)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-5)
    assert angles.max() <= 30.001 and angles.max() > 27 and abs(angles.mean() - 15) < 2


def run(moves, folder, **changes):
    config = settings(**changes)
    return people.lines(loop.train(config, [moves], folder) / "metrics.jsonl")


def test_it_learns_and_a_finished_run_returns_at_once(moves, tmp_path):
    lines = run(moves, tmp_path / "a", steps=60, log_every=20, learning_rate=3e-3)
    assert [line["step"] for line in lines] == [20, 40, 60]
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.3
    wanted = {
        "loss",
        "monitor_loss",
        "retrieval_acc",
        "retrieval_gyr",
        "alignment",
        "uniformity",
        "effective_rank",
        "windows_per_s",
        "tflop_per_s",
    }
    assert wanted <= lines[-1].keys()
    before = (tmp_path / "a" / "metrics.jsonl").stat().st_mtime_ns
    run(moves, tmp_path / "a", steps=60, log_every=20, learning_rate=3e-3)
    assert (tmp_path / "a" / "metrics.jsonl").stat().st_mtime_ns == before


def test_resume_is_exact_to_the_last_bit(moves, tmp_path, monkeypatch, four_devices):
    straight = run(moves, tmp_path / "straight", rotation=20.0, save_every=6)
    real = loop.Checkpoints.save

    def killed(self, step, state, card):
        if step == 12:
            raise KeyboardInterrupt
        real(self, step, state, card)

    monkeypatch.setattr(loop.Checkpoints, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        run(moves, tmp_path / "broken", rotation=20.0, save_every=6)
    monkeypatch.undo()
    steps = [line["step"] for line in people.lines(tmp_path / "broken" / "metrics.jsonl")]
    assert steps == [4, 8, 12]  # 8 and 12 are written again from step 6 on
    resumed = run(moves, tmp_path / "broken", rotation=20.0, save_every=6)
    assert people.untimed(resumed) == people.untimed(straight)
    ends = [encoder.load(tmp_path / name) for name in ("straight", "broken")]
    jax.tree.map(np.testing.assert_array_equal, ends[0].params, ends[1].params)
    jax.tree.map(np.testing.assert_array_equal, ends[0].stats, ends[1].stats)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_one_two_and_four_devices_agree(moves, tmp_path, monkeypatch, norm):
    """The loss and the batch statistics are those of the whole batch, however it is shared out."""
    make, losses = sharding.make_mesh, {}
    for devices in (1, 2, 4):
        monkeypatch.setattr(sharding, "make_mesh", lambda axis, n=devices: make(axis, n))
        lines = run(moves, tmp_path / str(devices), norm=norm, log_every=1, steps=6)
        losses[devices] = [line["loss"] for line in lines]
    np.testing.assert_allclose(losses[2], losses[1], rtol=1e-5)
    np.testing.assert_allclose(losses[4], losses[1], rtol=1e-5)


def test_microbatches_give_the_slopes_of_the_whole_batch(monkeypatch):
    """Gradient caching is exact, in float64, on one device and on four, with windows cut short."""
    monkeypatch.setitem(resnet.CHOICES, "dtype", (*resnet.CHOICES["dtype"], "float64"))
    rng = np.random.default_rng(0)
    batch = {name: rng.normal(size=(48, 32, 3)) for name in ("acc", "gyr")}
    batch |= {"length": rng.integers(20, 33, 48), "window": np.arange(48) // 3}

    net = {"dtype": "float64", "stages": (1,)}

    def slopes(microbatch, devices):
        config, where = settings(norm="none", net=net), sharding.make_mesh("data", devices)
        config.microbatch = microbatch
        encode = loop.make_embed(config, where, full=False)

        def loss(params, batch):
            z, _ = encode(params, {}, batch)
            return contrastive.symmetric_loss(*z, batch, 0.1)

        params = jax.tree.map(lambda x: x.astype(np.float64), loop.init_state(config, 0)["params"])
        placed = sharding.place((params, batch), sharding.replicated(where))
        return sharding.to_host(
            sharding.call_collective(where, jax.jit(jax.value_and_grad(loss)), *placed)
        )

    with jax.enable_x64(True):
        whole = slopes(0, 1)
        for microbatch, devices in ((16, 1), (6, 4)):
            found = slopes(microbatch, devices)
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), found, whole)
    assert max(np.abs(x).max() for x in jax.tree.leaves(whole[1])) > 1e-3


def test_many_pairs_fit_in_little_memory():
    """The dual ResNet-50 with 65,536 pairs: below 8 GiB by the compiled program's own account."""
    config = settings(norm="none", batch=65536, window=128, net=resnet.resnet50(64, "none"))
    config.microbatch, where = 256, sharding.make_mesh("data", 1)
    scale = {name: {"mean": 0.0, "sd": 1.0} for name in ("acc", "gyr")}
    data = {name: jax.ShapeDtypeStruct((70000, 128, 3), jnp.float32) for name in ("acc", "gyr")}
    data |= {name: jax.ShapeDtypeStruct((70000,), jnp.int32) for name in ("length", "window")}
    state = jax.eval_shape(lambda: loop.init_state(config, 0))
    step, _ = loop.compile_step(loop.make_step(config, scale, 0, True, where), where)
    rows = jax.ShapeDtypeStruct((config.batch,), jnp.int32)
    account = step.lower(state, data, rows).compile().memory_analysis()
    taken = account.temp_size_in_bytes + account.argument_size_in_bytes
    assert taken < 8 * 2**30, f"{taken / 2**30:.2f} GiB"
    parameters = sum(x.size for x in jax.tree.leaves(state["params"]))
    assert parameters > 30e6  # it is that network


def test_several_steps_in_one_call_are_the_same_steps(moves, tmp_path, monkeypatch):
    one = run(moves, tmp_path / "one", norm="none", steps=14, log_every=7, save_every=14)
    calls, compiled = [], loop.compile_step

    def counted(*arguments):
        step, several = compiled(*arguments)
        return step, lambda *given: calls.append(len(given[-1])) or several(*given)

    monkeypatch.setattr(loop, "on_accelerator", lambda: True)
    monkeypatch.setattr(loop, "STEPS_PER_CALL", 3)
    monkeypatch.setattr(loop, "compile_step", counted)
    many = run(moves, tmp_path / "many", norm="none", steps=14, log_every=7, save_every=14)
    assert calls == [3, 3, 3, 3]
    losses = [[line["loss"] for line in lines] for lines in (one, many)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_a_temperature_can_be_learned(moves, tmp_path):
    lines = run(
        moves,
        tmp_path / "learned",
        steps=30,
        log_every=10,
        learning_rate=1e-2,
        learn_temperature=True,
    )
    found = [line["temperature"] for line in lines]
    assert found[0] != found[-1] and all(0.01 <= value < 1 for value in found)
    encoder.load(tmp_path / "learned")  # an encoder as any other
    lines = run(moves, tmp_path / "sharp", steps=2, temperature=0.005, learn_temperature=True)
    assert lines[-1]["temperature"] == pytest.approx(0.01, rel=1e-5)


def test_bfloat16_stays_near_float32(moves, tmp_path):
    single = run(moves, tmp_path / "single", steps=4, log_every=1)
    half = run(moves, tmp_path / "half", steps=4, log_every=1, net={"dtype": "bfloat16"})
    found = [[line["loss"] for line in lines] for lines in (single, half)]
    np.testing.assert_allclose(found[1], found[0], rtol=0.02)
    assert found[0] != found[1]


def test_the_studys_own_setting_runs(moves, tmp_path):
    changes = {"loss": "one_sided", "grouped": True, "net": {"shared": True}}
    lines = run(moves, tmp_path / "study", steps=4, **changes)
    assert np.isfinite(lines[-1]["loss"])


def test_mistakes_are_one_sentence(moves, tmp_path, four_devices):
    def says(words, **changes):
        with pytest.raises(UserError, match=words):
            run(moves, tmp_path / "wrong", **changes)

    says(r"100 Hz but the configuration wants 200; build it again with --rate 200", rate=200.0)
    says(r"windows of 64 samples but the configuration wants 65", window=65)
    says(r"a batch of 100000 is larger than the \d+ sensor-windows", batch=100000)
    says(r"has no sensor wrist: there are shank", sensors=("wrist",))
    says(r"hold out all 5 subjects", monitor=0.99)
    says(r"batch of 63 cannot be shared out over 4 devices", batch=63)
    says(r"microbatch=8 with batch norm would train another network", microbatch=8)
    says(r"the 16 sensor-windows of each device cannot be cut .* of 5", microbatch=5, norm="none")
    says(r"relations have no 'person'", relations={"person": 0.0})
    run(moves, tmp_path / "wrong", steps=1)
    says(
        r"holds a run with .*temperature=0\.1 but the configuration says 0\.2",
        temperature=0.2,
        steps=1,
    )


def test_weights_that_explode_are_told_and_never_saved(moves, tmp_path):
    with pytest.raises(UserError, match="no longer finite at step 4; lower the learning rate"):
        run(moves, tmp_path / "nan", learning_rate=1e38, steps=8, log_every=8)
    assert not [path for path in (tmp_path / "nan").iterdir() if path.name.isdigit()]
