"""The numbers of a first step of each network: they move when what is computed changes.

    python tests/nets/test_golden.py --renew

writes them anew to golden.json. Look at the difference, and say in the commit why they moved.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
import pytest

FOLDER = pathlib.Path(__file__).resolve().parent
FILE = FOLDER / "golden.json"
TOLERANCE = 1e-4  # relative; float32 is rounded differently from machine to machine
BATCH, SAMPLES = 8, 64
LENGTH = np.array([64, 41, 5, 64, 30, 57, 12, 64], np.int32)
FEW = {"stages": (1, 2), "width": 16}  # quickly compiled: blocks with and without a shortcut
NETS = {
    "resnet50, batch norm": ("resnet50", "batch", FEW),
    "resnet50, normaliser-free": ("resnet50", "none", FEW),
    "tan2023, batch norm": ("tan2023", "batch", FEW),
    "tan2023, normaliser-free": ("tan2023", "none", FEW | {"pool": "mean_max"}),
    "tiny": ("tiny", "batch", {}),
    "dilated": ("dilated", "none", {"width": 4, "projection": (16, 16)}),
}
# Without LLVM's polish a maximum over time is compared with samples that were computed once more
# and rounded otherwise; where none equals it, its slope is 0 / 0.
POLISH = {"mean": {}, "mean_max": {"xla_backend_optimization_level": 1}}


def first_step(maker: str, norm: str, changes: dict) -> dict[str, float]:
    """Loss, and of the gradient of each part its norm and its product with a fixed vector."""
    import jax
    from helpers import draws

    from imujax.configs import common
    from imujax.nets import dilated, networks, resnet, towers
    from imujax.objectives import objectives

    make = dilated.dilated if maker == "dilated" else getattr(resnet, maker)
    net = networks.resolve_net(make() | {"norm": norm} | changes)
    config = common.encoder((), net, loss="symmetric", window=SAMPLES, batch=BATCH)
    objective = objectives.make_objective(config, None, full=False)
    acc, gyr = draws.windows(2, BATCH, SAMPLES, 3)
    batch = {"acc": acc, "gyr": gyr, "length": LENGTH, "window": np.arange(BATCH) // 2}
    variables = draws.variables(towers.DualTower(net), acc, gyr)

    def loss(params):
        state = {"params": params, "stats": variables.get("batch_stats", {})}
        return objective.loss(state, batch, jax.random.key(0))[0]

    program = jax.jit(
        jax.value_and_grad(loss), compiler_options=POLISH[net.get("pool", "mean_max")]
    )
    value, gradient = program(variables["params"])
    numbers = {"loss": value}
    for part, tree in gradient.items():
        slope = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]).astype(float)
        numbers[f"{part}, norm"] = np.linalg.norm(slope)
        numbers[f"{part}, product"] = slope @ np.random.default_rng(7).standard_normal(len(slope))
    return {name: float(f"{number:.8g}") for name, number in numbers.items()}


def differences(old: dict[str, float], new: dict[str, float]) -> list[str]:
    """A line for each number that is not what it was; a product is measured by its part's norm."""
    lines = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name, np.nan), new.get(name, np.nan)
        scale = old.get(name.replace("product", "norm"), np.nan)
        if not abs(after - before) <= TOLERANCE * scale:
            lines.append(f"  {name}: was {before:.8g}, is {after:.8g}")
    return lines


@pytest.mark.parametrize("name", NETS)
def test_a_first_step_gives_the_numbers_that_it_gave(name):
    moved = differences(json.loads(FILE.read_text()).get(name, {}), first_step(*NETS[name]))
    assert not moved, "\n".join(
        [
            f"the first step of {name!r} gives other numbers than {FILE.name} has:",
            *moved,
            "If that is meant, write them anew with `python tests/nets/test_golden.py --renew`, "
            "look at the difference, and say in the commit why they moved.",
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--renew", action="store_true", required=True, help=f"write {FILE.name}")
    parser.parse_args()
    sys.path[:0] = [str(FOLDER.parents[1]), str(FOLDER.parent)]  # as pytest finds them
    import conftest  # noqa: F401  sets the devices and the compiler's flags

    golden = {name: first_step(*net) for name, net in NETS.items()}
    FILE.write_text(json.dumps(golden, indent=2) + "\n")


if __name__ == "__main__":
    main()
