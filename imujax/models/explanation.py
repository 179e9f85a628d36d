"""Which samples and axes move the estimate of a window, and a picture of it.

explanation = model.explain(acc, gyr)
explanation.save("why.png")

The estimate is told from that of the same window held still, and the difference is shared out
(`attributions`). What is told so is how the model reads a window, not what would have come of
another movement.
"""

import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imujax.models import attributions, explanation_picture, parts
from imujax.runtime import log

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from imujax.models.model import Model

LEAST = 0.01  # of the target's range: a difference below which more accuracy is not asked for


@dataclass(frozen=True, eq=False)
class Explanation:
    """How far the estimate of each of N windows is moved, and by what.

    Attributes
    ----------
    acc, gyr : ndarray, [N, L, S, 3]
        By which each sample of each axis moves the estimate, in the unit; 0 beyond the length.
    estimate, baseline : ndarray, [N]
        Of the windows, and of the same windows held still, in the unit.
    rest : ndarray, [N]
        estimate - baseline less the sum of acc and gyr, in the unit: what the path of a network
        has missed. 0 but for rounding where the model has no network.
    error : ndarray, [N]
        Of the window's pieces, the greatest standard error that chance has left them, in the
        unit. 0 where the model has networks alone.
    name, unit : str
        Of the target; the probability of a class has no unit.
    sensors : tuple of str
    rate : float
        Hz
    before : int
        Samples before the event that a window is cut at; 0 where there is none.
    signals : tuple of ndarray, [N, L, S, 3]
        The windows' acc and gyr, m/s^2 and rad/s.
    length : ndarray, [N]
        Valid samples of each window.
    """

    acc: np.ndarray
    gyr: np.ndarray
    estimate: np.ndarray
    baseline: np.ndarray
    rest: np.ndarray
    error: np.ndarray
    name: str
    unit: str
    sensors: tuple[str, ...]
    rate: float
    before: int
    signals: tuple[np.ndarray, np.ndarray]
    length: np.ndarray

    def sums(self) -> np.ndarray:
        """Add up samples and axes.

        Returns
        -------
        ndarray, [N, S, 2]
            By which acc and gyr of each sensor move the estimate, in the unit.
        """
        return np.stack([x.sum(axis=(1, 3)) for x in (self.acc, self.gyr)], axis=-1)

    def picture(self, number: int = 0) -> "Figure":
        """Draw the signals of a window on the colour of what they do to its estimate.

        Of more than four sensors those are drawn that move it most; the bars have all of them.

        Parameters
        ----------
        number : int
            Of the window, from 0.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        UserError
            There is no such window.
        """
        return explanation_picture.draw(self, number)

    def save(self, path: pathlib.Path | str, number: int = 0) -> pathlib.Path:
        """Write the picture of a window as PNG.

        Parameters
        ----------
        path : Path or str
            Ends in .png; its folder is made.
        number : int
            Of the window, from 0.

        Returns
        -------
        Path

        Raises
        ------
        UserError
            There is no such window, or the name has another end.
        """
        return explanation_picture.save(self, pathlib.Path(path), number)


def explain(
    model: "Model", acc: np.ndarray, gyr: np.ndarray, length: np.ndarray, target: int = 0
) -> Explanation:
    """Share out what the estimates differ by from those of the same windows held still.

    Held still is a window whose acc is on each axis its mean over the valid samples, gravity as the
    sensor lay on average, and whose gyr is 0. Networks by integrated gradients, whose sum is within
    1 % of the difference, or of 1 % of the target's range where the difference is smaller, unless
    576 points of the path do not suffice: `rest` says what they miss. References, which have no
    gradient, and networks that see the windows at another rate, by Shapley values of pieces of the
    window, whose sum is exact, and each of them as exact as `error` says. The parts are added by
    their weights.

    Parameters
    ----------
    model : Model
    acc, gyr : ndarray, [N, L, S, 3], float32
        m/s^2, gravity included, and rad/s; 0 beyond the length.
    length : ndarray, [N]
        Valid samples of each window.
    target : int
        Of those that the model estimates, or of its classes, from 0.

    Returns
    -------
    Explanation
    """
    card, length = model.card, np.asarray(length)
    told = model.outputs[target]
    moving = np.stack([acc, gyr], axis=3)  # [N, L, S, 2, 3]
    still = hold_still(moving, length)
    weights = np.array([described["weight"] for described in card["parts"]], np.float64)
    weights /= weights.sum()
    both = np.concatenate([still, moving]), np.concatenate([length, length])
    ends = np.array(
        [attributions.estimate(part, *both, target).reshape(2, -1) for part in model.parts]
    )
    slack = LEAST * float(np.ptp(told["range"]))
    moved, error = np.zeros(moving.shape), np.zeros(len(moving))
    progress = log.Progress(len(moving), "explain", "window", mute=len(moving) == 1)
    for n, pair in enumerate(zip(still, moving, strict=True)):
        valid = int(length[n])
        for weight, part, (first, last) in zip(weights, model.parts, ends[:, :, n], strict=True):
            if isinstance(part, parts.NetworkPart) and not part.resampled:
                shares = attributions.integrate(part, pair, valid, last - first, slack, target)
            else:
                shares, chance = attributions.share_out(part, pair, valid, (first, last), target)
                error[n] += weight * chance
            moved[n] += weight * shares
        progress.update()
    progress.close()
    baseline, estimate = np.tensordot(weights, ends, 1)
    return Explanation(
        acc=moved[..., 0, :],
        gyr=moved[..., 1, :],
        estimate=estimate,
        baseline=baseline,
        rest=estimate - baseline - moved.sum(axis=(1, 2, 3, 4)),
        error=error,
        name=told["name"],
        unit=told["unit"],
        sensors=tuple(card["sensors"]),
        rate=card["rate"],
        before=card.get("before") or 0,
        signals=(acc, gyr),
        length=length,
    )


def hold_still(signals: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The same windows held still: each axis of acc at its mean, and gyr at 0.

    Parameters
    ----------
    signals : ndarray, [N, L, S, 2, 3], float32
        acc and gyr, 0 beyond the length.
    length : ndarray, [N]

    Returns
    -------
    ndarray, [N, L, S, 2, 3], float32
        0 beyond the length.
    """
    inside = np.arange(signals.shape[1]) < length[:, None]  # [N, L]
    mean = signals[..., 0, :].sum(axis=1, dtype=np.float64) / length[:, None, None]  # [N, S, 3]
    still = np.zeros_like(signals)
    still[..., 0, :] = mean[:, None] * inside[..., None, None]
    return still
