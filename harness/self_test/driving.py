"""Drives the harness (its targets, its run, its measures, its gates) against the reference server."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from client.play import Clock, LoopClock
from harness import gates
from harness.fixtures import Fixture
from harness.reference.behaviour import Behaviour
from harness.reference.server import PROFILE, SENT_LATE
from harness.results import ResultsWriter, RunHeader, TurnRow, VerdictRow
from harness.run import Run
from harness.run_settings import RunSettings
from harness.self_test.clips import make_questions
from harness.self_test.expected import measured, programmed
from harness.self_test.listener import ToneListener
from harness.self_test.manners import MANNERS, Case, cast_of
from harness.self_test.programme import (
    BAD_RUNS,
    CLEAN,
    FAULTS,
    GATES,
    STALLED,
    BadRun,
    Fault,
    answer_to,
    drawn,
    stalled,
)
from harness.targets import TargetName
from harness.targets.base import Session, Target
from harness.targets.endpoint import EndpointTarget
from harness.targets.realtime import RealtimeTarget

LIMIT_S = 1.2
"""How long a reply may take to begin, or stay silent."""

_AGAIN = 2
"""How often a turn is played again that was sent late, and late again when the run repeated it."""

_KINDS: dict[TargetName, tuple[type[RealtimeTarget] | type[EndpointTarget], str]] = {
    "realtime": (RealtimeTarget, "/v1/realtime"),
    "endpoint": (EndpointTarget, "/ws"),
}


@dataclass(frozen=True, slots=True)
class Deviation:
    """One quantity of one turn, seconds; `measured_s` is None where the harness found none."""

    quantity: str
    programmed_s: float
    measured_s: float | None


@dataclass(frozen=True, slots=True)
class Found:
    """Whether a fault was found, or a gate decided as it must; `told` is what the harness said."""

    name: str
    protocol: TargetName
    expected: str
    is_right: bool
    told: str


@dataclass(slots=True)
class Outcome:
    """Everything that the self-test saw.

    Attributes:
        deviations: of the good replies.
        faults: one a fault and protocol.
        false_findings: what was reported on good replies, in words.
        clean: how many good replies there were.
        gates: one a gate and run.
        late: turns that say nothing, because the harness's own sender was late however often they were played again.
        sender_late_s: how late the sender was at most (p99) in each good turn.
        server_late_s: how late the reference server was itself at most, by its own account, in each good turn whose
            protocol tells it. It is part of the errors: nothing is taken off them.
    """

    deviations: list[Deviation] = field(default_factory=list)
    faults: list[Found] = field(default_factory=list)
    false_findings: list[str] = field(default_factory=list)
    clean: int = 0
    gates: list[Found] = field(default_factory=list)
    late: int = 0
    sender_late_s: list[float] = field(default_factory=list)
    server_late_s: list[float] = field(default_factory=list)


def turns() -> int:
    """How many turns a self-test measures."""
    good = sum(CLEAN.values()) + sum(STALLED.values())
    bad = sum(len(fault.protocols) * (1 if fault.before is None else 2) for fault in FAULTS)
    refused = sum(1 + run.turns for run in BAD_RUNS)
    return good + bad + refused + 2 * len(MANNERS)


async def drive(
    address: str, *, on_turn: Callable[[str], None] = lambda _name: None, clock: Clock | None = None
) -> Outcome:
    """Play the whole programme into the reference server at `address` (ws://host:port).

    Args:
        address: without a path.
        on_turn: told the name of each turn once it is played.
        clock: that of the harness; the event loop's if None.

    Raises:
        OSError: no folder for the recordings can be had.
    """
    with tempfile.TemporaryDirectory(prefix="s2s-self-test-") as folder:
        bench = _Bench(address, Path(folder), clock, on_turn)
        await bench.good_replies()
        for fault in FAULTS:
            for protocol in fault.protocols:
                await bench.fault(fault, protocol)
        for bad in BAD_RUNS:
            await bench.bad_run(bad)
        for case in MANNERS:
            await bench.manners(case)
        return bench.outcome


class _Aimed:
    """A target of the harness, aimed before each turn at the address that asks for a behaviour."""

    def __init__(self, name: TargetName, address: str) -> None:
        self.name = name
        self._kind, path = _KINDS[name]
        self.input_rate_hz = self._kind.input_rate_hz
        self.output_rate_hz = self._kind.output_rate_hz
        self._address = address + path
        self.behaviour: Behaviour

    def _target(self, query: str = "") -> Target:
        return self._kind(self._address + query, token=None, wait_s=0.0)

    def connect(self, language: str) -> AbstractAsyncContextManager[Session]:
        return self._target(f"?{self.behaviour.query()}").connect(language)

    async def describe(self) -> dict[str, str]:
        return await self._target().describe()


class _LateClock(LoopClock):
    """A machine that is too busy: every frame leaves 30 ms late."""

    async def sleep_until(self, at_s: float) -> None:
        await super().sleep_until(at_s + 0.03)


class _Bench:
    """Questions, limits and a judge, for one run after the other."""

    def __init__(self, address: str, folder: Path, clock: Clock | None, on_turn: Callable[[str], None]) -> None:
        self.outcome = Outcome()
        self._address = address
        self._folder = folder
        self._clock = clock
        self._on_turn = on_turn
        self._questions = make_questions(folder)
        limits = folder / "gates.toml"
        limits.write_text(GATES, encoding="utf-8")
        self._limits = gates.load(limits)

    async def good_replies(self) -> None:
        for protocol, count in CLEAN.items():
            played = [(question, drawn(question, seed)) for seed, question in enumerate(self._asked(count))]
            rows, verdicts = await self._play(protocol, "good reply", played)
            self._compare(protocol, played, rows)
            if protocol == "realtime":
                self._must_be_green(protocol, rows, verdicts)
        for protocol, count in STALLED.items():
            played = [(question, stalled(question, seed)) for seed, question in enumerate(self._asked(count), 100)]
            rows, _ = await self._play(protocol, "good reply that stands still", played)
            self._compare(protocol, played, rows)

    async def fault(self, fault: Fault, protocol: TargetName) -> None:
        question = self._questions[0]
        played = [(question, answer_to(question, **fault.changes))]
        if fault.before is not None:
            played.insert(0, (question, answer_to(question, **fault.before)))
        rows, _ = await self._play(protocol, fault.name, played)
        row = rows[-1]
        self.outcome.faults.append(
            Found(fault.name, protocol, str(fault.sign), fault.sign.is_seen(row), _describe(row))
        )

    async def bad_run(self, bad: BadRun) -> None:
        first = self._questions[0]
        played = [(first, answer_to(first))]
        played += [(question, answer_to(question, **bad.changes)) for question in self._asked(bad.turns)]
        _, verdicts = await self._play("realtime", bad.name, played, late=bad.late)
        for gate in bad.red:
            verdict = next((row for row in verdicts if row.gate == gate), None)
            red = verdict is not None and verdict.verdict in ("fail", "invalid")
            told = f"{verdict.verdict}: {verdict.reason}" if verdict else "no verdict"
            self.outcome.gates.append(Found(gate, "realtime", f"red when {bad.name}", red, told))

    async def manners(self, case: Case) -> None:
        """A scenario with a server that behaves, in which nothing may be found, and with one that does not."""
        played = cast_of(case, self._questions)
        for manners, is_good in ((case.good, True), (case.bad, False)):
            target = _Aimed("realtime", self._address)
            target.behaviour = Behaviour(0.0, manners=manners)
            header = RunHeader("realtime", PROFILE, "synthetic", "", ("en",), planned=(), scenarios=(case.name,))
            with ResultsWriter(self._folder / "run", header) as writer:
                settings = RunSettings(self._folder / "run", target="realtime", limit_s=LIMIT_S)
                run = Run(settings, target, header, [], writer, self._limits, None, clock=self._clock)
                row = await run.scenario(played)
                for _ in range(_AGAIN):
                    if row.outcome == "invalid":
                        row = await run.scenario(played)
            self._on_turn(case.name)
            self.outcome.late += row.outcome == "invalid"
            broken = sorted({check.measure for check in row.checks if check.verdict == "broken"})
            told = row.error or ", ".join(broken) or "nothing"
            if is_good and row.outcome not in ("held", "invalid"):
                self.outcome.false_findings.append(f"realtime: {case.name}, behaving: {row.outcome} ({told})")
            elif not is_good:
                self.outcome.faults.append(Found(case.name, "realtime", case.sign, broken == [case.sign], told))

    def _asked(self, count: int) -> list[Fixture]:
        return [self._questions[number % len(self._questions)] for number in range(count)]

    async def _play(
        self, protocol: TargetName, name: str, played: Sequence[tuple[Fixture, Behaviour]], *, late: bool = False
    ) -> tuple[list[TurnRow], list[VerdictRow]]:
        """A run of its own: the row of each turn, and what the gates make of them all."""
        target = _Aimed(protocol, self._address)
        judge = ToneListener()
        header = RunHeader(
            protocol,
            PROFILE,
            "synthetic",
            "",
            ("en",),
            lm={"en": "echo"},
            judge=f"{judge.name} {judge.version}",
            planned=tuple(question.id for question, _ in played),
        )
        clock = _LateClock() if late else self._clock
        rows: list[TurnRow] = []
        with ResultsWriter(self._folder / "run", header) as writer:
            settings = RunSettings(self._folder / "run", target=protocol, limit_s=LIMIT_S)
            questions = [question for question, _ in played]
            run = Run(settings, target, header, questions, writer, self._limits, judge, clock=clock)
            for question, behaviour in played:
                target.behaviour = behaviour
                row = await run.turn(question)
                for _ in range(_AGAIN):
                    if row.outcome != "invalid" or late:
                        break
                    row = await run.turn(question)
                self.outcome.late += row.outcome == "invalid" and not late
                rows.append(row)
                self._on_turn(name)
            return rows, run.verdicts()

    def _compare(
        self, protocol: TargetName, played: Sequence[tuple[Fixture, Behaviour]], rows: Sequence[TurnRow]
    ) -> None:
        for (_, behaviour), row in zip(played, rows, strict=True):
            if row.outcome == "invalid":
                continue
            self.outcome.clean += 1
            self.outcome.sender_late_s.append(row.latency.sender_late_p99_s)
            if row.trace and SENT_LATE in row.trace:
                self.outcome.server_late_s.append(row.trace[SENT_LATE])
            found = measured(row.latency)
            told = programmed(behaviour, _KINDS[protocol][0].output_rate_hz, traced=protocol == "realtime")
            self.outcome.deviations += (
                Deviation(quantity, programmed_s, found.get(quantity)) for quantity, programmed_s in told.items()
            )
            if wrong := _describe_wrong(row):
                self.outcome.false_findings.append(f"{protocol}: {wrong}")

    def _must_be_green(self, protocol: TargetName, rows: Sequence[TurnRow], verdicts: Sequence[VerdictRow]) -> None:
        for verdict in verdicts:
            if verdict.gate == "cold start":
                right = verdict.value == rows[0].latency.ttfa_s
                self.outcome.gates.append(Found(verdict.gate, protocol, "told apart", right, verdict.reason))
            elif verdict.limit is not None:
                right = verdict.verdict == "pass"
                told = f"{verdict.verdict}: {verdict.reason}"
                self.outcome.gates.append(Found(verdict.gate, protocol, "green on good replies", right, told))


def _describe_wrong(row: TurnRow) -> str:
    """What is reported on a turn, in words; empty for a good one."""
    parts = [f"{row.outcome}{f' ({row.error})' if row.error else ''}"] if row.outcome != "answered" else []
    parts += [
        f"{f.check} at {f.at_ms:.1f} ms ({f.value:g} {f.unit})" for f in (row.clipping.findings if row.clipping else ())
    ]
    for name in ("heard", "spoken", "floor", "echoed"):
        words = getattr(row, name)
        if words is not None and words.counts.errors:
            counts = words.counts
            parts.append(f"{name}: {counts.substitutions} S, {counts.deletions} D, {counts.insertions} I")
    return "; ".join(parts)


def _describe(row: TurnRow) -> str:
    stalls = [play for play in row.latency.playback if play.underruns]
    parts = [f"{play.underruns} underrun of {1000 * play.underrun_s:.0f} ms at {play.prebuffer_ms}" for play in stalls]
    return "; ".join(filter(None, (_describe_wrong(row), *parts))) or "nothing"
