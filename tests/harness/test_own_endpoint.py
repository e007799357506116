"""docs/own-endpoint.md, carried out as it stands, in a project of its own."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
import soundfile

from harness.results import read

PAGE = Path(__file__).parents[2] / "docs" / "own-endpoint.md"
FILE = re.compile(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RATE_HZ = 16_000
CLIPS = 6  # five warm ones, so that a median can be decided

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestAssertRewriteWarning")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, never_late: None) -> Path:
    """The files of the page, and clips described by its script."""
    files = dict(FILE.findall(PAGE.read_text(encoding="utf-8")))
    assert set(files) == {
        "parrot.py",
        "conftest.py",
        "pytest.ini",
        "gates.toml",
        "describe.py",
        "test_parrot.py",
    }
    for name, text in files.items():
        (pytester.path / name).write_text(text, encoding="utf-8")
    (pytester.path / "clips").mkdir()
    with (pytester.path / "clips" / "manifest.jsonl").open("wb") as manifest:
        for number in range(CLIPS):
            path = f"clips/hello{number}.wav"
            soundfile.write(pytester.path / path, murmur(150 + 10 * number), RATE_HZ)
            said = [path, "en", "Hello there.", f"speaker {number}", "0.2", "0.7"]
            subprocess.run([sys.executable, "describe.py", *said], cwd=pytester.path, stdout=manifest, check=True)
    for name in ("S2S_GATE_ENDPOINT", "S2S_GATE_TARGET"):
        monkeypatch.delenv(name, raising=False)
    return pytester.path


def murmur(pitch_hz: float) -> np.ndarray:
    """0.2 s of silence, half a second as loud as speech, 0.2 s of silence: float64, shape (samples,), 16 kHz."""
    at_s = np.arange(RATE_HZ // 2) / RATE_HZ
    partials = sum(np.sin(2 * np.pi * pitch_hz * partial * at_s) / partial for partial in range(1, 8))
    return np.pad(0.12 * np.hanning(at_s.size) ** 0.25 * partials, RATE_HZ // 5)


@pytest.fixture
def parrot(project: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of the page's server, started with the options that the test is parametrised with."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = getattr(request, "param", ())
    with subprocess.Popen([sys.executable, "parrot.py", "--port", str(port), *options], cwd=project) as process:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"ws://127.0.0.1:{port}"
        process.kill()


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider", *arguments)


def test_a_plain_run_plays_nothing(project: Path, pytester: pytest.Pytester) -> None:
    result = run(pytester)
    result.assert_outcomes(passed=1, deselected=1 + 4 + 4)  # the parrot's own, the suites', their gates'
    result.stdout.fnmatch_lines(["*suites were left out*pytest -m*"])


def test_a_server_that_keeps_its_limits_is_green(project: Path, parrot: str, pytester: pytest.Pytester) -> None:
    result = run(
        pytester, "-m", "latency or clipping", f"--endpoint={parrot}", "--report=report", "--junit-xml=gate.xml", "-v"
    )
    assert result.ret == 0, result.outlines
    result.assert_outcomes(passed=3 * CLIPS + 4, deselected=1 + CLIPS + 2)
    result.stdout.fnmatch_lines_random(
        [
            f"gate: {CLIPS} clips (recorded: en {CLIPS}) into {parrot}",
            "*test_parrot.py::test_the_parrot_says_no_more_than_it_heard[[]en-hello0[[]parrot[]][]] PASSED*",
            "*test_latency[[]en-hello5[[]parrot[]][]] PASSED*",
            "*test_clipping_gate[[]en[]] PASSED*",
            "*= gate =*",
            "*verdict: pass*",
            "report: report/report.html",
        ]
    )
    found = read(project / "report")
    assert (found.header.target, found.header.profile) == ("parrot", "parrot")
    assert {row.gate for row in found.verdicts if row.verdict == "pass"} >= {"ttfa_s p50", "clipping", "no_answers"}
    cases = {
        case.attrib["name"]: {entry.attrib["name"]: entry.attrib["value"] for entry in case.iter("property")}
        for case in Xml.parse(project / "gate.xml").iter("testcase")  # noqa: S314 - written by this very test
    }
    turn = cases["test_latency[en-hello1[parrot]]"]
    assert turn["outcome"] == "answered"
    assert float(turn["ttfa_s"]) > 0.1  # the parrot waits for 0.3 s, of which the clip's own end is 0.2
    assert turn["clipping_findings"] == "0"
    assert cases["test_clipping_gate[en]"]["clipping"].startswith("pass: ")


@pytest.mark.parametrize("parrot", [["--gain", "40"]], indirect=True)
def test_a_server_that_shouts_is_red(project: Path, parrot: str, pytester: pytest.Pytester) -> None:
    result = run(pytester, "-m", "clipping", "-k", "hello0 or clipping_gate", f"--endpoint={parrot}")
    assert result.ret == 1
    result.stdout.fnmatch_lines_random(
        ["*full-scale-run at * ms*", "*fail: clipping: 1 of 1 replies*", "*verdict: fail*"]
    )


def test_a_server_that_is_not_there_is_red(project: Path, pytester: pytest.Pytester) -> None:
    result = run(pytester, "-m", "latency", "--endpoint=ws://127.0.0.1:1")
    assert result.ret == 1
    result.stdout.fnmatch_lines_random(["*no parrot at ws://127.0.0.1:1*start it: python parrot.py*"])
    assert result.parseoutcomes()["failed"] >= 2 * CLIPS


def test_a_target_of_another_name_is_told_what_to_write(project: Path, pytester: pytest.Pytester) -> None:
    result = run(pytester, "-m", "latency", "--target=magpie", "-k", "hello0")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*gives 'parrot', and this session was collected for 'magpie'*s2s_target = parrot*"])


def test_a_target_without_its_fixture_is_told_what_there_is(project: Path, pytester: pytest.Pytester) -> None:
    (project / "conftest.py").write_text('pytest_plugins = ["harness.plugin"]\n', encoding="utf-8")
    result = run(pytester, "-m", "latency", "-k", "hello0")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*no target 'parrot'*choose in-process*fixture `target` of your own*"])


def test_a_clip_that_is_not_what_was_described_is_not_played(project: Path, pytester: pytest.Pytester) -> None:
    for path in (project / "clips").glob("*.wav"):
        soundfile.write(path, np.zeros(1_000), RATE_HZ)
    result = run(pytester, "-m", "latency")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no clips for the languages en*belong into */clips*manifest.jsonl*"])
