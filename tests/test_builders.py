"""The builders of SisFall and of the IPOL gait set, on folders written here and on real files."""

import csv
import hashlib
import importlib
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest

from imujax import datasets
from imujax.data_builders.ipol_gait import files as ipol
from imujax.data_builders.sisfall import files as sisfall
from imujax.errors import UserError

G = 9.80665


def write_sisfall(raw: pathlib.Path, trials=("D01_SA01", "D07_SA01", "D01_SE02"), seconds=8):
    """Trials of SisFall's layout: two seconds of rest, then movement; CRLF and blank lines."""
    for k, trial in enumerate(trials):
        rng = np.random.default_rng(k)
        t = np.arange(seconds * 200) / 200
        moves = ((t > 2) * np.sin(2 * np.pi * 2 * t))[:, None]
        acc = np.array([0, -256, 0]) + 60 * moves + rng.normal(0, 2, (len(t), 3))
        gyr = 800 * moves + rng.normal(0, 5, (len(t), 3))
        rows = np.round(np.concatenate([acc, gyr, 4 * acc], axis=1)).astype(int)
        lines = [",".join(f"{v:4d}" for v in row) + ";" for row in rows]
        folder = raw / trial.split("_")[1]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{trial}_R01.txt").write_text("\r\n".join([*lines, "", ""]), newline="")
    return raw


def write_ipol(raw: pathlib.Path, walks=("1-1", "2-1"), lost=()) -> pathlib.Path:
    """Walks of the IPOL layout: 20 s, swings every second; the packets `lost` are left out."""
    (raw / "GaitData").mkdir(parents=True)
    for k, walk in enumerate(walks):
        rng = np.random.default_rng(k)
        left = [[200 + 100 * i, 240 + 100 * i] for i in range(15)]
        right = [[250 + 100 * i, 290 + 100 * i] for i in range(15)]
        about = {
            "Subject": int(walk.split("-")[0]),
            "Weight": float("nan"),
            "Height": 170.0,
            "TrialBoundaries": [200, 1690],
            "UTurnBoundaries": [900, 1050],
            "LeftFootEvents": left,
            "RightFootEvents": right,
        }
        (raw / "GaitData" / f"{walk}.json").write_text(json.dumps(about))
        for sensor in ipol.SENSORS:
            t = np.arange(2000) / 100
            moves = ((t > 2) * np.sin(2 * np.pi * t))[:, None]
            values = np.concatenate(
                [
                    100 * t[:, None],
                    np.array([G, 0, 0]) + 4 * moves + 0.02 * rng.standard_normal((len(t), 3)),
                    moves + 0.01 * rng.standard_normal((len(t), 3)),
                    np.ones((len(t), 3)),
                ],
                axis=1,
            )
            rows = [r for i, r in enumerate(values) if sensor != "lb" or i not in lost]
            text = "Acquisition frequency: 100 Hz\n" + "\t".join(ipol.HEADER) + "\n"
            text += "".join("\t".join(f"{v:.6f}" for v in row) + "\n" for row in rows)
            (raw / "GaitData" / f"{walk}_{sensor}.txt").write_text(text)
    return raw


def hashes(folder: pathlib.Path) -> dict:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def unpack(archive: pathlib.Path, members: list[str], to: pathlib.Path) -> pathlib.Path:
    wanted = set(members)
    with tarfile.open(archive, "r|xz") as tar:  # in one pass, no further than the last of them
        for member in tar:
            if member.name in wanted:
                tar.extract(member, to, filter="data")
                wanted.remove(member.name)
            if not wanted:
                return to
    raise FileNotFoundError(wanted)


def read(trial: pathlib.Path) -> list[list[int]]:
    """A SisFall trial by the csv module."""
    text = trial.read_text().replace(";", "")
    return [[int(v) for v in row] for row in csv.reader(text.split("\n")) if row]


# Parsing, against the csv module.


