"""Inertial sensors on moving segments: where they sit, what they feel, what they report.

A unit rides on skin, not on bone: its case moves against the segment (`wobbling_readings`), and
what is read is the specific force and the angular rate of the case, so that both belong to one real
motion of a rigid body.  A shoe softens what comes through it (`cushion`).  The chip then adds its
errors (`add_chip_errors`).  Arrays are [S, 3, T] for S sensors at T equally spaced times;
everything is pure, works in the precision of its inputs, and takes a batch of people by `jax.vmap`
over key, kinematics and mount.

The kinematics are evaluated at the sensor's own sample times and there is no anti-alias filter: the
simulator gives them at any rate.  What moves faster than half the rate is aliased; where that
matters, take a multiple of the rate and `imujax.data.windows.resample` the readings.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imujax.data.recordings import G
from imujax.simulate.body import PARENT, SEGMENTS

if TYPE_CHECKING:
    from imujax.simulate.body import Body
    from imujax.simulate.skeleton import Kinematics

DEGREE = np.pi / 180

# Errors of a current MEMS unit, the TDK InvenSense ICM-20948 (data sheet DS-000189, tables 1 and 2)
# at +-16 g and +-2000 deg/s.  Where the sheet names a tolerance, the SD is a third of it.
# noise: white, unit/sqrt(Hz) (230 ug, 0.015 deg/s).  bias: SD between units (acc: 25 mg tolerance;
# gyr: what is left when it was zeroed at rest some 5 K cooler, at 0.05 deg/s/K).  drift: SD of the
# slow change about it (a change of 1 K: 0.8 mg/K, 0.05 deg/s/K) with correlation time drift_time.
# scale: SD of each axis's gain (0.5 %, 1.5 %); cross: SD of each axis's share in another (2 %).
UNIT = {
    "acc": {
        "noise": 230e-6 * G,
        "bias": 25e-3 * G / 3,
        "drift": 0.8e-3 * G,
        "drift_time": 300.0,
        "scale": 0.005 / 3,
        "cross": 0.02 / 3,
        "range": 16 * G,
        "bits": 16,
    },
    "gyr": {
        "noise": 0.015 * DEGREE,
        "bias": 0.25 * DEGREE,
        "drift": 0.05 * DEGREE,
        "drift_time": 300.0,
        "scale": 0.015 / 3,
        "cross": 0.02 / 3,
        "range": 2000 * DEGREE,
        "bits": 16,
    },
}

# How units are put on.  place: SD [m] along the skin in each of two directions; 5 cm is the worst
# case in Kiernan et al. 2024 (Sensors 24:656), taken as three SD.  turn: SD [deg] of a turn about a
# random axis.  wobble: 0 glued to the bone, 1 as in PLACES.  strap: SD of the logarithm of how far
# and how fast a unit swings on its tissue; our choice.  insole: share of the feet whose unit lies
# in the shoe, under the arch, and not on the instep.
SCATTER = {"place": 0.017, "turn": 5.0, "wobble": 1.0, "strap": 0.3, "insole": 0.25}

# Nominal place of a unit, of a pair on the right side.  The reach goes from the segment's origin to
# the next joint (of head, foot and hand to the centre of mass); the place is share * reach +
# depth * |reach| * out, where out points out of the skin.  The unit's axes are those of the
# segment: x forward, y left, z up in standing.
# frequency [Hz] and damping (ratio) of the unit on its tissue: Karlsson and Tranberg 1999 (Hum Mov
# Sci 18:627) found 330 (thigh) to 1900 N/m (knee) along the skin; with some 50 g that move (16 g of
# unit, and strap and skin) 13 to 31 Hz.  Underdamped, as on the head in Wu et al. 2016 (Ann Biomed
# Eng 44:1234) and in the muscles of Wakeling and Nigg 2001 (J Appl Physiol 90:412).  Which segment
# lies where between these is our judgement of how much soft tissue is beneath.
# tilt of a displaced unit [rad/m]: 4 mm (the skin patch of Wu et al.) go with about a degree; a box
# on a belt, 4 cm high, that goes out at one edge leans by 1 / .04.  corner [Hz] of what a shoe lets
# through: no figure was found; that of the feet is our choice, after the spectra of units on real
# feet, which have a third of a bare foot's power at 12 to 28 Hz (launch/compare_simulated.py).
PLACES = {  # share, depth, out, frequency, damping, tilt, corner
    "pelvis": (0.70, 0.75, (-1.0, 0.0, 0.0), 16.0, 0.40, 25.0, np.inf),  # sacrum
    "trunk": (0.65, 0.25, (1.0, 0.0, 0.0), 20.0, 0.40, 5.0, np.inf),  # sternum
    "head": (1.10, 0.70, (-1.0, 0.0, 0.0), 30.0, 0.30, 5.0, np.inf),  # back of the head
    "thigh": (0.50, 0.19, (0.0, -1.0, 0.0), 13.0, 0.30, 5.0, np.inf),  # outer side
    "shank": (0.35, 0.11, (0.8, 0.6, 0.0), 28.0, 0.30, 5.0, np.inf),  # flat of the tibia
    "foot": (0.90, 0.60, (0.0, 0.0, 1.0), 30.0, 0.40, 5.0, 15.0),  # instep
    "shoulder": (0.60, 0.35, (-0.8, 0.0, 0.6), 18.0, 0.40, 5.0, np.inf),  # spine of the scapula
    "upper_arm": (0.50, 0.16, (0.0, -1.0, 0.0), 14.0, 0.30, 5.0, np.inf),  # outer side
    "forearm": (0.85, 0.11, (0.0, -1.0, 0.0), 24.0, 0.35, 5.0, np.inf),  # back of the wrist
    "hand": (0.90, 0.25, (0.0, -1.0, 0.0), 28.0, 0.40, 5.0, np.inf),  # back of the hand
}
# Where a unit under the arch lies, in parts of the foot's centre of mass: a little behind it, and
# just above the ground.
INSOLE = (0.8, 1.0, 1.7)


def _place_row(name: str) -> tuple:
    """A segment's row of PLACES, mirrored where it is a left one."""
    share, depth, (x, y, z), *numbers = PLACES[name.removesuffix("_r").removesuffix("_l")]
    return share, depth, (x, -y if name.endswith("_l") else y, z), *numbers


