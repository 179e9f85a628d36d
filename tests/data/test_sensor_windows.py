"""Sensor-windows: folded out of data sets, and the order in which batches take them."""

import dataclasses

import numpy as np
from ml_collections import ConfigDict

from imujax.data import datasets, sensor_windows


def make_dataset(count=40, sensors=3, seed=0) -> datasets.Dataset:
    rng = np.random.default_rng(seed)
    names = np.array([f"s{i % 4}" for i in range(count)])
    return datasets.Dataset(
        acc=rng.normal(size=(count, 48, sensors, 3)).astype(np.float32),
        gyr=rng.normal(size=(count, 48, sensors, 3)).astype(np.float32),
        length=np.full(count, 48, np.int32),
        subject=names,
        recording=names,
        activity=names,
        condition=names,
        start=np.arange(count, dtype=np.float32),
        target=None,
        info={
            "rate": 100.0,
            "sensors": ["a", "b", "c"][:sensors],
            "targets": [],
            "window": 48,
            "subjects": sorted(set(names.tolist())),
        },
    )


def test_samples_are_the_sensors_of_each_window(monkeypatch):
    sets = {"one": make_dataset(), "two": make_dataset(count=7, sensors=1, seed=1)}
    still = sets["one"].acc[3, :, 1]
    still[:] = [0, 9.81, 0]  # a sensor that does not move in one window

    def pieces(path, sensors, size=16):
        for first in range(0, len(sets[path].acc), size):
            yield dataclasses.replace(
                sets[path],
                **{
                    name: getattr(sets[path], name)[first : first + size]
                    for name in ("acc", "gyr", "length", "start", *datasets.STRING_FEATURES)
                },
            )

    monkeypatch.setattr(datasets, "read_metadata", lambda path: sets[path].info)
    monkeypatch.setattr(datasets, "iter_arrays", pieces)
    config = ConfigDict({"rate": 100.0, "window": 32, "sensors": (), "motion": 0.3})
    folded, counts = sensor_windows.load_sensor_windows(["one", "two"], config)
    assert counts == {"samples": 40 * 3 + 7 - 1, "dropped without motion": 1}
    row = 3 * 5 + 2 - 1  # window 5, sensor 2, one sample left out before it
    np.testing.assert_array_equal(folded.acc[row], sets["one"].acc[5, :, 2])
    np.testing.assert_array_equal(folded.gyr[row], sets["one"].gyr[5, :, 2])
    assert folded.window[row] == 5 and folded.sensor[row] == 2
    # ids of different sets never meet
    first, second = folded.take(slice(0, 119)), folded.take(slice(119, None))
    for name in ("window", "recording", "subject", "sensor"):
        assert not set(getattr(first, name)) & set(getattr(second, name))


def test_an_epoch_takes_every_sample_once_and_is_a_function_of_the_step():
    window = np.repeat(np.arange(50), 3)
    order = sensor_windows.WindowOrder(window, batch=40, seed=3, grouped=False)
    rows = np.concatenate([order.rows(step) for step in range(15)])  # 600 = 4 epochs of 150
    for epoch in rows.reshape(4, 150):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(150))
    again = sensor_windows.WindowOrder(window, batch=40, seed=3, grouped=False)
    np.testing.assert_array_equal(again.rows(9), rows[360:400])
    other = sensor_windows.WindowOrder(window, batch=40, seed=4, grouped=False)
    assert (other.rows(9) != rows[360:400]).any()


def test_grouped_order_keeps_the_sensors_of_a_window_together():
    window = np.repeat(np.arange(50), 3)
    rows = sensor_windows.WindowOrder(window, batch=150, seed=0, grouped=True).rows(0)
    windows = window[rows].reshape(50, 3)
    assert (windows == windows[:, :1]).all() and (windows[:, 0] != np.arange(50)).any()
