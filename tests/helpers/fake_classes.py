"""A sweep folder of a class, whose arms and references know so much of it, for tests."""

import json

import numpy as np

CLASSES = ["lying", "running", "sitting", "walking"]
PEOPLE, WINDOWS = 6, 60


def guess(truth, rng, skill):
    """Probabilities [M, 4] that know the classes [M] by so much."""
    odds = rng.normal(size=(len(truth), len(CLASSES)))
    odds[np.arange(len(truth)), truth] += skill
    weight = np.exp(odds)
    return weight / weight.sum(axis=1, keepdims=True)


def write_sweep(folder, skills):
    """Write runs.csv, predictions.npz, summary.json -> the folder; skills: {(arm, stage): skill}.

    Six people with 60 windows each in three folds, a tenth of the windows and all of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs, columns, rng = [], [], np.random.default_rng(1)
    truths = rng.integers(0, len(CLASSES), (PEOPLE, WINDOWS))
    for (arm, stage), skill in skills.items():
        for fraction in (0.1, 1.0):
            for fold in range(3):
                for number in (2 * fold, 2 * fold + 1):
                    estimate = guess(truths[number], rng, skill * fraction**0.2)
                    index = WINDOWS * number + np.arange(WINDOWS)
                    columns.append((len(runs), f"S{number}", index, truths[number], estimate))
                runs.append((len(runs), arm, stage, fraction, fold))
    head = "run,task,arm,stage,axis,fraction,draw,fold,start,learning_rate,penalty,stop,steps,"
    head += "passes,n_train,n_train_subjects,n_test,note\n"
    lines = [f"{r},t,{a},{s},windows,{f},0,{o},{o},,0.1,,0,0,9,4,120,\n" for r, a, s, f, o in runs]
    (folder / "runs.csv").write_text(head + "".join(lines))
    count = WINDOWS * len(columns)
    np.savez(
        folder / "predictions.npz",
        run=np.repeat([c[0] for c in columns], WINDOWS),
        subject=np.repeat([c[1] for c in columns], WINDOWS),
        index=np.concatenate([c[2] for c in columns]),
        truth=np.concatenate([c[3] for c in columns])[:, None].astype(np.float32),
        estimate=np.concatenate([c[4] for c in columns]).astype(np.float32),
        condition=np.full(count, ""),
        recording=np.full(count, "r"),
        start=np.zeros(count, np.float32),
    )
    target = {"name": "activity", "unit": "", "classes": CLASSES}
    summary = {"task": "t", "title": "Activities", "targets": [target], "sensors": ["waist"]}
    arms = {name: {"encoder": "e", "weights": name} for name in ("pretrained", "random")}
    summary |= {"left_out": {"windows without activity": 7}}
    (folder / "summary.json").write_text(json.dumps(summary | {"config": {"arms": arms}}))
    return folder
