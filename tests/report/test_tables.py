"""Folders of sweeps that are damaged, cut short or edited; tables written whole."""

import json

import numpy as np
import pytest
from helpers.fake_sweep import edit, resave

from imujax.errors import UserError
from imujax.report import sentences, tables
from imujax.runtime import files


def test_nothing_that_is_read_is_run(small):
    resave(small, subject=np.array([{"a": 1}] * 3, dtype=object))
    with pytest.raises(UserError, match=r"predictions\.npz cannot be read"):
        tables.load_sweep(small)


@pytest.mark.parametrize("name", ["runs.csv", "predictions.npz", "summary.json"])
@pytest.mark.parametrize("keep", [None, 0, 0.5, 0.97])
def test_missing_and_truncated_files_are_named(small, name, keep):
    path = small / name
    whole = path.read_bytes()
    path.unlink()
    if keep is not None:
        path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(UserError, match=r"runs\.csv|predictions\.npz|summary\.json") as error:
        tables.load_sweep(small)
    assert "\n" not in str(error.value)


def test_a_damaged_byte_is_not_read_as_a_number(small):
    data = bytearray((small / "predictions.npz").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (small / "predictions.npz").write_bytes(bytes(data))
    with pytest.raises(UserError, match="damaged"):
        tables.load_sweep(small)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda rows: rows.pop(), "which runs.csv does not list"),
        (lambda rows: rows.append(rows[0] | {"run": 999}), "999"),
        (lambda rows: rows.append(rows[0]), "twice"),
        (lambda rows: rows[0].update(fraction="ten"), "column fraction"),
        (lambda rows: [row.pop("stage") for row in rows], "no column stage"),
        (lambda rows: [row.pop("start") for row in rows], "no column start: run the sweep again"),
    ],
)
def test_tables_that_do_not_fit_are_refused(small, change, word):
    edit(small, change)
    with pytest.raises(UserError, match=word):
        tables.load_sweep(small)


def test_tables_are_written_whole(tmp_path):
    path = files.write_csv(tmp_path / "a.csv", [{"x": 0.1234567891, "y": None, "z": "ä,b"}])
    assert path.read_text(encoding="utf-8") == 'x,y,z\n0.123456789,,"ä,b"\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    (tmp_path / "summary").mkdir()
    assert json.dumps(sentences.format_percent(0.158489)) == '"16 %"'
