"""Many runs at once: each equals the same run alone, the probe is exact, nothing leaks."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize
import scipy.special
from ml_collections import ConfigDict
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from imujax import UserError
from imujax.nets import parameters, resnet
from imujax.pretrain import encoder
from imujax.sweep import lanes, probes

CONFIG = ConfigDict(
    {
        "batch": 16,
        "weight_decay": 1e-4,
        "rotation": 20.0,
        "shift": 2,
        "tune": (),
        "kept": 0.0,
    }
)
SCALE = {"acc": {"mean": 0.1, "sd": 1.1}, "gyr": {"mean": -0.1, "sd": 0.9}}


def make_card(norm):
    return {"net": resnet.tiny(norm), "window": 32, "rate": 100.0, "scales": SCALE}


def make_examples(count=90, sensors=1, seed=0, short=False):
    """Two targets that the signals show: one in large numbers, one in small ones and noisy."""
    rng = np.random.default_rng(seed)
    acc, gyr = rng.normal(size=(2, count, 32, sensors, 3)).astype(np.float32)
    size = rng.uniform(0.5, 2, count)
    acc[:, 10:16] *= size[:, None, None, None]
    length = rng.integers(20, 33, count).astype(np.int32) if short else None
    target = np.stack([500 * size + 100, 0.1 * size + rng.normal(0, 0.02, count)], axis=1)
    return lanes.LabelledArrays(acc, gyr, length, target.astype(np.float32))


def make_lanes(count=5, examples=90, seed=1, norm="batch"):
    """Lanes that all start from the same weights."""
    rng = np.random.default_rng(seed)
    start = encoder.random_encoder(make_card(norm), 0)
    group = []
    for number in range(count):
        order = rng.permutation(examples)
        cut = 20 + 7 * number
        group.append(
            lanes.Lane(
                np.sort(order[:cut]),
                np.sort(order[cut : cut + 10 + number]),
                penalties=(10.0 ** (number - 2),),
                rate=1e-3 * (number + 1),
                rise=2 + number,
                seed=number,
                start=start,
                scale=SCALE,
            )
        )
    return group


def embed(data, start):
    return start.features(data.acc, data.gyr, data.length)


def probe_and_finetune(trainer, group, features, steps=12):
    """Estimates [m, 2] of each lane by its probe and after so many steps."""
    heads, probes = trainer.probe(group, features)
    stack = trainer.begin(group, heads)
    trainer.advance(stack, 0, steps)
    return [row[0] for row in probes], trainer.estimate(stack)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_lane_equals_the_same_run_alone(norm):
    """Among others that start from other weights, in a stack that is filled up."""
    data, group = make_examples(short=norm == "none"), make_lanes(norm=norm)
    features = embed(data, group[0].start)
    card = group[0].start.card
    trainer = lanes.LaneTrainer(card, data, CONFIG, width=60, runs=8)
    others = [
        dataclasses.replace(x, start=encoder.random_encoder(card, i + 1))
        for i, x in enumerate(group[1:4])
    ]
    probes, tuned = probe_and_finetune(trainer, [group[0], *others, group[4]], features)
    alone = lanes.LaneTrainer(card, data, CONFIG, width=60, runs=1)
    for number in (0, 4):
        probe, finetuned = probe_and_finetune(alone, [group[number]], features)
        scale = data.target.std(axis=0)
        np.testing.assert_allclose(probe[0] / scale, probes[number] / scale, atol=1e-4)
        np.testing.assert_allclose(finetuned[0] / scale, tuned[number] / scale, atol=1e-4)
    assert (np.abs(tuned[0] - probes[0]).max(axis=0) > 1e-2 * scale).all()  # both were trained


def test_runs_under_vmap_are_products_on_every_platform():
    card, data = make_card("batch"), make_examples()
    trainer = lanes.LaneTrainer(card, data, CONFIG, width=60, runs=2)
    assert card["net"]["conv"] == "auto" and trainer.net.net["conv"] == "dot"


def test_a_run_may_be_looked_at_anywhere_on_its_way():
    """Estimates and losses at a stop are those of a run that ends there; lanes may be regrouped."""
    data, group = make_examples(), make_lanes()
    trainer = lanes.LaneTrainer(group[0].start.card, data, CONFIG, width=60, runs=8)
    heads, _ = trainer.probe(group, embed(data, group[0].start))
    stack = trainer.begin(group, heads)
    early = trainer.advance(stack, 0, 4)
    at_4 = trainer.estimate(stack)
    keep = np.array([True, False, False, True, False])
    (fewer,) = trainer.regroup([stack], [keep])
    assert len(fewer.arrays["rate"]) == 4 and len(stack.arrays["rate"]) == 8
    late = trainer.advance(fewer, 4, 12)
    at_12 = trainer.estimate(fewer)
    scale = data.target.std(axis=0)
    straight = trainer.begin(group, heads)
    losses = trainer.advance(straight, 0, 12)
    for number, place in ((0, 0), (3, 1)):
        expected = trainer.estimate(straight)[number]
        np.testing.assert_allclose(at_12[place] / scale, expected / scale, atol=1e-4)
        mean = (4 * early[number] + 8 * late[place]) / 12
        assert losses[number] == pytest.approx(mean, rel=1e-4)
    short = trainer.begin(group, heads)
    trainer.advance(short, 0, 4)
    np.testing.assert_allclose(trainer.estimate(short)[2] / scale, at_4[2] / scale, atol=1e-5)


def test_the_averaged_weights_are_those_of_shamir_and_zhang():
    """One step at a time in float64: the weights after step t count as (t + 1) .. (t + 8)."""
    data, group = make_examples(), make_lanes()[:1]
    trainer = lanes.LaneTrainer(group[0].start.card, data, CONFIG, width=60, runs=1)
    heads, _ = trainer.probe(group, embed(data, group[0].start))
    stack, iterates = trainer.begin(group, heads), []
    for step in range(6):
        trainer.advance(stack, step, step + 1)
        iterates.append(np.asarray(stack.state["params"]["output"]["kernel"][0], np.float64))
    weights = np.array([np.prod(np.arange(t + 1.0, t + 9)) for t in range(6)])
    expected = np.tensordot(weights / weights.sum(), np.stack(iterates), 1)
    average = stack.state["average"]["params"]["output"]["kernel"][0]
    np.testing.assert_allclose(np.asarray(average), expected, rtol=1e-5, atol=1e-6)
    assert np.abs(iterates[-1] - expected).max() > 1e-4


@pytest.mark.parametrize("size", [8, 120])
def test_the_probe_is_scikit_learns_ridge(size):
    """Fewer features than examples, and more: the primal and the dual form."""
    data = make_examples()
    rng = np.random.default_rng(3)
    features = (rng.normal(size=(90, size)) * rng.uniform(0.1, 9, size) + 5).astype(np.float32)
    features[:, 3] = 2.1  # a constant feature, and one that is constant but for one test example
    features[:, 4] = np.where(np.arange(90) == make_lanes()[0].test[2], 7.7, 0.3)
    trainer = lanes.LaneTrainer(make_card("batch"), data, CONFIG, width=60, runs=2)
    group = [dataclasses.replace(x, penalties=(*x.penalties, 0.3)) for x in make_lanes()]
    heads, estimates = trainer.probe(group, features)
    for lane, head, estimate in zip(group, heads, estimates, strict=True):
        scaler = StandardScaler().fit(features[lane.train].astype(np.float64))
        x = scaler.transform(features.astype(np.float64))
        scale, sd = data.target.std(axis=0), data.target[lane.train].std(axis=0)
        for k, penalty in enumerate(lane.penalties):
            ridge = Ridge(alpha=penalty * len(lane.train), solver="cholesky")
            ridge.fit(x[lane.train], data.target[lane.train].astype(np.float64))
            expected = ridge.predict(x[lane.test])
            np.testing.assert_allclose(estimate[k] / scale, expected / scale, atol=2e-4)
            by_hand = features[lane.test] @ head["kernel"][k] + head["bias"][k]
            by_hand = by_hand * sd + data.target[lane.train].mean(axis=0)
            np.testing.assert_allclose(by_hand / scale, expected / scale, atol=2e-4)


@pytest.mark.parametrize("count", [100, 700])
def test_features_that_depend_on_each_other_leave_the_probe_finite(count):
    """512 features of 10 dimensions and a penalty below what single precision can tell."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(count, 10))
    features = (hidden @ rng.normal(size=(10, 512)) + 5).astype(np.float32)
    y = (hidden[:, :2] + 0.1 * rng.normal(size=(count, 2))).astype(np.float32)
    lane = {
        "train": jnp.arange(count),
        "count": count,
        "penalties": jnp.array([1e-9], jnp.float32),
        "mean": y.mean(axis=0, keepdims=True),
        "sd": y.std(axis=0, keepdims=True),
    }
    head = probes.fit_probe(lane, jnp.asarray(features), jnp.asarray(y))
    standardised = features @ np.asarray(head["kernel"][0]) + np.asarray(head["bias"][0])
    estimate = standardised * y.std(axis=0) + y.mean(axis=0)
    x = StandardScaler().fit_transform(features.astype(np.float64))
    ridge = Ridge(alpha=probes.MIN_PENALTY * 512 * count).fit(x, y.astype(np.float64))
    np.testing.assert_allclose(estimate, ridge.predict(x), atol=0.02)


