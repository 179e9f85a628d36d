"""Time of one training step of the 1D ResNet-50, imujax against PyTorch on the same machine.

    python launch/bench_step.py [--batches 32,128] [--repeats 7]

One tower, 3 channels, 128 samples; forward, backward and AdamW update. Each round runs every
program once, one after the other, so that other work on the machine hits them alike; the median
over the rounds is printed. Needs the extra `torch`. The PyTorch net is the tests' oracle.
"""

import argparse
import datetime
import functools
import multiprocessing
import pathlib
import platform
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from imujax import cores, resnet

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
import torch_nets

SAMPLES, CHANNELS, RATE, DECAY = 128, 3, 1e-4, 1e-5
PROGRAMS = ("imujax", "torch eager", "torch.compile")
WARM_UP = 3  # steps before the first one that counts


def imujax_step(net: dict, x: np.ndarray):
    """A function of no arguments that runs one step and waits for it."""
    encoder, optimiser = resnet.encoder(net), optax.adamw(RATE, weight_decay=DECAY)
    x = jnp.asarray(x)
    variables = jax.jit(encoder.init)(jax.random.key(0), x)
    state = variables["params"], variables.get("batch_stats", {})
    state = (*state, optimiser.init(state[0]))

    def loss(params, stats, x):
        variables = {"params": params, "batch_stats": stats}
        h, new = encoder.apply(variables, x, train=True, mutable=["batch_stats"])
        return jnp.square(h - 1).mean(), new.get("batch_stats", {})

    def step(state, x):
        params, stats, opt = state
        grads, stats = jax.grad(loss, has_aux=True)(params, stats, x)
        updates, opt = optimiser.update(grads, opt, params)
        return optax.apply_updates(params, updates), stats, opt

    compiled = jax.jit(step, donate_argnums=0).lower(state, x).compile()

    def run():
        nonlocal state
        state = compiled(state, x)
        jax.block_until_ready(state)

    return run


def torch_step(net: dict, x: np.ndarray, compiled: bool = False):
    """The same step in PyTorch, eager or through torch.compile; channels first."""
    model = torch_nets.build(net).train()
    optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY, fused=True)
    forward = torch.compile(model) if compiled else model
    x = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 1)))

    def run():
        optimiser.zero_grad()
        (forward(x) - 1).square().mean().backward()
        optimiser.step()

    return run


def hardware() -> str:
    """The processor's name and how many cores this process may use."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(cores.allowed())} cores"


def work(pipe, program: str, net: dict, x: np.ndarray):
    """A process of its own for each program: runs a step and sends its seconds when asked.

    In one process the thread pools of XLA and of OpenMP fight over the cores, and PyTorch loses.
    """
    try:
        make = {
            "imujax": imujax_step,
            "torch eager": torch_step,
            "torch.compile": functools.partial(torch_step, compiled=True),
        }[program]
        step = make(net, x)
        for _ in range(WARM_UP):
            step()
    except Exception as error:  # torch.compile needs a C++ compiler, and fails in many ways
        pipe.send(f"{type(error).__name__}: {str(error)[:200]}")
        return
    pipe.send(None)
    while pipe.recv():
        start = time.perf_counter()
        step()
        pipe.send(time.perf_counter() - start)


def measure(net: dict, x: np.ndarray, repeats: int) -> dict[str, float]:
    """{program: median seconds of a step}; the programs take turns."""
    context, pipes, processes = multiprocessing.get_context("spawn"), {}, []
    for program in PROGRAMS:
        pipe, end = context.Pipe()
        processes.append(context.Process(target=work, args=(end, program, net, x), daemon=True))
        processes[-1].start()
        failure = pipe.recv()
        if failure:
            print(f"{program} does not work here: {failure}")
        else:
            pipes[program] = pipe
    times = {program: [] for program in pipes}
    for _ in range(repeats):
        for program, pipe in pipes.items():
            pipe.send(True)
            times[program].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    for process in processes:
        process.join()
    return {program: statistics.median(values) for program, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", default="32,128", help="batch sizes, separated by commas")
    parser.add_argument("--repeats", type=int, default=7, help="rounds of which to take the median")
    options = parser.parse_args()
    print(f"{datetime.date.today()}  {hardware()}  jax on {jax.devices()[0].platform}")
    print(f"jax {jax.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    rng = np.random.default_rng(0)
    for batch in map(int, options.batches.split(",")):
        x = rng.standard_normal((batch, SAMPLES, CHANNELS)).astype(np.float32)
        medians = measure(resnet.resnet50(), x, options.repeats)
        for name, median in medians.items():
            print(
                f"batch {batch:4d}  {name:14s} {1e3 * median:8.1f} ms"
                f"  {median / medians['imujax']:5.2f} x imujax"
            )
        print(f"batch {batch:4d}  fastest: {min(medians, key=medians.get)}")


if __name__ == "__main__":
    main()
