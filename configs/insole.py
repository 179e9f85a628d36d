"""Peak force of a foot from that foot's insole unit, pre-trained on public walking and daily life.

    imujax study --config configs/insole.py --raw raw --data data --workdir work/insole

raw/sisfall and raw/ipol_gait are the unpacked public sets, raw/insole a folder of recordings with
the card insole.toml beside them (data_builders/tabular/README.md tells how such a card is written;
the recordings of these figures are not ours to pass on).  The folds are given, so that the four
subjects with the most contacts stand in four of them.  `:cores` has the network at half its width,
for two cores; `:tiny` is the same path in minutes.
"""

from ml_collections import ConfigDict

from imujax.configs import common
from imujax.nets import resnet

FOLDS = (("S04", "S03"), ("S11", "S05"), ("S22", "S16"), ("S30", "S20"), ("S21", "S23", "S28"))


def get_config(size: str = "full") -> ConfigDict:
    if size not in common.SIZES:
        raise ValueError(f"no size {size!r}: there are {', '.join(common.SIZES)}")
    config = ConfigDict({"seed": 0})
    cut = {"rate": 100.0, "window": 128, "stride": 64}
    config.data_sets = ConfigDict(
        {
            "waist": common.data_set("sisfall", "sisfall", **cut),
            "walks": common.data_set("ipol_gait", "ipol_gait", task="windows", **cut),
            "contacts": common.data_set("tabular", "insole", card="insole/insole.toml"),
        }
    )
    shape = {"pool": "mean_max"} | (common.HALF if size == "cores" else {})
    changes = {"window": 64, "rotation": 30.0, "steps": 800, "save_every": 200}
    config.encoders = ConfigDict(
        {
            name: common.encoder(("waist", "walks"), resnet.tan2023(norm) | shape, **changes)
            for name, norm in (("batch", "batch"), ("free", "none"))
        }
    )
    compared = ConfigDict()
    for name, label in (("batch", ""), ("free", "-free")):
        for arm, spec in common.arms(name).items():
            compared[arm + label] = spec
    config.tasks = ConfigDict(
        {
            "peak_force": common.task(
                "contacts",
                "Peak force of a foot",
                compared,
                folds=FOLDS,
                axes={"windows": (0.1, 0.25, 1.0)},
                **common.SMALL,
            )
        }
    )
    if size == "tiny":
        tiny = {"steps": 60, "batch": 256, "log_every": 20, "seeds": 1}
        for name, norm in (("batch", "batch"), ("free", "none")):
            config.encoders[name].update(net=resnet.tiny(norm), **tiny)
        config.tasks.peak_force.update(**common.TINY)
    return config
