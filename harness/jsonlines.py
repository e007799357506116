"""Dataclasses to lines of JSON and back. Reading is strict: a file of results may come from anywhere."""

from __future__ import annotations

import dataclasses
import json
import math
import types
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


class LineError(ValueError):
    """A line that is not the record it is said to be: says which field, and why."""


def encode(record: object) -> str:
    """One line of JSON, without the line break: the fields of a dataclass in their order.

    Raises:
        ValueError: a float is not finite, which JSON cannot say.
    """
    return json.dumps(dataclasses.asdict(record), ensure_ascii=False, allow_nan=False, separators=(",", ":"))  # type: ignore[call-overload]  # asdict's own check is the one wanted


def parse(line: str) -> dict[str, Any]:
    """One line as a JSON object.

    Raises:
        LineError: not JSON, or not an object.
    """
    try:
        value = json.loads(line, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise LineError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise LineError(f"a JSON object is expected, not {_kind(value)}")
    return value


def decode(record: type[Record], value: object) -> Record:
    """A parsed JSON value as the dataclass `record`, every field checked against its declared type.

    Raises:
        LineError: a field is missing, unknown, or of another type.
    """
    decoded: Record = _decode(record, value, record.__name__)
    return decoded


def _decode(expected: Any, value: object, where: str) -> Any:
    if dataclasses.is_dataclass(expected):
        return _decode_dataclass(expected, value, where)
    origin, arguments = get_origin(expected), get_args(expected)
    if origin in (Union, types.UnionType):
        return _decode_optional(arguments, value, where)
    if origin is Literal:
        if isinstance(value, str) and value in arguments:
            return value
        raise LineError(f"{where}: one of {', '.join(map(str, arguments))} is expected, not {value!r:.60}")
    if origin is tuple and isinstance(value, list):
        return tuple(_decode(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _decode(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if expected is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(value, where)
    if expected in (str, int, bool) and type(value) is expected:
        return value
    raise LineError(f"{where}: {getattr(origin or expected, '__name__', expected)} is expected, not {_kind(value)}")


def _decode_dataclass(expected: Any, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise LineError(f"{where}: an object is expected, not {_kind(value)}")
    fields = dataclasses.fields(expected)
    if unknown := sorted(set(value) - {field.name for field in fields}):
        raise LineError(f"{where}: unknown field {unknown[0]!r:.60}")
    hints = _hints(expected)
    given = {
        field.name: _decode(hints[field.name], value[field.name], f"{where}.{field.name}")
        for field in fields
        if field.name in value
    }
    required = (f for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING)
    if missing := [field.name for field in required if field.name not in given]:
        raise LineError(f"{where}: the field {missing[0]!r} is missing")
    return expected(**given)


@cache
def _hints(record: type) -> dict[str, Any]:
    """The declared types of its fields, which are read from their source text each time that they are asked for."""
    return get_type_hints(record)


def _decode_optional(arguments: tuple[Any, ...], value: object, where: str) -> Any:
    """The one union the records use: a type, or None."""
    if value is None and types.NoneType in arguments:
        return None
    (some,) = (argument for argument in arguments if argument is not types.NoneType)
    return _decode(some, value, where)


def _finite(value: float, where: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise LineError(f"{where}: a finite number is expected")
    return number


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null")
