"""Clocks: time stamps as devices write them, put on a regular clock or refused by name.

A sample has a stamp of its own, taken when it was measured. Where a device stamps blocks of
samples, or their arrival in bursts, `spread_stamps` spreads them evenly again, if it is asked to;
what else is wrong with a clock is a `ClockError` that says what was seen.
"""

import numpy as np

from imujax.errors import UserError

USUAL = 1.5  # times the median step: what is longer is a gap
LONG = 5  # times the median step: longer than the gaps that lost samples leave
LEAST_RATE = 0.5  # Hz of anything that moves
ATOL = 1e-6  # of a step: a point of the grid that lies so near to a stamp is that stamp
COUNTERS = (8, 16, 24, 32)  # bits of a counter that wraps
STAMPED = ("first", "middle", "last")  # sample of a block that its stamp is the time of


class ClockError(UserError):
    """What is wrong with a clock.

    Attributes
    ----------
    fault : str
        "blocks", "repeat", "bursts", "restart", "order", "gap", "missing", "rate" or "number".
    """

    def __init__(self, sentence: str, fault: str):
        super().__init__(sentence)
        self.fault = fault


def check_stamps(time: np.ndarray, source: str) -> None:
    """Require that stamps rise, each sample having its own.

    Parameters
    ----------
    time : ndarray, [T]
        Stamps [s].
    source : str
        The file name that error sentences show.

    Raises
    ------
    ClockError
        Saying what kind of clock it looks like, and where.
    """
    if time.ndim != 1 or len(time) < 2:
        raise ClockError(f"{source}: needs at least two samples, each with a time stamp", "number")
    if not np.isfinite(time).all():
        row = np.argmax(~np.isfinite(time))
        raise ClockError(f"{source}: the time stamp of row {row} is no number", "number")
    step = np.diff(time)
    if (step < 0).any():
        _refuse_going_back(time, step, source)
    if (step == 0).any():
        row = int(np.argmax(step == 0))
        size = len(time) / (1 + (step > 0).sum())
        place = f"{source}: the time repeats at {time[row]:.3f} s (row {row + 1})"
        place += (
            f", and {(step == 0).sum()} of {len(time)} samples have the stamp of the one before"
        )
        if size < 1.5:
            raise ClockError(f"{place}, with other values: two samples for one moment", "repeat")
        raise ClockError(f"{place}: blocks of about {size:.0f} share one", "blocks")
    mean, median = (time[-1] - time[0]) / len(step), np.median(step)
    pauses = step[step > USUAL * median]
    if mean > USUAL * median and len(pauses) >= 3 and np.median(pauses) > LONG * median:
        raise ClockError(
            f"{source}: the stamps come in bursts: half of them lie {median:.4g} s or less after "
            f"the one before, but {mean:.4g} s on the mean, as packets do that are stamped when "
            "they arrive",
            "bursts",
        )


def _refuse_going_back(time: np.ndarray, step: np.ndarray, source: str) -> None:
    """The stamps go back somewhere: a counter that wraps, a new start, or rows out of order."""
    row = int(np.argmax(step < 0))
    place = f"{source}: the time goes back at {time[row]:.3f} s (row {row + 1})"
    usual = np.median(step[step > 0]) if (step > 0).any() else 0.0
    if (step < 0).sum() > 0.01 * len(step) or usual == 0:
        raise ClockError(
            f"{place}, and {(step < 0).sum()} times in all: the rows are not in the "
            "order in which they were measured",
            "order",
        )
    back = -step[row]
    if back < 20 * usual:
        raise ClockError(f"{place}, by {back:.4g} s: rows out of order there", "order")
    if time[row + 1] - time[0] < 0.02 * (time[row] - time[0]) + 2 * usual:
        raise ClockError(
            f"{place}, to {time[row + 1]:.3f} s: the clock begins anew, or a counter wraps: a "
            "second recording in one file, or a wrapped clock",
            "restart",
        )
    raise ClockError(f"{place}, by {back:.4g} s: the clock was set back", "restart")


