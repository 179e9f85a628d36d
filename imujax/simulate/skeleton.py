"""From tracks (where the body and the feet are to be) to the 17 segments, and their derivatives.

Time is the last axis.  The pelvis of a walking body is not given but follows: it lies where it must
for the centre of mass to be on its path.  That is an equation in three unknowns at every sample,
because the knees move as the pelvis does; it is solved by Newton's method, and its derivatives are
those of the solution (implicit function theorem), not of the iteration.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from imujax.simulate.body import SEGMENTS, Body
from imujax.simulate.curves import toe_extension

PAIR = {name[:-2]: i for i, name in enumerate(SEGMENTS) if name.endswith("_r")}  # right, then left
NEWTON_STEPS = 4  # steps from a guess some centimetres off to rounding
# Shares of the straight leg: from the first on the ankle is drawn in, and more than the first and
# the second together is never reached; for a standing leg (knee at 10 and 5 degrees), a loose one.
REACH, SLACK = (0.9960, 0.9850), (0.0030, 0.0120)


class Tracks(NamedTuple):
    """What a movement prescribes at T times; side 0 is right, 1 is left; world axes, m and rad.

    Attributes
    ----------
    root : jax.Array, [3, T]
        The centre of mass, or the pelvis's origin where `root_is_com` is not set.
    pelvis, trunk, head : jax.Array, [3, T]
        List about x, pitch about y (forwards positive) and turn about z of the segment in the
        world.
    ankle : jax.Array, [2, 3, T]
        Place of the ankle in the world.
    foot : jax.Array, [2, 3, T]
        List about the level line below the sole's length, pitch about the foot's own y (toes down
        positive) and turn of the foot in the world (`foot_matrix`).
    leg : jax.Array, [2, T]
        Turn of the knee's axis from the pelvis's, left positive.
    girdle : jax.Array, [2, 2, T]
        Elevation and protraction.
    arm : jax.Array, [2, 3, T]
        Flexion, abduction and inward turn of the upper arm on the trunk.
    elbow : jax.Array, [2, 2, T]
        Flexion, pronation.
    hand : jax.Array, [2, 2, T]
        Flexion (palm), deviation (thumb side).
    loose : jax.Array or float, [2, T]
        0 where the leg may be almost straight, 1 where it is drawn in earlier and more softly (a
        swinging leg).
    shank : jax.Array or float, [2, T]
        Turn of the shank about its length from the knee's axis, left positive.
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
    shank: jax.Array | float = 0.0


class Kinematics(NamedTuple):
    """Motion of the segments' frames in the world, exact in time.

    Attributes
    ----------
    position, velocity, acceleration : jax.Array, [17, 3, T]
        Of the segments' origins, m and s.
    rotation : jax.Array, [17, 3, 3, T]
        Takes segment axes to world axes.
    rotation_rate, rotation_acc : jax.Array, [17, 3, 3, T]
        The first and second derivative of `rotation`.
    """

    position: jax.Array
    velocity: jax.Array
    acceleration: jax.Array
    rotation: jax.Array
    rotation_rate: jax.Array
    rotation_acc: jax.Array


def euler_matrix(angles: jax.Array) -> jax.Array:
    """Rz(turn) Ry(pitch) Rx(list) [3, 3, ...] of the angles [3, ...]: list, pitch, turn."""
    (cx, cy, cz), (sx, sy, sz) = jnp.cos(angles), jnp.sin(angles)
    return jnp.stack(
        [
            jnp.stack([cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx]),
            jnp.stack([sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx]),
            jnp.stack([-sy, cy * sx, cy * cx]),
        ]
    )


def foot_matrix(angles: jax.Array) -> jax.Array:
    """Rz(turn) Rx(list) Ry(pitch) [3, 3, ...] of the angles [3, ...]: list, pitch, turn.

    In this order a foot may roll from heel to toes and at the same time list over the line on the
    ground that it rolls along.
    """
    (cx, cy, cz), (sx, sy, sz) = jnp.cos(angles), jnp.sin(angles)
    return jnp.stack(
        [
            jnp.stack([cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy]),
            jnp.stack([sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy]),
            jnp.stack([-cx * sy, sx, cx * cy]),
        ]
    )


