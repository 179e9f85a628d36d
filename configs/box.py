"""The encoder that comes with imujax, `imujax.load("gait")`: from simulated people alone.

    imujax pretrain --config configs/box.py --data data --workdir work/box
    imujax pack work/box/encoders/gait imujax/pretrain/box/gait.safetensors

Everybody is simulated on the device as the training goes, half of them walking or running, with a
sensor on every segment: so nobody's recordings have to be passed on with the weights. Pairs, and
beside them the forces and moments of simulated walkers. `:tiny` is the same path in minutes.
"""

from ml_collections import ConfigDict

from imujax.configs import common
from imujax.nets import dilated


def get_config(size: str = "full") -> ConfigDict:
    if size not in ("full", "tiny"):
        raise ValueError(f"no size {size!r}: there are full and tiny")
    config = ConfigDict({"seed": 0, "data_sets": {}, "tasks": {}})
    train = {"batch": 256, "steps": 1500, "save_every": 250, "rotation": 30.0, "seeds": 1}
    gait = common.encoder((), dilated.dilated(), beside={"forces": 0.5}, **train)
    gait.stream = ConfigDict({"gait": 0.5})
    gait.simulated.update(windows=8192, batch=128)
    if size == "tiny":
        gait.update(net=dilated.dilated(2), steps=20, batch=64, log_every=10)
        gait.simulated.update(windows=512, batch=32)
        gait.stream.sensors = ("pelvis", "thigh_r", "shank_r", "foot_r")
        gait.simulated.people = {"sensors": ("pelvis", "foot_r")}
    config.encoders = ConfigDict({"gait": gait})
    return config
