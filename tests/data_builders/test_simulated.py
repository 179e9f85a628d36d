"""Simulated sets from the writer to the data set: files, resuming, labels, mistakes."""

import json
import shutil
from functools import cache

import h5py
import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imujax import cli
from imujax.data import builders, datasets
from imujax.data_builders.simulated import files
from imujax.errors import UserError
from imujax.simulate import people
from imujax.sweep import window_features

pytestmark = pytest.mark.usefixtures("any_rank")
TRIALS = [people.WALKING_TRIALS[1], {"name": "kicking"}]
SMALL = {"subjects": 2, "seconds": 6.0, "trials": TRIALS[:1]}


@pytest.fixture(scope="module")
def raw(tmp_path_factory, any_rank):
    folder = tmp_path_factory.mktemp("raw")
    people.write_set("knee_moment", people.simulation_settings("knee_moment", SMALL), folder)
    moves = {"subjects": 1, "seconds": 6.0, "trials": TRIALS}
    people.write_set("movi", people.simulation_settings("movi", moves), folder)
    return folder


def test_a_set_goes_on_where_it_was_stopped_and_comes_out_the_same(raw, tmp_path):
    folder = shutil.copytree(raw / "knee_moment", tmp_path / "knee_moment")
    path = sorted(folder.glob("*/*.npz"))[1]
    before, kept = path.read_bytes(), sorted(folder.glob("*/*.npz"))[0].stat().st_mtime_ns
    path.unlink()
    people.write_set("knee_moment", people.simulation_settings("knee_moment", SMALL), tmp_path)
    with np.load(path) as new, np.load(raw / path.relative_to(tmp_path)) as old:
        assert all(np.array_equal(new[name], old[name]) for name in old.files)
    assert len(before) == path.stat().st_size
    assert sorted(folder.glob("*/*.npz"))[0].stat().st_mtime_ns == kept


def test_other_settings_do_not_mix_with_a_set_that_is_there(raw):
    with pytest.raises(UserError, match="other settings; take another --out"):
        people.write_set(
            "knee_moment", people.simulation_settings("knee_moment", SMALL | {"seed": 1}), raw
        )


def test_a_set_says_that_it_is_simulated(raw, tmp_path):
    assert json.loads((raw / "movi" / "set.json").read_text())["simulated"] is True
    path = builders.build("simulated", raw / "movi", tmp_path)
    assert datasets.read_metadata(path)["simulated"] is True


def test_windows_have_the_sensors_of_movi(raw, tmp_path):
    data = datasets.read(builders.build("simulated", raw / "movi", tmp_path, stride=64))
    assert data.acc.shape[1:] == (128, 17, 3)
    assert set(data.activity) == {"speed 1.0", "kicking"}
    up = data.acc[data.activity == "speed 1.0"].mean((0, 1))[:, 2]
    trunk = [files.MOVI_SENSORS.index(name) for name in ("pelvis", "trunk", "head")]
    assert np.allclose(up[trunk], 9.81, atol=0.6)


