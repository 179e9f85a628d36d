"""A stand-in for MoVi: rounds of movements at 120 Hz, 21 joints with 16 columns each.

The world is x forward, y left, z up.  A unit's axes are those that the builder turns back; of head,
shoulders, arms and hands, whose axes nobody tells, they are the segment's.  Each movement stands in
one round, where the real rounds have shorter takes of all.  Where it follows another one, positions
start anew.
"""

import functools
from pathlib import Path

import numpy as np
import scipy.io
from scipy.spatial.transform import Rotation

from imujax.data import windows
from imujax.data.frames import MOVI
from imujax.data.raw_layouts import MOVI_JOINTS, MOVI_RATE
from imujax.data.recordings import G
from imujax.runtime import log
from imujax.simulate import body, layouts, people

NAME = "movi"
# Joints in the order of the maker's exports.
SIDES = ("Right", "Left")
JOINTS = (
    "Hip",
    *(side + name for side in SIDES for name in ("UpLeg", "Leg", "Foot")),
    *(side + name for side in SIDES for name in ("Shoulder", "Arm", "ForeArm", "Hand")),
    *("Head", "Neck", "Spine3", "Spine2", "Spine1", "Spine"),
)
# Joints without a unit: the two that they lie between, and the share of the way.
JOINTS_BETWEEN = {
    "Spine": ("Hip", "Spine1", 0.5),
    "Spine2": ("Spine1", "Head", 0.25),
    "Spine3": ("Spine1", "Head", 0.5),
    "Neck": ("Spine1", "Head", 0.75),
}
DATA_TYPES = {"X": "xyz", "V": "xyz", "Q": "wxyz", "A": "xyz", "W": "xyz"}
JOINT_COLUMNS = sum(map(len, DATA_TYPES.values()))
ROUNDS = ("I1", "I2", "S1", "S2")
SYNCHED = ("S1", "S2")
EDGE_FRAMES = (60, 181)  # frames of a round before and after its motion capture, drawn from these
PAUSE_FRAMES = 12  # frames at both ends of a movement that are outside its flags
HEADER = b"MATLAB 5.0 MAT-file"
QUIRK_SHARE = 0.1  # share of subjects with each of the quirks
CAPTURE_SHARE = 2 / 3  # share of subjects with motion-capture files
# Other spellings of movements.
SPELLINGS = {
    "cross arms": "crossarms",
    "throw/catch": "throw/catch",
    "dancing": "dancing_rm",
    "jumping jack": "jumping_jacks",
}


def write_files(
    subjects: int | None,
    out: str | Path,
    seed: int,
    seconds: float = people.SETS["movi"]["seconds"],
) -> Path:
    """Write OUT/movi, a file a subject, its movements of `seconds` s each -> the folder.

    Where there are many, processes make the others than the first; see people.run_jobs.
    """
    changes = {"seed": seed, "seconds": seconds}
    changes |= {} if subjects is None else {"subjects": subjects}
    settings = people.simulation_settings("movi", changes)
    jobs = list(range(settings["subjects"]))
    progress = log.Progress(len(jobs), f"simulate {NAME}", "subject", first="compiling")
    in_pool = len(jobs) * len(settings["trials"]) >= people.MIN_POOL_TRIALS
    with layouts.new_folder(out, NAME) as folder:
        write_one = functools.partial(write_subject, settings, folder)
        people.run_jobs(write_one, jobs, 1, in_pool, progress)
    return Path(out) / NAME


def write_subject(settings: dict, folder: Path, subject: int) -> None:
    """Write the files of one subject: its rounds, and for most people motion capture."""
    rng = np.random.default_rng([settings["seed"], subject])
    order = rng.permutation(len(settings["trials"]))
    frames = {k: movement_frames(settings, subject, int(k)) for k in order}
    is_unsynched, is_short, has_gaps = rng.random(3) < QUIRK_SHARE
    names = [name for name in ROUNDS if not (is_short and name == "I2")]
    groups = dict(zip(names, np.array_split(order, len(names)), strict=True))
    data = {name: np.concatenate([frames.pop(i) for i in group]) for name, group in groups.items()}
    if has_gaps:
        drop_frames(rng, data)
    is_captured = rng.random() < CAPTURE_SHARE
    for name in SYNCHED:
        before, after = rng.integers(*EDGE_FRAMES, 2)
        span = slice(before, len(data[name]) - after)
        if not (is_unsynched and name == "S1"):
            data[f"{name}_Synched"] = data[name][span]
        if is_captured:
            movements = [settings["trials"][i]["name"] for i in groups[name]]
            write_capture(rng, folder, subject + 1, name, movements, len(data[name]), span)
    rounds = {name: round_struct(values) for name, values in sorted(data.items())}
    save_mat(folder / f"imu_Subject_{subject + 1}.mat", {"IMU": rounds})


