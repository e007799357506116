"""The sender, on made-up time: deadlines, and when a conversation is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.connection import DisconnectedError
from client.events import Failed, Heard, ReplyAudio, ReplyEnded, ServerEvent, Spoken
from client.play import FRAME_S, SETTLE_S, LoopClock, play
from harness import virtual_time

RATE_HZ = 16_000
FRAME_BYTES = 640
AUDIO = ReplyAudio(b"\x01\x00" * 320)
END = ReplyEnded()


class ScriptedSession:
    """Says what its script says, when it says it; remembers what it was sent, and when."""

    def __init__(
        self, script: Sequence[tuple[float, ServerEvent]], *, hangs_up: bool = False, accept_s: float = 0.0
    ) -> None:
        self._script = script
        self._hangs_up = hangs_up
        self._accept_s = accept_s
        self.sent: list[tuple[float, bytes]] = []

    async def send(self, pcm16: bytes) -> None:
        self.sent.append((asyncio.get_running_loop().time(), pcm16))
        await asyncio.sleep(self._accept_s)

    async def events(self) -> AsyncIterator[ServerEvent]:
        for at_s, event in self._script:
            await asyncio.sleep(at_s - asyncio.get_running_loop().time())
            yield event
        if not self._hangs_up:
            await asyncio.Event().wait()


class Outcome:
    def __init__(self) -> None:
        self.events: list[tuple[float, ServerEvent]] = []
        self.late_s: list[float] = []
        self.over_s = 0.0

    @property
    def failures(self) -> list[str]:
        return [event.reason for _, event in self.events if isinstance(event, Failed)]


def run(
    session: ScriptedSession, *, seconds: float = 1.0, speech_end_s: float | None = None, limit_s: float = 5.0
) -> Outcome:
    outcome = Outcome()

    async def conversation() -> None:
        await play(
            session,
            bytes(int(seconds * RATE_HZ) * 2),
            rate_hz=RATE_HZ,
            on_event=lambda at_s, event: outcome.events.append((at_s, event)),
            on_frame=outcome.late_s.append,
            speech_end_s=speech_end_s,
            limit_s=limit_s,
        )
        outcome.over_s = asyncio.get_running_loop().time()

    virtual_time.run(conversation())
    return outcome


def test_frames_leave_when_their_last_sample_was_recorded_and_do_not_drift() -> None:
    session = ScriptedSession([(10.5, AUDIO), (10.6, END)])
    outcome = run(session, seconds=10.0)
    assert [at_s for at_s, _ in session.sent] == pytest.approx([(n + 1) * FRAME_S for n in range(len(session.sent))])
    assert len(session.sent) >= 500
    assert max(outcome.late_s) < 1e-6


def test_the_recording_is_followed_by_whole_frames_of_silence_until_the_reply_has_ended() -> None:
    session = ScriptedSession([(1.5, AUDIO), (1.99, END)])
    question = b"\x07\x00" * (RATE_HZ + 100)

    virtual_time.run(play(session, question, rate_hz=RATE_HZ, on_event=lambda _at_s, _event: None))

    sent = b"".join(pcm for _, pcm in session.sent)
    assert {len(pcm) for _, pcm in session.sent} == {FRAME_BYTES}
    assert sent.startswith(question)
    assert not any(sent[len(question) :])
    assert session.sent[-1][0] == pytest.approx(1.98)


def test_a_reply_after_the_speech_ends_the_conversation_when_it_ends() -> None:
    outcome = run(ScriptedSession([(1.4, Heard("hello")), (1.5, Spoken("Hi.")), (1.6, AUDIO), (1.71, END)]))
    assert [event for _, event in outcome.events] == [Heard("hello"), Spoken("Hi."), AUDIO, END]
    assert [at_s for at_s, _ in outcome.events] == pytest.approx([1.4, 1.5, 1.6, 1.71])
    assert outcome.over_s == pytest.approx(1.72)


def test_no_reply_is_waited_for_no_longer_than_the_limit_after_the_speech() -> None:
    outcome = run(ScriptedSession([]), seconds=2.0, speech_end_s=1.0, limit_s=3.0)
    assert outcome.events == []
    assert outcome.over_s == pytest.approx(4.0, abs=FRAME_S)


def test_after_a_reply_that_cut_in_the_rest_is_played_and_the_answer_to_it_recorded() -> None:
    session = ScriptedSession([(0.5, AUDIO), (0.8, END), (5.5, AUDIO), (5.61, END)])
    outcome = run(session, seconds=3.0)
    assert [event for _, event in outcome.events] == [AUDIO, END, AUDIO, END]
    assert outcome.over_s == pytest.approx(5.62)


def test_a_reply_that_cut_in_and_ended_after_the_speech_is_given_time_for_a_second_one() -> None:
    outcome = run(ScriptedSession([(0.5, AUDIO), (1.5, END)]), limit_s=20.0)
    assert outcome.over_s == pytest.approx(1.5 + SETTLE_S, abs=FRAME_S)


def test_a_cancelled_reply_is_not_the_end() -> None:
    outcome = run(ScriptedSession([(1.5, AUDIO), (1.6, ReplyEnded(cancelled=True)), (2.5, AUDIO), (2.61, END)]))
    assert outcome.over_s == pytest.approx(2.62)


def test_a_reply_that_never_ends_is_a_failure() -> None:
    outcome = run(ScriptedSession([(1.5, AUDIO), (2.0, AUDIO)]))
    assert outcome.failures == ["the reply fell silent for 5 s without ending"]
    assert outcome.over_s == pytest.approx(7.0, abs=2 * FRAME_S)


def test_a_server_that_hangs_up_is_a_failure_at_once() -> None:
    session = ScriptedSession([(0.51, AUDIO)], hangs_up=True)
    outcome = run(session, seconds=3.0)
    assert outcome.failures == ["the server closed the connection before its reply had ended"]
    assert outcome.over_s == pytest.approx(0.52)


def test_the_first_failure_ends_it() -> None:
    outcome = run(ScriptedSession([(0.31, Failed("out of memory")), (0.4, AUDIO)]), seconds=3.0)
    assert outcome.failures == ["out of memory"]
    assert outcome.over_s == pytest.approx(0.32)


def test_a_server_that_reads_nothing_is_a_failure() -> None:
    outcome = run(ScriptedSession([], accept_s=60.0), limit_s=2.0)
    assert outcome.failures == ["the server has read nothing for 2 s"]


def test_a_slow_reader_makes_no_late_sender() -> None:
    outcome = run(ScriptedSession([(2.5, AUDIO), (2.6, END)], accept_s=0.05))
    assert max(outcome.late_s) < 1e-6


def test_a_closed_connection_is_explained_by_the_listener() -> None:
    class Closed(ScriptedSession):
        async def send(self, pcm16: bytes) -> None:
            raise DisconnectedError("closed")

    outcome = run(Closed([(0.1, Failed("code 1011: no memory"))], hangs_up=True))
    assert outcome.failures == ["code 1011: no memory"]


def test_what_the_sessions_own_code_raises_is_raised() -> None:
    class Broken(ScriptedSession):
        async def events(self) -> AsyncIterator[ServerEvent]:
            async for _ in super().events():
                raise ZeroDivisionError
            yield END

    with pytest.raises(ZeroDivisionError):
        run(Broken([(0.5, AUDIO)]))


@given(late_s=st.lists(st.floats(0.0, 0.019), min_size=50, max_size=50))
def test_a_late_wake_up_is_recorded_and_not_handed_on_to_the_frames_after_it(late_s: list[float]) -> None:
    recorded = sent_late(late_s)
    assert recorded[:50] == pytest.approx(late_s, abs=1e-6)
    assert recorded[50:] == pytest.approx([0.0] * len(recorded[50:]), abs=1e-6)


def test_a_wake_up_later_than_a_frame_makes_the_next_ones_late_too() -> None:
    assert sent_late([0.0, 0.05])[:5] == pytest.approx([0.0, 0.05, 0.03, 0.01, 0.0], abs=1e-6)


def sent_late(extra_s: list[float]) -> list[float]:
    """The lateness recorded of a second of audio when the first wake-ups come so much too late."""

    class LateClock(LoopClock):
        def __init__(self) -> None:
            self._extra = iter(extra_s)

        async def sleep_until(self, at_s: float) -> None:
            await super().sleep_until(at_s + next(self._extra, 0.0))

    recorded: list[float] = []
    virtual_time.run(
        play(
            ScriptedSession([(1.5, AUDIO), (1.6, END)]),
            bytes(2 * RATE_HZ),
            rate_hz=RATE_HZ,
            on_event=lambda _at_s, _event: None,
            on_frame=recorded.append,
            clock=LateClock(),
        )
    )
    return recorded
