"""How far each model that could be kept misses, and how often its intervals or sets hold.

    python launch/intervals.py work/public/tasks/stance_time work/insole/tasks/peak_force

For every candidate of a finished sweep, with all windows: RMSE, the level that so many people can
promise of 90 %, the half width, and the share of the windows of each person that lie within by the
residuals of the other people: its mean with the 95 % interval, and that of the person of whom the
fewest do. Of curves the half width is the median over a window, and what is held of whole curves
stands in the place of the interval. Of classes balanced accuracy stands for RMSE, and for the half
width the number of classes in a set. `imujax fit` prints the same of the model that it keeps.
"""

import argparse
import pathlib

import numpy as np

from imujax.models import bands, fit, held_out, intervals, sets
from imujax.report import kinds, tables


def print_table(folder: pathlib.Path, level: float) -> None:
    """A row a candidate of one task."""
    sweeps = tables.load_sweeps(folder)
    sweep = sweeps[0]
    arms = sweep.summary["config"]["arms"]
    arm = next((name for name, arm in arms.items() if arm["weights"] == "pretrained"), None)
    candidates = held_out.list_candidates(sweeps, arm or next(iter(arms)))
    first = next(iter(candidates.values()))
    print(
        f"{tables.task_name(sweep)}, {len(np.unique(first.subject))} people, "
        f"{100 * level:.0f} % asked"
    )
    judged, width = ("balanced", "classes") if first.is_class else ("RMSE", "+-")
    for number, target in enumerate(one.target for one in sweeps):
        print(f"{target['name']} [{target['unit']}]".removesuffix(" []"))
        columns = f"{judged:>9}{'promised':>10}{width:>9}{'held':>7}{'interval':>15}{'fewest':>8}"
        print(f"{'':12}{columns}")
        for name, one in candidates.items():
            print(f"{name:12}{_row(one, number, level)}")


def _row(one: held_out.Candidate, number: int, level: float) -> str:
    residual = one.residuals[number]
    if one.kind is kinds.CURVES:
        return _row_of_curves(one, residual, number, level)
    width = intervals.half_width(residual, one.subject, level)
    held = intervals.measure_coverage(residual, one.subject, level)
    size = width.half
    if one.is_class:
        size = sets.measure_size(one.truth[:, 0], one.estimate, one.subject, level)
    share = [100 * x for x in (width.level, held.mean, held.low, held.high, held.least)]
    reach = f"{share[2]:.1f} to {share[3]:.1f}"
    return (
        f"{one.judged[number]:9.3g}{share[0]:10.1f}{size:9.3g}{share[1]:7.1f}{reach:>15}"
        f"{share[4]:8.1f}"
    )


def _row_of_curves(one: held_out.Candidate, residual, number: int, level: float) -> str:
    """The median half width, and of values at their places and of whole curves what is held."""
    people = len(np.unique(one.subject))
    width = np.median(bands.find_band(residual, one.subject, level).half)
    held = bands.measure_bands(residual, one.subject, level)
    share = {key: 100 * of["mean"] for key, of in held.items()}
    reach = f"whole {share['whole']:.1f}"
    return (
        f"{one.judged[number]:9.3g}{100 * intervals.promise(level, people):10.1f}{width:9.3g}"
        f"{share['pointwise']:7.1f}{reach:>15}{100 * held['pointwise']['least']:8.1f}"
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
