"""Bad input of the tabular builder: one sentence that names the file and the reason."""

import gzip
import json

import h5py
import numpy as np
import pytest
import scipy.io
from helpers.tabular_files import (
    CARD,
    COLUMNS,
    LABELLED,
    PLAIN_WINDOW,
    make_table,
    read_all_examples,
    write_table,
)

from imujax.data import builders
from imujax.errors import UserError

PLAIN = (CARD + PLAIN_WINDOW).replace("{suffix}", "csv")
LABELS = LABELLED.replace("{suffix}", "csv")
HDF5 = PLAIN.replace("*.csv", "*.h5") + "[hdf5]\ndataset = 'walk'\ncolumns = 'fields'\n"


def _changed(change):
    """A file s1_a.csv whose table [1000, 8] `change` has spoilt."""

    def save(raw):
        table = make_table()
        spoilt = change(table)
        write_table(raw / "s1_a.csv", table if spoilt is None else spoilt)

    return save


def _put(row, column, value):
    def change(table):
        table[row, column] = value

    return _changed(change)


def _text(change):
    """A file s1_a.csv whose lines `change` has spoilt."""

    def save(raw):
        write_table(raw / "s1_a.csv", make_table())
        lines = (raw / "s1_a.csv").read_text().splitlines()
        change(lines)
        (raw / "s1_a.csv").write_text("\n".join(lines))

    return save


def _bytes(name, content):
    return lambda raw: (raw / name).write_bytes(content)


