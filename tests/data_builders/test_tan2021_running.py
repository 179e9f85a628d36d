"""The processed tree of Tan et al. 2021, in small files whose answer is known by hand."""

import pathlib

import numpy as np
import pytest

from imujax.data import builders, datasets, labels
from imujax.data_builders.tan2021_running import files
from imujax.errors import UserError

G = 9.80665
SECONDS = 5.0
STEP = 0.36  # s
LEFT, RIGHT = (np.arange(first, SECONDS - 0.3, 2 * STEP) for first in (0.3, 0.3 + STEP))
WEIGHT = 700.0  # N: by the areas of the trapezoids below
LEFT_RATE, RIGHT_RATE = 22.5, 30.0  # BW/s, 1575 N in 100 ms and 1260 N in 60 ms
KEPT = [4, 5, 6]  # of the left strikes, those whose window begins after 3 s
TRIAL = "nike_baseline_24"


def bumps(strikes: np.ndarray, top: float, rise: float) -> np.ndarray:
    """Trapezoids of 260 ms at 1000 Hz [N]."""
    since = np.arange(round(SECONDS * 1000))[:, None] / 1000 - strikes
    return (top * np.clip(np.minimum(since, 0.26 - since) / rise, 0, 1)).sum(1)


def ones(times: np.ndarray, rate: int, value=1.0) -> np.ndarray:
    out = np.zeros(round(SECONDS * rate))
    out[np.round(times * rate).astype(int)] = value
    return out


def tables(size: float = 1.0) -> dict[str, dict[str, np.ndarray]]:
    """One trial and a static one: file -> its columns; everybody has a size of movement."""
    t = np.arange(round(SECONDS * 200)) / 200
    swing = size * np.sin(2 * np.pi * t / (2 * STEP))
    unit = {
        "acc_x": 0.5 * swing,
        "acc_y": G + 3 * swing**2,
        "acc_z": -4 * swing,
        "gyr_x": 5 * swing,
        "gyr_y": 0.3 * np.cos(9 * t),
        "gyr_z": 0.2 * np.cos(11 * t),
    }
    units = {f"l_shank_{name}": values for name, values in unit.items()}
    still = {name: 0 * t + G * (name == "acc_y") + 0.01 * np.cos(7 * t) for name in unit}
    half = np.full(1000, WEIGHT / 2)
    return {
        f"200Hz/{TRIAL}.csv": {"marker_frame": np.arange(len(t))} | units,
        f"200Hz/param_of_{TRIAL}.csv": {
            "l_strikes": ones(LEFT, 200),
            "l_LR": ones(LEFT, 200, 20.0 + np.arange(len(LEFT))),
            "r_LR": ones(RIGHT, 200, 60.0),
        },
        f"1000Hz/{TRIAL}.csv": {
            "f_1_z": bumps(LEFT, 1575, 0.1),
            "f_2_z": bumps(RIGHT, 1260, 0.06),
        },
        f"1000Hz/param_of_{TRIAL}.csv": {
            "l_strikes": ones(LEFT, 1000),
            "r_strikes": ones(RIGHT, 1000),
        },
        "200Hz/static.csv": {f"l_shank_{name}": values for name, values in still.items()},
        "1000Hz/static.csv": {"f_1_z": half, "f_2_z": half},
    }


def save(path: pathlib.Path, table: dict[str, np.ndarray]):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.stack(list(table.values()), 1)
    text = [",".join("" if np.isnan(v) else f"{v:.7g}" for v in row) for row in cells]
    path.write_text("\n".join([",".join(table), *text, ""]))


def write(raw: pathlib.Path, change=None, subject="subject_01", size=1.0) -> pathlib.Path:
    trial = tables(size)
    if change is not None:
        trial = change(trial) or trial
    for name, table in trial.items():
        save(raw / subject / name, table)
    return raw


