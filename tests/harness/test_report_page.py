"""The page of a run in a browser, from the disk: a hundred turns of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Locator, Page, async_playwright

from harness import gates, reports
from harness.fixtures import Fixture, available, read
from harness.judge import Judge
from harness.measures import latency
from harness.recording import Chunk, Evidence, Recording
from harness.reports import TrendPoint, sound
from harness.reports.html import SCRIPTS
from harness.results import ResultsWriter, RunHeader, TurnRow
from harness.scoring import score_turn
from pipeline.audio import float_to_pcm16

TURNS = 100
LONG_BEFORE = 16
"""A cut-in that comes earlier than the slowest answer comes late."""
LANGUAGES = ("en", "fr", "es", "zh", "ja", "ko")
MISHEARD = {"en": "call my little sister tomorrow mourning", "ja": "フランスの首と"}
HOSTILE = "</script><!--<script><img src=x onerror=alert(1)><b>bold</b>\u2028"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def record(fixture: Fixture, kind: int) -> Recording:
    """One of each kind: in order, clipped, wrapped around, with underruns, cut in, unanswered, broken, sent late."""
    end_s = (fixture.speech_end or 0) / fixture.rate_hz
    made = Recording(fixture.id, fixture.language, "realtime", 0.02, end_s, heard=fixture.transcript)
    made.heard = MISHEARD.get(fixture.language, fixture.transcript) if kind % 2 else fixture.transcript
    made.spoken = fixture.transcript
    made.lateness_s = [0.03 if kind == 7 else 0.0004] * 300
    made.cold = kind == 0
    if kind == 6:
        made.error = "closed & gone"
    if kind in (5, 6):
        return made
    clip = read(fixture, 24_000)
    pcm = np.frombuffer(float_to_pcm16(np.tile(clip, 3)[: 12 * 24_000]), "<i2").astype(np.int64)
    if kind == 1:
        pcm = np.clip(60 * pcm, -32_768, 32_767)
    if kind == 2:
        pcm = 20 * pcm
    step, gap_s = 9_600, 0.9 if kind == 3 else 0.1
    start_s = end_s - 1.0 if kind == 4 else end_s + 0.9
    pieces = [pcm[at : at + step].astype("<i2").tobytes() for at in range(0, pcm.size, step)]
    made.chunks = [Chunk(start_s + gap_s * (i // 3), piece) for i, piece in enumerate(pieces)]
    made.ended_s = made.chunks[-1].at_s
    stages = ("pause", "committed", "transcript", "first_token", "first_clause", "first_sample", "first_sent")
    made.trace = {f"{stage}_s": end_s + 0.1 * (number + 1) for number, stage in enumerate(stages)}
    return made


def write_run(folder: Path, parrot: Callable[[str], Judge]) -> None:
    """A hundred turns; what is played again is a little slower each time."""
    clips = [clip for language in LANGUAGES for clip in available("synthetic", [language])[:2]]
    header = RunHeader(
        "realtime",
        "embedded",
        "synthetic",
        "2026-11-22T12:00:00+00:00",
        LANGUAGES,
        machine={"cores": "2"},
        lm=dict.fromkeys(LANGUAGES, "echo"),
        judge="parrot 1",
        planned=tuple(clip.id for clip in clips),
    )
    scored: dict[str, tuple[TurnRow, Recording]] = {}
    rows: list[TurnRow] = []
    with ResultsWriter(folder, header) as writer:
        for index in range(TURNS):
            clip, again = clips[index % len(clips)], index // len(clips)
            if clip.id not in scored:
                made = record(clip, index if index < 8 else 8)
                scored[clip.id] = score_turn(made, clip, parrot(clip.transcript)), made
            row, made = scored[clip.id]
            slower_s = 0.04 * again + 0.07 * (index * index % 5) if made.chunks and again else 0.0
            if index == LONG_BEFORE:
                slower_s = -1.5
            chunks = [replace(chunk, at_s=chunk.at_s + slower_s) for chunk in made.chunks]
            shifted = replace(made, chunks=chunks, cold=made.cold and not again)
            evidence = replace(Evidence.of(shifted), judge_reply=clip.transcript, judge_clip=clip.transcript)
            row = replace(row, repeat=again, latency=latency.measure(shifted), evidence=evidence)
            rows.append(writer.add_turn(row, shifted, clip.path))
        writer.add_verdicts(gates.decide(gates.load(), header, rows))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, parrot: Callable[[str], Judge]) -> Path:
    folder = tmp_path_factory.mktemp("busy")
    write_run(folder, parrot)
    nights = [
        TrendPoint("ttfa_s p50", language, f"2026-11-{day:02}", 1 + day % 4 / 10, "s", 0.9, 1.6, 2.5, build=HOSTILE)
        for language in ("en", "ja")
        for day in range(1, 22)
    ]
    reports.write_all(folder, trend=nights)
    return folder / "report.html"


@pytest.fixture
def visit(chromium: str, report: Path) -> Callable[..., AbstractAsyncContextManager[Page]]:
    """`async with visit(...) as page`: the report is open, and must neither load anything nor complain."""

    @asynccontextmanager
    async def visiting(**context: Any) -> AsyncIterator[Page]:
        loaded: list[str] = []
        complaints: list[str] = []
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = await (await browser.new_context(**context)).new_page()
            page.on("console", lambda said: complaints.append(said.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: loaded.append(request.url.partition(",")[0]))
            await page.goto(report.as_uri())
            yield page
            await browser.close()
        assert set(loaded) <= {report.as_uri(), "data:audio/mpeg;base64", "data:"}
        assert complaints == []

    return visiting


def test_a_page_of_a_hundred_turns_can_be_mailed(report: Path) -> None:
    assert report.stat().st_size < 10_000_000
    text = report.read_text(encoding="utf-8")
    assert text.count('<details class="turn"') == TURNS
    assert text.count("<audio") == TURNS


PLAYING = "[...document.querySelectorAll('audio')].filter(audio => !audio.paused).map(audio => audio.ariaLabel)"


@pytest.mark.asyncio
async def test_a_dot_plays_its_reply_and_shows_its_turn(visit: Callable[..., Any]) -> None:
    async with visit() as page:
        dot = page.locator(".picture").get_by_role("link", name="fr-01, 0.9", exact=False).first
        await dot.click()
        number = await dot.get_attribute("data-play")
        body = page.locator(f"#turn-{number}")
        audio = body.locator("audio")
        await page.wait_for_function(
            "number => document.querySelector(`#turn-${number} audio`).currentTime > "
            "Number(document.querySelector(`#turn-${number} audio`).dataset.reply)",
            arg=number,
        )
        assert await page.evaluate(PLAYING) == ["question and reply of fr-01, as they followed each other"]
        assert await body.is_visible()
        left, width = await body.locator(".cursor").evaluate("i => [i.offsetLeft, i.parentElement.offsetWidth]")
        at_s = await audio.evaluate("audio => audio.currentTime")
        assert left / width == pytest.approx(at_s / float(await body.get_attribute("data-length") or 0), abs=0.05)

        other = page.locator(".dot.cut-in").first
        await other.click()
        await page.wait_for_function(f"{PLAYING}.length === 1 && !{PLAYING}[0].includes('fr-01')")


@pytest.mark.asyncio
async def test_a_wave_plays_from_where_it_is_clicked(visit: Callable[..., Any]) -> None:
    async with visit() as page:
        body = page.locator(".turn[open] .body").first
        lanes = body.locator(".lanes.playable")
        box = await lanes.bounding_box()
        await lanes.click(position={"x": box["width"] / 4, "y": 20})
        length_s = float(await body.get_attribute("data-length"))
        await page.wait_for_function(
            "s => [...document.querySelectorAll('audio')].some(a => a.currentTime >= s)", arg=length_s / 4 - 0.05
        )
        assert await body.locator("audio").evaluate("audio => audio.currentTime") < length_s / 4 + 3


@pytest.mark.asyncio
async def test_the_keyboard_walks_along_the_dots(visit: Callable[..., Any]) -> None:
    async with visit() as page:
        chart = page.locator(".chart[data-chart=waits]").first
        await chart.locator(".dot").first.focus()
        await page.keyboard.press("ArrowRight")
        places = "dot => [...dot.closest('.picture').querySelectorAll('.dot')].indexOf(dot)"
        assert await page.locator(":focus").evaluate(places) == 1
        assert await chart.locator(".dot[tabindex='0']").count() == 1
        await page.set_viewport_size({"width": 500, "height": 700})
        await page.wait_for_function("() => document.querySelector('.picture').dataset.width < 500")
        assert await page.locator(":focus").evaluate(places) == 1
        await page.keyboard.press("Enter")
        await page.wait_for_function(f"{PLAYING}.length === 1")


@pytest.mark.asyncio
async def test_every_chart_is_drawn_and_its_table_folded_away(visit: Callable[..., Any]) -> None:
    async with visit() as page:
        for kind, charts in (("waits", len(LANGUAGES)), ("stages", 1), ("trends", 2)):
            chart = page.locator(f".chart.drawn[data-chart={kind}]")
            assert await chart.count() == charts
            assert await chart.locator(".picture > svg").first.get_attribute("aria-label")
            assert not await chart.locator("table").first.is_visible()
        assert await page.get_by_role("group", name="English: the turns").get_by_role("link").count() == 18
        assert await page.locator(".dot").count() == TURNS
        assert {await dot.get_attribute("class") for dot in await page.locator(".dot").all()} == {
            f"dot {kind}" for kind in ("answered", "cold", "cut-in", "never", "invalid")
        }
        spanish = page.locator(".chart[data-chart=waits]").nth(LANGUAGES.index("es"))
        middles = "all => all.map(one => one.getBoundingClientRect()).map(box => box.x + box.width / 2)"
        for label, kind, furthest in (("never", "never", max), ("earlier", "cut-in", min)):
            column = await spanish.get_by_text(label, exact=True).evaluate_all(middles)
            assert column == [pytest.approx(furthest(await spanish.locator(".dot").evaluate_all(middles)), abs=1)]
            there = [x for x in await spanish.locator(f".dot.{kind}").evaluate_all(middles) if abs(x - column[0]) < 1]
            assert len(there) == {"never": 8, "earlier": 1}[label]
        unexplained = page.locator(".chart[data-chart=stages] rect[fill='url(#hatch)']")
        assert await unexplained.count() > 0


@pytest.mark.asyncio
async def test_what_is_folded_away_is_drawn_when_it_is_unfolded(visit: Callable[..., Any]) -> None:
    async with visit() as page:
        turn = page.locator(".turn:not([open]):has(.chart)").first
        picture = await turn.locator(".picture").element_handle()
        assert await picture.evaluate("picture => picture.childElementCount") == 0
        await page.get_by_role("button", name="open all turns").click()
        await page.wait_for_function("picture => picture.childElementCount === 1", arg=picture)
        assert "committed" in await picture.text_content()
        await page.wait_for_function("() => document.querySelectorAll('.turn .chart:not(.drawn)').length === 0")
        assert await page.locator(".turn .chart details[open]").count() == 0


@pytest.mark.asyncio
async def test_letters_are_as_large_on_a_telephone(visit: Callable[..., Any]) -> None:
    for width in (340, 1300):
        async with visit(viewport={"width": width, "height": 700}) as page:
            for svg in await page.locator(".picture > svg").all():
                scale, size = await svg.evaluate(
                    "svg => [svg.getScreenCTM().a, parseFloat(getComputedStyle(svg).fontSize)]"
                )
                assert scale * size == pytest.approx(12, abs=0.1)


@pytest.mark.asyncio
async def test_charts_are_narrow_enough_for_paper(visit: Callable[..., Any]) -> None:
    async with visit(viewport={"width": 1300, "height": 700}) as page:
        width = "document.querySelector('.picture > svg').width.baseVal.value"
        assert await page.evaluate(width) > 800
        await page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert await page.evaluate(width) < 700
        await page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert await page.evaluate(width) > 800


@pytest.mark.asyncio
async def test_without_its_scripts_the_page_tells_the_same(visit: Callable[..., Any]) -> None:
    async with visit(java_script_enabled=False) as page:
        assert await page.locator(".headline").is_visible()
        links = page.locator(".chart[data-chart=waits] table a")
        assert await links.count() == TURNS
        assert all([await table.is_visible() for table in await page.locator("main > .chart table").all()])
        assert await page.locator(".trends table").first.is_visible()
        hidden = [link for link in await links.all() if not await page.locator(await target_of(link)).is_visible()]
        await hidden[0].click()
        assert await page.locator(await target_of(hidden[0])).is_visible()


async def target_of(link: Locator) -> str:
    return await link.get_attribute("href") or ""


@pytest.mark.asyncio
async def test_a_hostile_name_stays_text_in_a_chart(visit: Callable[..., Any]) -> None:
    async with visit() as page:
        assert HOSTILE in await page.locator(".trends svg title").first.text_content()
        assert await page.evaluate("figures.trends[0].points[0].build") == HOSTILE
        assert await page.locator("script").count() == len(SCRIPTS) + 1  # the figures
        assert await page.locator("img").count() == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("width", [340, 800, 1300])
async def test_nothing_hangs_out_of_a_screen(visit: Callable[..., Any], width: int) -> None:
    async with visit(viewport={"width": width, "height": 700}) as page:
        await page.get_by_role("button", name="open all turns").click()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.asyncio
async def test_it_is_dark_where_the_reader_s_screen_is(visit: Callable[..., Any]) -> None:
    for scheme, dark in (("light", False), ("dark", True)):
        async with visit(color_scheme=scheme) as page:
            colours = await page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
            assert (sum(colours[:3]) < 3 * 64) == dark


@pytest.mark.asyncio
async def test_a_browser_plays_a_moment_when_it_was(visit: Callable[..., Any]) -> None:
    samples = np.zeros(2 * sound.RATE_HZ, dtype=np.float32)
    samples[sound.RATE_HZ : sound.RATE_HZ + 240] = np.hanning(240) * np.sin(np.arange(240) / 2)
    async with visit() as page:
        for kilobits in sound.KILOBITS:
            coded = sound.encode(samples, kilobits).partition(",")[2]
            at_s = await page.evaluate(
                """async coded => {
                     const bytes = Uint8Array.from(atob(coded), c => c.charCodeAt(0));
                     const sound = await new OfflineAudioContext(1, 1, 24000).decodeAudioData(bytes.buffer);
                     const heights = sound.getChannelData(0).map(Math.abs);
                     return heights.indexOf(Math.max(...heights)) / sound.sampleRate;
                   }""",
                coded,
            )
            assert at_s == pytest.approx(np.argmax(np.abs(samples)) / sound.RATE_HZ, abs=0.003), kilobits
