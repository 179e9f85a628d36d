"""Windows of simulated walkers and runners, with the forces and moments of every sample.

What no sensor on a body measures the simulation knows: what the ground does to each foot, and what
the knees carry.  Here it stands beside the readings of every sensor, wherever it is worn, so that
pre-training can learn physics from them (imujax/objectives/forces.py).
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from imujax.data.recordings import G
from imujax.errors import UserError
from imujax.simulate import balance, body, dynamics, stream
from imujax.simulate.way import heading, turned

QUANTITIES = ("vertical force", "force forwards", "knee flexion moment")
# Of the sensor's own side (of the right one for what is worn in the middle), then of the other.
TARGETS = tuple(f"{name}, {side} side" for side in ("own", "other") for name in QUANTITIES)
PEOPLE_AT_ONCE = 64
PART = "simulated"  # of a batch of pre-training: acc, gyr and forces [B, T, K] in SDs, length [B]


def settings(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a stream of people who all walk or run.

    Parameters
    ----------
    changes : mapping
        Entries of stream.SETTINGS with other values.

    Returns
    -------
    dict

    Raises
    ------
    UserError
        As of `stream.settings`; or not all of them walk or run.
    """
    merged = stream.settings({"gait": 1.0} | dict(changes))
    if merged["gait"] != 1.0:
        raise UserError(
            f"forces of {merged['gait']:g} of the people are asked for: those of walking and "
            "running alone are known, leave gait out"
        )
    return merged


def simulate_windows(
    key: jax.Array, options: Mapping[str, Any], windows: int, rate: float, length: int
) -> dict[str, np.ndarray]:
    """Simulate sensor-windows of new people, with what acts on their legs.

    Parameters
    ----------
    key : jax.Array
        Random key; the same key gives the same windows.
    options : mapping
        See `settings`.
    windows : int
        N, sensor-windows.
    rate : float
        Of the samples, Hz.
    length : int
        T, samples of a window.

    Returns
    -------
    dict of ndarray
        acc [N, T, 3] m/s^2, gyr [N, T, 3] rad/s, and forces [N, T, 6], of TARGETS: body weights,
        and % of body weight times height.
    """
    of_person = options["windows"] * len(options["sensors"])
    count = min(PEOPLE_AT_ONCE, math.ceil(windows / of_person))
    make = jax.jit(partial(_simulate, options=dict(options), count=count, rate=rate, length=length))
    rounds = range(math.ceil(windows / (count * of_person)))
    made = [jax.tree.map(np.asarray, make(jax.random.fold_in(key, number))) for number in rounds]
    return {name: np.concatenate([part[name] for part in made])[:windows] for name in made[0]}


def _simulate(key, *, options: dict, count: int, rate: float, length: int):
    people_key, movement_key, *unit_keys = jax.random.split(key, 4)
    bodies = body.random_people(people_key, count, jax.tree.map(np.float32, options["people"]))
    t = stream.sample_times(options, rate, length)

    def move(key, person, number):
        piece = stream.random_gait(key, person, number, options, t)
        kin, walk, loads = balance.trace_walk(*piece)
        weight = person.mass * G
        knee = dynamics.knee_moment(person, kin, loads)
        back = -heading(walk.way, walk.strike, walk.begin + piece[-1])
        force = turned(jnp.moveaxis(loads.force, 1, 0), back) / weight  # ahead, left, up
        return kin, jnp.stack([force[2], force[0], knee])

    keys = jax.random.split(movement_key, count)
    kin, legs = jax.vmap(move)(keys, bodies, jnp.arange(count))  # legs [P, 3, 2, lead + W T]
    acc, gyr = stream.read_windows(unit_keys, options, bodies, kin, rate, length)
    legs = legs[..., -options["windows"] * length :]
    legs = legs.reshape(count, len(QUANTITIES), 2, options["windows"], length)
    is_left = np.array([name.endswith("_l") for name in options["sensors"]])
    sides = np.stack([is_left, ~is_left], 1).astype(int)  # [S, own and other]
    # [P, 3, S, 2, W, T] to [P, W, S, T, 2, 3]
    forces = jnp.transpose(legs[:, :, sides], (0, 4, 2, 5, 3, 1))
    return {
        "acc": acc.reshape(-1, length, 3),
        "gyr": gyr.reshape(-1, length, 3),
        "forces": forces.reshape(-1, length, len(TARGETS)),
    }
