"""The gate as a pytest plugin: `pytest -m latency`, `-m wer`, `-m clipping`, `-m behaviour`.

The suites in harness/suites play each clip once a session and share its recording. They take minutes of real time, so
a plain `pytest` leaves them out and says so. What they measured is written as the same report as `s2s gate` writes.

A project asks for it by name in its root conftest.py, and says what is under test by options or by a `target` fixture
of its own (docs/own-endpoint.md):

    pytest_plugins = ["harness.plugin"]

It is no `pytest11` entry point: that would be imported by every pytest of the environment, for half a second, and give
options and markers to projects that never asked for them.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness import fixtures, history, pytest_options, results
from harness.fixtures import Fixture
from harness.limits import ALL
from harness.pytest_options import OptionError
from harness.reports.terminal import print_summary
from harness.results import Family, ScenarioRow, TurnRow, VerdictRow
from harness.run import START_ERRORS, Run, open_run
from harness.run_settings import RunSettings, Suite, choose, choose_scenarios
from harness.scenarios.casting import Cast, Casting
from harness.sequential import BudgetError
from harness.targets import TARGET_NAMES, Target

SUITES = {
    "latency": "how long the caller waits",
    "wer": "whether the caller was understood",
    "clipping": "whether the reply is safe for a loudspeaker",
    "behaviour": "whether turns are taken as they should",
}
"""Marker to what its tests find out."""
SUITES_FOLDER = Path(__file__).parent / "suites"
_BEHAVIOUR_SUITE = SUITES_FOLDER / "test_behaviour.py"
_SUITES_MODULE = "harness.suites"
_BEHAVIOUR_MODULE = f"{_SUITES_MODULE}.test_behaviour"

LEFT_OUT = (
    "the gate's suites were left out (they play minutes of audio): "
    'pytest -m "latency or wer or clipping", or -m behaviour'
)
SIDE_BY_SIDE = (
    "the gate does not run under pytest-xdist: a clip is played in real time, and whatever runs beside it on this "
    "machine, or talks to the server meanwhile, adds to the latency that is measured; add -n 0"
)

_ASKED_FOR = re.compile(rf"(?<!not )\b({'|'.join(SUITES)})\b")


def pytest_addoption(parser: pytest.Parser) -> None:
    pytest_options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    for suite, meaning in SUITES.items():
        config.addinivalue_line(
            "markers",
            f"{suite}: {meaning}. Plays clips into a server in real time, so it runs only when asked for: "
            f"pytest -m {suite} --endpoint ws://127.0.0.1:8080/v1/realtime",
        )
    if not _suites_wanted(config):
        return
    if _is_distributed(config):
        raise pytest.UsageError(SIDE_BY_SIDE)
    try:
        suites: tuple[Suite, ...] = ("turns", "behaviour") if _behaviour_wanted(config) else ("turns",)
        settings = replace(pytest_options.settings_of(config), history=history.FILE, suites=suites)
        config.stash[_GATE] = GateSession(settings, choose(settings), choose_scenarios(settings), _teller(config))
    except (*START_ERRORS, BudgetError, OptionError) as error:
        raise pytest.UsageError(str(error)) from error


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A path to all suites does not ask for conversations: they take a quarter of an hour, and are named."""
    without = _GATE in config.stash and not _behaviour_wanted(config)
    return True if without and collection_path == _BEHAVIOUR_SUITE else None


