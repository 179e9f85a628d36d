"""Scales of the input: one mean and SD for each modality, taken once and carried along."""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from imujax.data import windows

if TYPE_CHECKING:
    import jax

Array = TypeVar("Array", np.ndarray, "jax.Array")


def input_scales(
    acc: np.ndarray, gyr: np.ndarray, length: np.ndarray
) -> dict[str, dict[str, float]]:
    """Take one mean and one SD for each modality over all sensors, axes and windows.

    Parameters
    ----------
    acc : ndarray, [N, L, ..., 3]
        m/s^2, gravity included.
    gyr : ndarray, [N, L, ..., 3]
        rad/s
    length : ndarray, [N]
        How many samples of each window count.

    Returns
    -------
    dict
        {"acc": {"mean": .., "sd": ..}, "gyr": {..}}, in SI units.
    """
    scales = {}
    valid = windows.length_mask(length, acc.shape[1])
    for name, values in (("acc", acc), ("gyr", gyr)):
        values = values if valid.all() else values[valid]
        scales[name] = {
            "mean": float(values.mean(dtype=np.float64)),
            "sd": float(values.std(dtype=np.float64)),
        }
    return scales


def standardise(acc: Array, gyr: Array, scale: dict[str, dict[str, Any]]) -> tuple[Array, Array]:
    """Subtract the mean of each modality and divide by its SD.

    Parameters
    ----------
    acc, gyr : ndarray or jax.Array
        Of any shape, m/s^2 and rad/s.
    scale : dict
        As of `input_scales`.

    Returns
    -------
    acc, gyr : as they came
        Without a unit.
    """
    return standardise_one(acc, scale["acc"]), standardise_one(gyr, scale["gyr"])


def standardise_one(x: Array, scale: dict[str, Any]) -> Array:
    """The same of one modality, by its own {"mean": .., "sd": ..}."""
    return (x - scale["mean"]) / scale["sd"]