SHARE, DEPTH, OUT, FREQUENCY, DAMPING, TILT, CORNER = (
    np.array(column) for column in zip(*map(_place_row, SEGMENTS), strict=True)
)
# The segment whose origin ends the reach: the first child; -1 where there is none.
CHILD = [PARENT.index(i) if i in PARENT else -1 for i in range(len(SEGMENTS))]
REACH_END = np.array(CHILD, np.int32)
IS_FOOT = np.array([name.startswith("foot") for name in SEGMENTS])


class Mount(NamedTuple):
    """Where S units sit and how firmly.

    Attributes
    ----------
    segment : jax.Array, [S] int
        Index in SEGMENTS.
    place : jax.Array, [S, 3]
        Of the unit in the segment's frame, m.
    rotation : jax.Array, [S, 3, 3]
        Its columns are the unit's axes in segment axes, so that it takes unit axes to segment axes,
        v_segment = rotation @ v_unit.
    out : jax.Array, [S, 3]
        Unit vector out of the skin, in segment axes.
    frequency : jax.Array, [S]
        Undamped, Hz.
    damping : jax.Array, [S]
        Ratio, below 1.
    amplitude : jax.Array, [S]
        The share of the spring-mass motion that the unit makes (0 is fixed to the bone, exactly).
    tilt : jax.Array, [S]
        Of a displaced unit, rad/m.
    corner : jax.Array, [S]
        Frequency above which a shoe holds back what comes through it, Hz; infinite without one.
    """

    segment: jax.Array
    place: jax.Array
    rotation: jax.Array
    out: jax.Array
    frequency: jax.Array
    damping: jax.Array
    amplitude: jax.Array
    tilt: jax.Array
    corner: jax.Array


