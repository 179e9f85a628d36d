"""The stand-in for Camargo et al. 2021, read by its builder and checked against physics."""

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from scipy.spatial.transform import Rotation

from imujax.data import builders, datasets, labels
from imujax.data.recordings import G
from imujax.data_builders.camargo2021 import files
from imujax.errors import UserError
from imujax.simulate import people
from imujax.simulate.layouts import camargo2021

pytestmark = pytest.mark.slow  # a minute of simulating, for all of them

SECONDS = 6.0
FEET = ("Right", "Left")


@pytest.fixture(scope="module")
def study(tmp_path_factory, polished):
    return camargo2021.write_files(
        1, tmp_path_factory.mktemp("raw"), 0, seconds=SECONDS, repetitions=1
    )


@pytest.fixture(scope="module")
def built(study, tmp_path_factory):
    data = tmp_path_factory.mktemp("data")
    return datasets.read(builders.build("camargo2021", study, data))


def tables(study, name: str) -> dict[str, dict[str, np.ndarray]]:
    """Folder -> column -> [T] of one trial, cut to the span that all have."""
    paths = {p.parent.name: p for p in study.rglob("*.parquet") if p.stem.lower() == name.lower()}
    read = {k: pyarrow.parquet.read_table(p) for k, p in paths.items()}
    columns = {k: {n: t[n].to_numpy() for n in t.column_names} for k, t in read.items()}
    begin, end = (
        pick(t["Header"][at] for t in columns.values()) for pick, at in ((max, 0), (min, -1))
    )
    for kind, table in columns.items():
        in_span = (table["Header"] > begin - 1e-6) & (table["Header"] < end + 1e-6)
        columns[kind] = {n: v[in_span] for n, v in table.items()}
    return columns


def vector(table, start: str, parts: str = "xyz") -> np.ndarray:
    return np.stack([table[f"{start}{part}"] for part in parts], 1)


def person(study):
    row = pyarrow.csv.read_csv(study / "SubjectInfo.csv").to_pylist()[0]
    return row["Subject"], row["Weight"], row["Height"]


def mean_over_strides(values, rate: float, strikes) -> np.ndarray:
    """Mean of values [T, ...] from the first to the last strike (samples at 200 Hz)."""
    first, last = np.round(np.array([strikes[0], strikes[-1]]) * rate / 200).astype(int)
    return values[first:last].mean(0)


def test_the_builder_gets_labels_in_the_published_range(built):
    assert len(built.acc) > 60 and set(built.subject) == {"AB06"}
    assert set(built.info["dropped"]) <= {
        "stances not on the plates throughout",
        "peaks in the middle of no window",
        "strikes with no toe-off before the next one",
        "windows without a peak in their middle",
    }
    # Peak vertical force in walking: 1.0 to 1.5 body weights, the more the faster.
    assert (built.target > 0.9).all() and (built.target < 1.6).all()
    level = [
        np.median(built.target[built.condition == f"levelground {pace}"])
        for pace in ("slow", "normal", "fast")
    ]
    assert level == sorted(level) and level[0] > 1.0 and level[2] < 1.5
    modes = {"levelground": 3, "ramp": 6, "stair": 4}
    assert {c.split()[0] for c in built.condition} == modes.keys()
    for mode, settings in modes.items():
        assert len({c for c in built.condition if c.startswith(mode)}) == settings


def test_gravity_lies_on_z_and_the_shank_swings_forwards(built):
    level = np.char.startswith(built.condition, "levelground")
    up = built.acc[level].mean((0, 1))  # [S, 3]
    assert (up[:, 2] > 0.9 * np.linalg.norm(up, axis=1)).all()
    assert np.allclose(np.linalg.norm(built.acc[:, :, 0], axis=-1).mean(), G, rtol=0.1)
    shank = built.gyr[level][:, :, built.info["sensors"].index("shank_r")]
    # rad/s about the left axis: the foot goes forwards in swing, the knee in stance.
    assert np.median(shank[:, :, 1].min(1)) < -3 and (shank[:, 44:84, 1].mean(1) > 0.5).all()


