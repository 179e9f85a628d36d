"""Stance time from a lower-back unit, pre-trained on other people's waist recordings.

    imujax study --config configs/public.py --raw raw --data data --workdir work/public

raw/sisfall and raw/ipol_gait are the unpacked public sets (see data_builders/*/README.md).  The
encoder never sees a subject of the labelled set: it is pre-trained on SisFall alone.
Expected result: see configs/README.md.  `:cores` has the network at half its width, for two cores;
`:tiny` is the same path in minutes.
"""

from ml_collections import ConfigDict

from imujax.configs import common
from imujax.nets import resnet


def get_config(size: str = "full") -> ConfigDict:
    if size not in common.SIZES:
        raise ValueError(f"no size {size!r}: there are {', '.join(common.SIZES)}")
    config = ConfigDict({"seed": 0})
    config.data_sets = ConfigDict(
        {
            "waist": common.data_set("sisfall", "sisfall", rate=100.0, window=128, stride=64),
            "steps": common.data_set("ipol_gait", "ipol_gait", task="stance_time"),
        }
    )
    net = resnet.tan2023("none") | {"pool": "mean_max"}
    net |= common.HALF if size == "cores" else {}
    config.encoders = ConfigDict(
        {"waist": common.encoder(("waist",), net, rotation=30.0, steps=500, save_every=250)}
    )
    config.tasks = ConfigDict(
        {
            "stance_time": common.task(
                "steps",
                "Stance time, walking",
                common.arms("waist"),
                axes={"windows": (0.1, 0.25, 1.0)},
                **common.SMALL,
            )
        }
    )
    if size == "tiny":
        tiny = {"steps": 60, "batch": 256, "log_every": 20, "seeds": 1}
        config.encoders.waist.update(net=resnet.tiny("none"), **tiny)
        config.tasks.stance_time.update(folds=3, **common.TINY)
    return config
