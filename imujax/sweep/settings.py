"""Whether the settings of a task can be, before anything is done."""

from collections.abc import Iterable

from ml_collections import ConfigDict

from imujax.errors import require_known
from imujax.sweep.references import reference_names

WEIGHTS = ("pretrained", "random")


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
        A data set, encoder, kind of weights or reference that does not exist.
    """
    field = f"tasks.{name}"
    require_known(f"{field}.data", config.data, data_sets)
    for label, arm in config.arms.items():
        require_known(f"{field}.arms.{label}.encoder", arm.encoder, encoders)
        require_known(f"{field}.arms.{label}.weights", arm.weights, WEIGHTS)
    for reference in config.references:
        require_known(f"{field}.references", reference, reference_names(config.arms))