def read(raw: pathlib.Path, **given):
    """All examples of a tree, what was dropped, without the data set."""
    options = files.complete_options(given)
    out, dropped = [], {}
    for item in files.list_items(raw, options):
        some, counts, _ = files.read_examples(item, options)
        out += some
        dropped |= {k: dropped.get(k, 0) + v for k, v in counts.items()}
    dropped.pop("trials without 200Hz/<trial>.csv", None)  # the eleven others
    return out, dropped


def same(some: list[dict], others: list[dict]) -> bool:
    return len(some) == len(others) > 0 and all(
        np.array_equal(a[k], b[k]) for a, b in zip(some, others, strict=True) for k in a
    )


def targets(examples: list[dict]) -> list[float]:
    return [float(e["target"][0]) for e in examples]


def test_labels_of_the_file_and_their_windows(tmp_path):
    examples, dropped = read(write(tmp_path))
    assert targets(examples) == [20.0 + i for i in KEPT]
    assert dropped == {"windows that begin in the first 3 s": 4}
    unit = tables()[f"200Hz/{TRIAL}.csv"]
    for e, strike in zip(examples, LEFT[KEPT], strict=True):
        start = round(strike * 200) - 20
        assert e["start"] == pytest.approx(start / 200) and e["length"] == 64
        for kind in ("acc", "gyr"):
            now = [unit[f"l_shank_{kind}_{a}"][start : start + 64] for a in "zxy"]
            assert np.allclose(e[kind][:, 0], np.stack(now, 1), atol=1e-5)
        assert (e["subject"], e["activity"]) == ("subject_01", "running")
        assert e["recording"] == e["condition"] == "nike baseline 24"


def test_labels_of_the_force_are_those_of_the_left_foot(tmp_path):
    examples, dropped = read(write(tmp_path), labels="force")
    assert targets(examples) == pytest.approx([LEFT_RATE] * 3, rel=0.03)
    left = tables()[f"1000Hz/{TRIAL}.csv"]["f_1_z"]
    _, rates, _ = labels.loading_rates(left, 1000.0, WEIGHT / G, "by hand")
    assert targets(examples) == pytest.approx(rates[KEPT], rel=1e-3)
    at = [e["start"] + 0.1 for e in examples]
    assert at == pytest.approx(LEFT[KEPT], abs=0.006)
    assert dropped == {"windows that begin in the first 3 s": 4}


def test_the_curve_is_the_force_under_the_left_foot(tmp_path):
    """The right foot leaves the ground 50 ms before, in the first samples of each window."""

    def later(trial):
        trial[T1000]["f_2_z"] = bumps(RIGHT + 0.05, 1260, 0.06)
        trial[P1000]["r_strikes"] = ones(RIGHT + 0.05, 1000)

    raw = write(tmp_path, later)
    examples, dropped = read(raw, labels="force")
    assert len(examples) == 3 and dropped == {"windows that begin in the first 3 s": 4}
    left = labels.plate_force(bumps(LEFT, 1575, 0.1), 1000.0, "by hand", labels.IMPACT_CUTOFF)
    for e in examples:
        curve = e["curve"][:, 0]
        first = round(e["start"] * 200)
        np.testing.assert_allclose(curve, left[first : first + 64] / WEIGHT, atol=1e-3 * 2.25)
        assert abs(curve[:14]).max() < 0.01 < 1 < bumps(RIGHT + 0.05, 1260, 0.06)[5 * first]
        rise = curve[20:40]
        low, high = (np.argmin(abs(rise - share * curve.max())) for share in (0.2, 0.8))
        slope = 200 * (rise[high] - rise[low]) / (high - low)
        assert slope == pytest.approx(e["target"][0], rel=0.03)
    info = files.describe(files.complete_options({"labels": "force"}))
    assert info["curves"] == [{"name": "vertical ground force", "unit": "BW"}]
    assert "curves" not in files.describe(files.complete_options({}))
    assert all("curve" not in e for e in read(raw)[0])


def swapped(trial):
    plates = trial[f"1000Hz/{TRIAL}.csv"]
    plates["f_1_z"], plates["f_2_z"] = plates["f_2_z"], plates["f_1_z"]


