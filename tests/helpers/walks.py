"""One person's walks and runs, in float64, for the tests of the gaits."""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imujax.simulate import balance, body, dynamics, gait, people, skeleton, style
from imujax.simulate.way import Way

RATE = 200.0  # Hz
SECONDS = 4.0
CONTACTS = 28
SPEEDS = {"walking": 1.3, "running": 2.6, "turning": 1.2}
LEVEL = (0.0, 0.0)
TURN = 0.3  # rad at each contact of who turns: about half a rad/s
# Who turns also slows down to two thirds and goes on.
PACE = 1 - np.exp(-(((np.arange(CONTACTS) - 7) / 1.5) ** 2) / 2) / 3
MASS = 70.0  # kg


class Case(NamedTuple):
    body: body.Body
    walk: gait.Walk
    t: np.ndarray
    kin: skeleton.Kinematics
    loads: dynamics.Loads


@cache
def case(kind: str, speed: float | None = None, noise: float = 1.0, ground=LEVEL) -> Case:
    """A person of 1.75 m and 70 kg, under jax.enable_x64."""
    person, *laying = arguments(kind, speed, noise, ground)
    walk = balance.make_walk(person, *laying, people.kinematics)
    t = walk.begin + jnp.arange(int(SECONDS * RATE)) / RATE
    kin = people.kinematics(person, walk, t)
    return Case(person, walk, np.asarray(t), kin, LOADS(person, walk, t))


def arguments(kind: str, speed: float | None = None, noise: float = 1.0, ground=LEVEL):
    """What `balance.make_walk` makes a walk of."""
    person = body.standard(MASS, 1.75, 0.5)
    v = jnp.asarray(speed or SPEEDS[kind])
    name = "running" if kind == "running" else "walking"
    person_style = style.make_style(name, person, v, style.average_manner())
    variation = gait.random_noise(jax.random.key(3), CONTACTS, person_style.force.shape[1], noise)
    variation = jax.tree.map(lambda x: x.astype(jnp.float64), variation)
    way = Way(*(jnp.asarray(x) for x in ground))
    if kind == "turning":
        way = way._replace(turn=jnp.full(CONTACTS, TURN), pace=jnp.asarray(PACE))
    return person, person_style, way, v, variation, SECONDS


LOADS = jax.jit(balance.loads)


def stances(case: Case):
    """(side, first and last sample) of the stances that lie whole in the samples."""
    strike, stance = np.asarray(case.walk.strike), np.asarray(case.walk.stance)
    for k in range(len(strike)):
        first = np.searchsorted(case.t, strike[k])
        last = np.searchsorted(case.t, strike[k] + stance[k])
        if strike[k] >= case.t[0] and strike[k] + stance[k] <= case.t[-1]:
            yield k % 2, first, last


def knees(case: Case) -> np.ndarray:
    """Knee flexion [2, T] deg."""
    return np.rad2deg(np.asarray(skeleton.knee_flexion(case.kin)))
