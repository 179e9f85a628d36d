"""Forces and moments: against spatial-vector recursion, passive bodies, hand and published data."""

import json
from types import SimpleNamespace

import h5py
import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from imujax.data.recordings import G
from imujax.simulate import dynamics
from imujax.simulate.body import PARENT, SEGMENTS, Body, standard
from imujax.simulate.dynamics import Loads
from imujax.simulate.skeleton import Kinematics

N = len(SEGMENTS)
TIMES = np.linspace(0.1, 0.8, 8)
LEGS = [[SEGMENTS.index(f"{part}_{side}") for part in ("foot", "shank", "thigh")] for side in "rl"]
ARMS = [
    [SEGMENTS.index(f"{part}_{side}") for part in ("hand", "forearm", "upper_arm", "shoulder")]
    for side in "rl"
]
FEET, TRUNK, HEAD = [LEGS[0][0], LEGS[1][0]], SEGMENTS.index("trunk"), SEGMENTS.index("head")
UP = np.array([0.0, 0.0, 1.0])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@jax.jit
def everything(body, kin, loads):
    return {
        "omega": dynamics.omega(kin),
        "alpha": dynamics.alpha(kin),
        "com": dynamics.centre_of_mass(body, kin),
        "external_force": dynamics.external_force(body, kin),
        "momentum": dynamics.momentum(body, kin),
        "momentum_rate": dynamics.momentum_rate(body, kin),
        "balance": dynamics.moment_excess(body, kin, loads),
        "below": dynamics.joints_from_below(body, kin, loads),
        "upper": dynamics.joints_from_above(body, kin),
        "above": dynamics.legs_from_above(body, kin, loads),
        "residual": dynamics.pelvis_residual(body, kin, loads),
        "knee": dynamics.knee_moment(body, kin, loads),
        "ankle": dynamics.ankle_moment(body, kin, loads),
        "cross": dynamics.knee_cross_product(body, kin, loads),
    }


def outcome(body, kin, loads):
    return SimpleNamespace(**jax.tree.map(np.asarray, everything(body, kin, loads)))


def someone(seed):
    """A body of 70 kg whose every number is odd, so that none can be left out unnoticed."""
    rng = np.random.default_rng(seed)
    mass = rng.uniform(0.5, 3, N)
    mass *= 70 / mass.sum()
    radius = rng.uniform(0.03, 0.12, (N, 3)) ** 2  # second moments over mass: any will do
    joint = rng.uniform(-0.3, 0.3, (N, 3))
    joint[0] = 0
    sole = np.zeros((2, 3))
    return Body(
        mass=np.float64(70),
        height=np.float64(1.75),
        male=np.float64(1),
        segment_mass=mass,
        com=rng.uniform(-0.2, 0.2, (N, 3)),
        inertia=mass[:, None] * (radius.sum(1, keepdims=True) - radius),
        joint=joint,
        heel=sole,
        ball=sole,
        toe=sole,
        speed=np.float64(1.3),
        asymmetry=np.ones(2),
    )


def skew(v):
    x, y, z = np.moveaxis(np.asarray(v), -1, 0)
    o = np.zeros_like(x)
    return np.moveaxis(np.array([[o, -z, y], [z, o, -x], [-y, x, o]]), (0, 1), (-2, -1))


# A jet is (x, x', x'') over time, here with time first.


def wave(rng, shape, t, size):
    """Sums of two sines, as a jet [T, ...]."""
    size = rng.uniform(0.3, 1, (2, *shape)) * size
    rate, phase = rng.uniform(3, 11, (2, *shape)), rng.uniform(0, 6, (2, *shape))
    angle = rate * t.reshape(-1, 1, *[1] * len(shape)) + phase
    return (
        (size * np.sin(angle)).sum(1),
        (size * rate * np.cos(angle)).sum(1),
        (-size * rate**2 * np.sin(angle)).sum(1),
    )


def rotation_about(axis, jet):
    """The rotation about a fixed axis by an angle, as a jet [T, 3, 3]."""
    k = skew(np.eye(3)[axis])
    a, rate, acc = (x[:, None, None] for x in jet)
    turn = np.eye(3) + np.sin(a) * k + (1 - np.cos(a)) * k @ k
    return turn, rate * k @ turn, acc * k @ turn + rate**2 * k @ k @ turn


