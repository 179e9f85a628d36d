"""Encoders as one file: what comes back, what a study still knows of them, what is refused."""

import pathlib

import numpy as np
import pytest
from helpers import people
from ml_collections import ConfigDict
from safetensors.numpy import load_file, save_file

import imujax
from imujax import UserError, cli, study
from imujax.configs import common
from imujax.data import builders, content
from imujax.nets import resnet
from imujax.pretrain import encoder, lineage, loop, packed
from imujax.sweep import audit


def section(**changes) -> ConfigDict:
    tiny = {"window": 32, "batch": 64, "steps": 6, "log_every": 6, "save_every": 6, "monitor": 0.2}
    return common.encoder(changes.pop("data", ("moves",)), resnet.tiny("batch"), **tiny | changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Sets without and with labels of the same people, and a pre-training on the first."""
    root = tmp_path_factory.mktemp("packed")
    raw = people.write_people(root / "raw", subjects=4, seconds=40)
    paths = {
        card: builders.build(
            "tabular", raw, root / "data", card=str(raw / f"{card}.toml"), workers=1
        )
        for card in ("moves", "force")
    }
    folder = loop.train(section(), [paths["moves"]], root / "encoders" / "own" / "seed0")
    return paths, folder


@pytest.fixture
def file(made, tmp_path, capsys) -> pathlib.Path:
    cli.run_command(["pack", str(made[1].parent), str(tmp_path / "own.safetensors")])
    assert capsys.readouterr().out.strip() == str(tmp_path / "own.safetensors")
    return tmp_path / "own.safetensors"


def test_what_comes_back_is_the_encoder(made, file):
    old, new = imujax.load(made[1]), imujax.load(file)
    assert new.card == old.card and new.weights_digest == old.weights_digest
    rng = np.random.default_rng(0)
    acc, gyr = rng.normal(size=(2, 5, 32, 3)).astype(np.float32)
    acc[..., 2] += 9.81
    np.testing.assert_array_equal(old.embed(acc, gyr), new.embed(acc, gyr))
    kept, seen = content.read(made[1]), packed.read_content(file)
    for name in content.FIELDS:
        np.testing.assert_array_equal(getattr(kept, name), getattr(seen, name))
        assert getattr(seen, name).dtype == getattr(kept, name).dtype


def test_a_study_takes_it_by_file_or_by_name_and_knows_whom_it_has_seen(made, file, monkeypatch):
    paths, _ = made
    monkeypatch.setattr(packed, "BOX", file.parent)
    assert packed.list_names() == ["own"]
    config = ConfigDict({"seed": 0, "data_sets": {}})
    given = {"parent": "own", "steps": 0, "data": ()}
    config.encoders = ConfigDict({"boxed": section(**given)})
    config.tasks = ConfigDict({"force": common.task("force", "Force", common.arms("boxed"))})
    config.data_sets.force = common.data_set("tabular", "raw", card="force.toml")
    study.check_config(config)
    for instead in ("own", file, pathlib.Path("own")):
        assert study.checkpoint_folders(config, "work", instead) == {"boxed": [file]}
    folder = loop.train(
        config.encoders.boxed,
        [],
        file.parent / "seed0",
        parent=lineage.parent_folders("boxed", config.encoders, {})[0],
    )
    assert imujax.load(folder).weights_digest == imujax.load("own").weights_digest
    with pytest.raises(UserError, match="encoder boxed was pre-trained on signals"):
        audit.require_separate(paths["force"], {"boxed": [file]})
    with pytest.raises(UserError, match="encoder boxed was pre-trained on signals"):
        list(audit.audit_configuration(config, {"force": paths["force"]}))


def test_what_is_not_there_or_damaged_is_one_sentence(made, file, tmp_path):
    with pytest.raises(
        UserError, match=r"give a file in a folder that is there, NAME\.safetensors"
    ):
        encoder.pack(made[1], tmp_path / "own.npz")
    with pytest.raises(UserError, match="holds no checkpoint"):
        encoder.pack(tmp_path / "nothing", tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"cut\.safetensors is no packed encoder, or damaged"):
        imujax.load(cut)
    save_file(load_file(file), cut)  # arrays without a card
    with pytest.raises(UserError, match=r"cut\.safetensors is no packed encoder, or damaged"):
        imujax.load(cut)
    save_file(load_file(file), cut, {"imujax": "99"})
    with pytest.raises(UserError, match="was packed by a newer imujax: update this one"):
        imujax.load(cut)
    with pytest.raises(UserError, match="'gaits': neither a folder, a packed encoder, one of this"):
        lineage.parent_folders("a", {"a": {"parent": "gaits"}}, {})
