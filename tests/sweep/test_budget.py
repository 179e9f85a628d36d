"""Budgets in passes: their limits, and subsets of nearly one size that take equally many steps."""

import numpy as np
from ml_collections import ConfigDict

from imujax.sweep import budget

CONFIG = ConfigDict({"passes": 40.0, "steps": (200, 4000), "batch": 32, "warmup": 0.05})


def test_a_budget_is_passes_within_its_limits():
    for count in (10, 100, 160, 321, 1000, 2513, 10_000):
        exact = np.clip(40 * count / 32, 200, 4000)
        assert exact <= budget.most_steps(CONFIG, count) <= min(1.125 * exact + 1, 4000)
    assert budget.most_steps(CONFIG, 10) in range(200, 226)
    assert budget.most_steps(CONFIG, 10**6) == 4000


def test_nearly_equal_subsets_take_equally_many_steps():
    assert len({budget.most_steps(CONFIG, count) for count in range(2000, 2040)}) == 1
    octave = {budget.most_steps(CONFIG, count) for count in range(1000, 2000)}
    assert len(octave) <= 10


def test_stops_and_warm_up_are_shares_of_the_budget():
    most = budget.most_steps(CONFIG, 1000)
    assert budget.steps_at(CONFIG, 1000, 1.0) == most
    assert budget.steps_at(CONFIG, 1000, 0.4) == round(0.4 * most)
    assert budget.warmup_steps(CONFIG, 1000) == round(0.05 * most)
    tiny = ConfigDict({"passes": 1.0, "steps": (1, 3), "batch": 64, "warmup": 0.05})
    assert budget.steps_at(tiny, 5, 0.05) == 1 and budget.warmup_steps(tiny, 5) == 1
    assert budget.passes_of(CONFIG, 320, 100) == 10.0
