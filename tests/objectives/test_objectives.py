"""The table of objectives: what an entry must have, and that a new one is one line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import draws

from imujax import UserError
from imujax.configs import common
from imujax.nets import resnet, towers
from imujax.objectives import contrastive, objectives
from imujax.objectives.objective import Objective
from imujax.pretrain import settings
from imujax.pretrain import step as pretrain_step
from imujax.runtime import sharding

UNIT = {name: {"mean": 0.0, "sd": 1.0} for name in ("acc", "gyr")}


def toy(config, mesh, full):
    """Guess the acceleration's mean by one linear layer, with noise that only the key decides."""
    del mesh, full

    def init(key):
        del key
        return {"params": {"encoder": {"w": jnp.zeros((3, 3))}, "bias": jnp.zeros(3)}, "stats": {}}

    def loss(variables, batch, key):
        mean = batch["acc"].mean(1)
        noise = jax.random.normal(key, mean.shape)
        weight, bias = variables["params"]["encoder"]["w"], variables["params"]["bias"]
        guess = (mean + noise) @ weight + bias[None]
        error = ((guess - mean) ** 2).mean()
        return error, ({"noise": noise.mean()}, {})

    def monitor(variables, batch, key):
        return {"monitor_loss": loss(variables, batch, key)[0]}

    def constrain(params):
        return params | {"bias": jnp.minimum(params["bias"], config.temperature)}

    return Objective(init, loss, monitor, constrain, undecayed=("bias",))


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setitem(objectives.OBJECTIVES, "toy", toy)


def section(**changes):
    small = {"window": 32, "batch": 16, "steps": 5, "weight_decay": 0.0}
    return common.encoder(("moves",), resnet.tiny("batch"), **small | changes)


def batch_of(count=16, seed=0):
    acc, gyr = draws.windows(2, count, 32, 3, seed=seed)
    whole = {"acc": acc, "gyr": gyr, "length": np.full(count, 32, np.int32)}
    forces = np.tile(acc, 2)  # [B, T, 6]
    window = np.arange(count, dtype=np.int32) // 2
    return whole | {"window": window, "simulated": whole | {"forces": forces}}


@pytest.mark.parametrize("name", ["toy", *objectives.OBJECTIVES])
def test_an_entry_keeps_the_contract(name, table):
    """Shapes of what comes in and out, an encoder to hand on, finite numbers, no hidden chance."""
    config, mesh = section(loss=name), sharding.make_mesh("data", 1)
    objective = objectives.make_objective(config, mesh, full=True)
    variables = jax.jit(objective.init)(jax.random.key(0))
    assert variables.keys() == {"params", "stats"}
    assert any(key.endswith("encoder") for key in variables["params"])
    compiled = jax.jit(objective.loss)
    (loss, (metrics, stats)), again = (
        compiled(variables, batch_of(), jax.random.key(1)) for _ in range(2)
    )
    assert loss.shape == () and np.isfinite(loss) and loss == again[0]
    assert all(np.shape(value) == () for value in metrics.values())
    assert jax.tree.structure(stats) == jax.tree.structure(variables["stats"])
    seen = objective.monitor(variables | {"stats": stats}, batch_of(seed=1), jax.random.key(2))
    assert np.isfinite(seen["monitor_loss"])
    before = jax.tree.map(jnp.shape, variables["params"])
    assert jax.tree.map(jnp.shape, objective.constrain(variables["params"])) == before


@pytest.mark.parametrize("name", ["symmetric", "one_sided"])
def test_pairs_are_the_contrastive_loss_of_the_towers(name):
    config = section(loss=name, temperature=0.2)
    objective = objectives.make_objective(config, None, full=True)
    batch = batch_of()
    tower = towers.DualTower(config.net)
    variables = draws.variables(tower, batch["acc"], batch["gyr"])
    renamed = {"params": variables["params"], "stats": variables["batch_stats"]}
    loss, (metrics, stats) = objective.loss(renamed, batch, jax.random.key(0))
    z, changed = tower.apply(
        variables, batch["acc"], batch["gyr"], None, train=True, mutable=["batch_stats"]
    )
    pair_loss = {"symmetric": contrastive.symmetric_loss, "one_sided": contrastive.one_sided_loss}
    np.testing.assert_allclose(loss, pair_loss[name](*z, batch, 0.2), rtol=1e-6)
    assert metrics == {}
    jax.tree.map(np.testing.assert_array_equal, stats, changed["batch_stats"])


def test_a_toy_is_trained_by_the_step_that_trains_all(table):
    """Its metrics are logged, its key changes from step to step, its constraint holds."""
    config, mesh = section(loss="toy", temperature=0.01), sharding.make_mesh("data", 1)
    settings.check_encoder("shank", config, ["moves"])
    data = batch_of(40)
    data["acc"] = data["acc"] + np.float32(3)
    step = pretrain_step.make_step(config, UNIT, seed=0, full=True, mesh=mesh)
    state, noise, losses = pretrain_step.init_state(config, 0), [], []
    for _ in range(5):
        state, metrics = jax.jit(step)(state, data, np.arange(16))
        noise.append(float(metrics["noise"]))
        losses.append(float(metrics["loss"]))
    assert len(set(noise)) == 5 and losses[-1] < losses[0]
    assert (state["params"]["bias"] <= 0.01).all() and (state["params"]["bias"] > 0).any()
    assert state["step"] == 5


def test_an_objective_that_is_not_there_is_named(table):
    with pytest.raises(UserError, match="names 'simclr': there are symmetric, one_sided, masked"):
        settings.check_encoder("shank", section(loss="simclr"), ["moves"])
