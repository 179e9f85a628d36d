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

from typing import Any, NamedTuple

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

    Attributes
    ----------
    force : jax.Array, [2, 3, T]
        On the foot, N.
    cop : jax.Array, [2, 3, T]
        Centre of pressure in the world, m.
    free_moment : jax.Array, [2, T]
        Moment about the vertical through the centre of pressure, N m.
    """

    force: jax.Array
    cop: jax.Array
    free_moment: jax.Array


class Wrench(NamedTuple):
    """A force and a moment about a point, world axes; leading axes as the function says.

    Attributes
    ----------
    point : jax.Array, [..., 3, T]
        m.
    force : jax.Array, [..., 3, T]
        N.
    moment : jax.Array, [..., 3, T]
        About `point`, N m.
    """

    point: jax.Array
    force: jax.Array
    moment: jax.Array


class UpperBody(NamedTuple):
    """The wrenches at the joints above the pelvis.

    Attributes
    ----------
    arms : Wrench, [2, 4, 3, T]
        Right, left; wrist, elbow, shoulder, sternoclavicular joint.
    neck : Wrench, [3, T]
        On the head.
    waist : Wrench, [3, T]
        On the trunk.
    """

    arms: Wrench
    neck: Wrench
    waist: Wrench


def omega(kin: Kinematics) -> jax.Array:
    """Angular velocity [17, 3, T] rad/s in the world."""
    return 0.5 * _axes_cross(kin.rotation, kin.rotation_rate).sum(-2)


def alpha(kin: Kinematics) -> jax.Array:
    """Angular acceleration [17, 3, T] rad/s^2 in the world."""
    return 0.5 * _axes_cross(kin.rotation, kin.rotation_acc).sum(-2)


def centre_of_mass(body: Body, kin: Kinematics) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The whole body's centre of mass.

    Parameters
    ----------
    body : Body
        One person.
    kin : Kinematics
        Its motion at T times.

    Returns
    -------
    position, velocity, acceleration : jax.Array, [3, T]
        In the world, m and s.
    """
    share = (body.segment_mass / body.segment_mass.sum())[:, None, None]
    position, velocity, acceleration = _centres(body, kin)
    return (share * position).sum(0), (share * velocity).sum(0), (share * acceleration).sum(0)


def external_force(body: Body, kin: Kinematics) -> jax.Array:
    """The sum of all forces but weight that the movement asks for.

    Parameters
    ----------
    body : Body
        One person.
    kin : Kinematics
        Its motion at T times.

    Returns
    -------
    jax.Array, [3, T]
        N.
    """
    return body.mass * _specific_force(centre_of_mass(body, kin)[2])


def momentum(body: Body, kin: Kinematics) -> jax.Array:
    """Angular momentum of the whole body about its centre of mass, [3, T] kg m^2/s."""
    position, velocity, _ = _centres(body, kin)
    centre, centre_velocity, _ = centre_of_mass(body, kin)
    orbit = body.segment_mass[:, None, None] * _cross(position - centre, velocity - centre_velocity)
    return (_spin(body.inertia, kin.rotation, kin.rotation_rate) + orbit).sum(0)


def momentum_rate(body: Body, kin: Kinematics) -> jax.Array:
    """Rate of change of `momentum`, [3, T] N m."""
    position, _, acceleration = _centres(body, kin)
    centre, _, centre_acc = centre_of_mass(body, kin)
    orbit = body.segment_mass[:, None, None] * _cross(position - centre, acceleration - centre_acc)
    return (_spin(body.inertia, kin.rotation, kin.rotation_acc) + orbit).sum(0)


def moment_excess(body: Body, kin: Kinematics, loads: Loads) -> jax.Array:
    """Moment of the loads about the centre of mass less `momentum_rate`.

    Parameters
    ----------
    body : Body
        One person.
    kin : Kinematics
        Its motion at T times.
    loads : Loads
        What the ground does to the feet at these times.

    Returns
    -------
    jax.Array, [3, T]
        N m; zero where movement and loads fit.
    """
    applied = _sum_pair(centre_of_mass(body, kin)[0], _ground_wrench(loads))
    return applied.moment - momentum_rate(body, kin)


