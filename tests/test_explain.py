"""Configurations explain themselves, and what cannot be in one is said in one sentence."""

import ast
import pathlib
import re

import pytest
from ml_collections import ConfigDict

from imujax import cli, explain, study
from imujax.configs import common, public
from imujax.errors import UserError
from imujax.pretrain.settings import EncoderSettings
from imujax.runtime import fields
from imujax.sweep.settings import TaskSettings

README = pathlib.Path(public.__file__).parent / "README.md"


def test_every_field_is_printed_with_its_value_and_sentence():
    config = public.get_config("tiny")
    study.check_config(config)
    text = explain.explain(config)
    sections = dict(re.findall(r"\n\[(.*?)\]\n(.*?)(?=\n\n\[|\Z)", text, re.DOTALL))
    assert "tasks.stance_time.select" in sections and "tasks.stance_time.arms.random" in sections
    for part, name in ((EncoderSettings, "encoders.waist"), (TaskSettings, "tasks.stance_time")):
        section = config
        for key in name.split("."):
            section = section[key]
        lines = sections[name].split("\n")
        values = dict(line.split(" = ", 1) for line in lines if " = " in line and line[0] != "#")
        for row in fields.rows(part):
            if row.name in ("arms", "select", "net", "simulated") or row.name not in section:
                continue
            value = ast.literal_eval(values[row.name].split("  # ")[0])
            assert value == explain._plain(section[row.name])
            assert " ".join(row.sentence.split()) in " ".join(
                sections[name].replace("#", "").split()
            )
    assert max(len(line) for line in text.split("\n")) <= explain.WIDTH
    assert "60  # of training; 0: the parent as it is; 1000 by default" in text


def test_a_new_configuration_is_one_as_it_stands_and_with_every_field_uncommented(tmp_path, capsys):
    file = tmp_path / "mine.py"
    cli.run_command(["config", "--new", str(file)])
    plain = cli.load_configuration(str(file), [])
    study.check_config(plain)
    names = [row.name for part in (EncoderSettings, TaskSettings) for row in fields.rows(part)]
    text = file.read_text()
    left_out = {"stream", "published"}
    small = {key: explain._plain(plain.tasks.mine[key]) for key in common.SMALL}
    assert small == {key: explain._plain(value) for key, value in common.SMALL.items()}
    assert not [name for name in names if name not in text and name not in left_out]
    file.write_text(re.sub(r"(?m)^( +)# (\w+=.*)$", r"\1\2", text))
    assert file.read_text().count("# ") < text.count("# ") - 30
    full = cli.load_configuration(str(file), [])
    study.check_config(full)
    assert full.to_json() == plain.to_json()
    with pytest.raises(UserError, match="is there already"):
        cli.run_command(["config", "--new", str(file)])
    with pytest.raises(UserError, match="is a file of Python"):
        cli.run_command(["config", "--new", str(tmp_path / "mine.toml")])
    with pytest.raises(UserError, match="give a configuration to print, or --new"):
        cli.run_command(["config"])
    tune = "(('.*encoder/stem.*', 0.0),)"
    cli.run_command(["config", str(file), "--config.seed=7", f"--config.tasks.mine.tune={tune}"])
    said = capsys.readouterr().out
    assert "seed = 7" in said and f"tune = {tune}" in said
    assert "multiplies its learning rate, 0 keeps it as it is" in " ".join(said.split())


def test_the_table_of_all_fields_is_current():
    """To make it anew: python -c "from imujax import explain; print(explain.tables())"."""
    assert explain.tables() in README.read_text()


