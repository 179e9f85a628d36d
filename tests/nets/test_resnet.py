"""The residual networks against PyTorch with the same weights; length, amplitude, size."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from helpers import draws

from imujax.errors import UserError
from imujax.nets import layers, networks, resnet

NORMS = ("batch", "none", "group", "layer")


def windows(batch=4, samples=64):
    return draws.windows(batch, samples, 3)


def initial(net, perturb=True):
    encoder = networks.make_encoder(net)
    return encoder, draws.variables(encoder, windows(), perturb=perturb)


def small(make, **changes):
    return make() | {"stages": (1, 2), "width": 8} | changes


SMALL = {
    "bottleneck": small(resnet.resnet50),
    "two convolutions": small(resnet.tan2023),
    "normaliser-free bottleneck": small(resnet.resnet50, norm="none"),
    "normaliser-free two convolutions": small(resnet.tan2023, norm="none"),
}
DEEP = {"resnet50": resnet.resnet50(), "tan2023": resnet.tan2023()}


def channels_first(x):
    return np.ascontiguousarray(np.transpose(x, (0, 2, 1)))


def assert_close(actual, expected, tolerance=1e-5):
    """Equal to PyTorch's within `tolerance` of the largest value."""
    expected = expected.detach().numpy()
    atol = tolerance * max(1, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("name", SMALL)
def test_embedding_statistics_and_gradient_equal_pytorch(name):
    """In evaluation and in training, and the gradient of a scalar with respect to the input."""
    torch = pytest.importorskip("torch")
    from helpers import torch_nets

    net, x = SMALL[name], windows()
    encoder, variables = initial(net)
    weight = np.linspace(-1, 1, encoder.embedding, dtype=np.float32)

    @jax.jit
    def program(x):
        def scalar(x):
            h, new = encoder.apply(variables, x, train=True, mutable=["batch_stats"])
            return (h @ weight).sum(), (h, new)

        slope, (trained, new) = jax.grad(scalar, has_aux=True)(x)
        return encoder.apply(variables, x), trained, slope, new

    evaluated, trained, slope, new = program(x)
    model = torch_nets.load_weights(torch_nets.build_net(net), variables)
    x = torch.from_numpy(channels_first(x)).requires_grad_()
    assert_close(evaluated, model.eval()(x))
    expected = model.train()(x)
    assert_close(trained, expected)
    (expected @ torch.from_numpy(weight)).sum().backward()
    assert_close(channels_first(slope), x.grad)
    if net["norm"] == "batch":
        old, new = variables["batch_stats"]["stem_norm"], new["batch_stats"]["stem_norm"]
        assert_close(new["mean"], model.bn1.running_mean)
        # PyTorch's running variance has the divisor n - 1, Flax's n (with 4 x 32 samples here).
        unbiased = 0.9 * old["var"] + (new["var"] - 0.9 * old["var"]) * 128 / 127
        assert_close(unbiased, model.bn1.running_var)


@pytest.mark.parametrize("name", DEEP)
def test_whole_net_equals_pytorch(name):
    torch = pytest.importorskip("torch")
    from helpers import torch_nets

    net, x = DEEP[name], windows(2)
    encoder, variables = initial(net, perturb=False)
    model = torch_nets.load_weights(torch_nets.build_net(net), variables).eval()
    h = jax.jit(encoder.apply)(variables, x)
    assert h.shape == (2, encoder.embedding)
    with torch.no_grad():
        assert_close(h, model(torch.from_numpy(channels_first(x))))


@pytest.mark.parametrize(
    ("net", "parameters"), [(resnet.resnet50(), 15_955_136), (resnet.tan2023(), 1_337_376)]
)
def test_number_of_parameters(net, parameters):
    """tan2023: the published code's own count. resnet50: PyTorch's count of the same net."""
    import math

    encoder = networks.make_encoder(net)
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), windows())["params"]
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)) == parameters
    pytest.importorskip("torch")
    from helpers import torch_nets

    assert torch_nets.count_parameters(torch_nets.build_net(net)) == parameters


LENGTHS = np.array([64, 41, 5])


@pytest.mark.parametrize("norm", NORMS)
def test_padding_leaves_no_trace(norm):
    """A window of n samples and rubbish has the embedding of the window of n samples."""
    pool = "mean" if norm == "group" else "mean_max"
    net = resnet.tiny(norm) | {"pool": pool, "bias": True, "stem_kernel": 15}
    x = windows(3)
    encoder, variables = initial(net)
    apply = jax.jit(encoder.apply)
    for row, n in enumerate(LENGTHS):
        x[row, n:] = (np.nan, 1e9, np.nan)[row]
    masked = apply(variables, x, LENGTHS)
    for row, n in enumerate(LENGTHS):
        alone = apply(variables, x[row : row + 1, :n])
        scale = max(1, float(jnp.abs(alone).max()))
        np.testing.assert_allclose(masked[row], alone[0], atol=1e-5 * scale)


