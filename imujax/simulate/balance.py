"""What a walk needs beyond its forces: legs that reach the ground, and moments that balance.

The centre of mass goes as high as the legs allow, contact by contact, so that no standing leg is
pulled straight and nobody crouches for the sake of one long step.

The feet's forces are chosen before anything turns, so their moment about the centre of mass is not
yet the rate of the body's angular momentum.  Two things give way, each by a smooth course that is
solved for over the whole walk: the trunk's angles, and the centre of pressure under the feet,
within a few centimetres.  What then remains is the residual of `dynamics.moment_excess`.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from imujax.data.recordings import G
from imujax.simulate import dynamics, gait, skeleton
from imujax.simulate.body import PARENT, Body, leg_lengths
from imujax.simulate.curves import spline
from imujax.simulate.way import Way, heading, turned

MAX_SHIFT = (0.045, 0.025)  # m, how far the centre of pressure is moved at most: along, across
MAX_TWIST = 0.010  # body weight times height, the largest free moment (Holden and Cavanagh 1991)
SOFT_LOAD = 0.08  # body weight: under less force the centre of pressure is left where it is
GRID_STEP = 0.02  # s, where the trunk and the centre of pressure are solved
LEAN_COST = 0.03  # rad of the trunk's correction cost as much
MISS_COST = 0.005  # as so many m times body weight of a moment in excess
MAX_EXCESS = 0.15  # m times body weight of excess that is worked on at once
LOWERINGS = 3  # how often the height is mended, before and after the trunk is solved
# Shares of a stance at which the leg is looked at.
STANCE_SHARES = np.array([0, 5, 10, 15, 22, 32, 44, 55, 66, 77, 87, 95, 100, 106]) / 100
MAX_FIRST_CHANGE = 0.03  # m, the centre of mass is raised or lowered at most to begin with


def centre_of_pressure(body: Body, walk: gait.Walk, t: jax.Array, shift: jax.Array) -> jax.Array:
    """Centre of pressure under each foot [2, 3, T], moved by `shift` [2, T] m along and across."""
    k = gait.foot_contacts(walk, t)
    share = jnp.clip((t - walk.strike[k]) / walk.stance[k], 0, 1)
    ahead = gait.pressure_ahead(body, walk, share)
    yaw, tilt = walk.yaw[k], walk.way.tilt
    moved = turned(jnp.stack([*shift, jnp.zeros_like(t)]), heading(walk.way, walk.strike, t))
    along = ahead * jnp.cos(yaw) + moved[0]
    across = ahead * jnp.sin(yaw) + moved[1]
    path = jnp.stack([along * jnp.cos(tilt), across, along * jnp.sin(tilt)])
    return jnp.moveaxis(walk.foothold[:, k] + path, 1, 0)


def nominal_loads(body: Body, walk: gait.Walk, t: jax.Array) -> dynamics.Loads:
    """The loads at t [T] before anything is moved for the sake of the moments."""
    force, _ = gait.ground_force(walk, t)
    zero = jnp.zeros((2, t.shape[0]), t.dtype)
    return dynamics.Loads(force * body.mass * G, centre_of_pressure(body, walk, t, zero), zero)


def loads(body: Body, walk: gait.Walk, t: jax.Array) -> dynamics.Loads:
    """What the ground does to each foot at t [T]."""
    nominal = nominal_loads(body, walk, t)
    course = spline(walk.pressure_correction, (t - walk.begin) / gait.PRESSURE_STEP)
    # Where hardly anything presses the spline is free to swing out.
    largest = jnp.array([*MAX_SHIFT, MAX_TWIST], course.dtype)[:, None]
    course = jnp.clip(course, -largest, largest)
    up = nominal.force[:, 2].sum(0)
    twist = course[2] * body.height * up**2 / (up + SOFT_LOAD * body.mass * G)
    share = nominal.force[:, 2] / (up + 1e-6 * body.mass * G)
    return nominal._replace(
        cop=centre_of_pressure(body, walk, t, course[:2]), free_moment=twist * share
    )


@jax.jit
def _solve_pressure(
    body: Body, walk: gait.Walk, kin: skeleton.Kinematics, t: jax.Array
) -> jax.Array:
    """Course [3, K] of the centre of pressure (along, across [m]) and the free moment (of weight
    times height) under both feet, so that the moments balance as far as MAX_SHIFT and MAX_TWIST
    allow.

    kin: the walk's kinematics at t [T].
    """
    nominal = nominal_loads(body, walk, t)
    weight = body.mass * G
    back = -heading(walk.way, walk.strike, t)
    excess = turned(dynamics.moment_excess(body, kin, nominal), back) / weight  # m
    force = jnp.moveaxis(turned(jnp.moveaxis(nominal.force, 1, 0), back), 0, 1) / weight
    up = force[:, 2].sum(0)
    count = walk.pressure_correction.shape[1]
    basis = spline(jnp.eye(count, dtype=t.dtype), (t - walk.begin) / gait.PRESSURE_STEP)

    def fit_spline(course, trust):
        gram = (basis * trust) @ basis.T + SOFT_LOAD**2 * jnp.eye(basis.shape[0])
        return jax.scipy.linalg.cho_solve(
            jax.scipy.linalg.cho_factor(gram), basis @ (trust * course)
        )

    def limited(course, largest):
        return largest * jnp.tanh(course / largest)

    share = up / (up**2 + SOFT_LOAD**2)
    along, across = (
        fit_spline(limited(x * share, largest), up**2)
        for x, largest in zip((excess[1], -excess[0]), MAX_SHIFT, strict=True)
    )
    # Moving the feet's forces turns them about the vertical as well.
    turning = (along @ basis) * force[:, 1].sum(0) - (across @ basis) * force[:, 0].sum(0)
    twist = -(excess[2] + turning) / body.height * (up + SOFT_LOAD) / (up**2 + SOFT_LOAD**2)
    return jnp.stack([along, across, fit_spline(limited(twist, MAX_TWIST), up**2)])


def make_walk(
    body: Body,
    style: gait.Style,
    way: Way,
    speed: jax.Array,
    noise: gait.Noise,
    seconds: float,
    kinematics: Callable[[Body, gait.Walk, jax.Array], skeleton.Kinematics] = gait.kinematics,
) -> gait.Walk:
    """A walk within reach of the legs, its moments nearly balanced by the trunk.

    Parameters
    ----------
    body, style, way, speed, noise
        As of `gait.lay_contacts`.
    seconds : float
        As there; static.
    kinematics : callable
        `gait.kinematics`, or what does the same piece by piece.

    Returns
    -------
    gait.Walk
        With its corrections of trunk and centre of pressure.
    """
    arguments = body, style, way, speed, noise, seconds
    lowering, correction = _no_corrections(noise, seconds)
    walk, lowering = _lower_to_reach(*arguments, lowering, correction)
    t = walk.begin + _grid(seconds)
    correction = _solve_trunk(body, walk, kinematics(body, walk, t), t)
    walk, _ = _lower_to_reach(*arguments, lowering, correction)
    pressure = _solve_pressure(body, walk, kinematics(body, walk, t), t)
    return walk._replace(pressure_correction=pressure)


def trace_walk(
    body: Body,
    style: gait.Style,
    way: Way,
    speed: jax.Array,
    noise: gait.Noise,
    seconds: float,
    since: jax.Array,
    *,
    with_loads: bool = True,
) -> tuple[skeleton.Kinematics, gait.Walk | None, dynamics.Loads | None]:
    """Kinematics and loads of what `make_walk` makes.

    As one loop, which a compiler sees once: to be traced with others into one program, where
    `make_walk` and `gait.kinematics` would be three times as much to compile.

    Parameters
    ----------
    body, style, way, speed, noise, seconds
        As of `make_walk`.
    since : jax.Array, [T]
        Times after the walk's begin, s.
    with_loads : bool
        Whether walk and loads are wanted, which takes half as long again.

    Returns
    -------
    kinematics : skeleton.Kinematics
        Of the 17 segments at these times.
    walk : gait.Walk or None
        As `make_walk` makes it.
    loads : dynamics.Loads or None
        Of both feet at these times.
    """
    arguments = body, style, way, speed, noise, seconds
    grid = _grid(seconds)
    longest = max(len(grid), len(since))
    rounds = (grid, grid, since) if with_loads else (grid, since)
    times = jnp.stack([jnp.pad(x, (0, longest - len(x)), mode="edge") for x in rounds])

    def solve_round(corrections, inputs):
        is_first, since = inputs
        walk, lowering = _lower_to_reach(*arguments, *corrections)
        kin = gait.kinematics(body, walk, walk.begin + since)
        on_grid = jax.tree.map(lambda x: x[..., : len(grid)], kin)  # in all rounds but the last
        t = walk.begin + since[: len(grid)]
        solved = lowering, _solve_trunk(body, walk, on_grid, t)
        corrections = jax.tree.map(functools.partial(jnp.where, is_first), solved, corrections)
        if with_loads:
            return corrections, (kin, walk, _solve_pressure(body, walk, on_grid, t))
        return corrections, (kin, None, None)

    is_first = jnp.arange(len(rounds)) == 0
    start = _no_corrections(noise, seconds)
    kin, walks, pressures = jax.lax.scan(solve_round, start, (is_first, times))[1]
    kin = jax.tree.map(lambda x: x[-1, ..., : len(since)], kin)
    if not with_loads:
        return kin, None, None
    walk = jax.tree.map(lambda x: x[-1], walks)._replace(pressure_correction=pressures[1])
    return kin, walk, loads(body, walk, walk.begin + since)


def _no_corrections(noise: gait.Noise, seconds: float) -> tuple[jax.Array, jax.Array]:
    """Lowering [N] and trunk's correction [3, K] to begin with."""
    lowering = jnp.zeros_like(noise.step)
    return lowering, jnp.zeros((3, int(seconds / gait.TRUNK_STEP) + 6), lowering.dtype)


