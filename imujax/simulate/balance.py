"""What a walk needs beyond its forces: legs that reach the ground, and moments that balance.

The centre of mass goes as high as the legs allow, contact by contact, so that no standing leg is
pulled straight and nobody crouches for the sake of one long step.

The feet's forces are chosen before anything turns, so their moment about the centre of mass is not
yet the rate of the body's angular momentum.  Two things give way, each by a smooth course that is
solved for over the whole walk: the trunk's angles, and the centre of pressure under the feet,
within a few centimetres.  What then remains is the residual of `dynamics.balance`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from imujax.data.recordings import G
from imujax.simulate import dynamics, gait, skeleton
from imujax.simulate.body import PARENT, Body, leg
from imujax.simulate.curves import spline

SHIFT = (0.045, 0.025)  # m, how far the centre of pressure is moved at most: along, across
TWIST = 0.010  # body weight times height, the largest free moment (Holden and Cavanagh 1991)
SOFT = 0.08  # body weight: under less force the centre of pressure is left where it is
GRID = 0.02  # s, where the trunk and the centre of pressure are solved
LEAN = 0.03  # rad of the trunk's correction cost as much
MISS = 0.005  # as so many m times body weight of a moment in excess
MOST = 0.15  # m times body weight of excess that is worked on at once
LOWERED = 3  # how often the height is mended, before and after the trunk is solved
# Shares of a stance at which the leg is looked at.
SHARES = np.array([0, 5, 10, 15, 22, 32, 44, 55, 66, 77, 87, 95, 100, 106]) / 100
RAISED = 0.03  # m, the centre of mass is raised or lowered at most to begin with


def pressure(body: Body, walk: gait.Walk, t: jax.Array, shift: jax.Array) -> jax.Array:
    """Centre of pressure under each foot [2, 3, T], moved by `shift` [2, T] m along and across."""
    k = gait.foot_contact(walk, t)
    share = jnp.clip((t - walk.strike[k]) / walk.stance[k], 0, 1)
    ahead = gait.pressure(body, walk, share)
    yaw, tilt = walk.yaw[k], walk.ground.tilt
    along = ahead * jnp.cos(yaw) + shift[0]
    across = ahead * jnp.sin(yaw) + shift[1]
    path = jnp.stack([along * jnp.cos(tilt), across, along * jnp.sin(tilt)])
    return jnp.moveaxis(walk.foot[:, k] + path, 1, 0)


def nominal(body: Body, walk: gait.Walk, t: jax.Array) -> dynamics.Loads:
    """The loads at t [T] before anything is moved for the sake of the moments."""
    force, _ = gait.ground_force(walk, t)
    none = jnp.zeros((2, t.shape[0]), t.dtype)
    return dynamics.Loads(force * body.mass * G, pressure(body, walk, t, none), none)


def loads(body: Body, walk: gait.Walk, t: jax.Array) -> dynamics.Loads:
    """What the ground does to each foot at t [T]."""
    plain = nominal(body, walk, t)
    course = spline(walk.press, (t - walk.begin) / gait.PRESS)
    up = plain.force[:, 2].sum(0)
    twist = course[2] * body.height * up**2 / (up + SOFT * body.mass * G)
    part = plain.force[:, 2] / (up + 1e-6 * body.mass * G)
    return plain._replace(cop=pressure(body, walk, t, course[:2]), free=twist * part)


@jax.jit
def _pressed(body: Body, walk: gait.Walk, kin: skeleton.Kinematics, t: jax.Array) -> jax.Array:
    """Course [3, K] of the centre of pressure (along, across [m]) and the free moment (of weight
    times height) under both feet, so that the moments balance as far as SHIFT and TWIST allow.

    kin: the walk's kinematics at t [T].
    """
    plain = nominal(body, walk, t)
    weight = body.mass * G
    excess = dynamics.balance(body, kin, plain) / weight  # m
    force = plain.force / weight
    up = force[:, 2].sum(0)
    basis = spline(jnp.eye(walk.press.shape[1], dtype=t.dtype), (t - walk.begin) / gait.PRESS)

    def smooth(course, trust):
        gram = (basis * trust) @ basis.T + SOFT**2 * jnp.eye(basis.shape[0])
        return jax.scipy.linalg.cho_solve(
            jax.scipy.linalg.cho_factor(gram), basis @ (trust * course)
        )

    def held(course, most):
        return most * jnp.tanh(course / most)

    share = up / (up**2 + SOFT**2)
    along, across = (
        smooth(held(x * share, most), up**2)
        for x, most in zip((excess[1], -excess[0]), SHIFT, strict=True)
    )
    # Moving the feet's forces turns them about the vertical as well.
    turned = (along @ basis) * force[:, 1].sum(0) - (across @ basis) * force[:, 0].sum(0)
    twist = -(excess[2] + turned) / body.height * (up + SOFT) / (up**2 + SOFT**2)
    return jnp.stack([along, across, smooth(held(twist, TWIST), up**2)])


def settle(
    body: Body, style, ground, speed, noise, seconds: float, kinematics=gait.kinematics
) -> gait.Walk:
    """A walk as of `gait.lay`, within reach of the legs, its moments nearly balanced by the trunk.

    seconds: as there; static.  kinematics: `gait.kinematics`, or what does the same piece by piece.
    """
    low = jnp.zeros_like(noise.step)
    fix = jnp.zeros((3, int(seconds / gait.FIX) + 6), low.dtype)
    walk, low = _reached(body, style, ground, speed, noise, seconds, low, fix)
    t = walk.begin + (jnp.arange(int(seconds / GRID)) + 0.5) * GRID
    fix = _corrected(body, walk, kinematics(body, walk, t), t)
    walk, _ = _reached(body, style, ground, speed, noise, seconds, low, fix)
    return walk._replace(press=_pressed(body, walk, kinematics(body, walk, t), t))


@functools.partial(jax.jit, static_argnames="seconds")
def _reached(body: Body, style, ground, speed, noise, seconds, low, fix):
    """Lower the centre of mass, contact by contact, until no standing leg is out of reach.

    low [N] m: where to begin; all zeros: begin at the height that the mean contact can just reach.
    -> walk, low.
    """
    share = jnp.asarray(SHARES, low.dtype)[:, None]  # [P, 1]
    first = jnp.all(low == 0)

    def laid(low):
        return gait.lay(body, style, ground, speed, noise, seconds, low)._replace(fix=fix)

    def again(low, turn):
        walk = laid(low)
        count = low.shape[0]
        t = (walk.strike + share * walk.stance)[:, 2 : count - 3]  # [P, N - 5]
        tracks = gait.tracks(body, walk, t.reshape(-1))
        position, _ = skeleton.pose(body, tracks, True)
        hip = position[skeleton.PAIR["thigh"] : skeleton.PAIR["thigh"] + 2]
        far = jnp.sqrt(((tracks.ankle - hip) ** 2).sum(1)).reshape(2, *t.shape)
        odd = jnp.arange(2, count - 3) % 2 == 1
        over = jnp.where(odd, far[1], far[0]) - skeleton.REACH[0] * sum(leg(body))
        seen = (t >= walk.begin) & (t < walk.begin + seconds)
        need = [jnp.where(seen & x, over, -1.0).max(0) for x in (share < 0.5, share > 0.5)]
        need = jnp.pad(jnp.maximum(need[0], jnp.roll(need[1], 1)), (2, 3), constant_values=-1.0)
        used = need > -1.0
        mean = jnp.clip(jnp.where(used, need, 0).sum() / used.sum(), -RAISED, RAISED)
        more = jnp.where(first & (turn == 0), mean, jnp.maximum(need, 0))
        # Bumps of neighbours add up.
        given = gait.sagging(walk.strike, jnp.abs(more), walk.strike)
        return low + more * jnp.abs(more) / (given + 1e-9), None

    low = jax.lax.scan(again, low, jnp.arange(LOWERED))[0]
    return laid(low), low


@jax.jit
def _corrected(body: Body, walk: gait.Walk, kin: skeleton.Kinematics, t: jax.Array) -> jax.Array:
    """Coefficients [3, K] with which less moment is in excess; linear least squares, each axis."""
    count = walk.fix.shape[1]
    basis = spline(jnp.eye(count, dtype=t.dtype), (t - walk.begin) / gait.FIX).T
    bend = (basis[2:] - 2 * basis[1:-1] + basis[:-2]) / GRID**2
    weight = body.mass * G
    plain = nominal(body, walk, t)
    excess = dynamics.balance(body, kin, plain)[:, 1:-1] / weight  # m
    excess = MOST * jnp.tanh(excess / MOST)  # a leg that is almost straight makes it jump
    up = plain.force[:, 2, 1:-1].sum(0) / weight
    room = jnp.stack([up * SHIFT[1], up * SHIFT[0], up * TWIST * body.height]) / 2
    cost = 1 / jnp.sqrt(MISS**2 + room**2)  # [3, samples]

    def axis(excess, cost, inertia, old):
        rows = cost[:, None] * bend * inertia
        goal = cost * (excess + bend @ old * inertia)
        factor = jax.scipy.linalg.cho_factor(rows.T @ rows + jnp.eye(count) / LEAN**2)
        return jax.scipy.linalg.cho_solve(factor, rows.T @ goal)

    return jax.vmap(axis)(excess, cost, _trunk_inertia(body) / weight, walk.fix)


def _trunk_inertia(body: Body) -> jax.Array:
    """About the waist, of all that turns with the trunk when the whole body's centre stays [3]."""
    turning = (1, *range(9, 17))  # trunk, shoulders, arms hanging
    carried = jnp.array(turning)
    at = {1: jnp.zeros(3)}
    for i in range(9, 17):
        at[i] = at[PARENT[i]] + body.joint[i]
    place = jnp.stack([at[i] for i in turning]) + body.com[carried]
    mass = body.segment_mass[carried]
    head = body.segment_mass[2]
    centre = ((mass[:, None] * place).sum(0) + head * body.joint[2]) / (mass.sum() + head)
    square = place**2
    spread = square.sum(1, keepdims=True) - square
    own = (body.inertia[carried] + mass[:, None] * spread).sum(0)
    tied = head * (body.joint[2] @ body.joint[2] - body.joint[2] ** 2)
    total = mass.sum() + head
    back = total**2 / body.mass * (centre @ centre - centre**2)
    return own + tied - back
