"""Pre-training on simulated people without end, made on the device as the training goes.

    imujax pretrain --config configs/pretrain_simulated.py --data data --workdir work/stream

Nothing is read and nothing but checkpoints is written.  The encoder can take the place of any other
of 100 Hz: `imujax sweep --config ... --checkpoint work/stream/encoders/people`.  On an accelerator
raise the batch: --config.encoders.people.batch=16384.  `:tiny` is the same path in minutes.
"""

from ml_collections import ConfigDict

from imujax.configs import common
from imujax.nets import resnet


def get_config(size: str = "full") -> ConfigDict:
    if size not in ("full", "tiny"):
        raise ValueError(f"no size {size!r}: there are full and tiny")
    net = resnet.tan2023("none") | {"pool": "mean_max"}
    config = ConfigDict({"seed": 0, "data_sets": {}, "tasks": {}})
    people = common.encoder((), net, rotation=30.0, steps=5000)
    # Changes over imujax/simulate/stream.py: a third walk or run, the others do MoVi's movements.
    people.stream = ConfigDict({"gait": 0.33})
    if size == "tiny":
        people.update(net=resnet.tiny("none"), steps=30, batch=256, log_every=10)
        people.stream.sensors = ("pelvis", "thigh_r", "shank_r", "foot_r")
    config.encoders = ConfigDict({"people": people})
    return config
