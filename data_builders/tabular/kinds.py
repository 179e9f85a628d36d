"""Checks of single values in a card, each a function (value, key) -> checked value.

`key` is named in the UserError that a wrong value raises.
"""

import datetime
import math
import re
from collections.abc import Callable

import numpy as np

from imujax.data import clocks
from imujax.data_builders.tabular.card import BLANKS
from imujax.data_builders.tabular.sentences import suggest_names
from imujax.errors import UserError

REQUIRED = object()


def text(value, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise UserError(f"{key} must be a text that is not empty, but is {value!r}")
    return value


def number(value, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{key} must be a finite number, but is {value!r}")
    return float(value)


def positive(value, key: str) -> float:
    if number(value, key) <= 0:
        raise UserError(f"{key} must be greater than 0, but is {value!r}")
    return float(value)


def not_negative(value, key: str) -> float:
    if number(value, key) < 0:
        raise UserError(f"{key} must not be negative, but is {value!r}")
    return float(value)


def share(value, key: str) -> float:
    if not 0 <= number(value, key) <= 1:
        raise UserError(f"{key} must be a share from 0 to 1, but is {value!r}")
    return float(value)


def count(value, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UserError(f"{key} must be a whole number that is not negative, but is {value!r}")
    return value


def length(value, key: str) -> int:
    if count(value, key) < 1:
        raise UserError(f"{key} must be at least 1 sample, but is {value!r}")
    return value


def flag(value, key: str) -> bool:
    if not isinstance(value, bool):
        raise UserError(f"{key} must be true or false, but is {value!r}")
    return value


def character(value, key: str) -> str:
    if not isinstance(value, str) or len(value) != 1:
        raise UserError(f"{key} must be one character, but is {value!r}")
    return value


def delimiter(value, key: str) -> str:
    return value if value == BLANKS else character(value, key)


def path(value, key: str) -> str:
    """A path or glob that cannot leave the raw folder, whatever stands in its braces."""
    parts = re.split(r"[/\\]", text(value, key))
    if ".." in parts or value[0] in "/\\~" or re.match(r"[A-Za-z]:", value):
        raise UserError(f'{key} must stay inside the raw folder, but is "{value}"')
    return value


def regex(value, key: str) -> str:
    try:
        re.compile(text(value, key))
    except re.error as error:
        raise UserError(f'{key} is not a regular expression: {error} in "{value}"') from None
    return value


def one_of(*known: str) -> Callable:
    def check(value, key: str) -> str:
        if value not in known:
            raise UserError(f"{key} is {value!r}{suggest_names(str(value), known)}")
        return value

    return check


def band(value, key: str) -> tuple[float, float]:
    """From and to [Hz]."""
    low, high = list_of(not_negative, size=2)(value, key)
    if not low < high:
        raise UserError(f"{key} must run from a lower to a higher frequency, but is {value!r}")
    return low, high


def list_of(kind: Callable, size: int | None = None, least: int = 1) -> Callable:
    def check(value, key: str) -> tuple:
        is_valid = isinstance(value, list) and len(value) >= least
        if not is_valid or (size is not None and len(value) != size):
            expected = f"a list of {size}" if size else "a list that is not empty"
            raise UserError(f"{key} must be {expected}, but is {value!r}")
        return tuple(kind(v, f"{key}[{i}]") for i, v in enumerate(value))

    return check


def time_unit(*known: str) -> Callable:
    """One of these, seconds of a tick, or a format of strptime."""

    def check(value, key: str) -> str | float:
        if isinstance(value, int | float):
            return positive(value, key)
        if "%" not in str(value):
            return one_of(*known, "seconds of a tick", "a format as %d/%m/%Y %H:%M:%S.%f")(
                value, key
            )
        moment = datetime.datetime(2001, 2, 3, 4, 5, 6)
        try:
            datetime.datetime.strptime(moment.strftime(value), value)
        except (ValueError, re.error):
            raise UserError(f"{key} is {value!r}, no format of strptime that can be read") from None
        return value

    return check


def spread(value, key: str) -> str | None:
    """Which sample of a block its stamp is the time of; true: the middle."""
    if isinstance(value, bool):
        return "middle" if value else None
    return one_of(*clocks.STAMPED)(value, key)


def marks(value, key: str) -> tuple[str, ...]:
    """Texts and numbers that stand for missing values."""
    values = value if isinstance(value, list) else [value]
    return tuple(v if isinstance(v, str) else f"{number(v, key):.15g}" for v in values)


def conditions(value, key: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """A table: of a column the values, one or more, of the rows that count."""
    entries = table(value, key).items()
    return tuple(
        (name, (values,) if values == "" else marks(values, f"{key}.{name}"))
        for name, values in entries
    )


def one_or_more(value, key: str) -> tuple[str, ...]:
    """A text, or a list of them."""
    return list_of(text)(value, key) if isinstance(value, list) else (text(value, key),)


def words(value, key: str) -> tuple[str, ...]:
    """A list of texts, of which no two are the same."""
    found = list_of(text)(value, key)
    if len(found) < 2 or len(set(found)) < len(found):
        raise UserError(f"{key} must be two or more different words, but is {value!r}")
    return found


def alias(value, key: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """A table: of a name the other names."""
    entries = table(value, key).items()
    return tuple((name, one_or_more(others, f"{key}.{name}")) for name, others in entries)


def factor(value, key: str) -> float:
    """A number other than 0, or a fraction in text: 0.001, -1, "1/16384"."""
    parts = value.split("/") if isinstance(value, str) else [value]
    try:
        numbers = [float(part) if isinstance(part, str) else number(part, key) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or 0 in numbers or not all(map(math.isfinite, numbers)):
        raise UserError(f'{key} must be a number other than 0, or "1/16384", but is {value!r}')
    return numbers[0] / (numbers[1] if len(numbers) == 2 else 1.0)


def axes(value, key: str) -> tuple[tuple[str, ...], ...]:
    """Three columns, each a name or a list of names that are added up."""

    def added(part, part_key: str) -> tuple[str, ...]:
        if isinstance(part, list):
            return list_of(text)(part, part_key)
        return (text(part, part_key),)

    return list_of(added, 3)(value, key)


def frame(value, key: str) -> tuple[tuple[float, ...], ...]:
    """A rotation, made exact where its numbers were rounded."""
    rows = np.array(list_of(list_of(number, 3), 3)(value, key))
    if not np.allclose(rows @ rows.T, np.eye(3), atol=1e-2) or np.linalg.det(rows) < 0:
        raise UserError(f"{key} must be a rotation (orthonormal rows, determinant +1)")
    left, _, right = np.linalg.svd(rows)
    return tuple(tuple(row) for row in (left @ right).tolist())


def table(value, key: str) -> dict:
    if not isinstance(value, dict):
        raise UserError(f"{key} must be a table, but is {value!r}")
    return value


def table_or_tables(value, key: str) -> tuple[dict, ...]:
    """One table, or an array of tables."""
    if isinstance(value, dict):
        return (value,)
    return list_of(table)(value, key)


def divisor(value, key: str) -> str | float:
    if isinstance(value, str):
        return one_of("mass", "height")(value, key)
    if number(value, key) == 0:
        raise UserError(f"{key} must not be 0")
    return float(value)


def complete_table(entries: dict, name: str, fields: dict) -> dict:
    """`entries` with every key known, every value checked and every default filled in."""
    entries = table(entries, f"[{name}]" if name else "the card")
    prefix = name + "." if name else ""
    for key in entries:
        if key not in fields:
            raise UserError(f'unknown key "{prefix}{key}"{suggest_names(key, fields)}')
    for key, (_, default) in fields.items():
        if default is REQUIRED and key not in entries:
            raise UserError(f'the key "{prefix}{key}" is missing')
    return {
        key: kind(entries[key], f'"{prefix}{key}"') if key in entries else default
        for key, (kind, default) in fields.items()
    }
