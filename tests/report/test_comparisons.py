"""Differences, reductions and verdicts against SciPy and the published figure."""

import numpy as np
import pytest
import scipy.stats
from helpers import fake_sweep
from helpers.fake_sweep import FINE, PAIR

from imujax.report import comparisons, sentences, tables


def test_the_whole_way_from_predictions_to_the_published_reduction(knee):
    result = comparisons.data_reduction(knee[0], *PAIR)
    assert result["target_r"] == pytest.approx(0.870, abs=1e-6)
    assert round(100 * result["plotted"]) == 75
    # By hand: .867 at 10^-0.8, .877 at 10^-0.6, so .870 is reached at 10^(-0.8 + 0.2 * 0.3).
    assert 1 - result["crossing"] == pytest.approx(10**-0.74, abs=1e-4)
    assert not result["at_least"] and result["low"] <= result["crossing"] <= result["high"]
    assert "82 % fewer windows" in result["sentence"]


def test_differences_against_scipy(knee):
    sweep, true = knee
    rows = comparisons.difference_rows(sweep, *PAIR)
    assert [(r["stage"], r["fraction"]) for r in rows] == [
        (stage, f) for stage in ("finetune", "probe") for f in fake_sweep.FRACTIONS
    ]
    for row in rows:
        i = fake_sweep.FRACTIONS.index(row["fraction"])
        a, b = (true[arm, row["stage"], "windows"][i] for arm in PAIR)
        t = scipy.stats.ttest_rel(a, b)
        assert row["difference"] == pytest.approx((a - b).mean(), abs=1e-6)
        assert row["t"] == pytest.approx(t.statistic, rel=1e-4)
        assert row["p_t"] == pytest.approx(t.pvalue, rel=1e-3)
        assert row["p_wilcoxon"] == pytest.approx(scipy.stats.wilcoxon(a, b).pvalue, rel=1e-6)
        assert row["p_t_holm"] >= row["p_t"]
    # Pairing counts: the spread between subjects is four times that of their differences.
    assert all(row["high"] - row["low"] < 0.02 for row in rows)


def test_never_reached_says_so(tmp_path):
    fake_sweep.write_sweep(tmp_path / "t", FINE, n_subjects=8)
    result = comparisons.data_reduction(tables.load_sweep(tmp_path / "t"), "random", "pretrained")
    assert result["plotted"] is None and result["crossing"] is None and result["low"] is None
    assert result["not_reached"] == 1.0
    assert "Random does not reach" in result["sentence"]


def test_reached_at_the_smallest_fraction_is_at_least(tmp_path):
    pretrained, random = fake_sweep.PUBLISHED["loading_rate"]
    curves = {
        ("random", "finetune", "windows"): random,
        ("pretrained", "finetune", "windows"): pretrained,
    }
    fake_sweep.write_sweep(tmp_path / "t", curves)
    result = comparisons.data_reduction(tables.load_sweep(tmp_path / "t"), *PAIR)
    assert result["at_least"] and result["crossing"] == pytest.approx(0.9)
    assert result["at_smallest"] > 0.9 and "at least 90 % fewer windows" in result["sentence"]


def test_resamples_without_a_crossing_count_as_worse_than_any(tmp_path):
    # The two arms end alike, so about half of the resamples never reach the target.
    same = np.array([0.3, 0.4, 0.5, 0.55, 0.6, 0.65])
    curves = {
        ("random", "finetune", "windows"): same,
        ("pretrained", "finetune", "windows"): same + 0.0005,
    }
    fake_sweep.write_sweep(tmp_path / "t", curves, spread=0.05)
    result = comparisons.data_reduction(tables.load_sweep(tmp_path / "t"), *PAIR)
    assert 0.3 < result["not_reached"] < 0.7
    assert result["low"] is None and result["high"] is not None
    assert "interval none to" in result["sentence"] and "told from none" in result["sentence"]


@pytest.mark.parametrize(
    ("gain", "n", "word"),
    [
        (0.05, 15, "helps"),
        (-0.05, 15, "harms"),
        (0.001, 15, "cannot be told from chance"),
        (0.05, 2, "cannot be told from chance"),
    ],
)
def test_the_verdict_follows_the_numbers(tmp_path, gain, n, word):
    curves = {
        ("random", "finetune", "windows"): [0.7] * 6,
        ("pretrained", "finetune", "windows"): [0.7 + gain] * 6,
    }
    fake_sweep.write_sweep(tmp_path / "t", curves, n_subjects=n, folds=2)
    sweep = tables.load_sweep(tmp_path / "t")
    main = comparisons.overall_difference(sweep, *PAIR)
    assert main["difference"] == pytest.approx(gain, abs=1e-6)
    result = sentences.verdict(main, comparisons.difference_rows(sweep, *PAIR), *PAIR)
    assert result["word"] == word
    assert sentences.format_signed(gain) in result["sentence"] and str(n) in result["sentence"]
    assert ("none is significant" in result["sentence"]) == (word[:6] == "cannot")


def test_an_interval_alone_is_no_verdict():
    main = {"difference": 0.02, "low": 0.001, "high": 0.04, "n_subjects": 5, "p_t": 0.11}
    assert sentences.verdict(main, [], *PAIR)["word"] == "cannot be told from chance"
    assert sentences.verdict(main | {"p_t": 0.01}, [], *PAIR)["word"] == "helps"
