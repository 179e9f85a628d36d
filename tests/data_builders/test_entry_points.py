"""A data set from another package: found by an entry point, built by spawned workers, read back."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pytest

from imujax.data import builders, datasets
from imujax.errors import UserError

BUILDERS = pathlib.Path(__file__).parents[2] / "data_builders"
TRACE = "import os, pathlib\npathlib.Path(os.environ['TRACE'], str(os.getpid())).touch()\n"
WALKS = [f"{subject}_walk{k}" for subject in ("anna", "ben", "carl") for k in (1, 2, 3)]
G = 9.80665


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language in data_builders/README.md."""
    text = (BUILDERS / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def install(site: pathlib.Path, builders: dict[str, str], distribution: str = "mylab_imu") -> None:
    """What pip leaves of a package in site-packages that names these builders."""
    folder = site / f"{distribution}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = ["[imujax.data_builders]", *(f"{name} = {p}" for name, p in builders.items()), ""]
    (folder / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def site(tmp_path):
    """A folder beside imujax with the package of the README; it tells which processes import it."""
    site = tmp_path / "site"
    (project,) = (tomllib.loads(text) for text in blocks("toml") if "entry-points" in text)
    install(site, project["project"]["entry-points"]["imujax.data_builders"])
    package = site / "mylab_imu"
    package.mkdir()
    for name in project["tool"]["setuptools"]["package-data"]["mylab_imu"]:
        shutil.copy(BUILDERS / "sisfall" / name, package)
    (package / "__init__.py").write_text(TRACE)
    for text in blocks("python"):
        if match := re.match(r"# (mylab_imu/\w+\.py)\n", text):
            (site / match[1]).write_text(text)
    return site


@pytest.fixture
def run(site, tmp_path):
    """Run Python with the folder on its path -> what it prints, its errors, its exit status."""
    (tmp_path / "trace").mkdir()
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    env = os.environ | {"PYTHONPATH": path, "TRACE": str(tmp_path / "trace")}

    def run_python(*words):
        return subprocess.run(
            [sys.executable, *map(str, words)], env=env, capture_output=True, text=True, check=False
        )

    return run_python


@pytest.fixture
def walks(tmp_path):
    """Raw folder and rows [300, 6] of each file: g and deg/s at 100 Hz."""
    raw, t = tmp_path / "raw", np.arange(300)[:, None] / 100
    raw.mkdir()
    rows = {}
    for k, name in enumerate(WALKS):
        noise = np.random.default_rng(k).normal(0, 0.01, (300, 6))
        swing = np.sin(2 * np.pi * t) * [0.2, 0.1, 0.3, 100, 20, 40]
        rows[name] = np.round(swing + noise + [0, 0, 1, 0, 0, 0], 4)
        np.savetxt(raw / f"{name}.csv", rows[name], "%.4f", ",")
    return raw, rows


def test_it_is_built_in_two_processes_and_read_back(run, walks, tmp_path):
    raw, rows = walks
    words = ["--raw", raw, "--data", tmp_path / "data", "--workers", 2, "--stride", 100]
    build = run("-m", "imujax", "build", "mylab", *words)
    assert build.returncode == 0, build.stderr
    path = tmp_path / "data" / "mylab" / "w128_s100_m0.3" / "1.0.0"
    assert build.stdout.splitlines() == [str(path)]
    assert "18 examples kept" in build.stderr
    processes = {int(file.name) for file in (tmp_path / "trace").iterdir()}
    assert len(processes) >= 2  # the command, and those that it has spawned

    data = datasets.read(datasets.find_dataset(tmp_path / "data", "mylab/w128_s100_m0.3"))
    names = [f"{s}_{r}" for s, r in zip(data.subject, data.recording, strict=True)]
    assert names == [name for name in WALKS for _ in range(2)]
    assert list(data.start) == [0, 1] * 9 and data.info["sensors"] == ["shank"]
    for name, start, acc, gyr in zip(names, data.start, data.acc, data.gyr, strict=True):
        window = rows[name][round(100 * start) :][:128]
        np.testing.assert_allclose(acc[:, 0], G * window[:, :3], rtol=1e-6)
        np.testing.assert_allclose(gyr[:, 0], np.deg2rad(window[:, 3:]), rtol=1e-6)


def test_a_sentence_of_the_package_comes_out_of_the_workers(run, walks, tmp_path):
    raw, _ = walks
    (raw / "carl_walk3.csv").write_text("1,2,3\n")
    words = ["--raw", raw, "--data", tmp_path / "data", "--workers", 2]
    build = run("-m", "imujax", "build", "mylab", *words)
    assert build.returncode == 2 and "Traceback" not in build.stderr
    assert build.stderr.endswith("carl_walk3.csv: 3 columns, expected 6\n")
    assert not (tmp_path / "data").exists()


def test_the_name_is_known_wherever_names_are(run, tmp_path):
    code = "from imujax.data import builders; print(builders.dataset_name('mylab', {'stride': 32}))"
    assert run("-c", code).stdout == "mylab/w128_s32_m0.3\n"
    build = run("-m", "imujax", "build", "lab", "--raw", tmp_path, "--data", tmp_path / "data")
    assert build.returncode == 2 and "no builder 'lab': there are camargo2021," in build.stderr
    assert "movi, mylab, simulated" in build.stderr


def test_two_builders_of_one_name_are_refused(tmp_path, monkeypatch):
    install(tmp_path / "site", {"sisfall": "falls.imu", "gait": "one_imu"}, "one")
    install(tmp_path / "site", {"gait": "other_imu"}, "other")
    monkeypatch.syspath_prepend(tmp_path / "site")
    for name, packages in (
        ("sisfall", r"falls\.imu and imujax\.data_builders\.sisfall: uninstall one"),
        ("gait", "one_imu and other_imu: uninstall one"),
    ):
        with pytest.raises(UserError, match=f"'{name}' lies in more than one package, {packages}"):
            builders.build(name, tmp_path, tmp_path / "data")
        with pytest.raises(UserError, match=packages):
            builders.dataset_name(name, {})
    assert builders.dataset_name("movi", {}) == "movi/100hz_w128_s128"  # the others are not touched
    assert not (tmp_path / "data").exists()


def test_one_package_that_is_named_twice_is_no_collision(tmp_path, monkeypatch):
    for distribution in ("one", "other"):
        install(tmp_path / "site", {"sisfall": "imujax.data_builders.sisfall"}, distribution)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert builders.dataset_name("sisfall", {}) == "sisfall/100hz_w128_s128"
    assert builders.builder_names().count("sisfall") == 1


@pytest.mark.parametrize("module", [None, ""])
def test_an_entry_point_that_leads_nowhere_is_named(tmp_path, monkeypatch, module):
    site = tmp_path / "site"
    install(site, {"gait": "gone_imu"})
    if module is not None:
        (site / "gone_imu").mkdir()
        (site / "gone_imu" / "gait_dataset_builder.py").write_text(module)
    monkeypatch.syspath_prepend(site)
    with pytest.raises(UserError, match="a module gait_dataset_builder with the class") as error:
        builders.build("gait", tmp_path, tmp_path / "data")
    assert "'gait' of gone_imu cannot be imported" in str(error.value)


def test_what_a_builder_lacks_itself_is_named(tmp_path, monkeypatch):
    site = tmp_path / "site"
    install(site, {"gait": "poor_imu"})
    (site / "poor_imu").mkdir()
    (site / "poor_imu" / "gait_dataset_builder.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(site)
    with pytest.raises(UserError, match="of poor_imu needs the module no_such_library"):
        builders.build("gait", tmp_path, tmp_path / "data")


def test_neither_the_import_nor_the_help_reads_them(run):
    code = "import sys, imujax\nfrom imujax import cli\nsys.argv = ['imujax', '--help']\n"
    code += "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
    code += "sys.exit('importlib.metadata' in sys.modules)"
    shown = run("-c", code)
    assert shown.returncode == 0 and "build" in shown.stdout
