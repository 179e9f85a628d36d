"""Labels: signals whose answer is known by hand or by analysis, loops, and the real knee file."""

import itertools
import json

import h5py
import numpy as np
import pytest

from imujax.data import labels, windows
from imujax.errors import UserError

RATE = 1000.0
MASS = 70.0
BW = MASS * 9.80665
CUT = "contacts cut off by an end of the recording"
NO_STANCE = "stances not of 180 to 380 ms"
NO_MAXIMUM = "stances without a maximum of 200 N"
NO_IMPACT = "stances with the impact peak not 15 to 80 ms after the strike"
NO_RISE = "stances not rising from 20 to 80 % of the impact peak in 5 to 40 ms"


def polyline(*points, step=1.0):
    """Force through (sample, N) points, one value a `step`, without the last point."""
    at, value = np.array(points, float).T
    return np.interp(np.arange(at[0], at[-1], step), at, value)


# --- contacts and events


def contacts_by_loop(force, threshold, shortest):
    contacts, start = [], None
    for i, f in enumerate(force):
        if f >= threshold and start is None:
            start = i
        if f < threshold and start is not None:
            if start > 0 and i - start >= shortest:
                contacts.append((start, i))
            start = None
    return np.array(contacts, int).reshape(-1, 2).T


@pytest.mark.parametrize("seed", range(20))
def test_contacts_are_those_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    force = np.convolve(rng.normal(20, 60, 3000), np.ones(40) / 40, mode="same").round()
    strikes, offs, dropped = labels.contacts(force, 200.0, 20.0, "f", shortest=0.1)
    np.testing.assert_array_equal([strikes, offs], contacts_by_loop(force, 20.0, 20))
    on = force >= 20
    runs = (np.diff(on.astype(int)) == 1).sum() + on[0]
    assert len(strikes) + sum(dropped.values()) == runs
    assert dropped[CUT] == int(on[0]) + int(on[-1])


def test_a_contact_begins_at_the_threshold_and_a_bounce_is_shorter_than_the_shortest():
    force = np.zeros(600)
    force[100:300] = 20.0  # at the threshold, not above it
    force[400:450] = 800
    force[500:549] = 800
    strikes, offs, dropped = labels.contacts(force, RATE, 20.0, "f")
    np.testing.assert_array_equal(strikes, [100, 400])
    np.testing.assert_array_equal(offs, [300, 450])
    assert dropped == {"contacts shorter than 50 ms": 1}
    force[:20] = force[-3:] = 800
    assert labels.contacts(force, RATE, 20.0, "f")[2][CUT] == 2
    force[200] = 19.9
    assert labels.contacts(force, RATE, 20.0, "f")[0].tolist() == [100, 201, 400]


@pytest.mark.parametrize(
    ("force", "says"),
    [
        (
            np.r_[np.zeros(50), np.nan, np.zeros(50)],
            "1 samples that are not finite, the first.* 50",
        ),
        (-polyline((0, 0), (50, 900), (100, 0)), "must point up"),
        (np.zeros((100, 3)), "one column"),
        (np.zeros(5), "16 samples or more"),
    ],
)
def test_a_force_that_is_none_is_named(force, says):
    for call in (
        lambda: labels.contacts(force, RATE, 20.0, "trial_7.csv"),
        lambda: labels.loading_rates(force, RATE, MASS, "trial_7.csv"),
        lambda: labels.plate_force(force, RATE, "trial_7.csv"),
    ):
        with pytest.raises(UserError, match=rf"trial_7\.csv.*{says}"):
            call()
    labels.contacts(np.random.default_rng(0).normal(-5, 2, 100), RATE, 20.0, "an empty plate")


def ramp(n, events):
    """0 to 100 % from event to event, 0 before the first and from the last on."""
    out = np.zeros(n)
    for a, b in itertools.pairwise(events):
        out[a:b] = 100 * (np.arange(a, b) - a) / (b - a)
    return out


