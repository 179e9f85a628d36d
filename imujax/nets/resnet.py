"""One-dimensional residual networks, and the net configurations that the experiments use.

Two layouts: the ResNet of He et al. 2016 (norm and ReLU after each convolution; stride on the
middle convolution of a bottleneck), and with norm "none" the normaliser-free ResNet of Brock,
De & Smith 2021 (arXiv 2101.08692): ReLU before each convolution, scaled weight standardisation,
residual branches of known variance. Both follow the amplitude of their input.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from imujax.nets import convolution, layers, normaliser_free
from imujax.nets.settings import NetSettings
from imujax.runtime.fields import setting

EXPANSION = 4  # channels out of a bottleneck over its width
STEM_STRIDE = 2
POOL = {"kernel": 3, "stride": 2, "padding": 1}


@dataclass(frozen=True)
class ResNetSettings(NetSettings):
    """The network of an encoder: residual, along time."""

    block: str = setting(
        "bottleneck",
        "three convolutions, of kernels 1, `kernel` and 1, or two of `kernel`",
        known=("bottleneck", "basic"),
    )
    stages: tuple[int, ...] = setting((3, 4, 6, 3), "blocks in each stage", least=1)
    width: int = setting(
        64, "of the first stage, doubled in each further one", unit="channels", least=1
    )
    stem_kernel: int = setting(7, "of the first convolution", unit="samples", least=1)
    kernel: int = setting(3, "of the convolutions in the blocks", unit="samples", least=1)
    bias: bool = setting(
        False, "whether convolutions have one; the normaliser-free layout always has"
    )
    norm: str = setting(
        "batch",
        "after each convolution, and in the heads; none is the normaliser-free layout",
        known=("batch", "none", "group", "layer"),
    )
    pool: str = setting(
        "mean",
        "of the last stage over time, or mean and maximum of the last two",
        known=("mean", "mean_max"),
    )
    conv: str = setting(
        "auto", "form of convolution, imujax/nets/convolution.py", known=("auto", "dot", "lax")
    )
    dtype: str = setting(
        "float32",
        "of the activations; parameters and embeddings are float32",
        known=("float32", "bfloat16"),
    )


def resnet50(width: int = 64, norm: str = "batch") -> dict[str, Any]:
    """ResNet-50 along time: [3, 4, 6, 3] bottlenecks of expansion 4, embedding 32 * width.

    Parameters
    ----------
    width : int
        Channels of the first stage.
    norm : str
        See `layers.norm`; "none" is the normaliser-free layout.

    Returns
    -------
    dict
        A net configuration, see `networks.resolve_net`.
    """
    return {
        "block": "bottleneck",
        "stages": (3, 4, 6, 3),
        "width": width,
        "stem_kernel": 7,
        "kernel": 3,
        "bias": False,
        "norm": norm,
        "pool": "mean",
        "conv": "auto",
        "dtype": "float32",
        "shared": False,
        "projection": (128, 128),
    }


def tan2023(norm: str = "batch") -> dict[str, Any]:
    """The net of Tan, Shull & Chaudhari's code: [3, 4, 6, 3] two-convolution blocks, kernel 9.

    16 to 128 channels, embedding 128, 1,337,376 parameters with batch norm; one encoder for
    both modalities.

    Parameters
    ----------
    norm : str
        See `layers.norm`; "none" is the normaliser-free layout.

    Returns
    -------
    dict
        A net configuration, see `networks.resolve_net`.
    """
    return resnet50(16, norm) | {
        "block": "basic",
        "stem_kernel": 49,
        "kernel": 9,
        "bias": True,
        "shared": True,
    }


def tiny(norm: str = "batch") -> dict[str, Any]:
    """Two small stages, for tests and for runs of a minute: embedding 16.

    Parameters
    ----------
    norm : str
        See `layers.norm`; "none" is the normaliser-free layout.

    Returns
    -------
    dict
        A net configuration, see `networks.resolve_net`.
    """
    return resnet50(8, norm) | {"block": "basic", "stages": (1, 1), "projection": (16, 16)}


# What `networks` asks of every network: SETTINGS and make_encoder.
SETTINGS = ResNetSettings


def make_encoder(fields: Mapping[str, Any], name: str | None = None) -> "ResNet1D":
    """The residual network of the fields that ResNetSettings adds to NetSettings."""
    return ResNet1D(**fields, name=name)


class ResNet1D(nn.Module):
    """Windows [B, T, C] to embeddings [B, D] in float32.

    Called as (x [B, T, C], length [B] or None, train) -> [B, D]. Stem of stride 2, max-pool of
    stride 2, then `stages` of blocks, each with twice the width of the one before and, from the
    second on, half the samples. D is the last stage's channels, or with pool "mean_max" the mean
    and the maximum of the last two stages.

    Called with pooled=False it gives what the stem and every stage have at each of their samples, a
    list of `layers.Feature`.

    Attributes
    ----------
    block : {"bottleneck", "basic"}
        Three convolutions, of kernels 1, `kernel` and 1, or two of `kernel`.
    stages : tuple of int
        Blocks in each stage.
    width : int
        Channels of the stem, and of the first stage before the expansion of a bottleneck.
    stem_kernel, kernel : int
        Samples.
    bias : bool
        Whether convolutions have a bias; the normaliser-free layout always has.
    norm : {"batch", "none", "group", "layer"}
        See `layers.norm`; "none" is the normaliser-free layout.
    pool : {"mean", "mean_max"}
        What becomes of the samples that the last stage leaves.
    conv : {"auto", "dot", "lax"}
        The form of convolution, see `convolution.FORMS`.
    dtype : {"float32", "bfloat16"}
        Of the activations; parameters and embeddings are float32.
    """

    block: str
    stages: tuple[int, ...]
    width: int
    stem_kernel: int
    kernel: int
    bias: bool
    norm: str
    pool: str
    conv: str
    dtype: str

    @property
    def embedding(self) -> int:
        """D, the size of the embedding."""
        last = self.width * 2 ** (len(self.stages) - 1)
        last *= EXPANSION if self.block == "bottleneck" else 1
        if self.pool == "mean":
            return last
        return 2 * last + (last if len(self.stages) > 1 else 0)

    @property
    def receptive_field(self) -> int:
        """Samples of a window, half of them on either side, that can tell in a curve's value.

        It is read from the last stage's two nearest samples, up to `every` - 1 aside.
        """
        every, field = STEM_STRIDE * POOL["stride"], self.stem_kernel
        field += (POOL["kernel"] - 1) * STEM_STRIDE
        for stage, blocks in enumerate(self.stages):
            for block in range(blocks):
                for _, kernel, stride in self._branch_layout(1, 2 if stage and not block else 1):
                    field += (kernel - 1) * every
                    every *= stride
        return field + 2 * (every - 1)

    @property
    def is_normaliser_free(self) -> bool:
        """Whether the layout is the one without norms."""
        return self.norm == "none"

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        length: jax.Array | None = None,
        train: bool = False,
        pooled: bool = True,
    ) -> jax.Array | list[layers.Feature]:
        x = x.T  # [C, T, B], as the layers have it
        x = self._convolve("stem", self.width, self.stem_kernel, STEM_STRIDE, x, length)
        length = convolution.out_length(
            length, self.stem_kernel, STEM_STRIDE, self.stem_kernel // 2
        )
        if not self.is_normaliser_free:
            x = jax.nn.relu(self._normalise("stem_norm", x, length, train))
        ends = [layers.Feature(x, length, STEM_STRIDE)]
        x = layers.max_pool(x, **POOL, length=length)  # [width, T/4, B]
        length = convolution.out_length(length, **POOL)
        variance, every = 1.0, STEM_STRIDE * POOL["stride"]
        for stage, blocks in enumerate(self.stages):
            for block in range(blocks):
                name = f"stage{stage + 1}_block{block + 1}"
                stride = 2 if stage and not block else 1
                branch = self._branch_layout(self.width * 2**stage, stride)
                project = stride > 1 or x.shape[0] != branch[-1][0]
                if self.is_normaliser_free:
                    x, length, variance = normaliser_free.residual_block(
                        self._convolve, name, x, length, branch, project, variance
                    )
                else:
                    x = self._apply_block(name, x, length, branch, project, train)
                    length = convolution.out_length(length, 1, stride)
                every *= stride
            end = normaliser_free.scaled_relu(x) if self.is_normaliser_free else x
            ends.append(layers.Feature(end, length, every))
        if not pooled:
            return ends
        if self.pool == "mean":
            return layers.mean_over_time(ends[-1].x, ends[-1].length)
        poolings = (layers.mean_over_time, layers.max_over_time)
        return jnp.concatenate(
            [pool(end.x, end.length) for end in ends[1:][-2:] for pool in poolings], -1
        )

    def _branch_layout(self, width, stride):
        """The convolutions of a residual branch: (channels out, kernel, stride) of each."""
        if self.block == "bottleneck":
            return (width, 1, 1), (width, self.kernel, stride), (EXPANSION * width, 1, 1)
        return (width, self.kernel, stride), (width, self.kernel, 1)

    def _convolve(self, name, features, kernel, stride, x, length):
        layer = layers.Conv1D(
            features,
            kernel,
            stride,
            bias=self.bias or self.is_normaliser_free,
            impl=self.conv,
            standardise=self.is_normaliser_free,
            dtype=self.dtype,
            name=name,
        )
        return layer(x, length)

    def _normalise(self, name, x, length, train):
        return layers.norm(self.norm, x, length, train, self.dtype, name)

    def _apply_block(self, name, x, length, branch, project, train):
        """relu(branch(x) + shortcut(x)); a norm after every convolution (He et al. 2016)."""
        shortcut, y, y_length = x, x, length
        for i, (features, kernel, stride) in enumerate(branch, 1):
            y = self._convolve(f"{name}_conv{i}", features, kernel, stride, y, y_length)
            y_length = convolution.out_length(y_length, kernel, stride, kernel // 2)
            y = self._normalise(f"{name}_norm{i}", y, y_length, train)
            if i < len(branch):
                y = jax.nn.relu(y)
        if project:
            stride = math.prod(step for _, _, step in branch)
            shortcut = self._convolve(f"{name}_shortcut", y.shape[0], 1, stride, x, length)
            shortcut = self._normalise(f"{name}_shortcut_norm", shortcut, y_length, train)
        return jax.nn.relu(y + shortcut)
