from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
import soundfile
from rich.console import Console

from harness import gates, reports, results
from harness.fixtures import available, read
from harness.recording import Chunk, Recording
from harness.reports.sound import embed
from harness.reports.summary import median_waterfall, notes, overall, summarise, unkept
from harness.reports.terminal import print_summary
from harness.results import ResultsWriter, RunHeader, TurnRow, VerdictRow
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
    """What a page would load, its players, and whether its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "poster", "action")
        ]
        if tag not in ("meta", "link", "br", "path", "line", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "line"):
            assert self.open.pop() == tag


def test_the_page_is_self_contained_and_well_formed(folder: Path) -> None:
    page = Page()
    text = (folder / "report.html").read_text(encoding="utf-8")
    page.feed(text)
    assert page.open == []
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "url(" not in text
    assert "@import" not in text
    assert page.tags.count("audio") == 5 + 4
    assert "script" not in page.tags
    assert len(text) / 5 < 10_000_000 / 100  # a page of a hundred turns can still be mailed


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
        "wrap-around in chunk",
        "cut-in",
        "unexplained 0.",
        "prefers-color-scheme: dark",
        "@media print",
    ],
)
def test_the_page_says_plainly(folder: Path, said: str) -> None:
    assert said in (folder / "report.html").read_text(encoding="utf-8")


def test_the_verdict_comes_first(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings[0] == "Verdicts"
    assert re.search(r'<h1><span class="badge fail">fail</span>', text)


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
        r"| gate | all | fail | a \| b # c \<img\> |"
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


@pytest.mark.parametrize("path", ["../secret.wav", "/etc/passwd", "replies/none.wav", "results.jsonl", None])
def test_only_sounds_of_the_run_are_embedded(folder: Path, path: str | None) -> None:
    (folder.parent / "secret.wav").write_bytes((folder / "replies/en-01.wav").read_bytes())
    assert embed(folder, path, 16_000) is None
    assert embed(folder, "replies/en-01.wav", 16_000) is not None


def test_what_a_report_plays_has_no_crack_where_a_reply_wrapped_around(tmp_path: Path) -> None:
    tone = 1.2 * np.sin(2 * np.pi * 150 * np.arange(24_000) / 24_000)
    wrapped = (np.rint(tone * 32_768).astype(np.int64) + 32_768) % 65_536 - 32_768
    soundfile.write(tmp_path / "reply.wav", wrapped.astype(np.int16), 24_000)
    assert np.abs(np.diff(wrapped / 32_768)).max() > 1.9
    sound = embed(tmp_path, "reply.wav", 16_000)
    assert sound is not None
    played, _ = soundfile.read(io.BytesIO(base64.b64decode(sound.uri.partition(",")[2])))
    assert np.abs(np.diff(played)).max() < 0.3
