"""`tax`: what the pipeline itself adds to a turn when its models take no time."""

from __future__ import annotations

import asyncio
import math
import tempfile
from pathlib import Path

import click

from benchmarks.bars import Bar, settle
from benchmarks.callers import ask_by_tone, progress, step
from benchmarks.scripted_server import PROGRAM
from client.connection import say_nothing
from harness.measures import latency
from harness.own_server import own_server
from harness.recording import Recording
from harness.replay import punctual
from harness.statistics import quantile
from harness.targets import open_target

LIMIT_MS = 10.0


@click.command()
@click.option("--turns", default=100, show_default=True, type=click.IntRange(59), help="59 are the fewest for a p95.")
def tax(turns: int) -> None:
    """From the commit of a turn to the first byte at the client.

    A server process with scripted models that answer at once, and one client on a loopback websocket. Takes about 4 s a
    turn. The commit is the one of the server's trace, on the input's sample clock, which is the client's own.
    """
    taxes_ms = asyncio.run(_taxes_ms(turns))
    p95 = quantile(taxes_ms, 0.95)
    settle(
        f"Pipeline tax, {turns} turns",
        [
            Bar("median", quantile(taxes_ms, 0.5).value, "ms"),
            Bar("p95", p95.value, "ms", LIMIT_MS),
            Bar("p95, upper 95 % bound", p95.high, "ms"),
            Bar("longest", max(taxes_ms), "ms"),
        ],
    )


async def _taxes_ms(turns: int) -> list[float]:
    taxes_ms = []
    with tempfile.TemporaryDirectory() as folder, progress(by_itself=False) as bar:
        todo = bar.add_task("turns", total=turns)
        async with (
            own_server(Path(folder, "log"), on_progress=say_nothing, program=PROGRAM) as url,
            open_target("realtime", url) as target,
        ):
            for _ in range(turns):
                with punctual():
                    taxes_ms.append(_tax_ms(await ask_by_tone(target)))
                step(bar, todo)
    return taxes_ms


def _tax_ms(recording: Recording) -> float:
    at_s = {bar.stage: bar.at_s for bar in latency.measure(recording).waterfall}
    committed_s, received_s = at_s.get("committed"), at_s.get("received")
    if committed_s is None or received_s is None:
        return math.inf  # a turn that was not answered is no short one
    return 1_000 * (received_s - committed_s)
