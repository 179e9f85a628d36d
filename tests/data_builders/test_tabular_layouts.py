"""One recording in the layouts of many devices: all of them give the windows of the plain file."""

import csv
import datetime
import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest
from helpers.moving import moving_unit
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
from helpers.tabular_files import read_all_examples

from imujax.data import builders, datasets
from imujax.data.gravity import G
from imujax.data_builders import picture
from imujax.data_builders.tabular import proposal
from imujax.errors import UserError

DEGREE = np.pi / 180


def test_the_plain_file_is_what_was_measured(plain):
    values = make_values()
    for k, example in enumerate(plain):
        rows = values[64 * k : 64 * (k + 1)]
        np.testing.assert_allclose(example["acc"][:, 0], rows[:, 1:4], atol=1e-5)
        np.testing.assert_allclose(example["gyr"][:, 0], rows[:, 4:], atol=1e-5)
        assert example["start"] == pytest.approx(64 * k / RATE)


# Text


def with_units(lines):
    return [lines[0], "s,m/s^2,m/s^2,m/s^2,rad/s,rad/s,rad/s", *lines[1:]]


def with_comments(lines):
    return ["# logger", *lines[:300], "  # battery 3.7 V", *lines[300:], "# end"]


def in_two_rows(lines):
    upper = ["time", *["left"] * 3, *["right"] * 3]
    return [",".join(upper), ",x,y,z,x,y,z", *lines[1:]]