def product(a, b):
    return a[0] @ b[0], a[1] @ b[0] + a[0] @ b[1], a[2] @ b[0] + 2 * a[1] @ b[1] + a[0] @ b[2]


def kinematics(body, pelvis, turns):
    """From jets of the pelvis's origin [T, 3] and of the rotations to the world [T, 3, 3]."""
    places = [pelvis]
    for i in range(1, N):
        p = PARENT[i]
        places.append([x + r @ body.joint[i] for x, r in zip(places[p], turns[p], strict=True)])
    places = [np.moveaxis([x[d] for x in places], 1, -1) for d in range(3)]
    return Kinematics(*places, *[np.moveaxis([x[d] for x in turns], 1, -1) for d in range(3)])


def movement(body, seed, t=TIMES):
    """All joints swing about all axes -> (Kinematics, pelvis jet, jets of all Euler angles)."""
    rng = np.random.default_rng(seed)
    pelvis, angles = wave(rng, (3,), t, 0.2), wave(rng, (N, 3), t, 0.35)
    turns = []
    for i in range(N):
        z, y, x = (rotation_about(2 - k, [a[:, i, k] for a in angles]) for k in range(3))
        turn = product(product(z, y), x)
        turns.append(product(turns[PARENT[i]], turn) if i else turn)
    return kinematics(body, pelvis, turns), pelvis, angles


def turn_of(a, b, c):
    """Rz(a) Ry(b) Rx(c), written out."""
    sa, ca, sb, cb, sc, cc = np.sin(a), np.cos(a), np.sin(b), np.cos(b), np.sin(c), np.cos(c)
    return np.array(
        [
            [ca * cb, ca * sb * sc - sa * cc, ca * sb * cc + sa * sc],
            [sa * cb, sa * sb * sc + ca * cc, sa * sb * cc - ca * sc],
            [-sb, cb * sc, cb * cc],
        ]
    )


def turn_rates(angles, rates, accelerations):
    """Angular velocity and acceleration in the turned frame, of yaw, pitch, roll."""
    (_, b, c), (da, db, dc), (dda, ddb, ddc) = angles, rates, accelerations
    sb, cb, sc, cc = np.sin(b), np.cos(b), np.sin(c), np.cos(c)
    velocity = [dc - da * sb, db * cc + da * cb * sc, -db * sc + da * cb * cc]
    acceleration = [
        ddc - dda * sb - da * db * cb,
        ddb * cc - db * dc * sc + dda * cb * sc - da * db * sb * sc + da * dc * cb * cc,
        -ddb * sc - db * dc * cc + dda * cb * cc - da * db * sb * cc - da * dc * cb * sc,
    ]
    return np.array(velocity), np.array(acceleration)


def motion_cross(v):
    zero = np.zeros((3, 3))
    return np.block([[skew(v[:3]), zero], [skew(v[3:]), skew(v[:3])]])


def recursion(body, pelvis, angles, loads):
    """Inverse dynamics by spatial vectors in the segments' frames (Featherstone 2008, chapter 5).

    -> dict of force, moment (on each segment at its origin), omega, alpha: [17, 3, T] in the world.
    """
    truth = {name: np.zeros((N, 3, len(TIMES))) for name in ("force", "moment", "omega", "alpha")}
    for t in range(len(TIMES)):
        turn, origin, shift, v, a, f = ([None] * N for _ in range(6))
        for i in range(N):
            euler = [x[t, i] for x in angles]
            local_turn = turn_of(*euler[0])
            spin, spin_rate = turn_rates(*euler)
            joint_v, joint_a = np.r_[spin, np.zeros(3)], np.r_[spin_rate, np.zeros(3)]
            if i == 0:
                turn[i], origin[i] = local_turn, pelvis[0][t]
                speed = local_turn.T @ pelvis[1][t]
                v[i] = np.r_[spin, speed]
                a[i] = np.r_[
                    spin_rate, local_turn.T @ (pelvis[2][t] + G * UP) - np.cross(spin, speed)
                ]
            else:
                p, e = PARENT[i], local_turn.T
                turn[i], origin[i] = turn[p] @ local_turn, origin[p] + turn[p] @ body.joint[i]
                shift[i] = np.block([[e, np.zeros((3, 3))], [-e @ skew(body.joint[i]), e]])
                v[i] = shift[i] @ v[p] + joint_v
                a[i] = shift[i] @ a[p] + joint_a + motion_cross(v[i]) @ joint_v
            m, c = body.segment_mass[i], skew(body.com[i])
            inertia = np.block(
                [[np.diag(body.inertia[i]) + m * c @ c.T, m * c], [m * c.T, m * np.eye(3)]]
            )
            f[i] = inertia @ a[i] - motion_cross(v[i]).T @ inertia @ v[i]
            if i in FEET:
                force, cop, free = (x[FEET.index(i), ..., t] for x in loads)
                moment = np.cross(cop - origin[i], force) + free * UP
                f[i] = f[i] - np.r_[turn[i].T @ moment, turn[i].T @ force]
        for i in reversed(range(N)):
            truth["force"][i, :, t], truth["moment"][i, :, t] = (
                turn[i] @ f[i][3:],
                turn[i] @ f[i][:3],
            )
            truth["omega"][i, :, t] = turn[i] @ v[i][:3]
            truth["alpha"][i, :, t] = turn[i] @ a[i][:3]
            if i:
                f[PARENT[i]] = f[PARENT[i]] + shift[i].T @ f[i]
    return truth


