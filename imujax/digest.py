"""One task digested: everything that its panel, its section of the page and report.json show."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from imujax import analysis, metrics
from imujax.tables import Sweep, name_of

BASELINE = "random"


@dataclass(frozen=True)
class Comparison:
    """An arm against the baseline on one axis, fine-tuned; reduction is None without 100 % runs."""

    arm: str
    axis: str
    overall: dict
    verdict: dict
    reduction: dict | None
    differences: list[dict]


@dataclass(frozen=True)
class Task:
    """curves: rows of analysis.curves; conditions: rows of analysis.by_condition for each arm;
    settings: rows of how often which learning rate was chosen; faults: sentences on what could not
    be scored, none when all could."""

    sweep: Sweep
    title: str
    unit: str
    simulated: bool
    subjects: int
    sensors: tuple[str, ...]
    arms: tuple[str, ...]
    references: tuple[str, ...]
    axes: tuple[str, ...]
    curves: list[dict]
    comparisons: list[Comparison]
    conditions: dict[str, list[dict]]
    settings: list[dict]
    faults: list[str]

    def curve(self, arm: str, stage: str, axis: str, metric: str = "r") -> list[dict]:
        """Rows of one curve, by ascending fraction; empty when there is none."""
        key = (arm, stage, axis, metric)
        return [r for r in self.curves if (r["arm"], r["stage"], r["axis"], r["metric"]) == key]


def digest(sweep: Sweep) -> Task:
    """Everything about one task, from its folder. Takes about a second."""
    summary = sweep.summary
    arms = tuple(analysis.arms(sweep, "finetune"))
    # The arms of interest first, the baseline last.
    arms = tuple(sorted(arms, key=lambda arm: arm == BASELINE))
    axes = tuple(analysis.axes(sweep))
    curves = analysis.curves(sweep)
    return Task(
        sweep,
        str(summary.get("title") or name_of(sweep)),
        str(summary.get("unit", "")),
        bool(summary.get("simulated", False)),
        len(np.unique(sweep.predictions["subject"])),
        tuple(str(name) for name in summary.get("sensors", ())),
        arms,
        tuple(analysis.arms(sweep, "reference")),
        axes,
        curves,
        _comparisons(sweep, arms),
        {arm: analysis.by_condition(sweep, arm, "finetune") for arm in arms if _full(sweep, arm)},
        _settings(sweep),
        _faults(sweep),
    )


def reference_sentence(task: Task, arm: str) -> str | None:
    """How an arm stands to the best shallow reference with all windows, or None without one."""
    full = {
        name: rows[-1]["mean"]
        for name in task.references
        if (rows := task.curve(name, "reference", "windows")) and rows[-1]["fraction"] == 1
    }
    own = task.curve(arm, "finetune", "windows")
    if not full or not own or own[-1]["fraction"] != 1:
        return None
    best = max(full, key=full.get)
    relation = "above" if own[-1]["mean"] > full[best] else "not above"
    return (
        f"With all windows {arm} has r = {own[-1]['mean']:.3f}, {relation} the best shallow "
        f"reference, {best}, with r = {full[best]:.3f}."
    )


def _comparisons(sweep: Sweep, arms: tuple[str, ...]) -> list[Comparison]:
    found = []
    if BASELINE not in arms:
        return found
    for arm in arms:
        if arm == BASELINE:
            continue
        rows = analysis.differences(sweep, arm, BASELINE)
        for axis in analysis.axes(sweep):
            here = [r for r in rows if r["axis"] == axis]
            fine = [r for r in here if r["stage"] == "finetune"]
            if not fine:
                continue
            main = analysis.overall(sweep, arm, BASELINE, axis=axis)
            full = fine[-1]["fraction"] == 1
            found.append(
                Comparison(
                    arm,
                    axis,
                    main,
                    analysis.verdict(main, fine, arm, BASELINE),
                    analysis.reduction(sweep, arm, BASELINE, axis=axis) if full else None,
                    here,
                )
            )
    return found


def _full(sweep: Sweep, arm: str) -> bool:
    runs = sweep.runs
    chosen = (runs["arm"] == arm) & (runs["stage"] == "finetune") & (runs["axis"] == "windows")
    return bool((chosen & (runs["fraction"] == 1)).any())


def _settings(sweep: Sweep) -> list[dict]:
    """How often each learning rate was chosen, over folds and draws, where there is one."""
    runs = sweep.runs
    keys = ("arm", "stage", "axis", "fraction", "learning_rate")
    counts = Counter(zip(*(runs[key].tolist() for key in keys), strict=True))
    cells: dict[tuple, list[str]] = {}
    for (*cell, rate), count in sorted(counts.items()):
        if not np.isnan(rate):
            cells.setdefault(tuple(cell), []).append(f"{rate:g} \u00d7 {count}")
    return [
        dict(zip(keys[:4], cell, strict=True)) | {"learning rate \u00d7 runs": ", ".join(rates)}
        for cell, rates in cells.items()
    ]


def _faults(sweep: Sweep) -> list[str]:
    why = Counter(row["undefined"] for row in sweep.scores if row["undefined"])
    sentences = []
    left_out = sum(why[reason] for reason in metrics.OF_THE_SUBJECT)
    if left_out:
        names = {r["subject"] for r in sweep.scores if r["undefined"] in metrics.OF_THE_SUBJECT}
        sentences.append(
            f"{len(names)} subjects ({', '.join(sorted(names))}) have fewer than 3 examples or a "
            "constant truth: they are left out of every mean, for every arm."
        )
    sentences += [
        f"In {why[reason]} of {len(sweep.scores)} (run, subject) cells the estimate is "
        f"{reason.removesuffix(' estimate')}: r counts as 0 there."
        for reason in ("constant estimate", "not finite")
        if why[reason]
    ]
    notes = Counter(note for note in sweep.runs["note"].tolist() if note)
    sentences += [f"Noted for {count} runs: {note}" for note, count in sorted(notes.items())]
    return sentences
