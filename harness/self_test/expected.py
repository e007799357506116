"""What a perfect instrument would measure of a programmed turn: closed forms, none of them the harness's own."""

from __future__ import annotations

import math

from harness.measures.latency import PREBUFFERS_MS, Latency
from harness.reference.behaviour import Behaviour
from harness.reference.script import DONE_AFTER_S
from harness.reference.voice import WORD_S, audible_after_s

FIRST_BYTE = "first byte"
FIRST_AUDIO = "first audio (TTFA)"
ENDED = "end of the reply"


def programmed(behaviour: Behaviour, rate_hz: int, *, traced: bool) -> dict[str, float]:
    """Quantity to seconds, of a reply that is whole.

    Args:
        behaviour: what was programmed.
        rate_hz: of the reply's samples.
        traced: the protocol carries the server's trace.
    """
    delays_s = behaviour.delays_s()
    first_byte_s = sum(delays_s.values())
    audible_s = audible_after_s(behaviour.spoken, rate_hz, lead_in_s=behaviour.lead_in_s)
    chunks = math.ceil(round((behaviour.lead_in_s + WORD_S * len(behaviour.spoken.split())) / behaviour.chunk_s, 6))
    expected = {FIRST_BYTE: first_byte_s, FIRST_AUDIO: first_byte_s + audible_s}
    step_s = behaviour.pace * behaviour.chunk_s
    for prebuffer_ms in PREBUFFERS_MS:
        waited_s = max(0, math.ceil(round(prebuffer_ms / 1000 / behaviour.chunk_s, 6)) - 1) * step_s
        expected[playback_start(prebuffer_ms)] = first_byte_s + waited_s
        if behaviour.stall_chunk:
            ahead_s = waited_s + behaviour.stall_chunk * (behaviour.chunk_s - step_s)
            expected[underrun(prebuffer_ms)] = max(0.0, behaviour.stall_s - ahead_s)
    expected[ENDED] = first_byte_s + (chunks - 1) * step_s + behaviour.stall_s + DONE_AFTER_S
    return expected | _stages(behaviour, delays_s if traced else {}, audible_s)


def _stages(behaviour: Behaviour, delays_s: dict[str, float], audible_s: float) -> dict[str, float]:
    """What each stage added. One that is not told, and the one right after it, are nobody's."""
    told = [stage for stage in delays_s if stage not in behaviour.untold]
    bars = {
        stage: delay_s
        for stage, before, delay_s in zip(delays_s, (None, *delays_s), delays_s.values(), strict=False)
        if stage in told and (before is None or before in told)
    }
    unexplained_s = sum(behaviour.delays_s().values()) - sum(bars.values())
    if delays_s and "first_sent" in told:
        bars["received"] = 0.0
    bars |= {"audible": audible_s, "unexplained": unexplained_s}
    return {stage_bar(stage): length_s for stage, length_s in bars.items()}


def measured(found: Latency) -> dict[str, float | None]:
    """The same quantities out of the harness."""
    figures: dict[str, float | None] = {FIRST_BYTE: found.first_byte_s, FIRST_AUDIO: found.ttfa_s, ENDED: found.ended_s}
    for playback in found.playback:
        figures[playback_start(playback.prebuffer_ms)] = playback.start_s
        figures[underrun(playback.prebuffer_ms)] = playback.underrun_s
    return figures | {stage_bar(bar.stage): bar.length_s for bar in found.waterfall}


def playback_start(prebuffer_ms: int) -> str:
    return f"playback start at {prebuffer_ms} ms"


def underrun(prebuffer_ms: int) -> str:
    return f"underrun at {prebuffer_ms} ms"


def stage_bar(stage: str) -> str:
    return f"waterfall: {stage.replace('_', ' ')}"
