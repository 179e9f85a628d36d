"""Camargo et al. 2021: converted tables written by hand, whose peaks and windows are known."""

import math
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from imujax.data import builders, datasets
from imujax.data_builders.camargo2021 import files
from imujax.errors import UserError

MASS, HEIGHT = 70.0, 1.75
NAME = "LevelGround_ccw_fast_01_01"
UNITS = ("foot", "shank", "thigh", "trunk")
FLOOR = ("Combined", "FP1", "FP2", "FP3", "FP4", "FP5", "FP6")
STANCE = 0.6  # s


def tables(plates=("FP1",), seconds=6.0, seed=0) -> dict[str, dict[str, np.ndarray]]:
    """imu, fp and gcRight: a strike 0.5 s into every second; force k peaks at 1 + k / 10 BW."""
    rng = np.random.default_rng(seed)
    t, fine = np.arange(round(200 * seconds)) / 200, np.arange(round(1000 * seconds)) / 1000
    imu = {"Header": t}
    for unit in UNITS:
        for axis in "XYZ":
            still = -1.0 if axis == "X" else 0.0  # x points down
            imu[f"{unit}_Accel_{axis}"] = still + 0.2 * np.sin(6 * t) + rng.normal(0, 0.02, len(t))
        for axis in "XYZ":
            imu[f"{unit}_Gyro_{axis}"] = 3 * np.sin(6 * t) + rng.normal(0, 0.05, len(t))
    fp = {"Header": fine}
    fp |= {f"{p}_v{a}": np.zeros(len(fine)) for p in FLOOR for a in "xyz"}
    for k in range(int(seconds)):
        on = (fine >= k + 0.5) & (fine < k + 0.5 + STANCE)
        push = np.sin(np.pi * (fine[on] - k - 0.5) / STANCE)
        fp[f"{plates[k % len(plates)]}_vy"][on] = (1 + k / 10) * MASS * 9.81 * push
    cycles = {"Header": t, "HeelStrike": 100 * ((t - 0.5) % 1), "ToeOff": 100 * ((t - 1.1) % 1)}
    for name, first in (("HeelStrike", 0.5), ("ToeOff", 1.1)):
        cycles[name] = np.where(t < first, np.nan, np.round(cycles[name], 9) % 100)
    return {"imu": imu, "fp": fp, "gcRight": cycles}


def save(path: pathlib.Path, table: dict) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(table)
    if path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    else:
        pa.parquet.write_table(table, path)
    return path


def save_trial(raw, trial, name=NAME, subject="AB06", end=".parquet", date="10_09_18"):
    mode = name.split("_")[0].lower()
    for kind, table in trial.items():
        save(raw / subject / date / mode / kind / (name + end), table)
    return raw


def write_info(raw, subjects=("AB06",), end=".csv", **change):
    rows = len(subjects)
    table = {"Subject": list(subjects), "Age": [25] * rows, "Gender": ["F"] * rows}
    table |= {"Height": [HEIGHT] * rows, "Weight": [MASS] * rows} | change
    save(raw / f"SubjectInfo{end}", {k: v for k, v in table.items() if v is not None})
    return raw


def write_study(raw, trial=None, **more):
    return write_info(save_trial(raw, trial or tables(), **more))


def read_all(raw):
    """Examples and what was dropped, of all items."""
    out, dropped = [], {}
    for item in files.list_items(raw, {}):
        examples, why, _ = files.read_examples(item, {})
        out += examples
        dropped = {k: dropped.get(k, 0) + why.get(k, 0) for k in dropped | dict(why)}
    return out, dropped


def targets(examples):
    return [float(e["target"][0]) for e in examples]


def same(one, other):
    return len(one) == len(other) and all(
        all(np.array_equal(a[k], b[k]) for k in a) for a, b in zip(one, other, strict=True)
    )