def _grid(seconds: float) -> jax.Array:
    """Times after a walk's begin at which its moments are looked at."""
    return (jnp.arange(int(seconds / GRID_STEP)) + 0.5) * GRID_STEP


@functools.partial(jax.jit, static_argnames="seconds")
def _lower_to_reach(body: Body, style, way, speed, noise, seconds, lowering, correction):
    """Lower the centre of mass, contact by contact, until no standing leg is out of reach.

    lowering [N] m: where to begin; all zeros: begin at the height that the mean contact can just
    reach.  -> walk, lowering.
    """
    share = jnp.asarray(STANCE_SHARES, lowering.dtype)[:, None]  # [P, 1]
    is_first = jnp.all(lowering == 0)

    def lower_once(lowering, round_number):
        walk = gait.lay_contacts(body, style, way, speed, noise, seconds, lowering)
        walk = walk._replace(trunk_correction=correction)
        count = lowering.shape[0]
        t = (walk.strike + share * walk.stance)[:, 2 : count - 3]  # [P, N - 5]
        tracks = gait.tracks(body, walk, t.reshape(-1))
        position, _ = skeleton.place_segments(body, tracks, True)
        hip = position[skeleton.PAIR["thigh"] : skeleton.PAIR["thigh"] + 2]
        distance = jnp.sqrt(((tracks.ankle - hip) ** 2).sum(1)).reshape(2, *t.shape)
        is_left = jnp.arange(2, count - 3) % 2 == 1
        distance = jnp.where(is_left, distance[1], distance[0])
        excess = distance - skeleton.REACH[0] * sum(leg_lengths(body))
        in_span = (t >= walk.begin) & (t < walk.begin + seconds)
        need = [jnp.where(in_span & x, excess, -1.0).max(0) for x in (share < 0.5, share > 0.5)]
        need = jnp.pad(jnp.maximum(need[0], jnp.roll(need[1], 1)), (2, 3), constant_values=-1.0)
        is_used = need > -1.0
        mean = jnp.where(is_used, need, 0).sum() / is_used.sum()
        mean = jnp.clip(mean, -MAX_FIRST_CHANGE, MAX_FIRST_CHANGE)
        added = jnp.where(is_first & (round_number == 0), mean, jnp.maximum(need, 0))
        # Bumps of neighbours add up.
        sagged = gait.sag(walk.strike, jnp.abs(added), walk.strike)
        return lowering + added * jnp.abs(added) / (sagged + 1e-9), (walk, lowering)

    # Of one round more than there are lowerings only the walk at its beginning is wanted.
    laid = jax.lax.scan(lower_once, lowering, jnp.arange(LOWERINGS + 1))[1]
    return jax.tree.map(lambda x: x[-1], laid)


