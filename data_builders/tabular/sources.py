"""Which files a card means: the recordings below the raw folder, and all that each one needs."""

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imujax.data_builders.tabular import arrays, hdf5, readers
from imujax.data_builders.tabular.card import Card, fill_template
from imujax.errors import UserError


@dataclass(frozen=True)
class Item:
    """What one call of `read_examples` reads: a file, or one data set or variable of it.

    `paths` are all files it needs, the recording's own first; `groups` the named groups of the
    card's expressions; `recording` the id, still without the row of a data set and the side;
    `strangers` the rows of the card's labels that are of no recording, and `warning` a sentence on
    them, told by the first item.
    """

    paths: tuple[Path, ...]
    raw: Path
    dataset: str | None
    groups: dict[str, str]
    recording: str
    strangers: int = 0
    warning: str = ""


def list_items(card: Card, raw: Path) -> list[Item]:
    """All recordings that the card takes, in order of their paths; every file they need is there.

    Raises UserError where nothing matches, `match` does not take a path, a further file is
    missing, or two files give the same subject and recording. Names that begin with a dot, which
    file managers leave behind, are passed over.
    """
    try:
        paths = [p for p in raw.glob(card.files) if p.is_file() and not p.name.startswith(".")]
    except ValueError as error:
        raise UserError(f'the card {card.path}: "files" is no pattern: {error}') from None
    if not paths:
        raise UserError(f'no file in {raw} matches "{card.files}", the card\'s "files"')
    items = [item for path in sorted(paths) for item in _items_of_file(card, raw, path)]
    first_paths = {}
    for item in items:
        key = (item.groups["subject"], item.recording)
        if key in first_paths:
            raise UserError(
                f"{item.paths[0]} and {first_paths[key]} are both recording {key[1]} of subject "
                f"{key[0]}: "
                'tell them apart by a group (?P<recording>...) in "match"'
            )
        first_paths[key] = item.paths[0]
    _require_own_files(card, raw, items)
    return items


def is_taken(path: Path, files: str) -> bool:
    """Whether a card's `files` would find a path below the raw folder, there or not."""
    return _fits(path.parts, PurePosixPath(files).parts)


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[i:], pattern[1:]) for i in range(len(parts) + 1))
    is_first = bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0])
    return is_first and _fits(parts[1:], pattern[1:])


def _require_own_files(card: Card, raw: Path, items: list[Item]) -> None:
    """No two recordings take their accelerometer or gyroscope from one file."""
    takers: dict[tuple[str, Path], Item] = {}
    for item in items:
        for template in {axes.file for axes in card.axes if axes.file}:
            for side in card.sides or ("",):
                path = resolve_path(raw, template, {**item.groups, "side": side})
                other = takers.setdefault((template, path), item)
                if other.paths[0] != item.paths[0]:
                    raise UserError(
                        f"{item.paths[0]} and {other.paths[0]} take a sensor from one file, "
                        f'{path}: put braces into "{template}" in the card, so that each '
                        "recording has its own"
                    )


def resolve_path(raw: Path, template: str, groups: dict[str, str]) -> Path:
    """The file below `raw` that a template of the card means."""
    path = raw / fill_template(template, groups)
    if ".." in path.parts or not path.is_relative_to(raw):
        raise UserError(f'"{template}" in the card leaves the raw folder: {path}')
    if not path.is_file():
        raise UserError(f'{path}: there is no such file, but "{template}" in the card asks for it')
    return path


def _items_of_file(card: Card, raw: Path, path: Path) -> Iterator[Item]:
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
    kind = readers.table_format(path, card.layout)
    for table, is_there in (("hdf5", card.hdf5 is not None), ("mat", card.mat is not None)):
        if is_there and kind != table:
            raise UserError(f"{path}: is no file for the table [{table}] in the card: leave it out")
    stem = re.sub(r"(\.\w+)?(\.gz)?$", "", relative)
    datasets: list[tuple[str | None, dict[str, str]]] = [(None, {})]
    if card.hdf5:
        datasets = list(hdf5.list_recordings(path, card.hdf5))
    elif card.mat:
        datasets = list(arrays.list_parts(path, card.mat))
    for dataset, dataset_groups in datasets:
        all_groups = groups | dataset_groups
        if card.subject is not None:
            all_groups["subject"] = card.subject
        if card.columns.subject:
            all_groups["subject"] = ""  # of each row
        elif not all_groups["subject"]:
            raise UserError(f'{path}: the group "subject" in the card is empty for this file')
        default = stem if dataset is None else f"{stem}/{dataset}"
        paths = dict.fromkeys([path, *_further_files(card, raw, all_groups)])
        yield Item(tuple(paths), raw, dataset, all_groups, all_groups.get("recording") or default)


def _further_files(card: Card, raw: Path, groups: dict[str, str]) -> Iterator[Path]:
    """The further files of one recording, for all its sides."""
    tables = [card.activity, card.labels, card.mass, card.height]
    tables += [axes for sensor in card.sensors for axes in (sensor.acc, sensor.gyr)]
    tables += card.signals.values()
    for table in tables:
        if table is not None and table.file:
            for side in card.sides or ("",):
                yield resolve_path(raw, table.file, {**groups, "side": side})
