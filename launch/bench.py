"""Figures of launch/README.md: times, rates, memory.  Each command prints its own.

    python launch/bench.py build --raw raw/sisfall    data set hours a second of wall time
    python launch/bench.py movi --raw raw/movi        the same of MoVi, and the memory
    python launch/bench.py tabular                    a thousand recordings of two CSV files each
    python launch/bench.py study --raw raw            `:tiny`, raw files to figure
    python launch/bench.py import                     `import imujax` and `imujax --help`
    python launch/bench.py simulate                   simulated people against real time, and the
                                                      stream against the step that it feeds
    python launch/bench.py stream                     sensor-windows that are read from blocks
    python launch/bench.py sweep                      runs of fine-tuning, beside PyTorch's loop
    python launch/bench.py predict                    an hour of eight sensors, file to estimates
    python launch/bench.py memory                     what loss and step of large batches take, by
                                                      the compiled programs' own account

launch/bench_step.py times the training step beside PyTorch.
"""

import argparse
import contextlib
import datetime
import multiprocessing
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]


def describe_machine() -> str:
    """Date, processor and number of cores."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{datetime.date.today()}, {name}, {os.cpu_count()} cores"


def time_build(raw: pathlib.Path):
    """Build SisFall three times; the goal is a thousand times real time."""
    from imujax.data import builders, datasets

    times = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as data:
            begin = time.perf_counter()
            path = builders.build("sisfall", raw, data)
            times.append(time.perf_counter() - begin)
            hours = datasets.read_metadata(path)["hours"]
    seconds = statistics.median(times)
    print(
        f"sisfall: {hours:.2f} h in {seconds:.1f} s (median of 3), "
        f"{hours * 3600 / seconds:.0f} times real time; goal 1000"
    )


def time_movi(raw: pathlib.Path):
    """Build MoVi once, its workers included; the goal is four minutes and 4 GiB for 6.6 hours.

    Memory is an upper bound: the peaks of this process and of as many workers, each like the
    largest, need not come at one time.
    """
    import resource

    from imujax.data import builders, datasets
    from imujax.runtime import host

    with tempfile.TemporaryDirectory() as data:
        begin = time.perf_counter()
        path = builders.build("movi", raw, data)
        seconds = time.perf_counter() - begin
        hours = datasets.read_metadata(path)["hours"]
    peaks = [
        resource.getrusage(processes).ru_maxrss / 2**20  # GiB, on Linux
        for processes in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    memory = peaks[0] + len(host.available_cores()) * peaks[1]
    print(
        f"movi: {hours:.2f} h in {seconds:.1f} s, {hours * 3600 / seconds:.0f} times real time, at "
        f"most {memory:.2f} GiB; goal 240 s, 4 GiB"
    )


RECORDINGS, MINUTES = 1000, 1  # of a logger that writes a file for each instrument
LOGGER_CARD = """
files = "*/*/acc.csv"
match = '(?P<subject>p\\d+)/(?P<recording>\\d+)/'
[time]
column = "t"
[units]
acc = "m/s^2"
gyr = "rad/s"
[sensors.waist]
acc = ["x", "y", "z"]
gyr = { file = "{subject}/{recording}/gyr.csv", columns = ["x", "y", "z"], time = "t" }
[window]
rate = 100
length = 128
"""


def time_tabular():
    """Build a thousand recordings of a minute at 100 Hz, each a file of either instrument; the goal
    is a thousand times real time.
    """
    from imujax.data import builders, datasets

    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for number in range(RECORDINGS):
            write_logger(root / "raw" / f"p{number % 20}" / f"{number}", number)
        (root / "logger.toml").write_text(LOGGER_CARD)
        begin = time.perf_counter()
        card = str(root / "logger.toml")
        path = builders.build("tabular", root / "raw", root / "data", card=card)
        seconds = time.perf_counter() - begin
        hours = datasets.read_metadata(path)["hours"]
    print(
        f"tabular: {RECORDINGS} recordings of two files, {hours:.2f} h in {seconds:.1f} s, "
        f"{hours * 3600 / seconds:.0f} times real time; goal 1000"
    )


def write_logger(folder: pathlib.Path, seed: int):
    """A unit that swings about one axis, exactly: acc.csv and gyr.csv, the latter 3 ms late."""
    import numpy as np

    rng = np.random.default_rng(seed)
    rates, sizes, phases = rng.uniform(0.5, 3, 5), rng.uniform(0.1, 0.5, 5), rng.uniform(0, 6, 5)
    folder.mkdir(parents=True)
    for name, late in (("acc", 0.0), ("gyr", 0.003)):
        t = np.arange(60 * MINUTES * 100) / 100 + late
        waves = 2 * np.pi * rates * t[:, None] + phases
        angle, speed = np.sin(waves) @ sizes, np.cos(waves) @ (2 * np.pi * rates * sizes)
        acc = 9.81 * np.stack([0 * t, np.sin(angle), np.cos(angle)], axis=1)
        gyr = np.stack([speed, 0 * t, 0 * t], axis=1)
        values = (acc if name == "acc" else gyr) + rng.normal(0, 0.05, (len(t), 3))
        rows = np.concatenate([t[:, None], values], axis=1)
        np.savetxt(folder / f"{name}.csv", rows, "%.4f", ",", header="t,x,y,z", comments="")


def time_study(raw: pathlib.Path):
    """The tiny study in a process and folder of its own; the goal is three minutes."""
    with tempfile.TemporaryDirectory() as folder:
        cache = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}  # nothing compiled
        config = str(ROOT / "configs" / "public.py:tiny")
        command = [sys.executable, "-m", "imujax", "study", "--config", config, "--raw", str(raw)]
        command += ["--data", f"{folder}/data", "--workdir", f"{folder}/work"]
        begin = time.perf_counter()
        subprocess.run(command, env=os.environ | cache, check=True, stdout=subprocess.DEVNULL)
        print(f"tiny study: {time.perf_counter() - begin:.0f} s from raw files to figure; goal 180")


TRIALS = 24  # of one person, in the benchmark of the simulator


def time_simulation():
    """One person with 17 sensors at 100 Hz, a process on each core; then the stream and its step.

    The trials are shared out over the processes, each with a core of its own, and timed from when
    everything is compiled; sensor-seconds are counted once, not times 17.
    """
    from imujax.runtime import host

    cores = host.available_cores()
    for kind in ("walking", "running", "MoVi's 21 movements"):
        with multiprocessing.get_context("spawn").Pool(len(cores)) as pool:
            jobs = [(kind, core, part, len(cores)) for part, core in enumerate(cores)]
            pool.map(simulate_trials, [(*job, 0) for job in jobs], 1)  # compiles
            begin = time.perf_counter()
            simulated = sum(pool.map(simulate_trials, [(*job, TRIALS) for job in jobs], 1))
            seconds = time.perf_counter() - begin
        print(
            f"one person {kind}, {len(cores)} cores: {simulated / seconds:.0f} times real time; "
            "goal 200"
        )
    time_stream_and_step()


def simulate_trials(job) -> float:
    """Simulate this process's part of TRIALS trials of ten seconds -> seconds simulated."""
    kind, core, part, parts, trials = job
    from imujax.runtime import host

    host.pin_to_core(core)
    import jax
    import jax.numpy as jnp

    from imujax.simulate import activities, gait, people

    spec = people.simulation_settings("movi", {"seconds": 10.0})
    movements = {"walking": people.MOVI_TRIALS[-2:-1], "running": people.MOVI_TRIALS[-1:]}.get(
        kind, people.MOVI_TRIALS
    )
    key, body = people.make_subject(spec, "movi", 0)
    segments = tuple(range(17))
    mount = people.random_mounts(key, body, segments, spec["scatter"])
    t = jnp.arange(1000) / 100
    count = 0
    for number in range(part, trials, parts) if trials else range(len(movements)):
        movement = movements[number % len(movements)]
        trial_key = jax.random.fold_in(key, number)
        if "gait" in movement:
            walk = people.simulate_walk(spec, movement, key, body, trial_key)
            kin = gait.kinematics(body, walk, walk.begin + t)
        else:
            manner = activities.random_manner(key, spec["manner"])
            kin = people.movement_kinematics(
                body, activities.perform(trial_key, body, movement["name"], 10.0, manner), t
            )
        jax.block_until_ready(people.simulate_readings(trial_key, kin, mount, spec["unit"], 100.0))
        count += 1
    return 10.0 * count


