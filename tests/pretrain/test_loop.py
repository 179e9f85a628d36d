"""Pre-training: runs that are stopped, moved and watched."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import people
from ml_collections import ConfigDict

import imujax
from imujax import UserError
from imujax.configs import common
from imujax.data import builders, content
from imujax.nets import networks, resnet
from imujax.objectives import contrastive, pairs
from imujax.pretrain import encoder, loop
from imujax.pretrain import step as pretrain_step
from imujax.runtime import sharding


@pytest.fixture(scope="module")
def moves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrain")
    raw = people.write_people(folder / "raw", subjects=5)
    return builders.build("tabular", raw, folder / "data", card=str(raw / "moves.toml"), workers=1)


def settings(**changes) -> ConfigDict:
    tiny = {"window": 32, "batch": 64, "steps": 12, "log_every": 4, "save_every": 4, "monitor": 0.2}
    net = resnet.tiny(changes.pop("norm", "batch")) | changes.pop("net", {})
    return common.encoder(("moves",), net, **tiny | changes)


def run(moves, folder, **changes):
    config = settings(**changes)
    return people.read_lines(loop.train(config, [moves], folder) / "metrics.jsonl")


def test_it_learns_and_a_finished_run_returns_at_once(moves, tmp_path):
    lines = run(moves, tmp_path / "a", steps=60, log_every=20, learning_rate=3e-3)
    assert [line["step"] for line in lines] == [20, 40, 60]
    assert lines[-1]["loss"] < lines[0]["loss"] - 0.3
    names = {
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
    assert names <= lines[-1].keys()
    before = (tmp_path / "a" / "metrics.jsonl").stat().st_mtime_ns
    run(moves, tmp_path / "a", steps=60, log_every=20, learning_rate=3e-3)
    assert (tmp_path / "a" / "metrics.jsonl").stat().st_mtime_ns == before


def test_what_it_has_seen_is_kept_beside_it(moves, tmp_path):
    run(moves, tmp_path / "a", steps=2, log_every=2)
    info, (given,) = imujax.read_metadata(moves), imujax.load(tmp_path / "a").card["data"]
    assert given["name"].startswith("tabular/moves_") and given["subjects"] == 5
    assert (given["hours"], given["examples"]) == (info["hours"], info["kept"])
    file = tmp_path / "a" / content.CONTENT_FILE
    before = file.read_bytes()
    seen = content.read(tmp_path / "a")
    np.testing.assert_array_equal(seen.hash, content.read(moves).hash)
    assert len(seen.hash) > 300 and seen.source[0].startswith("tabular/moves_")
    file.unlink()  # as of an older imujax
    run(moves, tmp_path / "a", steps=2, log_every=2)
    assert file.read_bytes() == before
    old = tmp_path / "tabular" / "old" / "1.1.0"
    shutil.copytree(moves, old)
    (old / content.CONTENT_FILE).unlink()
    with pytest.raises(UserError, match=r"old/1\.1\.0 has no content\.npz .* build it again"):
        run(old, tmp_path / "b")
    assert not list((tmp_path / "b").glob("[0-9]*"))


def test_a_folder_of_before_a_field_was_there_goes_on(moves, tmp_path):
    """Its settings lack the field, and what it did is what the default says."""
    run(moves, tmp_path / "a", steps=2, log_every=2)
    file = tmp_path / "a" / "2" / "card" / "metadata"
    card = json.loads(file.read_text())
    assert card["settings"].pop("beside") == {}
    file.write_text(json.dumps(card))
    run(moves, tmp_path / "a", steps=2, log_every=2)
    with pytest.raises(UserError, match=r"beside"):
        run(moves, tmp_path / "a", steps=2, log_every=2, beside={"masked": 0.5})


@pytest.mark.slow
def test_resume_is_exact_to_the_last_bit(moves, tmp_path, monkeypatch, four_devices):
    straight = run(moves, tmp_path / "straight", rotation=20.0, save_every=6)
    save = loop.Checkpoints.save

    def killed(self, step, state, card):
        if step == 12:
            raise KeyboardInterrupt
        save(self, step, state, card)

    monkeypatch.setattr(loop.Checkpoints, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        run(moves, tmp_path / "broken", rotation=20.0, save_every=6)
    monkeypatch.undo()
    steps = [line["step"] for line in people.read_lines(tmp_path / "broken" / "metrics.jsonl")]
    assert steps == [4, 8, 12]  # 8 and 12 are written again from step 6 on
    resumed = run(moves, tmp_path / "broken", rotation=20.0, save_every=6)
    assert people.without_times(resumed) == people.without_times(straight)
    ends = [encoder.load(tmp_path / name) for name in ("straight", "broken")]
    jax.tree.map(np.testing.assert_array_equal, ends[0].params, ends[1].params)
    jax.tree.map(np.testing.assert_array_equal, ends[0].stats, ends[1].stats)


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("norm", "full", "ways"),
    [
        ("none", False, ((16, 1), (6, 4))),
        ("batch", True, ((0, 4),)),
        ("batch", False, ((0, 4),)),
    ],
)
def test_slopes_are_those_of_the_whole_batch(monkeypatch, norm, full, ways):
    """Gradient caching is exact, in float64, on one device and on four, with windows cut short, and
    so, in float32, is what devices do whose norms take the statistics of all windows."""
    monkeypatch.setattr(networks.fields, "check", lambda *_: None)  # which knows no float64
    rng = np.random.default_rng(0)
    batch = {name: rng.normal(size=(48, 32, 3)) for name in ("acc", "gyr")}
    batch |= {"length": rng.integers(20, 33, 48), "window": np.arange(48) // 3}

    net = {"dtype": "float64", "stages": (1,)}

    def slopes(microbatch, devices):
        config, mesh = settings(norm=norm, net=net), sharding.make_mesh("data", devices)
        config.microbatch = microbatch
        encode = pairs.make_encode(config, mesh, full)

        def loss(params, stats, batch):
            z, stats = encode(params, stats, batch)
            return contrastive.symmetric_loss(*z, batch, 0.1), stats

        state = pretrain_step.init_state(config, 0)
        weights = jax.tree.map(lambda x: x.astype(np.float64), (state["params"], state["stats"]))
        placed = sharding.place((*weights, batch), sharding.replicated(mesh))
        function = jax.jit(jax.value_and_grad(loss, has_aux=True))
        return sharding.to_host(sharding.call_collective(mesh, function, *placed))

    off = 1e-5 if norm == "batch" else 1e-10
    with jax.enable_x64(True):
        of_whole_batch = slopes(0, 1)
        for microbatch, devices in ways:
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, atol=off, rtol=off),
                slopes(microbatch, devices),
                of_whole_batch,
            )
    assert max(np.abs(x).max() for x in jax.tree.leaves(of_whole_batch[1])) > 1e-3


@pytest.mark.slow
def test_many_pairs_fit_in_little_memory():
    """The dual ResNet-50 with 65,536 pairs: below 8 GiB by the compiled program's own account."""
    config = settings(norm="none", batch=65536, window=128, net=resnet.resnet50(64, "none"))
    config.microbatch, mesh = 256, sharding.make_mesh("data", 1)
    scale = {name: {"mean": 0.0, "sd": 1.0} for name in ("acc", "gyr")}
    data = {name: jax.ShapeDtypeStruct((70000, 128, 3), jnp.float32) for name in ("acc", "gyr")}
    data |= {name: jax.ShapeDtypeStruct((70000,), jnp.int32) for name in ("length", "window")}
    state = jax.eval_shape(lambda: pretrain_step.init_state(config, 0))
    step, _ = pretrain_step.compile_step(
        pretrain_step.make_step(config, scale, 0, True, mesh), mesh
    )
    rows = jax.ShapeDtypeStruct((config.batch,), jnp.int32)
    account = step.lower(state, data, rows).compile().memory_analysis()
    size = account.temp_size_in_bytes + account.argument_size_in_bytes
    assert size < 8 * 2**30, f"{size / 2**30:.2f} GiB"
    parameters = sum(x.size for x in jax.tree.leaves(state["params"]))
    assert parameters > 30e6  # it is that network


