"""Sensors against laws of motion, SciPy's integrators and rotations, and cases known by hand."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import cumulative_simpson, solve_ivp
from scipy.interpolate import CubicSpline
from scipy.signal import lsim, welch
from scipy.spatial.transform import Rotation

from imujax.data.recordings import G
from imujax.simulate import sensors
from imujax.simulate.body import INDEX, SEGMENTS, standard
from imujax.simulate.skeleton import Kinematics

SILENT = {"noise": 0.0, "bias": 0.0, "drift": 0.0, "drift_time": 1.0, "scale": 0.0, "cross": 0.0}
SILENT |= {"range": 1000.0, "bits": 40}
LENGTH = 4001  # of most signals: what is compiled once serves many tests
STILL = {"place": 0.0, "turn": 0.0, "wobble": 0.0, "strap": 0.0}


class Body(NamedTuple):
    com: jax.Array
    joint: jax.Array


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def body(dtype=jnp.float64):
    """Lengths of a person in round numbers, in the order of the segments."""
    joint = np.zeros((17, 3))
    joint[[1, 2]] = [[0, 0, 0.1], [0, 0, 0.5]]
    joint[[3, 4, 5, 6, 7, 8]] = [[0, s * 0.08, 0] for s in (-1, 1)] + 4 * [[0, 0, -0.4]]
    joint[[9, 10]] = [[0, s * 0.02, 0.4] for s in (-1, 1)]
    joint[[11, 12]] = [[0, s * 0.16, 0.0] for s in (-1, 1)]
    joint[[13, 14, 15, 16]] = [[0, 0, -0.3]] * 2 + [[0, 0, -0.25]] * 2
    com = np.tile([0.0, 0.0, -0.15], (17, 1))
    com[[2, 7, 8]] = [[0, 0, 0.12], [0.05, 0, -0.04], [0.05, 0, -0.04]]
    return Body(jnp.asarray(com, dtype), jnp.asarray(joint, dtype))


@jax.jit
def tumbling(t, speed=1.0):
    """17 frames that turn over and fly about, each its own way; t [T] s."""
    rng = np.random.default_rng(0)
    size, phase = rng.normal(size=(2, 17, 6, 3, 1))
    omega = jnp.asarray(speed * rng.uniform(2, 12, size=(17, 6, 3, 1)), t.dtype)
    size, phase = jnp.asarray(size, t.dtype), jnp.asarray(phase, t.dtype)
    turns = jnp.asarray(speed * rng.normal(size=(17, 3, 1)), t.dtype)

    def at(t):
        waves = (size * jnp.sin(omega * t + 3 * phase)).reshape(17, 6, 3, -1)
        x, y, z = jnp.moveaxis(0.3 * waves[:, :3].sum(1) + turns * t, 1, 0)
        one, nil = jnp.ones_like(x), jnp.zeros_like(x)

        def matrix(*rows):
            return jnp.stack([jnp.stack(row, 1) for row in rows], 1)

        rx = matrix((one, nil, nil), (nil, jnp.cos(x), -jnp.sin(x)), (nil, jnp.sin(x), jnp.cos(x)))
        ry = matrix((jnp.cos(y), nil, jnp.sin(y)), (nil, one, nil), (-jnp.sin(y), nil, jnp.cos(y)))
        rz = matrix((jnp.cos(z), -jnp.sin(z), nil), (jnp.sin(z), jnp.cos(z), nil), (nil, nil, one))
        rotation = jnp.einsum("sijt,sjkt,sklt->silt", rz, ry, rx, precision="highest")
        return 0.1 * waves[:, 3:].sum(1), rotation

    return derivatives(at, t)


def derivatives(at, t):
    def rate(t):
        return jax.jvp(at, (t,), (jnp.ones_like(t),))

    ((p, r), (v, dr)), (_, (a, ddr)) = jax.jvp(rate, (t,), (jnp.ones_like(t),))
    return Kinematics(p, v, a, r, dr, ddr)


def upright(count=LENGTH, rotation=None):
    """17 frames at rest."""
    rotation = np.tile(np.eye(3), (17, 1, 1)) if rotation is None else rotation
    still = jnp.zeros((17, 3, count))
    rotation = jnp.asarray(rotation)[..., None] * jnp.ones(count)
    return Kinematics(still, still, still, rotation, 0 * rotation, 0 * rotation)


def shaken(acceleration):
    """17 upright frames with the accelerations [3, T]; nothing turns."""
    rest = upright(acceleration.shape[-1])
    return rest._replace(acceleration=jnp.asarray(acceleration) * jnp.ones((17, 1, 1)))


def single(tree):
    """The same in single precision."""
    return jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype.kind == "f" else x, tree)


def mount_units(seed=0, segments=range(17), scatter=STILL):
    return mounts(jax.random.key(seed), body(), np.asarray(segments), scatter)


def scattered(wobble=1.0):
    return mount_units(3, scatter={"place": 0.05, "turn": 60.0, "wobble": wobble, "strap": 0.0})


mounts = jax.jit(sensors.random_mounts)
ideal, wobbled = jax.jit(sensors.ideal_readings), jax.jit(sensors.wobbling_readings)
measured = jax.jit(sensors.add_chip_errors)


def frames(kinematics, mount):
    """[S, T, 3, 3] from unit axes to world, the unit fixed to the bone."""
    turn = np.moveaxis(np.asarray(kinematics.rotation), -1, 1)[mount.segment]
    return turn @ np.asarray(mount.rotation)[:, None]


def follow(gyr, first, rate):
    """Orientation [T / 2, 3, 3] at every other sample from the unit's angular rate [3, T].

    Magnus's expansion to fourth order over two samples: Simpson's rule and one commutator.
    """
    begin, middle, end = gyr[:, :-2:2], gyr[:, 1:-1:2], gyr[:, 2::2]
    whole = (begin + 4 * middle + end) / (3 * rate)
    whole = whole + np.cross(begin, end, axis=0) / (3 * rate**2)
    steps = Rotation.from_rotvec(whole.T)
    turn = [Rotation.from_matrix(first)]
    for step in steps:
        turn.append(turn[-1] * step)
    return Rotation.concatenate(turn).as_matrix()


def travel(acc, turn, velocity, rate):
    """Path [3, T] from zero of a unit with readings acc [3, T] and orientation [T, 3, 3]."""
    free = np.einsum("tij,jt->it", turn, acc) - np.array([0, 0, G])[:, None]
    v = cumulative_simpson(free, dx=1 / rate, initial=0) + velocity[:, None]
    return cumulative_simpson(v, dx=1 / rate, initial=0)


def test_at_rest_a_unit_feels_up(x64):
    unit = mount_units()
    acc, gyr = ideal(upright(), unit)
    np.testing.assert_allclose(acc[:, 2], 9.80665, rtol=1e-12)
    assert not np.any(acc[:, :2]) and not np.any(gyr)


@pytest.mark.parametrize("wobble", [0.0, 1.0])
def test_at_rest_in_any_mounting_and_posture(x64, wobble):
    posture = Rotation.random(17, rng=np.random.default_rng(1)).as_matrix()
    rest, unit = upright(rotation=posture), scattered(wobble=wobble)
    acc, gyr = wobbled(rest, unit, 100.0)
    up = np.einsum("stij,jst->sit", frames(rest, unit), np.asarray(acc).transpose(1, 0, 2))
    np.testing.assert_allclose(up, np.broadcast_to([[0], [0], [G]], up.shape), atol=1e-12)
    np.testing.assert_allclose(gyr, 0, atol=1e-12)


def test_on_a_turntable_by_hand(x64):
    """0.3 m from the axis at 5 rad/s: 7.5 m/s^2 towards the axis, whichever way the unit lies."""
    t = jnp.linspace(0, 2, 41)

    def at(t):
        angle, nil, one = 5 * t, jnp.zeros_like(t), jnp.ones_like(t)
        turn = jnp.array(
            [
                [jnp.cos(angle), -jnp.sin(angle), nil],
                [jnp.sin(angle), jnp.cos(angle), nil],
                [nil, nil, one],
            ]
        )
        return jnp.zeros((17, 3, t.size)), turn * jnp.ones((17, 1, 1, 1))

    unit = mount_units(segments=[4, 11])
    quarter = jnp.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # the unit's x along the segment's y
    unit = unit._replace(
        place=jnp.array([[0.3, 0, 0], [0.3, 0, 0.2]]), rotation=jnp.stack([jnp.eye(3), quarter])
    )
    acc, gyr = ideal(derivatives(at, t), unit)
    for reading, expected in zip(acc, ([-7.5, 0, G], [0, 7.5, G]), strict=True):
        np.testing.assert_allclose(reading.T, np.tile(expected, (41, 1)), atol=1e-12)
    np.testing.assert_allclose(gyr, np.broadcast_to([[0], [0], [5]], gyr.shape), atol=1e-12)


def test_readings_integrate_to_orientation_and_path(x64):
    rate = 2000.0
    moving = tumbling(jnp.arange(LENGTH) / rate)
    unit = scattered()
    acc, gyr = (np.asarray(x) for x in ideal(moving, unit))
    turn = frames(moving, unit)
    arm = np.asarray(unit.place)[..., None, None]
    lever = [np.asarray((r * arm.swapaxes(1, 2)).sum(2)) for r in moving[3:5]]
    path, velocity = np.asarray(moving.position) + lever[0], np.asarray(moving.velocity) + lever[1]
    for s in range(0, 17, 4):
        np.testing.assert_allclose(follow(gyr[s], turn[s, 0], rate), turn[s, ::2], atol=1e-7)
        travelled = travel(acc[s], turn[s], velocity[s, :, 0], rate)
        np.testing.assert_allclose(travelled, path[s] - path[s, :, :1], atol=1e-8)
        assert np.ptp(travelled) > 0.1


def oscillator(drive, frequency, damping, rate):
    """u, u' of one spring-mass, drive [T] straight between samples, in balance at first."""
    w = 2 * np.pi * frequency
    state = np.array([-drive[0] / w**2, 0.0])
    states = [state]
    for a, b in itertools.pairwise(drive):
        step = solve_ivp(
            lambda t, x, a=a, b=b: [
                x[1],
                -(a + (b - a) * t * rate) - 2 * damping * w * x[1] - w**2 * x[0],
            ],
            (0, 1 / rate),
            state,
            method="DOP853",
            rtol=1e-11,
            atol=1e-14,
        )
        state = step.y[:, -1]
        states.append(state)
    return np.array(states).T


