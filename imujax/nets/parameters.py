"""One mechanism over parameter names: an ordered list of (regex, value).

A parameter's name is its path in the tree, "acc_encoder/stem/kernel". The first pattern that
matches a name in full gives it its value. Loading pre-trained weights is such a list; a pattern
that gives no name its value is an error, because a misspelt one would load nothing in silence.
"""

import re
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import traverse_util

from imujax.errors import UserError

Patterns = Sequence[tuple[str, Any]]


def flatten(tree) -> dict[str, Any]:
    """A nested dict as {"a/b/kernel": leaf}, in the tree's order."""
    return traverse_util.flatten_dict(tree, sep="/")


def unflatten(flat: dict[str, Any]) -> dict:
    """The nested dict of `flatten`."""
    return traverse_util.unflatten_dict(flat, sep="/")


def graft(params, source, patterns: Patterns) -> tuple[dict, list[str]]:
    """`params` with the leaves that the patterns choose taken from `source`; and their names.

    The values of the patterns are True (take) and False (keep the fresh one). UserError where a
    chosen name is only in one of the two trees, or its shape differs: half a net is never loaded.
    """
    fresh, given = flatten(params), flatten(source)
    names = list(dict.fromkeys([*fresh, *given]))
    copied = [name for name, take in _match(names, patterns, False).items() if take]
    for name in copied:
        if name not in given:
            raise UserError(f"the checkpoint has no parameter {name!r}{_example(given)}")
        if name not in fresh:
            raise UserError(f"the model has no place for parameter {name!r}{_example(fresh)}")
        if jnp.shape(fresh[name]) != jnp.shape(given[name]):
            raise UserError(
                f"parameter {name!r} has shape {jnp.shape(given[name])} in the checkpoint, "
                f"but {jnp.shape(fresh[name])} in the model: use the checkpoint's net configuration"
            )
    taken = {name: jnp.asarray(given[name], fresh[name].dtype) for name in copied}
    return unflatten(fresh | taken), copied


def _match(names: list[str], patterns: Patterns, default) -> dict[str, Any]:
    """{name: value of the first pattern that matches it, else the default}."""
    values, winners = {}, set()
    for name in names:
        values[name] = default
        for i, (pattern, value) in enumerate(patterns):
            if re.fullmatch(pattern, name):
                values[name] = value
                winners.add(i)
                break
    for i, (pattern, _) in enumerate(patterns):
        if i not in winners:
            known = any(re.fullmatch(pattern, name) for name in names)
            why = "only names that an earlier pattern has taken" if known else "no parameter"
            raise UserError(f"the pattern {pattern!r} matches {why}{_example(names)}")
    return values


def _example(names) -> str:
    """The first few names, to compare a misspelt one with."""
    return f" (the names are like {', '.join(list(names)[:3])})" if names else " (there are none)"
