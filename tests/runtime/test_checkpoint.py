"""Checkpoints: round trips, other devices, full disks, folders that hold none."""

import errno
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from imujax import UserError
from imujax.runtime import checkpoint, sharding

CARD = {"net": {}, "scales": {}, "rate": 1, "window": 2, "settings": {}, "provenance": {}}


def state(value=1.0):
    params = {"encoder": {"stem": {"kernel": jnp.full((7, 3, 4), value)}}, "head": jnp.zeros(3)}
    opt = optax.adamw(1e-3).init(params)
    stats = {"encoder": {"norm": {"mean": jnp.full(4, 2 * value)}}}
    return {"step": jnp.int32(5), "params": params, "stats": stats, "opt": opt}


def test_round_trip_over_other_numbers_of_devices(tmp_path):
    wide = sharding.place(state(3.0), sharding.replicated(sharding.make_mesh("data", 4)))
    with checkpoint.Checkpoints(tmp_path / "run") as saved:
        assert saved.latest() is None
        saved.save(5, wide, {"rate": 100.0, "net": {"stages": [1, 2]}})
    narrow = sharding.place(state(0.0), sharding.replicated(sharding.make_mesh("data", 2)))
    with checkpoint.Checkpoints(tmp_path / "run") as saved:
        back = saved.restore(saved.latest(), narrow)
        assert saved.card(5) == {"rate": 100.0, "net": {"stages": [1, 2]}}
    assert back["params"]["head"].sharding == narrow["params"]["head"].sharding
    jax.tree.map(np.testing.assert_array_equal, sharding.to_host(back), sharding.to_host(wide))


def test_read_needs_no_model_and_leaves_the_optimiser(tmp_path):
    with checkpoint.Checkpoints(tmp_path) as saved:
        for step in (1, 12, 3):
            saved.save(step, state(step), CARD | {"rate": step})
    card, variables = checkpoint.read_newest(tmp_path)
    assert card == CARD | {"rate": 12, "step": 12} and set(variables) == {"params", "stats"}
    kernel = variables["params"]["encoder"]["stem"]["kernel"]
    assert isinstance(kernel, np.ndarray) and (kernel == 12).all()


def test_read_of_a_folder_without_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"holds no checkpoint.*imujax pretrain"):
        checkpoint.read_newest(tmp_path)


def test_full_disk_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    with checkpoint.Checkpoints(tmp_path) as saved:
        saved.save(1, state(), CARD)

        def full(step, **_):
            (tmp_path / f"{step}.orbax-checkpoint-tmp").mkdir()
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(saved.manager, "save", full)
        with pytest.raises(UserError, match=r"the disk of .* is full"):
            saved.save(2, state(), {})
    assert not list(tmp_path.glob("*tmp*"))
    assert checkpoint.read_newest(tmp_path)[0] == CARD | {"step": 1}


def test_a_damaged_checkpoint_and_a_foreign_folder_are_named(tmp_path):
    (tmp_path / "12").mkdir()
    with pytest.raises(UserError, match="holds no checkpoint"):
        checkpoint.read_newest(tmp_path)
    with checkpoint.Checkpoints(tmp_path / "cut") as saved:
        saved.save(3, state(), CARD)
        saved.save(4, state(), {"rate": 1})
    with pytest.raises(UserError, match="lacks net, provenance, scales, settings, window"):
        checkpoint.read_newest(tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "4" / "state")
    with pytest.raises(UserError, match=r"checkpoint .*4 cannot be read .*delete that folder"):
        checkpoint.read_newest(tmp_path / "cut")


DAMAGES = (
    "card",
    "state",
    "state/manifest.ocdbt",
    "state/_METADATA",
    "state/d",
    "state/ocdbt.process_0/d",
    "state/array_metadatas",
)


@pytest.mark.parametrize("part", DAMAGES)
def test_a_damaged_newest_checkpoint_is_set_aside(tmp_path, capsys, part):
    """Files cut to half: it is named once on stderr, and the one before it is the newest."""
    with checkpoint.Checkpoints(tmp_path) as saved:
        for step in (3, 12):
            large = {"large": jax.random.normal(jax.random.key(step), (64, 64))}
            saved.save(step, state(step) | {"stats": large}, CARD)
    path = tmp_path / "12" / part
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    like = state(0) | {"stats": {"large": jnp.zeros((64, 64))}}
    with checkpoint.Checkpoints(tmp_path) as saved:
        assert saved.latest() == 3
        assert (saved.restore(3, like)["params"]["encoder"]["stem"]["kernel"] == 3).all()
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 1 and f"the checkpoint {tmp_path / '12'} cannot be read (" in printed[0]
    assert (tmp_path / "12.damaged").is_dir() and not (tmp_path / "12").exists()
    shutil.rmtree(tmp_path / "3" / "state")
    with pytest.raises(UserError, match=r"3 cannot be read .* no sound one before it; delete"):
        checkpoint.Checkpoints(tmp_path)
    assert (tmp_path / "3").is_dir()


def test_what_a_kill_has_left_half_written_is_swept(tmp_path):
    (tmp_path / "12.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    with checkpoint.Checkpoints(tmp_path) as saved:
        assert saved.latest() is None
    assert not list(tmp_path.glob("12*"))


def test_a_state_of_another_kind_is_one_sentence(tmp_path):
    """An older version kept the moments alone; this one also counts the steps of its schedule."""
    older = state() | {"opt": optax.scale_by_adam().init(state()["params"])}
    with checkpoint.Checkpoints(tmp_path / "run") as saved:
        saved.save(5, older, CARD)
    with (
        checkpoint.Checkpoints(tmp_path / "run") as saved,
        pytest.raises(UserError, match="begun by another version of imujax and cannot go on from"),
    ):
        saved.restore(5, state())
