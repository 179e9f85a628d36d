"""The builder of MoVi, on files written here."""

import io
import pathlib
import struct
import tracemalloc

import numpy as np
import pytest
import scipy.io

from imujax.data import builders, datasets
from imujax.data_builders.movi import captures, files, mat
from imujax.errors import UserError

G = 9.80665
SIDED = ("UpLeg", "Leg", "Foot", "Shoulder", "Arm", "ForeArm", "Hand")
JOINTS = ["Hip", *(s + j for s in ("Right", "Left") for j in SIDED), "Head", "Neck"]
JOINTS += ["Spine3", "Spine2", "Spine1", "Spine"]
UPRIGHT = {"Foot": (0, 0, 1), "Hand": (0, 1, 0)}  # the others read -1 g along x
# Ours in the axes of the file: forwards, left, up.
AXES = {
    "pelvis": ("z", "y", "-x"),
    "trunk": ("z", "y", "-x"),
    "shank_l": ("z", "y", "-x"),
    "thigh_r": ("y", "-z", "-x"),
    "thigh_l": ("-y", "z", "-x"),
    "foot_r": ("x", "y", "z"),
    "hand_l": ("x", "y", "z"),
    "head": ("x", "y", "z"),
}
NAMES = {
    "pelvis": "Hip",
    "trunk": "Spine1",
    "shank_l": "LeftLeg",
    "thigh_r": "RightUpLeg",
    "thigh_l": "LeftUpLeg",
    "foot_r": "RightFoot",
    "hand_l": "LeftHand",
    "head": "Head",
}


def joint(name: str, frames: int, seed: int = 0) -> np.ndarray:
    """X, V, Q, A, W of one joint [T, 16]: gravity, a swing and noise."""
    rng = np.random.default_rng([seed, *name.encode()])
    out = rng.normal(0, 0.02, (frames, 16))
    swing = np.sin(np.arange(frames) / 10)[:, None]
    up = next((v for k, v in UPRIGHT.items() if name.endswith(k)), (-1, 0, 0))
    out[:, 10:13] += up + 0.2 * swing
    out[:, 13:16] += 2 * swing
    return out


def cell(texts) -> np.ndarray:
    out = np.empty((1, len(texts)), object)
    out[0] = texts
    return out


def one_round(frames: int = 360, seed: int = 0, joints=JOINTS) -> dict:
    return {
        "data": np.concatenate([joint(name, frames, seed) for name in joints], axis=1),
        "jointNames": cell(joints),
        "jointNumbers": cell([f"{j + 1:02d}" for j in range(len(joints))]),
        "dataHeader": cell(["01-X-x"]),
        "dataTypes": cell(["X", "V", "Q", "A", "W"]),
    }


def write(folder: pathlib.Path, rounds: dict, number: int = 1, **more) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / f"imu_Subject_{number}.mat", {"IMU": rounds}, **more)
    return folder


def capture(folder: pathlib.Path, flags, names, name: str = "S1", number: int = 1, wrap=False):
    """A motion-capture file; `wrap` puts the struct `move` into a cell."""
    move = {"flags120": np.array(flags, float), "motions_list": cell(list(names)).T}
    if wrap:
        move = np.array([[move]], object)
    path = folder / f"{name}_v3d_Subject_{number}.mat"
    scipy.io.savemat(path, {f"Subject_{number}_{name}": {"id": 1.0, "move": move}})
    return path


def read(raw: pathlib.Path, **given):
    """All examples, and what was dropped."""
    options = files.complete_options({"rate": 120, "window": 60} | given)
    out, dropped, seconds = [], files.Dropped(), 0.0
    for item in files.list_items(raw, options):
        examples, gone, time = files.read_examples(item, options)
        out += examples
        dropped += gone
        seconds += time
    return out, dropped, seconds


def same(one: list[dict], other: list[dict]) -> bool:
    return len(one) == len(other) and all(
        all(np.array_equal(a[key], b[key]) for key in a) for a, b in zip(one, other, strict=True)
    )


