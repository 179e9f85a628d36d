"""Layers for windows of samples [C, T, B]: convolution, norms and pooling masked by length.

Channels come first and the windows of a batch lie side by side (`convolution` says why).

A window may be shorter than the array that carries it: `length` [B] is the number of its true
samples, and nothing beyond them reaches the result (a net that sees the zero padding learns the
length of a step). `length=None` says that every window is full; then no masking is computed.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imujax.nets import convolution
from imujax.runtime import sharding

MOMENTUM = 0.9  # of the running statistics; PyTorch calls the same value momentum 0.1
EPSILON = 1e-5
GROUP_SIZE = 16  # channels a group of the group norm, at most (Wu & He 2018)
ROUNDING = 1e-6  # relative, of what counts as equal to a maximum


class Feature(NamedTuple):
    """What a part of a network has along the windows.

    Attributes
    ----------
    x : jax.Array, [C, T', B]
        Sample j belongs to sample j * every of the window.
    length : jax.Array, [B], or None
        True samples of x; None where all are.
    every : int
    """

    x: jax.Array
    length: jax.Array | None
    every: int


def mask(length: jax.Array | None, samples: int) -> jax.Array | None:
    """Which samples of an array belong to their window.

    Parameters
    ----------
    length : jax.Array, [B], or None
        True samples of each window; None where all are full.
    samples : int
        T, samples of the array.

    Returns
    -------
    jax.Array, [1, T, B] bool, or None
        True within the first `length` samples; None for None.
    """
    if length is None:
        return None
    return (jnp.arange(samples)[:, None] < jnp.asarray(length)[None, :])[None]


def fill_beyond(x, length, value: float = 0.0):
    """x [C, T, B] with `value` beyond each window's true length."""
    valid = mask(length, x.shape[1])
    if valid is None:
        return x
    return jnp.where(valid, x, jnp.asarray(value, x.dtype))


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
    """Convolution along time; cross-correlation as in PyTorch.

    Called as (x [C, T, B], length [B] or None) -> [features, T_out, B]; with `length` the samples
    beyond it count as zeros. Its parameters are `kernel` [k, C, features], `bias` [features] where
    `bias`, and `gain` [features] where `standardise`.

    Attributes
    ----------
    features : int
        Channels out.
    kernel, stride : int
        Samples.
    padding : int, optional
        Zeros on both sides, k // 2 unless given.
    dilation : int
        Samples from one tap of the kernel to the next; more than 1 goes with neither a stride nor a
        padding of its own, and leaves as many samples as there were.
    bias : bool
        Whether a number is added to each channel.
    impl : str
        A form of convolution: a name in `convolution.FORMS`.
    standardise : bool
        Whether the kernel goes through `standardise_weights`.
    dtype : str
        Of the products; the parameters are float32.
    """

    features: int
    kernel: int
    stride: int = 1
    padding: int | None = None
    dilation: int = 1
    bias: bool = True
    impl: str = "auto"
    standardise: bool = False
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, length: jax.Array | None = None) -> jax.Array:
        shape = (self.kernel, x.shape[0], self.features)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape)
        if self.standardise:
            kernel = standardise_weights(
                kernel, self.param("gain", nn.initializers.ones, (self.features,))
            )
        padding = self.kernel // 2 if self.padding is None else self.padding
        if self.kernel > 1 or padding:
            x = fill_beyond(x, length)
        samples, convolve = x.shape[1], convolution.FORMS[self.impl]
        if self.dilation > 1:
            x = convolution.split_phases(x, self.dilation)
        y = convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, padding)
        if self.dilation > 1:
            y = convolution.join_phases(y, self.dilation, samples)
        if self.bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = y + bias.astype(self.dtype)[:, None, None]
        return y


def norm(
    kind: str, x: jax.Array, length: jax.Array | None, train: bool, dtype: str, name: str
) -> jax.Array:
    """Normalise inside a compact module; statistics in float32.

    Parameters
    ----------
    kind : {"batch", "group", "layer", "none"}
        "batch": over true samples and the batch, on whichever devices it is (sharding.map_rows);
        in evaluation by the running statistics, so the net is true to amplitude. "group" and
        "layer" are there for comparison only. WARNING: they divide every window by its own size,
        which makes the net blind to amplitude: doubling the input changes its embedding by less
        than a few per cent, and the targets (peak forces, loading rates) are amplitudes. "none":
        x as it is, for the normaliser-free layout.
    x : jax.Array, [C, T, B] or [B, C]
    length : jax.Array, [B], or None
        True samples of each window; None where all are full.
    train : bool
        Whether "batch" takes the statistics of x, and moves the running ones towards them.
    dtype : str
        Of the result.
    name : str
        Of the flax module.

    Returns
    -------
    jax.Array
        Of the shape of x.
    """
    valid = None if length is None or x.ndim == 2 else mask(length, x.shape[1])
    channel_axis = 1 if x.ndim == 2 else 0
    if kind == "batch":
        layer = nn.BatchNorm(
            use_running_average=not train,
            momentum=MOMENTUM,
            epsilon=EPSILON,
            axis=channel_axis,
            axis_name=sharding.mapped_axis(),
            dtype=dtype,
            name=name,
        )
        return layer(x, mask=valid)
    if kind == "group":
        size = math.gcd(GROUP_SIZE, x.shape[channel_axis])
        layer = nn.GroupNorm(
            num_groups=None, group_size=size, epsilon=EPSILON, dtype=dtype, name=name
        )
        if x.ndim == 2:
            return layer(x)
        return layer(x.T, mask=None if valid is None else jnp.broadcast_to(valid, x.shape).T).T
    if kind == "layer":  # over the channels of each sample: needs no mask
        layer = nn.LayerNorm(
            reduction_axes=channel_axis,
            feature_axes=channel_axis,
            epsilon=EPSILON,
            dtype=dtype,
            name=name,
        )
        return layer(x)
    return x


