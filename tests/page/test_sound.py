"""What the audio threads of the page do, driven block by block in a browser without any sound device or clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from client.clip_guard import ClipGuard
from pipeline.audio import FloatArray, float_to_pcm16

RATE_HZ = 24_000

GUARD = """async (streams) => {
  const { ClipGuard } = await import("/page/clip_guard.js");
  return streams.map((pieces) => {
    const guard = new ClipGuard();
    return pieces.flatMap(([joint, samples]) => {
      if (joint) guard.join();
      return samples.map((sample) => guard.next(sample));
    });
  });
}"""

# `steps` are PCM16 to add as [item, bytes, times], "flush", or a number of blocks to play.
LOUDSPEAKER = """async ([steps, keeps]) => {
  const told = [];
  globalThis.sampleRate = 24_000;
  globalThis.currentTime = 0;
  globalThis.AudioWorkletProcessor = class { port = { postMessage: (message) => told.push(message) }; };
  globalThis.registerProcessor = (name, processor) => { globalThis.Loudspeaker = processor; };
  await import("/page/loudspeaker.worklet.js");
  const loudspeaker = new globalThis.Loudspeaker();
  const played = [];
  for (const step of steps) {
    if (step === "flush") loudspeaker.port.onmessage({ data: {} });
    else if (Array.isArray(step)) {
      const [item, bytes, times] = step;
      for (let time = 0; time < times; time += 1) {
        loudspeaker.port.onmessage({ data: { item, pcm16: Uint8Array.from(bytes).buffer } });
      }
    } else for (let block = 0; block < step; block += 1) {
      const output = new Float32Array(128);
      loudspeaker.process([], [[output]]);
      globalThis.currentTime += 128 / 24_000;
      if (keeps) played.push(...output);
    }
  }
  return { played, told: told.filter(({ what }) => what !== "level") };
}"""

RESAMPLE = """async ([fromHz, toHz, samples, block]) => {
  const { Resampler } = await import("/page/resampler.js");
  const resampler = new Resampler(fromHz, toHz);
  const out = [];
  for (let at = 0; at < samples.length; at += block) {
    out.push(...resampler.push(Float32Array.from(samples.slice(at, at + block))));
  }
  return out;
}"""


def tone(seconds: float, *, hz: float = 220.0, level: float = 0.5, rate_hz: int = RATE_HZ) -> FloatArray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


async def play(page: Any, *steps: Any, keeps: bool = True) -> tuple[FloatArray, list[dict[str, Any]]]:
    """What is played and told. `steps` are `(item, pcm16[, times])` to add, "flush", or blocks of 128 to play."""
    said = [[step[0], list(step[1]), (*step, 1)[2]] if isinstance(step, tuple) else step for step in steps]
    result = await page.evaluate(LOUDSPEAKER, [said, keeps])
    return np.array(result["played"], np.float32), result["told"]


def streams() -> list[list[tuple[bool, FloatArray]]]:
    """Pieces of what no server should send, each perhaps after a joint."""
    random = np.random.default_rng(11)
    wrapped = (np.rint(tone(0.02, level=1.3) * 32_768).astype(np.int64) + 32_768) % 65_536 - 32_768
    pool = [
        tone(0.01),
        tone(0.01, level=0.999, hz=3_900),
        (wrapped / 32_768).astype(np.float32),
        np.full(40, np.nan, np.float32),
        np.array([np.inf, -np.inf, 0.3, 3e38, -2.0, -0.0, 1e-40], np.float32),
        random.uniform(-1.5, 1.5, 200).astype(np.float32),
        random.choice(np.array([-1.0, 1.0, 0.0, 0.7], np.float32), 200),
        np.zeros(150, np.float32),
    ]
    picks = random.integers(0, len(pool), (100, 5))
    joints = random.random((100, 5)) < 0.3
    return [
        [(bool(joint), pool[pick]) for joint, pick in zip(*row, strict=True)] for row in zip(joints, picks, strict=True)
    ]


@pytest.mark.asyncio
async def test_the_clip_guard_of_the_page_is_the_one_of_the_client(running: Any, visit: Any) -> None:
    """The client's is proven by hypothesis; this one gives the same samples, bit for bit."""
    async with running() as server, visit(f"http://127.0.0.1:{server.port}/") as visit:
        sent = [[(joint, samples.tolist()) for joint, samples in pieces] for pieces in streams()]
        guarded = await visit.page.evaluate(GUARD, sent)
    for pieces, there in zip(streams(), guarded, strict=True):
        guard = ClipGuard()
        here = []
        for joint, samples in pieces:
            if joint:
                guard.join()
            here.append(guard.push(samples))
        assert np.array_equal(np.array(there), np.concatenate(here).astype(np.float64))


