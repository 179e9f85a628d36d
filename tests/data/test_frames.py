"""Axes of all data sets: after alignment a standing person's gravity lies on z for every unit."""

import numpy as np
import pytest

from imujax.data import frames
from imujax.data.recordings import G, rotate

# What a unit reads in standing, in its own axes: its specific force points up.
STANDING = {
    **{
        f"MoVi {name}": (matrix, (0, 0, 1) if name.startswith("foot") else (-1, 0, 0))
        for name, matrix in frames.MOVI.items()
    },
    "Camargo": (frames.CAMARGO, (-1, 0, 0)),
    "Tan 2021 and 2022": (frames.LEFT_UP_FORWARD, (0, 1, 0)),
    "Tan 2022, feet": (frames.SLOPED_FOOT, (0, np.sin(frames.SLOPE), np.cos(frames.SLOPE))),
}


@pytest.mark.parametrize("source", STANDING)
def test_gravity_lies_on_z_for_every_source(source):
    matrix, up = STANDING[source]
    assert np.allclose(rotate(G * np.array(up, float), matrix), [0, 0, G], atol=1e-12)
    assert np.isclose(np.linalg.det(matrix), 1)  # a rotation, no mirror


def test_units_on_the_sides_of_both_thighs_look_outwards():
    """z of a thigh's unit points out of it: to the right on the right one, left on the left one."""
    out = np.array([0.0, 0.0, 1.0])
    assert np.allclose(rotate(out, frames.MOVI["thigh_r"]), [0, -1, 0])
    assert np.allclose(rotate(out, frames.MOVI["thigh_l"]), [0, 1, 0])
    assert np.allclose(rotate(out, frames.MOVI["shank_r"]), [1, 0, 0])


def test_the_common_frame_of_the_study_is_turned_into_ours():
    """Its x points to the right, y up, z backwards."""
    right, up, back = np.eye(3)
    assert np.allclose(rotate(right, frames.RIGHT_UP_BACK), [0, -1, 0])
    assert np.allclose(rotate(up, frames.RIGHT_UP_BACK), [0, 0, 1])
    assert np.allclose(rotate(back, frames.RIGHT_UP_BACK), [-1, 0, 0])
