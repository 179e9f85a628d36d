"""Files as other people have them: what a card says to them, and what is told or refused."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import scipy.io
from helpers.plain_layout import (
    CARD,
    COUNT,
    NAMES,
    RATE,
    lines_of,
    make_values,
    read,
    require_equal,
    write,
)

from imujax.data import doubts
from imujax.errors import UserError


def test_stamps_in_a_format_of_ones_own_ticks_and_wraps(tmp_path, plain):
    values = make_values()
    rows = [line.split(",", 1)[1] for line in lines_of(values)[1:]]
    begin = datetime.datetime(2024, 1, 31, 14, 5, tzinfo=datetime.UTC)
    ways = {
        "%d/%m/%Y %H:%M:%S.%f": lambda t: (
            f"{begin + datetime.timedelta(seconds=t):%d/%m/%Y %H:%M:%S.%f}"
        ),
        "%m/%d/%Y %I:%M:%S.%f %p": lambda t: (
            f"{begin + datetime.timedelta(seconds=t):%m/%d/%Y %I:%M:%S.%f %p}"
        ),
        "ISO 8601": lambda t: f"{begin + datetime.timedelta(seconds=t):%Y-%m-%d %H:%M:%S.%f} UTC",
        1e-4: lambda t: f"{round(t * 1e4)}",
        "us": lambda t: f"{round(t * 1e6 + 2**32 - 5e6) % 2**32}",
    }
    for unit, show in ways.items():
        lines = [f"{show(t)},{row}" for t, row in zip(values[:, 0], rows, strict=True)]
        write(tmp_path, [",".join(NAMES), *lines])
        wrap = "\nwrap = 4294967296" if unit == "us" else ""
        clock = f'column = "time"\nunit = {json.dumps(unit)}{wrap}'
        examples = read(tmp_path, CARD.replace('column = "time"', clock))
        offset = examples[0]["start"] - plain[0]["start"]
        for example in examples:
            example["start"] = round(float(example["start"] - offset), 2)  # of float32
        require_equal(examples, plain, tolerance=1e-3)
    with pytest.raises(UserError, match="no format of strptime"):
        read(tmp_path, CARD.replace('column = "time"', 'column = "time"\nunit = "%Q"'))


def test_stamps_of_two_zones_are_refused(tmp_path):
    values = make_values()
    write(
        tmp_path,
        lines_of(values)[:1]
        + [
            f"2024-01-31T14:00:{12 + t:09.6f},{row}"
            for t, row in zip(
                values[:, 0], (x.split(",", 1)[1] for x in lines_of(values)[1:]), strict=True
            )
        ],
        "p1_walk.csv",
    )
    write(tmp_path, ["when,force", "2024-01-31T15:00:14.000+01:00,1"], "labels.txt")
    card = CARD.replace('column = "time"', 'column = "time"\nunit = "ISO 8601"').replace(
        "motion = 0", ""
    )
    card += '[labels]\nfile = "labels.txt"\nformat = "csv"\ntime = "when"\ntime_unit = "ISO 8601"\n'
    card += 'targets = [{ column = "force", unit = "N" }]\n'
    with pytest.raises(UserError, match="have a time zone, and those of the recording have none"):
        read(tmp_path, card)


@pytest.mark.parametrize(("sample", "late"), [("first", 0.0), ("middle", -1.5), ("last", -3.0)])
def test_a_block_has_the_stamp_of_the_sample_that_the_card_says(tmp_path, plain, sample, late):
    """Blocks of four, stamped with their first, their middle or their last sample."""
    values = make_values()
    stamps = values[np.arange(COUNT) // 4 * 4, 0]
    values[:, 0] = stamps - late / RATE
    write(tmp_path, lines_of(values))
    card = CARD.replace('column = "time"', f'column = "time"\nspread = "{sample}"')
    require_equal(read(tmp_path, card), plain, tolerance=0.02)


def test_rows_that_were_written_twice_are_left_out_and_counted(tmp_path, plain):
    lines = lines_of(make_values())
    for repeated in (
        [*lines[:300], lines[299], *lines[300:]],
        [x for x in lines for _ in "ab"][1:],
    ):
        write(tmp_path, repeated)
        require_equal(read(tmp_path, CARD), plain)
    other = lines[300].replace(lines[300].split(",")[1], "1.0")
    write(tmp_path, [*lines[:301], other, *lines[301:]])
    with pytest.raises(UserError, match="two samples for one moment: leave one of the two out, or"):
        read(tmp_path, CARD)
    with pytest.raises(UserError, match=r"nothing to spread$"):
        read(tmp_path, CARD.replace('column = "time"', 'column = "time"\nspread = true'))


def test_marks_for_missing_values_are_read_as_such_or_refused(tmp_path, plain):
    values = make_values()
    lines = lines_of(values)
    for rows, mark, word in (((100, 250), "-999", "-999"), ((70,), "-", '"-"')):
        marked = list(lines)
        for row in rows:
            marked[row + 1] = ",".join([lines[row + 1].split(",")[0], *[mark] * 6])
        write(tmp_path, marked)
        with pytest.raises(UserError, match=r"missing"):
            read(tmp_path, CARD)
        gap = CARD.replace('column = "time"', 'column = "time"\nmax_gap = 0.1')
        examples = read(tmp_path, f"missing = {word}\n" + gap)
        require_equal(examples, plain, tolerance=8.0)  # interpolated there
        np.testing.assert_allclose(examples[2]["acc"], plain[2]["acc"], atol=2e-5)


def test_marks_have_all_their_digits_and_go_for_matlab_too(tmp_path, plain):
    values = make_values()
    values[70:72, 1:] = 99999999
    scipy.io.savemat(
        tmp_path / "p1_walk.mat", {"p1": {n: values[:, [i]] for i, n in enumerate(NAMES)}}
    )
    card = CARD.replace("*.csv", "*.mat").replace(
        "match = '(?P<subject>\\w+?)_(?P<recording>\\w+)'", ""
    )
    card = card.replace('column = "time"', 'column = "time"\nmax_gap = 0.1')
    above = "[mat]\nvariable = '(?P<subject>p1)'\n"
    files, rest = card.strip().split("\n", 1)
    examples = read(tmp_path, f"{files}\nmissing = 99999999\n{above}{rest}")
    np.testing.assert_allclose(examples[2]["acc"], plain[2]["acc"], atol=1e-5)
    assert np.abs(examples[1]["acc"]).max() < 100
    with pytest.raises(UserError, match="mark for missing values"):
        read(tmp_path, f"{files}\n{above}{rest}")
    with pytest.raises(UserError, match=r'"where" and "alias" are for tables'):
        read(tmp_path, f'{files}\nwhere = {{ a = "b" }}\n{above}{rest}')


def test_sensors_may_share_columns(tmp_path):
    """Seven columns, which are no triples."""
    values = make_values()
    write(tmp_path, lines_of(np.concatenate([values, values[:, 6:]], axis=1), [*NAMES, "h"]))
    other = '[sensors.other]\nacc = ["ax", "ay", "az"]\ngyr = ["gx", "gy", "h"]\n[window]'
    examples = read(tmp_path, CARD.replace("[window]", other))
    np.testing.assert_allclose(examples[0]["gyr"][:, 1], values[:64, 4:], atol=1e-5)


def test_thousands_and_an_end_at_a_blank_line(tmp_path, plain):
    values = make_values()
    values[:, 1:4] *= 1000
    lines = [
        ",".join(
            [f"{row[0]:.6f}", *(f'"{x:,.4f}"' for x in row[1:4]), *(f"{x:.6f}" for x in row[4:])]
        )
        for row in values
    ]
    write(tmp_path, [",".join(NAMES), *lines, "", "Trajectories", "1,2"])
    card = CARD.replace('acc = "m/s^2"', 'acc = "m/s^2"\nacc_factor = 0.001')
    with pytest.raises(UserError, match='Say thousands = ","'):
        read(tmp_path, "until_blank = true\n" + card)
    require_equal(read(tmp_path, 'until_blank = true\nthousands = ","\n' + card), plain)


def test_rows_of_both_instruments_in_one_table(tmp_path, plain):
    """timestamp, sensor, x, y, z: each instrument has its rows, and a clock by them."""
    values = make_values()
    lines = ["t,sensor,x,y,z"]
    for row in values:
        lines += [f"{row[0]:.6f},ACC," + ",".join(f"{v:.6f}" for v in row[1:4])]
        lines += [f"{row[0]:.6f},GYR," + ",".join(f"{v:.6f}" for v in row[4:])]
    write(tmp_path, lines)
    table = '{{ columns = ["x", "y", "z"], time = "t", where = {{ sensor = "{}" }} }}'
    card = CARD.replace('"time"', '"t"').replace('["ax", "ay", "az"]', table.format("ACC"))
    card = card.replace('["gx", "gy", "gz"]', table.format("GYR"))
    require_equal(read(tmp_path, card), plain)
    with pytest.raises(UserError, match='in no row "sensor" is MAG; there are "ACC", "GYR"'):
        read(tmp_path, card.replace("ACC", "MAG"))


def test_a_file_that_two_recordings_take_a_sensor_from_is_refused(tmp_path):
    values = make_values()
    for name in ("p1", "p2"):
        write(tmp_path, lines_of(values[:, :4], NAMES[:4]), f"{name}_acc.csv")
        write(tmp_path, lines_of(values[:, [0, 4, 5, 6]], ["time", *NAMES[4:]]), f"{name}_gyr.csv")
    gyr = 'gyr = {{ file = "{}", columns = ["gx", "gy", "gz"], time = "time" }}'
    card = CARD.replace("*.csv", "*_acc.csv")
    with pytest.raises(UserError, match=r"take a sensor from one file.*put braces into"):
        read(tmp_path, card.replace('gyr = ["gx", "gy", "gz"]', gyr.format("p1_gyr.csv")))
    both = read(tmp_path, card.replace('gyr = ["gx", "gy", "gz"]', gyr.format("{subject}_gyr.csv")))
    assert {e["subject"] for e in both} == {"p1", "p2"}


def test_two_files_of_one_layout_are_described_once_and_may_begin_apart(tmp_path, plain):
    """Delimiter and lines above go for the gyroscope's file too; its clock is late."""
    values = make_values()
    for columns, name, late in (([1, 2, 3], "acc", 0.0), ([4, 5, 6], "gyr", 0.4)):
        rows = values[:, [0, *columns]].copy()
        rows[:, 0] += late
        lines = lines_of(rows, ["time", "x", "y", "z"], ";")
        write(tmp_path, ["Recorder", *lines], f"p1_{name}.csv")
    card = 'delimiter = ";"\nskip_rows = 1\n' + CARD.replace("*.csv", "*_acc.csv")
    card = card.replace('["ax", "ay", "az"]', '["x", "y", "z"]').replace(
        'gyr = ["gx", "gy", "gz"]',
        'gyr = { file = "p1_gyr.csv", columns = ["x", "y", "z"], time = "time", shift = -0.4 }',
    )
    examples = [e | {"recording": "walk"} for e in read(tmp_path, card)]
    require_equal(examples, plain)


