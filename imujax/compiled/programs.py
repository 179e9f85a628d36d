"""What would run on a machine: described by shapes, and compiled by that machine's own compiler."""

import dataclasses
import math
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from imujax.compiled import hlo, machines
from imujax.data import datasets, targets
from imujax.errors import UserError
from imujax.nets import arithmetic, networks
from imujax.pretrain import settings, step
from imujax.runtime import sharding
from imujax.simulate import forces, stream
from imujax.sweep import rehearsal

KINDS = ("pretrain", "sweep", "simulate")
SHARE_OF_MEMORY = 0.8  # that a sweep fills a device with, as where one is there
UNIT = {name: {"mean": 0.0, "sd": 1.0} for name in ("acc", "gyr")}
SIMULATED = ("acc", "gyr", "length")  # of the windows beside them, with their forces
RESIDENT = 2**16  # sensor-windows of the data sets that lie on every chip


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A compiled program and what it takes.

    Attributes
    ----------
    title : str
        What it does, of what.
    encoder : str
        Whose step of pre-training it is; empty for other programs.
    is_resident : bool
        Whether RESIDENT sensor-windows are counted among its arguments.
    unit : str
        What it makes, in the plural.
    count : int
        How many of them at a time, on all chips.
    chips : int
    flops : float
        Arithmetic of the model, on all chips; see arithmetic.
    executed : float
        Arithmetic of the program, on all chips: what is computed twice counts twice.
    is_narrow : bool
        Whether its products are of bfloat16.
    memory : dict of float
        Bytes on each chip: arguments, temporaries, results, program.
    account : hlo.Account
        Of a chip.
    seconds : float
        That the compiler took.
    """

    title: str
    encoder: str
    unit: str
    count: int
    chips: int
    flops: float
    executed: float
    is_narrow: bool
    memory: dict[str, float]
    account: hlo.Account
    seconds: float
    is_resident: bool = False

    @property
    def filled(self) -> float:
        """Bytes of a chip's memory."""
        return sum(self.memory.values())


def compile_all(
    config: ConfigDict,
    machine: machines.Machine,
    kinds: tuple[str, ...] = KINDS,
    data: Callable[[str], pathlib.Path] | None = None,
) -> Iterator[Compiled]:
    """Compile what a configuration would run on a machine.

    Parameters
    ----------
    config : ConfigDict
        A whole configuration.
    machine : Machine
    kinds : tuple of str
        Of KINDS.
    data : callable, optional
        From the name of a data set to its folder; a sweep needs its labelled one.

    Yields
    ------
    Compiled
        Pre-training of each encoder, fine-tuning of each task's networks, the stream of simulated
        people of each encoder that has one.

    Raises
    ------
    UserError
        A program does not fit the machine, its compiler is not here, or the configuration has
        nothing of these kinds.
    """
    streams = any("stream" in section for section in config.encoders.values())
    there = {"pretrain": config.encoders, "sweep": config.tasks, "simulate": streams}
    if not any(there[kind] for kind in kinds):
        raise UserError(f"the configuration has nothing to {' or '.join(kinds)}")
    for name, section in config.encoders.items():
        if "pretrain" in kinds:
            yield compile_pretraining(name, section, machine)
        if "simulate" in kinds and "stream" in section:
            yield compile_stream(name, section, machine)
    for name, section in config.tasks.items() if "sweep" in kinds else ():
        if data is None:
            raise UserError(f"the sweep of {name} needs its labelled data set: give --data")
        yield from compile_sweep(name, section, config, machine, data(section.data))


def compile_pretraining(
    name: str, section: ConfigDict, machine: machines.Machine, batch: int | None = None
) -> Compiled:
    """Compile a step of pre-training.

    Parameters
    ----------
    name : str
        Of the encoder.
    section : ConfigDict
        Its section.
    machine : Machine
    batch : int, optional
        Pairs, those of the section by default.

    Returns
    -------
    Compiled
        Data sets that lie on the device are taken to have RESIDENT sensor-windows.
    """
    section = section.copy_and_resolve_references()
    section.batch = batch or section.batch
    mesh = machines.describe(machine, "data")
    settings.check_devices(section, mesh.size)
    replicated = sharding.replicated(mesh)
    take_step, _ = step.compile_step(step.make_step(section, UNIT, 0, True, mesh), mesh)
    state = sharding.as_shapes(jax.eval_shape(lambda: step.init_state(section, 0)), replicated)
    is_given = "stream" in section or not section.resident
    spread = sharding.sharded(mesh) if is_given and "stream" not in section else replicated
    windows = _sensor_windows(section, section.batch if is_given else RESIDENT)
    data = sharding.as_shapes(windows, spread)
    if "forces" in (section.loss, *section.beside):
        data[forces.PART] = sharding.as_shapes(_simulated_windows(section), replicated)
    rows = jax.ShapeDtypeStruct((section.batch,), jnp.int32, sharding=replicated)
    arguments = state, data, None if is_given else rows
    flops = section.batch * arithmetic.training_flops(section.net, section.window)
    width = networks.resolve_net(section.net)["projection"][-1]
    flops += 3 * 2 * section.batch**2 * width
    with sharding.made_for(machine.chip.platform):
        made = _compile(
            f"encoder {name}, a step of pre-training",
            name,
            machine,
            take_step.lower,
            arguments,
            unit="pairs",
            count=section.batch,
            chips=mesh.size,
            flops=flops,
            executed=arithmetic.product_flops(take_step, *arguments),
            dtype=section.net.get("dtype", "float32"),
        )
    return dataclasses.replace(made, is_resident=not is_given)


