"""Walking and running against Newton's laws, and the shapes that they are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.soles import foot_points
from helpers.walks import RATE, TURN, arguments, case, knees, stances
from scipy.spatial.transform import Rotation

from imujax.data.recordings import G
from imujax.simulate import balance, body, curves, dynamics, gait, people, skeleton, style
from imujax.simulate.way import heading

KINDS = pytest.mark.parametrize("kind", ["walking", "running"])
WAYS = pytest.mark.parametrize("kind", ["walking", "running", "turning"])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.mark.slow
@WAYS
def test_the_forces_are_mass_times_acceleration_of_the_17_segments(kind):
    c = case(kind)
    force, _ = gait.ground_force(c.walk, jnp.asarray(c.t))
    mass = np.asarray(c.body.segment_mass)
    centre = np.asarray(c.kin.acceleration) + np.einsum(
        "sijt,sj->sit", np.asarray(c.kin.rotation_acc), np.asarray(c.body.com)
    )
    inertial = np.einsum("s,sit->it", mass, centre) + 70.0 * G * np.array([0, 0, 1.0])[:, None]
    assert np.abs(np.asarray(force).sum(0) * 70.0 * G - inertial).max() < 1e-6 * 70.0 * G


@pytest.mark.slow
def test_one_loop_makes_the_walk_that_is_made_piece_by_piece():
    c = case("walking")
    since = jnp.asarray(c.t - c.t[0])
    trace = jax.jit(lambda since: balance.trace_walk(*arguments("walking"), since))
    found, _, loads = trace(since)
    made = balance.loads(c.body, c.walk, jnp.asarray(c.t))
    for expected, values in zip(made, loads, strict=True):
        assert np.abs(expected - values).max() < 1e-6 * np.abs(expected).max()
    for expected, values in zip(c.kin, found, strict=True):
        assert np.abs(expected - values).max() < 1e-6 * np.abs(expected).max()
    straight = c.walk._replace(trunk_correction=jnp.zeros_like(c.walk.trunk_correction))
    uncorrected = people.kinematics(c.body, straight, jnp.asarray(c.t))
    assert np.abs(c.kin.rotation - uncorrected.rotation).max() > 1e-3  # it matters


@WAYS
def test_accelerations_are_those_of_the_positions(kind):
    c = case(kind)
    h = 1e-4
    t = jnp.asarray(c.t)
    # Neighbours at which a foot strikes or leaves have another third derivative.
    steps = [np.asarray(people.kinematics(c.body, c.walk, t + d).velocity) for d in (-h, h)]
    middle = (steps[1] - steps[0]) / (2 * h)
    error = np.abs(middle - np.asarray(c.kin.acceleration)).max((0, 1))
    assert np.percentile(error, 95) < 1e-3 * np.abs(middle).max()


def test_no_force_in_flight_and_the_body_falls():
    c = case("running")
    up = np.asarray(c.loads.force)[:, 2].sum(0)
    flight = up == 0
    assert 0.05 < flight.mean() < 0.45
    _, _, acc = dynamics.centre_of_mass(c.body, c.kin)
    assert np.allclose(np.asarray(acc)[:, flight].T, [0, 0, -G], atol=1e-6)


@KINDS
def test_the_mean_force_is_one_body_weight_over_a_stride(kind):
    c = case(kind, noise=0.0)
    strikes = np.asarray(c.walk.strike)
    t = jnp.linspace(strikes[4], strikes[6], 4001)[:-1]
    force, _ = gait.ground_force(c.walk, t)
    assert np.asarray(force)[:, 2].sum(0).mean() == pytest.approx(1, abs=0.005)
    assert np.asarray(force)[:, :2].sum(0).mean(1) == pytest.approx([0, 0], abs=0.005)


@WAYS
def test_a_standing_foot_rolls_and_does_not_slip(kind):
    """Some point on the ground, below the sole's length, is at rest as a point of the foot."""
    c = case(kind)
    heel, ball, _ = (float(x) for x in curves.sole_shape(c.body))
    omega = np.asarray(dynamics.omega(c.kin))
    prescribed = np.asarray(gait.tracks(c.body, c.walk, jnp.asarray(c.t)).ankle)
    for side, first, last in stances(c):
        pad = int(float(c.walk.style.pulse[2]) * RATE) + 2  # heel and shoe are pressed
        now = slice(first + pad, last - 1)
        i = skeleton.PAIR["foot"] + side
        ankle, speed = (np.asarray(x)[i][:, now] for x in (c.kin.position, c.kin.velocity))
        # A leg that would be too straight is drawn in: by millimetres, and hardly ever.
        drawn = np.linalg.norm(ankle - prescribed[side][:, now], axis=0)
        assert drawn.max() < 2.5e-3
        free = drawn < 1e-12
        assert free.mean() > 0.6
        left = np.asarray(c.kin.rotation)[i][:, 1, now]  # across the plane in which the foot rolls
        line = np.cross(left, np.array([0, 0, 1.0])[:, None], axis=0)
        line = line / np.linalg.norm(line, axis=0)  # in which that plane meets the ground
        up = np.cross(line, left, axis=0)
        below = -ankle[2] / up[2] * up  # from the ankle
        turn = omega[i][:, now]
        sliding = speed + np.cross(turn, below, axis=0)
        ahead = np.cross(turn, line, axis=0)  # what a metre further along the line adds
        squared = (ahead**2).sum(0)
        place = -(sliding * ahead).sum(0) / squared
        slip = np.linalg.norm(sliding + place * ahead, axis=0)
        rolls = free & (squared > 0.05**2)
        assert rolls.mean() > 0.3 and slip[rolls].max() < 1e-6
        assert heel - 1e-9 < place[rolls].min() and place[rolls].max() < ball + 1e-9
        assert np.linalg.norm(sliding, axis=0)[free & ~rolls].max(initial=0) < 0.05 * 0.2


