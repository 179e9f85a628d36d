"""Convolution along time as matrix products, or as XLA has it.

Channels come first and the windows of a batch lie side by side, x [C, T, B]: so the taps of a
convolution are whole slices, and the products, those of the gradients too, find their operands as
they lie, for which XLA has its fastest routine on a CPU.
"""

from typing import overload

import jax
import jax.numpy as jnp

from imujax.runtime import sharding


@overload
def out_length(length: int, kernel: int, stride: int = 1, padding: int = 0) -> int: ...
@overload
def out_length(
    length: jax.Array | None, kernel: int, stride: int = 1, padding: int = 0
) -> jax.Array | None: ...
def out_length(length, kernel, stride=1, padding=0):
    """Samples left by a convolution or a pooling.

    Parameters
    ----------
    length : int, array or None
        Samples that go in; None for full windows.
    kernel, stride, padding : int
        Samples; `padding` on both sides.

    Returns
    -------
    int, array or None
        Like `length`.
    """
    if length is None:
        return None
    return (length + 2 * padding - kernel) // stride + 1


def taps(
    x: jax.Array, kernel: int, stride: int, padding: int, fill: float = 0.0
) -> list[jax.Array]:
    """The `kernel` shifted and strided copies that a window of samples meets.

    Parameters
    ----------
    x : jax.Array, [C, T, B]
    kernel, stride, padding : int
        Samples; `padding` on both sides.
    fill : float
        Value of the padding.

    Returns
    -------
    list of jax.Array, [C, T_out, B]
        One for each sample of the kernel.

    Notes
    -----
    Stride is taken out by a reshape to [C, T/stride, stride, B], so that every tap is a dense
    slice: the gradient of a strided slice is a scatter with holes and costs several times more.
    """
    channels, samples, batch = x.shape
    out = out_length(samples, kernel, stride, padding)
    rows = out + (kernel - 1) // stride
    right = rows * stride - samples - padding  # negative: samples no tap reaches
    x = jax.lax.pad(x, jnp.asarray(fill, x.dtype), ((0, 0, 0), (padding, right, 0), (0, 0, 0)))
    x = x.reshape(channels, rows, stride, batch)
    slices = []
    for tap in range(kernel):
        row, phase = divmod(tap, stride)
        slices.append(x[:, row : row + out, phase])
    return slices


