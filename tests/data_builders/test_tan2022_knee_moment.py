"""The knee-moment file of Tan et al. 2022: the real example, and files of its layout."""

import json
import pathlib

import h5py
import numpy as np
import pytest

from imujax.data import builders, datasets
from imujax.data_builders.tan2022_knee_moment import files
from imujax.errors import UserError

UNITS = ("L_FOOT", "R_FOOT", "R_SHANK", "R_THIGH", "WAIST", "CHEST", "L_SHANK", "L_THIGH")
COLUMNS = ["body weight", "body height", "force_phase", "EXT_KM_X", "EXT_KM_Y"]
COLUMNS += [f"{kind}{axis}_{u}" for u in UNITS for kind in ("Accel", "Gyro") for axis in "XYZ"]


def step(rng, length: int) -> np.ndarray:
    """One step [152, fields], zero after `length`: units upright, the left axis swings."""
    t, size = np.arange(length) / 100, rng.uniform(0.7, 1.3)  # no two steps are alike
    out = np.zeros((152, len(COLUMNS)))
    for i, name in enumerate(COLUMNS):
        if name.startswith("AccelY"):
            out[:length, i] = 9.81 + size * np.sin(8 * t)
        elif name.startswith("GyroX"):
            out[:length, i] = -300 * size * np.sin(6 * t)
        elif name[:5] in ("Accel", "GyroY", "GyroZ"):
            out[:length, i] = rng.normal(0, 0.5, length)
    out[:length, :2] = 70, 1.75
    out[:length, 3] = 4 * np.exp(-(((t - 0.3) / 0.05) ** 2)) + 6 * (t > 0.8)
    return out


