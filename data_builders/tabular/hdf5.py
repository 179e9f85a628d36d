"""HDF5 files: which data sets are recordings, and their columns."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from imujax.data_builders.tabular import readers, sentences
from imujax.data_builders.tabular.card import Hdf5
from imujax.errors import UserError


def list_recordings(path: Path, hdf5: Hdf5) -> list[tuple[str, dict[str, str]]]:
    """(name, named groups) of the data sets and groups in a file that the card's expression takes.

    Links to other files are not followed.
    """
    recordings, other_names = [], []

    def visit(name: str, node: h5py.Dataset | h5py.Group) -> None:
        match = re.fullmatch(hdf5.dataset, name)
        if match:
            recordings.append((name, match.groupdict(default="")))
        elif isinstance(node, h5py.Dataset):
            other_names.append(name)

    with _open_file(path) as file:
        visit("/", file)
        try:
            file.visititems(visit)
        except (OSError, RuntimeError) as error:
            raise readers.unreadable_file(path, error) from None
    if not recordings:
        raise UserError(
            f'{path}: no data set is called as "hdf5.dataset" says, {hdf5.dataset!r}'
            + sentences.suggest_names(hdf5.dataset, other_names)
        )
    return recordings


def read_recordings(
    path: Path, name: str, hdf5: Hdf5, numbers: Sequence[str]
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """(suffix, table) of each recording in one data set: "" for [T, fields], "/row" for 3-D ones.

    A group of vectors is one recording too (so lie the variables of a MATLAB v7.3 file).
    """
    with _open_file(path) as file:
        node = file[name]
        source = f"{path} ({name})"
        if isinstance(node, h5py.Group):
            columns = {}
            for key in node:
                if isinstance(node.get(key, getlink=True), h5py.HardLink):
                    columns |= _read_vectors(key, node[key], source)
            yield (
                "",
                _trim_zeros(readers.select_columns(columns, numbers, (), source), columns, hdf5),
            )
            return
        names = _field_names(file, node, hdf5, source)
        is_compound = node.dtype.names is not None
        has_rows = node.ndim == (2 if is_compound else 3)
        for row in range(len(node)) if has_rows else (None,):
            block = _read_values(node, row, source)
            columns = {n: block[n] if is_compound else block[:, i] for i, n in enumerate(names)}
            table = _trim_zeros(readers.select_columns(columns, numbers, (), source), columns, hdf5)
            yield "" if row is None else f"/{row}", table


def _open_file(path: Path) -> h5py.File:
    readers.refuse_pointer(path)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise readers.unreadable_file(path, error) from None


def _field_names(file: h5py.File, node: h5py.Dataset, hdf5: Hdf5, source: str) -> list[str]:
    """Names of the fields: of the compound type, else the attribute's JSON list."""
    if node.dtype.names:
        if node.ndim not in (1, 2):
            raise UserError(f"{source}: has shape {node.shape}, wanted [T] or [recordings, T]")
        return list(node.dtype.names)
    if node.ndim not in (2, 3):
        raise UserError(
            f"{source}: has shape {node.shape}, wanted [T, fields] or [recordings, T, fields]"
        )
    if hdf5.columns is None:
        raise UserError(f'{source}: give the attribute with the column names, "hdf5.columns"')
    owner = next((h for h in (node, file) if hdf5.columns in h.attrs), None)
    if owner is None:
        raise UserError(
            f'{source}: neither the data set nor the file has the attribute "{hdf5.columns}"'
            + sentences.suggest_names(hdf5.columns, [*node.attrs, *file.attrs])
        )
    names = owner.attrs[hdf5.columns]
    try:
        names = list(names) if isinstance(names, np.ndarray) else json.loads(names)
    except (TypeError, ValueError):
        names = None
    if not isinstance(names, list) or len(names) != node.shape[-1]:
        size = f"of {len(names)} " if isinstance(names, list) else ""
        raise UserError(
            f'{source}: the attribute "{hdf5.columns}" must be a JSON list of the '
            f"{node.shape[-1]} column names, but is {'a list ' + size if size else 'none'}"
        )
    return [n.decode() if isinstance(n, bytes) else str(n) for n in names]


def _read_values(node: h5py.Dataset, row: int | None, source: str) -> np.ndarray:
    """The data set, or one row of its first axis; none that keeps its values in another file."""
    if node.is_virtual or node.external:
        raise UserError(f"{source}: its values lie in another file: copy them into this one")
    try:
        return node[...] if row is None else node[row]
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{source}: the values cannot be read: {readers.first_line(error)}"
        ) from None


def _read_vectors(
    key: str, member: h5py.Dataset | h5py.Group, source: str
) -> dict[str, np.ndarray]:
    """The columns of one member of a group; MATLAB stores a matrix [T, k] as [k, T]."""
    numeric = isinstance(member, h5py.Dataset) and member.dtype.kind in "fiub"
    if not numeric or member.ndim not in (1, 2):
        return {}
    values = _read_values(member, None, source)
    if values.ndim == 2 and "MATLAB_class" in member.attrs:
        values = values.T
    return readers.flatten_variable(key, values if values.ndim == 2 else values[:, None])


def _trim_zeros(table: dict, columns: dict[str, np.ndarray], hdf5: Hdf5) -> dict:
    """Without the rows at the end in which every column of the data set is zero."""
    if not hdf5.trim:
        return table
    n = len(next(iter(table.values())))
    filled = np.zeros(n, bool)
    for column in columns.values():
        if len(column) == n and column.dtype.kind in "fiub":
            filled |= column != 0
    n = int(np.flatnonzero(filled)[-1]) + 1 if filled.any() else 0
    return {name: column[:n] for name, column in table.items()}