def test_sisfall_counts_and_units_of_a_real_file(shared_data, tmp_path):
    names = ["SA01/D05_SA01_R01.txt"]
    raw = unpack(shared_data / "sisfall" / "SisFall_ADL_R01.tar.xz", names, tmp_path)
    text = (raw / names[0]).read_text()
    rows = [
        [int(v) for v in row[:9]] for row in csv.reader(text.replace(";", "").split("\n")) if row
    ]
    slow = np.array(rows, float)
    found = sisfall.recording(raw / names[0])
    assert (found.subject, found.activity, found.recording) == ("SA01", "D05", "D05_SA01_R01")
    np.testing.assert_allclose(found.acc[:, 0], slow[:, :3] * 32 / 8192 * 9.80665)
    np.testing.assert_allclose(found.gyr[:, 0], np.deg2rad(slow[:, 3:6] * 4000 / 65536))
    assert len(found.acc) == 5000  # 25 s, as the description of the set says


def test_ipol_walk_of_a_real_file(shared_data, tmp_path):
    names = [f"GaitData/11-1{end}" for end in (".json", "_lb.txt", "_lf.txt", "_rf.txt")]
    raw = unpack(shared_data / "ipol_gait" / "ipol_GaitData.tar.xz", names, tmp_path)
    options = ipol.complete({})
    (item,) = ipol.files(raw, options)
    pieces, _, counts = ipol.walk(item)
    assert counts["repeated packets"] == 3
    at = {}  # unit -> counter -> row; the first of a repeated packet
    for sensor in ipol.SENSORS:
        with open(raw / "GaitData" / f"11-1_{sensor}.txt") as file:
            rows = list(csv.reader(file, delimiter="\t"))[2:]
        at[sensor] = {int(float(r[0])): [float(v) for v in r[1:7]] for r in reversed(rows)}
    first = max(min(at[s]) for s in at)
    last = min(max(at[s]) for s in at)
    inside = np.zeros(last + 1, bool)
    for piece in pieces:
        begin = round(piece.start * 100)
        inside[begin : begin + len(piece.acc)] = True
        for s, sensor in enumerate(piece.sensors):
            got = np.concatenate([piece.acc[:, s], piece.gyr[:, s]], axis=1)
            for i, row in enumerate(got):
                if begin + i in at[sensor]:
                    np.testing.assert_allclose(row, at[sensor][begin + i])
                else:  # lost: on the line between its neighbours, which are at most 5 apart
                    before = max(c for c in range(begin + i - 5, begin + i) if c in at[sensor])
                    after = min(c for c in range(begin + i, begin + i + 5) if c in at[sensor])
                    assert after - before <= 5
                    w = (begin + i - before) / (after - before)
                    line = (1 - w) * np.array(at[sensor][before]) + w * np.array(at[sensor][after])
                    np.testing.assert_allclose(row, line, atol=1e-9)
    assert inside[first : last + 1].mean() > 0.5


# The IPOL events are counts of packets: the foot turns fast in a swing.


def test_ipol_events_are_packet_counts(shared_data, tmp_path):
    names = [f"GaitData/12-3{end}" for end in (".json", "_lf.txt")]
    raw = unpack(shared_data / "ipol_gait" / "ipol_GaitData.tar.xz", names, tmp_path)
    about = json.loads((raw / names[0]).read_text())
    values = ipol.table(raw / names[1])
    speed = np.log(np.linalg.norm(values[:, 4:7], axis=1) + 0.05)

    def agreement(index):
        swing = np.zeros(len(values), bool)
        for begin, end in about["LeftFootEvents"]:
            swing |= (index >= begin) & (index < end)
        return np.corrcoef(swing, speed)[0, 1]

    assert agreement(values[:, 0]) > 0.55 > 0.4 > agreement(np.arange(len(values)))


# Whole builds.