def on_one(trial):
    plates = trial[f"1000Hz/{TRIAL}.csv"]
    plates["f_1_z"], plates["f_2_z"] = plates["f_2_z"] + plates["f_1_z"], 0 * plates["f_2_z"]


def downwards(trial):
    for name in (f"1000Hz/{TRIAL}.csv", "1000Hz/static.csv"):
        trial[name]["f_2_z"] = -trial[name]["f_2_z"]


@pytest.mark.parametrize("change", [swapped, on_one, downwards])
def test_neither_the_belt_nor_the_sign_of_a_plate_matters(tmp_path, change):
    plain, _ = read(write(tmp_path / "1"), labels="force")
    other, _ = read(write(tmp_path / "2", change), labels="force")
    assert targets(other) == pytest.approx(targets(plain), rel=1e-6) and len(other) == 3


def test_the_strikes_in_the_file_tell_the_feet(tmp_path):
    def exchanged(trial):
        params = trial[f"1000Hz/param_of_{TRIAL}.csv"]
        params["l_strikes"], params["r_strikes"] = params["r_strikes"], params["l_strikes"]

    def unknown(trial):
        params = trial[f"1000Hz/param_of_{TRIAL}.csv"]
        params["l_strikes"][round(LEFT[5] * 1000)] = 0  # one that the file does not know
        params["l_strikes"][round(LEFT[4] * 1000)] = 0
        params["l_strikes"][round(LEFT[4] * 1000) + 30] = 1  # and one that it has 30 ms later

    examples, _ = read(write(tmp_path / "1", exchanged), labels="force")
    assert targets(examples) == pytest.approx([RIGHT_RATE] * len(examples), rel=0.05) and examples
    examples, dropped = read(write(tmp_path / "2", unknown), labels="force")
    assert len(examples) == 2
    assert dropped["contacts of a foot that no strike in the file tells"] == 1


def blanks(raw: pathlib.Path):
    for path in list(raw.rglob("*.csv")):
        path.rename(path.with_name(path.name.replace("_", " ").replace("nike", "Nike")))


def mixed(raw: pathlib.Path):
    """Columns in another order, and one more."""
    for path in list(raw.rglob("*.csv")):
        header, *rows = path.read_text().splitlines()
        names = header.split(",")
        order = np.random.default_rng(len(names)).permutation(len(names))
        lines = [",".join(["other", *(names[i] for i in order)])]
        lines += [",".join(["1", *(row.split(",")[i] for i in order)]) for row in rows]
        path.write_text("\n".join([*lines, ""]))


def rewritten(raw: pathlib.Path):
    """The same files, made in another order."""
    kept = {p: p.read_bytes() for p in raw.rglob("*.csv")}
    for path in kept:
        path.unlink()
    for path in sorted(kept, reverse=True):
        path.write_bytes(kept[path])


@pytest.mark.parametrize("kind", ["file", "force"])
@pytest.mark.parametrize("change", [blanks, mixed, rewritten])
def test_names_columns_and_order_of_the_files_do_not_matter(tmp_path, change, kind):
    raw = write(write(tmp_path), subject="subject_02")
    plain, _ = read(raw, labels=kind)
    change(raw)
    assert same(plain, read(raw, labels=kind)[0])
    assert [e["subject"] for e in plain] == ["subject_01"] * 3 + ["subject_02"] * 3


def edit(name: str, column: str, rows, value):
    """A change: `value`, a number or a function of the old ones, in rows of some columns."""

    def change(trial):
        for key in trial[name]:
            if key.startswith(column):
                old = np.array(trial[name][key], float)
                old[rows] = value(old[rows]) if callable(value) else value
                trial[name][key] = old

    return change


T200, P200 = f"200Hz/{TRIAL}.csv", f"200Hz/param_of_{TRIAL}.csv"
T1000, P1000 = f"1000Hz/{TRIAL}.csv", f"1000Hz/param_of_{TRIAL}.csv"
ALL = slice(None)
ROW = round(LEFT[5] * 200)