def heights_of_soles(c) -> np.ndarray:
    """Heel, ball and tip of the toes [3, 2, T] m above the ground of each foot's last foothold."""
    foothold = np.asarray(c.walk.foothold)[:, gait.foot_contacts(c.walk, jnp.asarray(c.t))]
    ahead, _, up = foot_points(c).transpose(2, 1, 0, 3) - foothold[:, None]
    tilt = float(c.walk.way.tilt)
    return up * np.cos(tilt) - ahead * np.sin(tilt)


@WAYS
def test_no_point_of_a_foot_is_below_the_ground(kind):
    above = heights_of_soles(case(kind))
    assert (above.min((1, 2)) > -1e-3).all()
    assert (above.min((1, 2)) < 0.03).all()  # nor is one that never comes down


def turned_feet(person, turn: Rotation) -> skeleton.Kinematics:
    """Kinematics [T] of which only the feet's places and attitudes are used."""
    rotation = np.tile(np.moveaxis(turn.as_matrix(), 0, -1), (17, 1, 1, 1))
    place = np.random.default_rng(0).normal(size=(17, 3, len(turn)))
    return skeleton.Kinematics(place, place, place, rotation, rotation, rotation)


@pytest.mark.parametrize(
    ("pitch", "bend"), [(-20, 0), (0, 0), (25, 25), (60, 60), (85, 70), (110, 50), (170, 0)]
)
def test_toes_are_hinged_at_the_ball(pitch, bend):
    """The ball on the ground: as far as they lie on it, 70 degrees at most, none on the instep."""
    person = body.standard(70.0, 1.75, 0.5)
    yaw = np.arange(-60.0, 61, 30)
    turn = Rotation.from_euler("ZY", np.stack([yaw, np.full(5, pitch)], 1), degrees=True)
    kin = turned_feet(person, turn)
    feet = slice(skeleton.PAIR["foot"], skeleton.PAIR["foot"] + 2)
    joint = kin.position[feet] + turn.apply(np.array(person.ball[0])).T
    ball, tip = (
        skeleton.toe_points(person, kin, p, joint[:, 2]) for p in (person.ball, person.toe)
    )
    np.testing.assert_allclose(ball, joint, atol=1e-12)
    toes = turn * Rotation.from_euler("Y", -bend, degrees=True)
    straight = np.array(person.toe - person.ball)[0]
    np.testing.assert_allclose(tip - ball, [toes.apply(straight).T] * 2, atol=1e-12)


