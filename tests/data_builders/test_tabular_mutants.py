"""Damaged files of ten layouts: a sentence, or the numbers that were measured.

A few mutants of each by default; IMUJAX_MUTANTS says how many of each layout instead.
"""

import os

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import scipy.io
from helpers.plain_layout import CARD, NAMES, RATE, lines_of, make_values, write
from helpers.tabular_files import read_all_examples

from imujax.data_builders.tabular import proposal
from imujax.errors import UserError

COUNT = int(os.environ.get("IMUJAX_MUTANTS", "10"))
FEW = 12  # of 576 rows may differ: a digit that was changed is read, where it is packed repeatedly
VALUES = make_values()


def _hdf5(path):
    with h5py.File(path, "w") as file:
        for i, name in enumerate(NAMES):
            file[name] = VALUES[:, i]


def _table():
    return pa.table({name: VALUES[:, i] for i, name in enumerate(NAMES)})


def _xlsx(path):
    openpyxl = pytest.importorskip("openpyxl", reason="is in the extra `test`")
    book = openpyxl.Workbook()
    book.active.append(NAMES)
    for row in VALUES:
        book.active.append([float(x) for x in row])
    book.save(path)


def _c3d(path):
    ezc3d = pytest.importorskip("ezc3d", reason="is in the extra `test`")
    file = ezc3d.c3d()
    analog, point = file["parameters"]["ANALOG"], file["parameters"]["POINT"]
    analog["RATE"]["value"] = point["RATE"]["value"] = [RATE]
    analog["LABELS"]["value"], analog["UNITS"]["value"] = NAMES[1:], [""] * 6
    file["data"]["analogs"] = VALUES[:, 1:].T[None]
    file["data"]["points"] = np.zeros((4, 0, len(VALUES)))
    file.write(str(path))


def _lines(change, **how):
    def save(path):
        write(path.parent, change(lines_of(VALUES)), path.name, **how)

    return save


def _header(lines):
    return ["# logger L5", "s,m/s^2", *lines[:1], "s" + ",-" * 6, *lines[1:]]


def _german(lines):
    return ["sep=;", *(line.replace(",", ";").replace(".", ",") for line in lines)]


LAYOUTS = {
    "csv": ("csv", "", _lines(lambda x: x)),
    "lines above and a units row": (
        "csv",
        'comment = "#"\nheader_has = "time"\nunit_rows = 1\n',
        _lines(_header),
    ),
    "semicolons, UTF-16": ("csv", 'decimal = ","\n', _lines(_german, encoding="utf-16")),
    "parquet": ("parquet", "", lambda path: pyarrow.parquet.write_table(_table(), path)),
    "feather": ("feather", "", lambda path: pyarrow.feather.write_feather(_table(), path)),
    "npz": (
        "npz",
        "",
        lambda path: np.savez_compressed(path, **{n: VALUES[:, i] for i, n in enumerate(NAMES)}),
    ),
    "MATLAB": (
        "mat",
        "",
        lambda path: scipy.io.savemat(path, {n: VALUES[:, i] for i, n in enumerate(NAMES)}),
    ),
    "HDF5": ("h5", "", _hdf5),
    "workbook": ("xlsx", "", _xlsx),
    "C3D": ("c3d", "", _c3d),
}


def mutate(content: bytes, has_lines: bool, rng: np.random.Generator) -> bytes:
    """A byte changed, bytes cut out, put in, the end cut off; lines doubled, moved, left out."""
    data, at = bytearray(content), int(rng.integers(len(content)))
    kind = int(rng.integers(7 if has_lines else 4))
    if kind == 0:
        data[at] = int(rng.integers(256))
    elif kind == 1:
        del data[at : at + int(rng.integers(1, 80))]
    elif kind == 2:
        data[at:at] = rng.bytes(int(rng.integers(1, 20)))
    elif kind == 3:
        del data[at:]
    else:
        lines = bytes(data).split(b"\n")
        place, other = rng.integers(len(lines), size=2)
        line = lines[place] if kind == 4 else lines.pop(place)
        if kind < 6:
            lines.insert(int(other), line)
        data = b"\n".join(lines)
    return bytes(data)


def count_wrong_rows(examples) -> int:
    """Rows of the windows that are not what was measured at their time."""
    wrong = 0
    for example in examples:
        first = round(float(example["start"]) * RATE)
        rows = VALUES[max(first, 0) : first + 64]
        if first < 0 or len(rows) < 64:
            return 64
        measured = np.concatenate([example["acc"], example["gyr"]], axis=-1)[:, 0]
        wrong += int((np.abs(measured - rows[:, 1:]) > 0.05).any(axis=1).sum())
    return wrong


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_card_that_is_proposed_reads_it(tmp_path, name):
    """Without a change."""
    suffix, _, save = LAYOUTS[name]
    save(tmp_path / f"p1_walk.{suffix}")
    examples, _ = read_all_examples(tmp_path, proposal.propose_card(tmp_path) + "motion = 0\n")
    assert len(examples) == 9 and not count_wrong_rows(examples)


@pytest.mark.parametrize("name", LAYOUTS)
def test_mutants_end_in_a_sentence_or_in_what_was_measured(tmp_path, name):
    suffix, keys, save = LAYOUTS[name]
    file = tmp_path / f"p1_walk.{suffix}"
    save(file)
    content, card = file.read_bytes(), keys + CARD.replace("*.csv", f"*.{suffix}")
    assert not count_wrong_rows(read_all_examples(tmp_path, card)[0])
    rng, ends, off = np.random.default_rng(len(name)), {"read": 0, "refused": 0}, []
    for number in range(COUNT):
        file.write_bytes(mutate(content, suffix == "csv", rng))
        try:
            examples, _ = read_all_examples(tmp_path, card)
        except UserError as error:
            assert str(error).isprintable() and len(str(error)) < 700
            ends["refused"] += 1
        else:
            ends["read"] += 1
            if wrong := count_wrong_rows(examples):
                off.append((number, wrong))
    print(f"{name}: {ends}, a little off: {len(off)}")
    assert not [pair for pair in off if pair[1] > FEW]
