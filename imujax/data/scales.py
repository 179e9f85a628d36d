"""Scales of the input: one mean and SD for each modality, taken once and carried along."""

import numpy as np

from imujax.data import windows


def input_scales(acc: np.ndarray, gyr: np.ndarray, length: np.ndarray) -> dict:
    """One mean and one SD for each modality over all sensors, axes and windows, in SI units.

    acc, gyr [N, L, ..., 3], length [N]: how many samples of each window count.
    """
    found = {}
    valid = windows.length_mask(length, acc.shape[1])
    for name, values in (("acc", acc), ("gyr", gyr)):
        values = values if valid.all() else values[valid]
        found[name] = {
            "mean": float(values.mean(dtype=np.float64)),
            "sd": float(values.std(dtype=np.float64)),
        }
    return found


def standardise(acc, gyr, scale):
    """Apply the scales of `scales` to arrays of any shape."""
    return (
        (acc - scale["acc"]["mean"]) / scale["acc"]["sd"],
        (gyr - scale["gyr"]["mean"]) / scale["gyr"]["sd"],
    )
