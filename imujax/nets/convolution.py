"""Convolution along time as matrix products, in the form that costs the machine least.

Channels come first and the windows of a batch lie side by side, x [C, T, B]: so the taps of a
convolution are whole slices, and the products, those of the gradients too, find their operands as
they lie, for which XLA has its fastest routine on a CPU.

Where products are large, sums take the place of some of them, in exact arithmetic the same: three
for four where short windows are convolved whole (`_multiply_toeplitz`), four for six by Winograd's
minimal filter (`_convolve_in_pairs`). In float32 the rounding stays as it was; bfloat16 has no
digits for sums. Only a CPU does it: an accelerator multiplies float32 itself in fewer digits by
default, and small products leave most of it idle.
"""

from typing import overload

import jax
import jax.numpy as jnp

from imujax.runtime import sharding

# Of a product: below so many multiplications, more and smaller products are no faster; from so many
# columns on, sums of kernels are few beside it. Both measured.
MIN_MULTIPLICATIONS = 2**23
MIN_COLUMNS = 1024


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
    is_paired = stride == 1 and width % 3 == 0 and out % 2 == 0
    if is_paired and out // 2 * batch >= MIN_COLUMNS and _is_fit_for_sums(x):
        return _convolve_in_pairs(x, kernel, padding)
    slices = taps(x, width, stride, padding)
    patches = slices[0] if width == 1 else jnp.concatenate(slices)  # [k * C, T_out, B]
    return _multiply(kernel.reshape(width * channels, features), patches)


def _is_fit_for_sums(x) -> bool:
    """Whether sums may take the place of products."""
    return x.dtype.itemsize >= 4 and sharding.target_platform() == "cpu"


def _convolve_whole(x, kernel, stride: int, padding: int):
    """The same for windows no longer than the kernel: each is one column [C * T] of the product.

    The kernel is written out as the (Toeplitz) matrix [C * T, F * T_out] that it is to them. That
    takes no more products than the taps, many of which meet padding, and x need not be copied: it
    pays where the matrix is no larger than the patches would be, or than the kernel itself.
    """
    samples, width = x.shape[1], len(kernel)
    out = out_length(samples, width, stride, padding)
    margins = max((out - 1) * stride - padding, 0), max(samples + padding - width, 0)
    diagonals = jnp.pad(kernel, (margins, (0, 0), (0, 0)))
    origin = margins[0] + padding  # the diagonal on which sample 0 meets the first sample out
    diagonals = diagonals[origin - stride * (out - 1) : origin + samples]
    return _multiply_toeplitz(diagonals, x, stride)


def _multiply_toeplitz(diagonals, x, stride: int = 1):
    """Sample t out is the sum over s of diagonals[stride * (T_out - 1 - t) + s] times x[:, s].

    diagonals [stride * (T_out - 1) + T, C, F], x [C, T, B]; [F, T_out, B]. In halves of the
    windows, A to D being the quarters of the matrix, and A = D as its diagonals are constant,

        A e + B l = A (e + l) + (B - A) l,      C e + D l = A (e + l) + (C - A) e

    has three products for four, and so again each of them (Fan & Hasan 2007, IEEE Transactions on
    Computers 56).
    """
    channels, samples, batch = x.shape
    features = diagonals.shape[2]
    out = (len(diagonals) - samples) // stride + 1
    half, odd = divmod(samples, 2)
    is_large = half * channels * half * features * batch >= MIN_MULTIPLICATIONS
    if stride == 1 and out == samples and not odd and is_large and _is_fit_for_sums(x):
        early, late = x[:, :half], x[:, half:]
        lower, main, upper = (diagonals[i : i + 2 * half - 1] for i in (0, half, 2 * half))
        shared = _multiply_toeplitz(main, early + late)
        early_out = shared + _multiply_toeplitz(upper - main, late)
        return jnp.concatenate([early_out, shared + _multiply_toeplitz(lower - main, early)], 1)
    rows = (stride * (out - 1 - t) for t in range(out))
    matrix = jnp.stack([diagonals[row : row + samples] for row in rows], axis=3)
    matrix = matrix.swapaxes(0, 1).reshape(channels * samples, features * out)
    return _multiply(matrix, x.reshape(-1, 1, batch)).reshape(features, out, batch)


def _convolve_in_pairs(x, kernel, padding: int):
    """The same for kernels of 3, 6, 9, ... taps and stride 1, two samples out at a time.

    Winograd's minimal filter F(2, 3), as Lavin & Gray 2016 give it (arXiv 1509.09308): four
    products for six in each three taps; threes of taps are summed over as channels are.
    """
    width, _, features = kernel.shape
    slices = taps(x, width + 1, 2, padding)  # each [C, T_out / 2, B]
    factors = []  # of each three taps those of the four products: (kernel, samples)
    for tap in range(0, width, 3):
        d0, d1, d2, d3 = slices[tap : tap + 4]
        g0, g1, g2 = kernel[tap : tap + 3]
        even, odd = (g0 + g2) / 2, g1 / 2
        factors.append(((g0, d0 - d2), (even + odd, d1 + d2), (even - odd, d2 - d1), (g2, d1 - d3)))
    products = []
    for factors_of_product in zip(*factors, strict=True):
        kernels, samples = zip(*factors_of_product, strict=True)
        products.append(_multiply(jnp.concatenate(kernels), jnp.concatenate(samples)))
    m1, m2, m3, m4 = products
    pairs = jnp.stack([m1 + m2 + m3, m2 - m3 - m4], axis=2)  # [F, T_out / 2, 2, B]
    return pairs.reshape(features, -1, x.shape[2])


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
