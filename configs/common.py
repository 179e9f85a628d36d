"""The sections that every experiment is made of, with the defaults of this house.

An experiment is a ConfigDict {seed, data_sets, encoders, tasks}.  What a field does stands where it
is read: data sets in imujax/study.py, encoders in imujax/data/ (sensor_windows, augment) and
imujax/pretrain/ (sources, step, loop), tasks in imujax/sweep/ (grid, choices, budget, lanes).
"""

from ml_collections import ConfigDict

FRACTIONS = (0.1, 0.16, 0.25, 0.4, 0.63, 1.0)  # 10^x for x = -1 to 0 by 0.2, as in the study

SIZES = ("full", "cores", "tiny")  # of an experiment on real recordings
# What two cores can do: the study's network at half its width of 16, and of the eight sensors of
# the knee moment the two beside the knee.
HALF = {"width": 8}
KNEE = ("thigh_r", "shank_r")


def data_set(builder: str, raw: str, **options) -> ConfigDict:
    """A data set: the builder, its folder below the raw files, the builder's options."""
    section = ConfigDict({"builder": builder, "raw": raw})
    section.options = ConfigDict(options)
    return section


def encoder(data: tuple[str, ...], net: dict, **changes) -> ConfigDict:
    """An encoder to pre-train on unlabelled data sets."""
    return ConfigDict(
        {
            "data": data,
            "sensors": (),  # all
            "rate": 100.0,  # Hz
            "window": 128,  # samples
            "motion": 0.3,  # m/s^2, least mean SD of a sensor's acceleration in a window
            "monitor": 0.1,  # share of the subjects held out to watch the training
            "net": net,
            "loss": "symmetric",
            # Pairs that are no negatives, or count less: imujax/objectives/relations.py.
            "relations": {},
            "temperature": 0.1,
            "learn_temperature": False,
            "batch": 512,  # sensor-windows
            "microbatch": 0,  # of those of a device, how many are encoded at a time; 0: all
            "grouped": False,
            "order": "windows",  # or "blocks", which the disk can follow
            "resident": True,  # on the device; if not, read batch by batch in the order "blocks"
            "seeds": 3,  # pre-trainings, which differ in their seed and are spread over the runs
            "steps": 1000,
            "warmup": 0.2,
            "learning_rate": 1e-3,
            "weight_decay": 1e-5,
            "rotation": 0.0,  # degrees, at most
            "gain": 0.0,  # of the scale of a sensor-window, at most
            "noise": (0.0, 0.0),  # SD, m/s^2 and rad/s
            "log_every": 50,
            "save_every": 500,
        }
        | changes
    )


# For two cores and hours: a budget at whose half the inner error was flat at every share
# (configs/README.md), and fewer rates, inner splits and draws.  All arms have the same.
BUDGET = {"passes": 25.0, "steps": (1000, 2500), "batch": 32}
SMALL = BUDGET | {
    "rates": (1e-3, 3e-3, 1e-2, 3e-2),
    "select": {"folds": 4, "splits": (1, 2), "draws": 1},
    "draws": 2,
}
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
    return ConfigDict(
        {
            "data": data,
            "title": title,
            "sensors": (),  # all
            "arms": compared,
            "references": (
                "ridge",
                "trees",
                "rocket",
                "stack",
                *(f"ridge+{arm}" for arm in compared),
            ),
            "axes": {"windows": FRACTIONS},
            "folds": 5,
            "shuffle": True,
            "draws": 5,
            "stages": ("probe", "finetune"),
            # The budget of fine-tuning: passes over a run's own training subset, with a least and a
            # most number of steps, whatever the passes.
            "passes": 40.0,
            "steps": (1000, 4000),
            "batch": 64,
            # Chosen on inner subjects of each training subset: the probe's penalty, then the
            # learning rate of fine-tuning and the share of the budget at which it stops.  select:
            # into so many inner folds; how many of them are validated on, with all windows and with
            # few; for so many of the draws.
            "penalties": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
            "rates": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
            "stops": (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0),
            "select": {"folds": 4, "splits": (2, 4), "draws": 1},
            "warmup": 0.05,  # share of the budget in which the rate rises
            "weight_decay": 1e-2,
            "is_small": False,  # a budget that shows the path alone; the report says so
            "rotation": 20.0,  # degrees, at most
            "shift": 3,  # samples, at most
            "mask": True,  # do not look beyond the end of a window that is filled up with zeros
            "rescale": False,  # scale the input by each run's training windows, not as pre-trained
        }
        | changes
    )
