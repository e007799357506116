"""Conversations with scripted models, held in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from harness.virtual_time import run
from pipeline.settings import ConversationSettings
from pipeline.testing import Script, ScriptedCaller, scripted_engine


@pytest.fixture
def call() -> Callable[..., ScriptedCaller]:
    """Hold one conversation in virtual time, which leaves no task behind."""

    def hold_call(
        script: Script, hold: Callable[[ScriptedCaller], Coroutine[Any, Any, None]], **settings: Any
    ) -> ScriptedCaller:
        async def main() -> ScriptedCaller:
            before = asyncio.all_tasks()
            engine = scripted_engine(script)
            async with ScriptedCaller(engine, ConversationSettings(**settings)) as caller:
                await hold(caller)
            assert asyncio.all_tasks() == before
            await engine.aclose()
            return caller

        return run(main())

    return hold_call


@pytest.fixture
def whole_turn() -> list[str]:
    """The kinds of events of one turn that is answered, in order."""
    return [
        "SpeechStarted",
        "SpeechStopped",
        "TurnCommitted",
        "Transcribed",
        "ReplyStarted",
        "ReplyText",
        "ReplyAudio",
        "ReplyDone",
    ]
