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
from imujax.simulate.layouts.laboratory import named_columns

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
KEY_POINTS = (
    *("LShoulder", "RShoulder", "MidHip"),
    *(side + name for name in ("Hip", "Knee", "Ankle", "Heel") for side in "RL"),
)
CONTACT_FORCE = 20.0  # N
FOCAL_LENGTH, DISTANCE, CAMERA = 1500.0, 2.9, np.array([540.0, 960.0])  # px, m, px


def file_columns() -> list[str]:
    """Names of the 256 fields in the order of the real file."""
    names = ["body weight", "body height", "force_phase", *(f"EXT_KM_{a}" for a in "XYZ")]
    for unit in UNITS:
        names += [f"{kind}{axis}_{unit}" for kind in ("Accel", "Gyro", "Mag") for axis in "XYZ"]
        names += [f"Quat{n}_{unit}" for n in "1234"]
    names += [
        f"{point}_{axis}_{view}" for point in KEY_POINTS for axis in "xy" for view in (90, 180)
    ]
    names += [f"plate_2_{kind}_{axis}" for kind in ("force", "cop") for axis in "xyz"]
    return names + [f"{marker}_{axis}" for axis in "XYZ" for marker in laboratory.MARKERS]


def write_files(
    subjects: int | None, out: str | Path, seed: int, seconds: float = people.SECONDS
) -> Path:
    """Write OUT/tan2022_knee_moment/moments_and_imus.h5, trials of `seconds` s -> the folder.

    A folder that is there already is a UserError.
    """
    changes = {"seed": seed, "seconds": seconds, "sensors": [*UNITS.values()]}
    changes |= {} if subjects is None else {"subjects": subjects}
    settings = people.simulation_settings("knee_moment", changes)
    count, trials = settings["subjects"], len(settings["trials"])
    progress = log.Progress(count * trials, f"simulate {NAME}", "trial", first="compiling")
    with layouts.new_folder(out, NAME) as folder, h5py.File(folder / FILE, "w") as file:
        for subject_number in range(count):
            steps = []
            for trial_number in range(trials):
                steps += right_steps(settings, subject_number, trial_number)
                progress.update()
            file[f"subject_{subject_number + 1:02d}"] = np.stack(steps).astype(np.float32)
        file.attrs["columns"] = json.dumps(file_columns())
    progress.close()
    return Path(out) / NAME


def right_steps(settings: dict, subject_number: int, trial_number: int) -> list[np.ndarray]:
    """The steps of the right leg in one trial, each [SAMPLES, 256]."""
    fields, strikes, offs = trial_fields(settings, subject_number, trial_number)
    starts, lengths, _ = labels.knee_steps(strikes, offs, len(fields["force_phase"]))
    names = file_columns()
    table = np.stack([fields[name] for name in names], axis=1)
    phase, cop = (names.index(name) for name in ("force_phase", "plate_2_cop_x"))
    steps = []
    for start, length in zip(starts, lengths, strict=True):
        step = table[start : start + length].copy()
        # The plate knows one contact: the neighbours' are another step's, and its place is held.
        is_alone = np.zeros(length, bool)
        is_alone[labels.STEP_MARGIN - 2 : length - labels.STEP_MARGIN + 2] = True
        is_loaded = is_alone & (step[:, phase] > 0)
        step[~is_loaded, phase] = 0
        step[:, cop : cop + 3] = hold_nearest(step[:, cop : cop + 3], is_loaded)
        steps.append(windows.pad_window(step, SAMPLES)[0])
    return steps


def hold_nearest(values: np.ndarray, is_known: np.ndarray) -> np.ndarray:
    """values [T, 3] where `is_known` [T], the nearest known ones elsewhere."""
    samples = np.flatnonzero(is_known)
    nearest = samples[np.abs(np.arange(len(values))[:, None] - samples).argmin(1)]
    return values[nearest]


