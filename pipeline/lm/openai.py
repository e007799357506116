"""A language model elsewhere: any server of OpenAI's chat completions (vLLM, llama.cpp, TGI, or a hosted one)."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.lm.base import (
    NO_TOOLS,
    LanguageModelError,
    Message,
    Piece,
    Toolbox,
    estimated_tokens,
)
from pipeline.lm.chat_completions import Answer, chat_request
from pipeline.lm.server_sent_events import EventStream, EventStreamError
from pipeline.stopping import Stop

_CONNECT_S = 5.0
_MOST_CHARACTERS_A_TOKEN = 32
_END = "[DONE]"


class OpenAI:
    """Satisfies `pipeline.lm.base.LanguageModel`.

    What is read ahead of time is up to the server: vLLM, llama.cpp and TGI keep the prompts they have read.
    """

    tells_ends = False

    def __init__(
        self,
        address: str,
        model: str,
        *,
        key: str | None,
        key_variable: str,
        stall_s: float,
        request: Mapping[str, Any],
    ) -> None:
        """Connects to nobody yet.

        Args:
            address: up to the version, as https://api.openai.com/v1.
            key: sent as a bearer token; it is in no message of an error.
            key_variable: the name of the environment variable it came from, for messages.
            stall_s: so long may the server keep silent, before its first token or after one.
            request: fields of the request beside the usual ones, or in their place.
        """
        import httpx2

        self._http = httpx2
        self._address = address.rstrip("/")
        self._model = model
        self._key = key
        self._key_variable = key_variable
        self._stall_s = stall_s
        self._request = dict(request)
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(stall_s, connect=min(_CONNECT_S, stall_s)),
        )
        # A reply is cancelled from another thread in whatever it waits for; of an event loop's tasks that can be done.
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="language-model-client", daemon=True).start()

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int, toolbox: Toolbox = NO_TOOLS, stop: Stop
    ) -> Iterator[Piece]:
        """See `LanguageModel`. To stop it closes the connection, by which the server stops writing."""
        stop.check()
        request = chat_request(messages, max_tokens, toolbox)
        request |= {"model": self._model, "stream_options": {"include_usage": True}, **self._request}
        pieces: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        asking = asyncio.run_coroutine_threadsafe(self._ask(request, pieces.put), self._loop)
        asking.add_done_callback(lambda done: pieces.put(None))
        try:
            with stop.interrupting(asking.cancel):
                while (piece := pieces.get()) is not None:
                    yield piece
            asking.result()
        finally:
            asking.cancel()

    def prepare(self, messages: Sequence[Message], toolbox: Toolbox = NO_TOOLS, *, stop: Stop) -> None:
        """A request that wants no answer would cost as much as one that does."""

    def sentence_ends(self, text: str, *, stop: Stop) -> None:
        """Chat completions go on with no text of the caller's, and many servers tell no probabilities."""

    def count_tokens(self, text: str) -> int:
        """An estimate."""
        return estimated_tokens(text)

    async def _ask(self, request: dict[str, Any], put: Callable[[Piece], None]) -> None:
        http = self._http
        try:
            address = f"{self._address}/chat/completions"
            async with self._client.stream("POST", address, json=request) as response:
                if response.status_code != http.codes.OK:
                    raise self._refusal(response.status_code, response.headers, await _beginning(response))
                await self._read(response, int(request["max_tokens"]), put)
        except http.ConnectTimeout:
            raise self._error(f"did not answer a call within {min(_CONNECT_S, self._stall_s):g} s") from None
        except http.ConnectError as error:
            raise self._error(f"cannot be reached ({error}); start it, or correct base_url in the profile") from None
        except http.TimeoutException:
            raise self._error(f"sent nothing for {self._stall_s:g} s") from None
        except http.InvalidURL as error:
            raise self._error(f"is no address ({error}); correct base_url in the profile") from None
        except http.TransportError as error:
            raise self._error(f"broke off: {error or type(error).__name__}") from None

    async def _read(self, response: Any, max_tokens: int, put: Callable[[Piece], None]) -> None:
        stream, answer, left = EventStream(), Answer(), max_tokens * _MOST_CHARACTERS_A_TOKEN
        async for content in response.aiter_bytes():
            for data in self._events(stream, content):
                if data == _END:
                    answer.over = True
                    break
                text = self._take(answer, data)
                left -= len(text)
                if left < 0:
                    raise self._error(f"does not keep to max_tokens = {max_tokens}")
                if text:
                    put(text)
            else:
                continue
            break
        if not answer.over:
            raise self._error("ended in the middle of an answer")
        for piece in answer.rest():
            put(piece)

    def _events(self, stream: EventStream, content: bytes) -> list[str]:
        try:
            return stream.push(content)
        except EventStreamError as error:
            raise self._error(f"sends no chat completion: {error}") from None

    def _take(self, answer: Answer, data: str) -> str:
        try:
            chunk = json.loads(data)
            if error := chunk.get("error"):
                raise self._error(f"failed in the middle of an answer: {_said(error)}")
            return answer.take(chunk)
        except (ValueError, AttributeError, KeyError, TypeError):
            raise self._error(f"sends no chat completion, but {data[:80]!r}") from None

    def _refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> LanguageModelError:
        try:
            said = _said(json.loads(body).get("error", body.decode(errors="replace")))
        except (ValueError, AttributeError):
            said = body.decode(errors="replace").strip()[:200]
        said = f" ({said})" if said else ""
        match status:
            case 401 | 403:
                remedy = (
                    f"put a good key into {self._key_variable}"
                    if self._key_variable
                    else "name the environment variable of a key as key_variable in the profile"
                )
                return self._error(f"refuses the key it was given: {status}{said}; {remedy}")
            case 404:
                return self._error(
                    f"has no model {self._model!r}, or nothing at this address: 404{said}; "
                    f"GET {self._address}/models tells which it has"
                )
            case 429:
                later = headers.get("Retry-After")
                return self._error(f"has too much to do: 429{said}" + (f"; it says: after {later} s" if later else ""))
        if status >= 500:
            return self._error(f"failed: {status}{said}; its own log says why")
        return self._error(f"refuses the request: {status}{said}")

    def _error(self, what: str) -> LanguageModelError:
        message = f"the language model at {self._address} {what}"
        # Some servers repeat the key that they refuse.
        return LanguageModelError(message.replace(self._key, "***") if self._key else message)


def _said(error: Any) -> str:
    """What a server says of an error, in whichever of the usual forms."""
    message = error.get("message", error) if isinstance(error, dict) else error
    return str(message).strip()[:200]


async def _beginning(response: Any) -> bytes:
    """Of a body that may be of any length."""
    body = b""
    async for content in response.aiter_bytes():
        body += content
        if len(body) > 4096:
            break
    return body
