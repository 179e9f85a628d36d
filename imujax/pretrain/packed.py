"""An encoder as one file, to pass on: weights, card, and by what signals it was made.

Those in the folder `box` come with imujax, and are known by their name alone.  The format is
safetensors, which nothing is executed to read; the card is its metadata.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from imujax.data import content
from imujax.errors import UserError, shorten
from imujax.nets import parameters
from imujax.runtime import checkpoint, files

BOX = pathlib.Path(__file__).parent / "box"
SUFFIX = ".safetensors"
VERSION = 1  # of the file; raised when what stands in it changes
PARTS = ("params", "stats", "content")
TRACKS, HASHES = ("subject", "recording", "source", "sensor"), ("hash", "track", "time")


def write(
    file: pathlib.Path, card: Mapping[str, Any], state: Mapping[str, Any], seen: content.Content
) -> None:
    """Write an encoder to one file.

    Parameters
    ----------
    file : Path
    card : mapping
        As of `encoder.Encoder`.
    state : mapping
        params and stats, those of the encoder alone.
    seen : Content
        The signals that it was trained on.
    """
    from safetensors.numpy import save_file

    parts = {name: parameters.flatten(state[name]) for name in ("params", "stats")}
    parts["content"] = {name: getattr(seen, name) for name in HASHES}
    arrays = {
        f"{part}/{name}": np.array(value, order="C")
        for part, values in parts.items()
        for name, value in values.items()
    }
    names = {name: getattr(seen, name).tolist() for name in TRACKS}
    texts = {"card": card, "tracks": names, "content": content.VERSION}
    metadata = {name: json.dumps(value, sort_keys=True) for name, value in texts.items()}
    metadata["imujax"] = str(VERSION)
    files.write_whole(file, lambda part: save_file(arrays, part, metadata))


def list_names() -> list[str]:
    """List the encoders that come with imujax."""
    return sorted(path.name.removesuffix(SUFFIX) for path in BOX.glob(f"*{SUFFIX}"))


def find(place: pathlib.Path | str) -> pathlib.Path:
    """Find what a user names: a folder or a file, else the encoder of that name in the box.

    Parameters
    ----------
    place : Path or str

    Returns
    -------
    Path
        `place`, where it is there or nothing in the box has that name.
    """
    path, boxed = pathlib.Path(place), BOX / f"{place}{SUFFIX}"
    return boxed if not path.exists() and str(place) in list_names() else path


def read(place: pathlib.Path | str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read an encoder: one file, or the newest checkpoint of a pre-training's folder.

    Parameters
    ----------
    place : Path or str
        As of `find`.

    Returns
    -------
    card : dict
        With the step that it is of, as `step`.
    state : dict
        {"params": .., "stats": ..}, arrays of NumPy; of a file the encoder's alone.

    Raises
    ------
    UserError
        As of `checkpoint.read_newest`; or the file is damaged, or none of these.
    """
    path = find(place)
    if not path.is_file():
        return checkpoint.read_newest(path)
    texts, parts = _read_file(path)
    state = {name: parameters.unflatten(parts[name]) for name in ("params", "stats")}
    return texts["card"], state


def read_content(place: pathlib.Path | str) -> content.Content:
    """Read by what signals an encoder was made, and those before it.

    Parameters
    ----------
    place : Path or str
        As of `find`.

    Returns
    -------
    Content

    Raises
    ------
    UserError
        There is none, as of an older imujax, or the file is damaged.
    """
    path = find(place)
    if not path.is_file():
        return content.read(path, "give `imujax pretrain` again, which adds it")
    texts, parts = _read_file(path)
    if texts["content"] != content.VERSION:
        raise UserError(
            f"{path} knows its recordings by the rules of another imujax: pack it again with this "
            "one"
        )
    columns = texts["tracks"] | parts["content"]
    return content.Content(
        **{name: np.asarray(columns[name], kind) for name, kind in content.FIELDS.items()}
    )


def _read_file(path: pathlib.Path) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """Card, names of the tracks and version of the content; and arrays by part and name."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if int(metadata.get("imujax", 0)) > VERSION:
                raise UserError(f"{path} was packed by a newer imujax: update this one")
            texts = {name: json.loads(metadata[name]) for name in ("card", "tracks", "content")}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        missing = checkpoint.CARD_KEYS - texts["card"].keys()
        if missing:
            raise ValueError(f"its card lacks {', '.join(sorted(missing))}")
    except UserError:
        raise
    except (SafetensorError, OSError, LookupError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path} is no packed encoder, or damaged ({shorten(error)}): copy it again, or make "
            "it by `imujax pack`"
        ) from error
    parts: dict[str, dict[str, np.ndarray]] = {name: {} for name in PARTS}
    for name, value in arrays.items():
        part, own = name.split("/", 1)
        parts[part][own] = value
    return texts, parts
