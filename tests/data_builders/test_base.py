"""What holds for every builder: rebuilds, kills, full disks, wrong folders and options."""

import importlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
from helpers.raw_files import edit_lines, hash_files, make_still, write_ipol, write_sisfall

from imujax.data import builders, datasets
from imujax.data_builders.sisfall import files as sisfall
from imujax.errors import UserError


@pytest.mark.parametrize(("name", "write"), [("sisfall", write_sisfall), ("ipol_gait", write_ipol)])
def test_a_rebuild_is_byte_identical_however_many_processes(tmp_path, name, write):
    raw = tmp_path / "raw"
    if name == "sisfall":
        write(raw, [f"D{k:02d}_SA{s:02d}" for k in (1, 2, 3) for s in (1, 2, 3)], seconds=4)
    else:
        write(raw)
    one = builders.build(name, raw, tmp_path / "one", workers=1)
    two = tmp_path / "two"
    code = (
        f"from imujax.data import builders; builders.build({name!r}, {str(raw)!r}, {str(two)!r}, 2)"
    )
    with child(code, folder=tmp_path) as process:  # another process: other hash seeds
        assert process.wait() == 0, process.stderr.read()
    assert hash_files(one) == hash_files(datasets.find_dataset(two, "/".join(one.parts[-3:-1])))
    assert len(hash_files(one)) >= 4


def test_a_finished_build_returns_at_once_and_changed_files_are_named(tmp_path):
    raw = write_sisfall(tmp_path / "raw")
    path = builders.build("sisfall", raw, tmp_path / "data")
    before = {p: p.stat().st_mtime_ns for p in path.iterdir()}
    began = time.monotonic()
    assert builders.build("sisfall", raw, tmp_path / "data") == path
    assert time.monotonic() - began < 1
    assert {p: p.stat().st_mtime_ns for p in path.iterdir()} == before
    trial = raw / "SA01" / "D01_SA01_R01.txt"
    later = time.time() + 60
    os.utime(trial, (later, later))  # touched, but the same
    assert builders.build("sisfall", raw, tmp_path / "data") == path
    trial.write_text(trial.read_text().replace("-256", "-257", 1))
    os.utime(trial, (later, later))
    with pytest.raises(UserError, match=r"D01_SA01_R01\.txt has changed"):
        builders.build("sisfall", raw, tmp_path / "data")
    write_sisfall(raw, ["D02_SA01"])
    new = r"built from other raw files \(SA01/D02_SA01_R01\.txt is new\): remove"
    with pytest.raises(UserError, match=new):
        builders.build("sisfall", raw, tmp_path / "data")
    (raw / "SA01" / "D02_SA01_R01.txt").unlink()
    trial.unlink()
    missing = r"other raw files \(SA01/D01_SA01_R01\.txt is missing now\): remove"
    with pytest.raises(UserError, match=missing):
        builders.build("sisfall", raw, tmp_path / "data")


def child(code: str, **other) -> subprocess.Popen:
    """A process that runs `code` under a main guard, as the spawned workers need it."""
    script = pathlib.Path(other.pop("folder")) / "child.py"
    script.write_text(f"if __name__ == '__main__':\n    {code}\n")
    return subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, **other)


