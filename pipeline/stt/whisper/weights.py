"""The weights of a model that was converted for CTranslate2, read from its `model.bin`.

The format is that of CTranslate2's `ModelSpec` (python/ctranslate2/specs/model_spec.py), versions 4 to 6: a header, one
record a variable, then aliases. Integers are little-endian; a string is its length with the closing NUL, two bytes, and
itself.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_VERSIONS = (4, 5, 6)
_KINDS: dict[int, npt.DTypeLike] = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}

Weights = dict[str, npt.NDArray[Any]]


class ModelFileError(ValueError):
    """Not a file of CTranslate2, or of a version that is not known."""


def read_weights(path: Path) -> Weights:
    """Variables by name, as they are stored (views of the file's bytes); an alias is its variable.

    Raises:
        ModelFileError: see there.
    """
    reader = _Reader(path)
    if (version := reader.integer("I")) not in _VERSIONS:
        raise ModelFileError(f"{path} is of version {version}, and {_VERSIONS} are known; convert the model anew")
    reader.text()  # the name of its kind
    reader.integer("I")  # and the kind's revision
    weights = {}
    for _ in range(reader.integer("I")):
        name = reader.text()
        shape = [reader.integer("I") for _ in range(reader.integer("B"))]
        kind = reader.integer("B")
        if kind not in _KINDS:
            raise ModelFileError(f"{path}: {name} has the unknown type {kind}; convert the model anew")
        weights[name] = np.frombuffer(reader.take(reader.integer("I")), _KINDS[kind]).reshape(shape)
    for _ in range(reader.integer("I")):
        alias = reader.text()
        weights[alias] = weights[reader.text()]
    return weights


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes = memoryview(path.read_bytes())
        self._at = 0

    def take(self, length: int) -> memoryview:
        taken = self._bytes[self._at : self._at + length]
        if len(taken) < length:
            raise ModelFileError(f"{self._path} ends at {len(self._bytes)} bytes, in the middle of a record")
        self._at += length
        return taken

    def integer(self, kind: str) -> int:
        value: int = struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]
        return value

    def text(self) -> str:
        try:
            return bytes(self.take(self.integer("H"))[:-1]).decode()
        except UnicodeDecodeError:
            raise ModelFileError(f"{self._path} is not a model of CTranslate2") from None
