"""A whole comparison: both sides opened, played, decided upon and written down, however it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from client.connection import say_nothing
from client.endpoint import PATH as ENDPOINT_PATH
from client.realtime import PATH as REALTIME_PATH
from harness import baseline
from harness.comparison.play import Comparing
from harness.comparison.results import ComparisonError, ComparisonHeader, ComparisonWriter
from harness.comparison.sides import Played, Recalled, Server, Side, Stored
from harness.fixtures import Fixture
from harness.own_server import SERVE, own_server
from harness.results import RunHeader
from harness.run import open_run
from harness.run_settings import RunSettings, choose

_FEW_CALLERS = ("--max-sessions", "8")


def choose_clips(a: Server | Stored, b: Server | Stored, settings: RunSettings) -> list[Fixture]:
    """The clips that a comparison plays: those of the settings, but of a stored side no others than it has.

    Raises:
        ComparisonError: there is no clip that both sides can have.
        harness.fixtures.FixtureError: there are no such clips.
    """
    clips = choose(settings)
    for side in (a, b):
        if isinstance(side, Stored):
            known = {sample.fixture_id for sample in side.samples}
            clips = [clip for clip in clips if clip.id in known]
    if not clips:
        raise ComparisonError("the two sides have no clip in common; choose others with --language, --tier and --limit")
    return clips


@asynccontextmanager
async def open_comparison(
    a: Server | Stored,
    b: Server | Stored,
    settings: RunSettings,
    clips: Sequence[Fixture],
    *,
    tokens: tuple[str | None, str | None] = (None, None),
    force: bool = False,
    on_progress: Callable[[str], None] = say_nothing,
) -> AsyncIterator[Comparing]:
    """A comparison; leaving it decides, and writes what there is, whatever happened inside.

    Args:
        a: what to measure against.
        b: the candidate.
        settings: folder, limits, judge and budget; each side that is played leaves its own run in `a` or `b` of the
            folder.
        clips: what to play.
        tokens: of the two servers.
        force: compare what should not be compared, and say so.
        on_progress: told what is loaded or waited for.

    Raises (on entering):
        ComparisonError: the two should not be compared.
        harness.run.START_ERRORS: a side cannot be had.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        opened: list[tuple[Side, RunHeader]] = []
        for name, side, token in zip("ab", (a, b), tokens, strict=True):
            if isinstance(side, Stored):
                opened.append((Recalled(side.samples), side.header))
                continue
            own = replace(settings, folder=settings.folder / name, token=token, budget_s=None, endpoint=side.endpoint)
            if side.endpoint is None:
                own = replace(own, endpoint=await _start(side, own, stack, on_progress))
            run = await stack.enter_async_context(open_run(own, clips, on_progress=on_progress))
            opened.append((Played(run), run.header))
        (side_a, header_a), (side_b, header_b) = opened
        is_live = isinstance(a, Server) and isinstance(b, Server)
        against = [] if is_live else baseline.mismatches(header_a, header_b)
        if against and not force:
            raise ComparisonError(
                f"{a.name} and {b.name} are not compared: {'; '.join(against)}; --force compares them all the same"
            )
        started = datetime.now(UTC).isoformat(timespec="seconds")
        header = ComparisonHeader(a.name, b.name, header_a, header_b, started, is_live, tuple(against))
        budget_s = settings.budget_s if isinstance(a, Server) or isinstance(b, Server) else None
        with ComparisonWriter(settings.folder, header) as writer:
            comparing = Comparing(side_a, side_b, clips, writer, budget_s=budget_s)
            try:
                yield comparing
            finally:
                comparing.close()


async def _start(side: Server, settings: RunSettings, stack: AsyncExitStack, say: Callable[[str], None]) -> str:
    """The address of a server that is started for the comparison."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    program = (*SERVE, *_FEW_CALLERS, *side.options)
    log: Path = settings.folder / "server.log"
    address = await stack.enter_async_context(own_server(log, on_progress=say, program=program))
    return address + (ENDPOINT_PATH if settings.target == "endpoint" else REALTIME_PATH)
