"""What is wanted of a MATLAB v5 (also -v6, -v7) file, element by element.  No tfds or jax here.

scipy.io.loadmat believes the sizes that a file claims: one flipped bit in a cell array of a file of
7 kB makes it fill 2 GB and more.  Here nothing is larger than what the file holds, and what is not
asked for is not read.  The format: MathWorks, "MAT-File Format", level 5.  A damaged file raises
ValueError or zlib.error, of which `reading` makes a sentence.
"""

import contextlib
import math
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imujax.data_builders.tabular import readers
from imujax.errors import UserError

HEADER = 128  # bytes
MATRIX, COMPRESSED = 14, 15  # types of elements
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
ENCODED = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
CELL, STRUCT, CHAR, NUMBERS = 1, 2, 4, range(6, 16)  # classes of arrays; 16 and above are objects
COMPLEX = 0x0800
MOST_PACKED = 100  # times the size of its compressed element: what a variable can be


class Array(NamedTuple):
    """An array of any class that is not read yet; `order` is that of its bytes, < or >."""

    content: memoryview
    order: str


class Head(NamedTuple):
    """Class, shape and name of an array, whether it is complex, and its other elements."""

    kind: int
    shape: tuple[int, ...]
    name: str
    complex: bool
    parts: Iterator[tuple[int, memoryview]]


@contextlib.contextmanager
def reading(where: Path | str) -> Iterator[None]:
    """Faults of a file as the sentence that names it."""
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, MemoryError, zlib.error) as error:
        raise readers.unreadable(where, error) from None


def variable(path: Path, name: str) -> Array:
    """The variable of that name; UserError where the file has none, and for MATLAB v7.3."""
    data = memoryview(path.read_bytes())
    version, mark = bytes(data[124:126]), bytes(data[126:HEADER])
    order = {b"IM": "<", b"MI": ">"}.get(mark, "")
    if order and version == struct.pack(f"{order}H", 0x0200):
        raise UserError(f"{path}: this is MATLAB v7.3: in MATLAB, load it and save it with -v7")
    if not order or version != struct.pack(f"{order}H", 0x0100):
        raise ValueError("no MATLAB v5 file")
    for kind, content in _elements(data[HEADER:], order):
        if kind == COMPRESSED:
            start = memoryview(zlib.decompressobj().decompress(content, 512))[8:]
            if _name(Array(start, order)) == name:
                return Array(_unpacked(content, order), order)
        elif kind == MATRIX and _name(Array(content, order)) == name:
            return Array(content, order)
    raise UserError(f"{path}: there is no variable {name}: another file, or damaged?")


def field(found: dict[str, Array], name: str, where: Path | str) -> Array:
    """A field of those that `fields` found; UserError where it is not among them."""
    if name not in found:
        raise UserError(f"{where}: there is no field {name!r}, or it is empty")
    return found[name]


def fields(array: Array) -> dict[str, Array]:
    """The fields of a struct, also of one alone in a cell, as some readers find them.

    Fields without a value ([] in MATLAB) are left out.
    """
    head = _head(array)
    while head.kind == CELL and math.prod(head.shape) == 1:
        array = _arrays(head, array.order)[0]
        head = _head(array)
    if head.kind != STRUCT or math.prod(head.shape) != 1:
        raise ValueError("no struct where one is expected")
    _, length = _next(head.parts)
    _, text = _next(head.parts)
    length = int.from_bytes(length, "little" if array.order == "<" else "big")
    if not 0 < length <= max(len(text), 1):
        raise ValueError("the names of a struct's fields are damaged")
    names = [bytes(text[i : i + length]).split(b"\0")[0] for i in range(0, len(text), length)]
    values = _arrays(head, array.order)
    if len(values) != len(names) or len(set(names)) != len(names):
        raise ValueError("a struct does not have a value for each of its names")
    found = {name.decode("latin-1"): value for name, value in zip(names, values, strict=True)}
    return {name: value for name, value in found.items() if not _empty(value)}


