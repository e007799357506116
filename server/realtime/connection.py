"""One client of the OpenAI Realtime protocol, from `session.created` to the close."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs

from pydantic_core import to_json
from websockets.typing import Data

from pipeline.conversation import Conversation
from pipeline.engine import Engine
from pipeline.errors import AudioBufferFullError, NothingToCommitError
from pipeline.languages import Language
from server.call import Call
from server.duplex import converse
from server.limits import LIMIT_OF_ERROR, Limit, LimitError, TooFastError
from server.realtime.errors import ProtocolError
from server.realtime.events import new_id
from server.realtime.formats import InputStream
from server.realtime.item_requests import ItemRequests
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
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
    parse_event,
)
from server.realtime.part import JsonObject
from server.realtime.response_requests import ResponseRequests
from server.realtime.session import Session
from server.realtime.telling import Telling


async def serve_realtime(call: Call, engine: Engine, languages: tuple[Language, ...], query: str) -> None:
    """Hold one conversation until the client leaves.

    Args:
        languages: what is listened for while the session names no language.
        query: of the URL; `model` is echoed in the session.
    """
    session = Session(model=named_model(query) or engine.profile.name)
    async with call.conversation(engine, session.conversation_settings(languages)) as conversation:
        await RealtimeConnection(call, conversation, session, languages).run()


def named_model(query: str) -> str | None:
    """The `model` of a URL's query; what of it is not ASCII, and not escaped either, becomes question marks."""
    return parse_qs(query.encode("ascii", "replace").decode()).get("model", [None])[0]


def last_words(error: LimitError) -> str:
    """What a client is told before its connection is closed for a limit."""
    return _told(ProtocolError(error.code, str(error)).told())


class RealtimeConnection:
    def __init__(
        self, websocket: Call, conversation: Conversation, session: Session, languages: tuple[Language, ...]
    ) -> None:
        self._websocket = websocket
        self._conversation = conversation
        self._languages = languages
        self._session_id = new_id("sess")
        items = Items(websocket.limits.items, websocket.limits.items_bytes)
        self._telling = Telling(session, items, conversation.input_position_s)
        self._item_requests = ItemRequests(conversation, items)
        self._response_requests = ResponseRequests(conversation, items, self._telling, languages)
        self._input = InputStream(session.audio.input.format)

    async def run(self) -> None:
        await converse(self._hear(), self._tell())

    async def _hear(self) -> None:
        await self._send(self._session_event("session.created"))
        async for message in self._websocket:
            try:
                await self._serve(message)
            except ProtocolError as error:
                self._websocket.metrics.errors.labels(error.code).inc()
                if limit := LIMIT_OF_ERROR.get(error.code):
                    self._websocket.metrics.limits.labels(limit).inc()
                await self._send(error.told())

    async def _tell(self) -> None:
        async for event in self._conversation.events():
            await self._send(*self._telling.told(event))
            await self._make_room()

    async def _serve(self, message: Data) -> None:
        """Whatever brings no audio, broken messages too, may come only so often."""
        try:
            event = parse_event(message, self._websocket.limits)
        except ProtocolError:
            self._note_event(message)
            raise
        try:
            if not isinstance(event, AudioAppend):
                self._note_event(message)
            await self._take(event)
        except ProtocolError as error:
            if isinstance(event, AudioAppend):
                self._note_event(message)
            error.event_id = error.event_id or event.event_id
            raise

    def _note_event(self, message: Data) -> None:
        try:
            self._websocket.note_event(message)
        except TooFastError as error:
            raise ProtocolError(error.code, str(error)) from None

    async def _make_room(self) -> None:
        """Let the oldest items go when there are too many, and say so."""
        for event in self._item_requests.make_room():
            self._websocket.metrics.limits.labels(Limit.ITEMS).inc()
            await self._send(event)

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
                await self._send(*self._item_requests.create(event))
                await self._make_room()
            case ItemDelete():
                await self._send(*self._item_requests.delete(event))
            case ItemRetrieve():
                await self._send(*self._item_requests.retrieve(event))
            case ItemTruncate():
                await self._send(*self._item_requests.truncate(event))
            case ResponseCreate():
                await self._response_requests.create(event)
            case ResponseCancel():
                await self._response_requests.cancel(event)

    async def _update_session(self, patch: Session) -> None:
        try:
            session = self._telling.session.updated(patch)
        except ValueError as error:
            raise ProtocolError("invalid_value", str(error), param="session.tool_choice") from None
        if session.audio.input.format != self._input.format:
            self._input = InputStream(session.audio.input.format)
        self._telling.session = session
        self._conversation.settings = session.conversation_settings(self._languages)
        await self._send(self._session_event("session.updated"))

    async def _append(self, audio: str) -> None:
        try:
            for number, samples_16k in enumerate(self._input.push(audio)):
                if number:
                    # A huge append must not keep the event loop from the other conversations.
                    await asyncio.sleep(0)
                await self._conversation.feed(samples_16k)
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

    def _session_event(self, kind: str) -> JsonObject:
        session = self._telling.session.model_dump()
        return {"type": kind, "session": {"id": self._session_id, "object": "realtime.session", **session}}

    async def _send(self, *events: JsonObject) -> None:
        for event in events:
            await self._websocket.send(_told(event))


def _told(event: JsonObject) -> str:
    return to_json({"event_id": new_id("event"), **event}).decode()