@pytest.mark.parametrize(
    ("rate", "frequency", "damping"), [(25.0, 30.0, 0.5), (100.0, 13.0, 0.2), (2000.0, 8.0, 0.3)]
)
def test_oscillator_against_solve_ivp(x64, rate, frequency, damping):
    drive = np.random.default_rng(4).normal(size=(1, 3, 41)) * 20
    tissue = scattered()._replace(
        frequency=jnp.array([frequency]), damping=jnp.array([damping]), amplitude=jnp.ones(1)
    )
    for dtype, error in ((jnp.float64, 1e-9), (jnp.float32, 2e-6)):
        cast = jax.tree.map(lambda x, dtype=dtype: x.astype(dtype), (drive, tissue))
        motion = jax.jit(sensors._oscillate)(*cast, rate)
        w = 2 * np.pi * frequency
        for axis in range(3):
            u, du = oscillator(drive[0, axis], frequency, damping, rate)
            ddu = -drive[0, axis] - 2 * damping * w * du - w**2 * u
            for k, truth in enumerate((u, du, ddu)):
                scale = w ** (k - 2) * np.abs(drive).max()
                assert motion[k].dtype == dtype
                np.testing.assert_allclose(motion[k][0, axis], truth, rtol=0, atol=error * scale)


def test_transmissibility_and_resonance(x64):
    """The accelerometer on a shaken place follows the textbook's curve, greatest near its w."""
    rate, ratios = 4000.0, np.array([0.05, 0.3, 0.7, 0.9, 1.0, 1.1, 1.5, 2.5])
    frequency, damping = 12.0, 0.3
    same = jnp.ones(17)
    unit = mount_units()._replace(
        frequency=frequency * same, damping=damping * same, amplitude=same, tilt=0 * same
    )
    t = np.arange(LENGTH) / rate
    gains = []
    for ratio in ratios:
        wave = np.exp(2j * np.pi * ratio * frequency * t)
        late = t > 0.6
        acc, gyr = wobbled(shaken(np.stack([wave.real, wave.imag, 0 * t])), unit, rate)
        assert not np.any(gyr)
        gains.append(np.mean((acc[0, 0] + 1j * acc[0, 1])[late] / wave[late]))
    expected = (1 + 2j * damping * ratios) / (1 - ratios**2 + 2j * damping * ratios)
    np.testing.assert_allclose(gains, expected, atol=2e-3)
    # The displacement, absolute minus given, lags a quarter turn exactly at the stated frequency.
    spring = (np.array(gains) - 1) / ratios**2
    assert abs(np.angle(spring[4]) + np.pi / 2) < 2e-3
    assert abs(spring[4]) == pytest.approx(1 / (2 * damping), rel=2e-3)


