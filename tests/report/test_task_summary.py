"""Which arm is compared with which."""

from imujax.report import task_summary


def test_arms_of_random_weights_are_not_compared_with_each_other():
    """Sets of random weights of one encoder; the first of them serves the pre-trained arm."""
    specs = {
        "pretrained": {"encoder": "e", "weights": "pretrained"},
        "set_0": {"encoder": "e", "weights": "random", "start": 0},
        "set_1": {"encoder": "e", "weights": "random", "start": 1},
    }
    summary = {"config": {"arms": specs}}
    assert task_summary._baselines(summary, tuple(specs)) == {"pretrained": "set_0"}
    assert task_summary._baselines(summary, ("set_0", "set_1")) == {}