def pytest_report_header(config: pytest.Config) -> list[str]:
    gate = config.stash.get(_GATE, None)
    if gate is None:
        return []
    into = gate.settings.endpoint or gate.settings.target
    return [f"gate: {len(gate.clips)} clips ({fixtures.describe(gate.clips)}) into {into}"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    gate = metafunc.config.stash.get(_GATE, None)
    if gate is None or not _is_of_a_suite(metafunc.definition):
        return
    if "clip" in metafunc.fixturenames:
        ids = [f"{clip.id}[{gate.settings.target}]" for clip in gate.clips]
        metafunc.parametrize("clip", gate.clips, ids=ids)
    if "performed" in metafunc.fixturenames:
        ids = [f"{one.scenario.id}[{gate.settings.target}]" for one in gate.casting.played]
        metafunc.parametrize("performed", gate.casting.played, ids=ids, indirect=True)
    if "gated_language" in metafunc.fixturenames:
        metafunc.parametrize("gated_language", [*gate.settings.languages, ALL])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a gate, whatever plays clips is left out: the suites, and a project's own tests that share its marks."""
    if _GATE in config.stash:
        return
    left_out = [item for item in items if _is_of_a_suite(item) and "gate" in getattr(item, "fixturenames", ())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
        config.stash[_LEFT_OUT] = True


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
    output = getattr(session.config, "workeroutput", None)  # of a worker of pytest-xdist, which has no terminal
    if output is not None:
        output[_LEFT_OUT_OF_WORKER] = _LEFT_OUT in session.config.stash


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """A hook of pytest-xdist: what a worker left out, its controller says."""
    if getattr(node, "workeroutput", {}).get(_LEFT_OUT_OF_WORKER):
        node.config.stash[_LEFT_OUT] = True  # type: ignore[attr-defined]  # pytest-xdist may not be installed


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
def gate_settings(request: pytest.FixtureRequest) -> RunSettings:
    """What the options ask for, wherever each was given: the endpoint's address, the token."""
    return request.config.stash[_GATE].settings


@pytest.fixture(scope="session")
def target() -> Target | None:
    """The server under test: the one that --endpoint and --target name, unless a project has a fixture of this name."""
    return None


@pytest.fixture(scope="session")
def gate(request: pytest.FixtureRequest, target: Target | None) -> GateSession:
    """The session that plays each clip once, into the target."""
    session = request.config.stash[_GATE]
    session.aim(target)
    return session


@pytest.fixture
def turn(gate: GateSession, clip: Fixture, record_property: Callable[[str, object], None]) -> TurnRow:
    """What was measured when the clip was played; its figures are properties of the test, in --junit-xml too."""
    row = gate.turn(clip)
    record_property("outcome", row.outcome)
    for name in ("ttfa_s", "first_byte_s"):
        record_property(name, getattr(row.latency, name))
    if row.heard:
        record_property("heard_errors", row.heard.counts.errors)
        record_property("heard_units", row.heard.counts.units)
    if row.clipping:
        record_property("clipping_findings", len(row.clipping.findings))
    return row


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
        self._target: Target | None = None
        self._run: Run | None = None
        self._failure: BaseException | None = None
        self._rows: dict[str, TurnRow] = {}
        self._scenarios: dict[str, ScenarioRow] = {}
        self._decided = False

    def aim(self, target: Target | None) -> None:
        """Play into this target, whose name the session's tests already bear; None for the one that the options name.

        It fails the running test if that is not so.
        """
        name = self.settings.target or ""
        if target is None and name not in TARGET_NAMES:
            pytest.fail(
                f"there is no target {name!r}: choose {', '.join(TARGET_NAMES)}, or give it by a session-scoped "
                "fixture `target` of your own",
                pytrace=False,
            )
        if target is not None and target.name != name:
            pytest.fail(
                f"the fixture `target` gives {target.name!r}, and this session was collected for {name!r}: "
                f"write `s2s_target = {target.name}` into the ini file, or add --target {target.name}",
                pytrace=False,
            )
        if self._run and target is not self._target:
            pytest.fail("one session plays into one target; run pytest once for each", pytrace=False)
        self._target = target

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

    def check(self, family: Family, language: str, record: Callable[[str, object], None]) -> None:
        """Fail the running test unless every limit that is gated passes; skip it, with the reason, if none is.

        Each limit's verdict is recorded as a property of the test: `record` is pytest's `record_property`.
        """
        found = self.verdicts(family, language)
        for row in found:
            record(row.gate, f"{row.verdict}: {row.reason}")
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
        context = open_run(
            self.settings, self.planned, self.casting, target=self._target, on_progress=self._on_progress
        )
        return await self._stack.enter_async_context(context)


_GATE = pytest.StashKey[GateSession]()
_LEFT_OUT = pytest.StashKey[bool]()
_LEFT_OUT_OF_WORKER = "s2s_left_out"


def _teller(config: pytest.Config) -> Callable[[str], None]:
    """Tells the person at the terminal what is waited for, past pytest's capture."""

    def tell(what: str) -> None:
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            sys.stderr.write(f"\n{what}")
            sys.stderr.flush()

    return tell


def _is_of_a_suite(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(suite) for suite in SUITES)


def _is_distributed(config: pytest.Config) -> bool:
    """Whether tests run in other processes, side by side (`-n 2`, `--tx`), or this is one of them."""
    return hasattr(config, "workerinput") or any(config.getoption(name, None) for name in ("numprocesses", "tx"))


def _behaviour_wanted(config: pytest.Config) -> bool:
    """Whether scenarios are asked for: by their marker in -m, or by a path to their suite."""
    marked = re.search(r"(?<!not )\bbehaviour\b", config.getoption("markexpr", ""))
    arguments = config.invocation_params.args
    return bool(marked) or _BEHAVIOUR_MODULE in arguments or _BEHAVIOUR_SUITE in _paths(config)


def _suites_wanted(config: pytest.Config) -> bool:
    """By a marker in -m, or by a path into the suites."""
    if _ASKED_FOR.search(config.getoption("markexpr", "")):
        return True
    by_module = not {_SUITES_MODULE, _BEHAVIOUR_MODULE}.isdisjoint(config.invocation_params.args)
    return by_module or any(SUITES_FOLDER in (path, *path.parents) for path in _paths(config))


def _paths(config: pytest.Config) -> list[Path]:
    """The arguments, each taken for the path of a test: what it is not is nowhere among the suites."""
    names = (str(argument).partition("::")[0] for argument in config.invocation_params.args)
    return [Path(os.path.normpath(config.invocation_params.dir / name)) for name in names]
