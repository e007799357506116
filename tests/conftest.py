"""Fixtures that every room's tests share."""

from __future__ import annotations

import pytest

from pipeline.weights import WeightStore


@pytest.fixture(scope="session")
def weights() -> WeightStore:
    """The embedded models, verified; pulled on first use."""
    return WeightStore()
