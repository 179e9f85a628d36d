"""Tables of a trial, and the clock that they share.  No tfds or jax here."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from imujax.data import clocks
from imujax.data_builders.tabular import readers
from imujax.data_builders.tabular.card import Layout
from imujax.errors import UserError

RATE, PLATE_RATE = 200.0, 1000.0  # Hz
MAX_GAP = 0.05  # s that may be interpolated
BROKEN_CLOCK = "trials with a broken clock"
MAX_VALUE = 1e7  # more than any quantity here comes to in any unit


class ClockedTable(NamedTuple):
    """Columns of a table on a regular clock: values [T, C], time of the first [s], rate [Hz]."""

    values: np.ndarray
    start: float
    rate: float


def read_clocked_table(path: Path, columns: list[str], rate: float | None) -> ClockedTable | str:
    """Columns of a table, or the reason why they cannot be used.

    `rate` None stands for the gait cycles: their rate is that of the stamps, and where they hold no
    number there is no cycle.
    """
    table = readers.read_table(path, Layout(), ["Header", *columns])
    time, values = table["Header"], np.stack([table[name] for name in columns], axis=1)
    steps = np.diff(time[np.isfinite(time)])
    if not (steps > 0).any():
        return BROKEN_CLOCK
    measured = 1 / float(np.median(steps[steps > 0]))
    low, high = (0.99 * rate, 1.01 * rate) if rate else (0.5 * RATE, 1.01 * PLATE_RATE)
    if not low <= measured <= high:
        raise UserError(
            f"{path}: Header says {measured:.4g} Hz, expected {rate or RATE:g} Hz: it must be the "
            "time in s, of all samples"
        )
    plausible = np.abs(values) < MAX_VALUE  # false for what is no number, too
    if rate is None:
        values = np.where(plausible, values, 0.0)
    else:
        try:
            values = np.where(plausible, values, np.nan)
            values, _ = clocks.fill_gaps(values, rate, MAX_GAP, str(path))
        except UserError:
            return "trials with missing samples"
    try:
        values, rate, _ = clocks.regular_clock(time, values, rate, MAX_GAP, str(path))
    except UserError:
        return BROKEN_CLOCK
    return ClockedTable(values, float(time[0]), rate)


def shared_span(imu: ClockedTable, *others: ClockedTable) -> tuple[float, int, int]:
    """The span that all have -> (its begin [s], the imu's first sample in it, their number)."""
    tables = (imu, *others)
    first = int(np.ceil((max(table.start for table in tables) - imu.start) * RATE - 1e-6))
    end = min(table.start + (len(table.values) - 1) / table.rate for table in tables)
    last = int(np.floor((end - imu.start) * RATE + 1e-6))
    return imu.start + first / RATE, first, last - first + 1
