"""The scores of the everyday movements of MoVi: their poses, and the time it takes to get there.

Ghorbani et al. 2021, PLoS One 16(6), name the movements; the poses are ours.

A pose has D channels.  Lengths of legs and places on the ground are in shares of the leg (hip to
ankle), those of hands in shares of the arm (shoulder to wrist); `out` is away from the middle of
the body on either side.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

Array = np.ndarray | jax.Array  # a table of NumPy, or rows of it in a program
NAMES = (
    "kicking", "dancing", "pointing", "hand clapping", "jumping jack", "stretching", "cross arms",
    "running in spot", "crawling", "walking", "hand waving", "checking watch", "sideways",
    "vertical jumping", "sitting down", "taking photo", "cross-legged sitting", "throw/catch",
    "jogging", "scratching head", "phone talking",
)  # fmt: skip
GAIT_MOVEMENTS = ("walking", "jogging")
MOVEMENTS = tuple(name for name in NAMES if name not in GAIT_MOVEMENTS)
FULL_SECONDS = 10.0  # s that any movement has time in, from standing to standing

DEGREE = np.pi / 180

# The channels: name, (number, which of them are lengths and weights; the others are degrees).
MIDLINE = {
    "root": (3, (0, 1, 2)),  # pelvis forwards, left; up from the ankle of a flat foot
    "pelvis": (3, ()),  # list, pitch, turn in the world
    "trunk": (3, ()),
    "head": (3, ()),
    "kneel": (1, (0,)),  # 1: the knee, a shank before `foot`, is on the floor, and not the foot
    "world": (1, (0,)),  # 0: `reach` is in the trunk's frame, 1: in the world, in shares of the leg
}
PAIRED = {
    "foot": (6, (0, 1, 2)),  # forwards, out, height of the sole's lowest point; pitch, turn, list
    "open": (1, ()),  # the knee points so much out
    "girdle": (2, ()),  # elevation, protraction
    "arm": (3, ()),  # flexion, abduction, inward turn
    "elbow": (2, ()),  # flexion, pronation
    "hand": (2, ()),  # flexion, deviation
    "reach": (3, (0, 1, 2)),  # the wrist: forwards, out, up from between the shoulders
    "held": (1, (0,)),  # 1: the wrist is where `reach` says, 0: where `arm` and `elbow` bring it
    "swivel": (1, ()),  # elbow out from hanging below the line from shoulder to wrist
}


def _channel_layout():
    """Slices of the channels, and the factor to radians (1 for lengths and weights)."""
    channels, unit = {}, []
    for table, sides in ((MIDLINE, 1), (PAIRED, 2)):
        for name, (count, lengths) in table.items():
            channels[name] = slice(len(unit), len(unit) + sides * count)
            unit += [1.0 if i in lengths else DEGREE for i in range(count)] * sides
    return channels, np.array(unit, np.float32)


CHANNELS, CHANNEL_UNITS = _channel_layout()
D = len(CHANNEL_UNITS)


def _mirroring():
    """Index and sign of every channel that make the mirror image of a pose."""
    order, sign = np.arange(D, dtype=np.int32), np.ones(D, np.float32)
    for name, (count, _) in PAIRED.items():
        first = CHANNELS[name].start
        order[first : first + 2 * count] = first + np.roll(np.arange(2 * count), count)
    for name, across in (("root", (1,)), ("pelvis", (0, 2)), ("trunk", (0, 2)), ("head", (0, 2))):
        sign[CHANNELS[name].start + np.array(across)] = -1
    return order, sign


MIRROR_INDEX, MIRROR_SIGN = _mirroring()


def per_channel(**values) -> np.ndarray:
    """A number for every channel, 0 where none is given; one side's hold for both."""
    out = np.zeros(D, np.float32)
    for name, value in values.items():
        out[CHANNELS[name]] = np.resize(value, CHANNELS[name].stop - CHANNELS[name].start)
    return out


# How a pose is come to.  SMOOTH: with the speed of what follows, or at rest.  HIT: stopped short.
# PUSH: feet on the ground, up to the speed that the FLIGHT after it asks for.  LAND: from its end.
SMOOTH, HIT, PUSH, FLIGHT, LAND = range(5)


STANDING_CHANNELS = {
    "root": (0.03, 0, 0.9935), "pelvis": (0, 4, 0), "trunk": (0, 0, 0), "head": (0, 6, 0),
    "kneel": 0, "world": 0, "foot": (0, 0.105, 0, 0, 8, 0), "open": 8, "girdle": (0, 0),
    "arm": (2, 6, 10), "elbow": (16, 25), "hand": (8, 0), "reach": (0.3, 0.4, -0.6), "held": 0,
    "swivel": 20,
}  # fmt: skip


