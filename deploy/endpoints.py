"""The Inference Endpoints service, by huggingface_hub: what is asked of it here, and its refusals in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError

from deploy.specification import Specification, SpecificationError, restoration

_WEB = "https://endpoints.huggingface.co"
_REMEDIES = {
    400: "the request is not what it takes; try it with --dry-run and compare with its documentation",
    401: "HF_TOKEN is no good: make one at https://huggingface.co/settings/tokens",
    402: f"the account has no means of payment: {_WEB} asks for one",
    403: "the token may not do this: it needs the permission to manage Inference Endpoints of this namespace",
    404: "there is none of that name in this namespace: `s2s deploy status` lists those that there are",
    409: "another change is under way, or the name is taken: wait for it, or choose another --name",
    422: "a field is not what it takes; try it with --dry-run and compare with its documentation",
    429: "too many requests: wait some minutes",
}
HIDDEN = "••••••"


class ServiceError(RuntimeError):
    """The service refuses, or cannot be reached. The message says what was asked, why it was not done, and what to do.

    Attributes:
        status: of HTTP; 0 where nothing answered.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Hardware:
    """An instance as it is sold now.

    Attributes:
        price: US dollars an hour, for each replica.
        free: replicas that the account's quota still allows.
    """

    price: float
    free: int
    available: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as the service tells it now."""

    raw: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.raw["name"])

    @property
    def state(self) -> str:
        return str(self.raw["status"]["state"])

    @property
    def message(self) -> str:
        """What the service says of the state; empty where it says nothing."""
        status = self.raw["status"]
        return str(status.get("errorMessage") or status.get("message") or "")

    @property
    def url(self) -> str | None:
        """Its websocket's address, without a path; None while it has none."""
        url = self.raw["status"].get("url")
        return None if not url else str(url).rstrip("/").replace("http", "ws", 1)

    @property
    def image(self) -> str:
        variants = self.raw["model"]["image"].values()
        return next((str(variant["url"]) for variant in variants if "url" in variant), "an image of the service")

    @property
    def hardware(self) -> tuple[str, str, str, str]:
        """Vendor, region, instance and its size."""
        provider, compute = self.raw["provider"], self.raw["compute"]
        return provider["vendor"], provider["region"], compute["instanceType"], compute["instanceSize"]


