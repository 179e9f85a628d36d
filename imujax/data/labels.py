"""Labels from forces and moments: the rules of the study's three tasks, and the events they need.

Loading rate in running, peak vertical ground reaction force, peak knee flexion moment. Builders of
real and of simulated recordings use the same rules. Arrays and numbers in, arrays out. An event is
a sample number at the rate of the signal it was found in; a stance runs from `strike`, its first
sample, to `off`, the first sample after it. What a rule refuses is counted by reason.
"""

import numpy as np
from scipy import signal

from imujax.data import windows
from imujax.data.recordings import G
from imujax.data.windows import Dropped
from imujax.errors import UserError

CONTACT = 20.0  # N, a foot is on the ground

# Loading rate (Tan et al. 2021)
IMPACT_CUTOFF = 50.0  # Hz
IMPACT_HEIGHT, IMPACT_PROMINENCE = 200.0, 150.0  # N, of a maximum
IMPACT_SHARE = 0.13  # of stance, where there is one maximum
STANCE, IMPACT, RISE = (0.180, 0.380), (0.015, 0.080), (0.005, 0.040)  # s, accepted

# Peak vertical force (Camargo et al. 2021)
PLATE_CUTOFF = 15.0  # Hz
PLATE_RATE = 200.0  # Hz, of the labels and the windows
MARGIN = 10  # samples at 200 Hz after strike and before off in which no peak is looked for
LEAST_PEAK = 0.5  # body weights

# Peak knee flexion moment (Tan et al. 2022)
AROUND = 20  # samples at 100 Hz that a step begins before heel strike and ends after toe-off


def contacts(
    force: np.ndarray, rate: float, threshold: float, source: str, shortest: float = 0.05
) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Stances of one foot in its vertical force [T] N at `rate` [Hz] -> (strikes, offs, dropped).

    A contact is a run of samples at or above `threshold` [N]. Refused are those cut off by an end
    of the recording and bounces, shorter than `shortest` [s]. Runs are never joined: a gap in the
    force leaves two contacts.
    """
    force = _vertical(force, source)
    on = np.concatenate([[False], force >= threshold, [False]])
    strikes, offs = np.flatnonzero(on[1:] != on[:-1]).reshape(-1, 2).T
    cut = (strikes == 0) | (offs == len(force))
    bounce = ~cut & ((offs - strikes) / rate < shortest)
    dropped = Dropped({"contacts cut off by an end of the recording": int(cut.sum())})
    dropped[f"contacts shorter than {1000 * shortest:g} ms"] = int(bounce.sum())
    kept = ~cut & ~bounce
    return strikes[kept], offs[kept], +dropped


def ramp_events(ramp: np.ndarray, source: str) -> np.ndarray:
    """Events in a gait-cycle ramp [T] %, which rises from 0 at one event to 100 at the next.

    So are the columns HeelStrike and ToeOff of Camargo et al. 2021 (J Biomech 119); outside the
    cycles they are 0, or no number. An event is the first sample of a fall through 50 %, which ends
    one ramp and begins the next, or the last sample of rest before a rise. A ramp that is under way
    in the first sample has no event there.
    """
    ramp = np.nan_to_num(np.asarray(ramp, np.float64))
    shares = ramp.ndim == 1 and ramp.max(initial=0) <= 1 and (np.diff(ramp) < -0.5).any()
    if ramp.ndim != 1 or shares or ramp.min(initial=0) < -1 or ramp.max(initial=0) > 101:
        raise UserError(f"{source}: a gait-cycle ramp must be one column that runs from 0 to 100 %")
    falls = (ramp[:-1] > 50) & (ramp[1:] <= 50)
    rest = (ramp == 0) & (np.append(0, ramp[:-1]) == 0)
    rises = rest[:-1] & (ramp[1:] > 0)
    return np.union1d(np.flatnonzero(falls) + 1, np.flatnonzero(rises))


def stances(strikes: np.ndarray, offs: np.ndarray) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Pair heel strikes with toe-offs of the same foot and rate -> (strikes, offs, dropped).

    A stance ends with the first toe-off after its strike; a strike with another strike before
    that, or with no toe-off after it, is refused. Toe-offs before the first strike count nowhere.
    """
    strikes, offs = np.unique(np.asarray(strikes, int)), np.unique(np.asarray(offs, int))
    after = np.searchsorted(offs, strikes, side="right")
    kept = after < np.append(after[1:], len(offs))
    dropped = Dropped({"strikes with no toe-off before the next one": int((~kept).sum())})
    return strikes[kept], offs[after[kept]], +dropped