def time_stream_and_step():
    """Sensor-windows a second that the stream makes, and that a ResNet-50 step takes."""
    import jax

    from imujax.configs import pretrain_simulated
    from imujax.nets import resnet
    from imujax.pretrain import sources
    from imujax.pretrain import step as pretrain_step
    from imujax.runtime import sharding

    config = pretrain_simulated.get_config().encoders.people
    config.net = resnet.resnet50(norm="none")
    config.batch = 256 if jax.default_backend() == "cpu" else 4096
    mesh = sharding.make_mesh("data", 1)
    source = sources.simulated_source(config, 0, mesh)
    step, _ = pretrain_step.compile_step(
        pretrain_step.make_step(config, source.scale, 0, True, mesh), mesh
    )
    state = sharding.place(pretrain_step.init_state(config, 0), sharding.replicated(mesh))
    batch = source.batch(0)
    state, metrics = step(state, *batch)
    rates = []
    for makes_batch in (True, False):
        times = []
        for k in range(5):
            begin = time.perf_counter()
            if makes_batch:
                jax.block_until_ready(source.batch(k + 1))
            else:
                state, metrics = step(state, *batch)
                jax.block_until_ready(metrics)
            times.append(time.perf_counter() - begin)
        rates.append(config.batch / statistics.median(times))
    print(
        f"{jax.devices()[0].device_kind}: the stream makes {rates[0]:,.0f} windows/s, a step of "
        f"the ResNet-50 takes {rates[1]:,.0f}; goal on an accelerator: no fewer"
    )


