"""`s2s deploy` and `s2s nightly` from the outside, against the stand-in of the service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.deploy import deploy
from cli.nightly import nightly
from tests.deploy.conftest import service
from tests.deploy.stand_in import TOKEN, Service

__all__ = ["service"]

IMAGE = ("--image", "me/s2s:2", "--name", "demo")


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the gate is asked; its first element is the exit code that it gives."""
    asked: list[Any] = [0]

    def gate_process(options: list[str]) -> Any:
        asked.append(options)

        def run(url: str, token: str | None, folder: Path) -> int:
            asked.append((url, token))
            return int(asked[0])

        return run

    monkeypatch.setattr("deploy.gating.gate_process", gate_process)
    return asked


def invoke(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(deploy, arguments, input=answer)


def test_the_price_is_said_and_agreed_to_before_anything_is_created(service: Service, gate: list[Any]) -> None:
    refused = invoke(*IMAGE, answer="n\n")
    assert refused.exit_code == 1
    assert "$0.80 an hour for each replica, $0.80 an hour at most, $584 a month if never asleep" in refused.output
    assert "Create demo in me? [y/N]" in refused.output
    assert service.changes() == []
    agreed = invoke(*IMAGE, answer="y\n")
    assert agreed.exit_code == 0, agreed.output
    assert service.changes() == ["POST /endpoint/me"]


def test_a_green_deployment_says_how_to_talk_to_it(service: Service, gate: list[Any], tmp_path: Path) -> None:
    result = invoke(*IMAGE, "--yes", "--gate-options", "--tier synthetic --limit 2", "--report", str(tmp_path / "r"))
    assert result.exit_code == 0, result.output
    url = f"ws{service.url.removeprefix('http')}/v1/realtime"
    assert f"s2s talk --url {url} --file question.wav" in result.output
    assert gate[1:] == [["--tier", "synthetic", "--limit", "2"], (url, TOKEN)]
    assert service.body("POST /endpoint/me")["model"]["secrets"] == {"HF_TOKEN": TOKEN}


@pytest.mark.parametrize("code", [1, 2, 3])
def test_the_exit_code_is_the_gates(service: Service, gate: list[Any], code: int) -> None:
    service.has("demo", image="me/s2s:1")
    gate[0] = code
    result = invoke(*IMAGE, "--yes")
    assert (result.exit_code, service.changes()) == (code, ["PUT /endpoint/me/demo"] * 2)
    assert "rolled back to me/s2s:1" in result.output


def test_a_gate_without_a_verdict_is_no_exit_code_of_the_gates(service: Service, gate: list[Any]) -> None:
    gate[0] = -9
    result = invoke(*IMAGE, "--yes")
    assert result.exit_code == 4
    assert service.changes() == ["POST /endpoint/me", "POST /endpoint/me/demo/pause"]


def test_a_rehearsal_prints_the_request_and_sends_none(service: Service, gate: list[Any]) -> None:
    result = invoke(*IMAGE, "--dry-run", "--env", "S2S_PROFILE=l4", "--min-replica", "1", "--max-replica", "3")
    assert result.exit_code == 0, result.output
    assert "$2.40 an hour at most" in result.output
    assert "at least $0.80" in result.output
    request = json.loads(result.output[result.output.index("{") :])
    assert request["model"]["env"] == {"S2S_PROFILE": "l4"}
    assert TOKEN not in result.output
    assert service.changes() == []
    assert gate == [0]


def test_no_room_in_the_quota_is_said_before_anything_is_created(service: Service, gate: list[Any]) -> None:
    service.quota = 0
    result = invoke(*IMAGE, "--yes")
    assert result.exit_code == 4
    assert "quota allows 0 more of nvidia-l4 x1 in us-east-1" in result.output
    assert service.changes() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*IMAGE, "--instance-type", "nvidia-t9"), "there it has nvidia-l4 x1"),
        (("--image", "me/s2s"), "must name its tag or digest"),
        ((*IMAGE, "--min-replica", "3"), "3 to 1 replicas cannot be"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_created(
    service: Service, gate: list[Any], arguments: tuple[str, ...], said: str
) -> None:
    result = invoke(*arguments, "--yes")
    assert result.exit_code == 4
    assert said in result.output
    assert service.changes() == []


def test_secrets_come_from_the_environment_and_are_never_shown(
    service: Service, gate: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_READ_TOKEN", "hf_readOnly")
    monkeypatch.setenv("S2S_TOKENS", "ada: letMeIn")
    result = invoke(*IMAGE, "--yes", "--secret", "HF_TOKEN=MY_READ_TOKEN", "--secret", "S2S_TOKENS")
    sent = service.body("POST /endpoint/me")["model"]["secrets"]
    assert sent == {"HF_TOKEN": "hf_readOnly", "S2S_TOKENS": "ada: letMeIn"}
    assert not [secret for secret in sent.values() if secret in result.output]
    missing = invoke(*IMAGE, "--yes", "--secret", "NO_SUCH")
    assert missing.exit_code == 2
    assert "NO_SUCH is not set here" in missing.output


def test_a_token_that_is_no_good_is_told_without_it(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_notTheOne")
    result = invoke("status")
    assert result.exit_code == 4
    assert "HF_TOKEN is no good" in result.output
    assert "hf_notTheOne" not in result.output


def test_without_a_token_it_says_where_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    result = invoke("status")
    assert result.exit_code == 4
    assert "huggingface.co/settings/tokens" in result.output


def test_status_pause_and_delete(service: Service) -> None:
    service.has("demo")
    assert "demo  running  me/s2s:1" in invoke("status").output
    assert "$0.80/h" in invoke("status").output
    assert invoke("pause", "demo").output == "demo is paused\n"
    assert invoke("delete", "demo", answer="n\n").exit_code == 1
    assert invoke("delete", "demo", "--yes").output == "demo is deleted\n"
    assert service.changes() == ["POST /endpoint/me/demo/pause", "DELETE /endpoint/me/demo"]
    assert "me has no endpoint" in invoke("status").output
    gone = invoke("pause", "demo")
    assert gone.exit_code == 4
    assert "there is none of that name" in gone.output


def test_sleep_leaves_alone_what_sleeps(service: Service) -> None:
    service.has("demo")
    assert invoke("sleep", "demo").exit_code == 0
    assert invoke("sleep", "demo").exit_code == 0
    assert service.changes() == ["POST /endpoint/me/demo/scale-to-zero"]


def test_a_night_of_an_endpoint(service: Service, gate: list[Any], tmp_path: Path) -> None:
    service.has("demo", state="paused")
    service.states = deque(["initializing", "running"])
    gate[0] = 3
    arguments = ["--name", "demo", "--reports", str(tmp_path)]
    result = CliRunner().invoke(nightly, arguments)
    assert result.exit_code == 3, result.output
    assert service.changes() == ["POST /endpoint/me/demo/resume", "POST /endpoint/me/demo/pause"]
    assert "The gate is invalid" in (tmp_path / "summary.md").read_text()
    gate[0] = -9
    assert CliRunner().invoke(nightly, arguments).exit_code == 4
    assert service.changes()[-1] == "POST /endpoint/me/demo/pause"


@pytest.mark.parametrize("arguments", [(), ("--name", "demo", "--url", "ws://127.0.0.1:1")])
def test_a_night_is_of_an_endpoint_or_of_an_address(arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(nightly, arguments).exit_code == 2


def test_a_lost_server_makes_the_night_red_by_the_real_gate(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "cli", "nightly", "--url", "ws://127.0.0.1:1/v1/realtime"]
    options = ["--reports", str(tmp_path), "--gate-options", "--language en --tier synthetic --judge none"]
    done = subprocess.run(
        [*program, *options], capture_output=True, text=True, env=os.environ | {"S2S_TOKEN": "secret"}, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "# The gate is red" in done.stdout
    assert "secret" not in done.stdout + done.stderr
    (report,) = tmp_path.glob("*/report.html")
    nights = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert {night["run"] for night in nights} <= {report.parent.name}