def loading_rates(
    force: np.ndarray, rate: float, mass: float, source: str, gravity: float = G
) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Vertical loading rate of every accepted stance -> (strikes, rates [BW/s], dropped).

    force [T] N: vertical force under one foot in running at `rate` (1000) [Hz]; `mass` [kg].
    Tan et al., IEEE JBHI 25(4), 2021: low-pass at 50 Hz, 4th-order Butterworth forwards and
    backwards; contact at 20 N; then `loading_slopes`, over body weight. The authors take
    gravity = 10 m/s^2.
    """
    weight = _weight(mass, gravity, source)
    smooth = windows.lowpass(_vertical(force, source), rate, IMPACT_CUTOFF)
    strikes, offs, dropped = contacts(smooth, rate, CONTACT, source)
    slopes, kept, refused = loading_slopes(smooth, rate, strikes, offs)
    return strikes[kept], slopes / weight, dropped + refused


def loading_slopes(
    force: np.ndarray, rate: float, strikes: np.ndarray, offs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Rise of a filtered force [T] N in stances [E] -> (slopes [N/s] of the kept, kept, dropped).

    Tan et al. 2021: the impact peak is the first of two or more maxima (at least 200 N high, with a
    prominence of 150 N), or the force at 13 % of stance where there is one maximum. The slope is
    that between the samples nearest 20 % and 80 % of the impact peak, from strike to the peak.
    Accepted, limits included, are stances of 180 to 380 ms, impact peaks 15 to 80 ms after strike
    and 5 to 40 ms between the two samples.
    """
    found = [_slope(force[a:b], rate) for a, b in zip(strikes, offs, strict=True)]
    kept = np.array([not isinstance(slope, str) for slope in found], bool)
    slopes = np.array([slope for slope in found if not isinstance(slope, str)], np.float64)
    return slopes, kept, Dropped(reason for reason in found if isinstance(reason, str))


def _slope(stance: np.ndarray, rate: float) -> float | str:
    """Slope [N/s] in the force of one stance, or the reason why it has none."""
    if not STANCE[0] <= len(stance) / rate <= STANCE[1]:
        return f"stances not of {_limits(STANCE)}"
    maxima, _ = signal.find_peaks(stance, height=IMPACT_HEIGHT, prominence=IMPACT_PROMINENCE)
    if not len(maxima):
        return f"stances without a maximum of {IMPACT_HEIGHT:g} N"
    peak = int(maxima[0]) if len(maxima) > 1 else round(IMPACT_SHARE * len(stance))
    if not IMPACT[0] <= peak / rate <= IMPACT[1]:
        return f"stances with the impact peak not {_limits(IMPACT)} after the strike"
    rise = stance[: peak + 1]
    low, high = (int(np.argmin(np.abs(rise - share * stance[peak]))) for share in (0.2, 0.8))
    if not RISE[0] <= (high - low) / rate <= RISE[1]:
        return f"stances not rising from 20 to 80 % of the impact peak in {_limits(RISE)}"
    return float((rise[high] - rise[low]) / (high - low) * rate)


