"""Columns of the CSV files, and gaps in them.  No tfds or jax here."""

from pathlib import Path

import numpy as np

from imujax.data_builders.tabular import readers
from imujax.data_builders.tabular.card import Layout
from imujax.errors import UserError

RATE, PLATE_RATE = 200.0, 1000.0  # Hz, of the units and of the plates
MAX_GAP = 0.05  # s, the longest gap that is interpolated


def read_columns(path: Path, names: list[str]) -> np.ndarray:
    """The named columns of a CSV file [T, C]."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 1, 0))
        if file.read() != b"\n":  # a number that is cut off is a number
            raise UserError(f"{path}: the last line has no end: the file is cut off; copy it again")
    table = readers.read_table(path, Layout(), names)
    values = np.stack([table[name] for name in names], axis=1)
    if np.isinf(values).any():
        raise UserError(f"{path} holds infinite values: copy it again")
    return values


def read_events(path: Path, names: list[str], signals_path: Path, n: int) -> np.ndarray:
    """Columns of events [C, T], one row for each of the n samples in the file `signals_path`."""
    values = read_columns(path, names).T
    if values.shape[1] != n:
        raise UserError(
            f"{path} has {values.shape[1]} rows, {signals_path} {n}: both must have one for each "
            "sample"
        )
    for name, column in zip(names, values, strict=True):
        if np.isnan(column).any():  # it might be a strike
            raise UserError(
                f"{path}: row {np.argmax(np.isnan(column)) + 1} has no number in {name}: write 0 "
                "where there is no strike"
            )
    return values
