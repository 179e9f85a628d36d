"""A stand-in for Camargo et al. 2021: walking on four terrains, in tables as they are converted.

A trial goes one way: ramps and stairs go up where the name says L, down where it says R.  All units
have the axes of frames.CAMARGO.  The laboratory's axes are x to the right, y up, z backwards, in m;
plate forces are those on the person.  What the tables of markers, muscles and goniometers hold is
not written.
"""

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from imujax.data.frames import CAMARGO, RIGHT_UP_BACK
from imujax.data.raw_layouts import CAMARGO_PLATES
from imujax.data.recordings import G
from imujax.errors import UserError
from imujax.runtime import log
from imujax.simulate import layouts, people
from imujax.simulate.layouts.laboratory import named_columns

NAME = "camargo2021"
SUBJECTS = [f"AB{n:02d}" for n in (*range(6, 22), 23, 24, 25, 27, 28, 30)]
WITHOUT_PLATES = "AB20"
UNITS = {"foot": "foot_r", "shank": "shank_r", "thigh": "thigh_r", "trunk": "trunk"}
FLOOR = tuple(f"FP{n}" for n in range(1, 7))
BELTS = ("Treadmill_R", "Treadmill_L")  # right, left, as everywhere here
SIDES = ("Right", "Left")
SPEEDS = {"slow": 0.8, "normal": 1.0, "fast": 1.2}
SLOPES = (5.2, 7.8, 9.2, 11.0, 12.4, 18.0)  # degrees
# Steps of 102 to 178 mm as in the laboratory, on treads of 0.41 m: on shorter ones the simulated
# knee would bend further than it was fitted for.
STAIRS = tuple(height / 0.41 for height in (0.102, 0.127, 0.152, 0.178))
MISSING_SHARE = 1 / 50  # of the trials
MISSED_EVERY = 3  # every so many contacts of a foot are beside the plates
MAX_TRIM = 0.1  # s by which a table begins later or ends earlier than the trial
PLATE_THRESHOLD = 20.0  # N from which a plate has a centre of pressure


def make_trials(repetitions: int) -> list[dict]:
    """The trials of one subject, as people.simulate_trial takes them."""
    trials = []
    for n in range(1, repetitions + 1):
        trials += [
            people.gait_trial(f"LevelGround_{way}_{pace}_01_{n:02d}", "walking", speed)
            for way in ("cw", "ccw")
            for pace, speed in SPEEDS.items()
        ]
        for foot, sign in (("L", 1), ("R", -1)):
            for k, slope in enumerate(SLOPES, 1):
                name, rise = f"Ramp_{k}_{foot}_01_{n:02d}", sign * np.tan(np.deg2rad(slope))
                trials.append(people.gait_trial(name, "walking", 0.8, rise=rise))
            for k, slope in enumerate(STAIRS, 1):
                name, rise = f"Stair_{k}_{foot}_01_{n:02d}", sign * slope
                trials.append(people.gait_trial(name, "walking", 0.45, rise=rise, stairs=True))
    return [*trials, people.gait_trial("Treadmill_01_01", "walking", 1.0)]


def write_files(
    subjects: int | None,
    out: str | Path,
    seed: int,
    seconds: float = people.SECONDS,
    repetitions: int = 2,
) -> Path:
    """Write OUT/camargo2021/AB06 ... and SubjectInfo.csv, trials of `seconds` s -> the folder.

    `repetitions` is of each trial but the treadmill's.  The original's subjects are 22; more of
    them, or a folder that is there already, is a UserError.
    """
    subjects = len(SUBJECTS) if subjects is None else subjects
    if subjects > len(SUBJECTS):
        raise UserError(f"{NAME} has {len(SUBJECTS)} subjects, not {subjects}: take fewer")
    changes: dict[str, Any] = {"seed": seed, "seconds": seconds, "subjects": subjects}
    changes |= {"sensors": [*UNITS.values()], "trials": make_trials(repetitions)}
    settings = people.simulation_settings("peak_force", changes)
    progress = log.Progress(
        subjects * len(settings["trials"]), f"simulate {NAME}", "trial", first="compiling"
    )
    with layouts.new_folder(out, NAME) as folder:
        rows = [subject_row(settings, subject_number) for subject_number in range(subjects)]
        csv.write_csv(pa.Table.from_pylist(rows), folder / "SubjectInfo.csv")
        trials = len(settings["trials"])
        jobs = list(itertools.product(range(subjects), range(trials)))
        in_pool = len(jobs) >= people.MIN_POOL_TRIALS
        write_one = functools.partial(write_trial, folder, settings)
        people.run_jobs(write_one, jobs, trials, in_pool, progress)
    return Path(out) / NAME


