from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
import soundfile
from rich.console import Console

from harness import gates, reports, results
from harness.fixtures import available, read
from harness.recording import Arrival, Chunk, Recording
from harness.reports import TrendPoint, sound
from harness.reports.sound import Piece
from harness.reports.spread import axis_of, spread
from harness.reports.summary import headline, median_waterfall, notes, overall, summarise, unkept
from harness.reports.terminal import print_summary
from harness.reports.timeline import draw
from harness.reports.trend import trends
from harness.results import Results, ResultsWriter, RunHeader, TurnRow, Verdict, VerdictRow
from harness.scoring import score_turn
from pipeline.audio import FloatArray, float_to_pcm16

LANGUAGES = ("en", "zh", "ko")
EVIL = "<script>alert(1)</script>"
HEADER = RunHeader(
    "realtime",
    "embedded",
    "synthetic",
    "2026-11-22T12:00:00+00:00",
    languages=LANGUAGES,
    endpoint="ws://127.0.0.1:9/v1/realtime",
    machine={"cores": "2"},
    lm={"en": "smollm2", "zh": "echo", "ko": "echo"},
    judge="parrot 1",
    judge_is_engine=True,
)


class Parrot:
    """A judge that hears what it was told."""

    name = "parrot"
    version = "1"

    def __init__(self, words: str) -> None:
        self._words = words

    def transcribe(self, samples_16k: FloatArray, language: str) -> str:
        assert samples_16k.ndim == 1
        return self._words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of five turns in three languages: one answer each, a cut-in that cracks, and a turn without an answer."""
    folder = tmp_path_factory.mktemp("run")
    rows: list[TurnRow] = []
    with ResultsWriter(folder, HEADER) as writer:
        for index, fixture in enumerate(available("synthetic", LANGUAGES)[:5]):
            end_s = (fixture.speech_end or 0) / fixture.rate_hz
            made = Recording(
                fixture.id, fixture.language, "realtime", 0.02, end_s, heard=EVIL, spoken=fixture.transcript
            )
            pcm = float_to_pcm16(read(fixture, 24_000))
            if index == 3:
                pcm = (40 * np.frombuffer(pcm, "<i2").astype(np.int64)).astype("<i2").tobytes()  # wraps around
            at_s = end_s + (-0.5 if index == 3 else 1.0)
            made.chunks = [] if index == 4 else [Chunk(at_s, pcm[:9_600]), Chunk(at_s + 0.1, pcm[9_600:])]
            made.error = "closed & gone: \0\ud800" if index == 4 else None
            made.trace = {"pause_s": end_s + 0.2, "committed_s": end_s + 0.3, "first_sent_s": end_s + 0.9}
            rows.append(writer.add_turn(score_turn(made, fixture, Parrot(fixture.transcript)), made, fixture.path))
        writer.add_verdicts(gates.decide(gates.load(), HEADER, rows))
    reports.write_all(folder)
    return folder


def test_the_same_results_give_the_same_bytes(folder: Path) -> None:
    paths = reports.write_all(folder)
    assert [path.name for path in paths] == ["report.html", "junit.xml", "summary.md"]
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in reports.write_all(folder)] == before


class Page(HTMLParser):
    """What a page would load, where it leads, and whether its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "poster", "action", "data") or (name == "href" and tag != "a"):
                self.loads.append(value or "")
            elif name == "href":
                self.leads.append(value or "")
            elif name == "id":
                self.ids.append(value or "")
        if tag not in ("meta", "link", "br", "path", "polyline", "polygon"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "polyline", "polygon"):
            assert self.open.pop() == tag


def test_the_page_is_self_contained_and_well_formed(folder: Path) -> None:
    page = Page()
    text = (folder / "report.html").read_text(encoding="utf-8")
    page.feed(text)
    assert page.open == []
    assert all(address.startswith("data:") for address in page.loads)
    assert "url(" not in text
    assert "@import" not in text
    assert page.tags.count("audio") == 5
    assert len(page.ids) == len(set(page.ids))
    inner = {address for address in page.leads if address.startswith("#")}
    assert inner <= {f"#{name}" for name in page.ids}
    assert {f"#turn-{number}" for number in range(1, 6)} < inner
    for address in set(page.leads) - inner:
        assert (folder / address).is_file()