def texts(array: Array) -> list[str]:
    """The texts of a cell array, without blanks around them."""
    head = _head(array)
    if head.kind != CELL:
        raise ValueError("no cell array of texts where one is expected")
    values = _arrays(head, array.order)
    if len(values) != math.prod(head.shape):
        raise ValueError("a cell array is not as long as it claims")
    return [_text(value) for value in values]


def numbers(array: Array) -> np.ndarray:
    """A real array of the shape that it has in MATLAB; a view of the file's bytes."""
    head = _head(array)
    if head.kind not in NUMBERS or head.complex:
        raise ValueError("no array of real numbers where one is expected")
    kind, content = _next(head.parts)
    if kind not in STORED:
        raise ValueError("numbers of an unknown type")
    values = np.frombuffer(content, np.dtype(array.order + STORED[kind]))
    return values.reshape(head.shape, order="F")  # ValueError for another number of them


def _text(array: Array) -> str:
    head = _head(array)
    if head.kind != CHAR or (head.shape and head.shape[0] > 1):
        raise ValueError("no text where one is expected")
    if 0 in head.shape:
        return ""
    kind, content = _next(head.parts)
    if kind not in ENCODED:
        raise ValueError("text of an unknown type")
    coding = ENCODED[kind]
    if coding == "utf-16":
        coding += "-le" if array.order == "<" else "-be"
    text = bytes(content).decode(coding)
    if len(text) != math.prod(head.shape):
        raise ValueError("a text is not as long as it claims")
    return text.strip()


def _name(array: Array) -> str:
    """Name of a variable; "" for an object, whose head is another."""
    try:
        return _head(array).name
    except ValueError:
        return ""


def _empty(array: Array) -> bool:
    """Whether an array has no element."""
    try:
        return 0 in _head(array).shape
    except ValueError:  # an object
        return False


def _head(array: Array) -> Head:
    if not len(array.content):  # so MATLAB writes []
        return Head(NUMBERS[0], (0, 0), "", False, iter(()))
    parts = _elements(array.content, array.order)
    (_, flags), (_, dims), (_, name) = (_next(parts) for _ in range(3))
    if len(flags) != 8 or len(dims) < 8 or len(dims) % 4:
        raise ValueError("the head of an array is damaged")
    (flags,) = struct.unpack_from(f"{array.order}I", flags)
    shape = struct.unpack(f"{array.order}{len(dims) // 4}i", dims)
    if min(shape) < 0:
        raise ValueError("an array of negative size")
    name = bytes(name).decode("latin-1")
    return Head(flags & 0xFF, shape, name, bool(flags & COMPLEX), parts)


def _arrays(head: Head, order: str) -> list[Array]:
    """The arrays that are left in a head's elements."""
    left = list(head.parts)
    if any(kind != MATRIX for kind, _ in left):
        raise ValueError("something else where an array is expected")
    return [Array(content, order) for _, content in left]


def _next(parts: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    for part in islice(parts, 1):
        return part
    raise ValueError("an array lacks one of its parts")


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """(type, content) of the elements that follow each other in `data`."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise ValueError("an element is cut off")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        begin, small = at + 8, kind >> 16
        if small:  # up to four bytes lie in the tag
            kind, size, begin = kind & 0xFFFF, small, at + 4
        if begin + size > len(data) or (small and size > 4):
            raise ValueError("an element is longer than what holds it")
        yield kind, data[begin : begin + size]
        # Elements are filled up to 8 bytes, but for compressed ones.
        at += 8 if small else 8 + size + (0 if kind == COMPRESSED else -size % 8)


def _unpacked(content: memoryview, order: str) -> memoryview:
    """The one array in a compressed element; its checksum is tested."""
    packed = zlib.decompressobj()
    kind, size = struct.unpack(f"{order}II", packed.decompress(content, 8))
    if kind != MATRIX or size > MOST_PACKED * len(content):
        raise ValueError("a compressed element holds no array")
    data = packed.decompress(packed.unconsumed_tail, size + 1)
    if len(data) != size or not packed.eof:
        raise ValueError("a compressed element is not as long as it claims")
    return memoryview(data)
