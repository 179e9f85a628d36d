"""Recordings in arrays, groups, sheets and channels: all give the windows of the plain file."""

import sys

import h5py
import numpy as np
import pytest
import scipy.io
from helpers.plain_layout import (
    CARD,
    NAMES,
    RATE,
    lines_of,
    make_values,
    read,
    require_equal,
    write,
)

from imujax.data_builders.tabular import proposal
from imujax.errors import UserError

INSTRUMENTS = {"ax": "acc(:,1)", "ay": "acc(:,2)", "az": "acc(:,3)"}
INSTRUMENTS |= {"gx": "gyr(:,1)", "gy": "gyr(:,2)", "gz": "gyr(:,3)"}


def card_for(suffix, names=INSTRUMENTS, above="", time="time", below=""):
    card = CARD.replace("*.csv", f"*.{suffix}").replace('"time"', f'"{time}"')
    for short, name in names.items():
        card = card.replace(f'"{short}"', f'"{below}{name}"')
    return above + card


# HDF5


def test_a_whole_hdf5_file_is_a_recording_of_columns_in_groups(tmp_path, plain):
    values = make_values()
    with h5py.File(tmp_path / "p1_walk.h5", "w") as file:
        file["Sensors/1234/time"] = values[:, 0]
        file["Sensors/1234/acc"] = values[:, 1:4]
        file["Sensors/9/gyr"] = values[:, 4:]
        file["note"] = "a text"
        file["Sensors/empty"] = h5py.SoftLink("/nowhere")
    places = {
        k: ("Sensors/1234/" if "acc" in v else "Sensors/9/") + v for k, v in INSTRUMENTS.items()
    }
    card = card_for("h5", places, time="Sensors/1234/time")
    require_equal(read(tmp_path, card), plain)
    with pytest.raises(UserError, match=r'no column "Sensors/9/acc\(:,1\)"; did you mean'):
        read(tmp_path, card.replace("Sensors/1234/acc", "Sensors/9/acc"))


def test_compound_data_sets_and_groups_that_an_expression_names(tmp_path, plain):
    values = make_values()
    with h5py.File(tmp_path / "all.h5", "w") as file:
        for name in ("p1", "p2"):
            rows = np.rec.fromarrays(values.T, names=NAMES)
            file.create_dataset(f"{name}/walk/imu", data=rows)
    names = {name: f"imu/{name}" for name in NAMES[1:]}
    card = card_for("h5", names, time="imu/time").split("\n", 3)
    table = "[hdf5]\ndataset = '(?P<subject>p\\d)/(?P<recording>walk)'\n"
    examples = read(tmp_path, "\n".join([card[1], table, card[3]]))
    assert {e["subject"] for e in examples} == {"p1", "p2"}
    require_equal([e for e in examples if e["subject"] == "p1"], plain)


def test_instruments_of_one_file_may_have_clocks_of_their_own(tmp_path, plain):
    """A group each, the gyroscope faster and earlier; then the same as columns side by side."""
    values, fast = make_values(), make_values()
    with h5py.File(tmp_path / "p1_walk.h5", "w") as file:
        file["acc/data"], file["acc/t"] = values[:, 1:4], values[:, 0] + 100
        file["gyr/data"], file["gyr/t"] = fast[:, 4:], values[:, 0] + 100
        file["late/data"], file["late/t"] = values[25:, 4:], values[25:, 0] + 100
    gyr = '{ columns = ["gyr/data(:,1)", "gyr/data(:,2)", "gyr/data(:,3)"], time = "gyr/t" }'
    card = card_for(
        "h5", {k: f"acc/data(:,{i})" for i, k in enumerate(NAMES[1:4], 1)}, time="acc/t"
    )
    card = card.replace('["gx", "gy", "gz"]', gyr)
    examples = read(tmp_path, card)
    for example in examples:
        example["start"] -= 100
    require_equal(examples, plain)
    late = read(tmp_path, card.replace("gyr/", "late/"))
    assert late[0]["start"] == pytest.approx(100.5)
    np.testing.assert_allclose(late[0]["acc"][:, 0], values[25:89, 1:4], atol=1e-5)
    np.testing.assert_allclose(late[0]["gyr"][:, 0], values[25:89, 4:], atol=1e-5)

    side_by_side = np.concatenate([values, values[:, :1]], axis=1)
    lines = lines_of(side_by_side, ["ta", *NAMES[1:], "tg"])
    lines += [f",,,,{x:.6f},{x:.6f},{x:.6f},{12 + x / 1e6:.6f}" for x in (0.0,)]
    raw = tmp_path / "csv"
    write(raw, lines)
    card = CARD.replace('"time"', '"ta"').replace(
        'gyr = ["gx", "gy", "gz"]', 'gyr = { columns = ["gx", "gy", "gz"], time = "tg" }'
    )
    require_equal(read(raw, card), plain)


