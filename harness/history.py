"""What runs showed over the nights, and when something changed for good.

`history.jsonl` is only ever appended to: a line a run and limit. A line that was torn, by a machine that went down, is
left out when it is read.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from filelock import FileLock

from harness import jsonlines, machine
from harness.baseline import AGAINST
from harness.limits import CLIPPING, LATENCIES
from harness.reports.charts import TrendPoint
from harness.results import Results, Verdict

FILE = Path("reports", "history.jsonl")

NIGHTS_BEFORE = 5
"""So many nights of a series must be known before another can stand out from them."""
BAND = 2.0
"""Standard deviations; two of three nights outside, on the same side, are a change."""
SMALLEST = 0.05
"""A night that differs by less than this, relative to the nights before, does not stand out, however calm they were."""
SMALLEST_RATE = 0.02
"""The same for what is no wait, absolute: rates and shares are often 0."""

State = Literal["limit broken", "changed", "one night off", "steady", "too few nights"]


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One limit of one run.

    Attributes:
        run: the run's folder.
        started: UTC, ISO 8601.
        series: digest of all that must be the same for two runs to be of one series: machine, profile, target, clips,
            definitions of the measures.
        label: the series in words.
        calibration_ms: how fast the machine was.
        late_ms: how late the harness's own sender was, p99 of its worst turn.
    """

    run: str
    started: str
    series: str
    label: str
    gate: str
    language: str
    verdict: Verdict
    n: int
    limit: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    calibration_ms: float | None = None
    late_ms: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """A history, read. `torn` lines were left out."""

    lines: tuple[HistoryLine, ...]
    torn: int


