"""How an arm sees its input, and how its settings are chosen: on inner subjects alone."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from imujax.configs import common
from imujax.nets import resnet
from imujax.pretrain import encoder
from imujax.sweep import arms, grid

SCALES = {"acc": {"mean": 0.0, "sd": 1.0}, "gyr": {"mean": 0.0, "sd": 1.0}}
CARD = {"net": resnet.tiny("none"), "window": 32, "rate": 100.0, "scales": SCALES}
SUBJECT = np.repeat([f"P{i}" for i in range(6)], [30, 20, 25, 10, 40, 15])  # of PretendArm


def people(count: int = 60):
    """Windows of three people filled up with zeros; the second half has larger signals."""
    rng = np.random.default_rng(0)
    acc, gyr = rng.normal(3.0, 1.0, (2, count, 32, 2, 3)).astype(np.float32)
    size = np.where(np.arange(count) < count // 2, 1, 4) * rng.uniform(0.5, 2, count)
    length = rng.integers(20, 33, count).astype(np.int32)
    for x in (acc, gyr):
        x *= size[:, None, None, None]
        x[np.arange(32) >= length[:, None]] = 0
    return SimpleNamespace(
        acc=acc,
        gyr=gyr,
        length=length,
        target=size[:, None].astype(np.float32),
        subject=np.repeat(["a", "b", "c"], count // 3),
    )


def make_arm(data, **changes):
    config = common.task(
        "x",
        "X",
        common.arms("e"),
        axes={"windows": (0.5, 1.0)},
        folds=3,
        draws=1,
        penalties=(0.1,),
        rates=(1e-3,),
        finetune_steps=2,
        batch=8,
        **changes,
    )
    cells = grid.make_grid(config, data.subject, seed=0)
    trained = encoder.random_encoder(CARD, 0)
    return arms.Arm("one", config, data, cells, trained, config.arms.pretrained, 0), cells


def scales_by_hand(data, train) -> dict:
    """Mean and SD over all valid samples of the training windows, in float64."""
    scales = {}
    for name in ("acc", "gyr"):
        values = [getattr(data, name)[i, : data.length[i]].astype(np.float64) for i in train]
        values = np.concatenate(values)
        scales[name] = {"mean": values.mean(), "sd": values.std()}
    return scales


def test_the_input_is_scaled_as_in_pre_training_unless_asked_otherwise():
    data = people()
    for rescale in (False, True):
        arm, cells = make_arm(data, rescale=rescale)
        for cell in cells[:2]:
            lane = arms.make_lane(arm, cell, cell.train, cell.test, {"probe": 0.1})
            expected = scales_by_hand(data, cell.train) if rescale else SCALES
            for name in ("acc", "gyr"):
                for key in ("mean", "sd"):
                    assert lane.scale[name][key] == pytest.approx(expected[name][key], rel=1e-6)


def test_a_rescaled_probe_is_ridge_on_rescaled_windows():
    """Two runs of one group, each with the scale of its own windows."""
    data = people()
    arm, cells = make_arm(data, rescale=True)
    lanes = [arms.make_lane(arm, c, c.train, c.test, {"probe": 0.1}) for c in cells[:2]]
    assert arm.group_size(cells[0], with_finetune=True) >= 2
    estimates = arms.run_group(arm, lanes, cells[0], with_finetune=True)
    assert np.isfinite(estimates["finetune"]).all()
    ends = np.cumsum([len(lane.test) for lane in lanes])[:-1]
    for lane, estimate in zip(lanes, np.split(estimates["probe"], ends), strict=True):
        scale = scales_by_hand(data, lane.train)
        acc, gyr = ((getattr(data, k) - scale[k]["mean"]) / scale[k]["sd"] for k in ("acc", "gyr"))
        features = encoder.random_encoder(CARD, 0).embed(acc, gyr, data.length).astype(np.float64)
        scaler = StandardScaler().fit(features[lane.train])
        x = scaler.transform(features)
        ridge = Ridge(0.1 * len(lane.train)).fit(x[lane.train], data.target[lane.train, 0])
        np.testing.assert_allclose(estimate, ridge.predict(x[lane.test]), atol=0.01)


def test_what_lies_beyond_the_end_of_a_window_counts_only_without_the_mask():
    data, changed = people(), people()
    beyond = np.arange(32) >= data.length[:, None]
    changed.acc[beyond] = 7.0
    for mask in (True, False):
        embeddings = []
        for examples in (data, changed):
            arm, cells = make_arm(examples, mask=mask)
            embeddings.append(np.asarray(arm.embed(cells[0], cells[0].train)))
        assert np.allclose(*embeddings, atol=1e-6) == mask


def test_a_single_value_is_taken_without_a_trial(monkeypatch):
    monkeypatch.setattr(arms, "run_lanes", None)  # a call would fail
    arm, cells = make_arm(people())
    chosen = list(arms.choose_settings(arm, cells, people().subject, "finetune", {}, None, None))
    assert len(chosen) == 6 and all(value == 1e-3 for _, value, _ in chosen)


class PretendArm:
    """Stands in for an arm: an estimate is off by what the table says for its value."""

    def __init__(self, offsets):
        self.config = common.task(
            "x",
            "X",
            common.arms("e"),
            folds=3,
            draws=2,
            axes={"windows": (0.1, 0.5, 1.0), "subjects": (0.5, 1.0)},
            penalties=(0.1, 1.0, 10.0),
            rates=(1e-3, 1e-2),
            select={"folds": 2, "splits": 2, "draws": 1},
        )
        self.seed, self.offsets, self.trials = 0, offsets, []
        examples = SimpleNamespace(target=np.zeros(len(SUBJECT), np.float32))
        self.trainer = SimpleNamespace(examples=examples)

    def input_scales(self, train):
        return None


def test_settings_are_chosen_on_inner_subjects_only(monkeypatch):
    arm = PretendArm({0.1: 3.0, 1.0: 1.0, 10.0: 2.0, 1e-3: np.nan, 1e-2: 5.0})
    cells = grid.make_grid(arm.config, SUBJECT, seed=0)
    by_fold = {c.fold: set(SUBJECT[c.test]) for c in cells}

    def run_lanes(arm, cell_lanes, purpose, parts, progress, with_finetune):
        estimates = []
        for _, lane in cell_lanes:
            seen = set(SUBJECT[lane.train]) | set(SUBJECT[lane.test])
            arm.trials.append((lane, seen))
            assert not set(SUBJECT[lane.train]) & set(SUBJECT[lane.test])
            offset = arm.offsets[lane.rate if with_finetune else lane.penalty]
            estimate = np.full(len(lane.test), offset)
            estimates.append((estimate, estimate))
        return estimates

    monkeypatch.setattr(arms, "run_lanes", run_lanes)
    chosen = {}
    assert len(list(arms.choose_settings(arm, cells, SUBJECT, "probe", {}, None, None))) == 3 * 4
    for key, value, note in arms.choose_settings(arm, cells, SUBJECT, "probe", chosen, None, None):
        assert value == 1.0 and note == ""
        chosen[key] = {"probe": value}
    for key, value, _ in arms.choose_settings(arm, cells, SUBJECT, "finetune", chosen, None, None):
        assert value == 1e-2 and key in chosen  # a rate that diverges is never taken
    first_draw = [cell for cell in cells if cell.draw == 0]
    for lane, seen in arm.trials:
        assert any(
            set(lane.train) | set(lane.test) <= set(cell.train) and not seen & by_fold[cell.fold]
            for cell in first_draw
        )
    assert all(lane.penalty == 1.0 for lane, _ in arm.trials if lane.rate)


def test_with_one_training_subject_nothing_is_chosen_and_it_is_said(monkeypatch):
    arm = PretendArm({})
    arm.config.axes = {"subjects": (0.1,)}
    cells = grid.make_grid(arm.config, SUBJECT, seed=0)
    monkeypatch.setattr(arms, "run_lanes", lambda *_, **__: [])
    chosen = list(arms.choose_settings(arm, cells, SUBJECT, "probe", {}, None, None))
    assert len(chosen) == 3
    for _, value, note in chosen:
        assert value == 1.0 and note == "one training subject: nothing chosen"