def test_events_are_where_ramps_begin():
    events = [30, 130, 251, 340]
    percent = ramp(500, events)
    percent[339] = 100.0  # a last sample of exactly 100
    assert labels.ramp_events(percent, "gc").tolist() == events
    assert labels.ramp_events(percent[60:], "gc").tolist() == [70, 191, 280]  # the first under way
    assert labels.ramp_events(percent[30:], "gc").tolist() == [0, 100, 221, 310]
    assert labels.ramp_events(percent[:200], "gc").tolist() == [30, 130]
    away = np.where((np.arange(500) < 30) | (np.arange(500) > 340), np.nan, percent)
    assert labels.ramp_events(away, "gc").tolist() == events
    two = percent + ramp(500, [400, 480])
    assert labels.ramp_events(two, "gc").tolist() == [*events, 400, 480]
    assert labels.ramp_events(np.zeros(500), "gc").tolist() == []
    assert labels.ramp_events(np.zeros(0), "gc").tolist() == []


@pytest.mark.parametrize("between", [80.0, 50.2, 49.0, 20.0, 0.3])
@pytest.mark.parametrize("at", [129, 130])  # 130, the first sample of a ramp, is 0
def test_a_value_half_way_down_does_not_make_two_events(at, between):
    percent = ramp(500, [30, 130, 250])
    percent[at] = between
    events = labels.ramp_events(percent, "gc")
    assert len(events) == 3 and abs(events - [30, 130, 250]).max() <= 1


@pytest.mark.parametrize(
    "wrong", [ramp(300, [10, 100, 200]) / 100, ramp(300, [10, 200]) * 3.6, np.zeros((9, 2))]
)
def test_a_ramp_in_another_unit_is_refused(wrong):
    with pytest.raises(UserError, match=r"gc\.csv.*0 to 100 %"):
        labels.ramp_events(wrong, "gc.csv")


@pytest.mark.parametrize("seed", range(20))
def test_a_stance_is_a_strike_and_the_next_off_before_another_strike(seed):
    rng = np.random.default_rng(seed)
    strikes = np.sort(rng.choice(300, rng.integers(0, 12), replace=False))
    offs = np.sort(rng.choice(300, rng.integers(0, 12), replace=False))
    expected = []
    for i, strike in enumerate(strikes):
        later = [off for off in offs if off > strike]
        following = strikes[i + 1] if i + 1 < len(strikes) else 301
        if later and later[0] <= following:
            expected.append((strike, later[0]))
    a, b, dropped = labels.stances(strikes, offs)
    assert list(zip(a, b, strict=True)) == expected
    assert dropped.total() == len(strikes) - len(expected)


# --- loading rate


def slope(force, rate=RATE):
    """Slope of one stance given alone, or the reason why it is refused."""
    slopes, accepted, dropped = labels.loading_slopes(force, rate, [0], [len(force)])
    assert accepted.tolist() == [len(slopes) == 1] and dropped.total() == 1 - len(slopes)
    return float(slopes[0]) if accepted[0] else next(iter(dropped))


def two_peaks(impact=(40, 1000), valley=(60, 700), stance=250):
    """20 % of an impact peak of 1000 N at 20 ms, 80 % at 35 ms; then a second, higher maximum."""
    rise = [(0, 0), (20, 200), impact]
    return polyline(*rise, valley, (130, 1800), (stance, 0))


def test_the_first_of_two_maxima_is_the_impact_peak():
    assert slope(two_peaks()) == pytest.approx(600 / 0.015)


def test_with_one_maximum_the_impact_peak_is_the_force_at_13_percent():
    # 13 % of 250 ms: sample 32, 680 N; nearest to 136 N is 140 N (14), to 544 N is 560 N (29).
    assert slope(two_peaks(valley=(60, 1200))) == pytest.approx((560 - 140) / 0.015)


@pytest.mark.parametrize(("valley", "expected"), [(850, 600 / 0.015), (851, 420 / 0.015)])
def test_a_maximum_counts_from_a_prominence_of_150_newtons(valley, expected):
    assert slope(two_peaks(valley=(60, valley))) == pytest.approx(expected)


