"""The launcher that compares simulated windows with real ones, on made-up windows."""

import importlib.util
import pathlib

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from imujax.errors import UserError

LAUNCH = pathlib.Path(__file__).parents[2] / "launch"
RATE, LENGTH = 100.0, 100


@pytest.fixture(scope="module")
def launcher():
    path = LAUNCH / "compare_simulated.py"
    spec = importlib.util.spec_from_file_location("compare_simulated", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made_up(launcher, seed: int, people: int, scale: float = 1.0, name: str = "real"):
    """Windows of people who swing along three axes of their own, the first most."""
    rng = np.random.default_rng(seed)
    size = (10 * people, LENGTH, 3)
    signals = [scale * rng.normal(size=size) * (3, 2, 1) for _ in range(2)]
    person = np.char.add(name, np.repeat(np.arange(people), 10).astype(str))
    return launcher.Windows(*signals, person)


def test_a_turned_unit_has_the_same_features(launcher):
    windows = made_up(launcher, 0, 3)
    turn = Rotation.random(30, rng=np.random.default_rng(1)).as_matrix()
    turned = windows._replace(
        acc=np.einsum("nij,ntj->nti", turn, windows.acc),
        gyr=np.einsum("nij,ntj->nti", turn, windows.gyr),
    )
    first, second = (launcher.features(w, RATE) for w in (windows, turned))
    for name, values in first.items():
        np.testing.assert_allclose(values, second[name], rtol=1e-8, err_msg=name)
    expected = np.sort(windows.acc.std(1), axis=1)[:, ::-1]
    found = np.stack([first[f"acc SD {i}"] for i in (1, 2, 3)], 1)
    assert np.abs(found - expected).max() < 0.4  # axes that happen to be correlated


def test_power_lies_in_the_band_of_its_frequency(launcher):
    t = np.arange(LENGTH) / RATE
    for frequency, band in ((1.0, 0), (3.0, 1), (8.0, 2), (15.0, 3), (35.0, 4)):
        signal = np.zeros((1, LENGTH, 3))
        signal[0, :, 2] = 9.81 + np.sin(2 * np.pi * frequency * t)
        shares = launcher.band_shares(signal, RATE)[0]
        assert shares.argmax() == band and shares[band] > 0.75
    grid, power = launcher.norm_power(signal, RATE)
    assert power.sum() * (grid[1] - grid[0]) == pytest.approx(0.5, rel=0.01)  # the variance


def test_alike_are_not_told_apart_and_others_are(launcher):
    real = made_up(launcher, 0, 12)
    alike = made_up(launcher, 1, 12, name="simulated")
    larger = made_up(launcher, 2, 12, scale=1.5, name="simulated")
    auc, alone = launcher.tell_apart(real, alike, RATE, 0)
    assert 0.3 < auc < 0.7 and np.mean([a for a, *_ in alone.values()]) < 0.58
    auc, alone = launcher.tell_apart(real, larger, RATE, 0)
    best, *medians = alone["acc SD 1"]
    assert auc > 0.97 and best > 0.97
    assert medians[1] == pytest.approx(1.5 * medians[0], rel=0.1)


def test_windows_that_do_not_move_are_left_out(launcher):
    windows = made_up(launcher, 0, 2)
    windows.acc[3] = 9.81
    kept = launcher.choose_moving(windows, np.random.default_rng(0))
    assert len(kept.acc) == 19 and kept.acc.std(1).min() > 0


def test_windows_that_turn_are_those_that_turn_about_the_vertical(launcher):
    windows = made_up(launcher, 0, 2)
    up = np.array([0.6, 0.0, 0.8])
    windows = windows._replace(acc=windows.acc + 9.81 * up)
    windows.gyr[:] -= windows.gyr.mean(1, keepdims=True)
    windows.gyr[4] -= 0.7 * up
    windows.gyr[5] += 0.7 * np.array([0.0, 1.0, 0.0])
    assert launcher.mean_spin(windows)[4] == pytest.approx(0.7, abs=0.05)
    kept = launcher.choose_moving(windows, np.random.default_rng(0), 0.5)
    np.testing.assert_array_equal(kept.gyr, windows.gyr[[4]])
    assert len(launcher.choose_moving(windows, np.random.default_rng(0), 9.0).acc) == 0


def test_it_writes_a_table_and_a_picture(launcher, tmp_path):
    results = []
    for name in ("feet", "waist"):
        real, simulated = made_up(launcher, 0, 5), made_up(launcher, 1, 5, 2.0, "simulated")
        auc, alone = launcher.tell_apart(real, simulated, RATE, 0)
        results.append({"name": name, "real": real, "simulated": simulated, "rate": RATE})
        results[-1] |= {"auc": auc, "alone": alone}
    table = launcher.markdown(results).splitlines()
    rows = [line.split("|")[1:-1] for line in table if line.startswith("| ")]
    assert [row[0].strip() for row in rows[1:]] == [
        f"{n}, {w}" for n in ("feet", "waist") for w in ("real", "simulated")
    ]
    assert len({len(row) for row in rows}) == 1
    # SD 3, 2 and 1 of the axes, twice that of the simulated.
    shown = [[float(x) for x in row[2].split(",")] for row in rows[1:3]]
    np.testing.assert_allclose(shown, [[3, 2, 1], [6, 4, 2]], rtol=0.05)
    launcher.draw_spectra(results, tmp_path / "spectra.png")
    assert (tmp_path / "spectra.png").read_bytes().startswith(b"\x89PNG")


def test_a_set_is_written_as_in_a_shell(launcher):
    entries = launcher.parse_set("name='feet, shod' real=a/b segments=foot_r,foot_l length=96")
    assert (entries["name"], entries["real"]) == ("feet, shod", "a/b")
    assert (entries["gait"], entries["length"], entries["sensors"]) == ("walking", "96", "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name=a real=b segments=foot_r dogs=3", "a set has no 'dogs'"),
        ("name=a segments=foot_r", "a set needs real="),
        ("name=a real=b segments=tail", "no segment 'tail'"),
        ("name=a real=b segments=foot_r gait=hopping", "no gait 'hopping'"),
        ("name=a real=b segments=foot_r ways=bends,stilts", "no way 'stilts'"),
        ("name=a real=b segments=foot_r spin=fast", "spin=fast is no number"),
    ],
)
def test_mistakes_are_one_sentence(launcher, text, says):
    with pytest.raises(UserError, match=says):
        launcher.parse_set(text)
