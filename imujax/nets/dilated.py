"""A shallow network that is pooled against thresholds, for sets with few labels.

Random convolutions (MiniRocket, arXiv 2012.08791; MultiRocket, arXiv 2102.00457) are ahead of
residual networks on few windows, for two reasons that can be learned as well: their kernels span
from a few samples to the whole window, without an early stride, and every channel is summed up in
more than its mean and its maximum: in how much of it lies above a threshold, by how much, and where
in the window.  Here kernels and thresholds are learned, and residual blocks follow.

The layout has no norms (`normaliser_free`), so that amplitude is kept.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from imujax.errors import UserError
from imujax.nets import layers, normaliser_free
from imujax.nets.settings import NetSettings
from imujax.runtime.fields import setting

SLOPE = 2.0  # of the share above a threshold: it goes from 0 to 1 over half an SD
FEW = 0.05  # SD: a channel that is less above its threshold has its place drawn to the middle


@dataclass(frozen=True)
class DilatedSettings(NetSettings):
    """The network of an encoder: dilated convolutions, pooled against thresholds."""

    norm: str = setting(
        "none", "of the projection heads", known=("batch", "none", "group", "layer")
    )
    width: int = setting(
        16, "of each dilation; a block has as many as all have", unit="channels", least=1
    )
    dilations: tuple[int, ...] = setting(
        (1, 2, 4, 8), "of the first convolutions, side by side", unit="samples", least=1
    )
    stem_kernel: int = setting(9, "of the first convolutions", unit="taps", least=1)
    blocks: int = setting(2, "each of which halves the samples", least=0)
    kernel: int = setting(5, "of the convolution in a block", unit="samples", least=1)
    thresholds: tuple[float, ...] = setting(
        (-0.5, 0.0, 0.5), "of the first convolutions, at the start; a block has one, 0", unit="SD"
    )
    conv: str = setting(
        "auto", "form of convolution, imujax/nets/convolution.py", known=("auto", "dot", "lax")
    )
    dtype: str = setting(
        "float32",
        "of the activations; parameters and embeddings are float32",
        known=("float32", "bfloat16"),
    )


def dilated(width: int = 16) -> dict[str, Any]:
    """Four spans of 9 taps, two blocks, each summed up against thresholds: embedding 84 * width.

    Parameters
    ----------
    width : int
        Channels of each dilation.

    Returns
    -------
    dict
        A net configuration, see `networks.resolve_net`.
    """
    return {"network": "dilated", "width": width}


# What `networks` asks of every network: SETTINGS and make_encoder.
SETTINGS = DilatedSettings


def make_encoder(fields: Mapping[str, Any], name: str | None = None) -> "Dilated1D":
    """The network of the fields that DilatedSettings adds to NetSettings.

    Raises UserError for an even kernel, no dilation or one twice, and no threshold.
    """
    for field in ("stem_kernel", "kernel"):
        if fields[field] % 2 == 0:
            raise UserError(f"net.{field} is {fields[field]}: this network wants an odd one")
    if not fields["dilations"] or len(set(fields["dilations"])) < len(fields["dilations"]):
        raise UserError(f"net.dilations is {fields['dilations']}: give different ones")
    if not fields["thresholds"]:
        raise UserError("net.thresholds is empty: give one or more")
    own = {key: value for key, value in fields.items() if key != "norm"}
    return Dilated1D(**own, name=name)


class Dilated1D(nn.Module):
    """Windows [B, T, C] to embeddings [B, D] in float32.

    Called as (x [B, T, C], length [B] or None, train) -> [B, D].  Convolutions of all dilations
    side by side at the rate of the window, then `blocks` of one convolution each and half the
    samples.  What each of these has goes through `pool_against`, and all of that is the embedding,
    divided by the root of D, so that a step of the layer behind it moves an estimate as far
    whatever D is.

    Called with pooled=False it gives what the dilations and every block have at each of their
    samples, a list of `layers.Feature`.

    Attributes
    ----------
    width : int
        Channels of each dilation.
    dilations : tuple of int
        Samples from tap to tap of the first convolutions.
    stem_kernel, kernel : int
        Taps of the first convolutions, and of those in blocks.
    blocks : int
    thresholds : tuple of float
        Of the first convolutions at the start [SD]; a block has one, 0.
    conv : {"auto", "dot", "lax"}
        The form of convolution, see `convolution.FORMS`.
    dtype : {"float32", "bfloat16"}
        Of the activations; parameters and embeddings are float32.
    """

    width: int
    dilations: tuple[int, ...]
    stem_kernel: int
    blocks: int
    kernel: int
    thresholds: tuple[float, ...]
    conv: str
    dtype: str

    @property
    def embedding(self) -> int:
        """D, the size of the embedding."""
        pooled = count_pooled(len(self.thresholds)) + self.blocks * count_pooled(1)
        return self.width * len(self.dilations) * pooled

    @property
    def receptive_field(self) -> int:
        """Samples of a window, half of them on either side, that can tell in a curve's value.

        It is read from the last block's two nearest samples, up to `every` - 1 aside.
        """
        every, field = 1, (self.stem_kernel - 1) * max(self.dilations) + 1
        for _ in range(self.blocks):
            field += (self.kernel - 1) * every
            every *= 2
        return field + 2 * (every - 1)

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        length: jax.Array | None = None,
        train: bool = False,
        pooled: bool = True,
    ) -> jax.Array | list[layers.Feature]:
        x = x.T  # [C, T, B], as the layers have it
        parts = [
            self._convolve(f"stem{d}", self.width, self.stem_kernel, 1, x, length, d)
            for d in self.dilations
        ]
        x = jnp.concatenate(parts)
        ends, variance, every = [layers.Feature(x, length, 1)], 1.0, 1
        for block in range(1, self.blocks + 1):
            x, length, variance = normaliser_free.residual_block(
                self._convolve,
                f"block{block}",
                x,
                length,
                ((len(x), self.kernel, 2),),
                True,
                variance,
            )
            every *= 2
            ends.append(layers.Feature(x, length, every))
        # Also where nothing is pooled: they are part of the encoder that is handed on.
        thresholds = [
            self.param(f"thresholds{k}", _repeat, self.thresholds if k == 0 else (0.0,), len(end.x))
            for k, end in enumerate(ends)
        ]
        if not pooled:
            return ends
        embedding = [
            pool_against(end.x, end.length, own) for end, own in zip(ends, thresholds, strict=True)
        ]
        return jnp.concatenate(embedding, -1) / math.sqrt(self.embedding)

    def _convolve(self, name, features, kernel, stride, x, length, dilation=1):
        layer = layers.Conv1D(
            features,
            kernel,
            stride,
            dilation=dilation,
            impl=self.conv,
            standardise=True,
            dtype=self.dtype,
            name=name,
        )
        return layer(x, length)


def _repeat(key, start, width):
    """Thresholds at the start, the same for all channels: [H, width]."""
    del key  # nothing here is random
    return jnp.tile(jnp.array(start, jnp.float32)[:, None], (1, width))


def count_pooled(thresholds: int) -> int:
    """How many numbers `pool_against` makes of a channel."""
    return 2 + 3 * thresholds


def pool_against(x: jax.Array, length: jax.Array | None, thresholds: jax.Array) -> jax.Array:
    """What each channel has over time, in all and above thresholds; in float32.

    With a sample's excess e = max(x - threshold, 0) and its place p, from -1 for the first true
    sample to 1 behind the last one:

        mean, maximum
        share above       mean of SLOPE * (x - threshold) + 1/2, cut at 0 and 1, from -1 to 1
        excess            mean of e
        place             sum of e p / (sum of e + FEW * samples)

    Parameters
    ----------
    x : jax.Array, [C, T, B]
    length : jax.Array, [B], or None
        True samples of each window; None where all are full.
    thresholds : jax.Array, [H, C]

    Returns
    -------
    jax.Array, [B, (2 + 3 H) C]
        Means, maxima, then share, excess and place of each threshold, each of all channels.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    samples = x.shape[1]
    count = samples if length is None else jnp.maximum(jnp.asarray(length), 1)  # [B]
    count = jnp.reshape(count, (1, -1)).astype(x.dtype)  # [1, 1 or B]
    at = jnp.arange(samples, dtype=x.dtype)[None, :, None]
    place = 2 * at / count[None] - 1  # [1, T, 1 or B]
    pooled = [layers.mean_over_time(x, length), layers.max_over_time(x, length)]
    for threshold in thresholds:
        above = x - threshold[:, None, None]
        excess = layers.fill_beyond(jax.nn.relu(above), length)
        total = excess.sum(1)  # [C, B]
        share = layers.fill_beyond(jnp.clip(SLOPE * above + 0.5, 0, 1), length).sum(1) / count
        where = (excess * place).sum(1) / (total + FEW * count)
        pooled += [(2 * share - 1).T, (total / count).T, where.T]
    return jnp.concatenate(pooled, -1)