# MATLAB


def test_struct_arrays_and_cells_of_matlab_are_named_as_matlab_does(tmp_path, plain):
    values = make_values()
    imu = np.zeros((1, 2), dtype=[("acc", object), ("t", object)])
    imu[0, 1] = values[:, 1:4], values[:, :1]
    cells = np.empty((2, 2), object)
    cells[1, 0] = {"gyr": values[:, 4:]}
    cells[0, 0] = cells[0, 1] = cells[1, 1] = np.zeros((2, 3))
    scipy.io.savemat(tmp_path / "p1_walk.mat", {"imu": imu, "c": cells})
    names = {k: ("imu(2)." if "acc" in v else "c{2,1}.") + v for k, v in INSTRUMENTS.items()}
    require_equal(read(tmp_path, card_for("mat", names, time="imu(2).t")), plain)


def test_variables_of_matlab_that_are_recordings(tmp_path, plain):
    values = make_values()
    trial = np.zeros((1, 3), dtype=[("time", object), ("acc", object), ("gyr", object)])
    for k in range(3):
        part = values[k : len(values) - 7 * k]
        trial[0, k] = part[:, :1], part[:, 1:4], part[:, 4:]
    scipy.io.savemat(tmp_path / "all.mat", {"p1": {"trial": trial}, "p2": {"note": "x"}})
    table = "[mat]\nvariable = '(?P<subject>p\\d)\\.trial\\((?P<recording>\\d)\\)'\n"
    lines = card_for("mat").split("\n", 3)
    card = "\n".join([lines[1], table, lines[3]])
    examples = read(tmp_path, card)
    assert {e["recording"] for e in examples} == {"1", "2", "3"}
    first = [e | {"recording": "walk"} for e in examples if e["recording"] == "1"]
    require_equal(first, plain)
    with pytest.raises(UserError, match=r'no variable is called as "mat.variable" says'):
        read(tmp_path, card.replace("trial", "run"))
    scipy.io.savemat(tmp_path / "all.mat", {"p1": {"trial": trial[:, :1]}})
    once = card.replace("trial\\((?P<recording>\\d)\\)", "(?P<recording>trial)")
    assert {e["recording"] for e in read(tmp_path, once)} == {"trial"}


def test_cells_of_matrices_are_recordings_too(tmp_path, plain):
    values = make_values()
    data = np.empty((1, 2), object)
    data[0, 0], data[0, 1] = values, values[::-1]
    scipy.io.savemat(tmp_path / "all.mat", {"data": data})
    names = {name: f"(:,{k})" for k, name in enumerate(NAMES[1:], 2)}
    lines = card_for("mat", names, time="(:,1)").split("\n", 3)
    table = "[mat]\nvariable = 'data\\{(?P<recording>1)\\}'\n"
    examples = read(tmp_path, "\n".join([lines[1], 'subject = "p1"', table, lines[3]]))
    require_equal([e | {"recording": "walk"} for e in examples], plain)


# Sheets and channels


