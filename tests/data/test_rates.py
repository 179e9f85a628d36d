"""Windows at another rate, against sinusoids in closed form, and which rates there are."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from imujax.data import rates, windows
from imujax.errors import UserError

PAIRS = [(200.0, 100.0), (50.0, 100.0), (148.1481, 100.0), (100.0, 60.0), (20.0, 100.0)]


def sinusoids(rate, frequency, samples, count=8):
    """[count, samples, 1] of as many phases, and the function of the time that they are."""
    phase = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]

    def at(t):
        return np.sin(2 * np.pi * frequency * t + phase)[..., None]

    return at(np.arange(samples) / rate), at


@pytest.mark.parametrize(("rate", "wanted"), PAIRS)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.85])
def test_a_sinusoid_is_itself_at_another_rate(rate, wanted, share):
    """Of up to 85 % of the lower Nyquist frequency: far from the ends within .005 of its size; of
    up to 30 % of it also at the ends, within .08, but for what a
    point reflection about the last sample differs by beyond it."""
    frequency = share * min(rate, wanted) / 2
    samples = round(5 * rate)
    x, at = sinusoids(rate, frequency, samples)
    y, length = rates.resample(x, np.full(len(x), samples), rate, wanted)
    assert y.dtype == np.float32 and (length == y.shape[1]).all()
    t = np.arange(y.shape[1]) / wanted
    last = (samples - 1) / rate
    assert abs(y.shape[1] / wanted - samples / rate) <= 0.5001 / wanted  # as long as it was
    error = np.abs(y - at(t))
    far = 36 / min(rate, wanted)
    assert error[:, (t > far) & (t < last - far)].max() < 0.005
    if share <= 0.3:
        beyond = 2 * np.pi * frequency * np.maximum(t - last, 0)
        assert (error.max(axis=(0, 2)) < 0.08 + 2 * (1 - np.cos(beyond))).all()


def test_what_the_lower_rate_cannot_hold_is_taken_out():
    for frequency in (26.0, 40.0, 75.0, 99.0):
        x, _ = sinusoids(200.0, frequency, 1000)
        y, _ = rates.resample(x, np.full(len(x), 1000), 200.0, 50.0)
        assert np.abs(y[:, 40:-40]).max() < 0.005
    assert np.abs(x[:, ::4][:, 40:-40]).max() > 0.5  # without the filter it stands there as 1 Hz


def test_on_the_way_up_nothing_comes_to_be_above_what_was_recorded():
    x = np.random.default_rng(0).normal(size=(1, 400, 1))
    y, _ = rates.resample(x, np.array([400]), 20.0, 200.0)
    power = np.abs(np.fft.rfft(y[0, :, 0] * np.hanning(y.shape[1]))) ** 2
    frequency = np.fft.rfftfreq(y.shape[1], 1 / 200)
    assert power[frequency > 10.2].sum() < 1e-4 * power.sum()
    assert power[(frequency > 5) & (frequency < 9)].sum() > 0.3 * power.sum()


@pytest.mark.parametrize(("rate", "wanted"), PAIRS)
def test_what_stands_still_or_goes_on_evenly_stays_so(rate, wanted):
    line = 9.81 + np.arange(30)[:, None] / rate * np.array([0.0, 2.0, -1.0])
    y, (length,) = rates.resample(line[None], np.array([30]), rate, wanted)
    expected = 9.81 + np.arange(length)[:, None] / wanted * np.array([0.0, 2.0, -1.0])
    np.testing.assert_allclose(y[0], expected, atol=5e-4)


def test_each_window_is_resampled_by_itself_and_as_far_as_it_goes():
    rng = np.random.default_rng(0)
    x, length = rng.normal(size=(5, 40, 2, 3)), np.array([40, 1, 17, 33, 17])
    x[np.arange(40) >= length[:, None]] = np.nan
    y, got = rates.resample(x, length, 50.0, 100.0)
    assert got.tolist() == [80, 2, 34, 66, 34] and y.shape == (5, 80, 2, 3)
    for one, valid, many, long in zip(x, length, y, got, strict=True):
        alone, (count,) = rates.resample(one[None, :valid], np.array([valid]), 50.0, 100.0)
        assert count == long
        np.testing.assert_array_equal(many[:long], alone[0])
        assert not many[long:].any()


def test_lengths_are_to_the_nearest_sample_and_never_none():
    length = np.arange(1, 9)
    _, down = rates.resample(np.zeros((8, 8, 3)), length, 200.0, 60.0)
    assert down.tolist() == [1, 1, 1, 1, 2, 2, 2, 2]  # .3, .6, .9, 1.2, 1.5, 1.8, 2.1, 2.4


def test_in_the_middle_it_is_the_resampling_of_recordings():
    x = np.random.default_rng(0).normal(size=(1, 300, 3))
    y, _ = rates.resample(x, np.array([300]), 120.0, 100.0)
    np.testing.assert_allclose(
        y[0, 60:-60], windows.resample(x[0], 120.0, 100.0)[60 : y.shape[1] - 60], atol=1e-6
    )


INFO = {"rate": 50.0, "targets": [{"name": "force"}], "curves": [{"name": "curve"}]}


def test_labelled_windows_are_brought_to_a_rate_with_all_that_belongs_to_them():
    @dataclasses.dataclass
    class Labelled(SimpleNamespace):
        acc: np.ndarray
        gyr: np.ndarray
        length: np.ndarray
        curve: np.ndarray | None
        info: dict

    rng = np.random.default_rng(0)
    acc, gyr = rng.normal(size=(2, 4, 32, 2, 3)).astype(np.float32)
    data = Labelled(acc, gyr, np.array([32, 20, 32, 9], np.int32), acc[..., 0, 0], INFO)
    assert rates.at_rate(data, 50.0) is data
    made = rates.at_rate(data, 100.0)
    assert made.acc.shape == made.gyr.shape == (4, 64, 2, 3) and made.curve is None
    assert made.length.tolist() == [64, 40, 64, 18] and made.length.dtype == np.int32
    assert (made.info["rate"], made.info["window"]) == (100.0, 64)
    np.testing.assert_array_equal(made.gyr, rates.resample(gyr, data.length, 50, 100)[0])
    assert data.info["rate"] == 50.0 and data.acc is acc


@pytest.mark.parametrize(
    ("names", "rate", "wanted", "sentence"),
    [
        (("force",), 19.0, 100.0, "SET holds data at 19 Hz, and the encoder sees 100: .*20 to 200"),
        (("force",), 250.0, 100.0, "build it again with the option rate=100, or in a card"),
        (("curve",), 50.0, 100.0, "SET holds curves at 50 Hz, .* samples, .* sees 100: build it"),
    ],
)
def test_what_cannot_be_brought_to_a_rate_is_one_sentence(names, rate, wanted, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        rates.require_labelled(names, INFO | {"rate": rate}, wanted, "SET")
    assert "\n" not in str(error.value)


def test_what_has_the_rate_needs_no_other():
    for names, rate in ((("force",), 500.0), (("curve",), 100.0), ((), 20.0), (("activity",), 50)):
        rates.require_labelled(names, INFO | {"rate": rate}, max(rate, 100.0), "SET")
