"""A task whose windows have another rate, length and sensor than those that its encoder saw."""

import json

import numpy as np
import pytest
from helpers import labelled, people
from ml_collections import ConfigDict

import imujax
from imujax import UserError, checks, study
from imujax.configs import common
from imujax.data import datasets, rates
from imujax.nets import resnet
from imujax.pretrain import encoder
from imujax.report import omissions, tables
from imujax.sweep import arms, grid, reference_runs, rehearsal, runs, shares, sweep

AT_50 = {
    "[window]\nrate = 100\nlength = 32\nbefore = 8": "[window]\nrate = 50\nlength = 16\nbefore = 4",
    "[sensors.shank]": "[sensors.tibia]",
    'name = "force"\nfiles': 'name = "slow_force"\nfiles',
}
SAID = (
    "force: all arms of encoder small see the windows brought from 50 to 100 Hz, references see "
    "them as they are"
)


def configuration(card="force.toml", **changes) -> ConfigDict:
    config = ConfigDict({"seed": 0})
    config.data_sets = ConfigDict(
        {
            "moves": common.data_set("tabular", "others", card="others/moves.toml"),
            "force": common.data_set("tabular", "people", card=f"people/{card}"),
        }
    )
    train = {"window": 32, "batch": 64, "steps": 4, "log_every": 2, "save_every": 4, "seeds": 1}
    config.encoders = ConfigDict(
        {"small": common.encoder(("moves",), resnet.tiny("none"), **train)}
    )
    fields = {"axes": {"windows": (1.0,)}, "folds": 3, "draws": 1, "penalties": (0.1,)}
    fields |= {"rates": (1e-3,), "passes": 4.0, "steps": (10, 20), "stops": (1.0,), "batch": 32}
    fields |= {"references": ("ridge", "ridge+pretrained"), "targets": ("peak force",)} | changes
    config.tasks = ConfigDict({"force": common.task("force", "F", common.arms("small"), **fields)})
    study.check_config(config)
    return config


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("other_rates")
    raw = people.write_people(folder / "raw" / "people", subjects=6, seconds=30)
    people.write_people(folder / "raw" / "others", subjects=3, seconds=33)
    text = (raw / "force.toml").read_text()
    for old, new in AT_50.items():
        assert old in text
        text = text.replace(old, new)
    (raw / "slow.toml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def trained(place):
    return study.pretrain_all(configuration(), place / "data", place / "work", place / "raw")


def run(place, trained, name, card):
    """The sweep of the labelled windows of a card, in a folder of its own."""
    config = configuration(card)
    (folder,) = study.sweep_all(config, place / "data", trained, place / name, place / "raw")
    return folder


def estimates(folder, arm, stage):
    """By subject and second: there is a bump in each."""
    found = tables.load_sweep(folder)
    numbers = found.runs["run"][(found.runs["arm"] == arm) & (found.runs["stage"] == stage)]
    rows = np.isin(found.predictions["run"], numbers)
    names = (found.predictions[key][rows] for key in ("subject", "start"))
    values = found.predictions["estimate"][rows].reshape(-1)
    return {(s, round(float(t))): v for s, t, v in zip(*names, values.tolist(), strict=True)}


def test_the_arms_see_the_windows_at_the_rate_of_their_encoder(place, trained, capsys):
    """And so estimate what they do of windows that were built at that rate, or nearly."""
    slow = run(place, trained, "slow", "slow.toml")
    assert capsys.readouterr().err.count(SAID) == 1
    fast = run(place, trained, "fast", "force.toml")
    assert "brought from" not in capsys.readouterr().err
    assert json.loads((slow / "summary.json").read_text())["sensors"] == ["tibia"]
    for arm, stage in (("pretrained", "probe"), ("random", "probe"), ("random", "finetune")):
        one, other = (estimates(folder, arm, stage) for folder in (slow, fast))
        both = sorted(one.keys() & other.keys())
        assert len(both) > 0.9 * len(other)
        pairs = np.array([(one[key], other[key]) for key in both])
        assert np.corrcoef(pairs.T)[0, 1] > 0.98
    (told,) = omissions.resampled(tables.load_sweep(slow))
    assert told == (
        "All arms of encoder small see the windows brought from 50 to 100 Hz, and nothing above "
        "25 Hz; references see them as they are."
    )
    assert omissions.resampled(tables.load_sweep(fast)) == []


def test_a_model_of_such_a_task_takes_windows_at_their_own_rate(place, trained):
    config = configuration("slow.toml")
    at = place / "data", trained, place / "slow", place / "raw"
    run(place, trained, "slow", "slow.toml")
    (folder,) = study.fit_all(config, *at, kind="probe")
    kept = imujax.load(folder)
    assert (kept.card["rate"], kept.card["window"], kept.card["sensors"]) == (50.0, 16, ["tibia"])
    path = study.find_all(config, ["force"], place / "data", place / "raw")["force"]
    data = datasets.read(path)
    found = kept.predict(data.acc, data.gyr).estimate
    seen = rates.at_rate(data, 100.0)
    assert seen.acc.shape[1] == 32
    (part,) = kept.parts
    own = encoder.Encoder({"net": part.fitted.net, "scales": part.fitted.scales}, {}, {})
    net = {name: x for name, x in part.fitted.params.items() if name != "output"}
    features = encoder.Encoder(own.card, net, part.fitted.stats).features(seen.acc, seen.gyr)
    output = part.fitted.params["output"]
    by_hand = (features @ output["kernel"] + output["bias"]) * part.fitted.sd + part.fitted.mean
    np.testing.assert_allclose(found, by_hand[:, 0], rtol=1e-3, atol=1e-2)
    why = kept.explain(data.acc[:1], data.gyr[:1])
    assert why.acc.shape == (1, 16, 1, 3) and abs(why.rest).max() < 1e-2


def test_random_and_pretrained_arms_see_the_same_and_references_the_windows(tmp_path, monkeypatch):
    """Two encoders of one network at two rates do not share what is compiled for one of them."""
    few = labelled.people()
    words = np.array(["x"] * len(few.length))
    info = {"rate": 50.0, "window": 32, "sensors": ["a", "b"], "targets": [{"name": "y"}]}
    data = datasets.Dataset(
        few.acc, few.gyr, few.length, few.subject, words, words, words, few.length, few.target, info
    )
    members = {
        key: [encoder.random_encoder(labelled.CARD | {"rate": rate, "settings": {"seed": 0}}, 0)]
        for key, rate in (("fast", 100.0), ("own", 50.0))
    }
    given = {key + spec: {"encoder": key, "weights": spec} for key in members for spec in WEIGHTS}
    fields = {"axes": {"windows": (1.0,)}, "folds": 3, "draws": 1, "stages": ("probe",)}
    fields |= {"penalties": (0.1,), "references": ("ridge",)}
    config = common.task("x", "X", ConfigDict(given), **fields)
    cells = grid.make_grid(config, data.subject, 0)
    made, seen = {}, []
    init, rows = arms.Arm.__init__, reference_runs.reference_rows
    monkeypatch.setattr(
        arms.Arm,
        "__init__",
        lambda arm, name, *rest, **more: (made.update({name: arm}), init(arm, name, *rest, **more))[
            1
        ],
    )
    monkeypatch.setattr(
        reference_runs,
        "reference_rows",
        lambda config, by_label, own, data, *rest: (
            seen.append(data),
            rows(config, by_label, own, data, *rest),
        )[1],
    )
    every = dict.fromkeys((*config.arms, shares.REFERENCES), cells)
    parts = runs.Parts(tmp_path / "parts")
    found, _ = sweep.run_cells(config, data, members, 0, "x", cells, every, parts)
    assert len(found) == 5 * len(cells) and seen == [data]
    assert made["fastrandom"].data is made["fastpretrained"].data
    assert made["fastrandom"].trainer is made["fastpretrained"].trainer
    acc, length = rates.resample(few.acc, few.length, 50.0, 100.0)
    examples = made["fastrandom"].trainer.examples
    np.testing.assert_array_equal(examples.acc, acc)
    np.testing.assert_array_equal(examples.length, length)
    assert made["ownrandom"].data is data and made["ownrandom"].trainer.examples.acc is data.acc


WEIGHTS = ("random", "pretrained")


def test_what_does_not_fit_is_told_before_anything_is_trained(place, trained):
    config = configuration("slow.toml")
    described = {"rate": 50.0, "sensors": ["tibia"], "targets": [{"name": "peak force"}]}
    checks.require_matching(config, {"force": described})
    with pytest.raises(UserError, match=r"data set force holds data at 500 Hz, and .* sees 100"):
        checks.require_matching(config, {"force": described | {"rate": 500.0}})
    curves = configuration("slow.toml", targets=("force",), references=())
    paths = study.find_all(config, ["force"], place / "data", place / "raw")
    sections = config.encoders
    assert "6 subjects" in rehearsal.rehearse(config.tasks.force, paths["force"], sections, 0)
    sentence = "holds curves at 50 Hz, .* sees 100: build it again with the option rate=100"
    with pytest.raises(UserError, match=sentence) as error:
        rehearsal.rehearse(curves.tasks.force, paths["force"], sections, 0)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=sentence):
        study.sweep_all(curves, place / "data", trained, place / "curves", place / "raw")
    assert not (place / "curves").exists()
