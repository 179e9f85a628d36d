"""A published curve beside ours, where a task's configuration names one.

tasks.NAME.published: source (text), fractions, arms {arm: r at each fraction}, reduction (the share
of the data that the source says is saved).  The published numbers have no interval; ours have.
"""

from collections.abc import Sequence

import numpy as np

NEAR = 0.03  # of a fraction: 0.16 and 10^-0.8 are one


def published_rows(config: dict, curves: Sequence[dict]) -> list[dict]:
    """One row for every published point: arm, fraction, published, and what was found here.

    here, low, high: mean r of the fine-tuned arm over the share of windows, and its interval;
    difference: here - published.  They are None where this sweep has no such point.
    """
    published = config.get("published") or {}
    found = []
    for arm, values in published.get("arms", {}).items():
        ours = [
            row
            for row in curves
            if (row["arm"], row["stage"], row["axis"], row["metric"])
            == (arm, "finetune", "windows", "r")
        ]
        for fraction, value in zip(published["fractions"], values, strict=True):
            near = [r for r in ours if abs(r["fraction"] / fraction - 1) < NEAR]
            row = near[0] if near else {"mean": None, "low": None, "high": None}
            here = row["mean"]
            found.append(
                {
                    "arm": arm,
                    "fraction": fraction,
                    "published": value,
                    "here": here,
                    "low": row["low"],
                    "high": row["high"],
                    "difference": None if here is None else here - value,
                }
            )
    return found


def published_gain(found: Sequence[dict], arm: str, baseline: str, key: str) -> list[float]:
    """`arm` minus `baseline` at each fraction, of the column `key`; NaN where one is missing."""
    columns = [[row[key] for row in found if row["arm"] == name] for name in (arm, baseline)]
    a, b = (np.array([np.nan if v is None else v for v in column]) for column in columns)
    return (a - b).tolist()
