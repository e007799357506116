"""Between the writer and the speaker of a reply, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from harness.virtual_time import run
from pipeline.clause_queue import ClauseQueue
from pipeline.languages import Language
from pipeline.lm.base import ToolCall

CALL = ToolCall("1", "look_up", "{}")


def until(clock: Callable[[], float], patience_s: float | None) -> Callable[[], float | None]:
    """So much patience from now on."""
    asked_s = clock()
    return lambda: None if patience_s is None else asked_s + patience_s - clock()


def spoken(
    pieces: Sequence[tuple[float, str]], patience_s: float | None, calls: Sequence[ToolCall] = ()
) -> list[tuple[float, str | ToolCall]]:
    """What comes out, and when, where each piece is written so long after the one before it."""

    async def write(queue: ClauseQueue) -> None:
        for after_s, text in pieces:
            await asyncio.sleep(after_s)
            await queue.write(text)
        queue.end(calls)

    async def main() -> list[tuple[float, str | ToolCall]]:
        queue, clock = ClauseQueue(Language.EN), asyncio.get_running_loop().time
        began_s, parts = clock(), []
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write(queue))
            while (part := await queue.next(until(clock, patience_s))) is not None:
                parts.append((round(clock() - began_s, 3), part))
        return parts

    return run(main())


def test_a_clause_is_waited_for() -> None:
    pieces = [(0.0, "I am sorry "), (5.0, "for your loss. "), (0.0, "Truly.")]
    assert spoken(pieces, None) == [(5.0, "I am sorry "), (5.0, "for your loss. "), (5.0, "Truly.")]


def test_after_some_time_what_there_is_of_it_is_a_clause() -> None:
    pieces = [(0.0, "Yes. "), (0.0, "we are done in the "), (5.0, "West, and "), (0.0, "that is how it is.")]
    assert spoken(pieces, 1.0)[:2] == [(0.0, "Yes. "), (1.0, "we are done ")]
    assert "".join(str(text) for _, text in spoken(pieces, 1.0)) == "".join(text for _, text in pieces)


def test_where_there_is_none_of_it_the_next_words_are_waited_for() -> None:
    pieces = [(0.0, "Yes. We"), (5.0, " are done in the end"), (5.0, ".")]
    assert spoken(pieces, 0.0)[:2] == [(0.0, "Yes. "), (5.0, "We are done ")]


def test_how_it_goes_on_is_known_with_some_words_or_the_end() -> None:
    async def main() -> list[bool]:
        queue = ClauseQueue(Language.EN)
        known = []
        for text in ("Yes. We", " are", " done in the", " end"):
            await queue.write(text)
            if text == "Yes. We":
                known.append(queue.goes_on)
                assert await queue.next(lambda: None) == "Yes. "
            known.append(queue.goes_on)
        assert await queue.next(lambda: 0.0) == "We are done "
        known.append(queue.goes_on)
        queue.end(())
        return [*known, queue.goes_on]

    assert run(main()) == [True, False, False, True, True, False, True]


def test_patience_is_asked_for_anew() -> None:
    """Whoever waits for ever learns that there is a hurry now; and whoever's time is up, that there is more of it."""

    async def main() -> list[float]:
        queue, loop, at_s = ClauseQueue(Language.EN), asyncio.get_running_loop(), []
        await queue.write("We are done in the end")
        began_s, patience_s = loop.time(), [None, 1.0, 2.0, 0.0]
        loop.call_later(5.0, queue.ask_again)
        words = await queue.next(lambda: patience_s.pop(0))
        at_s.append(round(loop.time() - began_s, 3))
        assert (words, patience_s) == ("We are done ", [])
        return at_s

    assert run(main()) == [8.0]


def test_calls_come_after_the_last_words() -> None:
    assert spoken([(0.0, "One moment")], None, [CALL]) == [(0.0, "One moment"), (0.0, CALL)]


def test_the_writer_does_not_get_far_ahead_of_the_speaker() -> None:
    async def main() -> tuple[bool, str, bool]:
        queue = ClauseQueue(Language.EN)
        writing = asyncio.create_task(queue.write("That is a sentence. " * 100))
        await asyncio.sleep(60.0)
        waits, heard = not writing.done(), ""
        while not writing.done():
            heard += str(await queue.next(lambda: None))
            await asyncio.sleep(0)
        queue.end(())
        while (part := await queue.next(lambda: None)) is not None:
            heard += str(part)
        return waits, heard, writing.done()

    assert run(main()) == (True, "That is a sentence. " * 100, True)


@given(
    pieces=st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 1.0]), st.text(alphabet="ab .,!`[](\n你", max_size=120)), max_size=12
    ),
    patience_s=st.sampled_from([None, 0.0, 0.05, 0.5]),
)
def test_nothing_is_lost_however_little_patience_there_is(
    pieces: list[tuple[float, str]], patience_s: float | None
) -> None:
    parts = spoken(pieces, patience_s, [CALL])
    assert parts[-1][1] == CALL
    assert "".join(str(text) for _, text in parts[:-1]) == "".join(text for _, text in pieces)