def test_a_maximum_counts_from_a_height_of_200_newtons():
    # With the maximum: from 40 N (sample 4) to 160 N (16). Without: 13 % is sample 32, 140 N;
    # 28 N is at 2.8 (nearest 30 N, sample 3), 112 N at 11.2 (nearest 110 N, sample 11).
    high = polyline((0, 0), (20, 200), (30, 50), (31, 95), (32, 140), (130, 1800), (250, 0))
    assert slope(high) == pytest.approx((160 - 40) / 0.012)
    low = polyline(
        (0, 0), (19, 190), (20, 199), (30, 49), (31, 95), (32, 140), (130, 1800), (250, 0)
    )
    assert slope(low) == pytest.approx((110 - 30) / 0.008)


def test_of_three_maxima_the_first_is_taken():
    force = polyline(
        (0, 0), (20, 200), (40, 1000), (60, 700), (80, 1200), (90, 900), (130, 1800), (250, 0)
    )
    assert slope(force) == pytest.approx(600 / 0.015)


def test_the_peak_itself_may_be_the_sample_nearest_80_percent():
    force = polyline((0, 0), (20, 200), (24, 500), (25, 1000), (60, 700), (130, 1800), (250, 0))
    assert slope(force) == pytest.approx(800 / 0.005)


@pytest.mark.parametrize("top", [0.05, 0.075])
def test_the_slope_of_a_raised_cosine_is_the_closed_form(top):
    rate, height = 20000.0, 1400.0
    t = np.arange(0, 0.24, 1 / rate)
    force = height / 2 * (1 - np.cos(np.pi * t / top))  # down to 0 at 2 top, and up again
    second = np.clip(1800 - 30000 * np.abs(t - 0.18), 0, None)
    force = np.where(t < 2 * top, np.maximum(force, second), np.maximum(second, 0))
    expected = 0.6 * height / (top / np.pi * (np.arccos(-0.6) - np.arccos(0.6)))
    assert slope(force, rate) == pytest.approx(expected, rel=2e-3)


def test_each_limit_is_accepted_and_the_next_sample_is_not():
    def rising(low, high, peak):
        return polyline(
            (0, 100), (low, 200), (high, 800), (peak, 1000), (peak + 20, 700), (150, 1800), (250, 0)
        )

    for stance in (180, 380):
        assert slope(two_peaks(stance=stance)) == pytest.approx(40000)
    for stance in (179, 381):
        assert slope(two_peaks(stance=stance)) == NO_STANCE
    assert slope(rising(4, 10, 15)) == pytest.approx(600 / 0.006)
    assert slope(rising(4, 10, 14)) == NO_IMPACT
    assert slope(rising(50, 70, 80)) == pytest.approx(600 / 0.020)
    assert slope(rising(50, 70, 81)) == NO_IMPACT
    assert slope(rising(10, 15, 20)) == pytest.approx(600 / 0.005)
    assert slope(rising(10, 14, 20)) == NO_RISE
    assert slope(rising(5, 45, 60)) == pytest.approx(600 / 0.040)
    assert slope(rising(5, 46, 60)) == NO_RISE
    assert slope(np.full(250, 199.0)) == NO_MAXIMUM


def test_refusals_are_counted_and_stances_keep_their_place():
    good, long, flat = two_peaks(), two_peaks(stance=381), np.full(250, 100.0)
    parts = [good, long, flat, 1.5 * good, long]
    ends = np.cumsum([len(part) for part in parts])
    slopes, accepted, dropped = labels.loading_slopes(
        np.concatenate(parts), RATE, ends - [len(part) for part in parts], ends
    )
    np.testing.assert_allclose(slopes, [40000, 60000])
    assert accepted.tolist() == [True, False, False, True, False]
    assert dropped == {NO_STANCE: 2, NO_MAXIMUM: 1}
    slopes, accepted, dropped = labels.loading_slopes(good, RATE, [], [])
    assert len(slopes) == len(accepted) == len(dropped) == 0


