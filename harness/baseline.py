"""A run that was accepted as the yardstick for later ones, kept small: the figures of its turns, without their audio.

One for each machine, profile and target. What was measured on another machine, of another profile, or by another
definition is not compared, unless that is forced; then it is said in every verdict.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from harness import jsonlines, machine, results
from harness.comparison.decide import Change, ChangeVerdict, decide
from harness.comparison.samples import Pair, Sample, pair
from harness.limits import ALL
from harness.results import Family, RunHeader, TurnRow, Verdict, VerdictRow
from harness.sequential import Look

FOLDER = Path("reports", "baseline")
SUFFIX = ".json"
SCHEMA = 1

MACHINE_MARGIN = 0.05
"""If the machine's own calibration loop took so much longer than then, a longer wait says nothing about the build."""

AGAINST = " against the baseline"
"""Ends the names of the verdicts that come from a comparison with one."""

_MEASURES = ("latency", "words", "clipping")
_FAMILIES: dict[str, Family] = {"heard": "words", "clipping": "clipping"}
_VERDICTS: dict[ChangeVerdict, Verdict] = {
    "better": "pass",
    "no change": "pass",
    "worse": "fail",
    "inconclusive": "inconclusive",
}


class BaselineError(ValueError):
    """A baseline that cannot be had, accepted or compared with: says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was accepted.

    Attributes:
        header: of the first of its runs.
        accepted: UTC, ISO 8601.
        runs: the folders that it was made of.
        calibration_ms: the machine's speed during those runs, their median; None where they do not say.
        samples: their turns in figures, in order.
    """

    header: RunHeader
    accepted: str
    runs: tuple[str, ...]
    calibration_ms: float | None
    samples: tuple[Sample, ...]
    schema: int = SCHEMA


def place(header: RunHeader, folder: Path = FOLDER) -> Path:
    """Where the baseline for such a run is kept."""
    return folder / f"{header.profile}-{header.target}-{machine.identity(header)}{SUFFIX}"


def accept(runs: Sequence[Path], folder: Path = FOLDER, *, force: bool = False) -> Path:
    """Make the baseline of one run, or of several that are alike, and put it in the place of an older one.

    Raises:
        BaselineError: they are not alike, or did not keep their limits, which `force` overrules.
        harness.results.ResultsError: one cannot be read.
        OSError: the folder cannot be written.
    """
    from harness.gates import exit_code

    found = [results.read(run) for run in runs]
    first = found[0].header
    for path, run in zip(runs, found, strict=True):
        against = mismatches(first, run.header)
        if exit_code(run.verdicts) in (1, 3):
            against.append("it did not keep its limits")
        if against and not force:
            raise BaselineError(f"{path} is no baseline: {'; '.join(against)}; --force accepts it all the same")
    speeds = [ms for run in found if (ms := machine.calibration_ms(run.header.machine)) is not None]
    accepted = Baseline(
        first,
        datetime.now(UTC).isoformat(timespec="seconds"),
        tuple(run.name for run in runs),
        median(speeds) if speeds else None,
        tuple(Sample.of(row) for run in found for row in run.turns),
    )
    path = place(first, folder)
    _replace(path, jsonlines.encode(accepted) + "\n")
    return path


