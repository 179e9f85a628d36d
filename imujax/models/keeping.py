"""The folder of a model: arrays, texts and a card, all of which are checked when it is opened."""

import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from imujax.errors import UserError, shorten
from imujax.models import parts
from imujax.models.model import Model
from imujax.pretrain import encoder
from imujax.runtime import files

CARD_FILE, WEIGHTS_FILE = "card.json", "weights.safetensors"
VERSION = 3  # of the folder; raised when its files change
# Of the card, and what each of them must have.
NEEDED = {
    "targets": (),
    "rate": (),
    "window": (),
    "sensors": (),
    "interval": ("level",),
    "signals": (),
    "files": (WEIGHTS_FILE,),
}


def save(
    folder: pathlib.Path, card: dict[str, Any], members: Sequence[tuple[float, parts.Part]]
) -> Model:
    """Keep a model; the card is written last.

    Parameters
    ----------
    folder : Path
        Is made.
    card : dict
        As of Model, without parts and files.
    members : sequence of (float, Part)
        Weights, and what they weigh.

    Returns
    -------
    Model
        As it was kept.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    arrays, described, texts = {}, [], []
    for number, (weight, part) in enumerate(members):
        words, state = part.state()
        for name, value in state.items():
            if isinstance(value, str):
                texts.append(folder / f"part{number}.{name}.txt")
                files.write_text(texts[-1], value)
            else:
                arrays[f"part{number}/{name}"] = np.array(value, order="C")
        described.append(words | {"weight": weight})
    files.write_whole(folder / WEIGHTS_FILE, lambda file: save_file(arrays, file))
    for path in set(folder.glob("part*.txt")).difference(texts):  # of a model that was here before
        path.unlink()
    sums = {path.name: _checksum(path) for path in (folder / WEIGHTS_FILE, *texts)}
    last = {"parts": described, "files": sums}
    text = json.dumps({"version": VERSION} | card | last, indent=1)
    files.write_text(folder / CARD_FILE, text + "\n")
    return open_model(folder)


def open_model(folder: pathlib.Path | str) -> Model:
    """Open the folder of a model.

    Parameters
    ----------
    folder : Path or str

    Returns
    -------
    Model

    Raises
    ------
    UserError
        A file is missing, damaged or changed, or of a newer imujax.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = pathlib.Path(folder)
    try:
        card = json.loads((folder / CARD_FILE).read_text("utf-8"))
        if card["version"] > VERSION:
            raise UserError(f"{folder} was made by a newer imujax: update this one")
        if card["version"] < VERSION:
            raise UserError(f"{folder} was made by an older imujax: fit the model again")
        lacking = [
            name
            for name, fields in NEEDED.items()
            if name not in card or any(field not in card[name] for field in fields)
        ]
        lacking += ["targets"] if not all(map(_is_whole, card["targets"])) else []
        if lacking or not card["parts"]:
            raise ValueError(f"{CARD_FILE} lacks {', '.join(lacking or ['parts'])}")
        changed = [name for name, sum_ in card["files"].items() if _checksum(folder / name) != sum_]
        if changed:
            raise ValueError(f"{changed[0]} has changed since it was written")
        arrays = load_file(folder / WEIGHTS_FILE)
        members = []
        for number, described in enumerate(card["parts"]):
            prefix = f"part{number}/"
            state: parts.State = {
                name[len(prefix) :]: value
                for name, value in arrays.items()
                if name.startswith(prefix)
            }
            for name in card["files"]:
                if name.startswith(f"part{number}."):
                    state[name[len(prefix) : -4]] = (folder / name).read_text("utf-8")
            members.append(parts.restore(described, state))
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing: copy the folder {folder} again") from error
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        raise UserError(
            f"{folder} is damaged ({shorten(error)}): copy it again, or fit again"
        ) from error
    return Model(card, tuple(members))


def _is_whole(target: dict[str, Any]) -> bool:
    """Whether a target of a card has what estimates are made with."""
    own = {"seconds"} if "every" in target else set()
    if "classes" in target:
        own |= {"least"}
    else:
        own |= {"half", "range"} | ({"whole", "anywhere"} if "every" in target else set())
    return {"name", "unit"} | own <= set(target)


def _checksum(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load(folder: pathlib.Path | str) -> Model | encoder.Encoder:
    """Open what a folder holds: a model, or an encoder.

    Parameters
    ----------
    folder : Path or str
        As `imujax fit` or `imujax pretrain` has printed it.

    Returns
    -------
    Model or Encoder

    Raises
    ------
    UserError
        It holds neither, or is damaged.
    """
    if (pathlib.Path(folder) / CARD_FILE).is_file():
        return open_model(folder)
    return encoder.load(folder)
