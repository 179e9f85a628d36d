"""Many runs at once: each equals the same run alone, the probe is exact, nothing leaks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from imujax import UserError
from imujax.nets import resnet
from imujax.pretrain import encoder
from imujax.runtime import sharding
from imujax.sweep import lanes

CONFIG = ConfigDict(
    {
        "finetune_steps": 12,
        "batch": 16,
        "warmup": 0.2,
        "weight_decay": 1e-4,
        "rotation": 20.0,
        "shift": 2,
    }
)
SCALE = {"acc": {"mean": 0.1, "sd": 1.1}, "gyr": {"mean": -0.1, "sd": 0.9}}


def make_card(norm):
    return {"net": resnet.tiny(norm), "window": 32, "rate": 100.0, "scales": SCALE}


def make_examples(count=90, sensors=1, seed=0, short=False):
    rng = np.random.default_rng(seed)
    acc, gyr = rng.normal(size=(2, count, 32, sensors, 3)).astype(np.float32)
    size = rng.uniform(0.5, 2, count)
    acc[:, 10:16] *= size[:, None, None, None]
    length = rng.integers(20, 33, count).astype(np.int32) if short else None
    return lanes.LabelledArrays(acc, gyr, length, (500 * size + 100).astype(np.float32))


def make_lanes(count=5, examples=90, seed=1):
    rng = np.random.default_rng(seed)
    group = []
    for number in range(count):
        order = rng.permutation(examples)
        cut = 20 + 7 * number
        group.append(
            lanes.Lane(
                np.sort(order[:cut]),
                np.sort(order[cut : cut + 10 + number]),
                penalty=10.0 ** (number - 2),
                rate=1e-3 * (number + 1),
                seed=number,
                scale=SCALE,
            )
        )
    return group


def probe_and_finetune(trainer, source, group, features):
    trainer.compile_for_memory(source, features.shape[1], 2**40)
    heads, probes = trainer.probe(group, features)
    return probes, trainer.finetune(group, source, heads)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_lane_equals_the_same_run_alone(norm):
    data, source = make_examples(short=norm == "none"), encoder.random_encoder(make_card(norm), 0)
    features = source.embed(data.acc, data.gyr, data.length)
    group = make_lanes()
    trainer = lanes.LaneTrainer(source.card, data, CONFIG, width=60, runs=5)
    probes, tuned = probe_and_finetune(trainer, source, group, features)
    alone = lanes.LaneTrainer(source.card, data, CONFIG, width=60, runs=1)
    for number in (0, 4):
        probe, finetuned = probe_and_finetune(alone, source, [group[number]], features)
        scale = data.target.std()
        np.testing.assert_allclose(probe[0], probes[number], atol=1e-4 * scale)
        np.testing.assert_allclose(finetuned[0], tuned[number], atol=1e-4 * scale)
    assert np.abs(tuned[0] - probes[0]).max() > 1e-2 * scale  # something was trained


@pytest.mark.parametrize("size", [8, 120])
def test_the_probe_is_scikit_learns_ridge(size):
    """Fewer features than examples, and more: the primal and the dual form."""
    data = make_examples()
    rng = np.random.default_rng(3)
    features = (rng.normal(size=(90, size)) * rng.uniform(0.1, 9, size) + 5).astype(np.float32)
    features[:, 3] = 2.1  # a constant feature, and one that is constant but for one test example
    features[:, 4] = np.where(np.arange(90) == make_lanes()[0].test[2], 7.7, 0.3)
    trainer = lanes.LaneTrainer(make_card("batch"), data, CONFIG, width=60, runs=2)
    group = make_lanes()
    heads, estimates = trainer.probe(group, features)
    for number, (lane, estimate) in enumerate(zip(group, estimates, strict=True)):
        scaler = StandardScaler().fit(features[lane.train].astype(np.float64))
        x = scaler.transform(features.astype(np.float64))
        ridge = Ridge(alpha=lane.penalty * len(lane.train), solver="cholesky")
        ridge.fit(x[lane.train], data.target[lane.train].astype(np.float64))
        scale = data.target.std()
        np.testing.assert_allclose(estimate, ridge.predict(x[lane.test]), atol=2e-4 * scale)
        by_hand = features[lane.test] @ heads["kernel"][number] + heads["bias"][number]
        mean, sd = data.target[lane.train].mean(), data.target[lane.train].std()
        np.testing.assert_allclose(by_hand[:, 0] * sd + mean, estimate, atol=2e-4 * scale)


@pytest.mark.parametrize("count", [100, 700])
def test_features_that_depend_on_each_other_leave_the_probe_finite(count):
    """512 features of 10 dimensions and a penalty below what single precision can tell."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(count, 10))
    features = (hidden @ rng.normal(size=(10, 512)) + 5).astype(np.float32)
    y = (hidden[:, 0] + 0.1 * rng.normal(size=count)).astype(np.float32)
    lane = {
        "train": jnp.arange(count),
        "count": count,
        "penalty": jnp.float32(1e-9),
        "mean": y.mean(),
        "sd": y.std(),
    }
    head = lanes.fit_probe(lane, jnp.asarray(features), jnp.asarray(y))
    standardised = features @ np.asarray(head["kernel"]) + np.asarray(head["bias"])
    estimate = standardised[:, 0] * y.std() + y.mean()
    x = StandardScaler().fit_transform(features.astype(np.float64))
    ridge = Ridge(alpha=lanes.MIN_PENALTY * 512 * count).fit(x, y.astype(np.float64))
    np.testing.assert_allclose(estimate, ridge.predict(x), atol=0.02)