@pytest.mark.parametrize(("rate", "corner"), [(100.0, 15.0), (100.0, 90.0), (1000.0, 4.0)])
def test_a_shoe_is_a_low_pass_of_first_order(x64, rate, corner):
    """Against SciPy's exact response to a signal that is straight between its samples."""
    reading = np.random.default_rng(5).normal(size=(17, 3, 200)) + 3
    unit = mount_units()._replace(corner=jnp.full(17, corner))
    found = np.asarray(sensors.cushion(jnp.asarray(reading), unit, rate))
    tau = 1 / (2 * np.pi * corner)
    for s, axis in ((0, 0), (8, 2)):
        first = reading[s, axis, 0]
        _, expected, _ = lsim(([1], [tau, 1]), reading[s, axis] - first, np.arange(200) / rate)
        np.testing.assert_allclose(found[s, axis], expected + first, atol=1e-9)


def test_without_a_shoe_nothing_is_held_back(x64):
    reading = jnp.asarray(np.random.default_rng(6).normal(size=(17, 3, 50)))
    unit = mount_units()
    found = sensors.cushion(reading, unit, 100.0)
    bare = np.isinf(np.asarray(unit.corner))
    assert [SEGMENTS[i] for i in np.flatnonzero(~bare)] == ["foot_r", "foot_l"]
    np.testing.assert_array_equal(found[bare], reading[bare])
    assert np.abs(found - reading)[~bare, :, 1:].max() > 0.1


