"""One worker a model, so that none waits for another."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.worker import Runner, Threads, Worker

REPLIES_AT_ONCE = 4
"""llama.cpp batches so many conversations by itself, token by token."""


class Workers:
    """Args: `runner` makes what runs a worker's jobs, by its name and its number of slots."""

    def __init__(self, runner: Callable[[str, int], Runner] | None = None) -> None:
        def worker(name: str, *, slots: int = 1) -> Worker:
            return Worker(runner(name, slots) if runner else Threads(name, slots), slots=slots)

        self.turns = worker("end-of-turn")
        self.hearing = worker("speech-to-text")
        self.thinking = worker("language-model", slots=REPLIES_AT_ONCE)
        self.speaking = worker("text-to-speech")

        self.named = {
            "end-of-turn": self.turns,
            "speech-to-text": self.hearing,
            "language-model": self.thinking,
            "text-to-speech": self.speaking,
        }

    def close(self) -> None:
        """Blocks until what runs has stopped: call it off the loop."""
        for worker in self.named.values():
            worker.close()
