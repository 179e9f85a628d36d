"""Whether the settings of a task can be, before anything is done."""

from collections.abc import Iterable

from ml_collections import ConfigDict

from imujax.errors import UserError, require_known
from imujax.sweep.references import reference_names

NOTHING_CHOSEN = "no inner subjects: nothing chosen"  # the note of a run
WEIGHTS = ("pretrained", "random")
STAGES = ("probe", "finetune")


def check_task(
    name: str, config: ConfigDict, data_sets: Iterable[str], encoders: Iterable[str]
) -> None:
    """Check one task's section.

    Parameters
    ----------
    name : str
        The task's name in the configuration, for the sentence.
    config : ConfigDict
        Its section, see configs/common.py.
    data_sets, encoders : iterable of str
        Names of those that the configuration has.

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
        require_known(f"{field}.arms.{label}.weights", arm.weights, WEIGHTS)
    for reference in config.references:
        require_known(f"{field}.references", reference, reference_names(config.arms))
    if tuple(config.stages) not in (STAGES, STAGES[:1]):
        raise UserError(f"{field}.stages is {config.stages}, but must be {STAGES[:1]} or {STAGES}")
    _check_budget(field, config)


def _check_budget(field: str, config: ConfigDict) -> None:
    least, most = config.steps
    if not 1 <= least <= most:
        raise UserError(f"{field}.steps is {config.steps}, but must be the least number, the most")
    if config.passes <= 0:
        raise UserError(f"{field}.passes is {config.passes}, but must be above 0")
    if config.batch < 1:
        raise UserError(f"{field}.batch is {config.batch}, but must be 1 or more")
    if not 0 <= config.warmup <= 1:
        raise UserError(f"{field}.warmup is {config.warmup}, but must be a share of the budget")
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
