"""From a behaviour to what is said when, whatever the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

from harness.reference import voice
from harness.reference.behaviour import STAGES, Behaviour, Break

DONE_AFTER_S = 0.01
"""From the last chunk to the reply's end."""
_PAUSE_S = 0.1
"""From the end of a reply that was broken off to the next one."""
_BREAKS_AT_CHUNK = 4


@dataclass(frozen=True, slots=True)
class Transcript:
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Audio:
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Done:
    trace: dict[str, float]
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class SpeechHeard:
    """The caller has begun to speak."""


@dataclass(frozen=True, slots=True)
class Broken:
    """What no server may say, or the end of the line."""

    kind: Break


Said: TypeAlias = Transcript | Text | Audio | Done | SpeechHeard | Broken
Step: TypeAlias = tuple[float, Said]
"""Seconds after the end of speech, and what is said then."""


def write(behaviour: Behaviour, rate_hz: int, end_of_speech_s: float) -> list[Step]:
    """The whole of an answer, in order.

    Args:
        behaviour: what to do.
        rate_hz: of the reply's samples.
        end_of_speech_s: where that is on the input's sample clock, for the trace.
    """
    through_s = dict(zip(STAGES, accumulate(behaviour.delays_s().values()), strict=True))
    trace = {f"{stage}_s": end_of_speech_s + at_s for stage, at_s in through_s.items() if stage not in behaviour.untold}
    steps: list[Step] = []
    if behaviour.heard is not None:
        steps.append((through_s["transcript"], Transcript(behaviour.heard)))
    if behaviour.breaks == "no-reply":
        return steps
    pcm = voice.reply(behaviour, rate_hz)
    first_s = through_s["first_sent"]
    if behaviour.broken_off_chunks:
        begun = pcm[: 2 * round(behaviour.broken_off_chunks * behaviour.chunk_s * rate_hz)]
        steps += _deliver(behaviour, voice.cut_at_a_crest(begun), rate_hz, first_s)
        steps.append((steps[-1][0] + DONE_AFTER_S, Done(trace, cancelled=True)))
        first_s = steps[-1][0] + _PAUSE_S
    steps.append((min(first_s, max(through_s["first_clause"], steps[-1][0] if steps else 0.0)), Text(behaviour.spoken)))
    steps += _deliver(behaviour, pcm, rate_hz, first_s)
    if behaviour.breaks != "endless":
        steps.append((steps[-1][0] + DONE_AFTER_S, Done(trace)))
    return steps


def _deliver(behaviour: Behaviour, pcm: bytes, rate_hz: int, first_s: float) -> Iterator[Step]:
    """The chunks of a reply, with what breaks among them."""
    pieces = list(voice.chunks(pcm, behaviour.chunk_s, rate_hz))
    for index, piece in enumerate(pieces):
        stalled = behaviour.stall_chunk and index >= behaviour.stall_chunk
        at_s = first_s + index * behaviour.pace * behaviour.chunk_s + (behaviour.stall_s if stalled else 0.0)
        if index == _BREAKS_AT_CHUNK and behaviour.breaks not in (None, "endless", "odd-bytes", "rate"):
            yield at_s, Broken(behaviour.breaks)
        odd = behaviour.breaks == "odd-bytes" and index == len(pieces) - 1
        yield at_s, Audio(piece[:-1] if odd else piece)
