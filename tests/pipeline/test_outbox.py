"""The bounded way out of a conversation."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.events import SpeechStarted, TurnEmpty
from pipeline.outbox import Outbox


@pytest.mark.asyncio
async def test_a_full_outbox_makes_the_producer_wait() -> None:
    outbox = Outbox(capacity=1)
    await outbox.put(TurnEmpty(1))
    waiting = asyncio.create_task(outbox.put(TurnEmpty(2)))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await outbox.get() == TurnEmpty(1)
    await waiting
    assert await outbox.get() == TurnEmpty(2)


@pytest.mark.asyncio
async def test_closing_frees_both_sides_and_keeps_what_is_inside() -> None:
    outbox = Outbox(capacity=1)
    await outbox.put(TurnEmpty(1))
    waiting = asyncio.create_task(outbox.put(TurnEmpty(2)))
    await asyncio.sleep(0)
    await outbox.close()
    await waiting
    assert await outbox.get() == TurnEmpty(1)
    assert await outbox.get() is None


@pytest.mark.asyncio
async def test_what_nobody_fetched_can_be_taken_back() -> None:
    outbox = Outbox(capacity=8)
    await outbox.put(TurnEmpty(1), SpeechStarted(2, 0.0, 0.0), TurnEmpty(3))
    assert await outbox.drop(lambda event: isinstance(event, TurnEmpty)) == [TurnEmpty(3), TurnEmpty(1)]
    assert await outbox.get() == SpeechStarted(2, 0.0, 0.0)
