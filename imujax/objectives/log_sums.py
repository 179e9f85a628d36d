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
    """Which sums are taken.

    Attributes
    ----------
    positive : bool
        Whether the pair (i, i) counts.
    columns : bool
        Whether the sums of columns are needed.
    related : tuple
        Which pairs weigh how much, of relations.resolve.
    """

    positive: bool
    columns: bool
    related: tuple[tuple[str, float], ...] = DEFAULT_RELATIONS


def pair_log_sums(
    z_acc: jax.Array,
    z_gyr: jax.Array,
    ids: Mapping[str, jax.Array],
    temperature: float | jax.Array,
    spec: SumSpec,
    mesh: jax.sharding.Mesh | None = None,
    form: str | None = None,
    tile: int = TILE,
) -> tuple[jax.Array, jax.Array | None]:
    """Log-sums of rows and columns, differentiable in all but the ids.

    Parameters
    ----------
    z_acc, z_gyr : jax.Array, [B, D]
        Embeddings of unit length; sums are taken in float32, or their own type if it is wider.
    ids : dict of jax.Array, [B]
        Those of relations.required_ids.
    temperature : float or scalar
    spec : SumSpec
    mesh : jax.sharding.Mesh, optional
        The devices over whose only axis the batch is split, None for one device.
    form : {"dense", "tiled", "ring"}, optional
        By default chosen by size and mesh.
    tile : int
        Rows and columns of a tile.

    Returns
    -------
    rows : jax.Array, [B]
        -inf, with no slope, where no pair of the row counts.
    columns : jax.Array, [B], or None
        The same of the columns; None unless spec.columns.
    """
    is_split = mesh is not None and mesh.size > 1
    if form is None:
        form = "dense" if len(z_acc) <= DENSE_LIMIT else "ring" if is_split else "tiled"
    dtype = jax.dtypes.canonicalize_dtype(jnp.promote_types(z_acc.dtype, jnp.float32))
    z_acc, z_gyr, temperature = (jnp.asarray(x, dtype) for x in (z_acc, z_gyr, temperature))
    compared = {name: ids[name] for name in relations.required_ids(spec.related)}
    ids = {"row": jnp.arange(len(z_acc)), **compared}
    if form == "dense":
        s = similarities(z_acc, z_gyr, ids, ids, temperature, spec)
        return _log_sum(s, axis=1), _log_sum(s, axis=0) if spec.columns else None
    ring = mesh if form == "ring" else None
    rows, columns = _tiled_log_sums(z_acc, z_gyr, temperature, ids, spec, ring, tile)
    return rows, columns if spec.columns else None


def similarities(
    z_acc: jax.Array,
    z_gyr: jax.Array,
    rows: Mapping[str, jax.Array],
    columns: Mapping[str, jax.Array],
    temperature: float | jax.Array,
    spec: SumSpec,
) -> jax.Array:
    """The matrix whose rows and columns are summed, or a tile of it.

    Parameters
    ----------
    z_acc, z_gyr : jax.Array, [I, D] and [J, D]
        Embeddings of unit length.
    rows, columns : dict of jax.Array, [I] and [J]
        Their ids, `row` among them: the number in the batch, -1 for filling.
    temperature : float or scalar
    spec : SumSpec

    Returns
    -------
    jax.Array, [I, J]
        log w_ij + s_ij.
    """
    s = _matmul(z_acc, z_gyr.T) / temperature
    weighted = s + relations.log_weights(spec.related, rows, columns, s.dtype)
    on_diagonal = rows["row"][:, None] == columns["row"][None, :]
    s = jnp.where(on_diagonal, s if spec.positive else -jnp.inf, weighted)
    filling = (rows["row"] < 0)[:, None] | (columns["row"] < 0)[None, :]
    return jnp.where(filling, -jnp.inf, s)


def _sum_tiles(
    z_acc, z_gyr, temperature, ids, spec: SumSpec, mesh, tile: int
) -> tuple[jax.Array, jax.Array]:
    """rows [B] and columns [B] by tiles, on one device (mesh None) or round the ring."""
    return _sum_forward(z_acc, z_gyr, temperature, ids, spec, mesh, tile)[0]