def strike_windows(
    strikes: np.ndarray,
    rate: float,
    n: int,
    before: int = 20,
    length: int = 64,
    window_rate: float = 200.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Windows around strikes [E] at `rate` in n samples at `window_rate` -> (starts, kept [E]).

    Both signals begin at the same time. The study's windows are 64 samples at 200 Hz; where the
    strike lies in them is not published. Sample 20 leaves 100 ms of swing, and 220 ms of stance for
    the impact and all that the label is made of.
    """
    at = np.round(np.asarray(strikes) * (window_rate / rate)).astype(int)
    return windows.event_starts(at, before, length - before, n)


def plate_force(force: np.ndarray, rate: float, source: str) -> np.ndarray:
    """Vertical force [T] N, the sum of one foot's plates, at `rate` (1000) [Hz] -> at 200 Hz.

    Low-pass at 15 Hz, 4th-order Butterworth forwards and backwards, then every 5th sample.
    """
    step = round(rate / PLATE_RATE)
    if abs(step * PLATE_RATE - rate) > 1e-6 * rate:
        raise UserError(f"{source}: the force at {rate:g} Hz must be at a multiple of 200 Hz")
    return windows.lowpass(_vertical(force, source), rate, PLATE_CUTOFF)[::step]


def stance_peaks(
    force: np.ndarray,
    strikes: np.ndarray,
    offs: np.ndarray,
    mass: float,
    source: str,
    gravity: float = 9.81,
) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Peak vertical force of stances [E] -> (peaks [K] samples, values [K] BW, dropped).

    force [T] N at 200 Hz as from `plate_force`; `mass` [kg]. The peak is the largest local maximum
    from 10 samples after strike to 10 before off, both included. Overground, many a stance is not
    on the plates, or in part only. So stances in which the force in that span is anywhere below
    20 N are refused, and peaks below half the body weight, which a foot bears on average over a
    whole stride, its swing included.
    """
    weight = _weight(mass, gravity, source)
    force = _vertical(force, source)
    maxima, _ = signal.find_peaks(force)
    dropped = Dropped()
    peaks = []
    for strike, off in zip(strikes, offs, strict=True):
        first, last = strike + MARGIN, off - MARGIN
        inside = maxima[(maxima >= first) & (maxima <= last)]
        if strike < 0 or off > len(force):
            dropped["stances that leave the recording"] += 1
        elif (force[first : last + 1] < CONTACT).any():
            dropped["stances not on the plates throughout"] += 1
        elif not len(inside):
            dropped["stances without a maximum"] += 1
        elif force[inside].max() < LEAST_PEAK * weight:
            dropped["stances with a peak below half the body weight"] += 1
        else:
            peaks.append(inside[np.argmax(force[inside])])
    peaks = np.array(peaks, int)
    return peaks, force[peaks] / weight, dropped


def peak_windows(
    n: int,
    peaks: np.ndarray,
    values: np.ndarray,
    length: int = 128,
    stride: int = 32,
) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Windows with a peak in their middle -> (starts [N], which [N]: index of the peak, dropped).

    Windows of `length` every `stride` samples in n; kept is one with a peak [K] in its middle
    `stride` samples, [48, 80): so a peak has one window. Two peaks of one foot are never within
    these 160 ms; were there two, the window would get the larger of the `values` [K].
    """
    first = (length - stride) // 2
    peaks, values = np.asarray(peaks, int), np.asarray(values)
    all_starts = windows.fixed_starts(n, length, stride)
    starts, which = [], []
    seen = np.zeros(len(peaks), bool)
    for start in all_starts:
        inside = np.flatnonzero((peaks >= start + first) & (peaks < start + first + stride))
        seen[inside] = True
        if len(inside):
            starts.append(start)
            which.append(inside[np.argmax(values[inside])])
    dropped = Dropped({"windows without a peak in their middle": len(all_starts) - len(starts)})
    dropped["peaks in the middle of no window"] = int((~seen).sum())
    return np.array(starts, int), np.array(which, int), +dropped


def knee_steps(
    strikes: np.ndarray, offs: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps for stances [E] in n samples at 100 Hz -> (starts, lengths, kept [E] inside n).

    Tan et al., IEEE TII 19(2), 2022: a step begins 20 samples before heel strike and ends 20 after
    toe-off. Its first 128 samples, zeros after its end (`windows.pad_window`), are the study's window.
    """
    starts = np.asarray(strikes, int) - AROUND
    ends = np.asarray(offs, int) + AROUND
    kept = (starts >= 0) & (ends <= n)
    return starts[kept], (ends - starts)[kept], kept


def step_lengths(steps: np.ndarray) -> np.ndarray:
    """steps [N, T, C], zero after their end -> [N] samples up to the last that is not all zero."""
    used = (np.asarray(steps) != 0).any(axis=2)
    return np.where(used.any(axis=1), used.shape[1] - np.argmax(used[:, ::-1], axis=1), 0)


def knee_flexion_peaks(
    moment: np.ndarray, length: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Peak flexion moment of steps -> (peaks of the kept, kept [N], dropped), in moment's unit.

    moment [N, T] at 100 Hz (% BW BH in the file of Tan et al. 2022: EXT_KM_X), flexion positive,
    from 20 samples before heel strike; length [N]: samples up to 20 after toe-off. The peak is the
    largest value in samples [20, length // 2), local maximum or not: that of early stance, not that
    of push-off.
    """
    moment, half = np.asarray(moment, np.float64), np.asarray(length, int) // 2
    if (half > moment.shape[1]).any():
        raise ValueError(f"half of {max(length)} samples lies beyond the {moment.shape[1]} given")
    span = np.arange(moment.shape[1])
    span = (span >= AROUND) & (span < half[:, None])  # [N, T]
    short = half <= AROUND
    missing = (span & ~np.isfinite(moment)).any(axis=1)
    kept = ~short & ~missing
    dropped = Dropped({"steps that end before their peak": int(short.sum())})
    dropped["steps with missing moments"] = int(missing.sum())
    return np.where(span, moment, -np.inf)[kept].max(axis=1), kept, +dropped


def knee_moment_cross(
    force: np.ndarray, cop: np.ndarray, knee: np.ndarray, axis: np.ndarray
) -> np.ndarray:
    """External knee moment [T] N m by the cross product: ((cop - knee) x force) . axis.

    force [T, 3] N of the ground on the foot, centre of pressure and knee centre [T, 3] m, all in
    one frame; axis [3] or [T, 3] of length one. Towards the left of the body it makes flexion
    positive, for both knees. Weight and inertia of shank and foot are left out. So are the moments
    in the file of Tan et al. 2022 made, about axes fixed in the laboratory: but for the ends of
    stance they agree to six digits. Without force the moment is 0, wherever `cop` is.
    """
    force = np.asarray(force, np.float64)
    on = force.any(axis=-1, keepdims=True)
    arm = np.where(on, np.asarray(cop, np.float64) - knee, 0.0)
    return (np.cross(arm, force) * axis).sum(axis=-1)


def percent_bw_bh(
    moment: np.ndarray, mass: float, height: float, source: str, gravity: float = 9.81
) -> np.ndarray:
    """moment in N m -> % of body weight times body height; `mass` [kg], `height` [m].

    9.81 m/s^2 is what the moments in the file of Tan et al. 2022 were divided by.
    """
    height = _positive(height, "body height [m]", source)
    return 100 * np.asarray(moment, np.float64) / (_weight(mass, gravity, source) * height)


def _vertical(force: np.ndarray, source: str) -> np.ndarray:
    """force [T] N as float64: one column, finite, long enough to be filtered, pointing up."""
    force = np.asarray(force, np.float64)
    if force.ndim != 1 or len(force) < 16:
        raise UserError(
            f"{source}: a vertical force must be one column of 16 samples or more, not "
            f"{force.shape}"
        )
    bad = ~np.isfinite(force)
    if bad.any():
        raise UserError(
            f"{source}: the vertical force has {bad.sum()} samples that are not finite, the first "
            f"is sample {np.argmax(bad)}: fill short gaps or split the file there"
        )
    if -force.min() > max(force.max(), 200):
        raise UserError(
            f"{source}: the vertical force goes down to {force.min():.0f} N and up to "
            f"{force.max():.0f} N: it must point up; turn its sign"
        )
    return force


def _weight(mass: float | None, gravity: float, source: str) -> float:
    """Body weight [N]."""
    return _positive(mass, "body mass [kg]", source) * gravity


def _positive(value: float | None, name: str, source: str) -> float:
    if value is None or not 0 < value < np.inf:
        raise UserError(f"{source}: the label needs the {name}, above 0, not {value}")
    return float(value)


def _limits(limits: tuple[float, float]) -> str:
    return "{:g} to {:g} ms".format(*(1000 * limit for limit in limits))