def make_classes(count=90):
    """Three classes that the signals show: the size of a bump, small, middle or large."""
    data = make_examples(count)
    number = np.digitize(data.target[:, 0], (500, 800))
    return dataclasses.replace(data, target=np.eye(3, dtype=np.float32)[number], is_class=True)


@pytest.mark.parametrize("size", [8, 120])
def test_the_probe_of_classes_is_scikit_learns_logistic_regression(size):
    """Fewer features than examples, and more; the least of penalties is solved to a few percent."""
    data = make_classes()
    rng = np.random.default_rng(3)
    features = (rng.normal(size=(90, size)) * rng.uniform(0.1, 9, size) + 5).astype(np.float32)
    features[:, :3] += 9 * data.target
    features[:, 3] = 2.1  # a constant feature
    number = data.target.argmax(axis=1)
    trainer = lanes.LaneTrainer(make_card("batch"), data, CONFIG, width=60, runs=2)
    group = [dataclasses.replace(x, penalties=(0.03, 0.3)) for x in make_lanes()]
    heads, estimates = trainer.probe(group, features)
    for lane, head, estimate in zip(group, heads, estimates, strict=True):
        scaler = StandardScaler().fit(features[lane.train].astype(np.float64))
        x = scaler.transform(features.astype(np.float64))
        for k, penalty in enumerate(lane.penalties):
            regression = LogisticRegression(
                C=1 / (penalty * len(lane.train)), tol=1e-8, max_iter=999
            )
            regression.fit(x[lane.train], number[lane.train])
            expected = regression.predict_proba(x[lane.test])
            np.testing.assert_allclose(estimate[k], expected, atol=0.005)
            logits = features[lane.test] @ head["kernel"][k] + head["bias"][k]
            np.testing.assert_allclose(scipy.special.softmax(logits, axis=1), expected, atol=0.005)


