"""Whether the settings of an encoder can be, before anything is done."""

from collections.abc import Iterable

from ml_collections import ConfigDict

from imujax.errors import UserError, require_known
from imujax.nets import networks
from imujax.objectives import relations
from imujax.objectives.objectives import OBJECTIVES

ORDERS = ("windows", "blocks")


def check_encoder(name: str, config: ConfigDict, data_sets: Iterable[str]):
    """Check one encoder's section.

    Parameters
    ----------
    name : str
        The encoder's name in the configuration, for the sentence.
    config : ConfigDict
        Its section, see configs/common.py.
    data_sets : iterable of str
        Names of the data sets of the configuration.

    Raises
    ------
    UserError
        A value that cannot be, or two that do not go together.
    """
    field = f"encoders.{name}"
    if config.loss not in OBJECTIVES:
        raise UserError(f"{field}.loss is {config.loss!r}: there are {', '.join(OBJECTIVES)}")
    if bool(config.data) == ("stream" in config):
        raise UserError(
            f"{field}.data must name data sets to train on, or be empty and `stream` "
            "say what is simulated"
        )
    if config.seeds < 1:
        raise UserError(f"{field}.seeds is {config.seeds}, but must be 1 or more")
    require_known(f"{field}.order", config.order, ORDERS)
    if not config.resident and (config.order != "blocks" or not config.data):
        raise UserError(
            f"{field}.resident is False: data sets that are read batch by batch need order='blocks'"
        )
    if config.grouped and config.order != "windows":
        raise UserError(f"{field}.grouped is True, which needs order='windows'")
    for key in config.data:
        require_known(f"{field}.data", key, data_sets)
    check_devices(config, 1)


def check_devices(config: ConfigDict, devices: int):
    """Check an encoder's section on so many devices.

    Parameters
    ----------
    config : ConfigDict
        An encoder's section.
    devices : int
        How many share the batch.

    Raises
    ------
    UserError
        Network, relations, batch and microbatch do not go together.
    """
    net = networks.resolve_net(config.net)
    relations.resolve(config.relations)
    if config.batch % devices:
        raise UserError(
            f"a batch of {config.batch} cannot be shared out over {devices} devices; "
            f"make it a multiple of {devices}"
        )
    if not config.microbatch:
        return
    if net["norm"] == "batch":
        raise UserError(
            f"microbatch={config.microbatch} with batch norm would train another network, since "
            "its statistics are those of the whole batch; take net.norm=none, or microbatch=0"
        )
    if config.batch // devices % config.microbatch:
        raise UserError(
            f"the {config.batch // devices} sensor-windows of each device cannot be cut into "
            f"microbatches of {config.microbatch}; take a divisor"
        )
