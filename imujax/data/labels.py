"""Labels from forces and moments: the rules of the study's three tasks, and the events they need.

Loading rate in running, peak vertical ground reaction force, peak knee flexion moment. Builders of
real and of simulated recordings use the same rules. Arrays and numbers in, arrays out. An event is
a sample number at the rate of the signal it was found in; a stance runs from `strike`, its first
sample, to `off`, the first sample after it. What a rule refuses is counted by reason.
"""

from collections.abc import Sequence

import numpy as np
from scipy import signal

from imujax.data import windows
from imujax.data.recordings import G
from imujax.data.windows import Dropped
from imujax.errors import UserError

CONTACT_FORCE = 20.0  # N, a foot is on the ground

# Loading rate (Tan et al. 2021)
IMPACT_CUTOFF = 50.0  # Hz
IMPACT_HEIGHT, IMPACT_PROMINENCE = 200.0, 150.0  # N, of a maximum
IMPACT_SHARE = 0.13  # of stance, where there is one maximum
STANCE_LIMITS = (0.180, 0.380)  # s, accepted
IMPACT_LIMITS = (0.015, 0.080)  # s, accepted
RISE_LIMITS = (0.005, 0.040)  # s, accepted

# Peak vertical force (Camargo et al. 2021)
PLATE_CUTOFF = 15.0  # Hz
PLATE_RATE = 200.0  # Hz, of the labels and the windows
PEAK_MARGIN = 10  # samples at 200 Hz after strike and before off in which no peak is looked for
LEAST_PEAK = 0.5  # body weights
PLATE_GRAVITY = 9.81  # m/s^2, of these body weights

# Peak knee flexion moment (Tan et al. 2022)
STEP_MARGIN = 20  # samples at 100 Hz that a step begins before heel strike and ends after toe-off


def contacts(
    force: np.ndarray, rate: float, threshold: float, source: str, shortest: float = 0.05
) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Find the stances of one foot in its vertical force.

    A contact is a run of samples at or above the threshold. Refused are those cut off by an end of
    the recording, and bounces. Runs are never joined: a gap in the force leaves two contacts.

    Parameters
    ----------
    force : ndarray, [T]
        N
    rate : float
        Hz
    threshold : float
        N
    source : str
        The file name that error sentences show.
    shortest : float
        s; what is shorter is a bounce.

    Returns
    -------
    strikes, offs : ndarray, [E]
        Samples.
    dropped : Dropped

    Raises
    ------
    UserError
        Where the force is none: not finite, too short, or pointing down.
    """
    force = _vertical(force, source)
    on = np.concatenate([[False], force >= threshold, [False]])
    strikes, offs = np.flatnonzero(on[1:] != on[:-1]).reshape(-1, 2).T
    cut = (strikes == 0) | (offs == len(force))
    bounce = ~cut & ((offs - strikes) / rate < shortest)
    dropped = Dropped({"contacts cut off by an end of the recording": int(cut.sum())})
    dropped[f"contacts shorter than {1000 * shortest:g} ms"] = int(bounce.sum())
    accepted = ~cut & ~bounce
    return strikes[accepted], offs[accepted], +dropped


def ramp_events(ramp: np.ndarray, source: str) -> np.ndarray:
    """Find the events in a gait-cycle ramp, which rises from 0 at one event to 100 at the next.

    An event is the first sample of a fall through 50 %, which ends one ramp and begins the next, or
    the last sample of rest before a rise. A ramp that is under way in the first sample has no event
    there.

    Parameters
    ----------
    ramp : ndarray, [T]
        %; outside the cycles 0, or no number.
    source : str
        The file name that error sentences show.

    Returns
    -------
    ndarray, [E]
        Samples.

    Raises
    ------
    UserError
        Where it is no such ramp.

    References
    ----------
    Such are the columns HeelStrike and ToeOff of Camargo et al. 2021 (J Biomech 119).
    """
    ramp = np.nan_to_num(np.asarray(ramp, np.float64))
    shares = ramp.ndim == 1 and ramp.max(initial=0) <= 1 and (np.diff(ramp) < -0.5).any()
    if ramp.ndim != 1 or shares or ramp.min(initial=0) < -1 or ramp.max(initial=0) > 101:
        raise UserError(f"{source}: a gait-cycle ramp must be one column that runs from 0 to 100 %")
    falls = (ramp[:-1] > 50) & (ramp[1:] <= 50)
    at_rest = (ramp == 0) & (np.append(0, ramp[:-1]) == 0)
    rises = at_rest[:-1] & (ramp[1:] > 0)
    return np.union1d(np.flatnonzero(falls) + 1, np.flatnonzero(rises))


def stances(strikes: np.ndarray, offs: np.ndarray) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Pair heel strikes with toe-offs of the same foot and rate.

    A stance ends with the first toe-off after its strike; a strike with another strike before
    that, or with no toe-off after it, is refused. Toe-offs before the first strike count nowhere.

    Parameters
    ----------
    strikes, offs : ndarray
        Samples.

    Returns
    -------
    strikes, offs : ndarray, [E]
        Samples.
    dropped : Dropped
    """
    strikes, offs = np.unique(np.asarray(strikes, int)), np.unique(np.asarray(offs, int))
    after = np.searchsorted(offs, strikes, side="right")
    paired = after < np.append(after[1:], len(offs))
    dropped = Dropped({"strikes with no toe-off before the next one": int((~paired).sum())})
    return strikes[paired], offs[after[paired]], +dropped


