"""Created or updated, waited for, gated, and taken back unless green: each by the requests that the service saw."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest

from deploy.endpoints import Endpoints
from deploy.rollout import Rollout, RolloutError, roll_out
from deploy.specification import Specification
from tests.deploy.conftest import ScriptedGate, Told
from tests.deploy.stand_in import TOKEN, Service

CREATE, UPDATE, PAUSE, RESUME = (
    "POST /endpoint/me",
    "PUT /endpoint/me/demo",
    "POST /endpoint/me/demo/pause",
    "POST /endpoint/me/demo/resume",
)


def deploy(endpoints: Endpoints, told: Told, gate: ScriptedGate, image: str = "me/s2s:2") -> Rollout:
    return roll_out(
        endpoints,
        Specification("demo", image, secrets={"HF_TOKEN": TOKEN}),
        before=endpoints.find("demo"),
        token=TOKEN,
        gate=gate,
        report=Path("report"),
        patience=told.patience(),
        telling=told,
    )


def images(service: Service) -> list[str]:
    """What each update asked for."""
    return [request.body["model"]["image"]["custom"]["url"] for request in service.requests if request.method == "PUT"]


def test_a_green_image_stays(service: Service, endpoints: Endpoints, told: Told) -> None:
    service.states = deque(["pending", "initializing", "running"])
    service.health = deque([503, 503, 200])
    gate = ScriptedGate(0)
    done = deploy(endpoints, told, gate)
    assert done.gated == 0
    assert service.changes() == [CREATE]
    assert gate.asked == [(f"ws{service.url.removeprefix('http')}/v1/realtime", TOKEN)]
    assert [line for line in told.lines if "is initializing" in line]
    assert [line for line in told.lines if "/health answers 503 loading: language model" in line]
    assert set(service.health_tokens) == {TOKEN}


def test_the_gate_is_not_asked_before_health_is_200(service: Service, endpoints: Endpoints, told: Told) -> None:
    service.health = deque([503] * 5 + [200])
    gate = ScriptedGate(0)
    deploy(endpoints, told, gate)
    assert len(service.health_tokens) == 6
    assert len(gate.asked) == 1


@pytest.mark.parametrize("code", [1, 2, 3, -9])
def test_an_update_that_is_not_green_is_rolled_back(
    service: Service, endpoints: Endpoints, told: Told, code: int
) -> None:
    before = service.has("demo", image="me/s2s:1")["model"] | {}
    done = deploy(endpoints, told, ScriptedGate(code))
    assert service.changes() == [UPDATE, UPDATE]
    assert images(service) == ["me/s2s:2", "me/s2s:1"]
    assert service.endpoints["demo"]["model"] == before
    assert (done.gated, done.left) == (code, "rolled back to me/s2s:1, which is up")


def test_a_first_image_that_is_not_green_is_paused(service: Service, endpoints: Endpoints, told: Told) -> None:
    done = deploy(endpoints, told, ScriptedGate(1))
    assert service.changes() == [CREATE, PAUSE]
    assert service.endpoints["demo"]["status"]["state"] == "paused"
    assert "there was no image before" in done.left


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), OSError("no such program")])
def test_whatever_interrupts_the_gate_what_was_not_proven_does_not_stay(
    service: Service, endpoints: Endpoints, told: Told, trouble: BaseException
) -> None:
    service.has("demo")
    with pytest.raises(type(trouble)):
        deploy(endpoints, told, ScriptedGate(trouble))
    assert images(service) == ["me/s2s:2", "me/s2s:1"]


def test_an_image_that_cannot_be_pulled_is_rolled_back_with_the_services_reason(
    service: Service, endpoints: Endpoints, told: Told
) -> None:
    service.has("demo")
    service.states = deque(["updating", ("updateFailed", "ImagePullBackOff: me/s2s:2"), "updating", "running"])
    gate = ScriptedGate(0)
    with pytest.raises(RolloutError, match=r"updateFailed: ImagePullBackOff: me/s2s:2.*rolled back to me/s2s:1"):
        deploy(endpoints, told, gate)
    assert images(service) == ["me/s2s:2", "me/s2s:1"]
    assert gate.asked == []


def test_a_server_that_never_becomes_healthy_is_given_up(service: Service, endpoints: Endpoints, told: Told) -> None:
    service.health = deque([503])
    gate = ScriptedGate(0)
    with pytest.raises(RolloutError, match=r"did not answer within 600 s.*answers 503 loading.*is paused"):
        deploy(endpoints, told, gate)
    assert service.changes() == [CREATE, PAUSE]
    assert told.now_s > 600
    assert gate.asked == []


def test_one_that_was_paused_is_resumed_for_the_gate_and_paused_again_after_a_red_one(
    service: Service, endpoints: Endpoints, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.has("demo", state="paused")
    monkeypatch.setattr(service, "_status", _stays_paused(service))
    done = deploy(endpoints, told, ScriptedGate(1))
    assert service.changes() == [UPDATE, RESUME, UPDATE, PAUSE]
    assert "paused as it was" in done.left


def _stays_paused(service: Service):  # type: ignore[no-untyped-def]  # a patch of one method, for one test
    """The service leaves an endpoint paused that is updated."""
    given = type(service)._status

    def status(state: str, message: str) -> dict[str, object]:
        paused = state == "updating" and service.endpoints["demo"]["status"]["state"] == "paused"
        return given(service, "paused" if paused else state, message)

    return status


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, "Invalid credentials", "HF_TOKEN is no good"),
        (402, "no card", "no means of payment"),
        (403, "quota exceeded for nvidia-l4", "quota exceeded"),
        (409, "a deployment is in progress", "another change is under way"),
        (422, {"message": "unknown field"}, "unknown field"),
        (503, "try later", "a fault of its own"),
    ],
)
def test_a_refusal_is_told_with_its_reason_and_nothing_is_changed(
    service: Service, endpoints: Endpoints, told: Told, status: int, error: object, said: str
) -> None:
    service.refuse(CREATE, status, error)
    with pytest.raises(RolloutError, match=rf"(?s)answers {status}.*{said}.*Nothing was (changed|created)"):
        deploy(endpoints, told, ScriptedGate(0))
    assert service.endpoints == {}


def test_a_service_that_stumbles_while_it_is_waited_for_is_asked_again(
    service: Service, endpoints: Endpoints, told: Told
) -> None:
    service.has("demo")
    before = endpoints.find("demo")
    service.refuse("GET /endpoint/me/demo", 502, "bad gateway", times=2)
    done = roll_out(
        endpoints,
        Specification("demo", "me/s2s:2"),
        before=before,
        token=TOKEN,
        gate=ScriptedGate(0),
        report=Path("report"),
        patience=told.patience(),
        telling=told,
    )
    assert done.gated == 0


def test_what_was_created_although_the_service_gave_an_error_does_not_stay(
    service: Service, endpoints: Endpoints, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = service._create
    monkeypatch.setattr(service, "_create", lambda body: (504, {"error": "timed out"}) if given(body) else None)
    with pytest.raises(RolloutError, match=r"(?s)answers 504.*demo is paused"):
        deploy(endpoints, told, ScriptedGate(0))
    assert service.changes() == [CREATE, PAUSE]


def test_a_rollback_that_fails_is_told_loudly(service: Service, endpoints: Endpoints, told: Told) -> None:
    service.has("demo")

    class Gate(ScriptedGate):
        def __call__(self, url: str, token: str | None, folder: Path) -> int:
            service.refuse(UPDATE, 500, "oh no")
            return 1

    with pytest.raises(RolloutError, match=r"COULD NOT BE TAKEN BACK.*oh no.*s2s deploy pause demo"):
        deploy(endpoints, told, Gate())


def test_the_same_tag_again_could_not_be_rolled_back(service: Service, endpoints: Endpoints, told: Told) -> None:
    service.has("demo", image="me/s2s:2")
    with pytest.raises(RolloutError, match="a tag of its own, or name its digest"):
        deploy(endpoints, told, ScriptedGate(0))
    assert service.changes() == []


def test_no_message_shows_a_token_even_if_the_service_repeats_it(
    service: Service, endpoints: Endpoints, told: Told
) -> None:
    service.refuse(CREATE, 400, f"secrets.HF_TOKEN: {TOKEN} is too short")
    with pytest.raises(RolloutError, match="is too short") as error:
        deploy(endpoints, told, ScriptedGate(0))
    assert TOKEN not in str(error.value)
    assert TOKEN not in str(error.value.__cause__)
    assert TOKEN not in "".join(told.lines)
