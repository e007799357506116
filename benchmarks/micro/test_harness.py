"""What the harness does for every turn, and for a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.micro.conftest import Measured, voice
from harness import gates, reports, results, statistics
from harness.fixtures import available
from harness.measures import clipping, latency, words
from harness.normalise import normalise
from harness.recording import Chunk, Recording
from harness.results import ResultsWriter, RunHeader
from harness.scoring import score_turn
from pipeline.audio import float_to_pcm16

TEXTS = {
    "en": "Well, the first train leaves at seven forty-five and costs twelve dollars fifty; Dr. Smith's TV won't.",
    "fr": "Le premier train part à sept heures quarante-cinq et coûte douze euros cinquante, n'est-ce pas ?",
    "zh": "第一班火車早上七點四十五分出發，票價是十二塊五毛，大約需要兩個半小時。",
    "ja": "最初の電車は七時四十五分に出発して、料金は１２５０円です。",
    "ko": "첫 기차는 일곱 시 사십오 분에 출발하고 요금은 만 이천오백 원입니다.",
}
TURNS = 100


def answered(seconds: float = 5.0) -> Recording:
    """A turn of a reply in chunks of 100 ms, a word of which is missing."""
    pieces = np.split(voice(seconds, 24_000), round(10 * seconds))
    made = Recording("en-01", "en", "realtime", 0.02, 3.0, lateness_s=[0.0004] * 300)
    made.chunks = [Chunk(4.0 + 0.09 * number, float_to_pcm16(piece)) for number, piece in enumerate(pieces)]
    made.ended_s = made.chunks[-1].at_s
    made.trace = {f"{stage}_s": 3.1 + 0.1 * number for number, stage in enumerate(latency.STAGES[:7])}
    made.heard, made.spoken = TEXTS["en"], TEXTS["en"]
    return made


@pytest.mark.parametrize("language", TEXTS)
def test_normalise(measured: Measured, language: str) -> None:
    assert measured(lambda: normalise(TEXTS[language], language))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_count_and_align_errors(measured: Measured, language: str) -> None:
    said = 5 * TEXTS[language]
    heard = said.replace("t", "d").replace("點", "点点")
    assert measured(lambda: words.compare(said, heard, language)).counts.errors > 0


def test_examine_five_seconds_for_clipping(measured: Measured) -> None:
    recording = answered()
    assert measured(lambda: clipping.examine(recording, None)).seconds == 5.0


def test_latency_of_a_turn(measured: Measured) -> None:
    recording = answered()
    assert measured(lambda: latency.measure(recording)).ttfa_s == pytest.approx(1.0, abs=0.3)


def test_bounds_of_a_corpus_rate(measured: Measured) -> None:
    numbers = range(TURNS)
    errors, units, speakers = [n % 3 for n in numbers], [12 + n % 5 for n in numbers], [n % 20 for n in numbers]
    assert measured(lambda: statistics.corpus_rate(errors, units, speakers)).n == 20


def test_bounds_of_a_quantile(measured: Measured) -> None:
    waits = [float(wait) for wait in np.random.default_rng(0).lognormal(size=TURNS)]
    assert measured(lambda: statistics.quantile(waits, 0.95)).n == TURNS


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run of a hundred turns."""
    clip = available("synthetic", ["en"])[0]
    recording = answered(2.0)
    header = RunHeader("realtime", "embedded", "synthetic", "2026-11-22T12:00:00+00:00", ("en",), planned=(clip.id,))
    row = score_turn(recording, clip, None)
    with ResultsWriter(tmp_path, header) as writer:
        rows = [writer.add_turn(replace(row, repeat=repeat), recording, clip.path) for repeat in range(TURNS)]
        writer.add_verdicts(gates.decide(gates.load(), header, rows))
    return tmp_path


def test_read_a_run_of_a_hundred_turns(measured: Measured, run_folder: Path) -> None:
    assert len(measured(lambda: results.read(run_folder)).turns) == TURNS


def test_report_of_a_hundred_turns(measured: Measured, run_folder: Path) -> None:
    page, *_ = measured(lambda: reports.write_all(run_folder), rounds=2)
    assert page.read_text(encoding="utf-8").count('<details class="turn"') == TURNS