HEAD = """
from ml_collections import ConfigDict
from imujax.configs import common
from imujax.nets import resnet


def get_config(size="full"):
    config = ConfigDict({"seed": 0})
    config.data_sets = ConfigDict({"walks": common.data_set("sisfall", "sisfall")})
    config.encoders = ConfigDict({"unit": common.encoder(("walks",), resnet.tiny("none"), X)})
    arms = common.arms("unit")
    config.tasks = ConfigDict({"gait": common.task("walks", "Gait", arms, Y)})
    return config
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Y", "finetune_stepz=3", "tasks.gait.finetune_stepz: no such field"),
        ("Y", "penaltys=(1.0,)", "tasks.gait.penaltys: no such field; did you mean penalties?"),
        ("X", 'batch="128"', "encoders.unit.batch is '128', but must be a whole number"),
        ("X", "batch=12.5", "encoders.unit.batch is 12.5, but must be a whole number"),
        ("X", "steps=-5", "encoders.unit.steps is -5, but must be at least 0"),
        ("X", "learning_rate=0", "encoders.unit.learning_rate is 0, but must be above 0"),
        ("X", "noise=(0.1,)", "encoders.unit.noise is (0.1,), but must be a tuple of 2"),
        ("X", "grouped=1", "encoders.unit.grouped is 1, but must be True or False"),
        ("X", "net={}", "line 10: TypeError: encoder() got multiple values for argument 'net'"),
        (
            'resnet.tiny("none")',
            '{"widht": 8}',
            "net.widht: no such field; did you mean width?",
        ),
        ('resnet.tiny("none")', '{"width": 0}', "encoders.unit.net.width is 0, but must be at"),
        ('resnet.tiny("none")', '{"network": "rnn"}', "net.network names 'rnn'"),
        ("Y", "rates=(1e-3, 'x')", "tasks.gait.rates is (0.001, 'x'), but must be a tuple"),
        ("Y", 'select={"folds": 4, "split": 2}', "tasks.gait.select.split: no such field"),
        (
            "Y",
            'tune=((".*",),)',
            "tune is (('.*',),), but must be a tuple, each of it a tuple of a text",
        ),
        ("Y", 'tune=((".*", -0.5),)', "tasks.gait.tune is (('.*', -0.5),), but must be at least 0"),
        ("Y", 'axes={"window": (0.5,)}', "tasks.gait.axes has 'window': there are windows"),
        ("Y", 'folds="loo"', "tasks.gait.folds is 'loo': give a number"),
        ("Y", 'stages=("probes",)', "tasks.gait.stages names 'probes': there are probe"),
        ("Y", "arms={}, draws=0", "tasks.gait.draws is 0, but must be at least 1"),
        ("config.tasks = ", "config.taks = ", "taks: no such field; did you mean tasks?"),
        ("    return config", "    pass", "does it end in `return config`?"),
        ('"sisfall", "sisfall")', '"sisfall")', "missing 1 required positional argument"),
        ("resnet.tiny", "resnet.tinny", "has no attribute 'tinny'"),
        ("return config", "return config[", "was never closed"),
        ("from imujax.nets", "from imujax.netz", "No module named 'imujax.netz'"),
    ],
)
def test_what_cannot_be_in_a_file_is_one_sentence(tmp_path, old, new, says):
    text = HEAD
    assert old in text
    text = text.replace(old, new, 1).replace(", X)", ")").replace(", Y)", ")")
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UserError) as error:
        cli.run_command(["config", str(tmp_path / "mine.py")])
    assert says in str(error.value) and "\n" not in str(error.value)


def test_the_file_that_the_mistakes_are_put_into_is_right(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(HEAD.replace(", X)", ")").replace(", Y)", ")"))
    cli.run_command(["config", str(tmp_path / "mine.py")])
    assert "[tasks.gait]" in capsys.readouterr().out


def test_what_a_section_leaves_out_is_filled_in():
    """A section that was written by hand, without the functions of `common`."""
    net = {"width": 8}
    arm = {"encoder": "unit", "weights": "random"}
    config = ConfigDict(
        {
            "data_sets": {"walks": {"builder": "sisfall", "raw": "sisfall"}},
            "encoders": {"unit": {"data": ("walks",), "net": net, "steps": 7}},
            "tasks": {"gait": {"data": "walks", "title": "Gait", "arms": {"random": arm}}},
        }
    )
    study.check_config(config)
    assert config.seed == 0 and config.encoders.unit.steps == 7
    assert config.encoders.unit.batch == 512 and config.tasks.gait.select.splits == (2, 4)
    assert config.data_sets.walks.options == ConfigDict()
