"""What the pipeline emits, told as Realtime server events."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.events import (
    Event,
    ReplyAudio,
    ReplyDone,
    ReplyStarted,
    ReplyText,
    SpeechStarted,
    SpeechStopped,
    Transcribed,
    TurnCommitted,
    TurnEmpty,
    TurnFailed,
)
from server.realtime.events import new_id, server_error
from server.realtime.items import Item, Items
from server.realtime.parse import ResponseSettings
from server.realtime.responses import Response
from server.realtime.session import JsonObject, Session


class Telling:
    """The story of one conversation; knows no socket.

    Attributes:
        session: the session in force; replaced by each `session.update`.
        response: the one under way.
        asked: what the client's `response.create` wanted of the response that comes next.
    """

    def __init__(self, session: Session, items: Items, now_s: Callable[[], float]) -> None:
        self.session = session
        self.response: Response | None = None
        self.asked = ResponseSettings()
        self._items = items
        self._now_s = now_s
        self._conversation_id = new_id("conv")
        self._turns: dict[int, Item] = {}
        self._lengths_s: dict[int, float] = {}
        self._cancelled_by_client = False

    def cancel(self) -> None:
        """The client cancels: nothing more is told of the response under way but its end."""
        self._cancelled_by_client = True
        if self.response:
            self.response.stop()

    def told(self, event: Event) -> Iterator[JsonObject]:
        match event:
            case SpeechStarted(turn, at_s):
                # A turn that the client cleared is never heard of again.
                self._turns = {number: item for number, item in self._turns.items() if number in self._lengths_s}
                yield {
                    "type": "input_audio_buffer.speech_started",
                    "audio_start_ms": _ms(at_s),
                    "item_id": self._item(turn).id,
                }
            case SpeechStopped(turn, at_s):
                yield {
                    "type": "input_audio_buffer.speech_stopped",
                    "audio_end_ms": _ms(at_s),
                    "item_id": self._item(turn).id,
                }
            case TurnCommitted(turn, start_s, end_s):
                yield from self._committed(turn, end_s - start_s)
            case Transcribed(turn, text, _, audio_s, message):
                self._item(turn).message = message
                yield from self._transcribed(turn, text, audio_s)
            case TurnEmpty(turn):
                yield from self._transcribed(turn, "", self._lengths_s[turn])
            case TurnFailed():
                yield from self._failed(event)
            case ReplyStarted(_, turn, _, message):
                yield from self._reply_started(turn, message)
            case ReplyText(_, text) if self.response:
                yield from self.response.clause(text)
            case ReplyAudio(_, samples_24k) if self.response:
                yield from self.response.audio(samples_24k)
            case ReplyDone():
                yield from self._reply_done(event)

    def _item(self, turn: int) -> Item:
        """The user's item of a turn, which has its id from the first sound on."""
        if turn not in self._turns:
            self._turns[turn] = Item(new_id("item"), "user", [{"type": "input_audio", "transcript": None}])
        return self._turns[turn]

    def _committed(self, turn: int, length_s: float) -> Iterator[JsonObject]:
        item = self._item(turn)
        self._lengths_s[turn] = length_s
        previous = self._items.append(item)
        yield {"type": "input_audio_buffer.committed", "item_id": item.id, "previous_item_id": previous}
        yield {"type": "conversation.item.added", "previous_item_id": previous, "item": item.told()}
        yield {"type": "conversation.item.done", "previous_item_id": previous, "item": item.told()}

    def _transcribed(self, turn: int, text: str, audio_s: float) -> Iterator[JsonObject]:
        item = self._item(turn)
        self._forget(turn)
        item.content[0]["transcript"] = text
        if self.session.audio.input.transcription is None:
            return
        part = {"item_id": item.id, "content_index": 0}
        if text:
            yield {"type": "conversation.item.input_audio_transcription.delta", **part, "delta": text}
        yield {
            "type": "conversation.item.input_audio_transcription.completed",
            **part,
            "transcript": text,
            "usage": {"type": "duration", "seconds": round(audio_s, 3)},
        }

    def _failed(self, failure: TurnFailed) -> Iterator[JsonObject]:
        reason: JsonObject = {"type": "server_error", "code": f"{failure.stage}_failed", "message": failure.reason}
        if failure.stage == "speech_to_text" and failure.turn is not None:
            item = self._item(failure.turn)
            self._forget(failure.turn)
            yield {
                "type": "conversation.item.input_audio_transcription.failed",
                "item_id": item.id,
                "content_index": 0,
                "error": reason,
            }
        elif self.response:
            self.response.failure = reason
        else:
            yield server_error(failure.reason)

    def _forget(self, turn: int) -> None:
        """A turn with its transcript is over, as far as ids go; the item lives on in the conversation."""
        self._lengths_s.pop(turn, None)
        self._turns.pop(turn, None)

    def _reply_started(self, turn: int | None, message: int | None) -> Iterator[JsonObject]:
        asked = ResponseSettings()
        if turn is None:
            asked, self.asked = self.asked, asked
        self.response = Response(
            self.session,
            modalities=[*(asked.output_modalities or self.session.output_modalities)],
            metadata=asked.metadata,
            conversation_id=self._conversation_id,
            now_s=self._now_s,
        )
        self.response.item.message = message
        yield from self.response.started(self._items.append(self.response.item))

    def _reply_done(self, reply: ReplyDone) -> Iterator[JsonObject]:
        if self.response is None:
            # Cancelled before it began, and told all the same: a client may be waiting for it by its metadata.
            yield from self._reply_started(reply.turn, None)
        response, self.response = self.response, None
        by_client, self._cancelled_by_client = self._cancelled_by_client, False
        if response:
            yield from response.done(reply, cancelled_by_client=by_client)


def _ms(at_s: float) -> int:
    return max(0, round(at_s * 1000))
