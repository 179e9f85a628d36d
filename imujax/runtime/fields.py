"""Settings that explain themselves: classes whose fields have a default, bounds and a sentence.

A class of settings is a frozen dataclass whose fields are made by `setting`.  What users write is a
ConfigDict; `check` compares it with the class, field by field, and `defaults` makes one.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from imujax.errors import UserError

REQUIRED, ABSENT = object(), object()  # has to be given; may be left out, and then is not there
NAMES = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}


class Row(NamedTuple):
    """One field of a class of settings, for people.

    Attributes
    ----------
    name, unit, sentence : str
    default : Any
        REQUIRED or ABSENT where there is none.
    chooses : callable, optional
        From the value, a section, to the class of its settings.
    """

    name: str
    default: Any
    unit: str
    sentence: str
    chooses: Callable[[Any], type] | None


def setting(
    default: Any,
    sentence: str,
    *,
    unit: str = "",
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    known: Iterable[str] = (),
    chooses: Callable[[Any], type] | None = None,
) -> Any:
    """Declare a field of a class of settings.

    Parameters
    ----------
    default : Any
        REQUIRED or ABSENT where there is none.
    sentence : str
        What it is, for a user.
    unit : str, optional
    least, above, most : float, optional
        Bounds of every number in the value: at least, above, at most.
    known : iterable of str, optional
        The words that every text in the value may be.
    chooses : callable, optional
        From the value, a section, to the class of its settings, where that depends on the value.

    Returns
    -------
    dataclasses.Field
    """
    bounds = {"at least": least, "above": above, "at most": most}
    bounds = {words: bound for words, bound in bounds.items() if bound is not None}
    meta: dict[str, Any] = {"sentence": sentence, "unit": unit, "bounds": bounds}
    meta |= {"known": tuple(known), "chooses": chooses}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=meta)
    return dataclasses.field(default=default, metadata=meta)


def defaults(settings: type) -> dict[str, Any]:
    """Make the values of all fields that have a default.

    Parameters
    ----------
    settings : type
        A class of settings.

    Returns
    -------
    dict
        By field; classes within classes are dicts too.
    """
    values = {row.name: row.default for row in rows(settings)}
    return {k: value for k, value in values.items() if value not in (REQUIRED, ABSENT)}


def rows(settings: type) -> Iterator[Row]:
    """Tell of the fields of a class of settings, in their order.

    Parameters
    ----------
    settings : type

    Yields
    ------
    Row
    """
    hints = typing.get_type_hints(settings)
    for field in dataclasses.fields(settings):
        default: Any = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if dataclasses.is_dataclass(hints[field.name]):
            default = defaults(hints[field.name]) | default
        meta = field.metadata
        yield Row(field.name, default, meta["unit"], meta["sentence"], meta["chooses"])


def class_of_parts(hint: Any) -> Any:
    """The class of the parts of a section by name, dict[str, CLASS]; None for another type."""
    if typing.get_origin(hint) is not dict:
        return None
    part = typing.get_args(hint)[1]
    return part if dataclasses.is_dataclass(part) else None


def check(settings: type, section: Mapping[str, Any], place: str) -> None:
    """Check what a user has written against a class of settings.

    Parameters
    ----------
    settings : type
    section : dict or ConfigDict
    place : str
        Dotted, of the section in the configuration, for the sentence.

    Raises
    ------
    UserError
        A field that the class does not have or that is missing, or a value of another kind or out
        of bounds.
    """
    if not isinstance(section, Mapping) and not hasattr(section, "items"):
        raise UserError(f"{place} is {section!r}, but must be a section with fields of its own")
    fields = {field.name: field for field in dataclasses.fields(settings)}
    hints = typing.get_type_hints(settings)
    for name in section:
        if name not in fields:
            raise UserError(f"{_join(place, name)}: no such field{suggest(name, fields)}")
    for name, field in fields.items():
        if name not in section:
            if field.default is REQUIRED:
                raise UserError(f"{_join(place, name)} is missing: {field.metadata['sentence']}")
            continue
        _check_value(hints[name], section[name], _join(place, name), field.metadata)


def complete(settings: type, section: Any) -> None:
    """Put the defaults in for the fields that a user has left out.

    Parameters
    ----------
    settings : type
    section : ConfigDict
        Which `check` has passed; it is changed.
    """
    hints = typing.get_type_hints(settings)
    with section.unlocked():
        for name, default in defaults(settings).items():
            if name not in section:
                section[name] = default
    for name, hint in hints.items():
        if name not in section:
            continue
        if dataclasses.is_dataclass(hint):
            complete(typing.cast(type, hint), section[name])
        elif part := class_of_parts(hint):
            for of_name in section[name].values():
                complete(part, of_name)


def suggest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence on a word that is not known: the one that is like it, or all.

    Parameters
    ----------
    word : str
    known : iterable of str

    Returns
    -------
    str
    """
    known = [str(name) for name in known]
    close = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(known)}" if known else ""


