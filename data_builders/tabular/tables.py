"""The tables of one item: its file, one data set of it, or one variable."""

import dataclasses
from collections.abc import Iterator, Sequence

from imujax.data_builders.tabular import arrays, hdf5, readers
from imujax.data_builders.tabular.card import Card
from imujax.data_builders.tabular.sources import Item


def read_own(
    card: Card,
    item: Item,
    numbers: Sequence[str],
    texts: Sequence[str] = (),
    where: tuple[tuple[str, tuple[str, ...]], ...] = (),
) -> Iterator[tuple[str, str, arrays.Columns]]:
    """Read columns of an item's own file.

    Parameters
    ----------
    card : Card
    item : Item
    numbers, texts : sequence of str
        Names of columns.
    where : tuple
        Rows that count, of `Layout`, in the place of the card's own.

    Yields
    ------
    suffix : str
        Of the recording's id: "/row" for each row of a data set of three dimensions, or nothing.
    source : str
        The name that error sentences show.
    table : dict of ndarray, [T]
    """
    path = item.paths[0]
    if card.hdf5 and item.dataset is not None:
        for suffix, table in hdf5.read_recordings(path, item.dataset, card.hdf5, numbers):
            source = f"{path} ({item.dataset}{suffix})"
            yield suffix, source, readers.without_marks(table, card.layout)
    elif card.mat:
        source = f"{path} ({item.dataset})"
        table = arrays.read_matlab(path, numbers, texts, item.dataset or "")
        yield "", source, readers.without_marks(table, card.layout)
    else:
        layout = dataclasses.replace(card.layout, where=where) if where else card.layout
        yield "", str(path), readers.read_table(path, layout, numbers, texts)
