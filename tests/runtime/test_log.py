"""JSON lines survive a kill in mid-line; resuming drops what will be written again."""

import json

from imujax.runtime import log


def test_lines_cut_short_are_left_out_and_trimmed(tmp_path):
    lines = log.MetricsLog(tmp_path / "metrics.jsonl")
    for step in (10, 20, 30):
        lines.write(step=step, loss=1 / step)
    with lines.path.open("a") as file:
        file.write('5\n{"step": 40, "lo')
    assert [line["step"] for line in lines.read()] == [10, 20, 30]
    lines.trim(20)
    assert [json.loads(line)["step"] for line in lines.path.read_text().splitlines()] == [10, 20]


def test_provenance_names_the_packages_that_decide():
    found = log.provenance()
    assert {"imujax", "jax", "flax", "numpy"} <= found["versions"].keys()


def test_progress_without_a_terminal_says_plain_lines(capsys):
    progress = log.Progress(10, "sweep", "run", every=0.0)
    progress.update(4, "arm random")
    progress.close()
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("sweep: 4/10 run") and "arm random" in said[0]
    assert len(said) == 2
