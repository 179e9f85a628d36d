"""File formats, each to named columns.

A table is a dict of column name -> [T] array: float64 with NaN for a missing value, or text where
text was asked for. Every fault of a file is a UserError that names the file.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.json
import pyarrow.parquet

from imujax.data_builders.tabular import arrays, delimited, extras, hdf5
from imujax.data_builders.tabular.card import BLANKS, Layout
from imujax.data_builders.tabular.sentences import (
    check_column_names,
    first_line,
    refuse_pointer,
    suggest_names,
    tidy_name,
    unreadable_file,
)
from imujax.errors import UserError

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".sto": "opensim",
    ".mot": "opensim",
    ".parquet": "parquet",
    ".feather": "feather",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".npz": "npz",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".mat": "mat",
    ".xlsx": "xlsx",
    ".c3d": "c3d",
}
TEXTS = ("csv", "tsv", "opensim", "xlsx")  # formats with lines, of which a card may say more

WORKBOOKS = (".xls", ".ods")
KNOWN = (*SUFFIXES, *WORKBOOKS)  # whose format is told by their name


def table_format(path: Path, layout: Layout) -> str:
    """The format of a file: from the card, or from the end of its name without a last .gz."""
    if layout.format:
        return layout.format
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix in WORKBOOKS:
        raise UserError(f"{path}: is a workbook: save it as .xlsx, or its sheet as CSV")
    if suffix not in SUFFIXES:
        raise UserError(f'{path}: the name tells no known format: give "format" in the card')
    return SUFFIXES[suffix]


def read_table(
    path: Path, layout: Layout, numbers: Sequence[str], texts: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Read columns of a file that holds one table.

    Parameters
    ----------
    path : Path
        Of one of SUFFIXES, text also packed with gzip.
    layout : Layout
        How the table lies in the file.
    numbers : sequence of str
        Names of the columns to be read as numbers.
    texts : sequence of str, optional
        Names of the columns to be read as text.

    Returns
    -------
    dict of str to ndarray, [T]
        Numbers are float64, NaN where a value is missing; texts are str, without blanks around
        them.

    Raises
    ------
    UserError
        For a file that is damaged, a column that it does not have, and a table without rows.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    refuse_pointer(path)
    kind = table_format(path, layout)
    numbers, texts = list(dict.fromkeys(numbers)), list(dict.fromkeys(texts))
    if layout.where:
        return _read_some_rows(path, layout, numbers, texts)
    if layout.alias:
        table = _read_under_other_names(path, layout, numbers, texts)
    elif kind in TEXTS:
        parts = read_text(path, layout)
        columns = delimited.parse_columns(parts, layout, numbers, texts, path)
        table = _convert_columns(columns, numbers, texts, path)
    elif kind == "parquet":
        table = _read_parquet(path, numbers, texts)
    elif kind in ("feather", "jsonl"):
        columns = _load_arrow(path, kind)
        check_column_names(columns.column_names, [*numbers, *texts], path)
        table = _convert_columns(columns, numbers, texts, path)
    elif kind == "mat":
        table = arrays.read_matlab(path, numbers, texts)
    elif kind == "hdf5":
        table = hdf5.read_columns(path, numbers, texts)
    else:
        load = {"npz": arrays.load_npz, "c3d": extras.load_c3d}[kind]
        table = arrays.select_columns(load(path), numbers, texts, path)
    if not all(len(column) for column in table.values()):
        raise UserError(f"{path}: the table has no rows")
    return without_marks(table, layout)


def without_marks(table: dict[str, np.ndarray], layout: Layout) -> dict[str, np.ndarray]:
    """NaN in columns [T] of numbers where one of the marks for missing values stands."""
    marks = [float(mark) for mark in layout.missing if delimited.is_plain_number(mark)]
    for column in table.values() if marks else ():
        if column.dtype.kind == "f":
            column[np.isin(column, marks)] = np.nan
    return table


def _read_some_rows(
    path: Path, layout: Layout, numbers: list[str], texts: list[str]
) -> dict[str, np.ndarray]:
    """The rows in which the columns of `where` have one of their values."""
    plain = dataclasses.replace(layout, where=())
    keys = [name for name, _ in layout.where]
    if set(keys) & set(numbers):
        raise UserError(f'{path}: "where" asks for text in column "{keys[0]}", which holds numbers')
    table = read_table(path, plain, numbers, [*texts, *keys])
    rows = np.ones(len(next(iter(table.values()))), bool)
    for name, values in layout.where:
        rows &= np.isin(table[name], values)
    if not rows.any():
        name, values = layout.where[0]
        raise UserError(
            f'{path}: in no row "{name}" is {" or ".join(values)}'
            + suggest_names(values[0], dict.fromkeys(table[name].tolist()))
        )
    return {name: table[name][rows] for name in (*numbers, *texts)}


def _read_under_other_names(
    path: Path, layout: Layout, numbers: list[str], texts: list[str]
) -> dict[str, np.ndarray]:
    """The columns, each under the first of its names that this file has."""
    there = set(list_columns(path, layout))
    names = {name: name for name in [*numbers, *texts]}
    for name, others in layout.alias:
        if name in names and name not in there:
            names[name] = next((other for other in others if other in there), name)
    plain = dataclasses.replace(layout, alias=())
    table = read_table(path, plain, [names[n] for n in numbers], [names[n] for n in texts])
    return {name: table[own] for name, own in names.items()}


def list_columns(path: Path, layout: Layout) -> list[str]:
    """Names of all columns of a file.

    Parameters
    ----------
    path : Path
    layout : Layout

    Returns
    -------
    list of str

    Raises
    ------
    UserError
        The file is damaged.
    """
    kind = table_format(path, layout)
    if kind in TEXTS:
        return read_text(path, layout).names
    if kind == "parquet":
        return list(_flatten(_open_parquet(path).schema_arrow.empty_table()).column_names)
    if kind in ("feather", "jsonl"):
        return list(_load_arrow(path, kind).column_names)
    if kind == "hdf5":
        return hdf5.list_columns(path)
    if kind == "mat":
        return list(arrays.load_matlab(path)[0])
    return list({"npz": arrays.load_npz, "c3d": extras.load_c3d}[kind](path))


def read_text(path: Path, layout: Layout) -> delimited.Text:
    """Take a file of text apart, with the delimiter that its format has if the card names none.

    Parameters
    ----------
    path : Path
    layout : Layout

    Returns
    -------
    Text

    Raises
    ------
    UserError
        As of `delimited.read_text`.
    """
    kind = table_format(path, layout)
    if kind == "xlsx":
        sheet = extras.sheet_to_csv(path, layout.sheet)
        return delimited.cut_text(sheet, "utf-8", layout, path, ",")
    delimiters = {"tsv": ("\t", ""), "opensim": (BLANKS, "endheader")}
    return delimited.read_text(path, layout, *delimiters.get(kind, (",", "")))


def _read_parquet(path: Path, numbers: list[str], texts: list[str]) -> dict:
    file, wanted = _open_parquet(path), list(dict.fromkeys([*numbers, *texts]))
    is_nested = any(pa.types.is_nested(field.type) for field in file.schema_arrow)
    if not is_nested:
        check_column_names(file.schema_arrow.names, wanted, path)
    try:
        table = file.read(None if is_nested else wanted, use_threads=False)
        table = _flatten(table) if is_nested else table
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable_file(path, error) from None
    check_column_names(table.column_names, wanted, path)
    return _convert_columns(table, numbers, texts, path)


def _open_parquet(path: Path) -> pyarrow.parquet.ParquetFile:
    try:
        file = pyarrow.parquet.ParquetFile(path)
        _ = file.schema_arrow.names  # a damaged name shows here
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable_file(path, error) from None
    return file


def _load_arrow(path: Path, kind: str) -> pa.Table:
    """Feather, or JSON with an object a line."""
    try:
        if kind == "feather":
            return _flatten(pyarrow.feather.read_table(path, use_threads=False))
        options = pyarrow.json.ReadOptions(use_threads=False)
        return _flatten(pyarrow.json.read_json(path, options))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable_file(path, error) from None


def _flatten(table: pa.Table) -> pa.Table:
    """Fields of structs as `acc.x`, members of lists as `acc(:,1)`."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if not pa.types.is_list(column.type) and not pa.types.is_fixed_size_list(column.type):
            columns[name] = column
            continue
        sizes = set(pc.list_value_length(column).to_pylist())
        if len(sizes) == 1 and None not in sizes:
            size = sizes.pop()
            columns |= {f"{name}(:,{j + 1})": pc.list_element(column, j) for j in range(size)}
    return pa.table(columns)


def _convert_columns(table: pa.Table, numbers: list[str], texts: list[str], path: Path) -> dict:
    columns = {}
    for name in numbers:
        try:
            columns[name] = np.array(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False))
        except pa.ArrowException as error:
            raise UserError(
                f'{path}: column "{name}" is not numeric: {first_line(error)}'
            ) from None
    for name in texts:
        values = table[name].to_pylist()
        columns[name] = np.array(["" if v is None else tidy_name(v) for v in values], dtype=str)
    return columns
