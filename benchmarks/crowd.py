"""`crowd`: many conversations at once on one set of models."""

from __future__ import annotations

import asyncio
import random
import tempfile
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import click
import numpy as np
import psutil

from benchmarks.bars import Bar, settle
from benchmarks.callers import ask_by_tone, progress, sent, step
from benchmarks.processes import processor_s
from benchmarks.scripted_server import PROGRAM
from benchmarks.slowness import Slowness, watched_slowness
from client.connection import say_nothing
from client.play import FRAME_S
from harness import fixtures
from harness.fixtures import Fixture
from harness.measures import latency
from harness.measures.latency import Latency
from harness.own_server import SERVE, own_server
from harness.recording import Recording
from harness.replay import punctual, replay
from harness.statistics import quantile
from harness.targets import open_target
from harness.targets.base import Target
from pipeline.profiles import load_profile
from server.memory import set_apart_what_stays

LATE_LIMIT_MS = 20.0
SLOWDOWN_LIMIT = 3.0
PREBUFFER_MS = 200


@click.group()
def crowd() -> None:
    """Many conversations at once on one set of models."""


@crowd.command()
@click.option("--callers", default=32, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=10, show_default=True, type=click.IntRange(1), help="Questions of each caller.")
def scripted(callers: int, rounds: int) -> None:
    """With scripted models: is audio sent in time, and at what cost of processor time?

    A server process with models that take no time, and as many callers as asked for, who ask and listen without a
    pause. Late is what comes later than a server has to send it that keeps as far ahead of a loudspeaker as its profile
    says. By what it is behind because the machine itself was slow, everything on it, it is not late; how much time was
    lost like that is told beside it. Takes about 7 s a round.
    """
    asked, busy_cores, slowness = asyncio.run(_scripted(callers, rounds))
    lead_s = load_profile("embedded").text_to_speech.lead_s
    sent_s = [(it.began_s + at_s, late_s) for it in asked for at_s, late_s in [sent(it.heard, lead_s)]]
    if not any(late_s.size for _, late_s in sent_s):
        raise click.ClickException(f"none of {len(asked)} turns was answered, and so nothing was sent late or in time")
    at_s, late_s = (np.concatenate(times) for times in zip(*sent_s, strict=True))
    beyond_s = late_s - slowness.behind_s(at_s, min(busy_cores, 1.0))
    settle(
        f"{callers} conversations at once, {len(asked)} turns, scripted models",
        [
            Bar("turns without a whole reply", sum(not it.is_answered for it in asked), "", 0),
            Bar("turns that the callers sent late", sum(it.is_late for it in asked), ""),
            Bar("what the machine lost by being slow", 100 * slowness.share, "% of the time"),
            Bar("audio sent late, median", 1_000 * quantile(list(late_s), 0.5).value, "ms"),
            Bar("audio sent late, p99", 1_000 * quantile(list(late_s), 0.99).value, "ms"),
            Bar("audio sent late, longest", 1_000 * late_s.max(), "ms"),
            Bar("beyond what the machine lost, p99", 1_000 * quantile(list(beyond_s), 0.99).value, "ms"),
            Bar("beyond what the machine lost, longest", 1_000 * beyond_s.max(), "ms", LATE_LIMIT_MS),
            Bar(f"gaps at {PREBUFFER_MS} ms prebuffer", sum(_gaps(latency.measure(it.heard)) for it in asked), ""),
            Bar("processor time of the server", busy_cores, "cores", 1.0),
        ],
    )


@dataclass(frozen=True, slots=True)
class _Question:
    """Attributes:
    began_s: by the event loop's time.
    """

    began_s: float
    heard: Recording

    @property
    def is_answered(self) -> bool:
        return self.heard.error is None and bool(self.heard.chunks) and self.heard.ended_s is not None

    @property
    def is_late(self) -> bool:
        return latency.is_late(self.heard.lateness_s)


