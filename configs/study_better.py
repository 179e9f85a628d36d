"""The study done better, on its four data sets: the points of a list of sixteen, one by one.

    imujax study --config configs/study_better.py --raw raw --data data --workdir work/better

The raw folders are those of study_as_published.py; `:cores` has the same people, a small
network, two sensors for the knee and fewer settings, `:tiny` is the same path in minutes.  The
numbers in the comments are those of the table in configs/README.md, under "The study's three
protocols".
"""

from ml_collections import ConfigDict

from imujax.configs import common, published
from imujax.nets import resnet

SIZES = {
    "full": {"steps": 5000},
    "cores": {"steps": 600},
    "tiny": {"steps": 10, "seeds": 1},
}
ENCODERS = {"loading_rate": "fast", "peak_force": "fast", "knee_moment": "slow"}


def get_config(size: str = "full") -> ConfigDict:
    if size not in SIZES:
        raise ValueError(f"no size {size!r}: there are {', '.join(SIZES)}")
    chosen = SIZES[size]
    config = ConfigDict({"seed": 0, "encoders": {}, "tasks": {}})
    config.data_sets = ConfigDict(published.labelled_data_sets(labels="force"))
    # 4: no norm, so that amplitude is kept.  16: mean and maximum of the last two stages.
    net = resnet.tan2023("none") | {"pool": "mean_max"} if size == "full" else resnet.tiny("none")
    train = dict(chosen)
    train |= {} if size == "full" else {"batch": 256, "learning_rate": 3e-3}
    # 10: one encoder for all tasks of a rate, resampled with an anti-alias filter.
    for name, rate in (("fast", 200.0), ("slow", 100.0)):
        # 6: cut by movement where the boundaries are known, each sensor tested for itself; what is
        # dropped is counted.  7: axes aligned, and turned a little in training (15).  8: SI units
        # and one scale for each modality, which goes with the checkpoint.
        config.data_sets[f"movi_{name}"] = common.data_set("movi", "movi", rate=rate, window=128)
        # 5: other sensors of the same window are no negatives, nor is what the same recording has
        # within five seconds.
        config.encoders[name] = common.encoder(
            (f"movi_{name}",),
            net,
            rate=rate,
            rotation=20.0,
            relations={"near": 0.0, "seconds": 5.0},
            **train,
        )
        if size == "full":
            # 3: a small supervised network beside the arms; as an encoder it is used untrained.
            # In the other sizes the arms have this network.
            config.encoders[f"small_{name}"] = common.encoder(
                (f"movi_{name}",), resnet.tiny("none"), rate=rate, steps=1, batch=256
            )
    for name, task in published.TASKS.items():
        # 3, 13: penalties and learning rates are chosen on inner subjects, for each arm by itself.
        # 14: the frozen probe is always reported.  9: nothing is seen beyond the end of a step.
        # 11: folds shuffled with a recorded seed.  12: all metrics are in every report.
        compared = common.arms(ENCODERS[name])
        if size == "full":
            encoder = f"small_{ENCODERS[name]}"
            compared.small = ConfigDict({"encoder": encoder, "weights": "random"})
        config.tasks[name] = common.task(
            name,
            task.title,
            compared,
            references=("ridge", "trees", "rocket", "stack", "ridge+pretrained", "ridge+random"),
            # 1: shares of windows and of subjects.  2: nested subsets, common to arms and stages.
            axes={"windows": common.FRACTIONS, "subjects": (0.25, 0.5, 0.75)},
            published=published.curve_config(name),
        )
        if size != "full":
            config.tasks[name].update(common.SMALL | (common.TINY if size == "tiny" else {}))
            config.tasks[name].axes = {"windows": (0.1, 0.4, 1.0), "subjects": (0.25, 0.5)}
    if size == "cores":
        config.tasks.knee_moment.sensors = common.KNEE
    return config
