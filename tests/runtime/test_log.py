"""JSON lines survive a kill in mid-line; resuming drops what will be written again."""

import json

import pytest

from imujax.runtime import log


def test_lines_cut_short_are_left_out_and_trimmed(tmp_path):
    lines = log.MetricsLog(tmp_path / "metrics.jsonl")
    for step in (10, 20, 30):
        lines.append_line(step=step, loss=1 / step)
    with lines.path.open("a") as file:
        file.write('5\n{"step": 40, "lo')
    assert [line["step"] for line in lines.read_lines()] == [10, 20, 30]
    lines.drop_lines_after(20)
    assert [json.loads(line)["step"] for line in lines.path.read_text().splitlines()] == [10, 20]


def test_provenance_names_the_packages_that_decide():
    versions = log.provenance()["versions"]
    assert {"imujax", "jax", "flax", "numpy"} <= versions.keys()


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is turned on."""
    now = [100.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    return now


def test_progress_without_a_terminal_says_plain_lines(capsys, clock):
    """The first item is mostly compilation, what was kept takes no time: neither counts."""
    progress = log.Progress(30, "sweep", "run", interval=0.5, first="compiling")
    progress.update(10, "arm random", kept=True)
    clock[0] += 100
    progress.update(4, "arm random")
    clock[0] += 8
    progress.update(4, "arm random")
    clock[0] += 0.1
    progress.update(10, "arm random", kept=True)
    clock[0] += 1.9
    progress.close()
    assert capsys.readouterr().err.splitlines() == [
        "sweep: 0/30 run, compiling",
        "sweep: 14/30 run, arm random",
        "sweep: 18/30 run, 0.5 run/s, 24 s left, arm random",
        "sweep: 28/30 run, 0.4 run/s, 5 s left",
    ]


def test_a_mute_progress_says_nothing(capsys):
    progress = log.Progress(3, "sweep", "run", interval=0.0, mute=True, first="compiling")
    progress.update()
    progress.close()
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_is_a_bar_with_the_same_words(capsys, clock, monkeypatch):
    monkeypatch.setattr(log.sys.stderr, "isatty", lambda: True, raising=False)
    progress = log.Progress(4, "sweep", "run", first="compiling")
    for _ in range(2):
        clock[0] += 8
        progress.update(1, "arm random")
    progress.bar.refresh()
    said = capsys.readouterr().err
    assert "sweep:   0%|" in said and "compiling" in said
    assert "2/4 run, 0.125 run/s, 16 s left, arm random" in said