def test_toes_lie_on_a_slope_and_straighten_above_it():
    person = body.standard(70.0, 1.75, 0.5)
    kin = turned_feet(person, Rotation.from_euler("y", [[20.0], [50.0]], degrees=True))

    def toes(above):
        ball = skeleton.toe_points(person, kin, person.ball)
        return skeleton.toe_points(person, kin, person.toe, ball[:, 2] - above, 0.2) - ball

    ahead, left, up = np.moveaxis(np.asarray(toes(0.0)), 1, 0)
    np.testing.assert_allclose(up, 0.2 * ahead, atol=1e-12)
    np.testing.assert_allclose(left, 0, atol=1e-12)
    assert (ahead > 0.06).all()
    ahead, _, up = np.moveaxis(np.asarray(toes(0.02)), 1, 0)  # the tip is where the ground is
    np.testing.assert_allclose(up, 0.2 * ahead - 0.02, atol=1e-12)
    straight = np.asarray(kin.rotation)[skeleton.PAIR["foot"]][:, 0] * 0.26 * 0.152 * 1.75
    np.testing.assert_allclose(toes(0.2), [straight] * 2, rtol=1e-5)


def test_legs_are_not_pulled_straight():
    """Of a leg that is almost straight the knee is flung about: accelerations tell."""
    # Walking: 3 g (bone pins, Lafortune 1991); running: 11 g and more at the tibia (the same).
    for kind, most in (("walking", 12), ("running", 35)):
        acc = np.asarray(case(kind).kin.acceleration)[skeleton.PAIR["shank"] :][:4]
        assert np.linalg.norm(acc, axis=1).max() < most * G


def test_walkers_do_not_crouch():
    # Schwartz et al. 2008: half of the stride the knee is straighter than 18 degrees.
    assert np.median(knees(case("walking", 1.26))) < 30
    assert np.median(knees(case("walking", 1.26, noise=0.0))) < 24


@WAYS
def test_the_moments_nearly_balance(kind):
    """What is left over, in body weights times metres, about each axis, of an average person.

    The README of the builder has whole sets, as launch/moment_balance.py measures them.
    """
    c = case(kind)
    excess = np.abs(np.asarray(dynamics.moment_excess(c.body, c.kin, c.loads))) / (70.0 * G)
    nominal = balance.nominal_loads(c.body, c.walk, jnp.asarray(c.t))
    nominal = np.abs(np.asarray(dynamics.moment_excess(c.body, c.kin, nominal))) / (70.0 * G)
    share, most = {"walking": (0.5, 0.05), "running": (0.9, 0.30), "turning": (0.5, 0.08)}[kind]
    assert np.median(excess) < share * np.median(nominal)
    assert np.percentile(excess, 90, axis=1).max() < most


@WAYS
def test_the_pressure_is_moved_within_its_limits(kind):
    """As the README of the builder states them; nowhere but along the foot and across it."""
    c = case(kind)
    nominal = balance.nominal_loads(c.body, c.walk, jnp.asarray(c.t))
    shift = np.asarray(c.loads.cop) - np.asarray(nominal.cop)
    now = heading(c.walk.way, c.walk.strike, jnp.asarray(c.t))
    back = Rotation.from_euler("z", -np.asarray(now)[:, None])
    shift = np.abs([back.apply(one.T).T for one in shift])
    assert 0.02 < shift[:, 0].max() < 0.045 + 1e-9
    assert 0.01 < shift[:, 1].max() < 0.025 + 1e-9
    assert shift[:, 2].max() < 1e-9
    if kind == "walking":  # under the toes, not before them
        presses = np.asarray(c.loads.force)[:, 2] > 0.05 * 70.0 * G
        before = np.asarray(c.loads.cop)[:, 0] - foot_points(c)[:, 2, 0]
        assert before[presses].max() < 0.01


