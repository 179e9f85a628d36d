"""The sensors of recordings by a card, without what only labelled ones have."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from imujax.data.recordings import Recording
from imujax.data_builders.tabular import parse, records, sources
from imujax.data_builders.tabular.card import Card
from imujax.errors import UserError


def read_sensors(
    card: Path,
    raw: Path,
    files: Sequence[Path] = (),
    with_events: bool = False,
    out: Path | None = None,
) -> Iterator[Recording]:
    """Read recordings as a card describes them, its targets, labels and bodies left aside.

    Parameters
    ----------
    card : Path
    raw : Path
        Folder below which its files lie.
    files : sequence of Path
        Of these alone; all that the card takes by default.
    with_events : bool
        Whether [events] is looked at too.
    out : Path, optional
        A file that will be written: the card must not take it for a recording.

    Yields
    ------
    Recording
        In the order of their paths; with "events" where the card has them and they were asked for.

    Raises
    ------
    UserError
        A file does not lie there or is not taken by the card, or cannot be what the card says; or
        the card would take `out` the next time.
    """
    bare = dataclasses.replace(
        parse.load_card(card, to_estimate=True),
        measured=(),
        labels=None,
        activity=None,
        mass=None,
        height=None,
    )
    if not with_events:
        bare = dataclasses.replace(bare, events=None)
    elif bare.events and bare.events.peak > -math.inf:
        raise UserError(
            f'the card {card}: "events.peak" is looked for in the target\'s span, and nothing is '
            "measured here: leave it out, or say where windows lie"
        )
    items = sources.list_items(bare, raw)
    if out is not None:
        _require_no_recording(out, bare, raw, {path for item in items for path in item.paths})
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


def _require_no_recording(out: Path, card: Card, raw: Path, used: set[Path]) -> None:
    """UserError for a file to be written that is one of the files used, or that the card's "files"
    would find.
    """
    if out.resolve() in {path.resolve() for path in (card.path, *used)}:
        raise UserError(f"{out} is read here: write the table to another file")
    if not out.resolve().is_relative_to(raw.resolve()):
        return
    relative = out.resolve().relative_to(raw.resolve())
    if sources.is_taken(relative, card.files):
        raise UserError(
            f'{out}: the card would take it for a recording the next time ("{card.files}"): write '
            "it to another folder"
        )
