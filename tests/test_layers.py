"""Convolution, norms and pooling against NumPy and PyTorch, full and masked by length."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imujax import flops, layers

RNG = np.random.default_rng(7)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def numpy_convolution(x, kernel, stride, padding):
    """float64, one output sample at a time."""
    x = np.pad(x.astype(np.float64), ((0, 0), (padding, padding), (0, 0)))
    width = kernel.shape[0]
    starts = range(0, x.shape[1] - width + 1, stride)
    kernel = kernel.astype(np.float64)
    return np.stack([np.einsum("bkc,kcf->bf", x[:, s : s + width], kernel) for s in starts], 1)


SHAPES = [(49, 2, 24, 90), (9, 1, 4, 11), (9, 2, 4, 12), (3, 2, 1, 13), (1, 2, 0, 7)]
# Windows no longer than the kernel: a few of them go by taps, many whole.
SHAPES += [(49, 2, 24, 40), (9, 1, 4, 4), (9, 1, 4, 9), (9, 2, 4, 8), (7, 3, 2, 5), (5, 1, 0, 5)]
SHAPES += [(3, 1, 3, 2), (3, 1, 1, 1), (1, 1, 0, 1)]


@pytest.mark.parametrize("batch", [2, 40])
@pytest.mark.parametrize(("width", "stride", "padding", "samples"), SHAPES)
def test_both_convolutions_equal_the_sum_over_taps(width, stride, padding, samples, batch):
    x, kernel = normal(batch, samples, 3), normal(width, 3, 5)
    truth = numpy_convolution(x, kernel, stride, padding)
    for convolve in layers.CONVOLVE.values():
        y = jax.jit(convolve, static_argnums=(2, 3))(x.T, kernel, stride, padding).T
        assert y.shape[1] == layers.out_length(samples, width, stride, padding)
        np.testing.assert_allclose(y, truth, atol=2e-5)


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("batch", [2, 40])
@pytest.mark.parametrize(("width", "stride", "padding", "samples"), SHAPES)
def test_gradients_of_both_convolutions_agree(
    width, stride, padding, samples, batch, devices, monkeypatch
):
    monkeypatch.setattr(jax, "device_count", lambda: devices)  # they sum over windows differently
    shapes = (batch, samples, 3), (width, 3, 5), (5,)
    x, kernel, weight = (normal(*shape).astype(np.float64) for shape in shapes)

    def scalar(convolve):
        return lambda x, kernel: jnp.sin(convolve(x.T, kernel, stride, padding).T @ weight).sum()

    with jax.enable_x64(True):
        dot, lax = (
            jax.jit(jax.grad(scalar(layers.CONVOLVE[key]), (0, 1)))(x, kernel)
            for key in ("dot", "lax")
        )
    np.testing.assert_allclose(dot[0], lax[0], atol=1e-11)
    np.testing.assert_allclose(dot[1], lax[1], atol=1e-11)


@pytest.mark.parametrize(
    ("batch", "samples", "products"),
    [
        (2, 8, 2 * 8 * 9 * 3 * 5),  # B * T_out * k * C * F
        (40, 8, 40 * 8 * 3 * 8 * 5),  # B * T * C * T_out * F: the matrix is less than the patches
        (2, 3, 2 * 3 * 3 * 3 * 5),  # the matrix is no more than the kernel
        (40, 10, 40 * 10 * 9 * 3 * 5),  # longer than the kernel
    ],
)
def test_short_windows_are_convolved_whole_where_that_copies_less(batch, samples, products):
    x, kernel = normal(batch, samples, 3), normal(9, 3, 5)
    assert flops.products(lambda x: layers.convolve_dot(x, kernel, 1, 4), x.T) == 2 * products


def test_no_convolution_is_left_in_the_dot_form_of_many_runs():
    x, kernels = normal(4, 3, 16, 2), normal(4, 9, 3, 5)

    def loss(kernels):
        return jax.vmap(lambda x, k: layers.convolve_dot(x, k, 2, 4))(x, kernels).sum()

    assert "convolution" not in jax.jit(jax.grad(loss)).lower(kernels).as_text()


@pytest.mark.parametrize("samples", [5, 16])  # whole, by taps
def test_products_sum_over_the_last_axis_on_the_left(samples, monkeypatch):
    """The form that XLA has a fast routine for on a CPU; no window is turned for it."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    x, kernel = normal(8, samples, 33), normal(9, 8, 16)

    def loss(x, kernel):
        return jnp.sin(layers.convolve_dot(x, kernel, 1, 4)).sum()

    text = jax.jit(jax.grad(loss, (0, 1))).lower(x, kernel).compile().as_text()
    assert text.count("lhs_contracting_dims={1}") == 3 == text.count("lhs_contracting_dims=")
    assert not re.search(rf"\b(33|{33 * samples})\b[^ ]* transpose\(", text)


