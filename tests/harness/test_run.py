"""A run keeps what it measured, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from client.connection import UnavailableError
from client.events import Failed, Heard, ReplyAudio, ReplyEnded, Spoken
from client.play import LoopClock
from harness import virtual_time
from harness.fixtures import Fixture, FixtureError
from harness.gates import exit_code
from harness.results import Results, read
from harness.run import RunSettings, choose, default_folder, open_run, parse_languages

ANSWER = [
    (0.6, Heard("hello")),
    (0.7, Spoken("Hi.")),
    (0.8, ReplyAudio(b"\x00\x08" * 4800)),
    (1.0, ReplyEnded({"pause_s": 0.6})),
]


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of which a report was written."""
    folders: list[Path] = []
    monkeypatch.setattr("harness.reports.write_all", folders.append)
    return folders


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reported: list[Path]) -> Iterator[Callable[..., Results]]:
    """Plays clips into a scripted target and reads what the run left; `stop_after` breaks it off there."""

    def run(target: object, clips: list[Fixture], *, stop_after: int | None = None) -> Results:
        @asynccontextmanager
        async def scripted(*_arguments: object, **_settings: object) -> AsyncIterator[object]:
            yield target

        monkeypatch.setattr("harness.run.open_target", scripted)
        settings = RunSettings(folder=tmp_path / "report", target="realtime", languages=("en", "fr"))

        async def everything() -> None:
            async with open_run(settings, clips) as open_one:
                for number, clip in enumerate(clips):
                    if number == stop_after:
                        raise asyncio.CancelledError
                    await open_one.turn(clip)

        if stop_after is None:
            virtual_time.run(everything())
        else:
            with pytest.raises(asyncio.CancelledError):
                virtual_time.run(everything())
        assert reported == [settings.folder]
        return read(settings.folder)

    return run


def outcomes(results: Results) -> list[str]:
    return [row.outcome for row in results.turns]


def test_a_run_is_measured_decided_and_reported(make_clip, scripted_target, play, tmp_path: Path) -> None:
    target = scripted_target(ANSWER, said={"version": "1.2", "lm.fr": "echo"})
    results = play(target, [make_clip("en_1"), make_clip("fr_1", "fr")])
    assert outcomes(results) == ["answered", "answered"]
    assert results.turns[0].latency.first_byte_s == pytest.approx(0.4)
    assert [row.latency.cold for row in results.turns] == [True, False]
    assert target.languages == ["en", "fr"]
    header = results.header
    assert (header.target, header.profile, header.tier, header.languages) == (
        "realtime",
        "embedded",
        "synthetic",
        ("en", "fr"),
    )
    assert (header.server, header.lm) == ({"version": "1.2"}, {"fr": "echo"})
    assert results.verdicts
    assert (tmp_path / "report" / str(results.turns[1].question)).is_file()
    assert (tmp_path / "report" / str(results.turns[1].reply)).is_file()


def test_an_invalid_turn_is_played_once_more_and_counted_twice(
    make_clip, scripted_target, play, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = iter([0.05])

    class LateOnce(LoopClock):
        async def sleep_until(self, at_s: float) -> None:
            await super().sleep_until(at_s + next(late, 0.0))

    monkeypatch.setattr("client.play.LoopClock", LateOnce)
    results = play(scripted_target(ANSWER), [make_clip()])
    assert outcomes(results) == ["invalid", "answered"]
    assert [row.repeat for row in results.turns] == [0, 1]


def test_a_server_that_dies_half_way_leaves_what_was_measured_and_no_pass(make_clip, scripted_target, play) -> None:
    clips = [make_clip(f"en_{n}") for n in range(5)]
    target = scripted_target(ANSWER, [(0.6, Failed("it died"))], UnavailableError("nothing listens there"))
    results = play(target, clips)
    assert outcomes(results) == ["answered", *["error"] * 4]
    assert [row.error for row in results.turns] == [
        None,
        "it died",
        "nothing listens there",
        "nothing listens there",
        "not played: the server could not be reached before",
    ]
    assert [row.latency.cold for row in results.turns] == [True, *[False] * 4]
    assert len(target.languages) == 4
    assert exit_code(results.verdicts) == 1


def test_a_run_that_is_stopped_keeps_its_rows_and_is_no_pass(make_clip, scripted_target, play) -> None:
    clips = [make_clip(f"en_{n}") for n in range(3)]
    results = play(scripted_target(ANSWER), clips, stop_after=1)
    assert outcomes(results) == ["answered"]
    assert "2 of 3 clips were not played" in results.verdicts[-1].reason
    assert exit_code(results.verdicts) != 0


def test_whatever_the_target_raises_is_the_turns_error(make_clip, scripted_target, play) -> None:
    target = scripted_target(ZeroDivisionError("in a model"), ANSWER)
    results = play(target, [make_clip("en_1"), make_clip("en_2")])
    assert outcomes(results) == ["error", "answered"]
    assert results.turns[0].error == "ZeroDivisionError: in a model"


def test_the_cold_start_is_the_first_conversation_that_could_be_had(make_clip, scripted_target, play) -> None:
    target = scripted_target(UnavailableError("not yet"), ANSWER)
    results = play(target, [make_clip("en_1"), make_clip("en_2"), make_clip("en_3")])
    assert [row.latency.cold for row in results.turns] == [False, True, False]


def test_a_token_is_never_shown() -> None:
    assert "key" not in repr(RunSettings(folder=Path("report"), token="".join("key")))


def test_clips_are_chosen_a_language_after_the_other_in_turn(make_clip, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [make_clip("en_1"), make_clip("en_2"), make_clip("fr_1", "fr")]
    monkeypatch.setattr("harness.fixtures.available", lambda *_settings: found)
    settings = RunSettings(folder=Path("report"), languages=("en", "fr"))
    assert [clip.id for clip in choose(settings)] == ["en_1", "fr_1", "en_2"]


def test_nothing_to_play_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.fixtures.available", lambda *_settings: [])
    with pytest.raises(FixtureError, match="no clips for the languages ko in tier auto"):
        choose(RunSettings(folder=Path("report"), languages=("ko",)))


def test_languages_are_a_list_of_codes() -> None:
    assert parse_languages("en, fr,en") == ("en", "fr")
    with pytest.raises(FixtureError, match="unknown language 'de'"):
        parse_languages("en,de")


def test_a_report_has_a_place_of_its_own() -> None:
    folder = default_folder("realtime")
    assert folder.parent == Path("reports")
    assert folder.name.endswith("-realtime")
