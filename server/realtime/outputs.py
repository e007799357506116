"""What a response puts out, item by item: a message as it is spoken or written, or a call of a tool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from pipeline.audio import FloatArray
from pipeline.languages import Language
from pipeline.lm.base import ToolCall
from server.realtime.events import new_id
from server.realtime.formats import OutputStream
from server.realtime.items import Item
from server.realtime.part import JsonObject
from server.realtime.session import AudioFormat

Place: TypeAlias = Callable[[Item], str | None]
"""Puts an item into the conversation and returns the id of the one before it."""


class Output:
    """One item of a response.

    Args:
        place: None for an item beside the conversation.
    """

    def __init__(self, item: Item, response_id: str, index: int, place: Place | None) -> None:
        self.item = item
        self._of_response = {"response_id": response_id, "output_index": index}
        self._place = place
        self._previous_item_id: str | None = None

    def begun(self) -> Iterator[JsonObject]:
        yield self._of_output("response.output_item.added", item=self.item.told())
        if self._place is not None:
            self._previous_item_id = self._place(self.item)
            yield self._of_conversation("conversation.item.added")

    def ended(self, status: str) -> Iterator[JsonObject]:
        self.item.status = status
        yield self._of_output("response.output_item.done", item=self.item.told())
        if self._place is not None:
            yield self._of_conversation("conversation.item.done")

    def _of_output(self, kind: str, **fields: object) -> JsonObject:
        return {"type": kind, **self._of_response, **fields}

    def _of_item(self, kind: str, **fields: object) -> JsonObject:
        return self._of_output(kind, item_id=self.item.id, **fields)

    def _of_conversation(self, kind: str) -> JsonObject:
        return {"type": kind, "previous_item_id": self._previous_item_id, "item": self.item.told()}


class CallOutput(Output):
    """A call of a tool, whole as soon as it is known."""

    def __init__(
        self,
        call: ToolCall,
        message: int | None,
        response_id: str,
        index: int,
        place: Place | None,
    ) -> None:
        fields = {"call_id": call.id, "name": call.name, "arguments": ""}
        item = Item(new_id("item"), "function_call", fields, status="in_progress", message=message)
        super().__init__(item, response_id, index, place)
        self._call = call

    def told(self) -> Iterator[JsonObject]:
        """From the begin to the end."""
        call = self._call
        yield from self.begun()
        yield self._of_item("response.function_call_arguments.delta", call_id=call.id, delta=call.arguments)
        self.item.fields["arguments"] = call.arguments
        yield self._of_item(
            "response.function_call_arguments.done", call_id=call.id, name=call.name, arguments=call.arguments
        )
        yield from self.ended("completed")


class MessageOutput(Output):
    """A message of the assistant, which grows clause by clause, each with its audio behind it.

    Args:
        message: its number in the history.
        language: of its words.
        audio_format: in which it is spoken; None for text only.
    """

    def __init__(
        self,
        message: int | None,
        language: Language,
        audio_format: AudioFormat | None,
        response_id: str,
        index: int,
        place: Place | None,
    ) -> None:
        fields: JsonObject = {"role": "assistant", "content": []}
        item = Item(new_id("item"), "message", fields, status="in_progress", message=message, language=language)
        super().__init__(item, response_id, index, place)
        self._audio = OutputStream(audio_format) if audio_format else None
        self._text = ""
        self._samples = 0

    def begun(self) -> Iterator[JsonObject]:
        yield from super().begun()
        part = {"type": "output_audio", "transcript": ""} if self._audio else {"type": "output_text", "text": ""}
        self.item.content.append(part)
        yield self._of_part("response.content_part.added", part=self._part())

    def clause(self, text: str) -> Iterator[JsonObject]:
        self._text += text
        if not self.item.truncated:
            self.item.clauses.append((text, self._samples))
            self.item.content[0]["transcript" if self._audio else "text"] += text
        kind = "response.output_audio_transcript.delta" if self._audio else "response.output_text.delta"
        yield self._of_part(kind, delta=text)

    def audio(self, samples_24k: FloatArray, *, last: bool = False) -> Iterator[JsonObject]:
        """It belongs to the clause before it."""
        self._samples += len(samples_24k)
        if self.item.clauses and not self.item.truncated:
            self.item.clauses[-1] = (self.item.clauses[-1][0], self._samples)
        if self._audio:
            for delta in self._audio.push(samples_24k, last=last):
                yield self._of_part("response.output_audio.delta", delta=delta)

    def ended(self, status: str) -> Iterator[JsonObject]:
        if self._audio:
            if status == "completed":
                yield from self.audio(np.zeros(0, dtype=np.float32), last=True)
            yield self._of_part("response.output_audio.done")
            yield self._of_part("response.output_audio_transcript.done", transcript=self._text)
        else:
            yield self._of_part("response.output_text.done", text=self._text)
        yield self._of_part("response.content_part.done", part=self._part())
        yield from super().ended(status)

    def _part(self) -> JsonObject:
        return {"type": "audio", "transcript": self._text} if self._audio else {"type": "text", "text": self._text}

    def _of_part(self, kind: str, **fields: object) -> JsonObject:
        return self._of_item(kind, content_index=0, **fields)
