"""What the report measures of numbers and of classes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from imujax.report import class_metrics, metrics


class Kind(NamedTuple):
    """How estimates of one kind are scored.

    Attributes
    ----------
    main : str
        The metric that verdicts rest on.
    word : str
        Its name for readers.
    metrics : tuple of str
    score : (keys, truth, estimate) -> list of dict
        A row with these metrics for every group.
    """

    main: str
    word: str
    metrics: tuple[str, ...]
    score: Callable[[dict[str, np.ndarray], np.ndarray, np.ndarray], list[dict[str, Any]]]


NUMBERS = Kind("r", "r", metrics.METRICS, metrics.score_by_keys)
CLASSES = Kind(
    "balanced_accuracy", "balanced accuracy", metrics.CLASS_METRICS, class_metrics.score_by_keys
)


def kind_of(target: dict[str, Any]) -> Kind:
    """The kind of a target: of a class where it has `classes`."""
    return CLASSES if "classes" in target else NUMBERS
