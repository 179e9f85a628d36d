"""Stand-ins: simulated people in the files of real data sets, read by their builders."""

import json

import h5py
import numpy as np
import pytest

from imujax import cli
from imujax.data import builders, datasets
from imujax.errors import UserError
from imujax.simulate.layouts import tan2022_knee_moment as tan2022

pytestmark = pytest.mark.slow  # a minute of simulating, for all of them

SECONDS = 6.0


@pytest.fixture(scope="module")
def knees(tmp_path_factory):
    return tan2022.write_files(1, tmp_path_factory.mktemp("raw"), 0, seconds=SECONDS)


def test_the_knee_moment_file_is_the_real_one_name_by_name_and_type_by_type(knees, shared_data):
    real = next((shared_data / "tan2022_knee_moment").glob("*.h5"))
    with h5py.File(knees / tan2022.FILE) as written, h5py.File(real) as original:
        assert list(written.attrs) == list(original.attrs)
        assert written.attrs["columns"] == original.attrs["columns"]
        steps, real_steps = written["subject_01"], original["subject_01"]
        assert steps.dtype == real_steps.dtype and steps.shape[1:] == real_steps.shape[1:]
        assert steps.chunks == real_steps.chunks and dict(steps.attrs) == dict(real_steps.attrs)
        size = [(np.asarray(x)[:, :, 0] > 0).sum(1) for x in (steps, real_steps)]
        assert abs(np.median(size[0]) - np.median(size[1])) < 15
        # Of body, plate, markers and pixels: the same units and axes.
        for i, name in enumerate(json.loads(original.attrs["columns"])):
            a, b = (np.median(np.abs(x[:, 30:60, i]).max(1)) for x in (steps, real_steps))
            if not name.startswith(("Accel", "Gyro", "Mag", "Quat", "EXT")) and b > 60:
                assert 0.4 < a / b < 2.5, name


@pytest.mark.parametrize("real", [False, True])
def test_moments_follow_from_plate_and_markers_in_both(knees, real, request):
    folder = knees
    if real:
        folder = request.getfixturevalue("shared_data") / "tan2022_knee_moment"
    with h5py.File(next(folder.glob("*.h5"))) as file:
        names = json.loads(file.attrs["columns"])
        steps = np.asarray(file["subject_01"], np.float64).reshape(-1, len(names))

    def vector(name, axes="XYZ"):
        return steps[:, [names.index(f"{name}_{axis}") for axis in axes]]

    knee = (vector("RFME") + vector("RFLE")) / 2
    force = vector("plate_2_force", "xyz")
    moment = np.cross((vector("plate_2_cop", "xyz") - knee) / 1000, force) * [1, -1, -1]
    stands = force[:, 2] < -200
    unit = steps[stands, :1] * 9.81 * steps[stands, 1:2] / 100
    assert np.allclose(moment[stands] / unit, vector("EXT_KM")[stands], atol=2e-3)
    assert stands.sum() > 200


def test_quaternions_turn_what_the_unit_reads_to_the_world(knees):
    """The mean specific force over whole steps points up, and the field north and down."""
    from scipy.spatial.transform import Rotation

    names = tan2022.file_columns()
    with h5py.File(knees / tan2022.FILE) as file:
        step = np.asarray(file["subject_01"][0], np.float64)
    step = step[step[:, 0] > 0]
    for unit in tan2022.UNITS:
        turn = Rotation.from_quat(
            step[:, [names.index(f"Quat{n}_{unit}") for n in "1234"]], scalar_first=True
        )
        force, field = (
            turn.apply(step[:, [names.index(f"{kind}{a}_{unit}") for a in "XYZ"]]).mean(0)
            for kind in ("Accel", "Mag")
        )
        assert force[2] > 0.8 * np.linalg.norm(force), unit
        assert np.allclose(field, [18, 0, -36.5], atol=0.3), unit


def test_the_builder_reads_the_stand_in(knees, tmp_path):
    data = datasets.read(builders.build("tan2022_knee_moment", knees, tmp_path))
    assert len(data.acc) >= 18 and data.info["dropped"] == {} and data.info["simulated"]
    assert 1 < np.median(data.target) < 7
    up = data.acc[:, 35:50].mean((0, 1))
    right = [i for i, name in enumerate(data.info["sensors"]) if not name.endswith("_l")]
    assert (up[right, 2] > 0.85 * np.linalg.norm(up[right], axis=1)).all()


def test_a_stand_in_that_is_there_is_not_taken_for_another(knees):
    with pytest.raises(UserError, match="is there already; take another --out"):
        tan2022.write_files(2, knees.parent, 0)


def test_a_layout_that_is_none_is_refused(tmp_path):
    with pytest.raises(UserError, match="no layout 'tan': there are movi, tan2021_"):
        cli.run_command(["simulate", "--layout", "tan", "--out", str(tmp_path)])
    with pytest.raises(UserError, match="--layout or --sets"):
        cli.run_command(
            ["simulate", "--layout", "tan2022_knee_moment", "--sets", "movi", "--out", "x"]
        )
    assert not list(tmp_path.iterdir())