def test_scaled_weight_standardisation_gives_zero_mean_and_one_over_fan_in():
    kernel = layers.standardise_weights(3 + 2 * normal(9, 4, 6), np.full(6, 1.5, np.float32))
    np.testing.assert_allclose(kernel.mean((0, 1)), np.zeros(6), atol=1e-6)
    np.testing.assert_allclose(kernel.var((0, 1)), np.full(6, 1.5**2 / 36), rtol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_max_pool_equals_pytorch(stride):
    torch = pytest.importorskip("torch")
    x = normal(2, 13, 4) - 3  # mostly negative: a zero padding would win
    pool = torch.nn.MaxPool1d(3, stride, 1)
    truth = pool(torch.from_numpy(x.transpose(0, 2, 1))).numpy().transpose(0, 2, 1)
    np.testing.assert_array_equal(layers.max_pool(x.T, 3, stride, 1).T, truth)


def test_pooling_sees_the_true_samples_only():
    x, length = normal(4, 9, 3), np.array([9, 5, 1, 0])
    x[1, 5:], x[2, 1:], x[3] = np.nan, 1e30, -1e30
    for pool, truth in [(layers.mean_over_time, np.mean), (layers.max_over_time, np.max)]:
        pooled = pool(x.T, length)
        for row, n in enumerate(length[:3]):
            np.testing.assert_allclose(pooled[row], truth(x[row, :n], 0), rtol=1e-6)
        np.testing.assert_array_equal(pooled[3], np.zeros(3))
    pooled = layers.max_pool(x.T, 3, 2, 1, length).T
    np.testing.assert_array_equal(pooled[1, :3], layers.max_pool(x[1:2, :5].T, 3, 2, 1).T[0])
    np.testing.assert_array_equal(pooled[1, 3:], np.zeros((2, 3)))


@pytest.mark.parametrize("kind", ["batch", "group", "layer"])
def test_norms_use_the_true_samples_only(kind):
    import flax.linen as nn

    class Norm(nn.Module):
        @nn.compact
        def __call__(self, x, length, train):
            return layers.norm(kind, x.T, length, train, "float32", "norm").T

    x, length = normal(2, 6, 4) + 5, np.array([6, 4])
    x[1, 4:] = 1e6
    variables = Norm().init(jax.random.key(0), x, length, True)
    y, new = Norm().apply(variables, x, length, True, mutable=["batch_stats"])
    true = np.concatenate([x[0], x[1, :4]]).astype(np.float64)  # [10, 4]
    if kind == "batch":
        truth = (true - true.mean(0)) / np.sqrt(true.var(0) + 1e-5)
        np.testing.assert_allclose(
            new["batch_stats"]["norm"]["mean"], 0.1 * true.mean(0), rtol=1e-5
        )
        np.testing.assert_allclose(
            new["batch_stats"]["norm"]["var"], 0.9 + 0.1 * true.var(0), rtol=1e-4
        )
    elif kind == "group":  # 4 channels are one group
        parts = (true[:6], true[6:])
        truth = np.concatenate([(p - p.mean()) / np.sqrt(p.var() + 1e-5) for p in parts])
    else:
        truth = (true - true.mean(1)[:, None]) / np.sqrt(true.var(1) + 1e-5)[:, None]
    np.testing.assert_allclose(np.concatenate([y[0], y[1, :4]]), truth, atol=2e-4)


def test_out_length_counts_the_positions_of_a_kernel():
    for samples in range(1, 12):
        for kernel, stride, padding in [(3, 2, 1), (9, 1, 4), (1, 2, 0), (7, 2, 3)]:
            positions = range(-padding, samples + padding - kernel + 1, stride)
            assert layers.out_length(samples, kernel, stride, padding) == len(positions)
    assert layers.out_length(None, 3, 2, 1) is None
