"""What across, mean_of_arms, alike and coverage of launch/ print, on made-up sweeps."""

import importlib.util
import pathlib
import re
import sys

import numpy as np
import pytest
from helpers import fake_sweep
from scipy import stats

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


def test_two_tasks_are_told_apart_person_by_person(tmp_path, monkeypatch, capsys):
    """The second task is better by .05 in everybody but for noise; SciPy's paired t test agrees."""
    across = script("across")
    for task, gain in (("first", 0.0), ("second", 0.05)):
        curves = {("random", "finetune", "windows"): [r + gain for r in RISING]}
        fake_sweep.write_sweep(tmp_path / "tasks" / task, curves, n_subjects=12, n=12)
    words = ["across.py", "--workdir", str(tmp_path), "--tasks", "second,first"]
    monkeypatch.setattr(sys, "argv", words)
    across.main()
    *_, last = capsys.readouterr().out.splitlines()
    found = re.match(
        r"100 % of windows  random +finetune +([\d.]+) ([\d.]+)  (\S+) \((\S+) to (\S+)\)", last
    )
    second, first, difference, low, high = map(float, found.groups())
    assert (second, first, difference) == pytest.approx((0.8, 0.75, 0.05), abs=1e-3)
    key = ("random", "finetune", "windows", 1.0)
    of_each = [
        across.score_subjects(tables.load_sweep(tmp_path / "tasks" / task), None)[key]
        for task in ("second", "first")
    ]
    test = stats.ttest_rel(*([scores[name] for name in sorted(scores)] for scores in of_each))
    assert (low, high) == pytest.approx(tuple(test.confidence_interval()), abs=1e-3)
    monkeypatch.setattr(sys, "argv", [*words, "--read", "0.1,0.2"])
    with pytest.raises(SystemExit):
        across.main()
    assert "has no curves to read" in capsys.readouterr().err


def test_peaks_are_read_from_curves_between_two_times():
    """A curve's greatest value from .2 to .4 s, which each of two people's estimates order."""
    across = script("across")
    truth = np.zeros((8, 60))
    truth[:, 30] = np.arange(8) % 4 + 1
    truth[:, 50] = 9  # later than .4 s
    estimate = truth.copy()
    estimate[4:, 30] = 5 - truth[4:, 30]
    predictions = {
        "run": np.zeros(8, int),
        "subject": np.repeat(["a", "b"], 4),
        "truth": truth,
        "estimate": estimate,
    }
    runs = {"run": [0], "arm": ["x"], "stage": ["probe"], "axis": ["windows"], "fraction": [1.0]}
    runs = {name: np.array(values) for name, values in runs.items()}
    sweep = tables.Sweep(None, runs, predictions, {}, [], {"name": "f", "seconds": 0.01}, 1)
    (scores,) = across.score_subjects(sweep, (0.2, 0.4)).values()
    assert scores == pytest.approx({"a": 1.0, "b": -1.0})


def test_the_mean_of_arms_is_the_mean_of_their_estimates(tmp_path, monkeypatch, capsys):
    """NumPy's corrcoef of the means, subject by subject; noise of three arms averages out."""
    curves = {(f"random{k}", "finetune", "windows"): RISING for k in range(3)}
    fake_sweep.write_sweep(tmp_path, curves, n_subjects=12, n=30)
    launcher = script("mean_of_arms")
    sweep = tables.load_sweep(tmp_path)
    arms = [arm for arm, _, _ in curves]
    found = launcher.average_arms(sweep, arms)["finetune", "windows", 0.1]
    runs, p = sweep.runs, sweep.predictions
    expected = []
    for name in np.unique(p["subject"]):
        of_draws = []
        for draw in (0, 1):
            each = [
                p["estimate"][np.isin(p["run"], runs["run"][is_run]) & (p["subject"] == name)]
                for arm in arms
                for is_run in [
                    (runs["arm"] == arm) & (runs["fraction"] == 0.1) & (runs["draw"] == draw)
                ]
            ]
            truth = p["truth"][p["subject"] == name][: len(each[0])]  # the same in every run
            of_draws.append(np.corrcoef(np.mean(each, 0).ravel(), truth.ravel())[0, 1])
        expected.append(np.mean(of_draws))
    np.testing.assert_allclose(found["mean"], expected, atol=1e-6)
    assert found["alone"].mean() == pytest.approx(RISING[0], abs=1e-3)
    assert found["mean"].mean() > found["alone"].mean() + 0.1
    words = ["mean_of_arms.py", str(tmp_path), "--arms", ",".join(arms)]
    monkeypatch.setattr(sys, "argv", words)
    launcher.main()
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(" 10 % of windows  finetune   0.500 ")
    monkeypatch.setattr(sys, "argv", [*words[:-1], "random0,nobody"])
    with pytest.raises(SystemExit):
        launcher.main()
    assert "'nobody'" in capsys.readouterr().err


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
