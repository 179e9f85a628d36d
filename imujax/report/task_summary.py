"""One task digested: everything that its panel, its section of the page and report.json show."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from imujax.report import learning_curves, metrics, published, sentences
from imujax.report.statistics import holm_correction
from imujax.report.tables import Sweep, task_name

BASELINE = "random"


@dataclass(frozen=True)
class Comparison:
    """An arm against its baseline on one axis, fine-tuned; reduction is None without 100 % runs."""

    arm: str
    baseline: str
    axis: str
    overall: dict
    verdict: dict
    reduction: dict | None
    differences: list[dict]


@dataclass(frozen=True)
class TaskSummary:
    """curves: rows of learning_curves.curve_rows; conditions: rows of learning_curves.condition_rows for each arm;
    settings: rows of how often which setting was chosen; baselines: for each arm of interest the
    arm it is compared with; faults: sentences on what could not be scored, none when all could."""

    sweep: Sweep
    title: str
    unit: str
    simulated: bool
    subjects: int
    sensors: tuple[str, ...]
    arms: tuple[str, ...]
    baselines: dict[str, str]
    references: tuple[str, ...]
    axes: tuple[str, ...]
    curves: list[dict]
    comparisons: list[Comparison]
    conditions: dict[str, list[dict]]
    settings: list[dict]
    published: list[dict]
    faults: list[str]

    def curve(self, arm: str, stage: str, axis: str, metric: str = "r") -> list[dict]:
        """Rows of one curve, by ascending fraction; empty when there is none."""
        key = (arm, stage, axis, metric)
        return [r for r in self.curves if (r["arm"], r["stage"], r["axis"], r["metric"]) == key]


def summarise(sweep: Sweep) -> TaskSummary:
    """Everything about one task, from its folder. Takes about a second."""
    summary = sweep.summary
    arms = tuple(learning_curves.arms_of_stage(sweep, "finetune"))
    against = _baselines(summary, arms)
    # The arms of interest first, the baselines last.
    arms = tuple(sorted(arms, key=lambda arm: arm in against.values()))
    axes = tuple(learning_curves.axes_of(sweep))
    curves = learning_curves.curve_rows(sweep)
    config = summary.get("config")
    return TaskSummary(
        sweep,
        str(summary.get("title") or task_name(sweep)),
        str(summary.get("unit", "")),
        bool(summary.get("simulated", False)),
        len(np.unique(sweep.predictions["subject"])),
        tuple(str(name) for name in summary.get("sensors", ())),
        arms,
        against,
        tuple(learning_curves.arms_of_stage(sweep, "reference")),
        axes,
        curves,
        _comparisons(sweep, against),
        {
            arm: learning_curves.condition_rows(sweep, arm, "finetune")
            for arm in arms
            if _full(sweep, arm)
        },
        _settings(sweep),
        published.published_rows(config if isinstance(config, dict) else {}, curves),
        _faults(sweep),
    )


def reference_sentence(task: TaskSummary, arm: str) -> str | None:
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


def _baselines(summary: dict, arms: tuple[str, ...]) -> dict[str, str]:
    """For each arm the one of random weights of the same encoder, by the sweep's configuration.

    A single arm of random weights serves all others.  Where the configuration does not tell, it is
    the arm called "random"; without one nothing is compared.
    """
    config = summary.get("config")
    specs = config.get("arms", {}) if isinstance(config, dict) else {}
    random = {
        spec["encoder"]: arm
        for arm, spec in specs.items()
        if spec["weights"] == "random" and arm in arms
    }
    if not random:
        return {arm: BASELINE for arm in arms if arm != BASELINE and BASELINE in arms}
    single = next(iter(random.values())) if len(random) == 1 else None
    found = {arm: random.get(specs[arm]["encoder"], single) for arm in arms}
    return {arm: base for arm, base in found.items() if base and arm not in random.values()}


def _comparisons(sweep: Sweep, against: dict[str, str]) -> list[Comparison]:
    """Every arm with its baseline on every axis; p values are corrected over all arms."""
    rows = {arm: learning_curves.difference_rows(sweep, arm, against[arm]) for arm in against}
    learning_curves.correct_by_holm([row for found in rows.values() for row in found])
    found = []
    for axis in learning_curves.axes_of(sweep):
        there = [arm for arm in against if _fine(rows[arm], axis)]
        mains = [
            learning_curves.overall_difference(sweep, arm, against[arm], axis=axis) for arm in there
        ]
        for main, p in zip(mains, holm_correction([main["p_t"] for main in mains]), strict=True):
            main["p_t"] = float(p)
        for arm, main in zip(there, mains, strict=True):
            fine, baseline = _fine(rows[arm], axis), against[arm]
            full = fine[-1]["fraction"] == 1
            found.append(
                Comparison(
                    arm,
                    baseline,
                    axis,
                    main,
                    sentences.verdict(main, fine, arm, baseline),
                    learning_curves.data_reduction(sweep, arm, baseline, axis=axis)
                    if full
                    else None,
                    [row for row in rows[arm] if row["axis"] == axis],
                )
            )
    return found


def _fine(rows: list[dict], axis: str) -> list[dict]:
    return [row for row in rows if row["axis"] == axis and row["stage"] == "finetune"]


def _full(sweep: Sweep, arm: str) -> bool:
    runs = sweep.runs
    chosen = (runs["arm"] == arm) & (runs["stage"] == "finetune") & (runs["axis"] == "windows")
    return bool((chosen & (runs["fraction"] == 1)).any())


def _settings(sweep: Sweep) -> list[dict]:
    """How often each setting was chosen, over folds and draws: the learning rate, else the note."""
    runs = sweep.runs
    keys = ("arm", "stage", "axis", "fraction")
    cells: dict[tuple, Counter] = {}
    for *cell, rate, note in zip(
        *(runs[key].tolist() for key in (*keys, "learning_rate", "note")), strict=True
    ):
        chosen = note.split(";")[0] if np.isnan(rate) else f"rate {rate:g}"
        cells.setdefault(tuple(cell), Counter())[chosen] += 1
    return [
        dict(zip(keys, cell, strict=True))
        | {"chosen \u00d7 runs": ", ".join(f"{k} \u00d7 {n}" for k, n in sorted(counts.items()))}
        for cell, counts in sorted(cells.items())
        if "" not in counts
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
    warnings = [note.split("; ")[1:] for note in sweep.runs["note"].tolist()]
    notes = Counter(note for found in warnings for note in found)
    sentences += [f"Noted for {count} runs: {note}" for note, count in sorted(notes.items())]
    return sentences
