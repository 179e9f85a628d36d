"""The towers: shapes, names, sharing, folding of sensors, many runs under vmap."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from helpers import draws

from imujax.errors import UserError
from imujax.nets import networks, parameters, resnet, towers

NET = resnet.tiny() | {"stages": (1,)}
ACC, GYR = draws.windows(4, 32, 3), draws.windows(4, 32, 3, seed=4)
SENSORS = draws.windows(4, 32, 2, 3), draws.windows(4, 32, 2, 3, seed=4)
LENGTH = np.array([32, 20, 32, 7])


@pytest.fixture(scope="module", params=[False, True], ids=["separate", "shared"])
def dual(request):
    model = towers.DualTower(NET | {"shared": request.param})
    return model, draws.variables(model, ACC, GYR)


def test_projections_have_unit_length_and_names_say_what_is_shared(dual):
    model, variables = dual
    encoders = {"encoder"} if model.net["shared"] else {"acc_encoder", "gyr_encoder"}
    assert set(variables["params"]) == encoders | {"acc_head", "gyr_head"}
    assert set(variables) == {"params", "batch_stats"}
    for z in jax.jit(model.apply)(variables, ACC, GYR, LENGTH):
        assert z.shape == (4, 16)
        assert z.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(z, axis=1), np.ones(4), rtol=1e-5)


def test_towers_are_the_encoders_of_their_names(dual):
    model, variables = dual
    embed = jax.jit(lambda v, *inputs: model.apply(v, *inputs, method="embed"))
    encoder = jax.jit(networks.make_encoder(model.net).apply)
    for h, x, name in zip(
        embed(variables, ACC, GYR, LENGTH), (ACC, GYR), ("acc", "gyr"), strict=True
    ):
        key = "encoder" if model.net["shared"] else f"{name}_encoder"
        part = {kind: tree[key] for kind, tree in variables.items()}
        np.testing.assert_allclose(h, encoder(part, x, LENGTH), atol=1e-5)


def test_projection_is_linear_norm_relu_linear():
    h, head = draws.windows(6, 5), towers.ProjectionHead((4, 3), "batch")
    variables = draws.variables(head, h)
    layer = variables["params"]
    y = h @ layer["hidden1"]["kernel"] + layer["hidden1"]["bias"]
    y = (y - y.mean(0)) / np.sqrt(y.var(0) + 1e-5)
    y = y * layer["norm1"]["scale"] + layer["norm1"]["bias"]
    y = np.maximum(y, 0) @ layer["output"]["kernel"] + layer["output"]["bias"]
    z, _ = head.apply(variables, h, True, mutable=["batch_stats"])
    np.testing.assert_allclose(z, y / np.linalg.norm(y, axis=1, keepdims=True), atol=1e-5)


def test_gradient_is_finite_where_a_projection_vanishes():
    head, h = towers.ProjectionHead((4,), "none"), np.zeros((2, 5), np.float32)
    variables = draws.variables(head, h, perturb=False)
    gradient = jax.grad(lambda h: head.apply(variables, h).sum())(h)
    assert np.isfinite(gradient).all()


def test_regressor_concatenates_every_sensor_and_modality():
    model = towers.Regressor(ml_collections.ConfigDict(NET), outputs=3)
    variables = draws.variables(model, *SENSORS)
    assert set(variables["params"]) == {"acc_encoder", "gyr_encoder", "output"}
    features = jax.jit(lambda v, *inputs: model.apply(v, *inputs, method="features"))
    h = features(variables, *SENSORS, LENGTH)
    encoder = jax.jit(networks.make_encoder(NET).apply)
    parts = [
        encoder({kind: variables[kind][name] for kind in variables}, x[:, :, sensor], LENGTH)
        for sensor in range(2)
        for name, x in zip(("acc_encoder", "gyr_encoder"), SENSORS, strict=True)
    ]
    np.testing.assert_allclose(h, np.concatenate(parts, 1), atol=1e-5)
    output = variables["params"]["output"]
    y = jax.jit(model.apply)(variables, *SENSORS, LENGTH)
    np.testing.assert_allclose(y, h @ output["kernel"] + output["bias"][None], atol=1e-5)
    assert y.shape == (4, 3)


def test_weights_graft_from_the_towers_to_the_regressor(dual):
    source, trained = dual
    model = towers.Regressor(source.net)
    variables = draws.variables(model, *SENSORS, seed=6)
    patterns = [(".*encoder/.*", True)]
    params, copied = parameters.graft(variables["params"], trained["params"], patterns)
    stats, _ = parameters.graft(variables["batch_stats"], trained["batch_stats"], patterns)
    assert (
        len(copied) == len(parameters.flatten(params)) - 2
    )  # all but the output's kernel and bias
    first_sensor = [x[:, :, 0] for x in SENSORS]
    embed = jax.jit(lambda v, *x: source.apply(v, *x, method="embed"))
    features = jax.jit(lambda v, *x: model.apply(v, *x, method="features"))
    pair = embed(trained, *first_sensor)
    h = features({"params": params, "batch_stats": stats}, *SENSORS)
    np.testing.assert_allclose(h[:, : h.shape[1] // 2], np.concatenate(pair, 1), atol=1e-5)


def test_many_runs_train_under_vmap_as_one_by_one():
    """Stacked parameters, statistics and batches: the same outputs, statistics and gradients."""
    model = towers.Regressor(NET | {"shared": True})
    variables = draws.variables(model, *SENSORS)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf * 1.1 + 0.01]), variables)
    batches = draws.windows(2, 4, 32, 2, 3), draws.windows(2, 4, 32, 2, 3, seed=4)
    batches = *batches, np.stack([LENGTH, LENGTH])

    def step(variables, acc, gyr, length):
        def loss(params):
            y, new = model.apply(
                variables | {"params": params}, acc, gyr, length, True, mutable=["batch_stats"]
            )
            return jnp.square(y).mean(), new

        return jax.value_and_grad(loss, has_aux=True)(variables["params"])

    program = jax.jit(jax.vmap(step))
    together, alone = program(stacked, *batches), jax.jit(step)
    for run in range(2):
        single = alone(*jax.tree.map(lambda leaf, run=run: leaf[run], (stacked, *batches)))
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(single), strict=True):
            np.testing.assert_allclose(a[run], b, atol=2e-5, rtol=1e-4)
    assert "convolution" not in program.lower(stacked, *batches).as_text()


def test_ranks_are_promoted_by_hand():
    for norm in ("batch", "none"):
        model = towers.Regressor(resnet.tiny(norm))
        with jax.numpy_rank_promotion("raise"):
            variables = jax.eval_shape(model.init, jax.random.key(0), *SENSORS)
            inputs = variables, *SENSORS, LENGTH
            jax.eval_shape(lambda *a, model=model: model.apply(*a, True, mutable=True), *inputs)


def test_towers_can_be_static_and_unknown_keys_are_errors():
    assert hash(towers.DualTower(resnet.tiny())) == hash(towers.DualTower(resnet.tiny()))
    with pytest.raises(UserError, match=r"net\.heads: no such field"):
        towers.DualTower(resnet.tiny() | {"heads": 2})
