"""`siege`: what honest callers notice of others that idle, do not read, and flood."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import click
import psutil

from benchmarks.bars import Bar, settle
from benchmarks.callers import ask_by_tone, progress, step
from benchmarks.processes import memory_mb, processor_s
from benchmarks.scripted_server import PROGRAM
from client.connection import say_nothing
from harness import fixtures
from harness.measures import latency
from harness.own_server import SERVE, own_server
from harness.recording import Recording
from harness.replay import punctual, replay
from harness.statistics import quantile
from harness.targets import open_target
from harness.targets.base import Target

SLOWDOWN_LIMIT = 1.5
MEMORY_LIMIT_MB = 1_000
"""That a server may take for all of its attackers."""
HONEST = 4
ATTACKERS = {"idle": (200, 0.05), "slow": (20, 0.05), "flood": (20, 0.25), "linger": (400, 0.05)}
"""How many of each kind, and which share of a core they may take."""
_SETTLED_S = 5.0

Ask = Callable[[Target, int], Awaitable[Recording]]


@dataclass
class _Phase:
    """What was measured while the honest callers spoke.

    Attributes:
        server_cores: that the server kept busy.
        attacking_cores: that the attackers, or those in their place, kept busy.
        memory_mb: the most that the server took.
    """

    recordings: list[Recording] = field(default_factory=list)
    server_cores: float = 0.0
    attacking_cores: float = 0.0
    memory_mb: float = 0.0

    def ttfa_s(self, p: float) -> float:
        """Of those that the machine let the callers send in time."""
        sent = [recording for recording in self.recordings if latency.outcome(recording) != "invalid"]
        return quantile([_waited_s(recording) for recording in sent], p).value if sent else float("nan")

    def count(self, *outcomes: str) -> int:
        return sum(latency.outcome(recording) in outcomes for recording in self.recordings)


@click.group()
def siege() -> None:
    """4 honest callers, alone and beside 200 that idle, 20 that do not read, 20 that flood and 400 half-open ones."""


@siege.command()
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Questions of each caller.")
def scripted(rounds: int) -> None:
    """With scripted models: what the server itself makes honest callers wait for. Takes about 30 s a round."""
    _settle(asyncio.run(_besieged(PROGRAM, lambda target, number: ask_by_tone(target), rounds, apart_s=1.5)))


@siege.command()
@click.option("--rounds", default=4, show_default=True, type=click.IntRange(1), help="Questions of each caller.")
def embedded(rounds: int) -> None:
    """With the embedded models, and recorded questions. Takes about 50 s a round."""
    clips = [*islice(cycle(fixtures.available("auto", ("en",), None)), HONEST)]
    program = (*SERVE, "--max-sessions", "1000")
    _settle(asyncio.run(_besieged(program, lambda target, number: replay(clips[number], target), rounds, apart_s=4.0)))


def _settle(measured: tuple[dict[str, _Phase], float, float, Counter[str]]) -> None:
    phases, before_mb, after_mb, limits = measured
    bars = [Bar(f"hit: {name}", count, "times") for name, count in sorted(limits.items())]
    for name, phase in phases.items():
        bars += [
            Bar(
                f"{name}: turns without an answer", phase.count("no-answer", "error"), f"of {len(phase.recordings)}", 0
            ),
            Bar(f"{name}: turns answered before their end", phase.count("cut-in"), f"of {len(phase.recordings)}"),
            Bar(f"{name}: turns that the caller sent late", phase.count("invalid"), f"of {len(phase.recordings)}"),
            Bar(f"{name}: time to first audio, median", phase.ttfa_s(0.5), "s"),
            Bar(f"{name}: time to first audio, p95", phase.ttfa_s(0.95), "s"),
            Bar(f"{name}: processor time of the server", phase.server_cores, "cores"),
            Bar(f"{name}: processor time of the attackers", phase.attacking_cores, "cores"),
        ]
    alone_s = phases["alone"].ttfa_s(0.95)
    bars += [
        Bar("memory of the server before", before_mb, "MB"),
        Bar("memory at most, beyond that", phases["siege"].memory_mb - before_mb, "MB", MEMORY_LIMIT_MB),
        Bar("memory after, beyond that", after_mb - before_mb, "MB"),
        Bar("p95 beside a busy neighbour by p95 alone", phases["neighbour"].ttfa_s(0.95) / alone_s, "times"),
        Bar("median under siege by median alone", phases["siege"].ttfa_s(0.5) / phases["alone"].ttfa_s(0.5), "times"),
        Bar("p95 under siege by p95 alone", phases["siege"].ttfa_s(0.95) / alone_s, "times", SLOWDOWN_LIMIT),
    ]
    settle("Honest callers: alone, beside processes that only take processor time, and under siege", bars)


async def _besieged(
    program: Sequence[str], ask: Ask, rounds: int, *, apart_s: float
) -> tuple[dict[str, _Phase], float, float, Counter[str]]:
    """By phase; the server's memory before and after in MB; and how often each limit was hit."""
    with tempfile.TemporaryDirectory() as folder, progress(by_itself=False) as bar:
        todo = bar.add_task("turns", total=3 * HONEST * rounds)
        async with own_server(Path(folder, "log"), on_progress=say_nothing, program=program) as url:
            (server,) = psutil.Process().children()

            async def speak(phase: _Phase, others: Sequence[psutil.Process] = ()) -> None:
                async def call(number: int) -> None:
                    await asyncio.sleep(number * apart_s)
                    for _ in range(rounds):
                        phase.recordings.append(await ask(target, number))
                        step(bar, todo)

                async with open_target("realtime", url) as target, _watched(phase, server, others):
                    with punctual():
                        async with asyncio.TaskGroup() as tasks:
                            for number in range(HONEST):
                                tasks.create_task(call(number))

            phases = {name: _Phase() for name in ("alone", "neighbour", "siege")}
            await speak(_Phase())  # nobody's first conversation is measured
            before_mb = memory_mb(server)
            await speak(phases["alone"])
            async with _others(url, {"nothing": (1, sum(share for _, share in ATTACKERS.values()))}) as others:
                await speak(phases["neighbour"], others)
            async with _others(url, ATTACKERS) as others:
                await asyncio.sleep(_SETTLED_S)
                await speak(phases["siege"], others)
            await asyncio.sleep(_SETTLED_S)
            return phases, before_mb, memory_mb(server), await asyncio.to_thread(_limits_hit, url)


