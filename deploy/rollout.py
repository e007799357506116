"""An image goes up, and stays only if the gate says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.endpoints import Endpoint, Endpoints, ServiceError
from deploy.gating import PASS, Gate, meaning
from deploy.specification import Specification, SpecificationError, restoration
from deploy.waiting import NotUpError, Patience, Telling, wait_until_up

_PATH = "/v1/realtime"


class RolloutError(RuntimeError):
    """The image is not up; the message says why, and how the endpoint was left."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """What became of an image.

    Attributes:
        gated: the exit code of the gate.
        left: how the endpoint was left, in words.
        url: its websocket's address.
    """

    gated: int
    left: str
    url: str


def roll_out(
    endpoints: Endpoints,
    wanted: Specification,
    *,
    before: Endpoint | None,
    token: str,
    gate: Gate,
    report: Path,
    patience: Patience,
    telling: Telling,
) -> Rollout:
    """Create the endpoint, or update the one that there is (`before`); wait for it, gate it, take it back unless green.

    Taken back means: an update is undone, and waited for; what was created is paused, so that its log can be read and
    it costs nothing. That is done whatever went wrong, an interrupted wait or gate included: what was not proven does
    not stay. Anything but a pass is no proof.

    Raises:
        RolloutError: it could not be created or updated, did not come up, or could not be taken back.
    """
    undo = _Undo(endpoints, before, token, patience, telling)
    try:
        _submit(endpoints, wanted, before, telling)
        up = wait_until_up(endpoints, wanted.name, token, patience, telling)
        url = f"{up.url}{_PATH}"
        telling.say(f"{wanted.name} is up; gating {url}")
        gated = gate(url, token, report)
    except RolloutError:  # refused
        raise
    except (NotUpError, ServiceError) as error:
        raise RolloutError(f"{error}; {undo(wanted.name)}") from error
    except BaseException:
        telling.say(undo(wanted.name))
        raise
    if gated == PASS:
        return Rollout(gated, f"{wanted.image} stays", url)
    telling.say(f"the gate is {meaning(gated)}")
    return Rollout(gated, undo(wanted.name), url)


def _submit(endpoints: Endpoints, wanted: Specification, before: Endpoint | None, telling: Telling) -> None:
    """Create or update.

    Raises:
        RolloutError: that was refused.
        ServiceError: it was not, and may have been done or not: no answer, or a fault of the service.
    """
    try:
        if before is None:
            telling.say(f"creating {wanted.name} from {wanted.image}")
            endpoints.create(wanted)
        else:
            _must_be_restorable(before, wanted)
            telling.say(f"updating {wanted.name} from {before.image} to {wanted.image}")
            endpoints.update(wanted)
    except (ServiceError, SpecificationError) as error:
        if isinstance(error, ServiceError) and not 400 <= error.status < 500:
            raise
        raise RolloutError(f"{error}. Nothing was changed") from error


def _must_be_restorable(before: Endpoint, wanted: Specification) -> None:
    """Raises SpecificationError for an endpoint that could not be rolled back: it is not touched."""
    restoration(before.raw)
    if before.image == wanted.image and "@" not in wanted.image:
        raise SpecificationError(
            f"{before.name} runs {before.image} already, and what was pushed under that name before could not be "
            "rolled back to: give the new image a tag of its own, or name its digest"
        )


@dataclass(frozen=True, slots=True)
class _Undo:
    """Takes back what was done; gives how the endpoint was left."""

    endpoints: Endpoints
    before: Endpoint | None
    token: str
    patience: Patience
    telling: Telling

    def __call__(self, name: str) -> str:
        try:
            if self.before is None:
                if self.endpoints.find(name) is None:
                    return "Nothing was created"
                self.endpoints.pause(name)
                return (
                    f"{name} is paused: it costs nothing, its log can be read, and there was no image before this one"
                )
            self.telling.say(f"rolling back to {self.before.image}")
            self.endpoints.restore(self.before)
            if self.before.state == "paused":
                self.endpoints.pause(name)
                return f"rolled back to {self.before.image}, and paused as it was"
            wait_until_up(self.endpoints, name, self.token, self.patience, self.telling)
        except (NotUpError, ServiceError, SpecificationError) as error:
            raise RolloutError(
                f"{name} COULD NOT BE TAKEN BACK: {error}. Look at it now; `s2s deploy pause {name}` ends what it costs"
            ) from error
        return f"rolled back to {self.before.image}, which is up"
