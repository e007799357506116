"""What an endpoint shall be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

HEALTH_ROUTE = "/health"
PORT_VARIABLE = "S2S_PORT"
"""By which the image is told its port."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_TYPES = ("authenticated", "private", "public")
_IMAGE = re.compile(r"[\w.-]+(?::\d+)?(?:/[\w.-]+)*(?::[\w.-]+|@sha256:[0-9a-f]{64})")


class SpecificationError(ValueError):
    """A specification that the service could not take; the message says which field, and what it takes."""


@dataclass(frozen=True, slots=True)
class Specification:
    """An endpoint as it is asked for. The defaults are those of the guide that this project starts from.

    Attributes:
        name: of the endpoint: lower-case letters, digits and hyphens, 32 at most.
        image: with its tag or digest.
        repository: of a model. The service wants one; the image brings its own models, so a small one does.
        type: who may call: `authenticated` (whoever has a token of the account; called `protected` before
            huggingface_hub 2), `private` (a private network alone) or `public`.
        min_replica: 0 lets it scale to zero.
        scale_to_zero_minutes: without a request, until it does; None for never.
        port: of the container.
        environment: variables of the container.
        secrets: the same, shown to nobody.

    Raises:
        SpecificationError: when a field cannot be.
    """

    name: str
    image: str
    repository: str = "andito/s2s"
    type: str = "authenticated"
    vendor: str = "aws"
    region: str = "us-east-1"
    accelerator: str = "gpu"
    instance_type: str = "nvidia-l4"
    instance_size: str = "x1"
    min_replica: int = 0
    max_replica: int = 1
    scale_to_zero_minutes: int | None = 15
    port: int = 80
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SpecificationError(
                f"the name {self.name!r} is not of 32 lower-case letters, digits and hyphens at most"
            )
        if not _IMAGE.fullmatch(self.image):
            raise SpecificationError(
                f"the image {self.image!r} must name its tag or digest, like user/s2s-gate:0.1.0: without one nobody "
                "knows what is rolled back to"
            )
        if self.type not in _TYPES:
            raise SpecificationError(f"the type {self.type!r} is none of {', '.join(_TYPES)}")
        if not 0 <= self.min_replica <= self.max_replica or self.max_replica < 1:
            raise SpecificationError(
                f"{self.min_replica} to {self.max_replica} replicas cannot be: at least 0 to 1, the smaller first"
            )
        if self.min_replica == 0 and self.scale_to_zero_minutes is None:
            raise SpecificationError("with a minimum of 0 replicas, say after how many minutes it scales to zero")

    def fields(self) -> dict[str, Any]:
        """What both `create_inference_endpoint` and `update_inference_endpoint` of huggingface_hub are given."""
        environment = dict(self.environment)
        if self.port != 80:
            environment[PORT_VARIABLE] = str(self.port)
        return {
            "repository": self.repository,
            "framework": "custom",
            "task": "custom",
            "accelerator": self.accelerator,
            "instance_type": self.instance_type,
            "instance_size": self.instance_size,
            "min_replica": self.min_replica,
            "max_replica": self.max_replica,
            "scale_to_zero_timeout": self.scale_to_zero_minutes if self.min_replica == 0 else None,
            "custom_image": {"healthRoute": HEALTH_ROUTE, "url": self.image, "port": self.port},
            "env": environment,
            "secrets": dict(self.secrets),
        }

    def creation(self) -> dict[str, Any]:
        """What only an endpoint that is created is given besides: it cannot be changed later."""
        return {"type": self.type, "vendor": self.vendor, "region": self.region}


def restoration(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What `update_inference_endpoint` is given to make an endpoint again what the service said it was.

    Secrets are not among it: the service tells them to nobody, and keeps those that a request does not name.

    Raises:
        SpecificationError: it cannot be restored.
    """
    try:
        compute, model = raw["compute"], raw["model"]
        scaling, image = compute["scaling"], model["image"]
        if any("credentials" in variant for variant in image.values()):
            raise SpecificationError(
                f"the endpoint {raw['name']} takes its image from a registry with a password, which the service does "
                "not give back: it could not be rolled back. Update it in the web form"
            )
        return {
            "repository": model["repository"],
            "framework": model["framework"],
            "task": model.get("task"),
            "accelerator": compute["accelerator"],
            "instance_type": compute["instanceType"],
            "instance_size": compute["instanceSize"],
            "min_replica": scaling["minReplica"],
            "max_replica": scaling["maxReplica"],
            "scale_to_zero_timeout": scaling.get("scaleToZeroTimeout"),
            "custom_image": image,
            "env": model.get("env") or {},
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise SpecificationError(
            f"the service describes the endpoint in a way not understood here: {error!r}"
        ) from None
