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
