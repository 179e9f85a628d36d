"""From tracks (where the body and the feet are to be) to the 17 segments, and their derivatives.

Time is the last axis.  The pelvis of a walking body is not given but follows: it lies where it must
for the centre of mass to be on its path.  That is an equation in three unknowns at every sample,
because the knees move as the pelvis does; it is solved by Newton's method, and its derivatives are
those of the solution (implicit function theorem), not of the iteration.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from imujax.simulate.body import SEGMENTS, Body

PAIR = {name[:-2]: i for i, name in enumerate(SEGMENTS) if name.endswith("_r")}  # right, then left
NEWTON = 4  # steps from a guess some centimetres off to rounding
# Shares of the straight leg: from the first on the ankle is drawn in, and more than the first and
# the second together is never reached; for a standing leg (knee at 10 and 5 degrees), a loose one.
REACH, SLACK = (0.9960, 0.9850), (0.0030, 0.0120)


class Tracks(NamedTuple):
    """What a movement prescribes at T times; side 0 is right, 1 is left; world axes, m and rad.

    root [3, T]: the centre of mass, or the pelvis's origin where `free` is not set.
    pelvis, trunk, head [3, T]: list about x, pitch about y (forwards positive) and turn about z of
    the segment in the world.  ankle [2, 3, T]; foot [2, 3, T]: list, pitch (toes down positive) and
    turn of the foot in the world.  leg [2, T]: turn of the knee's axis from the pelvis's, left
    positive.  girdle [2, 2, T]: elevation and protraction.  arm [2, 3, T]: flexion, abduction and
    inward turn of the upper arm on the trunk.  elbow [2, 2, T]: flexion, pronation.
    hand [2, 2, T]: flexion (palm), deviation (thumb side).  loose [2, T]: 0 where the leg may be
    almost straight, 1 where it is drawn in earlier and more softly (a swinging leg).
    """

    root: jax.Array
    pelvis: jax.Array
    trunk: jax.Array
    head: jax.Array
    ankle: jax.Array
    foot: jax.Array
    leg: jax.Array
    girdle: jax.Array
    arm: jax.Array
    elbow: jax.Array
    hand: jax.Array
    loose: jax.Array | float = 0.0


class Kinematics(NamedTuple):
    """Motion of the segments' frames in the world, exact in time.

    position, velocity, acceleration [17, 3, T] of the origins (m, s); rotation [17, 3, 3, T]
    takes segment axes to world axes, rotation_rate and rotation_acc are its derivatives.
    """

    position: jax.Array
    velocity: jax.Array
    acceleration: jax.Array
    rotation: jax.Array
    rotation_rate: jax.Array
    rotation_acc: jax.Array


def turned(angles: jax.Array) -> jax.Array:
    """angles [3, ...]: list, pitch, turn -> Rz(turn) Ry(pitch) Rx(list) [3, 3, ...]."""
    (cx, cy, cz), (sx, sy, sz) = jnp.cos(angles), jnp.sin(angles)
    return jnp.stack(
        [
            jnp.stack([cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx]),
            jnp.stack([sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx]),
            jnp.stack([-sy, cy * sx, cy * cx]),
        ]
    )


def apply(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    """matrix [3, 3, ...] on vector [3, ...] or [3] -> [3, ...]."""
    vector = vector.reshape(vector.shape + (1,) * (matrix.ndim - 1 - vector.ndim))
    return (matrix * vector[None]).sum(1)


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """a, b [3, 3, ...] -> [3, 3, ...]."""
    return (a[:, :, None] * b[None]).sum(1)


def dot(a: jax.Array, b: jax.Array) -> jax.Array:
    """a, b [3, ...] -> [...]."""
    return (a * b).sum(0)


def cross(a: jax.Array, b: jax.Array) -> jax.Array:
    """a, b [3, ...] -> [3, ...]."""
    return jnp.roll(a * jnp.roll(b, -1, 0) - jnp.roll(a, -1, 0) * b, -1, 0)


def _legs(body: Body, pelvis: jax.Array, turn: jax.Array, tracks: Tracks):
    """The legs of both sides below a pelvis at `pelvis` [3, T] turned by `turn` [3, 3, T].

    -> (hip, knee, ankle [3, 2, T], axis [3, 2, T]: the knee's, towards the left).
    """
    hips = jnp.stack([body.joint[PAIR["thigh"]], body.joint[PAIR["thigh"] + 1]], 1)  # [3, 2]
    hip = pelvis[:, None] + apply(turn[:, :, None], hips[:, :, None])
    thigh = -body.joint[PAIR["shank"], 2]
    shank = -body.joint[PAIR["foot"], 2]
    goal = jnp.moveaxis(tracks.ankle, 1, 0) - hip  # [3, 2, T]
    far = jnp.sqrt(dot(goal, goal))
    along = goal / far
    length = thigh + shank
    reach, slack = (a + (b - a) * tracks.loose for a, b in (REACH, SLACK))
    over = (far / length - reach) / slack
    held = jnp.maximum(over, 0.0)
    distance = jnp.where(over > 0, length * (reach + slack * held / (1 + held**3) ** (1 / 3)), far)
    inward = turn[:, 0, None] * -jnp.sin(tracks.leg) + turn[:, 1, None] * jnp.cos(tracks.leg)
    axis = inward - dot(inward, along) * along
    axis = axis / jnp.sqrt(dot(axis, axis))
    forward = cross(along, axis)
    down = (distance**2 + thigh**2 - shank**2) / (2 * distance)
    out = jnp.sqrt(thigh**2 - down**2)
    return hip, hip + along * down + forward * out, hip + along * distance, axis


def _frame(top: jax.Array, bottom: jax.Array, axis: jax.Array) -> jax.Array:
    """Frame [3, 3, ...] whose z points from bottom to top and whose y is `axis`."""
    z = top - bottom
    z = z / jnp.sqrt(dot(z, z))
    return jnp.stack([cross(axis, z), axis, z], axis=1)


def _upper(body: Body, turn: jax.Array, tracks: Tracks):
    """The upper body as seen from the pelvis's origin -> positions [11, 3, T], frames [11, ...].

    Order: pelvis, trunk, head, then right and left of shoulder, upper arm, forearm, hand.
    """
    zero = jnp.zeros_like(tracks.root)
    trunk, head = turned(tracks.trunk), turned(tracks.head)
    waist = apply(turn, body.joint[1])
    neck = waist + apply(trunk, body.joint[2])
    side = jnp.array([-1.0, 1.0], trunk.dtype)[:, None]  # right, left
    lift, ahead = jnp.moveaxis(tracks.girdle, 1, 0)
    flexion, abduction, inward = jnp.moveaxis(tracks.arm, 1, 0)
    bend, pronation = jnp.moveaxis(tracks.elbow, 1, 0)
    curl, deviation = jnp.moveaxis(tracks.hand, 1, 0)
    none = jnp.zeros_like(lift)

    def joint(name):
        pair = body.joint[PAIR[name] : PAIR[name] + 2]  # [2, 3]
        return pair.T[:, :, None]

    girdle = product(trunk[:, :, None], turned(jnp.stack([side * lift, none, -side * ahead])))
    at = waist[:, None] + apply(trunk[:, :, None], joint("shoulder"))
    positions, frames = [at], [girdle]
    swing = turned(jnp.stack([none, -flexion, none]))
    spread = turned(jnp.stack([side * abduction, none, none]))
    roll = turned(jnp.stack([none, none, -side * inward]))
    arm = product(trunk[:, :, None], product(swing, product(spread, roll)))
    forearm = product(
        arm,
        product(
            turned(jnp.stack([none, -bend, none])),
            turned(jnp.stack([none, none, -side * pronation])),
        ),
    )
    # Of the hanging arm the thumb points forwards and the palm to the body: flexion is about x.
    hand = product(forearm, turned(jnp.stack([-side * curl, -deviation, none])))
    for name, frame in (("upper_arm", arm), ("forearm", forearm), ("hand", hand)):
        at = at + apply(frames[-1], joint(name))
        positions.append(at)
        frames.append(frame)
    arms = jnp.moveaxis(jnp.stack(positions), 2, 1).reshape(8, 3, -1)
    arm_frames = jnp.moveaxis(jnp.stack(frames), 3, 1).reshape(8, 3, 3, -1)
    return (
        jnp.concatenate([jnp.stack([zero, waist, neck]), arms]),
        jnp.concatenate([jnp.stack([turn, trunk, head]), arm_frames]),
    )


UPPER = (
    0,
    1,
    2,
    *(PAIR[n] + s for n in ("shoulder", "upper_arm", "forearm", "hand") for s in (0, 1)),
)


def _share(body: Body, hip, knee, ankle, axis, feet: jax.Array) -> jax.Array:
    """Sum of mass times centre of mass over the legs [3, T]."""
    total = 0.0
    frames = {"thigh": _frame(hip, knee, axis), "shank": _frame(knee, ankle, axis), "foot": feet}
    for name, origin in (("thigh", hip), ("shank", knee), ("foot", ankle)):
        both = slice(PAIR[name], PAIR[name] + 2)
        centre = origin + apply(frames[name], body.com[both].T[:, :, None])
        total = total + (body.segment_mass[both][:, None] * centre).sum(1)
    return total


def pose(body: Body, tracks: Tracks, free: bool) -> tuple[jax.Array, jax.Array]:
    """The segments' origins [17, 3, T] and frames [17, 3, 3, T].

    free: the root is the centre of mass, and the pelvis follows from it.
    """
    turn = turned(tracks.pelvis)
    at, frames = _upper(body, turn, tracks)
    feet = turned(jnp.moveaxis(tracks.foot, 1, 0))  # [3, 3, 2, T]
    pelvis = tracks.root
    if free:
        mass = body.segment_mass[jnp.array(UPPER)]
        centres = jnp.stack(
            [a + apply(f, body.com[i]) for a, f, i in zip(at, frames, UPPER, strict=True)]
        )
        carried = (mass[:, None, None] * centres).sum(0)  # [3, T], from the pelvis's origin

        def off(pelvis, given):
            turn, feet, carried, tracks = given
            legs = _share(body, *_legs(body, pelvis, turn, tracks), feet)
            return (mass.sum() * pelvis + carried + legs) / body.mass - tracks.root

        pelvis = _solve(off, tracks.root - carried / body.mass, (turn, feet, carried, tracks))
    hip, knee, ankle, axis = _legs(body, pelvis, turn, tracks)
    lower = {
        "thigh": (hip, _frame(hip, knee, axis)),
        "shank": (knee, _frame(knee, ankle, axis)),
        "foot": (ankle, feet),
    }
    position = dict(zip(UPPER, at + pelvis, strict=True))
    rotation = dict(zip(UPPER, frames, strict=True))
    for name, (origin, frame) in lower.items():
        for s in (0, 1):
            position[PAIR[name] + s], rotation[PAIR[name] + s] = origin[:, s], frame[:, :, s]
    order = range(len(SEGMENTS))
    return jnp.stack([position[i] for i in order]), jnp.stack([rotation[i] for i in order])


def _solve(off: Callable, guess: jax.Array, given) -> jax.Array:
    """The x [3, T] with off(x, given) = 0; its two first derivatives are those of the solution.

    With the Jacobian held, one step from the solution has its exact first derivative and the next
    one its exact second: x2'' = -J^-1 (off_xx x' x' + 2 off_xt x' + off_tt).
    """
    x, still = jax.lax.stop_gradient((guess, given))
    axes = jnp.eye(3, dtype=x.dtype)[:, :, None] * jnp.ones_like(x)

    def inverse(x):
        a, b, c = jax.vmap(lambda axis: jax.jvp(lambda x: off(x, still), (x,), (axis,))[1])(axes)
        inv = jnp.stack([cross(b, c), cross(c, a), cross(a, b)])
        return inv / dot(a, cross(b, c))

    x = jax.lax.fori_loop(0, NEWTON, lambda _, x: x - apply(inverse(x), off(x, still)), x)
    inv = inverse(x)
    for _ in range(2):
        x = x - apply(inv, off(x, given))
    return x


def derivatives(at: Callable, t: jax.Array) -> tuple:
    """at(t), its first and its second derivative in time, exact; t [...] s, elementwise."""

    def rate(time):
        return jax.jvp(at, (time,), (jnp.ones_like(time),))

    (value, first), (_, second) = jax.jvp(rate, (t,), (jnp.ones_like(t),))
    return value, first, second


def kinematics(body: Body, tracks: Callable[[jax.Array], Tracks], t: jax.Array, free: bool):
    """Kinematics of the movement `tracks` at the times t [T] s; free: as in `pose`."""
    found = derivatives(lambda time: pose(body, tracks(time), free), t)
    (p, r), (v, rr), (a, ra) = found
    return Kinematics(p, v, a, r, rr, ra)


def knee_flexion(kin: Kinematics) -> jax.Array:
    """Angle between thigh and shank [2, T] rad (right, left); the knee is a hinge about y."""
    thigh = kin.rotation[PAIR["thigh"] : PAIR["thigh"] + 2]
    shank = kin.rotation[PAIR["shank"] : PAIR["shank"] + 2]
    ahead, up = ((thigh[:, :, axis] * shank[:, :, 2]).sum(1) for axis in (0, 2))
    return jnp.arctan2(ahead, up)
