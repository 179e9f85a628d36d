"""The force of a foot from its insole unit: its peak, the peak's time, both at once, and its curve.

    imujax study --config configs/insole_targets.py --raw raw --data data --workdir work/targets

The recordings and folds of insole.py, pre-trained as there, without norm.  raw/insole/targets.toml
is the card of insole.py with three tables [[target]] in the place of [target]:

    "peak force" [N]        statistic = "max", to = 0.4
    "time of the peak" [s]  statistic = "time_of_max", to = 0.4
    "force" [N]             statistic = "curve", over the window, a value a sample

Is the peak that is read from the curve as good as the peak learned by itself, and are two numbers
at once as good as each alone?  `:cores` has the network at half its width and half the budget,
for two cores; `:tiny` is the same path in minutes.
"""

from ml_collections import ConfigDict

from imujax.configs import common, insole

TARGETS = {
    "peak": ("Peak force of a foot", ("peak force",)),
    "time": ("Time of the peak force", ("time of the peak",)),
    "both": ("Peak force and its time, at once", ("peak force", "time of the peak")),
    "curve": ("Force of a foot", ("force",)),
}


def get_config(size: str = "full") -> ConfigDict:
    config = insole.get_config(size)
    card = {"contacts": common.data_set("tabular", "insole", card="insole/targets.toml")}
    config.data_sets.update(card)
    del config.encoders["batch"]
    # The windows are those of insole.py; trees that boost are not for ten scores of each curve.
    grid = common.SMALL | {"folds": insole.FOLDS, "axes": {"windows": (0.1, 1.0)}}
    grid |= common.TINY if size == "tiny" else {}
    grid |= common.BESIDE if size == "cores" else {}
    arms, config.tasks = common.arms("free"), ConfigDict()
    for name, (title, targets) in TARGETS.items():
        references = ("ridge", "extra") if name == "curve" else ("ridge", "trees")
        given = grid | {"targets": targets, "references": references}
        config.tasks[name] = common.task("contacts", title, arms, **given)
    return config
