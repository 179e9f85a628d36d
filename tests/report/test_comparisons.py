"""Differences, reductions and verdicts against the true r and the published figure."""

import numpy as np
import pytest
from helpers import fake_sweep
from helpers.fake_sweep import FINE, PAIR

from imujax.report import comparisons, sentences, tables
from imujax.report.mixed_model import Layout, estimate_mean


def reduction_of(sweep, arm_a="pretrained", arm_b="random", n_arms=1):
    main = comparisons.overall_difference(sweep, arm_a, arm_b, n_arms=n_arms)
    return comparisons.data_reduction(sweep, arm_a, arm_b, main)


def test_the_whole_way_from_predictions_to_the_published_reduction(knee):
    result = reduction_of(knee[0])
    assert result["target_r"] == pytest.approx(0.870, abs=1e-6)
    assert round(100 * result["plotted"]) == 75
    # By hand: .867 at 10^-0.8, .877 at 10^-0.6, so .870 is reached at 10^(-0.8 + 0.2 * 0.3).
    assert 1 - result["crossing"] == pytest.approx(10**-0.74, abs=1e-4)
    assert not result["at_least"] and result["low"] <= result["crossing"] <= result["high"]
    assert result["is_told"] and "82 % fewer windows" in result["sentence"]
    # The baseline's own curve rises to its end.
    assert result["own"] == 0 and "random itself comes to it with 0 % fewer" in result["sentence"]


def test_differences_are_those_of_the_true_r(knee):
    """Tests of the mean and its interval stand in test_mixed_model.py."""
    sweep, true = knee
    rows = comparisons.difference_rows(sweep, *PAIR)
    assert [(r["stage"], r["fraction"]) for r in rows] == [
        (stage, f) for stage in ("finetune", "probe") for f in fake_sweep.FRACTIONS
    ]
    fold = np.arange(17) % 5
    cells = np.stack([fold, 5 + fold])
    p_values = [row["p_t"] for row in rows]
    for row in rows:
        i = fake_sweep.FRACTIONS.index(row["fraction"])
        a, b = (true[arm, row["stage"], "windows"][i] for arm in PAIR)
        oracle = estimate_mean((a - b)[None], Layout(fold, (cells, cells)))
        assert row["difference"] == pytest.approx((a - b).mean(), abs=1e-6)
        for name, values in (("t", oracle.t), ("low", oracle.low), ("p_t", oracle.p)):
            assert row[name] == pytest.approx(values[0], rel=1e-2)
        assert row["p_t_holm"] >= row["p_t"]
    assert min(row["p_t_holm"] for row in rows) == pytest.approx(len(rows) * min(p_values))
    # Pairing counts: the spread between subjects is four times that of their differences.
    assert all(row["high"] - row["low"] < 0.02 for row in rows)


def test_never_reached_says_so(tmp_path):
    fake_sweep.write_sweep(tmp_path / "t", FINE, n_subjects=8)
    result = reduction_of(tables.load_sweep(tmp_path / "t"), "random", "pretrained")
    assert result["plotted"] is None and result["crossing"] is None and result["low"] is None
    assert result["not_reached"] == 1.0
    assert not result["is_told"] and "random does not reach" in result["sentence"]


def test_reached_at_the_smallest_fraction_is_at_least(tmp_path):
    pretrained, random = fake_sweep.PUBLISHED["loading_rate"]
    curves = {
        ("random", "finetune", "windows"): random,
        ("pretrained", "finetune", "windows"): pretrained,
    }
    fake_sweep.write_sweep(tmp_path / "t", curves)
    result = reduction_of(tables.load_sweep(tmp_path / "t"))
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
    result = reduction_of(tables.load_sweep(tmp_path / "t"))
    assert 0.3 < result["not_reached"] < 0.7
    assert result["low"] is None and result["high"] is not None
    assert "interval none to" in result["sentence"] and not result["is_told"]
    assert result["sentence"].startswith("No reduction of data is sure")


def test_a_flat_baseline_needs_less_of_its_own_data_too(tmp_path):
    """Both arms are flat: "90 % fewer" is as true of the baseline as of the arm that is better."""
    curves = {
        ("random", "finetune", "windows"): [0.6501, 0.65, 0.65, 0.65, 0.65, 0.65],
        ("pretrained", "finetune", "windows"): [0.66] * 6,
    }
    fake_sweep.write_sweep(tmp_path / "t", curves, spread=0.01)
    sweep = tables.load_sweep(tmp_path / "t")
    assert comparisons.overall_difference(sweep, *PAIR)["p_t"] < 0.01
    result = reduction_of(sweep)
    assert result["at_least"] and result["low"] > 0 and not result["is_told"]
    assert (
        "no reduction of data is sure, as random may need as little" in result["sentence"].lower()
    )
    assert result["own"] == pytest.approx(0.9) and result["p_own"] > 0.1
    assert "random itself comes to it with 90 % fewer windows of its own" in result["sentence"]