def test_only_the_page_s_own_script_may_run(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert "default-src 'none'" in policy
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy


def test_what_a_server_says_is_escaped(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert EVIL not in text
    assert "closed &amp; gone" in text


@pytest.mark.parametrize(
    "said",
    [
        "synthetic voices",
        "Synthetic clips are spoken by the project&#39;s own voices",
        "The judge is the engine under test",
        "SmolLM2 answers English only; Chinese and Korean are answered by echo",
        "profile embedded",
        "parrot 1 (the engine under test)",
        "cores 2",
        '<th scope="row" class="fail">wrap-around</th>',
        "cut-in",
        "unexplained",
        "Bounds are one-sided, 95 %",
        "prefers-color-scheme: dark",
        "@media print",
    ],
)
def test_the_page_says_plainly(folder: Path, said: str) -> None:
    assert said in (folder / "report.html").read_text(encoding="utf-8")


def test_the_verdict_comes_first(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h([12])[^>]*>(.*?)</h", text)
    assert headings[:2] == [("1", "<span>fail</span>"), ("2", "Verdicts")]
    assert text.index(headline(results.read(folder))) < text.index("Verdicts</h2>")


def test_the_gravest_limits_are_listed_first(folder: Path) -> None:
    found = results.read(folder)
    kinds = [row.verdict for row in unkept(found)]
    assert overall(found) == kinds[0] == "fail"
    assert kinds == sorted(kinds, key=["invalid", "fail", "inconclusive"].index)


def test_junit_counts_what_is_no_pass(folder: Path) -> None:
    (suite,) = Xml.parse(folder / "junit.xml").getroot()  # noqa: S314 - written by this very test
    verdicts = [row.verdict for row in results.read(folder).verdicts]
    assert int(suite.attrib["tests"]) == len(suite) == len(verdicts)
    assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure")) == verdicts.count("fail") > 0
    assert int(suite.attrib["errors"]) == len(suite.findall("testcase/error")) == verdicts.count("inconclusive")
    assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped")) == verdicts.count("not gated") > 0


def test_junit_survives_what_xml_cannot_hold(tmp_path: Path) -> None:
    with ResultsWriter(tmp_path, HEADER) as writer:
        writer.add_verdicts([VerdictRow("a\0b", "run", "all", "fail", 1, "half \ud800 of <it>\x1b[31m")])
    reports.write_all(tmp_path)
    (case,) = Xml.parse(tmp_path / "junit.xml").iter("testcase")  # noqa: S314 - the same
    assert case.attrib["name"] == "a\ufffdb"


def test_markdown_cannot_be_broken_out_of(tmp_path: Path) -> None:
    with ResultsWriter(tmp_path, HEADER) as writer:
        writer.add_verdicts([VerdictRow("gate", "run", "all", "fail", 1, "a | b\n# c <img>")])
    reports.write_all(tmp_path)
    assert (
        r"| ❌ fail | gate | all | a \| b # c \<img\> |"
        in (tmp_path / "summary.md").read_text(encoding="utf-8").splitlines()
    )


def test_the_terminal_fits_into_eighty_columns(folder: Path) -> None:
    out = io.StringIO()
    print_summary(results.read(folder), Console(file=out, width=80))
    text = out.getvalue()
    assert "…" not in text
    assert re.search(r"^Chinese +1/2 +1 +0 +0 ", text, re.MULTILINE)
    assert text.rstrip().endswith("verdict: fail")


def test_a_run_that_was_stopped_at_once_has_its_reports(tmp_path: Path) -> None:
    with ResultsWriter(tmp_path, replace(HEADER, lm={}, judge=None)):
        pass
    assert len(reports.write_all(tmp_path)) == 3
    assert "stopped before anything was decided" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_notes_say_what_is_not_known() -> None:
    found = " ".join(notes(RunHeader("endpoint", "embedded", "recorded", "")))
    assert "does not say which language model" in found
    assert "No judge" in found


def test_languages_are_summed_up(folder: Path) -> None:
    english, chinese, korean = summarise(results.read(folder))
    assert (english.turns, english.outcomes["answered"], english.lm) == (2, 2, "smollm2")
    assert english.ttfa_p50 is not None
    assert english.ttfa_p50.value == pytest.approx(1.0, abs=0.5)
    assert (chinese.outcomes["cut-in"], chinese.verdict) == (1, "fail")
    assert (korean.turns, korean.outcomes["error"], korean.spoken) == (1, 1, None)
    assert (english.echoed, english.spoken and english.spoken.value) == (None, 0)
    assert dict(chinese.waterfall)["committed"] == pytest.approx(0.1, abs=0.001)
    assert median_waterfall([]) == ()


@pytest.mark.parametrize("path", ["../secret.wav", "/etc/passwd", "javascript:alert(1)", "results.jsonl", "", None])
def test_only_sounds_of_the_run_are_shown(folder: Path, path: str | None) -> None:
    (folder.parent / "secret.wav").write_bytes((folder / "replies/en-01.wav").read_bytes())
    row = replace(results.read(folder).turns[0], question=path, reply=path)
    drawn = draw(folder, HEADER, row, 32)
    assert (drawn.audio, drawn.asked, drawn.replied, drawn.reply_at_s) == (None, "", "", None)
    assert all(urlsplit(address).scheme == "" for _, address in drawn.originals)
    assert not any(".." in address or address.startswith("/") for _, address in drawn.originals)
    assert drawn.notes


def test_what_a_report_plays_has_no_crack_where_a_reply_wrapped_around() -> None:
    tone = 1.2 * np.sin(2 * np.pi * 150 * np.arange(24_000) / 24_000)
    wrapped = (((np.rint(tone * 32_768).astype(np.int64) + 32_768) % 65_536 - 32_768) / 32_768).astype(np.float32)
    assert np.abs(np.diff(wrapped)).max() > 1.9
    played = decoded(sound.encode(sound.mix([], [Piece(0.0, wrapped)]), 64))
    assert np.abs(np.diff(played)).max() < 0.3


def decoded(uri: str | None) -> FloatArray:
    assert uri is not None
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(uri.partition(",")[2])), dtype="float32")
    return samples if rate_hz == sound.RATE_HZ else np.repeat(samples, 3)[::2]


@pytest.mark.parametrize("kilobits", sound.KILOBITS)
def test_a_sound_is_as_long_and_as_small_as_is_said(kilobits: int) -> None:
    samples = np.sin(np.arange(6 * sound.RATE_HZ) / 20).astype(np.float32)
    uri = sound.encode(samples, kilobits)
    assert len(uri) * 3 / 4 * 8 / 6_000 == pytest.approx(kilobits, rel=0.04)


@pytest.mark.parametrize("kilobits", sound.KILOBITS)
def test_a_sound_is_played_when_it_was(kilobits: int) -> None:
    samples = np.zeros(2 * sound.RATE_HZ, dtype=np.float32)
    samples[sound.RATE_HZ : sound.RATE_HZ + 240] = np.hanning(240) * np.sin(np.arange(240) / 2)
    loudest = np.argmax(np.abs(decoded(sound.encode(samples, kilobits)))) - np.argmax(np.abs(samples))
    assert abs(loudest) / sound.RATE_HZ < 0.001


def test_what_is_embedded_stays_below_its_bound() -> None:
    assert sound.affordable(60) == 64
    for seconds in (500, 1_000, 1_700, 2_500):
        kilobits = sound.affordable(seconds)
        assert kilobits is not None
        assert seconds * kilobits * 1_000 / 8 * 4 / 3 <= sound.EMBEDDED_BYTES
    assert sound.affordable(5_000) is None


def test_both_sides_of_a_turn_lie_on_one_axis(folder: Path) -> None:
    """The reply of `made`: half a second of it in two chunks a second after the speech, the second chunk 0.3 s late."""
    fixture = available("synthetic", ["en"], limit=1)[0]
    made = Recording(fixture.id, "en", "realtime", 0.02, 2.0)
    made.trace = {"pause_s": 2.2, "committed_s": 2.5}
    burst = float_to_pcm16(np.full(6_000, 0.25, dtype=np.float32))
    made.chunks = [Chunk(3.0, burst), Chunk(3.55, burst)]
    made.ended_s = 3.9
    row = replace(
        score_turn(made, fixture, None), question="questions/en-01.flac", reply="replies/made.wav", fixture_id="made"
    )
    soundfile.write(folder / "replies/made.wav", np.frombuffer(2 * burst, "<i2"), 24_000)
    drawn = draw(folder, HEADER, row, 64)
    assert drawn.notes == ()
    assert [(event.name, round(event.at_s, 3)) for event in drawn.events] == [
        ("end of speech", 2.0),
        ("pause noticed", 2.2),
        ("turn committed", 2.5),
        ("first byte", 3.0),
        ("first audible", 3.0),
        ("reply over", 3.9),
    ]
    assert drawn.events[2].since_s == pytest.approx(0.5)
    (gap,) = drawn.gaps
    assert (gap.at_s, gap.seconds) == (pytest.approx(3.25), pytest.approx(0.3))
    assert gap.place == pytest.approx(drawn.axis.place(3.25))
    assert (row.latency.playback[0].underruns, drawn.reply_at_s) == (1, 3.0)
    played = decoded(drawn.audio)
    question = read(fixture, sound.RATE_HZ)
    alone = played - np.pad(question, (0, max(0, played.size - question.size)))[: played.size]
    for start_s, end_s, loud in ((3.02, 3.22, True), (3.3, 3.5, False), (3.6, 3.75, True)):
        level = np.abs(alone[int(start_s * 24_000) : int(end_s * 24_000)]).mean()
        assert (level > 0.15) == loud, (start_s, level)
    columns = {int(x) for x in re.findall(r"(?:M| )(\d+),", drawn.replied)}
    scale = sound.COLUMNS / drawn.axis.high
    assert {round(3.01 * scale), round(3.7 * scale)} <= columns
    assert not columns & set(range(int(3.3 * scale), int(3.5 * scale)))


def test_a_finding_is_marked_where_it_is_played(folder: Path) -> None:
    row = results.read(folder).turns[3]
    assert row.clipping is not None
    drawn = draw(folder, HEADER, row, None)
    assert drawn.audio is None
    wrap = next(mark for mark in drawn.marks if mark.finding.check == "wrap-around")
    assert row.evidence is not None
    assert wrap.at_s == pytest.approx(row.evidence.chunks[0].at_s + wrap.finding.at_ms / 1_000, abs=0.02)
    assert len(drawn.marks) == len(row.clipping.findings)


@pytest.mark.parametrize(
    "evidence",
    [
        {"rate_hz": 0},
        {"channels": 0},
        {"chunks": (Arrival(1e300, 124_800),)},
        {"chunks": (Arrival(-1e300, 124_800),)},
        {"chunks": (Arrival(1.0, -1),)},
        {"end_of_speech_s": 1e308},
        {"ended_s": -1e308},
        {"end_of_speech_s": -1e308},
    ],
)
def test_figures_that_cannot_be_are_drawn_as_far_as_they_can(folder: Path, evidence: dict[str, Any]) -> None:
    row = results.read(folder).turns[0]
    assert row.evidence is not None
    drawn = draw(folder, HEADER, replace(row, evidence=replace(row.evidence, **evidence)), 32)
    assert 0 < drawn.axis.high < 600
    assert all(0 <= event.place <= 100 for event in drawn.events)


def test_dots_that_are_near_lie_above_each_other(folder: Path) -> None:
    row = results.read(folder).turns[0]
    waits = [1.0, 1.0, 1.001, 2.0, None]
    rows = [(n, replace(row, latency=replace(row.latency, ttfa_s=wait))) for n, wait in enumerate(waits, 1)]
    limit = VerdictRow("ttfa_s p50", "latency", "en", "fail", 5, "", limit=0.5, value=1.0, low=0.9, high=None)
    axis = axis_of([r for _, r in rows], [limit])
    found = spread("en", rows, [limit], axis)
    assert [(dot.number, dot.lane) for dot in found.dots] == [(1, 0), (2, 1), (3, 2), (4, 0)]
    assert [dot.number for dot in found.never] == [5]
    assert found.lanes == 3
    (p50,) = found.quantiles
    assert (p50.low, p50.high, p50.limit) == (axis.place(0.9), 100.0, axis.place(0.5))


def test_a_limit_far_away_does_not_squeeze_the_dots(folder: Path) -> None:
    rows = results.read(folder).turns[:1]
    limit = VerdictRow("ttfa_s p95", "latency", "en", "not gated", 1, "", limit=60.0, value=1.0)
    axis = axis_of(rows, [limit])
    assert axis.high < 5
    (p95,) = spread("en", list(enumerate(rows, 1)), [limit], axis).quantiles
    assert p95.limit_beyond


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ((), "stopped before anything was decided"),
        (("pass", "pass", "not gated"), "Every limit that could be decided was kept: 2 of 2; 1 limit was not gated."),
        (("pass", "fail", "inconclusive"), "1 limit was broken; 1 could not be decided; 1 kept."),
        (("fail", "fail"), "2 limits were broken; 0 kept."),
        (("pass", "inconclusive"), "No limit was broken, but 1 could not be decided"),
        (("not gated",), "none could be decided either"),
        (("fail", "invalid"), "The run says nothing about the server: because."),
    ],
)
def test_the_verdict_has_its_reason_in_words(verdicts: tuple[Verdict, ...], said: str) -> None:
    rows = tuple(VerdictRow("gate", "latency", "en", verdict, 1, "because") for verdict in verdicts)
    assert said in headline(Results(HEADER, (), rows))


