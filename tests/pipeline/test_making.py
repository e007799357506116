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


LONG = [word for number in range(12) for word in (str(number), "is", "said,")]


def test_while_a_head_start_is_made_the_language_model_writes_what_is_spoken_next() -> None:
    """Of two replies that are made at once."""
    written_s: dict[str, list[float]] = {}

    def write(messages: Sequence[Message]) -> Iterator[str]:
        mine = written_s.setdefault(messages[-1].text, [])
        for word in LONG:
            mine.append(asyncio.get_running_loop().time())
            yield f"{word} "

    async def main() -> list[float]:
        script = Script(heard=("a", "b"), reply=write, thinking_s=0.01, speaking_s=0.2, sounding_s=0.3)  # type: ignore[arg-type]  # lazy
        engine = scripted_engine(script)
        async with ScriptedCaller(engine) as one, ScriptedCaller(engine) as other:
            await asyncio.gather(one.take_turn(), other.take_turn())
            return [caller.at_s(caller.all(ReplyAudio)[0]) for caller in (one, other)]

    heard_s = run(main())
    for mine, begins_s in zip(written_s.values(), heard_s, strict=True):
        before = sum(at_s < begins_s for at_s in mine)
        # What is being spoken, what comes next, and a word that was being written when that was known to be a clause.
        assert 3 <= before <= 15
        assert len(mine) == len(LONG)
