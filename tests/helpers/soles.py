"""Points of the soles of those who walk in helpers/walks.py."""

import jax.numpy as jnp
import numpy as np

from helpers.walks import Case
from imujax.simulate import gait, skeleton


def foot_points(case: Case) -> np.ndarray:
    """Heel, ball and tip of the toes [2, 3, 3, T] m (right and left, points, axes) in the world.

    The ground is a plane through the last foothold of each foot.
    """
    feet = slice(skeleton.PAIR["foot"], skeleton.PAIR["foot"] + 2)
    rotation, origin = (np.asarray(x)[feet] for x in (case.kin.rotation, case.kin.position))
    heel, ball = (
        origin + np.einsum("sijt,sj->sit", rotation, np.asarray(place))
        for place in (case.body.heel, case.body.ball)
    )
    number = gait.foot_contacts(case.walk, jnp.asarray(case.t))
    ahead, _, height = np.asarray(case.walk.foothold)[:, number]
    slope = float(jnp.tan(case.walk.way.tilt))
    ground = height + slope * (ball[:, 0] - ahead)
    tip = skeleton.toe_points(case.body, case.kin, case.body.toe, ground, slope)
    return np.stack([heel, ball, np.asarray(tip)], 1)
