"""The whole turn: from the end of what the caller said to the first sound of the answer. No silence is waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.gpu.records import Row, Scenario, Stopwatch, Took
from benchmarks.gpu.speech import Hearing, first_sound
from benchmarks.gpu.thinking import Thinking
from pipeline.lm.base import Message
from pipeline.tts.base import TextToSpeech

STAGES = ("until it is heard", "until the first token", "until the first clause", "until the first sound")


class Turns:
    """Callers whose turns end at the same moment. As in the server, one utterance is heard and one clause spoken at a
    time, and all write at once; other than there, all is in one process."""

    def __init__(self, hearing: Hearing, thinking: Thinking, speaking: TextToSpeech | None, scenario: Scenario) -> None:
        self._hearing, self._thinking, self._speaking, self._scenario = hearing, thinking, speaking, scenario
        self._hears, self._speaks = threading.Lock(), threading.Lock()

    def measure(self, clock: Stopwatch, profile: str) -> Iterator[Row]:
        """At each stage the time since the turns ended; the last is left out where there is nothing to speak with."""
        for callers in self._scenario.callers:
            if callers > self._thinking.most:
                continue
            took: list[list[float]] = []
            histories = [self._thinking.history() for _ in range(callers)]
            with ThreadPoolExecutor(callers) as pool:
                for number in range(-2, -(-self._scenario.turns // callers)):  # the first two warm it
                    began_s = time.perf_counter()
                    each = [pool.submit(self._turn, history, 3 + number, began_s) for history in histories]
                    done = [one.result() for one in each]
                    took += done if number >= 0 else []
            for stage, waits in zip(STAGES, zip(*took, strict=True), strict=False):
                yield clock.row("turn", stage, [Took(wait, None) for wait in waits], None, profile, callers)

    def _turn(self, history: list[Message], number: int, began_s: float) -> list[float]:
        marks: list[float] = []

        def mark() -> None:
            marks.append(time.perf_counter() - began_s)

        with self._hears:
            self._hearing.transcribe()
        mark()
        messages = self._thinking.asked(history, number)
        for written in self._thinking.write(messages, self._scenario.clause_tokens):
            if written == 1:
                mark()
        mark()
        if self._speaking is not None:
            with self._speaks:
                first_sound(self._speaking)
            mark()
        return marks
