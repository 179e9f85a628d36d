"""A stand-in for the files of Tan et al. 2021: runners on a treadmill, two plates and five units.

Axes are those of the same laboratory's file of 2022: in the laboratory x to the right, y forwards,
z up, in mm; a unit's x to the left, y up, z forwards (on a foot: out of its back).  The force is
that of the ground on the foot, the left foot's on plate 1, the right one's on plate 2; an unloaded
plate has its centre of pressure at 0.
"""

import functools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from imujax.data import labels, windows
from imujax.data.frames import LEFT_UP_FORWARD, SLOPED_FOOT
from imujax.runtime import log
from imujax.simulate import body, dynamics, layouts, people
from imujax.simulate.layouts import laboratory
from imujax.simulate.layouts.laboratory import named

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
RATES = (100, 200, 1000)  # Hz
LOST = 1 / 40  # share of the trials that were not recorded
NOISE = 1.0  # N, SD of a plate's forces
TENS = 10.0  # m/s^2: the authors' body weight is ten times the mass
PLACES = {"f": 1, "c": 1, "acc": 3, "gyr": 4, "mag": 2, "LR": 3}  # decimals that are written
FEW = 4  # subjects that are made without further processes


def write(
    subjects: int | None,
    out: str | Path,
    seed: int,
    seconds: float = SECONDS,
    trials: int = len(people.RUNS),
) -> Path:
    """Write OUT/tan2021_running/subject_<nn>/<rate>Hz/<trial>.csv, param_of_<trial>.csv -> folder.

    The first `trials` of the study's and a static one, of `seconds` s.  A folder that is there
    already is a UserError.
    """
    changes = {"seed": seed, "seconds": seconds, "sensors": [*UNITS.values()]}
    changes |= {"trials": [*people.RUNS[:trials], STANDING]}
    changes |= {} if subjects is None else {"subjects": subjects}
    spec = people.spec("loading_rate", changes)
    jobs = [(n, trial) for n in range(spec["subjects"]) for trial in range(trials + 1)]
    progress = log.Progress(len(jobs), f"simulate {NAME}", "trial")
    with layouts.fresh(out, NAME) as folder:
        one = functools.partial(_write, folder, spec)
        people.over(one, jobs, trials + 1, spec["subjects"] > FEW, progress)
    return Path(out) / NAME


def _write(folder: Path, spec: dict, job: tuple[int, int]) -> None:
    """The files of one (subject, trial) at all rates; none where it was not recorded."""
    number, which = job
    rng = np.random.default_rng([spec["seed"], number, which])
    what = spec["trials"][which]
    if "gait" in what and rng.random() < LOST:
        return
    name = what["name"].replace(" ", "_") if "gait" in what else "static"
    for rate, tables in one_trial(spec, number, which, rng).items():
        place = folder / f"subject_{number + 1:02d}" / f"{rate}Hz"
        place.mkdir(parents=True, exist_ok=True)
        for start, table in zip(("", "param_of_"), tables, strict=True):
            with (place / f"{start}{name}.csv").open("wb") as file:
                file.write((",".join(table) + "\n").encode())  # pyarrow would quote the names
                pa.csv.write_csv(
                    pa.table({k: _rounded(k, v) for k, v in table.items()}),
                    file,
                    pa.csv.WriteOptions(include_header=False),
                )


def _rounded(name: str, values: np.ndarray) -> np.ndarray:
    parts = name.split("_")
    known = [PLACES[part] for part in parts if part in PLACES]
    return np.round(values, known[0] if known else 2)