def test_joints_are_found_by_name_and_turned_to_our_axes(tmp_path):
    one = one_round()
    raw = write(tmp_path / "raw", {"I1": one})
    path = builders.build("movi", raw, tmp_path, rate=120, window=60)
    data = datasets.read(path)
    assert data.acc.shape == (6, 60, 17, 3) and list(data.start) == [0, 0.5, 1, 1.5, 2, 2.5]
    assert set(data.subject) == {"Subject_1"} and set(data.recording) == {"I1"}
    for sensor, axes in AXES.items():
        first = 16 * JOINTS.index(NAMES[sensor])
        s = data.info["sensors"].index(sensor)
        for row, axis in enumerate(axes):
            column, sign = "xyz".index(axis[-1]), -1 if axis[0] == "-" else 1
            acc, gyr = (sign * one["data"][:, first + k + column] for k in (10, 13))
            np.testing.assert_allclose(data.acc[:, :, s, row].ravel(), acc * G, atol=1e-5)
            np.testing.assert_allclose(data.gyr[:, :, s, row].ravel(), gyr, atol=1e-6)
    up = data.acc.mean((0, 1))
    legs = [i for i, n in enumerate(data.info["sensors"]) if n[:5] in ("thigh", "shank", "foot_")]
    assert (up[[0, 1, *legs], 2] > 0.95 * G).all() and len(legs) == 6
    assert data.info["dropped"] == {"rounds that the file does not have": 3}
    assert data.info["hours"] == pytest.approx(3 / 3600, abs=1e-4)


def test_axes_can_be_left_as_they_come(tmp_path):
    one = one_round()
    raw = write(tmp_path / "raw", {"I1": one})
    for name in ("thigh_r", "head"):
        first = 16 * JOINTS.index(NAMES[name]) + 10
        s = list(files.MOVI_JOINTS).index(name)
        acc = np.concatenate([e["acc"][:, s] for e in read(raw, align="false")[0]])
        np.testing.assert_allclose(acc, one["data"][:, first : first + 3] * G, atol=1e-5)


def test_the_movement_of_all_units_together_can_be_asked_for(tmp_path):
    """One unit of seventeen moves ten times as much as the others."""
    one = one_round()
    column = 16 * JOINTS.index("RightHand") + 10
    one["data"][:, column] += 2 * np.sin(np.arange(360) / 5)
    raw = write(tmp_path / "raw", {"I1": one})
    one_moves = read(raw, motion=2.5)
    together = read(raw, motion=2.5, together="true")
    assert len(one_moves[0]) == 6 and together[0] == []
    assert together[1]["windows that move too little"] == 6


def test_neither_the_order_of_joints_nor_compression_nor_byte_order_matters(tmp_path):
    plain, *_ = read(write(tmp_path / "plain", {"I1": one_round()}))
    order = [JOINTS[i] for i in np.random.default_rng(3).permutation(21)]
    mixed, *_ = read(write(tmp_path / "mixed", {"I1": one_round(joints=order)}))
    packed, *_ = read(write(tmp_path / "packed", {"I1": one_round()}, do_compression=True))
    assert same(plain, mixed) and same(plain, packed) and len(plain) == 6


def test_subjects_follow_their_numbers_whatever_the_order_of_files(tmp_path, monkeypatch):
    for number in (10, 2, 1):
        write(tmp_path, {"I1": one_round(120, seed=number)}, number)
    one, *_ = read(tmp_path)
    assert [e["subject"] for e in one[::2]] == ["Subject_1", "Subject_2", "Subject_10"]
    listed = list(tmp_path.iterdir())
    monkeypatch.setattr(pathlib.Path, "iterdir", lambda self: iter(listed[::-1]))
    assert same(one, read(tmp_path)[0])


def test_a_synched_round_is_taken_for_the_whole_one_and_never_both(tmp_path):
    raw = write(tmp_path, {"S1_Synched": one_round(180), "S1": one_round(360), "S2": one_round()})
    examples, dropped, _ = read(raw)
    assert [e["recording"] for e in examples] == 3 * ["S1_Synched"] + 6 * ["S2"]
    assert dropped == {"rounds that the file does not have": 2}
    only, dropped, _ = read(raw, rounds="S2, S1")
    assert same(only, examples) and not dropped
    empty = write(tmp_path / "2", {"I1": one_round(), "S1_Synched": [], "S1": one_round()})
    assert {e["recording"] for e in read(empty, rounds="S1")[0]} == {"S1"}


