"""What a network adds to the best reference: the mean of both estimates, against the reference.

That is what to know before a network is trained at all. References that need one, with the
embedding of an arm beside their features, are not among those compared here.
"""

from collections import Counter
from typing import Any

import numpy as np

from imujax.report import metrics, sentences
from imujax.report.comparisons import mean_row
from imujax.report.learning_curves import SubjectCurve, arms_of_stage, has_runs, subject_curve
from imujax.report.mixed_model import Layout, estimate_mean
from imujax.report.tables import Sweep, task_name

AXIS = "windows"
CELL_COLUMNS = ("fraction", "draw", "fold")


def added_rows(sweep: Sweep, arm: str, stage: str = "finetune") -> list[dict[str, Any]]:
    """The added value of an arm at each fraction of the windows, and over all.

    For each tested fold and fraction the best reference is the one of highest mean r over the
    subjects of the other folds and all draws.

    Parameters
    ----------
    sweep : Sweep
    arm, stage : str
        Which curve.

    Returns
    -------
    list of dict
        A row a fraction, the last one over all of them, whose fraction is None: task, arm,
        fraction; references, which were the best, with the number of folds where they differ;
        alone, together, the mean r of the reference and of its mean with the arm; what
        `comparisons.mean_row` has of their difference; sentence, in the last row. Empty without
        references or without such an arm.
    """
    names = [name for name in arms_of_stage(sweep, "reference") if "+" not in name]
    names = [name for name in names if has_runs(sweep, name, "reference", AXIS)]
    if not names or not has_runs(sweep, arm, stage, AXIS):
        return []
    of_arm = subject_curve(sweep, arm, stage, AXIS, sweep.kind.main)
    curves = [subject_curve(sweep, name, "reference", AXIS, sweep.kind.main) for name in names]
    fractions, draws, subjects = of_arm.fractions, of_arm.draws, of_arm.subjects
    for curve in curves:
        fractions = np.intersect1d(fractions, curve.fractions)
        draws = np.intersect1d(draws, curve.draws)
        subjects = np.intersect1d(subjects, curve.subjects)
    if 0 in (len(fractions), len(draws), len(subjects)):
        return []
    of_arm = of_arm.narrowed(subjects, draws)
    curves = [curve.narrowed(subjects, draws) for curve in curves]
    r = np.stack([_at(curve, fractions) for curve in curves])  # [references, F, D, S]
    best = _best_reference(r.mean(axis=2), of_arm.layout.fold)  # [F, S]
    alone = np.take_along_axis(r, best[None, :, None], axis=0)[0]
    together = _r_together(sweep, (arm, stage), names, best, fractions, of_arm)
    starts = of_arm.layout.starts + tuple(start for c in curves for start in c.layout.starts)
    layout = Layout(of_arm.layout.fold, starts)
    gain = together - alone
    estimate = estimate_mean(np.concatenate([gain, gain.mean(axis=0, keepdims=True)]), layout)
    rows = []
    for i, fraction in enumerate([*fractions.tolist(), None]):
        at = slice(None) if fraction is None else slice(i, i + 1)
        row = {
            "task": task_name(sweep),
            "arm": arm,
            "fraction": fraction,
            "references": _describe_best(names, best[at], of_arm.layout.fold),
            "alone": float(alone[at].mean()),
            "together": float(together[at].mean()),
        }
        rows.append(row | mean_row(estimate, i, len(subjects)))
    rows[-1]["sentence"] = sentences.added_sentence(rows[-1], sweep.kind.word)
    return rows


def _at(curve: SubjectCurve, fractions: np.ndarray) -> np.ndarray:
    return curve.by_draw[np.isin(curve.fractions, fractions)]


def _best_reference(r: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Of references [references, F, S] the best for each subject by those of other folds: [F, S].

    With one fold alone there is no other: it is the best of all.
    """
    best = np.zeros(r.shape[1:], int)
    for tested in np.unique(fold):
        others = fold != tested if (fold != tested).any() else fold == tested
        best[:, fold == tested] = r[:, :, others].mean(axis=2).argmax(axis=0)[:, None]
    return best


def _r_together(
    sweep: Sweep,
    source: tuple[str, str],
    names: list[str],
    best: np.ndarray,
    fractions: np.ndarray,
    of_arm: SubjectCurve,
) -> np.ndarray:
    """r of the mean of both estimates, example by example: [F, D, S]; source is arm and stage."""
    runs, predictions = sweep.runs, sweep.predictions
    keys = zip(*(runs[n].tolist() for n in ("arm", "stage", "axis", *CELL_COLUMNS)), strict=True)
    run_of = dict(zip(keys, runs["run"].tolist(), strict=True))
    order = np.lexsort((predictions["index"], predictions["run"]))
    numbers, first = np.unique(predictions["run"][order], return_index=True)
    rows_of = dict(zip(numbers.tolist(), np.split(order, first[1:]), strict=True))
    cells, rows, estimates = [], [], []
    for f, fraction in enumerate(fractions.tolist()):
        for d, draw in enumerate(of_arm.draws.tolist()):
            for fold in np.unique(of_arm.layout.fold).tolist():
                tested = np.flatnonzero(of_arm.layout.fold == fold)
                sources = (source, (names[best[f, tested[0]]], "reference"))
                network, reference = (
                    rows_of[run_of[*key, AXIS, fraction, draw, fold]] for key in sources
                )
                both = predictions["estimate"][[network, reference]].astype(np.float64)
                cells.append((f, d))
                rows.append(network)
                estimates.append(both.mean(axis=0))
    run = np.repeat(np.arange(len(cells)), [len(part) for part in rows])
    examples = np.concatenate(rows)
    subject, truth = predictions["subject"][examples], predictions["truth"][examples]
    main, keys = sweep.kind.main, {"run": run, "subject": subject}
    scores = sweep.kind.score(sweep.target, keys, truth, np.concatenate(estimates))
    undefined = [score["undefined"] for score in scores]
    value, _ = metrics.values_for_mean(main, [score[main] for score in scores], undefined)
    position = {name: i for i, name in enumerate(of_arm.subjects.tolist())}
    together = np.zeros((len(fractions), len(of_arm.draws), len(position)))
    for score, r in zip(scores, value, strict=True):
        if score["subject"] in position:
            together[(*cells[score["run"]], position[score["subject"]])] = r
    return together


def _describe_best(names: list[str], best: np.ndarray, fold: np.ndarray) -> str:
    """Which were the best: "stack", or "stack \u00d7 4, trees \u00d7 1" where folds differ."""
    _, first = np.unique(fold, return_index=True)
    counts = Counter(names[i] for i in best[:, first].ravel().tolist())
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} \u00d7 {count}" for name, count in counts.most_common())
