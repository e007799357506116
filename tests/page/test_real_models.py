"""The page and the embedded models, echoing what they hear: a recording in, a voice out, and a second over it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.engine import Engine
from pipeline.profiles import load_profile
from pipeline.weights import WeightStore
from server.app import Server, ServerSettings


@pytest.mark.models
@pytest.mark.asyncio
async def test_a_question_is_answered_aloud_and_the_answer_interrupted(
    weights: WeightStore, visit: Any, recording: Any
) -> None:
    async def load(on_loading: Callable[[str], None]) -> Engine:
        return await Engine.load(load_profile("embedded").with_echo(), weights, on_loading=on_loading)

    async with Server(load, ServerSettings(port=0)) as server:
        await server.ready()
        microphone = recording("en-01", 2.5, "en-interruption-06")
        async with visit(f"http://127.0.0.1:{server.port}/", microphone=microphone) as visit:
            await visit.page.get_by_label("Language").select_option("en")
            await visit.page.click("#talk")
            await visit.state("hearing", "replying")
            shown_s = float((await visit.text("#ttfa-figure", r"\d")).split()[0])
            await visit.state("hearing")
            note = await visit.text("#transcript small")
            played = await visit.text("#heard")
            turns = await visit.page.locator("#transcript li p").all_inner_texts()
            told = visit.sent_of("conversation.item.truncate")[0]
    done = visit.received_of("response.done")[0]["response"]
    assert done["status"] == "cancelled"
    # The page's clock begins at the last word and the server's trace knows when it sent; the sound leaves after that.
    assert shown_s > done["trace"]["first_sent_s"] - done["trace"]["speech_end_s"]
    seconds, level = re.findall(r"Played (\S+) s at −(\d+) dBFS", played)[0]
    assert 14 < int(level) < 32
    assert note == f"interrupted after {told['audio_end_ms'] / 1_000:.1f} s"
    assert float(seconds) == pytest.approx(told["audio_end_ms"] / 1_000, abs=0.051)
    assert told["audio_end_ms"] > 300
    assert "?" in turns[0] or len(turns[0].split()) > 5
    assert not visit.received_of("error")
