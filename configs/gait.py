"""An encoder to give away: what a network that is pooled against thresholds brings on real people.

    imujax study --config configs/gait.py --raw raw --data data --workdir work/gait

The peak force of insole.py, the stance time of public.py and the activities of activities.py, their
recordings and folds, with the network of imujax/nets/dilated.py in the place of the study's.  For
stance time and activities further arms go on from an encoder on the windows of those who train,
without labels, fold by fold: from SisFall's, and from the one that comes with imujax (box.py),
which has seen simulated people alone.  (On the insoles growth.py has such arms.)  Activities are
told from 1.28 s, windows and rate of the latter; raw/sisfall is without its falls.

`:cores` is for two cores; `:tiny` is the same path in minutes.
"""

from ml_collections import ConfigDict

from imujax.configs import common, insole
from imujax.nets import dilated

TRAIN = {"rotation": 30.0, "steps": 800, "save_every": 200}
OWN = {"rotation": 30.0, "steps": 300}
# The network starts from a good probe: no rate of 3e-2, which would throw it away.
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
# Insoles move more than what the encoder has seen: thresholds want each run's own scales. Half of
# what is tried is the network that the probe makes, which fine-tuning must not lose.
SHARES = {"axes": {"windows": (0.1, 0.25, 1.0)}, "rescale": True, "kept": 0.5}


def get_config(size: str = "full") -> ConfigDict:
    config = insole.get_config(size)
    net = dilated.dilated()
    # On two cores one half of what was recorded.
    daily = {"rate": 100.0, "window": 128, "stride": 256 if size == "cores" else 128}
    config.data_sets.daily = common.data_set("sisfall", "sisfall", **daily)
    config.data_sets.steps = common.data_set("ipol_gait", "ipol_gait", task="stance_time")
    config.encoders = ConfigDict(
        {
            "foot": common.encoder(("waist", "walks"), net, window=64, **TRAIN),
            "back": common.encoder(("waist",), net, **TRAIN),
            "own": common.encoder(("walks",), net, parent="back", without="stance_time", **OWN),
            "box_own": common.encoder(("walks",), net, parent="gait", without="stance_time", **OWN),
            "box_daily": common.encoder(("daily",), net, parent="gait", without="activity", **OWN),
        }
    )
    grid = {"full": {"rates": RATES}, "cores": common.SMALL | {"rates": RATES, "draws": 1}}
    grid["tiny"] = common.SMALL | common.TINY
    force = grid[size] | SHARES
    # A share of the people too. The longer windows on two cores with half the budget and without
    # the rate that hardly any run of the peak force had chosen.
    beside = force | {"axes": SHARES["axes"] | {"subjects": (0.25,)}}
    beside |= common.BESIDE | {"rates": RATES[1:]} if size == "cores" else {}
    walking = common.arms("back")
    for name in ("own", "box_own"):
        walking[name] = {"encoder": name, "weights": "in_domain"}
    living = ConfigDict(
        {
            "random": {"encoder": "box_daily", "weights": "random"},
            "box_own": {"encoder": "box_daily", "weights": "in_domain"},
        }
    )
    classes = {name: value for name, value in beside.items() if name != "references"}
    if size == "tiny":
        tiny = {"steps": 60, "batch": 256, "log_every": 20, "seeds": 1}
        for encoder in config.encoders.values():
            # Whoever goes on from the encoder of the box has its network.
            encoder.update(net=net if encoder.parent == "gait" else net | {"width": 4}, **tiny)
    config.tasks = ConfigDict(
        {
            "peak_force": common.task(
                "contacts",
                "Peak force of a foot",
                common.arms("foot"),
                folds=insole.FOLDS,
                **force,
            ),
            "stance_time": common.task("steps", "Stance time, walking", walking, **beside),
            "activity": common.task(
                "daily",
                "Activities of daily life",
                living,
                targets=("activity",),
                **classes,
            ),
        }
    )
    return config
