"""How many conversations a machine can carry, reckoned from what a typical turn costs each worker on it.

A turn takes `speech_s + reply_s + rest_s`. Meanwhile each worker is at work for some part of it, its *duty*:

    end-of-turn      pauses x one question about the voice
    speech-to-text   pauses x one transcription of the speech; drafts give way to everybody, and count nothing
    language-model   pauses x one whole reply, for a reply is begun on a guess in every pause, and the question whether
                     a sentence has ended, divided by its slots
    text-to-speech   reply_s x what a second of sound takes where as many clauses as can be are made at once
    processor        the processor time of all this and of the voice activity, divided by the cores

    conversations = max(1, floor(min over workers of share / duty))

`share` is how busy a worker may be. Callers do not take turns at it: at a half, whoever comes waits for half a job on
average (M/D/1: share / (2 (1 - share))), and from there on the wait grows without bound. Left out: what a guess that
was wrong had spoken of it already, and whatever else the machine does.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROCESSOR = "processor"

_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """The typical turn; every field is explained in `embedded.toml`."""

    speech_s: float
    pauses: int
    reply_s: float
    rest_s: float
    share: float

    @property
    def turn_s(self) -> float:
        return self.speech_s + self.reply_s + self.rest_s


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many conversations at once, and the worker that allows no more.

    Attributes:
        duties: the part of its time that each worker is busy with one conversation.
    """

    conversations: int
    limited_by: str
    duties: Mapping[str, float]

    def told(self) -> str:
        """For the log."""
        duties = ", ".join(f"{name} {duty:.0%}" for name, duty in self.duties.items())
        count = f"{self.conversations} conversation{'s' if self.conversations > 1 else ''}"
        return f"{count}, limited by {self.limited_by} (each takes of {duties})"


def capacity(busy_s: Mapping[str, float], load: LoadProfile) -> Capacity:
    """Args: `busy_s` is how long a typical turn keeps each worker busy."""
    duties = {name: seconds / load.turn_s for name, seconds in busy_s.items()}
    busiest = max(duties, key=lambda name: duties[name])
    carried = math.floor(load.share / duties[busiest]) if duties[busiest] else 1
    return Capacity(max(1, carried), busiest, duties)


def cores() -> float:
    """That this process may use: what it is bound to, or the limit of its container where that is less."""
    bound = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
    try:
        quota, period = _CGROUP_LIMIT.read_text(encoding="ascii").split()
        return min(bound, int(quota) / int(period))
    except (OSError, ValueError):
        return bound  # no container, or one without limit ("max")
