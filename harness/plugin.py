"""The gate as a pytest plugin: `pytest -m latency`, `-m wer`, `-m clipping`, `-m behaviour`.

The suites in harness/suites play each clip once a session and share its recording. They take minutes of real time, so
a plain `pytest` leaves them out and says so. What they measured is written as the same report as `s2s gate` writes.

Registered by the root conftest.py; elsewhere by `-p harness.plugin --pyargs harness.suites`.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path

import pytest
from rich.console import Console

from harness import history, results
from harness.fixtures import LANGUAGES, Fixture
from harness.limits import ALL, DEFAULT_PATH
from harness.reports.terminal import print_summary
from harness.results import Family, ScenarioRow, TurnRow, VerdictRow
from harness.run import (
    START_ERRORS,
    Run,
    RunSettings,
    choose,
    choose_scenarios,
    default_folder,
    open_run,
    parse_languages,
)
from harness.scenarios.casting import Cast, Casting
from harness.sequential import BudgetError, parse_budget
from harness.targets import TARGET_NAMES, infer_target

MARKERS = {
    "latency": "how long the caller waits; plays clips in real time",
    "wer": "whether the caller was understood; plays clips in real time",
    "clipping": "whether the reply is safe for a loudspeaker; plays clips in real time",
    "behaviour": "whether turns are taken as they should; plays conversations in real time",
    "models": "needs the real weights",
}
SUITES = ("latency", "wer", "clipping", "behaviour")
SUITES_FOLDER = Path(__file__).parent / "suites"

LEFT_OUT = (
    "the gate's suites were left out (they play minutes of audio): "
    'pytest -m "latency or wer or clipping", or -m behaviour'
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("s2s-gate", "the speech-to-speech gate")
    group.addoption(
        "--endpoint", metavar="URL", help="a running server, ws:// or wss://; without it: the cascade in this process"
    )
    group.addoption(
        "--target", choices=TARGET_NAMES, help="how to reach it; default: /ws in the URL is endpoint, else realtime"
    )
    group.addoption("--language", default=",".join(LANGUAGES), help="codes, separated by commas; default: %(default)s")
    group.addoption(
        "--tier", choices=("auto", "recorded", "synthetic"), default="auto", help="which clips; default: %(default)s"
    )
    group.addoption("--limit", type=int, help="at most so many clips a language")
    group.addoption(
        "--budget",
        metavar="TIME",
        help="go on playing up to so long (90s, 10m, 1h) while a limit is undecided; default: each clip once",
    )
    group.addoption("--report", type=Path, metavar="DIR", help="folder of the report; default: reports/TIME-TARGET")
    group.addoption("--gates", type=Path, default=DEFAULT_PATH, metavar="FILE", help="a file of limits of your own")
    group.addoption("--profile", help="whose limits apply; default: what the server says it runs, else embedded")
    group.addoption(
        "--judge", choices=("whisper-base", "none"), default="whisper-base", help="what listens to the replies"
    )
    group.addoption(
        "--token-env",
        default="S2S_TOKEN",
        metavar="NAME",
        help="the environment variable that holds the server's token",
    )


def pytest_configure(config: pytest.Config) -> None:
    for marker, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{marker}: {meaning}")
    if not _suites_wanted(config):
        return
    if config.getoption("numprocesses", None):
        raise pytest.UsageError(
            "the gate's suites cannot run with -n: clips played side by side distort each other's latency"
        )
    try:
        target = config.getoption("--target") or infer_target(config.getoption("--endpoint"))
        judge, budget = config.getoption("--judge"), config.getoption("--budget")
        settings = RunSettings(
            folder=config.getoption("--report") or default_folder(target),
            target=target,
            endpoint=config.getoption("--endpoint"),
            token=os.environ.get(config.getoption("--token-env")),
            languages=parse_languages(config.getoption("--language")),
            tier=config.getoption("--tier"),
            limit=config.getoption("--limit"),
            gates=config.getoption("--gates"),
            judge=None if judge == "none" else judge,
            profile=config.getoption("--profile"),
            budget_s=parse_budget(budget) if budget else None,
            history=history.FILE,
            suites=("turns", "behaviour") if _behaviour_wanted(config) else ("turns",),
        )
        config.stash[_GATE] = GateSession(settings, choose(settings), choose_scenarios(settings), _teller(config))
    except (*START_ERRORS, BudgetError) as error:
        raise pytest.UsageError(str(error)) from error


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if collection_path == SUITES_FOLDER / "test_behaviour.py" and not _behaviour_wanted(config):
        return True
    if _GATE in config.stash or SUITES_FOLDER not in (collection_path, *collection_path.parents):
        return None
    config.stash[_LEFT_OUT] = True
    return True


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    gate = metafunc.config.stash.get(_GATE, None)
    if gate is None or not any(metafunc.definition.get_closest_marker(suite) for suite in SUITES):
        return
    if "clip" in metafunc.fixturenames:
        ids = [f"{clip.id}-{gate.settings.target}" for clip in gate.clips]
        metafunc.parametrize("clip", gate.clips, ids=ids)
    if "performed" in metafunc.fixturenames:
        ids = [f"{one.scenario.id}-{gate.settings.target}" for one in gate.casting.played]
        metafunc.parametrize("performed", gate.casting.played, ids=ids, indirect=True)
    if "gated_language" in metafunc.fixturenames:
        metafunc.parametrize("gated_language", [*gate.settings.languages, ALL])


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is left after -k and --deselect is what is planned; a gate's test alone needs every clip."""
    if gate := session.config.stash.get(_GATE, None):
        callspecs = [item.callspec for item in session.items if hasattr(item, "callspec")]
        selected = {callspec.params["clip"].id for callspec in callspecs if "clip" in callspec.params}
        acted = {spec.params["performed"].scenario.id for spec in callspecs if "performed" in spec.params}
        suites = {suite for suite in SUITES if any(item.get_closest_marker(suite) for item in session.items)}
        turns, behaviour = bool(suites - {"behaviour"}), "behaviour" in suites
        gate.planned = ([clip for clip in gate.clips if clip.id in selected] or gate.clips) if turns else []
        chosen = tuple(one for one in gate.casting.played if one.scenario.id in acted) or gate.casting.played
        gate.casting = Casting(chosen, gate.casting.left_out) if behaviour else Casting()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if gate := session.config.stash.get(_GATE, None):
        gate.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    gate = config.stash.get(_GATE, None)
    if gate is None:
        if _LEFT_OUT in config.stash:
            terminalreporter.write_line(LEFT_OUT)
        return
    if gate.played:
        summary = io.StringIO()
        console = Console(file=summary, width=config.get_terminal_writer().fullwidth)
        print_summary(results.read(gate.settings.folder), console)
        terminalreporter.section("gate")
        terminalreporter.write(summary.getvalue())
        terminalreporter.write_line(f"report: {gate.settings.folder / 'report.html'}")