def max_pool(
    x: jax.Array, kernel: int, stride: int, padding: int, length: jax.Array | None = None
) -> jax.Array:
    """Maximum over `kernel` samples; padding never wins.

    Parameters
    ----------
    x : jax.Array, [C, T, B]
    kernel, stride, padding : int
        Samples; `padding` on both sides.
    length : jax.Array, [B], optional
        True samples of each window; every window is full unless given.

    Returns
    -------
    jax.Array, [C, T_out, B]
        Zero beyond the true length, so that no later layer meets the fill value.
    """
    lowest = float(jnp.finfo(x.dtype).min)
    taps = convolution.taps(fill_beyond(x, length, lowest), kernel, stride, padding, lowest)
    y = taps[0]
    for tap in taps[1:]:
        y = jnp.maximum(y, tap)
    return fill_beyond(y, convolution.out_length(length, kernel, stride, padding))


def mean_over_time(x: jax.Array, length: jax.Array | None = None) -> jax.Array:
    """Mean over the true samples, in float32.

    Parameters
    ----------
    x : jax.Array, [C, T, B]
    length : jax.Array, [B], optional
        True samples of each window; every window is full unless given.

    Returns
    -------
    jax.Array, [B, C]
        0 where a window has no sample at all.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if length is None:
        return x.mean(1).T
    return (fill_beyond(x, length).sum(1) / jnp.maximum(jnp.asarray(length), 1)[None]).T


def max_over_time(x: jax.Array, length: jax.Array | None = None) -> jax.Array:
    """Maximum over the true samples, in float32.

    Parameters
    ----------
    x : jax.Array, [C, T, B]
    length : jax.Array, [B], optional
        True samples of each window; every window is full unless given.

    Returns
    -------
    jax.Array, [B, C]
        0 where a window has no sample at all.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if length is None:
        return _largest(x).T
    largest = _largest(fill_beyond(x, length, float(jnp.finfo(jnp.float32).min)))
    return jnp.where(jnp.asarray(length)[None] > 0, largest, 0.0).T


@jax.custom_jvp
def _largest(x: jax.Array) -> jax.Array:
    """Maximum along the second axis of x [C, T, B] -> [C, B].

    jax's own derivative looks for the samples that equal the maximum. A compiler may work them out
    again, with other rounding: then there is none, and 0 / 0. Here what is as large to rounding
    shares the derivative.
    """
    return x.max(1)


@_largest.defjvp
def _largest_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    top = x.max(1)
    is_top = x >= (top - ROUNDING * jnp.abs(top))[:, None]
    share = is_top / jnp.maximum(is_top.sum(1, keepdims=True), 1)
    return top, (dx * share.astype(dx.dtype)).sum(1)


def at_samples(feature: Feature, samples: np.ndarray) -> jax.Array:
    """Read a feature at samples of the window, on the line between its own; in float32.

    Parameters
    ----------
    feature : Feature
    samples : ndarray of int, [P]
        What lies behind the last true sample of the feature takes that one.

    Returns
    -------
    jax.Array, [C, P, B]
    """
    x = feature.x.astype(jnp.promote_types(feature.x.dtype, jnp.float32))
    before, rest = np.divmod(samples, feature.every)
    share = jnp.asarray(rest / feature.every, x.dtype)[None, :, None]
    if feature.length is None:
        last = x.shape[1] - 1
        at, after = x[:, np.minimum(before, last)], x[:, np.minimum(before + 1, last)]
    else:
        last = jnp.maximum(jnp.asarray(feature.length) - 1, 0)[None]  # [1, B]
        index = (jnp.minimum(jnp.asarray(i)[:, None], last)[None] for i in (before, before + 1))
        at, after = (jnp.take_along_axis(x, i, axis=1) for i in index)
    return at + share * (after - at)
