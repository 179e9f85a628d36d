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
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

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
from imujax.simulate.way import Way

SENSOR_RATE = 200.0  # Hz at which the sensors are evaluated; slower ones are resampled from it
PLATE_RATE = 1000.0  # Hz of the force plates
SECONDS = 10.0  # of a trial
MIN_SECONDS = 2.0  # s, the shortest trial: a few steps
MIN_STEP_TIME = 0.29  # s, the shortest step time that a trial has contacts for
CHUNK = 500  # samples that are computed at once
MIN_POOL_TRIALS = 200  # trials for which it pays to start processes


def gait_trial(name: str, gait: str, speed: float, **changes: Any) -> dict[str, Any]:
    """A trial of walking or running, as an entry of a set's `trials`.

    Parameters
    ----------
    name : str
        Of the recording.
    gait : str
        "walking" or "running".
    speed : float
        m/s (running) or in parts of the preferred one (walking).
    **changes
        rise (height gained per metre), stairs (whether it is one of stairs), and manner: fields of
        style.GaitManner with what is added to them.

    Returns
    -------
    dict
        The trial.
    """
    return {"name": name, "gait": gait, "speed": speed, "rise": 0.0, "stairs": False} | changes


RUNNING_TRIALS = [
    gait_trial(f"{shoe} {rate} {speed}", "running", speed / 10, manner={"cadence": change} | soles)
    for shoe, soles in (
        ("nike", {"lost": -0.08, "span": 0.12}),
        ("mini", {"lost": 0.08, "span": -0.12, "strike": 0.06}),
    )
    for rate, change in (("baseline", 0.0), ("SI", 0.075), ("SR", -0.075))
    for speed in (24, 28)
]
TERRAIN_TRIALS = [
    gait_trial(name, "walking", speed, rise=rise, stairs=name.startswith("stair"))
    for name, speed, rise in (
        ("levelground slow", 0.8, 0.0),
        ("levelground normal", 1.0, 0.0),
        ("levelground fast", 1.2, 0.0),
        ("ramp up 5", 0.8, 0.0875),
        ("ramp up 10", 0.8, 0.176),
        ("ramp down 5", 0.8, -0.0875),
        ("ramp down 10", 0.8, -0.176),
        ("stair up", 0.45, 0.25),
        ("stair down", 0.45, -0.25),
    )
]
WALKING_TRIALS = [gait_trial(f"speed {s}", "walking", s) for s in (0.8, 1.0, 1.2)]
WALKING_TRIALS += [
    gait_trial(f"{field} {name}", "walking", 1.0, manner={field: change})
    for field, name, change in (
        ("toes", "in", -0.2),
        ("toes", "out", 0.2),
        ("width", "narrow", -0.35),
        ("width", "wide", 0.35),
        ("sway", "small", 0.07),
        ("sway", "large", 0.14),
    )
]
MOVI_TRIALS = [{"name": name} for name in scores.MOVEMENTS]
MOVI_TRIALS += [gait_trial("walking", "walking", 0.95), gait_trial("jogging", "running", 2.4)]

COMMON: dict[str, Any] = {
    "seed": 0,
    "seconds": SECONDS,
    "people": body.PEOPLE,
    "unit": sensors.UNIT,
    "scatter": sensors.SCATTER,
    "manner": 1.0,  # how much people differ in their gait
    "noise": 1.0,  # how much a step differs from the next
}
KNEE_SENSORS = ["foot_l", "foot_r", "shank_r", "thigh_r", "pelvis", "trunk", "shank_l", "thigh_l"]
MOVI_SET = {"subjects": 90, "seconds": 12.6, "rate": 100.0, "sensors": list(body.SEGMENTS)}
LOADING_RATE_SET = {"subjects": 15, "rate": 200.0, "sensors": ["shank_l"]}
PEAK_FORCE_SET = {"subjects": 21, "rate": 200.0, "sensors": ["trunk", "shank_r"]}
KNEE_MOMENT_SET = {"subjects": 17, "rate": 100.0}
SETS: dict[str, dict[str, Any]] = {
    "movi": COMMON | MOVI_SET | {"trials": MOVI_TRIALS},
    "loading_rate": COMMON | LOADING_RATE_SET | {"trials": RUNNING_TRIALS},
    "peak_force": COMMON | PEAK_FORCE_SET | {"trials": TERRAIN_TRIALS},
    "knee_moment": COMMON | KNEE_MOMENT_SET | {"trials": WALKING_TRIALS, "sensors": KNEE_SENSORS},
}


