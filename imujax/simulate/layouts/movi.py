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
JOINTS = (
    "Hip",
    "RightUpLeg",
    "RightLeg",
    "RightFoot",
    "LeftUpLeg",
    "LeftLeg",
    "LeftFoot",
    "RightShoulder",
    "RightArm",
    "RightForeArm",
    "RightHand",
    "LeftShoulder",
    "LeftArm",
    "LeftForeArm",
    "LeftHand",
    "Head",
    "Neck",
    "Spine3",
    "Spine2",
    "Spine1",
    "Spine",
)
# Joints without a unit: the two that they lie between, and the share of the way.
BETWEEN = {
    "Spine": ("Hip", "Spine1", 0.5),
    "Spine2": ("Spine1", "Head", 0.25),
    "Spine3": ("Spine1", "Head", 0.5),
    "Neck": ("Spine1", "Head", 0.75),
}
TYPES = {"X": "xyz", "V": "xyz", "Q": "wxyz", "A": "xyz", "W": "xyz"}
WIDTH = sum(map(len, TYPES.values()))
ROUNDS = ("I1", "I2", "S1", "S2")
SYNCHED = ("S1", "S2")
EDGE = (60, 181)  # frames of a round before and after its motion capture, drawn from these
PAUSE = 12  # frames at both ends of a movement that are outside its flags
HEADER = b"MATLAB 5.0 MAT-file"
RARE = 0.1  # share of subjects with each of the quirks
CAPTURED = 2 / 3  # share of subjects with motion-capture files
# Other spellings of movements.
SPELLED = {
    "cross arms": "crossarms",
    "throw/catch": "throw/catch",
    "dancing": "dancing_rm",
    "jumping jack": "jumping_jacks",
}


def write(
    subjects: int | None,
    out: str | Path,
    seed: int,
    seconds: float = people.SETS["movi"]["seconds"],
) -> Path:
    """Write OUT/movi, a file a subject, its movements of `seconds` s each -> the folder.

    Where there are many, processes make the others than the first; see people.over.
    """
    changes = {"seed": seed, "seconds": seconds}
    changes |= {} if subjects is None else {"subjects": subjects}
    spec = people.spec("movi", changes)
    numbers = list(range(spec["subjects"]))
    progress = log.Progress(len(numbers), f"simulate {NAME}", "subject")
    many = len(numbers) * len(spec["trials"]) >= people.MANY
    with layouts.fresh(out, NAME) as folder:
        people.over(functools.partial(subject, spec, folder), numbers, 1, many, progress)
    return Path(out) / NAME


def subject(spec: dict, folder: Path, number: int):
    """Write the files of one subject: its rounds, and for most people motion capture."""
    rng = np.random.default_rng([spec["seed"], number])
    order = rng.permutation(len(spec["trials"]))
    parts = {trial: frames(spec, number, int(trial)) for trial in order}
    unsynched, short, gaps = rng.random(3) < RARE
    names = [name for name in ROUNDS if not (short and name == "I2")]
    groups = dict(zip(names, np.array_split(order, len(names)), strict=True))
    data = {name: np.concatenate([parts.pop(i) for i in group]) for name, group in groups.items()}
    if gaps:
        lose(rng, data)
    captured = rng.random() < CAPTURED
    for name in SYNCHED:
        before, after = rng.integers(*EDGE, 2)
        used = slice(before, len(data[name]) - after)
        if not (unsynched and name == "S1"):
            data[f"{name}_Synched"] = data[name][used]
        if captured:
            made = [spec["trials"][i]["name"] for i in groups[name]]
            capture(rng, folder, number + 1, name, made, len(data[name]), used)
    rounds = {name: about(values) for name, values in sorted(data.items())}
    save(folder / f"imu_Subject_{number + 1}.mat", {"IMU": rounds})


def save(path: Path, variables: dict):
    """Write a MATLAB v5 file; the same variables give the same bytes."""
    scipy.io.savemat(path, variables)
    with path.open("r+b") as file:
        file.write(HEADER.ljust(116))  # instead of a text with the time


