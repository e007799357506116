"""What is made of a reply first, on a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from harness.virtual_time import run
from pipeline.events import ReplyAudio, ReplyDone
from pipeline.lm.base import Message
from pipeline.settings import ConversationSettings
from pipeline.testing import Script, ScriptedCaller, scripted_engine

WORDS = ("Good ", "morning, ", "dear ", "caller, ", "how ", "are ", "you? ")
WORD_S = 0.1
"""Of which the script makes two pieces each: the letters, and the end that the space behind them is."""
FIRST_SOUND_S = 1.0


def written_and_heard_s(settings: ConversationSettings | None = None) -> tuple[list[float], float | None]:
    """When each word of a reply was written, and when the first sound of it came."""
    written_s: list[float] = []

    def write(messages: Sequence[Message]) -> Iterator[str]:
        for word in WORDS:
            written_s.append(asyncio.get_running_loop().time())
            yield word

    async def main() -> float | None:
        script = Script(reply=write, thinking_s=WORD_S / 2, speaking_s=FIRST_SOUND_S)  # type: ignore[arg-type]  # lazy
        async with ScriptedCaller(scripted_engine(script), settings) as caller:
            await caller.take_turn()
            assert caller.all(ReplyDone)[0].text == "".join(WORDS)
            audio = caller.all(ReplyAudio)
            return caller.at_s(audio[0]) if audio else None

    return written_s, run(main())


def test_until_there_is_a_first_sound_the_language_model_pauses() -> None:
    written_s, heard_s = written_and_heard_s()
    assert heard_s is not None
    before = [at_s for at_s in written_s if at_s < heard_s]
    # The first clause, and a word that was being written when it was known to be one.
    assert len(before) <= 4
    assert before[-1] < heard_s - FIRST_SOUND_S + WORD_S
    assert len(written_s) > len(before)


def test_a_reply_that_is_only_read_is_written_without_a_pause() -> None:
    written_s, heard_s = written_and_heard_s(ConversationSettings(speak=False))
    assert heard_s is None
    assert written_s[-1] - written_s[0] < len(WORDS) * WORD_S