def unwrap_counter(counts: np.ndarray, source: str) -> np.ndarray:
    """Take a packet counter that wraps around to one that rises.

    Parameters
    ----------
    counts : ndarray, [T]
        Whole numbers.
    source : str
        The file name that error sentences show.

    Returns
    -------
    ndarray, [T], float64
        Rising; a step above one is as many packets lost.

    Raises
    ------
    ClockError
        For values that are missing, not whole, repeated, or that go back without having wrapped.
    """
    counts = np.asarray(counts, np.float64)
    if not np.isfinite(counts).all() or (counts != np.round(counts)).any():
        row = np.argmax(~(counts == np.round(counts)))
        raise ClockError(f"{source}: the counter of row {row} is no whole number", "number")
    step = np.diff(counts)
    bits = next((b for b in COUNTERS if counts.max(initial=0) < 2**b), None)
    if bits and (step < 0).any() and counts.min() >= 0:
        wraps = step < -(2 ** (bits - 1))
        step = step + wraps * 2.0**bits
    if (step <= 0).any():
        row = int(np.argmax(step <= 0))
        fault = "repeats" if step[row] == 0 else "goes back"
        raise ClockError(
            f"{source}: the counter {fault} at {counts[row]:.0f} (row {row + 1}), and has not "
            "wrapped around: more than one recording, or no packet counter",
            "order",
        )
    return counts[0] + np.concatenate([[0.0], np.cumsum(step)])


def spread_stamps(time: np.ndarray, source: str, sample: str = "middle") -> np.ndarray:
    """Spread the stamps of blocks or bursts evenly: sample k of a stretch at its line through them.

    A step over three times the usual one between blocks ends a stretch, and stays a gap.

    Parameters
    ----------
    time : ndarray, [T]
        Stamps [s]; may repeat, must not go back.
    source : str
        The file name that error sentences show.
    sample : str
        Which one of a block its stamp is the time of: one of STAMPED.

    Returns
    -------
    ndarray, [T]

    Raises
    ------
    ClockError
        Where stamps go back or are no numbers, or there are fewer than three blocks.
    """
    if not np.isfinite(time).all():
        check_stamps(time, source)
    step = np.diff(time)
    if (step < 0).any():
        _refuse_going_back(time, step, source)
    jumps = np.flatnonzero(step > LONG * np.median(step))
    if len(jumps) < 2:
        raise ClockError(
            f"{source}: its stamps come neither in blocks nor in bursts, so there is nothing to "
            "spread",
            "number",
        )
    between = np.median(np.diff(time[jumps + 1]))
    breaks = np.flatnonzero(step > 3 * between) + 1
    even = np.concatenate([_spread_stretch(x, sample) for x in np.split(time, breaks)])
    check_stamps(even, source)
    return even


def _spread_stretch(time: np.ndarray, sample: str) -> np.ndarray:
    """The line through one sample of each block, of which the first and the last may be cut off."""
    step = np.diff(time)
    jumps = np.flatnonzero(step > LONG * np.median(step)) if len(step) else np.zeros(0, int)
    index = np.arange(len(time))
    if len(jumps) < 3:  # too few whole blocks
        slope, first = np.polyfit(index, time, 1) if len(time) > 1 else (0.0, time[0])
        return first + slope * index
    firsts, lasts = jumps[:-1] + 1, jumps[1:]
    at = {"first": firsts, "last": lasts, "middle": (firsts + lasts) / 2}[sample]
    slope, first = np.polyfit(at, np.interp(at, index, time), 1)
    return first + slope * index


