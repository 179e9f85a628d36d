"""The sensors of recordings by a card, without what only labelled ones have."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from imujax.data.recordings import Recording
from imujax.data_builders.tabular import parse, records, sources
from imujax.errors import UserError


def read_sensors(card: Path, raw: Path, files: Sequence[Path] = ()) -> Iterator[Recording]:
    """Read recordings as a card describes them, its events, targets, labels and bodies left aside.

    Parameters
    ----------
    card : Path
    raw : Path
        Folder below which its files lie.
    files : sequence of Path
        Of these alone; all that the card takes by default.

    Yields
    ------
    Recording
        In the order of their paths.

    Raises
    ------
    UserError
        A file does not lie there or is not taken by the card, or cannot be what the card says.
    """
    whole = parse.load_card(card)
    bare = dataclasses.replace(
        whole, events=None, target=None, labels=None, activity=None, mass=None, height=None
    )
    items = sources.list_items(bare, raw)
    if files:
        own = {item.paths[0].resolve(): item for item in items}
        for file in files:
            if file.resolve() not in own:
                raise UserError(f'{file}: the card {card} takes "{bare.files}" below {raw}')
        chosen = {file.resolve() for file in files}
        items = [item for item in items if item.paths[0].resolve() in chosen]
    for item in items:
        for read in records.read_recordings(bare, item):
            yield read.recording
