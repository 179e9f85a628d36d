"""Simulated people as a stream: every batch of pre-training is made on the device, from a key.

Each batch has its own people: bodies, manners, placements and movements are drawn from the key,
some windows of each are simulated, and nothing touches a disk.  So a batch is a function of seed
and step, however far the training has come.

Unlike the recordings of people.py the sensors are evaluated at the encoder's own rate, without an
anti-alias filter.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from imujax.errors import UserError
from imujax.simulate import activities, balance, body, gait, people, sensors, skeleton, style
from imujax.simulate.scores import MOVEMENTS
from imujax.simulate.way import Way, random_bends

# What a stream is made of, over the entries of people.COMMON: the share of the people who walk or
# run (the others do the everyday movements), the segments with a sensor, and how many windows, one
# after the other, are taken of each person.  Of those who walk, the share whose way bends and who
# slow down (level ways alone, which half have), whose slope is one of stairs, and who are impaired.
SETTINGS: dict[str, Any] = {
    name: people.COMMON[name] for name in ("people", "unit", "scatter", "manner", "noise")
}
SHARES = {"gait": 0.3, "bends": 0.0, "stairs": 0.0, "impaired": 0.0}
SETTINGS |= SHARES | {"sensors": list(body.SEGMENTS), "windows": 4}
LEAD_SECONDS = 0.15  # s before a window, in which units come to swing on their tissue
MAX_STRIDE = 1.4  # s, the longest: where in it a window begins is random
SPARE_FACTOR = 1.4  # windows simulated for one that is wanted: where nothing moves there is no pair
WALKING_SPEEDS, RUNNING_SPEEDS = (0.6, 1.3), (2.2, 3.6)  # of the preferred speed; m/s
RISE_SD = 0.08  # SD of the slope, under half of the walkers
STAIRS, STAIRS_PACE = 0.25, 0.5  # rise, and share of the speed there (TERRAIN_TRIALS of people.py)
UNEVEN, IMPAIRED_PACE = 0.12, 0.5  # of the most impaired: log of a side's times, share of the speed


def settings(changes: Mapping[str, Any]) -> dict[str, Any]:
    """SETTINGS with some entries changed.

    Parameters
    ----------
    changes : mapping
        Entries of SETTINGS with other values.

    Returns
    -------
    dict
        The settings of a stream.

    Raises
    ------
    UserError
        If there is no such entry, no such segment, no sensor at all, or a share is none.
    """
    unknown_entries = sorted(changes.keys() - SETTINGS.keys())
    if unknown_entries:
        raise UserError(f"a stream has no {unknown_entries[0]!r}: it has {', '.join(SETTINGS)}")
    merged = SETTINGS | dict(changes)
    for name in SHARES:
        if not isinstance(merged[name], (int, float)) or not 0 <= merged[name] <= 1:
            raise UserError(f"{name} of a stream is {merged[name]!r}, but must be from 0 to 1")
    unknown_segments = sorted(set(merged["sensors"]) - set(body.SEGMENTS))
    if unknown_segments or not merged["sensors"]:
        raise UserError(
            f"no segment {unknown_segments[0]!r} to wear a sensor: {', '.join(body.SEGMENTS)}"
            if unknown_segments
            else "a stream needs sensors"
        )
    return merged


def compile_batch(
    config: ConfigDict, sharding: jax.sharding.Sharding | None = None
) -> jax.stages.Wrapped:
    """The compiled function of a key that gives one batch of sensor-windows on the device.

    Windows in which the sensor does not move are left out, as far as there are others.

    Parameters
    ----------
    config : ConfigDict
        An encoder's section with `stream` (see SETTINGS), batch B, window T, rate and motion.
    sharding : jax.sharding.Sharding, optional
        Of the batch.

    Returns
    -------
    callable
        From a key to a batch: acc, m/s^2, and gyr, rad/s [B, T, 3], length and ids [B], as
        augment.cut_batch cuts it; a person has one recording.

    Raises
    ------
    UserError
        As of `settings`.
    """
    options = settings(config.stream.to_dict())
    count = math.ceil(config.batch * SPARE_FACTOR / (options["windows"] * len(options["sensors"])))

    def make(key):
        order_key, people_key = jax.random.split(key)
        # [P, W, S, T, 3]
        acc, gyr = simulate_windows(people_key, options, count, config.rate, config.window)
        number = jnp.arange(acc[..., 0, 0].size)
        window, sensor = jnp.divmod(number, acc.shape[2])
        person, turn = jnp.divmod(window, options["windows"])
        ids = {
            "window": window,
            "recording": person,
            "subject": person,
            "sensor": sensor,
            "start": turn * (config.window / config.rate),
        }
        acc, gyr = (x.reshape(-1, *x.shape[3:]) for x in (acc, gyr))
        is_still = acc.std(1).mean(1) < config.motion
        order = jnp.argsort(is_still + jax.random.uniform(order_key, is_still.shape))
        chosen = order[: config.batch]
        length = jnp.full(config.batch, config.window)
        ids = {name: values[chosen] for name, values in ids.items()}
        return {"acc": acc[chosen], "gyr": gyr[chosen], "length": length, **ids}

    return jax.jit(make, out_shardings=sharding)


def simulate_windows(key: jax.Array, options: dict, count: int, rate: float, length: int):
    """Windows of `count` people -> acc m/s^2, gyr rad/s [P, W, S, T, 3], walkers first.

    options: SETTINGS; rate [Hz]; length [samples] T of a window.
    """
    people_key, movement_key, *unit_keys = jax.random.split(key, 4)
    bodies = body.random_people(people_key, count, jax.tree.map(np.float32, options["people"]))
    t = sample_times(options, rate, length)
    walkers = round(options["gait"] * count)
    keys, number = jax.random.split(movement_key, count), jnp.arange(count)
    groups = ((slice(walkers), _gait_kinematics), (slice(walkers, None), _movement_kinematics))
    kinematics = []
    for part, simulate in groups:
        if len(range(count)[part]):
            members = jax.tree.map(lambda x, part=part: x[part], (keys, bodies, number))
            kinematics.append(jax.vmap(partial(simulate, options=options, t=t))(*members))
    kin = jax.tree.map(lambda *x: jnp.concatenate(x), *kinematics)
    return read_windows(unit_keys, options, bodies, kin, rate, length)


def sample_times(options: dict, rate: float, length: int) -> np.ndarray:
    """The times [s] that a person's windows take, from a lead before the first one on."""
    lead = round(LEAD_SECONDS * rate)
    return np.arange(lead + options["windows"] * length, dtype=np.float32) / np.float32(rate)


