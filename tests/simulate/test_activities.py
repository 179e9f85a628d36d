"""Everyday movements against laws of motion, the limits of joints, SciPy, and real recordings."""

import re
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import BSpline

from imujax.data.recordings import G
from imujax.errors import UserError
from imujax.simulate import activities, scores, skeleton
from imujax.simulate import body as bodies
from imujax.simulate.body import INDEX

RATE, SECONDS, PEOPLE = 100, 10.0, 4
T = np.arange(int(SECONDS * RATE)) / RATE
NAMES = scores.MOVEMENTS
ON_THE_FLOOR = ("crawling", "cross-legged sitting")


class Observed(NamedTuple):
    """Of one performance; time last."""

    kinematics: skeleton.Kinematics
    tracks: skeleton.Tracks
    height: jax.Array  # [2, T]
    sole: jax.Array  # heel, ball and tip of the toes of right and left [2, 3, 3, T]
    tips: jax.Array  # of the hands [2, 3, T]
    weight: jax.Array  # acceleration of the centre of mass [3, T]
    acc: jax.Array  # in segment axes at the segments' origins [17, 3, T]
    gyr: jax.Array


@jax.jit
def observe(person, movement, t) -> Observed:
    kin = skeleton.kinematics(
        person, lambda time: activities.tracks(person, movement, time), t, root_is_com=False
    )

    def point(segment, place):
        return kin.position[segment] + jnp.einsum("ijt,j->it", kin.rotation[segment], place)

    feet, hands = (INDEX["foot_r"], INDEX["foot_l"]), (INDEX["hand_r"], INDEX["hand_l"])
    sole = [[point(f, p[s]) for s, f in enumerate(feet)] for p in (person.heel, person.ball)]
    sole.append(skeleton.toe_points(person, kin, person.toe))
    centre = kin.acceleration + jnp.einsum("sijt,sj->sit", kin.rotation_acc, person.com)
    felt = kin.acceleration + G * jnp.array([0.0, 0.0, 1.0])[:, None]
    spin = jnp.einsum("sjit,sjkt->sikt", kin.rotation, kin.rotation_rate)
    return Observed(
        kinematics=kin,
        tracks=activities.tracks(person, movement, t),
        height=activities.sole_height(movement, t),
        sole=jnp.stack([jnp.stack(list(points)) for points in sole], 1),
        tips=jnp.stack([point(h, 2 * person.com[h]) for h in hands]),
        weight=jnp.einsum("s,sit->it", person.segment_mass, centre) / person.mass,
        acc=jnp.einsum("sjit,sjt->sit", kin.rotation, felt),
        gyr=jnp.stack([spin[:, 2, 1], spin[:, 0, 2], spin[:, 1, 0]], 1),
    )


@partial(jax.jit, static_argnums=3)
def everybody(keys, people, number, seconds):
    """One movement by all people, each in an own way -> Seen with a leading axis."""
    times = jnp.asarray(T, people.mass.dtype)

    def perform_one(key, person):
        movement = activities.perform(key, person, number, seconds)
        return observe(person, movement, times)

    return jax.vmap(perform_one)(keys, people)


def crowd(count=PEOPLE):
    people = bodies.random_people(jax.random.key(11), count)
    return jax.random.split(jax.random.key(12), count), people


@cache
def observed(name: str) -> Observed:
    """The movement `name` by PEOPLE people, in float64, as NumPy arrays [PEOPLE, ...]."""
    with jax.enable_x64(True):
        keys, people = crowd()
        return jax.tree.map(np.asarray, everybody(keys, people, NAMES.index(name), SECONDS))


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def one_performance(name, number=0, key=3):
    """-> body, movement of one person."""
    person = jax.tree.map(lambda x: x[number], crowd()[1])
    return person, activities.perform(jax.random.key(key), person, name, SECONDS)


def angle_between(a, b):
    """Angle [...] of vectors along axis -2."""
    cosine = (a * b).sum(-2) / np.linalg.norm(a, axis=-2) / np.linalg.norm(b, axis=-2)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_the_names_are_those_of_the_data_set():
    assert len(scores.NAMES) == len(set(scores.NAMES)) == 21
    assert len(NAMES) == 19
    assert set(scores.NAMES) - set(NAMES) == {"walking", "jogging"}
    with pytest.raises(UserError, match=re.escape("imujax.simulate.gait")):
        activities.movement_number("jogging")
    with pytest.raises(UserError, match="hand clapping"):
        activities.movement_number("clapping")


