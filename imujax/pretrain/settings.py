"""The settings of an encoder, and whether they can be, before anything is done."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict

from imujax.errors import UserError, require_known
from imujax.nets import networks
from imujax.objectives import relations
from imujax.objectives.objectives import OBJECTIVES
from imujax.runtime.fields import ABSENT, REQUIRED, setting
from imujax.simulate import forces

ORDERS = ("windows", "blocks")


@dataclass(frozen=True)
class SimulatedSettings:
    """The simulated walkers and runners whose forces and moments are learned."""

    windows: int = setting(
        16384, "made at the start, from the seed", unit="sensor-windows", least=1
    )
    batch: int = setting(256, "of a step, beside its batch", unit="sensor-windows", least=1)
    people: dict[str, Any] = setting(
        {}, "entries of imujax/simulate/stream.py that are to be others, such as sensors"
    )


@dataclass(frozen=True)
class EncoderSettings:
    """What is pre-trained without labels, on what, and how long."""

    data: tuple[str, ...] = setting(
        REQUIRED, "the data sets to train on; none where `stream` is given, or no step is taken"
    )
    stream: dict[str, Any] = setting(
        ABSENT, "in the place of data sets: what is simulated, see imujax/simulate/stream.py"
    )
    parent: str = setting(
        ABSENT, "the encoder that it goes on from: a name in this configuration, or a folder"
    )
    without: str = setting(
        ABSENT, "a task, in each of whose folds it is trained without the fold's test subjects"
    )
    others: bool = setting(
        False, "with `without`: whether its data sets may have people whom the task does not know"
    )
    sensors: tuple[str, ...] = setting((), "the sensors to train on; none named: all")
    rate: float = setting(100.0, "rate of the input", unit="Hz", above=0)
    window: int = setting(128, "length of the input", unit="samples", least=1)
    motion: float = setting(
        0.3, "least mean SD of a sensor's acceleration in a window", unit="m/s^2", least=0
    )
    monitor: float = setting(
        0.1, "share of the subjects held out to watch the training", least=0, most=0.9
    )
    net: dict[str, Any] = setting(
        REQUIRED,
        "the network: a dict of imujax/nets/resnet.py or dilated.py, any key of it changed",
        chooses=networks.settings_class,
    )
    loss: str = setting("symmetric", "what is learned, a name in imujax/objectives/objectives.py")
    beside: dict[str, float] = setting(
        {}, "what else is learned of the same batches, such names and their weights", above=0
    )
    hidden: float = setting(0.4, "of `masked`: share of a window that is hidden", above=0, most=0.9)
    patch: int = setting(
        8, "of `masked`: length of what is hidden at a time", unit="samples", least=1
    )
    simulated: SimulatedSettings = setting({}, "of `forces`: the simulated people")
    relations: dict[str, float] = setting(
        {}, "pairs that are no negatives, or count less: imujax/objectives/relations.py", least=0
    )
    temperature: float = setting(0.1, "by which similarities are divided", above=0)
    learn_temperature: bool = setting(False, "whether it is learned, from there on")
    batch: int = setting(512, "sensor-windows of a step", least=1)
    microbatch: int = setting(
        0, "how many of a device's are encoded at a time; 0: all", unit="sensor-windows", least=0
    )
    grouped: bool = setting(False, "whether all sensors of a window come in one batch")
    order: str = setting(
        "windows",
        "in which windows are drawn; `blocks` is one that a disk can follow",
        known=ORDERS,
    )
    resident: bool = setting(
        True, "whether the data lie on the device; if not, they are read batch by batch"
    )
    seeds: int = setting(
        3,
        "pre-trainings of other seeds, spread over the runs; fewer than three tell little",
        least=1,
    )
    steps: int = setting(1000, "of training; 0: the parent as it is", least=0)
    warmup: float = setting(
        0.2, "share of the steps in which the learning rate rises", least=0, most=1
    )
    learning_rate: float = setting(1e-3, "the highest", above=0)
    weight_decay: float = setting(1e-5, "of AdamW", least=0)
    rotation: float = setting(
        0.0, "by which a sensor-window is turned, at most", unit="degrees", least=0, most=180
    )
    gain: float = setting(
        0.0, "by which the scale of a sensor-window changes, at most", least=0, most=1
    )
    noise: tuple[float, float] = setting(
        (0.0, 0.0), "SD that is added to both modalities", unit="m/s^2, rad/s", least=0
    )
    log_every: int = setting(50, "between lines of metrics.jsonl", unit="steps", least=1)
    save_every: int = setting(500, "between checkpoints", unit="steps", least=1)


def check_encoder(name: str, config: ConfigDict, data_sets: Iterable[str]):
    """Check one encoder's section.

    Parameters
    ----------
    name : str
        The encoder's name in the configuration, for the sentence.
    config : ConfigDict
        Its section, of EncoderSettings.
    data_sets : iterable of str
        Names of the data sets of the configuration.

    Raises
    ------
    UserError
        A value that cannot be, or two that do not go together.
    """
    field = f"encoders.{name}"
    require_known(f"{field}.loss", config.loss, OBJECTIVES)
    for other in config.beside:
        require_known(f"{field}.beside", other, sorted(OBJECTIVES.keys() - {config.loss}))
    if not config.steps and (config.data or "stream" in config or "without" in config):
        raise UserError(
            f"{field}.steps is 0, which takes the parent as it is: leave data empty, and neither "
            "stream nor without"
        )
    if config.steps and bool(config.data) == ("stream" in config):
        raise UserError(
            f"{field}.data must name data sets to train on, or be empty and `stream` "
            "say what is simulated"
        )
    if "forces" in (config.loss, *config.beside):
        forces.settings(config.simulated.people.to_dict())
    if not config.resident and (config.order != "blocks" or not config.data):
        raise UserError(
            f"{field}.resident is False: data sets that are read batch by batch need order='blocks'"
        )
    if config.grouped and config.order != "windows":
        raise UserError(f"{field}.grouped is True, which needs order='windows'")
    for key in config.data:
        require_known(f"{field}.data", key, data_sets)
    if not config.steps and "parent" not in config:
        raise UserError(
            f"{field}.steps is 0, which takes a parent as it is, and there is no parent"
        )
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
    own = config.batch // devices
    if "forces" in (config.loss, *config.beside):
        own = math.gcd(own, config.simulated.batch // devices)
        if config.simulated.batch % devices:
            raise UserError(
                f"simulated.batch is {config.simulated.batch}, which cannot be shared out over "
                f"{devices} devices; make it a multiple of {devices}"
            )
    if not config.microbatch:
        return
    if net["norm"] == "batch":
        raise UserError(
            f"microbatch={config.microbatch} with batch norm would train another network, since "
            "its statistics are those of the whole batch; take net.norm=none, or microbatch=0"
        )
    if own % config.microbatch:
        raise UserError(
            f"the {own} sensor-windows of each device cannot be cut into "
            f"microbatches of {config.microbatch}; take a divisor"
        )
