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
        # On a slow machine a second may come before the answer does, and is then a question of its own; so it repeats.
        microphone = recording("en-01", 2.5, *["en-interruption-06", 2.5] * 6)
        async with visit(f"http://127.0.0.1:{server.port}/", microphone=microphone) as visit:
            await visit.page.get_by_label("Language").select_option("en")
            await visit.page.click("#talk")
            await visit.state("hearing", "replying")
            assert float((await visit.text("#ttfa-figure", r"\d")).split()[0]) > 0.1
            note = await visit.text("#transcript small", "interrupted after")
            played = await visit.text("#heard")
            rows = await visit.page.locator("#waterfall li").all_inner_texts()
            heard = await visit.page.locator("#transcript .you p").first.inner_text()
    seconds, level = re.findall(r"Played (\S+) s at −(\d+) dBFS", played)[0]
    assert 14 < int(level) < 32
    assert note == f"interrupted after {seconds} s"
    told = [event["audio_end_ms"] for event in visit.sent_of("conversation.item.truncate")]
    assert f"{told[-1] / 1_000:.1f}" == seconds
    done = visit.received_of("response.done")[-1]["response"]
    assert done["status"] == "cancelled"
    # The server's trace knows when the sound was sent, and the page when it left for the loudspeaker.
    stages = {row.split("\n")[0]: int(row.split()[-2]) for row in rows}
    sent_ms = (done["trace"]["first_sent_s"] - done["trace"]["speech_end_s"]) * 1_000
    assert stages["Sent"] == pytest.approx(sent_ms, abs=1)
    assert stages["Heard here"] > stages["Sent"]
    assert len(heard.split()) > 5
    assert not visit.received_of("error")