def simulation_settings(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a set with some of its entries changed.

    Parameters
    ----------
    name : str
        A set of SETS.
    changes : mapping
        Entries of the set with other values.

    Returns
    -------
    dict
        The settings: plain values.

    Raises
    ------
    UserError
        If there is no such set, entry or segment, or a number is too small.
    """
    if name not in SETS:
        raise UserError(f"no simulated set {name!r}: there are {', '.join(SETS)}")
    unknown_entries = sorted(changes.keys() - SETS[name].keys())
    if unknown_entries:
        raise UserError(
            f"a simulated set has no {unknown_entries[0]!r}: it has {', '.join(SETS[name])}"
        )
    settings = SETS[name] | dict(changes)
    for entry, minimum in (("subjects", 1), ("seconds", MIN_SECONDS), ("rate", 1.0)):
        if settings[entry] < minimum:
            raise UserError(f"{entry} of a simulated set must be {minimum:g} or more")
    unknown_segments = sorted(set(settings["sensors"]) - set(body.SEGMENTS))
    if unknown_segments:
        raise UserError(
            f"no segment {unknown_segments[0]!r} to wear a sensor: {', '.join(body.SEGMENTS)}"
        )
    return settings


def balanced_walk(
    person: body.Body,
    person_style: gait.Style,
    way: Way,
    speed: jax.Array,
    key: jax.Array,
    noise: float,
    seconds: float,
) -> gait.Walk:
    """A walk of `seconds` that is within reach and in balance."""
    contacts = int(seconds / MIN_STEP_TIME) + 8
    variation = random_noise(key, contacts, person_style.force.shape[1], noise)
    return balance.make_walk(person, person_style, way, speed, variation, seconds, kinematics)


random_noise = jax.jit(gait.random_noise, static_argnames=("contacts", "harmonics"))


def kinematics(person: body.Body, walk: gait.Walk, t: jax.Array) -> skeleton.Kinematics:
    """Kinematics of a walk at t [T], CHUNK samples at a time: one compiled program for any T."""
    last = jnp.repeat(t[-1:], -len(t) % CHUNK)
    parts = [
        gait.kinematics(person, walk, x)
        for x in jnp.split(jnp.concatenate([t, last]), -(-len(t) // CHUNK))
    ]
    return jax.tree.map(lambda *x: jnp.concatenate(x, -1)[..., : len(t)], *parts)


def kinematics_and_loads(
    person: body.Body, walk: gait.Walk, t: jax.Array
) -> tuple[skeleton.Kinematics, dynamics.Loads]:
    """Kinematics and loads of a walk at t [T]."""
    kin = kinematics(person, walk, t)
    return kin, ground_loads(person, walk, t)


ground_loads = jax.jit(balance.loads)


@jax.jit
def movement_kinematics(
    person: body.Body, movement: activities.Movement, t: jax.Array
) -> skeleton.Kinematics:
    """Kinematics of one of the other movements at t [T]."""
    return skeleton.kinematics(
        person, lambda time: activities.tracks(person, movement, time), t, False
    )


simulate_readings = jax.jit(sensors.simulate_readings, static_argnames=("rate",))
random_mounts = jax.jit(sensors.random_mounts, static_argnames=("segments",))
random_manner = jax.jit(style.random_manner)
gait_style = jax.jit(style.make_style, static_argnames=("gait",))
plate_forces = jax.jit(gait.ground_force)


def make_subject(
    settings: Mapping[str, Any], name: str, subject_number: int
) -> tuple[jax.Array, body.Body]:
    """The key and the body of one subject of a set.

    Parameters
    ----------
    settings : mapping
        Of the set.
    name : str
        Of the set; people of sets of other names are others.
    subject_number : int
        From 0.

    Returns
    -------
    key : jax.Array
        Of all that is random in this person's trials.
    person : body.Body
        One person.
    """
    key = jax.random.fold_in(jax.random.key(settings["seed"]), zlib.crc32(name.encode()))
    key = jax.random.fold_in(key, subject_number)
    people = jax.tree.map(np.float32, settings["people"])
    population = body.random_people(jax.random.fold_in(key, 0), 1, people)
    return key, jax.tree.map(lambda x: x[0], population)


class Trial(NamedTuple):
    """One simulated trial, all at SENSOR_RATE.

    Attributes
    ----------
    person : body.Body
        Who moves.
    walk : gait.Walk or None
        None for movements other than walking and running.
    kin : skeleton.Kinematics
        Of the 17 segments.
    loads : dynamics.Loads or None
        What the ground does to the feet; None where `walk` is.
    mount : sensors.Mount
        Where the set's S sensors sit.
    acc, gyr : np.ndarray, [T, S, 3]
        What they read, m/s^2 and rad/s.
    """

    person: body.Body
    walk: gait.Walk | None
    kin: skeleton.Kinematics
    loads: dynamics.Loads | None
    mount: sensors.Mount
    acc: np.ndarray
    gyr: np.ndarray


def simulate_trial(
    settings: Mapping[str, Any], name: str, subject_number: int, trial_number: int
) -> Trial:
    """One trial of one subject of a set.

    Parameters
    ----------
    settings : mapping
        Of the set.
    name : str
        Of the set.
    subject_number, trial_number : int
        From 0.

    Returns
    -------
    Trial
        A function of the settings, the name and the two numbers alone.
    """
    trial = settings["trials"][trial_number]
    key, person = make_subject(settings, name, subject_number)
    segments = tuple(body.INDEX[s] for s in settings["sensors"])
    mount = random_mounts(jax.random.fold_in(key, 1), person, segments, settings["scatter"])
    t = jnp.arange(int(settings["seconds"] * SENSOR_RATE)) / SENSOR_RATE
    trial_key = jax.random.fold_in(key, 100 + trial_number)
    walk = loads = None
    if "gait" in trial:
        walk = simulate_walk(settings, trial, key, person, trial_key)
        kin, loads = kinematics_and_loads(person, walk, walk.begin + t)
    else:
        manner = activities.random_manner(jax.random.fold_in(key, 4), settings["manner"])
        movement = activities.perform(trial_key, person, trial["name"], settings["seconds"], manner)
        kin = movement_kinematics(person, movement, t)
    unit_key = jax.random.fold_in(key, 2)  # a person wears the same units in all trials
    signals = simulate_readings(unit_key, kin, mount, settings["unit"], SENSOR_RATE, trial_number)
    acc, gyr = (np.moveaxis(np.asarray(x), 2, 0) for x in signals)
    return Trial(person, walk, kin, loads, mount, acc, gyr)


def simulate_recording(
    settings: Mapping[str, Any], name: str, subject_number: int, trial_number: int
) -> dict[str, Any]:
    """One trial of one subject as the arrays of its file; see README of the builder."""
    trial = simulate_trial(settings, name, subject_number, trial_number)
    arrays = {
        "subject": f"{name}{subject_number + 1:02d}",
        "recording": settings["trials"][trial_number]["name"],
        "sensors": np.array(settings["sensors"]),
        "rate": settings["rate"],
        "mass": float(trial.person.mass),
        "height": float(trial.person.height),
    }
    if trial.walk is not None:
        arrays |= measure_forces(settings, trial)
    for signal in ("acc", "gyr"):
        values = windows.resample(getattr(trial, signal), SENSOR_RATE, settings["rate"])
        arrays[signal] = values.astype(np.float32)
    return arrays


def simulate_walk(
    settings: Mapping[str, Any],
    trial: Mapping[str, Any],
    key: jax.Array,
    person: body.Body,
    trial_key: jax.Array,
) -> gait.Walk:
    """The walk of one trial of a person.

    Parameters
    ----------
    settings : mapping
        Of the set: manner, noise and seconds are used.
    trial : mapping
        As of `gait_trial`.
    key : jax.Array
        The person's.
    person : body.Body
        Who walks.
    trial_key : jax.Array
        The trial's.

    Returns
    -------
    gait.Walk
        Within reach of the legs and in balance.
    """
    manner = random_manner(jax.random.fold_in(key, 3), settings["manner"])
    share = style.TRIAL_SHARE * settings["manner"]
    trial_manner = random_manner(jax.random.fold_in(trial_key, 1), share)
    manner = jax.tree.map(jnp.add, manner, trial_manner)
    changes = {k: getattr(manner, k) + v for k, v in trial.get("manner", {}).items()}
    manner = manner._replace(**changes)
    speed = jnp.asarray(trial["speed"], person.mass.dtype)
    speed = speed * person.speed if trial["gait"] == "walking" else speed
    person_style = gait_style(trial["gait"], person, speed, manner)
    tilt = 0.0 if trial["stairs"] else np.arctan(trial["rise"])
    way = Way(jnp.float32(trial["rise"]), jnp.float32(tilt))
    return balanced_walk(
        person, person_style, way, speed, trial_key, settings["noise"], settings["seconds"]
    )


def measure_forces(settings: Mapping[str, Any], trial: Trial) -> dict[str, np.ndarray]:
    """What the plates and the markers say: force [T1, 2, 3] N, cop, knee [T2, 2, 3] m, events s.

    force at PLATE_RATE, cop, knee and free (moment [T2, 2] N m) at SENSOR_RATE; right, left.
    """
    person, walk, kin, loads = trial.person, trial.walk, trial.kin, trial.loads
    assert walk is not None and loads is not None  # a trial of walking or running
    t = np.arange(int(settings["seconds"] * PLATE_RATE)) / PLATE_RATE
    force, _ = plate_forces(walk, walk.begin + jnp.asarray(t, jnp.float32))
    knee = kin.position[skeleton.PAIR["shank"] : skeleton.PAIR["shank"] + 2]
    arrays = {
        "force": np.moveaxis(np.asarray(force), 2, 0) * float(person.mass) * G,
        "cop": np.moveaxis(np.asarray(loads.cop), 2, 0),
        "free": np.asarray(loads.free_moment).T,
        "knee": np.moveaxis(np.asarray(knee), 2, 0),
        "knee_moment": np.asarray(knee_moment(person, kin, loads)).T,
    }
    for side, name in enumerate(("right", "left")):
        strikes, offs = contact_times(walk, settings["seconds"], side)
        arrays[f"strike_{name}"], arrays[f"off_{name}"] = strikes, offs
    return {k: v.astype(np.float32) for k, v in arrays.items()}


def contact_times(walk: gait.Walk, seconds: float, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Strikes and toe-offs [E] s after `begin` of a foot's contacts that lie whole in `seconds`.

    side: 0 right, 1 left.
    """
    strike = np.asarray(walk.strike, np.float64)[side::2] - float(walk.begin)
    off = strike + np.asarray(walk.stance)[side::2]
    inside = (strike >= 0) & (off <= seconds)
    return strike[inside], off[inside]


knee_moment = jax.jit(dynamics.knee_moment)


def write_set(
    name: str, settings: dict[str, Any], out: pathlib.Path | str, workers: int | None = None
) -> pathlib.Path:
    """Write a set, one file a trial; files that are there are kept, so a stopped run goes on.

    Parameters
    ----------
    name : str
        Of the set.
    settings : dict
        As of `simulation_settings`; they are written beside the files, into set.json.
    out : path
        The set goes into OUT/name.
    workers : int, optional
        Processes that make the others than the first person's trials, where there are
        MIN_POOL_TRIALS of them; by default one a core.  See `run_jobs`.

    Returns
    -------
    Path
        The set's folder.

    Raises
    ------
    UserError
        If the folder holds a set that was simulated with other settings.
    """
    folder = pathlib.Path(out) / name
    folder.mkdir(parents=True, exist_ok=True)
    settings_file = folder / "set.json"
    text = json.dumps({"simulated": True, "name": name} | settings, indent=1, sort_keys=True)
    if settings_file.is_file() and settings_file.read_text() != text:
        raise UserError(
            f"{folder} holds a set simulated with other settings; take another --out or delete it"
        )
    settings_file.write_text(text)
    jobs = [
        (subject_number, trial_number)
        for subject_number in range(settings["subjects"])
        for trial_number in range(len(settings["trials"]))
        if not _recording_path(folder, name, settings, subject_number, trial_number).is_file()
    ]
    serial = len(settings["trials"])
    in_pool = workers > 1 if workers else len(jobs) - serial >= MIN_POOL_TRIALS
    write_one = functools.partial(_write_recording, folder, name, settings)
    progress = log.Progress(len(jobs), f"simulate {name}", "trial", first="compiling")
    run_jobs(write_one, jobs, serial, in_pool, progress, workers)
    return folder


def run_jobs(
    run_one: Callable[[Any], None],
    jobs: list[Any],
    serial: int,
    in_pool: bool,
    progress: log.Progress,
    workers: int | None = None,
) -> None:
    """Call run_one(job) for every job.

    The first `serial` ones are done here, which compiles every program, the others, if `in_pool`,
    by `workers` spawned processes (default: all cores): a script that calls this needs
    `if __name__ == "__main__"`.
    """
    for job in jobs[:serial] if in_pool else jobs:
        run_one(job)
        progress.update()
    if in_pool:
        with _processes(workers) as pool:
            for _ in pool.map(run_one, jobs[serial:]):
                progress.update()
    progress.close()


def _processes(workers: int | None) -> ProcessPoolExecutor:
    """Spawned processes, by default one for each core."""
    context, cores = multiprocessing.get_context("spawn"), host.available_cores()
    counter = context.Value("i", 0)
    return ProcessPoolExecutor(workers or len(cores), context, _pin_worker, (counter, cores))


def _pin_worker(counter, cores: list[int]) -> None:
    """Give this process, one of several, a core of its own."""
    with counter.get_lock():
        core, counter.value = cores[counter.value % len(cores)], counter.value + 1
    host.pin_to_core(core)


def _write_recording(folder: pathlib.Path, name: str, settings: dict, job: tuple[int, int]):
    """Write the file of one (subject, trial)."""
    path = _recording_path(folder, name, settings, *job)
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **simulate_recording(settings, name, *job))
    part.replace(path)


