"""The stand-in for Tan et al. 2021: its fields obey physics, and the builder reads it."""

import numpy as np
import pytest

from imujax.data import windows
from imujax.data.frames import SLOPED_FOOT
from imujax.data_builders.tabular import readers
from imujax.data_builders.tabular.card import Layout
from imujax.data_builders.tan2021_running import files
from imujax.errors import UserError
from imujax.simulate import people
from imujax.simulate.layouts import tan2021_running as tan2021

pytestmark = pytest.mark.slow  # a minute of simulating, for all of them

SECONDS, SPEEDS = 9.0, {"nike_baseline_24": 2.4, "nike_baseline_28": 2.8}
LATER = slice(600, None)  # rows at 200 Hz after the first 3 s
# Axes of a unit, x to the left, y up, z forwards, in those of the laboratory: right, forwards, up.
NOMINAL = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
PARAMS = [
    "l_strikes",
    "r_strikes",
    "l_offs",
    "r_offs",
    "strikes_shank_IMU",
    "offs_shank_IMU",
    "l_LR",
    "r_LR",
]


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    return tan2021.write_files(1, tmp_path_factory.mktemp("raw"), 0, seconds=SECONDS, trials=2)


def header(folder, name: str) -> list[str]:
    with (folder / "subject_01" / name).open() as file:
        return file.readline().strip().split(",")


def columns(folder, name: str, *names: str) -> np.ndarray:
    """[T, C] of a file of the first subject."""
    table = readers.read_table(folder / "subject_01" / name, Layout(), names)
    return np.stack([table[column] for column in names], 1)


def vector(folder, name: str, what: str) -> np.ndarray:
    return columns(folder, name, *(f"{what}_{axis}" for axis in "xyz"))


def examples(folder, **changes) -> tuple[list[dict], dict]:
    options = files.complete_options(changes)
    read = [files.read_examples(item, options) for item in files.list_items(folder, options)]
    dropped = sum((d for _, d, _ in read), windows.Dropped())
    return [e for windows_of_file, _, _ in read for e in windows_of_file], dropped


def test_files_names_and_rows_are_those_of_the_original(runner):
    names = {p.relative_to(runner / "subject_01").as_posix() for p in runner.rglob("*.csv")}
    assert names == {
        f"{rate}Hz/{start}{trial}.csv"
        for rate in (100, 200, 1000)
        for start in ("", "param_of_")
        for trial in (*SPEEDS, "static")
    }
    plates = [f"{k}_{n}_{a}" for n in (1, 2) for k in "fc" for a in "xyz"]
    units = [
        f"{unit}_{kind}_{axis}"
        for unit in ("trunk", "pelvis", "l_thigh", "l_shank", "l_foot")
        for kind in ("acc", "gyr", "mag")
        for axis in "xyz"
    ]
    for rate in (100, 200, 1000):
        for trial in (*SPEEDS, "static"):
            fields = header(runner, f"{rate}Hz/{trial}.csv")
            assert fields[:13] == ["marker_frame", *plates]
            assert set(fields[-45:]) == set(units) if rate < 1000 else len(fields) == 13
            assert len(fields) == 13 + (rate < 1000) * (32 * 3 + 45)
            assert header(runner, f"{rate}Hz/param_of_{trial}.csv") == PARAMS
            for start in ("", "param_of_"):
                first_field = header(runner, f"{rate}Hz/{start}{trial}.csv")[0]
                assert (
                    len(columns(runner, f"{rate}Hz/{start}{trial}.csv", first_field))
                    == rate * SECONDS
                )
    assert {run["name"] for run in people.RUNNING_TRIALS} == set(files.TRIALS)


def test_the_builder_reads_it_and_both_labels_agree(runner):
    by_file, dropped = examples(runner)
    by_force, counts = examples(runner, labels="force")
    assert len(by_file) >= 14 and set(dropped) == {
        "strikes whose window leaves the trial",
        "windows that begin in the first 3 s",
        "trials without 200Hz/<trial>.csv",
    }
    assert set(counts) - set(dropped) <= {"contacts cut off by an end of the recording"}
    file, force = (np.array([e["target"][0] for e in x]) for x in (by_file, by_force))
    assert [e["start"] for e in by_file] == pytest.approx([e["start"] for e in by_force], abs=6e-3)
    assert file * 10 / 9.80665 == pytest.approx(force, rel=0.03)
    assert 15 < file.min() < file.max() < 120 and file.std() > 1
    assert {e["condition"] for e in by_file} == {"nike baseline 24", "nike baseline 28"}


