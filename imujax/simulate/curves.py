"""The shapes that movements are made of: series, splines, a rolling sole, bending toes, integrals.

Time is the last axis.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from imujax.simulate.body import Body

SOLE_ROUNDING = 0.03  # of the foot's length from heel to ball: radius by which its sole is rounded
# rad: the largest extension of the toes (American Academy of Orthopaedic Surgeons 1965, Joint
# Motion), and the pitch of a foot that has gone over onto its instep, at which they are straight.
MAX_EXTENSION, ON_INSTEP = math.radians(70), math.radians(160)


def fourier_series(coefficients: jax.Array, turns: jax.Array) -> jax.Array:
    """Fourier series [..., 1 + 2H] (mean, cosines, sines) at `turns` [T] -> [..., T]."""
    count = (coefficients.shape[-1] - 1) // 2
    out = coefficients[..., 0, None]
    angle = 2 * jnp.pi * turns
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    c, s = cos, sin
    for n in range(count):
        out = out + coefficients[..., 1 + n, None] * c + coefficients[..., 1 + count + n, None] * s
        c, s = c * cos - s * sin, s * cos + c * sin
    return out


def smooth_step(u: jax.Array) -> jax.Array:
    """0 to 1 for u from 0 to 1, first and second derivative zero at both ends."""
    return u**3 * (10 + u * (6 * u - 15))


def spline(coefficients: jax.Array, position: jax.Array) -> jax.Array:
    """Uniform quintic B-spline [..., K] at `position` [T], 0 to K - 6 -> [..., T]; C4."""
    knot = jnp.clip(jnp.floor(position), 0, coefficients.shape[-1] - 6)
    u = position - knot
    weights = [jnp.ones_like(u)]
    for degree in range(1, 6):  # de Boor's recursion on uniform knots
        lower = [jnp.zeros_like(u), *weights, jnp.zeros_like(u)]
        weights = [
            ((u + degree - i) * lower[i] + (i + 1 - u) * lower[i + 1]) / degree
            for i in range(degree + 1)
        ]
    rows = knot.astype(int) + jnp.arange(6)[:, None]
    return (coefficients[..., rows] * jnp.stack(weights)).sum(-2)


class Sole(NamedTuple):
    """The sole as a rolling shape: heel, ball [] m forwards of the ankle, ankle [] m above it."""

    heel: jax.Array
    ball: jax.Array
    ankle: jax.Array


def sole_shape(body: Body) -> Sole:
    """Of the right foot; both are alike."""
    return Sole(body.heel[0, 0], body.ball[0, 0], -body.ball[0, 2])


def roll_ankle(sole: Sole, pitch: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The ankle over a foot that rolls without slipping -> (forwards, up) [m], shape of `pitch`.

    pitch: to the ground, toes down positive; forwards is 0 when the foot is flat.  The sole's
    support function is h = ankle cos + middle sin + half |sin| with the corner at the flat foot
    rounded; the ankle is h above the ground and goes forwards by the integral of h.
    """
    middle, half = (sole.heel + sole.ball) / 2, (sole.ball - sole.heel) / 2
    rounding = SOLE_ROUNDING
    u = jnp.sin(pitch / 2)
    root = jnp.sqrt(u * u + rounding * rounding)
    up = sole.ankle * jnp.cos(pitch) + middle * jnp.sin(pitch)
    up = up + half * 2 * jnp.cos(pitch / 2) * root
    along = sole.ankle * jnp.sin(pitch) + middle * (1 - jnp.cos(pitch))
    along = along + half * 2 * (u * root + rounding * rounding * jnp.arcsinh(u / rounding))
    return along, up


def toe_extension(pitch: jax.Array, clearance: float | jax.Array = 0.0) -> jax.Array:
    """How far the toes are bent up at the ball [rad], so that their tip is not in the ground.

    pitch: of the foot to the ground, toes down positive; clearance: height of the ball above the
    ground in parts of the toes' length, of the shape of `pitch` or less.
    """
    largest = jnp.clip(ON_INSTEP - pitch, 0, MAX_EXTENSION)
    return jnp.clip(pitch - jnp.arcsin(jnp.clip(clearance, 0, 1)), 0, largest)


def impulses(stance: jax.Array, count: int, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """First and second integral over time of sin(n pi t / stance), n = 1 .. count, from 0.

    stance, t of one shape [...] -> two arrays [count, ...]; t may lie past the stance's end.
    """
    share = jnp.clip(t / stance, 0, 1)
    past = jnp.maximum(t - stance, 0)
    n = jnp.arange(1, count + 1, dtype=t.dtype).reshape(-1, *([1] * t.ndim)) * jnp.pi
    first = stance * (1 - jnp.cos(n * share)) / n
    return first, stance**2 * (share / n - jnp.sin(n * share) / n**2) + first * past


def pulse_impulses(span: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """First and second integral of the raised cosine (1 - cos(2 pi t / span)) / 2 from 0."""
    elapsed = jnp.clip(t, 0, span)
    w = 2 * jnp.pi / span
    first = elapsed / 2 - jnp.sin(w * elapsed) / (2 * w)
    second = elapsed**2 / 4 + (jnp.cos(w * elapsed) - 1) / (2 * w**2)
    return first, second + first * jnp.maximum(t - span, 0)
