"""A difference of two estimates of one part, shared out over samples, sensors and axes.

A network has gradients: it is integrated along the straight path between the two windows. What has
none is asked for the estimates of windows between them, for Shapley values of pieces.
"""

import functools
from collections.abc import Callable, Iterator

import jax
import numpy as np

from imujax.data import scales
from imujax.models import parts
from imujax.nets import towers

POINTS = 64  # of a path that a network sees at once
MOST_POINTS = 9 * POINTS  # of a path
ENOUGH = 0.01  # of the difference, by which the path of a network may miss it
STRETCHES, MOST_PIECES = 8, 192  # of a window for Shapley values
PAIRS = 4  # of permutations that are tried before it is asked whether they suffice
SURE = 0.05  # standard error that suffices, in sizes of the greatest piece
MOST_WINDOWS = 1000  # that are estimated for one, beyond which no more pairs are tried
AT_ONCE = 512  # windows that a part estimates
Pair = tuple[np.ndarray, np.ndarray]


def estimate(part: parts.Part, signals: np.ndarray, length: np.ndarray, target: int) -> np.ndarray:
    """Estimate windows whose acc and gyr lie in one array.

    Parameters
    ----------
    part : Part
    signals : ndarray, [N, L, S, 2, 3], float32
        m/s^2 and rad/s.
    length : ndarray, [N]
    target : int
        Of those that the part estimates, or of its classes, from 0.

    Returns
    -------
    ndarray, [N]
        In the target's unit.
    """
    acc, gyr = (np.ascontiguousarray(signals[..., k, :]) for k in (0, 1))
    return part.estimate(acc, gyr, length)[:, target]


def integrate(
    part: parts.NetworkPart, pair: Pair, length: int, change: float, slack: float, target: int
) -> np.ndarray:
    """Integrated gradients of a network (Sundararajan, Taly & Yan 2017, arXiv 1703.01365, eq. 1).

    By the midpoint rule on 64, 192 or 576 points, until their sum is ENOUGH.

    Parameters
    ----------
    part : NetworkPart
    pair : tuple of ndarray, [L, S, 2, 3], float32
        The baseline and the window, m/s^2 and rad/s, alike beyond the length.
    length : int
        Valid samples.
    change : float
        The estimate of the window less that of the baseline, in the target's unit.
    slack : float
        A change below which more accuracy is not asked for.
    target : int
        Of those that the part estimates, or of its classes, from 0.

    Returns
    -------
    ndarray, [L, S, 2, 3]
        In the target's unit.
    """
    fitted = part.fitted
    net = towers.Regressor(fitted.net, len(fitted.mean))
    variables = {"params": fitted.params, "batch_stats": fitted.stats}
    # Difference times gradient is the same in SI and in standardised units.
    start, end = (
        np.stack(scales.standardise(x[:, :, 0], x[:, :, 1], fitted.scales), axis=2) for x in pair
    )
    valid = np.full(POINTS, length, np.int32) if part.is_masked else None
    total, count = np.zeros(start.shape), 0
    for points in _path_points():
        for one in points.reshape(-1, POINTS):  # one compiled shape
            at = one.astype(np.float32)
            total += _sum_gradients(net, target, part.is_class, variables, start, end, at, valid)
        count += len(points)
        moved = fitted.sd[target] * (end - start) * total / count
        if abs(change - moved.sum()) <= ENOUGH * max(abs(change), slack):
            break
    return moved


def _path_points() -> Iterator[np.ndarray]:
    """Midpoints of POINTS cells of the path from 0 to 1, then what thrice as many have more."""
    cells = POINTS
    yield (np.arange(cells) + 0.5) / cells
    while (cells := 3 * cells) <= MOST_POINTS:
        yield (np.arange(cells)[np.arange(cells) % 3 != 1] + 0.5) / cells


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _sum_gradients(net, target, is_class, variables, start, end, points, length):
    """Gradients [L, S, 2, 3] of an output or a probability, added over the points of the path."""

    def total(signals):
        acc, gyr = signals[..., 0, :], signals[..., 1, :]
        y = net.apply(variables, acc, gyr, length, train=False)
        return (jax.nn.softmax(y) if is_class else y)[:, target].sum()

    path = start[None] + points[:, None, None, None, None] * (end - start)[None]
    return jax.grad(total)(path).sum(0)


