"""The one exception for mistakes that a user can make and mend."""

from collections.abc import Iterable


class UserError(ValueError):
    """One sentence: what is wrong, where, and how to mend it.

    The command line prints it after `imujax: ` and exits with status 2, without a traceback.
    """


def require_known(field: str, name: str, known: Iterable[str]):
    """UserError where what `field` names is none of `known`."""
    if name not in known:
        raise UserError(f"{field} names {name!r}: there are {', '.join(known)}")


def shorten(error: Exception, most: int = 120) -> str:
    """What another library says, on one line; what is longer ends with a whole word, or path."""
    text = " ".join(str(error).split())
    end = text.find(" ", most)
    return text if end < 0 else f"{text[:end]} ..."
