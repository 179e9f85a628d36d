"""One person under two names in the raw files: a build refuses it, and names both places."""

import gzip
import pathlib
import shutil

import numpy as np
import pytest
from helpers import people
from helpers.raw_files import write_sisfall

from imujax.data import builders, content, datasets
from imujax.errors import UserError


def write_walks(raw: pathlib.Path) -> pathlib.Path:
    """Five people with stamps, plain or compressed: <subject>_walk.csv or .csv.gz."""
    people.write_people(raw, subjects=5, seconds=20)
    card = raw / "moves.toml"
    text = card.read_text().replace("*.csv", "*.csv*")
    card.write_text(text.replace("rate = 100", 'column = "t"', 1))
    for number in range(5):
        stamp(raw / f"P{number:02d}_walk.csv", 0.0)
    return raw


def read_rows(file: pathlib.Path) -> tuple[str, np.ndarray]:
    names, _, text = file.read_text().partition("\n")
    return names, np.loadtxt(text.splitlines(), delimiter=",")


def stamp(file: pathlib.Path, start: float):
    """Put stamps from `start` on before the columns."""
    names, rows = read_rows(file)
    write_rows(file, f"t,{names}", np.column_stack([start + np.arange(len(rows)) / 100, rows]))


def write_rows(file: pathlib.Path, names: str, rows: np.ndarray, digits: int = 5):
    lines = [",".join(f"{v:.{digits}f}" for v in row) for row in rows]
    text = "\n".join([names, *lines, ""])
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())


def renamed(raw):
    shutil.copy(raw / "P03_walk.csv", raw / "P77_walk.csv")


def compressed(raw):
    names, rows = read_rows(raw / "P03_walk.csv")
    write_rows(raw / "P77_stroll.csv.gz", names, rows)


def cut(raw):
    names, rows = read_rows(raw / "P03_walk.csv")
    write_rows(raw / "P77_walk.csv", names, rows[437:1200])


def another_hour(raw):
    names, rows = read_rows(raw / "P03_walk.csv")
    rows[:, 0] += 7 * 3600 + 0.25
    write_rows(raw / "P77_walk.csv", names, rows)


def fewer_digits(raw):
    names, rows = read_rows(raw / "P03_walk.csv")
    write_rows(raw / "P77_walk.csv", names, rows, digits=2)


def pasted(raw):
    """Two and a half seconds of one in the recording of another."""
    names, rows = read_rows(raw / "P03_walk.csv")
    _, own = read_rows(raw / "P04_walk.csv")
    own[900:1150, 1:] = rows[300:550, 1:]
    write_rows(raw / "P04_walk.csv", names, own)


def other_columns(raw):
    """The unit was put on otherwise: x is y, y is z, z is x."""
    names, rows = read_rows(raw / "P03_walk.csv")
    write_rows(raw / "P77_walk.csv", names, rows[:, [0, 2, 3, 1, 5, 6, 4, 7]])


@pytest.mark.parametrize(
    "fault", [renamed, compressed, cut, another_hour, fewer_digits, pasted, other_columns]
)
def test_one_person_under_two_names_is_refused(tmp_path, fault):
    raw = write_walks(tmp_path / "raw")
    fault(raw)
    copy = next(raw.glob("P77*"), raw / "P04_walk.csv").name
    with pytest.raises(UserError, match="the same signals under two names") as error:
        builders.build("tabular", raw, tmp_path / "data", card=str(raw / "moves.toml"), workers=1)
    says = str(error.value)
    assert "P03_walk.csv (subject P03, recording" in says
    assert f"{copy} (subject {copy[:3]}, recording" in says
    assert not (tmp_path / "data").exists()


def test_people_who_differ_are_built(tmp_path):
    """The same folder without a fault: the tests above do not fail for another reason."""
    raw = write_walks(tmp_path / "raw")
    path = builders.build("tabular", raw, tmp_path / "data", card=str(raw / "moves.toml"))
    kept = content.read(path)
    assert set(kept.subject) == {f"P{n:02d}" for n in range(5)}
    assert set(kept.sensor) == {"shank", ""}
    assert set(kept.source) == {f"P{n:02d}_walk.csv" for n in range(5)}
    assert (kept.sensor[kept.track] == "").sum() == datasets.read_metadata(path)["kept"]


@pytest.mark.parametrize("other", ["p03", "P03 "])
def test_one_name_in_two_spellings_is_refused(tmp_path, other):
    raw = write_walks(tmp_path / "raw")
    (raw / "P04_walk.csv").rename(raw / f"{other}_walk.csv")
    card = raw / "moves.toml"
    card.write_text(card.read_text().replace("P\\d+", "[^_]+"))
    with pytest.raises(UserError, match=f"subjects '.*' and .*{other}'.*two spellings"):
        builders.build("tabular", raw, tmp_path / "data", card=str(card), workers=1)
    assert not (tmp_path / "data").exists()


def test_copies_are_known_by_their_examples_where_a_builder_makes_no_recording(
    tmp_path, monkeypatch
):
    raw = write_sisfall(tmp_path / "raw", ["D01_SA01", "D02_SA02"])
    shutil.copy(raw / "SA01/D01_SA01_R01.txt", raw / "SA02/D03_SA02_R01.txt")
    monkeypatch.setattr(content, "note_recording", lambda recording: None)
    with pytest.raises(UserError, match=r"in SA01/D01_SA01_R01\.txt .* SA02/D03_SA02_R01\.txt"):
        builders.build("sisfall", raw, tmp_path / "data", workers=1)


def test_what_is_there_twice_of_one_person_is_told(tmp_path, capsys):
    raw = write_sisfall(tmp_path / "raw", ["D01_SA01", "D02_SA02"])
    builders.build("sisfall", raw, tmp_path / "one", workers=1)
    assert "10 examples kept; dropped" in capsys.readouterr().err
    shutil.copy(raw / "SA01/D01_SA01_R01.txt", raw / "SA01/D02_SA01_R01.txt")
    path = builders.build("sisfall", raw, tmp_path / "two", workers=1)
    says = capsys.readouterr().err
    assert "15 examples kept (5 of them equal to others of the same subject); dropped" in says
    assert datasets.read_metadata(path)["kept"] == 15
