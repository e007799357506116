"""Models of the Hugging Face hub at a pinned revision, in the hub client's own cache (`HF_HOME`).

Its files are named by their checksums there. `HF_TOKEN` is sent with every request and is in no message, `HF_ENDPOINT`
names another hub, and with `HF_HUB_OFFLINE=1` the network is not touched.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pipeline.profiles.engines import ModelSource
from pipeline.weights.store import WeightsError

TOKEN = "HF_TOKEN"  # noqa: S105 - the name of the variable
_INDEX = "model.safetensors.index.json"


def endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def page(source: ModelSource) -> str:
    """Where a person asks for access to a gated model."""
    return f"{endpoint()}/{source.model}"


def cached(source: ModelSource) -> Path | None:
    """The folder of a model all of whose files are on this machine; None otherwise. Touches no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(
                source.model,
                revision=source.revision or None,
                allow_patterns=list(source.patterns) or None,
                local_files_only=True,
            )
        )
    except LocalEntryNotFoundError:
        return None
    return folder if is_whole(folder) else None


def fetch(source: ModelSource) -> Path:
    """The folder of a model; what is missing of it is downloaded, which can take many minutes.

    Raises:
        WeightsError: it cannot be had; for a gated model with the page to visit and the variable to set.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if (folder := cached(source)) is not None:
        return folder
    token = os.environ.get(TOKEN)
    try:
        return Path(
            snapshot_download(
                source.model,
                revision=source.revision or None,
                allow_patterns=list(source.patterns) or None,
                token=token or False,
                endpoint=endpoint(),
            )
        )
    except GatedRepoError:
        raise WeightsError(f"{source.model} is gated: {_how_to_be_let_in(source, token)}") from None
    except RevisionNotFoundError:
        raise WeightsError(f"{page(source)} has no revision {source.revision!r}; correct it in the profile") from None
    except RepositoryNotFoundError:
        # The hub answers so for what does not exist and for what this caller is not to know of.
        raise WeightsError(
            f"{page(source)} does not exist, or is not public: correct the model in the profile, or "
            f"{_how_to_be_let_in(source, token)}"
        ) from None
    except LocalEntryNotFoundError as error:
        why = error.__cause__ or error
        status = getattr(getattr(why, "response", None), "status_code", None)
        if status in (401, 403):
            raise WeightsError(f"{source.model}: {status}: {_how_to_be_let_in(source, token)}") from None
        raise WeightsError(
            f"{source.model} is not on this machine, and {endpoint()} cannot be asked ({_first_line(why)}). Pull it on "
            "a machine with a network (`s2s weights pull --profile NAME`) and bring its HF_HOME here; or name its "
            "folder as the model in a profile of your own"
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        remedy = _how_to_be_let_in(source, token) if status in (401, 403) else "try again later"
        raise WeightsError(f"{page(source)} answers {status}: {remedy}") from None
    except OSError as error:
        raise WeightsError(f"{source.model} cannot be kept: {_first_line(error)}; HF_HOME has it elsewhere") from None


def _how_to_be_let_in(source: ModelSource, token: str | None) -> str:
    if token:
        return (
            f"the account of the token in {TOKEN} has no access; ask for it on {page(source)}, and see that the token "
            "may read gated repositories"
        )
    return (
        f"ask for access on {page(source)}, make a token that may read it ({endpoint()}/settings/tokens), and set it "
        f"as {TOKEN} in the environment"
    )


def is_whole(folder: Path) -> bool:
    """Whether weights are there, and every part of them if they come in several."""
    if (index := folder / _INDEX).is_file():
        try:
            parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, AttributeError, OSError):
            return False
        return all((folder / part).is_file() for part in parts)
    return any((folder / name).is_file() for name in ("model.safetensors", "model.bin"))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