TEXTS = {
    "units row": (with_units, {}, "unit_rows = 1\n"),
    "comments": (with_comments, {}, 'comment = "#"\n'),
    "sep": (lambda x: ["sep=;", *(line.replace(",", ";") for line in x)], {}, ""),
    "title": (lambda x: ["Trial 1", "", *x], {}, "skip_rows = 2\n"),
    "footer": (lambda x: [*x, "End of recording, 600 samples"], {}, "footer_rows = 1\n"),
    "trailing": (lambda x: [x[0], *(line + "," for line in x[1:])], {}, ""),
    "trailing everywhere": (lambda x: [line + "," for line in x], {}, ""),
    "blanks around names": (lambda x: [x[0].replace(",", " , "), *x[1:]], {}, ""),
    "blanks in runs": (
        lambda x: ["".join(f"{word:>14}" for word in line.split(",")) for line in x],
        {},
        'delimiter = "blanks"\n',
    ),
    "blanks as they are called": (
        lambda x: ["".join(f"{word:>14}" for word in line.split(",")) for line in x],
        {},
        'delimiter = " "\n',
    ),
    "one blank": (lambda x: [line.replace(",", " ") for line in x], {}, 'delimiter = "blanks"\n'),
    "quotes": (lambda x: [",".join(f'"{word}"' for word in x[0].split(",")), *x[1:]], {}, ""),
    "comma": (
        lambda x: [line.replace(",", ";").replace(".", ",") for line in x],
        {},
        'delimiter = ";"\ndecimal = ","\n',
    ),
    "CR LF": (lambda x: x, {"end": "\r\n"}, ""),
    "CR": (lambda x: x, {"end": "\r"}, ""),
    "UTF-16": (lambda x: x, {"encoding": "utf-16"}, ""),
    "UTF-8 with a mark": (lambda x: x, {"encoding": "utf-8-sig"}, ""),
    "no names": (lambda x: x[1:], {}, f"names = {NAMES}\n".replace("'", '"')),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_of_every_kind(tmp_path, plain, name):
    change, how, keys = TEXTS[name]
    write(tmp_path, change(lines_of(make_values())), **how)
    require_equal(read(tmp_path, keys + CARD), plain)


def test_names_in_two_rows_and_names_that_repeat(tmp_path, plain):
    write(tmp_path, in_two_rows(lines_of(make_values())))
    two = CARD.replace('["ax", "ay", "az"]', '["left/x", "left/y", "left/z"]')
    two = two.replace('["gx", "gy", "gz"]', '["right/x", "right/y", "right/z"]')
    require_equal(read(tmp_path, "header_rows = 2\n" + two), plain)
    again = CARD.replace('["ax", "ay", "az"]', '["x#1", "y#1", "z#1"]')
    again = again.replace('["gx", "gy", "gz"]', '["x#2", "y#2", "z#2"]')
    again = again.replace('column = "time"', "rate = 50")
    require_equal(read(tmp_path, "skip_rows = 1\n" + again), plain)
    with pytest.raises(UserError, match='asks for column 3 of the name "x", and there are 2'):
        read(tmp_path, "skip_rows = 1\n" + again.replace("x#2", "x#3"))


def test_arrays_of_numpy(tmp_path, plain):
    values = make_values()
    np.savez(tmp_path / "p1_walk.npz", t=values[:, 0], a=values[:, 1:4], w=values[:, 4:])
    card = CARD.replace("*.csv", "*.npz").replace('column = "time"', 'column = "t"')
    card = card.replace('["ax", "ay", "az"]', '["a(:,1)", "a(:,2)", "a(:,3)"]')
    card = card.replace('["gx", "gy", "gz"]', '["w(:,1)", "w(:,2)", "w(:,3)"]')
    require_equal(read(tmp_path, card), plain)


def test_tables_of_arrow_and_opensim(tmp_path, plain):
    values = make_values()
    table = pa.table(dict(zip(NAMES, values.T, strict=True)))
    pyarrow.feather.write_feather(table, tmp_path / "p1_walk.feather")
    rows = [json.dumps(dict(zip(NAMES, row, strict=True))) for row in values.tolist()]
    write(tmp_path, rows, "p1_walk.jsonl")
    head = ["walk", "version=1", "nRows=600", "nColumns=7", "inDegrees=no", "", "endheader"]
    write(tmp_path, [*head, *lines_of(values, delimiter="\t")], "p1_walk.sto")
    for end in ("feather", "jsonl", "sto"):
        require_equal(read(tmp_path, CARD.replace("*.csv", f"*.{end}")), plain)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (with_units, r'line 2 is text in column ".*": a line of units.*unit_rows = 1'),
        (with_comments, r'there is no column .*"# logger": comments\? Say comment = "#"'),
        (lambda x: [*x[:9], "# 3.7 V", *x[9:]], r'line 10 has 1 of 7 .* comment = "#"'),
        (lambda x: [*x, "End, 600"], r"line 602, the last one, has 2 of 7 .*footer_rows = 1"),
        (lambda x: [*x, "12.0,1,2,3"], r"line 602, the last one, has 4 of 7 .* cut off there"),
        (lambda x: [*x[:4], x[4].replace("0.06", "oops"), *x[5:]], 'line 5 is text .*"oops0000"'),
        (lambda x: x[:1], "the table has no rows"),
        (lambda x: ["", *x], "line 1 should hold the column names, but is empty"),
        (lambda x: ["x" * 200_000 + "," + x[0], *x[1:]], "there is no column"),
    ],
)
def test_what_is_no_table_is_said_by_its_line(tmp_path, change, says):
    write(tmp_path, change(lines_of(make_values())))
    with pytest.raises(UserError, match=says) as error:
        read(tmp_path)
    assert "damaged" not in str(error.value) and "incomplete" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("p1_a.csv", b"version https://git-lfs.github.com/spec/v1\noid", "pointer of Git LFS"),
        ("p1_a.xls", b"\xd0\xcf", "is a workbook: save it as .xlsx"),
        ("p1_a.npz", b"PK\x03\x04", "cannot be read"),
    ],
)
def test_what_stands_for_something_else_is_named(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=says):
        read(tmp_path, CARD.replace("*.csv", "*"))


def test_a_comment_mark_that_the_file_cannot_hold_marks_nothing(tmp_path, plain):
    write(tmp_path, [*lines_of(make_values()), "\u00e9"], encoding="latin-1")
    require_equal(read(tmp_path, 'footer_rows = 1\ncomment = "\u2192"\n' + CARD), plain)


def test_numbers_alone_have_no_stamps_of_text(tmp_path):
    card = CARD.replace('column = "time"', 'column = "time"\nunit = "ISO 8601"')
    with pytest.raises(UserError, match="stamps of text are for tables"):
        read(tmp_path, card + '[hdf5]\ndataset = "walk"\ncolumns = "names"\n')


# Clocks


def iso(seconds):
    zero = datetime.datetime(2026, 1, 5, 23, 59, 55, tzinfo=datetime.UTC)
    return (zero + datetime.timedelta(seconds=float(seconds))).isoformat()


