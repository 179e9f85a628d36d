"""Log-sums over all pairs of a batch, row by row and column by column, in memory linear in it.

For embeddings z_acc, z_gyr [B, D], similarities s_ij = z_acc_i . z_gyr_j / temperature and weights
w_ij of the pairs (relations.py),

    rows_i = log sum_j w_ij exp(s_ij),    columns_j = log sum_i w_ij exp(s_ij).

Three forms of the same numbers.  `dense` writes the B x B matrix.  `tiled` goes over it tile by
tile, with running maxima (Milakov and Gimelshein 2018, arXiv 1805.02867).  `ring` does the same on
every device of a mesh with the rows that lie there, while z_gyr and what belongs to its columns
travel round once.  The derivatives are written down, since those of the loops would keep each tile.
"""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import lax

from imujax.objectives import relations

DEFAULT_RELATIONS = relations.resolve({})  # the default relations
DENSE_LIMIT = 4096  # the largest batch whose B x B matrix is written
TILE = 1024  # rows and columns of a tile


@dataclasses.dataclass(frozen=True)
class SumSpec:
    """Which sums: whether the pair (i, i) counts, whether columns are wanted, which pairs weigh.

    related: of relations.resolve.
    """

    positive: bool
    columns: bool
    related: tuple[tuple[str, float], ...] = DEFAULT_RELATIONS


def pair_log_sums(
    z_acc, z_gyr, ids: Mapping, temperature, how: SumSpec, where=None, form=None, tile=TILE
):
    """rows [B] and columns [B] (None unless how.columns), differentiable in all but the ids.

    ids: arrays [B] of relations.required_ids; where: the mesh over whose only axis the batch is split,
    None for one device; form: "dense", "tiled" or "ring", by default chosen by size and mesh;
    tile: rows and columns of a tile.
    """
    shared = where is not None and where.size > 1
    if form is None:
        form = "dense" if len(z_acc) <= DENSE_LIMIT else "ring" if shared else "tiled"
    kind = jnp.promote_types(z_acc.dtype, jnp.float32)
    z_acc, z_gyr, temperature = (jnp.asarray(x, kind) for x in (z_acc, z_gyr, temperature))
    wanted = {name: ids[name] for name in relations.required_ids(how.related)}
    ids = {"row": jnp.arange(len(z_acc)), **wanted}
    if form == "dense":
        s = similarities(z_acc, z_gyr, ids, ids, temperature, how)
        rows = jax.nn.logsumexp(s, axis=1)
        return rows, jax.nn.logsumexp(s, axis=0) if how.columns else None
    over = where if form == "ring" else None
    rows, columns = _tiled(z_acc, z_gyr, temperature, ids, how, over, tile)
    return rows, columns if how.columns else None


def similarities(z_acc, z_gyr, rows: Mapping, columns: Mapping, temperature, how: SumSpec):
    """log w_ij + s_ij for embeddings [I, D], [J, D] with their ids -> [I, J]."""
    s = _dot(z_acc, z_gyr.T) / temperature
    weighed = s + relations.log_weights(how.related, rows, columns, s.dtype)
    own = rows["row"][:, None] == columns["row"][None, :]
    s = jnp.where(own, s if how.positive else -jnp.inf, weighed)
    filled = (rows["row"] < 0)[:, None] | (columns["row"] < 0)[None, :]
    return jnp.where(filled, -jnp.inf, s)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _tiled(z_acc, z_gyr, temperature, ids, how: SumSpec, where, tile: int):
    """rows [B] and columns [B] by tiles, on one device (where None) or round the ring."""
    return _forward(z_acc, z_gyr, temperature, ids, how, where, tile)[0]


def _forward(z_acc, z_gyr, temperature, ids, how, where, tile):
    def local(z_acc, z_gyr, ids, temperature, axis=None):
        count = len(z_acc)
        mine, theirs = (_cut({"z": z, **ids}, tile) for z in (z_acc, z_gyr))
        empty = _vary(jnp.full(mine["row"].shape, -jnp.inf, z_acc.dtype), axis)
        nothing = (empty, jnp.zeros_like(empty))  # maxima, sums

        def block(turn, carry):
            del turn
            rows, theirs, columns = carry
            rows, columns = _sums(mine, theirs, rows, columns, temperature, how)
            return rows, *_pass((theirs, columns), axis, where)

        rows, _, columns = _round(block, (nothing, theirs, nothing), axis, where)
        return tuple((m + jnp.log(x)).reshape(-1)[:count] for m, x in (rows, columns))

    rows, columns = _over(local, where, (z_acc, z_gyr, ids), temperature)
    return (rows, columns), (z_acc, z_gyr, temperature, ids, rows, columns)


