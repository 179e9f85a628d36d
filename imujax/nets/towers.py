"""The towers: DualTower for pre-training, Regressor and CurveRegressor for labelled tasks.

All hold their encoders under the same names ("encoder", or "acc_encoder" and "gyr_encoder"),
so that `parameters.graft` carries pre-trained weights over. `net` is a net configuration
(networks.py).
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.core import FrozenDict

from imujax.nets import layers, networks


class ProjectionHead(nn.Module):
    """Projection head, used in pre-training only: linear, norm, ReLU, ..., linear; unit length.

    Called as (h [B, D], train) -> z [B, P] in float32, ||z|| = 1.

    Attributes
    ----------
    projection : tuple of int
        Widths of the linear layers; the last is P.
    norm : str
        See `layers.norm`.
    """

    projection: tuple[int, ...]
    norm: str

    @nn.compact
    def __call__(self, h: jax.Array, train: bool = False) -> jax.Array:
        *hidden_widths, out_width = self.projection
        for i, width in enumerate(hidden_widths, 1):
            h = nn.Dense(width, name=f"hidden{i}")(h)
            h = jax.nn.relu(layers.norm(self.norm, h, None, train, "float32", f"norm{i}"))
        z = nn.Dense(out_width, name="output")(h)
        # The floor stands inside the root, so that the gradient is finite at z = 0.
        return z * jax.lax.rsqrt(jnp.maximum((z * z).sum(-1, keepdims=True), 1e-12))


class _Encoders(nn.Module):
    """What both towers share: the encoders, and how a pair of windows goes through them."""

    net: Mapping[str, Any]

    def __post_init__(self):
        self.net = FrozenDict(networks.resolve_net(self.net))  # hashable, so a module can be static
        super().__post_init__()

    def _make_encoders(self):
        if self.net["shared"]:
            self.encoder = networks.make_encoder(self.net)
        else:
            self.acc_encoder = networks.make_encoder(self.net)
            self.gyr_encoder = networks.make_encoder(self.net)

    def _encode(self, acc, gyr, length, train, samples=None):
        """acc, gyr [B, T, 3] to two embeddings [B, D], or at `samples` [P] features [B, P, E].

        Of a modality that is None there is none. A shared encoder takes both as one batch, so that
        its batch norm is trained with the statistics that it keeps.
        """

        def apply(encoder, x, length):
            if samples is None:
                return encoder(x, length, train)
            along = [layers.Feature(x.T, length, 1), *encoder(x, length, train, pooled=False)]
            return jnp.concatenate([layers.at_samples(part, samples) for part in along]).T

        if not self.net["shared"]:
            towers = (("acc_encoder", acc), ("gyr_encoder", gyr))
            return [apply(getattr(self, name), x, length) for name, x in towers if x is not None]
        given = _given(acc, gyr)
        lengths = None if length is None else jnp.concatenate([length] * len(given))
        return jnp.split(apply(self.encoder, jnp.concatenate(given), lengths), len(given))


class DualTower(_Encoders):
    """Two encoders and their projection heads, for contrastive pre-training.

    Called as (acc [B, T, 3], gyr [B, T, 3], length [B] or None, train) -> (z_acc, z_gyr), each
    [B, P] float32, rows of unit length.

    Attributes
    ----------
    net : dict or ConfigDict
        A net configuration, see `networks.resolve_net`; with `shared` both modalities go through
        one encoder.
    """

    def setup(self):
        self._make_encoders()
        self.acc_head = ProjectionHead(self.net["projection"], self.net["norm"])
        self.gyr_head = ProjectionHead(self.net["projection"], self.net["norm"])

    def __call__(
        self,
        acc: jax.Array,
        gyr: jax.Array,
        length: jax.Array | None = None,
        train: bool = False,
    ) -> tuple[jax.Array, jax.Array]:
        h_acc, h_gyr = self._encode(acc, gyr, length, train)
        return self.acc_head(h_acc, train), self.gyr_head(h_gyr, train)

    def embed(
        self,
        acc: jax.Array,
        gyr: jax.Array,
        length: jax.Array | None = None,
        train: bool = False,
    ) -> tuple[jax.Array, jax.Array]:
        """The embeddings before the heads.

        Parameters
        ----------
        acc, gyr : jax.Array, [B, T, 3]
            In standardised units.
        length : jax.Array, [B], optional
            True samples of each window; every window is full unless given.
        train : bool
            See `layers.norm`.

        Returns
        -------
        h_acc, h_gyr : jax.Array, [B, D] float32
        """
        h_acc, h_gyr = self._encode(acc, gyr, length, train)
        return h_acc, h_gyr


class Regressor(_Encoders):
    """Encoders and one linear layer on the embeddings of all sensors, for the labelled tasks.

    Called as (acc [B, T, S, 3], gyr [B, T, S, 3], length [B] or None, train) -> [B, K] float32.
    Every sensor goes through the same encoder or encoders.

    Attributes
    ----------
    net : dict or ConfigDict
        A net configuration, see `networks.resolve_net`.
    outputs : int
        K, numbers a window.
    """

    outputs: int = 1

    def setup(self):
        self._make_encoders()
        self.output = nn.Dense(self.outputs)

    def __call__(
        self,
        acc: jax.Array,
        gyr: jax.Array,
        length: jax.Array | None = None,
        train: bool = False,
    ) -> jax.Array:
        return self.output(self.features(acc, gyr, length, train))

    def features(
        self,
        acc: jax.Array | None,
        gyr: jax.Array | None,
        length: jax.Array | None = None,
        train: bool = False,
    ) -> jax.Array:
        """What the linear layer sees.

        Parameters
        ----------
        acc, gyr : jax.Array, [B, T, S, 3], or None
            In standardised units; one of them may be missing.
        length : jax.Array, [B], optional
            True samples of each window; every window is full unless given.
        train : bool
            See `layers.norm`.

        Returns
        -------
        jax.Array, [B, S * 2 * D] float32
            For each sensor the embedding of acc, then that of gyr, of those that there are.
        """
        parts = self._encode(*_fold_sensors(acc, gyr, length), train)  # 2 x [B * S, D]
        return jnp.stack(parts, 1).reshape(len(_given(acc, gyr)[0]), -1)


class CurveRegressor(Regressor):
    """Encoders and one linear layer on the signals and what the stages have at each sample: curves.

    Called as (acc [B, T, S, 3], gyr [B, T, S, 3], length [B] or None, train) -> [B, Lt, K] float32;
    Lt is T / every, rounded up, and what lies beyond a window's length means nothing. The stages
    are read on the line between their samples (`layers.at_samples`), so that a value sees the
    `receptive_field` of the network around its sample, as far as the window goes.

    Attributes
    ----------
    net : dict or ConfigDict
        A net configuration, see `networks.resolve_net`, of a network that has a receptive field.
    outputs : int
        K, curves.
    every : int
        Samples of the window from value to value.
    """

    every: int = 1

    def features(
        self,
        acc: jax.Array | None,
        gyr: jax.Array | None,
        length: jax.Array | None = None,
        train: bool = False,
    ) -> jax.Array:
        """What the linear layer sees.

        Parameters
        ----------
        acc, gyr : jax.Array, [B, T, S, 3], or None
            In standardised units; one of them may be missing.
        length : jax.Array, [B], optional
            True samples of each window; every window is full unless given.
        train : bool
            See `layers.norm`.

        Returns
        -------
        jax.Array, [B, Lt, S * 2 * E] float32
            For each sensor the axes, and the channels of stem and stages, of acc, then of gyr,
            of those that there are.
        """
        batch, window, sensors, _ = _given(acc, gyr)[0].shape
        samples = np.arange(0, window, self.every)
        parts = self._encode(*_fold_sensors(acc, gyr, length), train, samples)  # 2 x [B * S, Lt, E]
        x = jnp.stack(parts, 1).reshape(batch, len(parts) * sensors, len(samples), -1)
        return x.transpose(0, 2, 1, 3).reshape(batch, len(samples), -1)


def _given(acc: jax.Array | None, gyr: jax.Array | None) -> list[jax.Array]:
    """Those that there are."""
    return [x for x in (acc, gyr) if x is not None]


def _fold_sensors(
    acc: jax.Array | None, gyr: jax.Array | None, length: jax.Array | None
) -> tuple[jax.Array | None, jax.Array | None, jax.Array | None]:
    """Every sensor of a window [B, T, S, 3] as one of its own [B * S, T, 3], and their lengths."""

    def fold(x):
        return None if x is None else x.transpose(0, 2, 1, 3).reshape(-1, x.shape[1], x.shape[3])

    sensors = _given(acc, gyr)[0].shape[2]
    return fold(acc), fold(gyr), None if length is None else jnp.repeat(length, sensors)