def test_a_build_gives_the_windows_and_peaks_known_by_hand(tmp_path):
    raw = write_study(tmp_path / "raw")
    data = datasets.read(builders.build("camargo2021", raw, tmp_path / "data"))
    # Peaks at 0.8, 1.8, ... s are samples 160, 360, ...; each lies in [48, 80) of one window.
    assert np.allclose(data.start * 200, [96, 288, 512, 704, 896], atol=1e-3)
    assert np.allclose(data.target[:, 0], [1.0, 1.1, 1.2, 1.3, 1.4], atol=2e-3)
    assert data.acc.shape == (5, 128, 2, 3) and set(data.length) == {128}
    assert set(data.subject) == {"AB06"} and set(data.condition) == {"levelground fast"}
    assert set(data.recording) == {"10_09_18 levelground_ccw_fast_01_01"}
    assert set(data.activity) == {"walking"} and data.info["sensors"] == ["trunk", "shank_r"]
    names = {f"AB06/10_09_18/levelground/{kind}/{NAME}.parquet" for kind in tables()}
    assert data.info["sources"].keys() == {*names, "SubjectInfo.csv"}
    # 34 windows, one stance whose toe-off is not in the recording.
    assert data.info["dropped"] == {
        "strikes with no toe-off before the next one": 1,
        "windows without a peak in their middle": 29,
    }


def test_the_curve_is_the_force_over_the_weight_and_the_target_its_peak(tmp_path):
    raw = write_study(tmp_path / "raw")
    path = builders.build("camargo2021", raw, tmp_path / "data")
    data = datasets.read(path)
    assert data.curve.shape == (5, 128, 1)
    assert (data.info["curves"], data.info["curve_every"]) == (
        [{"name": "vertical ground force", "unit": "BW"}],
        1,
    )
    for k, (start, curve, target) in enumerate(
        zip(data.start, data.curve[..., 0], data.target[:, 0], strict=True)
    ):
        time = start + np.arange(128) / 200 - (k + 0.5)  # after the strike
        push = (1 + k / 10) * np.sin(np.pi * time / STANCE)
        inside = (time > 0.1) & (time < STANCE - 0.1)
        np.testing.assert_allclose(curve[inside], push[inside], atol=2e-3)
        beyond = (time < -0.1) | (time > STANCE + 0.1)
        np.testing.assert_allclose(curve[beyond], 0, atol=2e-3)
        assert curve[48:80].max() == pytest.approx(target, abs=1e-6)
    names, values = (line.split(",") for line in (path / "subjects.csv").read_text().splitlines())
    told = dict(zip(names, values, strict=True))
    least = data.curve.min(axis=1).mean()
    assert float(told["mean largest vertical ground force [BW]"]) == pytest.approx(1.2, abs=2e-3)
    assert float(told["mean smallest vertical ground force [BW]"]) == pytest.approx(least, rel=1e-3)


def test_signals_are_turned_to_forward_left_up_in_si(tmp_path):
    trial = tables()
    examples, _ = read_all(write_study(tmp_path, trial))
    for s, unit in enumerate(("trunk", "shank")):
        acc, gyr = (
            np.stack([trial["imu"][f"{unit}_{kind}_{a}"][96:224] for a in "XYZ"], 1)
            for kind in ("Accel", "Gyro")
        )
        assert np.allclose(examples[0]["acc"][:, s], -9.80665 * acc[:, ::-1], atol=1e-5)
        assert np.allclose(examples[0]["gyr"][:, s], -gyr[:, ::-1], atol=1e-5)
    assert 8 < examples[0]["acc"][..., 2].mean() < 11


@pytest.mark.parametrize(
    ("name", "plates", "condition"),
    [
        ("LevelGround_cw_slow_01_02", ("Combined", "FP2", "FP5"), "levelground slow"),
        ("LevelGround_ccw_normal_01_02", ("FP1",), "levelground normal"),
        ("Ramp_3_R_01_01", ("FP2", "FP4"), "ramp 3"),
        ("Ramp_6_L_01_01", ("FP1", "FP3", "FP5"), "ramp 6"),
        ("Stair_1_R_01_01", ("FP2", "FP3", "FP4"), "stair 1"),
        ("Stair_2_L_01_01", ("FP1", "FP5"), "stair 2"),
    ],
)
def test_the_name_tells_the_plates_of_the_right_foot(tmp_path, name, plates, condition):
    examples, _ = read_all(write_study(tmp_path / "its", tables(plates), name=name))
    assert np.allclose(targets(examples), [1.0, 1.1, 1.2, 1.3, 1.4], atol=2e-3)
    assert {e["condition"] for e in examples} == {condition}
    left = [plate for plate in FLOOR if plate not in plates]
    examples, dropped = read_all(write_study(tmp_path / "others", tables(left), name=name))
    assert not examples and dropped["stances not on the plates throughout"] == 5


