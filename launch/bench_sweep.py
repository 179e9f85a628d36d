"""Full fine-tuning of a sweep's runs, and the plain loop that PyTorch would have: see bench.py."""

import pathlib
import sys
import tempfile
import time
from types import SimpleNamespace

import numpy as np
from ml_collections import ConfigDict

SAMPLES, COUNT, BATCH, STEPS = 64, 1000, 32, 200
NETS = ("tiny", "tan2023")
RUNS = (4, 8, 16)  # of imujax; the loop takes as long for each
DRAWS = (1, 2, 4)  # of a whole sweep of the small network
SUBJECTS = 12
SCALE = {name: {"mean": 0.0, "sd": 1.0} for name in ("acc", "gyr")}
CONFIG = {
    "batch": BATCH,
    "weight_decay": 1e-2,
    "rotation": 0.0,
    "shift": 0,
    "tune": (),
    "kept": 0.0,
}


def draw_examples() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Standard normal acc, gyr [N, T, 1, 3] and target [N]."""
    rng = np.random.default_rng(0)
    acc, gyr = rng.standard_normal((2, COUNT, SAMPLES, 1, 3), dtype=np.float32)
    return acc, gyr, rng.standard_normal(COUNT, dtype=np.float32)


def time_imujax(net: dict) -> dict[int, float]:
    """Seconds of so many runs together, compilation apart."""
    from imujax.pretrain import encoder
    from imujax.sweep import lanes  # not a door: the benchmark looks behind it

    card = {"net": net, "window": SAMPLES, "rate": 100.0, "scales": SCALE}
    acc, gyr, target = draw_examples()
    examples = lanes.LabelledArrays(acc, gyr, None, target[:, None])
    runs = 4
    trainer = lanes.LaneTrainer(card, examples, ConfigDict(CONFIG), COUNT, runs)
    starts = [encoder.random_encoder(card, seed) for seed in range(runs)]
    width = starts[0].features(acc[:1], gyr[:1]).shape[1]
    head = {"kernel": np.zeros((1, width), np.float32), "bias": np.zeros(1, np.float32)}
    index = np.arange(COUNT)

    def train(count: int):
        for first in range(0, count, runs):
            group = [
                lanes.Lane(index, index[:1], (1.0,), 1e-3, 10, first + i, start, SCALE)
                for i, start in enumerate(starts)
            ]
            stack = trainer.begin(group, [head] * runs)
            trainer.advance(stack, 0, STEPS)

    train(runs)
    times = {}
    for count in RUNS:
        begin = time.perf_counter()
        train(count)
        times[count] = time.perf_counter() - begin
    return times


def time_sweep(net: dict, draws: int, trainers: dict) -> tuple[int, float]:
    """Runs and seconds of an arm's whole sweep: three shares, choices on inner subjects, finals.

    What is compiled stays in `trainers`.
    """
    from imujax.configs import common
    from imujax.pretrain import encoder
    from imujax.sweep import arms, choices, finals, grid, runs

    acc, gyr, target = draw_examples()
    subject = np.repeat([f"P{i:02d}" for i in range(SUBJECTS)], -(-COUNT // SUBJECTS))[:COUNT]
    length = np.full(COUNT, SAMPLES)
    data = SimpleNamespace(
        acc=acc, gyr=gyr, length=length, target=target[:, None], subject=subject, info={}
    )
    shares = {"windows": (0.1, 0.25, 1.0)}
    small = common.SMALL | {"axes": shares, "folds": 3, "passes": 20.0, "draws": draws}
    config = common.task("x", "X", common.arms("e"), **small)
    config.select = {"folds": 4, "splits": (1, 4), "draws": draws}
    cells = grid.make_grid(config, subject, 0)
    card = {"net": net, "window": SAMPLES, "rate": 100.0, "scales": SCALE}
    spec = config.arms.random
    silent = SimpleNamespace(update=lambda *_: None)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        start = encoder.random_encoder(card, 0)
        arm = arms.Arm("random", config, data, cells, [start], spec, 0, trainers)
        parts = runs.Parts(pathlib.Path(folder))
        chosen, inner = choices.choose_settings(arm, cells, subject, parts, silent)
        finals.final_rows(arm, cells, chosen, parts, silent)
        seconds = time.perf_counter() - begin
    first = [row for row in inner if row["stop"] == config.stops[0]]
    return len(first) + len(cells), seconds


def time_torch(net: dict) -> float:
    """Seconds of one run by the plain loop: AdamW, mean squared error, eager."""
    import torch
    from torch import nn

    sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
    from helpers import torch_nets

    device = "cuda" if torch.cuda.is_available() else "cpu"
    acc, gyr, target = (torch.from_numpy(x).to(device) for x in draw_examples())
    acc, gyr = (x[:, :, 0].transpose(1, 2).contiguous() for x in (acc, gyr))
    encoder = torch_nets.build_net(net).to(device)
    with torch.no_grad():
        width = 2 * encoder(acc[:1]).flatten(1).shape[1]
    output = nn.Linear(width, 1).to(device)
    parameters = [*encoder.parameters(), *output.parameters()]
    optimiser = torch.optim.AdamW(parameters, 1e-3, weight_decay=CONFIG["weight_decay"])

    def train(steps: int):
        for _ in range(steps):
            rows = torch.randint(COUNT, (BATCH,), device=device)
            h = torch.cat([encoder(x[rows]).flatten(1) for x in (acc, gyr)], 1)
            loss = ((output(h)[:, 0] - target[rows]) ** 2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()

    train(5)
    begin = time.perf_counter()
    train(STEPS)
    return time.perf_counter() - begin


def report() -> None:
    """Print runs/s and windows/s of both, and how the time grows with the number of runs."""
    from imujax.nets import resnet

    for name in NETS:
        net = getattr(resnet, name)("none") | {"shared": True}
        times, loop = time_imujax(net), time_torch(net)
        for count, seconds in times.items():
            windows = count * STEPS * BATCH / seconds
            print(f"{name}: {count:2d} runs {count / seconds:7.3f} runs/s {windows:8.0f} windows/s")
        few, many = RUNS[0], RUNS[-1]
        growth = times[many] / times[few] / (many / few)
        print(
            f"{name}: {many / few:.0f} times the runs take {growth:.2f} times the time of linear "
            f"growth; PyTorch's loop {1 / loop:.3f} runs/s, {STEPS * BATCH / loop:.0f} windows/s"
        )
    net = resnet.tiny("none")
    trainers: dict = {}
    time_sweep(net, DRAWS[0], trainers)  # compiles
    sweeps = [time_sweep(net, draws, trainers) for draws in DRAWS]
    for runs, seconds in sweeps:
        print(f"tiny, a whole sweep: {runs} runs in {seconds:.1f} s, {runs / seconds:.1f} runs/s")
    (few, first), (many, last) = sweeps[0], sweeps[-1]
    print(
        f"tiny, a whole sweep: {many / few:.1f} times the runs take "
        f"{last / first / (many / few):.2f} times the time of linear growth"
    )
