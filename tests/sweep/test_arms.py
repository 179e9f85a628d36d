"""Where the runs of an arm start and how they see their input."""

import types

import numpy as np
import pytest
from helpers.labelled import CARD, SCALES, make_arm, people, pretrainings
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from imujax import UserError
from imujax.configs import common
from imujax.nets import parameters, tuning
from imujax.pretrain import encoder
from imujax.sweep import arms, fitting, runs


def scales_by_hand(data, train) -> dict:
    """Mean and SD over all valid samples of the training windows, in float64."""
    scales = {}
    for name in ("acc", "gyr"):
        values = [getattr(data, name)[i, : data.length[i]].astype(np.float64) for i in train]
        values = np.concatenate(values)
        scales[name] = {"mean": values.mean(), "sd": values.std()}
    return scales


def test_every_fold_and_draw_has_random_weights_of_its_own():
    """The same for every share; another set of starts has none in common."""
    arm, cells = make_arm(people(), "random", draws=4)
    starts = {}
    for cell in cells:
        starts.setdefault((cell.fold, cell.draw), set()).add(arm.start(cell))
    assert len(starts) == 12 and all(len(of_cell) == 1 for of_cell in starts.values())
    assert len(set.union(*starts.values())) == 12
    first, second = (arm.initial_encoder(cells[i]).weights_digest for i in (0, -1))
    assert first != second
    arm.random_set = 1
    assert not {arm.start(cell) for cell in cells} & set.union(*starts.values())


def test_arms_of_one_network_share_what_is_compiled():
    arm, cells = make_arm(people())
    wider = [encoder.random_encoder(CARD | {"net": CARD["net"] | {"width": 4}}, 0)]
    trainers: dict = {}
    made = [
        arms.Arm(name, arm.config, arm.data, cells, weights, arm.config.arms[name], 0, trainers)
        for name in ("pretrained", "random")
        for weights in (arm.pretrained, wider)
    ]
    assert made[0].trainer is made[2].trainer is not made[1].trainer is made[3].trainer
    assert len(trainers) == 2


def test_pre_trainings_are_spread_over_folds_and_draws():
    arm, cells = make_arm(people(), members=3, draws=3)
    table = {(cell.fold, cell.draw): arm.start(cell) for cell in cells}
    for k in range(3):
        assert {table[fold, k] for fold in range(3)} == {0, 1000, 2000}
        assert {table[k, draw] for draw in range(3)} == {0, 1000, 2000}
    digests = {one.card["settings"]["seed"]: one.weights_digest for one in arm.pretrained}
    for cell in cells:
        assert arm.initial_encoder(cell).weights_digest == digests[arm.start(cell)]


def test_random_weights_see_the_input_as_the_pre_training_in_their_place():
    pretrained, cells = make_arm(people(), members=3, draws=3)
    random, _ = make_arm(people(), "random", members=3, draws=3)
    for arm in (pretrained, random):
        for k, one in enumerate(arm.pretrained):
            one.card["scales"] = {name: {"mean": 0.0, "sd": 1.0 + k} for name in ("acc", "gyr")}
    for cell in cells:
        assert pretrained.input_scales(cell.train, cell) == random.input_scales(cell.train, cell)


def test_embeddings_are_those_of_the_weights_a_cell_starts_from():
    data = people()
    arm, cells = make_arm(data, "random", draws=4)
    for cell in (*cells[:8], cells[0]):  # more than are kept, and the first one anew
        expected = arm.initial_encoder(cell).features(data.acc, data.gyr, data.length)
        np.testing.assert_allclose(np.asarray(arm.embed(cell, cell.train)), expected, atol=1e-5)
    assert len(arm.embeddings) == arms.EMBEDDINGS_KEPT


def test_the_input_is_scaled_as_in_pre_training_unless_asked_otherwise():
    data = people()
    for rescale in (False, True):
        arm, cells = make_arm(data, rescale=rescale)
        for cell in cells[:2]:
            lane = runs.make_lane(arm, cell, cell.train, cell.test, (0.1,))
            expected = scales_by_hand(data, cell.train) if rescale else SCALES
            for name in ("acc", "gyr"):
                for key in ("mean", "sd"):
                    assert lane.scale[name][key] == pytest.approx(expected[name][key], rel=1e-6)


def test_a_rescaled_probe_is_ridge_on_rescaled_windows():
    """Two runs of one group, each with the scale of its own windows."""
    data = people()
    arm, cells = make_arm(data, rescale=True)
    lanes = [runs.make_lane(arm, c, c.train, c.test, (0.1,)) for c in cells[:2]]
    _, estimates = runs.fit_probes(arm, cells[0], lanes)
    for lane, estimate in zip(lanes, estimates, strict=True):
        scale = scales_by_hand(data, lane.train)
        acc, gyr = ((getattr(data, k) - scale[k]["mean"]) / scale[k]["sd"] for k in ("acc", "gyr"))
        start = encoder.random_encoder(CARD, 0)
        features = start.features(acc, gyr, data.length).astype(np.float64)
        scaler = StandardScaler().fit(features[lane.train])
        x = scaler.transform(features)
        ridge = Ridge(0.1 * len(lane.train)).fit(x[lane.train], data.target[lane.train])
        np.testing.assert_allclose(estimate[0, :, 0], ridge.predict(x[lane.test]), atol=0.01)


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


def test_a_network_that_is_kept_has_not_moved_what_was_to_stay(tmp_path):
    """`imujax fit` trains as the sweep does: the encoder stays to the last bit, the output goes."""
    changes = {"rates": (1e-3,), "stops": (1.0,), "penalties": (0.1,), "steps": (8, 8), "batch": 16}
    config = common.task("x", "X", common.arms("e"), tune=tuning.frozen(), **changes)
    members, data = pretrainings(1), people()
    stages = ("probe", "finetune")
    probe, kept = (
        fitting.fit_network(config, "pretrained", data, members, 0, tmp_path, stage)
        for stage in stages
    )
    before, after = (parameters.flatten(x) for x in (members[0].params, kept.params))
    assert kept.chosen["steps"] == 8 and set(after) - set(before) == {
        "output/kernel",
        "output/bias",
    }
    for name, x in before.items():
        np.testing.assert_array_equal(after[name], x)
    assert np.abs(after["output/kernel"] - probe.params["output"]["kernel"]).max() > 1e-4


def test_features_along_the_windows_have_the_width_that_is_counted_and_must_fit(monkeypatch):
    arm, cells = make_arm(people())
    count, samples = arm.data.acc.shape[:2]
    curves = np.zeros((count, samples, 1), np.float32)
    named = {"targets": [{"name": "force", "unit": "N", "every": 1, "seconds": 0.01}]}
    data = types.SimpleNamespace(**vars(arm.data) | {"target": curves, "info": named})
    spec = arm.config.arms["pretrained"]
    along = arms.Arm("pretrained", arm.config, data, cells, arm.pretrained, spec, 0, {})
    features = along.embed(cells[0], cells[0].train)
    assert features.shape == (count, samples, along._count_features())
    assert along.embed(cells[0], cells[0].train, along=False).ndim == 2
    along.embeddings.clear()
    monkeypatch.setattr(arms, "memory_budget", lambda mesh: 1e5)
    with pytest.raises(UserError, match="take fewer sensors, a narrower network, or fewer values"):
        along.embed(cells[0], cells[0].train)
