"""Reading a CSV file of a sweep with care: the columns that must be, each of one kind."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from imujax.errors import UserError


def read_columns(path: Path, kinds: Mapping[str, type]) -> dict[str, np.ndarray]:
    """Read the columns that are asked for; others are passed over.

    Parameters
    ----------
    path : Path
        A CSV file with a line of names at its head.
    kinds : mapping of str to type
        int, float or str for each column. An empty field of a float column is NaN.

    Returns
    -------
    dict of ndarray
        A column each, all of one length; of length 0 where the file has no rows.

    Raises
    ------
    UserError
        The file is missing, is no CSV file, lacks a column, or a field is not of its kind.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing: give `imujax sweep` again, which runs the task anew"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file: {error}") from error
    missing = [name for name in kinds if rows and name not in rows[0]]
    if missing:
        raise UserError(f"{path} has no column {missing[0]}: run the sweep again")
    columns = {}
    for name, kind in kinds.items():
        try:
            columns[name] = np.array([_parse(row[name], kind) for row in rows], kind)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{path}, column {name}: {error}; a line is cut short or edited"
            ) from error
    return columns


def _parse(text: str | None, kind: type) -> object:
    if text is None:
        raise ValueError("a field is missing")
    return float("nan") if kind is float and text == "" else kind(text)