def _change_pose(values: np.ndarray, changes: dict) -> np.ndarray:
    """A pose [D] in which some channels have other values: `arm` both, `arm_r` the right one."""
    values = values.copy()
    for name, value in changes.items():
        base = name.removesuffix("_r").removesuffix("_l")
        first, count = CHANNELS[base].start, (MIDLINE | PAIRED)[base][0]
        sides = (0,) if base in MIDLINE or name.endswith("_r") else (0, 1)
        sides = (1,) if name.endswith("_l") else sides
        for side in sides:
            part = slice(first + side * count, first + (side + 1) * count)
            values[part] = np.asarray(value) * CHANNEL_UNITS[part]
    return values


STANDING = _change_pose(np.zeros(D, np.float32), STANDING_CHANNELS)


class Keyframe(NamedTuple):
    """What changes against the pose before, in so many seconds and by which approach."""

    seconds: float
    approach: int
    changes: dict


def pose(seconds: float, approach: int = SMOOTH, /, **changes: Any) -> Keyframe:
    """The next pose: that before with `changes`; none is a pause."""
    return Keyframe(seconds, approach, changes)


def stand(seconds: float, /, **changes: Any) -> Keyframe:
    """Back to standing, but for `changes`."""
    return pose(seconds, **(STANDING_CHANNELS | changes))


class Score(NamedTuple):
    """begin, the loop over and over, end; shift: (forwards, left) that the loop gets ahead.

    both_sides: the second half of the loops is done on the other side.
    """

    begin: tuple
    loop: tuple
    end: tuple
    shift: tuple = (0.0, 0.0)
    both_sides: bool = False


CALM = {"head": (0, 6, 0)}
HANDS_ON_THIGHS = {"reach": (0.46, 0.27, -0.70), "held": 1, "elbow": (60, 70), "hand": (-15, 0)}
SEATED = {"root": (-0.45, 0, 0.50), "pelvis": (0, -6, 0), "trunk": (0, 3, 0)}
FLOOR = {"root": (-0.33, 0.05, 0.045), "pelvis": (0, -14, 0), "trunk": (0, 10, 0)}
TALL = {"root": (0.03, 0, 0.9935), "pelvis": (0, 4, 0), "trunk": (0, 0, 0)}
RUNNING = {"elbow": (90, 20), "pelvis": (0, 6, 0), "trunk": (0, 6, 0)}

