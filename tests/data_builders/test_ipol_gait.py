"""The builder of the IPOL gait set, on folders written here and on real files."""

import csv
import json

import numpy as np
import pytest
from helpers.raw_files import (
    convert_to_degrees,
    edit_lines,
    overwrite_column,
    unpack_members,
    write_ipol,
)

from imujax.data import builders, datasets
from imujax.data_builders.ipol_gait import files as ipol
from imujax.errors import UserError


def test_ipol_walk_of_a_real_file(shared_data, tmp_path):
    names = [f"GaitData/11-1{end}" for end in (".json", "_lb.txt", "_lf.txt", "_rf.txt")]
    raw = unpack_members(shared_data / "ipol_gait" / "ipol_GaitData.tar.xz", names, tmp_path)
    options = ipol.complete_options({})
    (item,) = ipol.list_items(raw, options)
    pieces, _, counts = ipol.read_walk(item)
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


def test_ipol_events_are_packet_counts(shared_data, tmp_path):
    names = [f"GaitData/12-3{end}" for end in (".json", "_lf.txt")]
    raw = unpack_members(shared_data / "ipol_gait" / "ipol_GaitData.tar.xz", names, tmp_path)
    description = json.loads((raw / names[0]).read_text())
    values = ipol.read_unit(raw / names[1])
    speed = np.log(np.linalg.norm(values[:, 4:7], axis=1) + 0.05)

    def agreement(index):
        swing = np.zeros(len(values), bool)
        for begin, end in description["LeftFootEvents"]:
            swing |= (index >= begin) & (index < end)
        return np.corrcoef(swing, speed)[0, 1]

    assert agreement(values[:, 0]) > 0.55 > 0.4 > agreement(np.arange(len(values)))


def test_ipol_windows_never_straddle_a_gap(tmp_path):
    lost = {500, 501, 502, *range(1203, 1211)}
    raw = write_ipol(tmp_path / "raw", lost=lost)
    path = builders.build("ipol_gait", raw, tmp_path / "data", stride=10)
    data = datasets.read(path)
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
    one = builders.build("ipol_gait", raw, tmp_path / "data", sensors="rf,lb")
    assert datasets.read_metadata(one)["sensors"] == ["rf", "lb"]
    assert one.parent.name == "windows_100hz_w128_s128_rf_lb"


def test_ipol_steps_have_their_stance_time(tmp_path):
    raw = write_ipol(tmp_path / "raw", walks=("3-1",), lost={0, 1, 2, *range(1203, 1211)})
    path = builders.build("ipol_gait", raw, tmp_path / "data", task="stance_time")
    assert path.parent.name == "stance_time_100hz_b32_a96"
    data = datasets.read(path)
    assert data.info["targets"] == [{"name": "stance time", "unit": "s"}]
    assert data.acc.shape[1:] == (128, 1, 3) and data.info["sensors"] == ["lb"]
    np.testing.assert_allclose(data.target, 0.6, atol=1e-6)
    strikes = np.round(data.start * 100).astype(int) + 32
    strikes_inside = [s for side in (240, 290) for s in range(side, side + 1400, 100)]
    kept = [s for s in sorted(strikes_inside) if s + 96 <= 1203 or s - 32 >= 1211]
    assert sorted(strikes) == kept
    left = "steps whose window leaves the recording or meets a gap"
    assert data.info["dropped"] == {left: len(strikes_inside) - len(kept)}
    turn = (strikes < 1050) & (strikes + 60 > 900)
    np.testing.assert_array_equal(data.condition == "turn", turn)
    assert set(data.subject) == {"S03"} and set(data.activity) == {"walking"}


def test_ipol_drops_implausible_steps(tmp_path):
    raw = write_ipol(tmp_path / "raw", walks=("3-1",))
    file = raw / "GaitData" / "3-1.json"
    description = json.loads(file.read_text())
    description["LeftFootEvents"] = [[150, 190], [220, 240], [260, 300], [560, 600], [660, 700]]
    description["RightFootEvents"] = []
    file.write_text(json.dumps(description))
    _, dropped, _ = ipol.read_examples(
        ipol.list_items(raw, {})[0], ipol.complete_options({"task": "stance_time"})
    )
    assert dropped == {
        "steps outside the trial": 1,
        "steps with a stance below 0.3 s or above 2.0 s": 2,
    }


IPOL_ERRORS = [
    (lambda lines: [*lines[:900], lines[900][:30]], "cut off"),
    (lambda lines: [*lines[:900], ""], "ends before the walk does"),
    (lambda lines: [*lines[:9], "1\t2\t3", *lines[9:]], "number of columns changed"),
    (lambda lines: [lines[0], lines[1][:-6], *lines[2:]], "the first two lines"),
    (lambda lines: ["Acquisition frequency: 50 Hz", *lines[1:]], "the first two lines"),
    (lambda lines: [*lines[:9], lines[10], lines[9], *lines[11:]], "goes back"),
    (overwrite_column(2, "nan"), "50 samples that are not finite, the first at 0.08 s"),
    (convert_to_degrees, "the gyroscope is in deg/s"),
]


@pytest.mark.parametrize(("change", "says"), IPOL_ERRORS)
def test_a_broken_ipol_file_is_named_and_nothing_is_written(tmp_path, change, says):
    raw = write_ipol(tmp_path / "raw")
    edit_lines(raw / "GaitData" / "2-1_lb.txt", change)
    with pytest.raises(UserError, match=r"2-1_lb\.txt") as error:
        builders.build("ipol_gait", raw, tmp_path / "data", task="stance_time")
    assert says in str(error.value)
    assert not (tmp_path / "data").exists()


def test_a_missing_ipol_unit_and_a_broken_json_are_named(tmp_path):
    raw = write_ipol(tmp_path / "raw")
    (raw / "GaitData" / "2-1.json").write_text('{"Subject": 2}')
    with pytest.raises(UserError, match=r"2-1\.json: no description of a walk"):
        builders.build("ipol_gait", raw, tmp_path / "data")
    (raw / "GaitData" / "1-1_rf.txt").unlink()
    with pytest.raises(UserError, match=r"1-1_rf\.txt is missing"):
        builders.build("ipol_gait", raw, tmp_path / "data")
