"""Forces of simulated walkers as an objective: its errors by hand, and what it hands on."""

import jax
import numpy as np
import pytest
from helpers import draws

from imujax import UserError
from imujax.configs import common
from imujax.nets import dilated, resnet, towers
from imujax.objectives import objectives
from imujax.pretrain import settings
from imujax.runtime import sharding
from imujax.simulate.forces import TARGETS


def section(**changes):
    small = {"window": 32, "batch": 8, "steps": 5, "loss": "forces", "simulated": {"batch": 8}}
    config = common.encoder(("moves",), changes.pop("net", resnet.tiny("none")), **small | changes)
    settings_of = {"windows": 16, "batch": 8, "people": {}} | config.simulated.to_dict()
    config.simulated.update(settings_of)
    return config


def batch_of(seed=0):
    acc, gyr = draws.windows(2, 8, 32, 3, seed=seed)
    forces = np.random.default_rng(seed).normal(size=(8, 32, len(TARGETS))).astype(np.float32)
    length = np.full(8, 32, np.int32)
    own = {"acc": acc[::-1], "gyr": gyr[::-1], "length": length, "window": np.arange(8)}
    return own | {"simulated": {"acc": acc, "gyr": gyr, "forces": forces, "length": length}}


@pytest.mark.parametrize(
    "net", [resnet.tiny("none"), dilated.dilated(2)], ids=["resnet", "dilated"]
)
def test_the_errors_are_those_of_curves_and_summaries_by_hand(net):
    config, batch, key = section(net=net), batch_of(), jax.random.key(3)
    objective = objectives.make_objective(config, None, full=True)
    state = jax.tree.map(np.asarray, objective.init(jax.random.key(0)))
    loss, (metrics, _) = objective.loss(state, batch, key)
    made = batch["simulated"]
    # The linear layers by hand, on what the encoders give.
    encoders = {k: x for k, x in state["params"].items() if k.endswith("encoder")}
    inputs = made["acc"][:, :, None], made["gyr"][:, :, None]
    for name, tower, goal in (
        ("force_curves", towers.CurveRegressor(config.net), made["forces"]),
        (
            "force_summaries",
            towers.Regressor(config.net),
            np.concatenate([f(made["forces"], axis=1) for f in (np.mean, np.max, np.min)], 1),
        ),
    ):
        head = {k: np.asarray(x, np.float64) for k, x in state["params"][name].items()}
        bare = {"params": encoders | {"output": {"kernel": 0, "bias": 0}}}
        seen = np.asarray(tower.apply(bare, *inputs, method="features"), np.float64)
        estimate = seen @ head["kernel"] + head["bias"]
        np.testing.assert_allclose(metrics[name], ((estimate - goal) ** 2).mean(), rtol=1e-4)
    np.testing.assert_allclose(loss, sum(metrics.values()), rtol=1e-6)
    watched = objective.monitor(state, batch, key)
    np.testing.assert_allclose(watched["monitor_force_curves"], metrics["force_curves"], rtol=1e-5)


def test_devices_and_microbatches_do_not_matter(four_devices):
    batch, key = batch_of(), jax.random.key(3)
    losses = []
    for microbatch, devices in ((0, 1), (0, 4), (2, 2)):
        config = section(microbatch=microbatch)
        objective = objectives.make_objective(config, sharding.make_mesh("data", devices), True)
        state = jax.jit(objective.init)(jax.random.key(0))
        losses.append(jax.jit(objective.loss)(state, batch, key)[0])
    np.testing.assert_allclose(losses, [losses[0]] * 3, rtol=1e-5)


def test_beside_pairs_and_hidden_patches_every_head_is_its_own():
    config = section(loss="symmetric", beside={"masked": 0.5, "forces": 2.0})
    objective, batch = objectives.make_objective(config, None, True), batch_of()
    state = objective.init(jax.random.key(0))
    assert state["params"]["output"]["kernel"].shape[-1] == 6  # of masked
    total, (metrics, _) = objective.loss(state, batch, jax.random.key(3))
    parts = {}
    for name in ("symmetric", "masked", "forces"):
        own = objectives.make_objective(section(loss=name), None, True)
        number = {"forces": 1, "masked": 2}.get(name)
        key = jax.random.key(3) if number is None else jax.random.fold_in(jax.random.key(3), number)
        parts[name] = float(own.loss(state, batch, key)[0])
    expected = parts["symmetric"] + 0.5 * parts["masked"] + 2 * parts["forces"]
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["forces_loss"], parts["forces"], rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"people": {"gait": 0.5}}, "forces of 0.5 of the people are asked for: those of walking"),
        ({"people": {"sensors": ["toe"]}}, "no segment 'toe' to wear a sensor"),
        ({"people": {"speed": 2}}, "a stream has no 'speed'"),
    ],
)
def test_people_that_cannot_be_are_one_sentence(changes, sentence):
    config = section(simulated=changes)
    with pytest.raises(UserError, match=sentence):
        settings.check_encoder("foot", config, ["moves"])


def test_the_simulated_batch_is_shared_out_too():
    with pytest.raises(UserError, match=r"simulated\.batch is 6, which cannot be shared out"):
        settings.check_devices(section(simulated={"batch": 6}), 4)
    with pytest.raises(UserError, match="the 2 sensor-windows of each device cannot be cut"):
        settings.check_devices(section(simulated={"batch": 6}, microbatch=4), 1)
