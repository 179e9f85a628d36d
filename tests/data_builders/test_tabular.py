"""A user's own recordings by a card: formats, events, targets, the data set."""

import csv
import json
import subprocess
import sys

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import scipy.io
from helpers.tabular_files import (
    CARD,
    COLUMNS,
    EVENTS,
    LABELLED,
    PLAIN_WINDOW,
    TARGET,
    WINDOW,
    make_table,
    read_all_examples,
    write_table,
)

from imujax.data import builders, datasets
from imujax.data_builders.tabular import examples
from imujax.data_builders.tabular.card import STATISTICS
from imujax.errors import UserError


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


# --- formats ------------------------------------------------------------------------------------


def _save_parquet(path, table):
    pa.parquet.write_table(pa.table(dict(zip(COLUMNS, table.T, strict=True))), path)


def _save_mat(path, table):
    trial = {"time": table[:, 0], "acc": table[:, 1:4], "gyr": table[:, 4:7], "force": table[:, 7]}
    scipy.io.savemat(path, {"trial": trial}, do_compression=True)


def _save_hdf5(path, table):
    with h5py.File(path, "w") as file:
        file.create_dataset("walk", data=table).attrs["fields"] = json.dumps(COLUMNS)


def _save_compound(path, table):
    kind = np.dtype([(name, "f8") for name in COLUMNS])
    with h5py.File(path, "w") as file:
        file["walk"] = np.array([tuple(row) for row in table], kind)


