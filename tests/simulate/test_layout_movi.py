"""The stand-in for MoVi: its files against physics, and as its builder reads them."""

import filecmp

import numpy as np
import pytest
import scipy.io
from scipy.spatial.transform import Rotation

from imujax.data import builders, datasets
from imujax.data_builders.movi import files
from imujax.simulate import scores, sensors
from imujax.simulate.layouts import movi

pytestmark = pytest.mark.slow  # a minute of simulating, for all of them

SECONDS = 6.0
FRAMES = 720  # of a movement
G = 9.80665
STANDING = {
    "hand clapping",
    "cross arms",
    "hand waving",
    "checking watch",
    "taking photo",
    "scratching head",
    "phone talking",
    "pointing",
}


def written(folder, subjects: int, rare: float, captured: float):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(movi, "QUIRK_SHARE", rare)
        patch.setattr(movi, "CAPTURE_SHARE", captured)
        return movi.write_files(subjects, folder, 0, seconds=SECONDS)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return written(tmp_path_factory.mktemp("raw"), 2, 0.0, 1.0)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """One person with all the quirks, and without motion capture."""
    return written(tmp_path_factory.mktemp("odd"), 1, 1.0, 0.0)


@pytest.fixture(scope="module")
def rounds(people):
    struct = scipy.io.loadmat(people / "imu_Subject_1.mat")["IMU"][0, 0]
    return {name: struct[name][0, 0] for name in struct.dtype.names}


def names(round_) -> list[str]:
    return [str(cell[0]) for cell in round_["jointNames"][0]]


def joint(data: np.ndarray, j: int):
    """X, V [T, 3], the axes, A, W [T, 3] of a joint."""
    x, v, q, a, w = np.split(data[:, 16 * j : 16 * j + 16], [3, 6, 10, 13], axis=1)
    return x, v, Rotation.from_quat(q, scalar_first=True), a, w


def takes(rounds):
    """The data of every movement, of which some frames at the ends are left out."""
    for name in ("I1", "I2", "S1", "S2"):
        data = rounds[name]["data"]
        for first in range(0, len(data), FRAMES):
            yield data[first + 20 : first + FRAMES - 20]


def test_files_have_the_fields_of_the_real_ones(people, rounds):
    assert set(rounds) == {"I1", "I2", "S1", "S2", "S1_Synched", "S2_Synched"}
    for round_ in rounds.values():
        assert round_["data"].dtype == float and round_["data"].shape[1] == 336
        assert np.isfinite(round_["data"]).all()
        assert round_["jointNames"].shape == round_["jointNumbers"].shape == (1, 21)
        assert names(round_) == list(movi.JOINTS)
        assert [str(n[0]) for n in round_["jointNumbers"][0]][::20] == ["01", "21"]
        assert round_["dataHeader"].shape == (1, 336)
        assert str(round_["dataHeader"][0, 16 + 10][0]) == "02-A-x"
    movements = [len(rounds[name]["data"]) / FRAMES for name in ("I1", "I2", "S1", "S2")]
    assert sorted(movements) == [5, 5, 5, 6]
    for name in ("S1", "S2"):
        full, cut = rounds[name]["data"], rounds[f"{name}_Synched"]["data"]
        starts = np.flatnonzero((full == cut[0]).all(axis=1))
        assert len(starts) == 1 and np.array_equal(full[starts[0] :][: len(cut)], cut)
        assert 120 <= len(full) - len(cut) <= 360
        capture = scipy.io.loadmat(people / f"{name}_v3d_Subject_1.mat")[f"Subject_1_{name}"]
        move = capture["move"][0, 0][0, 0]
        count = len(full) // FRAMES
        assert move["flags120"].shape == (count, 2) and move["motions_list"].shape == (count, 1)
        assert move["flags120"].min() >= 1 and move["flags120"].max() <= len(cut)
        assert (np.diff(move["flags120"].ravel()) > 0).all()


def test_velocity_is_the_derivative_of_position(rounds):
    for data in takes(rounds):
        for j in range(21):
            x, v, *_ = joint(data, j)
            assert np.abs(np.gradient(x, 1 / 120, axis=0) - v)[1:-1].mean() < 0.02


def test_quaternions_turn_what_the_units_read_to_the_world(rounds):
    """The mean specific force is gravity upwards and the change of velocity.

    Soft tissue lets a unit turn on its segment, so the middle one of the movements is asked.
    """
    for j in range(21):
        means = []
        for data in takes(rounds):
            _, v, turn, a, _ = joint(data, j)
            means.append(turn.apply(a).mean(0) * G - (v[-1] - v[0]) / (len(v) / 120))
        assert np.allclose(np.median(means, axis=0), [0, 0, G], atol=0.35), movi.JOINTS[j]