def random_mounts(
    key: jax.Array, body: "Body", segments: Sequence[int], scatter: Mapping[str, float] = SCATTER
) -> Mount:
    """Units on the segments, put on as a person would: with scatter.

    Parameters
    ----------
    key : jax.Array
        Random key; the same key gives the same mount.
    body : Body
        One person.
    segments : sequence of int
        Indices in SEGMENTS, one a unit.
    scatter : mapping
        Like SCATTER.  The place moves along the skin by scatter["place"] m in each of two
        directions (SD), the unit turns about a random axis by scatter["turn"] degrees (SD); a strap
        that is tighter than another lets it swing less and faster (scatter["strap"]).  A foot's
        unit lies under the arch with the probability scatter["insole"] (0 where it is left out).

    Returns
    -------
    Mount
        Of S units.
    """
    segment = jnp.asarray(segments)
    dtype = body.com.dtype

    def column(table):
        return jnp.asarray(table, dtype)[segment]

    end = jnp.asarray(REACH_END)[segment]
    reach = jnp.where(end[:, None] >= 0, body.joint[end], body.com[segment])  # [S, 3]
    out = column(OUT)
    outward = jnp.linalg.norm(reach, axis=-1, keepdims=True) * out
    place = column(SHARE)[:, None] * reach + column(DEPTH)[:, None] * outward
    z = jax.random.normal(key, (*segment.shape, 8), dtype)
    slip, axis, angle, looseness = jnp.split(z, [3, 6, 7], axis=-1)
    looseness = jnp.exp(scatter["strap"] * looseness[:, 0])
    slip = scatter["place"] * (slip - (slip * out).sum(-1, keepdims=True) * out)
    axis = axis / jnp.linalg.norm(axis, axis=-1, keepdims=True)
    angle = scatter["turn"] * DEGREE * angle[:, 0]
    # Drawn apart, so that the share changes nothing else.
    chance = jax.random.uniform(jax.random.fold_in(key, 1), segment.shape, dtype)
    is_insole = (chance < scatter.get("insole", 0.0)) & jnp.asarray(IS_FOOT)[segment]
    under = body.com[segment] * jnp.asarray(INSOLE, dtype)
    place = jnp.where(is_insole[:, None], under, place)
    return Mount(
        segment=segment,
        place=place + slip,
        rotation=_rotation(axis, angle),
        out=out,
        frequency=column(FREQUENCY) / jnp.sqrt(looseness),
        damping=column(DAMPING),
        amplitude=scatter["wobble"] * looseness,
        tilt=column(TILT),
        corner=column(CORNER),
    )


def ideal_readings(kinematics: "Kinematics", mount: Mount) -> tuple[jax.Array, jax.Array]:
    """What perfect units fixed to the bone read -> acc m/s^2, gyr rad/s [S, 3, T], unit axes.

    acc = (R rotation)^T (a + R'' r + g z), gyr = rotation^T vee(R^T R').
    """
    acceleration, turn, rate = _motion_of_places(kinematics, mount)
    force = _transposed_matvec(turn, _with_gravity(acceleration))
    return _in_unit_axes(mount, force, _spin(turn, rate))


def wobbling_readings(
    kinematics: "Kinematics", mount: Mount, rate: float
) -> tuple[jax.Array, jax.Array]:
    """What perfect units read that ride on soft tissue -> acc, gyr [S, 3, T], unit axes.

    The unit is off its place by u, a spring-mass driven by the acceleration a of the place, which
    is taken as straight between its samples 1 / rate apart: u'' + 2 d w u' + w^2 u = -a, alike in
    three directions, in world axes.  There u'' adds to the acceleration as it is, and a spring that
    is alike in all directions is the same in any axes; only the damper brakes against the world's
    axes and not the turning segment's (a share omega / w of it).  Gravity does not drive it: the
    place is where the unit hangs.  A unit shifted along the skin leans over, about the axis
    out x u, with tan(half the angle) = tilt |out x u| / 2.  amplitude scales u.
    """
    acceleration, turn, turn_rate = _motion_of_places(kinematics, mount)
    shift, shift_rate, ddu = _shift(acceleration, turn, turn_rate, mount, rate)
    force = _transposed_matvec(turn, _with_gravity(acceleration + ddu))
    lean, lean_rate = (_lean(mount, x) for x in (shift, shift_rate))
    # Rates of a Gibbs vector in the turned axes: 2 (q' - q x q') / (1 + q.q).
    scale = _gibbs_scale(lean)
    lean_spin = scale * (lean_rate - jnp.cross(lean, lean_rate, axis=1))
    force = _unlean(lean, scale, force)
    return _in_unit_axes(mount, force, _unlean(lean, scale, _spin(turn, turn_rate)) + lean_spin)