def subject_row(settings: dict, subject_number: int) -> dict:
    """One subject's row of SubjectInfo."""
    _, person = people.make_subject(settings, "peak_force", subject_number)
    rng = np.random.default_rng([settings["seed"], subject_number])
    return {
        "Subject": SUBJECTS[subject_number],
        "Age": int(rng.integers(19, 34)),
        "Gender": str(rng.choice(["F", "M"])),
        "Height": round(float(person.height), 3),
        "Weight": round(float(person.mass), 2),
    }


def write_trial(folder: Path, settings: dict, job: tuple[int, int]) -> None:
    """Write the tables of one (subject, trial), unless it is one of the missing."""
    subject_number, trial_number = job
    rng = np.random.default_rng([settings["seed"], subject_number, trial_number])
    if rng.random() < MISSING_SHARE:
        return
    subject, name = SUBJECTS[subject_number], settings["trials"][trial_number]["name"]
    mode = name.split("_")[0].lower()
    day = np.random.default_rng([settings["seed"], subject_number, 0, 0]).integers(1, 29)
    # Of one laboratory, but typed by several hands.
    name = name if rng.random() < 0.5 else name.lower()
    for kind, table in trial_tables(settings, subject_number, trial_number, rng).items():
        if kind == "fp" and subject == WITHOUT_PLATES:
            continue
        late, early = rng.integers(0, round(MAX_TRIM * people.SENSOR_RATE), 2) / people.SENSOR_RATE
        time = table["Header"]
        is_kept = (time >= late - 1e-9) & (time <= time[-1] - early + 1e-9)
        path = folder / subject / f"{10 + subject_number // 8:02d}_{day:02d}_18" / mode / kind
        path.mkdir(parents=True, exist_ok=True)
        rows = pa.table({column: values[is_kept] for column, values in table.items()})
        parquet.write_table(rows, path / f"{name}.parquet")


def trial_tables(
    settings: dict, subject_number: int, trial_number: int, rng
) -> dict[str, dict[str, np.ndarray]]:
    """The tables of one trial on one clock: folder -> column -> [T]."""
    entry = settings["trials"][trial_number]
    trial = people.simulate_trial(settings, "peak_force", subject_number, trial_number)
    assert trial.walk is not None  # all trials are of walking
    time = np.arange(len(trial.acc)) / people.SENSOR_RATE
    imu = {"Header": time}
    for s, unit in enumerate(UNITS):
        for kind, values in (("Accel", trial.acc[:, s] / G), ("Gyro", trial.gyr[:, s])):
            imu |= named_columns(f"{unit}_{kind}_{{}}", "XYZ", values.astype(float) @ CAMARGO)
    tables = {"imu": imu, "fp": plate_table(settings, entry, trial, rng)}
    for side, foot in enumerate(SIDES):
        strikes, offs = people.contact_times(trial.walk, settings["seconds"], side)
        tables[f"gc{foot}"] = {
            "Header": time,
            "HeelStrike": gait_cycle_ramp(time, strikes),
            "ToeOff": gait_cycle_ramp(time, offs),
        }
    tables["conditions"] = {"Header": time, "Label": np.full(len(time), activity_label(entry))}
    return tables


