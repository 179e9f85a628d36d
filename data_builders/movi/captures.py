"""Movements of a round by its motion-capture file.  No tfds or jax here."""

import itertools
import re
from pathlib import Path

import numpy as np

from imujax.data.raw_layouts import MOVI_RATE
from imujax.data.recordings import Interval
from imujax.data.windows import Dropped
from imujax.data_builders.movi import mat
from imujax.errors import UserError

OTHER_RATE = 100.0  # Hz that one reader of these files takes the units to have
LENGTH_TOLERANCE = 0.03  # share by which lengths that belong together differ
# Spellings that differ by more than signs and blanks.
SPELLINGS = {
    "crossarms": "cross arms",
    "throw catch": "throw/catch",
    "jumping jacks": "jumping jack",
    "cross legged sitting": "cross-legged sitting",
    "dancing rm": "dancing",
}


def read_movements(
    path: Path, number: int, round_name: str, frames: int, rate: float, source: str
) -> tuple[list[Interval], Dropped]:
    """The movements of round `round_name` of subject `number`, in seconds of its first frame.

    `path` is the motion-capture file, `source` names the round, which has `frames` at `rate` [Hz].
    Movements that begin after its end are dropped. A round that is too short for them at 120 Hz,
    but fits them at 100, is a UserError.
    """
    names, flags = _read_flags(path, number, round_name)
    known = ~np.isnan(flags).any(axis=1)
    (first, last), end = flags[known].T, np.max(flags[known], initial=0) / MOVI_RATE
    if (
        rate == MOVI_RATE
        and frames / rate < (1 - LENGTH_TOLERANCE) * end
        and _is_alike(frames / OTHER_RATE, end)
    ):
        raise UserError(
            f"{source} has {frames} frames, but {path} goes on to {end:.1f} s: the round fits it "
            f"at {OTHER_RATE:g} Hz, not at {MOVI_RATE:g}; build with source_rate={OTHER_RATE:g}"
        )
    inside = (first - 1) / MOVI_RATE < frames / rate
    dropped = Dropped({"movements without a first or last frame": int((~known).sum())})
    dropped["movements after the end of their round"] = int((~inside).sum())
    spellings = [normalise_movement(name) for name in itertools.compress(names, known)]
    movements = [
        # Frames count from 1, and the last one is inside.
        Interval(spelling, (a - 1) / MOVI_RATE, b / MOVI_RATE)
        for spelling, a, b, is_inside in zip(spellings, first, last, inside, strict=True)
        if is_inside
    ]
    return movements, +dropped


def _is_alike(seconds: float, end: float) -> bool:
    return abs(seconds - end) <= LENGTH_TOLERANCE * end


def _read_flags(path: Path, number: int, round_name: str) -> tuple[list[str], np.ndarray]:
    """Names [M] of the movements, and their first and last frames [M, 2]; NaN where unknown."""
    with mat.explain_faults(path):
        fields = mat.struct_fields(mat.read_variable(path, f"Subject_{number}_{round_name}"))
        fields = mat.struct_fields(mat.get_field(fields, "move", path))
        names = mat.cell_texts(mat.get_field(fields, "motions_list", path))
        flags = mat.real_array(mat.get_field(fields, "flags120", path)).astype(np.float64)
    if flags.shape != (len(names), 2):
        raise UserError(
            f"{path}: flags120 is {flags.shape}: expected first and last frame of each of the "
            f"{len(names)} movements in motions_list"
        )
    first, last = flags[~np.isnan(flags).any(axis=1)].T
    integral = (first == np.trunc(first)) & (last == np.trunc(last))
    if not (integral & (first >= 1) & (last >= first) & (last < 2**31)).all():
        raise UserError(f"{path}: flags120 must be numbers of frames from 1 on, first <= last")
    return names, flags


def normalise_movement(name: str) -> str:
    """One spelling of a movement: cross_arms, crossarms and "Cross Arms" are "cross arms"."""
    spelling = " ".join(re.split(r"[\s_/-]+", name.lower())).strip()
    return SPELLINGS.get(spelling, spelling)