def test_fine_tuning_begins_where_the_probe_ends():
    data, source = make_examples(), encoder.random_encoder(make_card("batch"), 0)
    features = source.embed(data.acc, data.gyr)
    config = ConfigDict(CONFIG.to_dict() | {"finetune_steps": 1})
    trainer = lanes.LaneTrainer(source.card, data, config, width=60, runs=4)
    lane = make_lanes()[2]
    frozen = dataclasses.replace(lane, rate=0.0)
    trainer.compile_for_memory(source, features.shape[1], 2**40)
    heads, probes = trainer.probe([frozen], features)
    heads = jax.tree.map(lambda x: lanes.repeat_last(x, 4), heads)
    state = trainer.init_state(source.params, source.stats, heads)
    rows = np.broadcast_to(lane.test.astype(np.int32), (4, len(lane.test)))
    rows = sharding.place(rows, sharding.sharded(trainer.mesh))
    y = trainer.estimate_examples(trainer.place([frozen]), rows, state, trainer.data)
    np.testing.assert_allclose(np.asarray(y)[0], probes[0], rtol=1e-4)


def test_the_frozen_encoder_is_really_frozen():
    """Embedding examples one by one or all together gives the same: no statistics of the batch."""
    data, source = make_examples(), encoder.random_encoder(make_card("batch"), 0)
    together = source.embed(data.acc, data.gyr)
    np.testing.assert_allclose(
        source.embed(data.acc[:1], data.gyr[:1], batch=1), together[:1], rtol=1e-4, atol=1e-5
    )


def test_no_lane_sees_anything_outside_its_training_subset():
    """Labels of all other examples and signals of those it is not tested on may be anything."""
    data, source, lane = (
        make_examples(),
        encoder.random_encoder(make_card("batch"), 0),
        make_lanes()[1],
    )
    estimates = []
    for poison in (False, True):
        acc, target = data.acc.copy(), data.target.copy()
        if poison:
            target[np.setdiff1d(np.arange(90), lane.train)] = 1e6
            acc[np.setdiff1d(np.arange(90), np.concatenate([lane.train, lane.test]))] *= 50
        changed = lanes.LabelledArrays(acc, data.gyr, None, target)
        features = source.embed(acc, data.gyr)
        trainer = lanes.LaneTrainer(source.card, changed, CONFIG, width=60, runs=1)
        estimates.append(probe_and_finetune(trainer, source, [lane], features))
    np.testing.assert_array_equal(estimates[0][0][0], estimates[1][0][0])
    np.testing.assert_array_equal(estimates[0][1][0], estimates[1][1][0])


def test_runs_are_shared_out_without_any_collective():
    data, source = make_examples(), encoder.random_encoder(make_card("batch"), 0)
    trainer = lanes.LaneTrainer(source.card, data, CONFIG, width=60, runs=8)
    trainer.compile_for_memory(source, source.embed(data.acc, data.gyr).shape[1], 2**40)
    text = trainer.compiled_steps.as_text()
    assert trainer.mesh.size == 4 and "fusion" in text
    for word in ("all-gather", "all-reduce", "collective-permute", "all-to-all", "convolution("):
        assert word not in text


def test_groups_shrink_to_the_memory_and_say_when_nothing_fits():
    data, source = make_examples(), encoder.random_encoder(make_card("batch"), 0)
    size = source.embed(data.acc, data.gyr).shape[1]
    trainer = lanes.LaneTrainer(source.card, data, CONFIG, width=60, runs=16)
    assert trainer.compile_for_memory(source, size, 2**40) == 16
    needed = trainer.compiled_steps.memory_analysis().temp_size_in_bytes
    assert 4 <= trainer.compile_for_memory(source, size, 0.7 * needed) < 16
    with pytest.raises(UserError, match="lower batch"):
        trainer.compile_for_memory(source, size, 1000)


def test_several_sensors():
    data, source = make_examples(sensors=3), encoder.random_encoder(make_card("none"), 0)
    features = source.embed(data.acc, data.gyr)
    assert features.shape == (90, 3 * 2 * 16)
    trainer = lanes.LaneTrainer(source.card, data, CONFIG, width=60, runs=4)
    _, tuned = probe_and_finetune(trainer, source, make_lanes()[:2], features)
    assert [len(y) for y in tuned] == [10, 11] and np.isfinite(tuned[1]).all()


def test_augmentation_moves_inside_the_valid_part_and_turns_both_modalities_alike():
    count, span = 40, 32
    ramp = np.broadcast_to(
        np.arange(span, dtype=np.float32)[None, :, None, None], (count, span, 2, 3)
    )
    data = {"acc": ramp, "gyr": 2 * ramp, "length": np.full(count, 20, np.int32)}
    plain = {"acc": {"mean": 0.0, "sd": 1.0}, "gyr": {"mean": 0.0, "sd": 1.0}}
    lane = {"seed": np.uint32(3), "scale": plain}
    shift = ConfigDict({"shift": 4, "rotation": 0.0})
    acc, gyr = lanes.augment_batch(lane, data, np.arange(count), 7, shift)
    begin = np.asarray(acc)[:, 10, 0, 0] - 10
    assert set(begin) == set(range(-4, 5)) and np.asarray(acc)[:, :20].max() == 19
    np.testing.assert_array_equal(np.asarray(gyr), 2 * np.asarray(acc))
    shift_and_turn = ConfigDict({"shift": 4, "rotation": 25.0})
    turned, turned_gyr = lanes.augment_batch(lane, data, np.arange(count), 7, shift_and_turn)
    length = np.linalg.norm(acc, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), length, rtol=1e-5)
    np.testing.assert_allclose(turned_gyr, 2 * np.asarray(turned), rtol=1e-5, atol=1e-5)
    cosine = (np.asarray(turned) * np.asarray(acc)).sum(-1)[:, 19] / length[:, 19] ** 2
    assert cosine.min() >= np.cos(np.deg2rad(25.01)) and cosine.min() < 0.95