def test_no_wobble_at_amplitude_zero(x64):
    moving, unit = single((tumbling(jnp.arange(LENGTH) / 100), scattered(wobble=0.0)))
    for fixed, riding in zip(ideal(moving, unit), wobbled(moving, unit, 100.0), strict=True):
        np.testing.assert_array_equal(fixed, riding)


def test_wobbling_readings_are_of_one_moving_body(x64):
    """Integrated, they give the path and the orientation of a spring-mass that leans over."""
    rate = 4000.0
    t = np.arange(LENGTH) / rate
    moving = tumbling(jnp.asarray(t))
    unit = scattered()._replace(tilt=jnp.full(17, 15.0))
    acc, gyr = (np.asarray(x) for x in wobbled(moving, unit, rate))
    axes = np.moveaxis(np.asarray(sensors.unit_axes(moving, unit, rate)), -1, 1)
    bone = np.moveaxis(np.asarray(moving.rotation), -1, 1)
    shifts, leans = [], []
    for s in (0, 3, 12):
        arm = np.asarray(unit.place[s])

        def place_of(p, r, s=s, arm=arm):
            return np.asarray(p[s]) + np.einsum("ijt,j->it", r[s], arm)

        path = place_of(moving.position, moving.rotation)
        velocity = place_of(moving.velocity, moving.rotation_rate)
        drive = place_of(moving.acceleration, moving.rotation_acc)
        w, d = 2 * np.pi * float(unit.frequency[s]), float(unit.damping[s])
        push = CubicSpline(t, drive, axis=1)
        solved = solve_ivp(
            lambda time, x, push=push, w=w, d=d: np.concatenate(
                [x[3:], -push(time) - 2 * d * w * x[3:] - w**2 * x[:3]]
            ),
            (0, t[-1]),
            np.concatenate([-drive[:, 0] / w**2, np.zeros(3)]),
            t_eval=t,
            method="DOP853",
            rtol=1e-9,
            atol=1e-12,
        ).y
        u, du = solved[:3], solved[3:]
        q = 7.5 * np.cross(unit.out[s], np.einsum("tji,jt->ti", bone[s], u))
        size = np.linalg.norm(q, axis=1, keepdims=True)
        lean = Rotation.from_rotvec(2 * np.arctan(size) * q / size).as_matrix()
        turn = bone[s] @ lean @ np.asarray(unit.rotation[s])
        travelled = travel(acc[s], turn, velocity[:, 0] + du[:, 0], rate)
        unit_path = path + u
        np.testing.assert_allclose(travelled, unit_path - unit_path[:, :1], atol=2e-6)
        np.testing.assert_allclose(follow(gyr[s], turn[0], rate), turn[::2], atol=1e-6)
        np.testing.assert_allclose(axes[s], turn, atol=1e-6)
        shifts.append(np.abs(u).max())
        leans.append(2 * size.max())
    assert min(shifts) > 5e-4 and min(leans) > 0.01  # it does wobble