def matvec(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    """matrix [3, 3, ...] on vector [3, ...] or [3] -> [3, ...]."""
    vector = vector.reshape(vector.shape + (1,) * (matrix.ndim - 1 - vector.ndim))
    return (matrix * vector[None]).sum(1)


def matmul(a: jax.Array, b: jax.Array) -> jax.Array:
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
    hip = pelvis[:, None] + matvec(turn[:, :, None], hips[:, :, None])
    thigh = -body.joint[PAIR["shank"], 2]
    shank = -body.joint[PAIR["foot"], 2]
    goal = jnp.moveaxis(tracks.ankle, 1, 0) - hip  # [3, 2, T]
    goal_length = jnp.sqrt(dot(goal, goal))
    along = goal / goal_length
    length = thigh + shank
    reach, slack = (a + (b - a) * tracks.loose for a, b in (REACH, SLACK))
    excess = (goal_length / length - reach) / slack
    beyond = jnp.maximum(excess, 0.0)
    distance = jnp.where(
        excess > 0, length * (reach + slack * beyond / (1 + beyond**3) ** (1 / 3)), goal_length
    )
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


def _turn_about_length(frame: jax.Array, angle: jax.Array | float) -> jax.Array:
    """A frame [3, 3, ...] turned about its own z by an angle [...]."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = frame[:, 0], frame[:, 1]
    return jnp.stack([x * cos + y * sin, y * cos - x * sin, frame[:, 2]], axis=1)


def _upper_body(body: Body, turn: jax.Array, tracks: Tracks):
    """The upper body as seen from the pelvis's origin -> positions [11, 3, T], frames [11, ...].

    Order: pelvis, trunk, head, then right and left of shoulder, upper arm, forearm, hand.
    """
    pelvis = jnp.zeros_like(tracks.root)
    trunk, head = euler_matrix(tracks.trunk), euler_matrix(tracks.head)
    waist = matvec(turn, body.joint[1])
    neck = waist + matvec(trunk, body.joint[2])
    side = jnp.array([-1.0, 1.0], trunk.dtype)[:, None]  # right, left
    lift, ahead = jnp.moveaxis(tracks.girdle, 1, 0)
    flexion, abduction, inward = jnp.moveaxis(tracks.arm, 1, 0)
    bend, pronation = jnp.moveaxis(tracks.elbow, 1, 0)
    curl, deviation = jnp.moveaxis(tracks.hand, 1, 0)
    zero = jnp.zeros_like(lift)

    def joint(name):
        pair = body.joint[PAIR[name] : PAIR[name] + 2]  # [2, 3]
        return pair.T[:, :, None]

    girdle = matmul(trunk[:, :, None], euler_matrix(jnp.stack([side * lift, zero, -side * ahead])))
    origin = waist[:, None] + matvec(trunk[:, :, None], joint("shoulder"))
    positions, frames = [origin], [girdle]
    swing = euler_matrix(jnp.stack([zero, -flexion, zero]))
    spread = euler_matrix(jnp.stack([side * abduction, zero, zero]))
    roll = euler_matrix(jnp.stack([zero, zero, -side * inward]))
    arm = matmul(trunk[:, :, None], matmul(swing, matmul(spread, roll)))
    forearm = matmul(
        arm,
        matmul(
            euler_matrix(jnp.stack([zero, -bend, zero])),
            euler_matrix(jnp.stack([zero, zero, -side * pronation])),
        ),
    )
    # Of the hanging arm the thumb points forwards and the palm to the body: flexion is about x.
    hand = matmul(forearm, euler_matrix(jnp.stack([-side * curl, -deviation, zero])))
    for name, frame in (("upper_arm", arm), ("forearm", forearm), ("hand", hand)):
        origin = origin + matvec(frames[-1], joint(name))
        positions.append(origin)
        frames.append(frame)
    arms = jnp.moveaxis(jnp.stack(positions), 2, 1).reshape(8, 3, -1)
    arm_frames = jnp.moveaxis(jnp.stack(frames), 3, 1).reshape(8, 3, 3, -1)
    return (
        jnp.concatenate([jnp.stack([pelvis, waist, neck]), arms]),
        jnp.concatenate([jnp.stack([turn, trunk, head]), arm_frames]),
    )


UPPER_SEGMENTS = (
    0,
    1,
    2,
    *(PAIR[n] + s for n in ("shoulder", "upper_arm", "forearm", "hand") for s in (0, 1)),
)


def _first_moment_of_legs(body: Body, hip, knee, ankle, axis, feet: jax.Array) -> jax.Array:
    """Sum of mass times centre of mass over the legs [3, T]."""
    total: Any = 0.0
    frames = {"thigh": _frame(hip, knee, axis), "shank": _frame(knee, ankle, axis), "foot": feet}
    for name, origin in (("thigh", hip), ("shank", knee), ("foot", ankle)):
        pair = slice(PAIR[name], PAIR[name] + 2)
        centre = origin + matvec(frames[name], body.com[pair].T[:, :, None])
        total = total + (body.segment_mass[pair][:, None] * centre).sum(1)
    return total


def place_segments(body: Body, tracks: Tracks, root_is_com: bool) -> tuple[jax.Array, jax.Array]:
    """The segments' origins [17, 3, T] and frames [17, 3, 3, T].

    root_is_com: the root is the centre of mass, and the pelvis follows from it.
    """
    turn = euler_matrix(tracks.pelvis)
    upper_origins, upper_frames = _upper_body(body, turn, tracks)
    feet = foot_matrix(jnp.moveaxis(tracks.foot, 1, 0))  # [3, 3, 2, T]
    pelvis = tracks.root
    if root_is_com:
        mass = body.segment_mass[jnp.array(UPPER_SEGMENTS)]
        centres = jnp.stack(
            [
                a + matvec(f, body.com[i])
                for a, f, i in zip(upper_origins, upper_frames, UPPER_SEGMENTS, strict=True)
            ]
        )
        carried = (mass[:, None, None] * centres).sum(0)  # [3, T], from the pelvis's origin

        def residual(pelvis, parameters):
            turn, feet, carried, tracks = parameters
            legs = _first_moment_of_legs(body, *_legs(body, pelvis, turn, tracks), feet)
            return (mass.sum() * pelvis + carried + legs) / body.mass - tracks.root

        pelvis = _solve_implicit(
            residual, tracks.root - carried / body.mass, (turn, feet, carried, tracks)
        )
    hip, knee, ankle, axis = _legs(body, pelvis, turn, tracks)
    lower = {
        "thigh": (hip, _frame(hip, knee, axis)),
        "shank": (knee, _turn_about_length(_frame(knee, ankle, axis), tracks.shank)),
        "foot": (ankle, feet),
    }
    position = dict(zip(UPPER_SEGMENTS, upper_origins + pelvis, strict=True))
    rotation = dict(zip(UPPER_SEGMENTS, upper_frames, strict=True))
    for name, (origin, frame) in lower.items():
        for s in (0, 1):
            position[PAIR[name] + s], rotation[PAIR[name] + s] = origin[:, s], frame[:, :, s]
    order = range(len(SEGMENTS))
    return jnp.stack([position[i] for i in order]), jnp.stack([rotation[i] for i in order])


def _solve_implicit(residual: Callable, guess: jax.Array, parameters) -> jax.Array:
    """The x [3, T] with residual(x, parameters) = 0, its two first derivatives the solution's.

    With the Jacobian held, one step from the solution has its exact first derivative and the next
    one its exact second: x2'' = -J^-1 (r_xx x' x' + 2 r_xt x' + r_tt) of the residual r.
    """
    x, constants = jax.lax.stop_gradient((guess, parameters))
    axes = jnp.eye(3, dtype=x.dtype)[:, :, None] * jnp.ones_like(x)

    def residual_at_constants(x):
        return residual(x, constants)

    def inverse_jacobian(x):
        a, b, c = jax.vmap(lambda axis: jax.jvp(residual_at_constants, (x,), (axis,))[1])(axes)
        inverse = jnp.stack([cross(b, c), cross(c, a), cross(a, b)])
        return inverse / dot(a, cross(b, c))

    def newton_step(_, x):
        return x - matvec(inverse_jacobian(x), residual_at_constants(x))

    x = jax.lax.fori_loop(0, NEWTON_STEPS, newton_step, x)
    inverse = inverse_jacobian(x)
    for _ in range(2):
        x = x - matvec(inverse, residual(x, parameters))
    return x


def derivatives(path: Callable[[jax.Array], Any], t: jax.Array) -> tuple[Any, Any, Any]:
    """`path` at t [...] s, its first and its second derivative in time, exact; elementwise."""

    def rate(time):
        return jax.jvp(path, (time,), (jnp.ones_like(time),))

    (value, first), (_, second) = jax.jvp(rate, (t,), (jnp.ones_like(t),))
    return value, first, second


def kinematics(
    body: Body, tracks: Callable[[jax.Array], Tracks], t: jax.Array, root_is_com: bool
) -> Kinematics:
    """Kinematics of a movement, its derivatives those of the tracks, exact.

    Parameters
    ----------
    body : Body
        One person.
    tracks : callable
        What the movement prescribes, a function of the times.
    t : jax.Array, [T]
        Times, s.
    root_is_com : bool
        Whether the tracks' root is the centre of mass, which the pelvis then follows (as a walk
        has it), and not the pelvis itself.

    Returns
    -------
    Kinematics
        Of the 17 segments at the times `t`.
    """
    (p, r), (v, dr), (a, ddr) = derivatives(
        lambda time: place_segments(body, tracks(time), root_is_com), t
    )
    return Kinematics(p, v, a, r, dr, ddr)


def toe_points(
    body: Body,
    kin: Kinematics,
    places: jax.Array,
    ground: float | jax.Array = 0.0,
    slope: float | jax.Array = 0.0,
) -> jax.Array:
    """Points of the toes, which bend at the ball as far as the ground asks for.

    The toes are no segment of their own: they have no mass, no sensor sits on them, and mass and
    inertia of the foot are those of a stiff one.  So the bend is not kept with the kinematics but
    follows from the foot and the ground.

    Parameters
    ----------
    body : Body
        One person.
    kin : Kinematics
        Its motion at T times.
    places : jax.Array, [2, 3]
        Of right and left, in the foot's frame when the toes are straight, m; such as `body.toe`.
    ground : float or jax.Array, [2, T]
        Height of the ground below the balls, m.
    slope : float or jax.Array, []
        Height that it gains per metre along x.

    Returns
    -------
    jax.Array, [2, 3, T]
        In the world, m.
    """
    feet = slice(PAIR["foot"], PAIR["foot"] + 2)
    rotation = jnp.moveaxis(jnp.asarray(kin.rotation[feet]), 0, 2)  # [3, 3, 2, T]
    ball = jnp.asarray(body.ball).T[:, :, None]  # [3, 2, 1]
    joint = jnp.moveaxis(jnp.asarray(kin.position[feet]), 0, 1) + matvec(rotation, ball)
    ahead, _, up = rotation[2] - slope * rotation[0]  # along the ground's normal, to a factor
    clearance = (joint[2] - ground) / jnp.sqrt(1 + slope * slope)
    length = (body.toe - body.ball)[:, :1]  # [2, 1]
    bend = toe_extension(jnp.arctan2(-ahead, up), clearance / length)  # [2, T]
    x, y, z = jnp.asarray(places).T[:, :, None] - ball
    cos, sin = jnp.cos(bend), jnp.sin(bend)
    bent = jnp.stack([x * cos - z * sin, y + 0 * bend, x * sin + z * cos])
    return jnp.moveaxis(joint + matvec(rotation, bent), 1, 0)


def knee_flexion(kin: Kinematics) -> jax.Array:
    """Angle between thigh and shank [2, T] rad (right, left); the knee is a hinge about y."""
    thigh = kin.rotation[PAIR["thigh"] : PAIR["thigh"] + 2]
    shank = kin.rotation[PAIR["shank"] : PAIR["shank"] + 2]
    ahead, up = ((thigh[:, :, axis] * shank[:, :, 2]).sum(1) for axis in (0, 2))
    return jnp.arctan2(ahead, up)
