"""One client of the OpenAI Realtime protocol, from `session.created` to the close."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from urllib.parse import parse_qs

from pipeline.conversation import Conversation
from pipeline.engine import Engine
from pipeline.errors import AudioBufferFullError, NothingToCommitError, ReplyActiveError
from pipeline.languages import Language
from server.call import Call
from server.duplex import converse
from server.limits import LimitError, TooFastError
from server.realtime.events import error_event, new_id
from server.realtime.formats import InputStream
from server.realtime.items import Items
from server.realtime.parse import (
    AudioAppend,
    AudioClear,
    AudioCommit,
    ClientEvent,
    ItemCreate,
    ItemDelete,
    ItemRetrieve,
    ItemTruncate,
    OutputAudioClear,
    ProtocolError,
    ResponseCancel,
    ResponseCreate,
    ResponseSettings,
    SessionUpdate,
    parse_event,
)
from server.realtime.session import JsonObject, Session
from server.realtime.telling import Telling


async def serve_realtime(call: Call, engine: Engine, languages: tuple[Language, ...], query: str) -> None:
    """Hold one conversation until the client leaves.

    Args:
        languages: what is listened for while the session names no language.
        query: of the URL; `model` is echoed in the session.
    """
    model = parse_qs(query).get("model", [engine.profile.name])[0]
    session = Session(model=model)
    async with call.conversation(engine, session.conversation_settings(languages)) as conversation:
        await RealtimeConnection(call, conversation, session, languages).run()


def last_words(error: LimitError) -> str:
    """What a client is told before its connection is closed for a limit."""
    return _told(error_event(ProtocolError(error.code, str(error))))


class RealtimeConnection:
    def __init__(
        self, websocket: Call, conversation: Conversation, session: Session, languages: tuple[Language, ...]
    ) -> None:
        self._websocket = websocket
        self._conversation = conversation
        self._languages = languages
        self._session_id = new_id("sess")
        self._items = Items()
        self._telling = Telling(session, self._items, conversation.input_position_s)
        self._input = InputStream(session.audio.input.format)

    async def run(self) -> None:
        await converse(self._hear(), self._tell())

    async def _hear(self) -> None:
        await self._send(self._session_event("session.created"))
        async for message in self._websocket:
            event_id = None
            try:
                event = parse_event(message)
                event_id = event.event_id
                await self._take(event)
            except ProtocolError as error:
                error.event_id = error.event_id or event_id
                self._websocket.metrics.errors.labels(error.code).inc()
                await self._send(error_event(error))

    async def _tell(self) -> None:
        async for event in self._conversation.events():
            for message in self._telling.told(event):
                await self._send(message)

    async def _take(self, event: ClientEvent) -> None:
        match event:
            case SessionUpdate():
                await self._update_session(event.session)
            case AudioAppend():
                await self._append(event.audio)
            case AudioCommit():
                await self._commit()
            case AudioClear():
                await self._conversation.clear()
                await self._send({"type": "input_audio_buffer.cleared"})
            case OutputAudioClear():
                raise ProtocolError(
                    "unsupported_event",
                    "output_audio_buffer.clear is of WebRTC; here, stop your own playback and send response.cancel",
                )
            case ItemCreate():
                item, previous, text = self._items.create(event)
                item.message = self._conversation.add_message(event.item.role, text)
                await self._send({"type": "conversation.item.added", "previous_item_id": previous, "item": item.told()})
                await self._send({"type": "conversation.item.done", "previous_item_id": previous, "item": item.told()})
            case ItemDelete(item_id=item_id):
                item = self._items.delete(item_id)
                if item.message is not None:
                    self._conversation.forget_message(item.message)
                await self._send({"type": "conversation.item.deleted", "item_id": item_id})
            case ItemRetrieve(item_id=item_id):
                await self._send({"type": "conversation.item.retrieved", "item": self._items.retrieve(item_id).told()})
            case ItemTruncate(item_id=item_id, content_index=content_index, audio_end_ms=audio_end_ms):
                item, heard = self._items.truncate(item_id, content_index, audio_end_ms)
                if item.message is not None:
                    self._conversation.truncate_message(item.message, heard)
                await self._send(
                    {
                        "type": "conversation.item.truncated",
                        "item_id": item_id,
                        "content_index": content_index,
                        "audio_end_ms": audio_end_ms,
                    }
                )
            case ResponseCreate():
                await self._create_response(event)
            case ResponseCancel():
                await self._cancel_response(event)

    async def _update_session(self, patch: Session) -> None:
        session = self._telling.session.updated(patch)
        if session.audio.input.format != self._input.format:
            self._input = InputStream(session.audio.input.format)
        self._telling.session = session
        self._conversation.settings = session.conversation_settings(self._languages)
        await self._send(self._session_event("session.updated"))

    async def _append(self, audio: str) -> None:
        try:
            for samples_16k in self._input.push(audio):
                await self._conversation.feed(samples_16k)
                # A huge append must not keep the event loop from the other conversations.
                await asyncio.sleep(0)
        except AudioBufferFullError as error:
            raise ProtocolError("input_audio_buffer_full", str(error), param="audio") from None
        except TooFastError as error:
            raise ProtocolError(error.code, str(error), param="audio") from None

    async def _commit(self) -> None:
        # A full buffer is what a commit empties; the filter's tail is then no loss.
        with suppress(AudioBufferFullError, TooFastError):
            await self._conversation.feed(self._input.flush())
        try:
            await self._conversation.commit()
        except NothingToCommitError as error:
            raise ProtocolError("input_audio_buffer_commit_empty", str(error)) from None

    async def _create_response(self, event: ResponseCreate) -> None:
        asked = event.response or ResponseSettings()
        if asked.conversation != "auto" or asked.input:
            raise ProtocolError(
                "unsupported_value",
                "responses outside the conversation are not served; leave 'conversation' and 'input' out",
                param="response.conversation",
            )
        speak = "audio" in asked.output_modalities if asked.output_modalities else None
        try:
            await self._conversation.respond(instructions=asked.instructions, speak=speak)
        except ReplyActiveError:
            raise ProtocolError(
                "conversation_already_has_active_response",
                "a response is under way; wait for its response.done, or send response.cancel first",
            ) from None
        # The task of the reply has not run yet, so nothing of it has been told under what was asked before.
        self._telling.asked = asked

    async def _cancel_response(self, event: ResponseCancel) -> None:
        response = self._telling.response
        other = event.response_id is not None and (response is None or response.id != event.response_id)
        if other or not self._conversation.reply_active:
            raise ProtocolError("response_cancel_not_active", "no such response is under way; nothing was cancelled")
        self._telling.cancel()
        await self._conversation.cancel_reply()

    def _session_event(self, kind: str) -> JsonObject:
        session = self._telling.session.model_dump()
        return {"type": kind, "session": {"id": self._session_id, "object": "realtime.session", **session}}

    async def _send(self, event: JsonObject) -> None:
        await self._websocket.send(_told(event))


def _told(event: JsonObject) -> str:
    return json.dumps({"event_id": new_id("event"), **event}, ensure_ascii=False)
