"""Going on from another encoder: what is taken over, what is remembered, what is refused."""

import jax
import numpy as np
import pytest
from helpers import people
from ml_collections import ConfigDict

import imujax
from imujax import UserError, study
from imujax.configs import common
from imujax.data import builders, content
from imujax.nets import resnet
from imujax.pretrain import lineage, loop, sources
from imujax.runtime import checkpoint, sharding
from imujax.sweep import audit

STILL = 1e-12  # a learning rate that moves nothing


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Two sets of other people without labels, and the first people with labels."""
    folder = tmp_path_factory.mktemp("lineage")
    paths = {}
    for name, subjects, seconds in (("first", 5, 40), ("second", 3, 33)):
        raw = people.write_people(folder / "raw" / name, subjects=subjects, seconds=seconds)
        for card in ("moves", "force") if name == "first" else ("moves",):
            data = folder / "data" / name
            paths[f"{name} {card}"] = builders.build(
                "tabular", raw, data, card=str(raw / f"{card}.toml"), workers=1
            )
    return paths


def section(**changes) -> ConfigDict:
    tiny = {"window": 32, "batch": 64, "steps": 6, "log_every": 6, "save_every": 6, "monitor": 0.2}
    net = resnet.tiny(changes.pop("norm", "batch")) | changes.pop("net", {})
    return common.encoder(changes.pop("data", ("moves",)), net, **tiny | changes)


@pytest.fixture(scope="module")
def parent(sets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parent") / "seed0"
    return loop.train(section(learning_rate=3e-3), [sets["first moves"]], folder)


def test_what_is_taken_as_it_is_is_the_parent(sets, parent, tmp_path):
    config = section(steps=0, data=(), parent="elsewhere")
    folder = loop.train(config, [], tmp_path / "given", parent=parent)
    old, new = imujax.load(parent), imujax.load(folder)
    assert old.weights_digest == new.weights_digest
    for name in ("scales", "window", "rate", "sensors", "data", "retrieval"):
        assert new.card[name] == old.card[name], name
    assert new.card["step"] == 0 and new.card["settings"]["parent"]["step"] == 6
    np.testing.assert_array_equal(content.read(folder).hash, content.read(parent).hash)
    before = (folder / "0" / "_CHECKPOINT_METADATA").stat().st_mtime_ns
    loop.train(config, [], folder, parent=parent)  # again: it is there
    assert (folder / "0" / "_CHECKPOINT_METADATA").stat().st_mtime_ns == before
    assert "goes on from" in repr(new) and "(6 steps)" in repr(new)


def test_all_weights_and_the_scales_of_the_parent_go_on(sets, parent, tmp_path):
    """At a rate of nothing the weights stay, heads too, though other people give the batches."""
    config = section(parent="elsewhere", steps=4, save_every=4, learning_rate=STILL, norm="batch")
    folder = loop.train(config, [sets["second moves"]], tmp_path / "on", seed=5, parent=parent)
    states = [checkpoint.read_newest(path)[1]["params"] for path in (parent, folder)]
    assert {"acc_head", "gyr_head"} <= states[1].keys()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, atol=1e-6), *states)
    old, new = imujax.load(parent), imujax.load(folder)
    assert new.card["scales"] == old.card["scales"]
    assert [one["subjects"] for one in new.card["data"]] == [5, 3]
    own, theirs = (set(content.read(path).hash.tolist()) for path in (folder, parent))
    assert theirs < own
    anew = sources.make_source(config, [sets["second moves"]], 5, sharding.make_mesh("data"))
    assert anew.scale != old.card["scales"]


def test_other_heads_begin_anew(sets, parent, tmp_path):
    net = {"projection": (16, 8)}
    config = section(parent="elsewhere", steps=1, learning_rate=STILL, net=net)
    folder = loop.train(config, [sets["second moves"]], tmp_path / "on", parent=parent)
    old, new = (checkpoint.read_newest(path)[1]["params"] for path in (parent, folder))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(b, a, atol=1e-6),
        old["acc_encoder"],
        new["acc_encoder"],
    )
    assert new["acc_head"]["output"]["kernel"].shape == (16, 8)


def test_people_whom_a_parent_has_seen_are_not_tested(sets, parent, tmp_path):
    """Though the encoder itself has seen others: also two generations back."""
    config = section(parent="elsewhere", steps=1)
    child = loop.train(config, [sets["second moves"]], tmp_path / "child", parent=parent)
    grandchild = loop.train(config, [sets["second moves"]], tmp_path / "grand", parent=child)
    for folder in (child, grandchild):
        with pytest.raises(UserError, match="encoder x was pre-trained on signals of"):
            audit.require_separate(sets["first force"], {"x": [folder]})


def study_of(sets, encoders):
    config = ConfigDict({"seed": 0})
    config.data_sets = ConfigDict(
        {name: common.data_set("tabular", name) for name in ("moves", "others", "force")}
    )
    config.encoders = ConfigDict(encoders)
    config.tasks = ConfigDict(
        {"force": common.task("force", "Force", common.arms(next(iter(encoders))))}
    )
    return config


def test_a_configuration_trains_parents_first(sets, tmp_path, monkeypatch):
    encoders = {
        "child": section(data=("others",), parent="old", steps=3, seeds=3),
        "old": section(seeds=2),
    }
    config = study_of(sets, encoders)
    paths = {"moves": sets["first moves"], "others": sets["second moves"]}
    monkeypatch.setattr(study, "find_all", lambda *_: paths)
    study.check_config(config)
    folders = study.pretrain_all(config, tmp_path, tmp_path / "work")
    digests = [imujax.load(folder).weights_digest for folder in folders["old"]]
    before = [(folder / "content.npz").stat().st_mtime_ns for folder in folders["child"]]
    study.pretrain_all(config, tmp_path, tmp_path / "work")  # again: all is there
    assert before == [(f / "content.npz").stat().st_mtime_ns for f in folders["child"]]
    came = [imujax.load(folder).card["settings"]["parent"]["digest"] for folder in folders["child"]]
    assert came == [digests[0], digests[1], digests[0]]
    seen = lineage.read_seen("child", config.encoders, paths)
    np.testing.assert_array_equal(seen.hash, content.read(folders["child"][0]).hash)
    paths["force"] = sets["first force"]
    with pytest.raises(UserError, match="encoder child was pre-trained on signals"):
        list(audit.audit_configuration(config, paths))


@pytest.mark.parametrize(
    ("encoders", "sentence"),
    [
        (
            {"a": {"parent": "b"}, "b": {"parent": "a"}},
            r"encoders\.a\.parent leads back to a",
        ),
        ({"a": {"parent": "a"}}, r"encoders\.a\.parent leads back to a"),
        (
            {"a": {"parent": "b", "norm": "none"}, "b": {}},
            r"the parent b has net\.norm batch, and here it is none: whoever goes on",
        ),
        ({"a": {"parent": "b", "rate": 50.0}, "b": {}}, r"the parent b has rate 100\.0, and here"),
        ({"a": {"steps": 0, "data": ()}}, r"a\.steps is 0, which takes a parent as it is"),
        ({"a": {"steps": 0, "parent": "x"}}, r"a\.steps is 0, which takes the parent as it is: "),
    ],
)
def test_what_cannot_go_on_is_told_before_anything_is_done(sets, encoders, sentence):
    config = study_of(sets, {name: section(**changes) for name, changes in encoders.items()})
    with pytest.raises(UserError, match=sentence):
        study.check_config(config)


def test_mistakes_with_folders_are_one_sentence(sets, parent, tmp_path):
    config = study_of(sets, {"a": section(parent="nowhere")})
    with pytest.raises(UserError, match=r"a\.parent is 'nowhere': neither a folder, a packed"):
        study.pretrain_all(config, tmp_path, tmp_path / "work")
    wider = section(parent="x", net={"width": 4})
    with pytest.raises(UserError, match=r"the parent .* has net\.width 8, and here it is 4"):
        loop.train(wider, [sets["second moves"]], tmp_path / "wider", parent=parent)
    given = section(parent="x", steps=0, data=())
    child = loop.train(given, [], tmp_path / "child", parent=parent)
    loop.train(given, [], tmp_path / "grandchild", parent=parent)
    with pytest.raises(UserError, match=r"parent\.settings"):
        loop.train(given, [], tmp_path / "grandchild", parent=child)
