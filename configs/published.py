"""The study's data sets, tasks and published curves, which its three protocols share.

Tan, Shull and Chaudhari, ASB 2023. The curves are read off the figure of the abstract (mean over
subjects of r, to .0005); no intervals were published.
"""

from typing import Any, NamedTuple

from ml_collections import ConfigDict

from imujax.configs import common

SOURCE = "Tan, Shull and Chaudhari (ASB 2023), read off the figure; the abstract says"


class PublishedTask(NamedTuple):
    """A task of the study and its published curves.

    Attributes
    ----------
    title : str
        For readers.
    builder : str
        Its data set: the name of the builder and of the folder.
    rate : float
        Of its encoder [Hz].
    window : int
        Of its encoder [samples].
    pretrained, random : tuple of float
        Mean r of either arm at each of `common.FRACTIONS`.
    reduction : float
        The share of the windows that the abstract says is saved.
    """

    title: str
    builder: str
    rate: float
    window: int
    pretrained: tuple[float, ...]
    random: tuple[float, ...]
    reduction: float


TASKS = {
    "loading_rate": PublishedTask(
        "Vertical loading rate, running",
        "tan2021_running",
        200.0,
        64,
        (0.899, 0.900, 0.909, 0.909, 0.900, 0.907),
        (0.805, 0.817, 0.835, 0.858, 0.868, 0.874),
        0.90,
    ),
    "peak_force": PublishedTask(
        "Peak vertical ground reaction force, walking",
        "camargo2021",
        200.0,
        128,
        (0.760, 0.794, 0.795, 0.794, 0.828, 0.830),
        (0.707, 0.700, 0.754, 0.734, 0.761, 0.793),
        0.60,
    ),
    "knee_moment": PublishedTask(
        "Peak knee flexion moment, walking",
        "tan2022_knee_moment",
        100.0,
        128,
        (0.853, 0.867, 0.877, 0.893, 0.900, 0.903),
        (0.817, 0.829, 0.835, 0.860, 0.866, 0.870),
        0.75,
    ),
}


def curve_config(name: str) -> dict[str, Any]:
    """The section `published` of a task: what the report prints beside our curve.

    Parameters
    ----------
    name : str
        Of TASKS.

    Returns
    -------
    dict
        source, fractions, arms, reduction, as `imujax.report.published` reads them.
    """
    task = TASKS[name]
    return {
        "source": SOURCE,
        "fractions": common.FRACTIONS,
        "arms": {"pretrained": task.pretrained, "random": task.random},
        "reduction": task.reduction,
    }


def labelled_data_sets(**loading_rate_options: Any) -> dict[str, ConfigDict]:
    """The data sets of the tasks.

    Parameters
    ----------
    **loading_rate_options
        Builder options of the loading rates' data set; the others have none.

    Returns
    -------
    dict of ConfigDict
        By the task's name.
    """
    options = {"loading_rate": loading_rate_options}
    return {
        name: common.data_set(task.builder, task.builder, **options.get(name, {}))
        for name, task in TASKS.items()
    }
