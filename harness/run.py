"""A run of the gate: fixtures played into a target one by one, measured, written down at once, and decided upon.

However a run ends (in order, by a lost server, by Ctrl-C), what was measured is in its folder, with verdicts and
reports, and a run that was not finished is not a pass.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain, zip_longest
from pathlib import Path

from client.connection import say_nothing
from client.play import LIMIT_S, Clock
from harness import fixtures, gates, judge, reports
from harness.fixtures import LANGUAGES, Fixture, FixtureError, ManifestError, TierChoice
from harness.gates import Gates, GatesError
from harness.judge import Judge, JudgeUnavailable
from harness.limits import ALL, DEFAULT_PATH
from harness.measures import clipping, latency, words
from harness.recording import Recording
from harness.replay import replay, unplayed
from harness.results import ResultsWriter, RunHeader, TurnRow, VerdictRow
from harness.scoring import score_turn
from harness.targets import TargetName, open_target
from harness.targets.base import Target, UnavailableError

DEFAULT_PROFILE = "embedded"
"""Whose limits apply where the server does not say what it runs."""

DEFAULT_STT = "whisper-base"
"""What a server that does not say is taken to hear with, so that no judge is called independent without reason."""

LOST_AFTER = 2
"""So many conversations in a row that could not be had, and the server counts as lost: the rest is not dialled."""

START_ERRORS = (FixtureError, GatesError, JudgeUnavailable, ManifestError, OSError)
"""What keeps a run from starting; each message says what to do. `UnavailableError` is an `OSError`."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What to play into what, and by which limits to decide.

    Attributes:
        folder: where the report goes.
        target: inferred from `endpoint` if None.
        endpoint: address of the server under test; None for the cascade in this process.
        token: bearer token.
        languages: codes.
        tier: which fixtures; `auto` takes a language's recordings where there are any.
        limit: at most so many fixtures a language.
        gates: the file of limits.
        judge: the recogniser that listens to the replies; None for no such figures.
        profile: whose limits apply; None for what the server says it runs.
        limit_s: how long a reply may take to begin.
    """

    folder: Path
    target: TargetName | None = None
    endpoint: str | None = None
    token: str | None = field(default=None, repr=False)
    languages: tuple[str, ...] = LANGUAGES
    tier: TierChoice = "auto"
    limit: int | None = None
    gates: Path = DEFAULT_PATH
    judge: str | None = None
    profile: str | None = None
    limit_s: float = LIMIT_S


def default_folder(target: TargetName) -> Path:
    """Where a report goes that was given no place: `reports/TIME-TARGET`, under the working directory."""
    return Path("reports", f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{target}")


def parse_languages(text: str) -> tuple[str, ...]:
    """Codes separated by commas, each once, in their order.

    Raises:
        FixtureError: one that no clip can have.
    """
    codes = tuple(dict.fromkeys(code.strip() for code in text.split(",")))
    if unknown := [code for code in codes if code not in LANGUAGES]:
        raise FixtureError(f"unknown language {unknown[0]!r}; choose among {', '.join(LANGUAGES)}, separated by commas")
    return codes


def choose(settings: RunSettings) -> list[Fixture]:
    """The fixtures that a run would play, a language after the other in turn, so that an early end leaves some of each.

    Raises:
        FixtureError: there are none.
        ManifestError: the manifest cannot be read.
    """
    found = fixtures.available(settings.tier, settings.languages, settings.limit)
    if not found:
        raise FixtureError(
            f"no clips for the languages {', '.join(settings.languages)} in tier {settings.tier}; `s2s fixtures list` "
            "shows what there is, `s2s fixtures pull` brings the recordings"
        )
    by_language = [[clip for clip in found if clip.language == language] for language in settings.languages]
    return [clip for clip in chain.from_iterable(zip_longest(*by_language)) if clip is not None]


@asynccontextmanager
async def open_run(
    settings: RunSettings, planned: Sequence[Fixture], *, on_progress: Callable[[str], None] = say_nothing
) -> AsyncIterator[Run]:
    """A run; leaving it decides, and writes the reports, whatever happened inside.

    Args:
        settings: what to run.
        planned: the fixtures that are to be played; a run that leaves some out is not a pass.
        on_progress: told what is loaded or waited for.

    Raises (on entering):
        GatesError: the file of limits cannot be used.
        JudgeUnavailable: the judge cannot be had.
        UnavailableError: the server under test cannot be had.
        OSError: the report's folder cannot be written.
    """
    limits = gates.load(settings.gates)
    if settings.judge:
        on_progress(f"loading the judge, {settings.judge}")
    listener = await asyncio.to_thread(judge.load, settings.judge) if settings.judge else None
    async with open_target(settings.target, settings.endpoint, token=settings.token, on_progress=on_progress) as target:
        header = _header(settings, planned, target, await target.describe(), listener)
        try:
            with ResultsWriter(settings.folder, header) as writer:
                run = Run(target, header, planned, writer, limits, listener, limit_s=settings.limit_s)
                try:
                    yield run
                finally:
                    writer.add_verdicts(run.verdicts())
        finally:
            reports.write_all(settings.folder)


class Run:
    """A run under way.

    Attributes:
        header: what is run.
        planned: the fixtures that are to be played.
        rows: what has been measured so far, in order.
    """

    def __init__(
        self,
        target: Target,
        header: RunHeader,
        planned: Sequence[Fixture],
        writer: ResultsWriter,
        limits: Gates,
        listener: Judge | None,
        *,
        clock: Clock | None = None,
        limit_s: float = LIMIT_S,
    ) -> None:
        self.header = header
        self.planned = tuple(planned)
        self.rows: list[TurnRow] = []
        self._target = target
        self._writer = writer
        self._limits = limits
        self._judge = listener
        self._clock = clock
        self._limit_s = limit_s
        self._lost = 0
        self._cold = True
        self._loudness: dict[str, float] = {}

    async def turn(self, fixture: Fixture) -> TurnRow:
        """Play and measure one fixture; once more if the harness's own sender was late, which counts both times."""
        row = await self._play(fixture, repeat=0)
        return await self._play(fixture, repeat=1) if row.outcome == "invalid" else row

    def verdicts(self) -> list[VerdictRow]:
        """What can be decided from what has been played so far."""
        verdicts = gates.decide(self._limits, self.header, self.rows)
        played = {row.fixture_id for row in self.rows}
        if missing := [fixture.id for fixture in self.planned if fixture.id not in played]:
            reason = f"the run was stopped: {len(missing)} of {len(self.planned)} clips were not played"
            verdicts.append(VerdictRow("all played", "run", ALL, "inconclusive", len(played), reason))
        return verdicts

    async def _play(self, fixture: Fixture, repeat: int) -> TurnRow:
        recording = await self._record(fixture)
        loudness = self._loudness.get(fixture.language)
        row = await asyncio.to_thread(
            score_turn, recording, fixture, self._judge, repeat=repeat, previous_lufs=loudness
        )
        if row.clipping and row.clipping.loudness_lufs is not None:
            self._loudness[fixture.language] = row.clipping.loudness_lufs
        row = self._writer.add_turn(row, recording, fixture.path)
        self.rows.append(row)
        return row

    async def _record(self, fixture: Fixture) -> Recording:
        if self._lost >= LOST_AFTER:
            return unplayed(fixture, self._target, "not played: the server could not be reached before")
        try:
            recording = await replay(fixture, self._target, clock=self._clock, limit_s=self._limit_s)
        except UnavailableError as error:
            self._lost += 1
            return unplayed(fixture, self._target, str(error))
        except Exception as error:
            # A cascade in this very process may raise anything; that is the turn's result, not the run's end.
            _log.exception("%s: the target failed", fixture.id)
            return unplayed(fixture, self._target, f"{type(error).__name__}: {error}")
        self._lost = 0
        recording.cold, self._cold = self._cold, False
        return recording


def _header(
    settings: RunSettings, planned: Sequence[Fixture], target: Target, server: dict[str, str], listener: Judge | None
) -> RunHeader:
    engines = {key.removeprefix("lm."): name for key, name in server.items() if key.startswith("lm.")}
    profile = settings.profile or server.get("profile", DEFAULT_PROFILE)
    return RunHeader(
        target=target.name,
        profile=profile,
        tier=" and ".join(sorted({fixture.tier for fixture in planned})),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        languages=settings.languages,
        endpoint=settings.endpoint or "",
        machine={
            "system": f"{platform.system()} {platform.machine()}",
            "cores": str(os.cpu_count()),
            "python": platform.python_version(),
        },
        server={key: value for key, value in server.items() if not key.startswith("lm.")},
        versions={
            "s2s-gate": metadata.version("s2s-gate"),
            "latency": str(latency.VERSION),
            "words": str(words.VERSION),
            "clipping": str(clipping.VERSION),
        },
        lm=engines,
        judge=f"{listener.name} {listener.version}" if listener else None,
        judge_is_engine=listener is not None and listener.name == server.get("stt", DEFAULT_STT),
    )