def time_stream(count: int = 512, steps: int = 40):
    """Read made-up blocks of 128 samples in batches of 16,384: all of them, and one of 8 parts.

    The file is just written, so the operating system has it in memory.
    """
    import numpy as np

    from imujax.data import blocks, sensor_windows

    rng, batch = np.random.default_rng(0), 16384

    def draw_blocks():
        for number in range(count):
            acc, gyr = rng.normal(size=(2, blocks.BLOCK_SIZE, 128, 3)).astype(np.float32)
            ids = np.full(blocks.BLOCK_SIZE, number, np.int32)
            yield (
                sensor_windows.SensorWindows(acc, gyr, ids + 128, ids, ids, ids, ids, acc[:, 0, 0]),
                0,
            )

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        begin = time.perf_counter()
        blocks.write_blocks(folder, draw_blocks())
        seconds = time.perf_counter() - begin
        rate = count * blocks.BLOCK_SIZE / seconds
        print(f"written: {rate:,.0f} sensor-windows/s, drawn and all")
        table = blocks.read_table(folder)
        order = blocks.BlockOrder(table.count, batch, 0)
        for parts in (1, 8):
            cache = 2 * blocks.SHUFFLE_BLOCKS // parts + 8
            reader = blocks.BlockReader(folder, table, table.count > 0, cache)
            rows = np.arange(batch // parts)
            batches = blocks.BatchReader(reader, order, rows, steps)
            batches(0)  # with which the threads begin
            begin = time.perf_counter()
            for step in range(1, steps):
                batches(step)
            rate = (steps - 1) * len(rows) / (time.perf_counter() - begin)
            print(f"stream, process 1 of {parts}: {rate:,.0f} sensor-windows/s")
    print(
        "for comparison, windows of 6 x 128 float32 a second: array_record 13,000, Grain 8,000 "
        "to 11,000, with two workers 20,000, with blocks of 250 windows 71,000 to 115,000, "
        "gathered on the device 1,300,000"
    )


def report_sweep():
    """Full fine-tuning of many runs; the goal is time that grows no faster than their number."""
    import bench_sweep

    bench_sweep.report()


def report_predict():
    """An hour of eight sensors through `imujax predict`; the goal is a minute."""
    import bench_predict

    bench_predict.report()


def report_memory():
    """Temporary memory of loss and slopes, dense and tiled, and of a step in microbatches.

    Nothing is run: the compiled program says what it takes.
    """
    import jax
    import jax.numpy as jnp

    from imujax.configs import common
    from imujax.nets import resnet
    from imujax.objectives import log_sums, relations
    from imujax.pretrain import step as pretrain_step
    from imujax.runtime import sharding

    spec = log_sums.SumSpec(True, True, relations.resolve({}))
    for form, batches in (("dense", (2**14, 2**16)), ("tiled", (2**14, 2**16, 2**18, 2**20))):

        def total(z_acc, z_gyr, window, form=form):
            ids = {"window": window}
            return sum(
                x.sum() for x in log_sums.pair_log_sums(z_acc, z_gyr, ids, 0.1, spec, None, form)
            )

        for batch in batches:
            z = jax.ShapeDtypeStruct((batch, 128), jnp.float32)
            window = jax.ShapeDtypeStruct((batch,), jnp.int32)
            compiled = jax.jit(jax.grad(total, argnums=(0, 1))).lower(z, z, window).compile()
            gib = _temporary_gib(compiled)
            print(f"loss and slopes, {form}, {batch:,} pairs: {gib:.2f} GiB", flush=True)
    batch, mesh = 2**16, sharding.make_mesh("data", 1)
    config = common.encoder((), resnet.resnet50(64, "none"), batch=batch, microbatch=256)
    scale = {name: {"mean": 0.0, "sd": 1.0} for name in ("acc", "gyr")}
    data = {name: jax.ShapeDtypeStruct((batch, 128, 3), jnp.float32) for name in scale}
    rows = jax.ShapeDtypeStruct((batch,), jnp.int32)
    data |= {"length": rows, "window": rows}
    step, _ = pretrain_step.compile_step(
        pretrain_step.make_step(config, scale, 0, True, mesh), mesh
    )
    compiled = step.lower(
        jax.eval_shape(lambda: pretrain_step.init_state(config, 0)), data, rows
    ).compile()
    arguments = compiled.memory_analysis().argument_size_in_bytes / 2**30
    print(
        f"step of the dual ResNet-50, {batch:,} pairs in microbatches of {config.microbatch}: "
        f"{_temporary_gib(compiled):.2f} GiB and {arguments:.2f} of state and data; goal 8"
    )


def _temporary_gib(compiled) -> float:
    return compiled.memory_analysis().temp_size_in_bytes / 2**30


def time_imports():
    """Median of nine fresh processes each; the goal is half a second."""
    empty = median_seconds([sys.executable, "-c", "pass"])
    for name, arguments in (
        ("import imujax", ["-c", "import imujax"]),
        ("imujax --help", ["-m", "imujax", "--help"]),
    ):
        seconds = median_seconds([sys.executable, *arguments])
        print(f"{name}: {seconds:.2f} s, of which {empty:.2f} s are Python's own start; goal 0.5")


def median_seconds(command: list[str]) -> float:
    times = []
    for _ in range(9):
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    with_raw = {"build": time_build, "movi": time_movi, "study": time_study}
    without_raw = {
        "tabular": time_tabular,
        "import": time_imports,
        "simulate": time_simulation,
        "stream": time_stream,
        "sweep": report_sweep,
        "predict": report_predict,
        "memory": report_memory,
    }
    parser.add_argument("what", choices=(*with_raw, *without_raw))
    parser.add_argument("--raw", type=pathlib.Path, help="folder of the raw files")
    args = parser.parse_args()
    if args.what not in without_raw and args.raw is None:
        parser.error(f"{args.what} needs --raw")
    print(describe_machine(), flush=True)
    if args.what in without_raw:
        without_raw[args.what]()
    else:
        with_raw[args.what](args.raw)


if __name__ == "__main__":
    main()