def test_knee_moments_are_the_largest_cross_products_of_early_stance(raw, tmp_path):
    data = datasets.read(
        builders.build("simulated", raw / "knee_moment", tmp_path, task="knee_moment")
    )
    count = 0
    for path in sorted((raw / "knee_moment").glob("*/*.npz")):
        with np.load(path) as file:
            r = dict(file)
        arm = r["cop"][::2, 0] - r["knee"][::2, 0]
        force = r["force"][::10, 0]
        moment = arm[:, 2] * force[:, 0] - arm[:, 0] * force[:, 2]
        moment = np.where(force.any(1), moment, 0)
        moment *= 100 / (r["mass"] * 9.81 * r["height"])
        for strike, off in zip(
            np.round(r["strike_right"] * 100), np.round(r["off_right"] * 100), strict=True
        ):
            first, last = int(strike) - 20, int(off) + 20
            if first < 0 or last > len(moment):
                continue
            peak = moment[first + 20 : first + (last - first) // 2].max()
            row = np.flatnonzero(
                (data.subject == str(r["subject"])) & (np.abs(data.start - first / 100) < 1e-3)
            )
            assert data.target[row, 0] == pytest.approx([peak], rel=1e-5)
            length = min(last - first, 128)
            assert data.length[row] == length
            (curve,) = data.curve[row, :, 0]
            np.testing.assert_allclose(curve[:length], moment[first:last][:length], atol=1e-4)
            assert not curve[length:].any()
            count += 1
    assert count == len(data.acc) > 5


def test_peak_forces_are_of_body_weight(raw, tmp_path):
    options = {"task": "peak_force"}
    data = datasets.read(_built(raw, tmp_path, options))
    assert data.acc.shape[1:] == (128, 2, 3)
    assert ((data.target > 0.95) & (data.target < 1.6)).all()
    np.testing.assert_allclose(data.curve[:, 48:80].max(axis=1), data.target, rtol=1e-6)


def _built(raw, tmp_path, options):
    """The walks as if recorded at 200 Hz with the sensors of that task."""
    spec = people.simulation_settings(
        "peak_force", {"subjects": 1, "seconds": 6.0, "trials": TRIALS[:1]}
    )
    people.write_set("peak_force", spec, tmp_path)
    return builders.build("simulated", tmp_path / "peak_force", tmp_path / "data", **options)


def test_people_of_two_sets_differ(raw):
    paths = next((raw / "movi").glob("*/speed*.npz")), next((raw / "knee_moment").glob("*01/*.npz"))
    masses = {float(np.load(path)["mass"]) for path in paths}
    assert len(masses) == 2


def test_the_noise_of_a_person_is_another_in_every_trial():
    """What a unit with nothing but noise reads, less what one without any reads."""
    error_free = dict.fromkeys(("noise", "bias", "drift", "scale", "cross"), 0.0)
    error_free |= {"drift_time": 1.0, "range": 1000.0, "bits": 40}

    def read(noise, trial_number):
        unit = dict.fromkeys(("acc", "gyr"), error_free | {"noise": noise})
        changes = {"seconds": 2.0, "trials": [{"name": "pointing"}] * 2, "unit": unit}
        settings = people.simulation_settings("movi", changes)
        trial = people.simulate_trial(settings, "movi", 0, trial_number)
        return np.stack([trial.acc, trial.gyr])

    first, second, again = (read(0.01, n) - read(0.0, n) for n in (0, 1, 1))
    np.testing.assert_array_equal(second, again)
    for noise in (first, second):
        assert noise.std() == pytest.approx(0.01 * np.sqrt(people.SENSOR_RATE / 2), rel=0.02)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 4 / np.sqrt(first.size)


@pytest.mark.parametrize(
    ("folder", "options", "says"),
    [
        ("nothing", {}, "no simulated trials"),
        ("movi", {"task": "knee_moment"}, "has no forces"),
        ("knee_moment", {}, "no simulated trial with the sensors"),
        ("movi", {"task": "jumping"}, "task must be"),
    ],
)
def test_mistakes_are_one_sentence(raw, tmp_path, folder, options, says):
    (raw / "nothing").mkdir(exist_ok=True)
    with pytest.raises(UserError, match=says):
        builders.build("simulated", raw / folder, tmp_path, **options)


def test_a_damaged_file_is_named(raw, tmp_path):
    folder = shutil.copytree(raw / "knee_moment", tmp_path / "raw")
    path = sorted(folder.glob("*/*.npz"))[0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=path.name):
        builders.build("simulated", folder, tmp_path / "data", task="knee_moment")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["simulate"], "give --out DIR"),
        (["simulate", "--out", "x", "--sets", "dogs"], "no simulated set 'dogs'"),
        (["simulate", "--out", "x", "--sets", "movi,dogs"], "no simulated set 'dogs'"),
        (["simulate", "--out", "x", "--subjects", "0"], "subjects of a simulated set must be 1"),
        (["quickstart", "--workdir", "x", "--config", "public"], "has no section `simulate`"),
        (["simulate", "--show", "x.png", "--gait", "hopping"], "no gait 'hopping'"),
    ],
)
def test_the_command_refuses(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says):
        cli.run_command(words)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, polished):
    """The labelled sets with six people, built when they are asked for."""

    @cache
    def built(name):
        folder = tmp_path_factory.mktemp(name)
        raw = people.write_set(
            name, people.simulation_settings(name, {"subjects": 6, "seconds": 6.0}), folder
        )
        return datasets.read(builders.build("simulated", raw, folder / "data", task=name))

    return built


