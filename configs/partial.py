"""How much of a network is worth fine-tuning: all of it, more slowly towards the stem, or its end.

    imujax study --config configs/partial.py --raw raw --data data --workdir work/partial

Peak force of a foot, with the recordings, folds and encoder of insole.py without norm: three tasks
that differ in `tune` alone (imujax/nets/tuning.py), for both arms alike.  The frozen probe stands
beside each.  `:cores` has the network at half its width and half the budget, for two cores; `:tiny`
is the same path in minutes.
"""

from ml_collections import ConfigDict

from imujax.configs import common, insole
from imujax.nets import tuning


def get_config(size: str = "full") -> ConfigDict:
    config = insole.get_config(size)
    del config.encoders["batch"]
    net = config.encoders.free.net
    ways = {
        "all": ("all of the network", ()),
        "layerwise": ("slower by .7 from stage to stage", tuning.layerwise(net, 0.7)),
        "last_stage": ("the last stage alone", tuning.last_stage(net)),
    }
    grid = common.SMALL | {"folds": insole.FOLDS, "axes": {"windows": (0.1, 1.0)}}
    grid |= {"tiny": common.TINY, "cores": common.BESIDE}.get(size, {})
    arms, config.tasks = common.arms("free"), ConfigDict()
    for name, (words, factors) in ways.items():
        given = grid | {"tune": factors, "references": ("ridge",)}
        title = f"Peak force of a foot, {words}"
        config.tasks[name] = common.task("contacts", title, arms, **given)
    return config
