"""Which of 19 activities of daily life somebody with a unit at the waist is at.

    imujax simulate --out raw/simulated --sets movi
    imujax study --config configs/activities.py --raw raw --data data --workdir work/activities

raw/sisfall and raw/ipol_gait are the unpacked public sets.  A class a window, its activity (the
recordings of falls are not in raw/sisfall).  The encoder never sees these people: it is pre-trained
on the IPOL walks and on simulated people.  `:cores` has the network at half its width, half the
rate and half the budget, for two cores; `:tiny` is the same path in minutes, pre-trained on the
walks alone.
"""

from ml_collections import ConfigDict

from imujax.configs import common
from imujax.nets import resnet


def get_config(size: str = "full") -> ConfigDict:
    if size not in common.SIZES:
        raise ValueError(f"no size {size!r}: there are {', '.join(common.SIZES)}")
    config = ConfigDict({"seed": 0})
    # On two cores at half the rate: a window lasts 2.56 s either way.
    rate, samples = (50.0, 128) if size == "cores" else (100.0, 256)
    cut, whole = {"rate": rate, "window": 128}, {"window": samples, "stride": samples}
    config.data_sets = ConfigDict(
        {
            "walks": common.data_set("ipol_gait", "ipol_gait", task="windows", stride=64, **cut),
            "moves": common.data_set("simulated", "simulated/movi", **cut),
            "daily": common.data_set("sisfall", "sisfall", rate=rate, **whole),
        }
    )
    net = resnet.tan2023("none") | {"pool": "mean_max"}
    net |= common.HALF if size == "cores" else {}
    train = {"rate": rate, "rotation": 30.0, "steps": 500, "save_every": 250}
    config.encoders = ConfigDict({"moves": common.encoder(("walks", "moves"), net, **train)})
    grid = common.SMALL | {"axes": {"windows": (0.1, 1.0)}}
    grid |= common.BESIDE if size == "cores" else {}
    config.tasks = ConfigDict(
        {
            "activity": common.task(
                "daily",
                "Activities of daily life",
                common.arms("moves"),
                targets=("activity",),
                **grid,
            )
        }
    )
    if size == "tiny":
        tiny = {"data": ("walks",), "steps": 60, "batch": 256, "log_every": 20, "seeds": 1}
        config.encoders.moves.update(net=resnet.tiny("none"), **tiny)
        del config.data_sets["moves"]
        references = config.tasks.activity.references  # those of classes
        config.tasks.activity.update(folds=3, **common.TINY | {"references": references})
    return config
