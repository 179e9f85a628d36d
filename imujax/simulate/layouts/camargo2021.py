"""A stand-in for Camargo et al. 2021: walking on four terrains, in tables as they are converted.

A trial goes one way: ramps and stairs go up where the name says L, down where it says R.  All units
have the axes of frames.CAMARGO.  The laboratory's axes are x to the right, y up, z backwards, in m;
plate forces are those on the person.  What the tables of markers, muscles and goniometers hold is
not written.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from imujax.data.frames import CAMARGO, RIGHT_UP_BACK
from imujax.data.raw_layouts import CAMARGO_PLATES
from imujax.data.recordings import G
from imujax.errors import UserError
from imujax.runtime import log
from imujax.simulate import layouts, people
from imujax.simulate.layouts.laboratory import named

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
MISSING = 1 / 50  # of the trials
MISSED = 3  # every so many contacts of a foot are beside the plates
TRIM = 0.1  # s by which a table begins later or ends earlier than the trial
LOADED = 20.0  # N from which a plate has a centre of pressure


def trials(repetitions: int) -> list[dict]:
    """The trials of one subject, as people.trial takes them."""
    out = []
    for n in range(1, repetitions + 1):
        out += [
            people.bout(f"LevelGround_{way}_{pace}_01_{n:02d}", "walking", speed)
            for way in ("cw", "ccw")
            for pace, speed in SPEEDS.items()
        ]
        for foot, sign in (("L", 1), ("R", -1)):
            out += [
                people.bout(
                    f"Ramp_{k}_{foot}_01_{n:02d}",
                    "walking",
                    0.8,
                    rise=sign * np.tan(np.deg2rad(slope)),
                )
                for k, slope in enumerate(SLOPES, 1)
            ]
            out += [
                people.bout(
                    f"Stair_{k}_{foot}_01_{n:02d}", "walking", 0.45, rise=sign * rise, stairs=True
                )
                for k, rise in enumerate(STAIRS, 1)
            ]
    return [*out, people.bout("Treadmill_01_01", "walking", 1.0)]


def write(
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
    changes = {"seed": seed, "seconds": seconds, "subjects": subjects}
    changes |= {"sensors": [*UNITS.values()], "trials": trials(repetitions)}
    spec = people.spec("peak_force", changes)
    progress = log.Progress(subjects * len(spec["trials"]), f"simulate {NAME}", "trial")
    with layouts.fresh(out, NAME) as folder:
        rows = [about(spec, number) for number in range(subjects)]
        pa.csv.write_csv(pa.Table.from_pylist(rows), folder / "SubjectInfo.csv")
        jobs = [(n, trial) for n in range(subjects) for trial in range(len(spec["trials"]))]
        many = len(jobs) >= people.MANY
        people.over(functools.partial(put, folder, spec), jobs, len(spec["trials"]), many, progress)
    return Path(out) / NAME


def about(spec: dict, number: int) -> dict:
    """One subject's row of SubjectInfo."""
    _, person = people.person_of(spec, "peak_force", number)
    rng = np.random.default_rng([spec["seed"], number])
    return {
        "Subject": SUBJECTS[number],
        "Age": int(rng.integers(19, 34)),
        "Gender": str(rng.choice(["F", "M"])),
        "Height": round(float(person.height), 3),
        "Weight": round(float(person.mass), 2),
    }


def put(folder: Path, spec: dict, job: tuple[int, int]) -> None:
    """Write the tables of one (subject, trial), unless it is one of the missing."""
    number, trial = job
    rng = np.random.default_rng([spec["seed"], number, trial])
    if rng.random() < MISSING:
        return
    subject, name = SUBJECTS[number], spec["trials"][trial]["name"]
    mode = name.split("_")[0].lower()
    day = np.random.default_rng([spec["seed"], number, 0, 0]).integers(1, 29)
    # Of one laboratory, but typed by several hands.
    name = name if rng.random() < 0.5 else name.lower()
    for kind, table in one_trial(spec, number, trial, rng).items():
        if kind == "fp" and subject == WITHOUT_PLATES:
            continue
        late, early = rng.integers(0, round(TRIM * people.FINE), 2) / people.FINE
        time = table["Header"]
        kept = (time >= late - 1e-9) & (time <= time[-1] - early + 1e-9)
        path = folder / subject / f"{10 + number // 8:02d}_{day:02d}_18" / mode / kind
        path.mkdir(parents=True, exist_ok=True)
        rows = pa.table({column: values[kept] for column, values in table.items()})
        pa.parquet.write_table(rows, path / f"{name}.parquet")


