"""A night: woken, gated, remembered, and put to sleep whatever happens; a change that holds is an alarm."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest

from deploy.endpoints import Endpoints
from deploy.nightly import AwakeError, NightResult, awake, one_night
from deploy.waiting import NotUpError
from harness import history
from harness.results import ResultsWriter, RunHeader, VerdictRow, read
from tests.deploy.conftest import ScriptedGate, Told
from tests.deploy.stand_in import TOKEN, Service

PAUSE, RESUME, SLEEP = (
    "POST /endpoint/me/demo/pause",
    "POST /endpoint/me/demo/resume",
    "POST /endpoint/me/demo/scale-to-zero",
)


class Gate(ScriptedGate):
    """Reports a median, and adds it to the history; a night that is invalid measures nothing."""

    def __init__(self, history: Path, number: int, ttfa_s: float, code: int) -> None:
        super().__init__(code)
        self._history = history
        self._header = RunHeader("realtime", "embedded", "synthetic", f"2026-11-{number:02}T03:00:00+00:00", ("en",))
        self._ttfa_s = ttfa_s

    def __call__(self, url: str, token: str | None, folder: Path) -> int:
        ran = "invalid" if self.code == 3 else "pass"
        figures = (2.0, self._ttfa_s, self._ttfa_s, self._ttfa_s)
        with ResultsWriter(folder, self._header) as writer:
            writer.add_verdicts([VerdictRow("valid turns", "run", "all", ran, 2, "", 0.8, 1.0)])
            writer.add_verdicts([VerdictRow("ttfa_s p50", "latency", "en", "pass", 2, "", *figures)])
        history.append(history.lines_of(read(folder), folder.name), self._history)
        return super().__call__(url, token, folder)


def nights(folder: Path, *measured: float, codes: dict[int, int] | None = None) -> list[NightResult]:
    """A night a figure; `codes` are of the gates that are not green, by the number of the night."""
    file = folder / "history.jsonl"
    done = []
    for number, ttfa_s in enumerate(measured, 1):
        gate = Gate(file, number, ttfa_s, (codes or {}).get(number, 0))
        report = folder / f"night-{number}"
        done.append(one_night("ws://host", token=None, gate=gate, report=report, history=file))
    return done


STEADY = (0.50, 0.51, 0.49, 0.50, 0.51, 0.50)


def test_one_bad_night_is_no_alarm_and_a_second_is(tmp_path: Path) -> None:
    found = nights(tmp_path, *STEADY, 0.7, 0.7)
    assert [night.exit_code for night in found] == [0] * 7 + [1]
    assert [(trend.gate, trend.language) for trend in found[-1].changed] == [("ttfa_s p50", "en")]
    summary = found[-1].markdown()
    assert "worse since 2026-11-07: **ttfa_s p50 (en)**, 0.5 before, 0.7 since" in summary
    assert "| ttfa_s p50 (en) | 2 | 0.51 0.49 0.5 0.51 0.5 0.7 0.7 | changed |" in summary


def test_a_change_for_the_better_is_no_alarm(tmp_path: Path) -> None:
    assert [night.exit_code for night in nights(tmp_path, *STEADY, 0.3, 0.3)] == [0] * 8


def test_a_bad_night_among_good_ones_is_no_alarm(tmp_path: Path) -> None:
    assert [night.exit_code for night in nights(tmp_path, *STEADY, 0.7, 0.5, 0.5, 0.7, 0.5)] == [0] * 11


def test_a_broken_limit_is_told_at_once(tmp_path: Path) -> None:
    assert [night.exit_code for night in nights(tmp_path, 2.5, codes={1: 1})] == [1]


def test_a_night_without_a_measurement_neither_makes_a_trend_nor_hides_one(tmp_path: Path) -> None:
    found = nights(tmp_path, *STEADY, 0.7, 0.7, 0.7, codes={8: 3})
    assert [night.exit_code for night in found] == [0] * 7 + [3, 1]


def test_a_gate_that_crashes_leaves_a_night_without_a_verdict(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    night = one_night("ws://h", token=None, gate=ScriptedGate(-9), report=tmp_path / "night", history=file)
    assert (night.gated, night.exit_code, night.trends) == (-9, -9, ())
    assert "without a verdict" in night.markdown()


def test_an_endpoint_is_woken_and_scaled_to_zero_again(service: Service, endpoints: Endpoints, told: Told) -> None:
    service.has("demo", state="scaledToZero")
    wake_on_request(service)
    with awake(endpoints, "demo", TOKEN, told.patience(), told) as url:
        assert url == f"ws{service.url.removeprefix('http')}/v1/realtime"
        assert service.changes() == []
    assert service.changes() == [SLEEP]
    assert service.health_tokens, "a request is what wakes it"


def test_a_paused_one_is_resumed_and_paused_again(service: Service, endpoints: Endpoints, told: Told) -> None:
    service.has("demo", state="paused")
    with awake(endpoints, "demo", TOKEN, told.patience(), told):
        assert service.changes() == [RESUME]
    assert service.changes() == [RESUME, PAUSE]


@pytest.mark.parametrize("trouble", [RuntimeError("the gate crashed"), KeyboardInterrupt()])
def test_it_is_put_to_sleep_whatever_happens(
    service: Service, endpoints: Endpoints, told: Told, trouble: BaseException
) -> None:
    service.has("demo")
    with pytest.raises(type(trouble)), awake(endpoints, "demo", TOKEN, told.patience(), told):
        raise trouble
    assert service.changes() == [SLEEP]


def test_it_is_put_to_sleep_if_it_never_wakes(service: Service, endpoints: Endpoints, told: Told) -> None:
    service.has("demo", state="paused")
    service.health = deque([503])
    with pytest.raises(NotUpError), awake(endpoints, "demo", TOKEN, told.patience(), told):
        raise AssertionError("it is not awake")
    assert service.changes() == [RESUME, PAUSE]


def test_one_that_cannot_scale_to_zero_is_paused(service: Service, endpoints: Endpoints, told: Told) -> None:
    service.has("demo")
    service.refuse(SLEEP, 400, "min replica is 1")
    with awake(endpoints, "demo", TOKEN, told.patience(), told):
        pass
    assert service.changes() == [SLEEP, PAUSE]


def test_one_that_stays_awake_is_told_loudly(service: Service, endpoints: Endpoints, told: Told) -> None:
    service.has("demo")
    service.refuse(SLEEP, 500, "oh no")
    service.refuse(PAUSE, 500, "oh no")
    with (
        pytest.raises(AwakeError, match="COULD NOT BE PUT TO SLEEP"),
        awake(endpoints, "demo", TOKEN, told.patience(), told),
    ):
        pass


def wake_on_request(service: Service) -> None:
    """A scaled-down endpoint starts when somebody asks for its /health."""
    given = service._advance

    def advance(name: str) -> dict[str, object]:
        status = service.endpoints[name]["status"]
        if service.health_tokens and status["state"] == "scaledToZero":
            status["state"] = "running"
        return given(name)

    service._advance = advance  # type: ignore[method-assign]  # for one test