SCORES = {
    "kicking": Score(
        (),
        (
            pose(0.45, root=(0.03, 0.09, 0.985), trunk=(2, 3, 0)),
            pose(0.40, foot_r=(-0.32, 0.10, 0.16, 50, 5, 0), root=(0.04, 0.10, 0.965),
                 pelvis=(0, 12, -12), trunk=(2, 12, 10), arm_l=(35, 18, 10), arm_r=(-25, 18, 10)),
            pose(0.26, foot_r=(0.78, 0.06, 0.38, -22, 5, 0), root=(0.05, 0.10, 0.98),
                 pelvis=(0, -10, 12), trunk=(2, -6, -8), arm_l=(-25, 25, 10), arm_r=(30, 25, 10)),
            pose(0.40, foot_r=(0.20, 0.09, 0.16, 15, 8, 0), root=(0.03, 0.08, 0.98),
                 pelvis=(0, 3, 0), trunk=(1, 3, 0), arm=(2, 12, 10)),
            pose(0.30, HIT, foot_r=(0, 0.105, 0, 0, 8, 0), root=(0.03, 0.03, 0.985)),
            stand(0.35),
            pose(0.50),
        ),
        (),
        both_sides=True,
    ),
    "dancing": Score(
        (pose(0.4, elbow=(85, 30), arm=(15, 18, 20), root=(0.03, 0, 0.96)),),
        (
            pose(0.24, foot_r=(0, 0.26, 0.05, 10, 10, 0), root=(0.03, -0.05, 0.985),
                 trunk=(-4, 3, 10), pelvis=(5, 4, -6), arm_r=(26, 20, 20), arm_l=(2, 24, 20)),
            pose(0.26, HIT, foot_r=(0, 0.40, 0, 0, 14, 0), root=(0.03, -0.16, 0.95),
                 trunk=(6, 6, -12), pelvis=(-5, 4, 8), head=(4, 10, -8)),
            pose(0.24, foot_l=(0, -0.05, 0.05, 15, 4, 0), root=(0.03, -0.24, 0.985),
                 arm=(42, 30, 15), elbow=(98, 20), trunk=(-3, 2, 0), pelvis=(-3, 4, 0)),
            pose(0.26, HIT, foot_l=(0, -0.17, 0, 20, 4, 0), root=(0.03, -0.27, 0.955),
                 arm=(25, 30, 25), elbow=(80, 30), trunk=(0, 7, 14), pelvis=(3, 5, 10)),
            pose(0.24, foot_l=(0, -0.02, 0.05, 10, 8, 0), root=(0.03, -0.20, 0.985),
                 trunk=(4, 3, -10), pelvis=(-5, 4, 6), arm_l=(26, 20, 20), arm_r=(2, 24, 20)),
            pose(0.26, HIT, foot_l=(0, 0.105, 0, 0, 14, 0), root=(0.03, -0.09, 0.95),
                 trunk=(-6, 6, 12), pelvis=(5, 4, -8), head=(-4, 10, 8)),
            pose(0.24, foot_r=(0, 0.24, 0.05, 15, 4, 0), root=(0.03, -0.03, 0.985),
                 arm=(42, 30, 15), elbow=(98, 20), trunk=(3, 2, 0), pelvis=(3, 4, 0)),
            pose(0.26, HIT, foot_r=(0, 0.105, 0, 0, 8, 0), root=(0.03, 0, 0.955), arm=(25, 30, 25),
                 elbow=(80, 30), trunk=(0, 7, -14), pelvis=(-3, 5, -10)),
        ),
        (),
        both_sides=True,
    ),
    "pointing": Score(
        (),
        (
            pose(0.7, arm_r=(84, 4, 0), elbow_r=(6, 70), hand_r=(0, 0), girdle_r=(3, 6),
                 trunk=(0, 0, 5), head=(0, 3, -4)),
            pose(0.9),
            stand(0.7),
            pose(0.6),
            pose(0.7, arm_r=(40, 68, 0), elbow_r=(8, 50), hand_r=(0, 0), girdle_r=(4, 0),
                 trunk=(0, 0, -12), pelvis=(0, 4, -5), head=(0, 3, -38)),
            pose(0.8),
            stand(0.7),
            pose(0.5),
            pose(0.7, arm_r=(128, 12, 0), elbow_r=(10, 70), hand_r=(0, 0), girdle_r=(12, 4),
                 trunk=(0, -5, 4), head=(0, -20, -5)),
            pose(0.8),
            stand(0.8),
            pose(0.5),
        ),
        (),
        both_sides=True,
    ),
    "hand clapping": Score(
        (pose(0.6, reach=(0.50, 0.24, -0.16), held=1, elbow=(90, 5), hand=(5, -5), swivel=25,
              trunk=(0, 2, 0)),),
        (
            pose(0.16, HIT, reach=(0.52, 0.055, -0.13), hand=(-4, -5)),
            pose(0.22, reach=(0.50, 0.24, -0.16), hand=(6, -5)),
        ),
        (stand(0.7),),
    ),
    "jumping jack": Score(
        (pose(0.35, root=(0.02, 0, 0.945), trunk=(0, 8, 0), arm=(3, 10, 10)),),
        (
            pose(0.2, PUSH, root=(0.03, 0, 1.035), foot=(0, 0.105, 0, 28, 8, 0), trunk=(0, 2, 0),
                 arm=(8, 48, 0), elbow=(20, 25)),
            pose(0.2, FLIGHT, root=(0.03, 0, 0.985), foot=(0, 0.40, 0, 20, 14, 0), open=14,
                 arm=(8, 118, -15), girdle=(16, 0)),
            pose(0.2, LAND, root=(0.02, 0, 0.895), foot=(0, 0.40, 0, 0, 14, 0), trunk=(0, 6, 0),
                 arm=(8, 150, -30), elbow=(25, 25), girdle=(24, 0)),
            pose(0.2, PUSH, root=(0.03, 0, 0.985), foot=(0, 0.40, 0, 22, 14, 0), trunk=(0, 2, 0),
                 arm=(8, 132, -20)),
            pose(0.2, FLIGHT, root=(0.03, 0, 1.02), foot=(0, 0.105, 0, 22, 8, 0), open=8,
                 arm=(6, 58, 0), girdle=(6, 0)),
            pose(0.2, LAND, root=(0.02, 0, 0.945), foot=(0, 0.105, 0, 0, 8, 0), trunk=(0, 8, 0),
                 arm=(3, 10, 10), elbow=(16, 25), girdle=(0, 0)),
        ),
        (stand(0.6),),
    ),
    "stretching": Score(
        (),
        (
            pose(1.1, arm=(168, 12, 0), elbow=(8, 20), hand=(0, 0), girdle=(28, 0),
                 trunk=(0, -6, 0), head=(0, -12, 0)),
            pose(0.8),
            pose(0.9, trunk=(24, -2, 0), pelvis=(6, 4, 0), head=(20, 0, 0),
                 root=(0.03, 0.05, 0.985)),
            pose(0.6),
            pose(1.2, trunk=(-24, -2, 0), pelvis=(-6, 4, 0), head=(-20, 0, 0),
                 root=(0.03, -0.05, 0.985)),
            pose(0.6),
            pose(1.5, trunk=(0, 98, 0), pelvis=(0, 50, 0), head=(0, 98, 0), arm=(88, 4, 0),
                 girdle=(5, 10), root=(-0.12, 0, 0.98)),
            pose(0.9),
            stand(1.4),
            pose(0.8, arm=(55, 50, 0), elbow=(95, 60), trunk=(0, 0, 30), pelvis=(0, 4, 12),
                 head=(0, 4, 40)),
            pose(1.0, trunk=(0, 0, -30), pelvis=(0, 4, -12), head=(0, 4, -40)),
            stand(0.8),
        ),
        (),
    ),
    "cross arms": Score(
        (),
        (
            pose(0.9, reach_r=(0.32, -0.10, -0.42), reach_l=(0.26, -0.12, -0.36), held=1, swivel=14,
                 elbow=(100, 60), hand=(10, 0), girdle=(2, 8), trunk=(0, -2, 0)),
            pose(1.3, root=(0.03, 0.03, 0.985), pelvis=(-2, 4, 0), head=(0, 4, 12)),
            pose(1.0, root=(0.03, -0.02, 0.985), pelvis=(1, 4, 0), head=(0, 6, -10)),
            stand(0.9),
            pose(0.7),
        ),
        (),
        both_sides=True,
    ),
    "running in spot": Score(
        (pose(0.4, root=(0.03, 0.03, 0.96), foot_r=(-0.10, 0.105, 0.10, 35, 8, 0),
              arm_r=(-10, 10, 15), arm_l=(0, 10, 15), **RUNNING),),
        (
            pose(0.15, PUSH, root=(0.04, 0, 1.0), foot_l=(0, 0.105, 0, 30, 8, 0),
                 foot_r=(-0.06, 0.105, 0.10, 15, 8, 0), arm_r=(-20, 10, 15), arm_l=(20, 8, 25),
                 pelvis=(-3, 6, -5), trunk=(2, 6, 8)),
            pose(0.12, FLIGHT, root=(0.04, 0, 0.985), foot_r=(0, 0.105, 0, 10, 8, 0),
                 foot_l=(-0.14, 0.105, 0.10, 45, 8, 0), pelvis=(0, 6, -3), trunk=(0, 6, 4)),
            pose(0.10, LAND, root=(0.03, -0.012, 0.957), foot_r=(0, 0.105, 0, 0, 8, 0),
                 foot_l=(-0.20, 0.105, 0.22, 60, 8, 0), arm_r=(0, 10, 15), arm_l=(-2, 10, 15),
                 trunk=(-1, 8, 0)),
            pose(0.15, PUSH, root=(0.04, 0, 1.0), foot_r=(0, 0.105, 0, 30, 8, 0),
                 foot_l=(-0.06, 0.105, 0.10, 15, 8, 0), arm_l=(-20, 10, 15), arm_r=(20, 8, 25),
                 pelvis=(3, 6, 5), trunk=(-2, 6, -8)),
            pose(0.12, FLIGHT, root=(0.04, 0, 0.985), foot_l=(0, 0.105, 0, 10, 8, 0),
                 foot_r=(-0.14, 0.105, 0.10, 45, 8, 0), pelvis=(0, 6, 3), trunk=(0, 6, -4)),
            pose(0.10, LAND, root=(0.03, 0.012, 0.957), foot_l=(0, 0.105, 0, 0, 8, 0),
                 foot_r=(-0.20, 0.105, 0.22, 60, 8, 0), arm_r=(0, 10, 15), arm_l=(-2, 10, 15),
                 trunk=(1, 8, 0)),
        ),
        (
            pose(0.3, HIT, foot_r=(0, 0.105, 0, 0, 8, 0), root=(0.03, 0, 0.975)),
            pose(0.25, foot_l=(0, 0.10, 0.04, 5, 8, 0), root=(0.03, -0.04, 0.985)),
            pose(0.25, HIT, foot_l=(0, 0.105, 0, 0, 8, 0), root=(0.03, 0, 0.985)),
            stand(0.5),
        ),
    ),
    "crawling": Score(
        (
            pose(1.1, root=(0.05, 0, 0.46), pelvis=(0, 45, 0), trunk=(0, 98, 0), head=(0, 50, 0),
                 foot=(0, 0.105, 0, 32, 6, 0), world=1, held=1, reach=(0.82, 0.19, 0.05),
                 elbow=(30, 85), hand=(-70, 0), swivel=10),
            pose(0.7, root=(0.29, 0, 0.46), pelvis=(0, 66, 0), trunk=(0, 84, 0),
                 foot=(0, 0.105, 0, 75, 0, 0), open=0),
            pose(0.5, kneel=1, root=(0.42, 0, 0.38), foot=(0.15, 0.105, 0, 75, 0, 0)),
            pose(0.40, root=(0.54, 0, 0.43), reach_r=(1.20, 0.19, 0.14),
                 foot=(0.15, 0.105, 0, 165, 0, 0)),
            pose(0.35, HIT, root=(0.63, 0, 0.43), reach_r=(1.43, 0.19, 0.05), pelvis=(0, 76, 0),
                 trunk=(0, 80, 0), head=(0, 45, 0)),
            pose(0.35, root=(0.70, -0.02, 0.43), foot_l=(0.26, 0.105, 0.04, 165, 0, 0),
                 reach_l=(1.06, 0.19, 0.13)),
            pose(0.30, HIT, root=(0.77, 0, 0.43), foot_l=(0.37, 0.105, 0, 165, 0, 0),
                 reach_l=(1.21, 0.19, 0.05)),
        ),
        (
            pose(0.32, root=(0.88, 0.03, 0.43), foot_r=(0.37, 0.105, 0.045, 165, 0, 0),
                 reach_l=(1.45, 0.19, 0.15), pelvis=(0, 76, 5), trunk=(0, 80, -4)),
            pose(0.26, HIT, root=(0.99, 0.01, 0.43), foot_r=(0.59, 0.105, 0, 165, 0, 0),
                 reach_l=(1.65, 0.19, 0.05), pelvis=(0, 76, 8), trunk=(0, 80, -6)),
            pose(0.32, root=(1.10, -0.03, 0.43), foot_l=(0.59, 0.105, 0.045, 165, 0, 0),
                 reach_r=(1.67, 0.19, 0.15), pelvis=(0, 76, -5), trunk=(0, 80, 4)),
            pose(0.26, HIT, root=(1.21, -0.01, 0.43), foot_l=(0.81, 0.105, 0, 165, 0, 0),
                 reach_r=(1.87, 0.19, 0.05), pelvis=(0, 76, -8), trunk=(0, 80, 6)),
        ),
        (
            pose(0.40, root=(0.70, 0.03, 0.43), foot_l=(0.26, 0.105, 0.04, 165, 0, 0),
                 reach_r=(1.20, 0.19, 0.13), pelvis=(0, 74, 0), trunk=(0, 80, 0)),
            pose(0.35, HIT, root=(0.60, 0, 0.43), foot_l=(0.15, 0.105, 0, 165, 0, 0),
                 reach_r=(0.82, 0.19, 0.05)),
            pose(0.35, root=(0.50, 0, 0.43), reach_l=(1.04, 0.19, 0.13), pelvis=(0, 70, 0)),
            pose(0.35, HIT, root=(0.42, 0, 0.38), reach_l=(0.82, 0.19, 0.05), pelvis=(0, 66, 0),
                 trunk=(0, 84, 0), foot=(0.15, 0.105, 0, 75, 0, 0)),
            pose(0.5, kneel=0, root=(0.29, 0, 0.46), foot=(0, 0.105, 0, 75, 0, 0)),
            pose(0.7, root=(0.05, 0, 0.46), pelvis=(0, 45, 0), trunk=(0, 98, 0),
                 foot=(0, 0.105, 0, 32, 6, 0), open=8),
            stand(1.1),
        ),
        shift=(0.44, 0.0),
    ),
    "hand waving": Score(
        (pose(0.8, reach_r=(0.32, 0.52, 0.38), held_r=1, swivel_r=22, elbow_r=(90, 75),
              hand_r=(-5, 0), girdle_r=(8, 0), head=(0, 4, -5)),),
        (
            pose(0.24, reach_r=(0.32, 0.40, 0.40), hand_r=(-5, 14), swivel_r=18),
            pose(0.24, reach_r=(0.32, 0.68, 0.32), hand_r=(-5, -14), swivel_r=28),
        ),
        (stand(0.8),),
    ),
    "checking watch": Score(
        (),
        (
            pose(0.75, reach_l=(0.50, 0.0, -0.06), held_l=1, swivel_l=50, elbow_l=(100, 85),
                 hand_l=(5, 0), head=(0, 34, 8), trunk=(0, 4, -3)),
            pose(1.2, head=(0, 36, 8)),
            stand(0.8),
            pose(0.9, head=(0, 4, 10)),
            pose(0.8, head=(0, 5, -12)),
        ),
        (stand(0.5),),
    ),
    "sideways": Score(
        (pose(0.3, root=(0.03, 0, 0.97)),),
        (
            pose(0.22, foot_r=(0, 0.30, 0.06, 5, 8, 0), root=(0.03, -0.08, 0.985), trunk=(1, 3, 0),
                 arm=(2, 12, 10)),
            pose(0.20, HIT, foot_r=(0, 0.465, 0, 0, 8, 0), root=(0.03, -0.19, 0.955),
                 trunk=(-2, 4, 0)),
            pose(0.22, foot_l=(0, -0.08, 0.05, 12, 8, 0), root=(0.03, -0.28, 0.985),
                 trunk=(-1, 3, 0), arm=(2, 8, 10)),
            pose(0.20, HIT, foot_l=(0, -0.255, 0, 0, 8, 0), root=(0.03, -0.36, 0.97),
                 trunk=(1, 4, 0)),
        ),
        (stand(0.4),),
        shift=(0.0, -0.36),
        both_sides=True,
    ),
    "vertical jumping": Score(
        (),
        (
            pose(0.45, root=(-0.05, 0, 0.83), pelvis=(0, 18, 0), trunk=(0, 28, 0), head=(0, 12, 0),
                 arm=(-28, 10, 10), elbow=(15, 25)),
            pose(0.30, root=(-0.09, 0, 0.71), pelvis=(0, 28, 0), trunk=(0, 40, 0),
                 arm=(16, 10, 10)),
            pose(0.25, PUSH, root=(0.03, 0, 1.06), pelvis=(0, 2, 0), trunk=(0, -2, 0),
                 head=(0, -8, 0), foot=(0, 0.105, 0, 38, 8, 0), arm=(62, 14, 0), elbow=(30, 25),
                 girdle=(10, 0)),
            pose(0.45, FLIGHT, root=(0.03, 0, 1.03), pelvis=(0, 6, 0), trunk=(0, 6, 0),
                 head=(0, 12, 0), foot=(0, 0.105, 0, 25, 8, 0), arm=(98, 22, 0), elbow=(28, 25)),
            pose(0.20, LAND, root=(-0.02, 0, 0.87), pelvis=(0, 10, 0), trunk=(0, 12, 0),
                 head=(0, 16, 0), foot=(0, 0.105, 0, 0, 8, 0), arm=(80, 25, 0), girdle=(4, 0)),
            pose(0.20, root=(-0.05, 0, 0.84), pelvis=(0, 16, 0), trunk=(0, 22, 0), arm=(45, 22, 0)),
            pose(0.55, girdle=(0, 0), **(TALL | CALM), arm=(2, 8, 10), elbow=(18, 25)),
            pose(0.70),
        ),
        (stand(0.4),),
    ),
    "sitting down": Score(
        (),
        (
            pose(0.75, root=(-0.16, 0, 0.86), pelvis=(0, 24, 0), trunk=(0, 34, 0), head=(0, 22, 0),
                 arm=(12, 10, 10), elbow=(25, 30)),
            pose(0.85, **SEATED, **HANDS_ON_THIGHS, **CALM),
            pose(1.3, head=(0, 2, 20), trunk=(0, 0, 3)),
            pose(1.2, head=(0, 4, -15), trunk=(0, 5, -2)),
            pose(0.70, root=(-0.41, 0, 0.51), pelvis=(0, 22, 0), trunk=(0, 40, 0), head=(0, 22, 0),
                 reach=(0.40, 0.27, -0.42)),
            pose(0.65, root=(-0.10, 0, 0.84), trunk=(0, 28, 0), pelvis=(0, 18, 0), head=(0, 15, 0),
                 held=0, arm=(15, 8, 10), elbow=(30, 30), hand=(8, 0)),
            stand(0.6),
            pose(0.8),
        ),
        (),
    ),
    "taking photo": Score(
        (),
        (
            pose(0.9, reach=(0.60, 0.12, 0.12), held=1, swivel=18, elbow=(90, 45), hand=(-8, 5),
                 head=(0, 4, 0), girdle=(5, 5)),
            pose(1.0, trunk=(0, -2, 12), pelvis=(0, 4, 6), head=(0, 2, 14)),
            pose(0.5, reach=(0.57, 0.12, 0.13)),
            pose(1.0, trunk=(0, 3, -10), pelvis=(0, 4, -5), head=(0, 8, -12)),
            pose(0.6, reach=(0.60, 0.12, 0.10)),
            stand(0.9),
            pose(0.6),
        ),
        (),
    ),
    "cross-legged sitting": Score(
        (
            pose(0.3, foot_r=(0.10, 0.02, 0.05, 5, 8, 0), root=(0.03, 0.07, 0.985)),
            pose(0.3, HIT, foot_r=(0.17, -0.09, 0, 0, 12, 0), root=(0.05, 0.04, 0.98),
                 foot_l=(0, 0.105, 0, 0, 8, 0)),
            pose(0.9, root=(-0.08, 0.04, 0.60), pelvis=(0, 30, 0), trunk=(0, 48, 0), open=35,
                 arm=(60, 15, 0), elbow=(25, 30), head=(0, 25, 0), foot=(0.10, -0.01, 0, 10, 10, 0),
                 foot_r=(0.17, -0.09, 0, 12, 12, 0), foot_l=(0, 0.105, 0, 12, 8, 0)),
            pose(0.9, **FLOOR, open=62, held=1, reach=(0.50, 0.62, -0.62), elbow=(60, 60),
                 swivel=25, hand=(0, 0), head=(0, 5, 0), foot_r=(0.10, -0.06, 0.0, 0, 45, 45),
                 foot_l=(0.02, -0.02, 0.0, 0, 45, 45)),
        ),
        (
            pose(1.2, head=(0, 2, 22), trunk=(0, 8, 5)),
            pose(1.0, head=(0, 12, 0), trunk=(0, 14, 0)),
            pose(1.2, head=(0, 2, -20), trunk=(0, 9, -4)),
        ),
        (
            pose(0.9, root=(-0.08, 0.04, 0.55), pelvis=(0, 34, 0), trunk=(0, 58, 0), open=35,
                 held=0, arm=(60, 15, 0), elbow=(25, 30), hand=(8, 0), head=(0, 25, 0),
                 foot_r=(0.17, -0.09, 0, 12, 12, 0), foot_l=(0, 0.105, 0, 12, 8, 0)),
            pose(0.8, root=(0.05, 0.06, 0.97), pelvis=(0, 6, 0), trunk=(0, 6, 0), open=8,
                 arm=(5, 8, 10), elbow=(18, 25), head=(0, 8, 0), foot_r=(0.17, -0.09, 0, 0, 12, 0),
                 foot_l=(0, 0.105, 0, 0, 8, 0)),
            pose(0.3, foot_r=(0.10, 0.02, 0.05, 5, 8, 0), root=(0.03, 0.07, 0.985)),
            stand(0.4),
        ),
    ),
    "throw/catch": Score(
        (pose(0.5, root=(0.03, 0.02, 0.98)),),
        (
            pose(0.55, trunk=(0, -6, -38), pelvis=(0, 2, -20), head=(0, 4, 0), arm_r=(-15, 78, -70),
                 elbow_r=(95, 30), hand_r=(-20, 0), arm_l=(60, 25, 0), elbow_l=(30, 30),
                 root=(0.0, -0.04, 0.98), foot_l=(0.05, 0.105, 0.06, 0, 8, 0)),
            pose(0.27, trunk=(0, 8, 8), pelvis=(0, 6, 8), arm_r=(88, 52, -10), elbow_r=(30, 40),
                 hand_r=(10, 0), arm_l=(15, 15, 0), elbow_l=(60, 30), root=(0.08, 0.02, 0.97),
                 foot_l=(0.26, 0.105, 0, 0, 8, 0)),
            pose(0.28, trunk=(0, 20, 24), pelvis=(0, 10, 14), arm_r=(25, 10, 35), elbow_r=(35, 40),
                 hand_r=(20, 0), root=(0.12, 0.02, 0.965)),
            pose(0.45, foot_l=(0.12, 0.105, 0.05, 5, 8, 0), root=(0.05, -0.04, 0.985),
                 trunk=(0, 5, 5), pelvis=(0, 5, 4), arm=(20, 10, 10), elbow=(60, 30), hand=(0, 0)),
            pose(0.30, HIT, foot_l=(0, 0.105, 0, 0, 8, 0), root=(0.03, 0, 0.98), trunk=(0, 5, 0),
                 pelvis=(0, 5, 0), held=1, reach=(0.50, 0.18, -0.15), swivel=25),
            pose(0.6),
            pose(0.28, reach=(0.76, 0.11, 0.02), trunk=(0, 8, 0), root=(0.05, 0, 0.985)),
            pose(0.14, HIT, reach=(0.56, 0.10, -0.12), trunk=(0, 3, 0), root=(0.03, 0, 0.98)),
            pose(0.6, held=0, arm=(10, 8, 10), elbow=(45, 30)),
        ),
        (stand(0.5),),
    ),
    "scratching head": Score(
        (pose(0.8, reach_r=(0.08, 0.40, 0.50), held_r=1, swivel_r=35, elbow_r=(120, 40),
              hand_r=(35, 0), girdle_r=(12, 0), head=(6, 12, -6)),),
        (
            pose(0.13, reach_r=(0.07, 0.38, 0.53), hand_r=(50, 5)),
            pose(0.13, reach_r=(0.09, 0.41, 0.48), hand_r=(25, -5)),
        ),
        (stand(0.8),),
    ),
    "phone talking": Score(
        (pose(0.9, reach_r=(0.22, 0.28, 0.26), held_r=1, swivel_r=18, elbow_r=(140, 10),
              hand_r=(10, 15), head=(4, 6, -4)),),
        (
            pose(1.2, head=(3, 8, 15), root=(0.03, 0.03, 0.985), pelvis=(-2, 4, 3)),
            pose(0.7, arm_l=(25, 12, 20), elbow_l=(70, 10), hand_l=(-10, 0), head=(4, 2, 5)),
            pose(0.4, arm_l=(32, 18, 10), elbow_l=(60, -10)),
            pose(0.4, arm_l=(25, 12, 20), elbow_l=(75, 10), head=(5, 12, 0)),
            pose(0.9, arm_l=(2, 6, 10), elbow_l=(16, 25), hand_l=(8, 0), root=(0.03, -0.03, 0.985),
                 pelvis=(2, 4, -3), head=(4, 6, -20)),
            pose(0.8, head=(4, 14, -8)),
        ),
        (stand(0.9),),
    ),
}  # fmt: skip