def test_nested_columns_have_names_too(tmp_path, plain):
    values = make_values()
    acc = [dict(zip("xyz", row, strict=True)) for row in values[:, 1:4].tolist()]
    table = pa.table({"time": values[:, 0], "acc": acc, "gyr": values[:, 4:].tolist()})
    names = {"ax": "acc.x", "ay": "acc.y", "az": "acc.z"}
    names |= {f"g{a}": f"gyr(:,{i})" for i, a in enumerate("xyz", 1)}
    card = CARD
    for old, new in names.items():
        card = card.replace(f'"{old}"', f'"{new}"')
    pyarrow.parquet.write_table(table, tmp_path / "p1_walk.parquet")
    require_equal(read(tmp_path, card.replace("csv", "parquet")), plain)
    (tmp_path / "p1_walk.parquet").unlink()
    rows = [
        {"time": t, "acc": a, "gyr": w}
        for t, a, w in zip(values[:, 0].tolist(), acc, values[:, 4:].tolist(), strict=True)
    ]
    (tmp_path / "p1_walk.jsonl").write_text("\n".join(map(json.dumps, rows)))
    require_equal(read(tmp_path, card.replace("csv", "jsonl")), plain)
    (tmp_path / "p1_walk.jsonl").unlink()
    kinds = [("time", float), ("acc", float, 3), ("gyr", float, 3)]
    imu = np.array([(r[0], r[1:4], r[4:]) for r in values], kinds)
    np.savez(tmp_path / "p1_walk.npz", imu=imu)
    card = CARD.replace('"time"', '"imu.time"')
    for i, axis in enumerate("xyz", 1):
        card = card.replace(f'"a{axis}"', f'"imu.acc(:,{i})"').replace(
            f'"g{axis}"', f'"imu.gyr(:,{i})"'
        )
    require_equal(read(tmp_path, card.replace("csv", "npz")), plain)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda v: v.__setitem__(np.s_[100:150, 1:], 0.0),
            "reads 0 in all axes for 1.00 s from 2.00",
        ),
        (
            lambda v: v.__setitem__(np.s_[100:160, 1:], v[100, 1:]),
            "not one reading changes for 1.18 s",
        ),
        (
            lambda v: v.__setitem__(np.s_[:, 1:4], np.clip(v[:, 1:4], -15, 15)),
            "accelerometer is clipped",
        ),
        (
            lambda v: v.__setitem__(np.s_[:, 4:], np.clip(v[:, 4:], -2, 2)),
            "gyroscope is clipped in",
        ),
    ],
)
def test_what_no_movement_makes_is_told(tmp_path, spoil, says):
    values = make_values()
    spoil(values)
    acc, gyr = values[:, None, 1:4], values[:, None, 4:]
    told = list(doubts.list_doubts(acc[:, 0], gyr[:, 0], RATE, 0.0))
    assert [says in sentence for sentence in told].count(True) == 1
    clean = make_values()
    assert not list(doubts.list_doubts(clean[:, 1:4], clean[:, 4:], RATE, 0.0))
