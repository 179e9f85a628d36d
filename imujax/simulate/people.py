"""Sets of simulated recordings: who moves, how, with which sensors; one file a trial.

The four sets have the shape of the study's: unlabelled movements of many people (as MoVi), and
three labelled ones (Tan et al. 2021, Camargo et al. 2021, Tan et al. 2022).  A set is a dict of
plain values, so that another population, placement or noise is a matter of configuration; each
person and each trial is a function of the seed, the set and their numbers alone.
"""

import functools
import json
import multiprocessing
import pathlib
import zlib
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from imujax.data import windows
from imujax.data.recordings import G
from imujax.errors import UserError
from imujax.runtime import host, log
from imujax.simulate import (
    activities,
    balance,
    body,
    dynamics,
    gait,
    scores,
    sensors,
    skeleton,
    style,
)

FINE = 200.0  # Hz at which the sensors are evaluated; slower ones are resampled from it
PLATE = 1000.0  # Hz of the force plates
SECONDS = 10.0  # of a trial
LEAST = 2.0  # s, the shortest trial: a few steps
QUICKEST = 0.29  # s, the shortest step time that a trial has contacts for
CHUNK = 500  # samples that are computed at once
MANY = 200  # trials for which it pays to start processes


def bout(name: str, gait: str, speed: float, **more) -> dict:
    """A trial of walking or running; speed in m/s (running) or in parts of the preferred one."""
    return {"name": name, "gait": gait, "speed": speed, "rise": 0.0, "stairs": False} | more


RUNS = [
    bout(
        f"{shoe} {rate} {speed}",
        "running",
        speed / 10,
        manner={"cadence": change} | soles,
    )
    for shoe, soles in (
        ("nike", {"lost": -0.08, "span": 0.12}),
        ("mini", {"lost": 0.08, "span": -0.12, "strike": 0.06}),
    )
    for rate, change in (("baseline", 0.0), ("SI", 0.075), ("SR", -0.075))
    for speed in (24, 28)
]
TERRAIN = [
    *(
        bout(f"levelground {n}", "walking", s)
        for n, s in (("slow", 0.8), ("normal", 1.0), ("fast", 1.2))
    ),
    *(
        bout(f"ramp {n}", "walking", 0.8, rise=r)
        for n, r in (("up 5", 0.0875), ("up 10", 0.176), ("down 5", -0.0875), ("down 10", -0.176))
    ),
    *(
        bout(f"stair {n}", "walking", 0.45, rise=r, stairs=True)
        for n, r in (("up", 0.25), ("down", -0.25))
    ),
]
STEPS = [
    *(bout(f"speed {s}", "walking", s) for s in (0.8, 1.0, 1.2)),
    *(
        bout(f"toes {n}", "walking", 1.0, manner={"toes": a})
        for n, a in (("in", -0.2), ("out", 0.2))
    ),
    *(
        bout(f"width {n}", "walking", 1.0, manner={"width": a})
        for n, a in (("narrow", -0.35), ("wide", 0.35))
    ),
    *(
        bout(f"sway {n}", "walking", 1.0, manner={"sway": a})
        for n, a in (("small", 0.07), ("large", 0.14))
    ),
]
MOVES = [{"name": name} for name in scores.MOVEMENTS]
MOVES += [bout("walking", "walking", 0.95), bout("jogging", "running", 2.4)]

COMMON = {
    "seed": 0,
    "seconds": SECONDS,
    "people": body.PEOPLE,
    "unit": sensors.UNIT,
    "scatter": sensors.SCATTER,
    "manner": 1.0,  # how much people differ in their gait
    "noise": 1.0,  # how much a step differs from the next
}
SETS = {
    "movi": COMMON
    | {
        "subjects": 90,
        "seconds": 12.6,
        "rate": 100.0,
        "sensors": list(body.SEGMENTS),
        "trials": MOVES,
    },
    "loading_rate": COMMON
    | {
        "subjects": 15,
        "rate": 200.0,
        "sensors": ["shank_l"],
        "trials": RUNS,
    },
    "peak_force": COMMON
    | {
        "subjects": 21,
        "rate": 200.0,
        "sensors": ["trunk", "shank_r"],
        "trials": TERRAIN,
    },
    "knee_moment": COMMON
    | {
        "subjects": 17,
        "rate": 100.0,
        "trials": STEPS,
        "sensors": [
            "foot_l",
            "foot_r",
            "shank_r",
            "thigh_r",
            "pelvis",
            "trunk",
            "shank_l",
            "thigh_l",
        ],
    },
}


