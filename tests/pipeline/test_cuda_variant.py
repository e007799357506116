"""The variant for a GPU: profiles, Dockerfile, constraints and pages say the same of CUDA."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pipeline.profiles import load_profile, profile_names
from pipeline.profiles.engines import EngineSettings
from scripts.clean_root.dockerfile import Stage, read

ROOT = Path(__file__).parents[2]
TORCH = re.search(r"^torch==(\d+)\.(\d+)\.(\d+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
BUILT_FOR = {(2, 8): "12.8", (2, 9): "12.8", (2, 10): "12.8", (2, 11): "13.0", (2, 12): "13.0", (2, 13): "13.0"}
"""By what the wheels of each release on PyPI ask for: nvidia-cublas-cu12 12.8 until 2.10, cuda-toolkit 13.0 since."""


def cuda() -> str:
    assert TORCH, "constraints.txt pins torch by release"
    return BUILT_FOR[int(TORCH[1]), int(TORCH[2])]


def stage(name: str) -> Stage:
    return read(ROOT / "Dockerfile", {})[name]


def environment(name: str) -> dict[str, str]:
    said = [part for step in stage(name).instructions if step.name == "ENV" for part in shlex.split(step.text)]
    return dict(part.split("=", 1) for part in said)


def on_gpu() -> list[EngineSettings]:
    found = [settings for name in profile_names() for settings in load_profile(name).engines.values()]
    return [settings for settings in found if settings.on_gpu]


def test_all_that_the_profiles_run_on_a_gpu_is_torch() -> None:
    """CTranslate2, which asks for CUDA 12, is not: it would be a second CUDA in the image."""
    assert {type(settings).__name__ for settings in on_gpu()} == {
        "TransformersWhisper", "Transformers", "TorchKokoro", "Vits",
    }  # fmt: skip  # a table, which is not seen with each entry in a line
    assert all("torch" in settings.packages for settings in on_gpu())


def test_the_image_has_the_packages_of_its_profile_as_they_are_pinned() -> None:
    chosen = load_profile(environment("cuda")["S2S_PROFILE"])
    extras = {settings.extra for settings in chosen.engines.values()}
    (installed,) = [step.text for step in stage("cuda-packages").instructions if step.name == "RUN"]
    assert extras <= {"server", "gpu"}
    assert "--constraint constraints.txt" in installed
    assert "--extra gpu" in installed


def test_the_image_asks_for_a_driver_of_the_cuda_that_its_torch_is_built_for() -> None:
    assert environment("cuda")["NVIDIA_REQUIRE_CUDA"] == f"cuda>={cuda()}"


@pytest.mark.parametrize("page", ["engines.md", "deploy.md"])
def test_the_pages_name_that_torch_and_its_cuda(page: str) -> None:
    assert TORCH
    told = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = re.findall(r"torch (\d+\.\d+\.\d+)[^.\n]* CUDA (\d+)", told)
    assert named == [(f"{TORCH[1]}.{TORCH[2]}.{TORCH[3]}", cuda().split(".")[0])]