def reported(errors, signal=0.0, rate=100.0, trial=0):
    signal = jnp.broadcast_to(signal, (300, 3, 400))
    return np.asarray(measured(jax.random.key(0), signal, SILENT | errors, rate, trial))


@pytest.mark.parametrize("rate", [50.0, 200.0, 1000.0])
def test_noise_density_does_not_depend_on_the_rate(x64, rate):
    noise = reported({"noise": 0.003}, rate=rate)
    power = welch(noise, fs=rate, nperseg=256)[1]
    density = np.sqrt(power.mean((0, 1)))
    np.testing.assert_allclose(density[5:-5], 0.003, rtol=0.1)
    assert density[5:-5].mean() == pytest.approx(0.003, rel=0.01)
    # Axes and units are independent of each other.
    correlation = np.corrcoef(noise.reshape(900, -1)) - np.eye(900)
    assert np.abs(correlation).max() < 0.3


@pytest.mark.parametrize("rate", [20.0, 100.0])
def test_drift_keeps_its_spread_and_its_time(x64, rate):
    drift = reported({"drift": 0.5, "drift_time": 1.5}, rate=rate)
    assert drift.std((0, 1)) == pytest.approx(0.5, rel=0.12)  # at every time, also the first
    assert drift.std() == pytest.approx(0.5, rel=0.03)
    for seconds in (0.5, 1.5):
        lag = round(seconds * rate)
        together = (drift[..., lag:] * drift[..., :-lag]).mean() / drift.var()
        assert together == pytest.approx(np.exp(-seconds / 1.5), abs=0.04)


def test_bias_is_constant_and_spread_as_stated(x64):
    bias = reported({"bias": 0.2})
    np.testing.assert_array_equal(bias, bias[..., :1] * np.ones(400))
    assert bias.std() == pytest.approx(0.2, rel=0.08)
    assert abs(bias.mean()) < 0.02


def test_scale_and_misalignment(x64):
    chip = {"scale": 0.01, "cross": 0.03}
    axes = 10 * np.eye(3)[:, np.arange(400) % 3]
    gain = reported(chip, axes)[..., :3] / 10
    diagonal, off_diagonal = gain[:, np.arange(3), np.arange(3)], gain[:, ~np.eye(3, dtype=bool)]
    assert diagonal.mean() == pytest.approx(1, abs=1e-3) and diagonal.std() == pytest.approx(
        0.01, rel=0.08
    )
    assert abs(off_diagonal.mean()) < 3e-3 and off_diagonal.std() == pytest.approx(0.03, rel=0.06)
    # Linear: the same chip reads twice the signal as twice the value.
    np.testing.assert_allclose(reported(chip, 2 * axes)[..., :3] / 10, 2 * gain, atol=1e-8)