@dataclass(frozen=True, slots=True)
class Night:
    """All runs of a series that began on one day (UTC): the median of a limit's figure, and the gravest verdict."""

    date: str
    value: float | None
    verdict: Verdict
    runs: int


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A change that held: the first night of it, and the medians before and since."""

    date: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Noise:
    """How steady the machine was that a series was measured on.

    Attributes:
        calibration_ms: of its calibration loop, the median of the runs; None where no run says.
        spread: of that from run to run, as a share: a robust standard deviation; None with fewer than five runs.
        late_ms: the worst p99 of the harness's own sender.
    """

    calibration_ms: float | None
    spread: float | None
    late_ms: float | None


@dataclass(frozen=True, slots=True)
class Trend:
    """One limit of one series over the nights.

    Attributes:
        nights: in order.
        changes: that held for two of three nights.
        state: of the last night.
        spread: from night to night since the last change, as a share of their median: a robust standard deviation.
    """

    series: str
    label: str
    gate: str
    language: str
    limit: float | None
    nights: tuple[Night, ...]
    changes: tuple[ChangePoint, ...]
    state: State
    spread: float | None


def series_of(results: Results) -> str:
    """Digest of all that must be the same for two runs to be of one series."""
    header = results.header
    clips = sorted({row.fixture_id for row in results.turns})
    measures = [f"{name} {version}" for name, version in sorted(header.versions.items()) if name != "s2s-gate"]
    facts = (machine.identity(header), header.profile, header.target, *clips, *measures)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]


def lines_of(results: Results, run: str) -> list[HistoryLine]:
    """What a run adds to the history; nothing where it is invalid or was stopped, which would look like a change."""
    if any(row.family == "run" and row.verdict in ("invalid", "inconclusive") for row in results.verdicts):
        return []
    header = results.header
    clips = {row.fixture_id for row in results.turns}
    label = f"{header.profile} by {header.target}, {len(clips)} {header.tier} clips, {machine.name(header)}"
    late_ms = max((1_000 * row.latency.sender_late_p99_s for row in results.turns), default=None)
    return [
        HistoryLine(
            run=run,
            started=header.started,
            series=series_of(results),
            label=label,
            gate=row.gate,
            language=row.language,
            verdict=row.verdict,
            n=row.n,
            limit=row.limit,
            value=row.value,
            low=row.low,
            high=row.high,
            calibration_ms=machine.calibration_ms(header.machine),
            late_ms=None if late_ms is None else round(late_ms, 3),
        )
        for row in results.verdicts
        if row.family != "run" and not row.gate.endswith(AGAINST) and row.limit is not None and row.n
    ]


def append(lines: Iterable[HistoryLine], path: Path = FILE) -> None:
    """Add lines, all of them or, if the machine goes down, some with the last one torn.

    Raises:
        OSError: the file cannot be written.
    """
    text = "".join(jsonlines.encode(line) + "\n" for line in lines)
    if not text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")), path.open("ab+") as file:
        if file.tell() and _last_byte(path) != b"\n":
            text = "\n" + text  # what was torn must not swallow the first of these
        file.write(text.encode("utf-8", "backslashreplace"))
        file.flush()
        os.fsync(file.fileno())


def load(path: Path = FILE) -> History:
    """Read a history; one that is not there is empty.

    Raises:
        OSError: the file cannot be read.
    """
    if not path.exists():
        return History((), 0)
    lines: list[HistoryLine] = []
    torn = 0
    for line in path.read_bytes().decode("utf-8", "replace").split("\n"):
        if not line.strip():
            continue
        try:
            lines.append(jsonlines.decode(HistoryLine, jsonlines.parse(line)))
        except jsonlines.LineError:
            torn += 1
    return History(tuple(lines), torn)


def trends(lines: Sequence[HistoryLine]) -> list[Trend]:
    """Every limit of every series over the nights, the series that was added to last first."""
    grouped: dict[tuple[str, str, str], list[HistoryLine]] = defaultdict(list)
    for line in sorted(lines, key=lambda line: line.started):
        grouped[line.series, line.language, line.gate].append(line)
    latest = {series: max(line.started for line in own) for (series, _, _), own in grouped.items()}
    found = [_trend(own) for own in grouped.values()]
    return sorted(found, key=lambda trend: latest[trend.series], reverse=True)


def points(results: Results, path: Path = FILE) -> list[TrendPoint]:
    """The waits and rates of the runs of the same series, run by run, as the report of this one draws them.

    Raises:
        OSError: the file cannot be read.
    """
    series = series_of(results)
    own = sorted((line for line in load(path).lines if line.series == series), key=lambda line: line.started)
    changed = {(trend.language, trend.gate, change.date) for trend in trends(own) for change in trend.changes}
    found = []
    for line in own:
        if line.value is None or line.gate.startswith(CLIPPING):
            continue
        night = (line.language, line.gate, line.started[:10])
        found.append(
            TrendPoint(
                measure=line.gate,
                language=line.language,
                started=line.started,
                value=line.value,
                unit="s" if line.gate.startswith(LATENCIES) else "%",
                low=line.low,
                high=line.high,
                limit=line.limit,
                verdict=line.verdict,
                changed=night in changed,
                build=line.run,
            )
        )
        changed.discard(night)  # a change is of its first run
    return found


def noise(lines: Sequence[HistoryLine], series: str) -> Noise:
    """Of the machine of a series."""
    runs = {line.run: line for line in lines if line.series == series}.values()
    speeds = [line.calibration_ms for line in runs if line.calibration_ms is not None]
    late = [line.late_ms for line in runs if line.late_ms is not None]
    spread = _deviation(speeds) / median(speeds) if len(speeds) >= NIGHTS_BEFORE else None
    return Noise(median(speeds) if speeds else None, spread, max(late, default=None))


def change_points(values: Sequence[float | None], smallest: float = 0.0) -> list[int]:
    """The nights at which a change began that held.

    Two of three nights outside of two standard deviations, on the same side (Western Electric, Statistical Quality
    Control Handbook, 1956, test 2), of the nights since the last change; median and median deviation stand for mean
    and standard deviation, so that a bad night among them does no harm. The rule for one point outside of three
    deviations is left out on purpose: one night is no change. A night without a figure stands out by being None, which
    is more than any number: there was no answer to wait for.

    Args:
        values: a night each, in order.
        smallest: what a night must differ by at least, besides 5 % of the nights before.
    """
    numbers = [math.inf if value is None else value for value in values]
    found: list[int] = []
    start = 0
    for last in range(len(numbers)):
        three = range(max(start, last - 2), last + 1)
        before = [number for number in numbers[start : three[0]] if math.isfinite(number)]
        if len(before) < NIGHTS_BEFORE:
            continue
        for side in (1, -1):
            out = [night for night in three if stands_out(numbers[night], before, smallest) == side]
            if len(out) >= 2 and out[-1] == last:
                found.append(out[0])
                start = out[0]
                break
    return found


def stands_out(number: float, before: Sequence[float], smallest: float = 0.0) -> int:
    """1 if a night lies above the band of the nights before, -1 below, 0 within."""
    middle = median(before)
    width = max(BAND * _deviation(before), SMALLEST * abs(middle), smallest)
    return (number > middle + width) - (number < middle - width)


def is_alarm(trend: Trend) -> bool:
    """What a nightly job should fail for: a limit that is broken, or a change for the worse found this very night."""
    if trend.state == "limit broken":
        return True
    return trend.state == "changed" and trend.changes[-1].after > trend.changes[-1].before


def _trend(lines: Sequence[HistoryLine]) -> Trend:
    last = lines[-1]
    nights = _nights(lines)
    values = [night.value for night in nights]
    smallest = 0.0 if last.gate.startswith(LATENCIES) else SMALLEST_RATE
    starts = change_points(values, smallest)
    changes = []
    for start, end, until in zip(starts, [*starts[1:], len(nights)], [0, *starts], strict=False):
        before = [value for value in values[until:start] if value is not None]
        after = [math.inf if value is None else value for value in values[start:end]]
        changes.append(ChangePoint(nights[start].date, median(before), median(after)))
    since = [value for value in values[starts[-1] if starts else 0 :] if value is not None]
    spread = _deviation(since) / abs(median(since)) if len(since) >= NIGHTS_BEFORE and median(since) else None
    state = _state(nights, starts, smallest)
    return Trend(last.series, last.label, last.gate, last.language, last.limit, nights, tuple(changes), state, spread)


def _state(nights: Sequence[Night], starts: Sequence[int], smallest: float) -> State:
    if nights[-1].verdict == "fail":
        return "limit broken"
    if len(nights) <= NIGHTS_BEFORE:
        return "too few nights"
    values = [math.inf if night.value is None else night.value for night in nights]
    if starts and starts != change_points(values[:-1], smallest):
        return "changed"
    before = [value for value in values[starts[-1] if starts else 0 : -1] if math.isfinite(value)]
    if len(before) >= NIGHTS_BEFORE and stands_out(values[-1], before, smallest):
        return "one night off"
    return "steady"


def _nights(lines: Sequence[HistoryLine]) -> tuple[Night, ...]:
    by_date: dict[str, list[HistoryLine]] = defaultdict(list)
    for line in lines:
        by_date[line.started[:10]].append(line)
    found = []
    for date, own in by_date.items():
        middle = median(math.inf if line.value is None else line.value for line in own)
        gravest = next((line.verdict for line in own if line.verdict == "fail"), own[-1].verdict)
        found.append(Night(date, middle if math.isfinite(middle) else None, gravest, len(own)))
    return tuple(found)


def _deviation(numbers: Sequence[float]) -> float:
    """A standard deviation from the median of the distances to the median (Hampel, J. Am. Stat. Assoc. 69, 1974)."""
    middle = median(numbers)
    return 1.4826 * median(abs(number - middle) for number in numbers)


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