def test_order_of_columns_format_and_case_of_names_change_nothing(tmp_path):
    trial = tables()
    plain, _ = read_all(write_study(tmp_path / "plain", trial))
    turned = {kind: dict(reversed(table.items())) for kind, table in trial.items()}
    assert same(plain, read_all(write_study(tmp_path / "turned", turned))[0])
    assert same(plain, read_all(write_study(tmp_path / "csv", trial, end=".csv"))[0])
    assert same(plain, read_all(write_study(tmp_path / "small", trial, name=NAME.lower()))[0])
    mixed = write_study(tmp_path / "mixed", {"imu": trial["imu"], "fp": trial["fp"]})
    save_trial(mixed, {"gcRight": trial["gcRight"]}, name=NAME.lower())
    assert same(plain, read_all(mixed)[0])
    both = write_study(tmp_path / "both", trial)
    save_trial(both, {"fp": tables(["FP2"])["fp"]}, end=".csv")  # Parquet is taken
    save_trial(both, {"imu": trial["imu"]}, name="._" + NAME)
    (both / "AB06/10_09_18/levelground/fp" / f"{NAME}.mat").write_bytes(b"MATLAB")
    assert same(plain, read_all(both)[0])


def test_the_order_in_which_the_disk_lists_files_changes_nothing(tmp_path, monkeypatch):
    raw = write_info(tmp_path, ("AB06", "AB07"))
    for subject in ("AB06", "AB07"):
        for name in (NAME, "ramp_1_l_01_01", "Stair_1_R_01_01"):
            save_trial(raw, tables(), name=name, subject=subject)
    save_trial(raw, tables(), date="09_12_18")
    plain = files.list_items(raw, {})
    assert [t.subject for t in plain] == ["AB06"] * 4 + ["AB07"] * 3
    assert [t.date for t in plain] == ["09_12_18"] + ["10_09_18"] * 6
    for method in ("glob", "iterdir"):
        listed = getattr(pathlib.Path, method)
        monkeypatch.setattr(
            pathlib.Path, method, lambda *a, listed=listed: sorted(listed(*a), reverse=True)
        )
    assert files.list_items(raw, {}) == plain


def test_tables_that_begin_and_end_at_other_times_are_cut_to_what_they_share(tmp_path):
    trial = tables()
    for kind, (a, b) in {"imu": (10, -40), "fp": (122, -7), "gcRight": (30, -20)}.items():
        trial[kind] = {
            name: values[a:b] + (name == "Header") * 100.0 for name, values in trial[kind].items()
        }
    examples, _ = read_all(write_study(tmp_path, trial))
    # From 0.150 s, the gait cycles' first sample, to 5.795 s, the imu's last.
    assert np.allclose(targets(examples), [1.0, 1.1, 1.2, 1.3, 1.4], atol=2e-3)
    starts = [(e["start"] - 100.15) * 200 for e in examples]
    assert np.allclose(np.round(np.array(starts) / 32) * 32, starts, atol=0.01)
    for k, e in enumerate(examples):
        place = round((e["start"] - 100) * 200)
        assert 48 <= 160 + 200 * k - place < 80
        raw = tables()["imu"]["trunk_Accel_X"][place : place + 128]
        assert np.allclose(e["acc"][:, 0, 2], -9.80665 * raw, atol=1e-4)


def edited(kind, change):
    def edit(trial):
        table = {name: values.copy() for name, values in trial[kind].items()}
        return trial | {kind: change(table) or table}

    return edit


def holes(column, rows, value=np.nan):
    def change(table):
        table[column][rows] = value

    return change


def rows_gone(rows):
    return lambda table: {k: np.delete(v, np.arange(len(v))[rows]) for k, v in table.items()}


def without(kind):
    return lambda trial: {k: v for k, v in trial.items() if k != kind}


