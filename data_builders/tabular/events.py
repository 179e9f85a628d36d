"""Events in a signal, and the statistic of a signal around an event. numpy only.

A span of time is half open: it holds the samples with start <= time < end. A tolerance of a
millionth of a sample keeps rounding errors of the clock out of that rule.
"""

import numpy as np

from imujax.data.recordings import Channel
from imujax.data_builders.tabular.card import Events, Target

_EPS = 1e-6  # samples


def target_span(target: Target, event: float, start: float, end: float) -> tuple[float, float]:
    """(first time, end) [s] of the target's span for an event in a recording from start to end."""
    if target.end_share is not None:
        return event + target.start, start + target.end_share * (end - start)
    return event + target.start, event + (target.end or 0.0)


def sample_range(channel: Channel, first: float, end: float) -> tuple[int, int]:
    """(first sample, last + 1) of `channel` with first <= time < end [s]; they may lie outside."""
    edges = (np.array([first, end]) - channel.start) * channel.rate
    return tuple(int(edge) for edge in np.ceil(edges - _EPS))


def find_crossings(
    channel: Channel, rule: Events, target: Target | None, start: float, end: float
) -> np.ndarray:
    """Times [s] of the events in a channel of a recording that runs from `start` to `end` [s].

    A crossing is a sample at or above `level` after one below it. It is an event where the last
    event lies at least `distance` s before, at most the share `below` of the samples in the next
    `hold` s (this one included) is below the level, and the channel reaches `peak` in the
    target's span. A crossing that is refused does not count for the distance.
    """
    x = np.asarray(channel.values, np.float64)
    hold = max(1, round(rule.hold * channel.rate))
    distance = rule.distance * channel.rate - _EPS
    times, last = [], -np.inf
    for i in np.flatnonzero((x[1:] >= rule.level) & (x[:-1] < rule.level)) + 1:
        low = (x[i : i + hold] < rule.level).sum()
        if i - last < distance or low > rule.below * hold + _EPS:
            continue
        time = channel.start + i / channel.rate
        if rule.peak > -np.inf and target is not None:
            a, b = sample_range(channel, *target_span(target, time, start, end))
            if not (x[max(a, 0) : max(b, 0)] >= rule.peak).any():
                continue
        times.append(time)
        last = i
    return np.array(times, np.float64)


def find_duration(
    channel: Channel | None, times: np.ndarray, target: Target, event: float, span: tuple
) -> float | str:
    """How long after an event the channel crosses the level, or the next of `times` comes [s].

    Within `span`, first <= time < end [s]; a crossing is a sample on the other side of the level
    than the one before, which is at first or later. Or the reason why there is no duration.
    """
    first, end = span
    if channel is None or target.level is None:
        later = times[(times >= first) & (times > event) & (times < end)]
        return (
            float(later[0] - event) if len(later) else "events without a second one for the target"
        )
    a, b = sample_range(channel, first, end)
    if a < 0:
        return "events whose target leaves the recording"
    x = np.asarray(channel.values[a:b], np.float64)
    if not np.isfinite(x).all():
        return "events with missing target values"
    is_low = x < target.level
    crossed = is_low[1:] & ~is_low[:-1] if target.until == "below" else ~is_low[1:] & is_low[:-1]
    if not crossed.any():
        return "events without a crossing for the target"
    return float(channel.start + (a + 1 + np.argmax(crossed)) / channel.rate - event)


def compute_statistic(channel: Channel, target: Target, first: float, end: float) -> float | str:
    """The target's statistic over first <= time < end [s], or the reason why there is none.

    "slope" is that of the least-squares line [unit/s]; "impulse" the sum of the samples over their
    rate [unit s]; "time_of_max" counts from the event [s]; "value" is interpolated linearly at
    `first`.
    """
    x = np.asarray(channel.values, np.float64)
    if target.statistic == "value":
        at = (first - channel.start) * channel.rate
        if not -_EPS <= at <= len(x) - 1 + _EPS:
            return "events whose target leaves the recording"
        value = float(np.interp(at, np.arange(len(x)), x))
        return value if np.isfinite(value) else "events with missing target values"
    a, b = sample_range(channel, first, end)
    if a < 0 or b > len(x):
        return "events whose target leaves the recording"
    if b - a < (2 if target.statistic == "slope" else 1):
        return "events with too few samples for the target"
    x = x[a:b]
    if not np.isfinite(x).all():
        return "events with missing target values"
    if target.statistic == "slope":
        time = (np.arange(len(x)) - (len(x) - 1) / 2) / channel.rate
        return float(time @ x / (time @ time))
    if target.statistic == "impulse":
        return float(x.sum() / channel.rate)
    if target.statistic == "time_of_max":
        event = first - target.start
        return float(channel.start + (a + np.argmax(x)) / channel.rate - event)
    if target.statistic == "range":
        return float(np.ptp(x))
    return float(getattr(np, target.statistic)(x))
