"""Arms that are alike, tuned for real: sets of random weights of one network, frozen probes."""

import itertools
from types import SimpleNamespace

import numpy as np
import scipy.stats
from helpers.labelled import make_arm

from imujax.report import mixed_model
from imujax.sweep import choices, finals, runs

SETS, SUBJECTS, WINDOWS = 12, 12, 90


def crowd():
    """Twelve people whose swings have a size that is to be estimated, under noise."""
    rng = np.random.default_rng(0)
    n, t = SUBJECTS * WINDOWS, np.arange(32)[None, :, None, None]
    size, phase = rng.uniform(0.5, 2, n), rng.uniform(0, 6, (n, 1, 1, 1)) + np.arange(3)
    swing = size[:, None, None, None]
    acc = swing * np.sin(0.3 * t + phase) + rng.normal(0, 1, (n, 32, 1, 3))
    gyr = swing * np.cos(0.2 * t * swing + phase) + rng.normal(0, 1, (n, 32, 1, 3))
    return SimpleNamespace(
        acc=acc.astype(np.float32),
        gyr=gyr.astype(np.float32),
        length=np.full(n, 32, np.int32),
        target=(size + rng.normal(0, 0.1, n)).astype(np.float32)[:, None],
        subject=np.repeat([f"P{i:02d}" for i in range(SUBJECTS)], WINDOWS),
        info={},
    )


def test_sets_of_random_weights_are_told_apart_no_more_often_than_by_chance(tmp_path):
    """Of 66 pairs 3.3 are expected; over subjects alone, without the starts, many more are."""
    data, names = crowd(), [f"P{i:02d}" for i in range(SUBJECTS)]
    fields = {"axes": {"windows": (1.0,)}, "stages": ("probe",)}
    arm, cells = make_arm(data, "random", draws=2, **fields)
    r, start = np.zeros((SETS, 2, SUBJECTS)), np.zeros((SETS, 2, SUBJECTS), int)
    fold, parts = np.zeros(SUBJECTS, int), runs.Parts(tmp_path)
    silent = SimpleNamespace(update=lambda *_: None)
    for number in range(SETS):
        arm.random_set = number
        chosen, _ = choices.choose_settings(arm, cells, data.subject, parts, silent)
        for row in finals.final_rows(arm, cells, chosen, parts, silent)[0]:
            cell, truth = row["cell"], data.target[row["cell"].test, 0]
            for i in (i for i, name in enumerate(names) if name in data.subject[cell.test]):
                own = data.subject[cell.test] == names[i]
                place = number, cell.draw, i
                r[place] = np.corrcoef(row["estimate"][own, 0], truth[own])[0, 1]
                start[place], fold[i] = row["start"], cell.fold
    assert (r > 0.5).all() and len(np.unique(start)) == SETS * len(cells)
    p, p_of_subjects = [], []
    for a, b in itertools.combinations(range(SETS), 2):
        gain, layout = r[a] - r[b], mixed_model.Layout(fold, (start[a], start[b]))
        p.append(mixed_model.estimate_mean(gain[None], layout).p[0])
        p_of_subjects.append(scipy.stats.ttest_1samp(gain.mean(axis=0), 0).pvalue)
    assert np.sum(np.array(p) < 0.05) <= 6
    assert np.sum(np.array(p_of_subjects) < 0.05) >= 12