def runner(impact=0.9, steps=12, period=700):
    """Vertical force of a runner's foot [N], periodic, and its low-passed form by analysis.

    The filter's effect is exact: the bilinear Butterworth gain, squared by the two passes, on the
    Fourier series of one period.
    """
    t = np.arange(period) / RATE
    force = 2.3 * BW * np.sin(np.pi * np.clip((t - 0.2) / 0.26, 0, 1)) ** 1.5
    force += impact * BW * np.sin(np.pi * np.clip((t - 0.205) / 0.05, 0, 1)) ** 2
    ratio = np.tan(np.pi * np.fft.rfftfreq(period, 1 / RATE) / RATE) / np.tan(np.pi * 50 / RATE)
    smooth = np.fft.irfft(np.fft.rfft(force) / (1 + ratio**8), period)
    return np.tile(force, steps), smooth


def rate_by_loop(force):
    """The rule on one low-passed period, written as plain loops -> (strike, N/s)."""
    strike = next(i for i, f in enumerate(force) if f >= 20)
    off = next(i for i in range(strike, len(force)) if force[i] < 20)
    tops = [i for i in range(strike + 1, off - 1) if force[i - 1] < force[i] > force[i + 1]]
    peaks = []
    for top in tops:
        higher = [i for i in range(strike, off) if force[i] > force[top]]
        left = max([i for i in higher if i < top], default=strike)
        right = min([i for i in higher if i > top], default=off - 1)
        base = max(force[left : top + 1].min(), force[top : right + 1].min())
        if force[top] >= 200 and force[top] - base >= 150:
            peaks.append(top)
    peak = peaks[0] if len(peaks) >= 2 else strike + round(0.13 * (off - strike))
    low, high = (
        min(range(strike, peak + 1), key=lambda i: abs(force[i] - share * force[peak]))
        for share in (0.2, 0.8)
    )
    return strike, (force[high] - force[low]) / ((high - low) / RATE)


@pytest.mark.parametrize("impact", [0.0, 0.3, 0.9, 1.3])
def test_the_loading_rate_of_a_runner_is_that_of_the_analytically_filtered_force(impact):
    force, smooth = runner(impact)
    strike, newtons = rate_by_loop(smooth)
    strikes, rates, dropped = labels.loading_rates(force, RATE, MASS, "f")
    np.testing.assert_array_equal(strikes, strike + 700 * np.arange(12))
    np.testing.assert_allclose(rates, newtons / BW, rtol=1e-6)
    assert not dropped and 15 < rates[0] < 100


def test_the_runners_have_one_and_two_maxima():
    """So that the test above meets both branches of the rule."""
    counts = []
    for impact in (0.0, 0.9):
        force = runner(impact, steps=1)[1]
        turns = (np.diff(force)[:-1] > 0) & (np.diff(force)[1:] < 0)
        counts.append(int((turns & (force[1:-1] > 200)).sum()))
    assert counts == [1, 2]


def test_body_weight_and_the_authors_gravity():
    force, _ = runner()
    strikes, rates, _ = labels.loading_rates(force, RATE, MASS, "f")
    again, doubled, _ = labels.loading_rates(2 * force, RATE, 2 * MASS, "f")
    np.testing.assert_allclose(doubled, rates, rtol=1e-12)
    assert (strikes - again >= 0).all() and (strikes - again).max() <= 3  # 20 N come earlier
    _, authors, _ = labels.loading_rates(force, RATE, MASS, "f", gravity=10)
    np.testing.assert_allclose(authors, rates * 0.980665, rtol=1e-12)
    for mass in (None, 0, -70, np.nan):
        with pytest.raises(UserError, match=r"runner_3.*body mass \[kg\]"):
            labels.loading_rates(force, RATE, mass, "runner_3")


def test_a_stance_cut_by_an_end_has_no_label():
    force, _ = runner()
    _, rates, _ = labels.loading_rates(force, RATE, MASS, "f")
    strikes, other_rates, dropped = labels.loading_rates(
        force[300 : 11 * 700 + 300], RATE, MASS, "f"
    )
    assert dropped == {CUT: 2} and len(strikes) == 10
    np.testing.assert_allclose(other_rates, rates[1:11], rtol=1e-3)


