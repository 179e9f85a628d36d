"""A sweep folder made of numbers with a known truth, for the tests of the report."""

import csv
import json

import numpy as np

from helpers import fake_training
from imujax.configs import published

FRACTIONS = (0.1, 0.158489, 0.251189, 0.398107, 0.630957, 1.0)
# Mean per-subject r of the published figure, by task: (pre-trained, random).
PUBLISHED = {name: (task.pretrained, task.random) for name, task in published.TASKS.items()}
RUN_COLUMNS = "run,task,arm,stage,axis,fraction,draw,fold,start,learning_rate,penalty,stop,steps"
RUN_COLUMNS = [*RUN_COLUMNS.split(","), "passes", "n_train", "n_train_subjects", "n_test", "note"]
# learning_rate, penalty, stop, steps, passes of each stage.
SETTINGS = {
    "probe": ["", 1.0, "", 0, 0],
    "finetune": [1e-3, 1.0, 0.4, 200, 20.0],
    "fifth": [1e-3, 1.0, 0.08, 40, 4.0],
    "reference": ["", "", "", 0, 0],
}
TASK = "knee_moment"
FINE = {
    ("random", "finetune", "windows"): PUBLISHED[TASK][1],
    ("pretrained", "finetune", "windows"): PUBLISHED[TASK][0],
}
PAIR = ("pretrained", "random")


def estimate_of_r(truth, r, rng):
    """Estimates whose Pearson r with the truth is exactly r, of about its mean and spread."""
    x = (truth - truth.mean()) / truth.std()
    noise = rng.normal(size=len(x))
    noise -= noise.mean() + x * (noise @ x) / len(x)
    y = r * x + np.sqrt(1 - r * r) * noise / noise.std()
    return truth.mean() + truth.std() * y


def write_sweep(
    folder,
    curves,
    n_subjects=15,
    spread=0.02,
    folds=5,
    draws=2,
    n=24,
    seed=0,
    starts=None,
    start_spread=0.0,
    **summary,
):
    """Write runs.csv, predictions.npz, summary.json; return r by curve, [F, draws, subjects].

    curves: {(arm, stage, axis): r at each of FRACTIONS}. A subject's r is that of the curve plus
    its own offset, which is shared by all curves and sums to 0, plus noise of `spread` / 2 that
    sums to 0 as well: the mean over subjects is the curve, exactly. starts: {arm: how many weights
    its runs start from}, without an entry a (draw, fold) has its own; each adds an effect of the
    SD `start_spread` to r, the same on all curves of an arm.
    """
    rng = np.random.default_rng(seed)
    names = np.array([f"S{i:02d}" for i in range(n_subjects)])
    truth = [rng.normal(2.2, 0.25, n).astype(np.float32).astype(float) for _ in names]
    offset = _centred(rng, n_subjects, 2 * spread)
    cells = [(draw, fold) for draw in range(draws) for fold in range(folds)]
    runs, estimates, true_r = [], [], {}
    for (arm, stage, axis), curve in curves.items():
        of_starts = np.random.default_rng([seed, *arm.encode()]).normal(size=draws * folds)
        true_r[arm, stage, axis] = np.zeros((len(FRACTIONS), draws, n_subjects))
        for f, (fraction, r) in enumerate(zip(FRACTIONS, curve, strict=True)):
            subject_r = r + offset + _centred(rng, n_subjects, spread / 2)
            for draw, fold in cells:
                start = draw * folds + fold
                if starts and arm in starts:
                    start = (draw + fold) % starts[arm]
                tested = range(fold, n_subjects, folds)
                train = int(np.ceil(fraction * (n_subjects - len(tested)) * n))
                values = [arm, stage, axis, fraction, draw, fold, start, *SETTINGS[stage], train]
                values += [n_subjects - len(tested), len(tested) * n, ""]
                for i in tested:
                    here = np.clip(subject_r[i] + start_spread * of_starts[start], -0.999, 0.999)
                    true_r[arm, stage, axis][f, draw, i] = here
                    estimates.append((len(runs), i, truth[i], estimate_of_r(truth[i], here, rng)))
                runs.append([len(runs), summary.get("task", "fake"), *values])
    _save(folder, runs, estimates, names, n)
    summary = {
        "task": "fake",
        "title": "Peak vertical GRF",
        "unit": "BW",
        "target": "peak vertical ground reaction force",
        "dataset": "fake/200hz_w128",
        "sensors": ["trunk", "shank"],
        "fractions": FRACTIONS,
        "arms": sorted({arm for arm, _, _ in curves}),
        "seed": 0,
        "config": {"passes": 40.0, "net": {"block": "bottleneck"}},
        "provenance": {"commit": "0123abc", "versions": {"imujax": "0.1.0", "jax": "0.10.2"}},
        "subjects": n_subjects,
        "simulated": False,
    } | summary
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    fake_training.write_training(folder)
    return true_r


def _centred(rng, n, size):
    values = rng.normal(size=n)
    values -= values.mean()
    return size * values / values.std() if n > 1 else values


def _save(folder, runs, estimates, names, n):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "runs.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([RUN_COLUMNS, *runs])
    run, subject, truth, estimate = zip(*estimates, strict=True)
    subject = np.repeat(subject, n)
    step = np.tile(np.arange(n), len(estimates))
    np.savez(
        folder / "predictions.npz",
        run=np.repeat(run, n).astype(np.int32),
        index=(subject * n + step).astype(np.int32),
        subject=names[subject],
        condition=np.array(["level", "ramp", "stairs"])[step % 3],
        truth=np.concatenate(truth).astype(np.float32),
        estimate=np.concatenate(estimate).astype(np.float32),
        start=(0.5 * step).astype(np.float32),
        recording=names[subject],
    )


def edit(folder, change):
    """Rewrites runs.csv after change(rows)."""
    with (folder / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with (folder / "runs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def resave(folder, **change):
    with np.load(folder / "predictions.npz") as file:
        arrays = dict(file)
    np.savez(folder / "predictions.npz", **(arrays | change))