@pytest.mark.asyncio
async def test_replies_are_played_without_seams_and_told_of(running: Any, visit: Any) -> None:
    pcm16 = float_to_pcm16(tone(0.1))
    async with running() as server, visit(f"http://127.0.0.1:{server.port}/") as visit:
        # In frames of odd lengths of samples, which come while it plays; then another item, of silence.
        played, told = await play(visit.page, 2, ("a", pcm16[:1002]), 3, ("a", pcm16[1002:]), ("b", bytes(2_400)), 30)
        again, _ = await play(visit.page, ("a", pcm16[:1002]), 5, ("a", pcm16[1002:]), 20)
    meant = np.frombuffer(pcm16, "<i2").astype(np.float32) / 32_768
    assert np.array_equal(played[256 : 256 + 2_400], meant)
    assert not played[:256].any()
    assert not played[256 + 2_400 :].any()
    assert [(event["what"], event["item"]) for event in told] == [("began", "a"), ("ranDry", "b")]
    assert told[0]["at_s"] == pytest.approx(256 / RATE_HZ)
    assert told[1]["playedMs"] == 50
    # Where more came too late there is silence, with a ramp at either end of it.
    gap = slice(501 + 128, 640)
    assert not again[gap].any()
    assert np.abs(np.diff(again)).max() < 0.06


@pytest.mark.asyncio
async def test_a_flush_is_a_short_ramp_and_tells_what_was_played(running: Any, visit: Any) -> None:
    async with running() as server, visit(f"http://127.0.0.1:{server.port}/") as visit:
        played, told = await play(
            visit.page,
            *(("a", float_to_pcm16(tone(0.1))), ("b", float_to_pcm16(tone(0.1))), 30, "flush", 3, "flush"),
            *(("c", float_to_pcm16(tone(0.02))), 10),
        )
    assert [(event["what"], event["item"]) for event in told] == [
        ("began", "a"),
        ("flushed", "b"),
        ("began", "c"),
        ("ranDry", "c"),
    ]
    assert told[1]["playedMs"] == (30 * 128 - 2_400) * 1_000 // RATE_HZ
    assert told[1]["rms"] == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    flushed_at = 30 * 128
    assert played[flushed_at - 1] != 0.0
    assert np.abs(np.diff(played)).max() < 0.06
    assert not played[flushed_at + 128 : flushed_at + 3 * 128].any()


@pytest.mark.asyncio
async def test_what_a_broken_server_sends_does_not_crack(running: Any, visit: Any) -> None:
    wrapped = (np.rint(tone(0.1, level=1.3) * 32_768).astype(np.int64) + 32_768) % 65_536 - 32_768
    noise = np.random.default_rng(3).integers(0, 256, 4_001, np.uint8).tobytes()
    async with running() as server, visit(f"http://127.0.0.1:{server.port}/") as visit:
        cracked, _ = await play(visit.page, ("a", wrapped.astype("<i2").tobytes()), 20)
        odd, _ = await play(visit.page, ("a", b""), ("a", b"\x7f"), ("a", noise), ("a", noise[:333]), 40, "flush", 2)
    assert np.abs(np.diff(wrapped / 32_768)).max() > 1.9
    assert np.abs(np.diff(cracked)).max() < 0.3
    assert np.abs(cracked).max() <= 1.0
    for samples in (cracked, odd):
        assert np.all(np.isfinite(samples))
        assert np.abs(np.diff(samples)).max() <= 1.0
    assert odd.any()


@pytest.mark.asyncio
async def test_more_than_the_ring_holds_is_dropped(running: Any, visit: Any) -> None:
    async with running() as server, visit(f"http://127.0.0.1:{server.port}/") as visit:
        _, told = await play(visit.page, ("a", b"\x00\x01" * RATE_HZ, 62), 12_000, keeps=False)
    assert [(event["what"], event["playedMs"]) for event in told] == [("began", 0), ("ranDry", 60_000)]


@pytest.mark.asyncio
@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
async def test_a_microphone_of_another_rate_is_resampled(running: Any, visit: Any, rate_hz: int) -> None:
    async with running() as server, visit(f"http://127.0.0.1:{server.port}/") as visit:
        kept, stopped = [
            np.array(await visit.page.evaluate(RESAMPLE, [rate_hz, RATE_HZ, samples.tolist(), 128]))
            for samples in (tone(0.5, hz=1_000, rate_hz=rate_hz), tone(0.5, hz=14_000, rate_hz=rate_hz))
        ]
    assert len(kept) == pytest.approx(RATE_HZ / 2, abs=40)
    middle = kept[2_000:10_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * RATE_HZ / len(middle) == pytest.approx(1_000, abs=3)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    assert np.abs(stopped[2_000:10_000]).max() < 0.002
