"""A night: woken, gated, remembered, and put to sleep whatever happens; three worse ones are a trend."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest

from deploy.endpoints import Endpoints
from deploy.nightly import AwakeError, NightResult, awake, one_night
from deploy.trend import History, TrendError
from deploy.waiting import NotUpError
from harness.results import ResultsWriter, RunHeader, VerdictRow
from tests.deploy.conftest import ScriptedGate, Told
from tests.deploy.stand_in import TOKEN, Service

PAUSE, RESUME, SLEEP = (
    "POST /endpoint/me/demo/pause",
    "POST /endpoint/me/demo/resume",
    "POST /endpoint/me/demo/scale-to-zero",
)


def write_report(folder: Path, ttfa_s: float | None, high_s: float | None = None) -> Path:
    header = RunHeader("realtime", "embedded", "synthetic", "2026-11-25T03:00:00+00:00", ("en",))
    row = VerdictRow(
        "ttfa_s p50", "latency", "en", "pass", 2, "", 1.0, ttfa_s, ttfa_s, (high_s or ttfa_s) if ttfa_s else None
    )
    with ResultsWriter(folder, header) as writer:
        writer.add_verdicts([VerdictRow("valid turns", "run", "all", "pass", 2, "", 0.8, 1.0), row])
    return folder


class Gate(ScriptedGate):
    """Writes a report in which the median is `ttfa_s`."""

    def __init__(self, ttfa_s: float | None, code: int = 0) -> None:
        super().__init__(code)
        self.ttfa_s = ttfa_s

    def __call__(self, url: str, token: str | None, folder: Path) -> int:
        write_report(folder, self.ttfa_s)
        return super().__call__(url, token, folder)


def nights(folder: Path, *measured: float | None, codes: dict[int, int] | None = None) -> list[NightResult]:
    trend = History(folder, write_report(folder / "baseline", 0.5, 0.6))
    done = []
    for number, ttfa_s in enumerate(measured):
        code = (codes or {}).get(number, 0)
        report = folder / f"night-{number}"
        gate = Gate(ttfa_s, code)
        done.append(
            one_night("ws://host", token=None, gate=gate, trend=trend, started=f"2026-11-{number}", report=report)
        )
    return done


def test_three_worse_nights_in_a_row_are_a_trend_and_two_are_not(tmp_path: Path) -> None:
    found = nights(tmp_path, 0.7, 0.5, 0.7, 0.7, 0.7)
    assert [night.exit_code for night in found] == [0, 0, 0, 0, 1]
    assert found[-1].alarms == ["ttfa_s p50, en"]
    assert "worse for several nights in a row: **ttfa_s p50, en**" in found[-1].markdown(History(tmp_path, None))


def test_a_broken_limit_is_told_at_once(tmp_path: Path) -> None:
    assert [night.exit_code for night in nights(tmp_path, 2.0, codes={0: 1})] == [1]


def test_within_the_baselines_own_bound_nothing_is_worse(tmp_path: Path) -> None:
    assert [night.exit_code for night in nights(tmp_path, 0.59, 0.59, 0.59)] == [0, 0, 0]


def test_a_night_without_a_measurement_neither_makes_a_trend_nor_hides_one(tmp_path: Path) -> None:
    found = nights(tmp_path, 0.7, 0.7, None, 0.7, codes={2: 3})
    assert [night.exit_code for night in found] == [0, 0, 3, 1]


def test_a_gate_that_crashes_is_remembered_as_a_night_without_a_verdict(tmp_path: Path) -> None:
    history = History(tmp_path, None)
    report = tmp_path / "night"  # nothing is written there
    night = one_night("ws://h", token=None, gate=ScriptedGate(-9), trend=history, started="x", report=report)
    assert night.gated == -9
    assert [(kept.report, kept.gated, kept.figures) for kept in history.nights()] == [("night", None, {})]


def test_the_history_is_kept_from_one_process_to_the_next(tmp_path: Path) -> None:
    nights(tmp_path, 0.5)
    nights(tmp_path, 0.6)
    kept = History(tmp_path, None)
    assert [night.figures for night in kept.nights()] == [{"ttfa_s p50, en": 0.5}, {"ttfa_s p50, en": 0.6}]
    assert "| 2026-11-0 | 0 | 0.6 |" in kept.markdown()


def test_a_spoilt_history_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text('{"started": "x", "report": "y", "gated": 0}\n{"half\n')
    with pytest.raises(TrendError, match="line 2"):
        History(tmp_path, None).alarms()


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
