"""`batching`: what the work of several conversations takes together, against one after the other.

Where the gain is 1 there is none, and who is put together only waits for the last. What was decided by it is in
`docs/performance.md`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.callers import progress
from pipeline.languages import Language
from pipeline.lm.base import Message
from pipeline.loading import load_language_model, load_text_to_speech
from pipeline.onnx_session import OnnxSession
from pipeline.profiles import load_profile
from pipeline.profiles.engines import Kokoro
from pipeline.stopping import Stop
from pipeline.stt.whisper.onnx_network import OnnxNetwork
from pipeline.vad import FRAME_SAMPLES
from pipeline.weights import WeightStore

TOGETHER = (1, 2, 4, 8)
RUNS = 15
REPLY_TOKENS = 48
CLAUSE = "The train to the coast leaves at half past nine."
_RATE_HZ = np.array(16_000, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Model:
    """`run(n)` does the work of n conversations together; the seconds it takes are the median of `runs`."""

    name: str
    run: Callable[[int], object]
    runs: int = RUNS

    def seconds(self, together: int) -> float:
        self.run(together)
        taken_s = []
        for _ in range(self.runs):
            began_s = time.perf_counter()
            self.run(together)
            taken_s.append(time.perf_counter() - began_s)
        return float(np.median(taken_s))


@click.command()
def batching() -> None:
    """The models of the embedded default: time for each of 1, 2, 4 and 8 conversations that are served together.

    Whisper's encoder is given longer windows for more conversations, and its decoder more tokens of one text: both read
    their weights once for all of them, as a batch would. Kokoro makes a run for each clause, all of them at the same
    time. Takes three to four minutes.
    """
    table = Table("", *(f"{together} together" for together in TOGETHER), "gain at best", title="For each conversation")
    with progress() as bar:
        for model in bar.track(list(_models()), description="running"):
            each_s = [model.seconds(together) / together for together in TOGETHER]
            gain = each_s[0] / min(each_s)
            times = (f"{1_000 * seconds:.3g} ms" for seconds in each_s)
            table.add_row(model.name, *times, f"{gain:.2f} x")
    Console(width=120).print(table)


def _models() -> Iterator[Model]:
    store, profile = WeightStore(), load_profile("embedded")

    voice_activity = OnnxSession(store.path("silero-vad") / "silero_vad.onnx", threads=1)
    noise = np.random.default_rng(0)

    def listen(together: int) -> None:
        frames = noise.standard_normal((together, 64 + FRAME_SAMPLES), np.float32)
        state = np.zeros((2, together, 128), np.float32)
        voice_activity.run({"input": frames, "state": state, "sr": _RATE_HZ}, Stop())

    yield Model("voice activity: a frame of 32 ms", listen, 300)

    end_of_turn = OnnxSession(store.path("smart-turn") / "smart-turn-v3.2-cpu.onnx", threads=1)

    def judge(together: int) -> None:
        end_of_turn.run({"input_features": noise.standard_normal((together, 80, 800), np.float32)}, Stop())

    yield Model("end of turn: 8 s", judge)

    whisper = OnnxNetwork(store.path("whisper-base"), [50259, 50362], [13, 50257], threads=1)
    heard = whisper.hear(noise.standard_normal((1, whisper.mels, 800), np.float32), Stop(), quick=False)
    _, memory = whisper.read([50258, 50259, 50359, 50363], 0, None, heard, Stop())

    def hear(together: int) -> None:
        # 30 s is as long as a window can be.
        for seconds in [16] * (together // 4) or [4 * together]:
            whisper.hear(noise.standard_normal((1, whisper.mels, 100 * seconds), np.float32), Stop(), quick=False)

    yield Model("speech to text: encoding 4 s", hear)
    yield Model(
        "speech to text: a token", lambda together: whisper.read([400] * together, 4, memory, heard, Stop()), 50
    )

    language_model = load_language_model(profile.engines["smollm2"], store)
    messages = [Message("user", "Tell me a long story about a fox and a hen.")]

    def reply(together: int) -> None:
        _at_once(together, lambda: language_model.reply(messages, max_tokens=REPLY_TOKENS, stop=Stop()))

    yield Model(f"language model: {REPLY_TOKENS} tokens, 4 at once", reply, 3)

    for threads in (1, 2):
        yield _synthesis(threads, store)


def _synthesis(threads: int, store: WeightStore) -> Model:
    settings = load_profile("embedded").engines["kokoro"]
    assert isinstance(settings, Kokoro)
    synthesiser = load_text_to_speech(replace(settings, threads=threads), store)
    voice = synthesiser.voices[Language.EN][0]

    def speak(together: int) -> None:
        _at_once(together, lambda: synthesiser.speak(CLAUSE, Language.EN, voice, speed=1.0, stop=Stop()))

    return Model(f"text to speech: a clause of 3 s, threads for each: {threads}", speak, 3)


def _at_once(together: int, pieces: Callable[[], Iterable[object]]) -> None:
    """What so many conversations ask for at the same moment, to the end."""
    with ThreadPoolExecutor(together) as pool:
        list(pool.map(lambda _: deque(pieces(), maxlen=0), range(together)))