@asynccontextmanager
async def _others(url: str, kinds: dict[str, tuple[int, float]]) -> AsyncIterator[list[psutil.Process]]:
    """Processes of attackers, for as long as this is open."""
    started = []
    try:
        for kind, (count, share) in kinds.items():
            options = ("--url", url, "--count", str(count), "--share", str(share))
            started.append(
                await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.attackers", kind, *options)
            )
        yield [psutil.Process(process.pid) for process in started]
    finally:
        for process in started:
            process.kill()
            await process.wait()


@asynccontextmanager
async def _watched(phase: _Phase, server: psutil.Process, others: Sequence[psutil.Process]) -> AsyncIterator[None]:
    async def watch() -> None:
        while True:
            phase.memory_mb = max(phase.memory_mb, memory_mb(server))
            await asyncio.sleep(0.25)

    watching = asyncio.create_task(watch())
    began_s = asyncio.get_running_loop().time()
    server_s, others_s = processor_s(server), sum(map(processor_s, others))
    yield
    lasted_s = asyncio.get_running_loop().time() - began_s
    phase.server_cores = (processor_s(server) - server_s) / lasted_s
    phase.attacking_cores = (sum(map(processor_s, others)) - others_s) / lasted_s
    watching.cancel()


def _waited_s(recording: Recording) -> float:
    ttfa_s = latency.measure(recording).ttfa_s
    return float("inf") if ttfa_s is None else ttfa_s


def _limits_hit(url: str) -> Counter[str]:
    with urllib.request.urlopen(url.replace("ws:", "http:") + "/metrics", timeout=30) as answer:  # noqa: S310 - ours
        text = answer.read().decode()
    found = re.findall(r'^s2s_limits_hit_total\{limit="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return Counter({name: round(float(count)) for name, count in found if float(count)})