@pytest.mark.parametrize(
    ("kind", "change", "kept", "dropped"),
    [
        ("file", edit(T200, "l_shank_acc_x", slice(ROW, ROW + 10), np.nan), 3, None),
        (
            "file",
            edit(T200, "l_shank_acc_x", slice(ROW, ROW + 11), np.nan),
            2,
            "windows with a gap of more than 50 ms",
        ),
        (
            "file",
            edit(T200, "l_shank_acc_x", ALL, np.nan),
            0,
            "trials without values of the shank's unit",
        ),
        ("file", edit(T200, "l_shank_gyr", slice(300, 610), np.nan), 3, None),
        ("file", edit(P200, "l_LR", ROW, 0), 2, "strikes without a loading rate in the file"),
        ("file", edit(P200, "l_LR", ROW, 700), 2, "loading rates outside 5 to 500 BW/s"),
        ("file", edit(P200, "l_LR", ROW, -20), 2, "loading rates outside 5 to 500 BW/s"),
        (
            "file",
            edit(P200, "l_LR", ROW + 3, 25),
            3,
            "loading rates less than 0.4 s after the one before",
        ),
        ("force", edit(T1000, "f_1_z", slice(5 * ROW + 30, 5 * ROW + 80), np.nan), 3, None),
        (
            "force",
            edit(T1000, "f_1_z", slice(5 * ROW + 30, 5 * ROW + 81), np.nan),
            2,
            "contacts with a gap in the force",
        ),
        (
            "force",  # of the right foot, which leaves as the window begins
            edit(T1000, "f_2_z", slice(5 * ROW - 140, 5 * ROW - 85), np.nan),
            2,
            "windows whose curve has a gap",
        ),
        (
            "force",
            edit(T1000, "f_1_z", slice(5 * ROW - 5, 5 * ROW + 370), lambda f: f + 60),
            2,
            "stances not of 180 to 380 ms",
        ),
        (
            "force",
            edit(P1000, "l_strikes", slice(4000, None), 0),
            2,
            "contacts of a foot that no strike in the file tells",
        ),
        (
            "force",
            edit(P1000, "l_strikes", slice(3500, None), 0),
            0,
            "trials without a whole stride of force after 3 s",
        ),
        (
            "force",
            edit(T1000, "f_1_z", ALL, np.nan),
            0,
            "trials without a whole stride of force after 3 s",
        ),
    ],
)
def test_what_is_damaged_is_mended_or_dropped_and_counted(tmp_path, kind, change, kept, dropped):
    examples, counts = read(write(tmp_path, change), labels=kind)
    assert len(examples) == kept
    counts.pop("windows that begin in the first 3 s", None)
    assert set(counts) == ({dropped} if dropped else set())
    assert all(np.isfinite(e[k]).all() for e in examples for k in ("acc", "gyr", "target"))


def test_a_strike_whose_window_leaves_the_trial_takes_no_other_label_with_it(tmp_path):
    def early(trial):
        trial[P200]["l_LR"] = np.concatenate([trial[P200]["l_LR"][55:], np.zeros(55)])

    examples, counts = read(write(tmp_path, early))
    assert (
        targets(examples) == [25.0, 26.0] and counts["strikes whose window leaves the trial"] == 1
    )


@pytest.mark.parametrize("name", [T200, P1000])
def test_a_file_that_is_cut_off_in_its_last_number_is_refused(tmp_path, name):
    path = write(tmp_path) / "subject_01" / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="the last line has no end: the file is cut off"):
        read(tmp_path, labels="force")


def test_a_loading_rate_beside_its_strike_is_the_event(tmp_path):
    def later(trial):
        trial[P200]["l_LR"] = np.roll(trial[P200]["l_LR"], 1)

    examples, counts = read(write(tmp_path, later))
    assert targets(examples) == [20.0 + i for i in KEPT]
    assert examples[0]["start"] == pytest.approx((round(LEFT[4] * 200) + 1 - 20) / 200)
    assert counts["strikes without a loading rate in the file"] == len(LEFT)


def without(name: str, column: str):
    def change(trial):
        del trial[name][column]

    return change


