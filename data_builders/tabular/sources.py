"""Which files a card means: the recordings below the raw folder, and all that each one needs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imujax.data_builders.tabular import hdf5, readers
from imujax.data_builders.tabular.card import Card, fill_in
from imujax.errors import UserError


@dataclass(frozen=True)
class Item:
    """What one call of `examples` reads: a file, or one data set of an HDF5 file.

    `paths` are all files it needs, the recording's own first; `groups` the named groups of the
    card's expressions; `recording` the id, still without the row of a data set and the side.
    """

    paths: tuple[Path, ...]
    raw: Path
    dataset: str | None
    groups: dict[str, str]
    recording: str


def items(card: Card, raw: Path) -> list[Item]:
    """All recordings that the card takes, in order of their paths; every file they need is there.

    Raises UserError where nothing matches, `match` does not take a path, a further file is
    missing, or two files give the same subject and recording. Names that begin with a dot, which
    file managers leave behind, are passed over.
    """
    try:
        found = [p for p in raw.glob(card.files) if p.is_file() and not p.name.startswith(".")]
    except ValueError as error:
        raise UserError(f'the card {card.path}: "files" is no pattern: {error}') from None
    if not found:
        raise UserError(f'no file in {raw} matches "{card.files}", the card\'s "files"')
    out = [item for path in sorted(found) for item in _of_file(card, raw, path)]
    seen = {}
    for item in out:
        key = (item.groups["subject"], item.recording)
        if key in seen:
            raise UserError(
                f"{item.paths[0]} and {seen[key]} are both recording {key[1]} of subject {key[0]}: "
                'tell them apart by a group (?P<recording>...) in "match"'
            )
        seen[key] = item.paths[0]
    return out


def inside(raw: Path, template: str, groups: dict[str, str]) -> Path:
    """The file below `raw` that a template of the card means."""
    path = raw / fill_in(template, groups)
    if ".." in path.parts or not path.is_relative_to(raw):
        raise UserError(f'"{template}" in the card leaves the raw folder: {path}')
    if not path.is_file():
        raise UserError(f'{path}: there is no such file, but "{template}" in the card asks for it')
    return path


def _of_file(card: Card, raw: Path, path: Path) -> Iterator[Item]:
    """The items of one file: several where it is HDF5."""
    relative = path.relative_to(raw).as_posix()
    groups = {}
    if card.match:
        match = re.search(card.match, relative)
        if not match:
            raise UserError(
                f'{path}: "match" in the card, {card.match}, does not take {relative}: '
                'narrow "files" or widen "match"'
            )
        groups = match.groupdict(default="")
    if (readers.kind(path, card.layout) == "hdf5") != (card.hdf5 is not None):
        raise UserError(f"{path}: HDF5 files, and no others, need the table [hdf5] in the card")
    stem = re.sub(r"(\.\w+)?(\.gz)?$", "", relative)
    parts = hdf5.names(path, card.hdf5) if card.hdf5 else [(None, {})]
    for dataset, more in parts:
        both = groups | more
        if not both["subject"]:
            raise UserError(f'{path}: the group "subject" in the card is empty for this file')
        default = stem if dataset is None else f"{stem}/{dataset}"
        paths = dict.fromkeys([path, *_others(card, raw, both)])
        yield Item(tuple(paths), raw, dataset, both, both.get("recording") or default)


def _others(card: Card, raw: Path, groups: dict[str, str]) -> Iterator[Path]:
    """The further files of one recording, for all its sides."""
    tables = [card.activity, card.mass, card.height]
    tables += [part.signal for part in (card.events, card.target) if part]
    for table in tables:
        if table is not None and table.file:
            for side in card.sides or ("",):
                yield inside(raw, table.file, {**groups, "side": side})
