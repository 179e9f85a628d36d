"""Which pairs of a batch are negatives: weights by what the two windows have in common.

A batch carries integer ids, equal for equal things: `window`, `recording`, `subject`, `sensor`, and
`start` [s] within the recording.  A set of relations gives each pair (i, j) the product of the
weights of all relations that hold for it: 0 leaves the pair out of the negatives, 1 changes
nothing.  The weight w stands before the exponential, w exp(s_ij), so that .5 counts a pair half.
"""

from collections.abc import Mapping

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


def resolve(given: Mapping) -> tuple[tuple[str, float], ...]:
    """The relations of a configuration with their defaults, hashable; a mistake is a UserError.

    By default other sensors of the same window are no negatives, and all else is.
    """
    strange = sorted(given.keys() - DEFAULTS.keys())
    if strange:
        raise UserError(f"relations have no {strange[0]!r}: they have {', '.join(DEFAULTS)}")
    made = DEFAULTS | {name: float(value) for name, value in given.items()}
    low = [name for name, value in made.items() if not 0 <= value < float("inf")]
    if low:
        raise UserError(f"relations.{low[0]} is {made[low[0]]:g}: it must be 0 or more")
    if (made["near"] != 1) != (made["seconds"] > 0):
        raise UserError("relations.near needs relations.seconds above 0, and the other way round")
    return tuple(made.items())


def required_ids(related: tuple) -> list[str]:
    """The names of the ids that these relations look at, sorted."""
    weights = dict(related)
    names = {RELATIONS[name] for name in RELATIONS if weights[name] != 1}
    return sorted(names | ({"start"} if weights["near"] != 1 else set()))


def relation_mask(name: str, rows: Mapping, columns: Mapping, seconds: float):
    """Where a relation holds between ids of shape [I] and of shape [J] -> bool [I, J]."""
    key = RELATIONS[name]
    same = rows[key][:, None] == columns[key][None, :]
    if name == "near":
        return same & (jnp.abs(rows["start"][:, None] - columns["start"][None, :]) < seconds)
    return ~same if name == "other_sensor" else same


def log_weights(related: tuple, rows: Mapping, columns: Mapping, dtype):
    """Logarithms of the pairs' weights as negatives, -inf where left out -> [I, J].

    related: of `items`; rows, columns: ids of the two sides, arrays [I] and [J], `row` among them.
    """
    weights = dict(related)
    total = jnp.zeros((len(rows["row"]), len(columns["row"])), dtype)
    for name in RELATIONS:
        if weights[name] != 1:
            log = jnp.log(jnp.asarray(weights[name], dtype))
            total += jnp.where(relation_mask(name, rows, columns, weights["seconds"]), log, 0)
    return total
