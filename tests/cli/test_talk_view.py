"""What `s2s talk` shows, recorded by a console of rich."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from cli.talk_view import TalkView, meter
from client.call import Tally
from client.conversation import State

WIDTH = 70


def view_on(*, terminal: bool) -> tuple[TalkView, Console]:
    console = Console(file=io.StringIO(), record=True, width=WIDTH, force_terminal=terminal, highlight=False)
    return TalkView(console, "ws://127.0.0.1:8080", since="your last word"), console


def hold_a_turn(view: TalkView) -> None:
    view.state(State.THINKING)
    view.you_said(" How are [bold]you? ")
    view.state(State.REPLYING)
    view.reply_said("I am ")
    view.first_sound(0.524)
    view.reply_said("fine.")


def test_without_a_terminal_there_are_plain_lines() -> None:
    view, console = view_on(terminal=False)
    with view.live(lambda: (0.5, 0.5)):
        hold_a_turn(view)
        view.reply_over(None)
        view.trouble("out of memory")
    assert console.export_text().splitlines() == [
        "you: How are [bold]you?",
        "first sound 0.52 s after your last word",
        "server: I am fine.",
        "out of memory",
    ]


def test_on_a_terminal_the_transcript_has_the_first_sound_beside_each_reply() -> None:
    view, console = view_on(terminal=True)
    hold_a_turn(view)
    view.reply_over(None)
    you, server = console.export_text().splitlines()
    assert you.split() == ["you", "How", "are", "[bold]you?"]
    assert server.split() == ["server", "I", "am", "fine.", "0.52", "s"]
    assert server.rstrip().endswith("0.52 s")


def region(view: TalkView, console: Console) -> str:
    console.print(view.region())
    return console.export_text()


def test_below_it_stands_who_speaks_how_loud_and_how_to_quit() -> None:
    view, console = view_on(terminal=True)
    view._levels = lambda: (1.0, 0.001)
    hold_a_turn(view)
    shown = region(view, console)
    assert "ws://127.0.0.1:8080 · replying" in shown
    assert "Ctrl-C ends the call" in shown
    assert "I am fine." in shown
    you, server = [line for line in shown.splitlines() if "█" in line or "░" in line]
    assert you.count("█") == 24
    assert server.count("█") == 0
    assert "0.52 s" in server
    framed = [line for line in shown.splitlines() if line[0] in "╭│╰"]
    assert [cell_len(line) for line in framed] == [WIDTH] * 5


def test_a_meter_falls_slowly() -> None:
    view, console = view_on(terminal=True)
    view._levels = lambda: (1.0, 0.0)
    region(view, console)
    view._levels = lambda: (0.0, 0.0)
    bars = [region(view, console).count("█") for _ in range(60)]
    assert bars == sorted(bars, reverse=True)
    assert bars[0] > 20
    assert bars[-1] == 0


@given(said=st.lists(st.text(st.characters(exclude_categories=("C",)), max_size=40), max_size=8))
def test_whatever_is_said_the_region_stays_within_its_lines(said: list[str]) -> None:
    view, console = view_on(terminal=True)
    for text in said:
        view.reply_said(text)
    lines = region(view, console).splitlines()
    assert len(lines) <= 6
    assert all(cell_len(line) <= WIDTH for line in lines)


def test_a_server_that_loads_is_waited_for_in_the_title_or_in_one_line() -> None:
    view, console = view_on(terminal=True)
    view.waits("still loading")
    assert "still loading" in region(view, console)
    view.state(State.LISTENING)
    assert "still loading" not in region(view, console)
    plain, lines = view_on(terminal=False)
    for left_s in (20, 15, 10):
        plain.waits(f"still loading; {left_s} s left")
    assert lines.export_text().splitlines() == ["still loading; 20 s left"]


def test_an_interrupted_reply_says_how_much_of_it_was_heard_once() -> None:
    view, console = view_on(terminal=False)
    view.reply_said("A long story.")
    view.reply_over(1.24)
    view.reply_over(None)
    view.reply_over(0.5)  # one that the server had ended, and was still being played
    assert console.export_text().splitlines() == [
        "server: A long story. (interrupted after 1.2 s)",
        "interrupted after 0.5 s",
    ]


def test_a_protocol_without_words_shows_that_a_reply_was_there() -> None:
    view, console = view_on(terminal=False)
    view.first_sound(None)
    view.reply_over(None)
    assert console.export_text().splitlines() == ["server: (speaks; this protocol carries no words)"]


def test_the_last_line_sums_up_what_there_was() -> None:
    view, console = view_on(terminal=False)
    view.summary(Tally(turns=1))
    view.first_sounds_s = [0.5, 0.7, 0.6]
    view.summary(Tally(turns=3, gaps=2))
    assert console.export_text().splitlines() == [
        "3 replies; first sound 0.60 s after your last word (median); 2 gaps in a reply: its audio came too late"
    ]


@pytest.mark.parametrize(("level", "cells"), [(0.0, 0), (0.0001, 0), (0.0316, 12), (1.0, 24), (2.0, 24)])
def test_a_meter_goes_from_60_db_below_full_scale_to_it(level: float, cells: int) -> None:
    assert meter(level).plain == "█" * cells + "░" * (24 - cells)
    assert meter(level, ascii_only=True).plain == "#" * cells + "." * (24 - cells)
