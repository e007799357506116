"""One response: the events that tell it, in the protocol's order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from pipeline.audio import FloatArray
from pipeline.events import ReplyDone
from server.realtime.events import new_id, trace_object, usage
from server.realtime.formats import OutputStream
from server.realtime.items import Item
from server.realtime.session import JsonObject, Session


class Response:
    """Built when the reply starts; each method gives the events to send, without their ids.

    Args:
        session: the session in force at the start.
        modalities: what this response was asked to be, where it differs from the session.
        metadata: of the client's `response.create`, echoed.
        now_s: the time on the input's sample clock.
    """

    def __init__(
        self,
        session: Session,
        *,
        modalities: list[str],
        metadata: dict[str, str] | None,
        conversation_id: str,
        now_s: Callable[[], float],
    ) -> None:
        self.id = new_id("resp")
        self.item = Item(new_id("item"), "assistant", [], status="in_progress")
        self._stopped = False
        self.failure: JsonObject | None = None
        self._session = session
        self._speaks = "audio" in modalities
        self._metadata = metadata
        self._conversation_id = conversation_id
        self._now_s = now_s
        self._previous_item_id: str | None = None
        self._audio = OutputStream(session.audio.output.format)
        self._text = ""
        self._samples = 0
        self._first_sent_s: float | None = None

    def started(self, previous_item_id: str | None) -> Iterator[JsonObject]:
        self._previous_item_id = previous_item_id
        yield {"type": "response.created", "response": self._told("in_progress", output=[])}
        yield self._of_output("response.output_item.added", item=self.item.told())
        yield {"type": "conversation.item.added", "previous_item_id": previous_item_id, "item": self.item.told()}
        yield self._of_part("response.content_part.added", part=self._part())

    def clause(self, text: str) -> Iterator[JsonObject]:
        self._text += text
        self.item.clauses.append((text, self._samples))
        yield self._of_part(
            "response.output_audio_transcript.delta" if self._speaks else "response.output_text.delta", delta=text
        )

    def audio(self, samples_24k: FloatArray, *, last: bool = False) -> Iterator[JsonObject]:
        """The audio belongs to the clause before it."""
        self._samples += len(samples_24k)
        if self.item.clauses:
            self.item.clauses[-1] = (self.item.clauses[-1][0], self._samples)
        for delta in self._audio.push(samples_24k, last=last):
            if self._stopped:
                return
            if self._first_sent_s is None:
                self._first_sent_s = self._now_s()
            yield self._of_part("response.output_audio.delta", delta=delta)

    def stop(self) -> None:
        """Tell no more audio."""
        self._stopped = True

    def done(self, reply: ReplyDone, *, cancelled_by_client: bool) -> Iterator[JsonObject]:
        reply.trace.first_sent_s = self._first_sent_s
        self.item.status = "completed" if reply.status == "completed" else "incomplete"
        self.item.content = [
            {"type": "output_audio", "transcript": self._text}
            if self._speaks
            else {"type": "output_text", "text": self._text}
        ]
        if self._speaks:
            if reply.status == "completed":
                yield from self.audio(np.zeros(0, dtype=np.float32), last=True)
            yield self._of_part("response.output_audio.done")
            yield self._of_part("response.output_audio_transcript.done", transcript=self._text)
        else:
            yield self._of_part("response.output_text.done", text=self._text)
        yield self._of_part("response.content_part.done", part=self._part())
        yield self._of_output("response.output_item.done", item=self.item.told())
        yield {"type": "conversation.item.done", "previous_item_id": self._previous_item_id, "item": self.item.told()}
        told = self._told(reply.status, output=[self.item.told()])
        told["status_details"] = self._details(reply.status, cancelled_by_client=cancelled_by_client)
        told["usage"] = usage(reply.prompt_tokens, reply.reply_tokens)
        told["trace"] = trace_object(reply.trace)
        yield {"type": "response.done", "response": told}

    def _told(self, status: str, output: list[JsonObject]) -> JsonObject:
        session = self._session
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": None,
            "output": output,
            "conversation_id": self._conversation_id,
            "output_modalities": ["audio"] if self._speaks else ["text"],
            "max_output_tokens": session.max_output_tokens,
            "audio": {
                "output": {"format": session.audio.output.format.model_dump(), "voice": session.audio.output.voice_name}
            },
            "usage": None,
            "metadata": self._metadata,
        }

    def _details(self, status: str, *, cancelled_by_client: bool) -> JsonObject | None:
        if status == "cancelled":
            return {"type": status, "reason": "client_cancelled" if cancelled_by_client else "turn_detected"}
        if status == "failed":
            return {"type": status, "error": self.failure or {"type": "server_error", "code": "server_error"}}
        return None

    def _part(self) -> JsonObject:
        return {"type": "audio", "transcript": self._text} if self._speaks else {"type": "text", "text": self._text}

    def _of_output(self, kind: str, **fields: object) -> JsonObject:
        return {"type": kind, "response_id": self.id, "output_index": 0, **fields}

    def _of_part(self, kind: str, **fields: object) -> JsonObject:
        return self._of_output(kind, item_id=self.item.id, content_index=0, **fields)
