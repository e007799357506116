from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from rich.console import Console

from harness import reports, results
from harness.reports import TrendPoint
from harness.reports.summary import headline, median_waterfall, notes, overall, summarise, unkept
from harness.reports.terminal import print_summary
from harness.results import Results, ResultsWriter, RunHeader, Verdict, VerdictRow

EVIL = "<script>alert(1)</script>"
HEADER = RunHeader("realtime", "embedded", "synthetic", "2026-11-22T12:00:00+00:00", judge="parrot 1")


def test_the_same_results_give_the_same_bytes(reported: Path) -> None:
    paths = reports.write_all(reported)
    assert [path.name for path in paths] == ["report.html", "junit.xml", "summary.md"]
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in reports.write_all(reported)] == before


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
        if tag not in ("meta", "link", "br", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "path":
            assert self.open.pop() == tag


def test_the_page_is_self_contained_and_well_formed(reported: Path) -> None:
    page = Page()
    text = (reported / "report.html").read_text(encoding="utf-8")
    page.feed(text)
    assert page.open == []
    assert all(address.startswith("data:") for address in page.loads)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    assert page.tags.count("audio") == 5
    assert len(page.ids) == len(set(page.ids))
    inner = {address for address in page.leads if address.startswith("#")}
    assert inner <= {f"#{name}" for name in page.ids}
    assert {f"#turn-{number}" for number in range(1, 6)} < inner
    for address in set(page.leads) - inner:
        assert (reported / address).is_file()


def test_only_the_page_s_own_scripts_may_run(reported: Path) -> None:
    text = (reported / "report.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert "default-src 'none'" in policy
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == text.count("</script>") - 1 == 4  # and the figures, which are no script
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert f"script-src {allowed};" in policy


def test_what_a_server_says_is_escaped(reported: Path) -> None:
    text = (reported / "report.html").read_text(encoding="utf-8")
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
def test_the_page_says_plainly(reported: Path, said: str) -> None:
    assert said in (reported / "report.html").read_text(encoding="utf-8")


def test_the_verdict_comes_first(reported: Path) -> None:
    text = (reported / "report.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h([12])[^>]*>(.*?)</h", text)
    assert headings[:2] == [("1", "<span>fail</span>"), ("2", "Verdicts")]
    assert text.index(headline(results.read(reported))) < text.index("Verdicts</h2>")


def test_the_gravest_limits_are_listed_first(reported: Path) -> None:
    found = results.read(reported)
    kinds = [row.verdict for row in unkept(found)]
    assert overall(found) == kinds[0] == "fail"
    assert kinds == sorted(kinds, key=["invalid", "fail", "inconclusive"].index)


def test_junit_counts_what_is_no_pass(reported: Path) -> None:
    (suite,) = Xml.parse(reported / "junit.xml").getroot()  # noqa: S314 - written by this very test
    verdicts = [row.verdict for row in results.read(reported).verdicts]
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


def test_the_terminal_fits_into_eighty_columns(reported: Path) -> None:
    out = io.StringIO()
    print_summary(results.read(reported), Console(file=out, width=80))
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


def test_languages_are_summed_up(reported: Path) -> None:
    english, chinese, korean = summarise(results.read(reported))
    assert (english.turns, english.outcomes["answered"], english.lm) == (2, 2, "smollm2")
    assert english.ttfa_p50 is not None
    assert english.ttfa_p50.value == pytest.approx(1.0, abs=0.5)
    assert (chinese.outcomes["cut-in"], chinese.verdict) == (1, "fail")
    assert (korean.turns, korean.outcomes["error"], korean.spoken) == (1, 1, None)
    assert (english.echoed, english.spoken and english.spoken.value) == (None, 0)
    assert dict(chinese.waterfall)["committed"] == pytest.approx(0.1, abs=0.001)
    assert median_waterfall([]) == ()


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


def test_markdown_has_the_verdict_first_and_folds_the_rest(reported: Path) -> None:
    text = (reported / "summary.md").read_text(encoding="utf-8")
    assert text.startswith("## ❌ s2s-gate: fail\n\n")
    open_ = text.partition("<details>")[0]
    for row in results.read(reported).verdicts:
        assert (row.reason.split(";")[0][:12] in open_) or row.verdict in ("pass", "not gated")
    assert text.count("<details>") == text.count("</details>") == 3
    assert "| ❌ fail | replies with a finding | Chinese |" in open_


def test_the_page_tells_the_history(reported: Path, tmp_path: Path) -> None:
    points = [TrendPoint("ttfa_s p50", "en", f"2026-11-0{day}", 1.5, limit=2.5, build=EVIL) for day in (1, 2)]
    copy = Path(shutil.copytree(reported, tmp_path / "copy"))
    reports.write_all(copy, trend=points)
    text = (copy / "report.html").read_text(encoding="utf-8")
    assert "<h3>first audio, p50, English: 1.50 s, limit 2.50 s</h3>" in text
    assert EVIL not in text
    page = Page()
    page.feed(text)
    assert page.open == []
