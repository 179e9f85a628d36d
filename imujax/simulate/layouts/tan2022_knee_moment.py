"""A stand-in for the file of Tan et al. 2022: steps on a treadmill, all 256 fields of the real one.

The laboratory's axes are x to the right, y forwards, z up, in mm; plate forces are those on the
plate.  A unit's x points to the left, y up, z forwards (on a foot: out of its back).
"""

import json
from pathlib import Path

import h5py
import numpy as np
from scipy.spatial.transform import Rotation

from imujax.data import labels, windows
from imujax.data.frames import LEFT_UP_FORWARD, SLOPED_FOOT
from imujax.runtime import log
from imujax.simulate import body, layouts, people, skeleton
from imujax.simulate.layouts import laboratory
from imujax.simulate.layouts.laboratory import named

NAME = "tan2022_knee_moment"
FILE = "moments_and_imus.h5"
SAMPLES = 152  # of a step, zero after its end
RATE = 100.0  # Hz
# Name in the file: segment.
UNITS = {
    "L_FOOT": "foot_l",
    "R_FOOT": "foot_r",
    "R_SHANK": "shank_r",
    "R_THIGH": "thigh_r",
    "WAIST": "pelvis",
    "CHEST": "trunk",
    "L_SHANK": "shank_l",
    "L_THIGH": "thigh_l",
}
POINTS = (
    "LShoulder",
    "RShoulder",
    "MidHip",
    "RHip",
    "LHip",
    "RKnee",
    "LKnee",
    "RAnkle",
    "LAnkle",
    "RHeel",
    "LHeel",
)
CONTACT = 20.0  # N
FOCUS, DISTANCE, CAMERA = 1500.0, 2.9, np.array([540.0, 960.0])  # px, m, px


def columns() -> list[str]:
    """Names of the 256 fields in the order of the real file."""
    names = ["body weight", "body height", "force_phase", *(f"EXT_KM_{a}" for a in "XYZ")]
    for unit in UNITS:
        names += [f"{kind}{axis}_{unit}" for kind in ("Accel", "Gyro", "Mag") for axis in "XYZ"]
        names += [f"Quat{n}_{unit}" for n in "1234"]
    names += [f"{point}_{axis}_{view}" for point in POINTS for axis in "xy" for view in (90, 180)]
    names += [f"plate_2_{kind}_{axis}" for kind in ("force", "cop") for axis in "xyz"]
    return names + [f"{marker}_{axis}" for axis in "XYZ" for marker in laboratory.MARKERS]


def write(
    subjects: int | None, out: str | Path, seed: int, seconds: float = people.SECONDS
) -> Path:
    """Write OUT/tan2022_knee_moment/moments_and_imus.h5, trials of `seconds` s -> the folder.

    A folder that is there already is a UserError.
    """
    changes = {"seed": seed, "seconds": seconds, "sensors": [*UNITS.values()]}
    changes |= {} if subjects is None else {"subjects": subjects}
    spec = people.spec("knee_moment", changes)
    subjects = spec["subjects"]
    progress = log.Progress(subjects * len(spec["trials"]), f"simulate {NAME}", "trial")
    with layouts.fresh(out, NAME) as folder, h5py.File(folder / FILE, "w") as file:
        for number in range(subjects):
            steps = []
            for trial in range(len(spec["trials"])):
                steps += cut(spec, number, trial)
                progress.update()
            file[f"subject_{number + 1:02d}"] = np.stack(steps).astype(np.float32)
        file.attrs["columns"] = json.dumps(columns())
    progress.close()
    return Path(out) / NAME


def cut(spec: dict, number: int, trial: int) -> list[np.ndarray]:
    """The steps of the right leg in one trial, each [SAMPLES, 256]."""
    fields, strikes, offs = one_trial(spec, number, trial)
    starts, lengths, _ = labels.knee_steps(strikes, offs, len(fields["force_phase"]))
    names = columns()
    table = np.stack([fields[name] for name in names], axis=1)
    phase, cop = (names.index(name) for name in ("force_phase", "plate_2_cop_x"))
    steps = []
    for start, length in zip(starts, lengths, strict=True):
        step = table[start : start + length].copy()
        # The plate knows one contact: the neighbours' are another step's, and its place is held.
        alone = np.zeros(length, bool)
        alone[labels.AROUND - 2 : length - labels.AROUND + 2] = True
        loaded = alone & (step[:, phase] > 0)
        step[~loaded, phase] = 0
        step[:, cop : cop + 3] = held(step[:, cop : cop + 3], loaded)
        steps.append(windows.pad_window(step, SAMPLES)[0])
    return steps


