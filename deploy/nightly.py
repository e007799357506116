"""One night: wake, gate, remember, look at the trend, and put to sleep, whatever became of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.endpoints import Endpoints, ServiceError
from deploy.gating import FAIL, PASS, Gate, meaning
from deploy.waiting import Patience, Telling, wait_until_up
from harness import results
from harness.history import Trend, is_alarm, load, series_of, trends

_PATH = "/v1/realtime"
_SHOWN = 7


class AwakeError(RuntimeError):
    """An endpoint could not be put to sleep: it goes on costing money."""


@dataclass(frozen=True, slots=True)
class NightResult:
    """What a night came to.

    Attributes:
        gated: the exit code of the gate.
        measured: it is in the history; one without a verdict, or that is invalid, is not.
        trends: of the limits, over the nights like this one; see `harness.history`.
    """

    gated: int
    measured: bool = False
    trends: tuple[Trend, ...] = ()

    @property
    def changed(self) -> list[Trend]:
        """What has changed for the worse, and not for one night only."""
        return [t for t in self.trends if self.measured and t.state == "changed" and is_alarm(t)]

    @property
    def exit_code(self) -> int:
        """That of the gate at once; 1 for a trend although the gate is green."""
        return self.gated if self.gated != PASS else FAIL if self.changed else PASS

    def markdown(self) -> str:
        """A summary of the night for people who get it by mail or on a page."""
        said = [f"# The gate is {meaning(self.gated)}", ""]
        for trend in self.changed:
            change = trend.changes[-1]
            said.append(
                f"- worse since {change.date}: **{trend.gate} ({trend.language})**, "
                f"{change.before:.3g} before, {change.after:.3g} since"
            )
        said += ["", f"| | limit | the last {_SHOWN} nights | |", "|---|---|---|---|"]
        for trend in self.trends:
            figures = " ".join("–" if n.value is None else f"{n.value:.3g}" for n in trend.nights[-_SHOWN:])
            limit = "" if trend.limit is None else f"{trend.limit:g}"
            said.append(f"| {trend.gate} ({trend.language}) | {limit} | {figures} | {trend.state} |")
        return "\n".join([*said, ""])


@contextmanager
def awake(endpoints: Endpoints, name: str, token: str, patience: Patience, telling: Telling) -> Iterator[str]:
    """An endpoint for as long as it is needed: its websocket's address. It is paused again if it was found paused, and
    scaled to zero otherwise, in any case.

    Raises:
        NotUpError: it does not wake.
        ServiceError: the service refuses.
        AwakeError: it could be neither scaled to zero nor paused; only then is it still awake.
    """
    found = endpoints.get(name)
    try:
        telling.say(f"waking {name}, which is {found.state}")
        yield f"{wait_until_up(endpoints, name, token, patience, telling).url}{_PATH}"
    finally:
        put_to_sleep(endpoints, name, paused=found.state == "paused", telling=telling)


def one_night(url: str, *, token: str | None, gate: Gate, report: Path, history: Path) -> NightResult:
    """Gate the server at a websocket's address, and look at the nights of which it is the last.

    Args:
        url: of the server.
        token: its bearer token.
        gate: adds the night to the history.
        report: the folder for the night's report.
        history: the file of the nights.

    Raises:
        OSError: the history cannot be read.
    """
    gated = gate(url, token, report)
    try:
        series = series_of(results.read(report))
    except results.ResultsError:
        return NightResult(gated)
    lines = [line for line in load(history).lines if line.series == series]
    return NightResult(gated, any(line.run == report.name for line in lines), tuple(trends(lines)))


def put_to_sleep(endpoints: Endpoints, name: str, *, paused: bool, telling: Telling) -> None:
    """Scale to zero, or pause: at once if it shall be `paused`, and otherwise if it cannot scale to zero.

    Raises:
        AwakeError: neither could be done.
    """
    if not paused:
        try:
            endpoints.scale_to_zero(name)
        except ServiceError as error:
            telling.say(f"{error}. Pausing it instead")
        else:
            telling.say(f"{name} sleeps: it is scaled to zero, and the next caller wakes it")
            return
    try:
        endpoints.pause(name)
    except ServiceError as error:
        raise AwakeError(
            f"{name} COULD NOT BE PUT TO SLEEP and goes on costing money: {error}. Try `s2s deploy pause {name}`"
        ) from error
    telling.say(f"{name} sleeps: it is paused")
