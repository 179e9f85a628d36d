"""Encoders trained fold by fold on windows of the people who train: who was seen, and by whom."""

import csv
import shutil

import numpy as np
import pytest
from helpers import people
from ml_collections import ConfigDict

import imujax
from imujax import UserError, checks, study
from imujax.configs import common
from imujax.data import content
from imujax.nets import resnet
from imujax.sweep import audit

FOLDS = (("P00", "P03"), ("P01", "P04"), ("P02", "P05"))
TRAIN = {"window": 32, "batch": 64, "steps": 2, "log_every": 2, "save_every": 2}


def configuration(**changes) -> ConfigDict:
    """An encoder of other people, and one that goes on from it in each fold."""
    config = ConfigDict({"seed": 0})
    config.data_sets = ConfigDict(
        {
            "moves": common.data_set("tabular", "people", card="people/moves.toml"),
            "others": common.data_set("tabular", "others", card="others/moves.toml"),
            "force": common.data_set("tabular", "people", card="people/force.toml"),
        }
    )
    net = resnet.tiny("none")
    own = TRAIN | {"monitor": 0.0, "seeds": 2, "parent": "base", "without": "force"}
    config.encoders = ConfigDict(
        {
            "own": common.encoder(("moves",), net, **own),
            "base": common.encoder(("others",), net, **TRAIN, seeds=1),
        }
    )
    arms = {
        "own": {"encoder": "own", "weights": "in_domain"},
        "pretrained": {"encoder": "base", "weights": "pretrained"},
        "random": {"encoder": "own", "weights": "random"},
    }
    grid = {"folds": FOLDS, "draws": 2, "stages": ("probe",), "axes": {"windows": (0.5, 1.0)}}
    grid |= {"references": ("ridge+own",), "targets": ("peak force",)} | changes
    config.tasks = ConfigDict({"force": common.task("force", "Force", ConfigDict(arms), **grid)})
    study.check_config(config)
    return config


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("in_domain")
    raw = people.write_people(folder / "raw" / "people", subjects=6, seconds=20)
    card = raw / "moves.toml"
    card.write_text(card.read_text().replace('"moves"', '"own_moves"'))
    people.write_people(folder / "raw" / "others", subjects=3, seconds=33)
    return folder


@pytest.fixture(scope="module")
def trained(place):
    """The folders of the pre-trainings."""
    return study.pretrain_all(configuration(), place / "data", place / "work", place / "raw")