def test_the_belts_carry_the_body_over_whole_strides(study):
    trial = tables(study, "treadmill_01_01")
    _, mass, _ = person(study)
    strikes = labels.ramp_events(trial["gcRight"]["HeelStrike"], "strikes")
    assert len(strikes) >= 4
    force = sum(vector(trial["fp"], f"{belt}_v") for belt in camargo2021.BELTS)
    right, up, back = mean_over_strides(force, 1000, strikes) / (mass * G)
    assert abs(up - 1) < 0.02 and abs(right) < 0.02 and abs(back) < 0.02
    others = [n for n in trial["fp"] if n.startswith(("FP", "Combined"))]
    assert not any(trial["fp"][n].any() for n in others)
    # Braking, then pushing: the force on the person is backwards first, forwards after.
    foot = vector(trial["fp"], "Treadmill_R_v")
    off = labels.ramp_events(trial["gcRight"]["ToeOff"], "offs")
    stance = foot[5 * strikes[1] : 5 * off[off > strikes[1]][0]]
    third = len(stance) // 3
    assert stance[:third, 2].mean() > 10 and stance[-third:, 2].mean() < -10


def test_the_pressure_goes_with_the_belt_on_the_treadmill_and_with_the_body_elsewhere(study):
    """A belt carries it back by its speed, less its way along the sole, of each contact alike."""
    trial = tables(study, "treadmill_01_01")
    across = {}
    for foot, belt in zip(FEET, camargo2021.BELTS, strict=True):
        cop, load = vector(trial["fp"], f"{belt}_p"), trial["fp"][f"{belt}_vy"]
        on, off, _ = labels.contacts(load, 1000, 25.0, belt)
        begin, end = cop[on, 2], cop[off - 1, 2]
        assert (begin < -0.2).all() and (end > 0.2).all()
        assert np.ptp(begin) < 0.1 and np.ptp(end) < 0.1
        speed = (end - begin) / ((off - on) / 1000)
        assert ((speed > 0.7) & (speed < 1.5)).all() and np.ptp(speed) < 0.3
        smooth = [np.abs(np.diff(cop[a:b], axis=0)).max() for a, b in zip(on, off, strict=True)]
        assert max(smooth) < 0.01 and np.abs(cop[:, 1]).max() < 0.02  # m in a ms; level
        across[foot] = cop[load > 25, 0].mean()
    assert 0.03 < across["Right"] - across["Left"] < 0.4  # x is to the right
    walk = tables(study, "LevelGround_ccw_normal_01_01")["fp"]
    on, _, _ = labels.contacts(walk["FP1_vy"], 1000, 25.0, "FP1")
    ahead = -np.diff(walk["FP1_pz"][on]) / (np.diff(on) / 1000)  # z points backwards
    assert ((ahead > 0.8) & (ahead < 2.0)).all()
    ramp = tables(study, "Ramp_6_L_01_01")["fp"]
    loaded = {p: ramp[f"{p}_vy"] > 100 for p in ("FP1", "FP3", "FP5")}
    up, back = (np.concatenate([ramp[f"{p}_p{a}"][on] for p, on in loaded.items()]) for a in "yz")
    assert np.allclose(-np.polyfit(back, up, 1)[0], np.tan(np.deg2rad(18)), rtol=0.02)


@pytest.mark.parametrize("name", ["treadmill_01_01", "levelground_cw_normal_01_01"])
def test_gait_cycles_begin_where_the_plates_are_loaded(study, name):
    trial = tables(study, name)
    for foot in FEET:
        begin = trial["imu"]["Header"][0]
        events = {
            n: labels.ramp_events(trial[f"gc{foot}"][n], n) / 200 for n in ("HeelStrike", "ToeOff")
        }
        if name.startswith("treadmill"):
            plates = [f"Treadmill_{foot[0]}"]
        elif foot == "Right":
            plates = ["Combined", "FP2", "FP5"]
        else:
            plates = ["FP1", "FP3", "FP4", "FP6"]
        load = sum(trial["fp"][f"{plate}_vy"] for plate in plates)
        on, off, _ = labels.contacts(load, 1000, 20.0, name)
        assert len(on) >= 2 and abs(trial["fp"]["Header"][0] - begin) < 0.005
        inside = (on > 300) & (off < 1000 * events["ToeOff"][-1] + 50)
        for at, event in ((on, "HeelStrike"), (off, "ToeOff")):
            nearest = np.abs(at[inside, None] / 1000 - events[event]).min(1)
            assert (nearest < 0.03).all()


def test_each_plate_has_one_foot_at_a_time_and_some_contacts_have_none(study):
    trial = tables(study, "levelground_cw_normal_01_01")
    _, mass, _ = person(study)
    loads = {p: trial["fp"][f"{p}_vy"] for p in (*camargo2021.FLOOR, "Combined")}
    assert sum((load > 0).any() for load in loads.values()) >= 5
    for load in loads.values():
        on, off, _ = labels.contacts(load, 1000, 25.0, "plate")
        assert all(0.4 < (b - a) / 1000 < 1.0 for a, b in zip(on, off, strict=True))
        assert load.max() < 1.6 * mass * G
    stances = labels.ramp_events(trial["gcRight"]["HeelStrike"], "strikes")
    hit = sum(len(labels.contacts(loads[p], 1000, 25.0, p)[0]) for p in ("Combined", "FP2", "FP5"))
    assert 2 <= hit < len(stances)
    fp = trial["fp"]
    assert any(np.abs(fp[n]).max() > 1 for n in fp if n.endswith("moment_y"))


