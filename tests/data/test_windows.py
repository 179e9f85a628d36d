"""Windows: resampling and filters against analysis, cutting against loops."""

import numpy as np
import pytest
from helpers.recordings import RATE, make_recording, signals

from imujax.data import windows
from imujax.data.recordings import Interval
from imujax.errors import UserError

RATES = [(200, 100), (100, 200), (120, 100), (100, 60), (148.148, 100), (1000, 200)]


@pytest.mark.parametrize(("before", "after"), RATES)
def test_resampling_a_sine_gives_the_sine(before, after):
    frequency = 0.35 * min(before, after)
    t = np.arange(int(4 * before)) / before
    x = np.stack([np.sin(2 * np.pi * frequency * t + p) for p in (0.1, 1.2)], axis=1)[:, None]
    y = windows.resample(x, before, after)
    assert len(y) == int(np.ceil(round(len(x) * after / before, 3)))
    u = np.arange(len(y)) / after
    truth = np.stack([np.sin(2 * np.pi * frequency * u + p) for p in (0.1, 1.2)], axis=1)[:, None]
    inside = (u > 1) & (u < 3)
    np.testing.assert_allclose(y[inside], truth[inside], atol=3e-3)


TONES = [(b, a, x * a / 2) for b, a in RATES for x in (1.02, 1.3, 1.9) if x * a < 0.98 * b]


@pytest.mark.parametrize(("before", "after", "frequency"), TONES)
def test_a_tone_above_the_new_nyquist_vanishes(before, after, frequency):
    t = np.arange(int(4 * before)) / before
    y = windows.resample(np.sin(2 * np.pi * frequency * t), before, after)
    loudest = np.abs(y[after : 3 * after]).max()
    assert 20 * np.log10(loudest) < -40


@pytest.mark.parametrize(("before", "after"), RATES)
def test_a_constant_and_a_ramp_keep_their_value_to_the_ends(before, after):
    np.testing.assert_allclose(windows.resample(np.full(300, 9.81), before, after), 9.81, rtol=1e-9)
    ramp = windows.resample(np.arange(300) / before, before, after)
    np.testing.assert_allclose(ramp, np.arange(len(ramp)) / after, atol=1e-3)


def test_the_same_rate_changes_nothing_and_an_odd_ratio_is_refused():
    x = np.random.default_rng(0).standard_normal((50, 2, 3))
    np.testing.assert_array_equal(windows.resample(x, 100, 100), x)
    with pytest.raises(UserError, match="ratio"):
        windows.resample(x, 100, 0.001)


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("frequency", [2.0, 10.0, 15.0, 20.0])
def test_lowpass_is_the_squared_butterworth_without_delay(order, frequency):
    rate, cutoff = 200.0, 15.0
    t = np.arange(4000) / rate
    y = windows.lowpass(np.sin(2 * np.pi * frequency * t), rate, cutoff, order)
    # The bilinear transform bends the frequency axis: tan(pi f / rate).
    ratio = np.tan(np.pi * frequency / rate) / np.tan(np.pi * cutoff / rate)
    gain = 1 / (1 + ratio ** (2 * order))
    inside = slice(1000, 3000)
    truth = gain * np.sin(2 * np.pi * frequency * t)
    np.testing.assert_allclose(y[inside], truth[inside], atol=1e-6)


def test_lowpass_refuses_a_cutoff_above_nyquist():
    with pytest.raises(UserError, match="cut-off"):
        windows.lowpass(np.ones(100), 100, 50)


@pytest.mark.parametrize("seed", range(20))
def test_fixed_starts_are_those_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    n, length, stride = rng.integers([1, 1, 1], [300, 60, 80])
    edges = np.sort(rng.integers(-10, n + 20, 6)).reshape(3, 2)
    expected = []
    for first, end in edges:
        first, end = max(first, 0), min(end, n)
        s = first
        while s + length <= end:
            expected.append(s)
            s += stride
    np.testing.assert_array_equal(windows.fixed_starts(n, length, stride, edges.tolist()), expected)
    expected = [s for s in range(0, n, stride) if s + length <= n]
    np.testing.assert_array_equal(windows.fixed_starts(n, length, stride), expected)


@pytest.mark.parametrize("seed", range(5))
def test_event_windows_lie_inside(seed):
    rng = np.random.default_rng(seed)
    events, x = rng.integers(-5, 130, 40), rng.standard_normal((120, 2, 3))
    starts, inside = windows.event_starts(events, 20, 44, len(x))
    for event, has_window in zip(events, inside, strict=True):
        assert has_window == (event >= 20 and event + 44 <= 120)
    cut = windows.cut_windows(x, starts, 64)
    assert cut.shape == (inside.sum(), 64, 2, 3)
    for window, event in zip(cut, events[inside], strict=True):
        np.testing.assert_array_equal(window[20], x[event])
        np.testing.assert_array_equal(window, x[event - 20 : event + 44])


