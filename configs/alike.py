"""Does the comparison keep quiet where there is nothing to tell?

    imujax study --config configs/alike.py --raw raw --data data --workdir work/alike
    python launch/alike.py work/alike/tasks/stance_time work/alike/tasks/peak_force

Every arm has random weights of one small network, in a set of its own: no arm can be better than
another.  Forty sets with the frozen probe; `:finetune` has eight sets, fine-tuned too; `:tiny` is
the same path in minutes.  raw/ is as for configs/public.py and configs/insole.py.
"""

from ml_collections import ConfigDict

from imujax.configs import common, insole
from imujax.nets import resnet

SETS = {"full": 40, "finetune": 8, "tiny": 4}


def get_config(part: str = "full") -> ConfigDict:
    if part not in SETS:
        raise ValueError(f"no part {part!r}: there are {', '.join(SETS)}")
    config = ConfigDict({"seed": 0})
    config.data_sets = ConfigDict(
        {
            "waist": common.data_set("sisfall", "sisfall", rate=100.0, window=128, stride=64),
            "steps": common.data_set("ipol_gait", "ipol_gait", task="stance_time"),
            "contacts": common.data_set("tabular", "insole", card="insole/insole.toml"),
        }
    )
    config.encoders, config.tasks = ConfigDict(), ConfigDict()
    for task, labelled, title, window, folds in (
        ("stance_time", "steps", "Stance time, walking", 128, 5),
        ("peak_force", "contacts", "Peak force of a foot", 64, insole.FOLDS),
    ):
        # Of the encoder only the network and the scales of its input are used.
        config.encoders[task] = common.encoder(
            ("waist",), resnet.tiny("none"), window=window, batch=256, steps=1, seeds=1
        )
        arms = {
            f"set_{k}": {"encoder": task, "weights": "random", "start": k}
            for k in range(SETS[part])
        }
        config.tasks[task] = common.task(
            labelled,
            title,
            ConfigDict(arms),
            folds=folds,
            axes={"windows": (0.1, 0.25, 1.0)},
            references=(),
            **common.SMALL,
        )
        if part != "finetune":
            config.tasks[task].stages = ("probe",)
    return config