def test_classes_are_tuned_from_their_probe_on():
    data, lane = make_classes(), make_lanes()[4]
    trainer = lanes.LaneTrainer(lane.start.card, data, CONFIG, width=60, runs=1)
    heads, probes = trainer.probe([lane], embed(data, lane.start))
    stack = trainer.begin([lane], heads)
    (begin,) = trainer.estimate(stack)
    np.testing.assert_allclose(begin, probes[0][0], atol=1e-4)
    np.testing.assert_allclose(begin.sum(axis=1), 1, atol=1e-5)
    losses = [trainer.advance(stack, first, first + 30)[0] for first in (0, 30, 60)]
    assert losses[-1] < 0.7 * losses[0] < np.log(3)


def test_fine_tuning_begins_where_the_probe_ends():
    data, lane = make_examples(), make_lanes()[2]
    trainer = lanes.LaneTrainer(lane.start.card, data, CONFIG, width=60, runs=4)
    heads, probes = trainer.probe([lane], embed(data, lane.start))
    (estimate,) = trainer.estimate(trainer.begin([lane], heads))
    np.testing.assert_allclose(estimate, probes[0][0], rtol=1e-4)


def test_the_frozen_encoder_is_really_frozen():
    """Embedding examples one by one or all together gives the same: no statistics of the batch."""
    data, source = make_examples(), encoder.random_encoder(make_card("batch"), 0)
    together = source.features(data.acc, data.gyr)
    np.testing.assert_allclose(
        source.features(data.acc[:1], data.gyr[:1], batch=1), together[:1], rtol=1e-4, atol=1e-5
    )


