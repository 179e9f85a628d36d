"""An arm on made-up people, for the tests of the sweep."""

from types import SimpleNamespace

import numpy as np

from imujax.configs import common
from imujax.nets import resnet
from imujax.pretrain import encoder
from imujax.sweep import arms, grid

SCALES = {"acc": {"mean": 0.0, "sd": 1.0}, "gyr": {"mean": 0.0, "sd": 1.0}}
CARD = {"net": resnet.tiny("none"), "window": 32, "rate": 100.0, "scales": SCALES}


def people(count: int = 60):
    """Windows of three people filled up with zeros; the second half has larger signals."""
    rng = np.random.default_rng(0)
    acc, gyr = rng.normal(3.0, 1.0, (2, count, 32, 2, 3)).astype(np.float32)
    size = np.where(np.arange(count) < count // 2, 1, 4) * rng.uniform(0.5, 2, count)
    length = rng.integers(20, 33, count).astype(np.int32)
    for x in (acc, gyr):
        x *= size[:, None, None, None]
        x[np.arange(32) >= length[:, None]] = 0
    return SimpleNamespace(
        acc=acc,
        gyr=gyr,
        length=length,
        target=size[:, None].astype(np.float32),
        subject=np.repeat(["a", "b", "c"], count // 3),
        info={},
    )


def pretrainings(count: int) -> list[encoder.Encoder]:
    """Encoders that differ in their seeds."""
    return [
        encoder.random_encoder(CARD | {"settings": {"seed": 1000 * k}}, k) for k in range(count)
    ]


def make_arm(data, weights="pretrained", members=1, draws=1, **changes):
    """An arm of a task with two shares and three folds, and the cells of its grid."""
    fields = {"axes": {"windows": (0.5, 1.0)}, "folds": 3, "draws": draws}
    fields |= {"penalties": (0.1,), "rates": (1e-3,)}
    config = common.task("x", "X", common.arms("e"), **fields | changes)
    cells = grid.make_grid(config, data.subject, seed=0)
    spec = config.arms[weights]
    return arms.Arm("one", config, data, cells, pretrainings(members), spec, 0, {}), cells
