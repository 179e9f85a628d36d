"""The way that is walked: its ground, its bends, and where somebody slows down.

N contacts, right and left in turn; vectors have the axes of the world first: ahead at the
beginning, to the left, up.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr

TURN_SD = 0.2  # s, over which a contact's turn is spread
# Of bends at random, our choice: rad/s at the sharpest; contacts, SD, from a corner to part of a
# circle; by how much somebody who turns at a rad/s is slower.  Of slowing down: contacts, SD, and
# the largest share of the speed that is lost.
RATE_SD, BEND_CONTACTS, SLOWER = 1.2, (1.2, 12.0), 1.0
SLOW_CONTACTS, MOST_SLOWED = (1.5, 5.0), 0.7


class Way(NamedTuple):
    """The way that is walked.

    Attributes
    ----------
    rise : jax.Array, []
        Height gained per metre forwards.
    tilt : jax.Array, []
        Of the surface, rad (0 on stairs).
    turn : jax.Array, [N], or None
        About each contact, rad to the left; where nothing rises alone.  None: straight on.
    pace : jax.Array, [N], or None
        Of the speed at each strike, as a share.  None: all of it.
    """

    rise: jax.Array
    tilt: jax.Array
    turn: jax.Array | None = None
    pace: jax.Array | None = None


def random_bends(key: jax.Array, count: int, step: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Turn and pace of the contacts [N] of a way that bends somewhere and slows down somewhere.

    step []: s, the time of a step.
    """
    keys = jax.random.split(key, 6)

    def bump(middle_key, width_key, widths):
        middle = jax.random.uniform(middle_key, (), maxval=count)
        low, high = jnp.log(jnp.asarray(widths))
        width = jnp.exp(jax.random.uniform(width_key, (), minval=low, maxval=high))
        return jnp.exp(-(((jnp.arange(count) - middle) / width) ** 2) / 2)

    sharpest = RATE_SD * jax.random.truncated_normal(keys[0], -2, 2)
    rate = sharpest * bump(keys[1], keys[2], BEND_CONTACTS)
    slowed = jax.random.uniform(keys[3], (), maxval=MOST_SLOWED)
    pace = 1 - slowed * bump(keys[4], keys[5], SLOW_CONTACTS)
    return rate * step, pace / (1 + SLOWER * jnp.abs(rate))


def heading(way: Way, strike: jax.Array, t: jax.Array) -> jax.Array:
    """Where somebody walks to at t [...] s, rad to the left of the beginning.

    strike [N]: times of the contacts, s; the turn of each is smoothly spread about it.
    """
    if way.turn is None:
        return jnp.zeros_like(t)
    return (way.turn * ndtr((t[..., None] - strike) / TURN_SD)).sum(-1)


def turned(vector: jax.Array, angle: jax.Array) -> jax.Array:
    """The vector [3, ...] turned to the left about the vertical by the angle [...], rad."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y, z = vector
    return jnp.stack([x * cos - y * sin, x * sin + y * cos, z])
