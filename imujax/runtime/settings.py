"""The settings of a run that is resumed, or shared by processes: they must not differ."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from imujax.errors import UserError
from imujax.runtime import fields

# Settings that say in which form something is computed: like another machine they change the
# rounding, and nothing else.
FORMS = {"conv"}


def require_same_settings(
    old: dict[str, Any], new: dict[str, Any], workdir: Path | str, kind: type | None = None
):
    """Require that a finished or resumed run has the settings it is started with.

    Parameters
    ----------
    old, new : dict
        Settings of the run in `workdir` and of the configuration, nested, as JSON can hold them.
    workdir : Path or str
        Named in the sentence.
    kind : type, optional
        Class of these settings, see `fields`: a field that an older imujax did not have was then as
        it is by default.

    Raises
    ------
    UserError
        Naming the first setting in which they differ.
    """
    if kind is not None:
        default = json.loads(json.dumps(fields.defaults(kind)))
        old = {name: default[name] for name in default.keys() & new.keys()} | old
    for name, old_value, new_value in differing_settings(old, new):
        if name.rpartition(".")[2] in FORMS:
            continue
        difference = _describe_entries(old_value, new_value)
        if difference:
            difference = f"other {name}: {difference}"
        else:
            difference = f"{name}={old_value!r} but the configuration says {new_value!r}"
        raise UserError(
            f"{workdir} holds a run with {difference}; take another --workdir or delete that folder"
        )


def _describe_entries(old: Any, new: Any) -> str:
    """What has changed between two lists of texts, mostly files with their checksums, or ""."""
    if not all(isinstance(x, list) and all(isinstance(y, str) for y in x) for x in (old, new)):
        return ""
    return describe_changes(*(dict(map(_split_checksum, entries)) for entries in (old, new)))


def _split_checksum(entry: str) -> tuple[str, str]:
    """The name and the checksum of an entry of `datasets.fingerprint`; others have none."""
    match = re.fullmatch(r"(.*) ([0-9a-f]{12})", entry)
    return (match[1], match[2]) if match else (entry, "")


def describe_changes(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Say which names, of files mostly, are missing now, which are new and which differ.

    Parameters
    ----------
    old, new : mapping of str to str
        What stands behind each name, such as a checksum.

    Returns
    -------
    str
        "a.csv and 4 more are missing now, b.csv is new, c.csv differs"; "" where nothing has
        changed.
    """
    changed = [name for name in old.keys() & new.keys() if old[name] != new[name]]
    clauses = [
        _describe_names(old.keys() - new.keys(), "is missing now", "are missing now"),
        _describe_names(new.keys() - old.keys(), "is new", "are new"),
        _describe_names(changed, "differs", "differ"),
    ]
    return ", ".join(filter(None, clauses))


def _describe_names(names: Collection[str], one: str, several: str) -> str:
    if len(names) < 2:
        return "".join(f"{name} {one}" for name in names)
    return f"{min(names)} and {len(names) - 1} more {several}"


def require_same_command(main: dict[str, Any], local: dict[str, Any]):
    """Require that this process has been started with the settings of process 0.

    Parameters
    ----------
    main, local : dict
        Settings of process 0 and of this one, nested, as JSON can hold them.

    Raises
    ------
    UserError
        Naming the first setting in which they differ.
    """
    for name, main_value, local_value in differing_settings(main, local):
        raise UserError(
            f"{name} is {local_value!r} here but {main_value!r} on process 0; start all processes "
            "with the same command, code and data"
        )


def differing_settings(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, old value, new value) of each setting in which two trees differ, as JSON has them."""
    old, new = _flatten(json.loads(json.dumps(old))), _flatten(json.loads(json.dumps(new)))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield name, old.get(name), new.get(name)


def _flatten(tree: Any, name: str = "") -> dict[str, Any]:
    """The leaves of nested dicts by their dotted names; a list of dicts is its number and they.

    Dicts of a list are called by their "name", where all have one of their own, or by their places.
    """
    leaves: dict[str, Any] = {}
    if isinstance(tree, list) and tree and all(isinstance(item, dict) for item in tree):
        leaves[name[1:]] = len(tree)
        names = [str(item.get("name", i)) for i, item in enumerate(tree)]
        places = names if len(set(names)) == len(names) else range(len(tree))
        tree = {str(place): item for place, item in zip(places, tree, strict=True)}
    if not isinstance(tree, dict):
        return {name[1:]: tree}
    for key, subtree in tree.items():
        leaves |= _flatten(subtree, f"{name}.{key}")
    return leaves
