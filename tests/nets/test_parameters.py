"""Ordered patterns over parameter names: who wins, what is an error, what is loaded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imujax.errors import UserError
from imujax.nets import parameters


def leaf(value, *shape):
    return np.full(shape, value, np.float32)


TREE = {
    "acc_encoder": {"stem": {"kernel": leaf(0, 7, 3, 4), "bias": leaf(0, 4)}},
    "gyr_encoder": {"stem": {"kernel": leaf(0, 7, 3, 4)}},
    "output": {"kernel": leaf(0, 8, 1)},
}


def test_flatten_joins_the_path_and_unflatten_takes_it_back():
    flat = parameters.flatten(TREE)
    assert list(flat) == [
        "acc_encoder/stem/kernel",
        "acc_encoder/stem/bias",
        "gyr_encoder/stem/kernel",
        "output/kernel",
    ]
    assert parameters.unflatten(flat) == TREE


def test_the_first_pattern_that_matches_in_full_wins():
    patterns = [("acc_encoder/.*bias", False), ("acc_encoder/.*", True), ("output/.*", False)]
    source = {"acc_encoder": {"stem": {"kernel": leaf(1, 7, 3, 4), "bias": leaf(1, 4)}}}
    grafted, copied = parameters.graft(TREE, source, patterns)
    assert copied == ["acc_encoder/stem/kernel"]
    assert (grafted["acc_encoder"]["stem"]["bias"] == 0).all()


@pytest.mark.parametrize("pattern", ["encoder/.*", "kernel", "acc_encoder"])
def test_a_pattern_that_matches_nothing_in_full_is_named(pattern):
    with pytest.raises(UserError, match=f"'{pattern}' matches no parameter .*acc_encoder/stem"):
        parameters.graft(TREE, TREE, [(pattern, True)])


def test_a_pattern_in_the_shadow_of_an_earlier_one_is_named():
    with pytest.raises(UserError, match="'output/kernel' matches only names that an earlier"):
        parameters.graft(TREE, TREE, [(".*kernel", True), ("output/kernel", False)])


def source():
    return {
        "acc_encoder": {"stem": {"kernel": leaf(1, 7, 3, 4), "bias": leaf(2, 4)}},
        "gyr_encoder": {"stem": {"kernel": leaf(3, 7, 3, 4)}},
        "acc_head": {"output": {"kernel": leaf(4, 4, 4)}},
    }


def test_graft_takes_what_the_patterns_choose_and_says_what():
    grafted, copied = parameters.graft(
        TREE, source(), [(".*/bias", False), (".*_encoder/.*", True)]
    )
    assert copied == ["acc_encoder/stem/kernel", "gyr_encoder/stem/kernel"]
    values = {name: float(np.mean(value)) for name, value in parameters.flatten(grafted).items()}
    assert values == {
        "acc_encoder/stem/kernel": 1,
        "acc_encoder/stem/bias": 0,
        "gyr_encoder/stem/kernel": 3,
        "output/kernel": 0,
    }
    assert float(np.mean(TREE["acc_encoder"]["stem"]["kernel"])) == 0  # not changed in place


def test_graft_never_loads_half_a_net():
    with pytest.raises(UserError, match="checkpoint has no parameter 'output/kernel'"):
        parameters.graft(TREE, source(), [(".*", True)])
    with pytest.raises(UserError, match="no place for parameter 'acc_head/output/kernel'"):
        parameters.graft(TREE, source(), [("output/.*", False), (".*", True)])
    other = source()
    other["acc_encoder"]["stem"]["bias"] = leaf(2, 1)
    with pytest.raises(UserError, match=r"acc_encoder/stem/bias' has shape \(1,\) .* \(4,\)"):
        parameters.graft(TREE, other, [(".*_encoder/.*", True)])


def test_what_is_held_has_no_gradient():
    tree = {"encoder": {"kernel": jnp.ones(3)}, "output": {"kernel": jnp.full(2, 2.0)}}

    def loss(params):
        held = parameters.hold(params, [("encoder/.*", 0.0), ("output/.*", 0.3)])
        return sum((x**2).sum() for x in parameters.flatten(held).values())

    gradient = jax.grad(loss)(tree)
    np.testing.assert_array_equal(gradient["encoder"]["kernel"], np.zeros(3))
    np.testing.assert_array_equal(gradient["output"]["kernel"], np.full(2, 4.0))
