"""Forces and moments that belong to a movement: balance of the whole body, joints, knee and ankle.

Everything is vectorised over time, which is the last axis: a segment's rotation is [3, 3, T]. The
world is x forward, y left, z up. A pair is right, left. Works in the precision of its inputs.

Signs: a joint's force and moment are those which the proximal segment puts on the distal one (the
shank on the foot, the pelvis on the thigh, the trunk on the head), in world axes, the moment about
the joint. The clinical moments at the end are external ones.

Newton and Euler's equations are used in a form without angular velocities. With r_k the k-th axis
of a segment in the world and s_k the second moment of its mass along that axis, the angular
momentum about its centre of mass is sum_k s_k r_k x r_k', hence its rate sum_k s_k r_k x r_k''.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from imujax.data.recordings import G
from imujax.simulate.body import SEGMENTS, Body
from imujax.simulate.skeleton import Kinematics

Y, Z = 1, 2
PELVIS, TRUNK, HEAD = (SEGMENTS.index(name) for name in ("pelvis", "trunk", "head"))


def _pair(name: str) -> slice:
    first = SEGMENTS.index(f"{name}_r")
    return slice(first, first + 2)


THIGH = _pair("thigh")
SHANK = _pair("shank")
LEG = (_pair("foot"), SHANK, THIGH)
ARM = (_pair("hand"), _pair("forearm"), _pair("upper_arm"), _pair("shoulder"))


class Loads(NamedTuple):
    """What the ground does to the feet (right, left).

    Where a force is zero its point of application may be anywhere, but must be finite.
    """

    force: jax.Array  # [2, 3, T] N, on the foot
    cop: jax.Array  # [2, 3, T] m, centre of pressure in the world
    free: jax.Array  # [2, T] N m, moment about the vertical through the centre of pressure


class Wrench(NamedTuple):
    """A force and a moment about `point`, world axes; leading axes as the function says."""

    point: jax.Array  # [..., 3, T] m
    force: jax.Array  # [..., 3, T] N
    moment: jax.Array  # [..., 3, T] N m


class UpperBody(NamedTuple):
    """The wrenches at the joints above the pelvis."""

    arms: Wrench  # [2, 4, 3, T]: right, left; wrist, elbow, shoulder, sternoclavicular joint
    neck: Wrench  # [3, T], on the head
    waist: Wrench  # [3, T], on the trunk


def omega(kin: Kinematics) -> jax.Array:
    """Angular velocity [17, 3, T] rad/s in the world."""
    return 0.5 * _axes_cross(kin.rotation, kin.rotation_rate).sum(-2)


def alpha(kin: Kinematics) -> jax.Array:
    """Angular acceleration [17, 3, T] rad/s^2 in the world."""
    return 0.5 * _axes_cross(kin.rotation, kin.rotation_acc).sum(-2)


def com(body: Body, kin: Kinematics) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The whole body's centre of mass: position, velocity and acceleration, each [3, T]."""
    share = (body.segment_mass / body.segment_mass.sum())[:, None, None]
    position, velocity, acceleration = _centres(body, kin)
    return (share * position).sum(0), (share * velocity).sum(0), (share * acceleration).sum(0)


def external_force(body: Body, kin: Kinematics) -> jax.Array:
    """The sum of all forces but weight that the movement asks for, [3, T] N."""
    return body.mass * _lifted(com(body, kin)[2])


def momentum(body: Body, kin: Kinematics) -> jax.Array:
    """Angular momentum of the whole body about its centre of mass, [3, T] kg m^2/s."""
    position, velocity, _ = _centres(body, kin)
    centre, speed, _ = com(body, kin)
    orbit = body.segment_mass[:, None, None] * _cross(position - centre, velocity - speed)
    return (_spin(body.inertia, kin.rotation, kin.rotation_rate) + orbit).sum(0)


def momentum_rate(body: Body, kin: Kinematics) -> jax.Array:
    """Rate of change of `momentum`, [3, T] N m."""
    position, _, acceleration = _centres(body, kin)
    centre, _, push = com(body, kin)
    orbit = body.segment_mass[:, None, None] * _cross(position - centre, acceleration - push)
    return (_spin(body.inertia, kin.rotation, kin.rotation_acc) + orbit).sum(0)