def test_a_killed_build_leaves_nothing_that_looks_finished(tmp_path):
    raw = write_sisfall(tmp_path / "raw", [f"D01_SA{s:02d}" for s in range(1, 13)], seconds=40)
    data = tmp_path / "data"
    code = "from imujax.data import builders; "
    code += f"builders.build('sisfall', {str(raw)!r}, {str(data)!r}, 2)"
    process = child(code, folder=tmp_path)
    while not list(data.rglob("*incomplete*/*array_record*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    time.sleep(0.2)
    listed = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    left = list(data.rglob("*incomplete*"))
    assert len(left) == 1
    with pytest.raises(UserError, match="there is nothing"):
        datasets.find_dataset(data, "sisfall/100hz_w128_s128")
    path = builders.build("sisfall", raw, data)
    assert not list(data.rglob("*incomplete*"))
    assert datasets.read_metadata(path)["kept"] > 0
    for pid in listed:  # the workers have gone too: each watches its parent
        assert not pathlib.Path(f"/proc/{pid}").exists() or "Z" in _state(pid)


def _state(pid: str) -> str:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    raw = write_sisfall(tmp_path / "raw", seconds=200)
    data = tmp_path / "data"
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); "
    code += "from imujax.data import builders; "  # no file may have more bytes
    code += f"builders.build('sisfall', {str(raw)!r}, {str(data)!r}, 1)"
    process = child(code, folder=tmp_path)
    _, says = process.communicate(timeout=60)
    assert b"UserError: the disk of" in says and b"is full" in says
    assert not data.exists()


def test_a_disk_that_fills_while_raw_files_are_read(tmp_path, monkeypatch):
    raw = write_sisfall(tmp_path / "raw")

    def full(*args):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(sisfall, "read_examples", full)
    with pytest.raises(UserError, match="is full"):
        builders.build("sisfall", raw, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_two_builds_of_one_data_set_do_not_meet(tmp_path):
    raw = write_sisfall(tmp_path / "raw")
    folder = tmp_path / "data" / "sisfall" / "100hz_w128_s128"
    folder.mkdir(parents=True)
    with builders.lock_folder(folder), pytest.raises(UserError, match="another build"):
        builders.build("sisfall", raw, tmp_path / "data")


def test_an_error_in_a_worker_process_is_the_same_sentence(tmp_path):
    raw = write_sisfall(tmp_path / "raw", [f"D01_SA{s:02d}" for s in range(1, 11)], seconds=3)
    edit_lines(raw / "SA09" / "D01_SA09_R01.txt", make_still)
    with pytest.raises(UserError, match=r"D01_SA09_R01\.txt: sensor waist: acc.* is constant"):
        builders.build("sisfall", raw, tmp_path / "data", workers=2)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["sisfall", "ipol_gait"])
def test_a_folder_that_is_not_there_or_holds_something_else(tmp_path, name):
    with pytest.raises(UserError, match="no folder"):
        builders.build(name, tmp_path / "nowhere", tmp_path / "data")
    (tmp_path / "raw" / "SA01").mkdir(parents=True)
    (tmp_path / "raw" / "SA01" / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match="unpack the archive"):
        builders.build(name, tmp_path / "raw", tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("sisfall", {"windw": 3}, "no option 'windw': this builder has rate, window, stride"),
        ("sisfall", {"window": "many"}, "window must be int"),
        ("sisfall", {"window": 12.5}, "window must be int"),
        ("sisfall", {"motion": 90.0}, "no example of .* was kept"),
        ("ipol_gait", {"task": "run"}, "task must be"),
        ("ipol_gait", {"sensors": "lb,hand"}, "sensors must be among lb, lf, rf"),
        ("ipol_gait", {"task": "stance_time", "stride": 3}, "no option 'stride'"),
        ("movi2", {}, "no builder 'movi2': there are camargo2021, ipol_gait, movi, sim"),
    ],
)
def test_wrong_options_are_named(tmp_path, name, options, says):
    raw = (write_ipol if name == "ipol_gait" else write_sisfall)(tmp_path / "raw")
    with pytest.raises(UserError, match=says):
        builders.build(name, raw, tmp_path / "data", **options)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["sisfall", "ipol_gait"])
def test_tfds_accepts_readme_tags_and_citation(name):
    module = importlib.import_module(f"imujax.data_builders.{name}.{name}_dataset_builder")
    metadata = module.Builder.get_metadata()  # raises for a tag that TFDS does not know
    assert metadata.tags and "@article" in metadata.citation and len(metadata.description) > 500
    assert module.Builder.name == name


def test_the_readme_reads_a_data_set(tmp_path, monkeypatch, capsys):
    readme = pathlib.Path(__file__).parents[2] / "data_builders" / "README.md"
    blocks = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    (lines,) = (block for block in blocks if "imujax.read(" in block)
    write_sisfall(tmp_path / "raw")
    builders.build("sisfall", tmp_path / "raw", tmp_path / "data", window=128, stride=64)
    monkeypatch.chdir(tmp_path)
    exec(compile(lines, str(readme), "exec"), {})
    said = "27 examples of 2 subjects, 128 samples at 100 Hz, 1 sensor\n"
    assert capsys.readouterr().out == said


def test_workers_import_neither_tfds_nor_jax():
    code = (
        "import sys, imujax.data_builders.workers, imujax.data_builders.sisfall.files, "
        "imujax.data_builders.ipol_gait.files;"
        "sys.exit(any(m in sys.modules for m in ('jax', 'tensorflow_datasets', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
