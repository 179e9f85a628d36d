"""A stand-in for the files of Tan et al. 2021: runners on a treadmill, two plates and five units.

Axes are those of the same laboratory's file of 2022: in the laboratory x to the right, y forwards,
z up, in mm; a unit's x to the left, y up, z forwards (on a foot: out of its back).  The force is
that of the ground on the foot, the left foot's on plate 1, the right one's on plate 2; an unloaded
plate has its centre of pressure at 0.
"""

import functools
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from imujax.data import labels, windows
from imujax.data.frames import LEFT_UP_FORWARD, SLOPED_FOOT
from imujax.runtime import log
from imujax.simulate import body, dynamics, layouts, people
from imujax.simulate.layouts import laboratory
from imujax.simulate.layouts.laboratory import named_columns

NAME = "tan2021_running"
SECONDS = 20.0
# Name in the files: segment.
UNITS = {
    "trunk": "trunk",
    "pelvis": "pelvis",
    "l_thigh": "thigh_l",
    "l_shank": "shank_l",
    "l_foot": "foot_l",
}
STANDING = {"name": "checking watch"}  # the feet stay where they are: this is the static trial
FEET = (1, 0)  # the left foot on plate 1, the right one on plate 2
LOST_SHARE = 1 / 40  # share of the trials that were not recorded
NOISE = 1.0  # N, SD of a plate's forces
AUTHORS_GRAVITY = 10.0  # m/s^2: the authors' body weight is ten times the mass
DECIMALS = {"f": 1, "c": 1, "acc": 3, "gyr": 4, "mag": 2, "LR": 3}  # decimals that are written
MAX_SERIAL_SUBJECTS = 4  # subjects that are made without further processes


def write_files(
    subjects: int | None,
    out: str | Path,
    seed: int,
    seconds: float = SECONDS,
    trials: int = len(people.RUNNING_TRIALS),
) -> Path:
    """Write OUT/tan2021_running/subject_<nn>/<rate>Hz/<trial>.csv, param_of_<trial>.csv -> folder.

    The first `trials` of the study's and a static one, of `seconds` s.  A folder that is there
    already is a UserError.
    """
    changes = {"seed": seed, "seconds": seconds, "sensors": [*UNITS.values()]}
    changes |= {"trials": [*people.RUNNING_TRIALS[:trials], STANDING]}
    changes |= {} if subjects is None else {"subjects": subjects}
    settings = people.simulation_settings("loading_rate", changes)
    jobs = list(itertools.product(range(settings["subjects"]), range(trials + 1)))
    progress = log.Progress(len(jobs), f"simulate {NAME}", "trial", first="compiling")
    with layouts.new_folder(out, NAME) as folder:
        write_one = functools.partial(_write_trial, folder, settings)
        in_pool = settings["subjects"] > MAX_SERIAL_SUBJECTS
        people.run_jobs(write_one, jobs, trials + 1, in_pool, progress)
    return Path(out) / NAME


def _write_trial(folder: Path, settings: dict, job: tuple[int, int]) -> None:
    """The files of one (subject, trial) at all rates; none where it was not recorded."""
    subject_number, trial_number = job
    rng = np.random.default_rng([settings["seed"], subject_number, trial_number])
    trial = settings["trials"][trial_number]
    if "gait" in trial and rng.random() < LOST_SHARE:
        return
    name = trial["name"].replace(" ", "_") if "gait" in trial else "static"
    for rate, tables in trial_tables(settings, subject_number, trial_number, rng).items():
        rate_folder = folder / f"subject_{subject_number + 1:02d}" / f"{rate}Hz"
        rate_folder.mkdir(parents=True, exist_ok=True)
        for prefix, table in zip(("", "param_of_"), tables, strict=True):
            with (rate_folder / f"{prefix}{name}.csv").open("wb") as file:
                file.write((",".join(table) + "\n").encode())  # pyarrow would quote the names
                rows = pa.table({k: _rounded(k, v) for k, v in table.items()})
                csv.write_csv(rows, file, csv.WriteOptions(include_header=False))


def _rounded(name: str, values: np.ndarray) -> np.ndarray:
    parts = name.split("_")
    decimals = [DECIMALS[part] for part in parts if part in DECIMALS]
    return np.round(values, decimals[0] if decimals else 2)