@pytest.mark.parametrize("wrap", [False, True])
def test_windows_lie_inside_the_movements_of_the_motion_capture(tmp_path, wrap):
    rounds = {"S1_Synched": one_round(), "S2": one_round(), "I1": one_round()}
    raw = write(tmp_path, rounds)
    flags = [(1, 130), (141, 200), (201, 259), (261, 360), (500, 600)]
    names = ["crossarms", "throw_catch", "hand_clapping", "Jumping_Jacks", "walking"]
    capture(raw, flags, names, wrap=wrap)
    capture(raw, [(1, 60)], ["walking"], name="S2")  # not synched: cannot fit
    examples, dropped, _ = read(raw, rounds="S1")
    cuts = [(e["activity"], round(float(e["start"]) * 120)) for e in examples]
    assert cuts == [
        ("cross arms", 0),
        ("cross arms", 60),
        ("throw/catch", 140),
        ("jumping jack", 260),
    ]
    assert dropped == {
        "stretches shorter than a window": 1,  # 59 frames
        "movements after the end of their round": 1,
    }
    examples, _, _ = read(raw, rounds="S2,I1")
    assert len(examples) == 12 and {e["activity"] for e in examples} == {""}


@pytest.mark.parametrize(
    ("names", "one"),
    [
        (("cross_arms", "crossarms", "Cross Arms"), "cross arms"),
        (("throw/catch", "throw_catch", "throw catch"), "throw/catch"),
        (("dancing", "dancing_rm"), "dancing"),
        (("cross_legged_sitting", "cross-legged sitting"), "cross-legged sitting"),
        (("running_in_spot",), "running in spot"),
    ],
)
def test_a_movement_has_one_spelling(names, one):
    assert {captures.normalise_movement(name) for name in names} == {one}


def test_a_round_at_100_hz_is_named_and_can_be_read_as_such(tmp_path):
    raw = write(tmp_path, {"S1_Synched": one_round(500)})
    path = capture(raw, [(1, 300), (301, 600)], ["walking", "jogging"])
    with pytest.raises(UserError, match="fits it at 100 Hz, not at 120; build with") as caught:
        read(raw)
    assert path.name in str(caught.value) and "imu_Subject_1.mat (S1_Synched)" in str(caught.value)
    examples, _, seconds = read(raw, source_rate=100, rate=100)
    assert seconds == 5.0
    assert [e["activity"] for e in examples] == ["walking"] * 4 + ["jogging"] * 4
    assert float(examples[4]["start"]) == 2.5


def gone(frames: slice, name: str = "LeftArm") -> dict:
    one = one_round()
    first = 16 * JOINTS.index(name) + 10
    one["data"][frames, first : first + 6] = np.nan
    return one


def test_short_gaps_are_filled_and_long_ones_split_the_round(tmp_path):
    whole, *_ = read(write(tmp_path / "0", {"I1": one_round()}))
    examples, dropped, _ = read(write(tmp_path / "1", {"I1": gone(slice(30, 36))}), rounds="I1")
    assert dropped == {"samples filled in short gaps": 6} and len(examples) == 6
    s = list(files.MOVI_JOINTS).index("upper_arm_l")
    line = np.linspace(whole[0]["acc"][29, s], whole[0]["acc"][36, s], 8)
    np.testing.assert_allclose(examples[0]["acc"][29:37, s], line, atol=1e-5)
    other = np.arange(17) != s
    assert np.array_equal(examples[0]["acc"][:, other], whole[0]["acc"][:, other])
    examples, dropped, seconds = read(
        write(tmp_path / "2", {"I1": gone(slice(130, 137))}), rounds="I1"
    )
    assert [round(float(e["start"]) * 120) for e in examples] == [0, 60, 137, 197, 257]
    assert dropped == {"samples in gaps that are too long to fill": 7}
    assert seconds == pytest.approx(353 / 120)
    assert np.array_equal(examples[2]["acc"], np.concatenate([e["acc"] for e in whole])[137:197])
    # Of a joint that has no unit, missing values do not matter; values beyond any unit are missing.
    assert same(whole, read(write(tmp_path / "3", {"I1": gone(slice(9, 300), "Neck")}))[0])
    wild = one_round()
    wild["data"][7, 16 * JOINTS.index("Hip") + 11] = 1e30
    _, dropped, _ = read(write(tmp_path / "4", {"I1": wild}), rounds="I1")
    assert dropped == {"samples filled in short gaps": 1}


