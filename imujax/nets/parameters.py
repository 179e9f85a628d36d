"""One mechanism over parameter names: an ordered list of (regex, value).

A parameter's name is its path in the tree, "acc_encoder/stem/kernel". The first pattern that
matches a name in full gives it its value. Loading pre-trained weights is such a list, and how much
of a network is fine-tuned (`tuning`); a pattern that gives no name its value is an error, because a
misspelt one would load nothing in silence.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from imujax.errors import UserError

Patterns = Sequence[tuple[str, Any]]


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A nested dict as a flat one.

    Parameters
    ----------
    tree : dict
        Nested dicts of arrays.

    Returns
    -------
    dict
        {"a/b/kernel": leaf}, in the tree's order.
    """
    return traverse_util.flatten_dict(tree, sep="/")


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The nested dict of `flatten`.

    Parameters
    ----------
    flat : dict
        {"a/b/kernel": leaf}.

    Returns
    -------
    dict
        Nested dicts of arrays.
    """
    return traverse_util.unflatten_dict(flat, sep="/")


def graft(
    params: Mapping[str, Any], source: Mapping[str, Any], patterns: Patterns
) -> tuple[dict[str, Any], list[str]]:
    """A tree with the leaves that the patterns choose taken from another one.

    Parameters
    ----------
    params : dict
        The tree to load into: nested dicts of arrays.  It is not changed.
    source : dict
        The tree to load from.
    patterns : sequence of (str, bool)
        Regular expressions of names, True to load what they match, False to leave it as it is.

    Returns
    -------
    params : dict
        With the leaves loaded, in its own types.
    names : list of str
        Of the leaves that were loaded.

    Raises
    ------
    UserError
        Where a chosen name is only in one of the two trees, or its shape differs: half a net is
        never loaded.  Where a pattern gives no name its value.
    """
    model, checkpoint = flatten(params), flatten(source)
    names = list(dict.fromkeys([*model, *checkpoint]))
    chosen = [name for name, is_loaded in _match_names(names, patterns, False).items() if is_loaded]
    for name in chosen:
        if name not in checkpoint:
            raise UserError(f"the checkpoint has no parameter {name!r}{_examples(checkpoint)}")
        if name not in model:
            raise UserError(f"the model has no place for parameter {name!r}{_examples(model)}")
        if jnp.shape(model[name]) != jnp.shape(checkpoint[name]):
            raise UserError(
                f"parameter {name!r} has shape {jnp.shape(checkpoint[name])} in the checkpoint, "
                f"but {jnp.shape(model[name])} in the model: use the checkpoint's net configuration"
            )
    loaded = {name: jnp.asarray(checkpoint[name], model[name].dtype) for name in chosen}
    return unflatten(model | loaded), chosen


def scale(tree: Mapping[str, Any], patterns: Patterns) -> dict[str, Any]:
    """A tree with every leaf times the factor of the first pattern that matches its name.

    Parameters
    ----------
    tree : dict
        Nested dicts of arrays.
    patterns : sequence of (str, float)
        Regular expressions of names, and factors; a name that none of them matches has 1.

    Returns
    -------
    dict
        Where the factor is 0 all is 0, whatever the leaf has.

    Raises
    ------
    UserError
        A pattern gives no name its factor.
    """
    leaves = flatten(tree)
    factors = _match_names(list(leaves), patterns, 1.0)
    return unflatten(
        {
            name: x * factors[name] if factors[name] else jnp.zeros_like(x)
            for name, x in leaves.items()
        }
    )


def hold(tree: Mapping[str, Any], patterns: Patterns) -> dict[str, Any]:
    """The same tree, whose leaves of factor 0, as of `scale`, no gradient is computed of."""
    leaves = flatten(tree)
    factors = _match_names(list(leaves), patterns, 1.0)
    return unflatten(
        {name: x if factors[name] else jax.lax.stop_gradient(x) for name, x in leaves.items()}
    )


def _match_names(names: list[str], patterns: Patterns, default) -> dict[str, Any]:
    """{name: value of the first pattern that matches it, else the default}."""
    for pattern, _ in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"the pattern {pattern!r} is no regular expression: {error}") from error
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
            shadowed = any(re.fullmatch(pattern, name) for name in names)
            matches = "only names that an earlier pattern has taken" if shadowed else "no parameter"
            raise UserError(f"the pattern {pattern!r} matches {matches}{_examples(names)}")
    return values


def _examples(names) -> str:
    """The first few names, to compare a misspelt one with."""
    return f" (the names are like {', '.join(list(names)[:3])})" if names else " (there are none)"