def load(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        BaselineError: it cannot be read.
    """
    try:
        value = jsonlines.parse(path.read_text(encoding="utf-8"))
        if (schema := value.get("schema")) != SCHEMA:
            raise BaselineError(f"{path} is of schema {schema!r:.20}, this version reads {SCHEMA}; accept a run again")
        return jsonlines.decode(Baseline, value)
    except (OSError, UnicodeDecodeError, jsonlines.LineError) as error:
        raise BaselineError(f"the baseline {path} cannot be read: {error}") from None


def find(header: RunHeader, path: Path = FOLDER, *, force: bool = False) -> Baseline:
    """The baseline for a run: the file `path`, or the one in the folder `path` that is for such runs.

    Raises:
        BaselineError: there is none, or it may not be compared, which `force` overrules.
    """
    file = place(header, path) if path.is_dir() or path.suffix != SUFFIX else path
    if not file.exists():
        others = ", ".join(other.stem for other in sorted(path.glob(f"*{SUFFIX}"))) if path.is_dir() else ""
        raise BaselineError(
            f"there is no baseline {file} for the profile {header.profile} by {header.target} on this machine"
            f"{f' (only {others})' if others else ''}; `s2s baseline accept RUN` makes one of a run"
        )
    found = load(file)
    if (against := mismatches(found.header, header)) and not force:
        raise BaselineError(f"not compared with {file}: {'; '.join(against)}; --force compares all the same")
    return found


def mismatches(then: RunHeader, now: RunHeader) -> list[str]:
    """What stands against comparing two runs, in words."""
    against = []
    if machine.identity(then) != machine.identity(now):
        against.append(f"another machine ({machine.name(then)}, not {machine.name(now)})")
    if then.profile != now.profile:
        against.append(f"another profile ({then.profile}, not {now.profile})")
    if then.target != now.target:
        against.append(f"another target ({then.target}, not {now.target})")
    for measure in _MEASURES:
        before, after = (header.versions.get(measure, "unknown") for header in (then, now))
        if before != after:
            against.append(f"another definition of {measure} (version {before}, not {after})")
    return against


def describe(baseline: Baseline) -> list[str]:
    """For people: what was accepted, on what, and the figures of each language."""
    header, speed = baseline.header, baseline.calibration_ms
    measures = ", ".join(f"{name} {header.versions.get(name, 'unknown')}" for name in _MEASURES)
    told = [
        f"accepted {baseline.accepted}, of {', '.join(baseline.runs)}",
        f"profile {header.profile} by {header.target}, {header.tier} voices; definitions: {measures}",
        f"on {machine.name(header)}" + (f"; calibration loop {speed:.0f} ms" if speed is not None else ""),
    ]
    by_language: dict[str, list[float]] = {}
    for sample in baseline.samples:
        waits = by_language.setdefault(sample.language, [])
        if sample.outcome == "answered" and sample.ttfa_s is not None and not sample.cold:
            waits.append(sample.ttfa_s)
    for language, waits in by_language.items():
        told.append(
            f"{language}: first audio p50 {median(waits):.2f} s of {len(waits)} answered turns"
            if waits
            else f"{language}: no answer"
        )
    return told


def compare(baseline: Baseline, rows: Sequence[TurnRow], looks: Sequence[Look] = ()) -> tuple[list[Pair], list[Change]]:
    """A run's turns against the baseline's, clip by clip: the pairs, and what changed."""
    samples = [Sample.of(row) for row in rows]
    pairs = pair(baseline.samples, samples)
    own = [Look(len(pair(baseline.samples, samples[: look.turns])), look.spent) for look in looks]
    return pairs, decide(pairs, own)


def verdicts(
    baseline: Baseline, header: RunHeader, rows: Sequence[TurnRow], looks: Sequence[Look] = ()
) -> list[VerdictRow]:
    """What changed since the baseline, as rows of a run's results: worse fails.

    A longer wait on a machine that was itself slower than then is inconclusive.
    """
    pairs, changes = compare(baseline, rows, looks)
    if not pairs:
        reason = "no clip of the baseline was played; accept a run of these clips"
        return [VerdictRow("baseline", "run", ALL, "inconclusive", 0, reason)]
    slower = _slower(baseline, header)
    although = "".join(f"; although {against}" for against in mismatches(baseline.header, header))
    found = []
    for change in changes:
        verdict, reason = _VERDICTS[change.verdict], f"{change.verdict}: {change.reason}{although}"
        if slower is not None and change.unit == "ratio":
            reason += f"; this machine's calibration loop took {100 * slower:+.0f} %"
            if verdict == "fail" and slower > MACHINE_MARGIN:
                verdict = "inconclusive"
        found.append(
            VerdictRow(
                change.metric + AGAINST,
                _FAMILIES.get(change.metric, "latency"),
                ALL,
                verdict,
                change.pairs,
                reason,
                change.margin,
                change.value,
                change.low,
                change.high,
            )
        )
    return found


def lacks_turns(baseline: Baseline, rows: Sequence[TurnRow], verdicts: Sequence[VerdictRow]) -> bool:
    """Whether more turns may decide what changed since the baseline: something is open, and it has turns left."""
    is_open = any(row.gate.endswith(AGAINST) and row.verdict == "inconclusive" for row in verdicts)
    then, now = (Counter(turn.fixture_id for turn in turns) for turns in (baseline.samples, rows))
    return is_open and any(then[fixture_id] > played for fixture_id, played in now.items())


def _slower(baseline: Baseline, header: RunHeader) -> float | None:
    """By how much the machine's calibration loop took longer than then, as a share; None where that is not known."""
    now_ms = machine.calibration_ms(header.machine)
    if now_ms is None or baseline.calibration_ms is None:
        return None
    return now_ms / baseline.calibration_ms - 1


def _replace(path: Path, text: str) -> None:
    """Write a whole file or leave the old one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)
