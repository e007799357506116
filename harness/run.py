"""A run of the gate: fixtures and scenarios played into a target one by one, measured, written down at once, decided
upon.

However a run ends (in order, by a lost server, by Ctrl-C), what was measured is in its folder, with verdicts and
reports, and a run that was not finished is not a pass.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext

from client.connection import say_nothing
from client.play import Clock, LoopClock
from harness import baseline, gates, history, judge, reports, results, scenario_gates, sequential
from harness.baseline import Baseline, BaselineError
from harness.fixtures import Fixture, FixtureError, ManifestError
from harness.gates import Gates, GatesError
from harness.judge import Judge, JudgeUnavailable
from harness.limits import ALL
from harness.recording import Recording
from harness.replay import replay, unplayed
from harness.reports import TrendPoint
from harness.results import ResultsWriter, RunHeader, ScenarioRow, TurnRow, VerdictRow
from harness.run_header import describe_run, unfinished
from harness.run_settings import RunSettings
from harness.scenarios.casting import Cast, Casting
from harness.scenarios.performance import Performance
from harness.scenarios.performer import perform, unperformed
from harness.scoring import score_scenario, score_turn
from harness.sequential import Look
from harness.targets import open_target
from harness.targets.base import Target, UnavailableError

LOST = "server"
"""The name of the verdict on one that is lost."""

LOST_AFTER = 2
"""So many conversations in a row that could not be had, and the server counts as lost: the rest is not dialled."""

START_ERRORS = (BaselineError, FixtureError, GatesError, JudgeUnavailable, ManifestError, OSError)
"""What keeps a run from starting; each message says what to do. `UnavailableError` is an `OSError`."""

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_run(
    settings: RunSettings,
    planned: Sequence[Fixture],
    casting: Casting = Casting(),  # noqa: B008 - it is frozen
    *,
    target: Target | None = None,
    on_progress: Callable[[str], None] = say_nothing,
) -> AsyncIterator[Run]:
    """A run; leaving it decides, and writes the reports, whatever happened inside.

    Args:
        settings: what to run.
        planned: the fixtures that are to be played; a run that leaves some out is not a pass.
        casting: the scenarios that are to be played; the same.
        target: the server under test, where somebody else has opened it and closes it; else by the settings.
        on_progress: told what is loaded or waited for.

    Raises (on entering):
        BaselineError: there is none, or it may not be compared with.
        GatesError: the file of limits cannot be used.
        JudgeUnavailable: the judge cannot be had.
        UnavailableError: the server under test cannot be had.
        OSError: the report's folder cannot be written.
    """
    limits = gates.load(settings.gates)
    if settings.judge:
        on_progress(f"loading the judge, {settings.judge}")
    listener = await asyncio.to_thread(judge.load, settings.judge) if settings.judge else None
    opening = (
        nullcontext(target)
        if target
        else open_target(settings.target, settings.endpoint, token=settings.token, on_progress=on_progress)
    )
    async with opening as server:
        header = describe_run(settings, planned, casting, server, await server.describe(), listener)
        before = baseline.find(header, settings.baseline, force=settings.force) if settings.baseline else None
        try:
            with ResultsWriter(settings.folder, header, settings.gates) as writer:
                (settings.folder / sequential.FILE_NAME).unlink(missing_ok=True)
                run = Run(settings, server, header, planned, writer, limits, listener, before, casting=casting)
                try:
                    yield run
                finally:
                    run.look_at_the_end()
                    writer.add_verdicts(run.verdicts())
        finally:
            trend: list[TrendPoint] = []
            try:
                if settings.history:
                    found = results.read(settings.folder)
                    history.append(history.lines_of(found, settings.folder.name), settings.history)
                    trend = history.points(found, settings.history)
            finally:
                on_progress("writing the report")
                reports.write_all(settings.folder, trend=trend)


class Run:
    """A run under way.

    Attributes:
        settings: that it was opened with.
        header: what is run.
        planned: the fixtures that are to be played.
        casting: the scenarios that are to be played.
        rows: the turns that have been measured so far, in order.
        scenarios: the same of the scenarios.
    """

    def __init__(
        self,
        settings: RunSettings,
        target: Target,
        header: RunHeader,
        planned: Sequence[Fixture],
        writer: ResultsWriter,
        limits: Gates,
        listener: Judge | None,
        before: Baseline | None = None,
        *,
        casting: Casting = Casting(),  # noqa: B008 - it is frozen
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings
        self.header = header
        self.planned = tuple(planned)
        self.casting = casting
        self.rows: list[TurnRow] = []
        self.scenarios: list[ScenarioRow] = []
        self._target = target
        self._writer = writer
        self._limits = limits
        self._judge = listener
        self._baseline = before
        self._clock = clock or LoopClock()
        self._started_s: float | None = None
        self._looks: list[Look] = []
        self._lost = 0
        self._refusal = ""
        self._cold = True

    async def turn(self, fixture: Fixture) -> TurnRow:
        """Play and measure one fixture; once more if the harness's own sender was late, which counts both times."""
        row = await self._play(fixture)
        return await self._play(fixture) if row.outcome == "invalid" else row

    async def scenario(self, played: Cast) -> ScenarioRow:
        """Play and measure one scenario; once more if the harness's own sender was late."""
        row = await self._perform(played)
        return await self._perform(played) if row.outcome == "invalid" else row

    async def replays(self) -> AsyncIterator[TurnRow]:
        """Once all planned clips are played: play those again that may decide a limit, until all are or time is up.

        Clips come a language after the other in turn, those of decided languages not at all. A limit that takes more
        turns than there is time for is not waited for.
        """
        while self.settings.budget_s is not None and (languages := self._look()):
            for fixture in self.planned:
                if fixture.language not in languages:
                    continue
                if self._is_over:
                    self._look()
                    return
                yield await self.turn(fixture)

    def verdicts(self) -> list[VerdictRow]:
        """What can be decided from what has been played so far."""
        looks = self._looks
        if not looks or looks[-1].turns < len(self.rows):
            looks = [*looks, Look(len(self.rows), self._spent)]
        verdicts = gates.decide(self._limits, self.header, self.rows, looks)
        if self._baseline:
            verdicts += baseline.verdicts(self._baseline, self.header, self.rows, looks)
        verdicts += scenario_gates.decide(self._limits, self.header, self.scenarios)
        if self.is_lost:
            reason = f"the server could not be reached any more: {self._refusal}"
            verdicts.append(VerdictRow(LOST, "run", ALL, "fail", len(self.rows) + len(self.scenarios), reason))
        return [*verdicts, *unfinished(self.header, self.rows, self.scenarios)]

    def look_at_the_end(self) -> None:
        """Keep when a run with a budget was ended, whoever ended it, so that its verdicts can be made again."""
        if self._looks and self._looks[-1].turns < len(self.rows):
            self._note_look()

    @property
    def is_lost(self) -> bool:
        """The server could not be reached so often that it is not dialled any more."""
        return self._lost >= LOST_AFTER

    @property
    def elapsed_s(self) -> float:
        """How long this run has been playing."""
        return 0.0 if self._started_s is None else self._clock.now() - self._started_s

    @property
    def _turn_s(self) -> float:
        """How long a turn takes, so far."""
        return self.elapsed_s / len(self.rows) if self.rows else 0.0

    @property
    def _spent(self) -> float:
        """The share of the budget that is used up: all of it when there is no time for another turn."""
        budget_s = self.settings.budget_s
        if budget_s is None or self.elapsed_s + self._turn_s > budget_s:
            return 1.0
        return self.elapsed_s / budget_s

    @property
    def _is_over(self) -> bool:
        return self._spent >= 1 or self.is_lost or not self.rows

    def _note_look(self) -> None:
        look = Look(len(self.rows), self._spent)
        self._looks.append(look)
        sequential.save(look, self.settings.folder)

    def _look(self) -> set[str]:
        """Look at what was played, and tell the languages of which more should be."""
        self._note_look()
        if self._is_over:
            return set()
        can_play = ((self.settings.budget_s or 0.0) - self.elapsed_s) / self._turn_s
        verdicts = self.verdicts()
        lacking = gates.lacking(self._limits, self.header, verdicts)
        scopes = {scope for scope, turns in lacking.items() if turns <= can_play}
        if self._baseline and baseline.lacks_turns(self._baseline, self.rows, verdicts):
            scopes.add(ALL)
        planned = {fixture.language for fixture in self.planned}
        return planned if ALL in scopes else scopes & planned

    async def _play(self, fixture: Fixture) -> TurnRow:
        if self._started_s is None:
            self._started_s = self._clock.now()
        repeat = sum(row.fixture_id == fixture.id for row in self.rows)
        recording = await self._record(fixture)
        row = await asyncio.to_thread(score_turn, recording, fixture, self._judge, repeat=repeat, before=self.rows)
        row = self._writer.add_turn(row, recording, fixture.path)
        self.rows.append(row)
        return row

    async def _record(self, fixture: Fixture) -> Recording:
        if self.is_lost:
            return unplayed(fixture, self._target, _NOT_DIALLED)
        try:
            recording = await replay(fixture, self._target, clock=self._clock, limit_s=self.settings.limit_s)
        except UnavailableError as error:
            self._lost += 1
            self._refusal = str(error)
            return unplayed(fixture, self._target, self._refusal)
        except Exception as error:
            # A cascade in this very process may raise anything; that is the turn's result, not the run's end.
            _log.exception("%s: the target failed", fixture.id)
            return unplayed(fixture, self._target, f"{type(error).__name__}: {error}")
        self._lost = 0
        recording.cold, self._cold = self._cold, False
        return recording

    async def _perform(self, played: Cast) -> ScenarioRow:
        scenario = played.scenario
        repeat = sum(row.scenario_id == scenario.id for row in self.scenarios)
        performance = await self._record_scenario(played)
        row = await asyncio.to_thread(
            score_scenario, performance, scenario.about, attribution=played.attribution, repeat=repeat
        )
        row = self._writer.add_scenario(row, performance)
        self.scenarios.append(row)
        return row

    async def _record_scenario(self, played: Cast) -> Performance:
        scenario, clips = played.scenario, played.clips
        if self.is_lost:
            return unperformed(scenario, clips, _NOT_DIALLED)
        try:
            performance = await perform(scenario, clips, self._target, clock=self._clock, limit_s=self.settings.limit_s)
        except UnavailableError as error:
            self._lost += 1
            self._refusal = str(error)
            return unperformed(scenario, clips, self._refusal)
        except Exception as error:
            _log.exception("%s: the target failed", scenario.id)  # as of a turn
            return unperformed(scenario, clips, f"{type(error).__name__}: {error}")
        self._lost = 0
        return performance


_NOT_DIALLED = "not played: the server could not be reached before"
