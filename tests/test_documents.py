"""The documents: links that resolve, and commands that are run here, checked here, or listed.

The blocks of commands go through bash, which expands loops and variables, with stand-ins that write
down what they are called with.  `imujax` commands are then read by its own parser, and those of the
three journeys are run, in miniature, on made-up files in the layouts of the real sets.
"""

import itertools
import json
import pathlib
import re
import shlex
import shutil
import subprocess

import jax
import numpy as np
import pytest
from helpers import people
from helpers.raw_files import write_ipol, write_sisfall
from ml_collections import ConfigDict

import imujax
from imujax import checks, cli, study
from imujax.data import builders
from imujax.nets import resnet
from imujax.simulate import forces, stream
from imujax.simulate import people as simulated

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "*/*.md", "data_builders/*/README.md", ".github/*.md")
    for path in ROOT.glob(pattern)
    if ".venv" not in path.parts
)
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)

# Commands that need a cluster.  Their scripts are tried in tests/test_launch.py, with stand-ins.
CLUSTER = ("sbatch", "kubectl", "bash launch/tpu_vm.sh")
# What .ci/run runs, in README.md's own words, and the same for one room, for Beam or for TPUs.
INSTALL = ("python3 -m venv", ".venv/bin/pip", ".beam/bin/pip", ".tpu/bin/pip", "pip")
CHECKS = (".venv/bin/ruff", ".venv/bin/mypy", "pytest")
CHECKS += tuple(f"{venv}/bin/pytest" for venv in (".venv", ".beam", ".tpu"))
NAMES = ("imujax", "python", "python3", "pip", "pytest", "sbatch", "kubectl", "bash", "git")
TOOLS = ("pip", "imujax", "python", "ruff", "mypy", "pytest")


