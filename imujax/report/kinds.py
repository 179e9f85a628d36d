"""What the report measures of numbers, of classes and of curves."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from imujax.report import class_metrics, curve_metrics, metrics

Target = dict[str, Any]


class Kind(NamedTuple):
    """How estimates of one kind are scored, and what is said of them.

    Attributes
    ----------
    main : str
        The metric that verdicts rest on.
    word, measure : str
        Its short name for readers, and its full one.
    metrics, shown : tuple of str
        All of them, and the two that are shown of each subject.
    losses : str
        What the picture of training shows.
    too_good : float
        A mean of the main metric above which a report asks whether the target is among the signals.
    score : (target, keys, truth, estimate) -> list of dict
        A row with these metrics for every group.
    """

    main: str
    word: str
    measure: str
    metrics: tuple[str, ...]
    shown: tuple[str, str]
    losses: str
    too_good: float
    score: Callable[[Target, dict[str, np.ndarray], np.ndarray, np.ndarray], list[dict[str, Any]]]


def _score_numbers(target, keys, truth, estimate):
    return metrics.score_by_keys(keys, truth, estimate)


def _score_classes(target, keys, truth, estimate):
    return class_metrics.score_by_keys(keys, truth, estimate)


def _score_curves(target, keys, truth, estimate):
    return curve_metrics.score_by_keys(keys, truth, estimate, target["seconds"])


ERRORS = "mean squared error of training, in units of the variance of its labels, and 1 \u2212 r"
NUMBERS = Kind("r", "r", "Pearson r", metrics.METRICS, ("r", "rmse"), ERRORS, 0.98, _score_numbers)
CURVES = Kind(
    "r",
    "r",
    "Pearson r over all samples",
    metrics.CURVE_METRICS,
    ("r", "rmse"),
    ERRORS,
    0.999,  # the mean curve of other people may have .95
    _score_curves,
)
CLASSES = Kind(
    "balanced_accuracy",
    "balanced accuracy",
    "balanced accuracy",
    metrics.CLASS_METRICS,
    ("balanced_accuracy", "kappa"),
    "cross entropy of training, and 1 \u2212 balanced accuracy",
    np.inf,  # walking is told from sitting without fault
    _score_classes,
)


def kind_of(target: Target) -> Kind:
    """The kind of a target: of a class where it has `classes`, of a curve where it has `every`."""
    if "classes" in target:
        return CLASSES
    return CURVES if "every" in target else NUMBERS
