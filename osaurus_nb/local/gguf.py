"""Reads the header of a GGUF file: metadata and where each tensor lies. Never the weights, and no mlx.

The file may come from anywhere, so every length is checked against the file before it is believed, and what the
whole header may hold is bounded. What does not add up is refused with ModelRejected.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osaurus_nb.errors import ModelRejected

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_KEYS, _MOST_TENSORS, _MOST_ITEMS = 4096, 65536, 4_000_000
_LONGEST_NAME, _LONGEST_TEXT = 128, 1 << 20
_LARGEST_SIDE = 1 << 31

#: Metadata types: the struct code of each number, then text and array.
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9

#: Tensor types that we convert: name, weights in a block, bytes of a block.
_READ = {0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 8: ("Q8_0", 32, 34)}
#: The others, by name, so that a refusal can say what it met.
_OTHERS = {6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K"}
_OTHERS |= {16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S"}
_OTHERS |= {23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16", 39: "MXFP4"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: `shape` is (rows, columns), `kind` the name of its quantization."""

    name: str
    kind: str
    shape: tuple[int, ...]
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says about itself."""

    metadata: Mapping[str, Any]
    tensors: Sequence[Tensor]


def read(file: Path) -> Header:
    """The header of a GGUF file whose tensors all lie inside it and are of types that we convert."""
    size = file.stat().st_size
    if size < 24:
        raise ModelRejected(f"{file.name} is not a GGUF file: it is {size} bytes long.")
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _Reader(content, size, file.name).header()


class _Reader:
    """A place in the file that moves forward and never past its end."""

    def __init__(self, content: mmap.mmap, size: int, name: str) -> None:
        self._content, self._size, self._name = content, size, name
        self._at = 0
        self._items_left = _MOST_ITEMS

    def header(self) -> Header:
        if self._take(4) != _MAGIC:
            raise self._refuse("it does not begin with GGUF")
        version = self._number("I")
        if version not in _VERSIONS:
            raise self._refuse(f"its version is {version}; versions 2 and 3 are read")
        tensors = self._bounded("Q", _MOST_TENSORS, "tensors")
        keys = self._bounded("Q", _MOST_KEYS, "metadata keys")
        metadata: dict[str, Any] = {}
        for _ in range(keys):
            key = self._text(_LONGEST_NAME)
            if key in metadata:
                raise self._refuse(f"it names {key} twice")
            metadata[key] = self._value(self._number("I"))
        found = [self._tensor() for _ in range(tensors)]
        self._check_places(found, metadata.get("general.alignment", 32))
        return Header(metadata, found)

    def _value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self._text(_LONGEST_TEXT)
        if kind == _ARRAY:
            return self._array()
        if kind not in _NUMBERS:
            raise self._refuse(f"it holds a value of unknown type {kind}")
        return self._number(_NUMBERS[kind])

    def _array(self) -> list[Any]:
        kind, length = self._number("I"), self._number("Q")
        if length > self._items_left:
            raise self._refuse(f"its metadata lists more than {_MOST_ITEMS} values")
        self._items_left -= length
        if kind == _TEXT:
            return [self._text(_LONGEST_TEXT) for _ in range(length)]
        if kind not in _NUMBERS:
            raise self._refuse(f"it holds an array of type {kind}")
        code = f"<{length}{_NUMBERS[kind]}"
        return list(struct.unpack(code, self._take(struct.calcsize(code))))

    def _tensor(self) -> Tensor:
        name = self._text(_LONGEST_NAME)
        sides = [self._number("Q") for _ in range(self._bounded("I", 4, f"sides of {name!r}"))]
        if not sides or not all(0 < side < _LARGEST_SIDE for side in sides):
            raise self._refuse(f"tensor {name!r} has a shape that is none")
        kind, per_block, block_bytes = self._kind(name, self._number("I"))
        if sides[0] % per_block:
            raise self._refuse(f"the rows of tensor {name!r} are not whole {kind} blocks")
        size = math.prod(sides) // per_block * block_bytes
        return Tensor(name, kind, tuple(reversed(sides)), self._number("Q"), size)

    def _kind(self, name: str, number: int) -> tuple[str, int, int]:
        if number not in _READ:
            known = ", ".join(kind for kind, *_ in _READ.values())
            raise self._refuse(f"tensor {name!r} is {_OTHERS.get(number, f'of type {number}')}; we convert {known}")
        return _READ[number]

    def _check_places(self, tensors: Sequence[Tensor], alignment: object) -> None:
        if not isinstance(alignment, int) or alignment not in {1 << power for power in range(3, 17)}:
            raise self._refuse("its alignment is not a power of two")
        begin = -(-self._at // alignment) * alignment
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise self._refuse("it names a tensor twice")
        for tensor in tensors:
            if tensor.offset % alignment or begin + tensor.offset + tensor.size_bytes > self._size:
                raise self._refuse(f"tensor {tensor.name!r} does not lie inside it; it may be cut short")
        if begin + sum(tensor.size_bytes for tensor in tensors) > self._size:
            raise self._refuse("its tensors overlap")

    def _bounded(self, code: str, most: int, what: str) -> int:
        number = int(self._number(code))
        if number > most:
            raise self._refuse(f"it claims {number} {what}; more than {most} are not read")
        return number

    def _number(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self._take(struct.calcsize(f"<{code}")))[0]

    def _text(self, longest: int) -> str:
        length = self._number("Q")
        if length > longest:
            raise self._refuse(f"it holds a text of {length} bytes")
        try:
            return self._take(length).decode()
        except UnicodeDecodeError as fault:
            raise self._refuse("it holds a text that is not UTF-8") from fault

    def _take(self, length: int) -> bytes:
        end = self._at + length
        if end > self._size:
            raise self._refuse("it ends inside its header; it may be cut short")
        taken, self._at = self._content[self._at : end], end
        return taken

    def _refuse(self, reason: str) -> ModelRejected:
        return ModelRejected(f"{self._name} is not converted: {reason}.")