def some_loads(seed):
    rng = np.random.default_rng(seed)
    return Loads(
        rng.normal(0, 400, (2, 3, 8)), rng.normal(0, 1, (2, 3, 8)), rng.normal(0, 9, (2, 8))
    )


NO_LOADS = Loads(np.zeros((2, 3, 8)), np.zeros((2, 3, 8)), np.zeros((2, 8)))


def fitting_loads(body, kin, pelvis, angles, seed):
    """Loads that just make the movement: the right foot's by chance, the left foot's to fit."""
    unloaded = recursion(body, pelvis, angles, NO_LOADS)
    force, cop, free = some_loads(seed)
    force[1] = unloaded["force"][0] - force[0]
    origin = kin.position[0]
    missing = unloaded["moment"][0] - np.cross(cop[0] - origin, force[0], axis=0)
    missing[2] -= free[0]
    free[1] = (missing * force[1]).sum(0) / force[1, 2]
    missing[2] -= free[1]
    cop[1] = origin + np.cross(force[1], missing, axis=0) / (force[1] ** 2).sum(0)
    return Loads(force, cop, free)


def test_every_joint_agrees_with_the_spatial_recursion():
    body, loads = someone(0), some_loads(1)
    kin, pelvis, angles = movement(body, 2)
    truth, results = recursion(body, pelvis, angles, loads), outcome(body, kin, loads)
    np.testing.assert_allclose(results.omega, truth["omega"], atol=1e-11)
    np.testing.assert_allclose(results.alpha, truth["alpha"], atol=1e-9)
    for name in ("force", "moment"):
        for wrench, segments in (
            (results.below, LEGS),
            (results.upper.arms, ARMS),
            (results.upper.neck, HEAD),
            (results.upper.waist, TRUNK),
        ):
            np.testing.assert_allclose(getattr(wrench, name), truth[name][segments], atol=1e-8)
    np.testing.assert_allclose(results.below.point, kin.position[LEGS])
    lever = kin.position[0] - results.com[0]
    moment = truth["moment"][0] + np.cross(lever, truth["force"][0], axis=0)
    np.testing.assert_allclose(results.residual.force, -truth["force"][0], atol=1e-8)
    np.testing.assert_allclose(results.residual.moment, -moment, atol=1e-8)
    np.testing.assert_allclose(results.balance, -moment, atol=1e-8)
    needed = truth["force"][0] + loads.force.sum(0)
    np.testing.assert_allclose(results.external_force, needed, atol=1e-8)


def test_flexion_moments_are_components_of_the_joint_moments():
    body, loads = someone(0), some_loads(1)
    kin, pelvis, angles = movement(body, 2)
    moment, results = recursion(body, pelvis, angles, loads)["moment"], outcome(body, kin, loads)
    unit = 70 * 9.80665 * 1.75 / 100
    for side, (foot, shank, thigh) in enumerate(LEGS):
        for t in range(8):
            knee = -np.dot(kin.rotation[thigh, :, 1, t], moment[shank, :, t]) / unit
            ankle = np.dot(kin.rotation[shank, :, 1, t], moment[foot, :, t]) / unit
            assert results.knee[side, t] == pytest.approx(knee, abs=1e-9)
            assert results.ankle[side, t] == pytest.approx(ankle, abs=1e-9)


