"""From a recording to windows: resample, filter, cut, test for movement, count what is dropped."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from scipy import signal

from imujax.data.recordings import Recording
from imujax.errors import UserError

Dropped = Counter  # reason -> number of windows, steps or samples
CURVE_GAP = "windows whose curve has a gap"  # a reason


def resample(x: np.ndarray, rate_in: float, rate_out: float) -> np.ndarray:
    """Bring a signal to another rate.

    Polyphase, by a zero-phase Kaiser low-pass: flat to 90 % of the lower Nyquist frequency and
    more than 50 dB down from that Nyquist frequency on. The ends are continued by the line through
    them and every phase of the filter sums to one, so a constant stays exactly constant.

    Parameters
    ----------
    x : ndarray, [T, ...]
    rate_in, rate_out : float
        Hz

    Returns
    -------
    ndarray, [ceil(T * rate_out / rate_in), ...]

    Raises
    ------
    UserError
        Where no ratio of small whole numbers takes one rate to the other.
    """
    ratio = rate_ratio(rate_in, rate_out)
    up, down = ratio.numerator, ratio.denominator
    x = np.asarray(x, np.float64)
    if up == down:
        return x
    widest = max(up, down)
    kaiser: Any = ("kaiser", 5.65)
    taps = np.asarray(signal.firwin(2 * 36 * widest + 1, 0.95 / widest, window=kaiser))
    for phase in range(up):
        taps[phase::up] /= up * taps[phase::up].sum()
    return signal.resample_poly(x, up, down, axis=0, window=taps, padtype="line")


def rate_ratio(rate_in: float, rate_out: float) -> Fraction:
    """Take rate_out / rate_in as a ratio of whole numbers up to 1000; UserError if none is near."""
    ratio = Fraction(rate_out / rate_in).limit_denominator(1000)
    if ratio <= 0 or abs(float(ratio) * rate_in / rate_out - 1) > 1e-4:
        raise UserError(
            f"no ratio of whole numbers up to 1000 takes {rate_in:g} to {rate_out:g} Hz"
        )
    return ratio


def lowpass(x: np.ndarray, rate: float, cutoff: float, order: int = 4) -> np.ndarray:
    """Filter a signal by a Butterworth low-pass, forwards and backwards, so without delay.

    Two passes square the magnitude, 1 / (1 + (tan(pi f / rate) / tan(pi cutoff / rate))^(2 order)):
    the effective order is 2 * order and the gain at `cutoff` is one half (-6 dB).

    Parameters
    ----------
    x : ndarray, [T, ...]
    rate, cutoff : float
        Hz
    order : int
        That of the one-way filter.

    Returns
    -------
    ndarray, [T, ...]

    Raises
    ------
    UserError
        Where the cut-off does not lie below the Nyquist frequency.
    """
    if not 0 < cutoff < rate / 2:
        raise UserError(f"the cut-off {cutoff:g} Hz must lie between 0 and {rate / 2:g} Hz")
    sections = signal.butter(order, cutoff, fs=rate, output="sos")
    return signal.sosfiltfilt(sections, x, axis=0)


def fixed_starts(
    n: int, length: int, stride: int, bounds: Sequence[tuple[int, int]] | None = None
) -> np.ndarray:
    """First samples of all windows of `length`, `stride` apart, in a recording of n samples.

    With `bounds`, a list of (first sample, last sample + 1), the windows are cut inside each
    stretch by itself and none straddles an end.
    """
    stretches = [(max(a, 0), min(b, n)) for a, b in (bounds if bounds is not None else [(0, n)])]
    starts = [np.arange(a, b - length + 1, stride) for a, b in stretches]
    return np.concatenate([np.zeros(0, int), *starts]).astype(int)


def event_starts(
    events: np.ndarray, before: int, after: int, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Place windows around events.

    Parameters
    ----------
    events : ndarray, [E]
        Sample numbers.
    before, after : int
        A window is [event - before, event + after).
    n : int
        Samples of the recording.

    Returns
    -------
    starts : ndarray, [N]
        First samples of the windows that lie inside.
    inside : ndarray, [E], bool
        The events that have such a window.
    """
    starts = np.asarray(events, int) - before
    inside = (starts >= 0) & (starts + before + after <= n)
    return starts[inside], inside