def trial_tables(
    settings: dict, subject_number: int, trial_number: int, rng
) -> dict[int, tuple[dict, dict]]:
    """{rate: (fields [T], parameters [T])} of one trial."""
    trial = people.simulate_trial(settings, "loading_rate", subject_number, trial_number)
    force, cop = (
        _running_loads(settings, trial) if trial.walk is not None else _standing_loads(trial)
    )
    force = force + rng.normal(0, NOISE, force.shape)
    fine = np.arange(len(trial.acc)) / people.SENSOR_RATE
    ahead = np.asarray(trial.kin.position, np.float64)[0, 0]
    speed, begin = np.polyfit(fine, ahead, 1) if trial.walk is not None else (0.0, ahead.mean())

    def lab(points, time):
        """Points [T, 3] m, forwards, left, up -> [T, 3] mm on the treadmill."""
        x, y, z = points.T
        return laboratory.TREADMILL_CENTRE + 1000 * np.stack([-y, x - begin - speed * time, z], 1)

    plates, time = {}, np.arange(len(force)) / people.PLATE_RATE
    for plate, foot in enumerate(FEET, 1):
        x, y, z = force[:, foot].T
        is_down = z > labels.CONTACT_FORCE
        plates |= named_columns(f"f_{plate}_{{}}", "xyz", np.stack([-y, x, z], 1))
        place = np.where(is_down[:, None], lab(cop[:, foot], time), 0)
        plates |= named_columns(f"c_{plate}_{{}}", "xyz", place)
    place, turn = (np.asarray(x, np.float64) for x in (trial.kin.position, trial.kin.rotation))
    fields = {}
    for name, point in laboratory.place_markers(float(trial.person.height), place, turn).items():
        fields |= named_columns(f"{name}_{{}}", "xyz", lab(point.T, fine))
    fields |= _magnetometer_columns(trial, rng)
    units = _unit_columns(trial.acc, trial.gyr)
    slow = (windows.resample(x, people.SENSOR_RATE, 100) for x in (trial.acc, trial.gyr))
    slower = _unit_columns(*slow) | {k: v[::2] for k, v in fields.items() if "mag" in k}
    markers = {k: v[::2] for k, v in fields.items() if "mag" not in k}
    events = _events(trial, force[:, :, 2])
    rows = {100: (10, markers | slower), 200: (5, fields | units), 1000: (1, {})}
    return {
        rate: (
            {"marker_frame": np.arange(len(time[::step])) * people.SENSOR_RATE // rate}
            | {k: v[::step] for k, v in plates.items()}
            | others,
            _parameters(events, rate, len(time[::step])),
        )
        for rate, (step, others) in rows.items()
    }


def _running_loads(settings: dict, trial: people.Trial) -> tuple[np.ndarray, np.ndarray]:
    """Force [T, 2, 3] N and centre of pressure [T, 2, 3] m of right and left foot at 1000 Hz."""
    assert trial.loads is not None  # a trial of running
    measured = people.measure_forces(settings, trial)
    force = measured["force"].astype(np.float64)
    time, fine = (
        np.arange(len(measured[k])) / r
        for k, r in (("force", people.PLATE_RATE), ("cop", people.SENSOR_RATE))
    )
    cop = np.empty(force.shape)
    for foot in range(2):
        is_down = np.asarray(trial.loads.force)[foot, 2] > 0
        for axis in range(3):
            cop[:, foot, axis] = np.interp(
                time, fine[is_down], measured["cop"][is_down, foot, axis]
            )
    return force, cop


def _standing_loads(trial: people.Trial) -> tuple[np.ndarray, np.ndarray]:
    """The same of a person whose feet stay down.

    Newton's law gives the whole force, the centre of mass where it acts (but for the little that
    turning arms and trunk ask for); the feet share it as levers do.
    """
    force = np.asarray(dynamics.external_force(trial.person, trial.kin), np.float64)  # [3, T]
    centre = np.asarray(dynamics.centre_of_mass(trial.person, trial.kin)[0], np.float64)
    point = centre[:2] - centre[2] * force[:2] / force[2]
    ankles = np.asarray(trial.kin.position, np.float64)[
        [body.INDEX["foot_r"], body.INDEX["foot_l"]]
    ]
    left = (point[1] - ankles[0, 1]) / (ankles[1, 1] - ankles[0, 1])
    share = np.stack([1 - left, left])  # [2, T]
    cop = np.stack([np.stack([point[0], foot[1], 0 * point[0]]) for foot in ankles])
    fine = np.arange(force.shape[1]) / people.SENSOR_RATE
    time = np.arange(round(len(fine) * people.PLATE_RATE / people.SENSOR_RATE)) / people.PLATE_RATE

    def at_plate_rate(values):  # [2, 3, T] at SENSOR_RATE -> [T, 2, 3] at PLATE_RATE
        columns = [[np.interp(time, fine, axis) for axis in foot] for foot in values]
        return np.moveaxis(np.array(columns), 2, 0)

    return at_plate_rate(share[:, None] * force), at_plate_rate(cop)


def _unit_frame(segment: str) -> np.ndarray:
    return SLOPED_FOOT if segment.startswith("foot") else LEFT_UP_FORWARD


def _unit_columns(acc: np.ndarray, gyr: np.ndarray) -> dict[str, np.ndarray]:
    """acc, gyr [T, S, 3] in the axes of the files."""
    columns = {}
    for s, (unit, segment) in enumerate(UNITS.items()):
        for kind, values in (("acc", acc), ("gyr", gyr)):
            columns |= named_columns(
                f"{unit}_{kind}_{{}}", "xyz", values[:, s] @ _unit_frame(segment)
            )
    return columns


def _magnetometer_columns(trial: people.Trial, rng) -> dict[str, np.ndarray]:
    """What the magnetometers read, microtesla."""
    columns = {}
    turn = laboratory.unit_axes(trial)
    for s, (unit, segment) in enumerate(UNITS.items()):
        axes = turn[s] @ _unit_frame(segment)
        columns |= named_columns(f"{unit}_mag_{{}}", "xyz", laboratory.read_magnetometer(axes, rng))
    return columns


def _events(trial: people.Trial, force: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{column: (times [E] s, values [E])} of contacts in the vertical force [T, 2]."""
    events = {name: (np.zeros(0), np.zeros(0)) for name in EVENT_NAMES}
    if trial.walk is None:
        return events
    mass = float(trial.person.mass)
    for foot, side in enumerate("rl"):
        smooth = windows.lowpass(force[:, foot], people.PLATE_RATE, labels.IMPACT_CUTOFF)
        strikes, offs, _ = labels.contacts(smooth, people.PLATE_RATE, labels.CONTACT_FORCE, NAME)
        strike_samples, rates, _ = labels.loading_rates(
            force[:, foot], people.PLATE_RATE, mass, NAME, gravity=AUTHORS_GRAVITY
        )
        events[f"{side}_LR"] = strike_samples / people.PLATE_RATE, rates
        for name, samples in (("strikes", strikes), ("offs", offs)):
            events[f"{side}_{name}"] = samples / people.PLATE_RATE, np.ones(len(samples))
    shank = [*UNITS].index("l_shank")
    shock = np.linalg.norm(trial.acc[:, shank], axis=1)
    for name, signal, before in (
        ("strikes", shock, 0.0),
        ("offs", trial.gyr[:, shank, 1], 0.05),
    ):
        times, ones = events[f"l_{name}"]
        events[f"{name}_shank_IMU"] = _largest(signal, times - before, times + 0.05), ones
    return events


SHANK_EVENTS = ("strikes_shank_IMU", "offs_shank_IMU")
EVENT_NAMES = ("l_strikes", "r_strikes", "l_offs", "r_offs", *SHANK_EVENTS, "l_LR", "r_LR")


def _largest(signal: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Times [E] s where a signal [T] at SENSOR_RATE is largest between start and end [E] s.

    A shank's unit is shaken most just after the strike; it leans forwards fastest about toe-off.
    """
    spans = np.stack([start, end], 1) * people.SENSOR_RATE
    return np.array(
        [
            (a + np.argmax(signal[a : b + 1])) / people.SENSOR_RATE
            for a, b in spans.round().astype(int)
        ]
    )


def _parameters(events: dict, rate: int, rows: int) -> dict[str, np.ndarray]:
    """The events' values in the rows nearest to them, 0 elsewhere."""
    columns = {}
    for name, (times, values) in events.items():
        columns[name] = np.zeros(rows)
        columns[name][np.minimum(np.round(times * rate).astype(int), rows - 1)] = values
    return columns