def test_gaps_and_movements_together(tmp_path):
    raw = write(tmp_path, {"S1_Synched": gone(slice(130, 137))})
    capture(raw, [(1, 100), (121, 240), (301, 360)], ["walking", "jogging", "kicking"])
    examples, dropped, _ = read(raw, rounds="S1")
    cuts = [(e["activity"], round(float(e["start"]) * 120)) for e in examples]
    assert cuts == [("walking", 0), ("jogging", 137), ("kicking", 300)]
    # Of jogging 10 frames lie before the gap.
    assert dropped["stretches shorter than a window"] == 1
    capture(raw, [(1, 100)], ["walking"])
    assert [e["activity"] for e in read(raw, rounds="S1")[0]] == ["walking"]


@pytest.mark.parametrize("column", [10, 13])
def test_a_round_with_a_dead_sensor_is_left_out_and_counted(tmp_path, column):
    one = one_round()
    first = 16 * JOINTS.index("RightHand") + column
    one["data"][:, first : first + 3] = 0.5
    examples, dropped, _ = read(write(tmp_path, {"I1": one, "I2": one_round()}), rounds="I1,I2")
    assert {e["recording"] for e in examples} == {"I2"}
    assert dropped == {"rounds, or parts of them, with a constant sensor": 1}


def changed(**parts) -> dict:
    one = one_round()
    for name, change in parts.items():
        one[name] = change(one[name])
    return {"I1": one}


def scaled(first: int, factor: float):
    def change(data):
        data = data.copy()
        for k in range(3):
            data[:, first + k :: 16] *= factor
        return data

    return change


def without(name: str) -> dict:
    one = one_round()
    del one[name]
    return {"I1": one}


@pytest.mark.parametrize(
    ("rounds", "says"),
    [
        (changed(data=scaled(10, G)), r"read 9\.\d+ \(median norm\): the file must hold g"),
        (changed(data=scaled(10, 1000)), "the file must hold g"),
        (
            changed(data=scaled(13, 57.3)),
            "reaches .* expected below 60 rad/s: deg/s said to be rad/s",
        ),
        (changed(data=lambda d: d[:, :-16]), "16 columns for each of the 21 names"),
        (changed(data=lambda d: d.T), "expected a row a frame"),
        (changed(data=lambda d: d + 1j), "no array of real numbers"),
        (changed(data=lambda d: cell(["text"])), "no array of real numbers"),
        (
            changed(jointNames=lambda n: np.where(n == "LeftArm", "RightArm", n).astype(object)),
            "'RightArm' must stand once in jointNames",
        ),
        (
            changed(jointNames=lambda n: np.where(n == "Hip", "Hips", n).astype(object)),
            "'Hip' must stand once",
        ),
        (changed(jointNames=lambda n: np.arange(21.0)), "no cell array of texts"),
        (without("data"), "no field 'data'"),
        (without("jointNames"), "no field 'jointNames'"),
        ({"I1": np.arange(3.0)}, "no struct where one is expected"),
    ],
)
def test_wrong_units_and_fields_end_in_a_sentence(tmp_path, rounds, says):
    raw = write(tmp_path / "raw", rounds)
    with pytest.raises(UserError, match=says) as caught:
        builders.build("movi", raw, tmp_path / "data")
    assert "imu_Subject_1.mat (I1)" in str(caught.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("flags", "names", "says"),
    [
        ([(1, 100)], ["walking", "jogging"], "first and last frame of each of the 2 movements"),
        ([(100, 1)], ["walking"], "first <= last"),
        ([(0, 100)], ["walking"], "from 1 on"),
        ([(1, 100.5)], ["walking"], "numbers of frames"),
        ([(1, np.inf)], ["walking"], "numbers of frames"),
    ],
)
def test_wrong_flags_end_in_a_sentence(tmp_path, flags, names, says):
    raw = write(tmp_path, {"S1_Synched": one_round()})
    capture(raw, flags, names)
    with pytest.raises(UserError, match=says) as caught:
        read(raw)
    assert "S1_v3d_Subject_1.mat" in str(caught.value)


