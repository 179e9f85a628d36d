"""What is wanted of a MATLAB v5 (also -v6, -v7) file, element by element.  No tfds or jax here.

scipy.io.loadmat believes the sizes that a file claims: one flipped bit in a cell array of a file of
7 kB makes it fill 2 GB and more.  Here nothing is larger than what the file holds, and what is not
asked for is not read.  The format: MathWorks, "MAT-File Format", level 5.  A damaged file raises
ValueError or zlib.error, of which `explain_faults` makes a sentence.
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

HEADER_SIZE = 128  # bytes
MATRIX, COMPRESSED = 14, 15  # types of elements
NUMBER_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
TEXT_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
CELL, STRUCT, CHAR, NUMBERS = 1, 2, 4, range(6, 16)  # classes of arrays; 16 and above are objects
COMPLEX = 0x0800
MAX_COMPRESSION = 100  # times the size of its compressed element: what a variable can be


class Array(NamedTuple):
    """An array of any class that is not read yet; `byte_order` is that of its bytes, < or >."""

    content: memoryview
    byte_order: str


class Head(NamedTuple):
    """Class, shape and name of an array, whether it is complex, and its other elements."""

    kind: int
    shape: tuple[int, ...]
    name: str
    is_complex: bool
    parts: Iterator[tuple[int, memoryview]]


@contextlib.contextmanager
def explain_faults(source: Path | str) -> Iterator[None]:
    """Faults of a file as the sentence that names it."""
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, MemoryError, zlib.error) as error:
        raise readers.unreadable_file(source, error) from None


def read_variable(path: Path, name: str) -> Array:
    """The variable of that name; UserError where the file has none, and for MATLAB v7.3."""
    data = memoryview(path.read_bytes())
    version, mark = bytes(data[124:126]), bytes(data[126:HEADER_SIZE])
    byte_order = {b"IM": "<", b"MI": ">"}.get(mark, "")
    if byte_order and version == struct.pack(f"{byte_order}H", 0x0200):
        raise UserError(f"{path}: this is MATLAB v7.3: in MATLAB, load it and save it with -v7")
    if not byte_order or version != struct.pack(f"{byte_order}H", 0x0100):
        raise ValueError("no MATLAB v5 file")
    for kind, content in _iter_elements(data[HEADER_SIZE:], byte_order):
        if kind == COMPRESSED:
            start = memoryview(zlib.decompressobj().decompress(content, 512))[8:]
            if _variable_name(Array(start, byte_order)) == name:
                return Array(_unpack(content, byte_order), byte_order)
        elif kind == MATRIX and _variable_name(Array(content, byte_order)) == name:
            return Array(content, byte_order)
    raise UserError(f"{path}: there is no variable {name}: another file, or damaged?")


def get_field(fields: dict[str, Array], name: str, source: Path | str) -> Array:
    """One of the fields from `struct_fields`; UserError where it is not among them."""
    if name not in fields:
        raise UserError(f"{source}: there is no field {name!r}, or it is empty")
    return fields[name]


def struct_fields(array: Array) -> dict[str, Array]:
    """The fields of a struct, also of one alone in a cell, as some readers find them.

    Fields without a value ([] in MATLAB) are left out.
    """
    head = _read_head(array)
    while head.kind == CELL and math.prod(head.shape) == 1:
        array = _read_arrays(head, array.byte_order)[0]
        head = _read_head(array)
    if head.kind != STRUCT or math.prod(head.shape) != 1:
        raise ValueError("no struct where one is expected")
    _, length = _next_element(head.parts)
    _, text = _next_element(head.parts)
    length = int.from_bytes(length, "little" if array.byte_order == "<" else "big")
    if not 0 < length <= max(len(text), 1):
        raise ValueError("the names of a struct's fields are damaged")
    names = [bytes(text[i : i + length]).split(b"\0")[0] for i in range(0, len(text), length)]
    values = _read_arrays(head, array.byte_order)
    if len(values) != len(names) or len(set(names)) != len(names):
        raise ValueError("a struct does not have a value for each of its names")
    fields = {name.decode("latin-1"): value for name, value in zip(names, values, strict=True)}
    return {name: value for name, value in fields.items() if not _is_empty(value)}


def cell_texts(array: Array) -> list[str]:
    """The texts of a cell array, without blanks around them."""
    head = _read_head(array)
    if head.kind != CELL:
        raise ValueError("no cell array of texts where one is expected")
    values = _read_arrays(head, array.byte_order)
    if len(values) != math.prod(head.shape):
        raise ValueError("a cell array is not as long as it claims")
    return [_decode_text(value) for value in values]


def real_array(array: Array) -> np.ndarray:
    """A real array of the shape that it has in MATLAB; a view of the file's bytes."""
    head = _read_head(array)
    if head.kind not in NUMBERS or head.is_complex:
        raise ValueError("no array of real numbers where one is expected")
    kind, content = _next_element(head.parts)
    if kind not in NUMBER_TYPES:
        raise ValueError("numbers of an unknown type")
    values = np.frombuffer(content, np.dtype(array.byte_order + NUMBER_TYPES[kind]))
    return values.reshape(head.shape, order="F")  # ValueError for another number of them


