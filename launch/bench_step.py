"""The pre-training step and its loss beside PyTorch's, in one run on one machine.

    python launch/bench_step.py                         the step: both networks, some batches
    python launch/bench_step.py --what loss             the loss alone, time and memory
    python launch/bench_step.py --batches 1024,4096 --dtype bfloat16        on an accelerator
    python launch/bench_step.py --against compiled --dtype bfloat16         there, without PyTorch

A step takes a batch out of windows that lie on the device (6 channels, 128 samples), encodes it
with two towers and their heads, and updates the weights by AdamW from the contrastive loss in both
directions. The PyTorch program is as good as we can write it: eager, compiled, and compiled with
channels last; autocast where --dtype is bfloat16; fused AdamW. Every program has a process of its
own, for in one process the thread pools fight over the cores; in each round every program runs for
two seconds or a step, so that other work on the machine hits them alike (the losses run one after
the other, for at 16,384 pairs two of them fill a machine's memory); the median over the rounds of
the time of a step is printed. The share of the arithmetic is that of the fastest matrix product
this machine showed in the same minute; that of the memory is what the compiled step says it reads
and writes, over the speed of a plain copy (on a CPU caches help, so it may pass 1). Needs the extra
`torch`. The PyTorch networks are the tests' oracle.

With `--against compiled` the time of a step stands beside what its compiled program's arithmetic
and bytes would take at the chip's published rates (imujax/compiled).
"""

import argparse
import functools
import gc
import multiprocessing
import os
import pathlib
import resource
import statistics
import sys
import time

import numpy as np

from imujax.errors import UserError
from imujax.runtime import host

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))

SAMPLES, WINDOWS, SIZE, TEMPERATURE, RATE, DECAY = 128, 4, 128, 0.1, 1e-4, 1e-5
STEPS = ("imujax", "torch eager", "torch.compile", "torch.compile, channels last")
CEILINGS = ("product, jax", "product, torch", "copy")
LOSSES = ("imujax dense", "imujax tiled", "torch, as OpenCLIP", "torch.compile, as OpenCLIP")
WARM_UP = 3  # steps before the first one that counts
TURN = 2.0  # seconds that a program runs at least before the next one does: its caches are its own
PRODUCT = {"cpu": 2048, "cuda": 8192}  # rows and columns of the matrix product
COPIED = 2**28  # numbers of float32 in the copy
GOALS = {"cpu": 1.3, "gpu": 2.0}  # times as fast as the fastest PyTorch program


def draw_windows(batch: int) -> dict[str, np.ndarray]:
    """Standard normal windows acc, gyr [WINDOWS * B, T, 3], of which batches are taken."""
    rng = np.random.default_rng(0)
    shape = (WINDOWS * batch, SAMPLES, 3)
    return {name: rng.standard_normal(shape, dtype=np.float32) for name in ("acc", "gyr")}


def draw_embeddings(batch: int) -> np.ndarray:
    """Embeddings of length one, [2, B, D]."""
    z = np.random.default_rng(0).standard_normal((2, batch, SIZE), dtype=np.float32)
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def make_imujax_step(net: str, norm: str, batch: int, dtype: str):
    """A function of no arguments that runs one step and waits for it."""
    import jax

    from imujax.configs import common
    from imujax.nets import resnet
    from imujax.pretrain import step as pretrain_step
    from imujax.runtime import sharding

    fields = getattr(resnet, net)(norm=norm) | {"dtype": dtype, "shared": False}
    config = common.encoder((), fields, batch=batch, learning_rate=RATE, weight_decay=DECAY)
    mesh = sharding.make_mesh("data", 1)
    scale = {name: {"mean": 0.0, "sd": 1.0} for name in ("acc", "gyr")}
    data = draw_windows(batch)
    count = len(data["acc"])
    data |= {"length": np.full(count, SAMPLES, np.int32), "window": np.arange(count, dtype="i4")}
    data, rows = sharding.place((data, draw_rows(batch)), sharding.replicated(mesh))
    state = sharding.place(pretrain_step.init_state(config, 0), sharding.replicated(mesh))
    step, _ = pretrain_step.compile_step(
        pretrain_step.make_step(config, scale, 0, True, mesh), mesh
    )
    step = step.lower(state, data, rows).compile()

    def run():
        nonlocal state
        state, metrics = step(state, data, rows)
        jax.block_until_ready((state, metrics))

    run.bytes = step.cost_analysis().get("bytes accessed", 0.0)  # not every device tells
    run.program = step
    return run


