"""The study as its authors' code has it, on the four data sets of the study.

    imujax study --config configs/study_as_published.py --raw raw --data data --workdir work

raw/movi, raw/tan2021_running, raw/camargo2021 and raw/tan2022_knee_moment are as their builders'
READMEs say, or stand-ins of the same layout (`imujax simulate --layout NAME --out raw`).  `:cores`
has the same people, the net at half its width, two sensors for the knee, shorter pre-training and
half the fractions; `:tiny` is the same path in minutes.

Their net, shared by both modalities, with batch norm; their loss; an encoder for each task, at its
rate and window; MoVi's axes as they come; input scaled by each run's own training windows; zeros
after the end of a step seen by the net; consecutive folds; no choice of settings; 10,000 steps.
Six things differ: MoVi is resampled with an anti-alias filter; the probe is solved instead of
trained; both arms and stages have one subset of the windows; nine people, drawn by the seed, watch
the pre-training, where theirs were 81 to 88; the rate of fine-tuning is constant after its warm-up,
with averaged weights; there are three pre-trainings and two draws where theirs were one.
"""

from ml_collections import ConfigDict

from imujax.configs import common, published
from imujax.nets import resnet

SENSORS = 17
SIZES = {
    # windows in a batch, steps and learning rate of pre-training
    "full": {"batch": 256, "steps": 10000, "rate": 1e-4},
    "cores": {"batch": 32, "steps": 500, "rate": 1e-3},
    "tiny": {"batch": 4, "steps": 10, "rate": 1e-3, "seeds": 1},
}
# Fine-tuning; in the study the same number of steps for every fraction.
BUDGETS = {
    "full": {"batch": 256, "steps": (10000, 10000)},
    "cores": common.BUDGET,
    "tiny": common.TINY | {"batch": 16},
}


def get_config(size: str = "full") -> ConfigDict:
    if size not in SIZES:
        raise ValueError(f"no size {size!r}: there are {', '.join(SIZES)}")
    chosen = SIZES[size]
    config = ConfigDict({"seed": 0, "encoders": {}, "tasks": {}})
    config.data_sets = ConfigDict(published.labelled_data_sets(labels="file"))
    grid = {} if size == "full" else {"axes": {"windows": (0.1, 0.4, 1.0)}}
    draws = 1 if size == "tiny" else 2  # theirs was one; a second one tells what the start does
    net = resnet.tan2023("batch") | (common.HALF if size == "cores" else {})
    for name, task in published.TASKS.items():
        # 0.2 g, the mean over the sensors of a window.
        config.data_sets[f"movi_{name}"] = common.data_set(
            "movi",
            "movi",
            rate=task.rate,
            window=task.window,
            motion=1.96,
            together=True,
            align=False,
        )
        config.encoders[name] = common.encoder(
            (f"movi_{name}",),
            net,
            rate=task.rate,
            window=task.window,
            motion=0.0,
            loss="one_sided",
            grouped=True,
            batch=chosen["batch"] * SENSORS,
            steps=chosen["steps"],
            seeds=chosen.get("seeds", 3),
            learning_rate=chosen["rate"],
        )
        config.tasks[name] = common.task(
            name,
            task.title,
            common.arms(name),
            references=("ridge", "trees", "rocket", "stack"),
            shuffle=False,
            penalties=(1e-5,),
            rates=(1e-3,),
            warmup=0.2,
            weight_decay=1e-5,
            rotation=0.0,
            shift=0,
            mask=False,
            rescale=True,
            published=published.curve_config(name),
        )
        config.tasks[name].update(BUDGETS[size] | grid | {"draws": draws, "stops": (1.0,)})
    if size == "cores":
        config.tasks.knee_moment.sensors = common.KNEE
    return config
