"""Layers for windows of samples [C, T, B]: convolution by dot, norms and pooling masked by length.

Channels come first and the windows of a batch lie side by side: so the taps of a convolution are
whole slices, and the products, those of the gradients too, find their operands as they lie, for
which XLA has its fastest routine on a CPU.

A window may be shorter than the array that carries it: `length` [B] is the number of its true
samples, and nothing beyond them reaches the result (a net that sees the zero padding learns the
length of a step). `length=None` says that every window is full; then no masking is computed.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

MOMENTUM = 0.9  # of the running statistics; PyTorch calls the same value momentum 0.1
EPSILON = 1e-5
GROUP = 16  # channels a group of the group norm, at most (Wu & He 2018)


def out_length(length, kernel: int, stride: int = 1, padding: int = 0):
    """Samples left by a convolution or a pooling; of ints, of arrays, or None for full windows."""
    if length is None:
        return None
    return (length + 2 * padding - kernel) // stride + 1


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


def _taps(x, kernel: int, stride: int, padding: int, fill: float = 0.0):
    """The `kernel` shifted and strided copies [C, T_out, B] that a window of samples meets.

    Stride is taken out by a reshape to [C, T/stride, stride, B], so that every tap is a dense
    slice: the gradient of a strided slice is a scatter with holes and costs several times more.
    """
    channels, samples, batch = x.shape
    out = out_length(samples, kernel, stride, padding)
    rows = out + (kernel - 1) // stride
    right = rows * stride - samples - padding  # negative: samples no tap reaches
    x = jax.lax.pad(x, jnp.asarray(fill, x.dtype), ((0, 0, 0), (padding, right, 0), (0, 0, 0)))
    x = x.reshape(channels, rows, stride, batch)
    taps = []
    for tap in range(kernel):
        row, phase = divmod(tap, stride)
        taps.append(x[:, row : row + out, phase])
    return taps


def _dot(a, b, over: tuple):
    """Sum of products over axes of a and axes of b, which the result has no more."""
    return jax.lax.dot_general(a, b, (over, ((), ())))


@jax.custom_vjp
def _product(matrix, x):
    """matrix [K, F], x [K, T, B] to [F, T, B].

    On a CPU XLA multiplies fast where the left side is summed over its last axis: else it takes a
    slower routine, and to sum over two axes it turns an operand first.  So the matrix, the smallest
    of the three, is turned here, and the gradients are written out below, each in the fast form.
    """
    return _dot(jax.lax.optimization_barrier(matrix.T), x, ((1,), (0,)))


def _product_forward(matrix, x):
    return _product(matrix, x), (matrix, x)


def _product_backward(saved, slope):
    matrix, x = saved
    if jax.device_count() == 1:  # else the windows may be spread over devices: T and B stay apart
        by_matrix = _dot(x.reshape(len(x), -1), slope.reshape(len(slope), -1), ((1,), (1,)))
    else:
        by_matrix = _dot(x, slope, ((1, 2), (1, 2)))
    return by_matrix, _dot(matrix, slope, ((1,), (0,)))


_product.defvjp(_product_forward, _product_backward)


def convolve_dot(x, kernel, stride: int, padding: int):
    """Convolution of x [C, T, B] with kernel [k, C, F] as one matrix product; [F, T_out, B].

    Under `vmap` over kernels this stays a (batched) product, where `lax.conv` becomes a grouped
    convolution with a slow gradient, and within loops on a CPU it keeps its speed.
    """
    width, channels, features = kernel.shape
    _, samples, batch = x.shape
    out = out_length(samples, width, stride, padding)
    matrix = samples * channels * out * features  # numbers in the matrix of _convolve_whole
    if samples <= width and matrix <= max(kernel.size, batch * out * width * channels):
        return _convolve_whole(x, kernel, stride, padding)
    taps = _taps(x, width, stride, padding)
    patches = taps[0] if width == 1 else jnp.concatenate(taps)  # [k * C, T_out, B]
    return _product(kernel.reshape(width * channels, features), patches)


def _convolve_whole(x, kernel, stride: int, padding: int):
    """The same for windows no longer than the kernel: each is one column [C * T] of the product.

    The kernel is written out as the (Toeplitz) matrix [C * T, F * T_out] that it is to them. That
    takes no more products than the taps, many of which meet padding, and x need not be copied: it
    pays where the matrix is no larger than the patches would be, or than the kernel itself.
    """
    channels, samples, batch = x.shape
    width, _, features = kernel.shape
    out = out_length(samples, width, stride, padding)
    beyond = max((out - 1) * stride - padding, 0), max(samples + padding - width, 0)
    reach = jnp.pad(kernel, (beyond, (0, 0), (0, 0)))
    first = [beyond[0] + padding - stride * t for t in range(out)]  # row that sample 0 meets
    matrix = jnp.stack([reach[row : row + samples] for row in first], axis=3)  # [T, C, F, T_out]
    matrix = matrix.swapaxes(0, 1).reshape(channels * samples, features * out)
    return _product(matrix, x.reshape(-1, 1, batch)).reshape(features, out, batch)


def convolve_lax(x, kernel, stride: int, padding: int):
    """The same by XLA's convolution, zero padding on both sides as in PyTorch."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride,), [(padding, padding)], dimension_numbers=("CWN", "WIO", "CWN")
    )


CONVOLVE = {"dot": convolve_dot, "lax": convolve_lax}


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
        convolve = CONVOLVE[self.impl]
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
    taps = _taps(fill_beyond(x, length, lowest), kernel, stride, padding, lowest)
    y = taps[0]
    for tap in taps[1:]:
        y = jnp.maximum(y, tap)
    return fill_beyond(y, out_length(length, kernel, stride, padding))


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
