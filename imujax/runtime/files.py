"""Files that are there whole or not at all: tables, arrays, anything that is written."""

import csv
import os
import socket
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# What damaged .npz files raise.
NPZ_ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


def write_csv(path: Path, rows: Sequence[dict[str, Any]], is_shared: bool = False) -> Path:
    """Write rows of equal keys as a CSV file, whole or not at all.

    Parameters
    ----------
    path : Path
    rows : sequence of dict
        None becomes an empty field, a float nine digits.
    is_shared : bool
        See `write_whole`.

    Returns
    -------
    Path
        That of the file.
    """
    lines: list[list[object]] = [list(rows[0])] if rows else []
    lines += [[_format_field(value) for value in row.values()] for row in rows]

    def write_lines(part):
        with part.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)

    return write_whole(path, write_lines, is_shared)


def write_whole(path: Path, write: Callable[[Path], object], is_shared: bool = False) -> Path:
    """Write a file under another name, and put it in place when it is complete.

    Parameters
    ----------
    path : Path
    write : Callable
        Writes the file at the path that it is given.
    is_shared : bool
        Whether other processes may be writing the same file: the other name is then this one's own.

    Returns
    -------
    Path
        That of the file.
    """
    own = f".{socket.gethostname()}-{os.getpid()}" if is_shared else ""
    part = path.with_name(f"{path.name}{own}.part")
    try:
        write(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


def write_text(path: Path, text: str, is_shared: bool = False) -> Path:
    """Write a text in UTF-8, whole or not at all.

    Parameters
    ----------
    path : Path
    text : str
    is_shared : bool
        See `write_whole`.

    Returns
    -------
    Path
        That of the file.
    """
    return write_whole(path, lambda part: part.write_text(text, encoding="utf-8"), is_shared)


def write_bytes(path: Path, data: bytes) -> Path:
    """Write a file of these bytes, whole or not at all -> its path."""
    return write_whole(path, lambda part: part.write_bytes(data))


def save_arrays(path: Path, arrays: dict[str, Any], is_shared: bool = False) -> Path:
    """Write arrays as one compressed .npz, whole or not at all.

    Parameters
    ----------
    path : Path
    arrays : dict of np.ndarray
        By name.
    is_shared : bool
        See `write_whole`.

    Returns
    -------
    Path
        That of the file.
    """

    def write_npz(part):
        with part.open("wb") as file:
            np.savez_compressed(file, **arrays)

    return write_whole(path, write_npz, is_shared)


def load_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Read the arrays of an .npz file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of np.ndarray or None
        None where there is no file, or a damaged one.
    """
    try:
        return read_npz(path)
    except NPZ_ERRORS:
        return None


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an .npz file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of np.ndarray

    Raises
    ------
    OSError, ValueError, EOFError, zipfile.BadZipFile or zlib.error
        NPZ_ERRORS: the file is missing or damaged.
    """
    # Opened here, since np.load leaves open a file that is cut short.
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        return dict(file)


def _format_field(value: object) -> object:
    return f"{value:.9g}" if isinstance(value, float) else value
