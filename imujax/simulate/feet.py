"""The feet of a walk: how they roll over the ground, list, turn and swing.

Of contact k [...], right (even) and left (odd) in turn; time t is of the same shape, and the axes
of the world come first.
"""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from imujax.simulate import skeleton
from imujax.simulate.body import Body
from imujax.simulate.curves import (
    fourier_series,
    pulse_impulses,
    roll_ankle,
    smooth_step,
    sole_shape,
)
from imujax.simulate.way import heading, turned

if TYPE_CHECKING:
    from imujax.simulate.gait import Walk


def stride_phase(walk: "Walk", k: jax.Array, t: jax.Array) -> jax.Array:
    """Phase of the stride that began with contact k, 0 to 1; smooth from stride to stride."""
    span = walk.next_strike[k] - walk.strike[k]
    u = (t - walk.strike[k]) / span
    following = jnp.minimum(k + 2, walk.strike.shape[0] - 1)
    early, late = (walk.rate[i] * span - 1 for i in (k, following))
    # Quintic: value 0 to 1, the rates at both ends, no second derivative there.
    bend = u * (1 - u) ** 3 * (1 + 3 * u) * early - u**3 * (1 - u) * (4 - 3 * u) * late
    return u + bend


def inner_side(k: jax.Array) -> jax.Array:
    """The side [...] on which the middle of the body is of contact k: 1 left (of a right foot)."""
    return jnp.where(k % 2 == 0, 1.0, -1.0)


def _over_stride(walk: "Walk", each: jax.Array, k: jax.Array, t: jax.Array) -> jax.Array:
    """What has the values each [N] at the strikes, in the stride that began with contact k."""
    following = jnp.minimum(k + 2, walk.strike.shape[0] - 1)
    share = (t - walk.strike[k]) / (walk.next_strike[k] - walk.strike[k])
    return each[k] + (each[following] - each[k]) * smooth_step(share)


def stride_series(walk: "Walk", series: jax.Array, k: jax.Array, t: jax.Array) -> jax.Array:
    """A Fourier series over the stride that began with contact k."""
    turns = stride_phase(walk, k, t)
    return fourier_series(series, turns.reshape(-1)).reshape(turns.shape)


def _foot_pitch(walk: "Walk", k: jax.Array, t: jax.Array) -> jax.Array:
    """Pitch of a foot to the ground during the stride that began with contact k."""
    return _over_stride(walk, walk.pitch, k, t) * stride_series(walk, walk.style.pitch, k, t)


def _foot_list(walk: "Walk", k: jax.Array, t: jax.Array) -> jax.Array:
    """List of a foot to the ground, left edge up, without the bumps of its swing."""
    inverted = stride_series(walk, walk.style.inversion, k, t)
    return inner_side(k) * (inverted + _over_stride(walk, walk.inversion, k, t))


def stance_ankle(body: Body, walk: "Walk", k: jax.Array, t: jax.Array) -> jax.Array:
    """The ankle in the stance of contact k [3, ...]: rolled over the planted foot.

    The foot's sagittal plane, in which it rolls from heel to toes, lists over the line in which
    it meets the ground.
    """
    along, up = roll_ankle(sole_shape(body), _foot_pitch(walk, k, t))
    since, span = t - walk.strike[k], walk.style.pulse[2]
    _, path = pulse_impulses(span, since)
    up = up + walk.pulse[k] * (span / 2 - since + 2 / span * path)
    yaw, tilt, leaning = walk.yaw[k], walk.way.tilt, _foot_list(walk, k, t)
    left, up = -up * jnp.sin(leaning), up * jnp.cos(leaning)
    east, north = jnp.cos(yaw), jnp.sin(yaw)
    ahead = along * jnp.cos(tilt) - up * jnp.sin(tilt)
    path = jnp.stack(
        [
            ahead * east - left * north,
            ahead * north + left * east,
            along * jnp.sin(tilt) + up * jnp.cos(tilt),
        ]
    )
    return walk.foothold[:, k] + path


def foot_angles(walk: "Walk", k: jax.Array, t: jax.Array) -> jax.Array:
    """List, pitch and turn of the feet [3, 2, T] in the world; contact k [2, T] is their last one.

    Of Rz(yaw) Ry(-tilt) Rx(list) Ry(pitch), the list and the pitch to a ground that is tilted.
    """
    w = swing_share(walk, k, t)
    following = jnp.minimum(k + 2, walk.strike.shape[0] - 1)
    twist = walk.style.twist[:, :, None, None] + jnp.pad(
        walk.twist[:, None, k], ((0, 0), (0, walk.style.twist.shape[1] - 1), (0, 0), (0, 0))
    )
    listed, turned = inner_side(k) * jnp.stack([(c * _bumps(w, len(c))).sum(0) for c in twist])
    yaw = walk.yaw[k] + (walk.yaw[following] - walk.yaw[k]) * smooth_step(w) - turned
    leaning, pitch = _foot_list(walk, k, t) + listed, _foot_pitch(walk, k, t)
    (cl, cp, ct), (sl, sp, st) = (
        (f(leaning), f(pitch), f(walk.way.tilt)) for f in (jnp.cos, jnp.sin)
    )
    return jnp.stack(
        [
            jnp.arcsin(ct * sl),
            jnp.arctan2(ct * cl * sp - st * cp, st * sp + ct * cl * cp),
            yaw + jnp.arctan2(st * sl, cl),
        ]
    )


def stance_state(body: Body, walk: "Walk", k: jax.Array, t: jax.Array) -> jax.Array:
    """Place, speed and acceleration [3, 3, N] of the ankle in the stance of contact k at t."""
    return jnp.stack(skeleton.derivatives(lambda time: stance_ankle(body, walk, k, time), t))


def swing_ankle(walk: "Walk", k: jax.Array, t: jax.Array) -> jax.Array:
    """The ankle in the swing after contact k [3, ...]: a quintic and the style's bumps."""
    toe_off = walk.strike[k] + walk.stance[k]
    span = walk.next_strike[k] - toe_off
    w = (t - toe_off) / span
    (p, v, a), (q, u, b) = walk.ankle_at_toe_off[:, :, k], walk.ankle_at_strike[:, :, k]
    v, u, a, b = v * span, u * span, a * span**2, b * span**2
    gap = q - p
    c3 = 10 * gap - 6 * v - 4 * u - 1.5 * a + 0.5 * b
    c4 = -15 * gap + 8 * v + 7 * u + 1.5 * a - b
    c5 = 6 * gap - 3 * v - 3 * u - 0.5 * a + 0.5 * b
    path = p + w * (v + w * (a / 2 + w * (c3 + w * (c4 + w * c5))))
    bumps = _bumps(w, walk.style.swing.shape[1])
    ahead, up = (jnp.einsum("c,c...->...", c, bumps) for c in walk.style.swing)
    now = heading(walk.way, walk.strike, t)
    return path + turned(jnp.stack([ahead, jnp.zeros_like(ahead), up]), now)


def _bumps(w: jax.Array, count: int) -> jax.Array:
    """Bumps [count, ...] over a share w [...] of a swing: nothing to the second derivative at both
    ends."""
    x = 2 * w - 1
    return 64 * (w * (1 - w)) ** 3 * jnp.stack([x**n for n in range(count)])


def swing_share(walk: "Walk", k: jax.Array, t: jax.Array) -> jax.Array:
    """Share of the swing after contact k that is over, 0 before it."""
    toe_off = walk.strike[k] + walk.stance[k]
    return jnp.clip((t - toe_off) / (walk.next_strike[k] - toe_off), 0, 1)