def loading_rates(
    force: np.ndarray, rate: float, mass: float | None, source: str, gravity: float = G
) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Take the vertical loading rate of every accepted stance.

    Low-pass at 50 Hz, 4th-order Butterworth forwards and backwards; contact at 20 N; then
    `loading_slopes`, over body weight.

    Parameters
    ----------
    force : ndarray, [T]
        Vertical force under one foot in running [N].
    rate : float
        Hz (1000).
    mass : float or None
        kg; without one there is no label.
    source : str
        The file name that error sentences show.
    gravity : float
        m/s^2; the authors take 10.

    Returns
    -------
    strikes : ndarray, [E]
        Samples.
    rates : ndarray, [E]
        BW/s
    dropped : Dropped

    Raises
    ------
    UserError
        Where the force is none, as of `contacts`, or the mass is missing or not above 0.

    References
    ----------
    Tan et al., IEEE JBHI 25(4), 2021.
    """
    weight = _weight(mass, gravity, source)
    smooth = windows.lowpass(_vertical(force, source), rate, IMPACT_CUTOFF)
    strikes, offs, dropped = contacts(smooth, rate, CONTACT_FORCE, source)
    slopes, accepted, refused = loading_slopes(smooth, rate, strikes, offs)
    return strikes[accepted], slopes / weight, dropped + refused


def loading_slopes(
    force: np.ndarray, rate: float, strikes: np.ndarray, offs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Rise of a filtered force [T] N in stances [E] -> (slopes [N/s], accepted [E], dropped).

    Tan et al. 2021: the impact peak is the first of two or more maxima (at least 200 N high, with a
    prominence of 150 N), or the force at 13 % of stance where there is one maximum. The slope is
    that between the samples nearest 20 % and 80 % of the impact peak, from strike to the peak.
    Accepted, limits included, are stances of 180 to 380 ms, impact peaks 15 to 80 ms after strike
    and 5 to 40 ms between the two samples.
    """
    results = [_loading_slope(force[a:b], rate) for a, b in zip(strikes, offs, strict=True)]
    slopes = np.array([slope for slope in results if not isinstance(slope, str)], np.float64)
    accepted = np.array([not isinstance(slope, str) for slope in results], bool)
    return slopes, accepted, Dropped(reason for reason in results if isinstance(reason, str))


def _loading_slope(stance: np.ndarray, rate: float) -> float | str:
    """Slope [N/s] in the force of one stance, or the reason why it has none."""
    if not STANCE_LIMITS[0] <= len(stance) / rate <= STANCE_LIMITS[1]:
        return f"stances not of {_format_limits(STANCE_LIMITS)}"
    maxima, _ = signal.find_peaks(stance, height=IMPACT_HEIGHT, prominence=IMPACT_PROMINENCE)
    if not len(maxima):
        return f"stances without a maximum of {IMPACT_HEIGHT:g} N"
    peak = int(maxima[0]) if len(maxima) > 1 else round(IMPACT_SHARE * len(stance))
    if not IMPACT_LIMITS[0] <= peak / rate <= IMPACT_LIMITS[1]:
        return f"stances with the impact peak not {_format_limits(IMPACT_LIMITS)} after the strike"
    rise = stance[: peak + 1]
    low, high = (int(np.argmin(np.abs(rise - share * stance[peak]))) for share in (0.2, 0.8))
    if not RISE_LIMITS[0] <= (high - low) / rate <= RISE_LIMITS[1]:
        limits = _format_limits(RISE_LIMITS)
        return f"stances not rising from 20 to 80 % of the impact peak in {limits}"
    return float((rise[high] - rise[low]) / (high - low) * rate)