def still(table):
    for axis in "XYZ":
        table[f"shank_Gyro_{axis}"][:] = 0.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("fp"), "trials without force plates"),
        (without("imu"), "trials without sensors"),
        (without("gcRight"), "trials without gait cycles"),
        (edited("imu", rows_gone(slice(300, 320))), "trials with a broken clock"),
        (edited("fp", holes("Header", 500, 0.0)), "trials with a broken clock"),
        (edited("gcRight", holes("Header", 500, np.nan)), "trials with a broken clock"),
        (edited("imu", holes("trunk_Accel_X", slice(50, 70))), "trials with missing samples"),
        (edited("fp", holes("FP1_vy", slice(50, 150), np.inf)), "trials with missing samples"),
        (
            edited("imu", holes("trunk_Accel_X", 50, 500.0)),
            "trials with samples beyond the range of the sensors",
        ),
        (edited("imu", still), "trials with a dead sensor"),
        (edited("fp", rows_gone(slice(600, None))), "trials whose tables share less than a window"),
        (edited("imu", holes("Header", slice(None), 7.0)), "trials with a broken clock"),
    ],
)
def test_a_trial_that_cannot_be_used_is_dropped_and_counted(tmp_path, change, reason):
    raw = write_study(tmp_path, change(tables()))
    save_trial(raw, tables(), name="levelground_ccw_fast_01_02")
    examples, dropped = read_all(raw)
    assert dropped[reason] == 1 and len(examples) == 5
    assert {e["recording"] for e in examples} == {"10_09_18 levelground_ccw_fast_01_02"}


def test_a_name_that_tells_no_plates_is_dropped_and_the_treadmill_is_left_out(tmp_path):
    raw = write_study(tmp_path, name="LevelGround_fast_01_01")
    save_trial(raw, tables(), name="Treadmill_01_01")
    examples, dropped = read_all(raw)
    assert not examples and dropped == {"trials with a name that does not tell the plates": 1}


def test_a_subject_without_plates_is_counted_and_short_gaps_are_filled(tmp_path):
    raw = write_info(tmp_path, ("AB06", "AB20"))
    gaps = edited("imu", holes("trunk_Accel_X", slice(50, 55)))(tables())
    gaps = edited("fp", holes("FP1_vy", slice(1000, 1040)))(gaps)
    save_trial(raw, gaps)
    for name in (NAME, "Stair_1_R_01_01"):
        save_trial(raw, without("fp")(tables()), name=name, subject="AB20")
    examples, dropped = read_all(raw)
    assert dropped["trials without force plates"] == 2 and {e["subject"] for e in examples} == {
        "AB06"
    }
    assert np.allclose(targets(examples), [1.0, 1.1, 1.2, 1.3, 1.4], atol=0.01)


def test_gait_cycles_at_another_rate_give_the_same_stances(tmp_path):
    trial = tables()
    fine = trial["fp"]["Header"]
    trial["gcRight"] = {
        "Header": fine,
        "HeelStrike": np.where(fine < 0.5, 0, np.round(100 * ((fine - 0.5) % 1), 9) % 100),
        "ToeOff": np.where(fine < 1.1, 0, np.round(100 * ((fine - 1.1) % 1), 9) % 100),
    }
    assert same(
        read_all(write_study(tmp_path / "1"))[0], read_all(write_study(tmp_path / "2", trial))[0]
    )


def test_a_right_foot_that_meets_no_plate_is_no_wrong_unit(tmp_path):
    """Noise, and a drift of several N, are told from body weights by the gait cycles."""
    rng, trial = np.random.default_rng(0), tables(["FP2"])
    t = trial["fp"]["Header"]
    for noise in (rng.normal(0, 2, len(t)), 3 * np.sin(5.3 * t), 2 + rng.normal(0, 0.1, len(t))):
        trial["fp"]["FP1_vy"] = noise
        assert not read_all(write_study(tmp_path, trial))[0]


@pytest.mark.filterwarnings("error")
def test_outside_the_cycles_a_ramp_may_hold_anything_that_is_no_number(tmp_path):
    trial = tables()
    endless = {k: np.where(np.isnan(v), -np.inf, v) for k, v in trial["gcRight"].items()}
    plain, _ = read_all(write_study(tmp_path / "1", trial))
    assert same(plain, read_all(write_study(tmp_path / "2", trial | {"gcRight": endless}))[0])


def scaled(start, factor):
    def change(table):
        for name in table:
            if start in name:
                table[name] = table[name] * factor

    return change


