"""Arms that are all alike, compared pair by pair: how often is something said of nothing?

    python launch/alike.py work/alike/tasks/peak_force

The arms of a task all have random weights, {"encoder": NAME, "weights": "random", "start": k}, of
one encoder and with k counting the sets of weights. For each stage and axis it prints how many of
all pairs, and of those of arms that follow each other, which share none, get a verdict as if they
were compared alone, and of how many a reduction of data is told; beside it the verdicts of a paired
t-test over subjects that leaves the starts out.
"""

import argparse
import itertools
import pathlib
from collections.abc import Iterable

import numpy as np
import scipy.stats

from imujax.errors import UserError
from imujax.report import comparisons, learning_curves, tables

STAGES = ("probe", "fifth", "finetune")
NOMINAL = 0.05


def arms_alike(sweep: tables.Sweep) -> list[str]:
    """The arms of a sweep, all of them random weights of one encoder, else a UserError."""
    specs = sweep.summary["config"].get("arms", {})
    for arm, spec in specs.items():
        if spec["weights"] != "random":
            raise UserError(f"{sweep.folder}: arm {arm} is not of random weights")
    if len({spec["encoder"] for spec in specs.values()}) > 1 or len(specs) < 2:
        raise UserError(f"{sweep.folder}: give two arms or more of one encoder")
    return list(specs)


def compare_pair(
    sweep: tables.Sweep, pair: tuple[str, str], stage: str, axis: str
) -> tuple[bool, bool, bool]:
    """Whether two arms get a verdict, a reduction, and a verdict by subjects alone."""
    main = comparisons.overall_difference(sweep, *pair, stage, axis)
    has_verdict = main["p_t"] < NOMINAL and not main["low"] <= 0 <= main["high"]
    better = pair if main["difference"] > 0 else pair[::-1]
    main["difference"] = abs(main["difference"])
    is_told = (
        has_verdict and comparisons.data_reduction(sweep, *better, main, stage, axis)["is_told"]
    )
    _, gain, _ = comparisons.paired_gain(sweep, *pair, stage, axis, "r")
    by_subject = scipy.stats.ttest_1samp(gain.mean(axis=(0, 1)), 0.0).pvalue < NOMINAL
    return has_verdict, is_told, bool(by_subject)


def count(
    sweep: tables.Sweep, pairs: Iterable[tuple[str, str]], stage: str, axis: str
) -> list[int]:
    """How many pairs there are, with a verdict, with a reduction, with one by subjects alone."""
    results = np.array([compare_pair(sweep, pair, stage, axis) for pair in pairs])
    return [len(results), *results.sum(axis=0).tolist()]


def print_counts(folder: pathlib.Path) -> None:
    """A line for each stage, axis and set of pairs."""
    sweep = tables.load_sweep(folder)
    arms = arms_alike(sweep)
    sets = {
        "all pairs": list(itertools.combinations(arms, 2)),
        "disjoint pairs": list(zip(arms[::2], arms[1::2], strict=False)),
    }
    name = tables.task_name(sweep)
    print(
        f"{name}: {len(arms)} arms alike; a verdict is nominal for {100 * NOMINAL:.0f} % of pairs"
    )
    for stage in STAGES:
        for axis in learning_curves.axes_of_sweep(sweep):
            if not all(learning_curves.has_runs(sweep, arm, stage, axis) for arm in arms):
                continue
            for kind, pairs in sets.items():
                n, verdicts, reductions, by_subject = count(sweep, pairs, stage, axis)
                print(
                    f"{stage}, share of {axis}, {n} {kind}: verdicts {verdicts} "
                    f"({100 * verdicts / n:.1f} %), reductions {reductions}; by subjects alone "
                    f"{by_subject} ({100 * by_subject / n:.1f} %)",
                    flush=True,
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    help_text = "of a task, with runs.csv"
    parser.add_argument("folders", nargs="+", type=pathlib.Path, metavar="FOLDER", help=help_text)
    for folder in parser.parse_args().folders:
        print_counts(folder)


if __name__ == "__main__":
    main()