def test_sisfall_windows_of_a_written_folder(tmp_path, capsys):
    raw = write_sisfall(tmp_path / "raw")
    path = datasets.build("sisfall", raw, tmp_path / "data")
    assert path == tmp_path / "data" / "sisfall" / "100hz_w128_s128" / "1.0.0"
    data = datasets.arrays(path)
    assert data.acc.shape == (len(data.start), 128, 1, 3)
    assert sorted(set(data.subject)) == ["SA01", "SE02"] == data.info["subjects"]
    assert set(data.activity) == {"D01", "D07"}
    assert set(data.recording) == {"D01_SA01_R01", "D07_SA01_R01", "D01_SE02_R01"}
    # 8 s hold 6 windows of 1.28 s; the first lies in the rest.
    assert data.info["kept"] == len(data.start) == 15
    assert data.info["dropped"] == {"windows in which no sensor moves": 3}
    assert data.info["hours"] == pytest.approx(3 * 8 / 3600, abs=1e-4)
    for w in range(len(data.start)):
        name = f"{data.subject[w]}/{data.recording[w]}.txt"
        assert data.info["sources"][name] == hashlib.sha256((raw / name).read_bytes()).hexdigest()
        counts = np.array([row[:6] for row in read(raw / name)], float)
        at = round(float(data.start[w]) * 200)
        truth = counts[at : at + 256 : 2] * np.repeat([32 / 8192 * G, 4000 / 65536 / 57.29578], 3)
        got = np.concatenate([data.acc[w, :, 0], data.gyr[w, :, 0]], axis=1)
        np.testing.assert_allclose(got[2:-2, :3], truth[2:-2, :3], atol=0.5)  # the noise is gone
        np.testing.assert_allclose(got[2:-2, 3:], truth[2:-2, 3:], atol=0.05)
    says = capsys.readouterr()
    assert "15 examples kept" in says.err and "3 windows in which no sensor moves" in says.err
    assert says.out == ""


def test_a_parent_folder_will_do_and_options_name_the_folder(tmp_path):
    raw = write_sisfall(tmp_path / "up" / "SisFall").parent
    older = raw / "SisFall" / "SE02" / "D01_SE02_R01.txt"
    older.rename(raw / "SisFall" / "SA01" / older.name)  # as SE15's files lie in SA15
    path = datasets.build("sisfall", raw, tmp_path / "data", rate="50", window=64, stride=16)
    assert path.parent.name == "50hz_w64_s16"
    data = datasets.arrays(path)
    assert data.acc.shape[1:] == (64, 1, 3) and data.info["rate"] == 50
    assert set(data.subject) == {"SA01", "SE02"}
    motion = datasets.build("sisfall", raw, tmp_path / "data", motion=0.5)
    assert motion.parent.name == "100hz_w128_s128_m0.5"
    assert data.info["options"] == {"rate": 50.0, "window": 64, "stride": 16, "motion": 0.3}


def test_ipol_windows_never_straddle_a_gap(tmp_path):
    lost = {500, 501, 502, *range(1203, 1211)}
    raw = write_ipol(tmp_path / "raw", lost=lost)
    path = datasets.build("ipol_gait", raw, tmp_path / "data", stride=10)
    data = datasets.arrays(path)
    assert path.parent.name == "windows_100hz_w128_s10"
    assert data.acc.shape[1:] == (128, 3, 3)
    first = np.round(data.start * 100).astype(int)
    assert not ((first < 1211) & (first + 128 > 1203)).any()
    assert ((first < 501) & (first + 128 > 501)).any()
    assert data.info["dropped"]["packets interpolated"] == 6
    # Nor the ends of the trial: 200 to 1690.
    walking = data.activity == "walking"
    assert (first[walking] >= 200).all() and (first[walking] + 128 <= 1690).all()
    assert not ((first < 1690) & (first + 128 > 1690)).any()
    turn = (first + 64 >= 900) & (first + 64 < 1050)
    np.testing.assert_array_equal(data.condition[walking] == "turn", turn[walking])
    one = datasets.build("ipol_gait", raw, tmp_path / "data", sensors="rf,lb")
    assert datasets.info(one)["sensors"] == ["rf", "lb"]
    assert one.parent.name == "windows_100hz_w128_s128_rf_lb"


