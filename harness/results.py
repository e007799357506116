"""The results file of a run, `results.jsonl`: a header, a row per turn and per scenario, a row per verdict.

Everything else (terminal, JUnit, Markdown, HTML) is made from the folder it lies in:

    results.jsonl
    gates.toml           the limits it was decided by
    questions/ID.flac    what was played into the target
    replies/ID.wav       what came back, as received

Schema 2 keeps the evidence of each turn, so that newer measures can be applied to it; schema 3 knows scenarios. Older
files are read too; turns of schema 1 have no evidence. `docs/results.schema.json` is the schema of a line.
"""

from __future__ import annotations

import json
import re
import shutil
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TextIO, TypeAlias

import numpy as np
import soundfile

from harness import jsonlines
from harness.measures import behaviour
from harness.measures.clipping import Clipping
from harness.measures.latency import Latency
from harness.measures.words import Words
from harness.recording import Chunk, Evidence, Outcome, Recording
from harness.scenarios.performance import Performance, PerformanceEvidence, Said

SCHEMA = 3
READABLE = (1, 2, SCHEMA)
FILE_NAME = "results.jsonl"
GATES_NAME = "gates.toml"

Family = Literal["run", "latency", "words", "clipping", "behaviour"]
Verdict = Literal["pass", "fail", "inconclusive", "not gated", "invalid"]


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What was run, where, and by which definitions.

    Attributes:
        target: how the server was reached (`in-process`, `realtime`, `endpoint`).
        profile: of the server; it picks the limits.
        tier: `recorded` voices, `synthetic` ones, or `recorded and synthetic`.
        started: UTC, ISO 8601.
        languages: that were asked for; one without a turn is never a pass.
        machine: of the harness: name of a fact to its value.
        server: what the target says of itself.
        versions: of the program and of each measure.
        lm: language to the engine that answers in it; empty where the target does not say.
        judge: the independent recogniser with its version; None where none was asked.
        judge_is_engine: the judge is the very engine under test, so it may share its mistakes.
        planned: ids of the fixtures that were to be played; None where that was not stored (schema 1).
        rescored: by which versions, and which limits if others, the stored turns were measured again; empty as run.
        schema: that the file is written in.
        scenarios: ids of the scenarios that were to be played; empty where the run had none.
        left_out: id of a scenario to why this run does not play it.
    """

    target: str
    profile: str
    tier: str
    started: str
    languages: tuple[str, ...] = ()
    endpoint: str = ""
    machine: dict[str, str] = field(default_factory=dict)
    server: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    lm: dict[str, str] = field(default_factory=dict)
    judge: str | None = None
    judge_is_engine: bool = False
    planned: tuple[str, ...] | None = None
    rescored: dict[str, str] = field(default_factory=dict)
    schema: int = SCHEMA
    scenarios: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TurnRow:
    """One fixture played into the target once, with everything measured.

    Attributes:
        repeat: 0 for the first time this fixture was played in the run.
        heard: the server's transcript against the fixture's.
        spoken: the judge's transcript of the reply against the text the server says it spoke.
        floor: the judge's transcript of the fixture against the fixture's.
        echoed: the judge's transcript of the reply against the fixture's; it means something where a server echoes.
        question: path of the question's audio in the run's folder.
        reply: path of the reply's audio in the run's folder.
        versions: of each measure's definition.
        evidence: what all of it was measured on; None in a file of schema 1.
    """

    fixture_id: str
    language: str
    tier: str
    speaker: str
    transcript: str
    outcome: Outcome
    latency: Latency
    clipping: Clipping | None = None
    heard: Words | None = None
    spoken: Words | None = None
    floor: Words | None = None
    echoed: Words | None = None
    trace: dict[str, float] | None = None
    error: str | None = None
    condition: str = ""
    attribution: str = ""
    repeat: int = 0
    question: str | None = None
    reply: str | None = None
    versions: dict[str, int] = field(default_factory=dict)
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class ScenarioRow:
    """One scenario played into the target once, with what was expected of it and what came.

    Attributes:
        language: of its first line; `none` where nobody speaks.
        about: what happens and what is expected, in a sentence.
        checks: what could have gone wrong, each with its verdict.
        said: its lines, as they were played.
        evidence: what all of it was measured on.
        repeat: 0 for the first time this scenario was played in the run.
        attribution: whom the licences of its clips ask to be named.
        question: path, in the run's folder, of what was sent.
        reply: path of what came back.
        versions: of the measure's definition.
    """

    scenario_id: str
    language: str
    about: str
    outcome: behaviour.Outcome
    checks: tuple[behaviour.Check, ...]
    said: tuple[Said, ...]
    evidence: PerformanceEvidence
    error: str | None = None
    repeat: int = 0
    attribution: str = ""
    question: str | None = None
    reply: str | None = None
    versions: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One limit of the gates and what came of it.

    Attributes:
        gate: the limit's name, for example `ttfa_s p50`.
        family: of the measure, for those who ask for one alone.
        language: a code, or `all`.
        value: the point estimate; None where there is none (a quantile that falls on a turn without an answer).
        low: one-sided 95 % lower confidence bound; None where there is none.
        high: one-sided 95 % upper confidence bound; None where there is none.
        n: turns (or blocks) behind it.
        reason: the verdict in words.
    """

    gate: str
    family: Family
    language: str
    verdict: Verdict
    n: int
    reason: str
    limit: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None


Row: TypeAlias = RunHeader | TurnRow | ScenarioRow | VerdictRow

KINDS: dict[str, type[RunHeader] | type[TurnRow] | type[ScenarioRow] | type[VerdictRow]] = {
    "run": RunHeader,
    "turn": TurnRow,
    "scenario": ScenarioRow,
    "verdict": VerdictRow,
}