def test_momentum_and_centre_of_mass_have_the_stated_derivatives():
    body, h = someone(3), 1e-5
    before, now, after = (
        outcome(body, movement(body, 4, TIMES + dt)[0], NO_LOADS) for dt in (-h, 0, h)
    )

    def slope(get):
        return (get(after) - get(before)) / (2 * h)

    np.testing.assert_allclose(now.momentum_rate, slope(lambda x: x.momentum), atol=1e-6)
    np.testing.assert_allclose(now.com[1], slope(lambda x: x.com[0]), atol=1e-8)
    np.testing.assert_allclose(now.com[2], slope(lambda x: x.com[1]), atol=1e-7)


@pytest.mark.parametrize("seed", [5, 6])
def test_from_above_and_from_below_agree_where_loads_fit(seed):
    body = someone(seed)
    kin, pelvis, angles = movement(body, seed + 1)
    results = outcome(body, kin, fitting_loads(body, kin, pelvis, angles, seed + 2))
    assert abs(results.below.moment).max() > 100
    np.testing.assert_allclose(results.residual.force, 0, atol=1e-9)
    np.testing.assert_allclose(results.residual.moment, 0, atol=1e-9)
    np.testing.assert_allclose(results.balance, 0, atol=1e-9)
    for name in ("point", "force", "moment"):
        above, below = getattr(results.above, name), getattr(results.below, name)
        np.testing.assert_allclose(above, below, atol=1e-9)


def test_from_above_and_from_below_differ_by_the_residual():
    body, loads = someone(0), some_loads(1)
    kin = movement(body, 2)[0]
    results = outcome(body, kin, loads)
    np.testing.assert_allclose(
        results.above.force - results.below.force,
        np.broadcast_to(results.residual.force, (2, 3, 3, 8)),
        atol=1e-9,
    )
    lever = results.com[0] - results.below.point
    expected = results.residual.moment + np.cross(lever, results.residual.force, axis=-2)
    np.testing.assert_allclose(results.above.moment - results.below.moment, expected, atol=1e-9)


def test_a_foots_own_loads_do_not_enter_its_leg_from_above():
    body, kin = someone(0), movement(someone(0), 2)[0]
    first, second = some_loads(1), some_loads(9)
    mixed = Loads(*(np.stack([b[0], a[1]]) for a, b in zip(first, second, strict=True)))
    before, after = (outcome(body, kin, loads).above for loads in (first, mixed))
    np.testing.assert_allclose(after.moment[0], before.moment[0], atol=1e-9)
    assert abs(after.moment[1] - before.moment[1]).max() > 1


def passive(body, links, spin, t):
    """Links held together by balls without friction, let go at rest's posture with spins [n, 3].

    Kane's method: rotations and spins of all links are the coordinates, and the virtual power of
    weight and inertia is zero. With the pelvis among the links the body flies, else what hangs on
    it is hinged to the still pelvis. -> Kinematics at the times t.
    """
    n, flies = len(links), 0 in links
    lead = np.zeros((n, n, 3))  # from the origin of link j onwards to the centre of mass of link i
    for i, link in enumerate(links):
        lead[i, i] = body.com[link]
        while PARENT[link] in links:
            lead[i, links.index(PARENT[link])] = body.joint[link]
            link = PARENT[link]
    mass, inertia = body.segment_mass[links], body.inertia[links]

    def accelerations(turn, w):
        reach = np.einsum("jab,ijb->ija", turn, lead)
        swing = np.cross(w, np.cross(w, reach)).sum(1) + G * UP
        power = -skew(reach).transpose(0, 2, 1, 3).reshape(n, 3, 3 * n)  # c_i' = power_i w
        if flies:
            power = np.concatenate([np.broadcast_to(np.eye(3), (n, 3, 3)), power], axis=2)
        matrix = np.einsum("i,iax,iay->xy", mass, power, power, optimize=True)
        right = -np.einsum("i,iax,ia->x", mass, power, swing, optimize=True)
        for i in range(n):
            at = slice(3 * (i + flies), 3 * (i + flies) + 3)
            world = turn[i] @ np.diag(inertia[i]) @ turn[i].T
            matrix[at, at] += world
            right[at] -= np.cross(w[i], world @ w[i])
        solved = np.linalg.solve(matrix, right).reshape(-1, 3)
        return (solved[0], solved[1:]) if flies else (np.zeros(3), solved)

    def unpack(state):
        return state[:6].reshape(2, 3), state[6 : 6 + 3 * n].reshape(n, 3), state[6 + 3 * n :]

    def rate(_, state):
        pelvis, w, turn = unpack(state)
        turn = turn.reshape(n, 3, 3)
        a, alpha = accelerations(turn, w)
        return np.concatenate([pelvis[1], a, alpha.ravel(), (skew(w) @ turn).ravel()])

    start = np.concatenate([np.zeros(6), np.ravel(spin), np.tile(np.eye(3).ravel(), n)])
    path = solve_ivp(rate, (0, t[-1]), start, "DOP853", t, rtol=1e-10, atol=1e-10)
    still = np.zeros((len(t), 3, 3))
    turns = [(still + np.eye(3), still, still) for _ in range(N)]
    pelvis = [path.y[:3].T, path.y[3:6].T, np.zeros((len(t), 3))]
    jets = [np.zeros((3, len(t), 3, 3)) for _ in links]
    for s, state in enumerate(path.y.T):
        _, w, turn = unpack(state)
        turn = turn.reshape(n, 3, 3)
        pelvis[2][s], alpha = accelerations(turn, w)
        for i in range(n):
            k = skew(w[i])
            jets[i][:, s] = turn[i], k @ turn[i], (skew(alpha[i]) + k @ k) @ turn[i]
    for link, jet in zip(links, jets, strict=True):
        turns[link] = tuple(jet)
    return kinematics(body, pelvis, turns)


