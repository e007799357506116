"""Items as a client writes them: into the conversation, or into the input of one response."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from pipeline.lm.base import Message, ToolCall
from server.realtime.errors import ProtocolError
from server.realtime.part import JsonObject, Part

_TEXT_CONTENT = {"user": {"input_text"}, "system": {"input_text"}, "assistant": {"output_text", "output_audio"}}

MOST_PARTS = 64
"""Of the content of a message."""

ItemId: TypeAlias = Annotated[str, Field(min_length=1, max_length=128)]


class Content(Part):
    type: Literal["input_text", "output_text", "output_audio", "input_audio", "input_image"]
    text: str | None = None
    transcript: str | None = None


class WrittenMessage(Part):
    type: Literal["message"]
    role: Literal["user", "assistant", "system"]
    content: Annotated[list[Content], Field(min_length=1, max_length=MOST_PARTS, fail_fast=True)]
    id: ItemId | None = None

    def fields(self) -> JsonObject:
        return {"role": self.role, "content": [part.model_dump(exclude_none=True) for part in self.content]}

    def message(self) -> Message:
        """It as the language model is told it.

        Raises:
            ProtocolError: a part that is not text, or belongs to another role.
        """
        for index, part in enumerate(self.content):
            if part.type not in _TEXT_CONTENT[self.role]:
                allowed = " or ".join(sorted(_TEXT_CONTENT[self.role]))
                raise ProtocolError(
                    "unsupported_content",
                    f"{self.role} messages take {allowed} here, not {part.type}; speech goes to "
                    "input_audio_buffer.append",
                    param=f"item.content.{index}.type",
                )
        return Message(self.role, "".join(part.text or part.transcript or "" for part in self.content))


class WrittenCall(Part):
    type: Literal["function_call"]
    name: Annotated[str, Field(min_length=1, max_length=64)]
    arguments: str
    call_id: ItemId
    id: ItemId | None = None

    def fields(self) -> JsonObject:
        return {"call_id": self.call_id, "name": self.name, "arguments": self.arguments}

    def message(self) -> Message:
        return Message("assistant", "", calls=(ToolCall(self.call_id, self.name, self.arguments),))


class WrittenResult(Part):
    type: Literal["function_call_output"]
    call_id: ItemId
    output: str
    id: ItemId | None = None

    def fields(self) -> JsonObject:
        return {"call_id": self.call_id, "output": self.output}

    def message(self) -> Message:
        return Message("tool", self.output, call_id=self.call_id)


class ItemReference(Part):
    """Stands for an item of the conversation."""

    type: Literal["item_reference"]
    id: ItemId


NewItem: TypeAlias = Annotated[WrittenMessage | WrittenCall | WrittenResult, Field(discriminator="type")]
InputItem: TypeAlias = Annotated[
    WrittenMessage | WrittenCall | WrittenResult | ItemReference, Field(discriminator="type")
]