def joints_from_below(body: Body, kin: Kinematics, loads: Loads) -> Wrench:
    """Inverse dynamics from the feet upwards: Newton-Euler, segment by segment.

    Parameters
    ----------
    body : Body
        One person.
    kin : Kinematics
        Its motion at T times.
    loads : Loads
        What the ground does to the feet at these times.

    Returns
    -------
    Wrench, [2, 3, 3, T]
        At ankle, knee, hip of right and left.

    References
    ----------
    Winter 2009, Biomechanics and Motor Control of Human Movement, chapters 5 and 7.
    """
    return _stack_joints(_leg_wrenches(_inertial_wrenches(body, kin), loads))


def joints_from_above(body: Body, kin: Kinematics) -> UpperBody:
    """Inverse dynamics from hands and head down to the joint between pelvis and trunk.

    Parameters
    ----------
    body : Body
        One person.
    kin : Kinematics
        Its motion at T times.

    Returns
    -------
    UpperBody
        The wrenches at the arms' joints, neck and waist.
    """
    return _upper_body(_inertial_wrenches(body, kin))


def pelvis_residual(body: Body, kin: Kinematics, loads: Loads) -> Wrench:
    """What hips (from below) and waist (from above) leave over on the pelvis.

    Parameters
    ----------
    body : Body
        One person.
    kin : Kinematics
        Its motion at T times.
    loads : Loads
        What the ground does to the feet at these times.

    Returns
    -------
    Wrench, [3, T]
        About the body's centre of mass. The force is the sum of the loads less `external_force`,
        the moment is `moment_excess`: both vanish where movement and loads fit.
    """
    inertial, centre = _inertial_wrenches(body, kin), centre_of_mass(body, kin)[0]
    hips = _sum_pair(centre, _leg_wrenches(inertial, loads)[-1])
    return _negate(
        _sum_wrenches(centre, _select(inertial, PELVIS), _upper_body(inertial).waist, hips)
    )


def legs_from_above(body: Body, kin: Kinematics, loads: Loads) -> Wrench:
    """The wrenches of `joints_from_below` from the other end.

    Each leg's are found from upper body, pelvis and the other leg with the other foot's loads,
    downwards from its hip; its own foot's loads are not used.

    Parameters
    ----------
    body : Body
        One person.
    kin : Kinematics
        Its motion at T times.
    loads : Loads
        What the ground does to the feet at these times.

    Returns
    -------
    Wrench, [2, 3, 3, T]
        At ankle, knee, hip of right and left; what differs from below is the `pelvis_residual`.
    """
    inertial = _inertial_wrenches(body, kin)
    other_hip = _select(_leg_wrenches(inertial, loads)[-1], slice(None, None, -1))
    foot, shank, thigh = (_select(inertial, part) for part in LEG)
    pelvis, waist = _select(inertial, PELVIS), _upper_body(inertial).waist
    hip = _negate(_sum_wrenches(thigh.point, pelvis, waist, other_hip))
    knee = _sum_wrenches(shank.point, hip, _negate(thigh))
    ankle = _sum_wrenches(foot.point, knee, _negate(shank))
    return _stack_joints([ankle, knee, hip])


def knee_moment(body: Body, kin: Kinematics, loads: Loads) -> jax.Array:
    """External knee flexion moment by inverse dynamics.

    About the medio-lateral axis of the thigh, the flexion axis of the joint coordinate system.

    Parameters
    ----------
    body : Body
        One person.
    kin : Kinematics
        Its motion at T times.
    loads : Loads
        What the ground does to the feet at these times.

    Returns
    -------
    jax.Array, [2, T]
        % body weight x height, right and left. Positive flexes: the quadriceps work against it.

    References
    ----------
    Grood and Suntay 1983, J Biomech Eng 105(2).
    """
    _, knee, _ = _leg_wrenches(_inertial_wrenches(body, kin), loads)
    return _percent_of_body(body, -(knee.moment * kin.rotation[THIGH][:, :, Y]).sum(-2))


def ankle_moment(body: Body, kin: Kinematics, loads: Loads) -> jax.Array:
    """External ankle dorsiflexion moment by inverse dynamics.

    About the medio-lateral axis of the shank.

    Parameters
    ----------
    body : Body
        One person.
    kin : Kinematics
        Its motion at T times.
    loads : Loads
        What the ground does to the feet at these times.

    Returns
    -------
    jax.Array, [2, T]
        % body weight x height, right and left. Positive dorsiflexes: the calf works against it.
    """
    ankle, _, _ = _leg_wrenches(_inertial_wrenches(body, kin), loads)
    return _percent_of_body(body, (ankle.moment * kin.rotation[SHANK][:, :, Y]).sum(-2))