@pytest.mark.parametrize("name", NAMES)
def test_it_begins_and_ends_in_standing(name):
    now = observed(name)
    root = now.kinematics.position[:, 0]
    sole = now.sole[:, :, :, 2].min((1, 2))
    for part in (slice(0, 15), slice(-15, None)):
        straight = (root[:, 2, part] / now.kinematics.position[:, 2, 2, part]).min()
        assert straight > 0.55  # hips over half way to the neck
        assert np.abs(now.kinematics.velocity[:, :3, :, part]).max() < 0.15
        assert np.abs(sole[:, part]).max() < 0.01
    assert np.isfinite(now.acc).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_foot_that_stands_does_not_move(name):
    now = observed(name)
    is_standing = np.abs(now.height) == 0
    is_unturned = np.abs(np.diff(now.tracks.foot, axis=-1)).max(2) < 1e-7
    still = is_standing[..., 1:] & is_standing[..., :-1] & is_unturned
    assert still.any((1, 2)).all()
    # Of a crawler it is the knee that has no height, and the feet move with the shanks.
    if name != "crawling":
        step = np.linalg.norm(np.diff(now.sole, axis=-1), axis=3).max(2)
        assert step[still].max() < 1e-6  # m in 10 ms


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ON_THE_FLOOR])
def test_a_foot_that_rolls_on_its_ball_does_not_slip(name):
    now = observed(name)
    for person in range(PEOPLE):
        for side in range(2):
            ball = now.sole[person, side, 1]
            pitched = now.tracks.foot[person, side, 1] > 0.05
            is_rolling = (now.height[person, side] == 0) & pitched
            runs = np.split(np.arange(is_rolling.size), np.flatnonzero(np.diff(is_rolling)) + 1)
            for run in runs:
                if is_rolling[run[0]]:
                    assert np.ptp(ball[:, run], axis=1).max() < 0.008  # the sole is rounded


@pytest.mark.parametrize("name", NAMES)
def test_knees_and_elbows_bend_as_they_can(name):
    now = observed(name)
    at = now.kinematics.position
    for side in "rl":
        hip, knee, ankle = (at[:, INDEX[f"{s}_{side}"]] for s in ("thigh", "shank", "foot"))
        angle = angle_between(knee - hip, ankle - knee)
        assert angle.min() > 5
        assert angle.max() < 160
        # Bent forwards: the shank leaves the thigh's line towards the thigh's back.
        front = now.kinematics.rotation[:, INDEX[f"thigh_{side}"], :, 0]
        assert ((ankle - knee) * front).sum(1).max() < 0
        arms = (f"upper_arm_{side}", f"forearm_{side}", f"hand_{side}")
        shoulder, elbow, wrist = (at[:, INDEX[s]] for s in arms)
        angle = angle_between(elbow - shoulder, wrist - elbow)
        assert angle.min() > 1
        assert angle.max() < 155
        front = now.kinematics.rotation[:, INDEX[f"upper_arm_{side}"], :, 0]
        assert ((wrist - elbow) * front).sum(1).min() > 0


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_below_the_floor(name):
    now = observed(name)
    assert now.sole[..., 2, :].min() > -0.01
    for points in (now.kinematics.position[:, :, 2], now.tips[..., 2, :]):
        assert points.min() > -0.02
    knees = now.kinematics.position[:, [INDEX["shank_r"], INDEX["shank_l"]], 2]
    assert knees.min() > 0.01  # their centres


@pytest.mark.parametrize("name", NAMES)
def test_the_floor_pushes_and_does_not_pull(name):
    force = observed(name).weight[:, 2] / G + 1  # body weights
    assert force.min() > -0.05
    assert force.max() < 4
    assert abs(force.mean() - 1) < 0.005  # it stands where it stood


def test_in_flight_the_centre_of_mass_falls_freely():
    now = observed("vertical jumping")
    up = (now.height > 0.001).all(1)
    edges = np.diff(up.astype(int), axis=-1)
    assert (edges > 0).sum() >= PEOPLE
    for person in range(PEOPLE):
        for begin, end in zip(
            np.flatnonzero(edges[person] > 0), np.flatnonzero(edges[person] < 0), strict=True
        ):
            inside = slice(begin + 9, end - 9)  # the splines round off 75 ms at both ends
            weight = now.weight[person, :, inside]
            assert np.abs(weight - [[0], [0], [-G]]).max() < 0.5
            assert np.sqrt(((weight[2] + G) ** 2).mean()) < 0.1
            assert np.abs(now.kinematics.acceleration[person, 0, 2, inside] + G).max() < 2.5
            # The feet go with it: a parabola.
            parabola = np.polyfit(T[inside], now.height[person, 0, inside], 2)
            assert parabola[0] == pytest.approx(-G / 2, rel=0.01)