def _decode_text(array: Array) -> str:
    head = _read_head(array)
    if head.kind != CHAR or (head.shape and head.shape[0] > 1):
        raise ValueError("no text where one is expected")
    if 0 in head.shape:
        return ""
    kind, content = _next_element(head.parts)
    if kind not in TEXT_ENCODINGS:
        raise ValueError("text of an unknown type")
    coding = TEXT_ENCODINGS[kind]
    if coding == "utf-16":
        coding += "-le" if array.byte_order == "<" else "-be"
    text = bytes(content).decode(coding)
    if len(text) != math.prod(head.shape):
        raise ValueError("a text is not as long as it claims")
    return text.strip()


def _variable_name(array: Array) -> str:
    """Name of a variable; "" for an object, whose head is another."""
    try:
        return _read_head(array).name
    except ValueError:
        return ""


def _is_empty(array: Array) -> bool:
    """Whether an array has no element."""
    try:
        return 0 in _read_head(array).shape
    except ValueError:  # an object
        return False


def _read_head(array: Array) -> Head:
    if not len(array.content):  # so MATLAB writes []
        return Head(NUMBERS[0], (0, 0), "", False, iter(()))
    parts = _iter_elements(array.content, array.byte_order)
    (_, flags), (_, dims), (_, name) = (_next_element(parts) for _ in range(3))
    if len(flags) != 8 or len(dims) < 8 or len(dims) % 4:
        raise ValueError("the head of an array is damaged")
    (flags,) = struct.unpack_from(f"{array.byte_order}I", flags)
    shape = struct.unpack(f"{array.byte_order}{len(dims) // 4}i", dims)
    if min(shape) < 0:
        raise ValueError("an array of negative size")
    name = bytes(name).decode("latin-1")
    return Head(flags & 0xFF, shape, name, bool(flags & COMPLEX), parts)


def _read_arrays(head: Head, byte_order: str) -> list[Array]:
    """The arrays in the elements behind a head."""
    elements = list(head.parts)
    if any(kind != MATRIX for kind, _ in elements):
        raise ValueError("something else where an array is expected")
    return [Array(content, byte_order) for _, content in elements]


def _next_element(parts: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    for part in islice(parts, 1):
        return part
    raise ValueError("an array lacks one of its parts")


def _iter_elements(data: memoryview, byte_order: str) -> Iterator[tuple[int, memoryview]]:
    """(type, content) of the elements that follow each other in `data`."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise ValueError("an element is cut off")
        kind, size = struct.unpack_from(f"{byte_order}II", data, at)
        start, packed_size = at + 8, kind >> 16
        if packed_size:  # up to four bytes lie in the tag
            kind, size, start = kind & 0xFFFF, packed_size, at + 4
        if start + size > len(data) or (packed_size and size > 4):
            raise ValueError("an element is longer than what holds it")
        yield kind, data[start : start + size]
        # Elements are filled up to 8 bytes, but for compressed ones.
        at += 8 if packed_size else 8 + size + (0 if kind == COMPRESSED else -size % 8)


def _unpack(content: memoryview, byte_order: str) -> memoryview:
    """The one array in a compressed element; its checksum is tested."""
    decompressor = zlib.decompressobj()
    kind, size = struct.unpack(f"{byte_order}II", decompressor.decompress(content, 8))
    if kind != MATRIX or size > MAX_COMPRESSION * len(content):
        raise ValueError("a compressed element holds no array")
    data = decompressor.decompress(decompressor.unconsumed_tail, size + 1)
    if len(data) != size or not decompressor.eof:
        raise ValueError("a compressed element is not as long as it claims")
    return memoryview(data)