def energy(body, kin, links, omega):
    total = 0
    for i in links:
        place, speed = (
            x[i] + np.einsum("abt,b->at", r[i], body.com[i])
            for x, r in ((kin.position, kin.rotation), (kin.velocity, kin.rotation_rate))
        )
        local = np.einsum("bat,bt->at", kin.rotation[i], omega[i])
        total = total + body.segment_mass[i] * ((speed**2).sum(0) / 2 + G * place[2])
        total = total + (body.inertia[i][:, None] * local**2).sum(0) / 2
    return total


def test_passive_legs_hanging_from_the_hips_need_no_moment_and_keep_their_energy():
    body = jax.tree.map(np.asarray, standard(70.0, 1.75, 1.0))
    links = sorted(LEGS[0] + LEGS[1])
    kin = passive(body, links, np.random.default_rng(0).normal(0, 3, (6, 3)), TIMES)
    results = outcome(body, kin, NO_LOADS)
    stored = energy(body, kin, links, results.omega)
    turning = energy(body._replace(segment_mass=0 * body.segment_mass), kin, links, results.omega)
    assert np.ptp(turning) > 0.5  # energy goes to and fro
    np.testing.assert_allclose(stored, stored[0], atol=1e-6)
    np.testing.assert_allclose(results.below.moment, 0, atol=1e-7)
    assert abs(results.below.force).max() > 10


def test_a_limp_body_in_flight_keeps_momentum_and_energy_and_needs_no_moment_or_load():
    body = someone(11)
    kin = passive(body, list(range(N)), np.random.default_rng(1).normal(0, 2, (N, 3)), TIMES)
    results = outcome(body, kin, NO_LOADS)
    stored = energy(body, kin, range(N), results.omega)
    np.testing.assert_allclose(stored, stored[0], atol=1e-6)
    np.testing.assert_allclose(results.momentum, results.momentum[:, :1] * np.ones(8), atol=1e-6)
    assert np.linalg.norm(results.momentum[:, 0]) > 1
    assert abs(results.alpha).max() > 10
    for zero in (
        results.external_force,
        results.momentum_rate,
        results.balance,
        results.below.moment,
        results.above.moment,
        results.upper.arms.moment,
        results.upper.neck.moment,
        results.upper.waist.moment,
        results.residual.force,
        results.residual.moment,
    ):
        np.testing.assert_allclose(zero, 0, atol=1e-7)