def largest_norm(values, segments):
    """Largest norm [PEOPLE, segments] over time."""
    return np.linalg.norm(values[:, [INDEX[s] for s in segments]], axis=2).max(-1)


def test_accelerations_are_those_of_people():
    # SisFall (Sucerquia et al. 2017), unit at the waist, largest norm of a trial, 10 to 90 % of
    # 38 and 24 people: sitting down slowly on a half high chair 1.2 to 1.5 g, jumping up to reach
    # for something 3.5 to 6.1 g with what the unit on its belt adds, least norm .02 to .10 g.
    assert np.all(largest_norm(observed("sitting down").acc, ["pelvis"]) / G < 1.7)
    jump = observed("vertical jumping").acc
    assert np.all(np.abs(largest_norm(jump, ["pelvis"]) / G - 3.5) < 1)
    assert np.linalg.norm(jump[:, 0], axis=1).min() / G < 0.15
    wrists = largest_norm(observed("hand clapping").acc, ["hand_r", "hand_l"]) / G
    assert np.all((wrists > 2) & (wrists < 6))
    quiet = ("pointing", "hand waving", "checking watch", "taking photo", "phone talking")
    for name in quiet:
        assert np.all(largest_norm(observed(name).acc, ["pelvis"]) / G < 1.2)
        assert np.all(largest_norm(observed(name).gyr, ["forearm_r", "forearm_l"]).max(1) > 1)
    for name in NAMES:
        assert np.all(largest_norm(observed(name).acc, bodies.SEGMENTS) / G < 16)
        assert np.all(largest_norm(observed(name).gyr, bodies.SEGMENTS) < 30)


def test_derivatives_are_those_of_the_path(x64):
    """Against central differences of the positions and rotations; continuous across the knots."""
    person, movement = one_performance("throw/catch")
    h = 1e-4
    t = jnp.asarray(np.linspace(1, 9, len(T)))
    now, late, early = (observe(person, movement, t + d).kinematics for d in (0, h, -h))
    for value, rate, second in (
        ("position", "velocity", "acceleration"),
        ("rotation", "rotation_rate", "rotation_acc"),
    ):
        at, after, before = (np.asarray(getattr(k, value)) for k in (now, late, early))
        np.testing.assert_allclose(getattr(now, rate), (after - before) / (2 * h), atol=2e-5)
        bent = (after - 2 * at + before) / h**2
        np.testing.assert_allclose(getattr(now, second), bent, atol=2e-3)
    knots = jnp.asarray(np.resize(np.arange(1, 300) * activities.KNOT_STEP, len(T)))
    before, after = (observe(person, movement, knots + d).kinematics for d in (-1e-9, 1e-9))
    np.testing.assert_allclose(before.acceleration, after.acceleration, atol=1e-5)
    np.testing.assert_allclose(before.rotation_acc, after.rotation_acc, atol=1e-5)


def test_tracks_are_quintic_splines(x64):
    person, movement = one_performance("dancing")
    knots = (np.arange(movement.track.shape[1] + 6) - 5) * activities.KNOT_STEP
    oracle = BSpline(knots, np.asarray(movement.track).T, 5)
    t = np.random.default_rng(0).uniform(0, SECONDS, 200)
    tracks = activities.tracks(person, movement, jnp.asarray(t))
    flat = np.concatenate([np.asarray(x).reshape(-1, 200) for x in tracks[:11]])
    np.testing.assert_allclose(flat, oracle(t).T, atol=1e-12)


def test_a_held_pose_is_held(x64):
    """From pose to pose without overshoot, also where a pose is held not quite still."""
    random = np.random.default_rng(1)
    poses = np.repeat(random.normal(size=(20, scores.D)), 2, axis=0)
    poses[1::2] += random.normal(size=(20, scores.D)) * 0.01
    times = np.cumsum(random.uniform(0.3, 0.8, 40))
    grid = np.linspace(times[0], times[-1], 2000)
    approach = np.full(40, scores.SMOOTH)
    path, _ = activities._interpolate_poses(*map(jnp.asarray, (times, poses, approach, 10.0, grid)))
    index = np.searchsorted(times, grid, side="right") - 1
    index = np.minimum(index, 38)
    low, high = (f(poses[index], poses[index + 1]).T for f in (np.minimum, np.maximum))
    overshoot = np.maximum(low - path, np.asarray(path) - high)
    assert overshoot.max() < 0.03
    values_at_poses = np.array([np.interp(times, grid, row) for row in np.asarray(path)]).T
    np.testing.assert_allclose(values_at_poses, poses, atol=0.01)