def _simulated_windows(section: ConfigDict) -> dict[str, jax.ShapeDtypeStruct]:
    """Those that stand beside them, of which forces are learned."""
    count = section.simulated.windows
    parts = {name: x for name, x in _sensor_windows(section, count).items() if name in SIMULATED}
    shape = (count, section.window, len(forces.TARGETS))
    return parts | {"forces": jax.ShapeDtypeStruct(shape, jnp.float32)}


def _sensor_windows(section: ConfigDict, count: int) -> dict[str, jax.ShapeDtypeStruct]:
    """So many sensor-windows as sources.BatchSource gives them."""
    signal = jax.ShapeDtypeStruct((count, section.window, 3), jnp.float32)
    number = jax.ShapeDtypeStruct((count,), jnp.int32)
    ids = dict.fromkeys(("length", "window", "recording", "subject", "sensor"), number)
    start = jax.ShapeDtypeStruct((count,), jnp.float32)
    return {"acc": signal, "gyr": signal, "start": start, **ids}


def compile_stream(name: str, section: ConfigDict, machine: machines.Machine) -> Compiled:
    """Compile the simulation of a batch of windows -> Compiled; arguments as above."""
    mesh = machines.describe(machine, "data")
    replicated = sharding.replicated(mesh)
    make = stream.compile_batch(section, replicated)
    key = sharding.as_shapes(jax.eval_shape(lambda: jax.random.key(0)), replicated)
    flops = arithmetic.product_flops(make, key)
    return _compile(
        f"encoder {name}, people simulated for a batch",
        "",
        machine,
        make.lower,
        (key,),
        unit="windows",
        count=section.batch,
        chips=mesh.size,
        flops=flops * mesh.size,  # every chip makes the whole batch
        executed=flops * mesh.size,
        dtype="float32",
    )


def compile_sweep(
    name: str,
    section: ConfigDict,
    config: ConfigDict,
    machine: machines.Machine,
    folder: pathlib.Path,
) -> Iterator[Compiled]:
    """Compile a step of fine-tuning of as many runs of a task as fit -> Compiled, by network."""
    mesh = machines.describe(machine, "run")
    data = datasets.read(folder, sensors=tuple(section.sensors) or None)
    data = targets.select(data, section.targets, str(folder))
    memory = SHARE_OF_MEMORY * machine.chip.memory
    arms = rehearsal.prepare_arms(section, data, config.encoders, config.seed, mesh, memory)
    while True:
        begin = time.monotonic()
        with sharding.made_for(machine.chip.platform):
            arm = next(arms, None)
            if arm is None:
                return
            flops = arm.trainer.step_flops()
        trainer, encoder = arm.trainer, config.encoders[section.arms[arm.name].encoder]
        yield describe(
            trainer.programs[trainer.runs],
            title=f"task {name}, a step of fine-tuning of {trainer.runs} runs",
            encoder="",
            unit="windows",
            count=trainer.runs * section.batch,
            chips=mesh.size,
            flops=flops,
            executed=flops,
            is_narrow=encoder.net.get("dtype", "float32") == "bfloat16",
            seconds=time.monotonic() - begin,
            has_fast_memory=machine.chip.platform == "tpu",
        )


def largest_batch(section: ConfigDict, machine: machines.Machine, made: Compiled) -> int | None:
    """The largest batch of pre-training that fits, about.

    Parameters
    ----------
    section : ConfigDict
        Of the encoder.
    machine : Machine
    made : Compiled
        Its step with its own batch.

    Returns
    -------
    int or None
        Pairs: as many as a straight line through the memory of this batch and of a half as large
        one, or of twice as large a one, allows, a multiple of what chips and microbatches can
        share.  None where both take the same.
    """
    grain = made.chips * max(section.microbatch, 1)
    other = max(grain, made.count // 2 // grain * grain)
    if other == made.count:
        other = 2 * made.count
    try:
        second = compile_pretraining("", section, machine, other)
    except UserError:  # twice the batch does not fit
        return made.count
    slope = (made.filled - second.filled) / (made.count - second.count)
    if slope <= 0:
        return None
    room = (machine.chip.memory - made.filled) / slope
    return max(grain, math.floor((made.count + room) / grain) * grain)


def _compile(
    title, encoder, machine, lower, arguments, *, unit, count, chips, flops, executed, dtype
) -> Compiled:
    """Compile a program; UserError where its compiler says that it does not fit."""
    begin = time.monotonic()
    try:
        with sharding.not_cached():  # from where only a machine that is here can read it
            program = lower(*arguments).compile()
    except Exception as error:
        if not sharding.is_too_large(error):
            raise
        raise UserError(
            f"{title}: {count:,} {unit} do not fit {machine.name}, whose chips have "
            f"{machine.chip.memory / 2**30:.2f} GiB: take a smaller batch, or microbatches"
        ) from None
    return describe(
        program,
        title=title,
        encoder=encoder,
        unit=unit,
        count=count,
        chips=chips,
        flops=flops,
        executed=executed,
        is_narrow=dtype == "bfloat16",
        seconds=time.monotonic() - begin,
        has_fast_memory=machine.chip.platform == "tpu",
    )


def describe(program: jax.stages.Compiled, *, has_fast_memory: bool, **words: Any) -> Compiled:
    """What a compiled program takes.

    Parameters
    ----------
    program : jax.stages.Compiled
    has_fast_memory : bool
        See hlo.read_program.
    **words
        The other attributes of Compiled.

    Returns
    -------
    Compiled
    """
    sizes, text = program.memory_analysis(), program.as_text()
    assert sizes is not None and text is not None  # which these compilers give
    memory = {
        "arguments": sizes.argument_size_in_bytes,
        "temporaries": sizes.temp_size_in_bytes,
        "results": sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
        "program": sizes.generated_code_size_in_bytes,
    }
    account = hlo.read_program(text, has_fast_memory)
    return Compiled(memory=memory, account=account, **words)