def lost(column):
    return lambda table: {k: v for k, v in table.items() if k != column}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (edited("imu", scaled("Accel", 9.81)), r"imu/.*looks like m/s\^2, the file must hold g"),
        (edited("imu", scaled("Accel", 1000)), r"imu/.*accelerations are in another unit"),
        (edited("imu", scaled("Gyro", 57.3)), r"imu/.*most likely the gyroscope is in deg/s"),
        (edited("fp", scaled("_v", 1 / (MASS * 9.81))), r"fp/.*body weights or kN"),
        (edited("fp", scaled("_v", 0.001)), r"fp/.*body weights or kN"),
        (edited("fp", scaled("_v", 1000)), r"fp/.*no walker's: forces must be in N"),
        (edited("fp", scaled("_v", -1)), r"fp/.*must point up"),
        (edited("gcRight", scaled("Strike", 0.01)), r"gcRight/.*must be one column that runs"),
        (edited("imu", scaled("Header", 1000)), r"imu/.*Header says 0\.2 Hz, expected 200 Hz"),
        (edited("fp", scaled("Header", 1000)), r"fp/.*Header says 1 Hz, expected 1000 Hz"),
        (edited("gcRight", scaled("Header", 1000)), r"gcRight/.*Header says 0\.2 Hz"),
        (edited("imu", lost("shank_Gyro_Y")), r'imu/.*no column "shank_Gyro_Y"'),
        (edited("fp", lost("FP1_vy")), r'fp/.*no column "FP1_vy"'),
        (edited("gcRight", lost("ToeOff")), r'gcRight/.*no column "ToeOff"'),
        (edited("imu", lambda t: {k: v[:0] for k, v in t.items()}), r"imu/.*has no rows"),
        (edited("imu", lambda t: t | {"trunk_Gyro_X": ["x"] * 1200}), "is not numeric"),
    ],
)
@pytest.mark.parametrize("end", [".parquet", ".csv"])
def test_wrong_units_and_columns_end_in_a_sentence(tmp_path, change, says, end):
    raw = write_study(tmp_path, change(tables()), end=end)
    if end == ".csv" and says == "is not numeric":
        says = 'is text in column "trunk_Gyro_X": "x": mend the line'
    with pytest.raises(UserError, match=says):
        read_all(raw)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Weight": [154.0]}, "AB06 with Height 1.75 and Weight 154 is no walker"),
        ({"Weight": [70000.0]}, "Weight in kg"),
        ({"Height": [175.0]}, "Height must be in m"),
        ({"Height": [5.9]}, "Height must be in m"),
        ({"Height": [math.nan]}, "Height must be in m"),
        ({"Subject": ["AB07"]}, "no row of AB06, who has a folder: add it"),
        ({"Weight": None}, 'no column "Weight"'),
    ],
)
def test_subjects_must_have_a_body_in_si(tmp_path, change, says):
    with pytest.raises(UserError, match=rf"SubjectInfo\.csv.*{says}"):
        files.list_items(write_info(save_trial(tmp_path, tables()), **change), {})


def test_the_table_of_subjects_stands_once(tmp_path):
    raw = save_trial(tmp_path, tables())
    with pytest.raises(UserError, match=r"has no SubjectInfo\.csv or \.parquet"):
        files.list_items(raw, {})
    (raw / "SubjectInfo.mat").write_bytes(b"MATLAB")
    with pytest.raises(UserError, match=r"SubjectInfo\.mat is a table that only MATLAB can read"):
        files.list_items(raw, {})
    write_info(raw, ("AB06", "AB06"))
    with pytest.raises(UserError, match="AB06 stands in two rows"):
        files.list_items(raw, {})
    write_info(raw, end=".parquet")  # taken before the other
    assert len(files.list_items(raw, {})) == 1
    write_info(raw / "Part1", end=".parquet")
    with pytest.raises(UserError, match="have one name: keep one of them"):
        files.list_items(raw, {})


def test_folders_may_lie_in_parts_but_no_subject_in_two(tmp_path):
    whole, _ = read_all(write_study(tmp_path / "whole"))
    part = tmp_path / "parts" / "Part1of3"
    write_study(part)
    assert same(whole, read_all(part.parent)[0]) and same(whole, read_all(part)[0])
    save_trial(tmp_path / "parts" / "Part2of3", tables(), name="Ramp_1_L_01_01")
    with pytest.raises(UserError, match=r"AB06 stands in .*Part1of3 and .*Part2of3: keep one"):
        files.list_items(part.parent, {})


