"""The sections that every experiment is made of.

An experiment is a ConfigDict {seed, data_sets, encoders, tasks}.  Every field with its default, its
unit and a sentence stands in the settings class of its room (imujax/data/settings.py,
imujax/pretrain/settings.py, imujax/sweep/settings.py); `imujax config NAME` prints them.
"""

from ml_collections import ConfigDict

from imujax.data import targets
from imujax.data.settings import DataSetSettings
from imujax.pretrain.settings import EncoderSettings
from imujax.runtime import fields
from imujax.sweep.settings import TaskSettings

FRACTIONS = (0.1, 0.16, 0.25, 0.4, 0.63, 1.0)  # 10^x for x = -1 to 0 by 0.2, as in the study

SIZES = ("full", "cores", "tiny")  # of an experiment on real recordings
# What two cores can do: the study's network at half its width of 16, and of the eight sensors of
# the knee moment the two beside the knee.
HALF = {"width": 8}
KNEE = ("thigh_r", "shank_r")


def data_set(builder: str, raw: str, **options) -> ConfigDict:
    """A data set: the builder, its folder below the raw files, the builder's options."""
    section = fields.defaults(DataSetSettings) | {"builder": builder, "raw": raw}
    return ConfigDict(section | {"options": options})


def encoder(data: tuple[str, ...], net: dict, **changes) -> ConfigDict:
    """An encoder to pre-train on unlabelled data sets."""
    return ConfigDict(fields.defaults(EncoderSettings) | {"data": data, "net": net} | changes)


# For two cores and hours: a budget at whose half the inner error was flat at every share
# (configs/README.md), and fewer rates, inner splits and draws.  All arms have the same.
BUDGET = {"passes": 25.0, "steps": (1000, 2500), "batch": 32}
SMALL = BUDGET | {
    "rates": (1e-3, 3e-3, 1e-2, 3e-2),
    "select": {"folds": 4, "splits": (1, 2), "draws": 1},
    "draws": 2,
}
# For what is asked beside the main question: half of BUDGET, at which the inner error was flat, and
# one draw.
BESIDE = {"passes": 12.5, "steps": (500, 1250), "draws": 1}
# To see the path in minutes: the report says in its first line that the budget is small.
TINY = {
    "is_small": True,
    "passes": 5.0,
    "steps": (20, 50),
    "stops": (0.2, 0.6, 1.0),
    "draws": 1,
    "references": ("ridge", "trees"),
}


def arms(name: str) -> ConfigDict:
    """The comparison: one encoder, with its pre-trained weights and with random ones."""
    return ConfigDict(
        {
            "pretrained": {"encoder": name, "weights": "pretrained"},
            "random": {"encoder": name, "weights": "random"},
        }
    )


def task(data: str, title: str, compared: ConfigDict, **changes) -> ConfigDict:
    """A labelled task: its data set and the grid of runs."""
    section = fields.defaults(TaskSettings) | {"data": data, "title": title, "arms": compared}
    if targets.is_class(changes.get("targets", ())):
        section["references"] = ("logistic", "class_trees")
    else:
        section["references"] += tuple(f"ridge+{arm}" for arm in compared)
    return ConfigDict(section | changes)