def test_from_above_is_from_below_where_the_moments_balance():
    c = case("walking")
    excess = np.abs(np.asarray(dynamics.moment_excess(c.body, c.kin, c.loads))).max(0)
    below = dynamics.joints_from_below(c.body, c.kin, c.loads)
    above = dynamics.legs_from_above(c.body, c.kin, c.loads)
    force = np.asarray(below.force) - np.asarray(above.force)
    moment = np.asarray(below.moment) - np.asarray(above.moment)
    assert np.abs(force).max() < 1e-5  # N, of 700
    assert (np.abs(moment).max((0, 1, 2)) <= 2 * excess + 1e-6).all()


def test_who_turns_goes_round_as_the_force_to_the_middle_has_it():
    """F = m v omega towards the middle, and the pelvis, the feet and the head turn with the way."""
    c = case("turning", noise=0.0)
    strikes = np.asarray(c.walk.strike)
    t = jnp.linspace(strikes[12], strikes[14], 4001)[:-1]  # where nobody slows down any more
    force, _ = gait.ground_force(c.walk, t)
    turned = np.asarray(heading(c.walk.way, c.walk.strike, t))
    ahead, left, up = np.asarray(force).sum(0)
    inwards = (left * np.cos(turned) - ahead * np.sin(turned)).mean()
    omega = (turned[-1] - turned[0]) / float(t[-1] - t[0])
    assert omega == pytest.approx(2 * TURN / (strikes[14] - strikes[12]), rel=0.01)
    assert inwards * G == pytest.approx(1.2 * omega, rel=0.02)
    assert up.mean() == pytest.approx(1, abs=0.01)
    for name in ("pelvis", "trunk", "head", "foot_r", "foot_l"):
        forwards = np.asarray(c.kin.rotation)[body.INDEX[name]][:2, 0]
        turns = np.unwrap(np.arctan2(forwards[1], forwards[0]))
        now = np.asarray(heading(c.walk.way, c.walk.strike, jnp.asarray(c.t)))
        assert np.abs(turns - now).max() < 0.6  # feet stand while the body turns
        assert np.ptp(turns) == pytest.approx(np.ptp(now), abs=0.6)


def test_a_walk_another_way_is_the_same_walk():
    """Turned before anybody looks: the same forces and movements, about the vertical."""
    person, shape, way, *rest = arguments("walking")
    count = rest[1].step.shape[0]
    turn = jnp.zeros(count).at[0].set(1.0)
    turned = balance.make_walk(person, shape, way._replace(turn=turn), *rest, people.kinematics)
    straight = case("walking")
    t = jnp.asarray(straight.t[straight.t > straight.t[0] + 1.5])
    there, here = (people.kinematics(person, w, t) for w in (turned, straight.walk))
    turn = Rotation.from_euler("z", 1.0).as_matrix()
    there, here = (np.asarray(x.acceleration) for x in (there, here))
    assert np.abs(there - np.einsum("ij,sjt->sit", turn, here)).max() < 0.02 * np.abs(here).max()


def test_who_slows_down_is_slower():
    c = case("turning", noise=0.0)
    _, velocity, _ = dynamics.centre_of_mass(c.body, c.kin)
    speed = np.linalg.norm(np.asarray(velocity)[:2], axis=0)
    strikes = np.asarray(c.walk.strike)
    slow, quick = (speed[np.searchsorted(c.t, strikes[k])] for k in (7, 10))
    assert slow / quick == pytest.approx((2 / 3) / 0.95, abs=0.07)


