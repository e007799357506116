"""Callers for measurements, and what is common to what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from client.audio import to_pcm16
from harness.recording import Recording
from harness.replay import record
from harness.reply import Reply
from harness.targets.base import Target

FloatTimes: TypeAlias = npt.NDArray[np.float64]

TONE_S = 0.6


def progress(*, by_itself: bool = True) -> Progress:
    """A bar with what is done, of how much, and how long the rest takes.

    Args:
        by_itself: drawn anew ten times a second, in a thread. Who has to be punctual would wait for that thread, which
            waits for a processor, and has it drawn with `step` only.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=by_itself)


def step(bar: Progress, task: TaskID) -> None:
    """One more of them is done."""
    bar.update(task, advance=1, refresh=True)


def tone_pcm16(rate_hz: int) -> bytes:
    """What the scripted models take for a question: a tone of `TONE_S` seconds."""
    return to_pcm16((0.3 * np.sin(2 * np.pi * 200 * np.arange(round(TONE_S * rate_hz)) / rate_hz)).astype(np.float32))


async def ask_by_tone(target: Target, *, on_begin: Callable[[], None] = lambda: None) -> Recording:
    """One question to a scripted server, in a conversation of its own; `on_begin` is told when it is asked."""
    recording = Recording("tone", "en", target.name, 0.02, TONE_S, rate_hz=target.output_rate_hz)
    async with target.connect("en") as session:
        on_begin()
        await record(tone_pcm16(target.input_rate_hz), session, recording, rate_hz=target.input_rate_hz)
    return recording


def sent(recording: Recording, lead_s: float) -> tuple[FloatTimes, FloatTimes]:
    """When each chunk of a reply came, and how late for a server that keeps `lead_s` ahead of a loudspeaker; seconds.

    The loudspeaker is one that plays from the first chunk's arrival on.
    """
    reply = Reply.of(recording)
    due_s = np.maximum(0.0, reply.starts / reply.rate_hz - lead_s)
    return reply.arrivals_s, reply.arrivals_s - reply.arrivals_s[:1] - due_s
