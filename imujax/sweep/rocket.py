"""MultiRocket: thousands of fixed convolutions of a window, each summed up in four numbers.

A kernel has nine taps, three of weight 2 and six of weight -1, which sum to zero; there are 84 of
them.  Each is spread by several dilations, sees a random few of the channels, and its output is
compared with biases that are quantiles of the output for a training window.  The same is done with
the first difference of the signals.  Dempster, Schmidt, Webb 2021 (MiniRocket, arXiv 2012.08791);
Tan, Dempster, Bergmeir, Webb 2022 (MultiRocket, arXiv 2102.00457).

It differs from the authors' program in what follows the paper more closely, or concerns what they
had no need of: the mean of the positive values is that of output minus bias; the longest stretch
counts positive samples; each representation has channels of its own; channels are standardised by
the training windows, all together, so that amplitude is kept; and a window that is filled up is
pooled over its own samples only.
"""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

TAPS = 9
KERNELS = np.array(list(itertools.combinations(range(TAPS), 3)))  # [84, 3], the taps of weight 2
MAX_DILATIONS = 32
MAX_CHANNELS = 9  # that one kernel sees
CHUNK_VALUES = 2**17  # outputs of convolution that are held at once: about a core's own memory


class Convolutions(NamedTuple):
    """The kernels of one representation, the signals or their first difference.

    Attributes
    ----------
    dilations : ndarray, [D]
        Samples between two taps.
    weights : ndarray, [D, C*9, 84]
        Of every channel and tap.
    biases : list of ndarray, D times [B, 84]
        For each dilation.
    """

    dilations: np.ndarray
    weights: np.ndarray
    biases: list[np.ndarray]


class Rocket(NamedTuple):
    """What is fitted on training windows.

    Attributes
    ----------
    mean, scale : ndarray, [C]
        Of every channel; the scale is its SD, or infinite where it is constant.
    representations : tuple of Convolutions
        Of the signals and of their first difference.
    """

    mean: np.ndarray
    scale: np.ndarray
    representations: tuple[Convolutions, ...]