def trial_fields(settings: dict, subject_number: int, trial_number: int):
    """All fields [T] of one trial at 100 Hz, right strikes and toe-offs [E] in samples."""
    trial = people.simulate_trial(settings, "knee_moment", subject_number, trial_number)
    person, walk, kin, loads, _, acc, gyr = trial
    assert walk is not None and loads is not None  # a trial of walking
    acc, gyr = (windows.resample(x, people.SENSOR_RATE, RATE) for x in (acc, gyr))
    coarse = slice(None, None, round(people.SENSOR_RATE / RATE))
    unit_axes = laboratory.unit_axes(trial)[:, coarse]
    place, turn = (np.asarray(x, np.float64)[..., coarse] for x in (kin.position, kin.rotation))
    time = np.arange(place.shape[-1]) / RATE
    mass, height = float(person.mass), float(person.height)
    speed, begin = np.polyfit(time, place[0, 0], 1)  # of the belt

    def lab(points):
        """Points [3, T] m, forwards, left, up -> [T, 3] mm on the treadmill."""
        ahead, left, up = points
        metres = np.stack([-left, ahead - begin - speed * time, up], 1)
        return laboratory.TREADMILL_CENTRE + 1000 * metres

    fields = {"body weight": np.full(len(time), mass), "body height": np.full(len(time), height)}
    force = np.asarray(loads.force, np.float64)[0][:, coarse]
    cop, knee = np.asarray(loads.cop, np.float64)[0][:, coarse], place[body.INDEX["shank_r"]]
    is_down = force[2] > CONTACT_FORCE
    force = np.where(is_down, force, 0)
    fields["force_phase"] = is_down.astype(float)
    moment = np.cross((cop - knee).T, force.T) * 100 / (mass * 9.81 * height)
    on_plate = np.stack([force[1], -force[0], -force[2]], 1)  # right, forwards, up; on the plate
    # Flexion about the axis to the left, adduction about the one forwards, turning out about up.
    fields |= named_columns("EXT_KM_{}", "XYZ", moment[:, [1, 0, 2]])
    fields |= named_columns("plate_2_force_{}", "xyz", on_plate)
    fields |= named_columns("plate_2_cop_{}", "xyz", lab(cop))
    rng = np.random.default_rng([settings["seed"], subject_number, trial_number])
    for s, (unit, segment) in enumerate(UNITS.items()):
        frame = SLOPED_FOOT if segment.startswith("foot") else LEFT_UP_FORWARD
        fields |= named_columns(f"Accel{{}}_{unit}", "XYZ", acc[:, s] @ frame)
        fields |= named_columns(f"Gyro{{}}_{unit}", "XYZ", np.rad2deg(gyr[:, s]) @ frame)
        axes = unit_axes[s] @ frame
        fields |= named_columns(f"Mag{{}}_{unit}", "XYZ", laboratory.read_magnetometer(axes, rng))
        quaternion = Rotation.from_matrix(axes).as_quat(canonical=True, scalar_first=True)
        fields |= named_columns(f"Quat{{}}_{unit}", "1234", quaternion)
    markers = {k: lab(x) for k, x in laboratory.place_markers(height, place, turn).items()}
    for name, point in markers.items():
        fields |= named_columns(f"{name}_{{}}", "XYZ", point)
    for name, point in key_points(markers, place, lab).items():
        fields |= pixels(name, point)
    times = people.contact_times(walk, settings["seconds"], 0)
    strikes, offs = (np.round(x * RATE).astype(int) for x in times)
    return fields, strikes, offs


def key_points(markers: dict, place: np.ndarray, lab) -> dict[str, np.ndarray]:
    """What the cameras' key points are, [T, 3] mm."""
    points = {
        f"{s}{n}": lab(place[skeleton.PAIR[segment] + i])
        for i, s in enumerate("RL")
        for n, segment in (("Hip", "thigh"), ("Knee", "shank"), ("Ankle", "foot"))
    }
    points["MidHip"] = (points["RHip"] + points["LHip"]) / 2
    for side in "LR":
        points[f"{side}Shoulder"] = markers[f"{side}AC"] - np.array([0, 0, 40.0])
        points[f"{side}Heel"] = markers[f"{side}FCC"]
    return points


def pixels(name: str, point: np.ndarray) -> dict[str, np.ndarray]:
    """Pixels of a point [T, 3] mm for a camera at the right (90) and one behind (180)."""
    right, ahead, up = ((point - laboratory.TREADMILL_CENTRE) / 1000).T
    drop = 1.0 - up  # cameras are 1 m high
    coordinates = {}
    views = {90: (ahead, DISTANCE - right), 180: (right, DISTANCE + ahead)}
    for view, (across, depth) in views.items():
        coordinates[f"{name}_x_{view}"] = CAMERA[0] + FOCAL_LENGTH * across / depth
        coordinates[f"{name}_y_{view}"] = CAMERA[1] + FOCAL_LENGTH * drop / depth
    return coordinates
