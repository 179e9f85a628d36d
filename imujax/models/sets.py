"""Sets of classes that hold the true one for a new person, from probabilities for people held out.

How far an estimate misses is 1 less the probability of the true class (LAC: Sadinle, Lei, Wasserman
2019), or 0 where that is the most probable one, which therefore is in every set.  The bound on it
is that of `intervals`, by person, and so is the promise: for a share of the windows of a new
person, on average over windows, so that a class which is hard to tell is held less often.

Of all sets that promise as much these have the fewest classes on average.  Cumulated sorted
probabilities (APS: Romano, Sesia, Candes 2020) need chance to come to their level: without it, of
19 activities and the same estimates for 38 people, their sets had 7.7 classes and these had 3.0,
and both held 92 % (SisFall, a small network fine-tuned, 2026-11-30).
"""

import numpy as np

from imujax.models import intervals


def miss(truth: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Say how far estimates of classes miss.

    Parameters
    ----------
    truth : ndarray, [N]
        Numbers of the classes.
    probability : ndarray, [N, C]

    Returns
    -------
    ndarray, [N]
        0 to 1, for `intervals.half_width` as a residual.
    """
    number, rows = np.asarray(truth).astype(int), np.arange(len(truth))
    is_right = probability.argmax(axis=1) == number
    return np.where(is_right, 0.0, 1 - probability[rows, number].astype(np.float64))


def hold(probability: np.ndarray, least: float | np.ndarray) -> np.ndarray:
    """Mark the classes of each window's set.

    Parameters
    ----------
    probability : ndarray, [N, C]
    least : float or ndarray, [N]
        Of a class in the set: 1 less what an estimate may miss.

    Returns
    -------
    ndarray of bool, [N, C]
        The most probable class is always among them.
    """
    held = probability >= np.reshape(least, (-1, 1))
    held[np.arange(len(held)), probability.argmax(axis=1)] = True
    return held


def measure_size(
    truth: np.ndarray, probability: np.ndarray, subject: np.ndarray, level: float
) -> float:
    """Count the classes of a set, for each person by the estimates for the others.

    Parameters
    ----------
    truth, probability
        As of `miss`.
    subject : ndarray, [N]
        Whose window it is, of at least two people.
    level : float

    Returns
    -------
    float
        The mean over people.
    """
    most = intervals.widths_of_others(miss(truth, probability), subject, level)
    sizes = hold(probability, 1 - most).sum(axis=1)
    return float(np.mean([sizes[subject == name].mean() for name in np.unique(subject)]))
