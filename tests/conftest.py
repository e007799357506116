"""Fixtures that every room's tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import Phase, settings

from pipeline.weights import WeightStore

settings.register_profile("untimed", deadline=None)  # no test is timed against the wall clock
settings.register_profile("unshrunk", deadline=None, phases=(Phase.explicit, Phase.generate))  # scripts/mutate.py
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))


@pytest.fixture(scope="session")
def weights() -> WeightStore:
    """The embedded models, verified; pulled on first use."""
    return WeightStore()