def _recording_path(
    folder: pathlib.Path, name: str, settings: dict, subject_number: int, trial_number: int
) -> pathlib.Path:
    trial_name = settings["trials"][trial_number]["name"].replace("/", "_").replace(" ", "_")
    return folder / f"{name}{subject_number + 1:02d}" / f"{trial_name}.npz"


def draw_person(path: pathlib.Path | str, kind: str, seed: int) -> pathlib.Path:
    """Draw one person walking or running, with forces and traces.

    Parameters
    ----------
    path : path
        FILE.png or FILE.gif.
    kind : str
        A gait: "walking" or "running".
    seed : int
        Another seed is another person.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserError
        If there is no such gait, or as of `picture.show`.
    """
    from imujax.simulate import picture

    if kind not in style.table():
        raise UserError(f"no gait {kind!r}: there are {', '.join(style.table())}")
    settings = simulation_settings("knee_moment", {"seed": seed, "sensors": ["shank_r"]})
    trial = gait_trial(kind, kind, 1.0 if kind == "walking" else 3.0)
    key, person = make_subject(settings, "shown", 0)
    walk = simulate_walk(settings, trial, key, person, jax.random.fold_in(key, 100))
    t = walk.begin + jnp.arange(int(3 * SENSOR_RATE)) / SENSOR_RATE
    kin, loads = kinematics_and_loads(person, walk, t)
    mount = random_mounts(key, person, (body.INDEX["shank_r"],), settings["scatter"])
    acc, gyr = simulate_readings(key, kin, mount, settings["unit"], SENSOR_RATE)
    knee = jnp.rad2deg(skeleton.knee_flexion(kin))
    weight = float(person.mass) * G
    time = np.asarray(t - t[0])
    sides = ("right", "left")
    traces = {
        "vertical force": (time, np.asarray(loads.force[:, 2]).T / weight, sides, "BW"),
        "fore-aft force": (time, np.asarray(loads.force[:, 0]).T / weight, sides, "BW"),
        "knee flexion": (time, np.asarray(knee).T, sides, "deg"),
        "knee moment": (time, np.asarray(knee_moment(person, kin, loads)).T, sides, "%BW*BH"),
        "shank accelerometer": (time, np.asarray(acc[0]).T, ("x", "y", "z"), "m/s^2"),
        "shank gyroscope": (time, np.asarray(gyr[0]).T, ("x", "y", "z"), "rad/s"),
    }
    speed = trial["speed"] * (float(person.speed) if kind == "walking" else 1.0)
    return picture.show(
        path, person, time, kin, loads, traces, f"a person {kind} at {speed:.1f} m/s"
    )
