"""The settings of a run that is resumed, or shared by processes: they must not differ."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imujax.errors import UserError


def require_same_settings(old: dict[str, Any], new: dict[str, Any], workdir: Path | str):
    """Require that a finished or resumed run has the settings it is started with.

    Parameters
    ----------
    old, new : dict
        Settings of the run in `workdir` and of the configuration, nested, as JSON can hold them.
    workdir : Path or str
        Named in the sentence.

    Raises
    ------
    UserError
        Naming the first setting in which they differ.
    """
    for name, old_value, new_value in differing_settings(old, new):
        difference = _name_entry(old_value, new_value)
        if difference:
            difference = f"other {name}: {difference}"
        else:
            difference = f"{name}={old_value!r} but the configuration says {new_value!r}"
        raise UserError(
            f"{workdir} holds a run with {difference}; take another --workdir or delete that folder"
        )


def _name_entry(old: Any, new: Any) -> str:
    """Of two lists of texts the entry in which they differ and how many more there are, or ""."""
    if not all(isinstance(x, list) and all(isinstance(y, str) for y in x) for x in (old, new)):
        return ""
    old_only, new_only = (
        [x for x in one if x not in other] for one, other in ((old, new), (new, old))
    )
    if not old_only and not new_only:
        return ""
    first = f"it has {old_only[0]}" if old_only else f"it lacks {new_only[0]}"
    names = {entry.split()[0] for entry in (*old_only, *new_only)}
    return first + (f", and {len(names) - 1} more differ" if len(names) > 1 else "")


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