@pytest.mark.parametrize("unit", tan2021.UNITS)
def test_a_person_who_stands_reads_gravity_on_z(runner, unit):
    frame = SLOPED_FOOT if unit == "l_foot" else files.axes_rotation("left,up,forward")
    up = frame @ vector(runner, "200Hz/static.csv", f"{unit}_acc").mean(0)
    assert np.linalg.norm(up) == pytest.approx(9.81, abs=0.3)
    assert up[2] > 0.94 * np.linalg.norm(up)


@pytest.mark.parametrize("trial", SPEEDS)
def test_plates_bear_the_weight_over_a_stride_and_the_feet_take_turns(runner, trial):
    force = [vector(runner, f"1000Hz/{trial}.csv", f"f_{n}") for n in (1, 2)]
    strikes = np.flatnonzero(columns(runner, f"1000Hz/param_of_{trial}.csv", "l_strikes"))
    strides = slice(strikes[1], strikes[-1])
    standing = sum(vector(runner, "1000Hz/static.csv", f"f_{n}")[:, 2].mean() for n in (1, 2))
    mean = (force[0] + force[1])[strides].mean(0)
    assert mean[2] == pytest.approx(standing, rel=0.02)
    assert np.abs(mean[:2]).max() < 0.03 * standing
    assert not ((force[0][:, 2] > 20) & (force[1][:, 2] > 20)).any()
    assert 1.8 < max(f[:, 2].max() for f in force) / standing < 3.5


@pytest.mark.parametrize("trial", SPEEDS)
def test_a_foot_that_stands_goes_back_with_the_belt_over_its_pressure(runner, trial):
    heel, ball = (vector(runner, f"200Hz/{trial}.csv", name) for name in ("LFCC", "LFM2"))
    force, cop = (vector(runner, f"200Hz/{trial}.csv", name) for name in ("f_1", "c_1"))
    flat = windows.lowpass(force[:, 2], 200.0, 20.0) > 800
    speed = np.gradient(ball[:, 1], 1 / 200)[flat] / 1000
    assert np.median(speed) == pytest.approx(-SPEEDS[trial], rel=0.05)
    on = force[:, 2] > 300
    assert (cop[on, 1] > heel[on, 1] - 80).all() and (cop[on, 1] < ball[on, 1] + 100).all()
    assert (np.abs(cop[on, 0] - ball[on, 0]) < 100).all()
    assert not cop[force[:, 2] < 20].any()
    middle = (vector(runner, f"200Hz/{trial}.csv", "LIPS")[:, 0] - 40).mean()
    assert ball[on, 0].mean() < middle + 80  # the left foot is on the left


def turns(runner, trial: str, names=("LFME", "LFLE", "LTT", "LSK")) -> np.ndarray:
    """Rotation [T, 3, 3] of the left shank from where it is in the static trial, by its markers."""
    still = np.stack([vector(runner, "200Hz/static.csv", n).mean(0) for n in names])
    moving = np.stack([vector(runner, f"200Hz/{trial}.csv", n) for n in names], 1)
    still, moving = still - still.mean(0), moving - moving.mean(1, keepdims=True)
    u, _, v = np.linalg.svd(np.einsum("tni,nj->tij", moving, still))
    sign = np.linalg.det(u @ v)
    return np.einsum("tik,tk,tkj->tij", u, np.stack([0 * sign + 1, 0 * sign + 1, sign], 1), v)


@pytest.mark.parametrize("trial", SPEEDS)
def test_markers_turn_what_the_shank_reads_to_the_world(runner, trial):
    """There the mean specific force points up, the field stays, and the rates are the markers'."""
    turn = turns(runner, trial) @ NOMINAL
    strikes = np.flatnonzero(columns(runner, f"200Hz/param_of_{trial}.csv", "l_strikes"))
    strides = slice(strikes[1], strikes[-1])
    acc, gyr, mag = (
        np.einsum("tij,tj->ti", turn, vector(runner, f"200Hz/{trial}.csv", f"l_shank_{kind}"))
        for kind in ("acc", "gyr", "mag")
    )
    assert acc[strides].mean(0) == pytest.approx([0, 0, 9.81], abs=1.5)
    assert np.linalg.norm(acc[strides].mean(0)) == pytest.approx(9.81, abs=0.6)
    assert mag.mean(0) == pytest.approx([0, 18, -36.5], abs=6) and (mag.std(0) < 4).all()
    rate = np.gradient(turn, 1 / 200, axis=0) @ turn.transpose(0, 2, 1)
    rate = np.stack([rate[:, 2, 1], rate[:, 0, 2], rate[:, 1, 0]], 1)
    rate, gyr = (windows.lowpass(x, 200.0, 15.0) for x in (rate, gyr))
    assert np.corrcoef(rate[LATER, 0], gyr[LATER, 0])[0, 1] > 0.98
    assert np.polyfit(rate[LATER, 0], gyr[LATER, 0], 1)[0] == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("unit", tan2021.UNITS)
