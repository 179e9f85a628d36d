"""Events of one sensor, against signals whose peaks are known."""

import numpy as np
import pytest

from imujax import UserError
from imujax.data import contacts, sensor_events
from imujax.data.sensor_events import SensorEvents

RATE = 100.0
SENSORS = ("back", "foot")


def pushes(times, heights, seconds=20.0, drift=0.0):
    """A unit at rest that is pushed upwards for a tenth of a second: acc, gyr [T, 2, 3]."""
    t = np.arange(round(seconds * RATE)) / RATE
    acc, gyr = np.zeros((len(t), 2, 3)), np.zeros((len(t), 2, 3))
    acc[..., 2] = 9.81 + drift * np.sin(2 * np.pi * 0.05 * t)[:, None]
    for time, height in zip(times, heights, strict=True):
        acc[:, 0, 2] += height * np.exp(-(((t - time) / 0.05) ** 2))
        gyr[:, 1, 1] -= height * np.exp(-(((t - time - 0.3) / 0.05) ** 2))
    return acc, gyr


def find(rule, acc, gyr):
    return sensor_events.find(rule, acc, gyr, RATE, SENSORS, "walk")


TIMES, HEIGHTS = [2.0, 3.0, 3.2, 7.5, 12.0], [4.0, 4.0, 3.0, 1.0, 5.0]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SensorEvents("back", prominence=0.5), TIMES),
        (SensorEvents("back", prominence=2.0), [2.0, 3.0, 3.2, 12.0]),
        (SensorEvents("back", peaks="acc.z", height=13.5), [2.0, 3.0, 12.0]),
        (SensorEvents("back", height=10.5, distance=0.25), [2.0, 3.0, 7.5, 12.0]),
        (SensorEvents("back", height=10.5, distance=0.2), TIMES),
        (SensorEvents("foot", peaks="gyr", height=2.0), [2.3, 3.3, 3.5, 12.3]),
        (SensorEvents("foot", peaks="gyr.y", height=2.0), []),
        (SensorEvents("foot", peaks="gyr.y", scale=-1.0, height=2.0), [2.3, 3.3, 3.5, 12.3]),
    ],
)
def test_peaks_lie_where_the_unit_was_pushed(rule, expected):
    found = find(rule, *pushes(TIMES, HEIGHTS))
    np.testing.assert_allclose(found, expected, atol=0.011)


def test_a_band_takes_away_what_is_slow():
    """A drift of 5 m/s^2 is a peak at 5 s too, and a band-pass knows better."""
    acc, gyr = pushes(TIMES, HEIGHTS, drift=5.0)
    rule = SensorEvents("back", peaks="acc.z", height=10.5, distance=0.25)
    assert np.isclose(find(rule, acc, gyr), 5.0, atol=0.02).any()
    banded = SensorEvents("back", None, "acc.z", 1.0, (0.5, 20.0), 0.4, 0.6, 0.25)
    np.testing.assert_allclose(find(banded, acc, gyr), [2.0, 3.0, 7.5, 12.0], atol=0.02)


def test_contacts_are_those_of_the_unit():
    t = np.arange(3000) / RATE
    acc, gyr = np.zeros((3000, 2, 3)), np.zeros((3000, 2, 3))
    acc[..., 2] = 9.81 + 3 * np.sin(2 * np.pi * 1.8 * t)[:, None]
    found = find(SensorEvents("back", "back"), acc, gyr)
    np.testing.assert_array_equal(found, contacts.of_lower_back(acc[:, 0], RATE))
    assert len(found) == pytest.approx(54, abs=1)


@pytest.mark.parametrize("unit", ["foot", "shank"])
def test_a_unit_of_the_leg_is_asked_when_its_foot_is_set_down(unit, monkeypatch):
    acc, gyr = pushes([2.0], [4.0])
    asked = []

    def rule(signal, rate):
        asked.append((signal, rate))
        return contacts.Contacts(np.array([1.0, 2.5]), np.array([0.5, 2.0]))

    monkeypatch.setattr(contacts, f"of_{unit}", rule)
    assert find(SensorEvents("foot", unit), acc, gyr).tolist() == [1.0, 2.5]
    ((signal, rate),) = asked
    np.testing.assert_array_equal(signal, gyr[:, 1])
    assert rate == RATE


@pytest.mark.parametrize("rate", [5.0, 10.0, 20.0])
@pytest.mark.parametrize("unit", [*sensor_events.CONTACTS, None])
def test_the_shortest_recordings_at_the_lowest_rates(unit, rate):
    """Whatever is found there: no filter has too few samples."""
    rule = SensorEvents("back", unit, band=(0.5, 2.0), height=1.0)
    for count in range(int(rate) - 1, 3 * int(rate)):
        acc, gyr = (x[:count] for x in pushes([0.5], [4.0]))
        sensor_events.find(rule, acc, gyr, rate, SENSORS, "walk")


def test_what_cannot_be_looked_for():
    acc, gyr = pushes([2.0], [4.0])
    assert not len(find(SensorEvents("back", "foot"), acc[:80], gyr[:80]))
    with pytest.raises(UserError, match="walk: events of hip, and there are back, foot"):
        find(SensorEvents("hip", height=1.0), acc, gyr)
    with pytest.raises(UserError, match="up to 50 Hz, and at 100 Hz there is nothing beyond 50"):
        find(SensorEvents("back", band=(1.0, 50.0), height=1.0), acc, gyr)