def test_each_fold_has_seen_all_but_those_whom_it_tests(place, trained):
    assert [
        path.relative_to(place / "work/encoders/own").as_posix() for path in trained["own"]
    ] == [f"fold{fold}/seed{seed}" for fold in range(3) for seed in range(2)]
    own = study.find_all(configuration(), ["moves"], place / "data", place / "raw")["moves"]
    everything = content.read(own)
    cards = [imujax.load(folder).card for folder in trained["own"]]
    for number, (folder, card) in enumerate(zip(trained["own"], cards, strict=True)):
        tested = FOLDS[number // 2]
        assert card["settings"]["without"] == {
            "task": "force",
            "fold": number // 2,
            "subjects": list(tested),
        }
        seen = content.read(folder)
        mine = np.isin(seen.hash, everything.hash)
        assert set(seen.subject[seen.track[mine]]) == {f"P0{k}" for k in range(6)} - set(tested)
        missing = set(everything.hash.tolist()) - set(seen.hash.tolist())
        assert set(
            everything.subject[everything.track[np.isin(everything.hash, [*missing])]]
        ) == set(tested)
        base, without = card["data"]
        assert (base["subjects"], without["subjects"]) == (3, 4)
        assert without["hours"] == pytest.approx(4 * 20 / 3600, rel=0.01)
        assert card["counts"]["samples"] <= without["examples"]
    assert len({card["settings"]["seed"] for card in cards}) == 6
    assert len({imujax.load(folder).weights_digest for folder in trained["own"]}) == 6


def test_a_fold_has_only_those_that_its_draws_start_from(tmp_path):
    folders = study.checkpoint_folders(configuration(draws=1), tmp_path)["own"]
    found = [path.relative_to(tmp_path / "encoders/own").as_posix() for path in folders]
    assert found == ["fold0/seed0", "fold1/seed1", "fold2/seed0"]


def test_a_sweep_takes_the_encoder_of_its_fold(place, trained):
    """And since weights differ from fold to fold, so do the starts that the tables name."""
    config = configuration()
    (folder,) = study.sweep_all(config, place / "data", trained, place / "work", place / "raw")
    runs = list(csv.DictReader((folder / "runs.csv").read_text().splitlines()))
    starts = {
        (int(row["fold"]), int(row["draw"])): int(row["start"])
        for row in runs
        if (row["arm"], row["stage"]) == ("own", "probe")
    }
    expected = {
        (fold, draw): 1000 * ((fold + draw) % 2) + fold + 1
        for fold in range(3)
        for draw in range(2)
    }
    assert starts == expected
    assert {row["arm"] for row in runs} >= {"own", "pretrained", "random", "ridge+own"}


def test_encoders_of_other_folds_are_refused(place, trained, tmp_path):
    mixed = [*trained["own"][2:], *trained["own"][:2]]
    config = configuration(folds=FOLDS[1:] + FOLDS[:1])
    with pytest.raises(UserError, match=r"encoder own was trained without P00, P03 for fold 0, in"):
        study.sweep_all(config, place / "data", trained, tmp_path, place / "raw")
    some = trained | {"own": trained["own"][:2]}
    with pytest.raises(
        UserError, match=r"encoder own is trained fold by fold, and fold 1 has none"
    ):
        study.sweep_all(configuration(), place / "data", some, tmp_path, place / "raw")
    names = [FOLDS[0]] * 2 + [FOLDS[1]] * 2 + [FOLDS[2]] * 2
    labelled = study.find_all(config, ["force"], place / "data", place / "raw")["force"]
    audit.require_separate(labelled, {"own": trained["own"]}, {"own": names})
    with pytest.raises(UserError, match="encoder own was pre-trained on signals of"):
        audit.require_separate(labelled, {"own": mixed}, {"own": names})
    with pytest.raises(UserError, match="encoder own was pre-trained on signals of"):
        audit.require_separate(labelled, {"own": trained["own"]})


def test_a_test_subject_under_another_name_is_found_before_training(place, tmp_path):
    """P05 stands among the windows without labels as Q05: nobody leaves it out of fold 2."""
    for name in ("people", "others"):
        shutil.copytree(place / "raw" / name, tmp_path / "raw" / name)
    raw = tmp_path / "raw" / "other_names"
    shutil.copytree(place / "raw" / "people", raw)
    (raw / "P05_walk.csv").rename(raw / "Q05_walk.csv")
    for card in ("moves", "force"):
        text = (raw / f"{card}.toml").read_text()
        (raw / f"{card}.toml").write_text(text.replace("(?P<subject>P", "(?P<subject>[PQ]"))
    config = configuration()
    config.encoders.own.others = True
    config.data_sets.moves = common.data_set(
        "tabular", "other_names", card="other_names/moves.toml"
    )
    paths = study.find_all(config, config.data_sets, tmp_path / "data", tmp_path / "raw")
    assert any(
        "own" in line for line in audit.audit_configuration(configuration(), paths_of(place))
    )
    with pytest.raises(UserError, match=r"encoder own was pre-trained on signals .*P05_walk"):
        list(audit.audit_configuration(config, paths))
    config.encoders.own.others = False  # also where signals cannot tell, such as of another day
    with pytest.raises(
        UserError, match=r"moves have Q05, whom force does not have: give everybody"
    ):
        checks.tested_subjects(config, paths)
    assert checks.tested_subjects(configuration(), paths_of(place)) == {
        "force": [list(names) for names in FOLDS]
    }


def paths_of(place):
    config = configuration()
    return study.find_all(config, config.data_sets, place / "data", place / "raw")


def test_mistakes_are_one_sentence(place, tmp_path):
    config = configuration()
    with pytest.raises(UserError, match=r"encoders\.own\.without names 'forse': there are force"):
        config.encoders.own.without = "forse"
        study.check_config(config)
    fold_by_fold = {
        "pretrained": r"own\.weights is pretrained, but the encoder own is trained in each fold",
        "in_domain": r"own\.weights is in_domain, but the encoder base is not trained fold by fold",
    }
    for change, sentence in fold_by_fold.items():
        config = configuration()
        config.tasks.force.arms.own.update(
            weights=change, encoder="own" if change == "pretrained" else "base"
        )
        with pytest.raises(UserError, match=sentence):
            study.check_config(config)
    with pytest.raises(UserError, match=r"folds is leave_one_out; give the number of subjects"):
        configuration(folds="leave_one_out")
    config = configuration()
    config.encoders.base.parent = "own"
    del config.encoders.own["parent"]
    with pytest.raises(UserError, match=r"base\.parent is own, which is trained fold by fold"):
        study.check_config(config)
    with pytest.raises(UserError, match=r"--arm own has another encoder in each fold"):
        study.fit_all(
            configuration(), place / "data", {}, tmp_path, place / "raw", kind="network", arm="own"
        )
