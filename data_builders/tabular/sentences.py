"""What sentences on mistakes are made of: names as they may stand there, and names near them."""

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from imujax.errors import UserError

LFS_POINTER = b"version https://git-lfs"


def suggest_names(word: str, known: Iterable[str]) -> str:
    """The tail of an error sentence: the names close to `word`, else the first few there are."""
    known = [printable_name(str(k)) for k in known]
    by_lower = {k.lower(): k for k in reversed(known)}
    close = difflib.get_close_matches(word.lower(), by_lower, n=3, cutoff=0.5)
    if close:
        return "; did you mean " + " or ".join(f'"{by_lower[c]}"' for c in close) + "?"
    listed = ", ".join(f'"{k}"' for k in known[:8]) + (", ..." if len(known) > 8 else "")
    return f"; there are {listed}" if known else "; there are none"


def check_column_names(names: Sequence[str], required: Sequence[str], source: Path | str) -> None:
    """UserError for a required column that is missing, or that two columns are called like."""
    for name in required:
        if name not in names:
            raise UserError(f'{source}: there is no column "{name}"{suggest_names(name, names)}')
        if names.count(name) > 1:
            raise UserError(f'{source}: two columns are called "{name}"')


def unreadable_file(path: Path | str, error: Exception) -> UserError:
    """The sentence for a file that another library gave up on."""
    if isinstance(error, PermissionError):
        return UserError(f"{path}: may not be read: change its permissions")
    return UserError(f"{path}: cannot be read, damaged or incomplete? {first_line(error)}")


def first_line(error: Exception) -> str:
    """The first line of another library's message."""
    return printable_name((str(error).strip().splitlines() or [type(error).__name__])[0])


def printable_name(text: str) -> str:
    """A name from a file as it may stand in a sentence: short, control characters escaped."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text if len(text) <= 200 else text[:200] + "..."


def refuse_pointer(path: Path) -> None:
    """UserError for a file that stands for one that was not fetched."""
    try:
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
    except OSError as error:
        raise unreadable_file(path, error) from None
    if start == LFS_POINTER:
        raise UserError(
            f"{path}: is a pointer of Git LFS, not the file itself: fetch it with `git lfs pull`"
        )


def tidy_name(value: object) -> str:
    """A name as text without blanks around it; a class number that was stored as 8.0 is "8"."""
    text = str(value).strip()
    return text[:-2] if re.fullmatch(r"-?\d+\.0", text) else text