def _backward(how, where, tile, kept, given):
    z_acc, z_gyr, temperature, ids, rows, columns = kept

    def local(z_acc, z_gyr, ids, rows, columns, by_rows, by_columns, temperature, axis=None):
        count, size = z_acc.shape
        mine = _cut({"z": z_acc, "log": rows, "by": by_rows, **ids}, tile)
        theirs = _cut({"z": z_gyr, "log": columns, "by": by_columns, **ids}, tile)
        # XLA would take the turning back into the products, as often as there are tiles.
        mine["turned"] = lax.optimization_barrier(mine["z"].swapaxes(1, 2))
        nothing = _vary(jnp.zeros(mine["z"].shape, z_acc.dtype), axis)

        def block(turn, carry):
            del turn
            ours, theirs, their = carry
            ours, their = _slopes(mine, theirs, ours, their, temperature, how)
            return ours, *_pass((theirs, their), axis, where)

        ours, _, their = _round(block, (nothing, theirs, nothing.swapaxes(1, 2)), axis, where)
        return tuple(x.reshape(-1, size)[:count] for x in (ours, their.swapaxes(1, 2)))

    parts = (z_acc, z_gyr, ids, rows, columns, *given)
    by_acc, by_gyr = _over(local, where, parts, temperature)
    # s is linear in both embeddings and in 1 / temperature, so one product gives its derivative.
    by_temperature = -(z_acc * by_acc).sum() / temperature
    return by_acc, by_gyr, by_temperature, None


_tiled.defvjp(_forward, _backward)


def _sums(mine, theirs, rows, columns, temperature, how):
    """Add a block's tiles to the running maxima and sums [n, t] of rows and columns."""

    def meet(mine, theirs, rows, columns):
        s = similarities(mine["z"], theirs["z"], mine, theirs, temperature, how)
        return _add(rows, s, 1), _add(columns, s, 0) if how.columns else columns

    return _tiles(meet, mine, theirs, rows, columns)


def _add(kept, s, axis: int):
    """Running maximum and sum of exp, with those of s along an axis."""
    before, total = kept
    most = jnp.maximum(before, s.max(axis))
    anchor = _finite(most)
    grown = jnp.exp(s - jnp.expand_dims(anchor, axis)).sum(axis)
    return most, total * jnp.exp(before - anchor) + grown


def _slopes(mine, theirs, ours, their, temperature, how):
    """Add a block's tiles to the derivatives by z_acc [n, t, D] and, turned, by z_gyr [n, D, t].

    Turned, because a product over the rows of a tile is twice as slow on a CPU as one over the
    columns, and so it is the narrow matrix that is written out the other way round.
    """

    def meet(mine, theirs, ours, their):
        s = similarities(mine["z"], theirs["z"], mine, theirs, temperature, how)
        slope = mine["by"][:, None] * jnp.exp(s - _finite(mine["log"])[:, None])
        if how.columns:
            slope += theirs["by"][None, :] * jnp.exp(s - _finite(theirs["log"])[None, :])
        slope /= temperature
        return ours + _dot(slope, theirs["z"]), their + _dot(mine["turned"], slope)

    return _tiles(meet, mine, theirs, ours, their)


def _tiles(meet, mine, theirs, ours, their):
    """Have every tile of rows meet every tile of columns -> what both have come to (ours, their).

    meet: a function (mine, theirs, ours, their) of one tile each -> (ours, their).
    """

    def row_of_tiles(their, part):
        mine, ours = part
        ours, their = lax.scan(
            lambda ours, part: meet(mine, part[0], ours, part[1]), ours, (theirs, their)
        )
        return their, ours

    their, ours = lax.scan(row_of_tiles, their, (mine, ours))
    return ours, their


def _dot(a, b):
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def _finite(x):
    """x with 0 for -inf, so that exp(-inf - x) is 0 and not the exponential of a NaN."""
    return jnp.where(jnp.isfinite(x), x, 0)


def _cut(tree: dict, tile: int) -> dict:
    """Arrays [b, ...] as tiles [n, t, ...], filled up with zeros and rows numbered -1."""
    count = len(tree["row"])
    tile = min(tile, count)
    fill = -count % tile

    def cut(name, x):
        x = jnp.pad(x, ((0, fill), *((0, 0),) * (x.ndim - 1)), constant_values=-(name == "row"))
        return x.reshape(-1, tile, *x.shape[1:])

    return {name: cut(name, x) for name, x in tree.items()}


def _over(local, where, parts, temperature):
    """Call local(*parts, temperature): as it is, or on every device with its share of `parts`."""
    if where is None:
        return local(*parts, temperature)
    (axis,) = where.axis_names
    return jax.shard_map(
        functools.partial(local, axis=axis),
        mesh=where,
        in_specs=(*(jax.P(axis) for _ in parts), jax.P()),
        out_specs=jax.P(axis),
    )(*parts, temperature)


def _round(block, carry, axis, where):
    """Meet every device's block once."""
    return block(0, carry) if axis is None else lax.fori_loop(0, where.size, block, carry)


def _pass(tree, axis, where):
    """Give a tree to the next device of the ring."""
    if axis is None:
        return tree
    ring = [(i, (i + 1) % where.size) for i in range(where.size)]
    return jax.tree.map(lambda x: lax.ppermute(x, axis, ring), tree)


def _vary(x, axis):
    """Mark a constant as one that differs between the devices, as the loops' results will."""
    return x if axis is None else lax.pcast(x, (axis,), to="varying")
