from __future__ import annotations

from pathlib import Path

import pytest

from harness.virtual_time import run
from pipeline import capacity as module
from pipeline.capacity import PROCESSOR, Capacity, LoadProfile, capacity, cores
from pipeline.lm.base import Message
from pipeline.measuring import measure
from pipeline.testing import Script, scripted_engine

TURN_OF_TEN = LoadProfile(speech_s=4.0, pauses=2, reply_s=5.0, rest_s=1.0, share=0.5)


@pytest.mark.parametrize(
    ("busy_s", "conversations", "limited_by"),
    [
        ({"speech-to-text": 0.5, "text-to-speech": 1.0}, 5, "text-to-speech"),
        ({"speech-to-text": 1.3, "text-to-speech": 1.0}, 3, "speech-to-text"),
        ({"speech-to-text": 5.0}, 1, "speech-to-text"),
        ({"speech-to-text": 100.0}, 1, "speech-to-text"),
    ],
)
def test_the_busiest_worker_says_how_many(busy_s: dict[str, float], conversations: int, limited_by: str) -> None:
    found = capacity(busy_s, TURN_OF_TEN)
    assert (found.conversations, found.limited_by) == (conversations, limited_by)


def test_it_is_told_with_its_reasons() -> None:
    told = Capacity(1, "text-to-speech", {"speech-to-text": 0.05, "text-to-speech": 0.3}).told()
    assert told == "1 conversation, limited by text-to-speech (each takes of speech-to-text 5%, text-to-speech 30%)"


def test_a_typical_turn_is_measured() -> None:
    """Each pause asks, transcribes, thinks, and reads what was said; the reply is spoken once."""

    def nine_words(messages: list[Message]) -> str:
        return "I can tell you so much in nine words"

    async def measured() -> Capacity:
        script = Script(
            reply=nine_words, sentence=[0.5], hearing_s=0.6, asking_s=0.1, reading_s=0.3, thinking_s=0.1, speaking_s=0.5
        )
        return await measure(scripted_engine(script))

    found = run(measured())
    assert found.duties["speech-to-text"] == pytest.approx(2 * 0.6 / 10)
    assert found.duties["end-of-turn"] == pytest.approx(2 * 0.1 / 10)
    assert found.duties["language-model"] == pytest.approx(2 * (0.9 + 0.3) / 10 / 4)
    # 42 characters are 2.1 s of scripted sound, made in 0.5 s, twice at once.
    assert found.duties["text-to-speech"] == pytest.approx(0.5 / 2 * 5.0 / 2.1 / 10)
    assert found.duties[PROCESSOR] > 0.0
    assert (found.conversations, found.limited_by) == (4, "speech-to-text")


@pytest.mark.parametrize(
    ("limit", "most"),
    [("150000 100000\n", 1.5), ("50000 100000\n", 0.5), ("max 100000\n", None), ("nonsense", None), (None, None)],
)
def test_a_container_may_have_less_than_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, most: float | None
) -> None:
    monkeypatch.setattr(module, "_CGROUP_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    if limit is not None:
        (tmp_path / "cpu.max").write_text(limit)
    assert cores() == (4.0 if most is None else most)