def unit_axes(kinematics: "Kinematics", mount: Mount, rate: float) -> jax.Array:
    """The units' own axes in the world, riding on soft tissue as in `wobbling_readings`.

    Parameters
    ----------
    kinematics : Kinematics
        At T times 1 / rate apart.
    mount : Mount
        Of S units.
    rate : float
        Of the samples, Hz.

    Returns
    -------
    jax.Array, [S, 3, 3, T]
        Columns, so that a vector of the world v reads axes^T v.
    """
    acceleration, turn, turn_rate = _motion_of_places(kinematics, mount)
    lean = _lean(mount, _shift(acceleration, turn, turn_rate, mount, rate)[0])
    scale, rows = _gibbs_scale(lean), []
    for row in range(3):  # of the axes: what is read of a vector along x, y or z of the world
        in_case = _unlean(lean, scale, turn[:, row])
        rows.append(_transposed_matvec(mount.rotation[..., None], in_case))
    return jnp.stack(rows, axis=1)


def _shift(acceleration, turn, turn_rate, mount: Mount, rate: float):
    """How far the units are off their places, in segment axes, its rate, and u'' in the world."""
    u, du, ddu = _oscillate(acceleration, mount, rate)
    shift_rate = _transposed_matvec(turn_rate, u) + _transposed_matvec(turn, du)
    return _transposed_matvec(turn, u), shift_rate, ddu


def _lean(mount: Mount, shift: jax.Array) -> jax.Array:
    """The Gibbs vector q [S, 3, T] of the turn of a unit off its place, or of its rate q'."""
    return 0.5 * mount.tilt[:, None, None] * jnp.cross(mount.out[..., None], shift, axis=1)


def _gibbs_scale(lean: jax.Array) -> jax.Array:
    """2 / (1 + q.q)"""
    return 2 / (1 + (lean * lean).sum(1, keepdims=True))


def cushion(reading: jax.Array, mount: Mount, rate: float) -> jax.Array:
    """What comes of a reading [S, 3, T] through the shoe: a low-pass of first order.

    Of force and angular rate alike, so that they stay those of one motion, a little later.  Exact
    for readings that are straight between their samples 1 / rate apart; begins with the first.
    """
    x = -2 * np.pi * mount.corner[:, None] / rate
    decay, mean = jnp.exp(x), jnp.expm1(x) / x
    previous = jnp.concatenate([reading[..., :1], reading[..., :-1]], axis=-1)
    added = (mean - decay)[..., None] * previous + (1 - mean)[..., None] * reading
    is_first = jnp.arange(reading.shape[-1]) == 0
    return _recur(decay, jnp.where(is_first, reading, added))