def _join(place: str, name: Any) -> str:
    return f"{place}.{name}" if place else str(name)


def _check_value(hint: Any, value: Any, place: str, meta: Mapping[str, Any]) -> None:
    if dataclasses.is_dataclass(hint):
        check(typing.cast(type, hint), value, place)
        return
    if part := class_of_parts(hint):
        if not hasattr(value, "items"):
            raise UserError(f"{place} is {value!r}, but must be sections by name")
        for name, of_name in value.items():
            check(part, of_name, _join(place, name))
        return
    if not _fits(hint, value):
        raise UserError(f"{place} is {_plain(value)!r}, but must be {_describe(hint)}")
    if meta["chooses"]:
        check(meta["chooses"](value), value, place)
        return
    for leaf in _leaves(value):
        _check_leaf(leaf, value, place, meta)


def _check_leaf(leaf: Any, value: Any, place: str, meta: Mapping[str, Any]) -> None:
    if isinstance(leaf, str):
        if meta["known"] and leaf not in meta["known"]:
            raise UserError(f"{place} names {leaf!r}: there are {', '.join(meta['known'])}")
        return
    if isinstance(leaf, bool):
        return
    for words, bound in meta["bounds"].items():
        if {"at least": leaf < bound, "above": leaf <= bound, "at most": leaf > bound}[words]:
            raise UserError(f"{place} is {_plain(value)!r}, but must be {words} {bound:g}")


def _plain(value: Any) -> Any:
    """Without the types of ml_collections, whose repr is YAML."""
    if hasattr(value, "items"):
        return {name: _plain(part) for name, part in value.items()}
    return value


def _leaves(value: Any) -> Iterator[Any]:
    """The numbers and texts of nested tuples and dicts."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(part)
    elif hasattr(value, "values"):
        for part in value.values():
            yield from _leaves(part)
    elif value is not None:
        yield value


def _fits(hint: Any, value: Any) -> bool:
    """Whether a value is of a kind."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (types.UnionType, typing.Union):
        return any(_fits(one, value) for one in arguments)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        if arguments[-1] is Ellipsis:
            return all(_fits(arguments[0], part) for part in value)
        pairs = zip(arguments, value, strict=False)
        return len(value) == len(arguments) and all(_fits(one, part) for one, part in pairs)
    if origin is dict:
        return hasattr(value, "items") and all(_fits(arguments[1], v) for v in value.values())
    if hint is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe(hint: Any) -> str:
    """What a value of a kind is, in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return "anything"
    if dataclasses.is_dataclass(hint):
        return "a section"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_describe(one) for one in arguments)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"a tuple, each of it {_describe(arguments[0])}"
        if len(set(arguments)) > 1:
            return f"a tuple of {' and '.join(map(_describe, arguments))}"
        return f"a tuple of {len(arguments)}, each {_describe(arguments[0])}"
    if origin is dict:
        return f"a section, each of it {_describe(arguments[1])}"
    return NAMES.get(hint, getattr(hint, "__name__", str(hint)))