def _sum_forward(z_acc, z_gyr, temperature, ids, spec, mesh, tile):
    def sum_on_device(z_acc, z_gyr, ids, temperature, axis=None):
        count = len(z_acc)
        row_tiles, column_tiles = (_cut_into_tiles({"z": z, **ids}, tile) for z in (z_acc, z_gyr))
        empty = _mark_varying(jnp.full(row_tiles["row"].shape, -jnp.inf, z_acc.dtype), axis)
        initial = (empty, jnp.zeros_like(empty))  # maxima, sums

        def take_turn(turn, carry):
            del turn
            rows, column_tiles, columns = carry
            rows, columns = _add_sums(row_tiles, column_tiles, rows, columns, temperature, spec)
            return rows, *_send_to_next((column_tiles, columns), axis, mesh)

        rows, _, columns = _meet_every_device(
            take_turn, (initial, column_tiles, initial), axis, mesh
        )
        return tuple((m + jnp.log(x)).reshape(-1)[:count] for m, x in (rows, columns))

    rows, columns = _map_over_devices(sum_on_device, mesh, (z_acc, z_gyr, ids), temperature)
    return (rows, columns), (z_acc, z_gyr, temperature, ids, rows, columns)


def _sum_backward(spec, mesh, tile, residuals, cotangents):
    z_acc, z_gyr, temperature, ids, rows, columns = residuals

    def differentiate_on_device(
        z_acc, z_gyr, ids, rows, columns, rows_cotangent, columns_cotangent, temperature, axis=None
    ):
        count, size = z_acc.shape
        row_tiles = {"z": z_acc, "log_sum": rows, "cotangent": rows_cotangent, **ids}
        row_tiles = _cut_into_tiles(row_tiles, tile)
        column_tiles = {"z": z_gyr, "log_sum": columns, "cotangent": columns_cotangent, **ids}
        column_tiles = _cut_into_tiles(column_tiles, tile)
        # XLA would take the turning back into the products, as often as there are tiles.
        row_tiles["turned"] = lax.optimization_barrier(row_tiles["z"].swapaxes(1, 2))
        zeros = _mark_varying(jnp.zeros(row_tiles["z"].shape, z_acc.dtype), axis)

        def take_turn(turn, carry):
            del turn
            by_acc, column_tiles, by_gyr = carry
            by_acc, by_gyr = _add_slopes(row_tiles, column_tiles, by_acc, by_gyr, temperature, spec)
            return by_acc, *_send_to_next((column_tiles, by_gyr), axis, mesh)

        carry = (zeros, column_tiles, zeros.swapaxes(1, 2))
        by_acc, _, by_gyr = _meet_every_device(take_turn, carry, axis, mesh)
        return tuple(x.reshape(-1, size)[:count] for x in (by_acc, by_gyr.swapaxes(1, 2)))

    arrays = (z_acc, z_gyr, ids, rows, columns, *cotangents)
    by_acc, by_gyr = _map_over_devices(differentiate_on_device, mesh, arrays, temperature)
    # s is linear in both embeddings and in 1 / temperature, so one product gives its derivative.
    by_temperature = -(z_acc * by_acc).sum() / temperature
    return by_acc, by_gyr, by_temperature, None


_tiled_log_sums = jax.custom_vjp(_sum_tiles, nondiff_argnums=(4, 5, 6))
_tiled_log_sums.defvjp(_sum_forward, _sum_backward)


def _add_sums(row_tiles, column_tiles, rows, columns, temperature, spec):
    """Add a block's tiles to the running maxima and sums [n, t] of rows and columns."""

    def add_tile(row_tile, column_tile, rows, columns):
        z_acc, z_gyr = row_tile["z"], column_tile["z"]
        s = similarities(z_acc, z_gyr, row_tile, column_tile, temperature, spec)
        return _add_exp(rows, s, 1), _add_exp(columns, s, 0) if spec.columns else columns

    return _scan_tiles(add_tile, row_tiles, column_tiles, rows, columns)


def _add_exp(running, s, axis: int):
    """Running maximum and sum of exp, with those of s along an axis."""
    maximum, total = running
    new_maximum = jnp.maximum(maximum, s.max(axis))
    anchor = _finite_or_zero(new_maximum)
    tile_sum = jnp.exp(s - jnp.expand_dims(anchor, axis)).sum(axis)
    return new_maximum, total * jnp.exp(maximum - anchor) + tile_sum