def test_movements_differ_from_each_other():
    """A nearest centroid on spreads and means of 17 sensors, taught on the other people."""
    features = []
    for name in NAMES:
        now = observed(name)
        parts = [np.log(x.std(-1) + 0.05).reshape(PEOPLE, -1) for x in (now.acc, now.gyr)]
        features.append(np.concatenate([*parts, now.acc.mean(-1).reshape(PEOPLE, -1) / G], 1))
    features = np.stack(features)  # [19, PEOPLE, F]
    hits = 0
    for person in range(PEOPLE):
        others = np.delete(features, person, axis=1)
        scale = others.reshape(-1, others.shape[-1]).std(0)
        centroids = others.mean(1) / scale
        for number in range(len(NAMES)):
            far = np.linalg.norm(features[number, person] / scale - centroids, axis=1)
            hits += far.argmin() == number
    assert hits / features[..., 0].size > 0.8


def test_the_same_key_is_the_same_movement():
    person, movement = one_performance("dancing")
    _, again = one_performance("dancing")
    _, other = one_performance("dancing", key=4)
    _, other_person = one_performance("dancing", number=1)
    assert np.array_equal(movement.track, again.track)
    for different in (other, other_person):
        assert np.abs(movement.track - different.track).max() > 0.05
    number = activities.perform(jax.random.key(3), person, NAMES.index("dancing"), SECONDS)
    assert np.array_equal(movement.track, number.track)


def test_a_manner_is_kept():
    person = jax.tree.map(lambda x: x[0], crowd()[1])
    first, second = (activities.random_manner(jax.random.key(i)) for i in (5, 6))
    average = activities.random_manner(jax.random.key(5), 0.0)
    assert np.ptp(average.size) == 0
    assert average.slow == 1

    def stance(manner, key):
        movement = activities.perform(jax.random.key(key), person, "pointing", SECONDS, manner)
        return np.asarray(activities.tracks(person, movement, jnp.zeros(1)).ankle)[:, 1, 0]

    width = [[np.diff(stance(m, key))[0] for key in (1, 2)] for m in (first, second)]
    np.testing.assert_allclose(*np.transpose(width), atol=1e-6)
    assert abs(width[0][0] - width[1][0]) > 0.001


def test_both_hands_get_their_turn():
    """One-handed movements are done with the right or the left, and those of `both` with both."""
    person = jax.tree.map(lambda x: x[0], crowd()[1])

    def busy(name, key):
        movement = activities.perform(jax.random.key(key), person, name, SECONDS)
        elbow = activities.tracks(person, movement, jnp.asarray(T)).elbow[:, 0]
        return np.ptp(np.asarray(elbow), axis=1) > 0.8

    waving = [busy("hand waving", key) for key in range(8)]
    assert all(hands.sum() == 1 for hands in waving)
    assert 0 < sum(hands[0] for hands in waving) < 8
    kicks = observed("kicking").height.max(-1)
    assert kicks.min() > 0.1


def test_single_and_double_precision_agree():
    number = NAMES.index("crawling")
    keys, people = crowd()
    single = everybody(keys, people, number, SECONDS)
    with jax.enable_x64(True):
        people = jax.tree.map(lambda x: x.astype(jnp.float64), jax.tree.map(np.asarray, people))
        double = everybody(keys, people, number, SECONDS)
    assert single.acc.dtype == jnp.float32
    assert double.acc.dtype == jnp.float64
    np.testing.assert_allclose(single.tracks.root, double.tracks.root, atol=2e-5)
    np.testing.assert_allclose(single.acc, double.acc, atol=0.1)
    np.testing.assert_allclose(single.gyr, double.gyr, atol=0.01)
    assert np.sqrt(((single.acc - np.asarray(double.acc)) ** 2).mean()) < 0.005


def test_a_batch_is_its_members(x64):
    keys, people = crowd()
    for number in (0, 8):
        batch = jax.vmap(lambda k, p, n=number: activities.perform(k, p, n, SECONDS))(keys, people)
        for i in range(2):
            person = jax.tree.map(lambda x, i=i: x[i], people)
            movement = activities.perform(keys[i], person, number, SECONDS)
            np.testing.assert_allclose(batch.track[i], movement.track, atol=1e-9)


def test_a_short_one_is_a_piece_of_a_whole_one():
    person = jax.tree.map(lambda x: x[0], crowd()[1])
    full, piece = (
        np.asarray(activities.perform(jax.random.key(7), person, "sitting down", s).track)
        for s in (scores.FULL_SECONDS, 4.0)
    )
    assert piece.shape[1] == 4 / activities.KNOT_STEP + 6
    starts = range(full.shape[1] - piece.shape[1] + 1)
    differences = [np.abs(full[:, i : i + piece.shape[1]] - piece).max() for i in starts]
    assert min(differences) < 1e-4
