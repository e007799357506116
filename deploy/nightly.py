"""One night: wake, gate, remember, look at the trend, and put to sleep, whatever became of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.endpoints import Endpoints, ServiceError
from deploy.gating import FAIL, INVALID, MEANINGS, PASS, Gate, meaning
from deploy.trend import Trend
from deploy.waiting import Patience, Telling, wait_until_up

_PATH = "/v1/realtime"


class AwakeError(RuntimeError):
    """An endpoint could not be put to sleep: it goes on costing money."""


@dataclass(frozen=True, slots=True)
class NightResult:
    """What a night came to.

    Attributes:
        gated: the exit code of the gate.
        alarms: what has got worse for nights on end.
    """

    gated: int
    alarms: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """That of the gate at once; 1 for a trend although the gate is green."""
        return self.gated if self.gated != PASS else FAIL if self.alarms else PASS

    def markdown(self, trend: Trend) -> str:
        """A summary of the night for people who get it by mail or on a page."""
        said = [f"# The gate is {meaning(self.gated)}", ""]
        said += [f"- worse for several nights in a row: **{name}**" for name in self.alarms]
        return "\n".join([*said, "", trend.markdown(), ""])


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


def one_night(url: str, *, token: str | None, gate: Gate, trend: Trend, started: str, report: Path) -> NightResult:
    """Gate the server at a websocket's address, and remember the night.

    A gate that gives no verdict, or a run that is invalid, is remembered as a night that measured nothing.

    Raises:
        TrendError: the history or the report cannot be used.
    """
    gated = gate(url, token, report)
    trend.add(started, report, gated if gated in MEANINGS and gated != INVALID else None)
    return NightResult(gated, trend.alarms())


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