def _cut_gz(raw):
    write_table(raw / "s1_a.csv.gz", make_table())
    whole = (raw / "s1_a.csv.gz").read_bytes()
    (raw / "s1_a.csv.gz").write_bytes(whole[: len(whole) // 2])


def _cut_hdf5(raw):
    with h5py.File(raw / "s1_a.h5", "w") as file:
        file.create_dataset("walk", data=make_table()).attrs["fields"] = json.dumps(COLUMNS)
    whole = (raw / "s1_a.h5").read_bytes()
    (raw / "s1_a.h5").write_bytes(whole[: len(whole) // 2])


def _hdf5(columns=COLUMNS, name="walk", table=None):
    def save(raw):
        with h5py.File(raw / "s1_a.h5", "w") as file:
            data = make_table() if table is None else table
            file.create_dataset(name, data=data).attrs["fields"] = json.dumps(columns)

    return save


def _outside_hdf5(raw):
    """A data set whose values lie in another file."""
    (raw.parent / "secret.bin").write_bytes(bytes(8 * 8000))
    with h5py.File(raw / "s1_a.h5", "w") as file:
        outside = [(str(raw.parent / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
        node = file.create_dataset("walk", (1000, 8), "f8", external=outside)
        node.attrs["fields"] = json.dumps(COLUMNS)


def _linked_hdf5(raw):
    """A group of vectors of which one is a link to another file."""
    table = make_table()
    with h5py.File(raw.parent / "other.h5", "w") as file:
        file["gz"] = table[:, 6]
    with h5py.File(raw / "s1_a.h5", "w") as file:
        for i, name in enumerate(COLUMNS):
            if name != "gz":
                file[f"walk/{name}"] = table[:, i]
        file["walk/gz"] = h5py.ExternalLink(str(raw.parent / "other.h5"), "gz")


def _mat(raw):
    scipy.io.savemat(raw / "s1_a.mat", {name: make_table()[:, i] for i, name in enumerate(COLUMNS)})


def _cut_mat(raw):
    _mat(raw)
    whole = (raw / "s1_a.mat").read_bytes()
    (raw / "s1_a.mat").write_bytes(whole[: len(whole) // 2])


def _uneven_mat(raw):
    columns = {name: make_table()[:, i] for i, name in enumerate(COLUMNS)}
    scipy.io.savemat(raw / "s1_a.mat", {**columns, "gz": columns["gz"][:-1]})


def _v73(raw):
    with h5py.File(raw / "s1_a.mat", "w", userblock_size=512) as file:
        file["time"] = np.zeros((1, 10))
    with (raw / "s1_a.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM")


def _table_mat(raw):
    """A variable t of class table as MATLAB saves it: an opaque element, type MCOS (class 17)."""

    def element(kind, content):
        head = np.array([kind, len(content)], "<u4").tobytes()
        return head + content + bytes(-len(content) % 8)

    flags = element(6, np.array([17, 0], "<u4").tobytes())
    numbers = element(6, np.array([6, 0], "<u4").tobytes())
    shape, values = element(5, np.array([1, 1], "<i4").tobytes()), element(5, b"\x01\0\0\0")
    array = element(14, numbers + shape + element(1, b"") + values)
    opaque = flags + b"".join(element(1, name) for name in (b"t", b"MCOS", b"table")) + array
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    (raw / "s1_a.mat").write_bytes(head + element(14, opaque))


def _twice(raw):
    for folder in ("x", "y"):
        (raw / folder).mkdir()
        write_table(raw / folder / "s1_a.csv", make_table())


GYR_AS_RADIANS = PLAIN.replace("deg/s", "rad/s")
ACC_AS_SI = PLAIN.replace('acc = "g"', 'acc = "m/s^2"')
ACTIVITY = '[activity]\nfile = "x/{recording}.tsv"\nname = "n"\nstart = "a"\nend = "b"\n'
MASS = LABELS.replace("to = 0.4", 'to = 0.4\ndivide_by = ["mass"]')
BODY = '[body.mass]\nfile = "x/b.tsv"\nsubject = "s"\ncolumn = "kg"\n'


def _beside(name, text):
    def save(raw):
        write_table(raw / "s1_a.csv", make_table())
        (raw / "x").mkdir()
        (raw / "x" / name).write_text(text)

    return save


FAULTS = {
    "no file": (lambda raw: None, PLAIN, ["no file in", "*.csv"]),
    "no match": (_bytes("notes.csv", b"a\n1"), PLAIN, ["notes.csv", '"match"', '"files"']),
    "empty": (_bytes("s1_a.csv", b""), PLAIN, ["s1_a.csv", "line 1", "empty"]),
    "header alone": (
        _bytes("s1_a.csv", (",".join(COLUMNS) + "\n").encode()),
        PLAIN,
        ["s1_a.csv", "no rows"],
    ),
    "binary": (_bytes("s1_a.csv", bytes(range(256))), PLAIN, ["s1_a.csv", "no column", "\\x00"]),
    "cut gz": (_cut_gz, PLAIN.replace("*.csv", "*.csv.gz"), ["s1_a.csv.gz", "cannot be read"]),
    "cut gz header": (
        _bytes("s1_a.csv.gz", gzip.compress(b"time,ax\n")[:12]),
        PLAIN.replace("*.csv", "*.csv.gz"),
        ["s1_a.csv.gz", "cannot be read"],
    ),
    "broken gz": (
        _bytes("s1_a.csv.gz", b"\x1f\x8b\x08\x00" + b"\xff" * 50),
        PLAIN.replace("*.csv", "*.csv.gz"),
        ["s1_a.csv.gz", "cannot be read"],
    ),
    "no Parquet": (
        _bytes("s1_a.parquet", b"PAR1 and no more"),
        PLAIN.replace("*.csv", "*.parquet"),
        ["s1_a.parquet", "cannot be read"],
    ),
    "cut HDF5": (_cut_hdf5, HDF5, ["s1_a.h5", "cannot be read", "truncated"]),
    "no HDF5": (_bytes("s1_a.h5", b"text"), HDF5, ["s1_a.h5", "cannot be read"]),
    "data set": (_hdf5(name="walks"), HDF5, ["s1_a.h5", '"walks"']),
    "attribute": (
        _hdf5(),
        HDF5.replace("'fields'", "'field'"),
        ["s1_a.h5 (walk)", '"field"', 'mean "fields"'],
    ),
    "names of fields": (_hdf5(columns=COLUMNS[:-1]), HDF5, ["s1_a.h5 (walk)", "list of", "8"]),
    "shape": (_hdf5(table=np.zeros(9)), HDF5, ["s1_a.h5 (walk)", "shape (9,)"]),
    "field": (_hdf5(columns=[*"abcdefgh"]), HDF5, ["s1_a.h5 (walk)", 'no column "ax"']),
    "values outside": (_outside_hdf5, HDF5, ["s1_a.h5 (walk)", "another file"]),
    "link to another file": (_linked_hdf5, HDF5, ["s1_a.h5 (walk)", 'no column "gz"']),
    "HDF5 without its table": (_hdf5(), PLAIN.replace("*.csv", "*.h5"), ["s1_a.h5", "no column"]),
    "cut MATLAB": (_cut_mat, PLAIN.replace("*.csv", "*.mat"), ["s1_a.mat", "cannot be read"]),
    "uneven MATLAB": (_uneven_mat, PLAIN.replace("*.csv", "*.mat"), ["s1_a.mat", '"gz"', "999"]),
    "MATLAB v7.3": (_v73, PLAIN.replace("*.csv", "*.mat"), ["s1_a.mat", "v7.3", "HDF5"]),
    "MATLAB table": (_table_mat, PLAIN.replace("*.csv", "*.mat"), ["s1_a.mat", "parquetwrite"]),
    "columns of a row": (
        _text(lambda x: x.__setitem__(500, "1,2,3")),
        PLAIN,
        ["s1_a.csv", "line 501 has 3 of 8 columns"],
    ),
    "word": (
        _text(lambda x: x.__setitem__(2, x[2].replace(",", ",oops", 1))),
        PLAIN,
        ["s1_a.csv", "oops"],
    ),
    "close column": (
        _text(lambda x: x.__setitem__(0, x[0].replace("ax", "a_x"))),
        PLAIN,
        ["s1_a.csv", 'no column "ax"', '"a_x"'],
    ),
    "column twice": (
        _text(lambda x: x.__setitem__(0, x[0].replace("ay", "ax"))),
        PLAIN,
        ["s1_a.csv", 'two columns are called "ax"'],
    ),
    "long run of NaN": (
        _put(slice(300, 320), 2, np.nan),
        PLAIN.replace("[units]", "max_gap = 0.1\n[units]"),
        ["s1_a.csv", "20 values", "3.00 s"],
    ),
    "one NaN without leave": (_put(300, 2, np.nan), PLAIN, ["s1_a.csv", "1 values", "3.00 s"]),
    "NaN where events are sought": (_put(9, 7, np.nan), LABELS, ["s1_a.csv", "force", "missing"]),
    "constant sensor": (_put(slice(None), slice(4, 7), 0.5), PLAIN, ["s1_a.csv", "shank", "dead"]),
    "rad/s": (
        lambda raw: write_table(raw / "s1_a.csv", make_table()),
        GYR_AS_RADIANS,
        ["s1_a.csv", "deg/s"],
    ),
    "g": (
        lambda raw: write_table(raw / "s1_a.csv", make_table()),
        ACC_AS_SI,
        ["s1_a.csv", "reads 0.942 m/s^2", "most likely the accelerations are in another unit"],
    ),
    "stamps back": (_put(500, 0, 4.9), PLAIN, ["s1_a.csv", "goes back", "500"]),
    "stamp twice": (_put(500, 0, 4.99), PLAIN, ["s1_a.csv", "repeats", "4.990 s"]),
    "stamp missing": (_put(500, 0, np.nan), PLAIN, ["s1_a.csv", "row 500"]),
    "gap": (
        _changed(lambda t: np.delete(t, range(300, 330), axis=0)),
        PLAIN,
        ["s1_a.csv", "0.310 s", "2.990 s"],
    ),
    "rate": (
        lambda raw: write_table(raw / "s1_a.csv", make_table()),
        PLAIN.replace("[units]", "rate = 128\n[units]"),
        ["s1_a.csv", "100.00 Hz", "128 Hz"],
    ),
    "one recording twice": (
        _twice,
        PLAIN.replace("*.csv", "*/*.csv"),
        ["x/s1", "y/s1_a.csv"],
    ),
    "empty subject": (
        _bytes("s1_a.csv", b""),
        PLAIN.replace("s\\d+)_", "s\\d+)?_"),
        ["s1_a.csv"],
    ),
    "unknown suffix": (
        _bytes("s1_a.dat", b""),
        PLAIN.replace("csv", "dat"),
        ["a.dat", "format"],
    ),
    "no activities": (
        lambda raw: write_table(raw / "s1_a.csv", make_table()),
        PLAIN + ACTIVITY,
        ["x/a.tsv", "no such file"],
    ),
    "activity ends first": (
        _beside("a.tsv", "n\ta\tb\nwalk\t3\t2\n"),
        PLAIN + ACTIVITY,
        ["x/a.tsv", "interval 1 (walk)", "3 to 2"],
    ),
    "subject without mass": (
        _beside("b.tsv", "s\tkg\ns2\t70\n"),
        MASS + BODY,
        ["x/b.tsv", "subject s1", '"s2"'],
    ),
    "subject with two masses": (
        _beside("b.tsv", "s\tkg\ns1\t70\ns1\t80\n"),
        MASS + BODY,
        ["x/b.tsv", "kg of subject s1", "one number"],
    ),
    "mass in grams": (_beside("b.tsv", "s\tkg\ns1\t70000\n"), MASS + BODY, ["s1_a.csv", "mass"]),
    "HDF5 beside": (
        _beside("a.h5", "no HDF5"),
        PLAIN + ACTIVITY.replace("tsv", "h5"),
        ["x/a.h5", "cannot be read"],
    ),
    "a table for another format": (
        _text(lambda x: None),
        PLAIN + "[mat]\nvariable = 'x'\n",
        ["s1_a.csv", "[mat]", "leave it out"],
    ),
}


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(raw, name):
    save, card, words = FAULTS[name]
    save(raw)
    with pytest.raises(UserError) as error:
        read_all_examples(raw, card)
    sentence = str(error.value)
    assert all(word in sentence for word in words) and sentence.isprintable(), sentence


def test_gravity_at_rest(raw):
    """A unit that reads 1.2 g at rest is an error, unless the card grants it."""
    table = make_table()
    table[200:400, 1:7] = np.random.default_rng(0).normal([0, 0, 1.2, 0, 0, 0], 0.001, (200, 6))
    write_table(raw / "s1_a.csv", table)
    with pytest.raises(UserError, match=r"s1_a\.csv: sensor shank: .* at rest .*within 10"):
        read_all_examples(raw, PLAIN)
    got, _ = read_all_examples(raw, PLAIN.replace("[units]", "[units]\nrest_error = 0.25"))
    assert len(got) == 15


def test_a_build_without_an_example_leaves_nothing(raw, tmp_path):
    """All windows leave the recording: the sentence counts them, and no folder stays."""
    table = make_table(200)
    table[:, 7] = 0
    table[190:, 7] = 500
    write_table(raw / "s1_a.csv", table)
    (tmp_path / "mine.toml").write_text(LABELS)
    with pytest.raises(UserError, match=r"no example .*1 events whose window leaves the recording"):
        builders.build("tabular", raw, tmp_path / "data", card=tmp_path / "mine.toml")
    assert not (tmp_path / "data").exists()


def test_a_fault_in_one_file_of_many_leaves_nothing(raw, tmp_path):
    for k in range(3):
        write_table(raw / f"s{k}_a.csv", make_table(200))
    (raw / "s2_a.csv").write_text("time,ax\n1,2\n")
    (tmp_path / "mine.toml").write_text(PLAIN)
    with pytest.raises(UserError, match=r"s2_a\.csv: there is no column"):
        builders.build("tabular", raw, tmp_path / "data", card=tmp_path / "mine.toml")
    assert not (tmp_path / "data").exists()


def test_options_and_folders(raw, tmp_path):
    with pytest.raises(UserError, match=r"needs a card, .*: give --card FILE\.toml"):
        builders.build("tabular", raw, tmp_path / "data")
    with pytest.raises(UserError, match=r"no option 'rate'"):
        builders.build("tabular", raw, tmp_path / "data", rate=100)
    with pytest.raises(UserError, match=r"no folder .*gone"):
        builders.build("tabular", tmp_path / "gone", tmp_path / "data", card="x.toml")


def test_a_template_cannot_climb_out_by_a_group(raw, tmp_path):
    """The braces are filled from the path, so a name made of dots must not lead out."""
    (tmp_path / "..tsv").write_text("n\ta\tb\n")
    (raw / "..").mkdir(exist_ok=True)
    write_table(raw / "s1_...csv", make_table())
    card = PLAIN.replace("(?P<recording>\\w+)", "(?P<recording>\\.\\.)")
    card += ACTIVITY.replace("x/{recording}.tsv", "{recording}/..tsv")
    with pytest.raises(UserError, match="leaves the raw folder"):
        read_all_examples(raw, card)