def test_pad_and_mask_tell_the_true_length():
    x = np.arange(12.0).reshape(4, 3)
    padded, length = windows.pad_window(x, 6)
    np.testing.assert_array_equal(padded, np.concatenate([x, np.zeros((2, 3))]))
    assert length == 4
    assert windows.pad_window(x, 3)[1] == 3
    mask = windows.length_mask(np.array([4, 0, 6]), 6)
    np.testing.assert_array_equal(mask.sum(axis=1), [4, 0, 6])
    np.testing.assert_array_equal(padded[mask[0]], x)


@pytest.mark.parametrize("every", [1, 4])
def test_a_curve_is_cut_beside_its_window_or_not_at_all(every):
    curve = np.arange(200.0).reshape(100, 2)
    cut = windows.cut_curve(curve, 7, 9, 14, every)
    assert cut.shape == (-(-14 // every), 2)
    for row, values in enumerate(cut):
        expected = curve[7 + row * every] if row * every < 9 else [0, 0]
        np.testing.assert_array_equal(values, expected)
    assert windows.cut_curve(curve, 91, 9, 14, every) is not None
    assert windows.cut_curve(curve, 92, 9, 14, every) is None  # it ends before
    curve[15, 1] = np.nan
    assert windows.cut_curve(curve, 7, 9, 14, every) is None
    assert windows.cut_curve(curve, 7, 8, 14, every) is not None


def test_labelled_windows_whose_curve_has_a_gap_are_counted():
    walk = make_recording(*signals(seconds=4.0))
    curve = np.arange(float(len(walk.acc)))[:, None]
    curve[70] = np.inf
    cut = windows.labelled_examples(walk, [10, 60, 90], [30, 20, 40], [1, 2, 3], 32, "", curve)
    examples, dropped = cut
    assert dropped == {windows.CURVE_GAP: 1}
    assert [float(e["target"][0]) for e in examples] == [1, 3]
    np.testing.assert_array_equal(examples[0]["curve"][:, 0], [*range(10, 40), 0, 0])
    np.testing.assert_array_equal(examples[1]["curve"][:, 0], range(90, 122))
    without, dropped = windows.labelled_examples(walk, [60], [20], [2], 32)
    assert not dropped and "curve" not in without[0]


def test_motion_is_the_mean_deviation_of_the_axes():
    x = np.random.default_rng(0).standard_normal((3, 40, 2, 3))
    for n in range(3):
        for s in range(2):
            axes = [np.sqrt(np.mean((x[n, :, s, a] - x[n, :, s, a].mean()) ** 2)) for a in range(3)]
            assert windows.motion(x)[n, s] == pytest.approx(np.mean(axes))


def test_examples_stay_inside_their_activity_and_are_counted():
    acc, gyr = signals(seconds=8.0, sensors=2)
    acc[:, 1] = acc[:1, 1] + 1e-3 * np.arange(len(acc))[:, None]  # the second sensor never moves
    stays = make_recording(
        acc,
        gyr,
        start=10.0,
        intervals=(
            Interval("rest", 10.0, 12.0),
            Interval("walk", 12.51, 17.0),
            Interval("short", 17.0, 17.4),
        ),
    )
    examples, dropped = windows.unlabelled_examples(stays, 100.0, 100, 50, 0.3)
    assert dropped == {"windows in which no sensor moves": 3, "stretches shorter than a window": 1}
    assert {e["activity"] for e in examples} == {"walk"}
    starts = [float(e["start"]) for e in examples]
    np.testing.assert_allclose(starts, 12.51 + 0.5 * np.arange(len(starts)), atol=1e-5)
    assert starts[-1] + 1 <= 17.0 < starts[-1] + 1.5
    for e in examples:
        at = int((e["start"] - 10) * RATE)
        np.testing.assert_allclose(e["acc"][1::2, 0, 0], acc[at + 1 : at + 51, 0, 0], atol=0.2)
        assert e["acc"].dtype == np.float32 and e["length"] == 100


def test_together_it_is_the_mean_over_the_sensors_that_counts():
    """Of two sensors the second never moves: the mean is half of what the first one does."""
    acc, gyr = signals(seconds=8.0, sensors=2)
    acc[:, 1] = acc[:1, 1] + 1e-3 * np.arange(len(acc))[:, None]
    still = make_recording(acc, gyr)
    moves = windows.motion(
        windows.cut_windows(windows.resample(acc, RATE, 100.0), np.array([400]), 100)
    )
    for least, expected in ((0.45, True), (0.55, False)):
        examples, _ = windows.unlabelled_examples(
            still, 100.0, 100, 100, least * moves.max(), together=True
        )
        assert (4.0 in [float(e["start"]) for e in examples]) == expected
    examples, _ = windows.unlabelled_examples(still, 100.0, 100, 100, 0.9 * moves.max())
    assert 4.0 in [float(e["start"]) for e in examples]
