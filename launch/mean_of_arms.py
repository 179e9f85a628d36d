"""What the mean of several arms' estimates is worth, such as of several starts of one network.

    python launch/mean_of_arms.py work/starts/tasks/peak_force --arms random,random_1,random_2

For every stage and share: mean r over the subjects of the arms by themselves (their mean) and of
the mean of their estimates of each window, and the difference with its 95 % interval by t over the
subjects; of several draws the mean.
"""

import argparse
import pathlib

import numpy as np
from scipy import stats

from imujax.errors import UserError, require_known
from imujax.report import metrics, tables

Rows = dict[tuple[str, str, float], dict[str, np.ndarray]]


def average_arms(sweep: tables.Sweep, arms: list[str]) -> Rows:
    """{(stage, axis, share): {"alone", "mean": r of each subject}}."""
    runs, predictions = sweep.runs, sweep.predictions
    for arm in arms:
        require_known("--arms", arm, sorted(set(runs["arm"].tolist())))
    of_run = np.full(runs["run"].max() + 1, -1)
    of_run[runs["run"]] = np.arange(len(runs["run"]))
    row = of_run[predictions["run"]]  # of each estimate
    truth, estimate = (predictions[name].reshape(len(row), -1) for name in ("truth", "estimate"))
    if truth.shape[1] > 1:
        raise UserError("one number a window is asked for, not a curve or several numbers")
    found: Rows = {}
    cells = {(runs["stage"][i], runs["axis"][i], runs["fraction"][i]) for i in set(row.tolist())}
    for stage, axis, share in sorted(cells):
        here = np.isin(runs["arm"], arms) & (runs["stage"] == stage) & (runs["axis"] == axis)
        at = np.flatnonzero((here & (runs["fraction"] == share))[row])
        arm, draw = (runs[name][row[at]] for name in ("arm", "draw"))
        if set(arm.tolist()) != set(arms):
            continue
        keys = {"draw": draw, "index": predictions["index"][at]}
        of_window, window = metrics.group_by_keys(keys)
        count = np.bincount(window)
        if (count != len(arms)).any():
            raise UserError(f"the arms have not estimated the same windows at {share:g} of {axis}")
        mean = np.bincount(window, estimate[at, 0]) / count
        first = np.unique(window, return_index=True)[1]
        subject = predictions["subject"][at]
        alone = {"subject": subject, "arm": arm, "draw": draw}
        means = {"subject": subject[first], "draw": of_window["draw"]}
        found[stage, axis, share] = {
            "alone": _by_subject(alone, truth[at, 0], estimate[at, 0]),
            "mean": _by_subject(means, truth[at, 0][first], mean),
        }
    return found


def _by_subject(keys: dict, truth: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """r of each subject, mean over what else the keys tell apart."""
    of: dict[str, list[float]] = {}
    for score in metrics.score_by_keys(keys, truth, estimate):
        of.setdefault(score["subject"], []).append(score["r"])
    return np.array([np.mean(values) for values in of.values()])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("task", type=pathlib.Path, help="folder of a finished sweep")
    parser.add_argument("--arms", required=True, help="names, separated by commas")
    args = parser.parse_args()
    try:
        found = average_arms(tables.load_sweep(args.task), args.arms.split(","))
        if not found:
            raise UserError(f"no stage has all of the arms {args.arms}")
    except (UserError, ValueError) as error:
        parser.error(str(error))
    for (stage, axis, share), r in found.items():
        difference = r["mean"] - r["alone"]
        margin = stats.t.ppf(0.975, len(difference) - 1) * stats.sem(difference)
        low, high = difference.mean() - margin, difference.mean() + margin
        print(
            f"{100 * share:3.0f} % of {axis}  {stage:10s} {r['alone'].mean():.3f} "
            f"{r['mean'].mean():.3f}  {difference.mean():+.3f} ({low:+.3f} to {high:+.3f})"
        )


if __name__ == "__main__":
    main()