class ScoreTable(NamedTuple):
    """All scores, padded to J poses: pose [M, J, D], the others [M, J], [M] and shift [M, 2]."""

    poses: Array
    seconds: Array
    approach: Array
    pause: Array
    loop_first: Array  # pose of the loop
    loop_length: Array  # in poses
    pose_count: Array  # without the padding
    shift: Array
    both_sides: Array


ROOT_UP = CHANNELS["root"].start + 2
IS_LIMB = np.arange(D) >= CHANNELS["foot"].start
AHEAD_SHIFT = per_channel(root=(1, 0, 0), foot=(1, 0, 0, 0, 0, 0), reach=(1, 0, 0))
LEFT_SHIFT = per_channel(
    root=(0, 1, 0), foot=(0, -1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0), reach=(0, -1, 0, 0, 1, 0)
)
HAND_PLACES = per_channel(reach=1)  # lie on the floor only where `world` says so
# What is a place on the floor; what grows with the size of a movement, and from pose to pose (a
# foot that is pitched while it stands has to stay so).
FLOOR_PLACES = per_channel(root=(1, 1, 0), foot=(1, 1, 0, 0, 0, 0))
SCALED = 1 - per_channel(root=1, kneel=1, world=1, open=1, reach=1, held=1, foot=(1, 1, 0, 0, 1, 1))
SCALED_EACH_POSE = SCALED - per_channel(foot=(0, 0, 0, 1, 0, 0))


