"""Nobody is trained on and tested: planted copies are refused, by the command and by the call."""

import pathlib
import shutil
import sys

import numpy as np
import pytest
from helpers import people
from ml_collections import ConfigDict

from imujax import cli
from imujax.configs import common
from imujax.data import builders, content
from imujax.errors import UserError
from imujax.sweep import audit

G = 9.80665
HEADER = "ax,ay,az,gx,gy,gz,force"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> pathlib.Path:
    """Labelled people below raw/people, others below raw/others, and both as data sets.

    Without their labels the first are a data set too.
    """
    folder = tmp_path_factory.mktemp("audit")
    people.write_people(folder / "raw" / "people", subjects=4, seconds=20)
    people.write_people(folder / "raw" / "others", subjects=3, seconds=33)
    card = folder / "raw" / "people" / "moves.toml"
    card.write_text(card.read_text().replace('"moves"', '"unlabelled"'))
    for raw, name in (("people", "force"), ("people", "moves"), ("others", "moves")):
        build(folder, raw, name)
    return folder


def build(folder: pathlib.Path, raw: str, card: str) -> pathlib.Path:
    where = folder / "raw" / raw
    return builders.build("tabular", where, folder / "data", card=str(where / f"{card}.toml"))


def labelled(place: pathlib.Path) -> pathlib.Path:
    return build(place, "people", "force")  # at once, it is there


def pretrained(folder: pathlib.Path, *data_sets: pathlib.Path) -> pathlib.Path:
    """What the audit reads of a pre-training on these data sets."""
    folder.mkdir(parents=True)
    content.save(folder, content.read_sets(data_sets))
    return folder


def as_it_is(raw, rows):
    return rows


def in_g_and_degrees(raw, rows):
    """The same in other units, other digits, at another hour, with other windows."""
    card = raw / "moves.toml"
    text = card.read_text().replace('"m/s^2"', '"g"').replace('"rad/s"', '"deg/s"')
    text = text.replace("rate = 100\nlength = 64", "rate = 50\nlength = 50")
    card.write_text(text.replace("rate = 100", 'column = "t"', 1))
    stamps = 3600 * 11 + np.arange(len(rows)) / 100
    values = np.concatenate([rows[:, :3] / G, np.degrees(rows[:, 3:6])], 1).round(3)
    return np.column_stack([values, rows[:, 6], stamps])


def cut(raw, rows):
    return rows[611:1333]


def under_the_name_of_another(raw, rows):
    """Two and a half seconds in the midst of somebody else's recording."""
    own = read(raw / "P02_walk.csv")
    own[1000:1250] = rows[200:450]
    (raw / "P02_walk.csv").unlink()
    return own


def read(file: pathlib.Path) -> np.ndarray:
    return np.loadtxt(file, delimiter=",", skiprows=1)


@pytest.mark.parametrize("fault", [as_it_is, in_g_and_degrees, cut, under_the_name_of_another])
def test_what_an_encoder_has_seen_is_not_tested_on(place, tmp_path, fault):
    """Other names of file, subject, sensor and data set: the signals are the same."""
    raw = tmp_path / "raw" / "lab"
    shutil.copytree(place / "raw" / "others", raw)
    for file in raw.glob("*.csv") if fault is in_g_and_degrees else ():
        file.unlink()
    rows = fault(raw, read(place / "raw" / "people" / "P01_walk.csv"))
    header = HEADER + ",t" * (rows.shape[1] - 7)
    np.savetxt(raw / "P41_jog.csv", rows, "%.5f", ",", header=header, comments="")
    card = raw / "moves.toml"
    card.write_text(card.read_text().replace("[sensors.shank]", "[sensors.wrist]"))
    encoder = pretrained(tmp_path / "encoder", build(tmp_path, "lab", "moves"))
    with pytest.raises(UserError, match="encoder small was pre-trained on signals of") as error:
        audit.require_separate(labelled(place), {"small": [encoder]})
    says = str(error.value)
    assert "P01_walk.csv (subject P01, recording walk, from" in says
    assert "tabular/moves_" in says and ": P41_jog.csv (subject P41, recording jog, from" in says


def test_other_people_of_the_same_names_pass(place, tmp_path):
    """P00 of one laboratory is not P00 of another."""
    encoder = pretrained(tmp_path / "encoder", build(place, "others", "moves"))
    audit.require_separate(labelled(place), {"small": [encoder]})


def test_every_pretraining_of_an_encoder_is_looked_at(place, tmp_path):
    others, same = build(place, "others", "moves"), build(place, "people", "moves")
    members = [pretrained(tmp_path / f"seed{k}", others) for k in range(2)]
    audit.require_separate(labelled(place), {"small": members})
    members.append(pretrained(tmp_path / "seed2", others, same))
    with pytest.raises(UserError, match="encoder small was pre-trained on signals"):
        audit.require_separate(labelled(place), {"small": members})