def test_trials_share_the_chip_but_neither_noise_nor_drift(x64):
    wave = 10 * np.sin(np.arange(400) / 20) * np.ones((3, 1))
    for chip in ({"scale": 0.01}, {"cross": 0.03}, {"bias": 0.2}):
        first, second = (reported(chip, wave, trial=number) for number in (0, 1))
        np.testing.assert_array_equal(first, second)
        assert (first != wave).any()
    noise = [reported({"noise": 0.003}, trial=number) for number in (0, 1, 1)]
    drift = [reported({"drift": 0.5}, trial=number)[..., 0] for number in (0, 1, 1)]
    for first, second, again in (noise, drift):
        np.testing.assert_array_equal(second, again)
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4 / np.sqrt(first.size)


def test_range_and_quantisation(x64):
    ramp = np.linspace(-30, 30, 360000).reshape(300, 3, 400)
    readings = reported({"range": 16.0, "bits": 8}, ramp)
    step = 32 / 256
    assert readings.min() == -16.0 and readings.max() == 16.0 - step
    np.testing.assert_array_equal(readings / step, np.round(readings / step))
    inside = np.abs(ramp) < 15.8
    assert np.abs(readings - ramp)[inside].max() == pytest.approx(step / 2, rel=0.01)
    assert len(np.unique(readings)) == 256


def test_reproducible_and_batched(x64):
    """Readings hang on key and movement alone, not on the place in the batch or on the others."""

    @jax.jit
    @jax.vmap
    def people(key, kinematics):
        where, chip = jax.random.split(key)
        unit = sensors.random_mounts(where, body(jnp.float32), jnp.arange(17), sensors.SCATTER)
        return sensors.simulate_readings(chip, kinematics, unit, sensors.UNIT, 100.0)

    def batch(keys, movements):
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *[movement[m] for m in movements])
        return [np.asarray(x) for x in people(key[jnp.array(keys)], stacked)]

    t = jnp.arange(LENGTH) / 100
    movement = [single(tumbling(t, 0.2)), single(tumbling(t, 0.3)), single(upright())]
    key = jax.random.split(jax.random.key(7))
    first, swapped, other = batch([0, 1], [0, 1]), batch([1, 0], [1, 0]), batch([1, 0], [0, 1])
    for a, b, c in zip(first, swapped, other, strict=True):
        assert a.dtype == np.float32 and a.shape == (2, 17, 3, LENGTH)
        np.testing.assert_array_equal(a, b[::-1])
        assert np.mean(a[0] == c[0]) < 0.02
    # At rest, with all errors on: still like gravity within a few per cent, and what is noise in it
    # is another one in every person and in the gyroscope.
    acc, gyr = batch([0, 1], [2, 2])
    assert np.abs(np.linalg.norm(acc.mean(-1), axis=-1) - G).max() < 0.5
    assert np.abs(gyr).max() < 0.1
    noise = np.concatenate([np.diff(acc), np.diff(gyr)]).reshape(4 * 51, -1)
    assert np.abs(np.corrcoef(noise) - np.eye(4 * 51)).max() < 0.1


@pytest.mark.parametrize("rate", [100.0, 1000.0])
def test_single_precision_agrees_with_double(x64, rate):
    moving = tumbling(jnp.arange(LENGTH) / rate, 0.5)
    unit = mount_units(1, scatter=sensors.SCATTER)
    wide, narrow = wobbled(moving, unit, rate), wobbled(*single((moving, unit)), rate)
    for a, b, error in zip(wide, narrow, (1e-4, 1e-5), strict=True):
        assert b.dtype == np.float32 and np.isfinite(b).all()
        np.testing.assert_allclose(b, a, rtol=0, atol=error)


def test_nominal_places(x64):
    unit = mount_units()
    place, out = np.asarray(unit.place), np.asarray(unit.out)
    # Pairs: right, then left, mirrored; the middle ones in the middle.
    np.testing.assert_allclose(place[3::2], place[4::2] * [1, -1, 1], atol=1e-12)
    np.testing.assert_allclose(place[:3, 1], 0, atol=1e-12)
    np.testing.assert_allclose(place[3], [0, -0.076, -0.2], atol=1e-12)  # thigh of 0.4 m
    np.testing.assert_allclose(place[15], np.array([0, -0.0375, -0.135]), atol=1e-12)  # a hand
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1, atol=1e-12)
    np.testing.assert_array_equal(unit.rotation, np.tile(np.eye(3), (17, 1, 1)))
    assert unit.frequency.min() >= 8 and unit.frequency.max() <= 30
    assert unit.damping.min() >= 0.2 and unit.damping.max() <= 0.5
    assert unit.frequency[3] < unit.frequency[0] < unit.frequency[5]  # thigh, pelvis, shank


