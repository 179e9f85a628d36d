"""Where the windows of a recording lie that a model is asked to estimate."""

import csv
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from imujax.data import sensor_events, windows
from imujax.data.recordings import Recording
from imujax.errors import UserError

UPSAMPLE = 1.2  # of a recording's rate, beyond which a model would see what nobody measured


class Cut(NamedTuple):
    """How windows are laid: one of the three; none of them: at the recording's own events.

    Attributes
    ----------
    stride : float or None
        s from one window to the next.
    contacts : str or None
        UNIT:SENSOR, where a sensor sits (foot, shank or back) and its name: at the contacts that it
        shows.
    events : mapping or None
        (subject, recording) -> times [s].
    """

    stride: float | None = None
    contacts: str | None = None
    events: Mapping[tuple[str, str], np.ndarray] | None = None


class Windows(NamedTuple):
    """Windows of one recording.

    Attributes
    ----------
    acc, gyr : ndarray, [N, L, S, 3], float32
        m/s^2 and rad/s, the sensors in the order of the model.
    time : ndarray, [N]
        s: of the event, or of the first sample.
    lost : int
        Events whose window leaves the recording.
    """

    acc: np.ndarray
    gyr: np.ndarray
    time: np.ndarray
    lost: int


def read_events(path: pathlib.Path | str) -> dict[tuple[str, str], np.ndarray]:
    """Read given events.

    Parameters
    ----------
    path : Path or str
        A CSV file with the columns subject, recording and time [s].

    Returns
    -------
    dict of ndarray
        (subject, recording) -> times, ascending.

    Raises
    ------
    UserError
        It cannot be read, or lacks a column, or a time is no number.
    """
    found: dict[tuple[str, str], list[float]] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                key = (row["subject"].strip(), row["recording"].strip())
                found.setdefault(key, []).append(float(row["time"]))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: events need the columns subject, recording and time [s] ({error})"
        ) from error
    if not all(np.isfinite(times).all() for times in found.values()):
        raise UserError(f"{path}: a time is no number: leave such a row out")
    return {key: np.sort(times) for key, times in found.items()}


def lay(recording: Recording, card: Mapping[str, Any], cut: Cut) -> Windows:
    """Lay the windows of a recording.

    Parameters
    ----------
    recording : Recording
    card : mapping
        Of the model: rate, window, sensors, before.
    cut : Cut

    Returns
    -------
    Windows

    Raises
    ------
    UserError
        A sensor is missing, the rate is too low, or `cut` says nothing that can be.
    """
    source = recording.source or recording.recording
    missing = [name for name in card["sensors"] if name not in recording.sensors]
    if missing:
        raise UserError(
            f"{source}: the model sees the sensors {', '.join(card['sensors'])}, and there are "
            f"{', '.join(recording.sensors)}: call them so in the card of the recordings"
        )
    if card["rate"] > UPSAMPLE * recording.rate:
        raise UserError(
            f"{source}: was recorded at {recording.rate:.4g} Hz, and the model sees "
            f"{card['rate']:g} Hz, which nobody has measured here"
        )
    chosen = [recording.sensors.index(name) for name in card["sensors"]]
    acc, gyr = (
        windows.resample(x[:, chosen], recording.rate, card["rate"]).astype(np.float32)
        for x in (recording.acc, recording.gyr)
    )
    length, lost = card["window"], 0
    if cut.stride is not None:
        if not 1 <= cut.stride * card["rate"] < np.inf:
            raise UserError(
                f"a stride of {cut.stride:g} s is no time between two windows: it must be a sample "
                "or longer"
            )
        starts = windows.fixed_starts(len(acc), length, round(cut.stride * card["rate"]))
        time = recording.start + starts / card["rate"]
    else:
        # A file that was split has the events of all of its stretches.
        time = np.asarray(_event_times(recording, cut), np.float64)
        end = recording.start + len(recording.acc) / recording.rate
        time = time[(time >= recording.start) & (time < end)]
        at = np.round((time - recording.start) * card["rate"]).astype(int)
        before = card["before"] or 0
        starts, inside = windows.event_starts(at, before, length - before, len(acc))
        time, lost = time[inside], int((~inside).sum())
    acc, gyr = (windows.cut_windows(x, starts, length) for x in (acc, gyr))
    return Windows(acc, gyr, time, lost)


def _event_times(recording: Recording, cut: Cut) -> np.ndarray:
    if cut.contacts is not None:
        unit, _, sensor = cut.contacts.partition(":")
        if unit not in sensor_events.CONTACTS or sensor not in recording.sensors:
            raise UserError(
                f"contacts {cut.contacts!r} must be UNIT:SENSOR, of the units "
                f"{', '.join(sensor_events.CONTACTS)} and the sensors "
                f"{', '.join(recording.sensors)}"
            )
        rule = sensor_events.SensorEvents(sensor, unit)
        signals = (recording.acc, recording.gyr, recording.rate)
        return recording.start + sensor_events.find(
            rule, *signals, recording.sensors, recording.source or recording.recording
        )
    if cut.events is not None:
        return cut.events.get((recording.subject, recording.recording), np.empty(0))
    if "events" in recording.events:
        return recording.events["events"]
    raise UserError(
        "say where windows lie: at the contacts of a unit (foot:SENSOR, shank:SENSOR or "
        "back:SENSOR), at given events, at a stride in s, or by [events] in the card"
    )
