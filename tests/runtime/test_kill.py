"""Pre-training that is killed, told to stop, moved and damaged ends as if nothing had happened.

The processes are real and run the command `imujax pretrain` (tests/helpers/children.py).  SIGKILLs
fall on two runs side by side, four on each, or ten by IMUJAX_KILLS=10, and each is followed by a
new start: some at a random moment of the start (loading data, compiling, reading the checkpoint),
some a random moment after a new line of metrics, that is between steps, and some while a checkpoint
is being written: a random moment after its folder has appeared under its temporary name.  The
moments are seeded, what the machine makes of them is not: the second kind may hit a save and the
third the moment after it.
"""

import os
import random
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from helpers import children, people

from imujax.runtime import checkpoint

KILLS = ("start", "save", "step", "save", "step", "start", "save", "step", "save", "start")
KILLS = KILLS[: int(os.environ.get("IMUJAX_KILLS", "4"))]
STEPS = 80


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill")
    people.write_people(folder / "raw" / "others", subjects=3, seconds=20)
    (folder / "config.py").write_text(people.CONFIG)
    return folder


def words(place, work, *more):
    """The command: a small net, a line of metrics a step, a save every 3."""
    changes = {
        "steps": STEPS,
        "log_every": 1,
        "save_every": 3,
        "batch": 32,
        "rotation": 20.0,
        "learning_rate": 1e-4,
        "net.norm": "none",
        "net.stages": "(1,)",
    }
    return [
        "pretrain",
        "--config",
        place / "config.py",
        "--raw",
        place / "raw",
        "--data",
        place / "data",
        "--workdir",
        work,
        *more,
        "--config.encoders.small.seeds=1",
        *(f"--config.encoders.small.{key}={value}" for key, value in changes.items()),
    ]


def lines(work) -> list[dict]:
    """The metrics of a run so far, without its speed."""
    file = work / "encoders" / "small" / "seed0" / "metrics.jsonl"
    return people.without_times(people.read_lines(file))


def count(work) -> int:
    file = work / "encoders" / "small" / "seed0" / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def steps_saved(work) -> list[int]:
    names = (path.name for path in (work / "encoders" / "small" / "seed0").iterdir())
    return sorted(int(name) for name in names if name.isdigit())


@pytest.fixture(scope="module")
def straight(place):
    """A run that nobody disturbs: its folder, and the seconds of a start with a filled cache."""
    command = words(place, place / "straight")
    children.start(command, place / "straight.log").join()
    log = place / "again.log"
    began = time.monotonic()
    child = children.start(words(place, place / "again"), log)
    children.wait_until(child, lambda: count(place / "again"))
    took = time.monotonic() - began
    child.kill()
    assert steps_saved(place / "straight")[-1] == STEPS, (place / "straight.log").read_text()
    return place / "straight", took


def same(work, straight):
    """The same metrics and the same weights, to the last bit."""
    assert lines(work) == lines(straight)
    (card, state), (card_, state_) = (
        checkpoint.read_newest(folder / "encoders" / "small" / "seed0")
        for folder in (work, straight)
    )
    assert card["step"] == card_["step"] == STEPS
    jax.tree.map(np.testing.assert_array_equal, state, state_)


def killed(place, work, seed, start_takes) -> list[str]:
    """Kill a run at each of KILLS and start it again, then let it end -> what each kill has hit."""
    rng, hit = random.Random(seed), []
    encoder = work / "encoders" / "small" / "seed0"

    def partial():
        return list(encoder.glob("*.orbax-checkpoint-tmp*"))

    for kind in KILLS:
        before, leftovers = count(work), partial()
        child = children.start(words(place, work), f"{work}.log", pause=0.02)
        if kind == "start":
            time.sleep(rng.uniform(0, start_takes))
        elif kind == "step":
            # The lines beyond the checkpoint are dropped before new ones are written.
            children.wait_until(child, lambda: not partial() and count(work) != before)  # noqa: B023
            time.sleep(rng.uniform(0, 0.05))
        else:
            children.wait_until(child, lambda: set(partial()) - set(leftovers))  # noqa: B023
            time.sleep(rng.uniform(0, 0.03))
        child.kill()
        assert children.wait(child) == -signal.SIGKILL
        hit.append("save" if partial() else kind)
    assert children.wait(children.start(words(place, work), f"{work}.log")) == 0
    assert not partial()
    return hit


@pytest.mark.slow
def test_kills_leave_no_trace(place, straight):
    with ThreadPoolExecutor() as both:
        runs = [place / "one", place / "two"]
        hits = both.map(lambda run: killed(place, run, run.name, straight[1]), runs)
    hit = [kind for run in hits for kind in run]
    assert len(hit) == 2 * len(KILLS) and hit.count("save") >= len(KILLS) // 2, hit
    for run in runs:
        same(run, straight[0])


@pytest.mark.slow
def test_told_to_stop_it_saves_ends_and_goes_on_with_other_devices_and_processes(place, straight):
    """One device, two, two processes, four devices: the losses are those of one device."""
    work, log = place / "moved", place / "moved.log"

    def stopped(devices, options=([],), target=0) -> int:
        """Run until some steps are done, tell one process to stop -> the step that is saved."""
        before = steps_saved(work)[-1] if work.exists() else 0
        group = [children.start(words(place, work, *more), log, devices, 0.05) for more in options]
        children.wait_until(group[target], lambda: count(work) > before + 2)
        os.kill(group[target].pid, signal.SIGTERM)
        assert [children.wait(child) for child in group] == [143] * len(group), log.read_text()
        saved = steps_saved(work)[-1]
        assert before + 2 < saved < STEPS
        assert f"told to stop; step {saved} of {STEPS} is saved" in log.read_text()
        assert lines(work)[-1]["step"] == saved
        return saved

    stopped(1)
    stopped(2)
    pair = ["--coordinator", f"localhost:{children.free_port()}", "--processes", "2"]
    stopped(1, [[*pair, "--process", i] for i in "01"], target=1)
    assert children.wait(children.start(words(place, work), log, 4)) == 0, log.read_text()
    moved, undisturbed = lines(work), lines(straight[0])
    assert [line["step"] for line in moved] == [line["step"] for line in undisturbed]
    for name in ("loss", "monitor_loss"):
        values = [[line[name] for line in run] for run in (moved, undisturbed)]
        np.testing.assert_allclose(*values, rtol=1e-5)
    assert log.read_text().count("told to stop") == 3  # of two processes one speaks
    with_progress = [line for line in log.read_text().splitlines() if "step/s" in line]
    assert len(with_progress) >= 4


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_it_used(place, straight):
    work, log = place / "damaged", place / "damaged.log"
    shutil.copytree(straight[0], work)
    encoder = work / "encoders" / "small" / "seed0"
    for file in (encoder / str(STEPS)).rglob("d/*"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert children.wait(children.start(words(place, work), log)) == 0, log.read_text()
    messages = [line for line in log.read_text().splitlines() if line.startswith("imujax: ")]
    assert len(messages) == 1 and f"{encoder / str(STEPS)} cannot be read" in messages[0]
    assert f"{STEPS}.damaged" in messages[0] and (encoder / f"{STEPS}.damaged").is_dir()
    same(work, straight[0])
