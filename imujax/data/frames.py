"""Axes of the units of each data set, as rotations into ours: x forward, y left, z up in standing.

Row i of a matrix is our axis i in the unit's axes (`recordings.rotate`).  The study turns MoVi and
Camargo into one common frame; its matrices stand here as they were made public, followed by the
turn from that frame into ours.  What is sure of them is where up is.  That x of the common frame
points to the right and z backwards follows from MoVi's units, whose z then points out of every
segment (to the side on both thighs, forward on shanks, up on feet), and from others' notes on
Camargo's (x down, z backwards).
"""

import numpy as np

# A unit's x to the left, y up, z forward, as in the files of Tan et al. 2021 and 2022.
LEFT_UP_FORWARD = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
# A unit on the back of the foot slopes; so much in both subjects of the example file of Tan et al.
# 2022, feet flat.
SLOPE = np.deg2rad(29)
SLOPED_FOOT = np.array(
    [[0.0, -np.cos(SLOPE), np.sin(SLOPE)], [1.0, 0.0, 0.0], [0.0, np.sin(SLOPE), np.cos(SLOPE)]]
)
# The study's common frame: x to the right, y up, z backwards.
RIGHT_UP_BACK = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])

_COLUMN = np.array([[0, -1, 0], [-1, 0, 0], [0, 0, -1]])
_FOOT = np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]])
_MOVI_TO_COMMON = {
    "pelvis": _COLUMN,
    "trunk": _COLUMN,
    "thigh_r": np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]]),
    "thigh_l": np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]]),
    "shank_r": _COLUMN,
    "shank_l": _COLUMN,
    "foot_r": _FOOT,
    "foot_l": _FOOT,
}
# Of head, shoulders, arms and hands nobody says how their axes lie: they are left as they are.
MOVI = {name: RIGHT_UP_BACK @ matrix for name, matrix in _MOVI_TO_COMMON.items()}
CAMARGO = RIGHT_UP_BACK @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