def table(steps: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([step(rng, 95 + k) for k in range(steps)])


def write(
    folder: pathlib.Path, subjects=("subject_01", "subject_02"), change=None, columns=COLUMNS
):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "all.h5"
    with h5py.File(path, "w") as file:
        for seed, name in enumerate(subjects):
            values = table(seed=seed)
            if change is not None and name == subjects[-1]:
                values = change(values)
            file[name] = values.astype(np.float32)
        if columns is not None:
            file.attrs["columns"] = json.dumps(list(columns))
    return folder


def built(raw: pathlib.Path, tmp_path: pathlib.Path):
    return datasets.read(builders.build("tan2022_knee_moment", raw, tmp_path / "data"))


def test_the_real_example_gives_its_steps_and_peaks(shared_data, tmp_path):
    raw = shared_data / "tan2022_knee_moment"
    data = built(raw, tmp_path)
    assert "simulated" not in data.info
    assert data.acc.shape == (20, 128, 8, 3) and set(data.subject) == {"subject_01", "subject_02"}
    with h5py.File(next(raw.glob("*.h5"))) as file:
        names = json.loads(file.attrs["columns"])
        truth, gyro = [], []
        for subject in sorted(file):
            for one in file[subject]:
                used = np.flatnonzero(one[:, names.index("body weight")])[-1] + 1
                truth.append(one[20 : used // 2, names.index("EXT_KM_X")].max())
                gyro.append(one[:128, names.index("GyroX_R_SHANK")] * np.pi / 180)
    assert np.allclose(data.target[:, 0], truth, atol=1e-5)
    shank = data.info["sensors"].index("shank_r")
    assert np.allclose(data.gyr[:, :, shank, 1], gyro, atol=1e-5)


def test_after_alignment_gravity_lies_on_z_and_legs_swing_forwards(shared_data, tmp_path):
    data = built(shared_data / "tan2022_knee_moment", tmp_path)
    stands = [i for i, name in enumerate(data.info["sensors"]) if not name.endswith("_l")]
    up = data.acc[:, 35:50].mean((0, 1))[stands]  # the right foot is flat
    assert (up[:, 2] > 0.95 * np.linalg.norm(up, axis=1)).all()
    for side in "rl":
        thigh = data.gyr[:, :, data.info["sensors"].index(f"shank_{side}")]
        assert thigh[:, :, 1].min() < -5  # rad/s about the left axis: the foot goes forwards


def test_targets_are_the_peaks_of_early_stance_and_padding_is_zero(tmp_path):
    data = built(write(tmp_path / "raw"), tmp_path)
    assert np.allclose(data.target, 4, atol=1e-3)  # not the 6 of late stance
    assert list(data.length) == [95, 96, 97] * 2
    assert not data.acc[0, 95:].any() and np.allclose(data.acc[0, :95, 0, 2].mean(), 9.9, atol=0.3)
    assert list(data.recording[:3]) == ["step 1", "step 2", "step 3"]


def test_the_curve_is_the_moment_of_the_step_and_the_target_its_peak(tmp_path):
    data = built(write(tmp_path / "raw"), tmp_path)
    assert data.info["curves"] == [{"name": "knee flexion moment", "unit": "%BW*BH"}]
    t = np.arange(128) / 100
    moment = 4 * np.exp(-(((t - 0.3) / 0.05) ** 2)) + 6 * (t > 0.8)
    for curve, length, target in zip(data.curve[..., 0], data.length, data.target, strict=True):
        np.testing.assert_allclose(curve[:length], moment[:length], atol=1e-6)
        assert not curve[length:].any()
        assert curve[20 : length // 2].max() == target[0]


def test_the_order_of_the_columns_does_not_matter(tmp_path):
    order = np.random.default_rng(1).permutation(len(COLUMNS))
    plain = built(write(tmp_path / "plain"), tmp_path / "1")
    raw = tmp_path / "mixed"
    write(raw)
    with h5py.File(raw / "all.h5", "w") as file:
        for seed, name in enumerate(("subject_01", "subject_02")):
            file[name] = table(seed=seed)[:, :, order].astype(np.float32)
        file.attrs["columns"] = json.dumps([COLUMNS[i] for i in order])
    mixed = built(raw, tmp_path / "2")
    assert np.array_equal(plain.acc, mixed.acc) and np.array_equal(plain.target, mixed.target)


def gone(field: str, samples=slice(30, 33)):
    def change(values):
        values[1, samples, COLUMNS.index(field)] = np.nan
        return values

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (gone("EXT_KM_X"), "steps with missing moments"),
        (gone("EXT_KM_X", 70), "windows whose curve has a gap"),
        (gone("GyroX_L_FOOT"), "steps with missing sensor samples"),
        (lambda v: np.concatenate([v[:1], 0 * v[:1], v[2:]]), "steps without a sample"),
        (
            lambda v: v * ((np.arange(152) < 30) | (np.arange(3) != 1)[:, None])[:, :, None],
            "steps that end before their peak",
        ),
    ],
)
def test_a_damaged_step_is_dropped_and_counted(tmp_path, change, reason):
    raw = write(tmp_path / "raw", change=change)
    data = built(raw, tmp_path)
    assert len(data.acc) == 5 and data.info["dropped"] == {reason: 1}
    assert list(data.recording[3:]) == ["step 1", "step 3"]


def scaled(start: str, factor: float):
    def change(values):
        values[:, :, [i for i, n in enumerate(COLUMNS) if n.startswith(start)]] *= factor
        return values

    return change


def heavier(values):
    values[1, :95, 0] += 1
    return values


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (scaled("Accel", 1 / 9.81), "median norm 1.02, expected 5 to 60"),
        (scaled("Gyro", np.pi / 180), "the file must hold deg/s"),
        (scaled("EXT_KM_X", 12.0), "divide N m by mass"),
        (scaled("body height", 100.0), r"height \[m\]"),
        (scaled("Gyro", 60.0), "gyroscope reaches"),
        (scaled("AccelY_CHEST", np.inf), "infinite values"),
        (heavier, "'body weight' must be one number"),
        (lambda v: v[:, :, :-1], "values for"),
        (lambda v: v[0], "no table of numbers"),
    ],
)
def test_wrong_units_and_shapes_end_in_a_sentence(tmp_path, change, says):
    with np.errstate(invalid="ignore"):
        raw = write(tmp_path / "raw", change=change)
    with pytest.raises(UserError, match=says) as caught:
        built(raw, tmp_path)
    assert "subject_02" in str(caught.value) and not list((tmp_path / "data").rglob("*.array*"))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (None, "the names of the fields, is missing"),
        ([n if n != "GyroX_WAIST" else "GyroX_BELT" for n in COLUMNS], "'GyroX_WAIST' must stand"),
        (["EXT_KM_X" if n == "EXT_KM_Y" else n for n in COLUMNS], "'EXT_KM_X' must stand once"),
    ],
)
def test_missing_names_end_in_a_sentence(tmp_path, columns, says):
    with pytest.raises(UserError, match=says):
        built(write(tmp_path / "raw", columns=columns), tmp_path)


