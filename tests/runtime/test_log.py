"""JSON lines survive a kill in mid-line; resuming drops what will be written again."""

import json

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


def test_progress_without_a_terminal_says_plain_lines(capsys):
    progress = log.Progress(10, "sweep", "run", interval=0.0)
    progress.update(4, "arm random")
    progress.close()
    printed = capsys.readouterr().err.splitlines()
    assert printed[0].startswith("sweep: 4/10 run") and "arm random" in printed[0]
    assert len(printed) == 2
