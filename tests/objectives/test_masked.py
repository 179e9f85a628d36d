"""What is hidden, and the error of what is rebuilt, against float64 NumPy; beside the pairs."""

import jax
import numpy as np
import pytest
from helpers import draws

from imujax import UserError
from imujax.configs import common
from imujax.nets import dilated, resnet, towers
from imujax.objectives import masked, objectives
from imujax.pretrain import settings
from imujax.runtime import sharding

LENGTH = np.array([32, 21, 5, 32, 32, 12, 32, 30], np.int32)


def section(**changes):
    small = {"window": 32, "batch": 8, "steps": 5, "patch": 4, "loss": "masked"}
    return common.encoder(("moves",), changes.pop("net", resnet.tiny("none")), **small | changes)


def batch_of(seed=0):
    acc, gyr = draws.windows(2, 8, 32, 3, seed=seed)
    return {"acc": acc, "gyr": gyr, "length": LENGTH, "window": np.arange(8, dtype=np.int32)}


def test_whole_patches_are_hidden_and_none_beyond_the_window():
    config, length = section(window=30, hidden=0.3), np.full(2000, 30, np.int32)
    length[0] = 7
    hidden = np.asarray(masked.hidden_samples(jax.random.key(1), length, config))[..., 0]
    assert hidden.shape == (2000, 30) and not hidden[0, 7:].any()
    patches = hidden[1:, :28].reshape(1999, 7, 4)
    assert (patches.all(2) | ~patches.any(2)).all()
    np.testing.assert_allclose(patches.mean(), 0.3, atol=0.02)
    np.testing.assert_allclose(hidden[1:, 28:].mean(), 0.3, atol=0.04)  # a patch cut off
    other = np.asarray(masked.hidden_samples(jax.random.key(2), length, config))[..., 0]
    both = (hidden & other)[1:].mean()
    np.testing.assert_allclose(both, 0.09, atol=0.02)  # independent of another key's


@pytest.mark.parametrize(
    "net", [resnet.tiny("none"), dilated.dilated(2)], ids=["resnet", "dilated"]
)
def test_the_error_is_that_of_hidden_samples_by_hand(net):
    config, batch, key = section(net=net), batch_of(), jax.random.key(3)
    objective = objectives.make_objective(config, None, full=False)
    tower = towers.CurveRegressor(config.net, outputs=6)
    variables = draws.variables(tower, batch["acc"][:, :, None], batch["gyr"][:, :, None])
    state = {"params": variables["params"], "stats": {}}
    loss, (metrics, _) = objective.loss(state, batch, key)
    hidden = [np.asarray(masked.hidden_samples(k, LENGTH, config)) for k in jax.random.split(key)]
    signals = [batch["acc"], batch["gyr"]]
    given = [np.where(h, 0, x)[:, :, None] for h, x in zip(hidden, signals, strict=True)]
    y = np.asarray(tower.apply(variables, *given, LENGTH), np.float64)
    total, count = 0.0, 0
    for window in range(8):
        for sample in range(LENGTH[window]):
            for k in range(2):
                if hidden[k][window, sample, 0]:
                    error = y[window, sample, 3 * k : 3 * k + 3] - signals[k][window, sample]
                    total, count = total + (error**2).sum(), count + 3
    np.testing.assert_allclose(loss, total / count, rtol=1e-5)
    assert metrics == {}
    np.testing.assert_allclose(
        objective.monitor(state, batch, key)["monitor_loss"], loss, rtol=1e-5
    )
    # What is hidden is not seen: another signal there gives the same estimate.
    changed = [np.where(h, 9, x) for h, x in zip(hidden, signals, strict=True)]
    elsewhere = batch | {"acc": changed[0], "gyr": changed[1]}
    inside = (np.arange(32) < LENGTH[:, None])[..., None]
    both = np.concatenate([np.broadcast_to(h, (8, 32, 3)) for h in hidden], -1) & inside
    expected = ((y - 9) ** 2)[both].mean()
    np.testing.assert_allclose(objective.loss(state, elsewhere, key)[0], expected, rtol=1e-5)


