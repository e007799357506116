"""Fixtures that every room's tests share."""

from __future__ import annotations

import shutil

import pytest

from pipeline.weights import WeightStore


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
