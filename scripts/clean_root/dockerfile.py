"""What a Dockerfile says: its instructions, its stages, and the variables in them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

KNOWN = frozenset(
    {
        *("ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "STOPSIGNAL"),
        *("USER", "VOLUME", "WORKDIR"),
    }
)

_VARIABLE = re.compile(r"\\(?P<escaped>.)|\$(?:(?P<name>\w+)|\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\})")


class DockerfileError(ValueError):
    """The file says something that is not understood here; the message names the line."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        name: in capitals.
        flags: `--from=x` is `{"from": "x"}`.
        text: what follows them, with continued lines joined.
        line: its first one, counted from 1.
    """

    name: str
    flags: Mapping[str, str]
    text: str
    line: int

    def words(self) -> list[str]:
        """The text as words: of the JSON (exec) form, or split as a shell would.

        Raises:
            DockerfileError: neither.
        """
        return self.exec_form() or self._split()

    def exec_form(self) -> list[str] | None:
        """The words of the JSON form; None if it is the shell form."""
        try:
            found = json.loads(self.text)
        except ValueError:
            return None
        return found if isinstance(found, list) and all(isinstance(word, str) for word in found) else None

    def _split(self) -> list[str]:
        try:
            return shlex.split(self.text)
        except ValueError as error:
            raise DockerfileError(f"line {self.line}: {self.name} {self.text}: {error}") from None


@dataclass(frozen=True, slots=True)
class Stage:
    """From one FROM to the next. `base` is an image or an earlier stage, with its variables replaced."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)


def read(path: Path, given: Mapping[str, str]) -> dict[str, Stage]:
    """The stages of a file by name, in their order; `given` are the values of `--build-arg`.

    Raises:
        DockerfileError: an instruction that is unknown or out of place.
        OSError: the file cannot be read.
    """
    stages: dict[str, Stage] = {}
    values: dict[str, str] = {}
    stage: Stage | None = None
    for instruction in parse(path.read_text(encoding="utf-8")):
        if instruction.name == "FROM":
            words = [expand(word, values) for word in instruction.words()]
            if not (len(words) == 1 or (len(words) == 3 and words[1].upper() == "AS")):
                raise DockerfileError(f"line {instruction.line}: FROM IMAGE, or FROM IMAGE AS NAME, is expected")
            stage = Stage(words[2] if len(words) == 3 else str(len(stages)), words[0])
            stages[stage.name] = stage
        elif stage is not None:
            stage.instructions.append(instruction)
        elif instruction.name == "ARG":
            name, _, default = instruction.text.partition("=")
            values[name] = given.get(name, default)
        else:
            raise DockerfileError(f"line {instruction.line}: {instruction.name} stands before the first FROM")
    return stages


def parse(text: str) -> list[Instruction]:
    """The instructions of a file's text.

    Raises:
        DockerfileError: one that is not in `KNOWN`.
    """
    found: list[Instruction] = []
    pending, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not pending):
            continue
        first = first if pending else number
        pending += line.strip() + " "
        if pending.endswith("\\ "):
            pending = pending[:-2]
            continue
        found.append(_instruction(pending.strip(), first))
        pending = ""
    if pending:
        raise DockerfileError(f"line {first}: the file ends within the instruction {pending.split()[0]}")
    return found


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$NAME`, `${NAME}` and `${NAME:-default}`; what has no value becomes nothing."""

    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return match[0] if match["escaped"] != "$" else "$"
        return values.get(match["name"] or match["braced"], "") or match["default"] or ""

    return _VARIABLE.sub(replace, text)


def _instruction(text: str, line: int) -> Instruction:
    name, _, rest = text.partition(" ")
    name = name.upper()
    if name not in KNOWN:
        raise DockerfileError(f"line {line}: {name} is not understood here; there are {', '.join(sorted(KNOWN))}")
    flags: dict[str, str] = {}
    rest = rest.lstrip()
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        key, _, value = flag.removeprefix("--").partition("=")
        flags[key] = value
        rest = rest.lstrip()
    return Instruction(name, flags, rest, line)
