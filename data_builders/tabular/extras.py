"""Formats that need a package of their own: sheets of workbooks (openpyxl) and C3D (c3d)."""

import csv
import datetime
import importlib
import io
import struct
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np

from imujax.data_builders.tabular import sentences
from imujax.errors import UserError

BLOCK = 512  # bytes, of C3D
INSTALL = 'pip install "imujax[formats]"'


def sheet_to_csv(path: Path, sheet: str | None) -> bytes:
    """Write a sheet of a workbook as text.

    Parameters
    ----------
    path : Path
        An .xlsx file.
    sheet : str or None
        Its name; None: the first one.

    Returns
    -------
    bytes
        UTF-8, commas between fields; formulas are their values, dates ISO 8601.

    Raises
    ------
    UserError
        openpyxl is not installed, the workbook cannot be read, or has no such sheet.
    """
    openpyxl = _import("openpyxl", path)
    try:
        with path.open("rb") as stream:  # of a damaged file the reader would leave its own open
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            if sheet is not None and sheet not in book.sheetnames:
                raise UserError(
                    f'{path}: there is no sheet "{sheet}"'
                    + sentences.suggest_names(sheet, book.sheetnames)
                )
            rows = book[sheet or book.sheetnames[0]].iter_rows(values_only=True)
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerows([_cell_text(value) for value in row] for row in rows)
    except UserError:
        raise
    except Exception as error:  # damaged files make this reader raise errors of many kinds
        raise sentences.unreadable_file(path, error) from None
    return text.getvalue().encode()


def _cell_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime | datetime.time):
        return value.isoformat()
    return repr(value) if isinstance(value, float) else str(value)


def load_c3d(path: Path) -> dict[str, np.ndarray]:
    """Read the analogue channels of a C3D file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of ndarray, [T]
        By label, those of one label `label#2` and so on; and `time` [s] by the file's own rate.

    Raises
    ------
    UserError
        c3d is not installed, or the file is damaged, cut off, or without analogue channels.
    """
    c3d = _import("c3d", path)
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of markers, which are not read
            file = c3d.Reader(stream)
            frames = [analogue for _, _, analogue in file.read_frames()]
            values = np.concatenate(frames, axis=1, dtype=np.float64)
            rate = float(file.analog_rate)
            labels = [str(label) for label in file.analog_labels]
    except Exception as error:  # as above
        raise sentences.unreadable_file(path, error) from None
    if not values.size or not rate > 0:
        raise UserError(f"{path}: has no analogue channels, where inertial units would be")
    size, least = path.stat().st_size, _least_size(path)
    if size < least:
        raise UserError(f"{path}: is cut off: it is shorter than its header says")
    if size != least and size % BLOCK:
        raise UserError(f"{path}: is damaged: it is no whole number of blocks of {BLOCK} bytes")
    columns = {"time": np.arange(values.shape[1]) / rate}
    for label, column in zip(labels, values, strict=False):
        name, number = label.strip(), 1
        while name in columns:
            number += 1
            name = f"{label.strip()}#{number}"
        columns[name] = column
    return columns


def _least_size(path: Path) -> int:
    """Bytes up to the end of the last frame, by the header of the file."""
    with path.open("rb") as stream:
        points, analogue, first, last = struct.unpack("<4H", stream.read(10)[2:])
        stream.seek(12)
        scale, start = struct.unpack("<fH", stream.read(6))
    size = 4 if scale < 0 else 2  # real numbers or integers
    return (start - 1) * BLOCK + (last - first + 1) * (4 * points + analogue) * size


def _import(name: str, path: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"{path}: needs the package {name}, which is not here: {INSTALL}") from None
