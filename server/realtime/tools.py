"""The functions of the client's program that the language model may call."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from pipeline.lm.base import NO_TOOLS, Tool, Toolbox
from server.realtime.part import JsonObject, Part

TOO_MANY_TOOLS = "too_many_tools"
"""The code of the error for more than what follows."""
MOST_TOOLS = 128
MOST_TOOL_BYTES = 2**16
"""Of all tools together, as JSON."""


class FunctionTool(Part):
    type: Literal["function"]
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: JsonObject | None = None


def _too_many(why: str) -> PydanticCustomError:
    return PydanticCustomError(TOO_MANY_TOOLS, "{why}", {"why": why})


def _few(tools: Any) -> Any:
    """Before each of them is looked at."""
    if isinstance(tools, list) and len(tools) > MOST_TOOLS:
        raise _too_many(f"there are {len(tools)} tools, and {MOST_TOOLS} are taken; leave some out")
    return tools


def _bounded(tools: tuple[FunctionTool, ...]) -> tuple[FunctionTool, ...]:
    # They are told back as they came; a number like 1e999 has become an infinity, which JSON does not have.
    size = sum(len(json.dumps(tool.model_dump(), allow_nan=False)) for tool in tools)
    if size > MOST_TOOL_BYTES:
        raise _too_many(f"the tools are {size} bytes of JSON, and {MOST_TOOL_BYTES} are taken; describe them shorter")
    names = [tool.name for tool in tools]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"there are two tools of the name {twice[0]!r}; give each a name of its own")
    return tools


Tools: TypeAlias = Annotated[tuple[FunctionTool, ...], BeforeValidator(_few), AfterValidator(_bounded)]


class ChosenTool(Part):
    type: Literal["function"]
    name: str


ToolChoice: TypeAlias = Literal["none", "auto", "required"] | ChosenTool


def toolbox(tools: Sequence[FunctionTool], choice: ToolChoice) -> Toolbox:
    """What the language model is given of them.

    Raises:
        ValueError: the tool of choice is not among them.
    """
    if choice == "none":
        return NO_TOOLS
    offered = tuple(
        Tool(tool.name, tool.description or "", tool.parameters or {"type": "object", "properties": {}})
        for tool in tools
    )
    if not isinstance(choice, ChosenTool):
        return Toolbox(offered, required=choice == "required" and bool(offered))
    chosen = tuple(tool for tool in offered if tool.name == choice.name)
    if not chosen:
        known = ", ".join(tool.name for tool in offered) or "none"
        raise ValueError(f"tool_choice names {choice.name!r}, and the tools are: {known}")
    return Toolbox(chosen, required=True)
