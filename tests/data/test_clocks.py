"""Clocks: what is right is put on a grid, what is wrong is named for what it is."""

import numpy as np
import pytest
from scipy.interpolate import interp1d

from imujax.data import clocks
from imujax.errors import UserError


def test_regular_reads_a_line_through_jitter_and_a_short_gap():
    rng = np.random.default_rng(0)
    time = 5 + np.arange(400) / 100 + rng.uniform(-0.002, 0.002, 400)
    time = np.delete(time, [200, 201, 202])
    line = np.stack([3 * time, 1 - time], axis=1)
    out, rate, filled = clocks.regular_clock(time, line, 100, 0.05, "f")
    grid = time[0] + np.arange(len(out)) / 100
    np.testing.assert_allclose(out, np.stack([3 * grid, 1 - grid], axis=1), atol=1e-9)
    assert (rate, filled) == (100, 3)
    assert abs(len(out) - 400) <= 1


@pytest.mark.parametrize("true", [30.0, 100.0, 148.15])
def test_regular_finds_the_rate_of_stamps_in_milliseconds(true):
    time = np.round(np.arange(2000) / true, 3)
    _, rate, filled = clocks.regular_clock(time, time, None, 0.1, "f")
    assert rate == pytest.approx(true, rel=2e-3)
    assert filled == 0


@pytest.mark.parametrize(
    ("time", "rate", "says"),
    [
        ([0, 0.01, 0.03, 0.02, 0.04], 100, "goes back at 0.030 s"),
        ([0, 0.01, 0.02, 0.02, 0.03], 100, "repeats at 0.020 s"),
        (np.arange(50) / 100, 98.5, "say 100.00 Hz, the declared rate is 98.5 Hz"),
        (np.r_[0:0.1:0.01, 0.3:0.4:0.01], 100, "no sample for 0.210 s after 0.090 s"),
        ([0, np.nan, 0.02], 100, "row 1"),
        ([0.0], 100, "two samples"),
    ],
)
def test_a_broken_clock_is_named(time, rate, says):
    with pytest.raises(UserError, match=r"^walk\.csv") as error:
        clocks.regular_clock(np.array(time), np.ones((len(time), 3)), rate, 0.05, "walk.csv")
    assert says in str(error.value)


def test_fill_interpolates_short_runs_and_holds_the_ends():
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((60, 2))
    holed = whole.copy()
    holed[[10, 11, 30], 0] = np.nan
    holed[[0, 59, 30], 1] = np.nan
    out, count = clocks.fill_gaps(holed, 100, 0.03, "f")
    for column in range(2):
        good = ~np.isnan(holed[:, column])
        ends = (whole[1, column], whole[58, column])
        at = interp1d(
            np.flatnonzero(good), holed[good, column], bounds_error=False, fill_value=ends
        )
        np.testing.assert_allclose(out[:, column], at(np.arange(60)), atol=1e-12)
    assert count == 5
    assert np.isnan(holed).sum() == 6  # the input is left as it was


@pytest.mark.parametrize("run", [slice(20, 25), slice(0, 5), slice(None)])
def test_fill_refuses_a_long_run(run):
    holed = np.ones((60, 3))
    holed[run, 1] = np.nan
    with pytest.raises(UserError, match=r"a\.csv: \d+ values in a row are missing from \d\.\d\d s"):
        clocks.fill_gaps(holed, 100, 0.03, "a.csv")


# What devices write


def stamps(count=600, rate=50.0):
    return 3.0 + np.arange(count) / rate