def test_folders_and_names_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(UserError, match="has no subjects: expected folders AB06"):
        files.list_items(tmp_path, {})
    raw = write_info(tmp_path)
    (raw / "AB06" / "osimxml").mkdir(parents=True)
    with pytest.raises(UserError, match="AB06 has no trial: expected tables"):
        files.list_items(raw, {})
    save_trial(raw, tables())
    save_trial(raw, tables(), name=NAME.lower())
    with pytest.raises(UserError, match="have one name: keep one of them"):
        files.list_items(raw, {})
    (raw / "AB06" / "10_09_18" / "ramp" / "imu").mkdir(parents=True)
    (raw / "AB06" / "10_09_18" / "ramp" / "imu" / "Ramp_1_L_01_01.mat").write_bytes(b"MATLAB")
    for path in (raw / "AB06" / "10_09_18" / "levelground").glob("*/levelground*"):
        path.unlink()
    with pytest.raises(UserError, match=r"Ramp_1_L_01_01\.mat is a table that only MATLAB can"):
        files.list_items(raw, {})
    with pytest.raises(UserError, match="no option 'rate'"):
        files.complete_options({"rate": 100})


def test_a_damaged_name_in_a_parquet_file_is_named(tmp_path):
    raw = write_study(tmp_path)
    path = next(raw.rglob("imu/*.parquet"))
    path.write_bytes(path.read_bytes().replace(b"trunk_Accel_X", b"trunk\xf2Accel_X"))
    with pytest.raises(UserError, match=r"imu/.*cannot be read, damaged or incomplete\?"):
        read_all(raw)


def flipped(rng, path, _):
    bad = bytearray(path.read_bytes())
    head = rng.random() < 0.5  # half of them in names or the Parquet footer's end
    for at in rng.integers(0, min(len(bad), 400) if head else len(bad), 3):
        bad[at if rng.random() < 0.5 else -1 - at] ^= 1 << rng.integers(8)
    path.write_bytes(bytes(bad))


def truncated(rng, path, _):
    path.write_bytes(path.read_bytes()[: rng.integers(0, path.stat().st_size)])


def dropped_column(rng, path, table):
    gone = rng.choice(list(table))
    save(path, {k: v for k, v in table.items() if k != gone})


def other_unit(rng, path, table):
    start = str(rng.choice(list(table)))[:-1]
    factor = rng.choice([0.001, 1 / 9.81, 0.01745, 9.81, 57.3, 1000.0])
    save(path, {k: v * factor if k.startswith(start) else v for k, v in table.items()})


def holed(rng, path, table):
    name, rows = rng.choice(list(table)), rng.integers(0, 500, 2)
    value = rng.choice([np.nan, np.inf, 0.0, -1e300])
    save(
        path,
        {
            k: np.where(
                (np.arange(len(v)) >= min(rows)) & (np.arange(len(v)) < max(rows)) & (k == name),
                value,
                v,
            )
            for k, v in table.items()
        },
    )


def reordered(rng, path, table):
    save(path, {k: table[k] for k in rng.permutation(list(table)).tolist()})


MUTATIONS = (flipped, flipped, truncated, dropped_column, other_unit, holed, reordered)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("end", [".parquet", ".csv"])
def test_mutants_end_in_a_sentence_or_a_data_set(tmp_path, end):
    """Three hundred and fifty of each format, seeded: never a traceback."""
    used = {"Header", "FP1_vy", "HeelStrike", "ToeOff", *files.SIGNALS}
    trial = {
        kind: {k: v.round(4) for k, v in table.items() if k in used}
        for kind, table in tables(seconds=2.5).items()
    }
    raw = write_study(tmp_path, trial, end=end)
    body = {"Subject": np.array(["AB06"]), "Height": np.array([HEIGHT]), "Weight": np.array([MASS])}
    tree = {raw / f"AB06/10_09_18/levelground/{kind}/{NAME}{end}": t for kind, t in trial.items()}
    tree[raw / "SubjectInfo.csv"] = body
    good = {path: path.read_bytes() for path in tree}
    plain, _ = read_all(raw)
    assert len(plain) == 2
    rng = np.random.default_rng(7)
    refused = changed = 0
    for n in range(350):
        change = MUTATIONS[n % len(MUTATIONS)]
        path = list(tree)[rng.integers(len(tree) if change in (flipped, truncated) else 3)]
        change(rng, path, tree[path])
        try:
            examples, _ = read_all(raw)
            assert all(0 < value < 5 for value in targets(examples))
            assert all(
                np.isfinite(e["acc"]).all() and np.isfinite(e["gyr"]).all() for e in examples
            )
            assert change is not reordered or same(examples, plain)
            changed += not same(examples, plain)
        except UserError:
            assert change is not reordered
            refused += 1
        path.write_bytes(good[path])
    assert 80 < refused < 270 and changed > 20