def of_day(seconds):
    return iso(seconds)[11:].removesuffix("+00:00")


CLOCKS = {
    "us": (lambda t: f"{412345678 + round(t * 1e6)}", 'unit = "us"'),
    "ns since 1970": (lambda t: f"{1767600000000000000 + round(t * 1e9)}", 'unit = "ns"'),
    "ms since 1970": (lambda t: f"{1767600000000 + round(t * 1e3)}", 'unit = "ms"'),
    "days of Excel": (lambda t: f"{46027.5 + t / 86400:.12f}", 'unit = "days"'),
    "ISO 8601": (iso, 'unit = "ISO 8601"'),
    "over midnight": (of_day, 'unit = "hh:mm:ss"'),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_stamps_of_every_kind(tmp_path, plain, name):
    stamp, unit = CLOCKS[name]
    values = make_values()
    rows = [line.split(",", 1)[1] for line in lines_of(values)[1:]]
    lines = [f"{stamp(t)},{row}" for t, row in zip(values[:, 0], rows, strict=True)]
    write(tmp_path, [",".join(NAMES), *lines])
    card = CARD.replace('column = "time"', f'column = "time"\n{unit}')
    examples = read(tmp_path, card)
    first = examples[0]["start"]
    for example in examples:  # counted from any zero
        example["start"] -= first
    require_equal(examples, plain, tolerance=2e-3)


def test_text_that_is_no_time_is_named(tmp_path):
    values = make_values()
    lines = lines_of(values)
    write(tmp_path, lines)
    card = CARD.replace('column = "time"', 'column = "time"\nunit = "hh:mm:ss"')
    with pytest.raises(UserError, match=r'stamp of row 0 is "0\.000000", no hh:mm:ss'):
        read(tmp_path, card)


def test_a_counter_is_a_clock_that_knows_what_was_lost(tmp_path, plain):
    values, kept = make_values(), np.arange(COUNT)
    values[:, 0] = (kept + 65_500) % 65_536
    write(tmp_path, lines_of(values))
    card = CARD.replace('column = "time"', 'counter = "time"\nrate = 50')
    require_equal(read(tmp_path, card), plain)
    lost = np.delete(values, [70, 71, 300], axis=0)
    write(tmp_path, lines_of(lost))
    with pytest.raises(UserError, match=r"no sample for 0\.060 s.*\(split = true\)"):
        read(tmp_path, card)
    examples, dropped = read_all_examples(tmp_path, card.replace("50\n", "50\nmax_gap = 0.1\n", 1))
    assert dropped["samples interpolated"] == 3
    for k in (0, 2, 3, 5, 6, 7, 8):  # the others were mended
        np.testing.assert_allclose(examples[k]["acc"], plain[k]["acc"], atol=2e-5)


def test_long_gaps_split_a_recording_if_the_card_says_so(tmp_path, plain):
    values = np.delete(make_values(), np.arange(200, 256), axis=0)
    write(tmp_path, lines_of(values))
    with pytest.raises(UserError, match=r"no sample for 1\.140 s"):
        read(tmp_path)
    examples = read(tmp_path, CARD.replace('column = "time"', 'column = "time"\nsplit = true'))
    starts = [round(float(example["start"] * RATE)) for example in examples]
    assert starts == [0, 64, 128, 256, 320, 384, 448, 512]
    np.testing.assert_allclose(examples[3]["acc"], plain[4]["acc"], atol=2e-5)


@pytest.mark.parametrize("size", [3, 20])
def test_stamps_in_blocks_are_spread_if_the_card_says_so(tmp_path, plain, size):
    values = make_values()
    values[:, 0] = values[np.arange(COUNT) // size * size, 0]
    write(tmp_path, lines_of(values))
    with pytest.raises(UserError, match=r"blocks of about \d+ share one: .*spread = true"):
        read(tmp_path)
    examples = read(tmp_path, CARD.replace('column = "time"', 'column = "time"\nspread = true'))
    for one, other in zip(examples, plain, strict=True):
        assert np.corrcoef(one["acc"].ravel(), other["acc"].ravel())[0, 1] > 0.99


def test_up_sampling_is_asked_for_or_refused(tmp_path):
    write(tmp_path, lines_of(make_values()))
    card = CARD.replace("rate = 50", "rate = 100")
    with pytest.raises(UserError, match=r"recorded at 50\.00 Hz, .*window\.upsample = 2"):
        read(tmp_path, card)
    assert len(read(tmp_path, card.replace("rate = 100", "rate = 100\nupsample = 2"))) == 18


# Columns


def changed(values, change):
    values = values.copy()
    change(values)
    return lines_of(values)


COLUMNS = {
    "negated": (
        lambda v: v.__setitem__(np.s_[:, 1:4], -v[:, 1:4]),
        {'acc = "m/s^2"': 'acc = "m/s^2"\nacc_factor = -1'},
    ),
    "counts": (
        lambda v: v.__setitem__(np.s_[:, 1:], v[:, 1:] / [*[G / 16384] * 3, *[DEGREE / 131] * 3]),
        {
            'acc = "m/s^2"': 'acc = "g"\nacc_factor = "1/16384"',
            'gyr = "rad/s"': 'gyr = "deg/s"\ngyr_factor = "1/131"',
        },
    ),
    "millidegrees": (
        lambda v: v.__setitem__(np.s_[:, 4:], v[:, 4:] / DEGREE * 1000),
        {'gyr = "rad/s"': 'gyr = "mdeg/s"'},
    ),
    "offset": (
        lambda v: v.__setitem__(np.s_[:, 1:4], v[:, 1:4] - [1, -2, 3]),
        {'acc = ["ax", "ay", "az"]': 'acc = { columns = ["ax", "ay", "az"], offset = [1, -2, 3] }'},
    ),
    "a unit of its own": (
        lambda v: v.__setitem__(np.s_[:, 1:4], v[:, 1:4] / G),
        {'acc = ["ax", "ay", "az"]': 'acc = { columns = ["ax", "ay", "az"], unit = "g" }'},
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_in_any_unit(tmp_path, plain, name):
    change, replacements = COLUMNS[name]
    write(tmp_path, changed(make_values(), change))
    card = CARD
    for old, new in replacements.items():
        assert old in card
        card = card.replace(old, new)
    require_equal(read(tmp_path, card), plain)


def test_gravity_in_columns_of_its_own_is_added(tmp_path, plain):
    values = make_values()
    gravity = G * values[:, 1:4] / np.linalg.norm(values[:, 1:4], axis=1, keepdims=True)
    user = values[:, 1:4] - gravity
    columns = np.concatenate([values[:, :1], user, values[:, 4:], gravity], axis=1)
    write(tmp_path, lines_of(columns, [*NAMES, "x", "y", "z"]))
    card = CARD.replace('["ax", "ay", "az"]', '[["ax", "x"], ["ay", "y"], ["az", "z"]]')
    require_equal(read(tmp_path, card), plain)
    with pytest.raises(UserError, match="gravity was removed"):
        read(tmp_path)


def test_an_accelerometer_and_a_gyroscope_in_files_of_their_own(tmp_path, plain):
    """The gyroscope at another rate, from another moment on, on the same clock."""
    values = make_values()
    _, gyr = moving_unit(COUNT / RATE, 2 * RATE)
    fast = np.concatenate([np.arange(2 * COUNT)[:, None] / (2 * RATE), gyr[:, 0]], axis=1)[30:]
    write(tmp_path / "p1_walk", lines_of(values[:, :4], NAMES[:4]), "acc.csv")
    write(tmp_path / "p1_walk", lines_of(fast, ["time", *NAMES[4:]]), "gyr.csv")
    other = (
        '{ file = "{subject}_{recording}/gyr.csv", columns = ["gx", "gy", "gz"], time = "time" }'
    )
    card = CARD.replace("*.csv", "*/acc.csv").replace('["gx", "gy", "gz"]', other)
    card = card.replace("(?P<recording>\\w+)", "(?P<recording>\\w+)/")
    examples = read(tmp_path, card)
    assert len(examples) == 9
    for k, example in enumerate(examples):
        rows = values[15 + 64 * k : 15 + 64 * (k + 1)]
        assert example["start"] == pytest.approx(0.3 + 64 * k / RATE)
        np.testing.assert_allclose(example["acc"][:, 0], rows[:, 1:4], atol=1e-4)
        if k < 8:  # the filter knows the last line of gyr.csv no better than the first
            np.testing.assert_allclose(example["gyr"][4:, 0], rows[4:, 4:], atol=0.05)
    late = fast + np.array([100.0, 0, 0, 0])
    write(tmp_path / "p1_walk", lines_of(late, ["time", *NAMES[4:]]), "gyr.csv")
    with pytest.raises(UserError, match="its files have no time in common"):
        read(tmp_path, card)


def test_one_person_needs_no_expression(tmp_path):
    write(tmp_path, lines_of(make_values()), "recording.csv")
    card = CARD.replace("match = '(?P<subject>\\w+?)_(?P<recording>\\w+)'", 'subject = "anna"')
    assert {(e["subject"], e["recording"]) for e in read(tmp_path, card)} == {("anna", "recording")}
    for both, says in (
        ('subject = "a"\n' + CARD, "more than once"),
        (card.replace('subject = "anna"', ""), "says nothing of the subject"),
    ):
        with pytest.raises(UserError, match=says):
            read(tmp_path, both)


def test_people_and_activities_in_columns(tmp_path, plain):
    """Two people one below the other, each with a clock from zero, and what they do."""
    rows = lines_of(make_values())
    lines = [rows[0] + ",who,what"]
    for person in ("b", "a"):
        lines += [
            f"{row},{person},{'sit' if k < 200 else 'walk'}" for k, row in enumerate(rows[1:])
        ]
    write(tmp_path, lines, "all.csv")
    card = CARD.replace("match = '(?P<subject>\\w+?)_(?P<recording>\\w+)'", "")
    card += '[columns]\nsubject = "who"\nactivity = "what"\n'
    examples = read(tmp_path, card)
    found = [(e["subject"], e["activity"], round(float(e["start"] * RATE))) for e in examples]
    starts = [*((0, "sit"), (64, "sit"), (128, "sit")), *((200 + 64 * k, "walk") for k in range(6))]
    assert found == [(who, what, start) for who in ("b", "a") for start, what in starts]
    np.testing.assert_allclose(examples[9]["acc"], plain[0]["acc"], atol=2e-5)
    write(tmp_path, [*lines, rows[1] + ",,sit"], "all.csv")
    with pytest.raises(UserError, match='column "who" of row 1200 is empty'):
        read(tmp_path, card)


# Labels


def test_events_and_targets_from_a_table_of_labels(tmp_path):
    for person in ("p1", "p2"):
        write(tmp_path, lines_of(make_values()), f"{person}_walk.csv")
    rows = ["p2,walk,3.0,1.5,0.6", "p1,walk,8.0,1.4,0.7", "p1,walk,2.0,1.2,0.5"]
    rows += ["p2,walk,5.0,,0.6", "p3,walk,5.0,1.1,0.6", "p1,walk,11.9,1.1,0.6", "p1,walk,,1.1,0.6"]
    write(tmp_path / "labels", ["who,what,t,length,stance", *rows], "all.csv")
    card = (
        CARD.replace("motion = 0", "before = 20")
        + """
[labels]
file = "labels/all.csv"
subject = "who"
recording = "what"
time = "t"
targets = [
  { column = "length", unit = "m", name = "step length" },
  { column = "stance", unit = "s" },
]
"""
    )
    examples, dropped = read_all_examples(tmp_path, card)
    found = [(e["subject"], float(e["start"]) + 0.4, e["target"].tolist()) for e in examples]
    assert found == [
        ("p1", pytest.approx(2.0), pytest.approx([1.2, 0.5])),
        ("p1", pytest.approx(8.0), pytest.approx([1.4, 0.7])),
        ("p2", pytest.approx(3.0), pytest.approx([1.5, 0.6])),
    ]
    assert dropped == {
        "events with missing target values": 1,
        "events whose window leaves the recording": 1,
        "label rows of recordings that are not there": 1,
    }
    values = make_values()
    np.testing.assert_allclose(examples[0]["acc"][20, 0], values[100, 1:4], atol=1e-5)
    write(tmp_path / "labels", ["who,what,t,length,stance", rows[0]], "all.csv")
    assert [e["subject"] for e in read(tmp_path, card)] == ["p2"]  # what stands there now


def test_label_rows_of_recordings_that_are_not_there_are_named(tmp_path):
    """Beside one that is there: in a warning, or where no row fits in the error."""
    raw = tmp_path / "raw"
    for person in ("p1", "p2"):  # each of two stretches
        values = np.delete(make_values(), slice(250, 290), axis=0)
        write(raw, lines_of(values), f"{person}_walk.csv")
    table = """
[labels]
file = "labels/all.csv"
subject = "who"
recording = "what"
time = "t"
targets = [{ column = "length", unit = "m" }]
"""
    card = tmp_path / "card.toml"
    split = CARD.replace('column = "time"', 'column = "time"\nsplit = true')
    card.write_text(split.replace("motion = 0", "before = 20") + table)
    rows = ["who,what,t,length", "p1,walk,2.0,1.2", "P02,walk,3.0,1.1", "P01,walk,3.0,1.1"]
    write(raw / "labels", rows, "all.csv")
    lines = builders.try_out("tabular", raw, tmp_path / "data", tmp_path / "a.png", card=card)
    assert "  2 label rows of recordings that are not there" in lines
    named = 'recording "walk" of subject "P02", where recording "walk" of subject "p2" is there'
    warned = [line for line in lines if "warning" in line and "not there" in line]
    assert warned == [
        "  warning: p1_walk.csv: 2 of 3 rows of all.csv are of recordings that are not there, such "
        f"as {named}"
    ]
    write(raw / "labels", [rows[0], *rows[2:]], "all.csv")
    with pytest.raises(UserError, match=rf"all\.csv: all 2 rows are .* such as {named}: write"):
        builders.try_out("tabular", raw, tmp_path / "data", tmp_path / "a.png", card=card)


def test_label_rows_find_recordings_that_a_column_names(tmp_path):
    lines = [lines_of(make_values())[0] + ",what"]
    lines += [f"{row},walk" for row in lines_of(make_values())[1:]]
    write(tmp_path, lines, "p1_day.csv")
    write(tmp_path / "labels", ["who,what,t,length", "p1,walk,2.0,1.2"], "all.csv")
    card = (
        CARD.replace("motion = 0", "before = 20")
        + """
[columns]
recording = "what"
[labels]
file = "labels/all.csv"
subject = "who"
recording = "what"
time = "t"
targets = [{ column = "length", unit = "m" }]
"""
    )
    examples, dropped = read_all_examples(tmp_path, card)
    assert [e["recording"] for e in examples] == ["walk"] and not dropped


# What is told of each recording


def test_every_recording_is_told_of(tmp_path, capsys):
    """Rates, gaps and warnings are printed and kept; a clock since 1970 has its origin noted."""
    raw, values, still = tmp_path / "raw", make_values(), make_values(seed=1)
    values[:, 0] += 1767600000
    still[:, 0] += 1767600000
    still[:100, 1:] = [0, 0, -G, 0, 0, 0]
    still[:100, 1:] += np.random.default_rng(0).normal(0, 0.01, (100, 6))
    write(raw, lines_of(np.delete(values, 70, axis=0)), "p1_walk.csv")
    write(raw, lines_of(still), "p2_rest.csv")
    (tmp_path / "card.toml").write_text(
        CARD.replace('column = "time"', 'column = "time"\nmax_gap = 0.1')
    )
    path = builders.build("tabular", raw, tmp_path / "data", card=tmp_path / "card.toml")
    rows = list(csv.DictReader((path / "recordings.csv").read_text("utf-8").splitlines()))
    names = ("source", "subject", "recording", "rate", "start", "seconds", "interpolated")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("p1_walk.csv", "p1", "walk", "50", "0", "12", "1"),
        ("p2_rest.csv", "p2", "rest", "50", "0", "12", "0"),
    ]
    assert rows[0]["warnings"] == ""
    assert "at rest z reads -9.8 m/s^2" in rows[1]["warnings"]
    said = capsys.readouterr().err
    assert "p1 walk: 50.00 Hz, 12.0 s, 0.17 % interpolated" in said
    assert "2 recordings, 2 at 50 Hz, 0.083 % interpolated; see recordings.csv" in said
    assert "warning: p2_rest.csv: sensor waist: at rest z reads -9.8" in said
    assert (path / "examples.png").read_bytes().startswith(b"\x89PNG")
    origins = datasets.read_metadata(path)["origins"]
    assert origins == {"p1/walk": 1767600000.0, "p2/rest": 1767600000.0}


def test_a_dry_run_says_what_would_be_built_and_writes_a_picture_alone(tmp_path):
    raw = tmp_path / "raw"
    for person in range(6):
        write(raw, lines_of(make_values(person)), f"p{person}_walk.csv")
    (tmp_path / "card.toml").write_text(CARD)
    place, picture_file = tmp_path / "data", tmp_path / "look.png"
    lines = builders.try_out("tabular", raw, place, picture_file, card=tmp_path / "card.toml")
    assert lines[0] == "tabular: 36 examples of 4 subjects from a few files"
    assert [line.split(":")[0].strip() for line in lines[1:5]] == [
        f"p{person} walk" for person in (0, 2, 3, 5)
    ]
    assert picture_file.read_bytes().startswith(b"\x89PNG") and not place.exists()
    shown = read(raw)[:6]
    info = {"sensors": ["waist"], "rate": 50.0, "before": 20, "targets": []}
    figure = picture.examples_figure(shown, info)
    assert len(figure.axes) == 8
    for example, ax in zip(shown, figure.axes[::2], strict=False):
        for axis in range(3):
            drawn = ax.lines[axis].get_ydata()
            np.testing.assert_array_equal(drawn, example["acc"][:, 0, axis])
        assert ax.lines[3].get_xdata()[0] == pytest.approx(0.4)
    path = "Insoles/a folder of many words/in another of some more/Sequence_01/left"
    long = shown[0] | {"recording": path}
    title = picture.examples_figure([long], info).axes[0].get_title(loc="left")
    start, tail = title.split(", ")[1:]
    assert title.startswith("p0, \u2026") and start.endswith("more/Sequence_01/left")
    assert tail == "0.00 s" and len(title) <= picture.WIDTH
    write(raw, lines_of(make_values() * [1, 0.1, 0.1, 0.1, 1, 1, 1]), "p5_walk.csv")
    with pytest.raises(UserError, match="most likely the accelerations are in another unit"):
        builders.try_out("tabular", raw, place, picture_file, card=tmp_path / "card.toml")


# The card that writes itself


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "no names"])
def test_a_card_is_proposed_for_text_of_every_kind(tmp_path, plain, name):
    change, how, _ = TEXTS[name]
    write(tmp_path / "raw", change(lines_of(make_values())), **how)
    card = proposal.propose_card(tmp_path / "raw")
    require_equal(read(tmp_path / "raw", card + "motion = 0\n"), plain)


@pytest.mark.parametrize("name", CLOCKS)
def test_a_card_is_proposed_for_stamps_of_every_kind(tmp_path, plain, name):
    stamp, unit = CLOCKS[name]
    values = make_values()
    rows = [line.split(",", 1)[1] for line in lines_of(values)[1:]]
    lines = [f"{stamp(t)},{row}" for t, row in zip(values[:, 0], rows, strict=True)]
    write(tmp_path / "raw", [",".join(NAMES), *lines])
    card = proposal.propose_card(tmp_path / "raw")
    assert unit in card
    assert len(read(tmp_path / "raw", card + "motion = 0\n")) == len(plain)


@pytest.mark.parametrize("name", ["counts", "millidegrees", "a unit of its own"])
def test_units_are_proposed_by_what_a_moving_unit_reads_of_gravity(tmp_path, plain, name):
    change, _ = COLUMNS[name]
    write(tmp_path / "raw", changed(make_values(), change))
    card = proposal.propose_card(tmp_path / "raw")
    require_equal(read(tmp_path / "raw", card + "motion = 0\n"), plain)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["t", "ax", "ay", "az", "p", "q", "r"], "an accelerometer alone, .* needs a gyroscope"),
        (["t", "a", "b", "c", "d", "e", "f"], "no columns that look like the three axes"),
    ],
)
def test_what_cannot_be_a_recording_is_said(tmp_path, names, says):
    write(tmp_path, lines_of(make_values(), names))
    with pytest.raises(UserError, match=says):
        proposal.propose_card(tmp_path)


def test_a_damaged_file_is_said_to_be_one(tmp_path):
    packed = bytearray(gzip.compress("\n".join(lines_of(make_values())).encode()))
    packed[40:60] = bytes(20)
    (tmp_path / "p1_walk.csv.gz").write_bytes(packed)
    with pytest.raises(UserError, match=r"p1_walk\.csv\.gz: cannot be read"):
        proposal.propose_card(tmp_path)
