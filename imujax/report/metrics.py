"""How well an estimate follows the truth, for one subject or for many groups at once. Float64.

What is undefined is NaN and carries its reason in the column `undefined`, never a silent 0:

  "few"                fewer than 3 points: only rmse, mae and bias are given
  "constant truth"     r, R2, rRMSE, slope and intercept have no meaning
  "constant estimate"  r has no meaning (slope is 0 and ICC is 0, both defined)
  "not finite"         the estimate holds NaN or infinity: nothing has a meaning

`values_for_mean` says how these enter a mean over subjects. The first two lie with the subject:
nobody can score it, and it is left out of every mean, for every arm alike. The last two lie with
the estimator: a constant carries no information about the differences within a subject, and neither
does a diverged run, so r counts as 0 and the case is counted; leaving it out would reward a net
for failing on its hardest subjects. The other metrics of a diverged run stay NaN and make the mean
NaN: there is no honest number to put in their place.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

METRICS = (
    "r",
    "rmse",
    "rrmse",
    "r2",
    "mae",
    "bias",
    "loa_low",
    "loa_high",
    "slope",
    "intercept",
    "icc",
)
CURVE_METRICS = (*METRICS, "peak_rmse", "peak_time_rmse", "impulse_rmse")  # see curve_metrics.py
CLASS_METRICS = ("balanced_accuracy", "macro_f1", "kappa", "accuracy")  # see class_metrics.py
SUBJECT_FAULTS = ("few", "constant truth")
ESTIMATE_FAULTS = ("constant estimate", "not finite")

# Predictions are kept as float32: a spread below a few units in the last place is no spread.
RESOLUTION = 4 * float(np.finfo(np.float32).eps)


def score_points(truth: np.ndarray, estimate: np.ndarray) -> dict[str, float | str]:
    """All metrics of one group of points.

    Parameters
    ----------
    truth, estimate : ndarray, [N]
        In the target's unit.

    Returns
    -------
    dict
        n : how many points.
        r : Pearson correlation.
        rmse, mae, bias : in the unit; bias is the mean of estimate - truth.
        rrmse : rmse over the range of the truth.
        r2 : coefficient of determination, negative when worse than the mean.
        loa_low, loa_high : Bland-Altman limits of agreement [1]_, bias -/+ 1.96 SD of the
        differences.
        slope, intercept : least squares of the estimate on the truth.
        icc : ICC(A,1) of [2]_, two-way, absolute agreement, single rating, which is ICC(2,1)
        of [3]_.
        undefined : why a value is NaN, "" when none is.

    References
    ----------
    .. [1] Bland & Altman 1986.
    .. [2] McGraw & Wong 1996.
    .. [3] Shrout & Fleiss 1979.
    """
    truth = np.asarray(truth, np.float64)
    columns = score_groups(np.zeros(truth.shape, np.int64), 1, truth, estimate)
    return {name: values[0].item() for name, values in columns.items()}


def score_subjects(
    run: np.ndarray, subject: np.ndarray, truth: np.ndarray, estimate: np.ndarray
) -> list[dict[str, Any]]:
    """All metrics of every subject in every run.

    Parameters
    ----------
    run, subject : ndarray, [M]
        To which run and subject a point belongs.
    truth, estimate : ndarray, [M]
        In the target's unit.

    Returns
    -------
    list of dict
        A row {run, subject, n, r, rmse, ..., undefined}, as `score_points` has them, for every
        (run, subject) there is, sorted by run, then by subject.
    """
    return score_by_keys({"run": run, "subject": subject}, truth, estimate)


def score_by_keys(
    keys: dict[str, np.ndarray], truth: np.ndarray, estimate: np.ndarray
) -> list[dict[str, Any]]:
    """All metrics of every group of points that have the same keys.

    Parameters
    ----------
    keys : dict of ndarray, each [M]
        Columns that name the group of a point.
    truth, estimate : ndarray, [M]
        In the target's unit.

    Returns
    -------
    list of dict
        The keys and what `score_points` gives, for every combination of the keys there is,
        sorted by them.
    """
    columns, group = group_by_keys(keys)
    columns |= score_groups(group, int(group.max(initial=-1)) + 1, truth, estimate)
    lists = {name: values.tolist() for name, values in columns.items()}
    return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]


def group_by_keys(keys: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Number the combinations of keys that there are.

    Parameters
    ----------
    keys : dict of ndarray, each [M]

    Returns
    -------
    columns : dict of ndarray, each [groups]
        The keys of each group, sorted by them.
    group : ndarray of int, [M]
        To which one a point belongs.
    """
    group: Any = 0
    for values in keys.values():
        levels, code = np.unique(np.asarray(values), return_inverse=True)
        group = group * len(levels) + code
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    return {name: np.asarray(values)[first] for name, values in keys.items()}, group


