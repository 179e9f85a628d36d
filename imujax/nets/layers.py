"""Layers for windows of samples [C, T, B]: convolution, norms and pooling masked by length.

Channels come first and the windows of a batch lie side by side (`convolution` says why).

A window may be shorter than the array that carries it: `length` [B] is the number of its true
samples, and nothing beyond them reaches the result (a net that sees the zero padding learns the
length of a step). `length=None` says that every window is full; then no masking is computed.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from imujax.nets import convolution

MOMENTUM = 0.9  # of the running statistics; PyTorch calls the same value momentum 0.1
EPSILON = 1e-5
GROUP = 16  # channels a group of the group norm, at most (Wu & He 2018)


def mask(length, samples: int):
    """[1, samples, B] bool, true within the first `length` [B] samples; None stays None."""
    if length is None:
        return None
    return (jnp.arange(samples)[:, None] < jnp.asarray(length)[None, :])[None]


def fill_beyond(x, length, value: float = 0.0):
    """x [C, T, B] with `value` beyond each window's true length."""
    if length is None:
        return x
    return jnp.where(mask(length, x.shape[1]), x, jnp.asarray(value, x.dtype))


def standardise_weights(kernel, gain):
    """Scaled weight standardisation: zero mean and variance 1/fan-in for each output, times gain.

    kernel [k, C, F], gain [F]. Brock, De & Smith 2021 (arXiv 2101.08692), equation 4; the floor
    keeps a dead kernel finite.
    """
    fan_in = kernel.shape[0] * kernel.shape[1]
    mean = kernel.mean((0, 1), keepdims=True)
    variance = kernel.var((0, 1), keepdims=True)
    scale = jax.lax.rsqrt(jnp.maximum(variance * fan_in, 1e-4)) * gain[None, None, :]
    return (kernel - mean) * scale


class Conv1D(nn.Module):
    """Convolution along time, x [C, T, B] to [features, T_out, B]; cross-correlation as in PyTorch.

    Parameters: kernel [k, C, features], bias [features] where `bias`, gain [features] where
    `standardise` (`standardise_weights`). `padding` zeros on both sides, k // 2 unless given.
    With `length` the samples beyond it count as zeros.
    """

    features: int
    kernel: int
    stride: int = 1
    padding: int | None = None
    bias: bool = True
    impl: str = "dot"
    standardise: bool = False
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x, length=None):
        shape = (self.kernel, x.shape[0], self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        if self.standardise:
            kernel = standardise_weights(
                kernel, self.param("gain", nn.initializers.ones, (self.features,))
            )
        padding = self.kernel // 2 if self.padding is None else self.padding
        if self.kernel > 1 or padding:
            x = fill_beyond(x, length)
        convolve = convolution.FORMS[self.impl]
        y = convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, padding)
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = y + bias.astype(self.dtype)[:, None, None]
        return y


def norm(kind: str, x, length, train: bool, dtype: str, name: str):
    """Normalise x [C, T, B], or [B, C], inside a compact module; statistics in float32.

    "batch": over batch and true samples; in evaluation by the running statistics, so the net is
    true to amplitude. "group" and "layer" are there for comparison only. WARNING: they divide
    every window by its own size, which makes the net blind to amplitude: doubling the input
    changes its embedding by less than a few per cent, and the targets (peak forces, loading
    rates) are amplitudes. "none": x as it is, for the normaliser-free layout.
    """
    where = None if length is None or x.ndim == 2 else mask(length, x.shape[1])
    channels = 1 if x.ndim == 2 else 0  # their axis
    if kind == "batch":
        layer = nn.BatchNorm(
            use_running_average=not train,
            momentum=MOMENTUM,
            epsilon=EPSILON,
            axis=channels,
            dtype=dtype,
            name=name,
        )
        return layer(x, mask=where)
    if kind == "group":
        size = math.gcd(GROUP, x.shape[channels])
        layer = nn.GroupNorm(
            num_groups=None, group_size=size, epsilon=EPSILON, dtype=dtype, name=name
        )
        if x.ndim == 2:
            return layer(x)
        return layer(x.T, mask=None if where is None else jnp.broadcast_to(where, x.shape).T).T
    if kind == "layer":  # over the channels of each sample: needs no mask
        axes = {"reduction_axes": channels, "feature_axes": channels}
        return nn.LayerNorm(epsilon=EPSILON, dtype=dtype, name=name, **axes)(x)
    return x


def max_pool(x, kernel: int, stride: int, padding: int, length=None):
    """Maximum over `kernel` samples, [C, T, B] to [C, T_out, B]; padding never wins.

    Zero beyond the true length, so that no later layer meets the fill value.
    """
    lowest = float(jnp.finfo(x.dtype).min)
    taps = convolution.taps(fill_beyond(x, length, lowest), kernel, stride, padding, lowest)
    y = taps[0]
    for tap in taps[1:]:
        y = jnp.maximum(y, tap)
    return fill_beyond(y, convolution.out_length(length, kernel, stride, padding))


def mean_over_time(x, length=None):
    """Mean of x [C, T, B] over the true samples, in float32; [B, C]. No sample at all gives 0."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if length is None:
        return x.mean(1).T
    return (fill_beyond(x, length).sum(1) / jnp.maximum(jnp.asarray(length), 1)[None]).T


def max_over_time(x, length=None):
    """Maximum of x [C, T, B] over the true samples, in float32; [B, C]. No sample gives 0."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if length is None:
        return x.max(1).T
    most = fill_beyond(x, length, float(jnp.finfo(jnp.float32).min)).max(1)
    return jnp.where(jnp.asarray(length)[None] > 0, most, 0.0).T
