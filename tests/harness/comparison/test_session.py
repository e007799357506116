"""A comparison from the first clip to the file it leaves, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from client.connection import UnavailableError
from harness import results, virtual_time
from harness.comparison.results import Comparison, ComparisonError, read
from harness.comparison.session import choose_clips, open_comparison
from harness.comparison.sides import Server, Stored, parse_side
from harness.fixtures import Fixture
from harness.measures import latency
from harness.run import Run
from harness.run_settings import RunSettings

A, B = Server("ws://a/", endpoint="ws://a/"), Server("ws://b/", endpoint="ws://b/")


def compare(
    a: Server | Stored,
    b: Server | Stored,
    clips: list[Fixture],
    folder: Path,
    *,
    budget_s: float | None = 600,
    stop_after: int | None = None,
    force: bool = False,
) -> Comparison:
    settings = RunSettings(folder=folder, target="realtime", languages=("en", "fr"), budget_s=budget_s)

    async def everything() -> None:
        async with open_comparison(a, b, settings, clips, force=force) as comparing:
            async for _ in comparing.rounds():
                if len(comparing.pairs) == stop_after:
                    raise asyncio.CancelledError

    if stop_after is None:
        virtual_time.run(everything())
    else:
        with pytest.raises(asyncio.CancelledError):
            virtual_time.run(everything())
    return read(folder)


def verdicts(comparison: Comparison) -> dict[str, str]:
    return {change.metric: change.verdict for change in comparison.changes}


def test_two_that_are_alike_are_decided_before_the_budget_is_spent(serve, answer, clips, folder: Path) -> None:
    serve({"ws://a/": [answer()], "ws://b/": [answer()]})
    found = compare(A, B, clips, folder)
    assert set(verdicts(found).values()) == {"no change"}
    assert (found.exit_code, found.verdict) == (0, "pass")
    assert found.ending is not None
    assert found.ending.reason == "decided"
    assert found.header.interleaved
    assert found.looks[-1].spent < 1
    assert len(found.pairs) % len(clips) == 0


def test_the_first_pair_is_the_cold_start_of_both(serve, answer, clips, folder: Path) -> None:
    """B takes three seconds to wake up, which says nothing of the build."""
    serve({"ws://a/": [answer()], "ws://b/": [answer(3.0), answer()]})
    found = compare(A, B, clips, folder)
    assert set(verdicts(found).values()) == {"no change"}
    assert [(pair.a.cold, pair.b.cold) for pair in found.pairs[:2]] == [(True, True), (False, False)]
    assert found.changes[0].pairs == len(found.pairs) - 1


def test_a_slower_candidate_fails(serve, answer, clips, folder: Path) -> None:
    serve({"ws://a/": [answer(0.4)], "ws://b/": [answer(0.46)]})
    found = compare(A, B, clips, folder)
    assert verdicts(found)["ttfa_s"] == "worse"
    assert found.exit_code == 1
    assert found.changes[0].value == pytest.approx(0.15, abs=0.03)


def test_the_sides_take_turns_at_going_first(
    serve, answer, clips, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    serve({"ws://a/": [answer()], "ws://b/": [answer()]})
    played = Run.turn

    async def noted(self: Run, fixture: Fixture) -> Any:
        order.append(f"{self.settings.folder.name} {fixture.id}")
        return await played(self, fixture)

    monkeypatch.setattr(Run, "turn", noted)
    compare(A, B, clips, folder)
    assert "".join(step[0] for step in order[:16]) == "abbaabbaabbaabba"
    assert order[0] == "a en_0"
    assert order[16] == "b en_0"
    assert all(order[n].split()[1] == order[n + 1].split()[1] for n in range(0, len(order), 2))


def test_each_side_leaves_a_run_of_its_own(serve, answer, clips, folder: Path) -> None:
    serve({"ws://a/": [answer()], "ws://b/": [answer()]})
    found = compare(A, B, clips, folder)
    for side in "ab":
        assert len(results.read(folder / side).turns) >= len(found.pairs)
        assert (folder / side / "report.html").exists()


def test_the_budget_ends_it_and_what_was_not_shown_is_inconclusive(serve, answer, clips, folder: Path) -> None:
    serve({"ws://a/": [answer(0.40)], "ws://b/": [answer(0.36), answer(0.48), answer(0.40), answer(0.44)] * 99})
    found = compare(A, B, clips, folder, budget_s=60)
    assert verdicts(found)["ttfa_s"] == "inconclusive"
    assert found.exit_code == 2
    assert found.ending is not None
    assert found.ending.reason == "budget"
    assert found.looks[-1].spent == 1


@pytest.mark.parametrize(("lost", "code"), [("a", 2), ("b", 1)])
def test_a_side_that_dies_ends_it_with_all_that_was_measured(
    serve, answer, clips, folder: Path, lost: str, code: int
) -> None:
    gone = UnavailableError("nothing listens there")
    scripts: dict[str, list[object]] = {"ws://a/": [answer()], "ws://b/": [answer()]}
    scripts[f"ws://{lost}/"] = [*[answer()] * 10, gone]
    serve(scripts)
    found = compare(A, B, clips, folder)
    assert found.ending is not None
    assert found.ending.reason == f"lost {lost}"
    assert found.exit_code == code
    assert len(found.pairs) == 12
    assert found.changes


def test_one_that_is_stopped_keeps_its_pairs_and_is_no_pass(serve, answer, clips, folder: Path) -> None:
    serve({"ws://a/": [answer()], "ws://b/": [answer()]})
    found = compare(A, B, clips, folder, stop_after=5)
    assert len(found.pairs) == 5
    assert found.ending is not None
    assert found.ending.reason == "stopped"
    assert found.exit_code == 2


def stored(folder: Path) -> Stored:
    side = parse_side(str(folder))
    assert isinstance(side, Stored)
    return side


def test_runs_that_are_stored_are_compared_without_playing(serve, answer, clips, folder: Path, tmp_path: Path) -> None:
    serve({"ws://a/": [answer(0.4)], "ws://b/": [answer(0.5)]})
    compare(A, B, clips, folder, budget_s=60)
    found = compare(stored(folder / "a"), stored(folder / "b"), clips, tmp_path / "again")
    assert not found.header.interleaved
    assert verdicts(found)["ttfa_s"] == "worse"
    assert len(found.pairs) == len(read(folder).pairs)
    assert found.looks == (found.looks[0],)
    assert found.ending is not None
    assert found.ending.reason == "played out"


def test_a_server_is_compared_with_what_is_stored(serve, answer, clips, folder: Path, tmp_path: Path) -> None:
    serve({"ws://a/": [answer(0.4)], "ws://b/": [answer(0.5)]})
    compare(A, B, clips, folder, budget_s=60)
    found = compare(stored(folder / "a"), B, clips, tmp_path / "again")
    assert verdicts(found)["ttfa_s"] == "worse"
    assert not (tmp_path / "again" / "a").exists()


@pytest.mark.parametrize("stored_side", ["a", "b"])
def test_nothing_is_played_that_has_no_turn_to_be_compared_with(
    serve, answer, clips, folder: Path, tmp_path: Path, stored_side: str
) -> None:
    serve({"ws://a/": [answer()], "ws://b/": [answer()]})
    compare(A, B, clips[:6], folder, budget_s=5)
    before = stored(folder / "a")
    found = compare(*((before, B) if stored_side == "a" else (B, before)), clips[:6], tmp_path / "again")
    assert found.ending is not None
    assert found.ending.reason == "played out"
    played = results.read(tmp_path / "again" / ("b" if stored_side == "a" else "a")).turns
    assert len(played) == len(found.pairs) == len(before.samples)


def test_what_differs_besides_is_refused_and_said_when_forced(
    serve, answer, clips, folder: Path, tmp_path: Path
) -> None:
    serve({"ws://a/": [answer()], "ws://b/": [answer()]})
    compare(A, B, clips, folder, budget_s=60)
    text = (folder / "a" / "results.jsonl").read_text()
    (folder / "a" / "results.jsonl").write_text(text.replace(f'"latency":"{latency.VERSION}"', '"latency":"0"', 1))
    other = stored(folder / "a")
    with pytest.raises(
        ComparisonError, match=rf"another definition of latency \(version 0, not {latency.VERSION}\).*--force"
    ):
        compare(other, stored(folder / "b"), clips, tmp_path / "again")
    found = compare(other, stored(folder / "b"), clips, tmp_path / "again", force=True)
    assert found.header.forced == (f"another definition of latency (version 0, not {latency.VERSION})",)


def test_only_clips_that_both_have_are_played(
    serve, answer, clips, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve({"ws://a/": [answer()], "ws://b/": [answer()]})
    compare(A, B, clips[:2], folder, budget_s=5)
    monkeypatch.setattr("harness.comparison.session.choose", lambda _settings: clips)
    settings = RunSettings(folder=folder)
    assert choose_clips(stored(folder / "a"), B, settings) == clips[:2]
    monkeypatch.setattr("harness.comparison.session.choose", lambda _settings: clips[4:])
    with pytest.raises(ComparisonError, match="no clip in common"):
        choose_clips(stored(folder / "a"), B, settings)


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("wss://host/ws", Server("wss://host/ws", endpoint="wss://host/ws")),
        ("serve", Server("serve")),
        ("serve --lm 'e cho'", Server("serve --lm 'e cho'", None, ("--lm", "e cho"))),
    ],
)
def test_a_side_is_named_by_address_or_command(text: str, side: Server) -> None:
    assert parse_side(text) == side


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "is no side of a comparison"),
        ("", "is no side of a comparison"),
        ("serve '", "No closing quotation"),
        (".", "is this the folder of a run"),
        ("missing.json", "the baseline missing.json cannot be read"),
    ],
)
def test_what_is_no_side_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ComparisonError, match=said):
        parse_side(text)


def test_a_server_is_started_with_its_options(
    serve, answer, clips, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    started: list[Sequence[str]] = []

    @asynccontextmanager
    async def own_server(_log: Path, *, program: Sequence[str], **_settings: object) -> AsyncIterator[str]:
        started.append(program)
        yield f"ws://{len(started)}"

    monkeypatch.setattr("harness.comparison.session.own_server", own_server)
    serve({"ws://1/v1/realtime": [answer()], "ws://2/v1/realtime": [answer(0.5)]})
    found = compare(Server("serve"), Server("serve --lm echo", options=("--lm", "echo")), clips, folder, budget_s=60)
    assert verdicts(found)["ttfa_s"] == "worse"
    assert [program[-2:] for program in started] == [("--max-sessions", "8"), ("--lm", "echo")]