def spec(name: str, changes: dict) -> dict:
    """The set of that name with some of its entries changed; a mistake is a UserError."""
    if name not in SETS:
        raise UserError(f"no simulated set {name!r}: there are {', '.join(SETS)}")
    strange = sorted(changes.keys() - SETS[name].keys())
    if strange:
        raise UserError(f"a simulated set has no {strange[0]!r}: it has {', '.join(SETS[name])}")
    made = SETS[name] | changes
    for entry, least in (("subjects", 1), ("seconds", LEAST), ("rate", 1.0)):
        if made[entry] < least:
            raise UserError(f"{entry} of a simulated set must be {least:g} or more")
    unknown = sorted(set(made["sensors"]) - set(body.SEGMENTS))
    if unknown:
        raise UserError(f"no segment {unknown[0]!r} to wear a sensor: {', '.join(body.SEGMENTS)}")
    return made


def lay(person, shape, ground, speed, key, noise, seconds) -> gait.Walk:
    """A walk of `seconds` that is within reach and in balance."""
    contacts = int(seconds / QUICKEST) + 8
    drawn = vary(key, contacts, shape.force.shape[1], noise)
    return balance.settle(person, shape, ground, speed, drawn, seconds, kinematics)


vary = jax.jit(gait.noise, static_argnames=("contacts", "harmonics"))