def find_rate(time: np.ndarray) -> float:
    """The rate of stamps that rise [Hz].

    Parameters
    ----------
    time : ndarray, [T]
        Stamps [s], with `check_stamps` behind them.

    Returns
    -------
    float
        A whole number, where it is one to 5 in 10,000.
    """
    step = np.diff(time)
    # The mean of the ordinary steps: a median of stamps rounded to 1 ms would be 1 % off at 30 Hz.
    measured = float(1 / step[step < USUAL * np.median(step)].mean())
    whole = round(measured)
    return float(whole) if whole and abs(measured / whole - 1) < 5e-4 else measured


def regular_clock(
    time: np.ndarray,
    values: np.ndarray,
    rate: float | None,
    max_gap_s: float,
    source: str,
    n_filled: int = 0,
) -> tuple[np.ndarray, float, int]:
    """Put stamped samples on a regular clock by linear interpolation.

    Parameters
    ----------
    time : ndarray, [T]
        Stamps [s].
    values : ndarray, [T, ...]
        NaN where one is missing.
    rate : float or None
        The declared rate [Hz]; None takes it from the stamps.
    max_gap_s : float
        How far apart neighbouring stamps may be [s].
    source : str
        The file name that error sentences show.
    n_filled : int
        So many of the first columns are interpolated over missing values too, each from its own
        samples, where no more than max_gap_s lacks.

    Returns
    -------
    values : ndarray, [N, ...]
        From time[0] on; NaN beside missing values of the other columns.
    rate : float
        Hz
    filled : int
        Number of samples with no stamp, or in a filled column no value, within half a step.

    Raises
    ------
    ClockError
        Naming the file and the time for stamps that are none (see `check_stamps`), a rate more than
        1 % off the stamps, and neighbouring stamps too far apart.
    """
    time = np.asarray(time, np.float64)
    values = np.asarray(values, np.float64)
    if len(time) != len(values):
        raise ClockError(f"{source}: {len(time)} stamps for {len(values)} samples", "number")
    check_stamps(time, source)
    step = np.diff(time)
    measured = find_rate(time)
    if rate is None:
        rate = measured
    elif abs(measured / rate - 1) > 0.01:
        says = f"{measured:.2f}" if measured >= LEAST_RATE else f"{measured:.2g}"
        raise ClockError(
            f"{source}: the time stamps say {says} Hz, the declared rate is {rate:g} Hz", "rate"
        )
    if measured < LEAST_RATE:
        raise ClockError(
            f"{source}: the time stamps say {measured:.2g} Hz, and nothing that moves is recorded "
            "so slowly: stamps in a smaller unit, us or ns?",
            "rate",
        )
    worst = int(np.argmax(step))
    longest = max(max_gap_s, 1.5 / rate)
    if step[worst] > longest:
        raise ClockError(
            f"{source}: no sample for {step[worst]:.3f} s after {time[worst]:.3f} s, more than the "
            f"{max_gap_s:g} s that may be interpolated: split the file there",
            "gap",
        )
    grid = time[0] + np.arange(int((time[-1] - time[0]) * rate + 1e-6) + 1) / rate
    is_far = _distance(grid, time) > 0.51 / rate
    columns = []
    for i, column in enumerate(values.reshape(len(values), -1).T):
        on_grid = np.interp(grid, time, column)
        if not np.isfinite(column).all():
            on_grid = _use_own_samples(grid, time, column, on_grid, rate)
            if i < n_filled:
                on_grid, is_hole = _bridge(grid, time, column, on_grid, max_gap_s, rate)
                is_far |= is_hole
        columns.append(on_grid)
    regular = np.stack(columns, axis=1).reshape(len(grid), *values.shape[1:])
    return regular, rate, int(is_far.sum())