def add_chip_errors(
    key: jax.Array,
    signal: jax.Array,
    errors: Mapping[str, float],
    rate: float,
    trial: int | jax.Array = 0,
) -> jax.Array:
    """A signal as a chip with some errors reports it.

    Gain and misalignment, constant bias, drift (Ornstein-Uhlenbeck, stationary, exact at any rate),
    white noise of bandwidth rate / 2 (hence SD = density * sqrt(rate / 2)), two's-complement
    rounding to 2 range / 2^bits, clipping at the range.

    Parameters
    ----------
    key : jax.Array
        Random key of the chips.
    signal : jax.Array, [S, 3, T]
        What a perfect chip reads, m/s^2 or rad/s.
    errors : mapping
        Like UNIT["acc"] or UNIT["gyr"].
    rate : float
        Of the samples, Hz.
    trial : int
        Number of the recording: gain, misalignment and bias are those of the chip in all of them,
        drift and noise are others in each.

    Returns
    -------
    jax.Array, [S, 3, T]
        In the units of `signal`.
    """
    shape, dtype = signal.shape, signal.dtype
    chip_key, trials_key = jax.random.split(key)
    constant = jax.random.normal(chip_key, (*shape[:2], 4), dtype)
    trial_key = jax.random.fold_in(trials_key, trial)
    drift, noise = jax.random.normal(trial_key, (2, *shape), dtype)
    eye = jnp.eye(3, dtype=dtype)
    gain = eye + (errors["scale"] * eye + errors["cross"] * (1 - eye)) * constant[..., :3]
    bias = errors["bias"] * constant[..., 3:]
    decay = jnp.asarray(-1 / (rate * errors["drift_time"]), dtype)
    # The first sample has the stationary SD, the others what keeps it.
    innovation = jnp.where(jnp.arange(shape[-1]) == 0, 1, jnp.sqrt(-jnp.expm1(2 * decay)))
    drift = errors["drift"] * _recur(jnp.exp(decay), innovation * drift)
    noise = errors["noise"] * jnp.sqrt(rate / 2) * noise
    value = _matvec(gain[..., None], signal) + bias + drift + noise
    step = 2 * errors["range"] / 2.0 ** errors["bits"]
    count = jnp.clip(jnp.round(value / step), -errors["range"] / step, errors["range"] / step - 1)
    return (count * step).astype(dtype)


def simulate_readings(
    key: jax.Array,
    kinematics: "Kinematics",
    mount: Mount,
    unit: Mapping[str, Mapping[str, float]],
    rate: float,
    trial: int | jax.Array = 0,
) -> tuple[jax.Array, jax.Array]:
    """The whole chain: motion on the tissue, through the shoe, errors of the unit.

    Parameters
    ----------
    key : jax.Array
        Random key of the units.
    kinematics : Kinematics
        At T times 1 / rate apart.
    mount : Mount
        Of S units.
    unit : mapping
        Errors of accelerometer and gyroscope, like UNIT.
    rate : float
        Of the samples, Hz.
    trial : int
        Number of the recording, as of `add_chip_errors`.

    Returns
    -------
    acc, gyr : jax.Array, [S, 3, T]
        m/s^2 and rad/s, in the units' axes.
    """
    acc, gyr = (cushion(x, mount, rate) for x in wobbling_readings(kinematics, mount, rate))
    acc_key, gyr_key = jax.random.split(key)
    acc = add_chip_errors(acc_key, acc, unit["acc"], rate, trial)
    return acc, add_chip_errors(gyr_key, gyr, unit["gyr"], rate, trial)