def test_no_lane_sees_anything_outside_its_training_subset():
    """Labels of all other examples and signals of those it is not tested on may be anything."""
    data, lane = make_examples(), make_lanes()[1]
    estimates = []
    for poison in (False, True):
        acc, target = data.acc.copy(), data.target.copy()
        if poison:
            target[np.setdiff1d(np.arange(90), lane.train)] = 1e6
            acc[np.setdiff1d(np.arange(90), np.concatenate([lane.train, lane.test]))] *= 50
        changed = lanes.LabelledArrays(acc, data.gyr, None, target)
        trainer = lanes.LaneTrainer(lane.start.card, changed, CONFIG, width=60, runs=1)
        estimates.append(probe_and_finetune(trainer, [lane], embed(changed, lane.start)))
    np.testing.assert_array_equal(estimates[0][0][0], estimates[1][0][0])
    np.testing.assert_array_equal(estimates[0][1][0], estimates[1][1][0])


def test_runs_are_shared_out_without_any_collective():
    data, start = make_examples(), make_lanes()[0].start
    trainer = lanes.LaneTrainer(start.card, data, CONFIG, width=60, runs=8)
    trainer.compile_for_memory(start, embed(data, start).shape[1], 2**40)
    text = trainer.programs[8].as_text()
    assert trainer.mesh.size == 4 and "fusion" in text
    for word in ("all-gather", "all-reduce", "collective-permute", "all-to-all", "convolution("):
        assert word not in text


def test_groups_shrink_to_the_memory_and_say_when_nothing_fits():
    data, start = make_examples(), make_lanes()[0].start
    size = embed(data, start).shape[1]
    trainer = lanes.LaneTrainer(start.card, data, CONFIG, width=60, runs=17)
    assert trainer.compile_for_memory(start, size, 2**40) == 16
    assert [trainer.stack_size(n) for n in (16, 9, 8, 3, 1)] == [16, 16, 8, 4, 4]
    needed = trainer.programs[16].memory_analysis().temp_size_in_bytes
    assert 4 <= trainer.compile_for_memory(start, size, 0.7 * needed) < 16
    with pytest.raises(UserError, match="lower batch"):
        trainer.compile_for_memory(start, size, 1000)


def tuned(norm, tune, steps=6, kept=0.0):
    """A lane before and after so many steps: its start, head, stack, trainer."""
    data, lane = make_examples(), make_lanes(norm=norm)[1]
    config = ConfigDict(CONFIG.to_dict() | {"tune": tune, "weight_decay": 0.1, "kept": kept})
    trainer = lanes.LaneTrainer(lane.start.card, data, config, width=60, runs=1)
    heads, _ = trainer.probe([lane], embed(data, lane.start))
    stack = trainer.begin([lane], heads)
    trainer.advance(stack, 0, steps)
    return lane, heads[0], stack, trainer


