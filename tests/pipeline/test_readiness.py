"""What a profile needs, on machines of all kinds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import readiness
from pipeline.machine import Gpu, Machine
from pipeline.profiles import Profile, load_profile
from pipeline.readiness import MissingExtraError, Need, UnfitMachineError, needs, require
from pipeline.weights import WeightStore, hub

CPU = Machine(2.0, 8.0, None, "no NVIDIA driver")
L4 = Machine(7.0, 28.0, Gpu("NVIDIA L4", 24.15, 23.6))
VARIABLES = ("S2S_LM_URL", "S2S_LM_MODEL", "S2S_LM_KEY", "HF_TOKEN", "HF_HUB_OFFLINE", "S2S_WEIGHTS")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is installed, nothing is in the environment, and nothing in the hub's cache."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(readiness, "_installed", lambda package: True)
    monkeypatch.setattr(hub, "cached", lambda source: None)


def unmet(profile: Profile, machine: Machine, tmp_path: Path) -> dict[str, Need]:
    return {need.kind: need for need in needs(profile, machine, WeightStore(tmp_path)) if not need.met}


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    monkeypatch.setattr(readiness, "_installed", lambda package: package not in packages)


def test_the_embedded_profile_runs_on_any_machine(tmp_path: Path) -> None:
    assert unmet(load_profile("embedded"), CPU, tmp_path) == {}
    told = [need for need in needs(load_profile("embedded"), CPU, WeightStore(tmp_path)) if need.kind == "weights"]
    assert {need.found for need in told} >= {"silero-vad to be pulled at the start", "kokoro to be pulled at the start"}


def test_little_memory_is_told(tmp_path: Path) -> None:
    assert unmet(load_profile("embedded"), replace(CPU, memory_gb=0.5), tmp_path).keys() == {"memory"}


def test_an_l4_takes_the_profile_that_is_named_after_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    for name in ("l4", "l4-small"):
        assert unmet(load_profile(name), L4, tmp_path) == {}
        require(load_profile(name), lambda: L4)


def test_without_a_gpu_it_says_what_it_would_take(tmp_path: Path) -> None:
    assert unmet(load_profile("l4-small"), CPU, tmp_path)["gpu"] == Need(
        "gpu",
        False,
        "no NVIDIA driver",
        "an NVIDIA GPU with its driver, and torch built for CUDA; or the profile `embedded` or `openai-lm`",
    )
    with pytest.raises(UnfitMachineError, match=r"profile l4 cannot run here: no NVIDIA driver: an NVIDIA GPU"):
        require(load_profile("l4"), lambda: CPU)


def test_too_little_gpu_memory_is_refused_with_what_to_change() -> None:
    taken = replace(L4, gpu=Gpu("NVIDIA L4", 24.15, 9.0))
    with pytest.raises(UnfitMachineError) as refused:
        require(load_profile("l4"), lambda: taken)
    said = str(refused.value)
    assert "9.0 of 24.2 GB are free" in said or "9.0 of 24.1 GB are free" in said
    assert "22.7 GB are needed (16.1 language model" in said
    assert "l4-small" in said
    assert "fewer conversations" in said


@pytest.mark.parametrize(
    ("missing", "extra"), [(["torch"], "gpu"), (["onnxruntime"], "server"), (["torch", "onnxruntime"], "gpu")]
)
def test_missing_packages_name_the_install(monkeypatch: pytest.MonkeyPatch, missing: list[str], extra: str) -> None:
    without(monkeypatch, *missing)
    with pytest.raises(
        MissingExtraError, match=rf"missing {', '.join(sorted(missing))}; `pip install 's2s-gate\[{extra}\]'"
    ):
        require(load_profile("l4"), lambda: L4)


def test_the_embedded_profile_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "torch", "transformers", "accelerate", "uroman")
    require(load_profile("embedded"), lambda: CPU)


def test_an_endpoint_needs_its_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile = load_profile("openai-lm")
    assert "S2S_LM_URL, S2S_LM_MODEL, S2S_LM_KEY not set" in unmet(profile, CPU, tmp_path)["settings"].found
    with pytest.raises(UnfitMachineError, match=r"S2S_LM_URL, S2S_LM_MODEL, S2S_LM_KEY not set: set them"):
        require(profile, lambda: CPU)
    for variable in ("S2S_LM_URL", "S2S_LM_MODEL", "S2S_LM_KEY"):
        monkeypatch.setenv(variable, "x")
    assert unmet(profile, CPU, tmp_path) == {}


def test_a_gated_model_needs_a_token_unless_it_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need = unmet(load_profile("l4"), L4, tmp_path)["weights"]
    assert need.found == "meta-llama/Llama-3.1-8B-Instruct missing, and it is gated"
    assert "ask for access on https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct and set HF_TOKEN" in need.remedy
    monkeypatch.setattr(hub, "cached", lambda source: tmp_path)
    assert unmet(load_profile("l4"), L4, tmp_path) == {}


def test_offline_what_is_missing_stays_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in unmet(load_profile("l4-small"), L4, tmp_path)["weights"].found
    monkeypatch.setenv("S2S_WEIGHTS", str(tmp_path))
    found = [need for need in needs(load_profile("embedded"), CPU, WeightStore()) if not need.met]
    assert {need.kind for need in found} == {"weights"}


def test_this_machine_can_be_looked_at() -> None:
    machine = Machine.look()
    assert machine.memory_gb > 0
    assert machine.cores > 0
    assert (machine.gpu is None) == bool(machine.no_gpu)


@pytest.mark.parametrize("revision", ["main", "", "v1.0", "41f01f3"])
def test_a_model_that_is_not_pinned_is_told_of(revision: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    monkeypatch.setattr(hub, "cached", lambda source: tmp_path)
    profile = load_profile("l4")
    vits = replace(profile.engines["mms-tts-kor"], revision=revision)  # type: ignore[call-arg]  # it has one
    told = needs(replace(profile, engines={**profile.engines, "mms-tts-kor": vits}), L4, WeightStore(tmp_path))
    (need,) = [need for need in told if "not a commit" in need.found]
    assert need.met
    assert need.found == f"facebook/mms-tts-kor is taken at `{revision or 'main'}`, not a commit"
    assert "name a commit" in need.remedy
    pinned = replace(vits, revision="0" * 40)  # type: ignore[call-arg]  # it has one
    told = needs(replace(profile, engines={**profile.engines, "mms-tts-kor": pinned}), L4, WeightStore(tmp_path))
    assert not [need for need in told if "not a commit" in need.found]