def held(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """values [T, 3] where known [T], the nearest known ones elsewhere."""
    at = np.flatnonzero(known)
    nearest = at[np.abs(np.arange(len(values))[:, None] - at).argmin(1)]
    return values[nearest]


def one_trial(spec: dict, number: int, trial: int):
    """All fields [T] of one trial at 100 Hz, right strikes and toe-offs [E] in samples."""
    person, walk, kin, loads, mount, acc, gyr = people.trial(spec, "knee_moment", number, trial)
    acc, gyr = (windows.resample(x, people.FINE, RATE) for x in (acc, gyr))
    every = slice(None, None, round(people.FINE / RATE))
    place, turn = (np.asarray(x, np.float64)[..., every] for x in (kin.position, kin.rotation))
    time = np.arange(place.shape[-1]) / RATE
    weight, tall = float(person.mass), float(person.height)
    speed, begin = np.polyfit(time, place[0, 0], 1)  # of the belt

    def lab(points):
        """Points [3, T] m, forwards, left, up -> [T, 3] mm on the treadmill."""
        ahead, left, up = points
        return laboratory.CENTRE + 1000 * np.stack([-left, ahead - begin - speed * time, up], 1)

    out = {"body weight": np.full(len(time), weight), "body height": np.full(len(time), tall)}
    force = np.asarray(loads.force, np.float64)[0][:, every]
    cop, knee = np.asarray(loads.cop, np.float64)[0][:, every], place[body.INDEX["shank_r"]]
    down = force[2] > CONTACT
    force = np.where(down, force, 0)
    out["force_phase"] = down.astype(float)
    moment = np.cross((cop - knee).T, force.T) * 100 / (weight * 9.81 * tall)
    felt = np.stack([force[1], -force[0], -force[2]], 1)  # right, forwards, up; on the plate
    # Flexion about the axis to the left, adduction about the one forwards, turning out about up.
    out |= named("EXT_KM_{}", "XYZ", moment[:, [1, 0, 2]])
    out |= named("plate_2_force_{}", "xyz", felt)
    out |= named("plate_2_cop_{}", "xyz", lab(cop))
    rng = np.random.default_rng([spec["seed"], number, trial])
    for s, (unit, segment) in enumerate(UNITS.items()):
        frame = SLOPED_FOOT if segment.startswith("foot") else LEFT_UP_FORWARD
        out |= named(f"Accel{{}}_{unit}", "XYZ", acc[:, s] @ frame)
        out |= named(f"Gyro{{}}_{unit}", "XYZ", np.rad2deg(gyr[:, s]) @ frame)
        axes = np.moveaxis(turn[body.INDEX[segment]], 2, 0) @ np.asarray(mount.rotation[s]) @ frame
        out |= named(f"Mag{{}}_{unit}", "XYZ", laboratory.field(axes, rng))
        quaternion = Rotation.from_matrix(axes).as_quat(canonical=True, scalar_first=True)
        out |= named(f"Quat{{}}_{unit}", "1234", quaternion)
    markers = {k: lab(x) for k, x in laboratory.markers(tall, place, turn).items()}
    for name, spot in markers.items():
        out |= named(f"{name}_{{}}", "XYZ", spot)
    for point, spot in joints(markers, place, lab).items():
        out |= seen(point, spot)
    times = people.contacts(walk, spec["seconds"], 0)
    strikes, offs = (np.round(x * RATE).astype(int) for x in times)
    return out, strikes, offs


def joints(markers: dict, place: np.ndarray, lab) -> dict[str, np.ndarray]:
    """What the cameras' key points are, [T, 3] mm."""
    found = {
        f"{s}{n}": lab(place[skeleton.PAIR[seg] + i])
        for i, s in enumerate("RL")
        for n, seg in (("Hip", "thigh"), ("Knee", "shank"), ("Ankle", "foot"))
    }
    found["MidHip"] = (found["RHip"] + found["LHip"]) / 2
    for side in "LR":
        found[f"{side}Shoulder"] = markers[f"{side}AC"] - np.array([0, 0, 40.0])
        found[f"{side}Heel"] = markers[f"{side}FCC"]
    return found


def seen(point: str, spot: np.ndarray) -> dict[str, np.ndarray]:
    """Pixels of a point [T, 3] mm for a camera at the right (90) and one behind (180)."""
    right, ahead, up = ((spot - laboratory.CENTRE) / 1000).T
    drop = 1.0 - up  # cameras are 1 m high
    out = {}
    for view, (across, depth) in {
        90: (ahead, DISTANCE - right),
        180: (right, DISTANCE + ahead),
    }.items():
        out[f"{point}_x_{view}"] = CAMERA[0] + FOCUS * across / depth
        out[f"{point}_y_{view}"] = CAMERA[1] + FOCUS * drop / depth
    return out
