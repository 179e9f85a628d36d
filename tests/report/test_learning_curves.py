"""Curves, tests and reductions against SciPy, loops, closed forms and the published figure."""

import csv
import json
import math

import numpy as np
import pytest
import scipy.stats
from helpers import fake_sweep

from imujax.errors import UserError
from imujax.report import learning_curves, sentences, statistics, tables
from imujax.runtime import files

TASK = "knee_moment"
FINE = {
    ("random", "finetune", "windows"): fake_sweep.PUBLISHED[TASK][1],
    ("pretrained", "finetune", "windows"): fake_sweep.PUBLISHED[TASK][0],
}
PAIR = ("pretrained", "random")


@pytest.fixture(scope="module")
def knee(tmp_path_factory):
    """A sweep whose mean curves are the published ones of the knee moment, and its true r."""
    folder = tmp_path_factory.mktemp("sweep") / "knee"
    curves = FINE | {
        ("random", "probe", "windows"): [0.5, 0.55, 0.6, 0.62, 0.64, 0.65],
        ("pretrained", "probe", "windows"): [0.7, 0.72, 0.74, 0.76, 0.78, 0.8],
        ("ridge", "reference", "windows"): [0.6] * 6,
    }
    true = fake_sweep.write_sweep(folder, curves, n_subjects=17)
    return tables.load_sweep(folder), true


@pytest.fixture
def small(tmp_path):
    fake_sweep.write_sweep(tmp_path / "t", FINE, n_subjects=5, draws=1, n=6)
    return tmp_path / "t"


def edit(folder, change):
    """Rewrites runs.csv after change(rows)."""
    with (folder / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    with (folder / "runs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def resave(folder, **change):
    with np.load(folder / "predictions.npz") as file:
        arrays = dict(file)
    np.savez(folder / "predictions.npz", **(arrays | change))


# The published figure


@pytest.mark.parametrize(
    ("task", "percent"),
    # The abstract prints 90, 60 and 75 %. The curves read off its own figure give 84 % in the
    # second, because the pre-trained arm has .794 at 16 %, above the .793 of the random arm at
    # 100 %; as .795 at 25 % and .794 at 40 % no threshold puts the first crossing at 40 %.
    [("loading_rate", 90), ("peak_force", 84), ("knee_moment", 75)],
)
def test_the_rule_of_the_abstract_on_its_curves(task, percent):
    pretrained, random = fake_sweep.PUBLISHED[task]
    at = statistics.smallest_fraction_reached(
        np.array(fake_sweep.FRACTIONS), np.array(pretrained), random[-1]
    )
    assert round(100 * (1 - at)) == percent


def test_the_whole_way_from_predictions_to_the_published_reduction(knee):
    result = learning_curves.data_reduction(knee[0], *PAIR)
    assert result["target_r"] == pytest.approx(0.870, abs=1e-6)
    assert round(100 * result["plotted"]) == 75
    # By hand: .867 at 10^-0.8, .877 at 10^-0.6, so .870 is reached at 10^(-0.8 + 0.2 * 0.3).
    assert 1 - result["crossing"] == pytest.approx(10**-0.74, abs=1e-4)
    assert not result["at_least"] and result["low"] <= result["crossing"] <= result["high"]
    assert "82 % fewer windows" in result["sentence"]


# Curves


def test_the_curve_is_the_mean_over_subjects_of_the_true_r(knee):
    sweep, true = knee
    rows = [row for row in learning_curves.curve_rows(sweep) if row["metric"] == "r"]
    assert len(rows) == 5 * 6
    for row in rows:
        values = true[row["arm"], row["stage"], row["axis"]]
        subject_r = values[fake_sweep.FRACTIONS.index(row["fraction"])]
        assert row["mean"] == pytest.approx(subject_r.mean(), abs=1e-6)
        assert row["low"] < row["mean"] < row["high"]
        assert row["n_subjects"] == 17 and row["n_draws"] == (1 if row["fraction"] == 1 else 2)


def test_the_interval_is_that_of_scipy():
    values = np.random.default_rng(0).gamma(2.0, size=(2, 12))
    limits = statistics.percentile_interval(statistics.resampled_means(values))
    for i in range(2):
        oracle = scipy.stats.bootstrap(
            (values[i],), np.mean, method="percentile", n_resamples=20_000, rng=1
        ).confidence_interval
        assert limits[:, i] == pytest.approx(list(oracle), abs=0.02)


def test_resamples_are_shared_by_all_curves_of_a_cohort():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 1, 9))
    apart = statistics.resampled_means(a) - statistics.resampled_means(b)
    np.testing.assert_allclose(apart, statistics.resampled_means(a - b), atol=1e-12)
    assert not np.allclose(statistics.resampled_means(a, 0), statistics.resampled_means(a, 1))