class ResultsError(ValueError):
    """A results file that cannot be read: names the file, the line, the reason."""


@dataclass(frozen=True, slots=True)
class Results:
    """A results file, read."""

    header: RunHeader
    turns: tuple[TurnRow, ...]
    verdicts: tuple[VerdictRow, ...]
    scenarios: tuple[ScenarioRow, ...] = ()


class ResultsWriter:
    """Writes a run's folder row by row, so that a run which is stopped leaves what it had."""

    def __init__(self, folder: Path, header: RunHeader, gates: Path | None = None) -> None:
        """Create `folder` where needed, and replace an older run in it.

        Args:
            folder: of the run.
            header: its first row.
            gates: the file of limits, which is copied into the folder.

        Raises:
            OSError: it cannot be written.
        """
        self._folder = folder
        for audio in ("questions", "replies"):
            shutil.rmtree(folder / audio, ignore_errors=True)
            (folder / audio).mkdir(parents=True)
        self._file = _open_for_writing(folder / FILE_NAME)
        self._write(header)
        if gates and gates.resolve() != (folder / GATES_NAME).resolve():
            shutil.copyfile(gates, folder / GATES_NAME)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._file.close()

    def add_turn(self, row: TurnRow, recording: Recording, question: Path) -> TurnRow:
        """Write the row with its two pieces of audio, and return it with their paths filled in."""
        name = _file_name(row.fixture_id, row.repeat)
        asked = f"questions/{name}{question.suffix}"
        shutil.copyfile(question, self._folder / asked)
        answered = f"replies/{name}.wav" if recording.chunks else None
        if answered:
            _save_reply(recording.chunks, recording.rate_hz, recording.channels, self._folder / answered)
        row = replace(row, question=asked, reply=answered)
        self._write(row)
        return row

    def add_scenario(self, row: ScenarioRow, performance: Performance) -> ScenarioRow:
        """Write the row with what was sent and what came back, and return it with their paths filled in."""
        name = _file_name(f"scenario-{row.scenario_id}", row.repeat)
        asked = f"questions/{name}.flac" if performance.microphone else None
        if asked:
            sent = np.frombuffer(performance.microphone, dtype="<i2")
            soundfile.write(self._folder / asked, sent, performance.microphone_hz, subtype="PCM_16")
        answered = f"replies/{name}.wav" if performance.chunks else None
        if answered:
            evidence = performance.evidence
            _save_reply(performance.chunks, evidence.rate_hz, evidence.channels, self._folder / answered)
        row = replace(row, question=asked, reply=answered)
        self._write(row)
        return row

    def add_verdicts(self, verdicts: Iterable[VerdictRow]) -> None:
        for verdict in verdicts:
            self._write(verdict)

    def _write(self, row: Row) -> None:
        self._file.write(to_line(row) + "\n")
        self._file.flush()


def write(path: Path, results: Results) -> None:
    """Write a whole results file at once.

    Raises:
        OSError: it cannot be written.
    """
    with _open_for_writing(path) as file:
        rows: list[Row] = [results.header, *results.turns, *results.scenarios, *results.verdicts]
        file.writelines(to_line(row) + "\n" for row in rows)


def _open_for_writing(path: Path) -> TextIO:
    """Half a surrogate pair in a server's text has no UTF-8; escaped with a backslash it is JSON all the same."""
    return path.open("w", encoding="utf-8", errors="backslashreplace")


def _file_name(played: str, repeat: int) -> str:
    return re.sub(r"[^\w.-]", "_", f"{played}-{repeat}" if repeat else played)


def _save_reply(chunks: Sequence[Chunk], rate_hz: int, channels: int, path: Path) -> None:
    """The bytes as received, in order, as a WAV file; half a sample at the end has no place in one."""
    pcm = b"".join(chunk.pcm for chunk in chunks)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm[: len(pcm) - len(pcm) % (2 * channels)])


def to_line(row: Row) -> str:
    """A row as a line of the file, without its line break."""
    kind = next(name for name, record in KINDS.items() if type(row) is record)
    return f'{{"kind":{json.dumps(kind)},{jsonlines.encode(row)[1:]}'


def from_line(line: str) -> Row:
    """A line of the file as a row.

    Raises:
        jsonlines.LineError: it is not one, or one of a schema that this version does not know.
    """
    value = jsonlines.parse(line)
    kind = value.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise jsonlines.LineError(f"the field 'kind' is one of {', '.join(KINDS)}, not {kind!r:.60}")
    if kind == "run" and (schema := value.get("schema")) not in READABLE:
        raise jsonlines.LineError(
            f"it is written in schema {schema!r:.20} and this version reads {', '.join(map(str, READABLE))}; "
            "read it with the version of s2s-gate that wrote it, or run the gate again"
        )
    return jsonlines.decode(KINDS[kind], value)


def read(folder: Path) -> Results:
    """Read a run's folder.

    Raises:
        ResultsError: there is no results file, or a line of it is not a row.
    """
    path = folder / FILE_NAME
    rows: list[Row] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    rows.append(from_line(line))
                except jsonlines.LineError as error:
                    raise ResultsError(f"{path}, line {number}: {error}") from None
                if isinstance(rows[-1], RunHeader) != (number == 1):
                    raise ResultsError(f"{path}, line {number}: the run's header is the first line, and only that")
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} cannot be read: {error}; is this the folder of a run?") from None
    if not rows or not isinstance(rows[0], RunHeader):
        raise ResultsError(f"{path} is empty: the run was stopped before it began; run the gate again")
    turns = tuple(row for row in rows if isinstance(row, TurnRow))
    scenarios = tuple(row for row in rows if isinstance(row, ScenarioRow))
    return Results(rows[0], turns, tuple(row for row in rows if isinstance(row, VerdictRow)), scenarios)