def test_the_field_turns_in_a_unit_as_its_gyroscope_says(runner, unit):
    """In a unit's axes a fixed vector changes by -rate x vector."""
    rate, field = (
        windows.lowpass(vector(runner, "200Hz/nike_baseline_28.csv", f"{unit}_{k}"), 200.0, 8.0)
        for k in ("gyr", "mag")
    )
    change, says = np.gradient(field, 1 / 200, axis=0)[LATER], -np.cross(rate, field)[LATER]
    assert np.corrcoef(change.ravel(), says.ravel())[0, 1] > 0.9
    raw = vector(runner, "200Hz/nike_baseline_28.csv", f"{unit}_mag")
    assert np.linalg.norm(raw, axis=1).mean() == pytest.approx(np.hypot(18, 36.5), abs=0.2)


def test_the_mean_of_a_runners_shank_need_not_point_up(runner):
    """Why the builder allows RUNNING_LEAN there, and looks at the static trial."""
    for trial in SPEEDS:
        mean = vector(runner, f"200Hz/{trial}.csv", "l_shank_acc").mean(0)
        lean = np.rad2deg(np.arccos(mean[1] / np.linalg.norm(mean)))
        assert 20 < lean < files.RUNNING_LEAN - 5


@pytest.mark.parametrize("trial", SPEEDS)
@pytest.mark.parametrize("rate", [100, 200, 1000])
def test_events_are_where_the_force_says(runner, trial, rate):
    path = f"{rate}Hz/param_of_{trial}.csv"
    at = {name: np.flatnonzero(columns(runner, path, name)) for name in PARAMS}
    for plate, side in ((1, "l"), (2, "r")):
        force = columns(runner, f"{rate}Hz/{trial}.csv", f"f_{plate}_z")[:, 0]
        ahead = round(0.02 * rate)
        strikes, offs = at[f"{side}_strikes"], at[f"{side}_offs"]
        assert len(strikes) >= SECONDS - 1 and len(strikes) == len(offs) and (offs > strikes).all()
        assert (force[strikes + ahead] > 100).all() and (force[strikes - ahead] < 5).all()
        assert (force[offs - ahead] > 20).all() and (force[offs + ahead] < 5).all()
        assert set(at[f"{side}_LR"]) <= set(strikes)
        value = columns(runner, path, f"{side}_LR")[at[f"{side}_LR"], 0]
        fine = columns(runner, f"1000Hz/param_of_{trial}.csv", f"{side}_LR")[:, 0]
        assert np.array_equal(value, fine[fine > 0])
    late = (at["strikes_shank_IMU"] - at["l_strikes"]) / rate
    assert (late >= -0.01).all() and (late <= 0.06).all()
    assert (np.abs(at["offs_shank_IMU"] - at["l_offs"]) <= 0.06 * rate).all()


def test_slower_files_are_the_same_trial(runner):
    for name in ("LSK", "f_1", "l_foot_acc"):
        fast = vector(runner, "200Hz/nike_baseline_24.csv", name)
        slow = vector(runner, "100Hz/nike_baseline_24.csv", name)
        fast = windows.lowpass(fast, 200.0, 15.0)[::2]
        slow = windows.lowpass(slow, 100.0, 15.0)
        assert np.corrcoef(fast.ravel(), slow.ravel())[0, 1] > 0.99
    force = [columns(runner, f"{r}Hz/static.csv", "f_1_z")[:, 0] for r in (200, 1000)]
    assert np.array_equal(force[0], force[1][::5])


def test_a_trial_that_was_not_recorded_has_no_files(tmp_path):
    settings = {"seed": 0, "trials": people.RUNNING_TRIALS}
    jobs = [(n, trial_number) for n in range(15) for trial_number in range(12)]
    lost = [j for j in jobs if np.random.default_rng([0, *j]).random() < tan2021.LOST_SHARE]
    assert 1 <= len(lost) <= 12
    for job in lost:
        tan2021._write_trial(tmp_path, settings, job)
    assert not list(tmp_path.iterdir())


def test_the_same_seed_gives_the_same_files_and_another_folder_is_kept(runner, tmp_path):
    again = tan2021.write_files(1, tmp_path, 0, seconds=SECONDS, trials=1)
    for path in again.rglob("*.csv"):
        if "static" not in path.name:  # the second trial there, the third here
            assert path.read_bytes() == (runner / path.relative_to(again)).read_bytes(), path
    with pytest.raises(UserError, match="is there already; take another --out"):
        tan2021.write_files(1, runner.parent, 0, seconds=SECONDS, trials=1)
