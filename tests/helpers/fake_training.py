"""training.csv of made-up sweeps: curves of a known shape, for the tests of the report."""

import csv
import json

import numpy as np

STOPS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
PENALTIES = (0.1, 0.3, 1.0, 3.0)
BUDGET = 500  # steps, 50 passes
COLUMNS = "task,arm,axis,fraction,draw,fold,split,learning_rate,is_chosen,stop,step,passes"
COLUMNS = [*COLUMNS.split(","), "loss", "error"]


def settled(stop):
    """Loss and error of a run that is trained to its end: the error rises a little at last."""
    return 0.3 + 0.7 * np.exp(-12 * stop), 0.5 + 0.5 * np.exp(-12 * stop) + 0.02 * stop


def cut_short(stop):
    """Loss and error that both still fall."""
    return 1 - 0.5 * stop, 1 - 0.4 * stop


def rows_of_run(run, curve, chosen, splits=2, budget=BUDGET, rng=None):
    """Rows of the inner runs at two rates, and of the final run up to its chosen stop.

    run: {arm, axis, fraction, draw, fold}; chosen: its learning rate and stop.
    """
    rate, stop = chosen
    other = RATES[RATES.index(rate) - 1]
    runs = [(split, r, STOPS) for split in range(splits) for r in (rate, other)]
    runs.append((-1, rate, [p for p in STOPS if p <= stop]))
    rows = []
    for split, r, stops in runs:
        noise = 1 if rng is None else np.exp(rng.normal(0, 0.1))
        for p in stops:
            loss, error = curve(p)
            step = round(budget * p)
            row = {"task": "fake", **run, "split": split, "learning_rate": r}
            row |= {"is_chosen": int(r == rate), "stop": p, "step": step, "passes": step / 10}
            row |= {"loss": loss * noise * (1 if r == rate else 2)}
            rows.append(row | {"error": error * noise if split >= 0 else ""})
    return rows


def write_training(folder, curve_of=lambda arm, fraction: settled):
    """Write training.csv for the fine-tuned runs of runs.csv, and the grids into summary.json.

    curve_of: (arm, share) -> function of the stop that gives loss and error.
    """
    rng = np.random.default_rng(0)
    rows = []
    with (folder / "runs.csv").open(encoding="utf-8", newline="") as file:
        for run in csv.DictReader(file):
            if run["stage"] == "finetune":
                key = {name: run[name] for name in ("arm", "axis", "fraction", "draw", "fold")}
                curve = curve_of(run["arm"], float(run["fraction"]))
                chosen = float(run["learning_rate"]), float(run["stop"])
                rows += rows_of_run(key, curve, chosen, splits=1, rng=rng)
    save(folder, rows)
    path = folder / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    summary["config"] |= {"rates": RATES, "penalties": PENALTIES, "stops": STOPS}
    path.write_text(json.dumps(summary), encoding="utf-8")


def save(folder, rows):
    with (folder / "training.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