def test_a_walked_stance_between_run_ones_is_refused():
    force, smooth = runner(steps=2)
    walked = 1.1 * BW * np.sin(np.pi * np.clip(np.arange(1000) / 600 - 0.3, 0, 1))
    force = np.concatenate([force, walked, force])
    strikes, rates, dropped = labels.loading_rates(force, RATE, MASS, "f")
    strike, newtons = rate_by_loop(smooth)
    np.testing.assert_array_equal(strikes, strike + np.array([0, 700, 2400, 3100]))
    np.testing.assert_allclose(rates, newtons / BW, rtol=1e-3)
    assert dropped == {NO_STANCE: 1}


def test_noise_changes_a_label_little_and_no_count():
    force, _ = runner()
    _, rates, _ = labels.loading_rates(force, RATE, MASS, "f")
    noisy = force + np.random.default_rng(0).normal(0, 5, len(force))
    strikes, other_rates, dropped = labels.loading_rates(noisy, RATE, MASS, "f")
    assert len(strikes) == 12 and set(dropped) <= {"contacts shorter than 50 ms"}
    np.testing.assert_allclose(other_rates, rates, rtol=0.02)


def test_windows_around_strikes():
    starts, accepted = labels.strike_windows(np.array([99, 102, 1000, 1003, 1780, 1785]), RATE, 400)
    assert accepted.tolist() == [True, True, True, True, True, False]
    assert starts.tolist() == [0, 0, 180, 181, 336]
    assert labels.strike_windows(np.array([97]), RATE, 400)[1].tolist() == [False]
    starts, accepted = labels.strike_windows([1000], RATE, 400, before=32, length=128)
    assert starts.tolist() == [168] and accepted.tolist() == [True]


# --- peak vertical force


@pytest.mark.parametrize("frequency", [1.0, 10.0, 15.0, 30.0])
def test_the_plates_are_low_passed_at_15_hz_and_every_fifth_sample_is_kept(frequency):
    t = np.arange(6001) / RATE
    ratio = np.tan(np.pi * frequency / RATE) / np.tan(np.pi * 15 / RATE)
    force = labels.plate_force(800 + 100 * np.sin(2 * np.pi * frequency * t), RATE, "f")
    assert len(force) == 1201
    expected = 800 + 100 / (1 + ratio**8) * np.sin(2 * np.pi * frequency * t[::5])
    np.testing.assert_allclose(force[300:900], expected[300:900], atol=1e-3)


def test_plates_at_another_rate():
    t = np.arange(2400) / 1200
    force = labels.plate_force(500 + 300 * np.sin(2 * np.pi * t), 1200.0, "f")
    expected = 500 + 300 * np.sin(2 * np.pi * t[::6])
    np.testing.assert_allclose(force[80:-80], expected[80:-80], atol=0.5)
    for rate in (900.0, 100.0):
        with pytest.raises(UserError, match=r"fp\.csv.*multiple of 200 Hz"):
            labels.plate_force(np.zeros(500), rate, "fp.csv")


WEIGHT = MASS * 9.81


def walker(first=1.1, second=1.05, tops=(40, 110), n=150):
    """A stance of 150 samples at 200 Hz, two peaks [BW] at `tops` in it, 50 samples of rest."""
    a, b = tops
    middle = (a + b) // 2
    points = [(0, 0), (a, first), (middle, 0.7), (b, second), (n, 0)]
    return WEIGHT * np.r_[np.zeros(50), polyline(*points), np.zeros(50)]


def test_the_larger_of_the_two_peaks_is_the_label():
    for first, second, at in ((1.1, 1.05, 90), (1.05, 1.1, 160)):
        peaks, values, dropped = labels.stance_peaks(walker(first, second), [50], [200], MASS, "f")
        assert peaks.tolist() == [at] and not dropped
        np.testing.assert_allclose(values, 1.1)
    _, doubled, _ = labels.stance_peaks(2 * walker(), [50], [200], 2 * MASS, "f")
    np.testing.assert_allclose(doubled, 1.1)
    _, values, _ = labels.stance_peaks(walker(), [50], [200], MASS, "f", gravity=9.80665)
    np.testing.assert_allclose(values, 1.1 * 9.81 / 9.80665)
    with pytest.raises(UserError, match=r"AB06.*body mass"):
        labels.stance_peaks(walker(), [50], [200], None, "AB06")


