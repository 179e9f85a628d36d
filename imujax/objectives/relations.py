"""Which pairs of a batch are negatives: weights by what the two windows have in common.

A batch carries integer ids, equal for equal things: `window`, `recording`, `subject`, `sensor`, and
`start` [s] within the recording.  A set of relations gives each pair (i, j) the product of the
weights of all relations that hold for it: 0 leaves the pair out of the negatives, 1 changes
nothing.  The weight w stands before the exponential, w exp(s_ij), so that .5 counts a pair half.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from imujax.errors import UserError

# Each relation, and the id that it compares; `near` also looks at the time between two windows.
RELATIONS = {
    "window": "window",  # two sensors, or the two modalities, of one window
    "near": "recording",  # one recording, beginning less than `seconds` apart
    "recording": "recording",
    "subject": "subject",
    "other_sensor": "sensor",  # of different sensors
}
DEFAULTS = {
    "window": 0.0,
    "near": 1.0,
    "seconds": 0.0,
    "recording": 1.0,
    "subject": 1.0,
    "other_sensor": 1.0,
}


def resolve(settings: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """The relations of a configuration with their defaults.

    By default other sensors of the same window are no negatives, and all else is.

    Parameters
    ----------
    settings : dict or ConfigDict
        {relation: weight} for names in DEFAULTS, of which "seconds" is no weight but the reach of
        "near" in s.

    Returns
    -------
    tuple of (str, float)
        All of DEFAULTS, hashable; what other functions call `related`.

    Raises
    ------
    UserError
        An unknown relation, a weight that is negative or infinite, or one of "near" and "seconds"
        without the other.
    """
    unknown = sorted(settings.keys() - DEFAULTS.keys())
    if unknown:
        raise UserError(f"relations have no {unknown[0]!r}: they have {', '.join(DEFAULTS)}")
    weights = DEFAULTS | {name: float(value) for name, value in settings.items()}
    invalid = [name for name, value in weights.items() if not 0 <= value < float("inf")]
    if invalid:
        raise UserError(f"relations.{invalid[0]} is {weights[invalid[0]]:g}: it must be 0 or more")
    if (weights["near"] != 1) != (weights["seconds"] > 0):
        raise UserError("relations.near needs relations.seconds above 0, and the other way round")
    return tuple(weights.items())


def required_ids(related: Iterable[tuple[str, float]]) -> list[str]:
    """The names of the ids that these relations look at.

    Parameters
    ----------
    related : tuple
        Of `resolve`.

    Returns
    -------
    list of str
        Sorted.
    """
    weights = dict(related)
    names = {RELATIONS[name] for name in RELATIONS if weights[name] != 1}
    return sorted(names | ({"start"} if weights["near"] != 1 else set()))


def relation_mask(
    name: str, rows: Mapping[str, jax.Array], columns: Mapping[str, jax.Array], seconds: float
) -> jax.Array:
    """Which pairs a relation holds for.

    Parameters
    ----------
    name : str
        A name in RELATIONS.
    rows, columns : dict of jax.Array, [I] and [J]
        Ids of the two sides.
    seconds : float
        The reach of "near", s.

    Returns
    -------
    jax.Array, [I, J] bool
    """
    key = RELATIONS[name]
    same = rows[key][:, None] == columns[key][None, :]
    if name == "near":
        return same & (jnp.abs(rows["start"][:, None] - columns["start"][None, :]) < seconds)
    return ~same if name == "other_sensor" else same


def log_weights(
    related: Iterable[tuple[str, float]],
    rows: Mapping[str, jax.Array],
    columns: Mapping[str, jax.Array],
    dtype,
) -> jax.Array:
    """Logarithms of the pairs' weights as negatives.

    Parameters
    ----------
    related : tuple
        Of `resolve`.
    rows, columns : dict of jax.Array, [I] and [J]
        Ids of the two sides, `row` among them.
    dtype
        Of the result.

    Returns
    -------
    jax.Array, [I, J]
        -inf where a pair is left out.
    """
    weights = dict(related)
    total = jnp.zeros((len(rows["row"]), len(columns["row"])), dtype)
    for name in RELATIONS:
        if weights[name] != 1:
            log = jnp.log(jnp.asarray(weights[name], dtype))
            total += jnp.where(relation_mask(name, rows, columns, weights["seconds"]), log, 0)
    return total
