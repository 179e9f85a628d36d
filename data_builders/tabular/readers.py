"""File formats: text, Parquet, Feather, JSON, NumPy and MATLAB v5, each to named columns.

A table is a dict of column name -> [T] array: float64 with NaN for a missing value, or text where
text was asked for. Every fault of a file is a UserError that names the file.
"""

import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.json
import pyarrow.parquet
import scipy.io

from imujax.data_builders.tabular import delimited
from imujax.data_builders.tabular.card import BLANKS, Layout
from imujax.data_builders.tabular.sentences import check_column_names, first_line, unreadable_file
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
}

WORKBOOKS = (".xlsx", ".xls", ".ods")
KNOWN = (*SUFFIXES, *WORKBOOKS)  # whose format is told by their name
LFS_POINTER = b"version https://git-lfs"


def table_format(path: Path, layout: Layout) -> str:
    """The format of a file: from the card, or from the end of its name without a last .gz."""
    if layout.format:
        return layout.format
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix in WORKBOOKS:
        raise UserError(f"{path}: is a workbook: save its sheet as CSV and read that")
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
        CSV or TSV, also packed with gzip, Parquet, or MATLAB up to v7.
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
    reader = {
        "csv": _read_csv,
        "tsv": _read_csv,
        "opensim": _read_csv,
        "parquet": _read_parquet,
        "feather": _read_arrow,
        "jsonl": _read_arrow,
        "npz": _read_npz,
        "mat": _read_matlab,
    }.get(table_format(path, layout))
    if reader is None:
        raise UserError(f"{path}: a second file cannot be HDF5: save this table as CSV or Parquet")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    refuse_pointer(path)
    table = reader(path, layout, list(dict.fromkeys(numbers)), list(dict.fromkeys(texts)))
    if not all(len(column) for column in table.values()):
        raise UserError(f"{path}: the table has no rows")
    return table


def list_columns(path: Path) -> list[str]:
    """Names of all columns of numbers in a file that is no text.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of str

    Raises
    ------
    UserError
        The file is damaged.
    """
    kind = table_format(path, Layout())
    try:
        if kind == "parquet":
            return list(pyarrow.parquet.ParquetFile(path).schema_arrow.names)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable_file(path, error) from None
    if kind in ("feather", "jsonl"):
        return list(_load_arrow(path, kind).column_names)
    return list(_load_arrays(path) if kind == "npz" else _load_matlab(path)[0])


def refuse_pointer(path: Path) -> None:
    """UserError for a file that stands for one that was not fetched."""
    try:
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
    except OSError as error:
        raise unreadable_file(path, error) from None
    if start == LFS_POINTER:
        raise UserError(
            f"{path}: is a pointer of Git LFS, not the file itself: fetch it with `git lfs pull`"
        )


def tidy_name(value: object) -> str:
    """A name as text without blanks around it; a class number that was stored as 8.0 is "8"."""
    text = str(value).strip()
    return text[:-2] if re.fullmatch(r"-?\d+\.0", text) else text


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
    delimiters = {"tsv": ("\t", ""), "opensim": (BLANKS, "endheader")}
    return delimited.read_text(path, layout, *delimiters.get(table_format(path, layout), (",", "")))


def _read_csv(path: Path, layout: Layout, numbers: list[str], texts: list[str]) -> dict:
    parts = read_text(path, layout)
    table = delimited.parse_columns(parts, layout, numbers, texts, path)
    return _convert_columns(table, numbers, texts, path)


def _read_parquet(path: Path, layout: Layout, numbers: list[str], texts: list[str]) -> dict:
    try:
        file = pyarrow.parquet.ParquetFile(path)
        check_column_names(file.schema_arrow.names, [*numbers, *texts], path)
        table = file.read(list(dict.fromkeys([*numbers, *texts])), use_threads=False)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # a damaged name
        raise unreadable_file(path, error) from None
    return _convert_columns(table, numbers, texts, path)


def _read_arrow(path: Path, layout: Layout, numbers: list[str], texts: list[str]) -> dict:
    table = _load_arrow(path, table_format(path, layout))
    check_column_names(table.column_names, [*numbers, *texts], path)
    return _convert_columns(table, numbers, texts, path)