@pytest.mark.parametrize(
    ("strike", "off", "at"), [(80, 200, 90), (81, 200, 160), (50, 170, 90), (50, 169, 90)]
)
def test_a_peak_lies_ten_samples_inside_its_stance(strike, off, at):
    peaks, _, _ = labels.stance_peaks(walker(), [strike], [off], MASS, "f")
    assert peaks.tolist() == [at]


@pytest.mark.parametrize(("off", "at"), [(170, 160), (169, 90)])
def test_the_last_sample_that_may_be_the_peak(off, at):
    peaks, _, _ = labels.stance_peaks(walker(1.0, 1.1), [50], [off], MASS, "f")
    assert peaks.tolist() == [at]


def test_stances_off_the_plates_are_refused_and_counted():
    on, rest = walker(), np.zeros(250)
    half = np.where(np.arange(250) < 120, on, 0)  # steps off the plates
    light = on * 0.49 / 1.1
    rising = WEIGHT * np.r_[np.zeros(50), np.linspace(0.1, 1.2, 150), np.zeros(50)]
    force = np.concatenate([on, rest, half, light, rising, on])
    strikes = 50 + 250 * np.arange(6)
    peaks, _, dropped = labels.stance_peaks(force, strikes, strikes + 150, MASS, "f")
    assert peaks.tolist() == [90, 1340]
    assert dropped == {
        "stances not on the plates throughout": 2,
        "stances with a peak below half the body weight": 1,
        "stances without a maximum": 1,
    }
    cut, _, dropped = labels.stance_peaks(force[:-60], strikes, strikes + 150, MASS, "f")
    assert cut.tolist() == [90] and dropped["stances that leave the recording"] == 1
    assert len(labels.stance_peaks(light * 0.5 / 0.49, [50], [200], MASS, "f")[0]) == 1
    for newtons, count in ((20.0, 1), (19.9, 0)):
        force = walker()
        force[125] = newtons
        assert len(labels.stance_peaks(force, [50], [200], MASS, "f")[0]) == count


def test_a_plate_force_through_the_whole_rule():
    """Two raised cosines of 2 Hz, far below the filter: the label is the cosine's top."""
    t = np.arange(8000) / RATE
    tops = np.array([1.10, 1.16])
    force = np.zeros(8000)
    for k, start in enumerate((1.6, 4.1)):
        inside = (t >= start) & (t < start + 0.7)
        force[inside] = tops[k] * WEIGHT / 2 * (1 - np.cos(2 * np.pi * (t[inside] - start) / 0.7))
    at200 = labels.plate_force(force, RATE, "f")
    strikes, offs, _ = labels.contacts(at200, 200.0, 20.0, "f")
    peaks, values, dropped = labels.stance_peaks(at200, strikes, offs, MASS, "f")
    assert peaks.tolist() == [390, 890] and not dropped
    np.testing.assert_allclose(values, tops, rtol=2e-3)
    starts, which, dropped = labels.peak_windows(len(at200), peaks, values)
    assert starts.tolist() == [320, 832] and which.tolist() == [0, 1]  # 390 - 320 = 70, 58
    assert dropped == {"windows without a peak in their middle": 47 - 2}