def split_phases(x: jax.Array, dilation: int) -> jax.Array:
    """Windows as `dilation` windows each, of every `dilation`-th sample.

    A convolution of these is one of the windows with so many samples from tap to tap.

    Parameters
    ----------
    x : jax.Array, [C, T, B]
    dilation : int
        Samples.

    Returns
    -------
    jax.Array, [C, T / dilation rounded up, dilation * B]
        Zeros where a window has no more samples.
    """
    channels, samples, batch = x.shape
    rows = -(-samples // dilation)
    x = jnp.pad(x, ((0, 0), (0, rows * dilation - samples), (0, 0)))
    return x.reshape(channels, rows, dilation * batch)


def join_phases(x: jax.Array, dilation: int, samples: int) -> jax.Array:
    """What `split_phases` has split, [C, samples, B]."""
    channels, rows, _ = x.shape
    return x.reshape(channels, rows * dilation, -1)[:, :samples]


def _contract(a, b, axes: tuple):
    """Sum of products over axes of a and axes of b, which the result has no more."""
    return jax.lax.dot_general(a, b, (axes, ((), ())))


@jax.custom_vjp
def _multiply(matrix, x):
    """matrix [K, F], x [K, T, B] to [F, T, B].

    On a CPU XLA multiplies fast where the left side is summed over its last axis: else it takes a
    slower routine, and to sum over two axes it turns an operand first. So the matrix, the smallest
    of the three, is turned here, and the gradients are written out below, each in the fast form.
    """
    return _contract(jax.lax.optimization_barrier(matrix.T), x, ((1,), (0,)))


def _multiply_forward(matrix, x):
    return _multiply(matrix, x), (matrix, x)


def _multiply_backward(saved, slope):
    matrix, x = saved
    is_whole = jax.device_count() == 1 or bool(jax.sharding.get_abstract_mesh().manual_axes)
    if is_whole:  # else the windows may be spread over devices: T and B stay apart
        columns = x.reshape(len(x), -1), slope.reshape(len(slope), -1)
        matrix_slope = _contract(*columns, ((1,), (1,)))
    else:
        matrix_slope = _contract(x, slope, ((1, 2), (1, 2)))
    return matrix_slope, _contract(matrix, slope, ((1,), (0,)))


_multiply.defvjp(_multiply_forward, _multiply_backward)


def convolve_dot(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    """Convolution along time as matrix products; cross-correlation as in PyTorch.

    Parameters
    ----------
    x : jax.Array, [C, T, B]
    kernel : jax.Array, [k, C, F]
    stride, padding : int
        Samples; `padding` zeros on both sides.

    Returns
    -------
    jax.Array, [F, T_out, B]

    Notes
    -----
    Under `vmap` over kernels these stay (batched) products, where `lax.conv` becomes a grouped
    convolution with a slow gradient, and within loops on a CPU they keep their speed.
    """
    width, channels, features = kernel.shape
    _, samples, batch = x.shape
    out = out_length(samples, width, stride, padding)
    matrix = samples * channels * out * features  # numbers in the matrix of _convolve_whole
    if samples <= width and matrix <= max(kernel.size, batch * out * width * channels):
        return _convolve_whole(x, kernel, stride, padding)
    slices = taps(x, width, stride, padding)
    patches = slices[0] if width == 1 else jnp.concatenate(slices)  # [k * C, T_out, B]
    return _multiply(kernel.reshape(width * channels, features), patches)


def _convolve_whole(x, kernel, stride: int, padding: int):
    """The same for windows no longer than the kernel: each is one column [C * T] of the product.

    The kernel is written out as the (Toeplitz) matrix [C * T, F * T_out] that it is to them. That
    takes no more products than the taps, many of which meet padding, and x need not be copied: it
    pays where the matrix is no larger than the patches would be, or than the kernel itself.
    """
    (channels, samples, batch), (width, _, features) = x.shape, kernel.shape
    out = out_length(samples, width, stride, padding)
    margins = max((out - 1) * stride - padding, 0), max(samples + padding - width, 0)
    diagonals = jnp.pad(kernel, (margins, (0, 0), (0, 0)))
    origin = margins[0] + padding  # the diagonal on which sample 0 meets the first sample out
    starts = (origin - stride * t for t in range(out))
    matrix = jnp.stack([diagonals[start : start + samples] for start in starts], axis=3)
    matrix = matrix.swapaxes(0, 1).reshape(channels * samples, features * out)
    return _multiply(matrix, x.reshape(-1, 1, batch)).reshape(features, out, batch)


def convolve_lax(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    """The same as `convolve_dot` by XLA's convolution.

    Parameters
    ----------
    x : jax.Array, [C, T, B]
    kernel : jax.Array, [k, C, F]
    stride, padding : int
        Samples; `padding` zeros on both sides, as in PyTorch.

    Returns
    -------
    jax.Array, [F, T_out, B]
    """
    return jax.lax.conv_general_dilated(
        x, kernel, (stride,), [(padding, padding)], dimension_numbers=("CWN", "WIO", "CWN")
    )


def convolve(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    """The form that moves least: `convolve_dot` on a CPU, `convolve_lax` elsewhere.

    Of many runs under `vmap` over kernels that is `convolve_dot` everywhere. What the compilers of
    TPUs and GPUs make of both stands in launch/README.md.
    """
    form = convolve_dot if sharding.target_platform() == "cpu" else convolve_lax
    return form(x, kernel, stride, padding)


FORMS = {"auto": convolve, "dot": convolve_dot, "lax": convolve_lax}