def test_gyroscopes_read_how_the_quaternions_turn(rounds):
    """But for the bias of each, which is the same in all movements of a person."""
    for j in range(21):
        rates, readings = [], []
        for data in takes(rounds):
            _, _, turn, _, w = joint(data, j)
            rates.append((turn[:-2].inv() * turn[2:]).as_rotvec() * 60)
            readings.append(w[1:-1])
        pairs = list(zip(readings, rates, strict=True))
        bias = np.median([np.median(w - rate, axis=0) for w, rate in pairs], axis=0)
        assert np.abs(bias).max() < 4 * sensors.UNIT["gyr"]["bias"]
        errors = [np.abs(w - bias - rate).mean() / (0.2 + np.abs(w).mean()) for w, rate in pairs]
        assert np.median(errors) < 0.08, movi.JOINTS[j]


def test_joints_without_a_unit_lie_between_their_neighbours(rounds):
    data, order = rounds["I1"]["data"], names(rounds["I1"])
    height = {n: data[0, 16 * order.index(n) + 2] for n in order}
    column = ["Hip", "Spine", "Spine1", "Spine2", "Spine3", "Neck", "Head"]
    assert (np.diff([height[n] for n in column]) > 0).all()
    assert 0.7 < height["Hip"] < 1.1 and height["Head"] > 1.3
    assert height["RightFoot"] < height["RightLeg"] < height["RightUpLeg"]


def test_the_builder_reads_the_stand_in(people, tmp_path):
    data = datasets.read(builders.build("movi", people, tmp_path))
    assert data.info["dropped"].keys() <= {
        "windows in which no sensor moves",
        "stretches shorter than a window",
    }
    assert set(data.recording) == {"I1", "I2", "S1_Synched", "S2_Synched"}
    for subject in data.info["subjects"]:
        is_subject = data.subject == subject
        activities = set(data.activity[is_subject]) - {""}
        assert activities <= set(scores.NAMES) and 9 <= len(activities) <= 11
        assert {r[0] for r in data.recording[is_subject & (data.activity == "")]} == {"I"}
    stand = np.isin(data.activity, list(STANDING))
    up = data.acc[stand].mean((0, 1))
    known = [
        i
        for i, n in enumerate(data.info["sensors"])
        if n in ("pelvis", "trunk") or n.startswith(("thigh", "shank", "foot"))
    ]
    assert stand.sum() > 10 and len(known) == 8
    assert (up[known, 2] > 0.9 * np.linalg.norm(up[known], axis=1)).all()
    assert np.allclose(np.linalg.norm(up[known], axis=1), G, atol=0.6)


def test_shanks_turn_most_about_the_left_axis(people):
    options = files.complete_options({"rate": 120.0, "window": 120, "motion": 3.0})
    items = files.list_items(people, options)
    examples = [e for item in items for e in files.read_examples(item, options)[0]]
    spread = np.concatenate([e["gyr"] for e in examples]).std(0)
    for side in "rl":
        shank = spread[list(files.MOVI_JOINTS).index(f"shank_{side}")]
        assert shank[1] > 1.5 * shank[[0, 2]].max()


def test_quirks_are_written_and_read(odd):
    struct = scipy.io.loadmat(odd / "imu_Subject_1.mat")["IMU"][0, 0]
    assert set(struct.dtype.names) == {"I1", "S1", "S2", "S2_Synched"}
    assert not list(odd.glob("*v3d*"))
    has_gap = {n: np.isnan(struct[n][0, 0]["data"]).any(axis=1) for n in struct.dtype.names}
    assert all(1 <= one.sum() <= 15 for one in (has_gap["I1"], has_gap["S1"], has_gap["S2"]))
    assert sum(len(struct[n][0, 0]["data"]) for n in ("I1", "S1", "S2")) == 21 * FRAMES
    options = files.complete_options({})
    (item,) = files.list_items(odd, options)
    examples, dropped, _ = files.read_examples(item, options)
    assert {e["recording"] for e in examples} == {"I1", "S1", "S2_Synched"}
    assert dropped["rounds that the file does not have"] == 1
    assert dropped["samples filled in short gaps"] > 0
    assert not dropped["samples in gaps that are too long to fill"]


def test_the_same_seed_gives_the_same_files(people, tmp_path):
    again = written(tmp_path, 1, 0.0, 1.0)
    for name in ("imu_Subject_1.mat", "S1_v3d_Subject_1.mat"):  # whoever else is written
        assert filecmp.cmp(people / name, again / name, shallow=False)