def _matvec(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    """matrix [S, 3, 3, T or 1] on vector [S, 3, T]; written as sums, so that T stays innermost."""
    total: Any = sum(matrix[:, :, j] * vector[:, None, j] for j in range(3))
    return total


def _transposed_matvec(matrix: jax.Array, vector: jax.Array) -> jax.Array:
    """The transposed matrix [S, 3, 3, T or 1] on vector [S, 3, T]."""
    total: Any = sum(matrix[:, j] * vector[:, j, None] for j in range(3))
    return total


def _rotation(axis: jax.Array, angle: jax.Array) -> jax.Array:
    """Rodrigues: axis [S, 3] of length one, angle [S] rad -> [S, 3, 3]."""
    eye = jnp.eye(3, dtype=axis.dtype)
    sine, cosine = jnp.sin(angle)[:, None, None], jnp.cos(angle)[:, None, None]
    across = -jnp.cross(axis[:, None, :], eye)  # rows -(axis x e_i), hence columns axis x e_j
    return cosine * eye + sine * across + (1 - cosine) * axis[:, :, None] * axis[:, None, :]


def _motion_of_places(
    kinematics: "Kinematics", mount: Mount
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """-> acceleration of the places [S, 3, T] in the world, R and R' of their segments."""
    turning = kinematics.rotation_acc[mount.segment]
    acceleration = kinematics.acceleration[mount.segment] + _matvec(turning, mount.place[..., None])
    return (
        acceleration,
        kinematics.rotation[mount.segment],
        kinematics.rotation_rate[mount.segment],
    )


def _with_gravity(acceleration: jax.Array) -> jax.Array:
    """Specific force in world axes."""
    return acceleration + jnp.array([0, 0, G], acceleration.dtype)[:, None]


def _spin(turn: jax.Array, rate: jax.Array) -> jax.Array:
    """Angular rate in segment axes: vee(R^T R') [S, 3, T], of its skew part."""

    def entry(i, j):
        return sum(turn[:, k, i] * rate[:, k, j] - turn[:, k, j] * rate[:, k, i] for k in range(3))

    return 0.5 * jnp.stack([entry(2, 1), entry(0, 2), entry(1, 0)], axis=1)


def _in_unit_axes(mount: Mount, force: jax.Array, rate: jax.Array) -> tuple[jax.Array, jax.Array]:
    """From the axes of the segment (or of the case that has leant over) to those of the unit."""
    rotation = mount.rotation[..., None]
    return _transposed_matvec(rotation, force), _transposed_matvec(rotation, rate)


def _unlean(lean: jax.Array, scale: jax.Array, vector: jax.Array) -> jax.Array:
    """The inverse of the rotation with Gibbs vector q on a vector; scale = 2 / (1 + q.q)."""
    across = jnp.cross(lean, vector, axis=1)
    return vector + scale * (jnp.cross(lean, across, axis=1) - across)


def _oscillate(drive: jax.Array, mount: Mount, rate: float):
    """u, u', u'' [S, 3, T] of u'' + 2 d w u' + w^2 u = -drive, exact for a drive straight between
    its samples; it starts in balance with its first sample.

    One complex pole p = w (-d + i sqrt(1 - d^2)) does it: z' = p z - drive has u = Im z / Im p and
    u' = Im(p z) / Im p.  Over a step h, z -> e^(ph) z - h ((f1 - f2) drive_0 + f2 drive_1), with
    f1 = (e^x - 1) / x and f2 = (f1 - 1) / x of x = ph (Hochbruck and Ostermann 2010, Acta Numerica
    19:209).
    """
    w = (2 * np.pi * mount.frequency)[:, None, None]
    d = mount.damping[:, None, None]
    pole = jax.lax.complex(-w * d, w * jnp.sqrt(1 - d**2))
    x = pole / rate
    phi2 = _phi2(x)
    phi1 = 1 + x * phi2
    previous = jnp.concatenate([drive[..., :1], drive[..., :-1]], axis=-1)
    forcing = -((phi1 - phi2) * previous + phi2 * drive) / rate
    forcing = jnp.where(jnp.arange(drive.shape[-1]) == 0, drive / pole, forcing)
    z = _recur(jnp.exp(x)[..., 0], forcing)
    u, du = z.imag / pole.imag, (pole * z).imag / pole.imag
    ddu = -drive - 2 * d * w * du - w**2 * u
    amplitude = mount.amplitude[:, None, None]
    return amplitude * u, amplitude * du, amplitude * ddu


def _phi2(x: jax.Array) -> jax.Array:
    """(e^x - 1 - x) / x^2 of complex x, to rounding: by its series where the formula cancels."""
    series = jnp.ones_like(x)
    for n in range(19, 2, -1):
        series = 1 + x / n * series
    small = jnp.abs(x) < 1
    safe = jnp.where(small, 1, x)
    return jnp.where(small, series / 2, (jnp.exp(x) - 1 - x) / safe**2)


def _recur(factor: jax.Array, x: jax.Array) -> jax.Array:
    """y_k = factor y_(k-1) + x_k along the last axis, y_0 = x_0; factor [S, 1], x [S, 3, T].

    One step after the other: for so few numbers a step that beats an associative scan on a CPU many
    times over, and on an accelerator the batch of people fills the step.
    """

    def step(y, term):
        y = factor * y + term
        return y, y

    along = jnp.moveaxis(x, -1, 0)
    return jnp.moveaxis(jax.lax.scan(step, jnp.zeros_like(along[0]), along)[1], 0, -1)
