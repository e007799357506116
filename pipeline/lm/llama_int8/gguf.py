"""Reads GGUF, the format of llama.cpp's models.

A header, values by name, where each tensor lies, then the tensors. Integers are little-endian, a string is its length
in bytes and itself. Tensors are in blocks of 32 weights with a step each, but for those that are plain numbers.
Source: docs/gguf.md and ggml-quants.c of ggml. Its own reader, in the package of that name, takes 4 s and 160 MB for a
vocabulary of 49,152 words.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.audio import FloatArray

_VERSIONS = (2, 3)
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_BLOCK, _MOST_DIMENSIONS = 32, 4
# Of each type of tensors: how many weights a block has, and how many bytes.
_F32, _F16, _Q4_0, _Q4_1, _Q8_0 = 0, 1, 2, 3, 8
_BLOCKS = {_F32: (1, 4), _F16: (1, 2), _Q4_0: (_BLOCK, 18), _Q4_1: (_BLOCK, 20), _Q8_0: (_BLOCK, 34)}


class GgufError(ValueError):
    """Not a file of this format, or with what is not known here; names both."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    shape: tuple[int, ...]
    kind: int
    at: int


class Gguf:
    """Attributes:
    values: by name, as Python has them.
    tensors: the names of those that there are.
    """

    def __init__(self, path: Path) -> None:
        """Raises `GgufError`."""
        self._path = path
        with path.open("rb") as file:  # which cannot be mapped if there is nothing in it
            mapped = path.stat().st_size and mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes = mapped or b""
        self._at = 0
        if self._take(4) != b"GGUF":
            raise self._broken("it does not begin with GGUF")
        if (version := self._number("I")) not in _VERSIONS:
            raise self._broken(f"it is of version {version}, and {_VERSIONS} are known")
        tensors, values = self._number("Q"), self._number("Q")
        self.values = {self._string(): self._value(self._number("I")) for _ in range(values)}
        self._tensors = {self._string(): self._tensor() for _ in range(tensors)}
        alignment = self.values.get("general.alignment", _BLOCK)
        if not isinstance(alignment, int) or alignment < 1:
            raise self._broken(f"its alignment is {alignment!r}")
        self._begin = math.ceil(self._at / alignment) * alignment

    @property
    def tensors(self) -> Collection[str]:
        return self._tensors

    def tensor(self, name: str) -> FloatArray:
        """Shape as in numpy: the last of its dimensions is the one whose numbers follow each other in the file.

        Raises:
            GgufError: there is none of that name, or of a type that is not read here.
        """
        if (tensor := self._tensors.get(name)) is None:
            raise self._broken(f"it has no tensor {name}")
        if tensor.kind not in _BLOCKS:
            raise self._broken(f"{name} is of type {tensor.kind}, and F32, F16, Q4_0, Q4_1 and Q8_0 are read")
        weights, size = _BLOCKS[tensor.kind]
        blocks, rest = divmod(math.prod(tensor.shape), weights)
        self._at = self._begin + tensor.at
        if not blocks or rest or self._at + blocks * size > len(self._bytes):
            raise self._broken(f"{name} does not fit")
        return _numbers(np.frombuffer(self._take(blocks * size), np.uint8).reshape(blocks, size), tensor.kind).reshape(
            tensor.shape
        )

    def _tensor(self) -> _Tensor:
        if (dimensions := self._number("I")) > _MOST_DIMENSIONS:
            raise self._broken(f"a tensor has {dimensions} dimensions")
        shape = tuple(self._number("Q") for _ in range(dimensions))
        return _Tensor(shape[::-1], self._number("I"), self._number("Q"))

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            of, length = self._number("I"), self._number("Q")
            if of not in (*_NUMBERS, _STRING):
                raise self._broken(f"there is a list of values of type {of}")
            if of in _NUMBERS:
                packed = self._take(length * struct.calcsize(f"<{_NUMBERS[of]}"))
                return list(struct.unpack(f"<{length}{_NUMBERS[of]}", packed))
            return [self._value(of) for _ in range(length)]
        if kind not in _NUMBERS:
            raise self._broken(f"there is a value of type {kind}")
        return self._number(_NUMBERS[kind])

    def _number(self, form: str) -> Any:
        (number,) = struct.unpack(f"<{form}", self._take(struct.calcsize(f"<{form}")))
        return number

    def _string(self) -> str:
        return self._take(self._number("Q")).decode(errors="replace")

    def _take(self, length: int) -> bytes:
        if self._at + length > len(self._bytes):
            raise self._broken("it ends too soon")
        taken = self._bytes[self._at : self._at + length]
        self._at += length
        return taken

    def _broken(self, why: str) -> GgufError:
        return GgufError(f"{self._path} cannot be read: {why}; download it again, or convert it to Q8_0 or Q4_1")


def _numbers(blocks: npt.NDArray[np.uint8], kind: int) -> FloatArray:
    """Of blocks, shape (blocks, bytes): the weights."""
    if kind in (_F32, _F16):
        return blocks.view(np.float32 if kind == _F32 else np.float16).astype(np.float32)
    steps = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    if kind == _Q8_0:
        return blocks[:, 2:].view(np.int8) * steps
    packed = blocks[:, -_BLOCK // 2 :]
    counts = np.concatenate([packed & 15, packed >> 4], axis=1)
    if kind == _Q4_0:
        return (counts.astype(np.int8) - 8) * steps
    return counts * steps + blocks[:, 2:4].copy().view(np.float16).astype(np.float32)