def balance(body: Body, kin: Kinematics, loads: Loads) -> jax.Array:
    """Moment of the loads about the centre of mass less `momentum_rate`, [3, T] N m.

    Zero where movement and loads fit.
    """
    return _both(com(body, kin)[0], _ground(loads)).moment - momentum_rate(body, kin)


def joints_from_below(body: Body, kin: Kinematics, loads: Loads) -> Wrench:
    """Inverse dynamics from the feet upwards: [2, 3, 3, T] at ankle, knee, hip of right and left.

    Newton-Euler, segment by segment (Winter, Biomechanics and Motor Control of Human Movement,
    2009, chapters 5 and 7).
    """
    return _stack(_legs(_needs(body, kin), loads))


def joints_from_above(body: Body, kin: Kinematics) -> UpperBody:
    """Inverse dynamics from hands and head down to the joint between pelvis and trunk."""
    return _upper(_needs(body, kin))


def pelvis_residual(body: Body, kin: Kinematics, loads: Loads) -> Wrench:
    """What hips (from below) and waist (from above) leave over on the pelvis, [3, T].

    About the body's centre of mass. The force is the sum of the loads less `external_force`, the
    moment is `balance`: both vanish where movement and loads fit.
    """
    needs, centre = _needs(body, kin), com(body, kin)[0]
    hips = _both(centre, _legs(needs, loads)[-1])
    return _minus(_sum(centre, _part(needs, PELVIS), _upper(needs).waist, hips))


def legs_from_above(body: Body, kin: Kinematics, loads: Loads) -> Wrench:
    """The wrenches of `joints_from_below`, [2, 3, 3, T], from the other end.

    Each leg's are found from upper body, pelvis and the other leg with the other foot's loads,
    downwards from its hip; its own foot's loads are not used. What differs from below is the
    `pelvis_residual`.
    """
    needs = _needs(body, kin)
    other = _part(_legs(needs, loads)[-1], slice(None, None, -1))
    foot, shank, thigh = (_part(needs, part) for part in LEG)
    hip = _minus(_sum(thigh.point, _part(needs, PELVIS), _upper(needs).waist, other))
    knee = _sum(shank.point, hip, _minus(thigh))
    ankle = _sum(foot.point, knee, _minus(shank))
    return _stack([ankle, knee, hip])


def knee_moment(body: Body, kin: Kinematics, loads: Loads) -> jax.Array:
    """External knee flexion moment by inverse dynamics, [2, T] % body weight x height.

    About the medio-lateral axis of the thigh, the flexion axis of the joint coordinate system
    (Grood and Suntay 1983, J Biomech Eng 105(2)). Positive flexes: the quadriceps work against it.
    """
    _, knee, _ = _legs(_needs(body, kin), loads)
    return _percent(body, -(knee.moment * kin.rotation[THIGH][:, :, Y]).sum(-2))


def ankle_moment(body: Body, kin: Kinematics, loads: Loads) -> jax.Array:
    """External ankle dorsiflexion moment by inverse dynamics, [2, T] % body weight x height.

    About the medio-lateral axis of the shank. Positive dorsiflexes: the calf works against it.
    """
    ankle, _, _ = _legs(_needs(body, kin), loads)
    return _percent(body, (ankle.moment * kin.rotation[SHANK][:, :, Y]).sum(-2))


def knee_cross_product(body: Body, kin: Kinematics, loads: Loads) -> jax.Array:
    """External knee flexion moment by the rule of Tan et al. 2022, [2, T] % body weight x height.

    Lever from knee to centre of pressure times ground force, without weight and inertia of the
    leg (IEEE TII 19(2)). About the world's y: the moments in the authors' published data are about
    the laboratory's medio-lateral axis, not the shank's. So the body has to walk along x.
    """
    lever = loads.cop - kin.position[SHANK]
    return _percent(body, _cross(lever, loads.force)[:, Y])


def _percent(body: Body, moment: jax.Array) -> jax.Array:
    return 100 * moment / (body.mass * G * body.height)


