"""A published curve beside ours, where a task's configuration names one.

tasks.NAME.published: source (text), fractions, arms {arm: r at each fraction}, reduction (the share
of the data that the source says is saved). The published numbers have no interval; ours have.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

TOLERANCE = 0.03  # of a fraction: 0.16 and 10^-0.8 are one


def published_rows(
    config: dict[str, Any], curves: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Every published point beside the same point of this sweep.

    Parameters
    ----------
    config : dict
        The task's configuration; without `published` there are no rows.
    curves : sequence of dict
        Rows of `learning_curves.curve_rows`.

    Returns
    -------
    list of dict
        arm, fraction, published : the published point.
        here, low, high : mean r of the fine-tuned arm over the share of windows, and its interval.
        difference : here - published.
        The last four are None where this sweep has no such point.
    """
    published = config.get("published") or {}
    rows = []
    for arm, values in published.get("arms", {}).items():
        key = (arm, "finetune", "windows", "r")
        curve = [r for r in curves if (r["arm"], r["stage"], r["axis"], r["metric"]) == key]
        for fraction, value in zip(published["fractions"], values, strict=True):
            near = [r for r in curve if abs(r["fraction"] / fraction - 1) < TOLERANCE]
            point = near[0] if near else {"mean": None, "low": None, "high": None}
            here = point["mean"]
            rows.append(
                {
                    "arm": arm,
                    "fraction": fraction,
                    "published": value,
                    "here": here,
                    "low": point["low"],
                    "high": point["high"],
                    "difference": None if here is None else here - value,
                }
            )
    return rows


def published_gain(
    rows: Sequence[dict[str, Any]], arm: str, baseline: str, column: str
) -> list[float]:
    """What one arm gains over another at each fraction.

    Parameters
    ----------
    rows : sequence of dict
        Of `published_rows`.
    arm, baseline : str
        `arm` minus `baseline`.
    column : {"published", "here"}
        Whose curve.

    Returns
    -------
    list of float
        NaN where one of the two is missing.
    """
    columns = [[row[column] for row in rows if row["arm"] == name] for name in (arm, baseline)]
    a, b = (np.array([np.nan if v is None else v for v in values]) for values in columns)
    return (a - b).tolist()
