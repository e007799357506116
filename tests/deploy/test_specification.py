"""What is asked for: the seed's own request, field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.endpoints import HIDDEN, Endpoints, rehearse
from deploy.specification import Specification, SpecificationError, restoration
from tests.deploy.stand_in import Service

# The request that the guide's own code sends, recorded from huggingface_hub 0.25.1, which it asks for.
SEED: dict[str, Any] = json.loads(Path(__file__).with_name("seed_request.json").read_text())


def flat(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    return {path: leaf for key, inner in value.items() for path, leaf in flat(inner, f"{name}.{key}").items()}


def of_the_seed() -> dict[str, Any]:
    """With what was renamed since, and nothing else: huggingface_hub 2 refuses `protected` ("Use `authenticated`
    instead"), the service has always called the route `healthRoute`, and the account was nobody's."""
    expected = flat(SEED["body"])
    assert expected.pop(".accountId") is None
    assert expected[".type"] == "protected"
    expected[".type"] = "authenticated"
    expected[".model.image.custom.healthRoute"] = expected.pop(".model.image.custom.health_route")
    return expected


def wanted(**fields: Any) -> Specification:
    return Specification(**{"name": "demo", "image": "me/s2s:2"} | fields)


def test_the_request_is_the_seeds_field_by_field(service: Service, endpoints: Endpoints) -> None:
    endpoints.create(
        wanted(
            name="speech-to-speech-demo",
            image="andito/speech-to-speech:latest",
            secrets={"HF_TOKEN": "hf_of_the_guide"},
        )
    )
    assert service.changes() == ["POST /endpoint/me"]
    assert flat(service.body("POST /endpoint/me")) == of_the_seed()
    assert SEED["method"] == "POST"
    assert SEED["url"].endswith("/v2/endpoint/me")


def test_the_rehearsed_request_is_the_one_that_is_sent_without_its_secrets(
    service: Service, endpoints: Endpoints
) -> None:
    asked = wanted(secrets={"HF_TOKEN": "hf_secret"}, environment={"S2S_PROFILE": "l4"})
    method, body = rehearse(endpoints, asked, exists=False).split("\n", 1)
    assert service.changes() == []
    endpoints.create(asked)
    sent = service.body("POST /endpoint/me")
    assert sent["model"]["secrets"] == {"HF_TOKEN": "hf_secret"}
    sent["model"]["secrets"] = {"HF_TOKEN": HIDDEN}
    assert (method, json.loads(body)) == (f"POST {service.url}/endpoint/me", sent)


def test_a_rehearsed_update_changes_nothing(service: Service, endpoints: Endpoints) -> None:
    service.has("demo")
    assert rehearse(endpoints, wanted(), exists=True).startswith(f"PUT {service.url}/endpoint/me/demo\n")
    assert service.changes() == []


def test_replicas_and_sleep_are_as_asked(service: Service, endpoints: Endpoints) -> None:
    endpoints.create(wanted(min_replica=2, max_replica=4))
    scaling = service.body("POST /endpoint/me")["compute"]["scaling"]
    assert scaling == {"minReplica": 2, "maxReplica": 4, "scaleToZeroTimeout": None}


def test_a_port_of_its_own_is_told_to_the_container_too(service: Service, endpoints: Endpoints) -> None:
    endpoints.create(wanted(port=8080))
    model = service.body("POST /endpoint/me")["model"]
    assert (model["image"]["custom"]["port"], model["env"]) == (8080, {"S2S_PORT": "8080"})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Demo"}, "lower-case"),
        ({"name": "a" * 33}, "32"),
        ({"image": "me/s2s"}, "tag or digest"),
        ({"image": "me/s2s:2; rm"}, "tag or digest"),
        ({"type": "protected"}, "authenticated, private, public"),
        ({"min_replica": 2}, "2 to 1 replicas"),
        ({"max_replica": 0}, "0 to 0 replicas"),
        ({"scale_to_zero_minutes": None}, "after how many minutes"),
    ],
)
def test_what_the_service_could_not_take_is_said_before_it_is_asked(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecificationError, match=said):
        wanted(**fields)


@pytest.mark.parametrize("image", ["s2s:1", "docker.io/me/s2s:0.1.0-cuda", "host:5000/s2s@sha256:" + "0" * 64])
def test_images_by_tag_and_by_digest(image: str) -> None:
    assert wanted(image=image).image == image


def test_a_specification_is_shown_without_its_secrets() -> None:
    assert "hf_secret" not in repr(wanted(secrets={"HF_TOKEN": "hf_secret"}))


def test_an_endpoint_is_restored_to_what_it_was(service: Service, endpoints: Endpoints) -> None:
    before = json.loads(json.dumps(service.has("demo")))
    found = endpoints.get("demo")
    endpoints.update(wanted(image="me/s2s:2", environment={"NEW": "1"}))
    assert service.endpoints["demo"]["model"]["image"]["custom"]["url"] == "me/s2s:2"
    endpoints.restore(found)
    for part in ("compute", "model", "provider", "type"):
        if part == "compute":  # the library cannot say "never": what it does not name stays
            before[part]["scaling"]["scaleToZeroTimeout"] = 15
        assert service.endpoints["demo"][part] == before[part], part


def test_a_registry_with_a_password_is_said_before_anything_changes(service: Service) -> None:
    image = service.has("demo")["model"]["image"]
    image["custom"]["credentials"] = {"username": "me"}
    with pytest.raises(SpecificationError, match="could not be rolled back"):
        restoration(service.endpoints["demo"])