def _cross(a: jax.Array, b: jax.Array) -> jax.Array:
    """Vector product of [..., 3, T]."""
    return jnp.cross(a, b, axis=-2)


def _axes_cross(rotation: jax.Array, derivative: jax.Array) -> jax.Array:
    """Each axis (column) of a rotation [..., 3, 3, T] times its derivative, columns kept."""
    return jnp.cross(rotation, derivative, axis=-3)


def _spin(inertia: jax.Array, rotation: jax.Array, derivative: jax.Array) -> jax.Array:
    """sum_k s_k r_k x (r_k' or r_k''), [..., 3, T], from principal moments [..., 3]."""
    second = 0.5 * inertia.sum(-1, keepdims=True) - inertia
    return (second[..., None, :, None] * _axes_cross(rotation, derivative)).sum(-2)


def _lifted(acceleration: jax.Array) -> jax.Array:
    """Acceleration [..., 3, T] less that of free fall."""
    return acceleration.at[..., Z, :].add(G)


def _centres(body: Body, kin: Kinematics) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The segments' centres of mass: position, velocity, acceleration, each [17, 3, T]."""
    offset = body.com[:, None, :, None]
    return (
        kin.position + (kin.rotation * offset).sum(-2),
        kin.velocity + (kin.rotation_rate * offset).sum(-2),
        kin.acceleration + (kin.rotation_acc * offset).sum(-2),
    )


def _needs(body: Body, kin: Kinematics) -> Wrench:
    """What each segment needs beside its weight to move as it does, at its origin; [17, 3, T]."""
    centre, _, acceleration = _centres(body, kin)
    force = body.segment_mass[:, None, None] * _lifted(acceleration)
    spin = _spin(body.inertia, kin.rotation, kin.rotation_acc)
    return Wrench(kin.position, force, spin + _cross(centre - kin.position, force))


def _part(wrench: Wrench, which: int | slice) -> Wrench:
    return jax.tree.map(lambda x: x[which], wrench)


def _ground(loads: Loads) -> Wrench:
    free = jnp.zeros_like(loads.force).at[:, Z].set(loads.free)
    return Wrench(loads.cop, loads.force, free)


def _sum(point: jax.Array, *wrenches: Wrench) -> Wrench:
    """The sum of wrenches, about `point`."""
    force = sum(w.force for w in wrenches)
    moment = sum(w.moment + _cross(w.point - point, w.force) for w in wrenches)
    return Wrench(point, force, moment)


def _both(point: jax.Array, pair: Wrench) -> Wrench:
    """The sum of the right and the left wrench [2, 3, T], about `point` [3, T]."""
    pair = _sum(point, pair)
    return Wrench(point, pair.force.sum(0), pair.moment.sum(0))


def _minus(wrench: Wrench) -> Wrench:
    return Wrench(wrench.point, -wrench.force, -wrench.moment)


def _chain(needs: Wrench, parts: tuple[slice, ...], *tip: Wrench) -> list[Wrench]:
    """The wrenches at the origins of `parts`, from the last segment of a limb towards the body.

    `tip` is what the last segment has to pass on to the outside, if anything.
    """
    wrenches = []
    for part in parts:
        own = _part(needs, part)
        wrenches.append(_sum(own.point, own, *tip))
        tip = wrenches[-1:]
    return wrenches


def _legs(needs: Wrench, loads: Loads) -> list[Wrench]:
    """At ankles, knees, hips: [2, 3, T] each."""
    return _chain(needs, LEG, _minus(_ground(loads)))


def _upper(needs: Wrench) -> UpperBody:
    arms, neck, trunk = _chain(needs, ARM), _part(needs, HEAD), _part(needs, TRUNK)
    waist = _sum(trunk.point, trunk, neck, _both(trunk.point, arms[-1]))
    return UpperBody(_stack(arms), neck, waist)


def _stack(wrenches: list[Wrench]) -> Wrench:
    """Wrenches [2, 3, T] of the joints of a limb -> [2, joints, 3, T]."""
    return jax.tree.map(lambda *x: jnp.stack(x, axis=1), *wrenches)