def save_mat(path: Path, variables: dict) -> None:
    """Write a MATLAB v5 file; the same variables give the same bytes."""
    scipy.io.savemat(path, variables)
    with path.open("r+b") as file:
        file.write(HEADER.ljust(116))  # instead of a text with the time


def round_struct(data: np.ndarray) -> dict:
    """The struct of a round [T, 336]."""
    numbers = [f"{j + 1:02d}" for j in range(len(JOINTS))]
    header = [
        f"{n}-{kind}-{axis}" for n in numbers for kind, axes in DATA_TYPES.items() for axis in axes
    ]
    return {
        "data": data,
        "jointNames": cell_array(JOINTS),
        "jointNumbers": cell_array(numbers),
        "dataHeader": cell_array(header),
        "dataTypes": cell_array(DATA_TYPES),
    }


def cell_array(texts) -> np.ndarray:
    """A cell array of texts, one row."""
    cells = np.empty((1, len(texts)), object)
    cells[0] = list(texts)
    return cells


def drop_frames(rng: np.random.Generator, data: dict[str, np.ndarray]) -> None:
    """Take up to five frames of some units out of every round."""
    for values in data.values():
        for first in rng.integers(0, len(values) - 5, 3):
            joint = JOINT_COLUMNS * rng.integers(len(JOINTS))
            values[first : first + rng.integers(1, 6), joint : joint + JOINT_COLUMNS] = np.nan


def write_capture(
    rng: np.random.Generator,
    folder: Path,
    subject: int,
    name: str,
    names: list[str],
    frames: int,
    span: slice,
) -> None:
    """Write the motion capture of the frames `span` of a round: when each movement was made."""
    edges = np.linspace(0, frames, len(names) + 1).round().astype(int) - span.start
    first = np.maximum(edges[:-1] + PAUSE_FRAMES, 0) + 1
    last = np.minimum(edges[1:] - PAUSE_FRAMES, span.stop - span.start)
    spellings = [SPELLINGS.get(n, n) if rng.random() < 0.5 else n.replace("/", "_") for n in names]
    move = {
        "motions_list": cell_array([n.replace(" ", "_").replace("-", "_") for n in spellings]).T,
        "flags120": np.stack([first, last], 1).astype(float),
    }
    person = {f"Subject_{subject}_{name}": {"id": float(subject), "move": move}}
    save_mat(folder / f"{name}_v3d_Subject_{subject}.mat", person)


def movement_frames(settings: dict, subject_number: int, trial_number: int) -> np.ndarray:
    """One movement [T, 336] at 120 Hz: of each joint X, V, Q, A, W."""
    trial = people.simulate_trial(settings, "movi", subject_number, trial_number)
    mount = np.asarray(trial.mount.rotation, np.float64)  # [17, 3, 3]
    place, speed = (
        to_movi_rate(np.moveaxis(np.asarray(x, np.float64), 2, 0))
        for x in (trial.kin.position, trial.kin.velocity)
    )  # [T, 17, 3]
    rotation = np.asarray(trial.kin.rotation, np.float64)
    axes = to_movi_rate(np.einsum("sijt,sjk->tsik", rotation, mount))
    acc, gyr = to_movi_rate(trial.acc) / G, to_movi_rate(trial.gyr)
    joints = {}
    for name, joint in MOVI_JOINTS.items():
        s = body.INDEX[name]
        turn = Rotation.from_matrix(axes[:, s])
        world = [turn.apply(x[:, s]) for x in (acc, gyr)]
        joints[joint] = turn, np.stack([place[:, s], speed[:, s], *world])
    for joint, (first, second, share) in JOINTS_BETWEEN.items():
        joints[joint] = interpolate_joint(joints[first], joints[second], share)
    segment = {joint: name for name, joint in MOVI_JOINTS.items()}
    # The joints of the back have the axes of the unit on the trunk.
    frame = {j: MOVI.get(segment.get(j, "trunk"), np.eye(3)) for j in JOINTS}
    return np.concatenate([joint_columns(*joints[j], frame[j]) for j in JOINTS], axis=1)


def to_movi_rate(x: np.ndarray) -> np.ndarray:
    """x [T, ...] at 200 Hz -> at 120 Hz."""
    return windows.resample(x, people.SENSOR_RATE, MOVI_RATE)


def interpolate_joint(first, second, share: float):
    """What a joint between two does: its axes, and X, V, A, W [4, T, 3] in the world."""
    (turn, values), (end_turn, ends) = first, second
    rotation = (turn.inv() * end_turn).as_rotvec()
    return turn * Rotation.from_rotvec(share * rotation), (1 - share) * values + share * ends


def joint_columns(turn: Rotation, values: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """The 16 columns of a joint: its axes, X, V, A, W [4, T, 3] in the world; axes in the file."""
    turn = turn * Rotation.from_matrix(frame)
    place, speed, acc, gyr = values
    acc, gyr = (turn.inv().apply(x) for x in (acc, gyr))
    return np.concatenate([place, speed, turn.as_quat(scalar_first=True), acc, gyr], axis=1)