def test_draws_are_averaged_within_a_subject_first(small):
    # A second draw of one cell that lost everything: r of that cell is half of what it was.
    sweep = tables.load_sweep(small)
    before = learning_curves.subject_curve(sweep, "random", "finetune", "windows", "r")
    runs = sweep.runs
    rows = np.flatnonzero((runs["arm"] == "random") & (runs["fraction"] == 0.1))
    extra = np.flatnonzero(np.isin(sweep.predictions["run"], rows))
    arrays = {name: np.concatenate([v, v[extra]]) for name, v in sweep.predictions.items()}
    arrays["run"][-len(extra) :] += 1000
    arrays["estimate"][-len(extra) :] = 3.0
    resave(small, **arrays)
    edit(small, lambda r: r.extend([r[i] | {"run": i + 1000, "draw": 7} for i in rows]))
    after = learning_curves.subject_curve(
        tables.load_sweep(small), "random", "finetune", "windows", "r"
    )
    np.testing.assert_allclose(after.values[0], before.values[0] / 2)
    np.testing.assert_allclose(after.values[1:], before.values[1:])
    assert after.n_draws.tolist() == [2, 1, 1, 1, 1, 1]
    assert after.n_faulty.tolist() == [5, 0, 0, 0, 0, 0]


def test_a_subject_nobody_can_score_is_left_out_of_every_arm(small):
    sweep = tables.load_sweep(small)
    arrays = dict(sweep.predictions)
    arrays["truth"] = np.where(arrays["subject"] == "S02", 1.0, arrays["truth"])
    resave(small, **arrays)
    curve = learning_curves.subject_curve(
        tables.load_sweep(small), "random", "finetune", "windows", "rmse"
    )
    assert curve.left_out == ("S02",) and "S02" not in curve.subjects
    assert curve.values.shape == (6, 4)


def test_all_subjects_are_all_windows(tmp_path):
    curves = FINE | {(arm, "finetune", "subjects"): [0.5] * 6 for arm in PAIR}
    fake_sweep.write_sweep(tmp_path / "t", curves, n_subjects=5, n=6)
    sweep = tables.load_sweep(tmp_path / "t")
    values = learning_curves.subject_curve(sweep, "random", "finetune", "subjects", "r").values
    assert values.mean(axis=1) == pytest.approx([0.5] * 6, abs=1e-6)
    full = (sweep.runs["axis"] == "subjects") & (sweep.runs["fraction"] == 1)
    dropped = {str(run) for run in sweep.runs["run"][full]}
    keep = ~np.isin(sweep.predictions["run"], sweep.runs["run"][full])
    resave(tmp_path / "t", **{n: v[keep] for n, v in sweep.predictions.items()})
    edit(
        tmp_path / "t",
        lambda rows: rows.__setitem__(slice(None), [r for r in rows if r["run"] not in dropped]),
    )
    borrowed = learning_curves.subject_curve(
        tables.load_sweep(tmp_path / "t"), "random", "finetune", "subjects", "r"
    )
    assert borrowed.values.mean(axis=1) == pytest.approx([0.5] * 5 + [0.870], abs=1e-6)


# Differences


def test_differences_against_scipy(knee):
    sweep, true = knee
    rows = learning_curves.difference_rows(sweep, *PAIR)
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


def test_holm_against_its_definition():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(7) ** 3
        alpha = rng.random()
        rejected, remaining = set(), sorted(range(7), key=lambda i: p[i])
        while remaining and p[remaining[0]] <= alpha / len(remaining):
            rejected.add(remaining.pop(0))
        assert set(np.flatnonzero(statistics.holm_correction(p) <= alpha).tolist()) == rejected
    # Holm's steps by hand, with one test that could not be made.
    corrected = statistics.holm_correction([0.01, math.nan, 0.04, 0.03])
    np.testing.assert_allclose(corrected, [0.03, math.nan, 0.06, 0.06])


@pytest.mark.parametrize(
    ("gain", "p"), [([0.0] * 6, 1.0), ([0.1, 0.2], math.nan), ([0.1, math.nan, 0.2], math.nan)]
)
def test_tests_that_have_nothing_to_test(gain, p):
    result = statistics.paired_tests(np.array(gain))
    assert result["p_t"] == pytest.approx(p, nan_ok=True)
    assert result["p_wilcoxon"] == pytest.approx(p, nan_ok=True)


# Reduction


def test_crossings_against_a_scan_of_the_interpolated_curve():
    rng = np.random.default_rng(0)
    fractions = np.array([0.05, 0.1, 0.3, 1.0])
    curve, target = rng.normal(size=(200, 4)), rng.normal(size=200)
    crossings = statistics.crossing_fraction(fractions, curve, target)
    x = np.linspace(np.log10(0.05), 0, 20_001)
    for at, y, goal in zip(crossings, curve, target, strict=True):
        above = np.flatnonzero(np.interp(x, np.log10(fractions), y) >= goal)
        if len(above):
            assert np.log10(at) == pytest.approx(x[above[0]], abs=2e-4)
        else:
            assert np.isnan(at)
    assert np.isnan(crossings).any() and (crossings == 0.05).any()