def read_windows(
    keys: Sequence[jax.Array],
    options: dict,
    bodies: body.Body,
    kin: skeleton.Kinematics,
    rate: float,
    length: int,
):
    """What units on P people read -> acc m/s^2, gyr rad/s [P, W, S, T, 3].

    keys: of the mounts and of the chips' errors; bodies, kin: of the people, at `sample_times`.
    """
    count = bodies.mass.shape[0]
    lead = round(LEAD_SECONDS * rate)
    segments = tuple(body.INDEX[name] for name in options["sensors"])

    def read_sensors(mount_key, error_key, person, kin):
        mount = sensors.random_mounts(mount_key, person, segments, options["scatter"])
        return sensors.simulate_readings(error_key, kin, mount, options["unit"], rate)

    mount_keys, error_keys = (jax.random.split(k, count) for k in keys)
    signals = jax.vmap(read_sensors)(mount_keys, error_keys, bodies, kin)  # [P, S, 3, lead + W T]
    shape = (count, len(segments), 3, options["windows"], length)
    return tuple(jnp.moveaxis(x[..., lead:].reshape(shape), (3, 4), (1, 3)) for x in signals)


def _gait_kinematics(
    key, person: body.Body, number, options: dict, t: np.ndarray
) -> skeleton.Kinematics:
    piece = random_gait(key, person, number, options, t)
    return balance.trace_walk(*piece, with_loads=False)[0]


