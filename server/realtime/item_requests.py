"""The client's requests for the items of the conversation. The language model's memory follows the list."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.conversation import Conversation
from server.realtime.items import Item, Items
from server.realtime.parse import ItemCreate, ItemDelete, ItemRetrieve, ItemTruncate
from server.realtime.part import JsonObject


class ItemRequests:
    """Each method does what is asked, and gives the events that say so.

    Raises (each method): ProtocolError: it cannot be done; nothing is changed.
    """

    def __init__(self, conversation: Conversation, items: Items) -> None:
        self._conversation = conversation
        self._items = items

    def create(self, event: ItemCreate) -> Iterator[JsonObject]:
        message = event.item.message()
        item, previous, place = self._items.create(event.item, event.previous_item_id)
        item.message = self._conversation.add_message(message, after=place)
        yield {"type": "conversation.item.added", "previous_item_id": previous, "item": item.told()}
        yield {"type": "conversation.item.done", "previous_item_id": previous, "item": item.told()}

    def delete(self, event: ItemDelete) -> Iterator[JsonObject]:
        yield self._forget(self._items.delete(event.item_id))

    def make_room(self) -> Iterator[JsonObject]:
        """Of the oldest items, where there are too many."""
        for item in self._items.excess():
            yield self._forget(item)

    def retrieve(self, event: ItemRetrieve) -> Iterator[JsonObject]:
        yield {"type": "conversation.item.retrieved", "item": self._items.retrieve(event.item_id).told()}

    def truncate(self, event: ItemTruncate) -> Iterator[JsonObject]:
        item, heard = self._items.truncate(event.item_id, event.content_index, event.audio_end_ms)
        if item.message is not None:
            self._conversation.truncate_message(item.message, heard)
        yield {
            "type": "conversation.item.truncated",
            "item_id": item.id,
            "content_index": event.content_index,
            "audio_end_ms": event.audio_end_ms,
        }

    def _forget(self, item: Item) -> JsonObject:
        if item.message is not None:
            self._conversation.forget_message(item.message)
        return {"type": "conversation.item.deleted", "item_id": item.id}
