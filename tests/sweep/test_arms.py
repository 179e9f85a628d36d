"""How an arm sees its input: the scale of pre-training or of a run's own windows, with its ends."""

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


def made(data, **changes):
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
    source = encoder.random_encoder(CARD, 0)
    return arms.Arm("one", config, data, cells, source, config.arms.pretrained, 0), cells


def scaled(data, train) -> dict:
    """Mean and SD over all valid samples of the training windows, in float64 by hand."""
    found = {}
    for name in ("acc", "gyr"):
        values = [getattr(data, name)[i, : data.length[i]].astype(np.float64) for i in train]
        values = np.concatenate(values)
        found[name] = {"mean": values.mean(), "sd": values.std()}
    return found


def test_the_input_is_scaled_as_in_pre_training_unless_asked_otherwise():
    data = people()
    for rescale in (False, True):
        arm, cells = made(data, rescale=rescale)
        for cell in cells[:2]:
            _, lane = arms.make_job(arm, cell, cell.train, cell.test, {"probe": 0.1})
            wanted = scaled(data, cell.train) if rescale else SCALES
            for name in ("acc", "gyr"):
                for key in ("mean", "sd"):
                    assert lane.scale[name][key] == pytest.approx(wanted[name][key], rel=1e-6)


def test_a_rescaled_probe_is_ridge_on_rescaled_windows():
    """Two runs of one group, each with the scale of its own windows."""
    data = people()
    arm, cells = made(data, rescale=True)
    lanes = [arms.make_job(arm, c, c.train, c.test, {"probe": 0.1})[1] for c in cells[:2]]
    assert arm.group(cells[0], both=True) >= 2
    found = arms.run_group(arm, lanes, cells[0], both=True)
    assert np.isfinite(found["finetune"]).all()
    ends = np.cumsum([len(lane.test) for lane in lanes])[:-1]
    for lane, estimate in zip(lanes, np.split(found["probe"], ends), strict=True):
        scale = scaled(data, lane.train)
        acc, gyr = ((getattr(data, k) - scale[k]["mean"]) / scale[k]["sd"] for k in ("acc", "gyr"))
        features = encoder.random_encoder(CARD, 0).embed(acc, gyr, data.length).astype(np.float64)
        scaler = StandardScaler().fit(features[lane.train])
        x = scaler.transform(features)
        ridge = Ridge(0.1 * len(lane.train)).fit(x[lane.train], data.target[lane.train, 0])
        np.testing.assert_allclose(estimate, ridge.predict(x[lane.test]), atol=0.01)


def test_what_lies_beyond_the_end_of_a_window_counts_only_without_the_mask():
    data, other = people(), people()
    beyond = np.arange(32) >= data.length[:, None]
    other.acc[beyond] = 7.0
    for mask in (True, False):
        found = []
        for one in (data, other):
            arm, cells = made(one, mask=mask)
            found.append(np.asarray(arm.features(cells[0], cells[0].train)))
        assert np.allclose(*found, atol=1e-6) == mask


def test_a_single_value_is_taken_without_a_trial(monkeypatch):
    monkeypatch.setattr(arms, "run_jobs", None)  # a call would fail
    arm, cells = made(people())
    chosen = list(arms.choose_settings(arm, cells, people().subject, "finetune", {}, None, None))
    assert len(chosen) == 6 and all(value == 1e-3 for _, value, _ in chosen)