def in_blocks(size, lag=0.004):
    """Blocks of samples that share the stamp of their last one."""
    time = stamps()
    last = np.minimum(np.arange(len(time)) // size * size + size - 1, len(time) - 1)
    return time[last] + lag


def in_bursts(size=10):
    """Packets, stamped on arrival a millisecond apart."""
    time, k = stamps(), np.arange(600)
    return time[k // size * size] + 0.2 + 0.001 * (k % size)


def fault_of(time, source="walk.csv"):
    with pytest.raises(clocks.ClockError, match=r"^walk\.csv") as error:
        clocks.check_stamps(np.asarray(time, float), source)
    return error.value.fault, str(error.value)


def test_right_clocks_have_no_fault():
    rng = np.random.default_rng(0)
    clocks.check_stamps(stamps(), "f")
    clocks.check_stamps(stamps() + rng.uniform(-0.008, 0.008, 600), "f")
    clocks.check_stamps(np.round(stamps(600, 148.15), 3), "f")
    clocks.check_stamps(np.delete(stamps(), slice(100, 160)), "f")  # one pause
    lost = np.sort(rng.choice(600, 330, replace=False))
    clocks.check_stamps(stamps()[lost], "f")


@pytest.mark.parametrize(
    ("time", "fault", "says"),
    [
        (
            in_blocks(3),
            "blocks",
            "400 of 600 samples have the stamp of the one before: blocks of about 3",
        ),
        (in_blocks(100), "blocks", "blocks of about 100 share one"),
        (
            np.repeat(stamps(), [2] + [1] * 599),
            "repeat",
            " 1 of 601 samples have the stamp of the one before, with other values",
        ),
        (in_bursts(), "bursts", "half of them lie 0.001 s or less after the one before, but 0.0"),
        (np.r_[stamps(), stamps()], "restart", "begins anew, or a counter wraps"),
        (np.r_[stamps(), stamps() + 7], "restart", "the clock was set back"),
        (stamps()[np.r_[:100, 101, 100, 102:600]], "order", "rows out of order there"),
        (stamps()[::-1], "order", "and 599 times in all: the rows are not in the order"),
        (np.where(np.arange(600) == 7, np.nan, stamps()), "number", "row 7 is no number"),
    ],
)
def test_a_wrong_clock_is_called_by_its_name(time, fault, says):
    found, sentence = fault_of(time)
    assert found == fault and says in sentence
    assert "sort" not in sentence and "duplicates" not in sentence


def test_blocks_and_bursts_are_spread_evenly_over_their_gaps():
    for time in (in_blocks(3), in_blocks(50), in_bursts()):
        even = clocks.spread_stamps(time, "f")
        np.testing.assert_allclose(np.diff(even), 0.02, rtol=0.02)
        np.testing.assert_allclose(even - even[0], stamps() - 3.0, atol=0.1)
    gone = np.delete(in_bursts(), slice(100, 300))
    step = np.diff(clocks.spread_stamps(gone, "f"))
    assert step[99] == pytest.approx(4.02, abs=0.05)
    np.testing.assert_allclose(np.delete(step, 99), 0.02, rtol=0.05)
    for time, fault in ((np.zeros(9), "number"), (stamps()[::-1], "order")):
        with pytest.raises(clocks.ClockError) as error:
            clocks.spread_stamps(time, "f")
        assert error.value.fault == fault


def test_a_counter_that_wraps_is_a_clock():
    rng = np.random.default_rng(1)
    rising = np.sort(rng.choice(70_000, 40_000, replace=False))
    for bits in (8, 16):
        every = np.arange(70_000) if bits == 8 else rising
        unwrapped = clocks.unwrap_counter(every % 2**bits, "f")
        np.testing.assert_array_equal(unwrapped, every - every[0] + every[0] % 2**bits)
    for counts, says in (
        ([3, 4, 4, 5], "repeats at 4"),
        ([3, 9, 4, 5], "goes back at 9"),
        ([3, 4.5, 5], "row 1 is no whole number"),
        ([3, np.nan, 5], "row 1 is no whole number"),
    ):
        with pytest.raises(clocks.ClockError, match=says):
            clocks.unwrap_counter(np.array(counts), "f")


def test_stamps_in_a_smaller_unit_are_no_clock():
    with pytest.raises(clocks.ClockError, match=r"say 0\.05 Hz.*a smaller unit, us or ns\?"):
        clocks.regular_clock(1e3 * stamps(), stamps(), None, 0.0, "f")


@pytest.mark.parametrize("origin", [0.0, 1.7676e9])
@pytest.mark.parametrize("jitter", [0.0, 0.004])
def test_missing_values_take_none_of_their_neighbours(origin, jitter):
    """Every second value is missing, the stamps miss the grid: the samples that are there count."""
    rng = np.random.default_rng(2)
    time = origin + np.arange(400) * 40 * 1e-3 + rng.uniform(-jitter, jitter, 400)
    value = np.sin(2 * np.pi * 0.5 * (time - origin))
    holed = np.where(np.arange(400) % 2, np.nan, value)
    both, rate, filled = clocks.regular_clock(
        time, np.stack([holed, holed], axis=1), 25.0, 0.08, "f", n_filled=1
    )
    own = np.isfinite(holed)
    grid = time[0] + np.arange(len(both)) / rate
    expected = interp1d(time[own], holed[own], bounds_error=False)(grid)
    inside = np.isfinite(expected)
    np.testing.assert_allclose(both[inside, 0], expected[inside], atol=1e-5)
    assert filled == pytest.approx(200, abs=2)
    assert np.isnan(both[:, 1]).sum() >= 199  # not filled: missing stays missing
    if not jitter:
        assert np.isfinite(both[::2, 1]).all()


def test_what_is_missing_for_too_long_is_not_bridged():
    time = stamps()
    holed = np.where((time > 5) & (time < 6), np.nan, time)
    out, _, filled = clocks.regular_clock(time, holed, 50.0, 0.1, "f", n_filled=1)
    assert np.isnan(out).sum() == np.isnan(holed).sum() and filled == 0
    with pytest.raises(clocks.ClockError, match="values in a row are missing"):
        clocks.fill_gaps(out, 50.0, 0.1, "f")