def test_ipol_steps_have_their_stance_time(tmp_path):
    raw = write_ipol(tmp_path / "raw", walks=("3-1",), lost={0, 1, 2, *range(1203, 1211)})
    path = datasets.build("ipol_gait", raw, tmp_path / "data", task="stance_time")
    assert path.parent.name == "stance_time_100hz_b32_a96"
    data = datasets.arrays(path)
    assert data.info["targets"] == [{"name": "stance time", "unit": "s"}]
    assert data.acc.shape[1:] == (128, 1, 3) and data.info["sensors"] == ["lb"]
    np.testing.assert_allclose(data.target, 0.6, atol=1e-6)
    strikes = np.round(data.start * 100).astype(int) + 32
    wanted = [s for side in (240, 290) for s in range(side, side + 1400, 100)]
    kept = [s for s in sorted(wanted) if s + 96 <= 1203 or s - 32 >= 1211]
    assert sorted(strikes) == kept
    left = "steps whose window leaves the recording or meets a gap"
    assert data.info["dropped"] == {left: len(wanted) - len(kept)}
    turn = (strikes < 1050) & (strikes + 60 > 900)
    np.testing.assert_array_equal(data.condition == "turn", turn)
    assert set(data.subject) == {"S03"} and set(data.activity) == {"walking"}


def test_ipol_drops_implausible_steps(tmp_path):
    raw = write_ipol(tmp_path / "raw", walks=("3-1",))
    file = raw / "GaitData" / "3-1.json"
    about = json.loads(file.read_text())
    about["LeftFootEvents"] = [[150, 190], [220, 240], [260, 300], [560, 600], [660, 700]]
    about["RightFootEvents"] = []
    file.write_text(json.dumps(about))
    _, dropped, _ = ipol.examples(ipol.files(raw, {})[0], ipol.complete({"task": "stance_time"}))
    assert dropped == {
        "steps outside the trial": 1,
        "steps with a stance below 0.3 s or above 2.0 s": 2,
    }


@pytest.mark.parametrize(("name", "write"), [("sisfall", write_sisfall), ("ipol_gait", write_ipol)])
def test_a_rebuild_is_byte_identical_however_many_processes(tmp_path, name, write):
    raw = tmp_path / "raw"
    if name == "sisfall":
        write(raw, [f"D{k:02d}_SA{s:02d}" for k in (1, 2, 3) for s in (1, 2, 3)], seconds=4)
    else:
        write(raw)
    one = datasets.build(name, raw, tmp_path / "one", workers=1)
    two = tmp_path / "two"
    code = f"from imujax import datasets; datasets.build({name!r}, {str(raw)!r}, {str(two)!r}, 2)"
    with child(code, folder=tmp_path) as process:  # another process: other hash seeds
        assert process.wait() == 0, process.stderr.read()
    assert hashes(one) == hashes(datasets.find(two, "/".join(one.parts[-3:-1])))
    assert len(hashes(one)) >= 4


def test_a_finished_build_returns_at_once_and_changed_files_are_named(tmp_path):
    raw = write_sisfall(tmp_path / "raw")
    path = datasets.build("sisfall", raw, tmp_path / "data")
    before = {p: p.stat().st_mtime_ns for p in path.iterdir()}
    began = time.monotonic()
    assert datasets.build("sisfall", raw, tmp_path / "data") == path
    assert time.monotonic() - began < 1
    assert {p: p.stat().st_mtime_ns for p in path.iterdir()} == before
    trial = raw / "SA01" / "D01_SA01_R01.txt"
    later = time.time() + 60
    os.utime(trial, (later, later))  # touched, but the same
    assert datasets.build("sisfall", raw, tmp_path / "data") == path
    trial.write_text(trial.read_text().replace("-256", "-257", 1))
    os.utime(trial, (later, later))
    with pytest.raises(UserError, match=r"D01_SA01_R01\.txt has changed"):
        datasets.build("sisfall", raw, tmp_path / "data")
    write_sisfall(raw, ["D02_SA01"])
    with pytest.raises(UserError, match="built from other raw files"):
        datasets.build("sisfall", raw, tmp_path / "data")


def child(code: str, **other) -> subprocess.Popen:
    """A process that runs `code` under a main guard, as the spawned workers need it."""
    script = pathlib.Path(other.pop("folder")) / "child.py"
    script.write_text(f"if __name__ == '__main__':\n    {code}\n")
    return subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, **other)


