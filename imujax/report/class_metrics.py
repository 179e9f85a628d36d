"""How well estimated classes follow the true ones, for many groups of windows at once. Float64.

The class of an estimate is the one of greatest probability.  What is undefined is NaN and carries
its reason in the column `undefined`, as in metrics.py:

  "few"             fewer than 3 windows
  "constant truth"  one class alone: nothing can be told apart
  "not finite"      a probability is NaN or infinity
"""

from typing import Any

import numpy as np

from imujax.report.metrics import CLASS_METRICS, group_by_keys


def score_by_keys(
    keys: dict[str, np.ndarray], truth: np.ndarray, estimate: np.ndarray
) -> list[dict[str, Any]]:
    """All metrics of every group of windows that have the same keys.

    Parameters
    ----------
    keys : dict of ndarray, each [M]
        Columns that name the group of a window.
    truth : ndarray, [M]
        Numbers of the classes; of a class a sample [M, Lt], NaN where there is none.
    estimate : ndarray, [M, C], or [M, Lt, C]
        Probabilities.

    Returns
    -------
    list of dict
        For every combination of the keys there is, sorted by them: the keys, n, how many windows;
        of all of these, or of all their samples,
        balanced_accuracy, the mean recall of the classes that the group has; macro_f1, the mean of
        their F1 (those that are estimated alone count with 0); kappa, Cohen's, against the chance
        that lies in the margins (Cohen 1960); accuracy; undefined.
    """
    columns, group = group_by_keys(keys)
    is_finite = np.isfinite(estimate).all(axis=-1)
    rows = []
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(group))[:-1])
    for i, own in enumerate(parts):
        row = {name: values[i].item() for name, values in columns.items()}
        number, chosen = in_one(truth[own], estimate[own])
        undefined = ""
        if not (is_finite | np.isnan(truth))[own].all():
            undefined = "not finite"
        if len(np.unique(number)) < 2:
            undefined = "constant truth"
        if len(number) < 3:
            undefined = "few"
        scores = dict.fromkeys(CLASS_METRICS, float("nan"))
        if not undefined:
            scores = _score(confusion(number, chosen, estimate.shape[-1]))
        rows.append(row | {"n": len(own)} | scores | {"undefined": undefined})
    return rows


def in_one(truth: np.ndarray, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True and most probable classes of windows, or of all their samples that have one, [..] int.

    truth and estimate are those of `score_by_keys`.
    """
    is_there = np.isfinite(truth)
    return truth[is_there].astype(int), estimate.argmax(axis=-1)[is_there]


def confusion(truth: np.ndarray, chosen: np.ndarray, count: int) -> np.ndarray:
    """Windows by true class (rows) and estimated one (columns), [C, C], of `count` classes."""
    return np.bincount(truth * count + chosen, minlength=count**2).reshape(count, count)


def _score(table: np.ndarray) -> dict[str, float]:
    """CLASS_METRICS of a table of confusion [C, C]."""
    n, right = table.sum(), np.diag(table)
    of_truth, of_estimate = table.sum(axis=1), table.sum(axis=0)
    is_there, is_named = of_truth > 0, (of_truth + of_estimate) > 0
    accuracy = right.sum() / n
    chance = (of_truth @ of_estimate) / n**2
    return {
        "balanced_accuracy": float(np.mean(right[is_there] / of_truth[is_there])),
        "macro_f1": float(np.mean(2 * right[is_named] / (of_truth + of_estimate)[is_named])),
        "kappa": float((accuracy - chance) / (1 - chance)) if chance < 1 else float("nan"),
        "accuracy": float(accuracy),
    }
