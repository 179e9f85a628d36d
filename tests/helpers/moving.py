"""A unit on a body that turns and goes to and fro, by SciPy's splines."""

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline

from imujax.data.gravity import G


def moving_unit(seconds=12.0, rate=200.0, seed=0, speed=1.0):
    """What the unit reads: acc and gyr [T, 1, 3], m/s^2 and rad/s, differentiated exactly.

    Angular rates reach about 6 rad/s times `speed`, its own acceleration about 10 m/s^2.
    """
    rng = np.random.default_rng(seed)
    knots = np.arange(0, seconds + 1, 0.25)
    turns = Rotation.from_rotvec(0.5 * speed * rng.standard_normal((len(knots), 3)))
    attitude = RotationSpline(knots, turns)
    path = CubicSpline(knots, 0.15 * rng.standard_normal((len(knots), 3)))
    t = np.arange(round(seconds * rate)) / rate
    force = path(t, 2) + np.array([0, 0, G])
    acc = attitude(t).inv().apply(force)
    return acc[:, None], attitude(t, 1)[:, None]  # in the unit's axes
