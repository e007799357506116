"""Conversations in a browser, with scripted models: what is heard, what is shown and what is sent."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from pipeline.testing import Script

LONG_REPLY = "It is sunny in Lisbon, and warm for the season. Towards the evening there may be some wind from the sea."


def script(reply: str = "Hi there, how are you?") -> Script:
    """Takes its time as models do, so that the stages of a turn have a length; hears words in whatever is said."""
    return Script(partly="hello", reply=lambda _: reply, hearing_s=0.1, thinking_s=0.01, speaking_s=0.05)


def address(server: Any, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{server.port}/"


@pytest.mark.asyncio
async def test_a_reply_is_heard_and_the_turn_is_drawn(running: Any, visit: Any, recording: Any) -> None:
    async with running(script()) as server, visit(address(server), microphone=recording("en-01")) as visit:
        await visit.page.click("#talk")
        await visit.state("hearing", "replying", "listening")
        played = await visit.text("#heard")
        shown_s = float((await visit.text("#ttfa-figure", r"\d")).split()[0])
        turns = await visit.page.locator("#transcript li").all_inner_texts()
        names = await visit.page.locator("#waterfall li span:first-child").all_inner_texts()
        ends_ms = [
            int(text.split()[0]) for text in await visit.page.locator("#waterfall span:last-child").all_inner_texts()
        ]
    # 22 characters of the scripted voice, a tone with an amplitude of 0.1, are 1.1 s at 20 log(0.1 / sqrt(2)) dBFS.
    assert played == "Played 1.1 s at −23 dBFS, without a gap."
    assert [" ".join(turn.split()) for turn in turns] == ["You hello", "Reply Hi there, how are you?"]
    assert names[0] == "Pause noticed"
    assert names[-1] == "Heard here"
    assert ends_ms[-1] == pytest.approx(shown_s * 1_000, abs=6)
    trace = visit.received_of("response.done")[0]["response"]["trace"]
    committed_ms = (trace["committed_s"] - trace["speech_end_s"]) * 1_000
    assert ends_ms[names.index("Turn taken for over")] == pytest.approx(committed_ms, abs=1)
    assert ends_ms[-1] > committed_ms
    session = visit.sent_of("session.update")[0]["session"]
    assert session["audio"]["input"]["turn_detection"] == {"type": "semantic_vad"}
    assert session["audio"]["input"]["transcription"] == {"language": "auto"}


@pytest.mark.asyncio
async def test_whoever_speaks_over_a_reply_silences_it_and_the_server_learns_what_was_heard(
    running: Any, visit: Any, recording: Any
) -> None:
    microphone = recording("en-01", 2.5, "en-interruption-06")
    async with running(script(LONG_REPLY)) as server, visit(address(server), microphone=microphone) as visit:
        await visit.page.click("#talk")
        await visit.state("replying", "hearing")
        note = await visit.text("#transcript small")
        assert await visit.page.eval_on_selector("#level-reply", "bar => new DOMMatrix(bar.style.transform).a") < 0.01
        await visit.state("replying")
        told = visit.sent_of("conversation.item.truncate")[0]
        assert [event["audio_end_ms"] for event in visit.received_of("conversation.item.truncated")] == [
            told["audio_end_ms"]
        ]
    seconds = float(re.findall(r"interrupted after (\S+) s", note)[0])
    assert seconds == pytest.approx(told["audio_end_ms"] / 1_000, abs=0.051)
    assert 0.5 < seconds < len(LONG_REPLY) * 0.05 - 0.5
    assert visit.received_of("response.done")[0]["response"]["status"] == "cancelled"
    assert not visit.received_of("error")


@pytest.mark.asyncio
async def test_escape_stops_a_reply(running: Any, visit: Any, recording: Any) -> None:
    async with running(script(LONG_REPLY)) as server, visit(address(server), microphone=recording("en-01")) as visit:
        await visit.page.click("#talk")
        await visit.state("replying")
        await visit.page.keyboard.press("Escape")
        await visit.state("listening")
        await visit.text("#transcript small", "interrupted")
        assert len(visit.sent_of("response.cancel")) == 1
        assert len(visit.sent_of("conversation.item.truncate")) == 1
        while not visit.received_of("conversation.item.truncated"):
            await asyncio.sleep(0.01)
    assert not visit.received_of("error")


@pytest.mark.asyncio
async def test_a_turn_is_said_while_the_space_bar_is_held(running: Any, visit: Any, recording: Any) -> None:
    async with running(script()) as server, visit(address(server), microphone=recording("en-01")) as visit:
        keyboard = visit.page.keyboard
        await visit.page.get_by_role("radio", name="when I let go").check()
        await visit.page.get_by_role("button", name="Start").focus()
        await keyboard.press("Enter")
        await visit.state("waiting")
        await keyboard.down("Space")
        await visit.state("hearing")
        assert await visit.page.get_by_role("button", name="Release").is_visible()
        await visit.page.wait_for_function(
            "() => new DOMMatrix(document.getElementById('level-you').style.transform).a > 0.3"
        )
        await asyncio.sleep(1.0)
        await keyboard.up("Space")
        await visit.state("replying", "waiting")
        assert "from letting go" in await visit.text("#ttfa", r"\d")
        assert (await visit.page.locator("#waterfall li span:first-child").all_inner_texts())[
            0
        ] == "First word of reply"
        kinds = [event["type"] for event in visit.sent]
    assert visit.sent_of("session.update")[0]["session"]["audio"]["input"]["turn_detection"] is None
    assert kinds[-2:] == ["input_audio_buffer.commit", "response.create"]
    assert not visit.received_of("error")


@pytest.mark.asyncio
async def test_whoever_cannot_hold_a_key_presses_the_button_twice(running: Any, visit: Any, recording: Any) -> None:
    async with running(script()) as server, visit(address(server), microphone=recording("en-01")) as visit:
        await visit.page.get_by_role("radio", name="when I let go").check()
        await visit.page.get_by_role("button", name="Start").press("Enter")
        await visit.state("waiting")
        await visit.page.get_by_role("button", name="Hold to talk").press("Enter")
        await visit.state("hearing")
        await asyncio.sleep(1.0)
        await visit.page.get_by_role("button", name="Release").press("Enter")
        await visit.state("replying", "waiting")
    assert not visit.received_of("error")


@pytest.mark.asyncio
async def test_a_key_that_is_let_go_at_once_is_explained(running: Any, visit: Any) -> None:
    async with running(script()) as server, visit(address(server)) as visit:
        await visit.page.get_by_role("radio", name="when I let go").check()
        await visit.page.click("#talk")
        await visit.state("waiting")
        await visit.page.keyboard.press("Space")
        assert "too short" in await visit.text("#trouble-title")


@pytest.mark.asyncio
async def test_a_muted_microphone_sends_silence(running: Any, visit: Any, recording: Any) -> None:
    async with running(script()) as server, visit(address(server), microphone=recording("en-01")) as visit:
        await visit.page.click("#talk")
        await visit.state("listening")
        await visit.page.get_by_role("button", name="Mute").click()
        await visit.state("muted")
        await asyncio.sleep(2.0)
        assert not visit.received_of("input_audio_buffer.speech_started")
        await visit.page.get_by_role("button", name="Unmute").click()
        await visit.state("hearing")


@pytest.mark.asyncio
async def test_language_and_voice_are_chosen_before_and_during_a_call(running: Any, visit: Any) -> None:
    async with running(script()) as server, visit(address(server)) as visit:
        page = visit.page
        await page.get_by_label("Language").select_option("fr")
        await page.click("#talk")
        await visit.state("listening")
        await page.get_by_label("Voice").select_option("scripted")
        assert await page.locator("#voice optgroup").all_inner_texts() == ["scripted"]
        await page.get_by_label("Language").select_option("ko")
        while len(visit.received_of("session.updated")) < 3:
            await asyncio.sleep(0.01)
    sessions = [event["session"]["audio"] for event in visit.received_of("session.updated")]
    assert [(audio["input"]["transcription"]["language"], audio["output"]["voice"]) for audio in sessions] == [
        ("fr", "default"),
        ("fr", "scripted"),
        ("ko", "scripted"),
    ]


@pytest.mark.asyncio
async def test_a_call_that_is_ended_leaves_nothing_open(running: Any, visit: Any) -> None:
    async with running(script()) as server, visit(address(server)) as visit:
        await visit.page.click("#talk")
        await visit.state("listening")
        await visit.page.get_by_role("button", name="End").click()
        await visit.state("idle")
        while server.sessions:
            await asyncio.sleep(0.01)
        await visit.page.click("#talk")
        await visit.state("listening")
        assert server.sessions == 1


@pytest.mark.asyncio
async def test_every_control_has_a_name_and_is_reached_by_the_keyboard(running: Any, visit: Any) -> None:
    async with running(script()) as server, visit(address(server)) as visit:
        tree = await visit.page.locator("body").aria_snapshot()
        reached = []
        for _ in range(6):
            await visit.page.keyboard.press("Tab")
            reached.append(await visit.page.evaluate("document.activeElement.id || document.activeElement.value"))
    for role_and_name in ('button "Start"', 'combobox "Language"', 'combobox "Voice"', 'log "Conversation"', "status"):
        assert role_and_name in tree
    assert 'radio "when I pause" [checked]' in tree
    assert [name for name in ("talk", "language", "voice", "pause") if name in reached] == [
        "talk",
        "language",
        "voice",
        "pause",
    ]


@pytest.mark.asyncio
async def test_it_fits_a_phone_and_moves_for_nobody_who_minds(running: Any, visit: Any) -> None:
    phone = {
        "viewport": {"width": 320, "height": 640},
        "reduced_motion": "reduce",
        "has_touch": True,
        "is_mobile": True,
    }
    async with running(script()) as server, visit(address(server), **phone) as visit:
        await visit.page.tap("#talk")
        await visit.state("listening")
        assert await visit.page.evaluate("document.documentElement.scrollWidth") == 320
        assert await visit.page.evaluate("document.getAnimations().length") == 0