def activity_label(entry: dict) -> str:
    """What the person does in a trial."""
    kind = entry["name"].split("_")[0].lower()
    way = "ascent" if entry["rise"] > 0 else "descent"
    return kind + way if kind in ("ramp", "stair") else "walk"


def gait_cycle_ramp(time: np.ndarray, events: np.ndarray) -> np.ndarray:
    """A gait-cycle ramp [T], 0 to 100 % from each event [E] s to the next, 0 outside."""
    if not len(events):
        return np.zeros_like(time)
    return 100 * (np.interp(time, events, np.arange(len(events)), left=0, right=0) % 1)


def plate_table(settings: dict, entry: dict, trial: people.Trial, rng) -> dict[str, np.ndarray]:
    """The table of forces: each contact on a plate, some on none; without load a plate reads 0."""
    measured = people.measure_forces(settings, trial)
    time = np.arange(len(measured["force"])) / people.PLATE_RATE
    force = {plate: np.zeros((len(time), 3)) for plate in (*BELTS, "Combined", *FLOOR)}
    cop, free = ({plate: np.zeros_like(x) for plate, x in force.items()} for _ in range(2))
    fine = np.arange(len(measured["cop"])) / people.SENSOR_RATE
    place = measured["cop"].astype(float)
    if entry["name"].startswith("Treadmill"):  # as the laboratory sees it; the belt's middle is 0
        place[..., 0] -= np.polyval(belt_motion(trial, fine), fine)[:, None]
    for plate, side, begin, end in plate_contacts(entry["name"], trial.walk, time[-1], rng):
        is_on = (time >= begin) & (time < end) & (measured["force"][:, side, 2] > PLATE_THRESHOLD)
        # Of this contact alone: before and after it the place is another's.
        is_known = (fine >= begin) & (fine < end)
        if not is_known.any():
            continue
        force[plate][is_on] = measured["force"][is_on, side] @ RIGHT_UP_BACK
        places = [np.interp(time[is_on], fine[is_known], x) for x in place[is_known, side].T]
        cop[plate][is_on] = np.stack(places, 1) @ RIGHT_UP_BACK
        # About the vertical; about the other axes there is none at the centre of pressure.
        free[plate][is_on, 1] = np.interp(
            time[is_on], fine[is_known], measured["free"][is_known, side]
        )
    columns = {"Header": time}
    for plate in force:
        columns |= named_columns(f"{plate}_v{{}}", "xyz", force[plate])
        columns |= named_columns(f"{plate}_p{{}}", "xyz", cop[plate])
        columns |= named_columns(f"{plate}_moment_{{}}", "xyz", free[plate])
    return columns


def belt_motion(trial: people.Trial, time: np.ndarray) -> np.ndarray:
    """Speed of the belt [m/s] and its place at time 0 [m], by where the pelvis is forwards."""
    return np.polyfit(time, np.asarray(trial.kin.position, float)[0, 0], 1)


def plate_contacts(name: str, walk, last: float, rng) -> Iterator[tuple[str, int, float, float]]:
    """(plate, 0 right or 1 left, strike, toe-off [s]) of each contact on a plate, up to `last` [s].

    The right foot meets the plates that the name tells in turn, the left foot the others.
    """
    mode, *parts = name.lower().split("_")
    for side in range(2):
        if mode == "treadmill":
            plates = (BELTS[side],)
        else:
            right = CAMARGO_PLATES[mode, parts[0] if mode == "levelground" else parts[1]]
            plates = (right, [plate for plate in FLOOR if plate not in right])[side]
        begin = np.asarray(walk.strike, float)[side::2] - float(walk.begin)
        end = begin + np.asarray(walk.stance)[side::2]
        in_span = np.flatnonzero((end > 0) & (begin < last))
        missed = rng.integers(MISSED_EVERY)
        on_plates = [k for k in in_span if mode == "treadmill" or k % MISSED_EVERY != missed]
        for i, k in enumerate(on_plates):
            yield plates[i % len(plates)], side, float(begin[k]), float(end[k])
