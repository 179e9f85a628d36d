"""What the references of a configuration's tasks reach by themselves, and what they cost.

    python launch/references.py --config insole --data data
    python launch/references.py --config public --data data --config.tasks.stance_time.draws=1

For each task and each share of it: mean r within a subject (over subjects, then draws) of every
reference, and the seconds that a fit keeps a core busy, without those of the references that it is
made of. The data sets must be there; no encoder is needed, and none is trained. For peak force from
the insoles (the people of configs/insole.py) the figures of a review stand beside, which were had
with the same folds and subsets and with nothing chosen.
"""

import argparse
import pathlib
import tempfile
import time

import numpy as np

from imujax import cli, study
from imujax.data import datasets
from imujax.errors import UserError
from imujax.runtime import host, log
from imujax.sweep import grid, reference_runs, references, runs  # no doors: this looks behind them

GOALS = {  # of the task peak_force at 10 and at 100 % of the windows
    "boosted": (0.810, 0.857),
    "extra": (0.818, 0.850),
    "trees": (0.818, 0.857),
    "rocket": (0.816, 0.850),
    "stack": (0.827, 0.867),
}
GOAL_SHARES = (("windows", 0.1), ("windows", 1.0))


def mean_r(rows: list[dict], data: datasets.Dataset) -> float:
    """Mean over draws of the mean over subjects of r within a subject."""
    by_draw: dict[int, list[float]] = {}
    for row in rows:
        cell = row["cell"]
        for name in np.unique(data.subject[cell.test]):
            own = data.subject[cell.test] == name
            r = np.corrcoef(row["estimate"][own, 0], data.target[cell.test, 0][own])[0, 1]
            by_draw.setdefault(cell.draw, []).append(r)
    return float(np.mean([np.mean(values) for values in by_draw.values()]))


def run_task(config, name: str, folder: pathlib.Path):
    """Fit all references of a task without an embedding, and print a line for each and share."""
    task = config.tasks[name]
    task.references = tuple(references.REFERENCES)
    path = study.find_or_build(config.data_sets[task.data], folder)
    data = datasets.read(path, sensors=tuple(task.sensors) or None)
    cells = grid.make_grid(task, data.subject, config.seed)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as parts:
        progress = log.Progress(len(cells), name, "cell")
        rows = reference_runs.reference_rows(
            task, {}, cells, data, config.seed, runs.Parts(pathlib.Path(parts)), progress
        )
        progress.close()
    print(
        f"{name}: {len(data.subject)} windows of {len(set(data.subject.tolist()))} subjects, "
        f"{len(cells)} training subsets, {(time.perf_counter() - begin) / 60:.1f} min on "
        f"{len(host.available_cores())} cores"
    )
    for point in dict.fromkeys(row["point"] for row in rows):
        for reference in task.references:
            own = [row for row in rows if row["point"] == point and row["arm"] == reference]
            goal = ""
            if name == "peak_force" and point in GOAL_SHARES and reference in GOALS:
                goal = f"   goal {GOALS[reference][GOAL_SHARES.index(point)]:.3f}"
            seconds = np.mean([row["seconds"] for row in own])
            print(
                f"{100 * point[1]:3.0f} % of {point[0]}  {reference:8s} "
                f"r {mean_r(own, data):.4f}   {seconds:6.1f} s a fit{goal}",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--config", required=True, help="a file, or one that comes with imujax")
    parser.add_argument("--data", required=True, type=pathlib.Path, help="folder of the data sets")
    parser.add_argument("--task", help="this one alone")
    args, overrides = parser.parse_known_args()
    try:
        config = cli.load_configuration(args.config, overrides)
        study.check_config(config)
        for name in [args.task] if args.task else config.tasks:
            run_task(config, name, args.data)
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
