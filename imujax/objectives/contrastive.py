"""The contrastive losses between accelerometer and gyroscope embeddings, and their monitors.

Everything here is written in global view: the arrays are the whole batch, whatever the mesh does
with them, so that a loss never depends on the number of devices.  z_acc and z_gyr are [B, D] with
rows of length one; row i of both belongs to the same sensor and window.  ids: of each row, what
relations.py compares, arrays [B].  All products are taken in float32 (or the input's wider type)
at the highest precision.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import lax

from imujax.objectives import log_sums


def symmetric_loss(
    z_acc: jax.Array,
    z_gyr: jax.Array,
    ids: Mapping[str, jax.Array],
    temperature: float | jax.Array,
    related: tuple[tuple[str, float], ...] = log_sums.DEFAULT_RELATIONS,
    mesh: jax.sharding.Mesh | None = None,
) -> jax.Array:
    """InfoNCE in both directions, the positive in the denominator.

    The mean of the two cross-entropies of retrieving j = i, once along rows (acc to gyr) and once
    along columns (gyr to acc).

    Parameters
    ----------
    z_acc, z_gyr : jax.Array, [B, D]
        Embeddings of unit length.
    ids : dict of jax.Array, [B]
        What the relations compare, see `relations.required_ids`.
    temperature : float or scalar
    related : tuple
        Which pairs are no negatives, or count less, of `relations.resolve`; by default other
        sensors of the same window are none.
    mesh : jax.sharding.Mesh, optional
        The devices over which the batch is shared out, None for one device.

    Returns
    -------
    jax.Array
        A scalar.

    References
    ----------
    The form of Alayrac et al. 2020 (arXiv 2006.16228, eq. 1) for two modalities.
    """
    spec = log_sums.SumSpec(positive=True, columns=True, related=related)
    rows, columns = log_sums.pair_log_sums(z_acc, z_gyr, ids, temperature, spec, mesh)
    assert columns is not None  # spec.columns
    positive = positive_similarities(z_acc, z_gyr, temperature)
    return 0.5 * ((rows - positive).mean() + (columns - positive).mean())


def one_sided_loss(
    z_acc: jax.Array,
    z_gyr: jax.Array,
    ids: Mapping[str, jax.Array],
    temperature: float | jax.Array,
    related: tuple[tuple[str, float], ...] = log_sums.DEFAULT_RELATIONS,
    mesh: jax.sharding.Mesh | None = None,
) -> jax.Array:
    """The study's own form (STUDY: acc to gyr only, positive not in the denominator).

    L = mean_i (log sum_{j: w(j) != w(i)} exp(s_ij) - s_ii).  With n negatives for every anchor and
    embeddings that know nothing, L = ln n.  The mean is over the anchors that have a negative:
    without one there is nothing to tell the partner from.  It is 0, with no slope, if none has any.

    Parameters
    ----------
    z_acc, z_gyr : jax.Array, [B, D]
        Embeddings of unit length.
    ids : dict of jax.Array, [B]
        What the relations compare, see `relations.required_ids`.
    temperature : float or scalar
    related : tuple
        Which pairs are no negatives, or count less, of `relations.resolve`; by default other
        sensors of the same window are none.
    mesh : jax.sharding.Mesh, optional
        The devices over which the batch is shared out, None for one device.

    Returns
    -------
    jax.Array
        A scalar.
    """
    spec = log_sums.SumSpec(positive=False, columns=False, related=related)
    rows, _ = log_sums.pair_log_sums(z_acc, z_gyr, ids, temperature, spec, mesh)
    has_negative = rows != -jnp.inf
    terms = jnp.where(has_negative, rows - positive_similarities(z_acc, z_gyr, temperature), 0)
    return terms.sum() / jnp.maximum(has_negative.sum(), 1)


def positive_similarities(
    z_acc: jax.Array, z_gyr: jax.Array, temperature: float | jax.Array
) -> jax.Array:
    """Similarities of partners.

    Parameters
    ----------
    z_acc, z_gyr : jax.Array, [B, D]
        Embeddings of unit length.
    temperature : float or scalar

    Returns
    -------
    jax.Array, [B]
        s_ii.
    """
    return (z_acc * z_gyr).sum(-1) / temperature


def different_windows(window: jax.Array) -> jax.Array:
    """Which pairs come from two different windows.

    Parameters
    ----------
    window : jax.Array, [B] int
        Number of each row's window.

    Returns
    -------
    jax.Array, [B, B] bool
        True where rows i and j are of different windows.
    """
    return window[:, None] != window[None, :]


def embedding_metrics(
    z_acc: jax.Array, z_gyr: jax.Array, window: jax.Array
) -> dict[str, jax.Array]:
    """What tells a useful embedding from a collapsed one.

    Parameters
    ----------
    z_acc, z_gyr : jax.Array, [B, D]
        Embeddings of unit length.
    window : jax.Array, [B] int
        Number of each row's window.

    Returns
    -------
    dict of scalars
        retrieval_acc, retrieval_gyr: share of anchors whose partner is the nearest among all other
        windows' embeddings, acc to gyr and gyr to acc.  alignment: mean squared distance of
        partners.  uniformity: log of the mean Gaussian potential of all pairs of one modality,
        averaged over the two, 0 where there is no pair.  effective_rank: exp of the entropy of the
        normalised singular values of the centred accelerometer embeddings.

    References
    ----------
    Alignment and uniformity: Wang and Isola 2020, arXiv 2005.10242.  Effective rank: Roy and
    Vetterli 2007.
    """
    s = jnp.matmul(z_acc, z_gyr.T, precision=lax.Precision.HIGHEST)
    apart = different_windows(window)
    positive = jnp.diagonal(s)
    rival = jnp.where(apart, s, -jnp.inf)

    def uniformity(z):
        squared = 2.0 - 2.0 * jnp.matmul(z, z.T, precision=lax.Precision.HIGHEST)
        pairs = apart.sum()
        potential = jnp.where(apart, jnp.exp(-2.0 * squared), 0.0).sum()
        return jnp.log(jnp.where(pairs > 0, potential / jnp.maximum(pairs, 1), 1))

    # The singular values of the centred [B, D] matrix through its D x D Gram matrix.
    centred = z_acc - z_acc.mean(axis=0, keepdims=True)
    gram = jnp.matmul(centred.T, centred, precision=lax.Precision.HIGHEST)
    singular = jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh(gram), 0.0))
    share = singular / jnp.maximum(singular.sum(), 1e-30)
    entropy = -jnp.where(share > 0, share * jnp.log(jnp.maximum(share, 1e-30)), 0.0).sum()
    return {
        "retrieval_acc": (positive > rival.max(axis=1)).mean(),
        "retrieval_gyr": (positive > rival.max(axis=0)).mean(),
        "alignment": (2.0 - 2.0 * positive).mean(),
        "uniformity": 0.5 * (uniformity(z_acc) + uniformity(z_gyr)),
        "effective_rank": jnp.exp(entropy),
    }