def test_units_have_the_names_and_units_of_the_original(study):
    imu = tables(study, "treadmill_01_01")["imu"]
    assert list(imu) == [
        "Header",
        *(
            f"{u}_{kind}_{a}"
            for u in ("foot", "shank", "thigh", "trunk")
            for kind in ("Accel", "Gyro")
            for a in "XYZ"
        ),
    ]
    strikes = labels.ramp_events(
        tables(study, "treadmill_01_01")["gcRight"]["HeelStrike"], "strikes"
    )
    for unit in ("foot", "shank", "thigh", "trunk"):
        acc, gyr = (vector(imu, f"{unit}_{kind}_", "XYZ") for kind in ("Accel", "Gyro"))
        down = mean_over_strides(acc, 200, strikes)
        # Over whole strides a unit of a segment reads gravity, in g, and x points down in standing.
        # On foot and shank, which swing about what is above them, somewhat more.
        assert -1.5 < down[0] < -0.9 and 1 < np.abs(gyr).max() < 20
        # From the first strike to the last it comes back to where it was, but for its bias.
        first, last = np.round(strikes[[0, -1]]).astype(int)
        turned = Rotation.identity()
        for rate in gyr[first:last]:
            turned = turned * Rotation.from_rotvec(rate / 200)
        assert turned.magnitude() < 0.1


def test_conditions_say_where_the_person_goes(study):
    for name, says in {
        "LevelGround_ccw_slow_01_01": "walk",
        "Ramp_6_L_01_01": "rampascent",
        "Stair_4_R_01_01": "stairdescent",
    }.items():
        assert set(tables(study, name)["conditions"]["Label"]) == {says}


def test_few_trials_are_missing_and_names_are_in_either_case(study):
    stems = [p.stem for p in study.rglob("imu/*.parquet")]
    names = [t["name"] for t in camargo2021.make_trials(1)]
    assert len(names) == 27 and set(map(str.lower, stems)) <= set(map(str.lower, names))
    assert 22 <= len(stems) <= 27 and not all(s.islower() for s in stems)
    assert any(s.islower() for s in stems)
    assert len(camargo2021.make_trials(5)) == 5 * 26 + 1


def test_subjects_are_the_originals_and_one_has_no_plates(tmp_path, monkeypatch):
    assert len(camargo2021.SUBJECTS) == 22 and camargo2021.SUBJECTS[14] == "AB20"
    monkeypatch.setattr(camargo2021, "SUBJECTS", ["AB20"])
    few = camargo2021.make_trials(1)[:2]
    monkeypatch.setattr(camargo2021, "make_trials", lambda repetitions: few)
    folder = camargo2021.write_files(None, tmp_path, 3, seconds=SECONDS)
    assert not list(folder.rglob("fp")) and len(list(folder.rglob("imu/*"))) == 2
    items = files.list_items(folder, {})
    dropped = [files.read_examples(item, {})[1] for item in items]
    assert dropped == [{"trials without force plates": 1}] * 2


def test_the_same_seed_gives_the_same_files_and_another_seed_others(study, tmp_path, monkeypatch):
    few = camargo2021.make_trials(1)[:1]
    monkeypatch.setattr(camargo2021, "make_trials", lambda repetitions: few)
    for seed in (0, 1):
        camargo2021.write_files(1, tmp_path / str(seed), seed, seconds=SECONDS)
    for kind in ("imu", "fp", "gcLeft"):
        first, again, other = (
            next(p for p in folder.rglob(f"{kind}/*") if "_cw_slow" in p.stem.lower()).read_bytes()
            for folder in (study, tmp_path / "0", tmp_path / "1")
        )
        assert first == again and first != other


def test_a_stand_in_is_written_whole_or_not_at_all(study, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="is there already; take another --out"):
        camargo2021.write_files(1, study.parent, 0)
    with pytest.raises(UserError, match="camargo2021 has 22 subjects, not 23: take fewer"):
        camargo2021.write_files(23, tmp_path, 0)
    monkeypatch.setattr(people, "simulate_trial", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        camargo2021.write_files(1, tmp_path, 0)
    assert not list(tmp_path.iterdir())
