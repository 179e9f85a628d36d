"""Convolution in every form against a loop over samples in NumPy and XLA's own, with gradients."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import draws

from imujax.nets import arithmetic, convolution
from imujax.runtime import sharding

normal = draws.stream(7)


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
SHAPES += [(9, 1, 4, 8), (13, 1, 6, 12), (17, 1, 9, 4), (6, 1, 2, 9), (5, 2, 3, 2)]
CASES = pytest.mark.parametrize(("width", "stride", "padding", "samples"), SHAPES)


@pytest.mark.parametrize("batch", [2, 40])
@CASES
def test_both_convolutions_equal_the_sum_over_taps(width, stride, padding, samples, batch):
    x, kernel = normal(batch, samples, 3), normal(width, 3, 5)
    truth = numpy_convolution(x, kernel, stride, padding)
    for convolve in convolution.FORMS.values():
        traced_anew = jax.jit(lambda x, k, f=convolve: f(x, k, stride, padding))
        y = traced_anew(x.T, kernel).T
        assert y.shape[1] == convolution.out_length(samples, width, stride, padding)
        np.testing.assert_allclose(y, truth, atol=2e-5)


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("batch", [2, 40])
@CASES
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
            jax.jit(jax.grad(scalar(convolution.FORMS[key]), (0, 1)))(x, kernel)
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
    assert (
        arithmetic.product_flops(lambda x: convolution.convolve_dot(x, kernel, 1, 4), x.T)
        == 2 * products
    )


def test_no_convolution_is_left_in_the_dot_form_of_many_runs():
    x, kernels = normal(4, 3, 16, 2), normal(4, 9, 3, 5)

    def loss(kernels):
        return jax.vmap(lambda x, k: convolution.convolve_dot(x, k, 2, 4))(x, kernels).sum()

    assert "convolution" not in jax.jit(jax.grad(loss)).lower(kernels).as_text()


@pytest.mark.parametrize(("platform", "count"), [("cpu", 0), ("tpu", 1), ("gpu", 1)])
def test_the_form_is_chosen_for_the_platform(platform, count):
    x, kernel = normal(3, 16, 2), normal(9, 3, 5)
    with sharding.made_for(platform):
        program = jax.jit(lambda x: convolution.convolve(x, kernel, 2, 4)).trace(x).jaxpr
    assert str(program).count("conv_general_dilated") == count


@pytest.mark.parametrize(("channels", "samples"), [(64, 8), (128, 4), (32, 16)])
def test_products_are_as_precise_as_float32(channels, samples):
    """Of float32, which rounds by 6e-8 at most, in the shapes of the authors' net."""
    x, kernel = normal(16, samples, channels), normal(9, channels, channels)
    truth = numpy_convolution(x, kernel, 1, 4)
    error = convolution.convolve_dot(x.T, kernel, 1, 4).T - truth
    assert 1e-8 < error.std() / truth.std() < 4e-7


@pytest.mark.parametrize("samples", [5, 16])  # whole, by taps
def test_products_sum_over_the_last_axis_on_the_left(samples, monkeypatch):
    """The form that XLA has a fast routine for on a CPU; no window is turned for it."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    x, kernel = normal(8, samples, 33), normal(9, 8, 16)

    def loss(x, kernel):
        return jnp.sin(convolution.convolve_dot(x, kernel, 1, 4)).sum()

    text = jax.jit(jax.grad(loss, (0, 1))).lower(x, kernel).compile().as_text()
    assert text.count("lhs_contracting_dims={1}") == 3
    assert text.count("lhs_contracting_dims=") == 3
    assert not re.search(rf"\b(33|{33 * samples})\b[^ ]* transpose\(", text)


def test_out_length_counts_the_positions_of_a_kernel():
    for samples in range(1, 12):
        for kernel, stride, padding in [(3, 2, 1), (9, 1, 4), (1, 2, 0), (7, 2, 3)]:
            positions = range(-padding, samples + padding - kernel + 1, stride)
            assert convolution.out_length(samples, kernel, stride, padding) == len(positions)
    assert convolution.out_length(None, 3, 2, 1) is None
