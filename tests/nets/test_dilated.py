"""The dilated network against float64 NumPy, written sample by sample; length, places, curves."""

import jax
import numpy as np
import pytest
from helpers import draws

from imujax import UserError
from imujax.nets import dilated, layers, networks, parameters, towers

NET = {"network": "dilated", "width": 3, "dilations": (1, 4), "stem_kernel": 5, "kernel": 3}


def convolve(x, weights, stride, dilation):
    """x [T, C], zeros around it, with kernel, gain and bias -> [T', F]."""
    kernel, gain = (np.asarray(weights[name], np.float64) for name in ("kernel", "gain"))
    taps, features = len(kernel), kernel.shape[2]
    flat = kernel.reshape(-1, features)
    flat = (flat - flat.mean(0)) / (flat.std(0) * np.sqrt(len(flat))) * gain
    kernel = flat.reshape(kernel.shape)
    rows = []
    for middle in range(0, len(x), stride):
        y = np.asarray(weights["bias"], np.float64)
        for tap in range(taps):
            at = middle + (tap - taps // 2) * dilation
            if 0 <= at < len(x):
                y = y + x[at] @ kernel[tap]
        rows.append(y)
    return np.array(rows)


def pool(x, thresholds):
    """What stands in the docstring of pool_against, of one window [T, C] without padding."""
    place = 2 * np.arange(len(x)) / len(x) - 1
    numbers = [x.mean(0), x.max(0)]
    for threshold in np.asarray(thresholds, np.float64):
        excess = np.maximum(x - threshold, 0)
        share = np.clip(2 * (x - threshold) + 0.5, 0, 1).mean(0)
        where = (excess * place[:, None]).sum(0) / (excess.sum(0) + 0.05 * len(x))
        numbers += [2 * share - 1, excess.mean(0), where]
    return np.concatenate(numbers)


def embed(x, params, net):
    """The embedding of one window [T, C]."""

    def relu(x):
        return np.maximum(x, 0) * np.sqrt(2 / (1 - 1 / np.pi))

    x = np.concatenate([convolve(x, params[f"stem{d}"], 1, d) for d in net["dilations"]], 1)
    numbers, variance = [pool(x, params["thresholds0"])], 1.0
    for block in (1, 2):
        y = relu(x) / np.sqrt(variance)
        x = convolve(y, params[f"block{block}_shortcut"], 2, 1)
        x = x + 0.2 * convolve(y, params[f"block{block}_conv1"], 2, 1)
        variance = 1.04
        numbers.append(pool(x, params[f"thresholds{block}"]))
    numbers = np.concatenate(numbers)
    return numbers / np.sqrt(len(numbers))


@pytest.mark.parametrize("conv", ["dot", "lax"])
def test_an_embedding_by_hand_whatever_fills_the_window(conv):
    """21 samples of 32 are those of the window of 21, odd to every dilation and stride."""
    net = NET | {"conv": conv}
    encoder, x = networks.make_encoder(net), draws.windows(3, 32, 3)
    variables = draws.variables(encoder, x)
    length = np.array([32, 21, 1])
    x[1, 21:], x[2, 1:] = np.nan, 1e6
    y = jax.jit(encoder.apply)(variables, x, length)
    assert y.shape == (3, encoder.embedding) == (3, 6 * (2 + 9) + 2 * 6 * 5)
    for window, count in enumerate(length):
        truth = embed(x[window, :count].astype(np.float64), variables["params"], NET)
        np.testing.assert_allclose(y[window], truth, atol=2e-6)
    full = encoder.apply(variables, x[:1])
    np.testing.assert_allclose(full[0], y[0], atol=1e-6)


@pytest.mark.parametrize("samples", [7, 16, 29])
@pytest.mark.parametrize("dilation", [1, 3, 8])
def test_dilation_equals_pytorch(samples, dilation):
    torch = pytest.importorskip("torch")
    x = draws.windows(4, samples, 3)
    layer = layers.Conv1D(6, 9, dilation=dilation)
    variables = draws.variables(layer, x.T)
    kernel, bias = (torch.from_numpy(variables["params"][name].T) for name in ("kernel", "bias"))
    expected = torch.nn.functional.conv1d(
        torch.from_numpy(x).transpose(1, 2), kernel, bias, padding=4 * dilation, dilation=dilation
    )
    y = layer.apply(variables, x.T)  # [C, T, B]
    np.testing.assert_allclose(np.transpose(y, (2, 0, 1)), expected, atol=1e-5)


def test_a_place_tells_early_from_late():
    """A peak of one sample far above the threshold: share, excess and place are known."""
    x = np.full((1, 20, 2), -5.0, np.float32)
    x[0, 5, 0], x[0, 15, 1] = 40.0, 40.0
    pooled = dilated.pool_against(x, None, np.zeros((1, 1), np.float32))
    assert pooled.shape == (2, dilated.count_pooled(1))
    np.testing.assert_allclose(pooled[:, 1], 40)
    np.testing.assert_allclose(pooled[:, 2], 2 / 20 - 1, rtol=1e-6)
    np.testing.assert_allclose(pooled[:, 3], 2, rtol=1e-6)
    np.testing.assert_allclose(pooled[:, 4], np.array([-0.5, 0.5]) * 40 / 41, rtol=1e-6)


def test_amplitude_is_kept_and_thresholds_learn():
    encoder, x = networks.make_encoder(NET), draws.windows(4, 32, 3)
    variables, apply = jax.jit(encoder.init)(jax.random.key(0), x), jax.jit(encoder.apply)
    y, louder = (apply(variables, factor * x) for factor in (1, 2))
    middle = slice(0, 12)  # means and maxima of the first convolutions, which have no bias yet
    np.testing.assert_allclose(louder[:, middle], 2 * y[:, middle], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(variables["params"]["thresholds0"][:, 0], [-0.5, 0, 0.5])
    slope = jax.jit(jax.grad(lambda params: apply({"params": params}, x).sum()))(
        variables["params"]
    )
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(slope))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kernel": 4}, r"net\.kernel is 4: this network wants an odd one"),
        ({"dilations": (2, 2)}, r"net\.dilations is \(2, 2\): give different ones"),
        ({"thresholds": ()}, r"net\.thresholds is empty"),
    ],
)
def test_what_it_cannot_be_is_one_sentence(change, sentence):
    with pytest.raises(UserError, match=sentence):
        networks.make_encoder(NET | change)


