"""The contrastive losses between accelerometer and gyroscope embeddings, and their monitors.

Everything here is written in global view: the arrays are the whole batch, whatever the mesh does
with them, so that a loss never depends on the number of devices.  z_acc and z_gyr are [B, D] with
rows of length one; row i of both belongs to the same sensor and window.  ids: of each row, what
relations.py compares, arrays [B].  All products are taken in float32 (or the input's wider type)
at the highest precision.
"""

import jax.numpy as jnp
from jax import lax

from imujax.objectives import log_sums


def symmetric_loss(z_acc, z_gyr, ids, temperature, related=log_sums.DEFAULT_RELATIONS, where=None):
    """InfoNCE in both directions, the positive in the denominator -> scalar.

    The mean of the two cross-entropies of retrieving j = i, once along rows (acc to gyr) and once
    along columns (gyr to acc); the form of Alayrac et al. 2020 (arXiv 2006.16228, eq. 1) for two
    modalities.  related: which pairs are no negatives, or count less (relations.resolve); by default
    other sensors of the same window are none.  where: the mesh over which the batch is shared out,
    None for one device.
    """
    how = log_sums.SumSpec(positive=True, columns=True, related=related)
    rows, columns = log_sums.pair_log_sums(z_acc, z_gyr, ids, temperature, how, where)
    positive = positive_similarities(z_acc, z_gyr, temperature)
    return 0.5 * ((rows - positive).mean() + (columns - positive).mean())


def one_sided_loss(z_acc, z_gyr, ids, temperature, related=log_sums.DEFAULT_RELATIONS, where=None):
    """The study's own form (STUDY: acc to gyr only, positive not in the denominator) -> scalar.

    L = mean_i log sum_{j: w(j) != w(i)} exp(s_ij) - mean_i s_ii.  With n negatives for every
    anchor and embeddings that know nothing, L = ln n.
    """
    how = log_sums.SumSpec(positive=False, columns=False, related=related)
    rows, _ = log_sums.pair_log_sums(z_acc, z_gyr, ids, temperature, how, where)
    return (rows - positive_similarities(z_acc, z_gyr, temperature)).mean()


def positive_similarities(z_acc, z_gyr, temperature):
    """s_ii -> [B]."""
    return (z_acc * z_gyr).sum(-1) / temperature


def different_windows(window):
    """True where the pair (i, j) comes from two different windows; window [B] int -> [B, B]."""
    return window[:, None] != window[None, :]


def embedding_metrics(z_acc, z_gyr, window):
    """What tells a useful embedding from a collapsed one -> dict of scalars.

    retrieval_acc, retrieval_gyr: share of anchors whose partner is the nearest among all other
    windows' embeddings, acc to gyr and gyr to acc.  alignment: mean squared distance of partners;
    uniformity: log of the mean Gaussian potential of all pairs of one modality, averaged over the
    two (Wang and Isola 2020, arXiv 2005.10242).  effective_rank: exp of the entropy of the
    normalised singular values of the centred accelerometer embeddings (Roy and Vetterli 2007).
    """
    s = jnp.matmul(z_acc, z_gyr.T, precision=lax.Precision.HIGHEST)
    apart = different_windows(window)
    positive = jnp.diagonal(s)
    rival = jnp.where(apart, s, -jnp.inf)

    def uniformity(z):
        squared = 2.0 - 2.0 * jnp.matmul(z, z.T, precision=lax.Precision.HIGHEST)
        pairs = jnp.maximum(apart.sum(), 1)
        return jnp.log(jnp.where(apart, jnp.exp(-2.0 * squared), 0.0).sum() / pairs)

    # The singular values of the centred [B, D] matrix through its D x D Gram matrix.
    centred = z_acc - z_acc.mean(axis=0)
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