def values_for_mean(
    metric: str, values: ArrayLike, undefined: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Values as they enter a mean over subjects, by the rule at the head of this file.

    Parameters
    ----------
    metric : str
        Of METRICS or CLASS_METRICS.
    values : array_like, [M]
        The column of this metric.
    undefined : array_like of str, [M]
        The column of reasons beside it.

    Returns
    -------
    values : ndarray, [M]
        r of a constant or diverged estimate has become 0, as have all metrics of classes.
    is_scorable : ndarray of bool, [M]
        False for subjects nobody can score: they are out of every mean.
    """
    values, undefined = np.array(values, np.float64), np.asarray(undefined)
    if metric in ("r", *CLASS_METRICS):
        values[np.isin(undefined, ESTIMATE_FAULTS)] = 0.0
    return values, ~np.isin(undefined, SUBJECT_FAULTS)


def score_groups(
    group: np.ndarray, n_groups: int, truth: np.ndarray, estimate: np.ndarray
) -> dict[str, np.ndarray]:
    """All metrics of numbered groups of points.

    Parameters
    ----------
    group : ndarray of int, [M]
        From 0 to n_groups - 1.
    n_groups : int
    truth, estimate : ndarray, [M]
        In the target's unit.

    Returns
    -------
    dict of ndarray, each [n_groups]
        The columns of `score_points`.
    """
    x, y = np.asarray(truth, np.float64), np.asarray(estimate, np.float64)
    has_gap = _sum(~(np.isfinite(x) & np.isfinite(y)), group, n_groups) > 0
    x, y = np.where(np.isfinite(x), x, 0.0), np.where(np.isfinite(y), y, 0.0)
    n = np.bincount(group, minlength=n_groups)

    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y = _sum(x, group, n_groups) / n, _sum(y, group, n_groups) / n
        # Centred before squaring: a target of 800 N with an SD of 1 keeps its digits.
        dx, dy, error = x - mean_x[group], y - mean_y[group], y - x
        sxx, syy = _sum(dx * dx, group, n_groups), _sum(dy * dy, group, n_groups)
        sxy = _sum(dx * dy, group, n_groups)
        squared = _sum(error * error, group, n_groups)
        range_x, flat_x = _spread(x, group, n_groups)
        _, flat_y = _spread(y, group, n_groups)

        bias = mean_y - mean_x
        rmse = np.sqrt(squared / n)
        sd = np.sqrt(np.maximum(sxx + syy - 2 * sxy, 0.0) / (n - 1))
        slope = sxy / sxx
        # With two ratings the mean squares of McGraw & Wong's table reduce to variances (below).
        var = (sxx + syy) / (n - 1)
        cov = sxy / (n - 1)
        icc = 2 * cov / (var + bias**2 - (var - 2 * cov) / n)
        columns = {
            "r": np.clip(sxy / np.sqrt(sxx * syy), -1.0, 1.0),
            "rmse": rmse,
            "rrmse": rmse / range_x,
            "r2": 1 - squared / sxx,
            "mae": _sum(np.abs(error), group, n_groups) / n,
            "bias": bias,
            "loa_low": bias - 1.96 * sd,
            "loa_high": bias + 1.96 * sd,
            "slope": slope,
            "intercept": mean_y - slope * mean_x,
            "icc": icc,
        }

    undefined = np.full(n_groups, "", dtype="<U17")
    for reason, is_faulty, names in (
        ("constant estimate", flat_y, ("r",)),
        ("not finite", has_gap, METRICS),
        ("constant truth", flat_x, ("r", "rrmse", "r2", "slope", "intercept", "icc")),
        ("few", n < 3, tuple(m for m in METRICS if m not in ("rmse", "mae", "bias"))),
    ):  # the later reason overrides: what lies with the subject is the same for every arm
        undefined[is_faulty] = reason
        for name in names:
            columns[name][is_faulty] = np.nan
    return {"n": n} | columns | {"undefined": undefined}


def _sum(values: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    return np.bincount(group, weights=values, minlength=n_groups)


def _spread(values: np.ndarray, group: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Range [n_groups], and whether it is none to float32 resolution."""
    low, high = np.full(n_groups, np.inf), np.full(n_groups, -np.inf)
    np.minimum.at(low, group, values)
    np.maximum.at(high, group, values)
    size = high - low
    return size, size <= RESOLUTION * np.maximum(np.abs(low), np.abs(high))
