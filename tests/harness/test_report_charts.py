"""The figures of the page's charts, and the libraries that draw them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path

import pytest

from harness import reports, results
from harness.measures.latency import Bar
from harness.recording import Outcome
from harness.reports import TrendPoint, charts
from harness.reports.html import SCRIPTS
from harness.reports.summary import summarise
from harness.results import Results, RunHeader, TurnRow, VerdictRow
from tests.harness.made_turns import turn

HEADER = RunHeader("realtime", "embedded", "synthetic", "2026-11-22T12:00:00+00:00", languages=("en",))
HOSTILE = "</script><script>alert(1)</script><!--"


def drawn(
    turns: Sequence[TurnRow], verdicts: Sequence[VerdictRow] = (), trend: Sequence[TrendPoint] = ()
) -> charts.Charts:
    found = Results(HEADER, tuple(turns), tuple(verdicts))
    return charts.charts(found, summarise(found), trend)


def test_turns_are_told_the_fastest_first_and_those_without_an_answer_last() -> None:
    rows = [turn(2.0, speaker="slow"), turn(None, "no-answer", speaker="mute"), turn(1.0, speaker="quick")]
    (english,) = drawn(rows).waits
    assert english.language == "English"
    assert english.turns == (
        charts.Wait(3, "quick", 1.0, "answered", "1.00 s, answered"),
        charts.Wait(1, "slow", 2.0, "answered", "2.00 s, answered"),
        charts.Wait(2, "mute", None, "never", "no-answer"),
    )


@pytest.mark.parametrize(
    ("outcome", "cold", "kind"),
    [
        ("answered", False, "answered"),
        ("answered", True, "cold"),
        ("cut-in", True, "cut-in"),
        ("no-answer", False, "never"),
        ("error", False, "never"),
        ("invalid", False, "invalid"),
    ],
)
def test_a_dot_is_of_one_kind(outcome: Outcome, cold: bool, kind: str) -> None:
    row = turn(1.0, outcome)
    (english,) = drawn([replace(row, latency=replace(row.latency, cold=cold))]).waits
    (dot,) = english.turns
    assert dot.kind == kind
    assert dot.told.endswith("the cold start") == cold


def test_quantiles_of_the_first_audio_are_told_with_their_bounds() -> None:
    kept = VerdictRow("ttfa_s p50", "latency", "en", "fail", 5, "", limit=0.5, value=1.0, low=0.9, high=None)
    others = [replace(kept, language="fr"), replace(kept, gate="first_byte_s p50"), replace(kept, gate="heard")]
    few = replace(kept, gate="ttfa_s p99.9", verdict="not gated", value=None)
    (english,) = drawn([turn()], [kept, *others, few]).waits
    assert english.quantiles == (
        charts.Quantile("p50", "fail", 1.0, 0.9, None, 0.5, "1.00 s, fail"),
        charts.Quantile("p99.9", "not gated", None, 0.9, None, 0.5, "–, n too small"),
    )


def test_stages_are_told_of_a_turn_and_as_medians() -> None:
    def waiting(pause_s: float) -> TurnRow:
        bars = (
            Bar("pause", pause_s, pause_s),
            Bar("transcript", 0.1, 0.0),
            Bar("first_token", None, 0.0),
            Bar("unexplained", None, -0.002),
        )
        row = turn(pause_s)
        return replace(row, latency=replace(row.latency, waterfall=bars))

    found = drawn([waiting(0.2), waiting(0.3), waiting(0.9), turn(None, "no-answer")])
    assert [(stage.name, stage.told) for stage in found.turns[1].stages] == [
        ("pause noticed", "300 ms"),
        ("transcript final", "by 100 ms"),
        ("first token", "not told"),
        ("unexplained", "-2 ms"),
    ]
    assert (found.turns[1].told, found.turns[3].stages) == ("0.30 s", ())
    (medians,) = found.stages
    assert (medians.name, medians.stages[0].length_s) == ("English", 0.3)
    assert [stage.told for stage in medians.stages] == ["300 ms", "0 ms", "0 ms", "-2 ms"]
    assert drawn([turn(None, "no-answer")]).stages == ()


def test_the_history_is_in_the_order_of_time() -> None:
    nights = [TrendPoint("ttfa_s p50", "en", f"2026-11-{day:02}", 1.0 + day / 10) for day in (3, 1, 2)]
    alone = TrendPoint("heard", "ja", "2026-11-01", 0.043, unit="%", changed=True, verdict="pass", build="b7")
    first, second = drawn([], trend=[*nights, alone]).trends
    assert [point.started[-1] for point in first.points] == ["1", "2", "3"]
    assert (first.title, first.unit, first.told[0]) == (
        "first audio, p50, English",
        "s",
        "2026-11-01: 1.10 s, not gated",
    )
    assert second.told == ("2026-11-01 b7: 4.3 %, pass, changed from here on",)


def test_the_page_s_figures_are_these_and_cannot_be_broken_out_of(reported: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(reported, tmp_path / "copy"))
    found = results.read(copy)
    found = replace(found, turns=tuple(replace(row, fixture_id=HOSTILE) for row in found.turns))
    results.write(copy / results.FILE_NAME, found)
    night = TrendPoint(HOSTILE, "en", HOSTILE, 1.0)
    reports.write_all(copy, trend=[night])
    text = (copy / "report.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    expected = charts.charts(found, summarise(found), [night])
    assert json.loads(data) == json.loads(json.dumps(asdict(expected)))
    assert HOSTILE not in text
    assert json.loads(data)["waits"][0]["turns"][0]["name"] == HOSTILE


def vendored() -> list[tuple[str, str]]:
    """Name and SHA-256 of each file, as the README there has them."""
    readme = resources.files("harness.reports").joinpath("page/vendor/README.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([\w.]+\.js)` .*`([0-9a-f]{64})` \|$", readme, re.MULTILINE)


def test_libraries_are_as_they_were_published() -> None:
    folder = resources.files("harness.reports").joinpath("page/vendor")
    assert {name for name, _ in vendored()} == {f.name for f in folder.iterdir() if f.name.endswith(".js")}
    for name, digest in vendored():
        assert hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest() == digest, name


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_can_stand_in_a_page_as_it_is(name: str) -> None:
    source = resources.files("harness.reports").joinpath("page", name).read_bytes()
    for end in (b"</script", b"<!--", b"\r", b"\0"):
        assert end not in source.lower()