async def _scripted(callers: int, rounds: int) -> tuple[list[_Question], float, Slowness]:
    """What was heard, the cores that the server kept busy, and when the machine was slow."""
    asked: list[_Question] = []
    phases = random.Random(callers)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as folder, progress(by_itself=False) as bar:
        todo = bar.add_task("turns", total=callers * rounds)
        async with own_server(Path(folder, "log"), on_progress=say_nothing, program=PROGRAM) as url:
            (server,) = psutil.Process().children()
            loop = asyncio.get_running_loop()

            async def ask() -> _Question:
                began_s: list[float] = []
                heard = await ask_by_tone(target, on_begin=lambda: began_s.append(loop.time()))
                return _Question(began_s[0], heard)

            async def call(number: int) -> None:
                await asyncio.sleep(number * 5.0 / callers)  # callers do not speak in chorus
                for _ in range(rounds):
                    # Nor do their sound cards, which one reply after the other by one server would bring in step.
                    await asyncio.sleep(phases.uniform(0.0, FRAME_S))
                    asked.append(await ask())
                    step(bar, todo)

            async with open_target("realtime", url) as target:
                set_apart_what_stays()
                before, began_s = processor_s(server), loop.time()
                with punctual(), watched_slowness() as slowness:
                    async with asyncio.TaskGroup() as tasks:
                        for number in range(callers):
                            tasks.create_task(call(number))
                lasted_s = loop.time() - began_s
                return asked, (processor_s(server) - before) / lasted_s, slowness[0]


@dataclass(frozen=True, slots=True)
class _Turn:
    outcome: str
    latency: Latency

    @property
    def underruns(self) -> int:
        """Gaps within the reply; between the replies to a turn that was cut in there has to be one."""
        if self.outcome == "cut-in":
            return 0
        return _gaps(self.latency)


def _gaps(turn: Latency) -> int:
    return next(play.underruns for play in turn.playback if play.prebuffer_ms == PREBUFFER_MS)


@crowd.command()
@click.option("--callers", default=4, show_default=True, type=click.IntRange(2))
@click.option("--rounds", default=10, show_default=True, type=click.IntRange(1), help="Questions of each caller.")
def embedded(callers: int, rounds: int) -> None:
    """With the embedded models: does each get an answer, how soon, and without gaps?

    `s2s serve` in a process of its own. The same English clips are played by one caller alone, then by all at once.
    Takes about a minute a round.
    """
    alone, together = asyncio.run(_embedded(callers, rounds))
    one_s, all_s = (quantile([_waited_s(turn) for turn in turns], 0.95).value for turns in (alone, together))
    settle(
        f"{callers} conversations at once, {len(together)} turns, embedded models",
        [
            Bar("turns without an answer", sum(turn.outcome in ("no-answer", "error") for turn in together), "", 0),
            Bar("turns answered before their end", sum(turn.outcome == "cut-in" for turn in together), ""),
            Bar("turns that the caller sent late", sum(turn.outcome == "invalid" for turn in together), ""),
            Bar(f"gaps at {PREBUFFER_MS} ms prebuffer, one caller", sum(turn.underruns for turn in alone), ""),
            Bar(f"gaps at {PREBUFFER_MS} ms prebuffer, all", sum(turn.underruns for turn in together), "", 0),
            Bar("time to first audio, median, one caller", _median(alone), "s"),
            Bar("time to first audio, median, all", _median(together), "s"),
            Bar("time to first audio, p95, one caller", one_s, "s"),
            Bar("time to first audio, p95, all", all_s, "s"),
            Bar("p95 of all by that of one", all_s / one_s, "times", SLOWDOWN_LIMIT),
        ],
    )


def _waited_s(turn: _Turn) -> float:
    return float("inf") if turn.latency.ttfa_s is None else turn.latency.ttfa_s


def _median(turns: list[_Turn]) -> float:
    return quantile([_waited_s(turn) for turn in turns], 0.5).value


async def _embedded(callers: int, rounds: int) -> tuple[list[_Turn], list[_Turn]]:
    clips = list(islice(cycle(fixtures.available("auto", ("en",), None)), callers * rounds))
    with tempfile.TemporaryDirectory() as folder, progress(by_itself=False) as bar:
        todo = bar.add_task("turns", total=2 * len(clips))
        async with (
            own_server(
                Path(folder, "log"),
                on_progress=say_nothing,
                # More than it would take by itself, too: what they would get then is the question.
                program=(*SERVE, "--max-sessions", str(callers)),
            ) as url,
            open_target("realtime", url) as target,
        ):
            alone = []
            for clip in clips:
                alone.append(await _turn(clip, target))
                step(bar, todo)
            together: list[_Turn] = []

            async def call(mine: list[Fixture]) -> None:
                for clip in mine:
                    together.append(await _turn(clip, target))
                    step(bar, todo)

            async with asyncio.TaskGroup() as tasks:
                for number in range(callers):
                    tasks.create_task(call(clips[number::callers]))
            return alone, together


async def _turn(clip: Fixture, target: Target) -> _Turn:
    recording = await replay(clip, target)
    return _Turn(latency.outcome(recording), latency.measure(recording))