def test_a_gain_that_is_sure_at_five_percent_alone_is_no_reduction(knee):
    main = comparisons.overall_difference(knee[0], *PAIR) | {"p_t_holm": 0.03}
    result = comparisons.data_reduction(knee[0], *PAIR, main)
    assert not result["is_told"] and result["doubts"] == ["gain"]
    assert "as the gain is not sure enough at a level of 0.01" in result["sentence"]


def test_more_arms_ask_for_more_of_a_reduction(knee):
    one, ten = reduction_of(knee[0]), reduction_of(knee[0], n_arms=10)
    assert (one["level"], ten["level"]) == (0.99, 0.999)
    assert one["is_told"] and not one["doubts"]
    assert ten["low"] <= one["low"] <= one["high"] <= ten["high"] and ten["low"] < one["high"]


def test_starts_widen_the_interval_and_few_of_them_are_said(tmp_path):
    """The same subjects, once with starts that move r by .03."""
    mains = {}
    for starts, spread in ((None, 0), (0, 0.03), (1, 0.03), (2, 0.03), (3, 0.03)):
        seeds = {"pretrained": starts} if starts else {}
        sweep_folder = tmp_path / str(starts)
        fake_sweep.write_sweep(sweep_folder, FINE, starts=seeds, start_spread=spread)
        mains[starts] = comparisons.overall_difference(tables.load_sweep(sweep_folder), *PAIR)
    width = {starts: main["high"] - main["low"] for starts, main in mains.items()}
    assert width[0] > 2 * width[None]
    few = {starts: main["few_starts"] for starts, main in mains.items()}
    assert few == {None: {}, 0: {}, 1: {"pretrained": 1}, 2: {"pretrained": 2}, 3: {}}
    main = mains[1] | {"n_arms": 2, "p_t_holm": 0.04}
    sentence = sentences.verdict(main, [], *PAIR)["sentence"]
    assert (
        "one pre-training: the interval is about that one alone; give its encoder three" in sentence
    )
    assert "p = 0.040 after Holm's correction over 2 arms" in sentence
    assert f"a gain of {main['smallest']:.3f} would have been seen" in sentence
    sentence = sentences.verdict(mains[2], [], *PAIR)["sentence"]
    assert "The runs of pretrained start from two pre-trainings" in sentence
    assert "seeds" not in sentences.verdict(mains[3], [], *PAIR)["sentence"]


def test_two_folds_with_weights_of_their_own_are_no_two_pre_trainings(tmp_path):
    fake_sweep.write_sweep(tmp_path, FINE, folds=2, draws=1)
    assert not comparisons.overall_difference(tables.load_sweep(tmp_path), *PAIR)["few_starts"]


@pytest.mark.parametrize(
    ("early", "says"),
    [
        (0.06, "what is saved there are steps."),
        (0.002, "which cannot be told from that at the chosen steps."),
        (-0.06, "less by 0.060 than at the chosen steps."),
    ],
)
def test_steps_are_not_taken_for_labels(tmp_path, early, says):
    random = np.array([0.5, 0.6, 0.65, 0.7, 0.72, 0.75])
    curves = {
        ("random", "finetune", "windows"): random,
        ("pretrained", "finetune", "windows"): random,
        ("random", "fifth", "windows"): random - 0.1,
        ("pretrained", "fifth", "windows"): random - 0.1 + early,
    }
    fake_sweep.write_sweep(tmp_path / "t", curves, spread=0.01)
    sweep = tables.load_sweep(tmp_path / "t")
    word = sentences.verdict(comparisons.overall_difference(sweep, *PAIR), [], *PAIR)["word"]
    assert word == "cannot be told from chance"
    fifth = comparisons.gain_at_a_fifth(sweep, *PAIR, word)
    assert fifth["difference"] == pytest.approx(early, abs=1e-6)
    assert fifth["change"] == pytest.approx(early, abs=1e-6)
    assert fifth["sentence"].startswith("At a fifth of the steps the gain is")
    assert fifth["sentence"].endswith(says)


def test_without_a_fifth_nothing_is_said_of_it(knee):
    assert comparisons.gain_at_a_fifth(knee[0], *PAIR, "helps") is None


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
    assert ("(no interval)" in result["sentence"]) == (n < 3)
    assert "nan" not in result["sentence"]


def test_an_interval_alone_is_no_verdict():
    main = {"difference": 0.02, "low": 0.001, "high": 0.04, "n_subjects": 5, "p_t_holm": 0.11}
    main |= {"stage": "probe", "n_arms": 3, "n_draws": 1, "smallest": 0.03, "few_starts": {}}
    main["measure"] = "r"
    result = sentences.verdict(main, [], *PAIR)
    assert result["word"] == "cannot be told from chance"
    assert "mean difference in r of the frozen probes" in result["sentence"]
    assert "With one draw, starts are told from subjects between folds alone" in result["sentence"]
    assert sentences.verdict(main | {"p_t_holm": 0.01}, [], *PAIR)["word"] == "helps"