def test_several_steps_in_one_call_are_the_same_steps(moves, tmp_path, monkeypatch):
    single = run(moves, tmp_path / "one", norm="none", steps=14, log_every=7, save_every=14)
    calls, compiled = [], loop.compile_step

    def counted(*arguments):
        step, several = compiled(*arguments)
        return step, lambda *args: calls.append(len(args[-1])) or several(*args)

    monkeypatch.setattr(loop, "on_accelerator", lambda: True)
    monkeypatch.setattr(loop, "STEPS_PER_CALL", 3)
    monkeypatch.setattr(loop, "compile_step", counted)
    many = run(moves, tmp_path / "many", norm="none", steps=14, log_every=7, save_every=14)
    assert calls == [3, 3, 3, 3]
    losses = [[line["loss"] for line in lines] for lines in (single, many)]
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
    values = [line["temperature"] for line in lines]
    assert values[0] != values[-1] and all(0.01 <= value < 1 for value in values)
    encoder.load(tmp_path / "learned")  # an encoder as any other
    lines = run(moves, tmp_path / "sharp", steps=2, temperature=0.005, learn_temperature=True)
    assert lines[-1]["temperature"] == pytest.approx(0.01, rel=1e-5)


def test_bfloat16_stays_near_float32(moves, tmp_path):
    single = run(moves, tmp_path / "single", steps=4, log_every=1)
    half = run(moves, tmp_path / "half", steps=4, log_every=1, net={"dtype": "bfloat16"})
    losses = [[line["loss"] for line in lines] for lines in (single, half)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)
    assert losses[0] != losses[1]


def test_the_studys_own_setting_runs(moves, tmp_path):
    changes = {"loss": "one_sided", "grouped": True, "net": {"shared": True}}
    lines = run(moves, tmp_path / "study", steps=4, **changes)
    assert np.isfinite(lines[-1]["loss"])


def test_mistakes_are_one_sentence(moves, tmp_path, four_devices):
    def says(words, **changes):
        with pytest.raises(UserError, match=words):
            run(moves, tmp_path / "wrong", **changes)

    says(r"wants 200; build it again with the option rate=200", rate=200.0)
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


def test_a_missing_pretraining_is_named(tmp_path):
    """Ten of them stand in the order of their numbers; what is no pre-training does not count."""
    for number in range(11):
        encoder.member_folder(tmp_path, number).mkdir()
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seed11").touch()
    expected = [tmp_path / f"seed{number}" for number in range(11)]
    assert encoder.list_members(tmp_path) == expected
    expected[1].rmdir()
    with pytest.raises(UserError, match="holds 10 pre-trainings, but no seed1: put it back"):
        encoder.load(tmp_path)
    assert encoder.list_members(expected[0]) == []
