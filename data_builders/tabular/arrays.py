"""Arrays of MATLAB (up to v7) and NumPy as named columns.

A vector is a column of its own name, a matrix has the columns `name(:,1)`, `name(:,2)`, ...  Fields
of a struct are `struct.field`, the members of arrays of structs and of cells are `struct(1).field`
and `cell{1}`, as MATLAB writes them.
"""

import functools
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import scipy.io

from imujax.data_builders.tabular import sentences
from imujax.errors import UserError

Columns = dict[str, np.ndarray]


def load_npz(path: Path) -> Columns:
    """Read every array of an .npz file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of ndarray, [T]

    Raises
    ------
    UserError
        The file is damaged, or holds objects.
    """
    columns = {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            for name in arrays.files:
                value = np.asarray(arrays[name])
                if value.dtype.names and value.ndim == 1:
                    for key in value.dtype.names:
                        part = value[key] if value[key].ndim > 1 else value[key][:, None]
                        columns |= flatten_variable(f"{name}.{key}", part)
                    continue
                columns |= flatten_variable(name, value[:, None] if value.ndim == 1 else value)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise sentences.unreadable_file(path, error) from None
    return columns


def read_matlab(
    path: Path, numbers: Sequence[str], texts: Sequence[str] = (), part: str = ""
) -> Columns:
    """Read columns of a MATLAB file.

    Parameters
    ----------
    path : Path
    numbers, texts : sequence of str
        Names of columns.
    part : str, optional
        Of `list_parts`: what the names are below.

    Returns
    -------
    dict of ndarray, [T]

    Raises
    ------
    UserError
        As of `load_matlab` and `select_columns`.
    """
    columns, is_opaque = load_matlab(path)
    if part:
        columns = dict(_columns_of(columns, part))
    if is_opaque and not set(numbers) | set(texts) <= set(columns):
        raise UserError(
            f"{path}: this holds MATLAB objects (a table?) that only MATLAB can read: there, save "
            "each with parquetwrite or writetable and read the Parquet or CSV file"
        )
    return select_columns(columns, numbers, texts, f"{path} ({part})" if part else path)


def load_matlab(path: Path) -> tuple[Columns, bool]:
    """Read every variable of a MATLAB file up to v7; the file read last is kept.

    Parameters
    ----------
    path : Path

    Returns
    -------
    columns : dict of ndarray, [T]
    is_opaque : bool
        Whether there are objects beside them that only MATLAB can read.

    Raises
    ------
    UserError
        The file is damaged, or of MATLAB v7.3.
    """
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise sentences.unreadable_file(path, error) from None
    return _load_matlab(path, changed)


@functools.lru_cache(maxsize=1)
def _load_matlab(path: Path, changed: int) -> tuple[Columns, bool]:
    try:
        variables = scipy.io.loadmat(path)
    except NotImplementedError:
        raise UserError(f'{path}: this is MATLAB v7.3: read it as HDF5 (format = "hdf5")') from None
    except Exception as error:  # damaged files make this reader raise errors of many kinds
        raise sentences.unreadable_file(path, error) from None
    columns = {}
    for name, value in variables.items():
        if not name.startswith("__"):
            columns |= flatten_variable(name, value)
    return columns, any(isinstance(v, scipy.io.matlab.MatlabOpaque) for v in variables.values())


def list_parts(path: Path, variable: str) -> list[tuple[str, dict[str, str]]]:
    """Find the structs, members of struct arrays and cells that are recordings.

    Parameters
    ----------
    path : Path
        A MATLAB file.
    variable : str
        Regular expression for the whole name: `trial(3)`, `S01.walk`, `data{2}`.

    Returns
    -------
    list of (str, dict of str)
        Name and named groups, in the order of the file.

    Raises
    ------
    UserError
        There is none.
    """
    columns, _ = load_matlab(path)
    parts = dict.fromkeys(column[:end] for column in columns for end, _ in _joints(column))
    matches = ((part, re.fullmatch(variable, part)) for part in parts)
    taken = [(part, match.groupdict(default="")) for part, match in matches if match]
    if not taken:
        raise UserError(
            f'{path}: no variable is called as "mat.variable" says, {variable!r}'
            + sentences.suggest_names(variable, parts)
        )
    return taken


def _joints(column: str) -> Iterator[tuple[int, int]]:
    """Where the name of a column can be cut: end of the part, begin of what is below it."""
    for match in re.finditer(r"\.|(?=\(:,\d+\)$)", column):
        yield match.span()


def _columns_of(columns: Columns, part: str) -> Iterator[tuple[str, np.ndarray]]:
    for name, column in columns.items():
        for end, begin in _joints(name):
            if name[:end] == part:
                yield name[begin:], column


def flatten_variable(name: str, value: np.ndarray) -> Columns:
    """Take one variable apart.

    Parameters
    ----------
    name : str
    value : ndarray
        As scipy.io.loadmat gives it, with two dimensions or more.

    Returns
    -------
    dict of ndarray, [T]
        What is neither numbers nor text nor a struct or cell of them is left out.
    """
    if value.dtype.names:
        columns = {}
        for place, record in zip(_places(value, "()"), value.reshape(-1, order="F"), strict=True):
            for field in value.dtype.names:
                columns |= flatten_variable(f"{name}{place}.{field}", np.asarray(record[field]))
        return columns
    if value.dtype == object:
        cells = [np.asarray(cell) for cell in value.reshape(-1, order="F")]
        if all(cell.dtype.kind == "U" or not cell.size for cell in cells):
            if 1 not in value.shape:
                return {}
            return {name: np.array(["".join(map(str, c.reshape(-1))) for c in cells], dtype=str)}
        columns = {}
        for place, cell in zip(_places(value, "{}", alone=True), cells, strict=True):
            columns |= flatten_variable(f"{name}{place}", cell)
        return columns
    if value.dtype.kind not in "fiubU" or value.ndim != 2:
        return {}
    if 1 in value.shape:
        return {name: value.reshape(-1)}
    return {f"{name}(:,{j + 1})": value[:, j] for j in range(value.shape[1])}


def _places(value: np.ndarray, brackets: str, alone: bool = False) -> Iterator[str]:
    """How MATLAB names the members of an array, columns first; one alone is nothing."""
    if value.size == 1 and not alone:
        yield ""
        return
    is_vector = sum(size != 1 for size in value.shape) <= 1
    for number, index in enumerate(np.ndindex(*value.shape[::-1])):
        numbers = [number + 1] if is_vector else [i + 1 for i in index[::-1]]
        yield brackets[0] + ",".join(map(str, numbers)) + brackets[1]


def select_columns(
    columns: Columns, numbers: Sequence[str], texts: Sequence[str], path: Path | str
) -> Columns:
    """Take what is wanted of columns.

    Parameters
    ----------
    columns : dict of ndarray
    numbers, texts : sequence of str
        Names.
    path : Path or str
        Of the file, for sentences.

    Returns
    -------
    dict of ndarray, [T]
        float64 and str.

    Raises
    ------
    UserError
        For a column that is not there or not numeric, and columns of different lengths.
    """
    sentences.check_column_names(list(columns), [*numbers, *texts], path)
    selected = {}
    for name in numbers:
        if columns[name].dtype.kind not in "fiub":
            raise UserError(f'{path}: column "{name}" is not numeric')
        selected[name] = np.array(columns[name], np.float64)
    selected |= {
        name: np.array([sentences.tidy_name(v) for v in columns[name]], dtype=str) for name in texts
    }
    lengths = {name: len(column) for name, column in selected.items()}
    if len(set(lengths.values())) > 1:
        short, long = min(lengths, key=lengths.get), max(lengths, key=lengths.get)
        raise UserError(
            f'{path}: columns "{short}" and "{long}" differ in length '
            f"({lengths[short]} and {lengths[long]})"
        )
    return selected
