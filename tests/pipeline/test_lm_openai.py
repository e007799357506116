"""A language model elsewhere: what is asked of it, what is made of its answers, and its failures in words."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from pipeline.lm.base import CutOff, LanguageModelError, Message, Piece, Tool, Toolbox, ToolCall, Usage
from pipeline.lm.openai import OpenAI
from pipeline.stopping import Stop, Stopped
from tests.pipeline.conformance.chat_server import Handler, chat_server

QUESTION = [Message("system", "Be brief."), Message("user", "How is it?")]
KEY = "sk-secret-123"


def model(address: str, *, key: str | None = KEY, stall_s: float = 20.0, **request: Any) -> OpenAI:
    return OpenAI(address, "small", key=key, key_variable="S2S_LM_KEY", stall_s=stall_s, request=request)


def pieces(engine: OpenAI, most: int = 9, toolbox: Toolbox | None = None) -> list[Piece]:
    return list(engine.reply(QUESTION, max_tokens=most, toolbox=toolbox or Toolbox(), stop=Stop()))


def failure(answer: Callable[[Handler, dict[str, Any]], None], **settings: Any) -> str:
    with chat_server(answer) as server, pytest.raises(LanguageModelError) as failed:
        pieces(model(server.address, **settings))
    assert KEY not in str(failed.value)
    assert server.address in str(failed.value)
    return str(failed.value)


def test_it_is_asked_as_openai_is() -> None:
    with chat_server() as server:
        toolbox = Toolbox((Tool("look", "Looks.", {"type": "object"}),))
        list(pieces(model(server.address, chat_template_kwargs={"enable_thinking": False}), toolbox=toolbox))
        ((path, headers, request),) = server.requests
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert request == {
        "model": "small",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How is it?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "temperature": 0.0,
        "tools": [
            {
                "type": "function",
                "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}},
            }
        ],
        "tool_choice": "auto",
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_without_a_key_none_is_sent() -> None:
    with chat_server() as server:
        pieces(model(server.address, key=None))
        ((_, headers, _),) = server.requests
    assert "Authorization" not in headers


def test_pieces_come_while_the_server_still_writes() -> None:
    heard = threading.Event()

    def answer(handler: Handler, request: dict[str, Any]) -> None:
        handler.begin()
        handler.delta({"content": "It"})
        heard.wait()
        handler.delta({"content": " rains."}, "stop")
        handler.done()

    with chat_server(answer) as server:
        told = model(server.address).reply(QUESTION, max_tokens=9, stop=Stop())
        assert next(told) == "It"
        heard.set()
        assert list(told) == [" rains."]


def test_calls_the_end_and_the_figures_come_in_this_order() -> None:
    def answer(handler: Handler, request: dict[str, Any]) -> None:
        handler.begin()
        handler.delta({"content": "Let me see.", "tool_calls": None})
        handler.delta({"tool_calls": [{"index": 0, "id": "c0", "function": {"name": "look", "arguments": '{"a'}}]})
        handler.event({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 5}})
        handler.delta({"tool_calls": [{"index": 0, "function": {"arguments": '": 1}'}}]}, "length")
        handler.done()

    with chat_server(answer) as server:
        assert pieces(model(server.address)) == [
            "Let me see.",
            ToolCall("c0", "look", '{"a": 1}'),
            CutOff(),
            Usage(11, 5),
        ]


def test_what_comes_after_the_end_is_not_waited_for() -> None:
    def answer(handler: Handler, request: dict[str, Any]) -> None:
        handler.begin()
        handler.delta({"content": "Well."}, "stop")
        handler.done()
        handler.chat.closing.wait()

    with chat_server(answer) as server:
        assert pieces(model(server.address)) == ["Well."]


def test_an_answer_that_ends_without_done_is_whole_if_it_says_that_it_is() -> None:
    def answer(handler: Handler, request: dict[str, Any]) -> None:
        handler.begin()
        handler.delta({"content": "Well."}, "stop")

    with chat_server(answer) as server:
        assert pieces(model(server.address)) == ["Well."]


def endless(handler: Handler, request: dict[str, Any]) -> None:
    handler.begin()
    while True:
        handler.delta({"content": "on"})


def test_a_closed_answer_closes_the_connection() -> None:
    with chat_server(endless) as server:
        with closing(model(server.address).reply(QUESTION, max_tokens=10**6, stop=Stop())) as told:  # type: ignore[type-var]  # a generator
            next(told)
        assert server.left.wait(20)


@pytest.mark.parametrize("heard", [0, 3])
def test_a_stop_ends_the_wait_and_the_connection(heard: int) -> None:
    arrived = threading.Event()

    def answer(handler: Handler, request: dict[str, Any]) -> None:
        if heard:
            handler.begin()
            for _ in range(heard):
                handler.delta({"content": "on"})
        arrived.set()
        # The client goes while nothing is being sent: that shows in what is read.
        handler.rfile.read(1)
        handler.chat.left.set()

    with chat_server(answer) as server:
        stop = Stop()
        told = model(server.address).reply(QUESTION, max_tokens=99, stop=stop)
        assert [next(told) for _ in range(heard)] == ["on"] * heard
        threading.Thread(target=lambda: (arrived.wait(20), stop.tell())).start()
        with pytest.raises(Stopped):
            next(told)
        assert server.left.wait(20)


def test_one_that_was_stopped_before_asks_nobody() -> None:
    with chat_server() as server:
        stop = Stop()
        stop.tell()
        with pytest.raises(Stopped):
            list(model(server.address).reply(QUESTION, max_tokens=9, stop=stop))
        pieces(model(server.address))
        assert len(server.requests) == 1


def refusal(status: int, body: bytes = b"", **headers: str) -> Callable[[Handler, dict[str, Any]], None]:
    return lambda handler, request: handler.refuse(status, body, **headers)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_its_variable_and_not_the_key(status: int) -> None:
    said = failure(refusal(status, f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode()))
    assert f"refuses the key it was given: {status} (bad key ***); put a good key into S2S_LM_KEY" in said


def test_a_model_that_is_not_there_says_where_to_look() -> None:
    said = failure(refusal(404, b'{"message": "no model small"}'))
    assert "has no model 'small'" in said
    assert "/v1/models tells which it has" in said


def test_too_many_requests_say_how_long_to_wait() -> None:
    said = failure(refusal(429, b'{"error": "slow down"}', Retry_After="7"))
    assert "too much to do: 429 (slow down); it says: after 7 s" in said


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_failing_server_is_named(status: int) -> None:
    assert f"failed: {status} (<html>oops); its own log says why" in failure(refusal(status, b"<html>oops"))


def test_a_refused_request_says_why() -> None:
    assert "refuses the request: 400 (too long)" in failure(refusal(400, b'{"error": {"message": "too long"}}'))


def test_a_body_without_end_is_not_read_to_it() -> None:
    assert "failed: 500" in failure(refusal(500, b"x" * (1 << 22)))


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(LanguageModelError, match=r"cannot be reached .*; start it, or correct base_url"):
            pieces(model(f"http://127.0.0.1:{taken.getsockname()[1]}/v1"))


def test_an_address_that_is_none() -> None:
    with pytest.raises(LanguageModelError, match="correct base_url"):
        pieces(model("http://[::1/v1"))


def test_a_server_that_stalls() -> None:
    def answer(handler: Handler, request: dict[str, Any]) -> None:
        handler.begin()
        handler.delta({"content": "It"})
        handler.chat.closing.wait()

    assert "sent nothing for 0.3 s" in failure(answer, stall_s=0.3)


def test_a_connection_that_breaks_off_in_the_middle() -> None:
    def answer(handler: Handler, request: dict[str, Any]) -> None:
        handler.begin()
        handler.delta({"content": "It"})

    assert "ended in the middle of an answer" in failure(answer)


def test_an_error_in_the_middle_of_an_answer() -> None:
    def answer(handler: Handler, request: dict[str, Any]) -> None:
        handler.begin()
        handler.delta({"content": "It"})
        handler.event({"error": {"message": "out of memory"}})

    assert "failed in the middle of an answer: out of memory" in failure(answer)


@pytest.mark.parametrize(
    "sent",
    ["data: {\n\n", "data: []\n\n", 'data: {"choices": [3]}\n\n', 'data: {"usage": {"x": 1}}\n\n', "data: 7\n\n"],
)
def test_what_is_no_chat_completion_is_shown(sent: str) -> None:
    def answer(handler: Handler, request: dict[str, Any]) -> None:
        handler.begin()
        handler.send(f"data: {sent}\n\n")

    assert "sends no chat completion" in failure(answer)


def test_an_event_without_end_is_refused() -> None:
    def answer(handler: Handler, request: dict[str, Any]) -> None:
        handler.begin()
        handler.send("data: " + "x" * (1 << 21))

    assert "sends no chat completion: an event has more than" in failure(answer)


def test_a_server_that_does_not_keep_to_the_length_is_left() -> None:
    with chat_server(endless) as server:
        with pytest.raises(LanguageModelError, match="does not keep to max_tokens = 9"):
            pieces(model(server.address))
        assert server.left.wait(20)


def test_conversations_do_not_wait_for_each_other() -> None:
    def answer(handler: Handler, request: dict[str, Any]) -> None:
        handler.begin()
        meeting.wait(20)
        handler.delta({"content": "Well."}, "stop")
        handler.done()

    meeting = threading.Barrier(4)
    with chat_server(answer) as server:
        engine = model(server.address)
        told: list[list[Piece]] = []
        threads = [threading.Thread(target=lambda: told.append(pieces(engine))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert told == [["Well."]] * 4