def test_steps_differ_and_a_still_noise_makes_them_equal():
    varied, same = case("walking"), case("walking", noise=0.0)
    spread = [np.diff(np.asarray(c.walk.strike))[:-1].std() for c in (varied, same)]
    assert 0.003 < spread[0] < 0.02 and spread[1] < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("ground", [(0.1, np.arctan(0.1)), (-0.1, -np.arctan(0.1)), (0.25, 0.0)])
def test_feet_stand_on_slopes_and_stairs(ground):
    c = case("walking", 0.9, ground=ground)
    foot = np.asarray(c.walk.foothold)
    assert np.allclose(foot[2], ground[0] * foot[0], atol=1e-9)
    path = np.asarray(dynamics.centre_of_mass(c.body, c.kin)[0])
    assert np.polyfit(path[0], path[2], 1)[0] == pytest.approx(ground[0], abs=0.02)
    number = np.asarray(gait.foot_contacts(c.walk, jnp.asarray(c.t)))
    stands = c.t < np.asarray(c.walk.strike + c.walk.stance)[number]
    assert heights_of_soles(c)[:, stands].min() > -1e-3


def test_the_sole_is_rolled_over_without_slipping():
    """d(forwards)/d(pitch) = height, for any shape: against numerical quadrature of the height."""
    from scipy.integrate import quad

    sole = curves.Sole(*(jnp.asarray(x) for x in (-0.06, 0.13, 0.07)))
    for pitch in (-0.5, -0.02, 0.3, 1.2):
        along, up = curves.roll_ankle(sole, jnp.asarray(pitch))
        area, _ = quad(lambda p: float(curves.roll_ankle(sole, jnp.asarray(p))[1]), 0, pitch)
        assert float(along) == pytest.approx(area, abs=1e-9)
        corner = max(x * np.sin(pitch) + 0.07 * np.cos(pitch) for x in (-0.06, 0.13))
        assert corner < float(up) < corner + 0.007


def test_impulses_are_integrals_of_the_force():
    from scipy.integrate import cumulative_simpson

    t = np.linspace(0, 0.9, 9001)
    first, second = curves.impulses(jnp.full_like(jnp.asarray(t), 0.6), 4, jnp.asarray(t))
    hit = curves.pulse_impulses(0.05, jnp.asarray(t))
    for n in range(4):
        force = np.where(t < 0.6, np.sin((n + 1) * np.pi * t / 0.6), 0)
        once = cumulative_simpson(force, x=t, initial=0)
        assert np.allclose(first[n], once, atol=1e-7)
        assert np.allclose(second[n], cumulative_simpson(once, x=t, initial=0), atol=1e-7)
    force = np.where(t < 0.05, (1 - np.cos(2 * np.pi * t / 0.05)) / 2, 0)
    once = cumulative_simpson(force, x=t, initial=0)
    assert np.allclose(hit[0], once, atol=1e-9)
    assert np.allclose(hit[1], cumulative_simpson(once, x=t, initial=0), atol=1e-9)


def test_the_spline_is_scipys():
    from scipy.interpolate import BSpline

    rng = np.random.default_rng(0)
    coefficients = rng.normal(size=12)
    at = np.linspace(0, 5.999, 50)
    expected = BSpline(np.arange(-5, 13), coefficients, 5)(at)
    values = curves.spline(jnp.asarray(coefficients), jnp.asarray(at))
    assert np.allclose(values, expected, atol=1e-12)


def test_two_styles_of_one_table_scale_with_the_leg():
    short, tall = (body.standard(70.0, h, 0.5) for h in (1.5, 1.8))
    ratio = 1.8 / 1.5
    slow, fast = (
        style.make_style("walking", b, jnp.asarray(v), style.average_manner())
        for b, v in ((short, 1.2), (tall, 1.2 * np.sqrt(ratio)))
    )
    assert float(fast.step / slow.step) == pytest.approx(np.sqrt(ratio))
    assert np.allclose(fast.swing, ratio * slow.swing)
    assert np.allclose(fast.force, slow.force)
    assert float(fast.height / slow.height) == pytest.approx(ratio)