def fit_rocket(signals: np.ndarray, length: np.ndarray, kernels: int, seed: int) -> Rocket:
    """Draw the kernels' channels and find their biases.

    Parameters
    ----------
    signals : ndarray, [n, L, C]
        Training windows; L is at least 2.
    length : ndarray, [n]
        Samples of each window before it is filled up.
    kernels : int
        How many biases there shall be for each representation: the next lower multiple of 84.
    seed : int
        Of channels and of the windows that give the biases.

    Returns
    -------
    Rocket
    """
    inside = np.arange(signals.shape[1]) < length[:, None]
    mean = signals.mean(axis=(0, 1), where=inside[..., None], dtype=np.float64)
    scale = signals.std(axis=(0, 1), where=inside[..., None], dtype=np.float64)
    scale[scale <= 1e-6 * np.abs(mean)] = np.inf
    rng = np.random.default_rng(seed)
    fitted = []
    for x, count in _representations(signals, length, mean, scale):
        dilations, repeats = choose_dilations(x.shape[1], kernels // len(KERNELS))
        weights = np.stack([_draw_weights(x.shape[2], rng) for _ in dilations])
        # The golden ratio's multiples spread the quantiles evenly, however many there are.
        quantiles = np.arange(1, len(KERNELS) * repeats.sum() + 1) * (np.sqrt(5) + 1) / 2 % 1
        biases, first = [], 0
        for dilation, weight, repeat in zip(dilations, weights, repeats, strict=True):
            last = first + len(KERNELS) * repeat
            levels = quantiles[first:last].reshape(len(KERNELS), repeat)
            rows = rng.integers(len(x), size=len(KERNELS))
            outputs = _convolve(x[rows], weight, dilation)  # [L, 84, 84]
            columns = [
                np.quantile(outputs[: count[row], k, k], levels[k]) for k, row in enumerate(rows)
            ]
            biases.append(np.stack(columns, axis=1).astype(np.float32))
            first = last
        fitted.append(Convolutions(dilations, weights, biases))
    return Rocket(mean, scale, tuple(fitted))


def state(rocket: Rocket) -> dict[str, np.ndarray]:
    """Lay what was fitted out as arrays, of which `restore` makes it again.

    Parameters
    ----------
    rocket : Rocket

    Returns
    -------
    dict of ndarray
    """
    arrays = {"channel_mean": rocket.mean, "channel_scale": rocket.scale}
    for number, fitted in enumerate(rocket.representations):
        name = f"convolutions{number}"
        arrays |= {f"{name}.dilations": fitted.dilations, f"{name}.weights": fitted.weights}
        arrays |= {f"{name}.biases{k}": biases for k, biases in enumerate(fitted.biases)}
    return arrays


def restore(arrays: Mapping[str, np.ndarray]) -> Rocket:
    """Make what `state` has laid out.

    Parameters
    ----------
    arrays : mapping of ndarray

    Returns
    -------
    Rocket
    """
    fitted = []
    while f"convolutions{len(fitted)}.dilations" in arrays:
        name = f"convolutions{len(fitted)}"
        dilations = arrays[f"{name}.dilations"]
        biases = [arrays[f"{name}.biases{k}"] for k in range(len(dilations))]
        fitted.append(Convolutions(dilations, arrays[f"{name}.weights"], biases))
    return Rocket(arrays["channel_mean"], arrays["channel_scale"], tuple(fitted))


def choose_dilations(length: int, repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """Spread a kernel's features over dilations, from 1 to as long as the window.

    Parameters
    ----------
    length : int
        Samples of a window.
    repeats : int
        Features of each of the 84 kernels.

    Returns
    -------
    tuple of ndarray, [D] and [D]
        Dilations, ascending, and how many features each has: exponents evenly spaced, as in
        MiniRocket.
    """
    longest = np.log2(max((length - 1) / (TAPS - 1), 1))
    spaced = 2 ** np.linspace(0, longest, min(repeats, MAX_DILATIONS))
    dilations, counts = np.unique(spaced.astype(int), return_counts=True)
    counts = counts * repeats // counts.sum()
    counts[: repeats - counts.sum()] += 1
    return dilations[counts > 0], counts[counts > 0]


def transform(rocket: Rocket, signals: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Compute the features of windows.

    Parameters
    ----------
    rocket : Rocket
    signals : ndarray, [n, L, C]
    length : ndarray, [n]

    Returns
    -------
    ndarray, [n, F]
        In float32.  For each representation, dilation, pooling operator, bias and kernel, in this
        order: the share of samples above the bias; the mean of output minus bias over these, or 0;
        their mean index, or -1; their longest stretch.  Every second kernel looks at samples all of
        whose taps lie inside the window, unless there are none, the others at all samples.
    """
    blocks = []
    for (x, count), fitted in zip(
        _representations(signals, length, rocket.mean, rocket.scale),
        rocket.representations,
        strict=True,
    ):
        for number, dilation in enumerate(fitted.dilations):
            biases = fitted.biases[number]
            padding = dilation * (TAPS // 2)
            is_inner = (np.arange(len(KERNELS)) + number) % 2 == 1
            first = is_inner * padding * (count > 2 * padding)[:, None]  # [n, 84]
            last = count[:, None] - first
            block = np.empty((len(x), 4, *biases.shape), np.float32)
            size = max(CHUNK_VALUES // (x.shape[1] * len(KERNELS)), 1)
            for start in range(0, len(x), size):
                rows = slice(start, start + size)
                outputs = _convolve(x[rows], fitted.weights[number], dilation)
                block[rows] = _pool(outputs, biases, first[rows], last[rows])
            blocks.append(block.reshape(len(x), -1))
    return np.concatenate(blocks, axis=1)


def _representations(signals, length, mean, scale):
    """Standardised signals and their first difference, 0 beyond the length; [n, L, C], [n].

    Of a window of one sample the difference is one 0.
    """
    x = ((signals - mean) / scale).astype(np.float32)
    for series, count in ((x, length), (np.diff(x, axis=1), length - 1)):
        inside = np.arange(series.shape[1]) < count[:, None]
        yield np.where(inside[..., None], series, 0), np.maximum(count, 1)


def _draw_weights(channels: int, rng: np.random.Generator) -> np.ndarray:
    """The weights [C*9, 84] of all kernels for one dilation, each on channels of its own."""
    weights = np.full((channels, TAPS, len(KERNELS)), -1.0, np.float32)
    most = np.log2(min(channels, MAX_CHANNELS) + 1)
    for kernel, taps in enumerate(KERNELS):
        weights[:, taps, kernel] = 2
        seen = rng.permutation(channels)[: int(2 ** rng.uniform(0, most))]
        weights[np.setdiff1d(np.arange(channels), seen), :, kernel] = 0
    return weights.reshape(channels * TAPS, len(KERNELS))


def _convolve(x: np.ndarray, weights: np.ndarray, dilation: int) -> np.ndarray:
    """All kernels on windows [n, L, C], as if zeros stood around them -> [L, n, 84]."""
    count, length, channels = x.shape
    reach = dilation * (TAPS // 2)
    padded = np.zeros((length + 2 * reach, count, channels), np.float32)
    padded[reach : reach + length] = x.transpose(1, 0, 2)
    taps = [padded[i * dilation : i * dilation + length] for i in range(TAPS)]
    return np.stack(taps, axis=-1).reshape(length, count, -1) @ weights


def _pool(outputs, biases, first, last) -> np.ndarray:
    """Outputs [L, n, 84] against biases [B, 84], from first to last [n, 84] -> [n, 4, B, 84]."""
    samples = np.arange(len(outputs))[:, None, None]
    outputs = np.where((samples >= first) & (samples < last), outputs, -np.inf)
    excess = outputs[:, None] - biases[:, None]  # [L, B, n, 84]
    above = excess > 0
    sums = np.stack([np.ones(len(outputs)), np.arange(len(outputs))]).astype(np.float32)
    count, index = (sums @ above.reshape(len(outputs), -1)).reshape(2, *above.shape[1:])
    total = np.maximum(excess, 0, out=excess).sum(axis=0)
    kind = np.min_scalar_type(len(above))  # few bytes: these loops are bound by memory
    run, longest = np.zeros((2, *above.shape[1:]), kind)
    for sample in np.negative(above.astype(kind)):  # all bits set where above
        run += 1
        run &= sample
        np.maximum(longest, run, out=longest)
    some = np.maximum(count, 1)
    mean_index = np.where(count > 0, index / some - first, -1)
    pooled = np.stack([count / (last - first), total / some, mean_index, longest])
    return pooled.transpose(2, 0, 1, 3)