def test_markdown_has_the_verdict_first_and_folds_the_rest(folder: Path) -> None:
    text = (folder / "summary.md").read_text(encoding="utf-8")
    assert text.startswith("## ❌ s2s-gate: fail\n\n")
    open_ = text.partition("<details>")[0]
    for row in results.read(folder).verdicts:
        assert (row.reason.split(";")[0][:12] in open_) or row.verdict in ("pass", "not gated")
    assert text.count("<details>") == text.count("</details>") == 3
    assert "| ❌ fail | replies with a finding | Chinese |" in open_


def test_the_history_is_drawn() -> None:
    nights = [
        TrendPoint("ttfa_s p50", "en", f"2026-11-{day:02}", 1.0 + day / 10, low=0.9, high=2.0 + day, limit=3.0)
        for day in (3, 1, 2)
    ]
    alone = TrendPoint("heard", "ja", "2026-11-01", 0.0, unit="%", changed=True)
    first, second = trends([*nights, alone])
    assert [placed.point.started[-1] for placed in first.placed] == ["1", "2", "3"]
    assert first.top == pytest.approx(1.1 * 5.0)
    assert first.placed[0].y == pytest.approx(100 * (1 - 1.1 / 5.5), abs=0.1)
    assert first.limit == pytest.approx(100 * (1 - 3 / 5.5), abs=0.1)
    assert len(first.band.split()) == 6
    assert (second.band, second.limit, second.placed[0].x) == ("", None, 50.0)


def test_the_page_tells_the_history(folder: Path, tmp_path: Path) -> None:
    points = [TrendPoint("ttfa_s p50", "en", f"2026-11-0{day}", 1.5, limit=2.5, build=EVIL) for day in (1, 2)]
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    reports.write_all(copy, trend=points)
    text = (copy / "report.html").read_text(encoding="utf-8")
    assert "first audio, p50, English: <b>1.50 s</b>" in text
    assert EVIL not in text
    page = Page()
    page.feed(text)
    assert page.open == []
