"""Inputs that are kept: what a parser takes, from which a fuzzer sets out, and what one has failed at."""

from __future__ import annotations

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
"""A folder for each target."""