def test_a_stiff_tumbling_body_follows_euler():
    body = someone(12)
    places = np.zeros((N, 3))
    for i in range(1, N):
        places[i] = places[PARENT[i]] + body.joint[i]
    centre = body.segment_mass @ (places + body.com) / 70
    arm = places + body.com - centre
    inertia = np.diag(body.inertia.sum(0)) + np.einsum(
        "s,sab->ab", body.segment_mass, skew(arm) @ skew(arm).transpose(0, 2, 1)
    )

    def spin_rate(w):  # in the body
        return np.linalg.solve(inertia, -np.cross(w, inertia @ w))

    def rate(_, state):
        w, turn = state[:3], state[3:].reshape(3, 3)
        return np.r_[spin_rate(w), (turn @ skew(w)).ravel()]

    start = np.r_[3.0, -5.0, 2.0, np.eye(3).ravel()]
    path = solve_ivp(rate, (0, TIMES[-1]), start, "DOP853", TIMES, rtol=1e-10, atol=1e-10)
    spin, turn = path.y[:3].T, path.y[3:].T.reshape(-1, 3, 3)
    k = skew(spin)
    change = skew(np.array([spin_rate(w) for w in spin]))
    jet = (turn, turn @ k, turn @ (k @ k + change))
    # The centre of mass falls freely, the pelvis goes round it.
    fall = (-G / 2 * TIMES[:, None] ** 2 * UP, -G * TIMES[:, None] * UP, -G * UP)
    pelvis = [x - r @ centre for x, r in zip(fall, jet, strict=True)]
    kin = kinematics(body, pelvis, [jet] * N)
    results = outcome(body, kin, NO_LOADS)
    np.testing.assert_allclose(results.external_force, 0, atol=1e-9)
    np.testing.assert_allclose(results.momentum_rate, 0, atol=1e-9)
    constant = np.repeat((inertia @ start[:3])[:, None], 8, 1)
    np.testing.assert_allclose(results.momentum, constant, atol=1e-7)
    assert abs(results.below.moment).max() > 0.1  # a stiff body is not a limp one


def standing():
    """70 kg: foot 1, shank 3, thigh 8 kg each; knees 10 cm forwards of ankles and hips."""
    body = someone(13)
    mass = np.where(np.isin(np.arange(N), np.ravel(LEGS)), 0, 46 / 11)
    com, joint = np.zeros((N, 3)), np.zeros((N, 3))
    for side, leg in enumerate(LEGS):
        mass[leg] = 1, 3, 8
        com[leg] = (0.05, 0, -0.04), (-0.05, 0, -0.2), (0.05, 0, -0.2)
        joint[leg] = (-0.1, 0, -0.4), (0.1, 0, -0.4), (0, 0.1 * (2 * side - 1), 0)
    joint[TRUNK] = 0, 0, 0.1
    body = body._replace(segment_mass=mass, com=com, joint=joint)
    still = np.zeros((8, 3, 3))
    pelvis = (np.tile([2.0, 3.0, 0.88], (8, 1)), np.zeros((8, 3)), np.zeros((8, 3)))
    return body, kinematics(body, pelvis, [(still + np.eye(3), still, still)] * N)


def test_standing_by_hand():
    body, kin = standing()
    cop = np.array([[2.04, 2.9, 0.0], [2.04, 3.1, 0.0]])[..., None] * np.ones(8)
    force = np.array([0, 0, 35 * G])[:, None] * np.ones((2, 1, 8))
    results = outcome(body, kin, Loads(force, cop, np.zeros((2, 8))))
    np.testing.assert_allclose(results.external_force[2], 70 * G)
    for joint, carried in enumerate((34, 31, 23)):  # kg above ankle, knee, hip of one leg
        np.testing.assert_allclose(results.below.force[:, joint, 2], -carried * G)
        np.testing.assert_allclose(results.below.force[:, joint, :2], 0, atol=1e-9)
    np.testing.assert_allclose(results.upper.waist.force[2], 10 * 46 / 11 * G)
    np.testing.assert_allclose(results.upper.neck.force[2], 46 / 11 * G)
    # About y a force up at a lever x forwards turns by -x F. Ankle: ground 35 kg at 4 cm, foot 1 kg
    # at 5 cm in front. Knee 10 cm further forwards: ground at -6, foot at -5, shank at -5 cm.
    ankle, knee = G * (35 * 0.04 - 1 * 0.05), G * (35 * 0.06 - 1 * 0.05 - 3 * 0.05)
    hip = -G * (35 * 0.04 - 1 * 0.05 - 3 * 0.05 - 8 * 0.05)
    np.testing.assert_allclose(results.below.moment[:, 0, 1], ankle)
    np.testing.assert_allclose(results.below.moment[:, 1, 1], -knee)
    np.testing.assert_allclose(results.below.moment[:, 2, 1], -hip)
    np.testing.assert_allclose(results.below.moment[:, :, [0, 2]], 0, atol=1e-9)
    unit = 70 * G * 1.75 / 100
    np.testing.assert_allclose(results.ankle, ankle / unit)  # weight on the forefoot: dorsiflexes
    np.testing.assert_allclose(results.knee, knee / unit)  # ground force behind the knee: flexes
    np.testing.assert_allclose(results.cross, 35 * G * 0.06 / unit)


