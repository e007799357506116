"""What is owed to a caller before the server may leave."""

from __future__ import annotations

import asyncio

from harness.virtual_time import run
from pipeline.events import ReplyDone
from pipeline.lm.base import Message
from pipeline.settings import ConversationSettings
from pipeline.testing import Script, scripted_engine
from server.limits import Limits
from server.metrics import Metrics
from server.watching import WatchedConversation


def test_every_reply_beside_the_conversation_is_waited_for() -> None:
    async def main() -> None:
        engine = scripted_engine(Script(reply=lambda messages: messages[-1].text, thinking_s=0.1))
        settings = ConversationSettings(speak=False)
        done: list[ReplyDone] = []
        async with WatchedConversation(engine, settings, Limits(), Metrics(), None) as conversation:

            async def listen() -> None:
                async for event in conversation.events():
                    if isinstance(event, ReplyDone):
                        done.append(event)

            listening = asyncio.create_task(listen())
            for words in (3, 30, 60):
                await conversation.respond(context=[Message("user", "word " * words)], aside=words != 30)
            await conversation.replied()
            assert [ended.status for ended in done] == ["completed"] * 3
        await listening
        await engine.aclose()

    run(main())