def shorter(name: str, rows: int):
    def change(trial):
        trial[name] = {k: v[: len(v) - rows] for k, v in trial[name].items()}

    return change


def together(*changes):
    def change(trial):
        for part in changes:
            part(trial)

    return change


@pytest.mark.parametrize(
    ("kind", "change", "where", "says"),
    [
        (
            "file",
            edit(T200, "l_shank_acc", ALL, lambda x: x / G),
            T200,
            "most likely the accelerations are in another unit",
        ),
        (
            "file",
            edit(T200, "l_shank_gyr", ALL, np.rad2deg),
            T200,
            "most likely the gyroscope is in deg/s",
        ),
        ("file", edit(T200, "l_shank_acc_y", 700, 9e8), T200, "more than any unit can"),
        ("file", edit(T200, "l_shank_gyr_y", 700, np.inf), T200, "infinite values"),
        ("file", edit(T200, "l_shank", ALL, 9.0), T200, "constant from end to end"),
        ("file", edit(P200, "l_LR", ALL, lambda x: x * 700), P200, "divide N/s by the body"),
        ("file", edit(P200, "l_LR", ALL, lambda x: x / 1000), P200, "multiply BW/ms"),
        ("file", edit(P200, "l_LR", 40, np.nan), P200, "row 41 has no number in l_LR: write 0"),
        ("file", without(P200, "l_LR"), P200, 'there is no column "l_LR"'),
        ("file", without(P200, "l_strikes"), P200, 'there is no column "l_strikes"'),
        ("file", without(T200, "l_shank_gyr_z"), T200, 'no column "l_shank_gyr_z"'),
        ("file", shorter(P200, 1), P200, "both must have one for each sample"),
        ("force", without(T1000, "f_2_z"), T1000, 'there is no column "f_2_z"'),
        ("force", without(P1000, "r_strikes"), P1000, 'there is no column "r_strikes"'),
        ("force", edit(T1000, "f_", ALL, lambda x: x / 1000), T1000, "must be in N"),
        ("force", edit(T1000, "f_", ALL, lambda x: x * 1000), T1000, "must be in N"),
        ("force", together(shorter(T1000, 200), shorter(P1000, 200)), T1000, "of one trial"),
        ("force", shorter(P1000, 1), P1000, "both must have one for each sample"),
        ("force", edit("1000Hz/static.csv", "f_", ALL, 375), T1000, "750 N.*of 700 N"),
        ("force", edit(T1000, "f_1_z", slice(3460, 3480), -1700), T1000, "point up"),
    ],
)
def test_wrong_units_and_columns_end_in_a_sentence(tmp_path, kind, change, where, says):
    raw = write(tmp_path, change)
    with pytest.raises(UserError, match=says) as caught:
        read(raw, labels=kind)
    assert where in str(caught.value)


def test_a_static_trial_without_force_is_no_check_of_the_weight(tmp_path):
    changes = [edit("1000Hz/static.csv", "f_", ALL, value) for value in (0.4, np.nan)]
    for number, change in enumerate(changes):
        examples, _ = read(write(tmp_path / str(number), change), labels="force")
        assert len(examples) == 3


def turned(trial):
    """As a unit reads whose x points down, y to the left, z forwards."""
    for name in (T200, "200Hz/static.csv"):
        table = trial[name]
        for kind in ("acc", "gyr"):
            x, y = (table[f"l_shank_{kind}_{axis}"] for axis in "xy")
            table |= {f"l_shank_{kind}_x": -y, f"l_shank_{kind}_y": x}


def test_the_option_axes_turns_a_unit_that_was_put_on_otherwise(tmp_path):
    plain, _ = read(write(tmp_path / "1"))
    raw = write(tmp_path / "2", turned)
    assert same(plain, read(raw, axes=" Down,left, FORWARD")[0])
    with pytest.raises(UserError, match="points right, not up: say with --axes") as caught:
        read(raw)
    assert T200 in str(caught.value)