@jax.jit
def _solve_trunk(body: Body, walk: gait.Walk, kin: skeleton.Kinematics, t: jax.Array) -> jax.Array:
    """Coefficients [3, K] with which less moment is in excess; linear least squares, each axis."""
    count = walk.trunk_correction.shape[1]
    basis = spline(jnp.eye(count, dtype=t.dtype), (t - walk.begin) / gait.TRUNK_STEP).T
    curvature = (basis[2:] - 2 * basis[1:-1] + basis[:-2]) / GRID_STEP**2
    weight = body.mass * G
    nominal = nominal_loads(body, walk, t)
    excess = dynamics.moment_excess(body, kin, nominal)
    excess = turned(excess, -heading(walk.way, walk.strike, t))[:, 1:-1] / weight  # m
    # A leg that is almost straight makes it jump.
    excess = MAX_EXCESS * jnp.tanh(excess / MAX_EXCESS)
    up = nominal.force[:, 2, 1:-1].sum(0) / weight
    room = jnp.stack([up * MAX_SHIFT[1], up * MAX_SHIFT[0], up * MAX_TWIST * body.height]) / 2
    cost = 1 / jnp.sqrt(MISS_COST**2 + room**2)  # [3, samples]

    def solve_axis(excess, cost, inertia, previous):
        rows = cost[:, None] * curvature * inertia
        goal = cost * (excess + curvature @ previous * inertia)
        factor = jax.scipy.linalg.cho_factor(rows.T @ rows + jnp.eye(count) / LEAN_COST**2)
        return jax.scipy.linalg.cho_solve(factor, rows.T @ goal)

    return jax.vmap(solve_axis)(excess, cost, _trunk_inertia(body) / weight, walk.trunk_correction)


def _trunk_inertia(body: Body) -> jax.Array:
    """About the waist, of all that turns with the trunk when the whole body's centre stays [3]."""
    segments = (1, *range(9, 17))  # trunk, shoulders, arms hanging
    index = jnp.array(segments)
    origins = {1: jnp.zeros(3)}
    for i in range(9, 17):
        origins[i] = origins[PARENT[i]] + body.joint[i]
    centres = jnp.stack([origins[i] for i in segments]) + body.com[index]
    mass = body.segment_mass[index]
    head_mass = body.segment_mass[2]
    moment = (mass[:, None] * centres).sum(0) + head_mass * body.joint[2]
    centre = moment / (mass.sum() + head_mass)
    square = centres**2
    spread = square.sum(1, keepdims=True) - square
    turning_inertia = (body.inertia[index] + mass[:, None] * spread).sum(0)
    head_inertia = head_mass * (body.joint[2] @ body.joint[2] - body.joint[2] ** 2)
    total_mass = mass.sum() + head_mass
    reaction = total_mass**2 / body.mass * (centre @ centre - centre**2)
    return turning_inertia + head_inertia - reaction