def _load_arrow(path: Path, kind: str) -> pa.Table:
    """Feather, or JSON with an object a line."""
    try:
        if kind == "feather":
            return pyarrow.feather.read_table(path, use_threads=False)
        return pyarrow.json.read_json(path, pyarrow.json.ReadOptions(use_threads=False))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable_file(path, error) from None


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


def _read_npz(path: Path, layout: Layout, numbers: list[str], texts: list[str]) -> dict:
    return select_columns(_load_arrays(path), numbers, texts, path)


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays of NumPy: a vector is a column of its own name, a matrix as in MATLAB."""
    columns = {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            for name in arrays.files:
                value = np.asarray(arrays[name])
                columns |= flatten_variable(name, value[:, None] if value.ndim == 1 else value)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise unreadable_file(path, error) from None
    return columns


def _read_matlab(path: Path, layout: Layout, numbers: list[str], texts: list[str]) -> dict:
    columns, is_opaque = _load_matlab(path)
    if is_opaque and not set(numbers) | set(texts) <= set(columns):
        raise UserError(
            f"{path}: this holds MATLAB objects (a table?) that only MATLAB can read: there, save "
            "each with parquetwrite or writetable and read the Parquet or CSV file"
        )
    return select_columns(columns, numbers, texts, path)


def _load_matlab(path: Path) -> tuple[dict[str, np.ndarray], bool]:
    """The columns, and whether there are objects beside them that only MATLAB can read.

    A vector is a column of its own name, a matrix has the columns `name(:,1)`, `name(:,2)`, ...
    Fields of a struct are `struct.field`.
    """
    try:
        variables = scipy.io.loadmat(path)
    except NotImplementedError:
        raise UserError(
            f'{path}: this is MATLAB v7.3: read it as HDF5 (format = "hdf5" and a table [hdf5])'
        ) from None
    except Exception as error:  # damaged files make this reader raise errors of many kinds
        raise unreadable_file(path, error) from None
    columns = {}
    for name, value in variables.items():
        if not name.startswith("__"):
            columns |= flatten_variable(name, value)
    return columns, any(isinstance(v, scipy.io.matlab.MatlabOpaque) for v in variables.values())


def flatten_variable(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of one variable; what is neither numbers nor text nor a struct is left out."""
    if value.dtype.names:
        if value.size != 1:
            return {}
        record = value.reshape(-1)[0]
        parts = [
            flatten_variable(f"{name}.{field}", np.asarray(record[field]))
            for field in value.dtype.names
        ]
        return {key: column for part in parts for key, column in part.items()}
    if value.dtype == object and value.ndim == 2 and 1 in value.shape:  # a cell array of texts
        cells = [np.asarray(cell).reshape(-1) for cell in value.reshape(-1)]
        return {name: np.array(["".join(map(str, cell)) for cell in cells], dtype=str)}
    if value.dtype.kind not in "fiubU" or value.ndim != 2:
        return {}
    if 1 in value.shape:
        return {name: value.reshape(-1)}
    return {f"{name}(:,{j + 1})": value[:, j] for j in range(value.shape[1])}


def select_columns(
    columns: dict[str, np.ndarray], numbers: Sequence[str], texts: Sequence[str], path: Path | str
) -> dict[str, np.ndarray]:
    """The wanted ones of `columns`, of one type and one length."""
    check_column_names(list(columns), [*numbers, *texts], path)
    selected = {}
    for name in numbers:
        if columns[name].dtype.kind not in "fiub":
            raise UserError(f'{path}: column "{name}" is not numeric')
        selected[name] = np.array(columns[name], np.float64)
    selected |= {name: np.array([tidy_name(v) for v in columns[name]], dtype=str) for name in texts}
    lengths = {name: len(column) for name, column in selected.items()}
    if len(set(lengths.values())) > 1:
        short, long = min(lengths, key=lengths.get), max(lengths, key=lengths.get)
        raise UserError(
            f'{path}: columns "{short}" and "{long}" differ in length '
            f"({lengths[short]} and {lengths[long]})"
        )
    return selected
