"""Clipping safety of a reply, exactly as received. It sees PCM, not sound pressure: it claims nothing about hearing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VERSION = 1

Severity = Literal["fail", "warn"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with a reply.

    Attributes:
        check: its name.
        severity: `fail` is counted by the gate, `warn` is shown.
        chunk: index of the chunk as received.
        at_ms: position in the reply's audio, milliseconds.
        value: what was found, in `unit`.
        limit: what is allowed, in `unit`.
    """

    check: str
    severity: Severity
    chunk: int
    at_ms: float
    value: float
    limit: float
    unit: str


@dataclass(frozen=True, slots=True)
class Clipping:
    """What was found in one reply.

    `loudness_lufs` is None for a reply that is too short (less than 0.4 s) or too quiet to have one; `note` says so.
    """

    findings: tuple[Finding, ...]
    seconds: float
    true_peak_dbtp: float | None
    loudness_lufs: float | None
    note: str = ""
