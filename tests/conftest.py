"""Fixtures that every room's tests share."""

from __future__ import annotations

import math
import os
import shutil

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


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser that tests of pages drive."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no Chromium on this machine; Debian's is `apt-get install chromium`")
    return path


@pytest.fixture
def never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late this machine sends its frames, turns are judged: for tests of what a server does, in real time."""
    monkeypatch.setattr("harness.measures.latency.LATE_P99_S", math.inf)
    monkeypatch.setattr("harness.measures.latency.LATE_MAX_S", math.inf)
