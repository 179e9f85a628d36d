"""Factors of fine-tuning: what each list gives to every parameter of a network."""

import jax
import pytest
from helpers import draws

from imujax.nets import parameters, resnet, towers, tuning


def factors(net, patterns):
    """{name: factor} of all parameters of a regressor."""
    some = draws.windows(2, 32, 1, 3)
    shapes = jax.eval_shape(towers.Regressor(net).init, jax.random.key(0), some, some)
    ones = jax.tree.map(lambda x: 1.0, shapes["params"])
    scaled = parameters.flatten(parameters.scale(ones, patterns))
    return {name: float(x) for name, x in scaled.items()}


@pytest.mark.parametrize("net", [resnet.tiny("batch"), resnet.tiny("none") | {"shared": True}])
def test_frozen_moves_the_output_alone(net):
    found = factors(net, tuning.frozen())
    assert {name for name, factor in found.items() if factor} == {"output/kernel", "output/bias"}
    assert set(found.values()) == {0, 1}


def test_the_last_stage_and_the_output_are_moved():
    found = factors(resnet.tiny("batch"), tuning.last_stage(resnet.tiny("batch")))
    moved = {name for name, factor in found.items() if factor}
    expected = {name for name in found if "/stage2_block1" in name or name.startswith("output/")}
    assert moved == expected and len(moved) > 10


def test_rates_fall_from_the_output_to_the_stem():
    net = resnet.tan2023() | {"stages": (2, 1, 1)}
    found = factors(net, tuning.layerwise(net, 0.5))
    expected = {"stem": 1 / 16, "stage1": 1 / 8, "stage2": 1 / 4, "stage3": 1 / 2, "output": 1}
    seen = set()
    for name, factor in found.items():
        part = name.removeprefix("encoder/").split("/")[0].split("_")[0]
        assert factor == expected[part], name
        seen.add(part)
    assert seen == set(expected)