def about(data: np.ndarray) -> dict:
    """The struct of a round [T, 336]."""
    numbers = [f"{j + 1:02d}" for j in range(len(JOINTS))]
    header = [
        f"{n}-{kind}-{axis}" for n in numbers for kind, axes in TYPES.items() for axis in axes
    ]
    return {
        "data": data,
        "jointNames": cell(JOINTS),
        "jointNumbers": cell(numbers),
        "dataHeader": cell(header),
        "dataTypes": cell(TYPES),
    }


def cell(texts) -> np.ndarray:
    """A cell array of texts, one row."""
    out = np.empty((1, len(texts)), object)
    out[0] = list(texts)
    return out


def lose(rng: np.random.Generator, data: dict[str, np.ndarray]):
    """Take up to five frames of some units out of every round."""
    for values in data.values():
        for first in rng.integers(0, len(values) - 5, 3):
            joint = WIDTH * rng.integers(len(JOINTS))
            values[first : first + rng.integers(1, 6), joint : joint + WIDTH] = np.nan


def capture(
    rng: np.random.Generator,
    folder: Path,
    number: int,
    name: str,
    names: list[str],
    frames: int,
    used: slice,
):
    """Write the motion capture of the frames `used` of a round: when each movement was made."""
    edges = np.linspace(0, frames, len(names) + 1).round().astype(int) - used.start
    first = np.maximum(edges[:-1] + PAUSE, 0) + 1
    last = np.minimum(edges[1:] - PAUSE, used.stop - used.start)
    spelled = [SPELLED.get(n, n) if rng.random() < 0.5 else n.replace("/", "_") for n in names]
    move = {
        "motions_list": cell([n.replace(" ", "_").replace("-", "_") for n in spelled]).T,
        "flags120": np.stack([first, last], 1).astype(float),
    }
    person = {f"Subject_{number}_{name}": {"id": float(number), "move": move}}
    save(folder / f"{name}_v3d_Subject_{number}.mat", person)


def frames(spec: dict, number: int, trial: int) -> np.ndarray:
    """One movement [T, 336] at 120 Hz: of each joint X, V, Q, A, W."""
    made = people.trial(spec, "movi", number, trial)
    mount = np.asarray(made.mount.rotation, np.float64)  # [17, 3, 3]
    place, speed = (
        slower(np.moveaxis(np.asarray(x, np.float64), 2, 0))
        for x in (made.kin.position, made.kin.velocity)
    )  # [T, 17, 3]
    axes = slower(np.einsum("sijt,sjk->tsik", np.asarray(made.kin.rotation, np.float64), mount))
    acc, gyr = slower(made.acc) / G, slower(made.gyr)
    joints = {}
    for name, joint in MOVI_JOINTS.items():
        s = body.INDEX[name]
        turn = Rotation.from_matrix(axes[:, s])
        world = [turn.apply(x[:, s]) for x in (acc, gyr)]
        joints[joint] = turn, np.stack([place[:, s], speed[:, s], *world])
    for joint, (one, other, share) in BETWEEN.items():
        joints[joint] = between(joints[one], joints[other], share)
    segment = {joint: name for name, joint in MOVI_JOINTS.items()}
    # The joints of the back have the axes of the unit on the trunk.
    frame = {j: MOVI.get(segment.get(j, "trunk"), np.eye(3)) for j in JOINTS}
    return np.concatenate([columns(*joints[j], frame[j]) for j in JOINTS], axis=1)


def slower(x: np.ndarray) -> np.ndarray:
    """x [T, ...] at 200 Hz -> at 120 Hz."""
    return windows.resample(x, people.FINE, MOVI_RATE)


def between(one, other, share: float):
    """What a joint between two does: its axes, and X, V, A, W [4, T, 3] in the world."""
    (turn, values), (to, ends) = one, other
    way = (turn.inv() * to).as_rotvec()
    return turn * Rotation.from_rotvec(share * way), (1 - share) * values + share * ends


def columns(turn: Rotation, values: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """The 16 columns of a joint: its axes, X, V, A, W [4, T, 3] in the world; axes in the file."""
    turn = turn * Rotation.from_matrix(frame)
    place, speed, acc, gyr = values
    acc, gyr = (turn.inv().apply(x) for x in (acc, gyr))
    return np.concatenate([place, speed, turn.as_quat(scalar_first=True), acc, gyr], axis=1)
