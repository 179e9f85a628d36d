"""How much of a network is fine-tuned: lists of (pattern, factor) for the field `tune` of a task.

A parameter's name is its path in towers.Regressor, "encoder/stage1_block1_conv1/kernel" or, where
each modality has its own encoder, "acc_encoder/stem/kernel"; the last layer is "output/kernel" and
"output/bias".  The factor multiplies what AdamW would do in a step, decay included.

Batch norm, wherever it stands, is by the statistics of the batch in fine-tuning, and its running
statistics follow the labelled windows.  So an encoder that is not moved, but has batch norm, still
adapts to the labelled set, as a frozen probe does not; without norm it is the same function before
and after.
"""

from collections.abc import Mapping
from typing import Any

from imujax.nets import networks

ENCODER = ".*encoder/"  # that of both modalities, or each
Factors = tuple[tuple[str, float], ...]


def frozen() -> Factors:
    """The encoder is not moved, the output layer is; of any network."""
    return ((f"{ENCODER}.*", 0.0),)


def last_stage(net: Mapping[str, Any]) -> Factors:
    """Of the encoder the last stage alone is moved.

    Parameters
    ----------
    net : mapping
        The configuration of a residual network.

    Returns
    -------
    tuple of (str, float)
    """
    return ((f"{ENCODER}stage{_count_stages(net)}_.*", 1.0), *frozen())


def layerwise(net: Mapping[str, Any], decay: float) -> Factors:
    """The farther from the output, the slower (discriminative rates: Howard and Ruder 2018).

    Parameters
    ----------
    net : mapping
        The configuration of a residual network.
    decay : float
        Factor of the last stage; that of a stage is `decay` times the one of the next stage, and
        that of the stem `decay` times the first stage's.  The output layer has 1.

    Returns
    -------
    tuple of (str, float)
    """
    names = ["stem", *(f"stage{k + 1}_" for k in range(_count_stages(net)))]
    return tuple(
        (f"{ENCODER}{name}.*", decay ** (len(names) - number)) for number, name in enumerate(names)
    )


def _count_stages(net: Mapping[str, Any]) -> int:
    return len(networks.resolve_net(net)["stages"])
