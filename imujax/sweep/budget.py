"""How long a run of fine-tuning may take: in passes over its own training subset.

A share of the windows takes the same share of the steps, so that what is saved by few labels is not
confused with what is saved by few steps; a least number of steps lets small subsets be learned at
all, and a most number keeps large ones affordable.
"""

import math

from ml_collections import ConfigDict

FIFTH = 5  # what a part of the chosen steps gives is reported too


def most_steps(config: ConfigDict, count: int) -> int:
    """The budget of a run.

    Parameters
    ----------
    config : ConfigDict
        A task's: passes, steps (least, most), batch.
    count : int
        Examples of the run's training subset.

    Returns
    -------
    int
        Steps, rounded up to one of eight numbers an octave: subsets of nearly one size take equally
        many, and go together.
    """
    least, most = config.steps
    steps = max(least, math.ceil(config.passes * count / config.batch))
    grain = 2 ** max(0, steps.bit_length() - 4)
    return min(most, grain * math.ceil(steps / grain))


def steps_at(config: ConfigDict, count: int, stop: float) -> int:
    """The steps of a run up to one of its stops.

    Parameters
    ----------
    config : ConfigDict
        A task's.
    count : int
        Examples of the run's training subset.
    stop : float
        Share of the budget, above 0 and not above 1.

    Returns
    -------
    int
        At least 1.
    """
    return max(1, round(stop * most_steps(config, count)))


def warmup_steps(config: ConfigDict, count: int) -> int:
    """The steps in which the learning rate of a run rises: a share `warmup` of its budget.

    Parameters
    ----------
    config : ConfigDict
        A task's.
    count : int
        Examples of the run's training subset.

    Returns
    -------
    int
        At least 1.
    """
    return max(1, round(config.warmup * most_steps(config, count)))


def passes_of(config: ConfigDict, count: int, steps: int) -> float:
    """Passes over a training subset of `count` examples that so many steps are.

    Parameters
    ----------
    config : ConfigDict
        A task's: batch.
    count, steps : int
        Examples of the subset, and steps.

    Returns
    -------
    float
    """
    return steps * config.batch / count