def commands(document: pathlib.Path, folder: pathlib.Path) -> list[list[str]]:
    """What the blocks of a document call, in order, as bash would."""
    log = folder / "log"
    log.touch()
    body = f'#!/bin/bash\nprintf "%q " "$NAME_OF" "$@" >> {log}\necho >> {log}\n'
    for name in (
        *NAMES,
        *(f"{venv}/bin/{tool}" for venv in (".venv", ".beam", ".tpu") for tool in TOOLS),
    ):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(body.replace("$NAME_OF", name))
        file.chmod(0o755)
    for block in BLOCK.findall(document.read_text(encoding="utf-8")):
        subprocess.run(
            ["/bin/bash", "-euc", block],
            cwd=folder,
            env={"PATH": f"{folder}:/usr/bin:/bin"},
            check=True,
            timeout=60,
        )
    return [shlex.split(line) for line in log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(params=DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def document(request):
    return request.param


def test_every_command_can_be(document, tmp_path, monkeypatch):
    """Options, configurations, overrides and builders of a command are those that there are."""
    monkeypatch.chdir(ROOT)
    for words in commands(document, tmp_path):
        line, name = " ".join(words), words[0].rsplit("/", 1)[-1]
        if name == "imujax":
            check_imujax(words[1:])
        elif name == "python":
            check_script(words[1], words[2:])
        elif words[0] == "bash" and words[1].endswith("slurm.sh"):
            assert "--dry-run" in words
        else:
            assert line.startswith((*CLUSTER, *INSTALL, *CHECKS)), f"nobody runs {line!r}"
            for word in words[1:]:
                if word.startswith("tests/"):
                    assert (ROOT / word).exists(), word


def check_imujax(words: list[str]):
    args, rest = cli.make_parser().parse_known_args(words)
    if args.verb == "build":
        options = cli.parse_builder_options(rest)
        if args.name != "tabular":
            builders.dataset_name(args.name, options)
    elif getattr(args, "config", None) is not None:
        config = cli.load_configuration(args.config, rest)
        study.check_config(config)
        assert getattr(args, "task", None) in {None, *config.tasks}
    else:
        assert not rest


def check_script(script: str, words: list[str]):
    """Every option and choice stands in the script."""
    if script == "launch/local.py":  # hands its words on
        check_imujax(["pretrain", *(w for w in words if w != "--dry-run" and not w.isdigit())])
        return
    text = (ROOT / script).read_text(encoding="utf-8")
    for before, word in zip(["", *words], words, strict=False):
        assert f'"{word}"' in text or before.startswith("--"), f"{script} has no {word}"


def test_links_resolve(document):
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        file, _, anchor = target.partition("#")
        path = (document.parent / file).resolve() if file else document
        assert path.exists(), f"{document.name} points to {target}"
        assert not anchor or anchor in anchors(path), f"{document.name}: no heading {anchor}"


def anchors(document: pathlib.Path) -> list[str]:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return [re.sub(r"[^\w\- ]", "", words.lower()).strip().replace(" ", "-") for words in plain]


def test_paths_in_the_documents_exist(document):
    text = document.read_text(encoding="utf-8")
    pattern = r"`((?:imujax|configs|launch|tests|data_builders)/[\w/.]+\.\w+)`"
    for path in re.findall(pattern, text):
        assert (ROOT / path).exists(), f"{document.name} names {path}"


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


TRIALS = {
    "movi": [simulated.WALKING_TRIALS[1]],
    "loading_rate": simulated.RUNNING_TRIALS[:1],
    "peak_force": simulated.TERRAIN_TRIALS[:1],
    "knee_moment": simulated.WALKING_TRIALS[1:2],
}
ENCODER = {"steps": 2, "batch": 16, "log_every": 1, "monitor": 0.0, "seeds": 1}
# As the stand-ins of the other documents' data sets have it.
RECORDED = {"rate": 100.0, "window": 64, "sensors": (), "motion": 0.0}
TASK = {
    "folds": 2,
    "draws": 1,
    "steps": (2, 2),
    "batch": 8,
    "stops": (0.5, 1.0),
    "references": ("ridge",),
}
TASK |= {"penalties": (1.0,), "rates": (1e-3,), "axes": {"windows": (0.5, 1.0)}}


def in_miniature(config: ConfigDict) -> ConfigDict:
    """The same experiment with little of everything."""
    config.unlock()
    for name in config.get("simulate", ()):
        config.simulate[name].update(subjects=2, seconds=6.0, trials=TRIALS[name])
    for encoder in config.encoders.values():
        if not encoder.steps:
            continue  # taken as it is
        if encoder.get("parent") != "gait":  # the one in the box, whose network is what it is
            del encoder.net  # which need not be a residual one
            encoder.net = ConfigDict(resnet.tiny("none"))
        encoder.update(microbatch=8 * bool(encoder.microbatch), **ENCODER)
    for task in config.tasks.values():
        with task.ignore_type():  # folds may be a number or lists of names
            task.update(TASK)
    return config


def first_task(config: ConfigDict) -> ConfigDict:
    """The same experiment with one of its tasks, and the encoders of that."""
    for name in list(config.tasks)[1:]:
        del config.tasks[name]
    if config.tasks:
        (task,) = config.tasks.values()
        used = {arm.encoder for arm in task.arms.values()}
        for name in set(config.encoders) - used:
            del config.encoders[name]
    return config


@pytest.fixture
def miniature(tmp_path, monkeypatch):
    """A folder like the repository's root in which commands are run, in miniature."""
    load = cli.load_configuration
    monkeypatch.setattr(cli, "load_configuration", lambda *words: in_miniature(load(*words)))
    monkeypatch.setattr(cli.host, "run_on_calling_thread", lambda: None)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_quick_start_of_the_readme_is_run(miniature, polished, any_rank):
    (miniature / "calls").mkdir()
    words = next(w for w in commands(ROOT / "README.md", miniature / "calls") if "quickstart" in w)
    cli.run_command(words[1:])
    report = json.loads((miniature / "work/quick/report/report.json").read_text())
    assert {task["task"] for task in report["tasks"]} == TRIALS.keys() - {"movi"} | {"frozen"}
    assert all(task["simulated"] for task in report["tasks"])
    assert (miniature / "work/quick/report/report.html").stat().st_size > 1000


@pytest.fixture
def recordings(miniature):
    """Made-up raw files in the layouts of SisFall and the IPOL walks, and some of one's own."""
    rng = np.random.default_rng(0)
    write_sisfall(miniature / "raw/sisfall", [f"D01_SA0{s}" for s in range(1, 5)], seconds=12)
    write_ipol(miniature / "raw/ipol_gait", walks=[f"{s}-1" for s in range(1, 5)])
    for file in (miniature / "raw/ipol_gait").rglob("*.json"):  # stances of different lengths
        walk = json.loads(file.read_text())
        for side in ("LeftFootEvents", "RightFootEvents"):
            walk[side] = [[off + int(rng.integers(-8, 9)), on] for off, on in walk[side]]
        file.write_text(json.dumps(walk))
    people.write_people(miniature / "recordings", subjects=2)
    return miniature


NEW_CARD = """
files = "*_lb.txt"
match = '(?P<subject>\\d+)-(?P<recording>\\d+)_lb'
format = "tsv"
skip_rows = 1
[time]
counter = "PacketCounter"
rate = 100
[units]
acc = "m/s^2"
gyr = "rad/s"
[sensors.lb]
acc = ["Acc_X", "Acc_Y", "Acc_Z"]
gyr = ["Gyr_X", "Gyr_Y", "Gyr_Z"]
"""


def test_the_journeys_of_the_readme_are_run(recordings):
    """In the order in which they stand, but for the quick start; then the three lines of Python,
    and the notebook of the library's README on a new recording.
    """
    (recordings / "calls").mkdir()
    for words in commands(ROOT / "README.md", recordings / "calls"):
        if words[0] == "imujax":  # the quick start stands there as .venv/bin/imujax
            cli.run_command(words[1:])
        if words[:2] == ["imujax", "card"]:  # as its reader does: these files have no clock
            card = recordings / "recordings/card.toml"
            card.write_text(card.read_text().replace("# rate = ", "rate = 100  # "))
    assert (recordings / "work/public/report/report.html").stat().st_size > 1000
    assert len(list((recordings / "data").glob("*/*/1.*.0/dataset_info.json"))) == 3
    (lines,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    acc, gyr = np.random.default_rng(1).normal(0, 0.1, size=(2, 5, 128, 1, 3))
    acc[..., 1] += 9.81
    names = {"acc": acc, "gyr": gyr}
    exec(lines, names)
    assert names["h"].shape == (5, 2688) and np.isfinite(names["h"]).all()
    encoder = imujax.load("work/public/encoders/waist")  # the other one that stands there
    assert "work/public/encoders/waist" in lines and len(encoder.embed(acc, gyr)) == 5
    new = recordings / "new"
    new.mkdir()
    for unit in (recordings / "raw/ipol_gait").rglob("2-1_lb.txt"):
        shutil.copy(unit, new)
    (new / "card.toml").write_text(NEW_CARD)
    lines = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "imujax/README.md").read_text(), re.M | re.S
    )
    exec(next(block for block in lines if "imujax.load" in block), names)
    assert len(names["made"].estimate) == len(names["data"].subject)
    assert names["inside"].mean() > 0.5
    moved = names["why"].acc.sum() + names["why"].gyr.sum() + names["why"].rest[0]
    assert moved == pytest.approx(names["why"].estimate[0] - names["why"].baseline[0])
    assert (recordings / "why.png").stat().st_size > 1000


def made_up_people(key, options, count, rate, length):
    """In place of stream.simulate_windows, whose program takes a minute to compile."""
    shape = (count, options["windows"], len(options["sensors"]), length, 3)
    return tuple(jax.random.normal(k, shape) for k in jax.random.split(key))


def made_up_forces(key, options, windows, rate, length):
    """In place of forces.simulate_windows, as well."""
    columns = {"acc": 3, "gyr": 3, "forces": len(forces.TARGETS)}
    return {
        name: np.array(jax.random.normal(jax.random.fold_in(key, count), (windows, length, count)))
        for name, count in columns.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["configs", "launch", "data_builders"])
def test_the_experiments_of_the_other_documents_are_run(name, recordings, monkeypatch):
    """Each configuration that a command names, from windows to checkpoints and report: its first
    task, and the encoders of that.

    Its data sets are replaced by two made-up ones, since simulating, which tests/simulate and
    tests/data_builders try, takes minutes; so `simulate`, `build` and `quickstart` are left out.
    """
    moves = builders.build("sisfall", "raw/sisfall", "data", window=128, workers=1)
    steps = builders.build("ipol_gait", "raw/ipol_gait", "data", task="stance_time", workers=1)

    def find_all(config, names, *_):
        labelled = {task.data for task in config.tasks.values()}
        return {key: str(steps if key in labelled else moves) for key in names}

    monkeypatch.setattr(study, "find_all", find_all)
    monkeypatch.setattr(study, "find_or_build", lambda *_: steps)
    monkeypatch.setattr(stream, "simulate_windows", made_up_people)
    monkeypatch.setattr(forces, "simulate_windows", made_up_forces)
    monkeypatch.setattr(checks, "look_ahead", lambda *_: [])  # which tests/test_study.py tries
    for field, value in RECORDED.items():
        monkeypatch.setitem(ENCODER, field, value)
    for field in ("sensors", "targets", "tune"):  # which are those of the data and of the network
        monkeypatch.setitem(TASK, field, ())
    load = cli.load_configuration
    monkeypatch.setattr(cli, "load_configuration", lambda *words: first_task(load(*words)))
    (recordings / "calls").mkdir()
    calls = commands(ROOT / name / "README.md", recordings / "calls")
    experiments = [w for w in calls if w[0] == "imujax" and w[1] in ("pretrain", "sweep", "study")]
    assert experiments
    for words in sorted(experiments, key=lambda words: "--checkpoint" in words):
        cli.run_command(words[1:])
        config = cli.load_configuration(words[words.index("--config") + 1], [])
        workdir = recordings / words[words.index("--workdir") + 1]
        folders = study.checkpoint_folders(config, workdir)
        for folder in itertools.chain(*folders.values()) if "--checkpoint" not in words else ():
            assert imujax.load(folder).card["step"] == 2
        if words[1] == "study":
            report = json.loads((workdir / "report/report.json").read_text())
            assert len(report["tasks"]) == len(config.tasks)
    for words in calls:
        if words[:2] == ["imujax", "report"]:
            cli.run_command(words[1:])
