"""A signal or a word along a recording: a value for each sample of its windows."""

import numpy as np

from imujax.data import clocks, windows
from imujax.data.recordings import Channel, Recording
from imujax.data_builders.tabular.card import Card, Target
from imujax.errors import UserError

_EPS = 1e-3  # samples: what rounding makes of a clock that counts from 1970
LENGTH_TOLERANCE = 0.1  # s by which a signal without stamps may be longer or shorter


def lay_curves(card: Card, recording: Recording, count: int) -> np.ndarray | None:
    """Put the curves of a card beside the samples of a recording.

    Parameters
    ----------
    card : Card
    recording : Recording
    count : int
        Samples of the recording at the rate of the windows.

    Returns
    -------
    ndarray, [count, C], or None
        NaN where a signal is not known, or no word of a class holds; None where the card has no
        curves.

    Raises
    ------
    UserError
        A signal without stamps lasts longer or shorter than the recording.
    """
    columns = []
    for key, target in card.curves.items():
        if target.classes:
            columns.append(_number_words(target.classes, recording, card.window.rate, count))
            continue
        channel = recording.channels[key]
        if target.signal.time and not target.signal.time.column:
            _require_length(target, channel, recording)
        max_gap = (target.signal.time or card.time).max_gap
        columns.append(
            sample_along(channel, max_gap, recording.start, card.window.rate, count)
            / target.divisor(recording.mass, recording.height)
        )
    return np.stack(columns, axis=1) if columns else None


def _number_words(
    classes: tuple[str, ...], recording: Recording, rate: float, count: int
) -> np.ndarray:
    """[count] at `rate` [Hz]: the number of the word that holds; of two that do, of the first."""
    numbers = np.full(count, np.nan)
    for interval in reversed(recording.intervals):
        if interval.name in classes:
            span = np.array([interval.start, interval.end]) - recording.start
            first, end = np.maximum(np.ceil(span * rate - _EPS), 0).astype(int)
            numbers[first:end] = classes.index(interval.name)
    return numbers


def _require_length(target: Target, channel: Channel, recording: Recording) -> None:
    seconds = len(channel.values) / channel.rate
    whole = len(recording.acc) / recording.rate
    if abs(seconds - whole) > LENGTH_TOLERANCE:
        raise UserError(
            f'{recording.source}: it lasts {whole:.2f} s, and the curve "{target.name}" '
            f'{seconds:.2f} s, at {channel.rate:g} Hz and without stamps: mend "rate", name its '
            '"time" column, or cut both files alike'
        )


def sample_along(
    channel: Channel, max_gap: float, start: float, rate: float, count: int
) -> np.ndarray:
    """Take a signal at `count` times, `rate` a second from `start` on.

    It is first moved onto that start by linear interpolation at its own rate, then resampled with
    the anti-alias filter of `windows.resample`.

    Parameters
    ----------
    channel : Channel
    max_gap : float
        s: missing values are interpolated up to so long.
    start : float
        s
    rate : float
        Hz
    count : int

    Returns
    -------
    ndarray, [count]
        NaN beside longer gaps, and beyond the ends by a sample or more.
    """
    values = np.where(np.isfinite(channel.values), channel.values, np.nan)[:, None]
    filled, is_gap = clocks.fill_short_gaps(values, channel.rate, max_gap, "")
    own = np.arange(len(filled))
    wanted = np.arange(int(np.ceil(count * channel.rate / rate - _EPS)))
    at = (start - channel.start) * channel.rate + wanted
    is_lost = (np.interp(at, own, is_gap) > _EPS) | (at <= -1) | (at >= len(own))
    curve = windows.resample(np.interp(at, own, filled[:, 0]), channel.rate, rate)[:count]
    curve = np.append(curve, np.full(count - len(curve), np.nan))
    is_lost = np.interp(np.arange(count) * (channel.rate / rate), wanted, is_lost) > _EPS
    return np.where(is_lost, np.nan, curve)