@pytest.fixture(scope="session")
def gate(request: pytest.FixtureRequest) -> GateSession:
    """The session that plays each clip once."""
    return request.config.stash[_GATE]


@pytest.fixture
def turn(gate: GateSession, clip: Fixture) -> TurnRow:
    """What was measured when the clip was played."""
    return gate.turn(clip)


@pytest.fixture
def performed(gate: GateSession, request: pytest.FixtureRequest) -> ScenarioRow:
    """What was measured when the scenario was played."""
    return gate.scenario(request.param)


class GateSession:
    """One run of the gate over a pytest session: opened by the first clip, closed with the session.

    Attributes:
        settings: of the run.
        clips: that match the options.
        planned: those of them that the session's tests ask for.
        casting: the scenarios that they ask for.
        played: a run was opened, so there is a report once the session is closed.
    """

    def __init__(
        self, settings: RunSettings, clips: list[Fixture], casting: Casting, on_progress: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self.clips = clips
        self.planned = clips
        self.casting = casting
        self._on_progress = on_progress
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._run: Run | None = None
        self._failure: BaseException | None = None
        self._rows: dict[str, TurnRow] = {}
        self._scenarios: dict[str, ScenarioRow] = {}
        self._decided = False

    def turn(self, clip: Fixture) -> TurnRow:
        """Play a clip, or give what was measured when it was."""
        if clip.id not in self._rows:
            self._rows[clip.id] = self._runner.run(self._opened().turn(clip))
        return self._rows[clip.id]

    def scenario(self, played: Cast) -> ScenarioRow:
        """Play a scenario, or give what was measured when it was."""
        name = played.scenario.id
        if name not in self._scenarios:
            self._scenarios[name] = self._runner.run(self._opened().scenario(played))
        return self._scenarios[name]

    def verdicts(self, family: Family, language: str) -> list[VerdictRow]:
        """What is decided about a language, or about all of them and the run itself; plays what was not played yet.

        The first who asks waits until every limit is decided or the budget is spent.
        """
        for clip in self.planned:
            self.turn(clip)
        for played in self.casting.played:
            self.scenario(played)
        if not self._decided and self.planned:
            self._runner.run(self._play_on(self._opened()))
            self._decided = True
        families = (family, "run") if language == ALL else (family,)
        return [row for row in self._opened().verdicts() if row.language == language and row.family in families]

    @property
    def played(self) -> bool:
        return self._run is not None

    def check(self, family: Family, language: str) -> None:
        """Fail the running test unless every limit that is gated passes; skip it, with the reason, if none is."""
        found = self.verdicts(family, language)
        gated = [row for row in found if row.verdict != "not gated"]
        if broken := [f"{row.verdict}: {row.gate}: {row.reason}" for row in gated if row.verdict != "pass"]:
            pytest.fail("\n".join(broken), pytrace=False)
        if not gated:
            why = "; ".join(f"{row.gate}: {row.reason}" for row in found)
            pytest.skip(f"not gated: {why or f'the gates file has no {family} limit here'}")

    def close(self) -> None:
        """Decide, write the report, let go of the target."""
        with self._runner:
            if self.played:
                self._runner.run(self._stack.aclose())

    def _opened(self) -> Run:
        """The run; what kept it from starting keeps every test from passing."""
        if self._failure:
            raise self._failure
        if not self._run:
            try:
                self._run = self._runner.run(self._open())
            except START_ERRORS as error:
                self._failure = pytest.UsageError(str(error))
                raise self._failure from error
        return self._run

    async def _play_on(self, run: Run) -> None:
        async for _ in run.replays():
            pass

    async def _open(self) -> Run:
        context = open_run(self.settings, self.planned, self.casting, on_progress=self._on_progress)
        return await self._stack.enter_async_context(context)


_GATE = pytest.StashKey[GateSession]()
_LEFT_OUT = pytest.StashKey[bool]()


def _teller(config: pytest.Config) -> Callable[[str], None]:
    """Tells the person at the terminal what is waited for, past pytest's capture."""

    def tell(what: str) -> None:
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            sys.stderr.write(f"\n{what}")
            sys.stderr.flush()

    return tell


def _behaviour_wanted(config: pytest.Config) -> bool:
    """Whether scenarios are asked for by name, or by a path to their suite."""
    named = [config.getoption("markexpr", ""), *map(str, config.invocation_params.args)]
    return any(re.search(r"\bbehaviour\b|test_behaviour", one) for one in named)


def _suites_wanted(config: pytest.Config) -> bool:
    """By a marker in -m, or by a path into the suites."""
    if re.search(rf"\b({'|'.join(SUITES)})\b", config.getoption("markexpr", "")):
        return True
    paths = (
        config.invocation_params.dir / str(argument).partition("::")[0] for argument in config.invocation_params.args
    )
    return "harness.suites" in config.invocation_params.args or any(
        SUITES_FOLDER in (path, *path.parents) for path in paths
    )