def test_a_killed_build_leaves_nothing_that_looks_finished(tmp_path):
    raw = write_sisfall(tmp_path / "raw", [f"D01_SA{s:02d}" for s in range(1, 13)], seconds=40)
    data = tmp_path / "data"
    code = f"from imujax import datasets; datasets.build('sisfall', {str(raw)!r}, {str(data)!r}, 2)"
    process = child(code, folder=tmp_path)
    while not list(data.rglob("*incomplete*/*array_record*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    time.sleep(0.2)
    listed = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    left = list(data.rglob("*incomplete*"))
    assert len(left) == 1
    with pytest.raises(UserError, match="there is nothing"):
        datasets.find(data, "sisfall/100hz_w128_s128")
    path = datasets.build("sisfall", raw, data)
    assert not list(data.rglob("*incomplete*"))
    assert datasets.info(path)["kept"] > 0
    for pid in listed:  # the workers have gone too: each watches its parent
        assert not pathlib.Path(f"/proc/{pid}").exists() or "Z" in _state(pid)


def _state(pid: str) -> str:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    raw = write_sisfall(tmp_path / "raw", seconds=200)
    data = tmp_path / "data"
    code = f"from imujax import datasets; datasets.build('sisfall', {str(raw)!r}, {str(data)!r}, 1)"
    small = (200_000, 200_000)  # bytes of one file
    process = child(
        code, folder=tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, small)
    )
    _, says = process.communicate(timeout=60)
    assert b"UserError: the disk of" in says and b"is full" in says
    assert not data.exists()


def test_a_disk_that_fills_while_raw_files_are_read(tmp_path, monkeypatch):
    raw = write_sisfall(tmp_path / "raw")

    def full(*args):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(sisfall, "examples", full)
    with pytest.raises(UserError, match="is full"):
        datasets.build("sisfall", raw, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_two_builds_of_one_data_set_do_not_meet(tmp_path):
    raw = write_sisfall(tmp_path / "raw")
    folder = tmp_path / "data" / "sisfall" / "100hz_w128_s128"
    folder.mkdir(parents=True)
    with datasets._alone(folder), pytest.raises(UserError, match="another build"):
        datasets.build("sisfall", raw, tmp_path / "data")


def edited(file: pathlib.Path, change):
    lines = file.read_text().split("\n")
    file.write_text("\n".join(change(lines)))


def column(index: int, value: str, rows=slice(10, 60)):
    """Overwrite one column (SisFall or IPOL) in some rows."""

    def change(lines):
        for i in range(len(lines))[rows]:
            comma = "," if "," in lines[i] else "\t"
            cells = lines[i].rstrip(";\r").split(comma)
            cells[index] = value
            lines[i] = comma.join(cells) + (";" if comma == "," else "")
        return lines

    return change


def still(lines):
    return ["0,-256,0,1,1,1,0,0,0;" for line in lines if line.strip()]


def degrees(lines):
    def row(cells):
        return [*cells[:4], *(f"{float(v) * 57.3:.5f}" for v in cells[4:7]), *cells[7:]]

    return lines[:2] + ["\t".join(row(x.split("\t"))) if x else x for x in lines[2:]]


SISFALL_ERRORS = [
    (lambda lines: [*lines[:300], lines[300][:12]], "the file is cut off"),
    (lambda lines: [*lines[:300], "1,2,3,4,5;", *lines[300:]], "columns changed from 9 to 5"),
    (lambda lines: ["1,2,3,4,5,6,7;" for _ in lines], "7 columns, expected 9"),
    (column(1, "x"), "could not convert string 'x'"),
    (column(1, "nan"), "50 samples that are not finite, the first at 0.05 s"),
    (still, "accelerometer is constant"),
    (lambda lines: [""], "the file is cut off"),
]


@pytest.mark.parametrize(("change", "says"), SISFALL_ERRORS)
def test_a_broken_sisfall_file_is_named_and_nothing_is_written(tmp_path, change, says):
    raw = write_sisfall(tmp_path / "raw")
    edited(raw / "SA01" / "D07_SA01_R01.txt", change)
    with pytest.raises(UserError, match=r"D07_SA01_R01\.txt") as error:
        datasets.build("sisfall", raw, tmp_path / "data")
    assert says in str(error.value)
    assert not (tmp_path / "data").exists()


def test_an_error_in_a_worker_process_is_the_same_sentence(tmp_path):
    raw = write_sisfall(tmp_path / "raw", [f"D01_SA{s:02d}" for s in range(1, 11)], seconds=3)
    edited(raw / "SA09" / "D01_SA09_R01.txt", still)
    with pytest.raises(UserError, match=r"D01_SA09_R01\.txt: sensor waist: acc.* is constant"):
        datasets.build("sisfall", raw, tmp_path / "data", workers=2)
    assert not (tmp_path / "data").exists()


IPOL_ERRORS = [
    (lambda lines: [*lines[:900], lines[900][:30]], "cut off"),
    (lambda lines: [*lines[:900], ""], "ends before the walk does"),
    (lambda lines: [*lines[:9], "1\t2\t3", *lines[9:]], "number of columns changed"),
    (lambda lines: [lines[0], lines[1][:-6], *lines[2:]], "the first two lines"),
    (lambda lines: ["Acquisition frequency: 50 Hz", *lines[1:]], "the first two lines"),
    (lambda lines: [*lines[:9], lines[10], lines[9], *lines[11:]], "goes back"),
    (column(2, "nan"), "50 samples that are not finite, the first at 0.08 s"),
    (degrees, "looks like deg/s"),
]


@pytest.mark.parametrize(("change", "says"), IPOL_ERRORS)
def test_a_broken_ipol_file_is_named_and_nothing_is_written(tmp_path, change, says):
    raw = write_ipol(tmp_path / "raw")
    edited(raw / "GaitData" / "2-1_lb.txt", change)
    with pytest.raises(UserError, match=r"2-1_lb\.txt") as error:
        datasets.build("ipol_gait", raw, tmp_path / "data", task="stance_time")
    assert says in str(error.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["sisfall", "ipol_gait"])
def test_a_folder_that_is_not_there_or_holds_something_else(tmp_path, name):
    with pytest.raises(UserError, match="no folder"):
        datasets.build(name, tmp_path / "nowhere", tmp_path / "data")
    (tmp_path / "raw" / "SA01").mkdir(parents=True)
    (tmp_path / "raw" / "SA01" / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match="unpack the archive"):
        datasets.build(name, tmp_path / "raw", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_missing_ipol_unit_and_a_broken_json_are_named(tmp_path):
    raw = write_ipol(tmp_path / "raw")
    (raw / "GaitData" / "2-1.json").write_text('{"Subject": 2}')
    with pytest.raises(UserError, match=r"2-1\.json: no description of a walk"):
        datasets.build("ipol_gait", raw, tmp_path / "data")
    (raw / "GaitData" / "1-1_rf.txt").unlink()
    with pytest.raises(UserError, match=r"1-1_rf\.txt is missing"):
        datasets.build("ipol_gait", raw, tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("sisfall", {"windw": 3}, "no option 'windw': this builder has rate, window, stride"),
        ("sisfall", {"window": "many"}, "window must be int"),
        ("sisfall", {"window": 12.5}, "window must be int"),
        ("sisfall", {"motion": 90.0}, "no example of .* was kept"),
        ("ipol_gait", {"task": "run"}, "task must be"),
        ("ipol_gait", {"sensors": "lb,hand"}, "sensors must be among lb, lf, rf"),
        ("ipol_gait", {"task": "stance_time", "stride": 3}, "no option 'stride'"),
        ("movi2", {}, "no builder 'movi2': there are ipol_gait, sisfall"),
    ],
)
def test_wrong_options_are_named(tmp_path, name, options, says):
    raw = (write_ipol if name == "ipol_gait" else write_sisfall)(tmp_path / "raw")
    with pytest.raises(UserError, match=says):
        datasets.build(name, raw, tmp_path / "data", **options)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["sisfall", "ipol_gait"])
def test_tfds_accepts_readme_tags_and_citation(name):
    module = importlib.import_module(f"imujax.data_builders.{name}.{name}_dataset_builder")
    about = module.Builder.get_metadata()  # raises for a tag that TFDS does not know
    assert about.tags and "@article" in about.citation and len(about.description) > 500
    assert module.Builder.name == name


def test_workers_import_neither_tfds_nor_jax():
    code = (
        "import sys, imujax.data_builders.workers, imujax.data_builders.sisfall.files, "
        "imujax.data_builders.ipol_gait.files;"
        "sys.exit(any(m in sys.modules for m in ('jax', 'tensorflow_datasets', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
