"""Machines by name, and what their links take to send, by hand."""

import importlib.util

import pytest

from imujax import UserError
from imujax.compiled import machines


def test_machines_have_a_chip_and_a_shape():
    slice_ = machines.parse_machine("v5e:16x16")
    assert (slice_.chip.peak, slice_.topology, slice_.shape) == (197e12, "v5e:16x16", (16, 16))
    nodes = machines.parse_machine("h200:8x4")
    assert (nodes.chip.peak, nodes.topology, nodes.shape) == (989e12, "1x4x8", (8, 4))
    assert machines.parse_machine("h100:8").topology == "1x1x8"
    links = [machines.parse_machine(name).links for name in ("v5e:1x1", "v5e:2x2", "v5e:2x4")]
    assert links == [1, 2, 3] and slice_.links == 4 and nodes.links == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("v9:2x2", "no chip 'v9', there are v4, v5e"),
        ("v5e", "how many. Write v5e:16x16"),
        ("v5e:0x2", "how many"),
        ("h100:", "how many. Write h100:8 or h100:8x4"),
        ("h100:8x2x2", "write the GPUs of a node, and nodes"),
    ],
)
def test_no_such_machine(text, sentence):
    with pytest.raises(UserError, match=sentence):
        machines.parse_machine(text)


@pytest.mark.parametrize(("name", "module"), [("v5e:2x2", "libtpu"), ("h100:8", "jax_plugins")])
def test_a_compiler_that_is_not_here_is_named(name, module, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda wanted: None if wanted == module else find(wanted)
    )
    with pytest.raises(UserError, match=r'pip install "imujax\[(tpu|cuda)\]"'):
        machines.describe(machines.parse_machine(name), "data")


def test_what_links_take_to_send():
    """1 MB on a ring of 4: twice 3/4 of it over both links of 50 GB/s, or what is gathered; between
    nodes of eight GPUs over the cards of all."""
    slice_, sent = machines.parse_machine("v5e:2x2"), 1e6
    took = {
        kind: machines.seconds_to_send(slice_, kind, sent, 4)
        for kind in ("all-reduce", "all-gather", "reduce-scatter", "collective-permute")
    }
    assert took == pytest.approx(
        {
            "all-reduce": 15e-6,
            "all-gather": 30e-6,
            "reduce-scatter": 7.5e-6,
            "collective-permute": 20e-6,
        }
    )
    node, nodes = map(machines.parse_machine, ("h100:8", "h100:8x2"))
    assert machines.seconds_to_send(node, "all-reduce", sent, 8) == pytest.approx(1.75e6 / 450e9)
    assert machines.seconds_to_send(nodes, "all-reduce", sent, 16) == pytest.approx(1.875e6 / 400e9)
