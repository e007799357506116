"""What is slow the first time is done before anybody calls."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.chinese_words import chinese_words
from pipeline.engine import Engine
from pipeline.profiles import load_profile
from pipeline.weights import WeightStore

pytestmark = pytest.mark.models


def test_the_first_chinese_clause_waits_for_no_dictionary(weights: WeightStore) -> None:
    """It would hold up the event loop, and with it every caller."""
    chinese_words.cache_clear()

    async def load() -> None:
        engine = await Engine.load(load_profile("embedded").with_echo(), weights)
        await engine.aclose()

    asyncio.run(load())
    assert chinese_words.cache_info().currsize == 1