def test_no_value_of_a_curve_sees_more_than_the_receptive_field():
    model, acc = towers.CurveRegressor(NET | {"projection": (8,)}), draws.windows(1, 96, 1, 3)
    variables = draws.variables(model, acc, acc)
    half = networks.make_encoder(NET).receptive_field // 2

    @jax.jit
    def seen(sample):
        gradient = jax.grad(lambda x: model.apply(variables, x, acc)[0, sample, 0])(acc)
        return abs(gradient).sum((0, 2, 3)) > 0

    offsets = [np.flatnonzero(seen(sample)) - sample for sample in range(44, 48)]
    assert min(x.min() for x in offsets) == -half and max(x.max() for x in offsets) == half


def test_the_derivative_is_finite_where_a_compiler_works_things_out_again():
    """Of a maximum, which then equals none of its samples; with windows of many lengths."""
    acc, gyr = draws.windows(2, 16, 128, 3)
    length = np.arange(80, 96, dtype=np.int32)
    tower = towers.Regressor(dilated.dilated())
    variables = draws.variables(tower, acc[:, :, None], gyr[:, :, None])

    @jax.jit
    @jax.grad
    def gradient(params):
        y = tower.apply({"params": params}, acc[:, :, None], gyr[:, :, None], length)
        return (y**2).mean()

    for name, x in parameters.flatten(gradient(variables["params"])).items():
        assert np.isfinite(x).all(), name


def test_samples_that_share_the_maximum_share_its_derivative():
    x = np.random.default_rng(0).normal(size=(4, 9, 3)).astype(np.float32)
    x[0, 2] = x[0, 5] = 7.0
    found = jax.grad(lambda x: (layers.max_over_time(x) * np.arange(12.0).reshape(3, 4)).sum())(x)
    expected = np.zeros_like(x)
    for c, b in np.ndindex(4, 3):
        at = x[c, :, b] == x[c, :, b].max()
        expected[c, at, b] = (4 * b + c) / at.sum()
    np.testing.assert_allclose(found, expected)
