"""How far the estimates of each model that could be kept miss, and how often its intervals hold.

    python launch/intervals.py work/public/tasks/stance_time work/insole/tasks/peak_force

For every candidate of a finished sweep, with all windows: RMSE, the level that so many people can
promise of 90 %, the half width, and the share of the windows of each person that lie within by the
residuals of the other people: its mean with the 95 % interval, and that of the person of whom the
fewest do. `imujax fit` prints the same of the model that it keeps.
"""

import argparse
import pathlib

import numpy as np

from imujax.models import fit, held_out, intervals
from imujax.report import tables


def print_table(folder: pathlib.Path, level: float) -> None:
    """A row a candidate of one task."""
    sweeps = tables.load_sweeps(folder)
    sweep = sweeps[0]
    arms = sweep.summary["config"]["arms"]
    arm = next((name for name, arm in arms.items() if arm["weights"] == "pretrained"), None)
    candidates = held_out.list_candidates(sweeps, arm or next(iter(arms)))
    people = len(np.unique(next(iter(candidates.values())).subject))
    print(f"{tables.task_name(sweep)}, {people} people, {100 * level:.0f} % asked")
    for number, target in enumerate(one.target for one in sweeps):
        print(f"{target['name']} [{target['unit']}]")
        columns = f"{'RMSE':>8}{'promised':>10}{'+-':>9}{'held':>7}{'interval':>15}{'fewest':>8}"
        print(f"{'':12}{columns}")
        for name, one in candidates.items():
            residual = (one.estimate - one.truth)[:, number]
            width = intervals.half_width(residual, one.subject, level)
            held = intervals.measure_coverage(residual, one.subject, level)
            share = [100 * x for x in (width.level, held.mean, held.low, held.high, held.least)]
            reach = f"{share[2]:.1f} to {share[3]:.1f}"
            print(
                f"{name:12}{one.scores[number]['rmse']:8.3g}{share[0]:10.1f}{width.half:9.3g}"
                f"{share[1]:7.1f}{reach:>15}{share[4]:8.1f}"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    help_text = "of a task, with runs.csv"
    parser.add_argument("folders", nargs="+", type=pathlib.Path, metavar="FOLDER", help=help_text)
    parser.add_argument("--level", type=float, default=fit.LEVEL, help="that is asked for")
    args = parser.parse_args()
    for folder in args.folders:
        print_table(folder, args.level)


if __name__ == "__main__":
    main()
