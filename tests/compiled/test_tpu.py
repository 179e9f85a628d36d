"""Pre-training, sweep and simulation by the compiler of TPUs, for four chips that are not here."""

import importlib.util

import jax
import pytest
from helpers import people
from ml_collections import ConfigDict

from imujax import cli
from imujax.compiled import machines, page, programs
from imujax.configs import common
from imujax.data import builders
from imujax.nets import resnet
from imujax.simulate import body

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not importlib.util.find_spec("libtpu"), reason="needs the extra tpu"),
]


def encoder(**changes) -> ConfigDict:
    net = resnet.tiny("none") | {"stages": (1,), "projection": (16,), "dtype": "bfloat16"}
    return common.encoder(("moves",), net, **{"window": 48, "batch": 64, "steps": 4} | changes)


@pytest.fixture
def slice_(four_devices) -> machines.Machine:
    return machines.parse_machine("v5e:2x2")


def test_pretraining_sends_gradients_and_embeddings(slice_):
    """What crosses the links does not grow with the windows; nothing there is a TPU."""
    made, longer = (
        programs.compile_pretraining("e", encoder(window=window), slice_) for window in (48, 96)
    )
    sent, sent_longer = (
        sum(each.size * each.times for each in x.account.collectives) for x in (made, longer)
    )
    assert 0 < sent == sent_longer
    assert longer.account.moved > made.account.moved and not made.account.endless
    assert jax.default_backend() == "cpu"


def test_a_sweep_sends_nothing(tmp_path, capsys):
    place = people.write_study(tmp_path)
    raw = place["raw"] / "people"
    builders.build("tabular", raw, place["data"], card=str(raw / "force.toml"))
    words = ["compile", "--config", str(place["config"]), "--data", str(place["data"])]
    cli.run_command([*words, "--for", "v5e:2x2", "--what", "sweep"])
    said = capsys.readouterr().out
    assert "task force, a step of fine-tuning" in said and "collectives    0 ms: none" in said


def test_simulated_people(slice_, any_rank):
    stream = {"sensors": (body.SEGMENTS[0],), "windows": 1}
    section = encoder()
    section.data, section.stream = (), stream
    config = ConfigDict({"seed": 0, "encoders": {"people": section}, "tasks": {}})
    (lines,) = page.describe_all(config, "v5e:2x2", "simulate")
    assert lines[0] == "encoder people, people simulated for a batch, on v5e:2x2, 4 chips"
    assert any("collectives    0 ms: none" in line for line in lines)
