"""Function calls of the language model as the protocol tells them, and their results."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.lm.base import Message, ToolCall
from pipeline.testing import Prompts, Script, scripted_engine
from server.realtime.tools import MOST_TOOL_BYTES, MOST_TOOLS

LOOK = {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}}
LISTEN = {"type": "function", "name": "listen", "description": None, "parameters": None}
CALL = ToolCall("call_1", "look", '{"where": "outside"}')


def result(call_id: str = "call_1", output: str = "rain") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output}


@pytest.mark.asyncio
async def test_a_call_is_told_and_its_result_answered(running: Any, talk: Any) -> None:
    prompts = Prompts(["Let me see.", CALL], "It rains.")
    async with running(scripted_engine(Script(heard=["how is it"], reply=prompts))) as server, talk(server) as talker:
        assert (await talker.update(tools=[LOOK]))["tools"] == [LOOK]
        await talker.ask()
        done = (await talker.until("response.done"))["response"]
        call = done["output"][1]
        assert done["status"] == "completed"
        assert (call["type"], call["status"], call["name"], call["call_id"]) == (
            "function_call",
            "completed",
            "look",
            "call_1",
        )
        assert json.loads(call["arguments"]) == {"where": "outside"}
        told = talker.types()
        assert told[told.index("conversation.item.done", told.index("response.content_part.done")) :] == [
            "conversation.item.done",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
        ]
        (arguments,) = talker.of("response.function_call_arguments.done")
        assert (arguments["name"], arguments["item_id"], arguments["output_index"]) == ("look", call["id"], 1)
        await talker.send("conversation.item.create", item=result())
        added = await talker.until("conversation.item.added")
        assert (added["previous_item_id"], added["item"]["output"]) == (call["id"], "rain")
        await talker.send("response.create")
        answer = (await talker.until("response.done"))["response"]
    assert answer["output"][0]["content"][0]["transcript"] == "It rains."
    assert prompts.seen[-1][1:] == [
        Message("user", "how is it"),
        Message("assistant", "Let me see."),
        Message("assistant", "", calls=(CALL,)),
        Message("tool", "rain", call_id="call_1"),
    ]


@pytest.mark.asyncio
async def test_a_call_without_words_is_all_of_the_response(running: Any, talk: Any) -> None:
    async with running(scripted_engine(Script(reply=lambda messages: [CALL]))) as server, talk(server) as talker:
        await talker.send("response.create", response={"tools": [LOOK]})
        done = (await talker.until("response.done"))["response"]
    assert [item["type"] for item in done["output"]] == ["function_call"]
    assert not talker.of("response.content_part.added")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("session", "response", "offered", "required"),
    [
        ({"tools": [LOOK, LISTEN]}, {}, ["look", "listen"], False),
        ({"tools": [LOOK, LISTEN], "tool_choice": "none"}, {}, [], False),
        ({"tools": [LOOK, LISTEN], "tool_choice": "required"}, {}, ["look", "listen"], True),
        ({"tool_choice": "required"}, {}, [], False),
        ({"tools": [LOOK, LISTEN]}, {"tool_choice": {"type": "function", "name": "listen"}}, ["listen"], True),
        ({"tools": [LOOK, LISTEN]}, {"tools": []}, [], False),
        ({"tools": [LOOK]}, {"tools": [LISTEN], "tool_choice": "required"}, ["listen"], True),
    ],
)
async def test_the_language_model_is_shown_what_it_may_call(
    running: Any, talk: Any, session: Any, response: Any, offered: list[str], required: bool
) -> None:
    script = Script()
    async with running(scripted_engine(script)) as server, talk(server) as talker:
        await talker.update(**session)
        await talker.send("response.create", response=response)
        await talker.until("response.done")
    ((_, toolbox),) = script.asked
    assert ([tool.name for tool in toolbox.tools], toolbox.required) == (offered, required)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("tools", "says"),
    [
        ([{**LOOK, "name": f"look_{number}"} for number in range(MOST_TOOLS + 1)], str(MOST_TOOLS)),
        ([{**LOOK, "description": "x" * MOST_TOOL_BYTES}], str(MOST_TOOL_BYTES)),
        ([LOOK, LOOK], "'look'"),
        ([{**LOOK, "name": "look around"}], "pattern"),
    ],
    ids=["many", "large", "twice", "name"],
)
async def test_too_many_too_large_or_wrong_tools_are_refused(running: Any, talk: Any, tools: Any, says: str) -> None:
    async with running() as server, talk(server) as talker:
        await talker.send("session.update", session={"type": "realtime", "tools": tools}, event_id="mine")
        error = (await talker.until("error"))["error"]
        code = "too_many_tools" if says.isdigit() else "invalid_value"
        assert (error["code"], error["event_id"]) == (code, "mine")
        assert error["param"].startswith("session.tools")
        assert says in error["message"]
        assert (await talker.update())["tools"] == []


@pytest.mark.asyncio
async def test_a_client_can_write_calls_and_results_of_its_own(running: Any, talk: Any) -> None:
    prompts = Prompts("It rained.")
    call = {"type": "function_call", "id": "my_call", "call_id": "c7", "name": "look", "arguments": "{}"}
    async with running(scripted_engine(Script(reply=prompts))) as server, talk(server) as talker:
        await talker.send("conversation.item.create", item=call)
        added = (await talker.until("conversation.item.added"))["item"]
        assert (added["id"], added["call_id"], added["status"]) == ("my_call", "c7", "completed")
        await talker.send("conversation.item.create", item=result("c7", ""))
        await talker.until("conversation.item.done")
        await talker.send("response.create")
        await talker.until("response.done")
    assert prompts.seen[-1][1:] == [
        Message("assistant", "", calls=(ToolCall("c7", "look", "{}"),)),
        Message("tool", "", call_id="c7"),
    ]