def one_trial(spec: dict, number: int, trial: int, rng) -> dict[str, dict[str, np.ndarray]]:
    """The tables of one trial on one clock: folder -> column -> [T]."""
    what = spec["trials"][trial]
    made = people.trial(spec, "peak_force", number, trial)
    time = np.arange(len(made.acc)) / people.FINE
    imu = {"Header": time}
    for s, unit in enumerate(UNITS):
        for kind, values in (("Accel", made.acc[:, s] / G), ("Gyro", made.gyr[:, s])):
            imu |= named(f"{unit}_{kind}_{{}}", "XYZ", values.astype(float) @ CAMARGO)
    tables = {"imu": imu, "fp": plates(spec, what, made, rng)}
    for side, foot in enumerate(SIDES):
        strikes, offs = people.contacts(made.walk, spec["seconds"], side)
        ramps = {"HeelStrike": cycles(time, strikes), "ToeOff": cycles(time, offs)}
        tables[f"gc{foot}"] = {"Header": time, **ramps}
    tables["conditions"] = {"Header": time, "Label": np.full(len(time), label(what))}
    return tables


def label(what: dict) -> str:
    """What the person does in a trial."""
    kind = what["name"].split("_")[0].lower()
    way = "ascent" if what["rise"] > 0 else "descent"
    return kind + way if kind in ("ramp", "stair") else "walk"


def cycles(time: np.ndarray, events: np.ndarray) -> np.ndarray:
    """A gait-cycle ramp [T], 0 to 100 % from each event [E] s to the next, 0 outside."""
    if not len(events):
        return np.zeros_like(time)
    return 100 * (np.interp(time, events, np.arange(len(events)), left=0, right=0) % 1)


def plates(spec: dict, what: dict, made: people.Trial, rng) -> dict[str, np.ndarray]:
    """The table of forces: each contact on a plate, some on none; without load a plate reads 0."""
    measured = people.forces(spec, made)
    time = np.arange(len(measured["force"])) / people.PLATE
    force = {plate: np.zeros((len(time), 3)) for plate in (*BELTS, "Combined", *FLOOR)}
    cop, free = ({plate: np.zeros_like(x) for plate, x in force.items()} for _ in range(2))
    fine = np.arange(len(measured["cop"])) / people.FINE
    place = measured["cop"].astype(float)
    if what["name"].startswith("Treadmill"):  # as the laboratory sees it; the belt's middle is 0
        place[..., 0] -= np.polyval(belt(made, fine), fine)[:, None]
    for plate, side, begin, end in steps(what["name"], made.walk, time[-1], rng):
        on = (time >= begin) & (time < end) & (measured["force"][:, side, 2] > LOADED)
        # Of this contact alone: before and after it the place is another's.
        known = (fine >= begin) & (fine < end)
        if not known.any():
            continue
        force[plate][on] = measured["force"][on, side] @ RIGHT_UP_BACK
        there = [np.interp(time[on], fine[known], x) for x in place[known, side].T]
        cop[plate][on] = np.stack(there, 1) @ RIGHT_UP_BACK
        # About the vertical; about the other axes there is none at the centre of pressure.
        free[plate][on, 1] = np.interp(time[on], fine[known], measured["free"][known, side])
    out = {"Header": time}
    for plate in force:
        out |= named(f"{plate}_v{{}}", "xyz", force[plate])
        out |= named(f"{plate}_p{{}}", "xyz", cop[plate])
        out |= named(f"{plate}_moment_{{}}", "xyz", free[plate])
    return out


def belt(made: people.Trial, time: np.ndarray) -> np.ndarray:
    """Speed of the belt [m/s] and its place at time 0 [m], by where the pelvis is forwards."""
    return np.polyfit(time, np.asarray(made.kin.position, float)[0, 0], 1)


def steps(name: str, walk, last: float, rng) -> Iterator[tuple[str, int, float, float]]:
    """(plate, 0 right or 1 left, strike, toe-off [s]) of each contact on a plate, up to `last` [s].

    The right foot meets the plates that the name tells in turn, the left foot the others.
    """
    mode, *rest = name.lower().split("_")
    for side in range(2):
        if mode == "treadmill":
            there = (BELTS[side],)
        else:
            right = CAMARGO_PLATES[mode, rest[0] if mode == "levelground" else rest[1]]
            there = (right, [plate for plate in FLOOR if plate not in right])[side]
        begin = np.asarray(walk.strike, float)[side::2] - float(walk.begin)
        end = begin + np.asarray(walk.stance)[side::2]
        inside = np.flatnonzero((end > 0) & (begin < last))
        missed = rng.integers(MISSED)
        hit = [k for k in inside if mode == "treadmill" or k % MISSED != missed]
        for i, k in enumerate(hit):
            yield there[i % len(there)], side, float(begin[k]), float(end[k])
