"""Stretches of the signals are hidden, and rebuilt from what stands around them in both modalities.

Each window is cut into patches along time; a share of them is hidden, in acceleration and angular
rate each by itself, so that one may be read from the other.  The encoders see zeros there, in
standardised units; one linear layer on what they have at each sample, as for curves, gives all six
signals, and the error is that of the hidden samples alone.  The study's authors went from pairs to
masked signals as well (Tan et al. 2024); here the encoders are the same towers.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from imujax.nets import networks, towers
from imujax.objectives import encoding
from imujax.objectives.objective import Objective

SIGNAL_NAMES = ("acc", "gyr")
SIGNALS = 6  # three axes of each


def masked(config: ConfigDict, mesh: jax.sharding.Mesh | None, full: bool) -> Objective:
    """Mean squared error of hidden samples, in SDs of the signals.

    Parameters
    ----------
    config, mesh, full
        See objectives.make_objective; config.hidden is the share of the patches, config.patch their
        length [samples].

    Returns
    -------
    Objective

    Raises
    ------
    UserError
        The network has no features along the windows.
    """
    networks.require_curves(config.net)
    tower = towers.CurveRegressor(config.net, outputs=SIGNALS)

    def rebuild(variables, batch, length, train):
        """Summed squared error of each window [B], and how many samples were hidden [B]."""
        given = {name: jnp.where(batch[f"hidden_{name}"], 0, batch[name]) for name in SIGNAL_NAMES}
        inputs = given["acc"][:, :, None], given["gyr"][:, :, None], length
        y = tower.apply(
            variables, *inputs, train=train, mutable=["batch_stats"] if train else False
        )
        y, changed = y if train else (y, {})
        truth = jnp.concatenate([batch[name] for name in SIGNAL_NAMES], -1)  # [B, T, 6]
        hidden = jnp.concatenate(
            [jnp.broadcast_to(batch[f"hidden_{name}"], batch[name].shape) for name in SIGNAL_NAMES],
            -1,
        )
        error = jnp.where(hidden, y - truth, 0.0) ** 2
        return (error.sum((1, 2)), hidden.sum((1, 2)).astype(y.dtype)), changed

    encode = encoding.make_encode(
        config,
        mesh,
        full,
        lambda variables, batch, length: rebuild(variables, batch, length, train=True),
        ("acc", "gyr", "length", "hidden_acc", "hidden_gyr"),
    )

    def hide(batch, key):
        keys = jax.random.split(key)
        return batch | {
            f"hidden_{name}": hidden_samples(k, batch["length"], config)
            for name, k in zip(SIGNAL_NAMES, keys, strict=True)
        }

    def init(key):
        window = jnp.zeros((2, config.window, 1, 3))
        variables = tower.init(key, window, window, None, train=False)
        return {"params": variables["params"], "stats": variables.get("batch_stats", {})}

    def loss(variables, batch, key):
        (error, count), stats = encode(variables["params"], variables["stats"], hide(batch, key))
        return error.sum() / jnp.maximum(count.sum(), 1), ({}, stats)

    def monitor(variables, batch, key):
        frozen = {"params": variables["params"], "batch_stats": variables["stats"]}
        length = None if full else batch["length"]
        (error, count), _ = rebuild(frozen, hide(batch, key), length, train=False)
        return {"monitor_loss": error.sum() / jnp.maximum(count.sum(), 1)}

    return Objective(init, loss, monitor)


def hidden_samples(key: jax.Array, length: jax.Array, config: ConfigDict) -> jax.Array:
    """Draw which samples of one modality are hidden.

    Parameters
    ----------
    key : jax.Array
        Random key.
    length : jax.Array, [B]
        True samples of each window.
    config : ConfigDict
        window, hidden and patch.

    Returns
    -------
    jax.Array, [B, T, 1] bool
        Whole patches, each with the chance `hidden`, and never beyond the length.
    """
    count = -(-config.window // config.patch)
    patches = jax.random.uniform(key, (len(length), count)) < config.hidden
    samples = jnp.repeat(patches, config.patch, axis=1)[:, : config.window]
    inside = jnp.arange(config.window)[None, :] < length[:, None]
    return (samples & inside)[..., None]
