"""The card on two real sets of files: contacts of insoles, steps of the knee-moment study."""

import collections
import gzip
import json

import h5py
import numpy as np
from helpers.tabular_files import EVENTS, TARGET, WINDOW

from imujax.data_builders.tabular import examples

CURVE = """
[[target]]
name = "force"
unit = "N"
column = "force"
statistic = "curve"
"""
INSOLE = """
files = "Insoles/*/*/insoles.csv.gz"
match = 'Insoles/(?P<subject>S\\d+)/(?P<recording>[^/]+)/'
delimiter = ";"
sides = ["left", "right"]
[time]
column = "Time"
rate = 100
max_gap = 0.07
[units]
acc = "g"
gyr = "deg/s"
[sensors.foot]
acc = ["{side} acceleration X[g]", "{side} acceleration Y[g]", "{side} acceleration Z[g]"]
gyr = ["{side} angular X[dps]", "{side} angular Y[dps]", "{side} angular Z[dps]"]
[activity]
file = "Events/{subject}/{recording}/classif.csv"
delimiter = ";"
name = "Class"
start = "Timestamp Start"
end = "Timestamp End"
""" + (EVENTS + TARGET.replace("[target]", "[[target]]") + CURVE + WINDOW).replace(
    '"force"', '"{side} total force[N]"'
)


def test_insoles_give_the_published_number_of_contacts(shared_data, tmp_path):
    """3,976 contacts, 1,724 of them in locomotion, with the short gaps interpolated.

    An event is the first sample at or above 50 N; the 250 ms run from the last accepted event; the
    ten samples and the forty of the peak begin with that sample; an interval ends before its end.
    """
    folder = shared_data / "plantar_insole"
    card = tmp_path / "insole.toml"
    card.write_text(INSOLE)
    options = examples.complete_options({"card": card})
    got, dropped, seconds = [], collections.Counter(), 0.0
    for item in examples.list_items(folder, options):
        some, lost, time = examples.read_examples(item, options)
        got += some
        dropped.update(lost)
        seconds += time
    conditions = collections.Counter(e["condition"] for e in got)
    assert len(got) == 3976
    assert sum(conditions[str(code)] for code in (8, 9, 10, 11, 13, 21)) == 1724
    assert dropped == {"events whose window leaves the recording": 2, "samples interpolated": 16}
    assert round(seconds / 60) == 73
    assert len({e["subject"] for e in got}) == 11
    assert len({(e["subject"], e["recording"].split("/")[0]) for e in got}) == 30

    path = folder / "Insoles/S22/Sequence_07/insoles.csv.gz"  # a file without gaps, read anew
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = np.loadtxt(file, delimiter=";", skiprows=1)
    mine = [e for e in got if (e["subject"], e["recording"]) == ("S22", "Sequence_07/right")]
    assert mine and mine[0]["acc"].shape == (64, 1, 3)
    for e in mine:
        first = round(float(e["start"]) * 100)
        assert rows[first + 19, 48] < 50 <= rows[first + 20, 48]
        assert e["target"] == rows[first + 20 : first + 60, 48].max() == e["curve"][20:60].max()
        np.testing.assert_allclose(e["curve"][:, 0], rows[first : first + 64, 48], atol=1e-3)
        window = rows[first : first + 64, 42:48] * ([9.80665] * 3 + [np.pi / 180] * 3)
        np.testing.assert_allclose(e["acc"][:, 0], window[:, :3], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(e["gyr"][:, 0], window[:, 3:], rtol=1e-5, atol=1e-6)


KNEE_SENSORS = ("L_FOOT", "R_FOOT", "R_SHANK", "R_THIGH", "WAIST", "CHEST", "L_SHANK", "L_THIGH")


def _knee_card():
    sensors = "".join(
        f"[sensors.{s.lower()}]\n"
        f"acc = {[f'Accel{x}_{s}' for x in 'XYZ']}\n"
        f"gyr = {[f'Gyro{x}_{s}' for x in 'XYZ']}\n"
        for s in KNEE_SENSORS
    )
    return f"""
    files = "example_data.h5"
    [hdf5]
    dataset = '(?P<subject>subject_\\d+)'
    columns = "columns"
    trim = "zeros"
    [time]
    rate = 100
    [units]
    acc = "m/s^2"
    gyr = "deg/s"
    {sensors}
    [events]
    times = [0.2]
    [[target]]
    name = "peak knee flexion moment"
    unit = "%BW*BH"
    column = "EXT_KM_X"
    to_share = 0.5
    statistic = "max"
    [[target]]
    name = "knee flexion moment"
    unit = "%BW*BH"
    column = "EXT_KM_X"
    statistic = "curve"
    [window]
    rate = 100
    length = 128
    before = 20
    pad = true
    """


def test_steps_of_the_knee_moment_study(shared_data, tmp_path):
    """EXT_KM_X is in % body weight x height already: 4.4 N m would be a tenth of any walking."""
    (tmp_path / "knee.toml").write_text(_knee_card())
    options = examples.complete_options({"card": tmp_path / "knee.toml"})
    folder = shared_data / "tan2022_knee_moment"
    got = [
        e
        for item in examples.list_items(folder, options)
        for e in examples.read_examples(item, options)[0]
    ]
    assert len(got) == 20
    with h5py.File(folder / "example_data.h5") as file:
        names = json.loads(file.attrs["columns"])
        steps = [(s, k, step) for s in file for k, step in enumerate(file[s][...])]
    for e, (subject, k, step) in zip(got, steps, strict=True):
        n = int(np.max(np.nonzero(step)[0])) + 1
        moment = step[:, names.index("EXT_KM_X")]
        assert (e["subject"], e["recording"]) == (subject, f"example_data/{subject}/{k}")
        assert e["length"] == n and 95 <= n <= 104
        assert e["target"] == moment[20 : n // 2].max()
        np.testing.assert_allclose(e["curve"][:n, 0], moment[:n], rtol=1e-6)
        assert not e["curve"][n:].any()
        gyro = step[:128, [names.index(f"Gyro{x}_R_THIGH") for x in "XYZ"]]
        np.testing.assert_allclose(e["gyr"][:, 3], np.deg2rad(gyro), rtol=1e-5, atol=1e-7)
        chest = step[:128, [names.index(f"Accel{x}_CHEST") for x in "XYZ"]]
        np.testing.assert_allclose(e["acc"][:, 5], chest, rtol=1e-6)
        assert e["start"] == 0 and not e["acc"][n:].any()
    moments = [float(e["target"][0]) for e in got]
    assert min(moments) > 2.5 and max(moments) < 5
