"""Statistics against one window at a time in SciPy; nothing beyond a window's end is seen."""

import numpy as np
import pytest
import scipy.stats

from imujax.sweep import window_features


@pytest.fixture(scope="module")
def windows():
    rng = np.random.default_rng(0)
    acc, gyr = rng.normal(1.0, 2.0, (2, 12, 20, 2, 3))
    return acc, gyr, np.array([20, 20, 19, 18, 7, 6, 5, 4, 3, 2, 1, 13])


def test_statistics_of_each_window_against_scipy(windows):
    acc, gyr, length = windows
    result = window_features.window_statistics(acc, gyr, length).reshape(12, 2, 2, 4, 8)
    for i in range(12):
        for s in range(2):
            for m, signal in enumerate((acc, gyr)):
                x = signal[i, : length[i], s]
                x = np.column_stack([x, np.sqrt((x**2).sum(1))])
                oracle = [
                    x.mean(0),
                    x.std(0),
                    x.min(0),
                    x.max(0),
                    np.median(x, 0),
                    np.sqrt((x**2).mean(0)),
                    np.sqrt((np.diff(x, axis=0) ** 2).mean(0)) if len(x) > 1 else np.zeros(4),
                    scipy.stats.skew(x) if len(x) > 1 else np.zeros(4),
                ]
                np.testing.assert_allclose(result[i, s, m].T, oracle, atol=1e-9)


def test_padding_is_never_seen(windows, monkeypatch):
    acc, gyr, length = (np.array(a) for a in windows)
    clean = (
        window_features.window_statistics(acc, gyr, length),
        window_features.subsampled_signals(acc, gyr, length, 3),
        window_features.extreme_times(acc, gyr, length),
    )
    beyond = np.arange(20) >= length[:, None]
    acc[beyond], gyr[beyond] = 1e6, -1e6
    monkeypatch.setattr(window_features, "CHUNK", 5)
    np.testing.assert_allclose(
        window_features.window_statistics(acc, gyr, length), clean[0], rtol=1e-12
    )
    np.testing.assert_array_equal(window_features.subsampled_signals(acc, gyr, length, 3), clean[1])
    np.testing.assert_array_equal(window_features.extreme_times(acc, gyr, length), clean[2])


def test_samples_are_every_fourth(windows):
    acc, gyr, length = windows
    result = window_features.subsampled_signals(acc, gyr, length).reshape(12, 5, 2, 6)
    np.testing.assert_array_equal(result[0, 3, 1, :3], acc[0, 12, 1])
    np.testing.assert_array_equal(result[0, 3, 1, 3:], gyr[0, 12, 1])
    assert (result[5, 2:] == 0).all()


def test_times_are_those_of_the_extremes(windows):
    acc, gyr, length = windows
    result = window_features.extreme_times(acc, gyr, length).reshape(12, 2, 2, 4, 2)
    for i in range(12):
        for s in range(2):
            for m, signal in enumerate((acc, gyr)):
                axes = [*signal[i, : length[i], s].T.tolist()]
                axes.append(
                    [sum(value**2 for value in sample) for sample in zip(*axes, strict=True)]
                )
                oracle = [(x.index(min(x)), x.index(max(x))) for x in axes]
                np.testing.assert_array_equal(result[i, s, m], oracle)


def test_records_hold_what_is_asked_for_row_by_row(windows):
    acc, gyr, length = windows
    arrays = {name: view(acc, gyr, length) for name, view in window_features.FEATURES.items()}
    rows = np.array([7, 0, 3])
    records = window_features.records(arrays, rows)
    assert records.dtype.names == tuple(arrays) and len(records) == 3
    sample = [*acc[0, 4, 0], *gyr[0, 4, 0], *acc[0, 4, 1], *gyr[0, 4, 1]]
    np.testing.assert_array_equal(records["signals"][1, 4], np.float32(sample))
    np.testing.assert_array_equal(records["length"], length[rows])
    side_by_side = window_features.columns(records[1:], ("times", "samples"))
    expected = np.hstack([arrays["times"][[0, 3]], arrays["samples"][[0, 3]]])
    np.testing.assert_array_equal(side_by_side, expected)
    with_embedding = window_features.records(arrays | {"embedding": np.ones((12, 2))})
    assert window_features.columns(with_embedding, ()).shape == (12, 2)
