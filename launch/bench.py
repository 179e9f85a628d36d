"""Figures of the README that are times: a build, the tiny study, the import.  Each prints its own.

    python launch/bench.py build --raw raw/sisfall    data set hours a second of wall time
    python launch/bench.py study --raw raw            `:tiny`, raw files to figure
    python launch/bench.py import                     `import imujax` and `imujax --help`

launch/bench_step.py times the training step beside PyTorch.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]


def machine() -> str:
    """Date, processor and number of cores."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{datetime.date.today()}, {name}, {os.cpu_count()} cores"


def build(raw: pathlib.Path):
    """Build SisFall three times; the goal is a thousand times real time."""
    from imujax import datasets

    times = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as data:
            begin = time.perf_counter()
            path = datasets.build("sisfall", raw, data)
            times.append(time.perf_counter() - begin)
            hours = datasets.info(path)["hours"]
    best = statistics.median(times)
    print(f"sisfall: {hours:.2f} h in {best:.1f} s (median of 3), {hours * 3600 / best:.0f} times "
          f"real time; goal 1000")  # fmt: skip


def study(raw: pathlib.Path):
    """The tiny study in a process and folder of its own; the goal is three minutes."""
    with tempfile.TemporaryDirectory() as folder:
        clean = os.environ | {"JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}  # nothing compiled
        words = ["study", "--config", str(ROOT / "configs" / "public.py:tiny"), "--raw", str(raw)]
        words += ["--data", f"{folder}/data", "--workdir", f"{folder}/work"]
        begin = time.perf_counter()
        command = [sys.executable, "-m", "imujax", *words]
        subprocess.run(command, env=clean, check=True, stdout=subprocess.DEVNULL)
        print(f"tiny study: {time.perf_counter() - begin:.0f} s from raw files to figure; goal 180")


def imports():
    """Median of nine fresh processes each; the goal is half a second."""
    empty = spent([sys.executable, "-c", "pass"])
    for name, words in (("import imujax", ["-c", "import imujax"]),
                        ("imujax --help", ["-m", "imujax", "--help"])):  # fmt: skip
        taken = spent([sys.executable, *words])
        print(f"{name}: {taken:.2f} s, of which {empty:.2f} s are Python's own start; goal 0.5")


def spent(command: list[str]) -> float:
    times = []
    for _ in range(9):
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("build", "study", "import"))
    parser.add_argument("--raw", type=pathlib.Path, help="folder of the raw files")
    args = parser.parse_args()
    if args.what != "import" and args.raw is None:
        parser.error(f"{args.what} needs --raw")
    print(machine())
    if args.what == "import":
        imports()
    else:
        {"build": build, "study": study}[args.what](args.raw)


if __name__ == "__main__":
    main()
