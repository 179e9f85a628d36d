"""What launch/alike.py and launch/coverage.py print, on made-up sweeps and few studies."""

import importlib.util
import pathlib
import re

import pytest
from helpers import fake_sweep

from imujax.errors import UserError
from imujax.report import tables

LAUNCH = pathlib.Path(__file__).parents[2] / "launch"
RANDOM = {"encoder": "e", "weights": "random"}
RISING = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75]


def script(name):
    spec = importlib.util.spec_from_file_location(name, LAUNCH / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_alike(folder, gains, **options):
    """Probes of so many arms of random weights, each with what it is better than the first by."""
    arms = {f"set{k:02d}": gain for k, gain in enumerate(gains)}
    curves = {(arm, "probe", "windows"): [r + g for r in RISING] for arm, g in arms.items()}
    config = {"arms": {arm: RANDOM | {"start": k} for k, arm in enumerate(arms)}}
    fake_sweep.write_sweep(folder, curves, n_subjects=15, n=12, config=config, **options)


def numbers(line):
    return [int(n) for n in re.findall(r"(?:windows,|verdicts|reductions|alone) (\d+)", line)]


def test_arms_that_differ_in_their_starts_alone_are_not_told_apart(tmp_path, capsys):
    """16 arms with starts of twice the spread of subjects: a test without the starts tells many."""
    write_alike(tmp_path / "t", [0.0] * 16, spread=0.01, start_spread=0.02)
    script("alike").print_counts(tmp_path / "t")
    _, all_pairs, disjoint = capsys.readouterr().out.splitlines()
    n, verdicts, reductions, by_subject = numbers(all_pairs)
    assert "probe, share of windows, 120 all pairs" in all_pairs and n == 120
    assert verdicts <= 12 and by_subject > 2 * max(verdicts, 6) and reductions <= 2
    n, verdicts, reductions, _ = numbers(disjoint)
    assert n == 8 and verdicts <= 2 and reductions == 0


def test_arms_that_do_differ_are_told_apart(tmp_path, capsys):
    write_alike(tmp_path / "t", [0.0, 0.1, 0.2], spread=0.01)
    script("alike").print_counts(tmp_path / "t")
    _, all_pairs, disjoint = capsys.readouterr().out.splitlines()
    assert numbers(all_pairs) == [3, 3, 3, 3] and numbers(disjoint) == [1, 1, 1, 1]


def test_arms_that_are_not_alike_are_refused(tmp_path):
    write_alike(tmp_path / "t", [0.0, 0.0])
    sweep = tables.load_sweep(tmp_path / "t")
    for spec, word in (
        ({"encoder": "e", "weights": "pretrained"}, "arm set01 is not of random weights"),
        ({"encoder": "f", "weights": "random"}, "two arms or more of one encoder"),
    ):
        sweep.summary["config"]["arms"]["set01"] = spec
        with pytest.raises(UserError, match=word):
            script("alike").arms_alike(sweep)


def test_coverage_has_a_row_for_each_design(capsys):
    coverage = script("coverage")
    coverage.SUBJECTS, coverage.DRAWS = (15,), (2,)
    coverage.print_table(1500, 0.95)
    title, head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split()[-5:] == ["0", "0.25", "0.5", "1", "alone"]
    assert title.endswith("* outside 93 to 97")
    assert len(rows) == 3 * 6 and last.endswith("of 72 outside")
    for row in rows:
        *shares, alone = (float(n) for n in re.findall(r"\d+\.\d", row))
        low = 90 if " two " in row else 92
        assert len(shares) == 4 and all(low < share < 98.5 for share in shares) and alone < 90
    coverage.SUBJECTS, coverage.SHAPES = (11,), {"normal": coverage.normal}
    coverage.print_table(1500, 0.99)
    title, _, *rows, _ = capsys.readouterr().out.splitlines()
    assert title.endswith("* outside 98.6 to 99.4") and len(rows) == 6
