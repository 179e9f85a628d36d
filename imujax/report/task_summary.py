"""One task summed up: everything that its panel, its section of the page and report.json show."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from imujax.report import (
    added_value,
    comparisons,
    learning_curves,
    metrics,
    omissions,
    published,
    sentences,
    training,
)
from imujax.report.tables import Sweep, task_name

DEFAULT_BASELINE = "random"


@dataclass(frozen=True)
class Comparison:
    """An arm against its baseline on one axis, in the compared stage of the task.

    Attributes
    ----------
    arm, baseline, axis : str
        What is compared, and on which axis.
    overall : dict
        Of `comparisons.overall_difference`; p_t_holm is corrected by Holm over the arms.
    verdict : dict
        Of `sentences.verdict`.
    fifth : dict or None
        Of `comparisons.gain_at_a_fifth`; None where no run was looked at there.
    reduction : dict or None
        Of `comparisons.data_reduction`, whose is_told says whether it is sure; None where the
        verdict is not "helps" and without runs at 100 %.
    differences : list of dict
        Rows of `comparisons.difference_rows` on this axis, of all stages; p values are
        corrected by Holm over all arms.
    """

    arm: str
    baseline: str
    axis: str
    overall: dict[str, Any]
    verdict: dict[str, str]
    fifth: dict[str, Any] | None
    reduction: dict[str, Any] | None
    differences: list[dict[str, Any]]


@dataclass(frozen=True)
class TaskSummary:
    """What is shown of one task.

    Attributes
    ----------
    sweep : Sweep
    title : str
        The task's name for readers.
    unit : str
        Of the target.
    simulated : bool
        Whether the data are.
    n_subjects : int
        Test subjects.
    sensors : tuple of str
    stage : str
        What comparisons rest on: "finetune", or "probe" where nothing was fine-tuned.
    arms : tuple of str
        Those that have the stage: the ones of interest first, the baselines last.
    baselines : dict of str
        For each arm of interest the arm it is compared with.
    references : tuple of str
        Shallow references.
    axes : tuple of str
        "windows", "subjects".
    curves : list of dict
        Rows of `learning_curves.curve_rows`.
    comparisons : list of Comparison
        Every arm of interest on every axis.
    added_values : dict of list of dict
        Rows of `added_value.added_rows` for each arm that has some.
    conditions : dict of list of dict
        Rows of `learning_curves.condition_rows` for each arm that has runs at 100 %.
    settings : list of dict
        Rows of how often which setting the references have chosen.
    published : list of dict
        Rows of `published.published_rows`.
    training : list of ShareTraining
        Of `training.summarise_training`: every fine-tuned arm at every share.
    faults : list of str
        Sentences on what could not be scored, what was left out and what is too good to be
        true.
    """

    sweep: Sweep
    title: str
    unit: str
    simulated: bool
    n_subjects: int
    sensors: tuple[str, ...]
    stage: str
    arms: tuple[str, ...]
    baselines: dict[str, str]
    references: tuple[str, ...]
    axes: tuple[str, ...]
    curves: list[dict[str, Any]]
    comparisons: list[Comparison]
    added_values: dict[str, list[dict[str, Any]]]
    conditions: dict[str, list[dict[str, Any]]]
    settings: list[dict[str, Any]]
    published: list[dict[str, Any]]
    training: list[training.ShareTraining]
    faults: list[str]

    def curve(self, arm: str, stage: str, axis: str, metric: str = "") -> list[dict[str, Any]]:
        """The rows of one curve.

        Parameters
        ----------
        arm, stage, axis, metric : str
            Which curve; of the main metric by default.

        Returns
        -------
        list of dict
            By ascending fraction; empty when there is none.
        """
        key = (arm, stage, axis, metric or self.sweep.kind.main)
        return [r for r in self.curves if (r["arm"], r["stage"], r["axis"], r["metric"]) == key]


def _title(sweep: Sweep) -> str:
    """The task's name for readers, and where it has several targets this one's."""
    title = str(sweep.summary.get("title") or task_name(sweep))
    return title if sweep.n_targets == 1 else f"{title}: {sweep.target['name']}"


def summarise(sweep: Sweep) -> TaskSummary:
    """Everything about one task, from its folder. Takes about a second.

    Parameters
    ----------
    sweep : Sweep

    Returns
    -------
    TaskSummary

    Raises
    ------
    UserError
        The sweep is unfinished (see `learning_curves.subject_curve`).
    """
    summary = sweep.summary
    stage = learning_curves.compared_stage(sweep)
    arms = tuple(learning_curves.arms_of_stage(sweep, stage))
    baselines = _baselines(summary, arms)
    # The arms of interest first, the baselines last.
    arms = tuple(sorted(arms, key=lambda arm: arm in baselines.values()))
    curves = learning_curves.curve_rows(sweep)
    config = summary.get("config")
    return TaskSummary(
        sweep=sweep,
        title=_title(sweep),
        unit=sweep.target["unit"],
        simulated=bool(summary.get("simulated", False)),
        n_subjects=len(np.unique(sweep.predictions["subject"])),
        sensors=tuple(str(name) for name in summary.get("sensors", ())),
        stage=stage,
        arms=arms,
        baselines=baselines,
        references=tuple(learning_curves.arms_of_stage(sweep, "reference")),
        axes=tuple(learning_curves.axes_of_sweep(sweep)),
        curves=curves,
        comparisons=_compare_arms(sweep, baselines, stage),
        added_values={
            arm: rows for arm in arms if (rows := added_value.added_rows(sweep, arm, stage))
        },
        conditions={
            arm: learning_curves.condition_rows(sweep, arm, stage)
            for arm in arms
            if _has_full_run(sweep, arm, stage)
        },
        settings=_reference_settings(sweep),
        published=published.published_rows(config if isinstance(config, dict) else {}, curves),
        training=training.summarise_training(sweep),
        faults=[
            *_faults(sweep),
            *omissions.not_learned(sweep).values(),
            *omissions.resampled(sweep),
            *omissions.left_out(sweep),
            *omissions.too_good(sweep, curves),
        ],
    )


def reference_sentence(task: TaskSummary, arm: str) -> str | None:
    """How an arm stands to the best shallow reference with all windows.

    Parameters
    ----------
    task : TaskSummary
    arm : str

    Returns
    -------
    str or None
        One sentence; None where there is no reference, or no arm, with all windows.
    """
    best = best_reference(task)
    curve = task.curve(arm, task.stage, "windows")
    if best is None or not curve or curve[-1]["fraction"] != 1:
        return None
    r, reference_r = curve[-1]["mean"], task.curve(best, "reference", "windows")[-1]["mean"]
    word = task.sweep.kind.word
    relation = "above" if r > reference_r else "not above"
    frozen = ", frozen," if task.stage == "probe" else ""
    return (
        f"With all windows {arm}{frozen} has {word} = {r:.3f}, {relation} the best shallow "
        f"reference, {best}, with {word} = {reference_r:.3f}."
    )


def best_reference(task: TaskSummary) -> str | None:
    """Name the reference of highest mean r with all windows.

    Parameters
    ----------
    task : TaskSummary

    Returns
    -------
    str or None
        None where no reference has runs with all windows.
    """
    r = {
        name: rows[-1]["mean"]
        for name in task.references
        if (rows := task.curve(name, "reference", "windows")) and rows[-1]["fraction"] == 1
    }
    return max(r, key=lambda name: r[name]) if r else None


def _baselines(summary: dict, arms: tuple[str, ...]) -> dict[str, str]:
    """For each arm the one of random weights of the same encoder, by the sweep's configuration.

    A single arm of random weights serves all others. Where the configuration does not tell, it is
    the arm called "random"; without one nothing is compared.
    """
    config = summary.get("config")
    specs = config.get("arms", {}) if isinstance(config, dict) else {}
    random: dict[str, str] = {}
    for arm, spec in specs.items():
        if spec["weights"] == "random" and arm in arms:
            random.setdefault(spec["encoder"], arm)  # of several sets the first
    if not random:
        has_default = DEFAULT_BASELINE in arms
        return {arm: DEFAULT_BASELINE for arm in arms if has_default and arm != DEFAULT_BASELINE}
    single = next(iter(random.values())) if len(random) == 1 else None
    candidates = {arm: random.get(specs[arm]["encoder"], single) for arm in arms}
    is_random = {arm for arm in arms if specs[arm]["weights"] == "random"}
    return {arm: base for arm, base in candidates.items() if base and arm not in is_random}


def _compare_arms(sweep: Sweep, baselines: dict[str, str], stage: str) -> list[Comparison]:
    """Every arm with its baseline on every axis; p values are corrected over all arms."""
    rows = {
        arm: comparisons.difference_rows(sweep, arm, baseline)
        for arm, baseline in baselines.items()
    }
    comparisons.correct_by_holm([row for arm_rows in rows.values() for row in arm_rows])
    compared = []
    for axis in learning_curves.axes_of_sweep(sweep):
        arms = [arm for arm in baselines if _of_stage(rows[arm], axis, stage)]
        overall = [
            comparisons.overall_difference(sweep, arm, baselines[arm], stage, axis, len(arms))
            for arm in arms
        ]
        for arm, main in zip(arms, comparisons.correct_by_holm(overall), strict=True):
            of_axis = [row for row in rows[arm] if row["axis"] == axis]
            compared.append(_compare(sweep, arm, baselines[arm], stage, axis, main, of_axis))
    return compared


def _compare(
    sweep: Sweep,
    arm: str,
    baseline: str,
    stage: str,
    axis: str,
    overall: dict[str, Any],
    differences: list[dict[str, Any]],
) -> Comparison:
    of_stage = _of_stage(differences, axis, stage)
    verdict = sentences.verdict(overall, of_stage, arm, baseline)
    fifth = comparisons.gain_at_a_fifth(sweep, arm, baseline, verdict["word"], axis)
    reduction = None
    if verdict["word"] == "helps" and of_stage[-1]["fraction"] == 1:
        reduction = comparisons.data_reduction(sweep, arm, baseline, overall, stage, axis)
    return Comparison(arm, baseline, axis, overall, verdict, fifth, reduction, differences)


def _of_stage(rows: list[dict[str, Any]], axis: str, stage: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["axis"] == axis and row["stage"] == stage]


def _has_full_run(sweep: Sweep, arm: str, stage: str) -> bool:
    runs = sweep.runs
    is_arm = (runs["arm"] == arm) & (runs["stage"] == stage) & (runs["axis"] == "windows")
    return bool((is_arm & (runs["fraction"] == 1)).any())


def _reference_settings(sweep: Sweep) -> list[dict[str, Any]]:
    """How often references chose what, over folds and draws; the arms' are in `training`."""
    names = ("arm", "stage", "axis", "fraction", "note")
    cells: dict[tuple, Counter] = {}
    for *cell, note in zip(*(sweep.runs[name].tolist() for name in names), strict=True):
        if cell[1] == "reference" and note:
            cells.setdefault(tuple(cell), Counter())[note] += 1
    return [
        dict(zip(names, cell, strict=False))
        | {"chosen \u00d7 runs": ", ".join(f"{k} \u00d7 {n}" for k, n in sorted(counts.items()))}
        for cell, counts in sorted(cells.items())
    ]


def _faults(sweep: Sweep) -> list[str]:
    """Sentences on subjects that are left out, estimates that count as 0, and the runs' notes."""
    counts = Counter(row["undefined"] for row in sweep.scores)
    faults = []
    names = {row["subject"] for row in sweep.scores if row["undefined"] in metrics.SUBJECT_FAULTS}
    if names:
        faults.append(
            f"{len(names)} subjects ({', '.join(sorted(names))}) have fewer than 3 examples or a "
            "constant truth: they are left out of every mean, for every arm."
        )
    faults += [
        f"In {counts[reason]} of {len(sweep.scores)} (run, subject) cells the estimate is "
        f"{reason.removesuffix(' estimate')}: {sweep.kind.word} counts as 0 there."
        for reason in metrics.ESTIMATE_FAULTS
        if counts[reason]
    ]
    is_arm = sweep.runs["stage"] == "probe"  # a run's note stands in the rows of all its stages
    warnings = Counter(note for note in sweep.runs["note"][is_arm].tolist() if note)
    faults += [f"Noted for {count} runs: {text}" for text, count in sorted(warnings.items())]
    return faults
