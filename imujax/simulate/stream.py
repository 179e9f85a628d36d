"""Simulated people as a stream: every batch of pre-training is made on the device, from a key.

Each batch has its own people: bodies, manners, placements and movements are drawn from the key,
some windows of each are simulated, and nothing touches a disk.  So a batch is a function of seed
and step, however far the training has come.

Unlike the recordings of people.py the sensors are evaluated at the encoder's own rate, without an
anti-alias filter.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from imujax.errors import UserError
from imujax.simulate import activities, balance, body, gait, people, sensors, skeleton, style
from imujax.simulate.scores import MOVEMENTS

# What a stream is made of, over the entries of people.COMMON: the share of the people who walk or
# run (the others do the everyday movements), the segments with a sensor, and how many windows, one
# after the other, are taken of each person.
SETTINGS = {name: people.COMMON[name] for name in ("people", "unit", "scatter", "manner", "noise")}
SETTINGS |= {"gait": 0.3, "sensors": list(body.SEGMENTS), "windows": 4}
LEAD = 0.15  # s before a window, in which units come to swing on their tissue
STRIDE = 1.4  # s, the longest: where in it a window begins is random
SPARE = 1.4  # windows simulated for one that is wanted: where nothing moves there is no pair
WALKING, RUNNING = (0.6, 1.3), (2.2, 3.6)  # of the preferred speed; m/s
RISE = 0.08  # SD of the slope, under half of the walkers


def settings(changes: Mapping) -> dict:
    """SETTINGS with some entries changed; a mistake is a UserError."""
    strange = sorted(changes.keys() - SETTINGS.keys())
    if strange:
        raise UserError(f"a stream has no {strange[0]!r}: it has {', '.join(SETTINGS)}")
    made = SETTINGS | dict(changes)
    unknown = sorted(set(made["sensors"]) - set(body.SEGMENTS))
    if unknown or not made["sensors"]:
        raise UserError(
            f"no segment {unknown[0]!r} to wear a sensor: {', '.join(body.SEGMENTS)}"
            if unknown
            else "a stream needs sensors"
        )
    return made


def maker(config, sharding=None) -> Callable[[jax.Array], dict]:
    """The compiled function of a key that gives one batch of sensor-windows on the device.

    config: an encoder's section with `stream` (see SETTINGS), batch B, window T, rate and motion.
    The batch is acc m/s^2, gyr rad/s [B, T, 3], length and ids [B], as augment.cut_batch cuts it; a
    person has one recording.  Windows in which the sensor does not move are left out, as far as
    there are others.
    """
    made = settings(config.stream.to_dict())
    count = math.ceil(config.batch * SPARE / (made["windows"] * len(made["sensors"])))

    def make(key):
        order, rest = jax.random.split(key)
        acc, gyr = windows(rest, made, count, config.rate, config.window)  # [P, W, S, T, 3]
        number = jnp.arange(acc[..., 0, 0].size)
        window, sensor = jnp.divmod(number, acc.shape[2])
        person, turn = jnp.divmod(window, made["windows"])
        ids = {
            "window": window,
            "recording": person,
            "subject": person,
            "sensor": sensor,
            "start": turn * (config.window / config.rate),
        }
        acc, gyr = (x.reshape(-1, *x.shape[3:]) for x in (acc, gyr))
        still = acc.std(1).mean(1) < config.motion
        taken = jnp.argsort(still + jax.random.uniform(order, still.shape))[: config.batch]
        length = jnp.full(config.batch, config.window)
        ids = {name: values[taken] for name, values in ids.items()}
        return {"acc": acc[taken], "gyr": gyr[taken], "length": length, **ids}

    return jax.jit(make, out_shardings=sharding)


def windows(key: jax.Array, made: dict, count: int, rate: float, length: int):
    """Windows of `count` people -> acc m/s^2, gyr rad/s [P, W, S, T, 3], walkers first.

    made: SETTINGS; rate [Hz]; length [samples] T of a window.
    """
    whom, how, where, errors = jax.random.split(key, 4)
    bodies = body.draw(whom, count, jax.tree.map(np.float32, made["people"]))
    lead = round(LEAD * rate)
    t = np.arange(lead + made["windows"] * length, dtype=np.float32) / np.float32(rate)
    walkers = round(made["gait"] * count)
    keys, number = jax.random.split(how, count), jnp.arange(count)
    parts = []
    for some, move in ((slice(walkers), _gait), (slice(walkers, None), _movement)):
        if len(range(count)[some]):
            mine = jax.tree.map(lambda x, some=some: x[some], (keys, bodies, number))
            parts.append(jax.vmap(partial(move, made=made, t=t))(*mine))
    kin = jax.tree.map(lambda *x: jnp.concatenate(x), *parts)
    segments = tuple(body.INDEX[name] for name in made["sensors"])

    def read(place, error, person, kin):
        mount = sensors.mounts(place, person, segments, made["scatter"])
        return sensors.read(error, kin, mount, made["unit"], rate)

    places, chips = (jax.random.split(k, count) for k in (where, errors))
    signals = jax.vmap(read)(places, chips, bodies, kin)  # [P, S, 3, lead + W T]
    shape = (count, len(segments), 3, made["windows"], length)
    return tuple(jnp.moveaxis(x[..., lead:].reshape(shape), (3, 4), (1, 3)) for x in signals)


def _gait(key, person: body.Body, number, made: dict, t: np.ndarray) -> skeleton.Kinematics:
    """A piece of a walk (even numbers) or a run (odd ones), begun anywhere in a stride."""
    own, pace, slope, chance, late = jax.random.split(key, 5)
    manner = style.own(own, made["manner"])
    runs = number % 2 == 1
    quick, slow = (jax.random.uniform(pace, (), minval=a, maxval=b) for a, b in (RUNNING, WALKING))
    speed = jnp.where(runs, quick, slow * person.speed)
    shape = jax.tree.map(
        partial(jnp.where, runs),
        *(style.style(name, person, speed, manner) for name in ("running", "walking")),
    )
    rise = RISE * jax.random.truncated_normal(slope, -2, 2) * (number % 4 == 0)
    seconds = float(t[-1]) + STRIDE
    contacts = int(seconds / people.QUICKEST) + 8
    drawn = gait.noise(chance, contacts, shape.force.shape[1], made["noise"])
    ground = gait.Ground(rise, jnp.arctan(rise))
    walk = balance.settle(person, shape, ground, speed, drawn, seconds)
    begin = walk.begin + jax.random.uniform(late, ()) * jnp.minimum(2 * shape.step, STRIDE)
    return gait.kinematics(person, walk, begin + t)


def _movement(key, person: body.Body, number, made: dict, t: np.ndarray) -> skeleton.Kinematics:
    """A piece of one of the other movements, whichever the key says."""
    del number
    which, own, how = jax.random.split(key, 3)
    manner = activities.own(own, made["manner"])
    chosen = jax.random.randint(which, (), 0, len(MOVEMENTS))
    moves = activities.perform(how, person, chosen, float(t[-1]) + activities.KNOT, manner)
    return skeleton.kinematics(
        person, lambda time: activities.tracks(person, moves, time), jnp.asarray(t), False
    )
