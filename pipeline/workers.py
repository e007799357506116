"""One worker a model, so that none waits for another."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.worker import Runner, Threads, Worker


class Workers:
    """Args:
    runner: makes what runs a worker's jobs, by its name and its number of slots.
    replies_at_once: how many the language model writes, which batches them by itself.
    clauses_at_once: how many the synthesiser speaks.
    """

    def __init__(
        self, runner: Callable[[str, int], Runner] | None = None, *, replies_at_once: int, clauses_at_once: int
    ) -> None:
        def worker(name: str, *, slots: int = 1) -> Worker:
            return Worker(runner(name, slots) if runner else Threads(name, slots), slots=slots)

        self.turns = worker("end-of-turn")
        self.hearing = worker("speech-to-text")
        self.thinking = worker("language-model", slots=replies_at_once)
        self.speaking = worker("text-to-speech", slots=clauses_at_once)

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
