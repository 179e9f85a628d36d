"""The networks that there are, and the net configurations that choose one.

A network is a module with

    SETTINGS               its fields, a subclass of NetSettings (imujax/runtime/fields.py)
    make_encoder(fields, name)
                           of the fields that SETTINGS declares itself, a flax module
                           (x [B, T, C], length [B] or None, train) -> [B, D] in float32, with the
                           property `embedding`, which is D

A network that can give curves has the property `receptive_field` too, in samples, and takes
pooled=False, with which it gives a list of `layers.Feature`.

A new one is a file with these two and one line in NETWORKS.
"""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from imujax.errors import UserError, require_known
from imujax.nets import dilated, resnet
from imujax.nets.settings import NetSettings
from imujax.runtime import fields

NETWORKS = {
    "resnet": resnet,
    "dilated": dilated,
}


def settings_class(net: Mapping[str, Any]) -> type[NetSettings]:
    """The class of the settings of the network that a net configuration names.

    Raises UserError where there is no such network.
    """
    network = net.get("network", fields.defaults(NetSettings)["network"])
    require_known("net.network", network, NETWORKS)
    return NETWORKS[network].SETTINGS


def resolve_net(net: Mapping[str, Any]) -> dict[str, Any]:
    """A net configuration with every field.

    Parameters
    ----------
    net : dict or ConfigDict
        The fields that differ from the defaults of the network.

    Returns
    -------
    dict
        All fields; sequences are tuples.

    Raises
    ------
    UserError
        An unknown network or field, or a value that cannot be.
    """
    settings = settings_class(net)
    fields.check(settings, net, "net")
    full = fields.defaults(settings) | {key: net[key] for key in net}
    return {key: tuple(v) if isinstance(v, list | tuple) else v for key, v in full.items()}


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
    network = NETWORKS[full["network"]]
    own = {key: full[key] for key in network.SETTINGS.__annotations__}
    return network.make_encoder(own, name)


def require_curves(net: Mapping[str, Any]) -> None:
    """Require that the network of a net configuration can give curves; UserError otherwise."""
    if not hasattr(make_encoder(net), "receptive_field"):
        able = ", ".join(
            name for name in NETWORKS if hasattr(make_encoder({"network": name}), "receptive_field")
        )
        raise UserError(
            f"the network {net['network']} gives no curves, only an embedding of a window: take "
            f"{able}, or numbers as targets"
        )
