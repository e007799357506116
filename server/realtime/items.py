"""The items of a conversation, in their order, as the client sees them."""

from __future__ import annotations

from dataclasses import dataclass, field

from server.realtime.events import new_id
from server.realtime.parse import ItemCreate, MessageItem, ProtocolError
from server.realtime.session import JsonObject

_TEXT_CONTENT = {"user": {"input_text"}, "system": {"input_text"}, "assistant": {"output_text", "output_audio"}}


@dataclass(slots=True)
class Item:
    """One message.

    Attributes:
        content: its parts, as the protocol spells them.
        message: its number in the history of the conversation, once it is there.
        clauses: of a spoken item, each clause with the position at which its audio ends, in samples at 24 kHz.
    """

    id: str
    role: str
    content: list[JsonObject]
    status: str = "completed"
    message: int | None = None
    clauses: list[tuple[str, int]] = field(default_factory=list)

    def told(self) -> JsonObject:
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": self.status,
            "role": self.role,
            "content": [dict(part) for part in self.content],
        }


class Items:
    def __init__(self) -> None:
        self._items: list[Item] = []

    def last_id(self) -> str | None:
        return self._items[-1].id if self._items else None

    def append(self, item: Item) -> str | None:
        """Add at the end; the id of the item before it, None for the first."""
        previous = self.last_id()
        self._items.append(item)
        return previous

    def create(self, event: ItemCreate) -> tuple[Item, str | None, str]:
        """Add what `conversation.item.create` asks for: the item, the id of the one before it, and its text.

        Raises:
            ProtocolError: a content this cascade cannot take, an id that is taken, or an unknown item to follow.
        """
        text = message_text(event.item)
        if event.item.id is not None and self._index(event.item.id) is not None:
            raise ProtocolError(
                "item_create_duplicate_id",
                f"an item {event.item.id!r} exists already; leave 'id' out to have one made",
                param="item.id",
            )
        content = [part.model_dump(exclude_none=True) for part in event.item.content]
        item = Item(event.item.id or new_id("item"), event.item.role, content)
        at = len(self._items)
        if event.previous_item_id == "root":
            at = 0
        elif event.previous_item_id is not None:
            at = self._find(event.previous_item_id, "item_create_invalid_previous_item_id", "previous_item_id") + 1
        self._items.insert(at, item)
        return item, self._items[at - 1].id if at else None, text

    def retrieve(self, item_id: str) -> Item:
        return self._items[self._find(item_id, "item_retrieve_invalid_item_id")]

    def delete(self, item_id: str) -> Item:
        return self._items.pop(self._find(item_id, "item_delete_invalid_item_id"))

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> tuple[Item, str]:
        """Keep of a spoken item the clauses that were heard to their end; returns it with its text from now on.

        Raises:
            ProtocolError: no such item, one without audio, or an end beyond its audio.
        """
        item = self._items[self._find(item_id, "item_truncate_invalid_item_id")]
        if (
            item.role != "assistant"
            or content_index >= len(item.content)
            or item.content[content_index]["type"] != "output_audio"
        ):
            raise ProtocolError(
                "item_truncate_not_audio",
                f"content {content_index} of item {item_id!r} is not audio of the assistant",
                param="item_id",
            )
        length_ms = item.clauses[-1][1] * 1000 // 24_000 if item.clauses else 0
        if audio_end_ms > length_ms:
            raise ProtocolError(
                "invalid_value",
                f"audio_end_ms {audio_end_ms} is beyond the item's {length_ms} ms of audio",
                param="audio_end_ms",
            )
        item.clauses = [(text, end) for text, end in item.clauses if end * 1000 <= audio_end_ms * 24_000]
        text = "".join(text for text, _ in item.clauses)
        item.content[content_index]["transcript"] = text
        return item, text

    def _index(self, item_id: str) -> int | None:
        return next((index for index, item in enumerate(self._items) if item.id == item_id), None)

    def _find(self, item_id: str, code: str, param: str = "item_id") -> int:
        index = self._index(item_id)
        if index is None:
            raise ProtocolError(
                code,
                f"there is no item {item_id!r} in this conversation; ids come with conversation.item.added",
                param=param,
            )
        return index


def message_text(item: MessageItem) -> str:
    """The words of a message for the language model.

    Raises:
        ProtocolError: a part that is not text, or belongs to another role.
    """
    words = []
    for index, part in enumerate(item.content):
        if part.type not in _TEXT_CONTENT[item.role]:
            allowed = " or ".join(sorted(_TEXT_CONTENT[item.role]))
            raise ProtocolError(
                "unsupported_content",
                f"{item.role} messages take {allowed} here, not {part.type}; speech goes to input_audio_buffer.append",
                param=f"item.content.{index}.type",
            )
        words.append(part.text or part.transcript or "")
    return "".join(words)
