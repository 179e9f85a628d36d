"""Does pre-training on simulated people carry over to real ones?

    imujax simulate --out raw/simulated --sets movi
    imujax study --config configs/carry_over.py --raw raw --data data --workdir work/carry_over

Two real tasks (stance time from the lower back, peak force of a foot), each with encoders that were
pre-trained on simulated people alone, on real recordings alone and on both, beside random weights.
The real recordings are those that each task may see: SisFall for both, the IPOL walks only where
they are not the labelled set.  raw/ is as for configs/public.py and configs/insole.py.
`:stance_time` and `:peak_force` are one task alone with the network at half its width, for two
cores; `:tiny` is the same path in minutes.
"""

from ml_collections import ConfigDict

from imujax.configs import common, insole
from imujax.nets import resnet

TASKS = ("stance_time", "peak_force")
REFERENCES = ("ridge", "trees", "rocket", "stack")


def get_config(part: str = "full") -> ConfigDict:
    if part not in ("full", "tiny", *TASKS):
        raise ValueError(f"no part {part!r}: there are full, tiny, {', '.join(TASKS)}")
    config = ConfigDict({"seed": 0})
    cut = {"rate": 100.0, "window": 128}
    config.data_sets = ConfigDict(
        {
            "waist": common.data_set("sisfall", "sisfall", stride=64, **cut),
            "walks": common.data_set("ipol_gait", "ipol_gait", task="windows", stride=64, **cut),
            "simulated": common.data_set("simulated", "simulated/movi", **cut),
            "steps": common.data_set("ipol_gait", "ipol_gait", task="stance_time"),
            "contacts": common.data_set("tabular", "insole", card="insole/insole.toml"),
        }
    )
    net = resnet.tan2023("none") | {"pool": "mean_max"}
    net |= common.HALF if part in TASKS else {}
    small = common.SMALL | {"axes": {"windows": (0.1, 1.0)}, "references": REFERENCES}
    changes = {"rotation": 30.0, "steps": 500, "save_every": 250}
    if part == "tiny":
        net = resnet.tiny("none")
        small |= common.TINY
        changes |= {"steps": 30, "batch": 256, "log_every": 10, "seeds": 1}
    config.encoders, config.tasks = ConfigDict(), ConfigDict()
    for task, labelled, title, window, real, folds in (
        ("stance_time", "steps", "Stance time, walking", 128, ("waist",), 5),
        ("peak_force", "contacts", "Peak force of a foot", 64, ("waist", "walks"), insole.FOLDS),
    ):
        if part in TASKS and part != task:
            continue
        sources = {"simulated": ("simulated",), "real": real, "both": ("simulated", *real)}
        arms = {"random": {"encoder": f"{task}_real", "weights": "random"}}
        for name, data in sources.items():
            config.encoders[f"{task}_{name}"] = common.encoder(data, net, window=window, **changes)
            arms[name] = {"encoder": f"{task}_{name}", "weights": "pretrained"}
        config.tasks[task] = common.task(labelled, title, ConfigDict(arms), folds=folds, **small)
    return config
