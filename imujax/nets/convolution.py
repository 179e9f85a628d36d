"""Convolution along time as matrix products, in the form that costs the machine least.

Channels come first and the windows of a batch lie side by side, x [C, T, B]: so the taps of a
convolution are whole slices, and the products, those of the gradients too, find their operands as
they lie, for which XLA has its fastest routine on a CPU.

Where products are large, sums take the place of some of them, in exact arithmetic the same: three
for four where short windows are convolved whole (`_toeplitz`), four for six by Winograd's minimal
filter (`_convolve_in_pairs`). In float32 the rounding stays as it was; bfloat16 has no digits for
sums. Only a CPU does it: an accelerator multiplies float32 itself in fewer digits by default, and
small products leave most of it idle.
"""

import jax
import jax.numpy as jnp

MULTIPLICATIONS = 2**23  # of a product, below which more and smaller ones are no faster; measured
COLUMNS = 1024  # of a product, from which sums of kernels are few beside it; measured


def out_length(length, kernel: int, stride: int = 1, padding: int = 0):
    """Samples left by a convolution or a pooling; of ints, of arrays, or None for full windows."""
    if length is None:
        return None
    return (length + 2 * padding - kernel) // stride + 1


def taps(x, kernel: int, stride: int, padding: int, fill: float = 0.0):
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
    found = []
    for tap in range(kernel):
        row, phase = divmod(tap, stride)
        found.append(x[:, row : row + out, phase])
    return found


def _dot(a, b, over: tuple):
    """Sum of products over axes of a and axes of b, which the result has no more."""
    return jax.lax.dot_general(a, b, (over, ((), ())))


@jax.custom_vjp
def _product(matrix, x):
    """matrix [K, F], x [K, T, B] to [F, T, B].

    On a CPU XLA multiplies fast where the left side is summed over its last axis: else it takes a
    slower routine, and to sum over two axes it turns an operand first. So the matrix, the smallest
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
    """Convolution of x [C, T, B] with kernel [k, C, F] as matrix products; [F, T_out, B].

    Under `vmap` over kernels these stay (batched) products, where `lax.conv` becomes a grouped
    convolution with a slow gradient, and within loops on a CPU they keep their speed.
    """
    width, channels, features = kernel.shape
    _, samples, batch = x.shape
    out = out_length(samples, width, stride, padding)
    matrix = samples * channels * out * features  # numbers in the matrix of _convolve_whole
    if samples <= width and matrix <= max(kernel.size, batch * out * width * channels):
        return _convolve_whole(x, kernel, stride, padding)
    if stride == 1 and width % 3 == 0 and out % 2 == 0 and out // 2 * batch >= COLUMNS and _sums(x):
        return _convolve_in_pairs(x, kernel, padding)
    found = taps(x, width, stride, padding)
    patches = found[0] if width == 1 else jnp.concatenate(found)  # [k * C, T_out, B]
    return _product(kernel.reshape(width * channels, features), patches)


def _sums(x) -> bool:
    """Whether sums may take the place of products."""
    return x.dtype.itemsize >= 4 and jax.default_backend() == "cpu"


def _convolve_whole(x, kernel, stride: int, padding: int):
    """The same for windows no longer than the kernel: each is one column [C * T] of the product.

    The kernel is written out as the (Toeplitz) matrix [C * T, F * T_out] that it is to them. That
    takes no more products than the taps, many of which meet padding, and x need not be copied: it
    pays where the matrix is no larger than the patches would be, or than the kernel itself.
    """
    samples, width = x.shape[1], len(kernel)
    out = out_length(samples, width, stride, padding)
    beyond = max((out - 1) * stride - padding, 0), max(samples + padding - width, 0)
    reach = jnp.pad(kernel, (beyond, (0, 0), (0, 0)))
    last = beyond[0] + padding  # row of `reach` that sample 0 meets for the first sample out
    reach = reach[last - stride * (out - 1) : last + samples]
    return _toeplitz(reach, x, stride)


def _toeplitz(reach, x, stride: int = 1):
    """Sample t out is the sum over s of reach[stride * (T_out - 1 - t) + s] times x[:, s].

    reach [stride * (T_out - 1) + T, C, F], x [C, T, B]; [F, T_out, B]. In halves of the windows, A
    to D being the quarters of the matrix, and A = D as its diagonals are constant,

        A e + B l = A (e + l) + (B - A) l,      C e + D l = A (e + l) + (C - A) e

    has three products for four, and so again each of them (Fan & Hasan 2007, IEEE Transactions on
    Computers 56).
    """
    channels, samples, batch = x.shape
    features = reach.shape[2]
    out = (len(reach) - samples) // stride + 1
    half, odd = divmod(samples, 2)
    many = half * channels * half * features * batch >= MULTIPLICATIONS
    if stride == 1 and out == samples and not odd and many and _sums(x):
        early, late = x[:, :half], x[:, half:]
        below, same, above = (reach[first : first + 2 * half - 1] for first in (0, half, 2 * half))
        both = _toeplitz(same, early + late)
        first = both + _toeplitz(above - same, late)
        return jnp.concatenate([first, both + _toeplitz(below - same, early)], 1)
    rows = (stride * (out - 1 - t) for t in range(out))
    matrix = jnp.stack([reach[row : row + samples] for row in rows], axis=3)  # [T, C, F, T_out]
    matrix = matrix.swapaxes(0, 1).reshape(channels * samples, features * out)
    return _product(matrix, x.reshape(-1, 1, batch)).reshape(features, out, batch)


def _convolve_in_pairs(x, kernel, padding: int):
    """The same for kernels of 3, 6, 9, ... taps and stride 1, two samples out at a time.

    Winograd's minimal filter F(2, 3), as Lavin & Gray 2016 give it (arXiv 1509.09308): four
    products for six in each three taps; threes of taps are summed over as channels are.
    """
    width, _, features = kernel.shape
    found = taps(x, width + 1, 2, padding)  # each [C, T_out / 2, B]
    threes = []  # of each three taps the factors of the four products
    for tap in range(0, width, 3):
        d0, d1, d2, d3 = found[tap : tap + 4]
        g0, g1, g2 = kernel[tap : tap + 3]
        even, odd = (g0 + g2) / 2, g1 / 2
        threes.append(((g0, d0 - d2), (even + odd, d1 + d2), (even - odd, d2 - d1), (g2, d1 - d3)))
    products = []
    for factors in zip(*threes, strict=True):
        kernels, samples = zip(*factors, strict=True)
        products.append(_product(jnp.concatenate(kernels), jnp.concatenate(samples)))
    m1, m2, m3, m4 = products
    pairs = jnp.stack([m1 + m2 + m3, m2 - m3 - m4], axis=2)  # [F, T_out / 2, 2, B]
    return pairs.reshape(features, -1, x.shape[2])


def convolve_lax(x, kernel, stride: int, padding: int):
    """The same by XLA's convolution, zero padding on both sides as in PyTorch."""
    return jax.lax.conv_general_dilated(
        x, kernel, (stride,), [(padding, padding)], dimension_numbers=("CWN", "WIO", "CWN")
    )


FORMS = {"dot": convolve_dot, "lax": convolve_lax}
