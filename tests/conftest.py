"""Fixtures that every room's tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

from pipeline.weights import WeightStore

settings.register_profile("untimed", deadline=None)  # no test is timed against the wall clock
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def weights() -> WeightStore:
    """The embedded models, verified; pulled on first use."""
    return WeightStore()
