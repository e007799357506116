"""Fixtures that every room's tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

from pipeline.weights import WeightStore

# A busy machine is not a fault of what is tested.
settings.register_profile("here", deadline=None)
settings.load_profile("here")


@pytest.fixture(scope="session")
def weights() -> WeightStore:
    """The embedded models, verified; pulled on first use."""
    return WeightStore()