@pytest.mark.slow
@pytest.mark.parametrize("name", ["loading_rate", "peak_force", "knee_moment"])
def test_labels_can_be_estimated_but_not_trivially(name, labelled):
    """A ridge on window statistics across people, the mean of r within each of them."""
    data = labelled(name)
    features = window_features.window_statistics(data.acc, data.gyr, data.length)
    truth, rows = data.target[:, 0], np.arange(len(data.target))
    correlations = []
    for pair in np.unique(data.subject).reshape(3, 2):
        test = np.flatnonzero(np.isin(data.subject, pair))
        train = np.setdiff1d(rows, test)
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.geomspace(1, 1e4, 9)))
        estimate = ridge.fit(features[train], truth[train]).predict(features[test])
        for subject in pair:
            his = data.subject[test] == subject
            assert truth[test][his].std() > 0.02 * truth.mean()
            correlations.append(np.corrcoef(truth[test][his], estimate[his])[0, 1])
    assert 0.5 < np.mean(correlations) < 0.9


def test_labels_lie_where_they_were_published(labelled):
    # Loading rates of jogging: 51 BW/s at 2.5 m/s (Alcantara et al. 2022, PeerJ 10:e12752), shoes
    # and step rates change them by a third; walking peaks 1.0 to 1.4 BW (Schwartz et al. 2008).
    for name, low, middle, high in (
        ("loading_rate", 25, (40, 70), 120),
        ("peak_force", 0.95, (1.05, 1.3), 1.6),
        ("knee_moment", 1, (2.5, 5), 8),
    ):
        few, median, many = np.percentile(labelled(name).target, [2, 50, 98])
        assert low < few and middle[0] < median < middle[1] and many < high


def test_loading_rates_are_slopes_of_the_curve(labelled):
    data = labelled("loading_rate")
    assert data.info["curves"] == [{"name": "vertical ground force", "unit": "BW"}]
    curve = data.curve[..., 0]
    assert abs(curve[:, :10]).max() < 0.05  # the left foot has not come down yet
    steepest = 200 * np.diff(curve[:, 20:32], axis=1).max(axis=1)
    assert np.corrcoef(steepest, data.target[:, 0])[0, 1] > 0.9
    assert 1 < np.median(steepest / data.target[:, 0]) < 1.5


def test_knees_and_shanks_are_like_those_of_two_real_people(labelled, shared_data):
    """The study's example file: peak knee moments, and what the unit on the right shank reads."""
    data = labelled("knee_moment")
    shank = data.info["sensors"].index("shank_r")
    simulated = {"moment": data.target[:, 0]}
    for name, signal in (("gyr", data.gyr), ("acc", data.acc)):
        simulated[name] = np.linalg.norm(signal[:, :, shank], axis=2).max(1)
    with h5py.File(shared_data / "tan2022_knee_moment" / "example_data.h5") as file:
        columns = json.loads(file.attrs["columns"])
        steps = np.concatenate([np.asarray(file[name], np.float64) for name in file])
    size = (steps[:, :, columns.index("body weight")] > 0).sum(1)
    moment = steps[:, :, columns.index("EXT_KM_X")]
    real = {"moment": np.array([m[20 : n // 2].max() for m, n in zip(moment, size, strict=True)])}
    for name, field, unit in (("gyr", "Gyro", np.pi / 180), ("acc", "Accel", 1.0)):
        axes = [columns.index(f"{field}{axis}_R_SHANK") for axis in "XYZ"]
        real[name] = unit * np.linalg.norm(steps[:, :, axes], axis=2).max(1)
    for name, values in real.items():
        median = np.median(simulated[name])
        assert 0.7 * values.min() < median < 1.3 * values.max(), name