def test_batch_statistics_leave_padding_out():
    """Windows of one true length: training on them padded is training on them cut."""
    encoder, variables = initial(resnet.tiny() | {"bias": True})
    x = windows(4)
    x[:, 23:] = 1e4
    train = jax.jit(lambda x, n: encoder.apply(variables, x, n, True, mutable=["batch_stats"]))
    padded, cut = train(x, np.full(4, 23)), train(x[:, :23], None)
    for a, b in zip(jax.tree.leaves(padded), jax.tree.leaves(cut), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_batch_statistics_weigh_true_samples():
    """With mixed lengths more padding, of other values, changes nothing in training."""
    encoder, variables = initial(resnet.tiny() | {"bias": True})
    length = np.array([40, 33, 18, 0])
    x = np.where(np.arange(64)[:, None] < length[:, None, None], windows(4), 1e4)
    train = jax.jit(lambda x: encoder.apply(variables, x, length, True, mutable=["batch_stats"]))
    for a, b in zip(jax.tree.leaves(train(x)), jax.tree.leaves(train(x[:, :40])), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, atol=1e-5)


# ||f(2 x) - f(x)|| / ||f(x)||. Above 1 for batch norm, whose running means stay where they are.
SENSITIVITY = {"batch": (1.0, 5.0), "none": (0.5, 1.5), "group": (0.0, 0.03), "layer": (0.0, 0.03)}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("make", [resnet.resnet50, resnet.tan2023])
def test_sensitivity_to_scale(make, norm):
    """In evaluation, with the running statistics of the data."""
    encoder, variables = initial(make(norm=norm) | {"stages": (1, 1), "width": 8})
    x, momentum = windows(16), layers.MOMENTUM
    if norm == "batch":
        train = jax.jit(lambda x: encoder.apply(variables, x, train=True, mutable=["batch_stats"]))
        _, new = train(x)
        settled = jax.tree.map(  # what the average comes to after many such batches
            lambda old, new: (new - momentum * old) / (1 - momentum),
            variables["batch_stats"],
            new["batch_stats"],
        )
        variables = variables | {"batch_stats": settled}
    h, doubled = np.split(jax.jit(encoder.apply)(variables, np.concatenate([x, 2 * x])), 2)
    sensitivity = np.linalg.norm(doubled - h) / np.linalg.norm(h)
    low, high = SENSITIVITY[norm]
    print(f"{make.__name__} {norm}: {sensitivity:.4f}")
    assert low <= sensitivity <= high


@pytest.mark.parametrize("block", ["bottleneck", "basic"])
def test_normaliser_free_embedding_is_of_order_one_at_the_start(block):
    net = resnet.resnet50(width=8, norm="none") | {"block": block}
    x = windows(16, 128)
    encoder, variables = initial(net, perturb=False)
    h = jax.jit(encoder.apply)(variables, x)
    assert 0.3 < float(h.std()) < 3


def test_bfloat16_activations_and_float32_state():
    x = windows()
    exact, variables = initial(resnet.tiny())
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}
    rounded = networks.make_encoder(resnet.tiny() | {"dtype": "bfloat16"})
    h = jax.jit(rounded.apply)(variables, x)
    assert h.dtype == np.float32
    truth = jax.jit(exact.apply)(variables, x)
    error = float(jnp.linalg.norm(h - truth) / jnp.linalg.norm(truth))
    assert 1e-5 < error < 0.03  # rounded, but to 8 bits


def test_lax_convolution_gives_the_same_net():
    x = windows()
    encoder, variables = initial(resnet.tiny())
    other = networks.make_encoder(resnet.tiny() | {"conv": "lax"})
    dot, lax = (jax.jit(net.apply)(variables, x) for net in (encoder, other))
    np.testing.assert_allclose(lax, dot, atol=1e-5)


def test_configuration_may_be_partial_and_a_configdict():
    config = ml_collections.ConfigDict({"stages": [1, 1], "width": 8})
    network = {"network": "resnet"}
    partial = {"stages": (1, 1), "width": 8}
    assert networks.resolve_net(config) == resnet.resnet50() | network | partial
    for make in (resnet.resnet50, resnet.tan2023, resnet.tiny):
        assert networks.resolve_net(ml_collections.ConfigDict(make())) == make() | network


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("depth", 50, r"net\.depth: no such field"),
        ("norm", "bach", "net.norm names 'bach': there are batch, none"),
    ],
)
def test_an_unknown_key_or_value_is_named(key, value, sentence):
    with pytest.raises(UserError, match=sentence):
        networks.resolve_net(resnet.tiny() | {key: value})
