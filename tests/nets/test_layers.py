"""Norms and pooling against NumPy and PyTorch, full and masked by length."""

import jax
import numpy as np
import pytest
from helpers import draws

from imujax.nets import layers

normal = draws.stream(7)


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