def test_never_reached_says_so(tmp_path):
    fake_sweep.write_sweep(tmp_path / "t", FINE, n_subjects=8)
    result = learning_curves.data_reduction(
        tables.load_sweep(tmp_path / "t"), "random", "pretrained"
    )
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
    result = learning_curves.data_reduction(tables.load_sweep(tmp_path / "t"), *PAIR)
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
    result = learning_curves.data_reduction(tables.load_sweep(tmp_path / "t"), *PAIR)
    assert 0.3 < result["not_reached"] < 0.7
    assert result["low"] is None and result["high"] is not None
    assert "interval none to" in result["sentence"] and "told from none" in result["sentence"]


# Verdict


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
    main = learning_curves.overall_difference(sweep, *PAIR)
    assert main["difference"] == pytest.approx(gain, abs=1e-6)
    result = sentences.verdict(main, learning_curves.difference_rows(sweep, *PAIR), *PAIR)
    assert result["word"] == word
    assert sentences.format_signed(gain) in result["sentence"] and str(n) in result["sentence"]
    assert ("none is significant" in result["sentence"]) == (word[:6] == "cannot")


def test_an_interval_alone_is_no_verdict():
    main = {"difference": 0.02, "low": 0.001, "high": 0.04, "n_subjects": 5, "p_t": 0.11}
    assert sentences.verdict(main, [], *PAIR)["word"] == "cannot be told from chance"
    assert sentences.verdict(main | {"p_t": 0.01}, [], *PAIR)["word"] == "helps"


# Conditions


def test_conditions_against_loops(knee):
    sweep, _ = knee
    rows = learning_curves.condition_rows(sweep, "pretrained", "finetune")
    assert [row["condition"] for row in rows] == ["level", "ramp", "stairs"]
    table, p = sweep.runs, sweep.predictions
    full = (table["arm"] == "pretrained") & (table["stage"] == "finetune")
    full = table["run"][full & (table["fraction"] == 1)]
    for row in rows:
        here = np.isin(p["run"], full) & (p["condition"] == row["condition"])
        r = [
            scipy.stats.pearsonr(p["truth"][i], p["estimate"][i]).statistic
            for i in (here & (p["subject"] == name) for name in np.unique(p["subject"]))
        ]
        assert row["r"] == pytest.approx(np.mean(r)) and row["n_subjects"] == 17
        assert row["n"] == here.sum() == 17 * 8


# Folders that are not whole


def test_nothing_that_is_read_is_run(small):
    resave(small, subject=np.array([{"a": 1}] * 3, dtype=object))
    with pytest.raises(UserError, match=r"predictions\.npz cannot be read"):
        tables.load_sweep(small)


@pytest.mark.parametrize("name", ["runs.csv", "predictions.npz", "summary.json"])
@pytest.mark.parametrize("keep", [None, 0, 0.5, 0.97])
def test_missing_and_truncated_files_are_named(small, name, keep):
    path = small / name
    whole = path.read_bytes()
    path.unlink()
    if keep is not None:
        path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(UserError, match=r"runs\.csv|predictions\.npz|summary\.json") as error:
        tables.load_sweep(small)
    assert "\n" not in str(error.value)


def test_a_damaged_byte_is_not_read_as_a_number(small):
    data = bytearray((small / "predictions.npz").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (small / "predictions.npz").write_bytes(bytes(data))
    with pytest.raises(UserError, match="damaged"):
        tables.load_sweep(small)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda rows: rows.pop(), "which runs.csv does not list"),
        (lambda rows: rows.append(rows[0] | {"run": 999}), "999"),
        (lambda rows: rows.append(rows[0]), "twice"),
        (lambda rows: rows[0].update(fraction="ten"), "column fraction"),
        (lambda rows: [row.pop("stage") for row in rows], "no column stage"),
    ],
)
def test_tables_that_do_not_fit_are_refused(small, change, word):
    edit(small, change)
    with pytest.raises(UserError, match=word):
        tables.load_sweep(small)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda rows: rows[0].update(draw=5), "is not tested at fraction 0.1"),
        (lambda rows: rows[5].update(fraction=0.1), "is tested twice at fraction 0.1"),
    ],
)
def test_an_unfinished_or_doubled_cell_is_refused(small, change, word):
    edit(small, change)
    sweep = tables.load_sweep(small)
    with pytest.raises(UserError, match=word):
        learning_curves.subject_curve(sweep, "random", "finetune", "windows", "r")
    with pytest.raises(UserError, match="no run of arm nobody"):
        learning_curves.subject_curve(sweep, "nobody", "finetune", "windows", "r")


def test_tables_are_written_whole(tmp_path):
    path = files.write_csv(tmp_path / "a.csv", [{"x": 0.1234567891, "y": None, "z": "ä,b"}])
    assert path.read_text(encoding="utf-8") == 'x,y,z\n0.123456789,,"ä,b"\n'
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    (tmp_path / "summary").mkdir()
    assert json.dumps(sentences.format_percent(0.158489)) == '"16 %"'