def of_lane(tree):
    """{name: array} of the first lane of a stacked tree."""
    return {name: np.asarray(x[0]) for name, x in parameters.flatten(tree).items()}


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_so_much_is_kept_of_the_weights_at_the_start(norm):
    """In what is tried, by hand in float64; the average is that of a run that keeps none."""
    _, _, plain, _ = tuned(norm, ())
    lane, head, stack, trainer = tuned(norm, (), kept=0.3)
    assert "start" not in plain.state
    start = lane.start.params | {"output": {name: x[0] for name, x in head.items()}}
    tried = trainer.tried(stack)
    for part, begun in (("params", start), ("stats", lane.start.stats)):
        average, mixed = (of_lane(tree[part]) for tree in (plain.state["average"], tried))
        for name, first in parameters.flatten(begun).items():
            expected = 0.7 * average[name].astype(np.float64) + 0.3 * np.float64(first)
            np.testing.assert_allclose(mixed[name], expected, atol=2e-5, err_msg=name)
    variables = {
        "params": parameters.unflatten(of_lane(tried["params"])),
        "batch_stats": parameters.unflatten(of_lane(tried["stats"])),
    }
    data, rows = trainer.examples, lane.test
    acc, gyr = (
        (x[rows] - s["mean"]) / s["sd"]
        for x, s in ((data.acc, SCALE["acc"]), (data.gyr, SCALE["gyr"]))
    )
    y = np.asarray(trainer.net.apply(variables, acc, gyr), np.float64)
    mean, sd = lanes.label_moments(lane, data)
    np.testing.assert_allclose(trainer.estimate(stack)[0], y * sd + mean, rtol=1e-4)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_what_has_the_factor_0_is_not_moved_by_a_bit(norm):
    """In the run and in its average; all else is; statistics of batch norm go on."""
    tune = (("acc_encoder/.*", 0.0), (".*/stage2_.*kernel", 1.0), ("gyr_encoder/.*", 0.0))
    lane, head, stack, _ = tuned(norm, tune)
    start = parameters.flatten(lane.start.params)
    moves = {name for name in start if re.fullmatch("gyr_encoder/stage2_.*kernel", name)}
    assert 0 < len(moves) < len(start) / 2
    for weights in (stack.state["params"], stack.state["average"]["params"]):
        after = of_lane(weights)
        assert set(after) == {*start, "output/kernel", "output/bias"}
        for name, before in start.items():
            assert np.array_equal(after[name], before) == (name not in moves), name
    assert not np.array_equal(after["output/kernel"], head["kernel"][0])
    stats = of_lane(stack.state["average"]["stats"])
    before = parameters.flatten(lane.start.stats)
    assert bool(stats) == (norm == "batch")
    assert not [name for name, x in stats.items() if np.array_equal(x, before[name])]


def test_a_factor_of_a_half_is_half_the_rate_of_optax():
    """One step at a time, each parameter by an AdamW of its own."""
    factors = {"acc_encoder": 0.5, "gyr_encoder": 1.0, "output": 1.0}
    lane, head, stack, trainer = tuned("none", (("acc_encoder/.*", 0.5),))
    params = lane.start.params | {"output": {name: x[0] for name, x in head.items()}}
    arrays = jax.tree.map(lambda x: x[0], stack.arrays)
    optimisers = {
        name: optax.adamw(
            lambda step, f=f: f * lane.rate * jnp.minimum(1, (step + 1) / lane.rise),
            weight_decay=0.1,
        )
        for name, f in factors.items()
    }
    states = {name: one.init(params[name]) for name, one in optimisers.items()}

    @jax.jit
    def gradient(params, step):
        rows = lanes.sample_rows(arrays, step, CONFIG.batch)
        acc, gyr, target = lanes.augment_batch(arrays, trainer.data, rows, step, trainer.config)
        truth = (target - arrays["mean"]) / arrays["sd"]

        def loss(params):
            return ((trainer.net.apply({"params": params}, acc, gyr) - truth) ** 2).mean()

        return jax.grad(loss)(params)

    for step in range(6):
        grads = gradient(params, step)
        for name, one in optimisers.items():
            updates, states[name] = one.update(grads[name], states[name], params[name])
            params = params | {name: optax.apply_updates(params[name], updates)}
    after, start = of_lane(stack.state["params"]), parameters.flatten(lane.start.params)
    for name, expected in parameters.flatten(params).items():
        np.testing.assert_allclose(after[name], expected, atol=2e-5)
    name = "acc_encoder/stage1_block1_conv1/kernel"
    assert np.abs(after[name] - start[name]).max() > 1e-3


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("encoder/stem", r"the pattern 'encoder/stem' matches no parameter .*like acc_encoder/"),
        ("acc_encoder/(", r"the pattern 'acc_encoder/\(' is no regular expression: missing \)"),
    ],
)
def test_a_pattern_of_no_parameter_is_told_before_the_first_step(pattern, sentence):
    data, start = make_examples(), make_lanes()[0].start
    config = ConfigDict(CONFIG.to_dict() | {"tune": ((pattern, 0.5),)})
    trainer = lanes.LaneTrainer(start.card, data, config, width=60, runs=1)
    with pytest.raises(UserError, match=sentence) as error:
        trainer.compile_for_memory(start, 32, 2**40)
    assert "\n" not in str(error.value)


