"""The two towers: DualTower for contrastive pre-training, Regressor for the labelled tasks.

Both hold their encoders under the same names ("encoder", or "acc_encoder" and "gyr_encoder"),
so that `names.graft` carries pre-trained weights over. `net` is a net configuration (networks.py).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import FrozenDict

from imujax.nets import layers, networks


class ProjectionHead(nn.Module):
    """Projection head, used in pre-training only: linear, norm, ReLU, ..., linear; unit length.

    h [B, D] to z [B, P] in float32, ||z|| = 1.
    """

    projection: tuple[int, ...]
    norm: str

    @nn.compact
    def __call__(self, h, train: bool = False):
        *hidden, out = self.projection
        for i, features in enumerate(hidden, 1):
            h = nn.Dense(features, name=f"hidden{i}")(h)
            h = jax.nn.relu(layers.norm(self.norm, h, None, train, "float32", f"norm{i}"))
        z = nn.Dense(out, name="output")(h)
        # The floor stands inside the root, so that the gradient is finite at z = 0.
        return z * jax.lax.rsqrt(jnp.maximum((z * z).sum(-1, keepdims=True), 1e-12))


class _Encoders(nn.Module):
    """What both towers share: the encoders, and how a pair of windows goes through them."""

    net: Any

    def __post_init__(self):
        self.net = FrozenDict(networks.resolve_net(self.net))  # hashable, so a module can be static
        super().__post_init__()

    def _make_encoders(self):
        if self.net["shared"]:
            self.encoder = networks.make_encoder(self.net)
        else:
            self.acc_encoder = networks.make_encoder(self.net)
            self.gyr_encoder = networks.make_encoder(self.net)

    def _encode(self, acc, gyr, length, train):
        """acc, gyr [B, T, 3] to two embeddings [B, D].

        A shared encoder takes both modalities as one batch, so that its batch norm is trained
        with the statistics that it keeps.
        """
        if not self.net["shared"]:
            return self.acc_encoder(acc, length, train), self.gyr_encoder(gyr, length, train)
        both = None if length is None else jnp.concatenate([length, length])
        h_acc, h_gyr = jnp.split(self.encoder(jnp.concatenate([acc, gyr]), both, train), 2)
        return h_acc, h_gyr


class DualTower(_Encoders):
    """acc [B, T, 3], gyr [B, T, 3], length [B] or None to (z_acc, z_gyr) [B, P], unit length."""

    def setup(self):
        self._make_encoders()
        self.acc_head = ProjectionHead(self.net["projection"], self.net["norm"])
        self.gyr_head = ProjectionHead(self.net["projection"], self.net["norm"])

    def __call__(self, acc, gyr, length=None, train: bool = False):
        h_acc, h_gyr = self._encode(acc, gyr, length, train)
        return self.acc_head(h_acc, train), self.gyr_head(h_gyr, train)

    def embed(self, acc, gyr, length=None, train: bool = False):
        """The embeddings before the heads, two arrays [B, D] in float32."""
        return self._encode(acc, gyr, length, train)


class Regressor(_Encoders):
    """acc, gyr [B, T, S, 3], length [B] or None to `outputs` numbers a window, [B, K] float32.

    Every sensor goes through the same encoder or encoders; one linear layer on all embeddings.
    """

    outputs: int = 1

    def setup(self):
        self._make_encoders()
        self.output = nn.Dense(self.outputs)

    def __call__(self, acc, gyr, length=None, train: bool = False):
        return self.output(self.features(acc, gyr, length, train))

    def features(self, acc, gyr, length=None, train: bool = False):
        """[B, S * 2 * D]: for each sensor the embedding of acc, then that of gyr."""
        batch, samples, sensors, axes = acc.shape
        folded = [
            x.transpose(0, 2, 1, 3).reshape(batch * sensors, samples, axes) for x in (acc, gyr)
        ]
        length = None if length is None else jnp.repeat(length, sensors)
        pair = self._encode(*folded, length, train)  # 2 x [B * S, D]
        return jnp.stack(pair, 1).reshape(batch, -1)
