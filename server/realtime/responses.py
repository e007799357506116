"""One response: the events that tell it, in the protocol's order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.audio import FloatArray
from pipeline.events import ReplyDone
from pipeline.languages import Language
from pipeline.lm.base import ToolCall
from server.realtime.events import new_id, trace_object, usage
from server.realtime.items import Item
from server.realtime.outputs import CallOutput, MessageOutput, Place
from server.realtime.part import JsonObject
from server.realtime.session import Session


@dataclass(frozen=True, slots=True)
class Asked:
    """What a response is to be.

    Attributes:
        session: the session in force, with what the client's `response.create` wanted otherwise.
        metadata: of that event, echoed.
        aside: the response is beside the conversation.
    """

    session: Session
    metadata: dict[str, str] | None = None
    aside: bool = False


class Response:
    """Built when the reply starts; each method gives the events to send, without their ids.

    Args:
        message: the number of its text in the history.
        language: of its words.
        place: for what it puts out.
        now_s: the time on the input's sample clock.
    """

    def __init__(
        self,
        asked: Asked,
        message: int | None,
        language: Language,
        *,
        place: Place,
        conversation_id: str,
        now_s: Callable[[], float],
    ) -> None:
        self.id = new_id("resp")
        self.failure: JsonObject | None = None
        self._asked = asked
        self._speaks = "audio" in asked.session.output_modalities
        self._message = message
        self._language = language
        self._place = None if asked.aside else place
        self._conversation_id = None if asked.aside else conversation_id
        self._now_s = now_s
        self._open: MessageOutput | None = None
        """The message that is being told."""
        self._outputs: list[Item] = []
        self._cancelled_by_client = False
        self._first_sent_s: float | None = None

    def started(self) -> Iterator[JsonObject]:
        yield {"type": "response.created", "response": self._told("in_progress")}

    def clause(self, text: str) -> Iterator[JsonObject]:
        if self._open is None:
            spoken_as = self._asked.session.audio.output.format if self._speaks else None
            self._open = MessageOutput(
                self._message, self._language, spoken_as, self.id, len(self._outputs), self._place
            )
            self._outputs.append(self._open.item)
            yield from self._open.begun()
        yield from self._open.clause(text)

    def audio(self, samples_24k: FloatArray) -> Iterator[JsonObject]:
        """It belongs to the clause before it."""
        if self._open is None or self._cancelled_by_client:
            return
        if self._first_sent_s is None:
            self._first_sent_s = self._now_s()
        yield from self._open.audio(samples_24k)

    def call(self, call: ToolCall, message: int | None) -> Iterator[JsonObject]:
        yield from self._end_message("completed")
        output = CallOutput(call, message, self.id, len(self._outputs), self._place)
        self._outputs.append(output.item)
        yield from output.told()

    def cancel(self) -> None:
        """By the client: tell no more audio."""
        self._cancelled_by_client = True

    def done(self, reply: ReplyDone) -> Iterator[JsonObject]:
        reply.trace.first_sent_s = self._first_sent_s
        status: str = reply.status
        if status == "completed" and reply.cut:
            status = "incomplete"
        yield from self._end_message(status if status == "completed" else "incomplete")
        told = self._told(status)
        told["status_details"] = self._details(status)
        told["usage"] = usage(reply.prompt_tokens, reply.reply_tokens)
        told["trace"] = trace_object(reply.trace)
        yield {"type": "response.done", "response": told}

    def _end_message(self, status: str) -> Iterator[JsonObject]:
        if self._open is not None:
            yield from self._open.ended(status)
        self._open = None

    def _told(self, status: str) -> JsonObject:
        session = self._asked.session
        output = session.audio.output
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": None,
            "output": [item.told() for item in self._outputs],
            "conversation_id": self._conversation_id,
            "output_modalities": ["audio"] if self._speaks else ["text"],
            "max_output_tokens": session.max_output_tokens,
            "audio": {"output": {"format": output.format.model_dump(), "voice": output.voice_name}},
            "usage": None,
            "metadata": self._asked.metadata,
        }

    def _details(self, status: str) -> JsonObject | None:
        match status:
            case "cancelled":
                return {"type": status, "reason": "client_cancelled" if self._cancelled_by_client else "turn_detected"}
            case "incomplete":
                return {"type": status, "reason": "max_output_tokens"}
            case "failed":
                return {"type": status, "error": self.failure or {"type": "server_error", "code": "server_error"}}
        return None
