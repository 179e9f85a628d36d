"""Builds on Apache Beam: the same bytes in the same shards, and the same sentences."""

import subprocess
import sys

import pytest
from helpers.raw_files import edit_lines, hash_files, make_still, write_ipol, write_sisfall

from imujax import cli
from imujax.data import builders, datasets
from imujax.data_builders import base
from imujax.errors import UserError


@pytest.fixture
def beam():
    where = "Apache Beam has an environment of its own, see data_builders/beam.py"
    return pytest.importorskip("apache_beam", reason=where)


@pytest.mark.parametrize(
    ("name", "options"), [("sisfall", {}), ("ipol_gait", {"task": "stance_time"})]
)
def test_the_same_bytes_in_the_same_shards(beam, tmp_path, monkeypatch, name, options):
    raw = tmp_path / "raw"
    if name == "sisfall":
        write_sisfall(raw, [f"D01_SA{s:02d}" for s in range(1, 23)], seconds=5)
        slept = raw / "SA03" / "D01_SA03_R01.txt"
        lines = slept.read_text().split("\n")
        slept.write_text("\n".join(lines[:400] * 4))  # rest alone: none of its windows is kept
    else:
        write_ipol(raw, ("1-1", "2-1", "3-1", "4-1"))
    size = sum(path.stat().st_size for path in raw.rglob("*.*"))
    shards = 11 if name == "sisfall" else 1  # more than one digit, and several recordings in each
    monkeypatch.setattr(base, "SHARD_BYTES", size // shards + 100)
    one = builders.build(name, raw, tmp_path / "one", workers=1, **options)
    create = beam.Create  # a runner may take the recordings in any order
    monkeypatch.setattr(beam, "Create", lambda elements: create(elements[::-1]))
    two = builders.build(name, raw, tmp_path / "two", beam=[], **options)
    files = hash_files(one)
    assert files == hash_files(two)  # the shards, and what the data set says of itself
    assert sum("array_record" in file for file in files) == shards
    assert len(datasets.read(two).acc) == datasets.read_metadata(two)["kept"] > 10


def test_mistakes_are_the_same_sentences(beam, tmp_path):
    raw = write_sisfall(tmp_path / "raw", [f"D01_SA{s:02d}" for s in range(1, 4)], seconds=3)
    words = ["build", "sisfall", "--raw", str(raw), "--data", str(tmp_path / "data")]
    for more, says in (
        (["--beam", "SparkleRunner"], "--beam SparkleRunner: Unexpected pipeline runner"),
        (["--beam", "--window", "64"], "no pipeline option --window; those of the builder stand"),
        (["--windw", "64", "--beam"], "no option 'windw'"),
    ):
        with pytest.raises(UserError, match=says):
            cli.run_command([*words, *more])
    edit_lines(raw / "SA02" / "D01_SA02_R01.txt", make_still)
    edit_lines(raw / "SA03" / "D01_SA03_R01.txt", make_still)
    with pytest.raises(UserError, match=r"D01_SA02_R01\.txt: sensor waist: acc.* is constant"):
        cli.run_command([*words, "--beam", "DirectRunner"])
    assert not (tmp_path / "data").exists()


def test_without_beam_the_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    raw = write_sisfall(tmp_path / "raw")
    with pytest.raises(UserError, match="Apache Beam, which is not installed: pip install"):
        builders.build("sisfall", raw, tmp_path / "data", beam=["DirectRunner"])
    assert not (tmp_path / "data").exists()


def test_beam_is_imported_for_a_build_on_beam_alone(tmp_path):
    raw = write_sisfall(tmp_path / "raw")
    code = (
        "import sys; from imujax.data import builders;"
        f"builders.build('sisfall', {str(raw)!r}, {str(tmp_path / 'data')!r}, 1);"
        "sys.exit('apache_beam' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