def strike_windows(
    strikes: np.ndarray,
    rate: float,
    n: int,
    before: int = 20,
    length: int = 64,
    window_rate: float = 200.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Place windows around strikes.

    The study's windows are 64 samples at 200 Hz; where the strike lies in them is not published.
    Sample 20 leaves 100 ms of swing, and 220 ms of stance for the impact and all that the label is
    made of.

    Parameters
    ----------
    strikes : ndarray, [E]
        Samples at `rate`.
    rate : float
        Hz
    n : int
        Samples of the recording at `window_rate`; both signals begin at the same time.
    before, length : int
        Samples of a window before its strike, and in all.
    window_rate : float
        Hz

    Returns
    -------
    starts : ndarray, [N]
        Samples at `window_rate`.
    inside : ndarray, [E], bool
        The strikes that have a window.
    """
    events = np.round(np.asarray(strikes) * (window_rate / rate)).astype(int)
    return windows.event_starts(events, before, length - before, n)


def plate_force(
    force: np.ndarray, rate: float, source: str, cutoff: float = PLATE_CUTOFF
) -> np.ndarray:
    """Bring the force of one foot's plates to 200 Hz.

    Low-pass at 15 Hz, 4th-order Butterworth forwards and backwards, then every 5th sample.  With
    IMPACT_CUTOFF it is the force of which `loading_rates` takes the slope.

    Parameters
    ----------
    force : ndarray, [T]
        Vertical, the sum of the plates [N].
    rate : float
        Hz (1000), a multiple of 200.
    source : str
        The file name that error sentences show.
    cutoff : float
        Hz

    Returns
    -------
    ndarray
        N at 200 Hz.

    Raises
    ------
    UserError
        Where the force is none, or at another rate.
    """
    step = round(rate / PLATE_RATE)
    if abs(step * PLATE_RATE - rate) > 1e-6 * rate:
        raise UserError(f"{source}: the force at {rate:g} Hz must be at a multiple of 200 Hz")
    return windows.lowpass(_vertical(force, source), rate, cutoff)[::step]


def stance_peaks(
    force: np.ndarray,
    strikes: np.ndarray,
    offs: np.ndarray,
    mass: float | None,
    source: str,
    gravity: float = PLATE_GRAVITY,
) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Take the peak vertical force of stances.

    The peak is the largest local maximum from 10 samples after strike to 10 before off, both
    included. Overground, many a stance is not on the plates, or in part only. So stances in which
    the force in that span is anywhere below 20 N are refused, and peaks below half the body weight,
    which a foot bears on average over a whole stride, its swing included.

    Parameters
    ----------
    force : ndarray, [T]
        N at 200 Hz as from `plate_force`.
    strikes, offs : ndarray, [E]
        Samples.
    mass : float or None
        kg; without one there is no label.
    source : str
        The file name that error sentences show.
    gravity : float
        m/s^2

    Returns
    -------
    peaks : ndarray, [K]
        Samples.
    values : ndarray, [K]
        BW
    dropped : Dropped

    Raises
    ------
    UserError
        Where the force is none, as of `contacts`, or the mass is missing or not above 0.
    """
    weight = _weight(mass, gravity, source)
    force = _vertical(force, source)
    maxima, _ = signal.find_peaks(force)
    dropped = Dropped()
    peaks = []
    for strike, off in zip(strikes, offs, strict=True):
        first, last = strike + PEAK_MARGIN, off - PEAK_MARGIN
        inside = maxima[(maxima >= first) & (maxima <= last)]
        if strike < 0 or off > len(force):
            dropped["stances that leave the recording"] += 1
        elif (force[first : last + 1] < CONTACT_FORCE).any():
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
    """Place windows that have a peak in their middle.

    Of the windows every `stride` samples those with a peak in their middle `stride` samples, [48,
    80), are taken: so a peak has one window. Two peaks of one foot are never within these 160 ms;
    were there two, the window would get the larger value.

    Parameters
    ----------
    n : int
        Samples of the recording.
    peaks : ndarray, [K]
        Samples.
    values : ndarray, [K]
    length, stride : int
        Samples.

    Returns
    -------
    starts : ndarray, [N]
        Samples.
    peak_numbers : ndarray, [N]
        Index of each window's peak.
    dropped : Dropped
    """
    first = (length - stride) // 2
    peaks, values = np.asarray(peaks, int), np.asarray(values)
    all_starts = windows.fixed_starts(n, length, stride)
    starts, peak_numbers = [], []
    seen = np.zeros(len(peaks), bool)
    for start in all_starts:
        inside = np.flatnonzero((peaks >= start + first) & (peaks < start + first + stride))
        seen[inside] = True
        if len(inside):
            starts.append(start)
            peak_numbers.append(inside[np.argmax(values[inside])])
    dropped = Dropped({"windows without a peak in their middle": len(all_starts) - len(starts)})
    dropped["peaks in the middle of no window"] = int((~seen).sum())
    return np.array(starts, int), np.array(peak_numbers, int), +dropped


def knee_steps(
    strikes: np.ndarray, offs: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place steps around stances.

    A step begins 20 samples before heel strike and ends 20 after toe-off. Its first 128 samples,
    zeros after its end (`windows.pad_window`), are the study's window.

    Parameters
    ----------
    strikes, offs : ndarray, [E]
        Samples at 100 Hz.
    n : int
        Samples of the recording.

    Returns
    -------
    starts, lengths : ndarray, [N]
        Samples, of the steps that lie inside.
    inside : ndarray, [E], bool
        The stances that have such a step.

    References
    ----------
    Tan et al., IEEE TII 19(2), 2022.
    """
    starts = np.asarray(strikes, int) - STEP_MARGIN
    ends = np.asarray(offs, int) + STEP_MARGIN
    inside = (starts >= 0) & (ends <= n)
    return starts[inside], (ends - starts)[inside], inside


def step_lengths(steps: np.ndarray) -> np.ndarray:
    """Measure steps that are filled with zeros.

    Parameters
    ----------
    steps : ndarray, [N, T, C]
        Zero after their end.

    Returns
    -------
    ndarray, [N]
        Samples up to the last that is not all zero.
    """
    used = (np.asarray(steps) != 0).any(axis=2)
    return np.where(used.any(axis=1), used.shape[1] - np.argmax(used[:, ::-1], axis=1), 0)


def knee_flexion_peaks(
    moment: np.ndarray, length: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Dropped]:
    """Take the peak flexion moment of steps.

    The peak is the largest value in samples [20, length // 2), local maximum or not: that of early
    stance, not that of push-off.

    Parameters
    ----------
    moment : ndarray, [N, T]
        At 100 Hz, from 20 samples before heel strike, flexion positive, in any unit (% BW BH in the
        file of Tan et al. 2022: EXT_KM_X).
    length : ndarray, [N]
        Samples up to 20 after toe-off.

    Returns
    -------
    peaks : ndarray, [K]
        Of the accepted steps, in the unit of `moment`.
    accepted : ndarray, [N], bool
    dropped : Dropped
    """
    moment, half = np.asarray(moment, np.float64), np.asarray(length, int) // 2
    if (half > moment.shape[1]).any():
        raise ValueError(f"half of {max(length)} samples lies beyond the {moment.shape[1]} given")
    span = np.arange(moment.shape[1])
    span = (span >= STEP_MARGIN) & (span < half[:, None])  # [N, T]
    short = half <= STEP_MARGIN
    missing = (span & ~np.isfinite(moment)).any(axis=1)
    accepted = ~short & ~missing
    dropped = Dropped({"steps that end before their peak": int(short.sum())})
    dropped["steps with missing moments"] = int(missing.sum())
    return np.where(span, moment, -np.inf)[accepted].max(axis=1), accepted, +dropped


def knee_moment_cross(
    force: np.ndarray,
    cop: np.ndarray,
    knee: np.ndarray,
    axis: Sequence[float] | np.ndarray,
) -> np.ndarray:
    """Take the external knee moment by the cross product: ((cop - knee) x force) . axis.

    Weight and inertia of shank and foot are left out. Without force the moment is 0, wherever `cop`
    is.

    Parameters
    ----------
    force : ndarray, [T, 3]
        Of the ground on the foot [N].
    cop, knee : ndarray, [T, 3]
        Centre of pressure and knee centre [m], in the frame of the force.
    axis : ndarray, [3] or [T, 3]
        Of length one.  Towards the left of the body it makes flexion positive, for both knees.

    Returns
    -------
    ndarray, [T]
        N m

    References
    ----------
    So are the moments in the file of Tan et al. 2022 made, about axes fixed in the laboratory: but
    for the ends of stance they agree to six digits.
    """
    force = np.asarray(force, np.float64)
    loaded = force.any(axis=-1, keepdims=True)
    arm = np.where(loaded, np.asarray(cop, np.float64) - knee, 0.0)
    return (np.cross(arm, force) * axis).sum(axis=-1)


def percent_bw_bh(
    moment: np.ndarray,
    mass: float | None,
    height: float | None,
    source: str,
    gravity: float = 9.81,
) -> np.ndarray:
    """Express moments as a share of body weight times body height.

    Parameters
    ----------
    moment : ndarray
        N m, of any shape.
    mass : float or None
        kg; without one there is no label.
    height : float or None
        m; without one there is no label.
    source : str
        The file name that error sentences show.
    gravity : float
        m/s^2; by 9.81 the moments in the file of Tan et al. 2022 were divided.

    Returns
    -------
    ndarray
        %

    Raises
    ------
    UserError
        Where the mass or the height is missing, or not above 0.
    """
    metres = _positive(height, "body height [m]", source)
    return 100 * np.asarray(moment, np.float64) / (_weight(mass, gravity, source) * metres)


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


def _format_limits(limits: tuple[float, float]) -> str:
    return "{:g} to {:g} ms".format(*(1000 * limit for limit in limits))