def test_movements_without_flags_are_counted(tmp_path):
    raw = write(tmp_path, {"S1_Synched": one_round()})
    capture(raw, [(np.nan, np.nan), (1, 60)], ["walking", "jogging"])
    examples, dropped, _ = read(raw, rounds="S1")
    assert [e["activity"] for e in examples] == ["jogging"]
    assert dropped == {"movements without a first or last frame": 1}


def test_files_that_are_none_are_named(tmp_path):
    with pytest.raises(UserError, match="has no files imu_Subject_1"):
        read(tmp_path)
    raw = write(tmp_path, {"I1": one_round(120)})
    path = raw / "imu_Subject_1.mat"
    (raw / "imu_Subject_01.mat").write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="are both of subject 1; keep one"):
        read(raw)
    (raw / "imu_Subject_01.mat").unlink()
    good = path.read_bytes()
    for content, says in (
        (b"", "no MATLAB v5 file"),
        (good[:5000], "cannot be read, damaged or incomplete"),
        (good[:124] + b"\0\2IM" + good[128:], "v7.3: in MATLAB, load it and save it with -v7"),
        (good.replace(b"IMU", b"IMX", 1), "there is no variable IMU"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=says):
            read(raw)


def test_what_is_cut_off_is_told_from_what_is_whole(tmp_path):
    raw = write(tmp_path, {"S1_Synched": one_round(120)}, do_compression=True)
    path, flags = raw / "imu_Subject_1.mat", capture(raw, [(1, 120)], ["walking"])
    whole = flags.read_bytes()
    for count in (1, 4, 9):  # within the last name
        flags.write_bytes(whole[:-count])
        with pytest.raises(UserError, match=r"S1_v3d_Subject_1\.mat: cannot be read"):
            read(raw)
    flags.write_bytes(whole)
    assert len(read(raw)[0]) == 2
    good = path.read_bytes()  # its checksum, the last four bytes, is taken away
    size = struct.unpack("<I", good[132:136])[0]
    path.write_bytes(good[:132] + struct.pack("<I", size - 4) + good[136:-4])
    with pytest.raises(UserError, match="is not as long as it claims"):
        read(raw)


def test_options_name_the_folder_and_mistakes_are_named():
    assert files.folder_name(files.complete_options({"together": "true", "align": "false"})) == (
        "100hz_w128_s128_together_as_it_comes"
    )
    with pytest.raises(UserError, match="option align must be true or false, not 'no'"):
        files.complete_options({"align": "no"})

    def name(**given):
        return files.folder_name(files.complete_options(given))

    assert name() == "100hz_w128_s128" and name(stride="64") == "100hz_w128_s64"
    assert name(rounds="S1,I1", source_rate="100") == "100hz_w128_s128_I1S1_from100hz"
    assert name(motion=2) == "100hz_w128_s128_m2"
    with pytest.raises(UserError, match="no round 'F': rounds is a list such as I1,I2,S1,S2"):
        name(rounds="I1,F")
    for option in ("rate", "window", "stride", "source_rate"):
        with pytest.raises(UserError, match=f"option {option} must be above 0"):
            name(**{option: -1})


def test_what_is_read_is_what_scipy_reads(tmp_path):
    tree = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": {"c": cell(["x", "dé", "", "walking"]), "d": np.int16([3, 4, 5])},
    }
    for packed in (False, True):
        path = tmp_path / f"{packed}.mat"
        scipy.io.savemat(path, {"other": np.ones(3), "tree": tree}, do_compression=packed)
        truth = scipy.io.loadmat(path)["tree"][0, 0]
        fields = mat.struct_fields(mat.read_variable(path, "tree"))
        assert np.array_equal(mat.real_array(fields["a"]), truth["a"])
        inner = mat.struct_fields(fields["b"])
        assert mat.cell_texts(inner["c"]) == ["x", "dé", "", "walking"]
        assert np.array_equal(mat.real_array(inner["d"]), truth["b"]["d"][0, 0])


