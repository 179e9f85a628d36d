"""What a model has seen of the signals in training, and what is unlike it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from imujax.errors import UserError

BEYOND = 0.1  # of its range, by which a signal may leave what was seen in training
TURNED = 30.0  # degrees further from gravity's direction in training than any window lay there
# Of each sensor of a window, what its signals are told by.
MEASURES = ("mean norm of acc", "largest norm of acc", "root mean square of gyr", "largest of gyr")


def describe(
    acc: np.ndarray, gyr: np.ndarray, length: np.ndarray, rotation: float = 0.0
) -> dict[str, Any]:
    """Describe the signals of the windows of a training.

    Parameters
    ----------
    acc, gyr : ndarray, [N, L, S, 3]
        m/s^2, gravity included, and rad/s.
    length : ndarray, [N]
        Valid samples of each window.
    rotation : float
        By which windows were turned in training, at most [degrees].

    Returns
    -------
    dict
        For JSON: measures, MEASURES; least and most of them, each [S, 4]; gravity, its direction on
        average, [S, 3]; and tilt [S], the largest angle from there of a window [degrees], with the
        rotation.
    """
    measured = measure(acc, gyr, length)
    pull = _mean_pull(acc, length)
    gravity = _direction(_direction(pull).mean(axis=0))
    return {
        "measures": list(MEASURES),
        "least": measured.min(axis=0).tolist(),
        "most": measured.max(axis=0).tolist(),
        "gravity": gravity.tolist(),
        "tilt": (_tilt(pull, gravity).max(axis=0) + rotation).tolist(),
    }


def measure(acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Tell the signals of windows by a few numbers.

    Parameters
    ----------
    acc, gyr : ndarray, [N, L, S, 3]
    length : ndarray, [N]

    Returns
    -------
    ndarray, [N, S, 4]
        MEASURES.
    """
    inside = (np.arange(acc.shape[1]) < np.asarray(length)[:, None])[..., None]
    pull, turn = (np.linalg.norm(x.astype(np.float64), axis=-1) for x in (acc, gyr))  # [N, L, S]
    count = np.asarray(length, np.float64)[:, None]
    columns = (
        np.sum(pull, axis=1, where=inside) / count,
        np.max(pull, axis=1, where=inside, initial=0),
        np.sqrt(np.sum(turn**2, axis=1, where=inside) / count),
        np.max(turn, axis=1, where=inside, initial=0),
    )
    return np.stack(columns, axis=-1)


def is_unlike(
    acc: np.ndarray, gyr: np.ndarray, length: np.ndarray, limits: dict[str, Any]
) -> np.ndarray:
    """Mark windows that leave what was seen: a measure by BEYOND of its range, gravity by TURNED.

    Parameters
    ----------
    acc, gyr : ndarray, [N, L, S, 3]
    length : ndarray, [N]
    limits : dict
        As of `describe`.

    Returns
    -------
    ndarray of bool, [N]
    """
    measured = measure(acc, gyr, length)
    least, most = (np.asarray(limits[name]) for name in ("least", "most"))
    slack = BEYOND * (most - least)
    beyond = ((measured < least - slack) | (measured > most + slack)).any(axis=(1, 2))
    tilt = _tilt(_mean_pull(acc, length), np.asarray(limits["gravity"]))
    return beyond | (tilt > np.asarray(limits["tilt"]) + TURNED).any(axis=1)


def require_axes(
    acc: np.ndarray,
    length: np.ndarray,
    limits: dict[str, Any],
    sensors: Sequence[str],
    source: str,
) -> None:
    """UserError for a recording of which a sensor lies otherwise than it did in training.

    Parameters
    ----------
    acc : ndarray, [N, L, S, 3]
        Its windows.
    length : ndarray, [N]
    limits : dict
        As of `describe`.
    sensors : sequence of str
        Names of the S.
    source : str
        Of the recording.

    Raises
    ------
    UserError
        In more than half of the windows gravity lies further from its direction in training, by
        TURNED, than in any window there.
    """
    tilt = _tilt(_mean_pull(acc, length), np.asarray(limits["gravity"]))
    for name, angles, most in zip(sensors, tilt.T, limits["tilt"], strict=True):
        is_turned = angles > most + TURNED
        if is_turned.mean() > 0.5:
            angle = np.median(angles[is_turned])
            raise UserError(
                f"{source}: sensor {name} lies turned by {angle:.0f} degrees against the model's "
                f"training, where no window was beyond {most:.0f}: turn its axes by frame in the "
                "card, or, where somebody sits or lies for long, lay windows at contacts or events"
            )


def _mean_pull(acc: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Mean acceleration of the valid samples, [N, S, 3]."""
    inside = (np.arange(acc.shape[1]) < np.asarray(length)[:, None])[..., None, None]
    return np.asarray(np.mean(acc, axis=1, where=inside, dtype=np.float64))


def _direction(vector: np.ndarray) -> np.ndarray:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def _tilt(pull: np.ndarray, gravity: np.ndarray) -> np.ndarray:
    """Angle between each mean acceleration [N, S, 3] and a direction [S, 3], [N, S] degrees."""
    cosine = (_direction(pull) * gravity).sum(axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
