"""Pre-training at the scale of a pod: a large network, a large batch, data read batch by batch.

    imujax pretrain --config configs/pretrain_pod.py --raw raw --data data --workdir work/pod

raw/movi holds the files of MoVi (data_builders/movi/README.md), or those of simulated people:
`imujax simulate --layout movi --out raw`.  The data set is packed in blocks once, below its folder,
which all processes must see; from then on a process reads its part of each batch.  Expected result:
metrics.jsonl and checkpoints in work/pod/encoders/movi; the windows/s of an accelerator are not
reported here yet, what eight of them would take stands in launch/README.md.  On fewer, or smaller
ones, --config.encoders.movi.microbatch=1024 keeps the activations of so many pairs at a time.
`:tiny` is the same path in a minute.
"""

from ml_collections import ConfigDict

from imujax.configs import common
from imujax.nets import resnet


def get_config(size: str = "full") -> ConfigDict:
    if size not in ("full", "tiny"):
        raise ValueError(f"no size {size!r}: there are full and tiny")
    config = ConfigDict({"seed": 0, "tasks": {}})
    # Longer than the encoder's window of 128, so that every batch cuts at another place.
    cut = {"rate": 100.0, "window": 160, "stride": 64}
    config.data_sets = ConfigDict({"movi": common.data_set("movi", "movi", **cut)})
    net = resnet.resnet50(64, "none") | {"dtype": "bfloat16"}
    movi = common.encoder(
        ("movi",),
        net,
        order="blocks",
        resident=False,
        batch=16384,
        steps=5000,
        relations={"near": 0.0, "seconds": 5.0},
        learn_temperature=True,
        rotation=30.0,
        gain=0.05,
        noise=(0.1, 0.02),
    )
    if size == "tiny":
        movi.update(
            net=resnet.tiny("none") | {"dtype": "bfloat16"},
            batch=256,
            microbatch=64,
            steps=20,
            log_every=10,
        )
    config.encoders = ConfigDict({"movi": movi})
    return config
