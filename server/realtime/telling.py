"""What the pipeline emits, told as Realtime server events."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.events import (
    Event,
    IdleTimeout,
    ReplyAudio,
    ReplyCall,
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
from server.realtime.events import new_id
from server.realtime.items import Item, Items
from server.realtime.part import JsonObject
from server.realtime.responses import Asked, Response
from server.realtime.session import Session

_TURNS_KEPT = 32
"""No more than so many turns wait for their transcript or their reply."""


class Telling:
    """The story of one conversation; knows no socket.

    Attributes:
        session: the session in force; replaced by each `session.update`.
    """

    def __init__(self, session: Session, items: Items, now_s: Callable[[], float]) -> None:
        self.session = session
        self._items = items
        self._now_s = now_s
        self._conversation_id = new_id("conv")
        self._turns: dict[int, Item] = {}
        self._lengths_s: dict[int, float] = {}
        self._responses: dict[int, Response] = {}
        """Those under way, by the number of their reply."""
        self._asked: dict[int, Asked] = {}
        self._cancelled: set[int] = set()

    def expect(self, reply: int, asked: Asked) -> None:
        """The client asked for a reply, which has not been told of yet."""
        self._asked[reply] = asked

    def reply_of(self, response_id: str) -> int | None:
        """The number of the reply that is told as a response; None if there is none of that id under way."""
        return next((reply for reply, response in self._responses.items() if response.id == response_id), None)

    def cancel(self, reply: int) -> None:
        """The client cancels: nothing more is told of it but its end."""
        self._cancelled.add(reply)
        if (response := self._responses.get(reply)) is not None:
            response.cancel()

    def told(self, event: Event) -> Iterator[JsonObject]:
        match event:
            case SpeechStarted(turn, _, audio_from_s):
                yield self._of_buffer("speech_started", turn, audio_start_ms=_ms(audio_from_s))
            case SpeechStopped(turn, at_s):
                yield self._of_buffer("speech_stopped", turn, audio_end_ms=_ms(at_s))
            case IdleTimeout(turn, start_s, end_s):
                times = {"audio_start_ms": _ms(start_s), "audio_end_ms": _ms(end_s)}
                yield self._of_buffer("timeout_triggered", turn, **times)
            case TurnCommitted(turn, start_s, end_s, message):
                yield from self._committed(turn, end_s - start_s, message)
            case Transcribed(turn, text, _, audio_s):
                yield from self._transcribed(turn, text, audio_s)
            case TurnEmpty(turn):
                yield from self._transcribed(turn, "", self._lengths_s[turn])
            case TurnFailed():
                yield from self._failed(event)
            case ReplyStarted():
                yield from self._reply_started(event)
            case ReplyText(reply, text):
                yield from self._responses[reply].clause(text)
            case ReplyAudio(reply, samples_24k):
                yield from self._responses[reply].audio(samples_24k)
            case ReplyCall(reply, call, message):
                yield from self._responses[reply].call(call, message)
            case ReplyDone(reply):
                self._cancelled.discard(reply)
                yield from self._responses.pop(reply).done(event)

    def _of_buffer(self, kind: str, turn: int, **times: int) -> JsonObject:
        return {"type": f"input_audio_buffer.{kind}", **times, "item_id": self._item(turn).id}

    def _item(self, turn: int) -> Item:
        """The user's item of a turn, which has its id from the first sound on."""
        if turn not in self._turns:
            part = {"type": "input_audio", "transcript": None}
            self._turns[turn] = Item(new_id("item"), "message", {"role": "user", "content": [part]})
            self._turns.pop(turn - _TURNS_KEPT, None)
        return self._turns[turn]

    def _committed(self, turn: int, length_s: float, message: int) -> Iterator[JsonObject]:
        item = self._item(turn)
        item.message = message
        self._lengths_s[turn] = length_s
        previous = self._items.append(item)
        yield {"type": "input_audio_buffer.committed", "item_id": item.id, "previous_item_id": previous}
        yield {"type": "conversation.item.added", "previous_item_id": previous, "item": item.told()}
        yield {"type": "conversation.item.done", "previous_item_id": previous, "item": item.told()}

    def _transcribed(self, turn: int, text: str, audio_s: float) -> Iterator[JsonObject]:
        item = self._item(turn)
        self._lengths_s.pop(turn)
        item.content[0]["transcript"] = text
        if self.session.audio.input.transcription is None:
            return
        if text:
            yield self._of_transcription("delta", item, delta=text)
        length = {"type": "duration", "seconds": round(audio_s, 3)}
        yield self._of_transcription("completed", item, transcript=text, usage=length)

    def _of_transcription(self, kind: str, item: Item, **fields: object) -> JsonObject:
        kind = f"conversation.item.input_audio_transcription.{kind}"
        return {"type": kind, "item_id": item.id, "content_index": 0, **fields}

    def _failed(self, failure: TurnFailed) -> Iterator[JsonObject]:
        reason: JsonObject = {"type": "server_error", "code": f"{failure.stage}_failed", "message": failure.reason}
        if failure.reply is not None:
            self._responses[failure.reply].failure = reason
        elif failure.turn is not None:
            self._lengths_s.pop(failure.turn)
            yield self._of_transcription("failed", self._item(failure.turn), error=reason)

    def _reply_started(self, reply: ReplyStarted) -> Iterator[JsonObject]:
        answers = self._turns.get(reply.turn) if reply.turn is not None else None
        after = self._items.last_id() if answers is None else answers.id

        def place(item: Item) -> str | None:
            nonlocal after
            previous = self._items.insert(item, after)
            after = item.id
            return previous

        asked = self._asked.pop(reply.reply, None) or Asked(self.session)
        response = Response(
            asked, reply.message, reply.language, place=place, conversation_id=self._conversation_id, now_s=self._now_s
        )
        self._responses[reply.reply] = response
        if reply.reply in self._cancelled:
            response.cancel()
        yield from response.started()


def _ms(at_s: float) -> int:
    return max(0, round(at_s * 1000))
