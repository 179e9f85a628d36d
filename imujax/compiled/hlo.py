"""A compiled program as its compiler prints it: bytes moved to and from memory, and collectives.

XLA's own account (`cost_analysis`) counts a loop once, whatever its length, and no padding. Here
the body of a loop counts as often as it runs, where the compiler knows that, and an array takes
what its tiles take. What lies in a chip's fast memory, a layout's S(1) and above on a TPU, moves
nothing.
"""

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence

BYTES = {"pred": 1.0, "bf16": 2.0, "token": 0.0, "s4": 0.5, "u4": 0.5, "s2": 0.25, "u2": 0.25}
COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "collective-permute",
    "all-to-all",
    "ragged-all-to-all",
    "collective-broadcast",
)
# Operations that move nothing: they name, group, or are counted where they began.
STILL = {
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "partition-id",
    "replica-id",
    "opt-barrier",
    "add-dependency",
    "async-update",
}
HOST_SPACE = 5  # the memory of the host, where a program may put something aside

_ARRAY = re.compile(r"([a-z]\w*)\[([\d,<=]*)\](?:\{([^{}]*)\})?")
_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$")
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*)$")
_NAMES = re.compile(r"%([\w.\-]+)")
_CALLED = re.compile(r"\b(calls|to_apply|body|condition)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CHANNEL = re.compile(r"channel_id=\d+")
_CHAIN = re.compile(r'chain_id="\d+"')


@dataclasses.dataclass(frozen=True)
class Array:
    """An array of a program.

    Attributes
    ----------
    size : float
        Bytes, with the padding of its tiles.
    space : int
        Of the memory that it lies in; 0 is the main one.
    """

    size: float
    space: int


@dataclasses.dataclass(frozen=True)
class Instruction:
    """A line of a program.

    Attributes
    ----------
    name, op : str
    arrays : tuple of Array
        What comes out.
    operands : tuple of str
        Names of what goes in.
    rest : str
        Its attributes, as they are printed.
    is_root : bool
        Whether it is what its computation gives.
    number : int
        Of a parameter, its place among those of its computation; of a constant that is a whole
        number, that; else -1.
    """

    name: str
    op: str
    arrays: tuple[Array, ...]
    operands: tuple[str, ...]
    rest: str
    is_root: bool
    number: int


@dataclasses.dataclass(frozen=True)
class Collective:
    """What the devices send each other.

    Attributes
    ----------
    kind : str
        One of COLLECTIVES.
    size : float
        Bytes that a device puts in.
    times : int
        How often.
    """

    kind: str
    size: float
    times: int


@dataclasses.dataclass(frozen=True)
class Account:
    """What a program moves.

    Attributes
    ----------
    moved : float
        Bytes to and from the main memory of a device.
    collectives : tuple of Collective
    endless : int
        Loops whose length the compiler does not know; each counts once.
    """

    moved: float
    collectives: tuple[Collective, ...]
    endless: int


def read_program(text: str, has_fast_memory: bool) -> Account:
    """Read a compiled program.

    Parameters
    ----------
    text : str
        Of `jax.stages.Compiled.as_text`.
    has_fast_memory : bool
        Whether spaces above 0 are a memory on the chip, as on a TPU.

    Returns
    -------
    Account
    """
    computations, entry = parse(text)
    reader = _Reader(computations, has_fast_memory)
    reader.visit(entry, 1, is_fused=False)
    collectives = tuple(reader.collectives.values())
    return Account(reader.moved, collectives, reader.endless)


def parse(text: str) -> tuple[dict[str, list[Instruction]], str]:
    """Take a program apart -> the instructions of each computation, and which comes first."""
    computations: dict[str, list[Instruction]] = {}
    entry, own = "", None
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            own = computations.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif line.startswith("}"):
            own = None
        elif own is not None and (found := _LINE.match(line)):
            own.append(_parse_line(found[2], found[3], bool(found[1])))
    return computations, entry


def _parse_line(name: str, text: str, is_root: bool) -> Instruction:
    kind, rest = _split_type(text)
    op, _, rest = rest.strip().partition("(")
    inside, attributes = _split_parenthesis(rest)
    arrays = tuple(_read_array(*found.groups()) for found in _ARRAY.finditer(kind))
    operands = () if op == "constant" else tuple(_NAMES.findall(inside))
    number = int(inside) if op in ("parameter", "constant") and inside.isdecimal() else -1
    return Instruction(name, op, arrays, operands, attributes, is_root, number)


def _split_type(text: str) -> tuple[str, str]:
    """The type of what comes out, and what follows it."""
    if text.startswith("("):
        inside, rest = _split_parenthesis(text[1:])
        return inside, rest.strip()
    kind, _, rest = text.partition(" ")
    return kind, rest


def _split_parenthesis(text: str) -> tuple[str, str]:
    """What stands before the parenthesis that ends, and what behind it."""
    depth = 1
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return text[:at], text[at + 1 :]
    return text, ""


def _read_array(kind: str, dimensions: str, layout: str | None) -> Array:
    """An array from its type, "f32", "4,64" and "1,0:T(8,128)S(1)"."""
    shape = [int(word.lstrip("<=")) for word in dimensions.split(",") if word]
    order, _, more = (layout or "").partition(":")
    tile = re.search(r"T\(([\d,]+)\)", more)
    space = re.search(r"S\((\d+)\)", more)
    if tile and shape:
        sides = [int(side) for side in tile[1].split(",")]
        minor_first = [int(axis) for axis in order.split(",") if axis]
        minor_first += [axis for axis in range(len(shape)) if axis not in minor_first]
        for axis, side in zip(minor_first, reversed(sides), strict=False):
            shape[axis] = side * math.ceil(shape[axis] / side)
    return Array(math.prod(shape) * _element_bytes(kind), int(space[1]) if space else 0)


def _element_bytes(kind: str) -> float:
    if kind in BYTES:
        return BYTES[kind]
    bits = re.match(r"[a-z]+(\d+)", kind)  # s32, f32, c64, f8e4m3fn
    return int(bits[1]) / 8 if bits else 0.0


class _Reader:
    """Goes through the computations of a program, as often as they run."""

    def __init__(self, computations: dict[str, list[Instruction]], has_fast_memory: bool):
        self.computations, self.has_fast_memory = computations, has_fast_memory
        self.moved, self.endless = 0.0, 0
        self.collectives: dict[str, Collective] = {}

    def visit(self, name: str, times: int, is_fused: bool):
        """Count a computation that runs so often; inside a fusion only what is sent."""
        own = self.computations[name]
        by_name = {line.name: line for line in own}
        for line in own:
            kind = line.op.removesuffix("-start")
            if kind in COLLECTIVES:
                self._note_collective(kind, line, by_name, times, name, is_fused)
            if not is_fused:
                self.moved += times * self._moved(line, by_name)
            for word, called in self._called(line):
                loops = 1
                if line.op == "while":
                    loops = self._trips(line) or 1
                    self.endless += word == "body" and not self._trips(line)
                inside = is_fused or line.op not in ("while", "call", "conditional")
                if word != "to_apply" or line.op == "call":
                    self.visit(called, times * loops, inside)

    def _called(self, line: Instruction) -> Iterator[tuple[str, str]]:
        yield from _CALLED.findall(line.rest)
        for names in _BRANCHES.findall(line.rest):
            yield from (("branch", name) for name in _NAMES.findall(names))

    def _trips(self, loop: Instruction) -> int | None:
        """How often a loop runs: as the compiler notes it, or as its condition has it, which of a
        scan is that a number which begins at 0 is below another one."""
        noted = _TRIPS.search(loop.rest)
        if noted:
            return int(noted[1])
        condition = self.computations[dict(_CALLED.findall(loop.rest))["condition"]]
        by_name = {line.name: line for line in condition}
        root = next(line for line in condition if line.is_root)
        if root.op != "compare" or "direction=LT" not in root.rest:
            return None
        last = by_name.get(root.operands[1])
        return last.number if last is not None and last.op == "constant" else None

    def _note_collective(self, kind, line, by_name, times, computation, is_fused):
        """A collective that the compiler has spread over several fusions is one."""
        size = sum(a.size for name in line.operands for a in self._arrays(name, by_name))
        key = f"{computation} {line.name}"
        if is_fused:
            marks = [found[0] for mark in (_CHANNEL, _CHAIN) if (found := mark.search(line.rest))]
            key = f"{kind} {size} {marks}"
        old = self.collectives.get(key)
        if old is None or old.times < times:
            self.collectives[key] = Collective(kind, size, times)

    @staticmethod
    def _arrays(name: str, by_name: dict[str, Instruction]) -> Sequence[Array]:
        return by_name[name].arrays if name in by_name else ()

    def _moved(self, line: Instruction, by_name) -> float:
        """Bytes that an instruction reads and writes."""
        op = line.op.removesuffix("-start")
        if op in STILL or op in ("while", "call", "conditional") or op.endswith("-done"):
            return 0.0
        read = [self._arrays(name, by_name) for name in line.operands]
        # What is begun gives what it reads, what it writes, and more: a copy what it writes first.
        written = line.arrays
        if op != line.op and len(written) > 1:
            written = written[:1] if op == "copy" else written[len(read[0]) : 2 * len(read[0])]
        if op in ("dynamic-slice", "slice", "gather"):
            return self._part_of(read[0], written) + self._size(written) + self._sum(read[1:])
        if op == "dynamic-update-slice":
            return self._part_of(written, read[1]) + self._size(read[1])
        if op == "fusion":
            called = dict(_CALLED.findall(line.rest)).get("calls", "")
            return self._moved_by_fusion(line, read, self.computations.get(called, []))
        return self._size(written) + self._sum(read)

    def _sum(self, read: Sequence[Sequence[Array]]) -> float:
        return sum(map(self._size, read))

    def _part_of(self, whole: Sequence[Array], part: Sequence[Array]) -> float:
        """Bytes of a part, where the whole lies in the main memory."""
        return sum(a.size for a in part) if self._size(whole) else 0.0

    def _moved_by_fusion(self, line, read, inside: list[Instruction]) -> float:
        """Of an operand that is only sliced the slices; of a result that is changed in place what
        is put there."""
        by_name = {one.name: one for one in inside}
        users: dict[str, list[Instruction]] = {}
        for one in inside:
            for name in one.operands:
                users.setdefault(name, []).append(one)
        total = 0.0
        parameters = {one.number: one.name for one in inside if one.op == "parameter"}
        for number, arrays in enumerate(read):
            name, size = parameters.get(number, ""), self._size(arrays)
            own = users.get(name, [])
            if size and own and all(self._reads_part(user, name) for user in own):
                size = min(size, sum(map(self._part, own)))
            total += size
        roots = [one for one in inside if one.is_root]
        if roots and roots[0].op == "tuple":
            roots = [by_name[name] for name in roots[0].operands if name in by_name]
        if len(roots) != len(line.arrays):
            return total + self._size(line.arrays)
        for root, array in zip(roots, line.arrays, strict=True):
            if root.op == "dynamic-update-slice" and self._size([array]):
                total += sum(a.size for a in self._arrays(root.operands[1], by_name))
            else:
                total += self._size([array])
        return total

    @staticmethod
    def _reads_part(user: Instruction, name: str) -> bool:
        ops = ("dynamic-slice", "slice", "gather", "dynamic-update-slice")
        return user.op in ops and user.operands[0] == name

    @staticmethod
    def _part(user: Instruction) -> float:
        """What is read of an operand that is sliced; what is put into it counts where it lands."""
        is_put = user.op == "dynamic-update-slice"
        return 0.0 if is_put else sum(a.size for a in user.arrays)

    def _size(self, arrays: Sequence[Array]) -> float:
        """Bytes of arrays as far as they lie in the main memory."""
        outside = (0, HOST_SPACE) if self.has_fast_memory else None
        return sum(a.size for a in arrays if outside is None or a.space in outside)
