"""The reference server keeps its programme, and understands no other."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from client.play import LoopClock
from harness import virtual_time
from harness.jsonlines import LineError
from harness.reference import voice
from harness.reference.behaviour import STAGES, Behaviour, Defect, parse_query
from harness.reference.protocols import Realtime
from harness.reference.script import Audio, Done, Text, Transcript, write
from harness.reference.server import SENT_LATE, PunctualClock, SampleClock, converse, start
from harness.targets.health import describe_by_health

PLAIN = Behaviour(1.0, heard="alpha", spoken="alpha bravo")


@given(
    st.builds(
        Behaviour,
        st.floats(0, 10),
        stages_s=st.tuples(*[st.floats(-1, 1)] * len(STAGES)),
        heard=st.none() | st.text(),
        spoken=st.text(),
        chunk_s=st.floats(0.001, 1),
        defects=st.tuples(st.builds(Defect, st.sampled_from(["clipped", "wrap"]), st.floats(0, 1))),
        breaks=st.none() | st.just("endless"),
    )
)
def test_a_behaviour_goes_through_an_address_unchanged(behaviour: Behaviour) -> None:
    assert parse_query(behaviour.query()) == behaviour


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "says nothing of the behaviour"),
        ("behaviour=nonsense", "not JSON"),
        ('behaviour={"speech_end_s":1,"colour":"red"}', "unknown field 'colour'"),
        ('behaviour={"speech_end_s":1,"breaks":"everything"}', "one of no-reply"),
        ('behaviour={"speech_end_s":1,"stages_s":[0]}', "one entry for each"),
        ('behaviour={"speech_end_s":1,"chunk_s":0}', "chunk_s lies between"),
    ],
)
def test_what_is_no_behaviour_says_why(query: str, why: str) -> None:
    with pytest.raises(LineError, match=why):
        parse_query(query)


def test_jitter_is_drawn_once_and_stays() -> None:
    behaviour = replace(PLAIN, jitter_s=0.05, seed=3)
    assert behaviour.delays_s() == behaviour.delays_s() != replace(behaviour, seed=4).delays_s()
    least = PLAIN.delays_s()
    assert all(0 <= longer - least[stage] <= 0.05 for stage, longer in behaviour.delays_s().items())


def test_a_script_is_in_order_and_tells_its_trace() -> None:
    steps = write(replace(PLAIN, untold=("transcript",)), 24_000, 1.02)
    assert [at_s for at_s, _ in steps] == sorted(at_s for at_s, _ in steps)
    assert [type(said) for _, said in steps] == [Transcript, Text, *[Audio] * 7, Done]
    assert steps[2][0] == pytest.approx(0.2)
    done = steps[-1][1]
    assert isinstance(done, Done)
    assert done.trace.keys() == {f"{stage}_s" for stage in STAGES if stage != "transcript"}
    assert done.trace["first_sent_s"] == pytest.approx(1.22)


def test_a_reply_that_is_broken_off_comes_before_the_proper_one() -> None:
    steps = write(replace(PLAIN, broken_off_chunks=3), 24_000, 1.0)
    ends = [said.cancelled for _, said in steps if isinstance(said, Done)]
    assert ends == [True, False]
    begun = b"".join(
        said.pcm for _, said in steps[: [type(said) for _, said in steps].index(Done)] if isinstance(said, Audio)
    )
    assert 0.115 < len(begun) / 48_000 <= 0.12
    assert abs(np.frombuffer(begun, "<i2")[-1]) > 2_000


@pytest.mark.parametrize("rate_hz", [16_000, 24_000])
def test_the_voice_is_as_loud_and_as_sudden_as_it_says(rate_hz: int) -> None:
    samples = voice.speak("golf", rate_hz, lead_in_s=0.05)
    first = int(np.argmax(np.abs(samples) >= 0.01))
    assert 0.05 <= first / rate_hz < 0.0504
    assert np.abs(samples).max() == pytest.approx(voice.AMPLITUDE, abs=0.002)
    assert samples.size == round(0.17 * rate_hz)


def test_the_sample_clock_goes_by_the_frame_that_came_soonest() -> None:
    clock = SampleClock(16_000)
    clock.take(0, 4.0)
    assert not clock.started.is_set()
    for frame, late_s in enumerate((0.004, 0.001, 0.009), 1):
        clock.take(320, 5.0 + 0.02 * frame + late_s)
    assert clock.origin_s == pytest.approx(5.001)
    assert [clock.whole_s(end_s) for end_s in (0.02, 0.02001, 0.56)] == pytest.approx([0.02, 0.04, 0.56])


def test_how_late_it_was_itself_is_in_its_trace() -> None:
    """A line that takes 7 ms for each piece of audio, of which the next one is due after 24."""

    class SlowLine:
        def __init__(self) -> None:
            self.incoming: asyncio.Queue[str] = asyncio.Queue()
            self.done: asyncio.Future[dict[str, float]] = asyncio.get_running_loop().create_future()

        async def recv(self) -> str:
            return await self.incoming.get()

        async def send(self, message: str | bytes) -> None:
            event = json.loads(message)
            if event["type"] == "response.output_audio.delta":
                await asyncio.sleep(0.007)
            elif event["type"] == "response.done":
                self.done.set_result(event["response"]["trace"])

    async def ask() -> dict[str, float]:
        line = SlowLine()
        line.incoming.put_nowait('{"type":"session.update"}')
        line.incoming.put_nowait(json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA" * 320}))
        answering = asyncio.create_task(converse(line, Realtime(), PLAIN, LoopClock()))
        trace = await line.done
        answering.cancel()
        return trace

    assert virtual_time.run(ask())[SENT_LATE] == pytest.approx(0.007)


@pytest.mark.asyncio
async def test_the_punctual_clock_is_never_early() -> None:
    clock = PunctualClock()
    for _ in range(20):
        due_s = clock.now() + 0.003
        await clock.sleep_until(due_s)
        assert clock.now() >= due_s


@pytest.mark.asyncio
async def test_what_it_does_not_know_it_refuses() -> None:
    async with await start("127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        address = f"ws://127.0.0.1:{port}"
        assert (await describe_by_health(f"{address}/ws", None))["profile"] == "reference"
        with pytest.raises(InvalidStatus):
            await connect(f"{address}/other")
        async with connect(f"{address}/ws?behaviour=1") as websocket:
            with pytest.raises(ConnectionClosedError, match="a JSON object"):
                await websocket.recv()
        async with connect(f"{address}/v1/realtime?{PLAIN.query()}") as websocket:
            assert json.loads(await websocket.recv())["type"] == "session.created"
            await websocket.send("nonsense")
            with pytest.raises(ConnectionClosedError):
                await asyncio.wait_for(websocket.recv(), 10)
