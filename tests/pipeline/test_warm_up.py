"""What is slow the first time is done before anybody calls."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.chinese_words import chinese_words
from pipeline.engine import Engine
from pipeline.profiles import load_profile
from pipeline.testing import Script, scripted_engine
from pipeline.weights import WeightStore


@pytest.mark.models
def test_the_first_chinese_clause_waits_for_no_dictionary(weights: WeightStore) -> None:
    """It would hold up the event loop, and with it every caller."""
    chinese_words.cache_clear()

    async def load() -> None:
        engine = await Engine.load(load_profile("embedded").with_echo(), weights)
        await engine.aclose()

    asyncio.run(load())
    assert chinese_words.cache_info().currsize == 1


def test_as_many_long_clauses_as_are_made_at_once_are_begun() -> None:
    script = Script()

    async def warm_up() -> int:
        engine = scripted_engine(script)
        await engine._warm_up()
        return engine.profile.clauses_at_once

    at_once = asyncio.run(warm_up())
    spoken = [str(said) for kind, said in script.calls if kind == "speak"]
    long = [text for text in spoken if len(text) > 200]
    assert len(set(long)) >= 1
    assert all(long.count(text) == at_once for text in long)
