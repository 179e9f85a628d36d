"""The settings of a task, and whether they can be, before anything is done."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict

from imujax.data import targets
from imujax.errors import UserError, require_known
from imujax.runtime.fields import ABSENT, REQUIRED, setting
from imujax.sweep.references import reference_names

NOTHING_CHOSEN = "no inner subjects: nothing chosen"  # the note of a run
WEIGHTS = ("pretrained", "in_domain", "random")
STAGES = ("probe", "finetune")
AXES = ("windows", "subjects")
LEAVE_ONE_OUT = "leave_one_out"


@dataclass(frozen=True)
class ArmSettings:
    """One side of the comparison."""

    encoder: str = setting(REQUIRED, "name of the encoder")
    weights: str = setting(
        REQUIRED,
        "those that it was pre-trained to, on other people or in each fold on those who train, or "
        "others",
        known=WEIGHTS,
    )
    start: int = setting(ABSENT, "of random weights: number of another set of them", least=0)


@dataclass(frozen=True)
class SelectSettings:
    """Inner subjects of each training subset, on whom settings are chosen."""

    folds: int = setting(4, "into which they are split", least=2)
    splits: tuple[int, int] = setting(
        (2, 4), "how many of these judge, of all windows and of few", least=1
    )
    draws: int = setting(1, "of the task's draws, for which settings are chosen", least=1)


@dataclass(frozen=True)
class TaskSettings:
    """What is compared on a labelled data set: the grid of runs."""

    data: str = setting(REQUIRED, "the labelled data set")
    title: str = setting(REQUIRED, "for readers of the report")
    targets: tuple[str, ...] = setting(
        (), "what is estimated, at once, or activity or condition; none named: all there is"
    )
    sensors: tuple[str, ...] = setting((), "the sensors to estimate from; none named: all")
    arms: dict[str, ArmSettings] = setting(REQUIRED, "what is compared, by name")
    references: tuple[str, ...] = setting(
        ("ridge", "trees", "rocket", "stack"),
        "beside the arms: these, and any with +ARM on that arm's embedding as well",
    )
    axes: dict[str, tuple[float, ...]] = setting(
        {"windows": (0.1, 0.16, 0.25, 0.4, 0.63, 1.0)},
        "shares of the windows, and of the subjects, that train",
        above=0,
        most=1,
    )
    folds: int | str | tuple[tuple[str, ...], ...] = setting(
        5, "of subjects: a number, leave_one_out, or lists of subjects", least=2
    )
    shuffle: bool = setting(True, "whether the folds are shuffled, by the seed")
    draws: int = setting(5, "of a subset at each share", least=1)
    stages: tuple[str, ...] = setting(
        STAGES, "the frozen probe alone, or fine-tuning too", known=STAGES
    )
    passes: float = setting(
        40.0, "budget of fine-tuning, over a run's own training subset", above=0
    )
    steps: tuple[int, int] = setting(
        (1000, 4000), "least and most of the budget, whatever the passes", least=1
    )
    batch: int = setting(64, "windows of a step", least=1)
    penalties: tuple[float, ...] = setting(
        (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
        "of the probe for each example, of which one is chosen",
        above=0,
    )
    rates: tuple[float, ...] = setting(
        (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), "learning rates, of which one is chosen", above=0
    )
    stops: tuple[float, ...] = setting(
        (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0),
        "shares of the budget, at one of which a run ends, chosen together with the rate",
        above=0,
        most=1,
    )
    select: SelectSettings = setting({}, "how settings are chosen")
    warmup: float = setting(
        0.05, "share of the budget in which the learning rate rises", least=0, most=1
    )
    weight_decay: float = setting(1e-2, "of AdamW", least=0)
    tune: tuple[tuple[str, float], ...] = setting(
        (),
        "pairs of a regular expression and a factor: the first that matches a parameter's name in "
        "full multiplies its learning rate, 0 keeps it as it is; else 1; see imujax/nets/tuning.py",
        least=0,
    )
    kept: float = setting(
        0.0,
        "share in a fine-tuned network of the weights that it starts from, the probe's with them",
        least=0,
        most=0.9,
    )
    is_small: bool = setting(
        False, "whether the budget shows the path alone; the report says so in its first line"
    )
    rotation: float = setting(
        20.0, "by which a window is turned in training, at most", unit="degrees", least=0, most=180
    )
    shift: int = setting(
        3, "by which a window is moved in training, at most", unit="samples", least=0
    )
    mask: bool = setting(True, "whether the zeros that fill up a window are not seen")
    rescale: bool = setting(
        False, "whether the input is scaled by each run's training windows, not as pre-trained"
    )
    published: dict[str, Any] = setting(
        ABSENT, "a published curve to print beside ours: source, fractions, arms, reduction"
    )


def check_task(
    name: str, config: ConfigDict, data_sets: Iterable[str], encoders: Mapping[str, ConfigDict]
) -> None:
    """Check one task's section.

    Parameters
    ----------
    name : str
        The task's name in the configuration, for the sentence.
    config : ConfigDict
        Its section, of TaskSettings.
    data_sets : iterable of str
        Names of those that the configuration has.
    encoders : mapping of str to ConfigDict
        The sections of its encoders.

    Raises
    ------
    UserError
        A data set, encoder, kind of weights, stage or reference that does not exist, or a budget
        that cannot be.
    """
    field = f"tasks.{name}"
    require_known(f"{field}.data", config.data, data_sets)
    for label, arm in config.arms.items():
        require_known(f"{field}.arms.{label}.encoder", arm.encoder, encoders)
        _check_arm(f"{field}.arms.{label}", name, arm, encoders[arm.encoder])
    for reference in config.references:
        known = reference_names(config.arms, targets.is_class(config.targets))
        require_known(f"{field}.references", reference, known)
    if tuple(config.stages) not in (STAGES, STAGES[:1]):
        raise UserError(f"{field}.stages is {config.stages}, but must be {STAGES[:1]} or {STAGES}")
    for axis in config.axes:
        if axis not in AXES:
            raise UserError(f"{field}.axes has {axis!r}: there are {', '.join(AXES)}")
    if isinstance(config.folds, str) and config.folds != LEAVE_ONE_OUT:
        raise UserError(
            f"{field}.folds is {config.folds!r}: give a number, {LEAVE_ONE_OUT!r} or lists of "
            "subjects"
        )
    _check_budget(field, config)


def _check_arm(field: str, task: str, arm: ConfigDict, encoder: ConfigDict) -> None:
    """UserError where an encoder that is trained fold by fold is taken for another, or at another
    task."""
    without = encoder.get("without")
    if arm.weights == "in_domain" and without is None:
        raise UserError(
            f"{field}.weights is in_domain, but the encoder {arm.encoder} is not trained fold by "
            f"fold: give it `without={task}`, or take pretrained"
        )
    if without is not None and arm.weights == "pretrained":
        raise UserError(
            f"{field}.weights is pretrained, but the encoder {arm.encoder} is trained in each fold "
            f"of {without} on the subjects who train there: say in_domain"
        )
    if without not in (None, task):
        raise UserError(
            f"{field}.encoder, {arm.encoder}, is trained in each fold of {without}: its test "
            "subjects are others"
        )


def _check_budget(field: str, config: ConfigDict) -> None:
    least, most = config.steps
    if not 1 <= least <= most:
        raise UserError(f"{field}.steps is {config.steps}, but must be the least number, the most")
    if not 1 <= config.select.draws <= config.draws:
        raise UserError(
            f"{field}.select.draws is {config.select.draws}, but must be 1 to {config.draws}"
        )
    least, most = config.select.splits
    if not 1 <= least <= most:
        raise UserError(
            f"{field}.select.splits is {config.select.splits}, but must be the least number, the "
            "most"
        )
    stops = list(config.stops)
    if not stops or stops != sorted(set(stops)) or stops[0] <= 0 or stops[-1] != 1:
        raise UserError(
            f"{field}.stops is {config.stops}: give ascending shares of the budget, the last one 1"
        )
    for name in ("rates", "penalties"):
        values = list(config[name])
        if not values or min(values) <= 0 or len(set(values)) < len(values):
            raise UserError(f"{field}.{name} is {config[name]}: give different numbers above 0")
