"""The study's data sets, tasks and published curves, which its three protocols share.

Tan, Shull and Chaudhari, ASB 2023.  The curves are read off the figure of the abstract (mean over
subjects of r, to .0005); no intervals were published.  Of each task: its data set, whose name is
the builder's and the folder's, and the rate [Hz] and the window [samples] of its encoder.
"""

from typing import NamedTuple

from ml_collections import ConfigDict

from imujax.configs import common

SOURCE = "Tan, Shull and Chaudhari (ASB 2023), read off the figure; the abstract says"


class Told(NamedTuple):
    title: str
    builder: str
    rate: float
    window: int
    pretrained: tuple[float, ...]
    random: tuple[float, ...]
    reduction: float


TASKS = {
    "loading_rate": Told(
        "Vertical loading rate, running",
        "tan2021_running",
        200.0,
        64,
        (0.899, 0.900, 0.909, 0.909, 0.900, 0.907),
        (0.805, 0.817, 0.835, 0.858, 0.868, 0.874),
        0.90,
    ),
    "peak_force": Told(
        "Peak vertical ground reaction force, walking",
        "camargo2021",
        200.0,
        128,
        (0.760, 0.794, 0.795, 0.794, 0.828, 0.830),
        (0.707, 0.700, 0.754, 0.734, 0.761, 0.793),
        0.60,
    ),
    "knee_moment": Told(
        "Peak knee flexion moment, walking",
        "tan2022_knee_moment",
        100.0,
        128,
        (0.853, 0.867, 0.877, 0.893, 0.900, 0.903),
        (0.817, 0.829, 0.835, 0.860, 0.866, 0.870),
        0.75,
    ),
}


def curve(name: str) -> dict:
    """The section `published` of a task: what the report prints beside our curve."""
    told = TASKS[name]
    return {
        "source": SOURCE,
        "fractions": common.FRACTIONS,
        "arms": {"pretrained": told.pretrained, "random": told.random},
        "reduction": told.reduction,
    }


def labelled(**options) -> dict[str, ConfigDict]:
    """The data sets of the tasks; `options` are those of the loading rates."""
    return {
        name: common.data_set(
            told.builder, told.builder, **(options if name == "loading_rate" else {})
        )
        for name, told in TASKS.items()
    }