def test_devices_and_microbatches_do_not_matter(four_devices):
    batch, key = batch_of(), jax.random.key(3)
    losses = []
    for microbatch, devices in ((0, 1), (0, 4), (2, 2)):
        config = section(microbatch=microbatch)
        objective = objectives.make_objective(config, sharding.make_mesh("data", devices), False)
        state = jax.jit(objective.init)(jax.random.key(0))
        losses.append(jax.jit(objective.loss)(state, batch, key)[0])
    np.testing.assert_allclose(losses, [losses[0]] * 3, rtol=1e-5)


def test_losses_beside_each_other_share_the_encoders_and_add_up():
    config = section(loss="symmetric", beside={"masked": 0.5})
    batch, key = batch_of(), jax.random.key(3)
    both = objectives.make_objective(config, None, full=False)
    state = both.init(jax.random.key(0))
    assert set(state["params"]) == {
        "acc_encoder",
        "gyr_encoder",
        "acc_head",
        "gyr_head",
        "output",
    }
    total, (metrics, _) = both.loss(state, batch, key)
    alone = {
        name: objectives.make_objective(section(loss=name), None, full=False)
        for name in ("symmetric", "masked")
    }
    pairs_loss = alone["symmetric"].loss(state, batch, key)[0]
    np.testing.assert_allclose(total, pairs_loss + 0.5 * metrics["masked_loss"], rtol=1e-6)
    own_key = jax.random.fold_in(key, 1)
    expected = alone["masked"].loss(state, batch, own_key)[0]
    np.testing.assert_allclose(metrics["masked_loss"], expected, rtol=1e-6)
    seen = both.monitor(state, batch, key)
    assert {"monitor_loss", "retrieval_acc", "masked_monitor_loss"} <= seen.keys()


@pytest.mark.parametrize("loss", ["symmetric", "masked"])
@pytest.mark.parametrize(
    "net", [resnet.tiny("batch"), dilated.dilated(2)], ids=["batch", "dilated"]
)
def test_encoders_and_statistics_are_whole_whichever_comes_first(loss, net):
    """What the tasks will load is there, and a step keeps all that the next one needs."""
    other = {"symmetric": "masked", "masked": "symmetric"}[loss]
    windows = np.zeros((2, 32, 1, 3), np.float32)
    needed = jax.eval_shape(towers.Regressor(net).init, jax.random.key(0), windows, windows)
    for beside in ({}, {other: 1.0}):
        config = section(net=net, loss=loss, beside=beside)
        objective = objectives.make_objective(config, None, full=False)
        state = jax.jit(objective.init)(jax.random.key(0))
        for kind, saved in (("params", "params"), ("batch_stats", "stats")):
            for name in ("acc_encoder", "gyr_encoder"):
                expected = needed.get(kind, {}).get(name, {})
                got = state[saved].get(name, {})
                assert jax.tree.structure(expected) == jax.tree.structure(got)
    _, (_, stats) = jax.jit(objective.loss)(state, batch_of(), jax.random.key(1))
    assert jax.tree.structure(stats) == jax.tree.structure(state["stats"])
    seen = objective.monitor(state | {"stats": stats}, batch_of(1), jax.random.key(2))
    assert np.isfinite(seen["monitor_loss"]) and np.isfinite(seen[f"{other}_monitor_loss"])


def test_what_cannot_be_beside_is_one_sentence():
    for beside, sentence in (
        ({"simclr": 1.0}, r"beside names 'simclr': there are forces, masked, one_sided"),
        ({"symmetric": 1.0}, r"beside names 'symmetric'"),
    ):
        with pytest.raises(UserError, match=sentence):
            settings.check_encoder("x", section(loss="symmetric", beside=beside), ["moves"])
