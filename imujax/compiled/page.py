"""What compiled programs take, beside what a machine has: a page of text."""

import pathlib
from collections.abc import Callable, Iterator

from ml_collections import ConfigDict

from imujax.compiled import machines, programs
from imujax.compiled.programs import Compiled
from imujax.errors import UserError, require_known

GIB = 2**30
WHAT_IT_IS_NOT = "Compiled, not run: times are what a chip's published rates allow at best."


def describe_all(
    config: ConfigDict,
    name: str,
    what: str | None = None,
    data: Callable[[str], pathlib.Path] | None = None,
) -> Iterator[list[str]]:
    """Compile what a configuration would run on a machine, and describe it.

    Parameters
    ----------
    config : ConfigDict
        A whole configuration.
    name : str
        See machines.parse_machine.
    what : str, optional
        Of programs.KINDS this one alone.  A sweep goes without saying only if there are data.
    data : callable, optional
        See programs.compile_all.

    Yields
    ------
    list of str
        The lines of a program.

    Raises
    ------
    UserError
        See programs.compile_all; after its lines a program that does not fit.
    """
    machine = machines.parse_machine(name)
    if what is not None:
        require_known("--what", what, programs.KINDS)
    kinds = programs.KINDS if what is None else (what,)
    if what is None and data is None:
        kinds = tuple(kind for kind in kinds if kind != "sweep")
    for made in programs.compile_all(config, machine, kinds, data):
        section = config.encoders.get(made.encoder)
        fits = made.filled <= machine.chip.memory
        largest = None
        if fits and section is not None:
            largest = programs.largest_batch(section, machine, made)
        yield describe(made, machine, largest)
        if not fits:
            raise UserError(_say_too_large(made, machine))


def describe(made: Compiled, machine: machines.Machine, largest: int | None = None) -> list[str]:
    """Describe one program.

    Parameters
    ----------
    made : Compiled
    machine : Machine
        That it is compiled for.
    largest : int, optional
        The largest batch that fits.

    Returns
    -------
    list of str
        Lines.
    """
    chip, own = machine.chip, made.count / made.chips
    times = bounds(made, machine)
    binding = max(times, key=lambda name: times[name])
    took = times[binding]
    lines = [
        f"{made.title}, on {machine.name}, {made.chips} chips",
        f"  batch          {made.count:,} {made.unit}, {own:,.0f} a chip, "
        f"{'bfloat16' if made.is_narrow else 'float32'}",
        f"  memory         {made.filled / GIB:.2f} of {chip.memory / GIB:.2f} GiB a chip: "
        + ", ".join(f"{name} {size / GIB:.2f}" for name, size in made.memory.items()),
    ]
    rates = {
        "arithmetic": f"{made.executed / made.chips / 1e12:.3g} TFLOP a chip "
        f"({made.flops / made.chips / 1e12:.3g} of the model) at {peak(made, chip) / 1e12:,.0f} "
        "TFLOP/s",
        "bytes": f"{made.account.moved / GIB:.3g} GiB a chip at {chip.bandwidth / 1e9:,.0f} GB/s",
        "collectives": "; ".join(_describe_collectives(made, machine)) or "none",
    }
    for name, words in rates.items():
        mark = "  <- binds" if name == binding else ""
        lines.append(f"  {name:14s} {1e3 * times[name]:.3g} ms: {words}{mark}")
    use = made.flops / made.chips / took / peak(made, chip)
    lines.append(
        f"  so at best     {1e3 * took:.3g} ms, {made.count / took:,.0f} {made.unit}/s, "
        f"{use:.0%} of the peak"
    )
    if made.is_resident:
        lines.append(
            f"  data           counted are {programs.RESIDENT:,} sensor-windows, on every chip"
        )
    if largest is not None:
        lines.append(f"  largest batch  about {largest:,} {made.unit}")
    if made.account.endless:
        lines.append(f"  loops          {made.account.endless} of a length not known count once")
    lines.append(f"  compiled in    {made.seconds:.0f} s")
    return lines


def bounds(made: Compiled, machine: machines.Machine) -> dict[str, float]:
    """How long a program would take if one thing alone took time.

    Parameters
    ----------
    made : Compiled
    machine : Machine

    Returns
    -------
    dict of float
        s by "arithmetic", "bytes" and "collectives", each at the published rate.
    """
    sent = (
        each.times * machines.seconds_to_send(machine, each.kind, each.size, made.chips)
        for each in made.account.collectives
    )
    return {
        "arithmetic": made.executed / made.chips / peak(made, machine.chip),
        "bytes": made.account.moved / machine.chip.bandwidth,
        "collectives": sum(sent),
    }


def peak(made: Compiled, chip: machines.Chip) -> float:
    """FLOP/s of a chip in the program's data type."""
    return chip.peak * (1.0 if made.is_narrow else chip.narrow)


def _say_too_large(made: Compiled, machine: machines.Machine) -> str:
    return (
        f"{made.title}: {made.filled / GIB:.2f} GiB do not fit {machine.name}, whose chips have "
        f"{machine.chip.memory / GIB:.2f}: take a smaller batch, or microbatches"
    )


def _describe_collectives(made: Compiled, machine: machines.Machine) -> Iterator[str]:
    """Of each kind how many, their bytes, and the largest."""
    for kind in dict.fromkeys(each.kind for each in made.account.collectives):
        own = [each for each in made.account.collectives if each.kind == kind]
        size = sum(each.times * each.size for each in own)
        seconds = sum(
            each.times * machines.seconds_to_send(machine, kind, each.size, made.chips)
            for each in own
        )
        yield (
            f"{sum(each.times for each in own)} {kind} of {size / 2**20:.3g} MiB, the largest "
            f"{max(each.size for each in own) / 2**20:.3g}, {1e3 * seconds:.3g} ms"
        )
