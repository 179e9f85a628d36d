"""Loading rates from the plates of the treadmill.  No tfds or jax here."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imujax.data import clocks, labels, windows
from imujax.data.recordings import G
from imujax.data_builders.tan2021_running import tables
from imujax.errors import UserError

RATE = tables.PLATE_RATE
SKIP = 3.0  # s at the beginning of a trial that are left out
MATCH_TOLERANCE = 50  # samples between a contact in the force and the strike in the file
WEIGHT_LIMITS, MAX_FORCE = (200.0, 2000.0), 1e4  # N: of a person, of a foot in running
WEIGHT_TOLERANCE = 0.05  # share by which the weights in standing and in running may differ


class LabelledStrikes(NamedTuple):
    """Strikes of the left foot in one trial, with their loading rates."""

    events: np.ndarray  # [E] samples
    rate: float  # Hz, of these samples
    values: np.ndarray  # [E] BW/s
    dropped: windows.Dropped
    mass: float | None  # kg, where the force tells it
    curve: np.ndarray | None  # [T, 1] BW at 200 Hz, the force under the left foot, if it was read


def plate_loading_rates(
    plates: Path, params: Path, static: tuple[Path, ...], sensors: Path, n: int
) -> LabelledStrikes:
    """The study's rule on the force (labels.loading_rates).

    In running both feet are never down at once, so the sum of both plates is the force under one
    foot, whichever belt it lands on; the strikes in the file tell which foot it is.  `sensors` is
    the table of the units, with n rows; `static` are tables of plates in standing.
    """
    force, gap = read_vertical_force(plates)
    if abs(len(force) / RATE - n / tables.RATE) > 0.1:
        raise UserError(
            f"{plates}: {len(force)} rows at {RATE:g} Hz last {len(force) / RATE:.2f} s, but the "
            f"{n} rows of {sensors} at {tables.RATE:g} Hz {n / tables.RATE:.2f} s: both must be of "
            "one trial"
        )
    sides = tables.read_events(params, ["l_strikes", "r_strikes"], plates, len(force))
    left, right = (np.flatnonzero(side) for side in sides)
    weight = estimate_body_weight(force, gap, left, plates)
    if weight is None:
        no_samples = np.zeros(0, int)
        reason = f"trials without a whole stride of force after {SKIP:g} s"
        dropped = windows.Dropped({reason: 1})
        return LabelledStrikes(no_samples, RATE, no_samples, dropped, None, None)
    for path in static:
        _check_standing(path, weight, plates)
    strikes, rates, dropped = labels.loading_rates(force, RATE, weight / G, str(plates))
    from_left, from_right = (_distance_to_nearest(strikes, side) for side in (left, right))
    is_unknown = (np.minimum(from_left, from_right) > MATCH_TOLERANCE) | (from_left == from_right)
    is_left = ~is_unknown & (from_left < from_right)
    # The filter carries what is interpolated some 50 ms further.
    after = MATCH_TOLERANCE + round(labels.STANCE_LIMITS[1] * RATE)
    spans = [slice(max(s - MATCH_TOLERANCE, 0), s + after) for s in strikes]
    is_torn = is_left & np.array([gap[span].any() for span in spans], bool)
    dropped["contacts of a foot that no strike in the file tells"] += int(is_unknown.sum())
    dropped["contacts with a gap in the force"] += int(is_torn.sum())
    is_kept = is_left & ~is_torn
    curve = _left_force(force, gap, left, right, str(plates))[:, None] / weight
    return LabelledStrikes(strikes[is_kept], RATE, rates[is_kept], dropped, weight / G, curve)


def _left_force(
    force: np.ndarray, gap: np.ndarray, left: np.ndarray, right: np.ndarray, source: str
) -> np.ndarray:
    """The force [N] at 200 Hz under the left foot, filtered as for the loading rate.

    Each contact in the `force` of both feet [T] is that of the foot whose strike is nearest; the
    right one's, with half of the flights beside it, are 0.  No number beside a gap [T].
    """
    smooth = labels.plate_force(force, RATE, source, labels.IMPACT_CUTOFF)
    step = round(RATE / labels.PLATE_RATE)
    is_on = np.concatenate([[False], smooth >= labels.CONTACT_FORCE, [False]])
    begins, ends = np.flatnonzero(is_on[1:] != is_on[:-1]).reshape(-1, 2).T
    middles = (ends[:-1] + begins[1:]) / 2  # of the flights
    from_left, from_right = (_distance_to_nearest(step * begins, x) for x in (left, right))
    contact = np.searchsorted(middles, np.arange(len(smooth)))
    is_near_gap = np.convolve(gap, np.ones(2 * MATCH_TOLERANCE + 1), "same")[::step] > 0.5
    return np.where(is_near_gap, np.nan, np.where((from_left < from_right)[contact], smooth, 0.0))


def read_vertical_force(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The vertical force of the ground [T] N, both plates together, and where it is missing [T].

    A plate that gives the force of the foot on it, which is negative on average, is turned.
    """
    columns = tables.read_columns(path, ["f_1_z", "f_2_z"])
    plates, gap = clocks.fill_short_gaps(columns, RATE, tables.MAX_GAP, str(path))
    if np.abs(plates).max() > MAX_FORCE:
        raise UserError(
            f"{path}: a vertical force reaches {np.abs(plates).max():.3g}, more than a foot's in "
            "running: f_1_z and f_2_z must be in N"
        )
    return (plates * np.where(plates.mean(0) < 0, -1, 1)).sum(1), gap


def estimate_body_weight(
    force: np.ndarray, gap: np.ndarray, strikes: np.ndarray, source
) -> float | None:
    """Body weight [N], the mean of force [T] over the whole strides after SKIP; None without one.

    Over a stride of steady running the body gains no speed upwards.  strikes: samples, one foot's;
    strides with a gap [T] are left out.
    """
    later = strikes[strikes >= SKIP * RATE]
    strides = [force[a:b] for a, b in pairwise(later) if not gap[a:b].any()]
    if not strides:
        return None
    weight = float(np.concatenate(strides).mean())
    if not WEIGHT_LIMITS[0] <= weight <= WEIGHT_LIMITS[1]:
        raise UserError(
            f"{source}: the mean vertical force over whole strides is {weight:.3g}, no person's "
            "weight: f_1_z and f_2_z must be in N"
        )
    return weight


def _check_standing(path: Path, weight: float, plates: Path) -> None:
    """UserError where a static trial with force tells another body weight [N] than running."""
    force, gap = read_vertical_force(path)
    standing = float(force[~gap].mean()) if not gap.all() else 0.0
    if standing >= labels.CONTACT_FORCE and abs(standing / weight - 1) > WEIGHT_TOLERANCE:
        raise UserError(
            f"{path} gives a body weight of {standing:.0f} N, {plates} one of {weight:.0f} N: "
            "plates out of balance, or files of two people; leave the wrong one out"
        )


def _distance_to_nearest(events: np.ndarray, strikes: np.ndarray) -> np.ndarray:
    """Samples [E] from each event to the nearest of the strikes [K], both sorted."""
    padded = np.concatenate([[-np.inf], strikes, [np.inf]])
    after = np.searchsorted(strikes, events)
    return np.minimum(events - padded[after], padded[after + 1] - events)
