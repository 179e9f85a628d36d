"""The networks that there are, and the net configurations that choose one.

A network is a module with

    FIELDS                 its own settings with their defaults
    check_fields(fields)   UserError for a value that cannot be
    make_encoder(fields, name)
                           a flax module (x [B, T, C], length [B] or None, train) -> [B, D] in
                           float32, with the property `embedding`, which is D

A new one is a file with these three and one line in NETWORKS.
"""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from imujax.errors import UserError
from imujax.nets import resnet

NETWORKS = {
    "resnet": resnet,
}

# What the towers look at, whatever the network.
TOWERS = {
    "shared": False,  # one encoder for both modalities
    "projection": (128, 128),  # widths of the projection heads
    "norm": "batch",  # of the heads, and where a network has one of the same name of both
    "network": "resnet",  # a name in NETWORKS
}


def resolve_net(net: Mapping[str, Any]) -> dict[str, Any]:
    """A net configuration with every field.

    Parameters
    ----------
    net : dict or ConfigDict
        The fields that differ from the defaults of the network and of TOWERS.

    Returns
    -------
    dict
        All fields; sequences are tuples.

    Raises
    ------
    UserError
        An unknown network or field, or a value that cannot be.
    """
    net = {key: net[key] for key in net}
    network = net.get("network", TOWERS["network"])
    if network not in NETWORKS:
        raise UserError(f"net.network is {network!r}: there are {', '.join(NETWORKS)}")
    fields = NETWORKS[network].FIELDS
    defaults = fields | {key: value for key, value in TOWERS.items() if key not in fields}
    for key in net:
        if key not in defaults:
            raise UserError(
                f"the net configuration has no key {key!r}: it knows {', '.join(defaults)}"
            )
    full = defaults | net
    NETWORKS[network].check_fields(own_fields(full))
    return {key: tuple(v) if isinstance(v, list | tuple) else v for key, v in full.items()}


def own_fields(full: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved net configuration that its network knows."""
    return {key: full[key] for key in NETWORKS[full["network"]].FIELDS}


def make_encoder(net: Mapping[str, Any], name: str | None = None) -> nn.Module:
    """The encoder of a net configuration: windows [B, T, C] to embeddings [B, D].

    Parameters
    ----------
    net : dict or ConfigDict
        See `resolve_net`.
    name : str, optional
        Name of the flax module.

    Returns
    -------
    flax.linen.Module
        Called as (x, length, train); its `embedding` is D.
    """
    full = resolve_net(net)
    return NETWORKS[full["network"]].make_encoder(own_fields(full), name)