def test_a_sheet_of_a_workbook(tmp_path, plain):
    openpyxl = pytest.importorskip("openpyxl", reason="is in the extra `test`")
    book = openpyxl.Workbook()
    book.active.title = "about"
    book.active.append(["logger", "L5"])
    sheet = book.create_sheet("data")
    sheet.append(["Trial 1"])
    sheet.append(NAMES)
    for row in make_values():
        sheet.append([float(x) for x in row])
    book.save(tmp_path / "p1_walk.xlsx")
    above = 'sheet = "data"\nskip_rows = 1\n'
    require_equal(read(tmp_path, card_for("xlsx", {}, above)), plain)
    with pytest.raises(UserError, match='there is no sheet "dat"; did you mean "data"'):
        read(tmp_path, card_for("xlsx", {}, above.replace('"data"', '"dat"')))
    (tmp_path / "p1_walk.xlsx").write_bytes((tmp_path / "p1_walk.xlsx").read_bytes()[:3000])
    with pytest.raises(UserError, match="cannot be read, damaged or incomplete"):
        read(tmp_path, card_for("xlsx", {}, above))


def test_analogue_channels_of_c3d(tmp_path, plain):
    ezc3d = pytest.importorskip("ezc3d", reason="is in the extra `test`")
    values, file = make_values(), ezc3d.c3d()
    analog, point = file["parameters"]["ANALOG"], file["parameters"]["POINT"]
    analog["RATE"]["value"], point["RATE"]["value"] = [RATE], [RATE / 2]
    analog["LABELS"]["value"] = ["imu"] * 6 + ["Fz"]
    analog["UNITS"]["value"] = [""] * 7
    channels = np.concatenate([values[:, 1:], values[:, :1]], axis=1).T
    file["data"]["analogs"] = channels[None]
    file["data"]["points"] = np.zeros((4, 0, len(values) // 2))
    file.write(str(tmp_path / "p1_walk.c3d"))
    names = {name: "imu" if k == 1 else f"imu#{k}" for k, name in enumerate(NAMES[1:], 1)}
    card = card_for("c3d", names)
    require_equal(read(tmp_path, card), plain)
    content = (tmp_path / "p1_walk.c3d").read_bytes()
    for count in (len(content) // 2, len(content) - 600, 700, 100):
        (tmp_path / "p1_walk.c3d").write_bytes(content[:count])
        with pytest.raises(UserError, match=r"is cut off|cannot be read|no analogue"):
            read(tmp_path, card)


def test_a_package_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "p1_walk.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(UserError, match=r"needs the package openpyxl.*pip install"):
        read(tmp_path, card_for("xlsx", {}))


# Two versions of an export


def test_one_card_reads_two_versions_of_an_export(tmp_path, plain):
    values = make_values()
    write(tmp_path, lines_of(values), "p1_walk.csv")
    newer = ["Recorded by L5", "Rate: 50", *lines_of(values, ["time (s)", *NAMES[1:]])]
    write(tmp_path, newer, "p1_run.csv")
    above = 'header_has = ["time", "time (s)"]\nalias = { time = "time (s)" }\n'
    examples = read(tmp_path, above + CARD)
    for name in ("walk", "run"):
        ours = [e | {"recording": "walk"} for e in examples if e["recording"] == name]
        require_equal(ours, plain)
    with pytest.raises(UserError, match='none of its first 1000 lines has a column "t"'):
        read(tmp_path, above.replace('["time", "time (s)"]', '"t"') + CARD)
    with pytest.raises(UserError, match='there is no column "time"'):
        read(tmp_path, above.replace('"time (s)" }', '"t" }') + CARD)


def test_a_card_is_proposed_for_groups_of_hdf5(tmp_path, plain):
    values = make_values()
    with h5py.File(tmp_path / "p1_walk.h5", "w") as file:
        file["waist/time"] = values[:, 0]
        file["waist/accelerometer"], file["waist/gyroscope"] = values[:, 1:4], values[:, 4:]
    card = proposal.propose_card(tmp_path)
    examples = read(tmp_path, card.replace("rate = 100", "rate = 50").replace("= 128", "= 64"))
    assert examples and examples[0]["subject"] == "p1", card