def one_trial(spec: dict, number: int, which: int, rng) -> dict[int, tuple[dict, dict]]:
    """{rate: (fields [T], parameters [T])} of one trial."""
    made = people.trial(spec, "loading_rate", number, which)
    force, cop = _running(spec, made) if made.walk is not None else _standing(made)
    force = force + rng.normal(0, NOISE, force.shape)
    fine = np.arange(len(made.acc)) / people.FINE
    ahead = np.asarray(made.kin.position, np.float64)[0, 0]
    speed, begin = np.polyfit(fine, ahead, 1) if made.walk is not None else (0.0, ahead.mean())

    def lab(points, time):
        """Points [T, 3] m, forwards, left, up -> [T, 3] mm on the treadmill."""
        x, y, z = points.T
        return laboratory.CENTRE + 1000 * np.stack([-y, x - begin - speed * time, z], 1)

    plates, time = {}, np.arange(len(force)) / people.PLATE
    for plate, foot in enumerate(FEET, 1):
        x, y, z = force[:, foot].T
        down = z > labels.CONTACT
        plates |= named(f"f_{plate}_{{}}", "xyz", np.stack([-y, x, z], 1))
        place = np.where(down[:, None], lab(cop[:, foot], time), 0)
        plates |= named(f"c_{plate}_{{}}", "xyz", place)
    place, turn = (np.asarray(x, np.float64) for x in (made.kin.position, made.kin.rotation))
    fields = {}
    for name, spot in laboratory.markers(float(made.person.height), place, turn).items():
        fields |= named(f"{name}_{{}}", "xyz", lab(spot.T, fine))
    fields |= _field(made, rng)
    units = _units(made, made.acc, made.gyr)
    slow = (windows.resample(x, people.FINE, 100) for x in (made.acc, made.gyr))
    slower = _units(made, *slow) | {k: v[::2] for k, v in fields.items() if "mag" in k}
    markers = {k: v[::2] for k, v in fields.items() if "mag" not in k}
    events = _events(made, force[:, :, 2])
    rows = {100: (10, markers | slower), 200: (5, fields | units), 1000: (1, {})}
    return {
        rate: (
            {"marker_frame": np.arange(len(time[::step])) * people.FINE // rate}
            | {k: v[::step] for k, v in plates.items()}
            | others,
            _parameters(events, rate, len(time[::step])),
        )
        for rate, (step, others) in rows.items()
    }


def _running(spec: dict, made: people.Trial) -> tuple[np.ndarray, np.ndarray]:
    """Force [T, 2, 3] N and centre of pressure [T, 2, 3] m of right and left foot at 1000 Hz."""
    says = people.forces(spec, made)
    force = says["force"].astype(np.float64)
    time, fine = (
        np.arange(len(says[k])) / r for k, r in (("force", people.PLATE), ("cop", people.FINE))
    )
    cop = np.empty(force.shape)
    for foot in range(2):
        down = np.asarray(made.loads.force)[foot, 2] > 0
        for axis in range(3):
            cop[:, foot, axis] = np.interp(time, fine[down], says["cop"][down, foot, axis])
    return force, cop


def _standing(made: people.Trial) -> tuple[np.ndarray, np.ndarray]:
    """The same of a person whose feet stay down.

    Newton's law gives the whole force, the centre of mass where it acts (but for the little that
    turning arms and trunk ask for); the feet share it as levers do.
    """
    force = np.asarray(dynamics.external_force(made.person, made.kin), np.float64)  # [3, T]
    centre = np.asarray(dynamics.com(made.person, made.kin)[0], np.float64)
    at = centre[:2] - centre[2] * force[:2] / force[2]
    ankles = np.asarray(made.kin.position, np.float64)[[body.INDEX["foot_r"], body.INDEX["foot_l"]]]
    left = (at[1] - ankles[0, 1]) / (ankles[1, 1] - ankles[0, 1])
    share = np.stack([1 - left, left])  # [2, T]
    cop = np.stack([np.stack([at[0], foot[1], 0 * at[0]]) for foot in ankles])
    fine = np.arange(force.shape[1]) / people.FINE
    time = np.arange(round(len(fine) * people.PLATE / people.FINE)) / people.PLATE

    def often(values):  # [2, 3, T] at FINE -> [T, 2, 3] at PLATE
        columns = [[np.interp(time, fine, axis) for axis in foot] for foot in values]
        return np.moveaxis(np.array(columns), 2, 0)

    return often(share[:, None] * force), often(cop)


def _frame(segment: str) -> np.ndarray:
    return SLOPED_FOOT if segment.startswith("foot") else LEFT_UP_FORWARD


def _units(made: people.Trial, acc: np.ndarray, gyr: np.ndarray) -> dict[str, np.ndarray]:
    """acc, gyr [T, S, 3] in the axes of the files."""
    out = {}
    for s, (unit, segment) in enumerate(UNITS.items()):
        for kind, values in (("acc", acc), ("gyr", gyr)):
            out |= named(f"{unit}_{kind}_{{}}", "xyz", values[:, s] @ _frame(segment))
    return out


def _field(made: people.Trial, rng) -> dict[str, np.ndarray]:
    """What the magnetometers read, microtesla."""
    out = {}
    for s, (unit, segment) in enumerate(UNITS.items()):
        turn = np.asarray(made.kin.rotation, np.float64)[body.INDEX[segment]]
        axes = np.moveaxis(turn, 2, 0) @ np.asarray(made.mount.rotation[s]) @ _frame(segment)
        out |= named(f"{unit}_mag_{{}}", "xyz", laboratory.field(axes, rng))
    return out


def _events(made: people.Trial, force: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{column: (times [E] s, values [E])} of contacts in the vertical force [T, 2]; see NAMES."""
    out = {name: (np.zeros(0), np.zeros(0)) for name in NAMES}
    if made.walk is None:
        return out
    mass = float(made.person.mass)
    for foot, side in enumerate("rl"):
        smooth = windows.lowpass(force[:, foot], people.PLATE, labels.IMPACT_CUTOFF)
        strikes, offs, _ = labels.contacts(smooth, people.PLATE, labels.CONTACT, NAME)
        at, rates, _ = labels.loading_rates(force[:, foot], people.PLATE, mass, NAME, gravity=TENS)
        out[f"{side}_LR"] = at / people.PLATE, rates
        for name, samples in (("strikes", strikes), ("offs", offs)):
            out[f"{side}_{name}"] = samples / people.PLATE, np.ones(len(samples))
    shank = [*UNITS].index("l_shank")
    shock = np.linalg.norm(made.acc[:, shank], axis=1)
    for name, signal, before in (("strikes", shock, 0.0), ("offs", made.gyr[:, shank, 1], 0.05)):
        times, ones = out[f"l_{name}"]
        out[f"{name}_shank_IMU"] = _largest(signal, times - before, times + 0.05), ones
    return out


NAMES = (
    "l_strikes",
    "r_strikes",
    "l_offs",
    "r_offs",
    "strikes_shank_IMU",
    "offs_shank_IMU",
    "l_LR",
    "r_LR",
)


def _largest(signal: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Times [E] s where a signal [T] at FINE is largest between start and end [E] s.

    A shank's unit is shaken most just after the strike; it leans forwards fastest about toe-off.
    """
    spans = np.stack([start, end], 1) * people.FINE
    return np.array(
        [(a + np.argmax(signal[a : b + 1])) / people.FINE for a, b in spans.round().astype(int)]
    )


def _parameters(events: dict, rate: int, rows: int) -> dict[str, np.ndarray]:
    """The events' values in the rows nearest to them, 0 elsewhere."""
    out = {}
    for name, (times, values) in events.items():
        out[name] = np.zeros(rows)
        out[name][np.minimum(np.round(times * rate).astype(int), rows - 1)] = values
    return out