def test_several_sensors():
    data, group = make_examples(sensors=3), make_lanes(norm="none")[:2]
    features = embed(data, group[0].start)
    assert features.shape == (90, 3 * 2 * 16)
    trainer = lanes.LaneTrainer(group[0].start.card, data, CONFIG, width=60, runs=4)
    _, tuned = probe_and_finetune(trainer, group, features)
    assert [len(y) for y in tuned] == [10, 11] and np.isfinite(tuned[1]).all()


def test_augmentation_moves_inside_the_valid_part_and_turns_both_modalities_alike():
    count, span = 40, 32
    ramp = np.broadcast_to(
        np.arange(span, dtype=np.float32)[None, :, None, None], (count, span, 2, 3)
    )
    target = np.where(np.arange(span) < 20, 5.0 * np.arange(span), np.nan)[None, ::2, None]
    target = np.broadcast_to(target, (count, span // 2, 1)).astype(np.float32)
    data = {"acc": ramp, "gyr": 2 * ramp, "length": np.full(count, 20, np.int32), "target": target}
    plain = {"acc": {"mean": 0.0, "sd": 1.0}, "gyr": {"mean": 0.0, "sd": 1.0}}
    lane = {"seed": np.uint32(3), "scale": plain}
    shift = ConfigDict({"shift": 4, "rotation": 0.0})
    acc, gyr, curves = lanes.augment_batch(lane, data, np.arange(count), 7, shift, every=2)
    begin = np.asarray(acc)[:, 10, 0, 0] - 10
    assert set(begin) == set(range(-4, 5)) and np.asarray(acc)[:, :20].max() == 19
    np.testing.assert_array_equal(np.asarray(gyr), 2 * np.asarray(acc))
    # Curves move with their windows: here they are five times the signal, at every second sample,
    # and their last value, that of sample 18, stands for sample 19 too.
    moved = np.minimum(np.asarray(acc)[:, :20:2, 0, 0], 18)
    np.testing.assert_allclose(np.asarray(curves)[:, :10, 0], 5 * moved, rtol=1e-6)
    shift_and_turn = ConfigDict({"shift": 4, "rotation": 25.0})
    turned, turned_gyr, _ = lanes.augment_batch(lane, data, np.arange(count), 7, shift_and_turn)
    length = np.linalg.norm(acc, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), length, rtol=1e-5)
    np.testing.assert_allclose(turned_gyr, 2 * np.asarray(turned), rtol=1e-5, atol=1e-5)
    cosine = (np.asarray(turned) * np.asarray(acc)).sum(-1)[:, 19] / length[:, 19] ** 2
    assert cosine.min() >= np.cos(np.deg2rad(25.01)) and cosine.min() < 0.95


def make_curves(count=90):
    """Two curves that the signals show, one of them in large numbers; windows of any length."""
    rng = np.random.default_rng(3)
    acc, gyr = rng.normal(size=(2, count, 32, 1, 3)).astype(np.float32)
    length = rng.integers(20, 33, count).astype(np.int32)
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / 2) ** 2)
    smooth = np.apply_along_axis(np.convolve, 1, acc[:, :, 0, :2], kernel, "same")
    target = smooth * [300, 1.0] + [500, 0]
    target[np.arange(32) >= length[:, None]] = np.nan
    every = 2
    return lanes.LabelledArrays(acc, gyr, length, target[:, ::every].astype(np.float32), every=2)


def test_the_probe_of_curves_is_ridge_on_all_samples():
    """By scikit-learn on the samples of the training windows, those beyond their ends left out."""
    data, group = make_curves(), make_lanes(norm="none")[:3]
    features = group[0].start.features(data.acc, data.gyr, data.length, every=2)
    assert features.shape[:2] == (90, 16)
    trainer = lanes.LaneTrainer(group[0].start.card, data, CONFIG, width=60, runs=4)
    _, estimates = trainer.probe(group, features)
    for lane, estimate in zip(group, estimates, strict=True):
        labels = data.target[lane.train].reshape(-1, 2).astype(np.float64)
        inside = np.isfinite(labels[:, 0])
        x, y = features[lane.train].reshape(-1, features.shape[-1])[inside], labels[inside]
        scaler = StandardScaler().fit(x.astype(np.float64))
        mean, sd = y.mean(axis=0), y.std(axis=0)
        ridge = Ridge(alpha=lane.penalties[0] * len(x)).fit(scaler.transform(x), (y - mean) / sd)
        new = scaler.transform(features[lane.test].reshape(-1, features.shape[-1]))
        expected = ridge.predict(new).reshape(len(lane.test), 16, 2) * sd + mean
        assert estimate.shape == (1, len(lane.test), 16, 2)
        np.testing.assert_allclose(estimate[0] / sd, expected / sd, atol=2e-3)


