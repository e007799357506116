"""The eleven events a Realtime client may send, parsed from hostile bytes.

Source: the `openai.types.realtime` models of the `openai` SDK, GA form.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from server.limits import Limits
from server.realtime.errors import ProtocolError
from server.realtime.part import CurrentNames, JsonObject, NoPrompt, Part
from server.realtime.session import AudioFormat, MaxOutputTokens, Modalities, Session, VoiceId
from server.realtime.tools import TOO_MANY_TOOLS, ToolChoice, Tools
from server.realtime.written_items import InputItem, ItemId, NewItem

LONGEST_EVENT_ID = 512

Metadata: TypeAlias = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]


class ClientMessage(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    event_id: Annotated[str, Field(max_length=LONGEST_EVENT_ID)] | None = None


class SessionUpdate(ClientMessage):
    type: Literal["session.update"]
    session: Session


class AudioAppend(ClientMessage):
    type: Literal["input_audio_buffer.append"]
    audio: str


class AudioCommit(ClientMessage):
    type: Literal["input_audio_buffer.commit"]


class AudioClear(ClientMessage):
    type: Literal["input_audio_buffer.clear"]


class OutputAudioClear(ClientMessage):
    type: Literal["output_audio_buffer.clear"]


class ItemCreate(ClientMessage):
    type: Literal["conversation.item.create"]
    item: NewItem
    previous_item_id: ItemId | None = None


class ItemDelete(ClientMessage):
    type: Literal["conversation.item.delete"]
    item_id: ItemId


class ItemRetrieve(ClientMessage):
    type: Literal["conversation.item.retrieve"]
    item_id: ItemId


class ItemTruncate(ClientMessage):
    type: Literal["conversation.item.truncate"]
    item_id: ItemId
    content_index: Annotated[int, Field(ge=0)]
    audio_end_ms: Annotated[int, Field(ge=0)]


class ResponseOutput(Part):
    format: AudioFormat | None = None
    voice: str | VoiceId | None = None


class ResponseAudio(Part):
    output: ResponseOutput | None = None


class ResponseSettings(CurrentNames):
    """What a `response.create` may ask of its one response; where it says nothing, the session's fields hold.

    Attributes:
        conversation: `none` is a response beside the conversation.
        input: what is responded to in place of the conversation.
    """

    instructions: str | None = None
    output_modalities: Modalities | None = None
    audio: ResponseAudio | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    max_output_tokens: MaxOutputTokens | None = None
    conversation: Literal["auto", "none"] = "auto"
    input: Annotated[list[InputItem], Field(max_length=500, fail_fast=True)] | None = None
    metadata: Metadata | None = None
    prompt: NoPrompt = None


class ResponseCreate(ClientMessage):
    type: Literal["response.create"]
    response: ResponseSettings | None = None


class ResponseCancel(ClientMessage):
    type: Literal["response.cancel"]
    response_id: ItemId | None = None


ClientEvent: TypeAlias = (
    SessionUpdate
    | AudioAppend
    | AudioCommit
    | AudioClear
    | OutputAudioClear
    | ItemCreate
    | ItemDelete
    | ItemRetrieve
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
)

_CLIENT_EVENT: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")])

EVENT_TYPES = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "output_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "response.create",
    "response.cancel",
)


_APPEND_PARTS = 16
"""Of an event with audio, which is one long value and no more than a few others."""
_DEFAULT_LIMITS = Limits()


def parse_event(message: str | bytes, limits: Limits = _DEFAULT_LIMITS) -> ClientEvent:
    """One websocket message to one client event.

    Raises:
        ProtocolError: whatever else the bytes are.
    """
    parts = sum(message.count(mark) if isinstance(message, str) else message.count(mark.encode()) for mark in "[{,")
    if parts > limits.event_parts:
        raise ProtocolError(
            "event_too_large", f"an event may have {limits.event_parts} values, and this one has {parts}; send less"
        )
    if len(message) > limits.event_bytes and parts > _APPEND_PARTS:
        raise _too_long(len(message), limits)
    event = _parse(message)
    if len(message) > limits.event_bytes and not isinstance(event, AudioAppend):
        raise _too_long(len(message), limits)
    return event


def _too_long(length: int, limits: Limits) -> ProtocolError:
    return ProtocolError(
        "event_too_large",
        f"an event without audio may be {limits.event_bytes} bytes long, and this one is {length}; send less",
    )


def _parse(message: str | bytes) -> ClientEvent:
    try:
        document: Any = from_json(message, allow_inf_nan=False)
    except ValueError as error:
        raise ProtocolError(
            "invalid_json", f"the message is not JSON ({error}); send one JSON object a message"
        ) from None
    if not isinstance(document, dict):
        raise ProtocolError(
            "invalid_json", f"the message is a JSON {type(document).__name__}; send one JSON object with a 'type'"
        )
    event_id = document.get("event_id")
    echoed = event_id if isinstance(event_id, str) and len(event_id) <= LONGEST_EVENT_ID else None
    try:
        return _CLIENT_EVENT.validate_python(document)
    except ValidationError as error:
        raise _explain(document, error, echoed) from None


def _explain(document: JsonObject, error: ValidationError, event_id: str | None) -> ProtocolError:
    kind = document.get("type")
    if kind not in EVENT_TYPES:
        return ProtocolError(
            "unknown_event",
            f"{_quote(kind)} is not an event of a Realtime client; known are {', '.join(EVENT_TYPES)}",
            param="type",
            event_id=event_id,
        )
    first = error.errors(include_url=False, include_context=False)[0]
    # The location begins with the event's type, the discriminator.
    param = ".".join(str(step) for step in first["loc"][1:])
    if first["type"] == TOO_MANY_TOOLS:
        return ProtocolError(TOO_MANY_TOOLS, first["msg"], param=param, event_id=event_id)
    if first["type"] == "missing":
        return ProtocolError("missing_required_parameter", f"{kind} needs {param!r}", param=param, event_id=event_id)
    given = f", not {_quote(first['input'])}" if not isinstance(first["input"], dict | list) else ""
    return ProtocolError(
        "invalid_value", f"{param or kind}: {first['msg']}{given}", param=param or None, event_id=event_id
    )


def _quote(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
