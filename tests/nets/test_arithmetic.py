"""Arithmetic counted from the program, against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import pytest

from imujax.nets import arithmetic, convolution, resnet
from imujax.runtime import sharding


def test_products_are_counted_and_nothing_else():
    x, kernel = jnp.ones((3, 16, 2)), jnp.ones((5, 3, 7))
    by_hand = 2 * 2 * 8 * 5 * 3 * 7  # two per multiplication and addition; 8 samples are left
    for convolve in (convolution.convolve_dot, convolution.convolve_lax):
        flops = arithmetic.product_flops(
            lambda x, k, f=convolve: jnp.tanh(f(x, k, 2, 2)).sum(), x, kernel
        )
        assert flops == by_hand


def test_gradients_of_both_convolutions_count_alike():
    """Each of the two takes as much as the way there: 16 samples out, as many as in."""
    x, kernel = jnp.ones((3, 16, 2)), jnp.ones((5, 3, 7))
    for convolve in (convolution.convolve_dot, convolution.convolve_lax):
        slopes = jax.grad(lambda x, k, f=convolve: (f(x, k, 1, 2) ** 2).sum(), (0, 1))
        assert arithmetic.product_flops(slopes, x, kernel) == 3 * 2 * 2 * 16 * 5 * 3 * 7


def test_a_training_step_of_the_resnet50():
    """.60 GFLOP a window and tower at 128 samples, 1.00 at 200, worked out layer by layer once."""
    for samples, expected in ((128, 0.60), (200, 1.00)):
        each = arithmetic.training_flops(resnet.resnet50(), samples) / 2e9
        assert each == pytest.approx(expected, abs=0.005)


def test_the_share_of_a_machine_where_its_peak_is_known(monkeypatch):
    mesh = sharding.make_mesh("data", 2)
    assert arithmetic.achieved_rate(3e12, mesh) == {"tflop_per_s": 3.0}
    monkeypatch.setattr(arithmetic, "PEAKS", {"c": 1.0, "cpu": 1e12})
    assert arithmetic.achieved_rate(1e12, mesh) == {"tflop_per_s": 1.0, "utilisation": 0.5}