def test_the_static_trial_tells_up_from_backwards(tmp_path):
    def leaning(trial):  # 60 degrees from up: a runner's mean may, a stander's may not
        for name in (T200, "200Hz/static.csv"):
            for kind in ("acc", "gyr"):
                y, z = (trial[name][f"l_shank_{kind}_{axis}"] for axis in "yz")
                trial[name][f"l_shank_{kind}_y"] = 0.5 * y + 0.75**0.5 * z
                trial[name][f"l_shank_{kind}_z"] = 0.5 * z - 0.75**0.5 * y

    def running_only(trial):
        leaning(trial)
        del trial["200Hz/static.csv"]

    with pytest.raises(UserError, match=r"static\.csv: .*points backward, not up"):
        read(write(tmp_path / "1", leaning))
    assert len(read(write(tmp_path / "2", running_only))[0]) == 3


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"axes": "right,up,forward"}, "right-handed"),
        ({"axes": "left,up"}, "with three of forward, backward"),
        ({"axes": "left,up,ahead"}, "not 'left,up,ahead'"),
        ({"axes": "left,left,up"}, "right-handed"),
        ({"axes": "left,up,forward,up"}, "with three of"),
        ({"labels": "plates"}, "labels must be file or force, not 'plates'"),
        ({"rate": 100}, "no option 'rate'"),
    ],
)
def test_options_that_are_none_end_in_a_sentence(given, says):
    with pytest.raises(UserError, match=says):
        files.complete_options(given)


def test_the_names_of_the_folders():
    names = [
        files.folder_name(files.complete_options(given))
        for given in (
            {},
            {"labels": "force"},
            {"axes": "right,up,backward"},
            {"axes": "left,up,forward"},
        )
    ]
    assert names == [
        "loading_rate",
        "loading_rate_force",
        "loading_rate_right_up_backward",
        "loading_rate",
    ]
    assert np.array_equal(files.axes_rotation("left,up,forward"), [[0, 0, 1], [1, 0, 0], [0, 1, 0]])


def test_what_is_missing_and_what_is_no_trial_is_counted(tmp_path):
    raw = write(write(tmp_path), subject="subject_02")
    (raw / "subject_01" / P200).unlink()
    (raw / "subject_02" / "200Hz" / "warm_up.csv").write_text("x\n1\n")
    (raw / "subject_03" / "vicon").mkdir(parents=True)
    (raw / "notes").mkdir()
    options = files.complete_options({})
    items = files.list_items(raw, options)
    faults = [item.fault for item in items]
    assert faults.count("trials without 200Hz/<trial>.csv") == 11 + 11 + 12
    assert faults.count("trials without 200Hz/param_of_<trial>.csv") == 1
    assert faults.count("files in 200Hz that are no trial of the study") == 1
    assert len(items) == 3 * 12 + 1 and faults.count("") == 1
    (raw / "subject_02" / P1000).unlink()
    force = files.list_items(raw, files.complete_options({"labels": "force"}))
    assert "trials without 1000Hz/param_of_<trial>.csv" in {item.fault for item in force}


def test_trees_that_are_none_end_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match="has no subjects: give the folder that holds"):
        read(tmp_path)
    (tmp_path / "s1" / "xsens" / TRIAL).mkdir(parents=True)
    with pytest.raises(UserError, match=r"the raw tree only .* give the processed tree"):
        read(tmp_path)
    raw = write(tmp_path / "twice")
    (raw / "subject_01" / "200Hz" / "Nike baseline 24.csv").write_text("x\n1\n")
    with pytest.raises(UserError, match="have the name of one trial: keep one of them"):
        read(raw)