@pytest.mark.parametrize("names", [("P00", "P99"), ("P00", "p00 ")])
def test_a_labelled_set_that_was_built_otherwise_is_looked_at(place, tmp_path, names):
    """One person twice, in a data set that no build of ours has refused."""
    data = tmp_path / "tabular" / "people" / "1.1.0"
    shutil.copytree(labelled(place), data)
    old = content.read(data)
    rename = {names[0]: names[1]}
    renamed = [rename.get(name, name) for name in old.subject.tolist()]
    more = content.Content(**vars(old) | {"subject": np.array(renamed)})
    content.save(data, content.concatenate([old, more]))
    metadata = data / "metadata.json"
    metadata.write_text(metadata.read_text().replace('"P01"', f'"P01", "{names[1]}"', 1))
    says = "two spellings" if "p00 " in names else "the same signals under two names"
    with pytest.raises(UserError, match=says) as error:
        audit.require_separate(data, {})
    assert all(name in str(error.value) for name in names)


def test_data_and_encoders_of_before_end_in_a_sentence(place, tmp_path):
    encoder = pretrained(tmp_path / "encoder", build(place, "others", "moves"))
    (encoder / content.CONTENT_FILE).unlink()
    with pytest.raises(UserError, match=r"encoder has no content.*`imujax pretrain` again"):
        audit.require_separate(labelled(place), {"small": [encoder]})
    data = tmp_path / "data"
    shutil.copytree(labelled(place), data)
    (data / content.CONTENT_FILE).unlink()
    with pytest.raises(UserError, match=r"data has no content.*build it again"):
        audit.require_separate(data, {})


CONFIG = """
from ml_collections import ConfigDict

from imujax.configs import common
from imujax.nets import resnet


def get_config(others="others"):
    config = ConfigDict({"seed": 0})
    config.data_sets = ConfigDict({
        "moves": common.data_set("tabular", others, card=f"{others}/moves.toml"),
        "force": common.data_set("tabular", "people", card="people/force.toml"),
    })
    encoder = common.encoder(("moves",), resnet.tiny("none"), seeds=2)
    config.encoders = ConfigDict({"small": encoder})
    config.tasks = ConfigDict({"force": common.task("force", "Force", common.arms("small"))})
    return config
"""


def run(place, monkeypatch, *more: str, argument: str = "") -> None:
    (place / "config.py").write_text(CONFIG)
    monkeypatch.setattr(cli.host, "keep_freed_memory", lambda: None)
    words = ["audit", "--config", f"{place / 'config.py'}{argument}", "--data", f"{place / 'data'}"]
    monkeypatch.setattr(sys, "argv", ["imujax", *words, "--raw", f"{place / 'raw'}", *more])
    cli.main()


def test_the_command_prints_a_line_a_comparison(place, monkeypatch, capsys):
    run(place, monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    labels, moves = (
        len(content.read(path).hash) for path in (labelled(place), build(place, "others", "moves"))
    )
    assert sorted(lines) == [
        f"data set force: 4 subjects, {labels} hashes; no signals under two names",
        f"data set moves: 3 subjects, {moves} hashes; no signals under two names",
        f"task force, encoder small: {labels} hashes against {moves}; nothing is in both",
    ]


def test_the_command_ends_with_status_2_at_a_fault(place, monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        run(place, monkeypatch, argument=":people")
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2  # the data sets, each by itself, are sound
    assert err.splitlines()[-1].startswith("imujax: encoder small was pre-trained on signals of ")
    assert err.count("_walk.csv (subject P0") == 2 and "Traceback" not in err


def test_the_command_compares_with_what_the_encoders_have_seen(place, tmp_path, monkeypatch):
    """In the working folder, though the configuration names other data sets."""
    folder = tmp_path / "work" / "encoders" / "small"
    for seed in range(2):
        pretrained(folder / f"seed{seed}", build(place, "others", "moves"))
    run(place, monkeypatch, "--workdir", str(tmp_path / "work"))
    content.save(folder / "seed1", content.read_sets([build(place, "people", "moves")]))
    with pytest.raises(SystemExit):
        run(place, monkeypatch, "--workdir", str(tmp_path / "work"))


def test_simulated_batches_have_no_content(place):
    arms = common.arms("small")
    config = ConfigDict({"encoders": {"small": {"data": ()}}})
    config.tasks = ConfigDict({"force": common.task("force", "Force", arms)})
    (_, line) = audit.audit_configuration(config, {"force": labelled(place)})
    assert line.endswith("hashes against 0; nothing is in both")
