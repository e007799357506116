"""What a profile needs, held against a machine: the start refuses what `s2s doctor` says cannot run."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.machine import Machine
from pipeline.profiles import Profile
from pipeline.profiles.engines import EngineSettings, ModelSource, OpenAI
from pipeline.weights import hub
from pipeline.weights.store import WeightStore

Kind = Literal["packages", "settings", "gpu", "gpu memory", "memory", "weights"]

_AROUND = ("onnxruntime", "prometheus_client", "pydantic")
"""Voice activity, end of turn, and the server itself."""


class MissingExtraError(ImportError):
    """An engine's packages are not installed; the message says which install brings them."""


class UnfitMachineError(RuntimeError):
    """This machine or its environment has not what the profile needs; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Need:
    """Attributes:
    met: there is nothing to do, or the start does it.
    found: what there is.
    remedy: what it takes if it is not met; otherwise what would spare the start the work.
    """

    kind: Kind
    met: bool
    found: str
    remedy: str = ""


def needs(profile: Profile, machine: Machine, store: WeightStore) -> list[Need]:
    """All that a profile needs. Looks at files and the environment, touches no network."""
    return [*_at_start(profile, lambda: machine), _memory(profile, machine), *_weights(profile, store)]


def require(profile: Profile, look: Callable[[], Machine] = Machine.look) -> None:
    """Refuse to load what cannot run.

    Raises:
        MissingExtraError, UnfitMachineError: see there.
    """
    packages = _packages(profile)
    if not packages.met:
        raise MissingExtraError(f"profile {profile.name}: {packages.found}; {packages.remedy}")
    unmet = [need for need in _at_start(profile, look) if not need.met]
    if unmet:
        told = "; ".join(f"{need.found}: {need.remedy}" for need in unmet)
        raise UnfitMachineError(f"profile {profile.name} cannot run here: {told}")


def _at_start(profile: Profile, look: Callable[[], Machine]) -> Iterator[Need]:
    yield _packages(profile)
    yield from _settings(profile)
    if any(settings.on_gpu for settings in profile.engines.values()):
        yield from _gpu(profile, look())


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _packages(profile: Profile) -> Need:
    wanted = dict.fromkeys(_AROUND, "server")
    for settings in profile.engines.values():
        wanted |= {package: settings.extra for package in settings.packages if wanted.get(package) != "server"}
    missing = sorted(package for package in wanted if not _installed(package))
    if not missing:
        return Need("packages", True, "installed")
    extra = "gpu" if "gpu" in {wanted[package] for package in missing} else "server"
    return Need("packages", False, f"missing {', '.join(missing)}", f"`pip install 's2s-gate[{extra}]'`")


def _settings(profile: Profile) -> Iterator[Need]:
    for name, settings in profile.engines.items():
        if isinstance(settings, OpenAI):
            missing = settings.missing_variables()
            found = f"{name}: {', '.join(missing)} not set" if missing else f"{name}: set"
            yield Need(
                "settings", not missing, found, "set them in the environment (docs/engines.md)" if missing else ""
            )


def _gpu(profile: Profile, machine: Machine) -> Iterator[Need]:
    gpu, takes_gb = machine.gpu, sum(profile.memory.gpu_gb.values())
    if gpu is None:
        remedy = "an NVIDIA GPU with its driver, and torch built for CUDA; or the profile `embedded` or `openai-lm`"
        yield Need("gpu", False, machine.no_gpu, remedy)
        return
    yield Need("gpu", True, gpu.name)
    found = f"{gpu.free_gb:.1f} of {gpu.total_gb:.1f} GB are free"
    if gpu.free_gb >= takes_gb:
        yield Need("gpu memory", True, f"{found}, {takes_gb:.1f} are needed")
        return
    shares = ", ".join(
        f"{gb:.1f} {what}" for what, gb in sorted(profile.memory.gpu_gb.items(), key=lambda item: -item[1])
    )
    remedy = (
        f"{takes_gb:.1f} GB are needed ({shares}): end what else uses the GPU, take a smaller profile (l4-small), or "
        "in a copy of this one fewer conversations, less context_tokens or a smaller model, and correct its [memory]"
    )
    yield Need("gpu memory", False, found, remedy)


def _memory(profile: Profile, machine: Machine) -> Need:
    takes_gb = profile.memory.machine_gb
    found = f"{machine.memory_gb:.1f} GB are available, {takes_gb:.1f} are needed"
    met = machine.memory_gb >= takes_gb
    return Need("memory", met, found, "" if met else "more memory, or end what else takes it")


def sources(profile: Profile) -> list[ModelSource]:
    """Where all of its weights come from, each once."""
    around = [ModelSource("silero-vad"), ModelSource("smart-turn")]
    return list(dict.fromkeys([*around, *_sources(profile.engines.values())]))


def _sources(engines: Iterable[EngineSettings]) -> Iterator[ModelSource]:
    return (settings.source for settings in engines if settings.source is not None)


def _weights(profile: Profile, store: WeightStore) -> Iterator[Need]:
    for source in sources(profile):
        if source.is_folder:
            there = os.path.isdir(source.model)  # noqa: PTH112 - a setting, not yet a path of ours
            yield Need("weights", there, source.model, "" if there else "no such folder: correct the profile")
        elif not source.on_hub:
            there = store.has(source.model)
            yield Need("weights", there or store.pulls, f"{source.model} {_where(there)}", "" if there else _PULL)
        elif hub.cached(source) is not None:
            yield Need("weights", True, f"{source.model} {_where(True)}")
        else:
            yield _from_hub(source)
        if source.moves:
            yield Need("weights", True, f"{source.model} is taken at `{source.revision or 'main'}`, not a commit", _PIN)


_PIN = "name a commit as its revision in a profile of your own: a branch may change between two pulls (docs/engines.md)"
_PULL = "`s2s weights pull --profile NAME`"


def _from_hub(source: ModelSource) -> Need:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "on", "yes"):
        return Need("weights", False, f"{source.model} missing, and HF_HUB_OFFLINE is set", f"{_PULL}, with a network")
    if source.gated and not os.environ.get(hub.TOKEN):
        remedy = f"ask for access on {hub.page(source)} and set {hub.TOKEN}"
        return Need("weights", False, f"{source.model} missing, and it is gated", remedy)
    return Need("weights", True, f"{source.model} {_where(False)}", _PULL)


def _where(there: bool) -> str:
    return "on this machine" if there else "to be pulled at the start"