def draw_rows(batch: int) -> np.ndarray:
    return np.random.default_rng(1).permutation(WINDOWS * batch)[:batch].astype(np.int32)


def make_torch_step(
    net: str, norm: str, batch: int, dtype: str, compiled=False, channels_last=False
):
    """The same step in PyTorch, on the accelerator where there is one."""
    import torch
    from helpers import torch_nets
    from torch import nn
    from torch.nn import functional as F

    from imujax.nets import networks, resnet

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    fields = getattr(resnet, net)(norm=norm)

    class Tower(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = torch_nets.build_net(fields)
            size = networks.make_encoder(fields).embedding
            middle = [nn.BatchNorm1d(SIZE)] if norm == "batch" else []
            self.head = nn.Sequential(
                nn.Linear(size, SIZE), *middle, nn.ReLU(), nn.Linear(SIZE, SIZE)
            )

        def forward(self, x):
            return F.normalize(self.head(self.encoder(x).flatten(1)).float(), dim=-1)

    towers = nn.ModuleDict({name: Tower() for name in ("acc", "gyr")})
    if channels_last:
        for tower in towers.values():
            torch_nets.to_two_dimensions(tower.encoder).to(memory_format=torch.channels_last)
    towers = towers.to(device).train()
    optimiser = torch.optim.AdamW(towers.parameters(), RATE, weight_decay=DECAY, fused=True)
    data = {
        name: torch.from_numpy(x.transpose(0, 2, 1).copy()).to(device)
        for name, x in draw_windows(batch).items()
    }
    rows, label = torch.from_numpy(draw_rows(batch)).long(), torch.arange(batch)
    rows, label = rows.to(device), label.to(device)

    def forward(data):
        with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
            x = {name: x[rows] for name, x in data.items()}
            if channels_last:
                x = {
                    name: x[:, :, None].contiguous(memory_format=torch.channels_last)
                    for name, x in x.items()
                }
            z = [towers[name](x[name]) for name in ("acc", "gyr")]
        s = z[0] @ z[1].T / TEMPERATURE
        return 0.5 * (F.cross_entropy(s, label) + F.cross_entropy(s.T, label))

    forward = torch.compile(forward) if compiled else forward

    def run():
        optimiser.zero_grad()
        forward(data).backward()
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def make_imujax_loss(batch: int, form: str):
    """Loss and slopes by both embeddings, dense or tiled."""
    import jax

    from imujax.objectives import log_sums, relations

    related = relations.resolve({"window": 1})
    spec = log_sums.SumSpec(positive=True, columns=True, related=related)

    @jax.jit
    @functools.partial(jax.value_and_grad, argnums=(0, 1))
    def loss(z_acc, z_gyr):
        rows, columns = log_sums.pair_log_sums(z_acc, z_gyr, {}, TEMPERATURE, spec, None, form)
        positive = (z_acc * z_gyr).sum(-1) / TEMPERATURE
        return 0.5 * ((rows - positive).mean() + (columns - positive).mean())

    z = jax.device_put(draw_embeddings(batch))
    return lambda: jax.block_until_ready(loss(*z))


def make_torch_loss(batch: int, compiled: bool):
    """The loss of OpenCLIP on one device: the matrix of logits and two cross-entropies."""
    import torch
    from torch.nn import functional as F

    device = "cuda" if torch.cuda.is_available() else "cpu"
    z = [torch.from_numpy(x).to(device).requires_grad_() for x in draw_embeddings(batch)]
    label = torch.arange(batch, device=device)

    def loss(z_acc, z_gyr):
        s = z_acc @ z_gyr.T / TEMPERATURE
        return 0.5 * (F.cross_entropy(s, label) + F.cross_entropy(s.T, label))

    loss = torch.compile(loss) if compiled else loss

    def run():
        for x in z:
            x.grad = None
        loss(*z).backward()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def make_ceiling(name: str, dtype: str):
    """A large matrix product, or a copy: what the machine does at best."""
    import jax
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "product, jax":
        x = jax.numpy.ones((PRODUCT[device],) * 2, dtype)
        product = jax.jit(jax.numpy.matmul)
        return lambda: product(x, x).block_until_ready()
    torch.set_float32_matmul_precision("high")
    shape = (COPIED,) if name == "copy" else (PRODUCT[device],) * 2
    x = torch.ones(
        shape, device=device, dtype=torch.float32 if name == "copy" else getattr(torch, dtype)
    )
    y = torch.empty_like(x)

    def run():
        y.copy_(x) if name == "copy" else torch.matmul(x, x, out=y)
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def make_program(name: str, what: str, shape: tuple):
    """The function that runs one step of a program."""
    if what == "ceiling":
        return make_ceiling(name, *shape)
    if what == "step":
        if name == "imujax":
            return make_imujax_step(*shape)
        return make_torch_step(*shape, "compile" in name, "last" in name)
    if name.startswith("imujax"):
        return make_imujax_loss(*shape, name.removeprefix("imujax "))
    return make_torch_loss(*shape, "compile" in name)


def memory_used(before: int) -> float:
    """GiB that this process has taken since: of an accelerator's memory, else of the machine's."""
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        return sys.modules["torch"].cuda.max_memory_allocated() / 2**30
    if "jax" in sys.modules:
        stats = sys.modules["jax"].devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in stats:
            return stats["peak_bytes_in_use"] / 2**30
    return (peak_bytes() - before) / 2**30


def peak_bytes() -> int:
    """Bytes of the machine's memory that this process has had at most, on Linux."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def serve_program(pipe, name: str, what: str, shape: tuple):
    """A process of its own for each program: runs a step and sends its seconds when asked."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # both shall find memory
    if "torch" not in name:
        host.run_on_calling_thread()
    try:
        if what == "loss":  # what the program itself takes is not the loss's
            make_program(name, what, (8,))()
            gc.collect()
        before = peak_bytes()
        step = make_program(name, what, shape)
        step()
        gib = memory_used(before)  # later steps find what the first has freed, whole or in pieces
        for _ in range(WARM_UP - 1):
            step()
    except Exception as error:  # torch.compile needs a C++ compiler, and fails in many ways
        pipe.send(f"{type(error).__name__}: {str(error)[:200]}")
        return
    pipe.send(None)
    while pipe.recv():
        pipe.send(time_round(step))
    pipe.send((gib, getattr(step, "bytes", 0.0)))


def time_round(step) -> float:
    """Seconds of a step, over TURN seconds or one step."""
    start, steps, spent = time.perf_counter(), 0, 0.0
    while spent < TURN:
        step()
        steps, spent = steps + 1, time.perf_counter() - start
    return spent / steps


def ask_process(pipes: dict, name: str, again: bool | None = None):
    """What a program's process says (to `again`), None if no more than that it is ready.

    A program that does not work, or whose process is no more (a system that is short of memory
    kills), is named and leaves `pipes`.
    """
    try:
        if again is not None:
            pipes[name].send(again)
        answer = pipes[name].recv()
    except (EOFError, OSError):
        answer = "its process died"
    if isinstance(answer, str):
        print(f"{name} does not work here: {answer}")
        del pipes[name]
    return answer


def measure(names, what: str, shape: tuple, repeats: int) -> dict[str, tuple]:
    """{program: (median seconds of a step, GiB taken, bytes moved)}; the programs take turns."""
    context, pipes, processes = multiprocessing.get_context("spawn"), {}, []
    for name in names:  # they compile side by side
        pipes[name], end = context.Pipe()
        args = (end, name, what, shape)
        processes.append(context.Process(target=serve_program, args=args, daemon=True))
        processes[-1].start()
        end.close()
    for name in names:
        ask_process(pipes, name)
    times = {name: [] for name in names}
    for _ in range(repeats):
        for name in list(pipes):
            times[name].append(ask_process(pipes, name, True))
    costs = {name: ask_process(pipes, name, False) for name in list(pipes)}
    for process in processes:
        process.join()
    return {name: (statistics.median(times[name]), *costs[name]) for name in pipes}


def describe_hardware() -> str:
    """Date, processor or accelerator, versions."""
    import bench
    import jax
    import torch

    chip = f"  {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    versions = f"jax {jax.__version__} on {jax.default_backend()}, torch {torch.__version__}"
    return f"{bench.describe_machine()}{chip}  {versions}"


def measure_ceilings(dtype: str) -> tuple[float, float]:
    """FLOP/s of the fastest matrix product, bytes/s of a copy; printed."""
    import torch

    n = PRODUCT["cuda" if torch.cuda.is_available() else "cpu"]
    times = measure(CEILINGS, "ceiling", (dtype,), 5)
    if len(times) < len(CEILINGS):
        raise SystemExit("without products and copy there is nothing to take shares of")
    copy = 2 * 4 * COPIED / times.pop("copy")[0]
    product = 2 * n**3 / min(seconds for seconds, *_ in times.values())
    print(f"at best {product / 1e12:.2f} TFLOP/s, {copy / 1e9:.0f} GB/s", flush=True)
    return product, copy


def report_steps(options):
    """Print pairs/s of every program, its shares of the ceilings, and how much faster we are."""
    import torch

    from imujax.nets import arithmetic, resnet

    goal = GOALS["gpu" if torch.cuda.is_available() else "cpu"]
    product, copy = measure_ceilings(options.dtype)
    names = [name for name in STEPS if options.norm == "batch" or "last" not in name]
    for net in options.nets.split(","):
        flops_of_pair = arithmetic.training_flops(getattr(resnet, net)(norm=options.norm), SAMPLES)
        for batch in map(int, options.batches.split(",")):
            shape = (net, options.norm, batch, options.dtype)
            times = measure(names, "step", shape, options.repeats)
            for name, (seconds, _, moved) in times.items():
                share = batch / seconds * flops_of_pair / product
                print(
                    f"{net} {batch:6d} {name:28s} {1e3 * seconds:9.1f} ms {batch / seconds:10.0f}"
                    f" pairs/s {100 * share:4.0f} % of the arithmetic"
                    + (f" {100 * moved / seconds / copy:4.0f} % of the memory" if moved else ""),
                    flush=True,
                )
            others = [seconds for name, (seconds, *_) in times.items() if name != "imujax"]
            if "imujax" in times and others:
                print(
                    f"{net} {batch:6d} imujax is {min(others) / times['imujax'][0]:.2f} times as "
                    f"fast as the fastest PyTorch; goal {goal}",
                    flush=True,
                )


def report_against_compiled(options):
    """Print the time of a step beside what its compiled program would take at best."""
    import bench
    import jax

    from imujax.compiled import machines, page, programs
    from imujax.nets import arithmetic, resnet

    machine = machines.this_machine()
    kind = jax.devices()[0].device_kind
    print(f"{bench.describe_machine()}  {kind}, jax {jax.__version__}", flush=True)
    for net in options.nets.split(","):
        flops_of_pair = arithmetic.training_flops(getattr(resnet, net)(norm=options.norm), SAMPLES)
        for batch in map(int, options.batches.split(",")):
            run = make_imujax_step(net, options.norm, batch, options.dtype)
            flops = batch * flops_of_pair + 6 * batch**2 * SIZE
            made = programs.describe(
                run.program,
                has_fast_memory=machine.chip.platform == "tpu",
                title=f"{net} {batch}",
                encoder="",
                unit="pairs",
                count=batch,
                chips=1,
                flops=flops,
                executed=flops,
                is_narrow=options.dtype == "bfloat16",
                seconds=0.0,
            )
            times = page.bounds(made, machine)
            binding = max(times, key=lambda name: times[name])
            for _ in range(WARM_UP):
                run()
            seconds = statistics.median(time_round(run) for _ in range(options.repeats))
            print(
                f"{net} {batch:6d} {1e3 * seconds:9.2f} ms {batch / seconds:10.0f} pairs/s, by "
                f"{binding} at best {1e3 * times[binding]:.2f} ms on {machine.name}: "
                f"{seconds / times[binding]:.2f} times that, "
                f"{flops / seconds / page.peak(made, machine.chip):.0%} of the peak",
                flush=True,
            )


def report_losses(options):
    """Print time and memory of loss and slopes; one after the other, for the sake of memory."""
    for batch in map(int, options.batches.split(",")):
        for name in LOSSES:
            for seconds, gib, _ in measure([name], "loss", (batch,), options.repeats).values():
                print(
                    f"loss {batch:6d} {name:28s} {1e3 * seconds:9.1f} ms {gib:7.2f} GiB",
                    flush=True,
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", default="step", choices=("step", "loss"))
    parser.add_argument("--nets", default="resnet50,tan2023", help="networks, with commas between")
    parser.add_argument("--against", default="torch", choices=("torch", "compiled"))
    parser.add_argument("--norm", default="batch", choices=("batch", "none"))
    parser.add_argument("--batches", help="32,128,512 for the step, 4096,16384 for the loss")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--repeats", type=int, default=7, help="rounds of which to take the median")
    options = parser.parse_args()
    options.batches = options.batches or {"step": "32,128,512", "loss": "4096,16384"}[options.what]
    if options.against == "compiled":
        try:
            report_against_compiled(options)
        except UserError as error:
            parser.error(str(error))
        return
    print(describe_hardware(), flush=True)
    os.environ.setdefault("GLIBC_TUNABLES", host.KEPT_MEMORY)  # of the processes that run steps
    (report_steps if options.what == "step" else report_losses)(options)


if __name__ == "__main__":
    main()
