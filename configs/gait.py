"""An encoder to give away: what a network that is pooled against thresholds brings on real people.

    imujax study --config configs/gait.py --raw raw --data data --workdir work/gait

The peak force of insole.py and the stance time of public.py, their recordings and folds, and
pre-training on the same sets, with the network of imujax/nets/dilated.py in the place of the
study's.  For the stance time a third arm goes on from the encoder on the walks of those who train,
without labels, fold by fold.  (On the insoles growth.py has such an arm.)

`:cores` is for two cores; `:tiny` is the same path in minutes.
"""

from ml_collections import ConfigDict

from imujax.configs import common, insole
from imujax.nets import dilated

TRAIN = {"rotation": 30.0, "steps": 800, "save_every": 200}
OWN = {"parent": "back", "without": "stance_time", "rotation": 30.0, "steps": 300}
# The network starts from a good probe: no rate of 3e-2, which would throw it away.
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
# Insoles move more than what the encoder has seen: thresholds want each run's own scales. Half of
# what is tried is the network that the probe makes, which fine-tuning must not lose.
SHARES = {"axes": {"windows": (0.1, 0.25, 1.0)}, "rescale": True, "kept": 0.5}


def get_config(size: str = "full") -> ConfigDict:
    config = insole.get_config(size)
    net = dilated.dilated()
    config.data_sets.steps = common.data_set("ipol_gait", "ipol_gait", task="stance_time")
    config.encoders = ConfigDict(
        {
            "foot": common.encoder(("waist", "walks"), net, window=64, **TRAIN),
            "back": common.encoder(("waist",), net, **TRAIN),
            # Goes on from it on the walks of those who train, fold by fold.
            "own": common.encoder(("walks",), net, **OWN),
        }
    )
    grid = {"full": {"rates": RATES}, "cores": common.SMALL | {"rates": RATES, "draws": 1}}
    grid["tiny"] = common.SMALL | common.TINY
    grid = {name: values | SHARES for name, values in grid.items()}
    walking = common.arms("back")
    walking.own = {"encoder": "own", "weights": "in_domain"}
    if size == "tiny":
        tiny = {"steps": 60, "batch": 256, "log_every": 20, "seeds": 1}
        for encoder in config.encoders.values():
            encoder.update(net=net | {"width": 4}, **tiny)
    config.tasks = ConfigDict(
        {
            "peak_force": common.task(
                "contacts",
                "Peak force of a foot",
                common.arms("foot"),
                folds=insole.FOLDS,
                **grid[size],
            ),
            "stance_time": common.task("steps", "Stance time, walking", walking, **grid[size]),
        }
    )
    return config
