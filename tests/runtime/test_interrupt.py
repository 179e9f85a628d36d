"""Ctrl-C ends a command within seconds with status 130, wherever it falls.

The processes are real.  IMUJAX_INTERRUPTS=40 sends that many to a study at random moments.
"""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from helpers import children, people

from imujax.runtime import interrupt

SLACK = 8.0  # s that a loaded machine may take beyond GRACE
INTERRUPTS = int(os.environ.get("IMUJAX_INTERRUPTS", "1"))
CODE = """
from imujax.runtime import interrupt
interrupt.watch("farewell")
try:
{}
except KeyboardInterrupt:
    interrupt.leave("farewell")
"""


def interrupted(body: str) -> tuple[int, str, float]:
    """Run code that prints a line and then goes on for good; Ctrl-C at that line."""
    child = subprocess.Popen(
        [sys.executable, "-c", CODE.format(textwrap.indent(body, "    "))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with child:
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        began = time.monotonic()
        said = child.communicate(timeout=60)[1].decode()
        return child.returncode, said, time.monotonic() - began


@pytest.mark.parametrize(
    "body",
    [
        # Compiled code that never comes back.
        "import jax\n"
        "print(flush=True)\n"
        "jax.jit(lambda x: jax.lax.while_loop(lambda y: y > 0, lambda y: y, x))(1).item()",
        # An exception that is swallowed, and a loop that goes on.
        "class Callback:\n"
        "    def __del__(self):\n"
        "        print(flush=True)\n"
        "        while True: pass\n"
        "Callback()\n"
        "while True: pass",
        "import itertools\n"
        "print(flush=True)\n"
        "for _ in itertools.count():\n"
        "    try: sum(range(1000))\n"
        "    except KeyboardInterrupt: pass",
        # Workers that have not heard of it.
        "import multiprocessing, time\n"
        "class Deaf(multiprocessing.get_context('fork').Process):\n"
        "    def run(self):\n"
        "        print(flush=True)\n"
        "        time.sleep(60)\n"
        "worker = Deaf()\n"
        "worker.start()\n"
        "worker.join()",
    ],
)
def test_nothing_outlasts_a_farewell(body):
    status, said, took = interrupted(body)
    assert status == interrupt.STATUS == 130
    assert said == "farewell\n" and took < interrupt.GRACE + SLACK


@pytest.mark.slow
def test_a_study_that_is_stopped_at_random_moments_goes_on_to_the_same_end(tmp_path):
    place = people.write_study(tmp_path)
    log = tmp_path / "log"

    def start(name):
        words = ["study", "--config", place["config"], "--raw", place["raw"]]
        words += ["--data", tmp_path / f"data_{name}", "--workdir", tmp_path / name]
        words += ["--config.encoders.small.seeds=1", "--config.tasks.force.folds=2"]
        words += ["--config.tasks.force.draws=1", "--config.tasks.force.references=('ridge',)"]
        return children.start(words, log)

    assert children.wait(start("straight")) == 0
    lines = sum(": " in line for line in log.read_text().splitlines())
    rng, stopped, work = random.Random(0), 0, 0
    while stopped < INTERRUPTS:
        log.unlink()
        child, line = start(f"stopped{work}"), rng.randrange(lines)
        while child.is_alive() and (not log.exists() or log.read_text().count("\n") < line):
            time.sleep(0.02)
        child.join(rng.uniform(0, 1))
        if child.is_alive():
            os.kill(child.pid, signal.SIGINT)
        began = time.monotonic()
        status = children.wait(child)
        if status == 0:  # it had come to its end, or was about to say so
            assert log.read_text().endswith(".png\n")
            work += 1
            continue
        assert status == interrupt.STATUS
        assert time.monotonic() - began < interrupt.GRACE + SLACK
        said = log.read_text()
        assert said.endswith("imujax: stopped; the same command goes on from here\n")
        assert "Traceback" not in said
        stopped += 1
    assert children.wait(start(f"stopped{work}")) == 0
    for name in range(work + 1):
        for file in ("report/curves.csv", "tasks/force/runs.csv"):
            straight, resumed = (tmp_path / run / file for run in ("straight", f"stopped{name}"))
            assert resumed.read_bytes() == straight.read_bytes()
