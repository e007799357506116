"""The items of a conversation, in their order, as the client sees them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pipeline.audio import OUTPUT_RATE_HZ
from pipeline.languages import Language
from pipeline.playback import heard_of
from server.realtime.errors import ProtocolError
from server.realtime.events import new_id
from server.realtime.part import JsonObject
from server.realtime.written_items import NewItem, WrittenResult

ItemType: TypeAlias = Literal["message", "function_call", "function_call_output"]

FRONT = "root"
"""What the protocol calls the place before the first item."""


@dataclass(slots=True)
class Item:
    """Of any type.

    Attributes:
        fields: those of its type, as the protocol spells them.
        message: its number in the history, which only an item beside the conversation lacks.
        clauses: of a spoken item, each clause with the position at which its audio ends, in samples at 24 kHz.
        language: in which it is spoken.
        truncated: the client has said what was heard of it; nothing is added any more.
        size: in bytes, of what the client wrote; nothing else of an item is as long as a client likes.
    """

    id: str
    type: ItemType
    fields: JsonObject
    status: str = "completed"
    message: int | None = None
    clauses: list[tuple[str, int]] = field(default_factory=list)
    language: Language = Language.EN
    truncated: bool = False
    size: int = 0

    @property
    def content(self) -> list[JsonObject]:
        """The parts of a message; other items have none."""
        parts: list[JsonObject] = self.fields.get("content", [])
        return parts

    def cut(self, end: int) -> str:
        """Keep what was heard until `end`, in samples at 24 kHz; returns the words."""
        self.truncated = True
        kept: list[tuple[str, int]] = []
        begin = 0
        for text, clause_end in self.clauses:
            length_s, heard_s = (clause_end - begin) / OUTPUT_RATE_HZ, (end - begin) / OUTPUT_RATE_HZ
            kept.append((heard_of(text, length_s, heard_s, self.language), min(clause_end, end)))
            begin = clause_end
        self.clauses = [(text, clause_end) for text, clause_end in kept if text]
        return "".join(text for text, _ in self.clauses)

    def told(self) -> JsonObject:
        fields = dict(self.fields)
        if "content" in fields:
            fields["content"] = [dict(part) for part in self.content]
        return {"id": self.id, "object": "realtime.item", "type": self.type, "status": self.status, **fields}


class Items:
    """The list of both sides, oldest first.

    Args:
        most: how many they may be.
        most_bytes: how long they may be together.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._items: list[Item] = []

    def excess(self) -> Iterator[Item]:
        """Take out the oldest until no more are left than may be."""
        size = sum(item.size for item in self._items)
        while len(self._items) > self._most or size > self._most_bytes:
            oldest = self._items.pop(0)
            size -= oldest.size
            yield oldest

    def last_id(self) -> str:
        """Of the newest item, or `FRONT`."""
        return self._items[-1].id if self._items else FRONT

    def insert(self, item: Item, after: str) -> str | None:
        """Add behind the item `after`, at the end if that is gone; the id of the item before it, None for the first."""
        at = 0 if after == FRONT else self._index(after, len(self._items) - 1) + 1
        self._items.insert(at, item)
        return self._items[at - 1].id if at else None

    def append(self, item: Item) -> str | None:
        return self.insert(item, self.last_id())

    def create(self, written: NewItem, after: str | None) -> tuple[Item, str | None, int | None]:
        """Add what `conversation.item.create` asks for: the item, the id of the one before it, and the place that this
        is in the history (None for its end).

        Raises:
            ProtocolError: an id that is taken, an unknown item to follow, or the result of an unknown call.
        """
        if written.id is not None and self._has(written.id):
            raise ProtocolError(
                "item_create_duplicate_id",
                f"an item {written.id!r} exists already; leave 'id' out to have one made",
                param="item.id",
            )
        if isinstance(written, WrittenResult) and not self._has_call(written.call_id):
            raise ProtocolError(
                "invalid_tool_call_id",
                f"no call {written.call_id!r} is in this conversation; it comes with a function_call item",
                param="item.call_id",
            )
        place: int | None = None
        if after == FRONT:
            place = 0
        elif after is not None:
            place = self.find(after, "item_create_invalid_previous_item_id", "previous_item_id").message
        item = Item(written.id or new_id("item"), written.type, written.fields(), size=len(written.model_dump_json()))
        return item, self.insert(item, after or self.last_id()), place

    def retrieve(self, item_id: str) -> Item:
        return self.find(item_id, "item_retrieve_invalid_item_id")

    def delete(self, item_id: str) -> Item:
        item = self.find(item_id, "item_delete_invalid_item_id")
        self._items.remove(item)
        return item

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> tuple[Item, str]:
        """Keep of a spoken item the words that were heard; returns it with its text from now on.

        Raises:
            ProtocolError: no such item, one without audio, or an end beyond its audio.
        """
        item = self.find(item_id, "item_truncate_invalid_item_id")
        parts = item.content[content_index : content_index + 1]
        if item.fields.get("role") != "assistant" or not parts or parts[0]["type"] != "output_audio":
            raise ProtocolError(
                "item_truncate_not_audio",
                f"content {content_index} of item {item_id!r} is not audio of the assistant",
                param="item_id",
            )
        length_ms = math.ceil(item.clauses[-1][1] / 24) if item.clauses else 0
        if audio_end_ms > length_ms:
            raise ProtocolError(
                "invalid_value",
                f"audio_end_ms {audio_end_ms} is beyond the item's {length_ms} ms of audio",
                param="audio_end_ms",
            )
        text = item.cut((audio_end_ms + 1) * 24)  # clients round down what they have played
        parts[0]["transcript"] = text
        return item, text

    def find(self, item_id: str, code: str, param: str = "item_id") -> Item:
        """Raises: ProtocolError: there is none of that id; `code` says what it was wanted for."""
        for item in self._items:
            if item.id == item_id:
                return item
        raise ProtocolError(
            code,
            f"there is no item {item_id!r} in this conversation; ids come with conversation.item.added, and go with "
            "conversation.item.deleted",
            param=param,
        )

    def _has(self, item_id: str) -> bool:
        return any(item.id == item_id for item in self._items)

    def _has_call(self, call_id: str) -> bool:
        return any(item.type == "function_call" and item.fields["call_id"] == call_id for item in self._items)

    def _index(self, item_id: str, otherwise: int) -> int:
        return next((index for index, item in enumerate(self._items) if item.id == item_id), otherwise)