def share_out(
    part: parts.Part, pair: Pair, length: int, ends: tuple[float, float], target: int
) -> tuple[np.ndarray, float]:
    """Shapley values of pieces of a window, each spread evenly over its samples.

    A piece is an axis of acc or gyr of a sensor over an eighth of the window, with five sensors and
    more over a quarter, and with nine and more over a half: at most MOST_PIECES, up to 16 sensors.

    Parameters
    ----------
    part : Part
    pair : tuple of ndarray, [L, S, 2, 3], float32
        The baseline and the window, m/s^2 and rad/s, alike beyond the length.
    length : int
        Valid samples.
    ends : tuple of float
        Estimates of the two, in the target's unit.
    target : int
        Of those that the part estimates, or of its classes, from 0.

    Returns
    -------
    moved : ndarray, [L, S, 2, 3]
        In the target's unit; 0 beyond the length.
    error : float
        The greatest standard error of a piece, in the target's unit.
    """
    still, moving = pair
    channels, stretches = moving[0].size, STRETCHES
    while stretches > 2 and stretches * channels > MOST_PIECES:
        stretches //= 2
    stretches = min(stretches, length)
    # What lies beyond the length is counted to the last stretch, where nothing differs.
    stretch = np.minimum(np.arange(len(moving)) * stretches // length, stretches - 1)
    piece = (stretch[:, None] * channels + np.arange(channels)).reshape(moving.shape)

    def mix(present: np.ndarray) -> np.ndarray:
        made = []
        for first in range(0, len(present), AT_ONCE):
            mixed = np.where(present[first : first + AT_ONCE][:, piece], moving, still)
            made.append(estimate(part, mixed, np.full(len(mixed), length), target))
        return np.concatenate(made)

    values, error = shapley(mix, stretches * channels, ends)
    inside = np.arange(len(moving)) < length
    size = np.bincount(piece[inside].ravel())
    return values[piece] / size[piece] * inside[:, None, None, None], error


def shapley(
    value: Callable[[np.ndarray], np.ndarray], count: int, ends: tuple[float, float]
) -> tuple[np.ndarray, float]:
    """Shapley values by permutations in pairs of opposite order, always the same ones.

    Castro, Gomez & Tejada 2009; Strumbelj & Kononenko 2014. Exact where no more than two pieces
    work upon each other. Pairs are drawn until no standard error is above SURE of the greatest
    value, or MOST_WINDOWS were asked for.

    Parameters
    ----------
    value : [n, count] bool -> [n]
        Of some of the pieces.
    count : int
        Of the pieces.
    ends : tuple of float
        The value of none, and of all of them.

    Returns
    -------
    values : ndarray, [count]
        Their sum is the difference of the ends, but for rounding.
    error : float
        The greatest of their standard errors, by the permutations.
    """
    rng = np.random.default_rng(0)
    pairs = np.empty((0, count))
    while True:
        drawn = [rng.permutation(count) for _ in range(PAIRS)]
        orders = np.array([order[::step] for order in drawn for step in (1, -1)])
        place = np.argsort(orders, axis=1)  # of each piece in its order
        present = place[:, None] < np.arange(1, count)[:, None]  # [2 PAIRS, count - 1, count]
        made = np.empty((2 * PAIRS, count + 1))
        made[:, 0], made[:, -1] = ends
        made[:, 1:-1] = value(present.reshape(-1, count)).reshape(2 * PAIRS, -1)
        steps = np.take_along_axis(np.diff(made, axis=1), place, axis=1)
        pairs = np.concatenate([pairs, steps.reshape(PAIRS, 2, count).mean(axis=1)])
        values = pairs.mean(axis=0)
        error = float(pairs.std(axis=0, ddof=1).max() / np.sqrt(len(pairs)))
        asked = 2 * count * (len(pairs) + PAIRS)  # after another round
        if error <= SURE * np.abs(values).max() or asked > MOST_WINDOWS:
            return values, error