def test_a_header_that_claims_gigabytes_costs_none(tmp_path):
    raw = write(tmp_path, {"I1": one_round(120)})
    path = raw / "imu_Subject_1.mat"
    good = path.read_bytes()
    at = good.index(struct.pack("<IIii", 5, 8, 1, 21))  # the size of jointNames
    claims = {at + 12: 21 + (1 << 28)}
    at = good.index(struct.pack("<IIii", 5, 8, 120, 336))
    claims |= {at + 8: 120 + (1 << 30), at + 12: 336 + (1 << 30)}
    for place, value in claims.items():
        path.write_bytes(good[:place] + struct.pack("<i", value) + good[place + 4 :])
        tracemalloc.start()
        with pytest.raises(UserError, match="cannot be read"):
            read(raw)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(good)
        tracemalloc.stop()


def reordered(rng) -> dict:
    order = [JOINTS[i] for i in rng.permutation(21)]
    return {"S1_Synched": one_round(66, joints=order)}


def damaged(rng) -> dict:
    """A tree with one part dropped, of another unit, or of another type."""
    one = one_round(66)
    what = rng.integers(4)
    if what == 0:
        del one[list(one)[rng.integers(len(one))]]
    elif what == 1:
        one["data"] = scaled(int(rng.choice([10, 13])), float(rng.choice([0.01, G, 57.3, 1e3])))(
            one["data"]
        )
    elif what == 2:
        one["data"] = one["data"][:, : rng.integers(1, 336)]
    else:
        one["data"][rng.integers(66), rng.integers(336)] = rng.choice([np.nan, np.inf, -1e300])
    return {"S1_Synched": one}


def flipped(rng, good: bytes) -> bytes:
    """A file that is cut off, or with three bits flipped, most of them outside the data."""
    if rng.random() < 0.2:
        return good[: rng.integers(len(good))]
    bad = bytearray(good)
    start = good.find(struct.pack("<IIii", 5, 8, 66, 336)) + 40
    tail = start + 66 * 336 * 8
    outside = [*range(start), *range(tail, len(good))] if start > 40 else range(len(good))
    for _ in range(3):
        everywhere = rng.random() < 0.3
        at = rng.integers(len(good)) if everywhere else outside[rng.integers(len(outside))]
        bad[at] ^= 1 << rng.integers(8)
    return bytes(bad)


def test_mutants_end_in_a_sentence_or_a_data_set(tmp_path):
    """Eight hundred, seeded: never a traceback, never values that are not finite."""
    rng = np.random.default_rng(5)
    raw = write(tmp_path, {"S1_Synched": one_round(66)})
    path, flags = raw / "imu_Subject_1.mat", capture(raw, [(1, 66)], ["walking"])
    packed = io.BytesIO()
    scipy.io.savemat(packed, {"IMU": {"S1_Synched": one_round(66)}}, do_compression=True)
    good = {"plain": path.read_bytes(), "packed": packed.getvalue(), "flags": flags.read_bytes()}
    truth, _, _ = read(raw, rounds="S1")
    assert len(truth) == 1
    refused = 0
    for k in range(800):
        path.write_bytes(good["plain"])
        flags.write_bytes(good["flags"])
        kind = ("plain", "packed", "flags", "tree", "order")[k % 5]
        if kind == "flags":
            flags.write_bytes(flipped(rng, good["flags"]))
        elif kind in good:
            path.write_bytes(flipped(rng, good[kind]))
        else:
            write(raw, damaged(rng) if kind == "tree" else reordered(rng))
        try:
            examples, _, _ = read(raw, rounds="S1")
        except UserError:
            assert kind != "order"
            refused += 1
            continue
        assert kind != "order" or same(examples, truth)
        for example in examples:
            assert example["acc"].shape == (60, 17, 3) and example["subject"] == "Subject_1"
            assert np.isfinite(example["acc"]).all() and np.isfinite(example["gyr"]).all()
            example["activity"].encode()
            if kind == "packed":  # its checksum tells any change
                assert np.array_equal(example["acc"], truth[0]["acc"])
    assert 250 < refused < 620
