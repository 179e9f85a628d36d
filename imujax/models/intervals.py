"""Intervals of estimates for a new person, from residuals of people who were held out.

People are exchangeable, windows are not: those of one person miss alike.  So each held-out person
has the same weight, whatever the number of windows, and the person to come has one too, that of a
residual without bounds (hierarchical conformal prediction: Dunn, Wasserman, Ramdas 2023; Lee,
Barber, Willett 2023).  Then the share of windows that lie within is at least the level, on average
over the persons to come, whatever the distribution.  The residuals are of models that were trained
without a fold of people, and the model that is kept was trained on all of them (CV+ of Barber et
al. 2021 has the same slack).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Width(NamedTuple):
    """How far an estimate may miss.

    Attributes
    ----------
    half : float
        Half the interval, in the target's unit.
    level : float
        What is promised: the level that was asked for, or as much as so few people can promise.
    """

    half: float
    level: float


class Coverage(NamedTuple):
    """How many windows of people who were held out lie within.

    Attributes
    ----------
    mean, low, high : float
        Share of windows, the mean over people, with its 95 % t interval over people.
    least : float
        That of the person of whom the fewest do.
    """

    mean: float
    low: float
    high: float
    least: float


def promise(level: float, people: int) -> float:
    """Say what so many people can promise of a level that is asked for."""
    return min(level, people / (people + 1))


def half_width(residual: np.ndarray, subject: np.ndarray, level: float) -> Width:
    """Find how far the estimate for a new person may miss.

    Parameters
    ----------
    residual : ndarray, [N]
        Estimate minus truth of people who were held out, in the target's unit.
    subject : ndarray, [N]
        Whose window it is.
    level : float
        Between 0 and 1.

    Returns
    -------
    Width
        With S people no level above S / (S + 1) can be promised: then the largest residual is
        taken, and this level.
    """
    names, code, count = np.unique(subject, return_inverse=True, return_counts=True)
    people = len(names)
    level = promise(level, people)
    # What is left to 1 is the new person's, beyond bounds.
    weight = 1 / count[code] / (people + 1)
    size = np.abs(np.asarray(residual, np.float64))
    order = np.argsort(size, kind="stable")
    reached = np.cumsum(weight[order])
    first = int(np.searchsorted(reached, level - 1e-9))
    return Width(float(size[order[min(first, len(size) - 1)]]), float(level))


def widths_of_others(residual: np.ndarray, subject: np.ndarray, level: float) -> np.ndarray:
    """Find half widths for people who were held out, for each by the residuals of the others.

    Parameters
    ----------
    residual, subject : ndarray, [N]
        As of `half_width`, of at least two people.
    level : float

    Returns
    -------
    ndarray, [N]
        Of the interval of each window, in the target's unit.
    """
    halves = np.empty(len(residual))
    for name in np.unique(subject):
        mine = subject == name
        halves[mine] = half_width(residual[~mine], subject[~mine], level).half
    return halves


def measure_coverage(residual: np.ndarray, subject: np.ndarray, level: float) -> Coverage:
    """Measure the share of windows within, for each person by the residuals of the others.

    Parameters
    ----------
    residual, subject : ndarray, [N]
        As of `half_width`, of at least three people.
    level : float

    Returns
    -------
    Coverage
    """
    residual, subject = np.asarray(residual, np.float64), np.asarray(subject)
    is_within = np.abs(residual) <= widths_of_others(residual, subject, level)
    shares = [np.mean(is_within[subject == name]) for name in np.unique(subject)]
    return summarise(shares)


def summarise(shares: Sequence[float] | np.ndarray) -> Coverage:
    """Sum up the share of each person's windows that lie within [people]."""
    mean, error = np.mean(shares), stats.sem(shares)
    reach = stats.t.ppf(0.975, len(shares) - 1) * error
    return Coverage(
        float(mean), float(max(mean - reach, 0)), float(min(mean + reach, 1)), float(min(shares))
    )