def _shared_draws() -> np.ndarray:
    """Index of every channel's random number, of which right and left share one."""
    midline = [np.arange(CHANNELS[name].start, CHANNELS[name].stop) for name in MIDLINE]
    right = [CHANNELS[name].start + np.arange(PAIRED[name][0]) for name in PAIRED]
    return np.concatenate(midline + [np.tile(numbers, 2) for numbers in right]).astype(np.int32)


SHARED_DRAWS = _shared_draws()


def _on_floor(poses):
    """1 for the channels of poses [..., D] that are not hands held in the trunk's frame."""
    return 1 - HAND_PLACES * (1 - poses[..., CHANNELS["world"]])


def shift_poses(poses, ahead, left):
    """Poses [..., D] further ahead and to the left in the world, in shares of the leg."""
    shift = ahead[..., None] * AHEAD_SHIFT + left[..., None] * LEFT_SHIFT
    return poses + shift * _on_floor(poses)


def _prepare_hands(poses: list[np.ndarray]) -> None:
    """Where a hand is not held to a place, let the place be the one it will go to or comes from.

    So a hand goes to a place that waits for it, and not to one that is itself on the way.
    """
    ways = [(name, side) for name in ("reach", "swivel") for side in (0, 1)] + [("world", 0)]
    for name, side in ways:
        first, count = CHANNELS[name].start, (MIDLINE | PAIRED)[name][0]
        part = slice(first + side * count, first + (side + 1) * count)
        is_held = [bool(pose[CHANNELS["held"]][side]) for pose in poses]
        for i in range(1, len(poses)):
            if not is_held[i]:
                poses[i][part] = poses[i - 1][part]
        for i in range(len(poses) - 1, 0, -1):
            if is_held[i] and not is_held[i - 1]:
                poses[i - 1][part] = poses[i][part]


