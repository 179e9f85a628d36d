"""Two tasks of one study, person by person: is one way to a number as good as another?

    python launch/across.py --workdir work/partial --tasks last_stage,all
    python launch/across.py --workdir work/targets --tasks both,peak --target "peak force"
    python launch/across.py --workdir work/targets --tasks curve,peak --read 0.2,0.6

For every arm, stage and share that both have: mean r over the subjects of either task, and their
difference with its 95 % interval by t over the subjects, who are the same; of several draws the
mean. Starts are not in it: it compares ways to use a network, not pre-training. With `--read` the
first task's curves are read: the greatest value between two times [s] of the window, true and
estimated.
"""

import argparse
import pathlib

import numpy as np
from scipy import stats

from imujax.errors import UserError, require_known
from imujax.report import metrics, tables

Scores = dict[tuple[str, str, str, float], dict[str, float]]


def score_subjects(sweep: tables.Sweep, span: tuple[float, float] | None) -> Scores:
    """Mean r over draws of each subject, by arm, stage, axis and share."""
    truth, estimate = (sweep.predictions[name] for name in ("truth", "estimate"))
    if span is not None:
        if "seconds" not in sweep.target:
            raise UserError(f"{tables.task_name(sweep)} has no curves to read")
        first, last = (round(time / sweep.target["seconds"]) for time in span)
        is_whole = np.isfinite(truth[:, first : last + 1]).any(axis=1)
        truth, estimate = (
            np.where(is_whole, np.nanmax(x[:, first : last + 1], axis=1, initial=-np.inf), np.nan)
            for x in (truth, np.where(np.isfinite(truth), estimate, np.nan))
        )
    keys = {name: sweep.predictions[name] for name in ("run", "subject")}
    of_runs = dict(zip(sweep.runs["run"].tolist(), range(len(sweep.runs["run"])), strict=True))
    lists: dict[tuple, dict[str, list[float]]] = {}
    for row in metrics.score_by_keys(keys, truth, estimate) if span else sweep.scores:
        names = ("arm", "stage", "axis", "fraction")
        key = tuple(sweep.runs[name][of_runs[row["run"]]].item() for name in names)
        lists.setdefault(key, {}).setdefault(row["subject"], []).append(row["r"])
    return {
        key: {name: float(np.mean(values)) for name, values in of_subjects.items()}
        for key, of_subjects in lists.items()
    }


def print_table(first: Scores, second: Scores) -> None:
    """A row for what both have."""
    for key in (key for key in first if key in second):
        if first[key].keys() != second[key].keys():
            raise UserError("the two tasks are not of the same subjects")
        a, b = ([scores[key][name] for name in sorted(first[key])] for scores in (first, second))
        difference = np.subtract(a, b)
        margin = stats.t.ppf(0.975, len(a) - 1) * stats.sem(difference)
        arm, stage, axis, share = key
        print(
            f"{100 * share:3.0f} % of {axis}  {arm:12s} {stage:10s} {np.mean(a):.3f} "
            f"{np.mean(b):.3f}  {difference.mean():+.3f} ({difference.mean() - margin:+.3f} to "
            f"{difference.mean() + margin:+.3f})"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--workdir", required=True, type=pathlib.Path, help="folder of a study")
    parser.add_argument("--tasks", required=True, help="two of the same examples and folds")
    parser.add_argument("--target", default="", help="of them, where a task has several")
    parser.add_argument("--read", help="from and to, in s of the window")
    args = parser.parse_args()
    try:
        first, _, second = args.tasks.partition(",")
        read = tuple(map(float, args.read.split(","))) if args.read else None
        scores = []
        for task, span in ((first, read), (second, None)):
            by_target = {
                sweep.target["name"]: sweep
                for sweep in tables.load_sweeps(args.workdir / "tasks" / task)
            }
            name = args.target if len(by_target) > 1 and args.target else next(iter(by_target))
            require_known("--target", name, by_target)
            scores.append(score_subjects(by_target[name], span))
        print_table(*scores)
    except (UserError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