def random_gait(key, person: body.Body, number, options: dict, t: np.ndarray) -> tuple:
    """A piece of a walk (even numbers) or a run (odd ones), begun anywhere in a stride.

    -> what `balance.trace_walk` takes, for the times t.
    """
    manner_key, speed_key, slope_key, noise_key, begin_key = jax.random.split(key, 5)
    manner = style.random_manner(manner_key, options["manner"])
    is_running = number % 2 == 1
    running, walking = (
        jax.random.uniform(speed_key, (), minval=a, maxval=b)
        for a, b in (RUNNING_SPEEDS, WALKING_SPEEDS)
    )
    rise = RISE_SD * jax.random.truncated_normal(slope_key, -2, 2) * (number % 4 == 0)
    tilt = jnp.arctan(rise)
    # Of these ways of walking nothing is compiled unless they are asked for.
    bend_key, stairs_key, impaired_key = jax.random.split(jax.random.fold_in(key, 1), 3)
    if options["stairs"]:
        is_stairs = (number % 4 == 0) & (jax.random.uniform(stairs_key, ()) < options["stairs"])
        rise, tilt = (
            jnp.where(is_stairs, a, b) for a, b in ((STAIRS * jnp.sign(rise), rise), (0.0, tilt))
        )
        walking = walking * jnp.where(is_stairs, STAIRS_PACE, 1.0)
    severity = None
    if options["impaired"]:
        degree, side = jax.random.uniform(impaired_key, (2,))
        severity = jnp.where(is_running, 0.0, jnp.maximum(1 - degree / options["impaired"], 0))
        walking = walking * (1 - (1 - IMPAIRED_PACE) * severity)
        uneven = UNEVEN * severity * (2 * side - 1)
        person = person._replace(asymmetry=person.asymmetry * jnp.exp(uneven * np.array((1, -1))))
    speed = jnp.where(is_running, running, walking * person.speed)
    person_style = jax.tree.map(
        partial(jnp.where, is_running),
        *(style.make_style(name, person, speed, manner) for name in ("running", "walking")),
    )
    if severity is not None:
        person_style = style.impaired(person_style, severity)
    seconds = float(t[-1]) + MAX_STRIDE
    contacts = int(seconds / people.MIN_STEP_TIME) + 8
    harmonics = person_style.force.shape[1]
    variation = gait.random_noise(noise_key, contacts, harmonics, options["noise"])
    way = Way(rise, tilt)
    if options["bends"]:
        draw_key, bend_key = jax.random.split(bend_key)
        is_bent = (number % 4 == 2) & (jax.random.uniform(draw_key, ()) < options["bends"])
        turn, pace = random_bends(bend_key, contacts, person_style.step)
        way = Way(rise, tilt, turn * is_bent, jnp.where(is_bent, pace, 1.0))
    begin = jax.random.uniform(begin_key, ()) * jnp.minimum(2 * person_style.step, MAX_STRIDE)
    return person, person_style, way, speed, variation, seconds, begin + t


def _movement_kinematics(
    key, person: body.Body, number, options: dict, t: np.ndarray
) -> skeleton.Kinematics:
    """A piece of one of the other movements, whichever the key says."""
    del number
    choice_key, manner_key, movement_key = jax.random.split(key, 3)
    manner = activities.random_manner(manner_key, options["manner"])
    chosen = jax.random.randint(choice_key, (), 0, len(MOVEMENTS))
    seconds = float(t[-1]) + activities.KNOT_STEP
    movement = activities.perform(movement_key, person, chosen, seconds, manner)
    return skeleton.kinematics(
        person, lambda time: activities.tracks(person, movement, time), jnp.asarray(t), False
    )