def test_free_moment_and_friction_reach_the_joints():
    body, kin = standing()
    force = np.zeros((2, 3, 8))
    force[0, 0] = -50  # braking, at the floor below the knee: 48 cm of lever, and it flexes
    cop = np.stack([kin.position[LEGS[0][1]], np.ones((3, 8))])
    cop[0, 2] = 0
    free = np.stack([np.full(8, 7.0), np.zeros(8)])
    results, unloaded = (outcome(body, kin, x) for x in (Loads(force, cop, free), NO_LOADS))
    unit = 70 * G * 1.75 / 100
    np.testing.assert_allclose((results.knee - unloaded.knee)[0], 50 * 0.48 / unit)
    np.testing.assert_allclose(results.cross, [[50 * 0.48 / unit] * 8, [0] * 8])
    change = results.below.moment - unloaded.below.moment
    np.testing.assert_allclose(change[0, 1:, 2], -7, atol=1e-9)
    np.testing.assert_allclose(change[1], 0, atol=1e-9)
    np.testing.assert_allclose(results.balance[2] - unloaded.balance[2], 7 - 50 * 0.1, atol=1e-9)


def test_the_cross_product_rule_gives_the_published_knee_moments(shared_data):
    """Their axes: x right, y forwards, z up; forces are those on the plate; millimetres; 9.81."""
    body, still = standing()
    with h5py.File(shared_data / "tan2022_knee_moment" / "example_data.h5") as file:
        columns = json.loads(file.attrs["columns"])
        subjects = [np.asarray(file[name], np.float64).reshape(-1, len(columns)) for name in file]
    for table in subjects:
        fields = dict(
            zip(columns, table[table[:, columns.index("body weight")] > 0].T, strict=True)
        )

        def vector(name, axes, fields=fields):
            right, forwards, up = (fields[f"{name}_{axis}"] for axis in axes)
            return np.array([forwards, -right, up])

        position = np.zeros((N, 3, len(fields["EXT_KM_X"])))
        position[LEGS[0][1]] = (vector("RFME", "XYZ") + vector("RFLE", "XYZ")) / 2000
        loads = Loads(
            np.array([-vector("plate_2_force", "xyz"), 0 * position[0]]),
            np.array([vector("plate_2_cop", "xyz") / 1000, position[0]]),
            np.zeros((2, position.shape[-1])),
        )
        person = body._replace(mass=fields["body weight"][0], height=fields["body height"][0])
        moments = dynamics.knee_cross_product(person, still._replace(position=position), loads)
        # At the ends of a contact the file's moments are not those of its forces and markers.
        stance = loads.force[0, 2] > 200
        truth = fields["EXT_KM_X"][stance]
        assert stance.sum() > 500 and truth.max() > 4
        np.testing.assert_allclose(moments[0][stance] * G / 9.81, truth, atol=1e-5)


def test_single_precision_is_kept_and_enough_and_people_are_batched():
    bodies = [someone(seed) for seed in (5, 6)]
    moves = [movement(body, 1) for body in bodies]
    loads = [fitting_loads(body, *move, 2) for body, move in zip(bodies, moves, strict=True)]
    cases = [(b, m[0], x) for b, m, x in zip(bodies, moves, loads, strict=True)]
    batch = jax.tree.map(lambda *x: np.stack(x).astype(np.float32), *cases)
    results = jax.jit(jax.vmap(everything))(*batch)
    assert {x.dtype for x in jax.tree.leaves(results)} == {np.dtype(np.float32)}
    truth = jax.tree.map(lambda *x: np.stack(x), *[everything(*case) for case in cases])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-2), results, truth
    )
    assert abs(results["residual"].force).max() < 1e-2  # N, of loads up to 1000 N
    assert abs(results["residual"].moment).max() < 2e-2  # N m
