"""What the towers look at in a net configuration, whatever the network."""

from dataclasses import dataclass

from imujax.runtime.fields import setting


@dataclass(frozen=True)
class NetSettings:
    """The network of an encoder."""

    network: str = setting("resnet", "a name in imujax/nets/networks.py")
    shared: bool = setting(False, "whether one encoder sees both modalities")
    projection: tuple[int, ...] = setting(
        (128, 128), "widths of the projection heads", unit="channels", least=1
    )
    norm: str = setting("batch", "of the projection heads")
