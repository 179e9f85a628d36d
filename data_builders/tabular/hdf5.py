"""HDF5 files: which data sets are recordings, and their columns.

A card with a table [hdf5] says which data sets or groups of a file are recordings; without one the
whole file is one recording, whose columns have the names of their data sets with the groups before
them: `foot/gyr(:,1)`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from imujax.data_builders.tabular import arrays, sentences
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
            raise sentences.unreadable_file(path, error) from None
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

    A group is one recording too (so lie the variables of a MATLAB v7.3 file): see `list_columns`.
    """
    with _open_file(path) as file:
        node = file[name]
        source = f"{path} ({name})"
        if isinstance(node, h5py.Group):
            yield "", _read_group(node, numbers, (), source, hdf5.trim)
            return
        names = _field_names(file, node, hdf5, source)
        is_compound = node.dtype.names is not None
        has_rows = node.ndim == (2 if is_compound else 3)
        for row in range(len(node)) if has_rows else (None,):
            block = _read_values(node, row, source)
            columns = {n: block[n] if is_compound else block[:, i] for i, n in enumerate(names)}
            table = arrays.select_columns(columns, numbers, (), source)
            if hdf5.trim:
                table = _trim_zeros(table, columns)
            yield "" if row is None else f"/{row}", table


def list_columns(path: Path) -> list[str]:
    """Names of all columns of numbers or text below the root of a file.

    Those of a vector have its name, those of a matrix `name(:,1)`, `name(:,2)`, ..., those of a
    compound data set `name/field`.
    """
    with _open_file(path) as file:
        return list(_list_places(file, str(path)))


def read_columns(path: Path, numbers: Sequence[str], texts: Sequence[str]) -> arrays.Columns:
    """Columns of `list_columns`, of one length: [T] each."""
    with _open_file(path) as file:
        return _read_group(file, numbers, texts, str(path), False)


def _open_file(path: Path) -> h5py.File:
    sentences.refuse_pointer(path)
    size, end = path.stat().st_size, _end_of_file(path)
    if end is not None and size > end:
        raise UserError(f"{path}: is damaged: it is {size - end} bytes longer than its header says")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise sentences.unreadable_file(path, error) from None


def _end_of_file(path: Path) -> int | None:
    """Where the file ends by its superblock, if that lies at the beginning."""
    with path.open("rb") as stream:
        head = stream.read(48)
    if len(head) < 48 or head[:8] != b"\x89HDF\r\n\x1a\n" or head[8] > 3:
        return None
    at, width = (40, head[13]) if head[8] < 2 else (28, head[9])
    return int.from_bytes(head[at : at + 8], "little") if width == 8 else None


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
    if h5py.check_string_dtype(node.dtype) is not None:
        node = node.asstr()
    try:
        return node[...] if row is None else node[row]
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{source}: the values cannot be read: {sentences.first_line(error)}"
        ) from None


class _Place(NamedTuple):
    """Where a column lies: the data set, and its column or field there."""

    node: h5py.Dataset
    index: int | str | None


def _list_places(group: h5py.Group, source: str) -> dict[str, _Place]:
    """By name the columns below a group; links to other places are not followed."""
    places = {}

    def visit(name: str, node: h5py.Dataset | h5py.Group) -> None:
        if not isinstance(node, h5py.Dataset):
            return
        if node.dtype.names and node.ndim == 1:
            places.update({f"{name}/{field}": _Place(node, field) for field in node.dtype.names})
        elif node.dtype.kind not in "fiub" and h5py.check_string_dtype(node.dtype) is None:
            return
        elif node.ndim == 1 or (node.ndim == 2 and 1 in node.shape):
            places[name] = _Place(node, None)
        elif node.ndim == 2:
            count = node.shape[0 if _is_transposed(node) else 1]
            places.update({f"{name}(:,{j + 1})": _Place(node, j) for j in range(count)})

    try:
        group.visititems(visit)
    except (OSError, RuntimeError) as error:
        raise sentences.unreadable_file(source, error) from None
    return places


def _is_transposed(node: h5py.Dataset) -> bool:
    return "MATLAB_class" in node.attrs  # MATLAB stores a matrix [T, k] as [k, T]


def _read_group(
    group: h5py.Group, numbers: Sequence[str], texts: Sequence[str], source: str, trim: bool
) -> arrays.Columns:
    """The wanted columns below a group; to trim, all others of their length are read too."""
    places = _list_places(group, source)
    sentences.check_column_names(list(places), [*numbers, *texts], source)
    blocks: dict[str, np.ndarray] = {}

    def read(name: str) -> np.ndarray:
        node, index = places[name]
        if node.name not in blocks:
            block = _read_values(node, None, source)
            blocks[node.name] = block.T if _is_transposed(node) else block
        block = blocks[node.name]
        if index is None:
            return block.reshape(-1)
        return block[index] if isinstance(index, str) else block[:, index]

    columns = {name: read(name) for name in (places if trim else [*numbers, *texts])}
    table = arrays.select_columns(columns, numbers, texts, source)
    return _trim_zeros(table, columns) if trim else table


def _trim_zeros(table: arrays.Columns, columns: arrays.Columns) -> arrays.Columns:
    """Without the rows at the end in which every column of the data set is zero."""
    n = len(next(iter(table.values())))
    filled = np.zeros(n, bool)
    for column in columns.values():
        if len(column) == n and column.dtype.kind in "fiub":
            filled |= column != 0
    n = int(np.flatnonzero(filled)[-1]) + 1 if filled.any() else 0
    return {name: column[:n] for name, column in table.items()}
