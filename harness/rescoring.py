"""A stored run measured again: newer measures, other limits or another judge applied to what was recorded."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from itertools import count
from pathlib import Path

from harness import gates, results, scenario_gates, sequential
from harness.baseline import AGAINST
from harness.judge import Judge
from harness.limits import DEFAULT_PATH
from harness.restoring import read_question, restore
from harness.results import FILE_NAME, GATES_NAME, SCHEMA, Results, RunHeader, TurnRow, VerdictRow
from harness.run import LOST
from harness.run_header import is_engine_under_test, unfinished
from harness.scoring import (
    BEHAVIOUR_VERSIONS,
    JUDGE_RATE_HZ,
    VERSIONS,
    listen,
    score_again,
    score_scenario_again,
)


@dataclass(frozen=True, slots=True)
class Rescored:
    """What came of it.

    Attributes:
        results: as they are now in the folder.
        kept: where the results of before lie; None if nothing changed, and nothing was written.
        without_evidence: turns that were stored in schema 1 and keep their figures.
    """

    results: Results
    kept: Path | None
    without_evidence: int


def rescore(
    folder: Path,
    *,
    limits: Path | None = None,
    judge: Judge | None = None,
    on_turn: Callable[[int, int], None] = lambda _done, _of: None,
) -> Rescored:
    """Measure every turn of a run again and decide anew, in its folder.

    The results of before stay beside the new ones, as `results.1.jsonl` and so on, and their limits as `gates.1.toml`.
    Where nothing comes out differently, nothing is written: the bytes stay as they were.

    Args:
        folder: of the run.
        limits: a file of limits; None for those the run was decided by.
        judge: listens to everything again; None for what the judge of the run heard.
        on_turn: told how many turns are done, of how many.

    Raises:
        ResultsError: the run cannot be read, or its audio is missing or was changed.
        harness.limits.GatesError: the limits cannot be used.
        harness.sequential.LooksError: the looks of a run with a budget cannot be read.
        OSError: the folder cannot be written.
    """
    before = results.read(folder)
    gates_path = limits or (folder / GATES_NAME if (folder / GATES_NAME).is_file() else DEFAULT_PATH)
    rules = gates.load(gates_path)
    header = _heard_by(before.header, judge) if judge else before.header
    rows: list[TurnRow] = []
    for done, stored in enumerate(before.turns, 1):
        rows.append(_again(folder, header, stored, judge, rows))
        on_turn(done, len(before.turns))
    scenarios = tuple(map(score_scenario_again, before.scenarios))
    verdicts = [
        *gates.decide(rules, header, rows, sequential.load(folder)),
        *_kept(before),
        *scenario_gates.decide(rules, header, scenarios),
        *_unfinished(before),
    ]
    now = Results(header, tuple(rows), tuple(verdicts), scenarios)
    without = sum(row.evidence is None for row in rows)
    if now == before:
        return Rescored(before, None, without)
    now = replace(now, header=replace(header, schema=SCHEMA, rescored=_versions(limits)))
    return Rescored(now, _put(folder, now, gates_path), without)


def _again(folder: Path, header: RunHeader, row: TurnRow, judge: Judge | None, before: Sequence[TurnRow]) -> TurnRow:
    if row.evidence is None:
        return row
    recording, evidence = restore(folder, header.target, row), row.evidence
    if judge:
        evidence = listen(judge, evidence, recording, read_question(folder, row, JUDGE_RATE_HZ))
    return score_again(row, recording, evidence, before=before)


def _heard_by(header: RunHeader, judge: Judge) -> RunHeader:
    name = f"{judge.name} {judge.version}"
    return replace(header, judge=name, judge_is_engine=is_engine_under_test(judge, header.server))


def _kept(before: Results) -> list[VerdictRow]:
    """That a server was lost, and how it compared with a baseline, is not measured again."""
    return [verdict for verdict in before.verdicts if verdict.gate == LOST or verdict.gate.endswith(AGAINST)]


def _unfinished(before: Results) -> list[VerdictRow]:
    """A run of schema 1 does not tell what it was to play; that it was not all played, it had decided itself."""
    if before.header.planned is None and before.verdicts:
        return [verdict for verdict in before.verdicts if verdict.gate == "all played"]
    return unfinished(before.header, before.turns, before.scenarios)


def _versions(limits: Path | None) -> dict[str, str]:
    measures = VERSIONS | BEHAVIOUR_VERSIONS
    versions = {"s2s-gate": metadata.version("s2s-gate")} | {name: str(version) for name, version in measures.items()}
    return versions | ({"limits": limits.name} if limits else {})


def _put(folder: Path, now: Results, limits: Path) -> Path:
    """Write the new results and limits, having moved the old ones aside; never is there a moment without results."""
    number = next(n for n in count(1) if not (folder / f"results.{n}.jsonl").exists())
    kept = folder / f"results.{number}.jsonl"
    fresh = folder / f"{FILE_NAME}.new"
    results.write(fresh, now)
    shutil.copyfile(folder / FILE_NAME, kept)
    if (folder / GATES_NAME).is_file():
        shutil.copyfile(folder / GATES_NAME, folder / f"gates.{number}.toml")
    if limits != folder / GATES_NAME:
        shutil.copyfile(limits, folder / GATES_NAME)
    fresh.replace(folder / FILE_NAME)
    return kept
