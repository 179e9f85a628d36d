"""Machines that are not here: their chips, by the makers' data sheets, and their compilers."""

import dataclasses
import importlib.util
import os
import re
from importlib import resources
from typing import Any

import jax
import numpy as np

from imujax.errors import UserError
from imujax.nets import arithmetic

GB = 1e9


@dataclasses.dataclass(frozen=True)
class Chip:
    """A chip, by its data sheet.

    Attributes
    ----------
    device : str
        Its name in arithmetic.PEAKS.
    platform : {"tpu", "cuda"}
    memory : float
        Bytes that programs may fill.
    bandwidth : float
        Bytes/s to and from that memory.
    links : int
        To other chips.
    link : float
        Bytes/s over one of them, one way.
    between : float
        Bytes/s from a chip to those of another node, one way; where there are nodes.
    narrow : float
        Share of the peak for products of float32 in the compiler's usual way: one pass of bfloat16
        on a TPU, TF32 on a GPU.
    """

    device: str
    platform: str
    memory: float
    bandwidth: float
    links: int
    link: float
    between: float = 0.0
    narrow: float = 1.0

    @property
    def peak(self) -> float:
        """FLOP/s of products in bfloat16 with sums in float32."""
        return arithmetic.PEAKS[self.device]


# docs.cloud.google.com/tpu (v4, v5e, v5p, v6e; read 2026-11-30): memory, bandwidth, and the
# bidirectional rate of all links of a chip, here per link and one way. NVIDIA's data sheets of H100
# SXM and H200: NVLink one way, and 400 Gb/s of InfiniBand a GPU between nodes; their memory as the
# driver gives it. A TPU's compiler keeps .25 GiB.
CHIPS = {
    "v4": Chip("TPU v4", "tpu", 31.75 * 2**30, 1228 * GB, 6, 50 * GB),
    "v5e": Chip("TPU v5 lite", "tpu", 15.75 * 2**30, 819 * GB, 4, 50 * GB),
    "v5p": Chip("TPU v5", "tpu", 94.75 * 2**30, 2765 * GB, 6, 100 * GB),
    "v6e": Chip("TPU v6 lite", "tpu", 31.25 * 2**30, 1640 * GB, 4, 100 * GB),
    "h100": Chip("NVIDIA H100", "cuda", 84_942_979_072, 3352 * GB, 1, 450 * GB, 50 * GB, 0.5),
    "h200": Chip("NVIDIA H200", "cuda", 151_397_597_184, 4800 * GB, 1, 450 * GB, 50 * GB, 0.5),
}
EXTRAS = {"tpu": ("libtpu", "tpu"), "cuda": ("jax_plugins.xla_cuda12", "cuda")}


@dataclasses.dataclass(frozen=True)
class Machine:
    """Chips that belong together.

    Attributes
    ----------
    name : str
        As the user writes it: "v5e:16x16", "h200:8x4".
    chip : Chip
    topology : str
        As the compiler wants it.
    shape : tuple of int
        Of a slice of TPUs; of GPUs those of a node, and nodes, between which links are slower.
    """

    name: str
    chip: Chip
    topology: str
    shape: tuple[int, ...]

    @property
    def links(self) -> int:
        """Of a chip to others: to one neighbour along a side of two, to two along a longer one."""
        if self.chip.platform != "tpu":
            return self.chip.links
        return max(1, min(self.chip.links, sum(min(side - 1, 2) for side in self.shape)))


def parse_machine(text: str) -> Machine:
    """Read the name of a machine.

    Parameters
    ----------
    text : str
        A TPU slice "v5e:16x16", GPUs of a node "h100:8", of several "h200:8x4".

    Returns
    -------
    Machine

    Raises
    ------
    UserError
        There is no such chip, or no such number of them.
    """
    name, _, shape = text.partition(":")
    if name not in CHIPS:
        raise UserError(f"--for {text}: no chip {name!r}, there are {', '.join(CHIPS)}")
    chip = CHIPS[name]
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){0,2}", shape):
        example = "v5e:16x16" if chip.platform == "tpu" else f"{name}:8 or {name}:8x4"
        raise UserError(f"--for {text}: how many? Write {example}")
    sides = tuple(map(int, shape.split("x")))
    if chip.platform == "tpu":
        return Machine(text, chip, text, sides)
    if len(sides) > 2:
        raise UserError(f"--for {text}: write the GPUs of a node, and nodes, {name}:8x4")
    gpus, nodes = (*sides, 1)[:2]
    return Machine(text, chip, f"1x{nodes}x{gpus}", (gpus, nodes))


def this_machine() -> Machine:
    """The machine that this is, with one chip.

    Returns
    -------
    Machine

    Raises
    ------
    UserError
        Its chip is none of CHIPS.
    """
    kind = jax.devices()[0].device_kind
    device = max((one for one in arithmetic.PEAKS if kind.startswith(one)), key=len, default="")
    for name, chip in CHIPS.items():
        if chip.device == device:
            return Machine(f"{name}:1", chip, "", (1,))
    raise UserError(f"nobody has published rates of {kind!r} here: {', '.join(CHIPS)} have some")


def describe(machine: Machine, axis: str) -> jax.sharding.Mesh:
    """The mesh of a machine's chips as its compiler knows them.

    Parameters
    ----------
    machine : Machine
    axis : str
        See sharding.make_mesh.

    Returns
    -------
    jax.sharding.Mesh
        Of devices that can be compiled for, and nothing else.

    Raises
    ------
    UserError
        The compiler is not installed, or knows no such machine.
    """
    platform = machine.chip.platform
    module, extra = EXTRAS[platform]
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise UserError(
            f"--for {machine.name} needs the compiler of that chip: "
            f'pip install "imujax[{extra}]", in an environment of its own'
        )
    from jax.experimental import topologies

    options: dict[str, Any] = {}
    if platform == "cuda":
        target = resources.files(__package__) / f"{machine.name.partition(':')[0]}.txtpb"
        options = {"target_config": target.read_text(), "topology": machine.topology}
    else:
        os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # no such machine is to be asked
        os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")  # nor is there one to be held
    name = "" if platform == "cuda" else machine.topology
    try:
        devices = topologies.get_topology_desc(name, platform, **options).devices
    except Exception as error:  # whatever a compiler says of a shape that there is not
        words = " ".join(str(error).split())[:200]
        raise UserError(
            f"--for {machine.name}: its compiler knows no such machine: {words}"
        ) from None
    auto = (jax.sharding.AxisType.Auto,)
    return jax.sharding.Mesh(np.array(devices), (axis,), axis_types=auto)


def seconds_to_send(machine: Machine, kind: str, size: float, count: int) -> float:
    """How long a collective takes at the published rate of the links, without latency.

    Parameters
    ----------
    machine : Machine
    kind : str
        One of hlo.COLLECTIVES.
    size : float
        Bytes that a chip puts in.
    count : int
        Chips.

    Returns
    -------
    float
        s; of rings that use all links of a chip, between nodes those of all its GPUs; to a
        neighbour one link.
    """
    chip = machine.chip
    rate, every = chip.link, chip.link * machine.links
    if chip.platform == "cuda" and machine.shape[-1] > 1:
        rate, every = chip.between, min(every, chip.between * machine.shape[0])
    share = (count - 1) / count
    if kind == "all-reduce":
        return 2 * share * size / every
    if kind == "all-gather":
        return (count - 1) * size / every
    if kind == "collective-permute":
        return size / rate
    return share * size / every