def test_the_probe_of_a_class_a_sample_is_logistic_regression_on_all_samples():
    """By SciPy on those samples of the training windows that have a class."""
    data, group = make_curves(), make_lanes(norm="none")[1:3]
    size = data.target[..., :1]
    codes = np.where(np.isfinite(size), np.digitize(size, (470, 530)), np.nan)
    one_hot = np.where(np.isfinite(codes), codes == np.arange(3), np.nan).astype(np.float32)
    data = dataclasses.replace(data, target=one_hot, is_class=True)
    features = group[0].start.features(data.acc, data.gyr, data.length, every=2)
    trainer = lanes.LaneTrainer(group[0].start.card, data, CONFIG, width=60, runs=2)
    _, estimates = trainer.probe(group, features)
    for lane, estimate in zip(group, estimates, strict=True):
        labels = one_hot[lane.train].reshape(-1, 3).astype(np.float64)
        is_there = np.isfinite(labels[:, 0])
        x, y = features[lane.train].reshape(-1, features.shape[-1])[is_there], labels[is_there]
        scaler = StandardScaler().fit(x.astype(np.float64))
        x = scaler.transform(x)

        def loss(w, x=x, y=y, penalty=lane.penalties[0]):
            kernel, bias = w[3:].reshape(-1, 3), w[:3]
            logits = x @ kernel + bias
            entropy = (scipy.special.logsumexp(logits, axis=1) - (logits * y).sum(1)).mean()
            slope = (scipy.special.softmax(logits, axis=1) - y) / len(x)
            gradient = np.r_[slope.sum(0), (x.T @ slope + penalty * kernel).ravel()]
            return entropy + penalty / 2 * (kernel**2).sum(), gradient

        start = np.zeros(3 * (x.shape[1] + 1))
        w = scipy.optimize.minimize(loss, start, jac=True, tol=1e-9).x
        new = scaler.transform(features[lane.test].reshape(-1, features.shape[-1]))
        expected = scipy.special.softmax(new @ w[3:].reshape(-1, 3) + w[:3], axis=1)
        assert estimate.shape == (1, len(lane.test), 16, 3)
        np.testing.assert_allclose(estimate[0].reshape(-1, 3), expected, atol=5e-3)


def test_curves_are_fine_tuned_and_what_lies_beyond_the_windows_does_not_count():
    data, group = make_curves(), make_lanes(norm="none")[2:4]
    features = group[0].start.features(data.acc, data.gyr, data.length, every=2)
    beyond = np.arange(32)[:, None, None] >= data.length[:, None, None, None]
    loud = dataclasses.replace(
        data, acc=np.where(beyond, np.float32(50), data.acc), gyr=np.where(beyond, 9, data.gyr)
    )
    card, sizes = group[0].start.card, np.nanstd(data.target, axis=(0, 1))
    tuned = []
    for one in (data, loud):
        trainer = lanes.LaneTrainer(card, one, CONFIG, width=60, runs=2)
        heads, _ = trainer.probe(group, features)
        stack = trainer.begin(group, heads)
        first = trainer.advance(stack, 0, 40)
        last = trainer.advance(stack, 40, 80)
        assert (last < first).all() and np.isfinite(last).all()
        tuned.append(trainer.estimate(stack))
    for lane, quiet, also in zip(group, *tuned, strict=True):
        inside = np.isfinite(data.target[lane.test])
        assert quiet.shape == (len(lane.test), 16, 2)
        np.testing.assert_allclose((quiet / sizes)[inside], (also / sizes)[inside], atol=2e-3)