def test_files_that_are_none_and_subjects_that_stand_twice_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no HDF5 file"):
        built(tmp_path / "empty", tmp_path)
    raw = write(tmp_path / "raw")
    (raw / "more.h5").write_bytes((raw / "all.h5").read_bytes())
    with pytest.raises(UserError, match="subject_01 stands in two files"):
        built(raw, tmp_path)
    (raw / "more.h5").write_bytes((raw / "all.h5").read_bytes()[:5000])
    with pytest.raises(UserError, match=r"more\.h5: cannot be read"):
        built(raw, tmp_path)


def test_flipped_bytes_end_in_a_sentence_or_a_data_set(tmp_path):
    """Six hundred mutants, seeded: never a traceback."""
    raw = write(tmp_path / "raw")
    path, rng = raw / "all.h5", np.random.default_rng(5)
    good = path.read_bytes()
    refused = 0
    for _ in range(600):
        bad = bytearray(good)
        for at in rng.integers(0, min(len(good), 4000 if rng.random() < 0.5 else len(good)), 3):
            bad[at] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(bad))
        try:
            for item in files.list_items(raw, {}):
                examples, _, _ = files.read_examples(item, {})
                assert all(np.isfinite(e["target"]).all() for e in examples)
        except UserError:
            refused += 1
    assert 50 < refused < 550


def signals(raw: pathlib.Path) -> list[tuple]:
    """What the builder makes of a folder: every example, and of each person what is dropped."""
    rows = []
    for item in files.list_items(raw, {}):
        examples, dropped, _ = files.read_examples(item, {})
        rows += [(item.name, e["recording"], e["acc"], e["gyr"], e["target"]) for e in examples]
        rows.append((item.name, dict(dropped)))
    return rows


def mutate(rng, names: list[str], values: np.ndarray) -> tuple[str, list[str], np.ndarray]:
    """One change of structure: (kind, names, values)."""
    kind = str(rng.choice(["drop", "reorder", "unit", "twice", "gap", "cut"]))
    at = int(rng.integers(len(names)))
    if kind == "drop":
        return kind, names[:at] + names[at + 1 :], np.delete(values, at, 2)
    if kind == "reorder":
        order = rng.permutation(len(names))
        return kind, [names[i] for i in order], values[:, :, order]
    if kind == "unit":
        start, factor = [("Accel", 1 / 9.81), ("Gyro", np.pi / 180), ("EXT_KM_X", 12.0)][at % 3]
        values[:, :, [n.startswith(start) for n in names]] *= factor
        return f"{kind} {start}", names, values
    if kind == "twice":
        return kind, [*names[:-1], names[at]], values
    if kind == "gap":
        first = int(rng.integers(90))
        values[1, first : first + 3, at] = np.nan
        return kind, names, values
    return kind, names, values[:, : int(rng.integers(5, 152))]


def test_changes_of_structure_end_in_a_sentence_or_in_the_same_numbers(tmp_path):
    """Two hundred mutants, seeded: what is kept is as in the whole file, up to what is cut off."""
    raw, rng = write(tmp_path / "raw", subjects=("subject_01",)), np.random.default_rng(7)
    whole = {row[1]: row for row in signals(raw) if len(row) == 5}
    seen = {}
    for _ in range(200):
        kind, names, values = mutate(rng, list(COLUMNS), table())
        with h5py.File(raw / "all.h5", "w") as file:
            file["subject_01"] = values.astype(np.float32)
            file.attrs["columns"] = json.dumps(names)
        try:
            rows = [row for row in signals(raw) if len(row) == 5]
        except UserError:
            seen[kind, "refused"] = seen.get((kind, "refused"), 0) + 1
            continue
        seen[kind, "kept"] = seen.get((kind, "kept"), 0) + 1
        assert not kind.startswith("unit") and (kind != "reorder" or len(rows) == len(whole))
        for row in rows if kind != "cut" else ():
            assert all(np.array_equal(a, b) for a, b in zip(row, whole[row[1]], strict=True))
    assert seen["reorder", "kept"] > 20 and ("reorder", "refused") not in seen
    assert sum(n for (_, end), n in seen.items() if end == "refused") > 60