def _save_v73(path, table):
    """As MATLAB's save -v7.3: HDF5 behind a block of 512 bytes, matrices transposed."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, part in (("time", 0), ("acc", [1, 2, 3]), ("gyr", [4, 5, 6]), ("force", 7)):
            values = np.atleast_2d(table[:, part].T)
            file.create_dataset(name, data=values).attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as file:
        head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM"
        file.write(head)


MATRIX = [("a", "acc"), ("g", "gyr")]
SEMICOLON = CARD.replace("[time]", 'delimiter = ";"\n[time]', 1)
FORMATS = {
    "csv": ("csv", write_table, CARD),
    "semicolons": ("csv", lambda p, t: write_table(p, t, delimiter=";"), SEMICOLON),
    "csv.gz": ("csv.gz", write_table, CARD),
    "tsv": ("tsv", lambda p, t: write_table(p, t, delimiter="\t"), CARD),
    "tsv.gz": ("tsv.gz", lambda p, t: write_table(p, t, delimiter="\t"), CARD),
    "parquet": ("parquet", _save_parquet, CARD),
    "matlab": ("mat", _save_mat, CARD),
    "hdf5": ("h5", _save_hdf5, CARD + "[hdf5]\ndataset = 'walk'\ncolumns = 'fields'\n"),
    "compound": ("h5", _save_compound, CARD + "[hdf5]\ndataset = 'walk'\n"),
    "v7.3": ("mat", _save_v73, 'format = "hdf5"\n' + CARD + "[hdf5]\ndataset = '/'\n"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_examples(raw, name):
    suffix, save, card = FORMATS[name]
    table = make_table()
    save(raw / f"s1_walk.{suffix}", table)
    labels = EVENTS + TARGET
    if suffix == "mat":
        dot = "trial." if name == "matlab" else ""
        for short, long in MATRIX:
            for i, axis in enumerate("xyz"):
                card = card.replace(f'"{short}{axis}"', f'"{dot}{long}(:,{i + 1})"')
        card = card.replace('column = "time"', f'column = "{dot}time"')
        labels = labels.replace('"force"', f'"{dot}force"')
    got, _ = read_all_examples(raw, card.replace("{suffix}", suffix) + labels + WINDOW)

    rise = [i for i in range(1, 1000) if table[i - 1, 7] < 50 <= table[i, 7]]
    inside = [i for i in rise if i >= 20 and i + 44 <= 1000]
    assert [e["start"] for e in got] == [np.float32((i - 20) / 100) for i in inside]
    for e, i in zip(got, inside, strict=True):
        acc = np.float32(table[i - 20 : i + 44, 1:4] * 9.80665)
        gyr = np.float32(np.deg2rad(table[i - 20 : i + 44, 4:7]))
        np.testing.assert_array_max_ulp(e["acc"][:, 0], acc, 1)
        np.testing.assert_array_max_ulp(e["gyr"][:, 0], gyr, 1)
        assert e["target"] == np.float32(table[i : i + 40, 7].max())
        assert (e["subject"], e["recording"], e["length"]) == ("s1", "walk", 64)


def test_preamble_names_decimal_comma_and_latin_1(raw):
    table = make_table()
    text = "\n".join(";".join(f"{v:.6f}".replace(".", ",") for v in row) for row in table)
    (raw / "s1_a.txt").write_bytes("Gerät 7, 100 °/s\n".encode("latin-1") + text.encode())
    names = ", ".join(f'"{c}"' for c in COLUMNS)
    head = f'format = "csv"\ndelimiter = ";"\ndecimal = ","\nskip_rows = 1\nnames = [{names}]\n'
    got, _ = read_all_examples(raw, head + CARD.replace("{suffix}", "txt") + PLAIN_WINDOW)
    np.testing.assert_allclose(got[1]["acc"][:, 0] / 9.80665, table[64:128, 1:4], atol=1e-5)


def test_a_card_in_milliseconds_and_a_frame(raw):
    table = make_table()
    table[:, 0] = 5000 + table[:, 0] * 1000
    write_table(raw / "s1_a.csv", table)
    card = CARD.replace("[units]", 'unit = "ms"\n[units]') + "frame = [[0,0,1],[1,0,0],[0,1,0]]\n"
    got, _ = read_all_examples(raw, card.replace("{suffix}", "csv") + PLAIN_WINDOW)
    assert len(got) == 1000 // 64 and got[0]["start"] == 5
    np.testing.assert_allclose(got[0]["acc"][:, 0] / 9.80665, table[:64, [3, 1, 2]], rtol=1e-6)
    np.testing.assert_allclose(np.rad2deg(got[0]["gyr"][:, 0]), table[:64, [6, 4, 5]], rtol=1e-5)


# --- events and targets ---------------------------------------------------------------------------


def test_the_rule_of_crossings(raw):
    """Bounce, a repeat too early, a weak contact, and one that is left at once are no events."""
    table = make_table()
    force = np.zeros(1000)
    force[100:140] = 600  # an event
    force[115:117] = 0  # a dip: its second rise is 0.17 s after the event
    force[200:203] = 600  # gone at once: seven of ten samples are below
    force[300:340] = 120  # never reaches 150 N
    force[400:407] = 200  # three of ten are below: an event
    force[500:530] = 400
    force[525:560] = 500  # no new rise
    force[980:999] = 700  # its window and its target leave the recording
    table[:, 7] = force
    write_table(raw / "s1_a.csv", table)
    got, dropped = read_all_examples(raw, LABELLED.replace("{suffix}", "csv"))
    assert [round(float(e["start"]) * 100) + 20 for e in got] == [100, 400, 500]
    assert [float(e["target"][0]) for e in got] == [600, 200, 500]
    assert dropped == {"events whose window leaves the recording": 1}


@pytest.mark.parametrize("statistic", [s for s in STATISTICS if s != "duration"])
def test_statistics_against_numpy_at_another_rate(raw, statistic):
    """The target lies in a file at 1000 Hz that begins earlier; divided by mass and height."""
    table = make_table()
    table[:, 0] += 3
    write_table(raw / "s1_a.csv", table)
    time = 2.5 + np.arange(11000) / 1000
    moment = np.sin(3 * time) + 0.1 * time**2
    (raw / "plates").mkdir()
    write_table(raw / "plates" / "a of s1.csv", np.stack([time, moment], 1), ["t", "knee moment"])
    (raw / "about").mkdir()
    (raw / "about/body.csv").write_text("who;kg;cm\ns0;1;1\ns1;80,5;170\n")
    end = "" if statistic == "value" else "to = 0.35"
    target = f"""
    [target]
    name = "moment"
    unit = "Nm/kg/m"
    file = "plates/{{recording}} of {{subject}}.csv"
    column = "knee moment"
    time = "t"
    scale = -2
    from = 0.05
    {end}
    statistic = "{statistic}"
    divide_by = ["mass", "height", 9.81]
    [body.mass]
    file = "about/body.csv"
    delimiter = ";"
    decimal = ","
    subject = "who"
    column = "kg"
    [body.height]
    file = "about/body.csv"
    delimiter = ";"
    subject = "who"
    column = "cm"
    unit = "cm"
    """
    rule = EVENTS if statistic != "value" else EVENTS.replace("peak = 150", "")
    got, _ = read_all_examples(raw, CARD.replace("{suffix}", "csv") + rule + target + WINDOW)
    assert len(got) == 9
    for e in got:
        event = float(e["start"]) + 0.2
        span = np.flatnonzero((time > event + 0.0495) & (time < event + 0.3495))
        want = {
            "max": lambda x, t: x.max(),
            "min": lambda x, t: x.min(),
            "mean": lambda x, t: x.mean(),
            "slope": lambda x, t: np.polyfit(t, x, 1)[0],
            "value": lambda x, t: x[0],
            "range": lambda x, t: x.max() - x.min(),
            "impulse": lambda x, t: x.sum() / 1000,
            "time_of_max": lambda x, t, event=event: t[x.argmax()] - event,
        }[statistic](-2 * moment[span], time[span])
        np.testing.assert_allclose(e["target"], want / (80.5 * 1.7 * 9.81), rtol=1e-5, atol=1e-6)


def test_events_from_a_file_and_resampled_windows(raw):
    """A window at another rate still has its event at sample `before`."""
    table = make_table()
    table[:, 1:7] += 0.0
    table[500:, 1] += 1.0  # a jump of the accelerometer at 5.00 s
    write_table(raw / "s1_a.csv", table)
    (raw / "strikes").mkdir()
    (raw / "strikes" / "a.csv").write_text("strike\n5000\n\n9990\n")
    rule = '[events]\nfile = "strikes/{recording}.csv"\ncolumn = "strike"\ntime_unit = "ms"\n'
    window = WINDOW.replace("rate = 100", "rate = 200\nupsample = 2")
    window = window.replace("before = 20", "before = 32")
    card = CARD.replace("{suffix}", "csv").replace("*.csv", "s*.csv") + rule + TARGET + window
    got, dropped = read_all_examples(raw, card)
    assert len(got) == 1 and dropped == {"events whose window leaves the recording": 1}
    x = got[0]["acc"][:, 0, 0] / 9.80665
    assert abs(int(np.argmax(np.diff(x))) - 31) <= 1
    assert got[0]["start"] == np.float32(5 - 0.16)


def test_lowpass_of_the_target(raw):
    """Noise at 40 Hz on the force is gone behind a low-pass at 10 Hz."""
    table = make_table()
    clean = table[:, 7].copy()
    table[:, 7] += 80 * np.cos(2 * np.pi * 40 * table[:, 0])
    table[:, 0] += 3
    write_table(raw / "s1_a.csv", table)
    lowpass = 'column = "force"\nlowpass = 10'
    rule = "[events]\ntimes = [2.0]\n"
    got, _ = read_all_examples(
        raw,
        CARD.replace("{suffix}", "csv")
        + rule
        + TARGET.replace('column = "force"', lowpass)
        + WINDOW,
    )
    np.testing.assert_allclose(got[0]["target"], clean[200:240].max(), rtol=0.01)
    assert got[0]["start"] == np.float32(4.8)  # the given time counts from the first sample


def test_a_target_file_that_ends_early(raw):
    """With a rate alone it begins with the recording; what lies behind its end is dropped."""
    table = make_table()
    table[:, 0] += 3
    write_table(raw / "s1_a.csv", table)
    (raw / "plates").mkdir()
    write_table(raw / "plates" / "a.csv", np.arange(300.0)[:, None], ["load"])
    target = TARGET.replace('"force"', '"load"\nfile = "plates/{recording}.csv"\nrate = 100')
    rule = "[events]\ntimes = [1.0, 2.6, 2.61]\n"
    got, dropped = read_all_examples(raw, CARD.replace("{suffix}", "csv") + rule + target + WINDOW)
    assert [float(e["target"][0]) for e in got] == [139, 299]
    assert dropped == {"events whose target leaves the recording": 1}


def test_two_sides_and_the_activity_at_the_event(raw):
    table = np.concatenate([make_table(), make_table(seed=1)[:, 1:]], axis=1)
    table[:, 14] = np.roll(table[:, 14], 50)
    columns = ["time", *(f"{side} {c}" for side in ("left", "right") for c in COLUMNS[1:])]
    write_table(raw / "s1_a.csv", table, columns)
    (raw / "acts.tsv").write_text("what\tfrom\tto\nWalk \t0\t4\n8.0\t5\t7.5\n")
    card = LABELLED.replace("{suffix}", "csv").replace(
        "[time]", 'sides = ["left", "right"]\n[time]'
    )
    for column in COLUMNS[1:]:
        card = card.replace(f'"{column}"', f'"{{side}} {column}"')
    card += '[activity]\nfile = "acts.tsv"\nname = "what"\nstart = "from"\nend = "to"\n'
    got, _ = read_all_examples(raw, card)
    sides = {e["recording"] for e in got}
    assert sides == {"a/left", "a/right"}
    for e in got:
        event = float(e["start"]) + 0.2
        assert (event % 1 < 0.5) == (e["recording"] == "a/left")
        assert e["condition"] == ("Walk" if event < 4 else "8" if 5 <= event < 7.5 else "")
        half = table[:, 1:8] if e["recording"] == "a/left" else table[:, 8:15]
        first = round(float(e["start"]) * 100)
        np.testing.assert_allclose(
            e["acc"][:, 0] / 9.80665, half[first : first + 64, :3], rtol=1e-5
        )


def test_unlabelled_windows_are_cut_inside_activities_and_must_move(raw):
    table = make_table()
    table[264:328, 1:7] = [
        0,
        0,
        1,
        0,
        0,
        0,
    ]  # the second window of the run
    write_table(raw / "s1_a.csv", table)
    (raw / "acts.tsv").write_text("what\tfrom\tto\nwalk\t0.1\t1.9\nrun\t2\t4.6\n")
    card = CARD.replace("{suffix}", "csv") + PLAIN_WINDOW.replace("motion = 0", "motion = 0.3")
    card += '[activity]\nfile = "acts.tsv"\nname = "what"\nstart = "from"\nend = "to"\n'
    got, dropped = read_all_examples(raw, card)
    assert [(round(float(e["start"]) * 100), e["activity"]) for e in got] == [
        (10, "walk"),
        (74, "walk"),
        (200, "run"),
        (328, "run"),
        (392, "run"),
    ]
    assert sum(dropped.values()) == 1 and "target" not in got[0]


def test_short_gaps_are_interpolated_and_the_target_is_not_invented(raw):
    table = make_table()
    whole = table.copy()
    table[310, 1:7] = np.nan
    table[420:424, 7] = np.nan  # within the span of the event at 4.02 s
    table = np.delete(table, [250, 251], axis=0)
    write_table(raw / "s1_a.csv", table)
    card = CARD.replace("[units]", "max_gap = 0.035\n[units]").replace("{suffix}", "csv")
    rule = "[events]\ntimes = [2.3, 3.0, 4.02]\n"
    got, dropped = read_all_examples(raw, card + rule + TARGET + WINDOW)
    assert dropped == {"events with missing target values": 1, "samples interpolated": 3}
    assert len(got) == 2
    line = np.linspace(whole[249, 1:4], whole[252, 1:4], 4)[1:3]
    np.testing.assert_allclose(got[0]["acc"][40:42, 0] / 9.80665, line, rtol=1e-5)
    middle = (whole[309, 4:7] + whole[311, 4:7]) / 2
    np.testing.assert_allclose(np.rad2deg(got[1]["gyr"][30, 0]), middle, rtol=1e-5)
    np.testing.assert_allclose(got[1]["target"], whole[300:340, 7].max(), rtol=1e-6)


def test_trimmed_recordings_of_a_3d_dataset_are_padded_with_their_true_length(raw):
    steps = np.zeros((3, 120, 8), np.float32)
    for k, n in enumerate((90, 100, 120)):
        steps[k, :n] = make_table(n, seed=k)[:, :8]
        steps[k, :n, 7] = np.arange(n)
    with h5py.File(raw / "all.h5", "w") as file:
        file.attrs["columns"] = json.dumps(COLUMNS)
        file["s1"], file["s2"] = steps[:2], steps[2:]
        file["other"] = steps
    card = f"""
    files = "*.h5"
    [hdf5]
    dataset = '(?P<subject>s\\d)'
    columns = "columns"
    trim = "zeros"
    {CARD[CARD.index("[time]") :].replace('column = "time"', "rate = 100")}
    [events]
    times = [0.2, 1.2]
    {TARGET.replace("to = 0.4", "to_share = 0.5")}
    {WINDOW.replace("length = 64", "length = 110")}
    pad = true
    """
    got, dropped = read_all_examples(raw, card)
    assert [(e["subject"], e["recording"], e["length"]) for e in got] == [
        ("s1", "all/s1/0", 90),
        ("s1", "all/s1/1", 100),
        ("s2", "all/s2/0", 110),
    ]
    assert [float(e["target"][0]) for e in got] == [44, 49, 59]
    assert dropped == {"events whose window leaves the recording": 3}
    assert not got[0]["acc"][90:].any() and got[0]["acc"][89].all()


# --- the data set ---------------------------------------------------------------------------------


def test_a_data_set_from_a_card(raw, tmp_path):
    """Built by spawned workers and read without the builder; the card stands in the metadata."""
    for k in range(9):
        write_table(raw / f"s{k % 3}_t{k}.csv.gz", make_table(500, seed=k))
    (raw / "._s0_t0.csv.gz").write_bytes(b"left by a file manager")
    card = tmp_path / "walks.toml"
    card.write_text("# a comment\n" + LABELLED.replace("{suffix}", "csv.gz"))
    path = builders.build("tabular", raw, tmp_path / "data", workers=2, card=card)
    got = datasets.read(path)
    want, dropped = read_all_examples(raw, card.read_text())
    assert path.parent.name.startswith("walks_100hz_w64_")
    assert len(got.acc) == len(want) == got.info["kept"] == 36
    np.testing.assert_array_equal(got.acc, [e["acc"] for e in want])
    np.testing.assert_array_equal(got.target, [e["target"] for e in want])
    assert list(got.recording) == [e["recording"] for e in want]
    assert got.info["dropped"] == dropped and got.info["options"]["text"] == card.read_text()
    assert got.info["targets"] == [{"name": "peak force", "unit": "N"}]
    assert got.info["hours"] == round(9 * 5 / 3600, 4) and len(got.info["sources"]) == 9
    rows = list(csv.DictReader((path / "subjects.csv").read_text().splitlines()))
    assert [row["subject"] for row in rows] == ["s0", "s1", "s2"]
    for row in rows:
        targets = np.array([e["target"][0] for e in want if e["subject"] == row["subject"]])
        assert (row["recordings"], row["seconds"], int(row["examples"])) == (
            "3",
            "15",
            len(targets),
        )
        for name, value in (
            ("mean", targets.mean()),
            ("SD", targets.std()),
            ("most", max(targets)),
        ):
            assert float(row[f"{name} peak force [N]"]) == pytest.approx(value, rel=1e-4)

    with pytest.raises(UserError, match="no sensor foot: there are shank"):
        datasets.read(path, sensors=("foot",))

    card.write_text(card.read_text().replace("comment", "remark"))
    assert builders.build("tabular", raw, tmp_path / "data", workers=2, card=card) == path
    card.write_text(card.read_text().replace("peak = 150", "peak = 160"))
    options = examples.complete_options({"card": card})
    assert examples.folder_name(options) != path.parent.name


def test_a_worker_imports_neither_tfds_nor_jax():
    code = (
        "import sys, imujax.data_builders.tabular.examples\n"
        "assert not {'jax', 'tensorflow_datasets', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
