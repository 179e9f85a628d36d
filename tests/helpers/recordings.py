"""A recording that passes all checks, to be spoiled or cut by the tests of the data room."""

import numpy as np

from imujax.data.recordings import G, Recording

RATE = 50.0


def signals(seconds: float = 6.0, sensors: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two seconds of rest, then movement: acc and gyr [T, S, 3] in SI units."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    moves = (t >= 2)[:, None, None] * np.sin(2 * np.pi * 1.5 * t)[:, None, None]
    acc = np.array([0.0, G, 0.0]) + 4 * moves + 0.02 * rng.standard_normal((len(t), sensors, 3))
    gyr = 2 * moves + 0.01 * rng.standard_normal((len(t), sensors, 3))
    return acc, gyr


def make_recording(acc, gyr, **changes) -> Recording:
    sensors = tuple(f"s{i}" for i in range(acc.shape[1]))
    fields = {"subject": "A", "recording": "r", "sensors": sensors, "rate": RATE, "source": "x.csv"}
    return Recording(acc=acc, gyr=gyr, **fields | changes)
