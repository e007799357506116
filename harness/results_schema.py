"""The JSON Schema of a line of `results.jsonl`, made from the dataclasses that are written and read.

`python -m harness.results_schema > docs/results.schema.json` publishes it anew.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from harness.results import KINDS, READABLE

_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8,}.*)*)", re.MULTILINE)
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def render() -> str:
    """The schema as the text of its file."""
    definitions: dict[str, Any] = {}
    rows = [{"$ref": _define(record, definitions, kind)} for kind, record in KINDS.items()]
    definitions["RunHeader"]["properties"]["schema"]["enum"] = list(READABLE)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of results.jsonl, as s2s-gate writes it",
        "description": "The first line is the run's header; then follow a row per turn, scenario and verdict.",
        "oneOf": rows,
        "$defs": dict(sorted(definitions.items())),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _define(record: type, definitions: dict[str, Any], kind: str | None = None) -> str:
    """Add a dataclass to the definitions, with those it is made of, and say where it is found."""
    name = record.__name__
    if name not in definitions:
        definitions[name] = {}  # holds the place, should a record ever hold its like
        told = dict(_ATTRIBUTE.findall(inspect.getdoc(record) or ""))
        hints = get_type_hints(record)
        properties = {"kind": {"const": kind}} if kind else {}
        required = ["kind"] if kind else []
        for field in dataclasses.fields(record):
            properties[field.name] = _describe(hints[field.name], definitions)
            if field.name in told:
                properties[field.name]["description"] = " ".join(told[field.name].split()).replace("None", "null")
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                required.append(field.name)
        definitions[name] = {
            "description": (inspect.getdoc(record) or "").partition("\n\n")[0].replace("\n", " "),
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }
    return f"#/$defs/{name}"


def _describe(expected: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """A declared type, as `jsonlines.decode` reads it."""
    if dataclasses.is_dataclass(expected):
        assert isinstance(expected, type)  # noqa: S101 - a type hint names a class, never an instance
        return {"$ref": _define(expected, definitions)}
    origin, arguments = get_origin(expected), get_args(expected)
    if origin in (Union, types.UnionType):
        some = next(argument for argument in arguments if argument is not types.NoneType)
        return {"anyOf": [_describe(some, definitions), {"type": "null"}]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _describe(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _describe(arguments[1], definitions)}
    return {"type": _PLAIN[expected]}


if __name__ == "__main__":
    sys.stdout.write(render())