def cut_windows(x: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """x [T, ...], starts [N] -> [N, length, ...], a copy."""
    return x[np.asarray(starts, int)[:, None] + np.arange(length)]


def pad_window(x: np.ndarray, length: int) -> tuple[np.ndarray, int]:
    """Cut a signal, or fill it with zeros, to a length.

    Parameters
    ----------
    x : ndarray, [T, ...]
    length : int

    Returns
    -------
    window : ndarray, [length, ...]
    valid : int
        Its true length, min(T, length).
    """
    valid = min(len(x), length)
    window = np.zeros((length, *x.shape[1:]), x.dtype)
    window[:valid] = x[:valid]
    return window, valid


def cut_curve(
    curve: np.ndarray, start: int, length: int, window: int, every: int = 1
) -> np.ndarray | None:
    """Cut a window's part of a curve.

    Parameters
    ----------
    curve : ndarray, [T, C]
        At the rate of the windows; no number where nothing is known.
    start, length : int
        Samples: of the window the first one, and those that are valid.
    window : int
        Samples of the window.
    every : int
        Samples of the window for each value.

    Returns
    -------
    ndarray, [ceil(window / every), C], or None
        Zero beyond `length`; None where a number is missing within it.
    """
    part, known = pad_window(curve[start : start + length], window)
    return part[::every] if known == length and np.isfinite(part).all() else None


def length_mask(length: np.ndarray, window: int) -> np.ndarray:
    """length [N] -> [N, window] bool, True where a sample is valid."""
    return np.arange(window) < np.asarray(length)[:, None]


def motion(acc: np.ndarray) -> np.ndarray:
    """acc [N, L, S, 3] -> [N, S]: standard deviation in the window, mean of three axes [m/s^2]."""
    return acc.std(axis=1).mean(axis=-1)


def unlabelled_examples(
    recording: Recording,
    rate: float,
    window: int,
    stride: int,
    least_motion: float,
    together: bool = False,
    curve: np.ndarray | None = None,
    every: int = 1,
    across: bool = False,
) -> tuple[list[dict[str, Any]], Dropped]:
    """Cut a recording into unlabelled examples.

    Windows are cut inside each of the recording's intervals, whose name becomes the activity;
    without intervals over the whole recording. Each sensor's part of a window is tested by
    itself: a window stays where `motion` is large enough for one sensor or more. Pre-training
    leaves out the parts of the others.

    Parameters
    ----------
    recording : Recording
    rate : float
        Hz of the examples.
    window, stride : int
        Samples at that rate.
    least_motion : float
        m/s^2
    together : bool
        It is the mean of `motion` over the sensors that counts, as in the study.
    curve : ndarray, [T, C], optional
        Beside the samples of the recording at `rate`; a window in which it has a gap is left out.
    every : int
        Samples of a window for each value of its curve.
    across : bool
        Windows lie across the intervals, as if there were none.

    Returns
    -------
    examples : list of dict
        As of `make_example`.
    dropped : Dropped
        Windows and stretches by the reason why they were left out.
    """
    acc = resample(recording.acc, recording.rate, rate)
    gyr = resample(recording.gyr, recording.rate, rate)
    dropped = Dropped()
    examples = []
    whole = [(recording.activity, 0, len(acc))]
    for activity, first, last in whole if across else _stretches(recording, rate, len(acc)):
        starts = fixed_starts(len(acc), window, stride, [(first, last)])
        if not len(starts):
            dropped["stretches shorter than a window"] += 1
            continue
        moves = motion(cut_windows(acc, starts, window))  # [N, S]
        most = moves.mean(axis=1) if together else moves.max(axis=1)
        moving = most >= least_motion
        reason = "windows that move too little" if together else "windows in which no sensor moves"
        dropped[reason] += int((~moving).sum())
        for s in starts[moving]:
            own = None if curve is None else cut_curve(curve, s, window, window, every)
            if curve is not None and own is None:
                dropped[CURVE_GAP] += 1
                continue
            part = slice(s, s + window)
            offset = s / rate
            examples.append(
                make_example(recording, acc[part], gyr[part], offset, activity, curve=own)
            )
    return examples, +dropped


def _stretches(recording: Recording, rate: float, n: int) -> list[tuple[str, int, int]]:
    """(activity, first sample, last sample + 1) at the new rate; the samples lie inside."""
    if not recording.intervals:
        return [(recording.activity, 0, n)]
    edges = [
        (i.name, i.start - recording.start, i.end - recording.start) for i in recording.intervals
    ]
    return [
        (name, max(0, int(np.ceil(a * rate - 1e-6))), min(n, int(np.floor(b * rate + 1e-6))))
        for name, a, b in edges
    ]


def make_example(
    recording: Recording,
    acc: np.ndarray,
    gyr: np.ndarray,
    offset: float,
    activity: str,
    condition: str = "",
    target: Sequence[float] | np.ndarray | None = None,
    length: int | None = None,
    curve: np.ndarray | None = None,
) -> dict[str, Any]:
    """Make one example as every data set has it.

    Parameters
    ----------
    recording : Recording
        The one that it is cut from.
    acc, gyr : ndarray, [L, S, 3]
        m/s^2, gravity included, and rad/s.
    offset : float
        s from the recording's first sample.
    activity, condition : str
    target : sequence of float, [K], optional
        Where the data set has labels.
    length : int, optional
        The number of valid samples; that of the window unless it was padded.
    curve : ndarray, [Lt, C], optional
        Where the data set has curves: value i belongs to sample i * `curve_every` of the window.

    Returns
    -------
    dict
        acc, gyr float32, length, subject, recording, activity, condition, start [s] on the
        recording's clock from its origin on, and target and curve float32 where they are given.
    """
    example = {
        "acc": np.ascontiguousarray(acc, np.float32),
        "gyr": np.ascontiguousarray(gyr, np.float32),
        "length": len(acc) if length is None else int(length),
        "subject": recording.subject,
        "recording": recording.recording,
        "activity": activity,
        "condition": condition,
        "start": np.float32(recording.start - recording.origin + offset),
    }
    if target is not None:
        example["target"] = np.asarray(target, np.float32)
    if curve is not None:
        example["curve"] = np.ascontiguousarray(curve, np.float32)
    return example


def labelled_examples(
    recording: Recording,
    starts: Sequence[int] | np.ndarray,
    lengths: Sequence[int] | np.ndarray,
    targets: Sequence[float] | np.ndarray,
    window: int,
    condition: str = "",
    curve: np.ndarray | None = None,
) -> tuple[list[dict[str, Any]], Dropped]:
    """Cut a recording into examples with one target each, at its own rate.

    Parameters
    ----------
    recording : Recording
    starts, lengths : sequence of int, [N]
        Samples.
    targets : sequence of float, [N]
    window : int
        Samples of the examples; shorter ones are filled with zeros.
    condition : str
    curve : ndarray, [T, C], optional
        Beside the samples of the recording; a window in which it has a gap is left out.

    Returns
    -------
    examples : list of dict
        As of `make_example`, with a value of the curve for each sample.
    dropped : Dropped
    """
    examples, dropped = [], Dropped()
    for start, length, target in zip(starts, lengths, targets, strict=True):
        acc, valid = pad_window(recording.acc[start : start + length], window)
        gyr, _ = pad_window(recording.gyr[start : start + length], window)
        own = None if curve is None else cut_curve(curve, start, valid, window)
        if curve is not None and own is None:
            dropped[CURVE_GAP] += 1
            continue
        offset = start / recording.rate
        example = make_example(
            recording, acc, gyr, offset, recording.activity, condition, [target], valid, own
        )
        examples.append(example)
    return examples, dropped
