"""The SisFall builder, on folders written here and on a real file."""

import csv
import hashlib
import pathlib

import numpy as np
import pytest
from helpers.raw_files import (
    G,
    edit_lines,
    make_still,
    overwrite_column,
    unpack_members,
    write_sisfall,
)

from imujax.data import builders, datasets
from imujax.data_builders.sisfall import files as sisfall
from imujax.errors import UserError


def read(trial: pathlib.Path) -> list[list[int]]:
    """A SisFall trial by the csv module."""
    text = trial.read_text().replace(";", "")
    return [[int(v) for v in row] for row in csv.reader(text.split("\n")) if row]


def test_sisfall_counts_and_units_of_a_real_file(shared_data, tmp_path):
    names = ["SA01/D05_SA01_R01.txt"]
    raw = unpack_members(shared_data / "sisfall" / "SisFall_ADL_R01.tar.xz", names, tmp_path)
    text = (raw / names[0]).read_text()
    rows = [
        [int(v) for v in row[:9]] for row in csv.reader(text.replace(";", "").split("\n")) if row
    ]
    slow = np.array(rows, float)
    trial = sisfall.read_recording(raw / names[0])
    assert (trial.subject, trial.activity, trial.recording) == ("SA01", "D05", "D05_SA01_R01")
    np.testing.assert_allclose(trial.acc[:, 0], slow[:, :3] * 32 / 8192 * 9.80665)
    np.testing.assert_allclose(trial.gyr[:, 0], np.deg2rad(slow[:, 3:6] * 4000 / 65536))
    assert len(trial.acc) == 5000  # 25 s, as the description of the set says


def test_sisfall_windows_of_a_written_folder(tmp_path, capsys):
    raw = write_sisfall(tmp_path / "raw")
    path = builders.build("sisfall", raw, tmp_path / "data")
    assert path == tmp_path / "data" / "sisfall" / "100hz_w128_s128" / "1.0.0"
    data = datasets.read(path)
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
    path = builders.build("sisfall", raw, tmp_path / "data", rate="50", window=64, stride=16)
    assert path.parent.name == "50hz_w64_s16"
    data = datasets.read(path)
    assert data.acc.shape[1:] == (64, 1, 3) and data.info["rate"] == 50
    assert set(data.subject) == {"SA01", "SE02"}
    motion = builders.build("sisfall", raw, tmp_path / "data", motion=0.5)
    assert motion.parent.name == "100hz_w128_s128_m0.5"
    assert data.info["options"] == {"rate": 50.0, "window": 64, "stride": 16, "motion": 0.3}


SISFALL_ERRORS = [
    (lambda lines: [*lines[:300], lines[300][:12]], "the file is cut off"),
    (lambda lines: [*lines[:300], "1,2,3,4,5;", *lines[300:]], "columns changed from 9 to 5"),
    (lambda lines: ["1,2,3,4,5,6,7;" for _ in lines], "7 columns, expected 9"),
    (overwrite_column(1, "x"), "could not convert string 'x'"),
    (overwrite_column(1, "nan"), "50 samples that are not finite, the first at 0.05 s"),
    (make_still, "accelerometer is constant"),
    (lambda lines: [""], "the file is cut off"),
]


@pytest.mark.parametrize(("change", "says"), SISFALL_ERRORS)
def test_a_broken_sisfall_file_is_named_and_nothing_is_written(tmp_path, change, says):
    raw = write_sisfall(tmp_path / "raw")
    edit_lines(raw / "SA01" / "D07_SA01_R01.txt", change)
    with pytest.raises(UserError, match=r"D07_SA01_R01\.txt") as error:
        builders.build("sisfall", raw, tmp_path / "data")
    assert says in str(error.value)
    assert not (tmp_path / "data").exists()