def _distance(grid: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Of each point of the grid to the nearest stamp [s]."""
    after = np.clip(np.searchsorted(time, grid), 1, len(time) - 1)
    return np.minimum(np.abs(grid - time[after - 1]), np.abs(time[after] - grid))


def _use_own_samples(
    grid: np.ndarray, time: np.ndarray, column: np.ndarray, on_grid: np.ndarray, rate: float
) -> np.ndarray:
    """A sample is not lost for a missing neighbour where the grid misses it by a rounding error."""
    after = np.clip(np.searchsorted(time, grid), 1, len(time) - 1)
    nearest = np.where(grid - time[after - 1] < time[after] - grid, after - 1, after)
    is_sample = np.abs(grid - time[nearest]) < ATOL / rate
    return np.where(is_sample & np.isnan(on_grid), column[nearest], on_grid)


def _bridge(
    grid: np.ndarray,
    time: np.ndarray,
    column: np.ndarray,
    on_grid: np.ndarray,
    max_gap_s: float,
    rate: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Fill holes between samples, and say where none lies within half a step.

    What lacks longer than max_gap_s stays NaN.
    """
    own, samples = time[np.isfinite(column)], column[np.isfinite(column)]
    if len(own) < 2:
        return on_grid, np.zeros(len(grid), bool)
    after = np.clip(np.searchsorted(own, grid), 1, len(own) - 1)
    is_between = (own[after - 1] <= grid) & (grid <= own[after])
    is_near = is_between & (own[after] - own[after - 1] <= max_gap_s + 1.01 / rate)
    is_bridged = np.isnan(on_grid) & is_near
    filled = np.where(is_bridged, np.interp(grid, own, samples), on_grid)
    return filled, is_bridged & (_distance(grid, own) > 0.51 / rate)


def fill_short_gaps(
    values: np.ndarray, rate: float, max_gap_s: float, source: str
) -> tuple[np.ndarray, np.ndarray]:
    """Fill all runs of NaN as `fill_gaps` does, and say where that is no more than a guess.

    Parameters
    ----------
    values : ndarray, [T, C]
    rate : float
        Hz
    max_gap_s : float
        How long a run may be [s].
    source : str
        The file name that error sentences show.

    Returns
    -------
    filled : ndarray, [T, C]
        Zero where a column has no number at all.
    is_gap : ndarray, [T], bool
        Where a column lacks more.
    """
    is_gap = np.zeros(len(values), bool)
    for missing in np.isnan(values).T:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], missing, [0]]))).reshape(-1, 2)
        for first, last in edges:
            if last - first > max_gap_s * rate or missing.all():
                is_gap[first:last] = True
    if is_gap.all():
        return np.zeros_like(values), is_gap
    return fill_gaps(values, rate, np.inf, source)[0], is_gap


def fill_gaps(
    values: np.ndarray, rate: float, max_gap_s: float, source: str
) -> tuple[np.ndarray, int]:
    """Fill runs of NaN by linear interpolation, each column by itself.

    At the ends the nearest value is held.

    Parameters
    ----------
    values : ndarray, [T, ...]
    rate : float
        Hz
    max_gap_s : float
        How long a run may be [s].
    source : str
        The file name that error sentences show.

    Returns
    -------
    filled : ndarray, [T, ...]
    count : int
        Number of samples filled.

    Raises
    ------
    UserError
        Naming the file and the time for a run that is too long.
    """
    filled = np.array(values, np.float64)
    flat = filled.reshape(len(filled), -1)
    bad = np.isnan(flat)
    rows = np.arange(len(flat))
    for column, missing in zip(flat.T, bad.T, strict=True):
        if not missing.any():
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(int)))
        first, last = edges[::2], edges[1::2]
        worst = int(np.argmax(last - first))
        seconds = (last[worst] - first[worst]) / rate
        if seconds > max_gap_s or missing.all():
            raise ClockError(
                f"{source}: {last[worst] - first[worst]} values in a row are missing from "
                f"{first[worst] / rate:.2f} s on, more than the {max_gap_s:g} s that may be "
                "interpolated: split the file there",
                "missing",
            )
        column[missing] = np.interp(rows[missing], rows[~missing], column[~missing])
    return filled, int(bad.any(axis=1).sum())
