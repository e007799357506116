"""Plays a scenario into one server: says each line when its time has come, and records what comes back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from client.audio import to_pcm16
from client.play import FRAME_MS, FRAME_S, LIMIT_S, Clock, LoopClock, speak
from harness.fixtures import Fixture
from harness.fixtures.scenarios import Line, Scenario
from harness.fixtures.store import FloatArray
from harness.recording import Arrival, Chunk
from harness.replay import punctual
from harness.scenarios.loudspeaker import Loudspeaker
from harness.scenarios.performance import Performance, PerformanceEvidence, ReplyTold, Said, Told
from harness.scenarios.sounds import Sound, render, render_behind
from harness.targets.base import Failed, Heard, ReplyAudio, ReplyEnded, ServerEvent, SpeechStarted, Spoken, Target

WATCH_S = 6.0
"""How long after a line that is not to be answered an answer is still waited for: the slowest p95 of gates.toml."""
SETTLE_S = 1.5
"""How long after the last answer another one, which nobody asked for, is listened for."""


async def perform(
    scenario: Scenario,
    clips: Mapping[str, Fixture],
    target: Target,
    *,
    clock: Clock | None = None,
    limit_s: float = LIMIT_S,
) -> Performance:
    """Play a scenario into a conversation of its own, and record what comes back.

    A scenario in one language is played into a conversation in that language; one in several, or in none, leaves it to
    the server.

    Args:
        scenario: whose clips are all in `clips`.
        clips: by id.
        target: the server under test.
        clock: the event loop's if None.
        limit_s: how long a reply may take to begin, and how long one may fall silent.

    Raises:
        harness.fixtures.FixtureError: a clip's file cannot be read.
        UnavailableError: no conversation could be had. Whatever goes wrong later is in `Performance.error`.
    """
    clock = clock or LoopClock()
    rate_hz = target.input_rate_hz
    sounds = await asyncio.to_thread(lambda: [render(line, clips, rate_hz) for line in scenario.lines])
    behind = await asyncio.to_thread(render_behind, scenario, sounds[0], clips, rate_hz)
    spoken = {sound.language for sound in sounds if sound.transcript}
    performer = Performer(
        scenario.lines, sounds, behind, rate_hz=rate_hz, replies_hz=target.output_rate_hz, limit_s=limit_s
    )
    late_s: list[float] = []
    async with target.connect(spoken.pop() if len(spoken) == 1 else "auto") as session:
        with punctual():
            start_s = clock.now()
            await speak(session, performer, rate_hz=rate_hz, on_frame=late_s.append, clock=clock, limit_s=limit_s)
            over_s = clock.now() - start_s
    return Performance(
        scenario_id=scenario.id,
        language=scenario.language,
        said=performer.said,
        evidence=PerformanceEvidence(
            frame_s=FRAME_S,
            lateness_s=tuple(late_s),
            rate_hz=target.output_rate_hz,
            chunks=tuple(Arrival(chunk.at_s, len(chunk.pcm), chunk.reply) for chunk in performer.chunks),
            replies=tuple(performer.replies),
            speech_started_s=tuple(performer.speech_started_s),
            heard=tuple(performer.heard),
            over_s=over_s,
            unsaid=performer.unsaid,
        ),
        chunks=performer.chunks,
        microphone=b"".join(performer.sent),
        microphone_hz=rate_hz,
        error=performer.error,
    )


def unperformed(scenario: Scenario, clips: Mapping[str, Fixture], error: str) -> Performance:
    """The performance of a scenario of which nothing could be played."""
    said = []
    for line in scenario.lines:
        clip = clips.get(line.clip or "")
        language, transcript = (clip.language, clip.transcript) if clip else ("none", "")
        said.append(Said(line.clip or "silence", language, transcript, "", line.expect))
    return Performance(scenario.id, scenario.language, said, PerformanceEvidence(FRAME_S), error=error)


class Performer:
    """Holds the microphone through a scenario. Satisfies `client.play.Speaker`.

    A reply belongs to a line if it begins after the end of that line's speech and before the next line. Lines wait for
    replies as a caller would: for what their loudspeaker plays, not for what has arrived.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        sounds: Sequence[Sound],
        behind: FloatArray | None,
        *,
        rate_hz: int,
        replies_hz: int,
        limit_s: float,
    ) -> None:
        self.said = [
            Said(sound.what, sound.language, sound.transcript, sound.treatment, line.expect)
            for line, sound in zip(lines, sounds, strict=True)
        ]
        self.chunks: list[Chunk] = []
        self.replies: list[ReplyTold] = []
        self.speech_started_s: list[float] = []
        self.heard: list[Told] = []
        self.sent: list[bytes] = []
        self.error: str | None = None
        self.unsaid: str | None = None
        self._lines = lines
        self._sounds = sounds
        self._behind = behind
        self._rate_hz = rate_hz
        self._replies_hz = replies_hz
        self._limit_s = limit_s
        self._frame_samples = rate_hz * FRAME_MS // 1000
        self._next = 0  # the line that is to be said next
        self._begun_at = 0  # the sample at which the line before it began
        self._loudspeaker = Loudspeaker()
        self._reply = 0
        self._reply_begun_s: float | None = None  # of the reply under way
        self._answer_begun_s: float | None = None  # of the first reply to the line said last
        self._answered_s: float | None = None  # when the last reply to the line said last was over
        self._quiet_since_s = 0.0

    @property
    def reply_under_way(self) -> bool:
        return self._reply_begun_s is not None

    def frame(self, number: int) -> bytes:
        first = number * self._frame_samples
        if self._next < len(self._lines) and self._is_due(first / self._rate_hz):
            self._begin_line(first)
        mixed = np.zeros(self._frame_samples, dtype=np.float32)
        if self._next:
            start = first - self._begun_at
            piece = self._sounds[self._next - 1].samples[start : start + self._frame_samples]
            mixed[: piece.size] += piece
        if self._behind is not None:
            mixed += np.take(self._behind, np.arange(first, first + self._frame_samples), mode="wrap")
        self.sent.append(to_pcm16(np.clip(mixed, -1.0, 1.0)))
        return self.sent[-1]

    def note(self, at_s: float, event: ServerEvent) -> None:
        match event:
            case ReplyAudio(pcm):
                self.chunks.append(Chunk(at_s, pcm, self._reply))
                if pcm and self._reply_begun_s is None:
                    self._begin_reply(at_s)
                self._loudspeaker.take(at_s, len(pcm) / 2 / self._replies_hz)
            case Spoken(text):
                told = self._told()
                self.replies[-1] = replace(told, text=told.text + text)
            case SpeechStarted():
                self.speech_started_s.append(at_s)
                self._loudspeaker.stop(at_s)
            case ReplyEnded(_, cancelled):
                self.replies[-1] = replace(self._told(), ended_s=at_s, cancelled=cancelled)
                self._end_reply(at_s, cancelled=cancelled)
            case Heard(text):
                self.heard.append(Told(at_s, text))
            case Failed(reason):
                self.error = reason
        if isinstance(event, ReplyAudio | Spoken | ReplyEnded):
            self._quiet_since_s = max(self._quiet_since_s, at_s)

    def is_over(self, now_s: float) -> bool:
        if self._next < len(self._lines):
            return self._gives_up(now_s)
        last = self.said[-1]
        assert last.ended_s is not None  # noqa: S101 - all lines were said
        if now_s < last.ended_s:
            return False
        if now_s >= max(self._quiet_since_s, last.ended_s) + self._limit_s:
            return True
        if self.reply_under_way:
            return False
        if "answered" in last.expect:
            return self._answered_s is not None and now_s >= max(self._answered_s, last.ended_s) + SETTLE_S
        if "not-answered" in last.expect:
            return now_s >= last.ended_s + min(WATCH_S, self._limit_s)
        return now_s >= max(self._quiet_since_s, last.ended_s) + SETTLE_S

    def _is_due(self, now_s: float) -> bool:
        """Whether the next line begins with the frame that is recorded from `now_s` on."""
        cue, lead_s = self._lines[self._next].cue, self._sounds[self._next].speech_start / self._rate_hz
        match cue.kind:
            case "after":
                ended_s = self.said[self._next - 1].ended_s if self._next else 0.0
                return ended_s is not None and now_s >= ended_s + cue.seconds
            case "after-reply":
                heard_s = self._loudspeaker.silent_from_s
                return self._answered_s is not None and not self.reply_under_way and now_s >= heard_s + cue.seconds
            case "into-reply":
                if self._answer_begun_s is None or self._is_heard_out(now_s):
                    return False
                return now_s + lead_s >= self._answer_begun_s + cue.seconds

    def _is_heard_out(self, now_s: float) -> bool:
        """Nothing of a reply is left to be spoken over."""
        return not self.reply_under_way and now_s >= self._loudspeaker.silent_from_s

    def _gives_up(self, now_s: float) -> bool:
        """What the next line waits for does not come any more."""
        cue = self._lines[self._next].cue
        if cue.kind == "into-reply" and self._answer_begun_s is not None and self._is_heard_out(now_s):
            length_s = self._loudspeaker.silent_from_s - self._answer_begun_s
            self.unsaid = f"the reply was over after {length_s:.2f} s, before it could be spoken over"
        elif self._next and now_s >= max(self._quiet_since_s, self.said[self._next - 1].ended_s or 0.0) + self._limit_s:
            self.unsaid = "there was no reply to wait for"
        return self.unsaid is not None

    def _begin_line(self, first: int) -> None:
        sound = self._sounds[self._next]
        frames = math.ceil(sound.speech_end / self._frame_samples)
        self.said[self._next] = replace(
            self.said[self._next],
            begun_s=first / self._rate_hz,
            speech_start_s=(first + sound.speech_start) / self._rate_hz,
            speech_end_s=first / self._rate_hz + frames * FRAME_S,
            ended_s=(first + sound.samples.size) / self._rate_hz,
        )
        self._begun_at = first
        self._next += 1
        self._answer_begun_s = self._answered_s = None

    def _begin_reply(self, at_s: float) -> None:
        self._reply_begun_s = at_s
        self._loudspeaker.begin()
        speech_end_s = self.said[self._next - 1].speech_end_s if self._next else None
        if speech_end_s is not None and at_s >= speech_end_s and self._answer_begun_s is None:
            self._answer_begun_s = at_s

    def _end_reply(self, at_s: float, *, cancelled: bool) -> None:
        if cancelled:
            self._loudspeaker.stop(at_s)
        if self._answer_begun_s is not None and self._reply_begun_s is not None:
            self._answered_s = at_s
        self._reply_begun_s = None
        self._reply += 1

    def _told(self) -> ReplyTold:
        """What is known of the reply under way, which is the last one."""
        if not self.replies or self.replies[-1].number != self._reply:
            self.replies.append(ReplyTold(self._reply))
        return self.replies[-1]
