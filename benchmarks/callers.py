"""Callers for measurements, and what is common to what they are told."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from client.audio import to_pcm16
from harness.recording import Recording
from harness.replay import record
from harness.reply import Reply
from harness.targets.base import Target

TONE_S = 0.6


def progress() -> Progress:
    """A bar with what is done, of how much, and how long the rest takes."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def tone_pcm16(rate_hz: int) -> bytes:
    """What the scripted models take for a question: a tone of `TONE_S` seconds."""
    return to_pcm16((0.3 * np.sin(2 * np.pi * 200 * np.arange(round(TONE_S * rate_hz)) / rate_hz)).astype(np.float32))


async def ask_by_tone(target: Target) -> Recording:
    """One question to a scripted server, in a conversation of its own."""
    recording = Recording("tone", "en", target.name, 0.02, TONE_S, rate_hz=target.output_rate_hz)
    async with target.connect("en") as session:
        await record(tone_pcm16(target.input_rate_hz), session, recording, rate_hz=target.input_rate_hz)
    return recording


def send_lateness_s(recording: Recording, lead_s: float) -> list[float]:
    """How late each chunk of a reply came from a server that keeps `lead_s` ahead of the loudspeaker.

    The loudspeaker is one that plays from the first chunk's arrival on.
    """
    reply = Reply.of(recording)
    if not reply.ends.size:
        return []
    due_s = reply.arrivals_s[0] + np.maximum(0.0, reply.starts / reply.rate_hz - lead_s)
    return [float(late_s) for late_s in reply.arrivals_s - due_s]