class Endpoints:
    """The endpoints of one namespace.

    Args:
        token: of Hugging Face. Neither it nor a secret of an endpoint is in a message, even if the service repeats it.
        namespace: None for the token's own.

    Raises (by every method):
        ServiceError: it was not done.
    """

    def __init__(self, token: str, namespace: str | None = None) -> None:
        self._hidden = {token}
        self._api = huggingface_hub.HfApi(token=token)
        self._given = namespace

    @property
    def namespace(self) -> str:
        """Whose endpoints these are; asked of the service once."""
        if self._given is None:
            with self._asking("who the token is of"):
                self._given = str(self._api.whoami()["name"])
        return self._given

    def all(self) -> list[Endpoint]:
        with self._asking("the list of endpoints"):
            return [Endpoint(found.raw) for found in self._api.list_inference_endpoints(self.namespace)]

    def get(self, name: str) -> Endpoint:
        with self._asking(f"the endpoint {name}"):
            return Endpoint(self._api.get_inference_endpoint(name, namespace=self.namespace).raw)

    def find(self, name: str) -> Endpoint | None:
        """As `get`; None where there is none."""
        try:
            return self.get(name)
        except ServiceError as error:
            if error.status == 404:
                return None
            raise

    def create(self, wanted: Specification) -> Endpoint:
        self._hidden |= set(wanted.secrets.values())
        with self._asking(f"to create the endpoint {wanted.name}"):
            made = self._api.create_inference_endpoint(
                wanted.name, namespace=self.namespace, **wanted.fields(), **wanted.creation()
            )
        return Endpoint(made.raw)

    def update(self, wanted: Specification) -> Endpoint:
        self._hidden |= set(wanted.secrets.values())
        with self._asking(f"to update the endpoint {wanted.name}"):
            made = self._api.update_inference_endpoint(wanted.name, namespace=self.namespace, **wanted.fields())
        return Endpoint(made.raw)

    def restore(self, before: Endpoint) -> Endpoint:
        """Make it again what it was.

        Raises:
            SpecificationError: that cannot be read out of it.
        """
        fields = restoration(before.raw)
        with self._asking(f"to restore the endpoint {before.name}"):
            made = self._api.update_inference_endpoint(before.name, namespace=self.namespace, **fields)
        return Endpoint(made.raw)

    def resume(self, name: str) -> Endpoint:
        with self._asking(f"to resume the endpoint {name}"):
            return Endpoint(self._api.resume_inference_endpoint(name, namespace=self.namespace).raw)

    def pause(self, name: str) -> Endpoint:
        with self._asking(f"to pause the endpoint {name}"):
            return Endpoint(self._api.pause_inference_endpoint(name, namespace=self.namespace).raw)

    def scale_to_zero(self, name: str) -> Endpoint:
        with self._asking(f"to scale the endpoint {name} to zero"):
            return Endpoint(self._api.scale_to_zero_inference_endpoint(name, namespace=self.namespace).raw)

    def delete(self, name: str) -> None:
        with self._asking(f"to delete the endpoint {name}"):
            self._api.delete_inference_endpoint(name, namespace=self.namespace)

    def hardware(self, vendor: str, region: str, instance_type: str, instance_size: str) -> Hardware:
        """What this instance costs now, and how many the account may have.

        Raises:
            SpecificationError: the service has no such instance.
        """
        with self._asking("what instances cost"):
            sold = self._api.list_inference_endpoints_hardware(namespace=self.namespace)
        wanted = (vendor, region, instance_type, instance_size)
        for one in sold:
            if (one.vendor, one.region, one.instance_type, one.instance_size) == wanted:
                free = (one.max_accelerators - one.used_accelerators) // max(1, one.num_accelerators)
                return Hardware(one.price_per_hour, free, one.status not in ("not_available", "deprecated"))
        near = sorted({f"{one.instance_type} {one.instance_size}" for one in sold if one.region == region})
        raise SpecificationError(
            f"{vendor} has no {instance_type} {instance_size} in {region}; there it has {', '.join(near) or 'none'}"
        )

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            yield
        except HfHubHTTPError as error:
            status = error.response.status_code
            remedy = _REMEDIES.get(status, f"the service has a fault of its own ({status}): try again later")
            raise ServiceError(
                self._clean(f"asked {what}, the service answers {status}: {_said(error)}; {remedy}"), status
            ) from None
        # Of the HTTP library beneath, whose name is not promised: no connection, no answer, an answer that is no JSON.
        except (SpecificationError, _NotSent):
            raise
        except Exception as error:
            raise ServiceError(self._clean(f"asked {what}, the service gives no answer of use: {error}")) from None

    def _clean(self, text: str) -> str:
        for secret in self._hidden:
            text = text.replace(secret, HIDDEN) if secret else text
        return text


class _NotSent(BaseException):
    """Carries a request that was not to be sent out of the library that would have sent it."""

    def __init__(self, text: str) -> None:
        self.text = text


def rehearse(endpoints: Endpoints, wanted: Specification, *, exists: bool) -> str:
    """The request that creates or updates, as it would go to the service, which is not sent; without secrets."""

    def stop(request: Any) -> None:
        body = json.loads(request.content)
        with suppress(KeyError):
            body["model"]["secrets"] = dict.fromkeys(body["model"]["secrets"], HIDDEN)
        raise _NotSent(f"{request.method} {request.url}\n{json.dumps(body, indent=2, ensure_ascii=False)}")

    _ = endpoints.namespace  # asked for now: a question may be sent
    session = huggingface_hub.get_session()
    hooks = session.event_hooks
    session.event_hooks = {**hooks, "request": [*hooks["request"], stop]}
    try:
        endpoints.update(wanted) if exists else endpoints.create(wanted)
    except _NotSent as kept:
        return kept.text
    finally:
        session.event_hooks = hooks
    raise AssertionError("the request was sent")


def _said(error: HfHubHTTPError) -> str:
    """What the service gives as its reason."""
    with suppress(ValueError, AttributeError, TypeError):
        said = error.response.json()
        return str(said.get("error") or said.get("message") or said)[:500]
    return error.response.text[:500].strip() or "no reason"