def test_the_data_set_is_built_and_says_what_it_is(tmp_path):
    raw = write(write(tmp_path / "raw"), subject="subject_02", size=1.2)
    path = builders.build("tan2021_running", raw, tmp_path / "data", labels="force")
    assert path.parent.name == "loading_rate_force"
    data = datasets.read(path)
    assert data.acc.shape == (6, 64, 1, 3) and data.info["sensors"] == ["shank_l"]
    assert data.info["targets"] == [{"name": "vertical loading rate", "unit": "BW/s"}]
    assert data.info["dropped"] == {
        "trials without 200Hz/<trial>.csv": 22,
        "windows that begin in the first 3 s": 8,
    }
    assert set(data.info["sources"]) == {
        f"{s}/{n}" for s in ("subject_01", "subject_02") for n in tables() if n != P200
    }
    with pytest.raises(UserError, match=r"no example of .* was kept \(11 trials without"):
        (raw / "subject_02").rename(tmp_path / "elsewhere")
        (raw / "subject_01" / P200).unlink()
        builders.build("tan2021_running", raw, tmp_path / "data")


def cut(good: bytes, rng) -> bytes:
    return good[: rng.integers(len(good))]


def flipped(good: bytes, rng) -> bytes:
    bad = bytearray(good)
    for at in rng.integers(0, len(good) if rng.random() < 0.5 else min(len(good), 200), 3):
        bad[at] ^= 1 << rng.integers(8)
    return bytes(bad)


def cells(good: bytes) -> list[list[str]]:
    return [line.split(",") for line in good.decode().splitlines()]


def joined(rows: list[list[str]]) -> bytes:
    return "".join(",".join(row) + "\n" for row in rows).encode()


def dropped_column(good: bytes, rng) -> bytes:
    rows = cells(good)
    at = rng.integers(len(rows[0]))
    return joined([row[:at] + row[at + 1 :] for row in rows])


def dropped_rows(good: bytes, rng) -> bytes:
    rows = cells(good)
    at = rng.integers(1, len(rows))
    return joined(rows[:at] + rows[at + rng.integers(1, 400) :])


def emptied(good: bytes, rng) -> bytes:
    rows = cells(good)
    at, column = rng.integers(1, len(rows)), rng.integers(len(rows[0]))
    for row in rows[at : at + rng.integers(1, 60)]:
        row[column] = ""
    return joined(rows)


def scaled(good: bytes, rng) -> bytes:
    header, *rows = cells(good)
    factor = rng.choice([1 / G, np.pi / 180, 180 / np.pi, 1000, 1 / 1000])
    which = rng.choice(["acc", "gyr", "f_", "LR", ""])
    columns = [which in name for name in header]
    return joined(
        [header]
        + [
            [f"{float(v) * factor:.7g}" if c else v for v, c in zip(row, columns, strict=True)]
            for row in rows
        ]
    )


def reordered(good: bytes, rng) -> bytes:
    rows = cells(good)
    order = rng.permutation(len(rows[0]))
    return joined([[row[i] for i in order] for row in rows])


def test_mutants_end_in_a_sentence_or_a_correct_data_set(tmp_path):
    """Five hundred and sixty, seeded."""
    raw, rng = write(tmp_path), np.random.default_rng(3)
    plain = {kind: read(raw, labels=kind)[0] for kind in ("file", "force")}
    good = {name: (raw / "subject_01" / name).read_bytes() for name in tables()}
    used = {kind: [n for n in good if kind == "force" or n.startswith("200")] for kind in plain}
    used["force"].remove(P200)
    mutations = [cut, flipped, flipped, dropped_column, dropped_rows, emptied, scaled, reordered]
    refused = 0
    for number in range(560):
        mutate = mutations[number % len(mutations)]
        kind = ("file", "force")[number // len(mutations) % 2]
        name = used[kind][rng.integers(len(used[kind]))]
        path = raw / "subject_01" / name
        path.write_bytes(mutate(good[name], rng))
        try:
            examples, _ = read(raw, labels=kind)
        except UserError as error:
            assert mutate is not reordered, error
            refused += 1
        else:
            assert all(5 <= t <= 500 for t in targets(examples)) and len(examples) <= 3
            assert all(np.isfinite(e[k]).all() for e in examples for k in ("acc", "gyr"))
            if mutate is reordered:
                assert same(examples, plain[kind])
            if mutate is scaled and kind == "force":
                assert targets(examples) == pytest.approx(targets(plain[kind]), rel=0.02)
        path.write_bytes(good[name])
    assert 200 < refused < 450
