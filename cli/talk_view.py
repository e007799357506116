"""What a caller sees of `s2s talk`: the transcript grows, and below it, on a terminal, who speaks and how loud."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from client.call import Tally
from client.conversation import State

_QUIETEST_DB = -60.0
_LOUD_DB = -6.0
_METER_CELLS = 24
_FALL = 0.8
"""Of a meter, from one frame to the next: a peak can be seen."""
_FRAMES_PER_S = 12
_REPLY_LINES = 2
"""The newest of the reply that is being said; all of it becomes part of the transcript."""
_STYLES = {State.HEARING: "cyan", State.REPLYING: "green", State.WAITING: "red"}


class TalkView:
    """A `client.conversation.View`.

    Args:
        url: shown.
        since: from when the first sound of a reply is counted, in words.
    """

    def __init__(self, console: Console, url: str, *, since: str) -> None:
        self.first_sounds_s: list[float] = []
        self._console = console
        self._url = url
        self._since = since
        self._state = State.CONNECTING
        self._waits_for = ""
        self._reply = ""
        self._first_sound: str | None = None
        self._levels: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0)
        self._shown = [0.0, 0.0]

    @contextmanager
    def live(self, levels: Callable[[], tuple[float, float]]) -> Iterator[None]:
        """Keep the region below the transcript up to date, where there is a terminal.

        Args:
            levels: of the caller and of the reply, root mean square in [0, 1].
        """
        self._levels = levels
        if not self._console.is_terminal:
            yield
            return
        with Live(get_renderable=self.region, console=self._console, refresh_per_second=_FRAMES_PER_S, transient=True):
            yield

    def state(self, state: State) -> None:
        self._state = state
        if state is not State.CONNECTING:
            self._waits_for = ""

    def waits(self, why: str) -> None:
        """The server is not ready yet."""
        if not self._waits_for and not self._console.is_terminal:
            self.note(why)
        self._waits_for = why

    def you_said(self, text: str) -> None:
        if text.strip():
            self._say("you", text.strip(), "cyan")

    def reply_said(self, text: str) -> None:
        self._reply += text

    def first_sound(self, seconds: float | None) -> None:
        if seconds is None:
            self._first_sound = ""
            return
        self.first_sounds_s.append(seconds)
        self._first_sound = f"{seconds:.2f} s"
        if not self._console.is_terminal:
            self.note(f"first sound {seconds:.2f} s after {self._since}")

    def reply_over(self, cut_at_s: float | None) -> None:
        if not self._reply.strip() and self._first_sound is None:
            if cut_at_s is not None:
                self.note(f"interrupted after {cut_at_s:.1f} s")
            return
        words = self._reply.strip() or "(speaks; this protocol carries no words)"
        cut = "" if cut_at_s is None else f" (interrupted after {cut_at_s:.1f} s)"
        self._say("server", words + cut, "green", self._first_sound or "")
        self._reply, self._first_sound = "", None

    def trouble(self, text: str) -> None:
        self._say("", text, "red")

    def note(self, text: str) -> None:
        self._say("", text, "dim")

    def summary(self, tally: Tally) -> None:
        """The last line: of several replies, and of whatever was not as it should be."""
        told = []
        if tally.turns > 1:
            told.append(f"{tally.turns} replies")
        if len(self.first_sounds_s) > 1:
            median_s = statistics.median(self.first_sounds_s)
            told.append(f"first sound {median_s:.2f} s after {self._since} (median)")
        for count, what in [
            (tally.gaps, "gaps in a reply: its audio came too late"),
            (tally.underruns, "underruns of the loudspeaker: this machine was too busy"),
            (tally.overruns, "losses of the microphone: this machine or the network was too slow"),
        ]:
            if count:
                told.append(f"{count} {what}")
        if told:
            self.note("; ".join(told))

    def region(self) -> RenderableType:
        """What stands below the transcript."""
        ascii_only = self._console.options.ascii_only
        self._shown = [max(now, shown * _FALL) for now, shown in zip(self._levels(), self._shown, strict=True)]
        rows = Table.grid(padding=(0, 1))
        you, server = (meter(level, ascii_only=ascii_only) for level in self._shown)
        rows.add_row(Text("   you", style="cyan"), you)
        rows.add_row(Text("server", style="green"), server, self._first_sound or "")
        words = Text(self._reply.strip(), style="green").wrap(self._console, self._console.width - 4)[-_REPLY_LINES:]
        state = Text(self._waits_for or self._state, style=_STYLES.get(self._state, ""))
        return Panel(
            Group(rows, *words),
            title=Text.assemble(self._url, " · ", state),
            title_align="left",
            subtitle="Ctrl-C ends the call",
            subtitle_align="left",
        )

    def _say(self, who: str, text: str, style: str, beside: str = "") -> None:
        if not self._console.is_terminal:
            self._console.print(f"{who}: {text}" if who else text, markup=False, highlight=False, soft_wrap=True)
            return
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(width=6, justify="right")
        line.add_column(ratio=1)
        line.add_column(justify="right")
        line.add_row(Text(who, style=style), Text(text, style="" if who else style), Text(beside, style="dim"))
        self._console.print(line)


def meter(level: float, *, ascii_only: bool = False) -> Text:
    """A bar from -60 dBFS to full scale for a root mean square in [0, 1]; it turns yellow where that is loud."""
    decibels = 20 * math.log10(level) if level > 0 else _QUIETEST_DB
    cells = round(_METER_CELLS * min(max(1 - decibels / _QUIETEST_DB, 0.0), 1.0))
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    style = "yellow" if decibels > _LOUD_DB else "green"
    return Text.assemble((full * cells, style), (empty * (_METER_CELLS - cells), "dim"))