def _score_row(score: Score) -> dict[str, Any]:
    """The fields of ScoreTable of one score, without padding."""
    frames = score.begin + score.loop + score.end
    poses = [STANDING.copy()]
    for i, frame in enumerate(frames):
        before = poses[-1]
        if i == len(score.begin) + len(score.loop):
            before = shift_poses(before, *-np.array(score.shift, np.float32))
        poses.append(_change_pose(before, frame.changes))
    _prepare_hands(poses)
    return {
        "poses": poses,
        "seconds": [1.0, *(frame.seconds for frame in frames)],
        "approach": [SMOOTH, *(frame.approach for frame in frames)],
        "pause": [False, *(not frame.changes for frame in frames)],
        "loop_first": 1 + len(score.begin),
        "loop_length": len(score.loop),
        "pose_count": len(poses),
        "shift": score.shift,
        "both_sides": score.both_sides,
    }


def _make_table() -> ScoreTable:
    rows = [_score_row(SCORES[name]) for name in MOVEMENTS]
    most = max(row["pose_count"] for row in rows)
    for row in rows:
        for name in ("poses", "seconds", "approach", "pause"):
            # Padded by the last pose, which is standing.
            row[name] = [*row[name], *[row[name][-1]] * (most - row["pose_count"])]
    columns = [np.array([row[name] for row in rows]) for name in ScoreTable._fields]
    return ScoreTable(*(c.astype(np.float32 if c.dtype.kind == "f" else np.int32) for c in columns))


SCORE_TABLE = _make_table()
