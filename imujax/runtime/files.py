"""Files that are there whole or not at all: tables, arrays, anything that is written."""

import csv
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np


def write_csv(path: Path, rows: Sequence[dict]) -> Path:
    """Rows of equal keys as a CSV file, written whole or not at all. None is an empty field."""
    lines = [list(rows[0])] if rows else []
    lines += [[_field(value) for value in row.values()] for row in rows]

    def make(part):
        with part.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)

    return write_whole(path, make)


def write_whole(path: Path, make: Callable[[Path], object]) -> Path:
    """Let `make` write a file under another name, and put it in place when it is complete."""
    part = path.with_name(path.name + ".part")
    try:
        make(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Arrays as one compressed .npz, whole or not at all."""

    def make(part):
        with part.open("wb") as file:
            np.savez_compressed(file, **arrays)

    return write_whole(path, make)


def load_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an .npz file; None where there is none, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _field(value: object) -> object:
    return f"{value:.9g}" if isinstance(value, float) else value