def test_a_unit_on_a_foot_sits_behind_the_joint_of_the_toes():
    """On what rolls over the ball, five SD of its place away from what bends there."""
    person = standard(70.0, 1.75, 0.5)
    unit = mounts(jax.random.key(0), person, np.array([INDEX["foot_r"], INDEX["foot_l"]]), STILL)
    assert (unit.place[:, 0] < person.ball[:, 0] - 5 * sensors.SCATTER["place"]).all()


def test_some_feet_have_their_unit_under_the_arch():
    person = standard(70.0, 1.75, 0.5)
    segments = np.tile([INDEX["foot_r"], INDEX["shank_r"], INDEX["foot_l"]], 400)
    worn, usual = (
        mounts(jax.random.key(2), person, segments, STILL | share)
        for share in ({"insole": 0.3}, {})
    )
    moved = np.abs(np.asarray(worn.place - usual.place)).max(1) > 0
    is_foot = segments != INDEX["shank_r"]
    assert not moved[~is_foot].any()
    assert moved[is_foot].mean() == pytest.approx(0.3, abs=0.05)
    under = np.asarray(worn.place)[moved]
    ahead, above = under[:, 0], under[:, 2] - float(person.heel[0, 2])
    assert (ahead > 0).all() and (ahead < float(person.ball[0, 0])).all()  # of ankle and ball
    assert (above > 0.005).all() and (above < 0.02).all()


def test_scatter_of_placement(x64):
    segments = np.tile(np.arange(17), 300)
    scatter = {"place": 0.02, "turn": 8.0, "wobble": 0.5, "strap": 0.3}
    unit = mount_units(2, segments, scatter)
    nominal = mount_units(2, segments, STILL)
    slip = np.asarray(unit.place - nominal.place)
    np.testing.assert_allclose((slip * np.asarray(unit.out)).sum(1), 0, atol=1e-12)  # on the skin
    assert np.sqrt((slip**2).sum(1).mean() / 2) == pytest.approx(0.02, rel=0.04)
    turn = Rotation.from_matrix(unit.rotation).as_rotvec(degrees=True)
    np.testing.assert_allclose(np.linalg.det(unit.rotation), 1, atol=1e-12)
    assert np.sqrt((turn**2).sum(1).mean()) == pytest.approx(8.0, rel=0.04)
    covariance = np.cov(turn.T) / (64 / 3)  # the axis has no preferred direction
    np.testing.assert_allclose(covariance, np.eye(3), atol=0.1)
    loose = np.log(np.asarray(unit.amplitude) / 0.5)
    assert loose.std() == pytest.approx(0.3, rel=0.04) and abs(loose.mean()) < 0.02
    # As a mass on a spring: the same force moves it 1 / stiffness, and stiffness is frequency^2.
    np.testing.assert_allclose(
        np.asarray(unit.frequency / nominal.frequency) ** 2, np.exp(-loose), rtol=1e-9
    )
    again = mount_units(2, segments, scatter)
    other = mount_units(3, segments, scatter)
    np.testing.assert_array_equal(unit.place, again.place)
    assert np.abs(unit.place - other.place).max() > 0.01


def test_the_reach_ends_at_the_next_joint():
    end = {
        s: SEGMENTS[e] if e >= 0 else None for s, e in zip(SEGMENTS, sensors.REACH_END, strict=True)
    }
    assert (end["pelvis"], end["trunk"], end["thigh_r"]) == ("trunk", "head", "shank_r")
    assert (end["shank_l"], end["shoulder_l"]) == ("foot_l", "upper_arm_l")
    assert (end["upper_arm_r"], end["forearm_l"]) == ("forearm_r", "hand_l")
    last = [segment for segment, e in end.items() if e is None]
    assert last == ["head", "foot_r", "foot_l", "hand_r", "hand_l"]
