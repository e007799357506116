"""The Dockerfile itself, and what reads it where there is no Docker."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.clean_root.build import lendable
from scripts.clean_root.context import Context
from scripts.clean_root.dockerfile import DockerfileError, expand, parse, read

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"


def test_the_linter_has_nothing_to_say() -> None:
    linter = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert linter, "hadolint comes with the extra [dev]"
    said = subprocess.run([linter, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, "")


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_each_variant_runs_as_nobody_in_particular_on_port_80_and_hears_signals(target: str) -> None:
    stages = read(DOCKERFILE, {})
    steps = [*stages["runtime"].instructions, *stages[target].instructions]
    said = {step.name: step for step in steps}
    assert stages[target].base == "runtime"
    assert said["USER"].text == "10001:10001"
    assert said["EXPOSE"].text == "80"
    assert said["STOPSIGNAL"].text == "SIGTERM"
    assert said["ENTRYPOINT"].exec_form() == ["s2s"]
    assert (said["CMD"].exec_form() or [])[:1] == ["serve"]
    assert not [step for step in stages[target].instructions if step.name == "RUN"], "a variant only puts together"


def test_the_last_stage_is_the_one_without_a_gpu() -> None:
    assert list(read(DOCKERFILE, {}))[-1] == "cpu"


def test_every_image_is_named_with_its_release() -> None:
    stages = read(DOCKERFILE, {})
    images = {stage.base for stage in stages.values()} - set(stages)
    assert images == {"python:3.11.14-slim-bookworm"}


def test_a_build_argument_chooses_the_image() -> None:
    assert read(DOCKERFILE, {"DEBIAN": "trixie"})["base"].base == "python:3.11.14-slim-trixie"


def test_lines_are_joined_comments_left_out_and_flags_apart() -> None:
    text = "FROM a AS b\n# no\nRUN one \\\n    # not this\n    && two\n\nCOPY --from=b --chmod=755 /x /y\n"
    run, copy = parse(text)[1:]
    assert (run.text, run.line) == ("one && two", 3)
    assert (copy.flags, copy.words()) == ({"from": "b", "chmod": "755"}, ["/x", "/y"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM a\nADD x y", "line 2: ADD is not understood"),
        ("RUN x", "line 1: RUN stands before the first FROM"),
        ("FROM a\nRUN x \\\n", "line 2: the file ends within"),
        ("FROM a b", "FROM IMAGE AS NAME"),
    ],
)
def test_what_is_not_understood_is_an_error_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(text)
    with pytest.raises(DockerfileError, match=said):
        read(file, {})


@pytest.mark.parametrize(
    ("text", "value"),
    [("$A-${A}", "1-1"), ("${B:-two}", "two"), ("${A:-two}", "1"), ("$B.", "."), (r"\$A", "$A"), ("a$", "a$")],
)
def test_variables_are_replaced(text: str, value: str) -> None:
    assert expand(text, {"A": "1"}) == value


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        found = parse(text)
    except DockerfileError:
        return
    assert all(step.name and step.line >= 1 for step in found)


def test_the_context_is_what_the_image_is_built_from_and_nothing_else() -> None:
    context = Context(ROOT)
    for taken in ("pyproject.toml", "cli/serve.py", "pipeline/profiles/embedded.toml", "fixtures/audio/manifest.jsonl"):
        assert context.takes(ROOT / taken), taken
    for left in (
        ".git/config",
        ".venv/x",
        "tests/conftest.py",
        "reports/r/report.html",
        "cli/__pycache__/a.pyc",
        ".env",
    ):
        assert not context.takes(ROOT / left), left


@pytest.mark.parametrize(
    ("rules", "path", "taken"),
    [
        ("*\n!a", "a/b.py", True),
        ("*\n!a", "b/a", False),
        ("*.log", "x.log", False),
        ("*.log", "a/x.log", True),
        ("**/*.log", "a/x.log", False),
        ("a\n!a/keep", "a/keep", True),
        ("# a", "a", True),
        ("a?", "ab/c", False),
    ],
)
def test_rules_of_dockerignore(tmp_path: Path, rules: str, path: str, taken: bool) -> None:
    (tmp_path / ".dockerignore").write_text(rules)
    assert Context(tmp_path).takes(tmp_path / path) is taken


def test_a_build_is_told_whom_to_trust_and_no_other_secret(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.touch()
    here = {
        "HF_TOKEN": "x",
        "PIP_CERT": str(bundle),
        "PIP_FIND_LINKS": str(tmp_path),
        "PIP_RETRIES": "2",
        "AWS_SECRET": "x",
        "HOME": "/",
    }
    assert lendable(here) == ({"PIP_CERT": str(bundle), "PIP_RETRIES": "2"}, [bundle])