@pytest.mark.parametrize("seed", range(20))
def test_every_peak_has_the_one_window_with_it_in_the_middle(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(100, 3000))
    peaks = np.sort(rng.choice(n, min(n, int(rng.integers(0, 30))), replace=False))
    values = rng.normal(1.1, 0.1, len(peaks))
    expected = {}
    for start in range(0, n - 128 + 1, 32):
        for i, peak in enumerate(peaks):
            if 48 <= peak - start < 80 and values[i] > values[expected.get(start, i)] - 1e-12:
                expected[start] = i
    starts, which, dropped = labels.peak_windows(n, peaks, values)
    assert dict(zip(starts.tolist(), which.tolist(), strict=True)) == expected
    last = 32 * ((n - 128) // 32) if n >= 128 else -np.inf
    assert (
        dropped["peaks in the middle of no window"] == ((peaks < 48) | (peaks >= last + 80)).sum()
    )
    middle = dropped["windows without a peak in their middle"]
    assert middle == len(range(0, n - 127, 32)) - len(expected)


def test_a_peak_at_the_edges_of_the_middle_and_two_in_one_window():
    for peak, start in ((47, None), (48, 0), (79, 0), (80, 32)):
        starts, _, _ = labels.peak_windows(400, [peak], [1.0])
        assert starts.tolist() == ([] if start is None else [start])
    for values, best in (([1.0, 1.2], 1), ([1.2, 1.0], 0)):
        starts, which, _ = labels.peak_windows(128, [50, 60], values)
        assert starts.tolist() == [0] and which.tolist() == [best]


# --- knee flexion moment


def test_the_knee_peak_is_that_of_samples_20_to_half_the_step():
    for length in (96, 97):
        for at, inside in ((19, False), (20, True), (47, True), (48, False)):
            moment = np.zeros((1, 128))
            moment[0, at] = 4.0
            peaks, accepted, dropped = labels.knee_flexion_peaks(moment, [length])
            assert peaks.tolist() == [4.0 if inside else 0.0] and accepted.all() and not dropped


def test_knee_steps_without_a_peak_are_refused_and_counted():
    moment = np.random.default_rng(0).normal(size=(5, 128))
    moment[1, 30] = np.nan
    moment[3, 70] = np.nan  # past the half: not looked at
    peaks, accepted, dropped = labels.knee_flexion_peaks(moment, [100, 100, 41, 100, 42])
    assert accepted.tolist() == [True, False, False, True, True]
    np.testing.assert_array_equal(
        peaks, [moment[0, 20:50].max(), moment[3, 20:50].max(), moment[4, 20]]
    )
    assert dropped == {"steps with missing moments": 1, "steps that end before their peak": 1}
    with pytest.raises(ValueError, match="beyond"):
        labels.knee_flexion_peaks(moment, [100, 100, 258, 100, 100])
    peaks, accepted, _ = labels.knee_flexion_peaks(np.zeros((0, 128)), np.zeros(0, int))
    assert len(peaks) == len(accepted) == 0


def test_steps_are_cut_20_samples_around_a_stance():
    moment = np.random.default_rng(1).normal(size=400)
    starts, lengths, accepted = labels.knee_steps([19, 20, 200, 318], [80, 82, 265, 381], 400)
    assert starts.tolist() == [0, 180] and lengths.tolist() == [102, 105]
    assert accepted.tolist() == [False, True, True, False]
    assert labels.knee_steps([318], [381], 401)[2].tolist() == [True]
    steps = np.array(
        [
            windows.pad_window(moment[a : a + n], 128)[0]
            for a, n in zip(starts, lengths, strict=True)
        ]
    )
    np.testing.assert_array_equal(labels.step_lengths(steps[:, :, None]), lengths)
    peaks, _, _ = labels.knee_flexion_peaks(steps, lengths)
    np.testing.assert_array_equal(peaks, [moment[20:51].max(), moment[200:232].max()])


def test_the_length_of_a_padded_step_ends_with_its_last_sample():
    steps = np.zeros((4, 30, 2))
    steps[0, :10] = 1
    steps[1, [3, 12], [0, 1]] = 1  # zeros on the way belong to the step
    steps[2] = 1
    assert labels.step_lengths(steps).tolist() == [10, 13, 30, 0]


@pytest.fixture(scope="module")
def knee_file(shared_data):
    """The steps of both subjects, [20, 152, 256], and the names of the columns."""
    path = shared_data / "tan2022_knee_moment" / "example_data.h5"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    with h5py.File(path) as file:
        data = np.concatenate([file[name][:] for name in sorted(file)]).astype(np.float64)
        return data, json.loads(file.attrs["columns"])


def test_the_knee_labels_of_the_real_file(knee_file):
    data, columns = knee_file
    moment = data[:, :, columns.index("EXT_KM_X")]
    lengths = labels.step_lengths(data)
    assert (lengths.min(), lengths.max()) == (95, 104)
    peaks, accepted, dropped = labels.knee_flexion_peaks(moment, lengths)
    assert accepted.all() and not dropped
    assert (round(peaks.min(), 2), round(peaks.max(), 2)) == (2.76, 4.90)
    for step, values, peak in zip(data, moment, peaks, strict=True):
        n = sum(bool(row.any()) for row in step)
        assert peak == max(values[i] for i in range(20, n // 2))
    again, _, _ = labels.knee_flexion_peaks(moment[:, :128], lengths)
    np.testing.assert_array_equal(again, peaks)


def test_the_cross_product_gives_the_moments_of_the_real_file(knee_file):
    """Frame of the file: x to the right, y forward, z up, in mm; its force is that on the plate."""
    data, columns = knee_file

    def point(names):
        return np.stack([data[:, :, columns.index(name)] for name in names], axis=-1) / 1000

    force = -1000 * point([f"plate_2_force_{a}" for a in "xyz"])
    cop = point([f"plate_2_cop_{a}" for a in "xyz"])
    knee = (point([f"RFLE_{a}" for a in "XYZ"]) + point([f"RFME_{a}" for a in "XYZ"])) / 2
    moment = labels.knee_moment_cross(force, cop, knee, [-1.0, 0.0, 0.0])
    mass, height = (data[:, 0, columns.index(f"body {name}")] for name in ("weight", "height"))
    moment = np.array(
        [labels.percent_bw_bh(*row, "file") for row in zip(moment, mass, height, strict=True)]
    )
    published = data[:, :, columns.index("EXT_KM_X")]
    # Close to heel strike and toe-off the file's moments are not those of its force and markers.
    np.testing.assert_allclose(moment[:, 22:75], published[:, 22:75], atol=1e-5)
    lengths = labels.step_lengths(data)
    peaks, _, _ = labels.knee_flexion_peaks(moment, lengths)
    np.testing.assert_allclose(peaks, labels.knee_flexion_peaks(published, lengths)[0], atol=1e-5)


def test_a_force_behind_the_knee_flexes_it():
    # x forward, y left, z up: 700 N upwards, 5 cm behind the knee: 35 N m of flexion.
    knee = np.array([[0.0, 0.1, 0.5]] * 4)
    cop = knee + np.array([-0.05, 0.0, -0.5])
    force = np.array([[0.0, 0, 700], [100, 0, 700], [0, 50, 700], [0, 0, 0]])
    cop[3] = np.nan  # no force, no centre of pressure
    moment = labels.knee_moment_cross(force, cop, knee, [0.0, 1.0, 0.0])
    np.testing.assert_allclose(moment, [35, 35 - 50, 35, 0], atol=1e-12)
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    turned = labels.knee_moment_cross(force @ turn.T, cop @ turn.T, knee @ turn.T, turn[:, 1])
    np.testing.assert_allclose(turned, moment, atol=1e-12)
    moving = labels.knee_moment_cross(force, cop, knee, np.array([[0.0, 1, 0], [1, 0, 0]] * 2))
    np.testing.assert_allclose(moving[[0, 2]], [35, 35], atol=1e-12)
    np.testing.assert_allclose(moving[1], 0.0, atol=1e-12)


def test_percent_of_body_weight_times_height():
    share = labels.percent_bw_bh(np.array([35.0, -35.0]), 70, 1.75, "f")
    np.testing.assert_allclose(share, [2.9124, -2.9124], rtol=1e-4)
    standard = labels.percent_bw_bh(35, 70, 1.75, "f", gravity=9.80665)
    np.testing.assert_allclose(standard, share[0] * 9.81 / 9.80665)
    np.testing.assert_allclose(labels.percent_bw_bh(70, 140, 1.75, "f"), share[0])
    for mass, height, name in ((None, 1.7, "mass"), (70, 0, "height"), (70, None, "height")):
        with pytest.raises(UserError, match=rf"S01.*body {name}"):
            labels.percent_bw_bh(35.0, mass, height, "S01")