def kinematics(person: body.Body, walk: gait.Walk, t: jax.Array) -> skeleton.Kinematics:
    """Kinematics of a walk at t [T], CHUNK samples at a time: one compiled program for any T."""
    last = jnp.repeat(t[-1:], -len(t) % CHUNK)
    parts = [
        gait.kinematics(person, walk, x)
        for x in jnp.split(jnp.concatenate([t, last]), -(-len(t) // CHUNK))
    ]
    return jax.tree.map(lambda *x: jnp.concatenate(x, -1)[..., : len(t)], *parts)


def measure(person: body.Body, walk: gait.Walk, t: jax.Array):
    """Kinematics and loads of a walk at t [T]."""
    kin = kinematics(person, walk, t)
    return kin, loads_of(person, walk, t)


loads_of = jax.jit(balance.loads)


@jax.jit
def perform(person: body.Body, movement, t: jax.Array):
    """Kinematics of one of the other movements at t [T]."""
    return skeleton.kinematics(
        person, lambda time: activities.tracks(person, movement, time), t, False
    )


read = jax.jit(sensors.read, static_argnames=("rate",))
mounts = jax.jit(sensors.mounts, static_argnames=("segments",))
manner_of = jax.jit(style.own)
style_of = jax.jit(style.style, static_argnames=("gait",))
plates = jax.jit(gait.ground_force)


def person_of(spec: dict, name: str, number: int) -> tuple[jax.Array, body.Body]:
    """The key and the body of one subject of a set."""
    key = jax.random.fold_in(jax.random.key(spec["seed"]), zlib.crc32(name.encode()))
    key = jax.random.fold_in(key, number)
    people = jax.tree.map(np.float32, spec["people"])
    drawn = body.draw(jax.random.fold_in(key, 0), 1, people)
    return key, jax.tree.map(lambda x: x[0], drawn)


class Trial(NamedTuple):
    """One trial, all at FINE; walk and loads are None for movements other than walking and running.

    acc, gyr [T, S, 3]: what the set's sensors read, m/s^2 and rad/s.
    """

    person: body.Body
    walk: gait.Walk | None
    kin: skeleton.Kinematics
    loads: dynamics.Loads | None
    mount: sensors.Mount
    acc: np.ndarray
    gyr: np.ndarray


def trial(spec: dict, name: str, number: int, which: int) -> Trial:
    """One trial of one subject of a set."""
    what = spec["trials"][which]
    key, person = person_of(spec, name, number)
    segments = tuple(body.INDEX[s] for s in spec["sensors"])
    mount = mounts(jax.random.fold_in(key, 1), person, segments, spec["scatter"])
    t = jnp.arange(int(spec["seconds"] * FINE)) / FINE
    chance = jax.random.fold_in(key, 100 + which)
    walk = loads = None
    if "gait" in what:
        walk = walk_of(spec, what, key, person, chance)
        kin, loads = measure(person, walk, walk.begin + t)
    else:
        own = activities.own(jax.random.fold_in(key, 4), spec["manner"])
        movement = activities.perform(chance, person, what["name"], spec["seconds"], own)
        kin = perform(person, movement, t)
    signals = read(jax.random.fold_in(key, 2), kin, mount, spec["unit"], FINE)
    acc, gyr = (np.moveaxis(np.asarray(x), 2, 0) for x in signals)
    return Trial(person, walk, kin, loads, mount, acc, gyr)


def recording(spec: dict, name: str, number: int, which: int) -> dict[str, np.ndarray]:
    """One trial of one subject as the arrays of its file; see README of the builder."""
    made = trial(spec, name, number, which)
    out = {
        "subject": f"{name}{number + 1:02d}",
        "recording": spec["trials"][which]["name"],
        "sensors": np.array(spec["sensors"]),
        "rate": spec["rate"],
        "mass": float(made.person.mass),
        "height": float(made.person.height),
    }
    if made.walk is not None:
        out |= forces(spec, made)
    for signal in ("acc", "gyr"):
        values = windows.resample(getattr(made, signal), FINE, spec["rate"])
        out[signal] = values.astype(np.float32)
    return out


def walk_of(spec: dict, what: dict, key, person: body.Body, chance) -> gait.Walk:
    """The walk of one trial of a person."""
    manner = manner_of(jax.random.fold_in(key, 3), spec["manner"])
    again = manner_of(jax.random.fold_in(chance, 1), style.AGAIN * spec["manner"])
    manner = jax.tree.map(jnp.add, manner, again)
    changes = {k: getattr(manner, k) + v for k, v in what.get("manner", {}).items()}
    manner = manner._replace(**changes)
    speed = jnp.asarray(what["speed"], person.mass.dtype)
    speed = speed * person.speed if what["gait"] == "walking" else speed
    shape = style_of(what["gait"], person, speed, manner)
    tilt = 0.0 if what["stairs"] else np.arctan(what["rise"])
    ground = gait.Ground(jnp.float32(what["rise"]), jnp.float32(tilt))
    return lay(person, shape, ground, speed, chance, spec["noise"], spec["seconds"])


def forces(spec: dict, made: Trial) -> dict[str, np.ndarray]:
    """What the plates and the markers say: force [T1, 2, 3] N, cop, knee [T2, 2, 3] m, events s.

    force at 1000 Hz, cop, knee and free (moment [T2, 2] N m) at FINE; right, left.
    """
    person, walk, kin, loads = made.person, made.walk, made.kin, made.loads
    t = np.arange(int(spec["seconds"] * PLATE)) / PLATE
    force, _ = plates(walk, walk.begin + jnp.asarray(t, jnp.float32))
    knee = kin.position[skeleton.PAIR["shank"] : skeleton.PAIR["shank"] + 2]
    out = {
        "force": np.moveaxis(np.asarray(force), 2, 0) * float(person.mass) * G,
        "cop": np.moveaxis(np.asarray(loads.cop), 2, 0),
        "free": np.asarray(loads.free).T,
        "knee": np.moveaxis(np.asarray(knee), 2, 0),
        "knee_moment": np.asarray(moment(person, kin, loads)).T,
    }
    for side, name in enumerate(("right", "left")):
        out[f"strike_{name}"], out[f"off_{name}"] = contacts(walk, spec["seconds"], side)
    return {k: v.astype(np.float32) for k, v in out.items()}


def contacts(walk: gait.Walk, seconds: float, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Strikes and toe-offs [E] s after `begin` of a foot's contacts that lie whole in `seconds`.

    side: 0 right, 1 left.
    """
    strike = np.asarray(walk.strike, np.float64)[side::2] - float(walk.begin)
    off = strike + np.asarray(walk.stance)[side::2]
    inside = (strike >= 0) & (off <= seconds)
    return strike[inside], off[inside]


moment = jax.jit(dynamics.knee_moment)


def write(
    name: str, spec: dict, out: str | pathlib.Path, workers: int | None = None
) -> pathlib.Path:
    """Write the set into OUT/name; files that are there are kept, so a stopped run goes on.

    Where there are MANY, `workers` processes (default: all cores) make the others than the first
    person's; see `over`.
    """
    folder = pathlib.Path(out) / name
    folder.mkdir(parents=True, exist_ok=True)
    card = folder / "set.json"
    text = json.dumps({"simulated": True, "name": name} | spec, indent=1, sort_keys=True)
    if card.is_file() and card.read_text() != text:
        raise UserError(
            f"{folder} holds a set simulated with other settings; take another --out or delete it"
        )
    card.write_text(text)
    jobs = [
        (number, trial)
        for number in range(spec["subjects"])
        for trial in range(len(spec["trials"]))
        if not _file(folder, name, spec, number, trial).is_file()
    ]
    first = len(spec["trials"])
    many = workers > 1 if workers else len(jobs) - first >= MANY
    one = functools.partial(_record, folder, name, spec)
    over(one, jobs, first, many, log.Progress(len(jobs), f"simulate {name}", "trial"), workers)
    return folder


def over(one, jobs: list, first: int, many: bool, progress: log.Progress, workers=None):
    """Call one(job) for every job.

    The `first` ones are done here, which compiles every program, the others, where there are many,
    by `workers` spawned processes (default: all cores): a script that calls this needs
    `if __name__ == "__main__"`.
    """
    for job in jobs[:first] if many else jobs:
        one(job)
        progress.update()
    if many:
        with _processes(workers) as pool:
            for _ in pool.map(one, jobs[first:]):
                progress.update()
    progress.close()


def _processes(workers: int | None) -> ProcessPoolExecutor:
    """Spawned processes, by default one for each core."""
    spawned, among = multiprocessing.get_context("spawn"), host.available_cores()
    number = spawned.Value("i", 0)
    return ProcessPoolExecutor(workers or len(among), spawned, _settle, (number, among))


def _settle(number, among: list[int]):
    """Give this process, one of several, a core of its own."""
    with number.get_lock():
        mine, number.value = among[number.value % len(among)], number.value + 1
    host.pin_to_core(mine)


def _record(folder: pathlib.Path, name: str, spec: dict, job: tuple[int, int]):
    """Write the file of one (subject, trial)."""
    path = _file(folder, name, spec, *job)
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **recording(spec, name, *job))
    part.replace(path)


def _file(folder: pathlib.Path, name: str, spec: dict, number: int, trial: int) -> pathlib.Path:
    what = spec["trials"][trial]["name"].replace("/", "_").replace(" ", "_")
    return folder / f"{name}{number + 1:02d}" / f"{what}.npz"


def draw(path: pathlib.Path, kind: str, seed: int) -> pathlib.Path:
    """Draw one person walking or running, with forces and traces, to FILE.png or FILE.gif."""
    from imujax.simulate import picture

    if kind not in style.table():
        raise UserError(f"no gait {kind!r}: there are {', '.join(style.table())}")
    made = spec("knee_moment", {"seed": seed, "sensors": ["shank_r"]})
    what = bout(kind, kind, 1.0 if kind == "walking" else 3.0)
    key, person = person_of(made, "shown", 0)
    walk = walk_of(made, what, key, person, jax.random.fold_in(key, 100))
    t = walk.begin + jnp.arange(int(3 * FINE)) / FINE
    kin, loads = measure(person, walk, t)
    mount = mounts(key, person, (body.INDEX["shank_r"],), made["scatter"])
    acc, gyr = read(key, kin, mount, made["unit"], FINE)
    knee = jnp.rad2deg(skeleton.knee_flexion(kin))
    weight = float(person.mass) * G
    time = np.asarray(t - t[0])
    sides = ("right", "left")
    traces = {
        "vertical force": (time, np.asarray(loads.force[:, 2]).T / weight, sides, "BW"),
        "fore-aft force": (time, np.asarray(loads.force[:, 0]).T / weight, sides, "BW"),
        "knee flexion": (time, np.asarray(knee).T, sides, "deg"),
        "knee moment": (time, np.asarray(moment(person, kin, loads)).T, sides, "%BW*BH"),
        "shank accelerometer": (time, np.asarray(acc[0]).T, ("x", "y", "z"), "m/s^2"),
        "shank gyroscope": (time, np.asarray(gyr[0]).T, ("x", "y", "z"), "rad/s"),
    }
    speed = what["speed"] * (float(person.speed) if kind == "walking" else 1.0)
    return picture.show(
        path, person, time, kin, loads, traces, f"a person {kind} at {speed:.1f} m/s"
    )