def _add_slopes(row_tiles, column_tiles, by_acc, by_gyr, temperature, spec):
    """Add a block's tiles to the derivatives by z_acc [n, t, D] and, turned, by z_gyr [n, D, t].

    Turned, because a product over the rows of a tile is twice as slow on a CPU as one over the
    columns, and so it is the narrow matrix that is written out the other way round.
    """

    def add_tile(row_tile, column_tile, by_acc, by_gyr):
        z_acc, z_gyr = row_tile["z"], column_tile["z"]
        s = similarities(z_acc, z_gyr, row_tile, column_tile, temperature, spec)
        cotangent = row_tile["cotangent"][:, None]
        slope = cotangent * jnp.exp(s - _finite_or_zero(row_tile["log_sum"])[:, None])
        if spec.columns:
            cotangent = column_tile["cotangent"][None, :]
            slope += cotangent * jnp.exp(s - _finite_or_zero(column_tile["log_sum"])[None, :])
        slope /= temperature
        return by_acc + _matmul(slope, z_gyr), by_gyr + _matmul(row_tile["turned"], slope)

    return _scan_tiles(add_tile, row_tiles, column_tiles, by_acc, by_gyr)


def _scan_tiles(add_tile, row_tiles, column_tiles, row_totals, column_totals):
    """Add every tile, of rows by columns, to the totals of the rows and of the columns.

    add_tile: a function (row_tile, column_tile, row_total, column_total) of one tile each
    -> (row_total, column_total).
    """

    def add_row_of_tiles(column_totals, row):
        row_tile, row_total = row
        row_total, column_totals = lax.scan(
            lambda row_total, column: add_tile(row_tile, column[0], row_total, column[1]),
            row_total,
            (column_tiles, column_totals),
        )
        return column_totals, row_total

    column_totals, row_totals = lax.scan(add_row_of_tiles, column_totals, (row_tiles, row_totals))
    return row_totals, column_totals


def _matmul(a, b):
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


def _log_sum(s, axis):
    """Log-sum-exp of a matrix; jax.nn.logsumexp has a slope of NaN where all of it is -inf."""
    largest = lax.stop_gradient(_finite_or_zero(s.max(axis, keepdims=True)))
    total = jnp.exp(s - largest).sum(axis)
    is_empty = total == 0
    log = jnp.log(jnp.where(is_empty, 1, total)) + largest.squeeze(axis)
    return jnp.where(is_empty, -jnp.inf, log)


def _finite_or_zero(x):
    """x with 0 for -inf, so that exp(-inf - x) is 0 and not the exponential of a NaN."""
    return jnp.where(jnp.isfinite(x), x, 0)


def _cut_into_tiles(tree: dict, tile: int) -> dict:
    """Arrays [b, ...] as tiles [n, t, ...], filled up with zeros and rows numbered -1."""
    count = len(tree["row"])
    tile = min(tile, count)
    fill = -count % tile

    def cut(name, x):
        x = jnp.pad(x, ((0, fill), *((0, 0),) * (x.ndim - 1)), constant_values=-(name == "row"))
        return x.reshape(-1, tile, *x.shape[1:])

    return {name: cut(name, x) for name, x in tree.items()}


def _map_over_devices(function, mesh, arrays, temperature):
    """Call function(*arrays, temperature): as it is, or on every device with its share of them."""
    if mesh is None:
        return function(*arrays, temperature)
    (axis,) = mesh.axis_names
    return jax.shard_map(
        functools.partial(function, axis=axis),
        mesh=mesh,
        in_specs=(*(jax.P(axis) for _ in arrays), jax.P()),
        out_specs=jax.P(axis),
    )(*arrays, temperature)


def _meet_every_device(take_turn, carry, axis, mesh):
    """Meet every device's columns once."""
    return take_turn(0, carry) if axis is None else lax.fori_loop(0, mesh.size, take_turn, carry)


def _send_to_next(tree, axis, mesh):
    """Give a tree to the next device of the ring."""
    if axis is None:
        return tree
    ring = [(i, (i + 1) % mesh.size) for i in range(mesh.size)]
    return jax.tree.map(lambda x: lax.ppermute(x, axis, ring), tree)


def _mark_varying(x, axis):
    """Mark a constant as one that differs between the devices, as the loops' results will."""
    return x if axis is None else lax.pcast(x, (axis,), to="varying")