def knee_cross_product(body: Body, kin: Kinematics, loads: Loads) -> jax.Array:
    """External knee flexion moment by the rule of Tan et al. 2022.

    Lever from knee to centre of pressure times ground force, without weight and inertia of the
    leg. About the world's y: the moments in the authors' published data are about the laboratory's
    medio-lateral axis, not the shank's. So the body has to walk along x.

    Parameters
    ----------
    body : Body
        One person.
    kin : Kinematics
        Its motion at T times.
    loads : Loads
        What the ground does to the feet at these times.

    Returns
    -------
    jax.Array, [2, T]
        % body weight x height, right and left.

    References
    ----------
    Tan et al. 2022, IEEE TII 19(2).
    """
    lever = loads.cop - kin.position[SHANK]
    return _percent_of_body(body, _cross(lever, loads.force)[:, Y])


def _percent_of_body(body: Body, moment: jax.Array) -> jax.Array:
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


def _specific_force(acceleration: jax.Array) -> jax.Array:
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


def _inertial_wrenches(body: Body, kin: Kinematics) -> Wrench:
    """What each segment needs beside its weight to move as it does, at its origin; [17, 3, T]."""
    centre, _, acceleration = _centres(body, kin)
    force = body.segment_mass[:, None, None] * _specific_force(acceleration)
    spin = _spin(body.inertia, kin.rotation, kin.rotation_acc)
    return Wrench(kin.position, force, spin + _cross(centre - kin.position, force))


def _select(wrench: Wrench, index: int | slice) -> Wrench:
    return jax.tree.map(lambda x: x[index], wrench)


def _ground_wrench(loads: Loads) -> Wrench:
    free_moment = jnp.zeros_like(loads.force).at[:, Z].set(loads.free_moment)
    return Wrench(loads.cop, loads.force, free_moment)


def _sum_wrenches(point: jax.Array, *wrenches: Wrench) -> Wrench:
    """The sum of wrenches, about `point`."""
    force: Any = sum(w.force for w in wrenches)
    moment: Any = sum(w.moment + _cross(w.point - point, w.force) for w in wrenches)
    return Wrench(point, force, moment)


def _sum_pair(point: jax.Array, pair: Wrench) -> Wrench:
    """The sum of the right and the left wrench [2, 3, T], about `point` [3, T]."""
    pair = _sum_wrenches(point, pair)
    return Wrench(point, pair.force.sum(0), pair.moment.sum(0))


def _negate(wrench: Wrench) -> Wrench:
    return Wrench(wrench.point, -wrench.force, -wrench.moment)


def _limb_wrenches(inertial: Wrench, parts: tuple[slice, ...], *tip: Wrench) -> list[Wrench]:
    """The wrenches at the origins of `parts`, from the last segment of a limb towards the body.

    `tip` is what the last segment has to pass on to the outside, if anything.
    """
    wrenches = []
    for part in parts:
        segment = _select(inertial, part)
        wrenches.append(_sum_wrenches(segment.point, segment, *tip))
        tip = (wrenches[-1],)
    return wrenches


def _leg_wrenches(inertial: Wrench, loads: Loads) -> list[Wrench]:
    """At ankles, knees, hips: [2, 3, T] each."""
    return _limb_wrenches(inertial, LEG, _negate(_ground_wrench(loads)))


def _upper_body(inertial: Wrench) -> UpperBody:
    arms = _limb_wrenches(inertial, ARM)
    neck, trunk = _select(inertial, HEAD), _select(inertial, TRUNK)
    waist = _sum_wrenches(trunk.point, trunk, neck, _sum_pair(trunk.point, arms[-1]))
    return UpperBody(_stack_joints(arms), neck, waist)


def _stack_joints(wrenches: list[Wrench]) -> Wrench:
    """Wrenches [2, 3, T] of the joints of a limb -> [2, joints, 3, T]."""
    return jax.tree.map(lambda *x: jnp.stack(x, axis=1), *wrenches)
