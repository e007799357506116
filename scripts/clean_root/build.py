"""Carrying out the stages of a Dockerfile, a layer for each step that writes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scripts.clean_root.context import Context
from scripts.clean_root.dockerfile import DockerfileError, Instruction, Stage, expand
from scripts.clean_root.roots import RootError, bytes_in, command_in, lent, make_base, mounted

# How the package clients of this machine are told where to go and whom to trust: it is so in a build, and not in what
# is built. Docker does the same for proxies.
_LENT_PREFIXES = ("PIP_", "UV_")
_LENT_NAMES = (
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "HF_ENDPOINT",
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Layer:
    """What one step wrote.

    Attributes:
        step: the instruction, for people.
        seconds: it took.
    """

    step: str
    folder: Path
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Image:
    """A stage carried out: its layers from the bottom, and what its instructions say of how it is run."""

    base: Path
    layers: tuple[Layer, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    arguments: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    folder: str = "/"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()

    @property
    def folders(self) -> list[Path]:
        return [self.base, *(layer.folder for layer in self.layers)]


class Builder:
    """Builds stages of one file, each once.

    Args:
        stages: of the file.
        context: where COPY takes files from.
        bases: a folder for the Debians, kept from one time to the next.
        folder: an empty one, for the layers.
        mirror: of Debian.
        given: values of `--build-arg`.
        on_step: told what is done next.
        on_layer: told of each layer when it is there.
    """

    def __init__(
        self,
        stages: Mapping[str, Stage],
        context: Context,
        bases: Path,
        folder: Path,
        *,
        mirror: str,
        given: Mapping[str, str],
        on_step: Callable[[str], None],
        on_layer: Callable[[Layer], None],
    ) -> None:
        self._stages = stages
        self._context = context
        self._bases = bases
        self._folder = folder
        self._mirror = mirror
        self._given = given
        self._on_step = on_step
        self._on_layer = on_layer
        self._built: dict[str, Image] = {}

    def build(self, name: str) -> Image:
        """This stage, and first those that it is made from.

        Raises:
            DockerfileError: what the file says cannot be.
            RootError: a step failed.
        """
        if name not in self._built:
            if name not in self._stages:
                raise DockerfileError(f"there is no stage {name!r}; there are {', '.join(self._stages)}")
            stage = self._stages[name]
            if stage.base in self._stages:
                image = replace(self.build(stage.base), arguments={})
            else:
                self._on_step(f"FROM {stage.base}")
                image = Image(make_base(stage.base, self._bases, self._mirror))
            for instruction in stage.instructions:
                image = self._carry_out(image, instruction, stage.name)
            self._built[name] = image
        return self._built[name]

    def _carry_out(self, image: Image, step: Instruction, stage: str) -> Image:
        values = {**image.arguments, **image.environment}
        match step.name:
            case "ARG":
                name, _, default = step.text.partition("=")
                value = self._given.get(name, expand(default, values))
                return replace(image, arguments={**image.arguments, name: value})
            case "ENV":
                pairs = (word.partition("=")[::2] for word in step.words())
                return replace(
                    image, environment={**image.environment, **{name: expand(text, values) for name, text in pairs}}
                )
            case "USER":
                return replace(image, user=_number(expand(step.text, values), step))
            case "WORKDIR":
                folder = os.path.join(image.folder, expand(step.text, values))  # noqa: PTH118 - a path in the root
                image = replace(image, folder=folder)
                return self._layer(image, step, stage, lambda root: _make_folder(root, folder))
            case "RUN":
                return self._layer(image, step, stage, lambda root: self._run(root, image, step))
            case "COPY":
                if step.flags.get("from"):
                    self.build(step.flags["from"])
                return self._layer(image, step, stage, lambda root: self._copy(root, image, step))
            case "ENTRYPOINT":
                return replace(image, entrypoint=_exec_form(step), command=())
            case "CMD":
                return replace(image, command=_exec_form(step))
            case "HEALTHCHECK":
                text = step.text.removeprefix("CMD").lstrip()
                return replace(image, health=_exec_form(replace(step, text=text)))
            case "EXPOSE":
                return replace(image, ports=(*image.ports, *step.words()))
            case "LABEL" | "STOPSIGNAL" | "VOLUME":
                return image
        raise AssertionError(f"{step.name} is known, and not carried out")

    def _layer(self, image: Image, step: Instruction, stage: str, write: Callable[[Path], None]) -> Image:
        said = f"{stage}: {step.name} {' '.join(f'--{k}={v}' for k, v in step.flags.items())} {step.text}"
        self._on_step(said)
        started = time.monotonic()
        folder = self._folder / f"{stage}-{step.line}"
        folder.mkdir()
        with mounted([*image.folders, folder], self._folder / "root", writable=True) as root:
            write(root)
        layer = Layer(said, folder, bytes_in(folder), time.monotonic() - started)
        self._on_layer(layer)
        return replace(image, layers=(*image.layers, layer))

    def _run(self, root: Path, image: Image, step: Instruction) -> None:
        variables, files = lendable(os.environ)
        variables |= _secrets(step, os.environ)
        environment = {"HOME": home_of(root, image.user), **variables, **image.arguments, **image.environment}
        command = step.exec_form() or ["/bin/sh", "-c", step.text]
        with lent(root, [*files, Path("/etc/resolv.conf")]):
            ended = subprocess.run(
                command_in(root, command, folder=image.folder, environment=environment, user=image.user),
                stdin=subprocess.DEVNULL,
                check=False,
            )
        if ended.returncode:
            raise RootError(f"line {step.line}: exit code {ended.returncode} of {step.text}")

    def _copy(self, root: Path, image: Image, step: Instruction) -> None:
        *sources, target = [expand(word, {**image.arguments, **image.environment}) for word in step.words()]
        into = os.path.join(image.folder, target)  # noqa: PTH118 - a path in the root
        if other := step.flags.get("from"):
            for source in sources:
                self._copy_stage(self.build(other), source, root, into, owner=step.flags.get("chown"))
            return
        copied = 0
        for source in sources:
            for file, relative in self._context.files(source):
                within = relative if relative.parts else Path(file.name) if target.endswith("/") else relative
                place = root / into.lstrip("/") / within
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
                place.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
                copied += 1
        if not copied:
            raise DockerfileError(f"line {step.line}: the build context has no {' or '.join(sources)}")

    def _copy_stage(self, image: Image, source: str, root: Path, into: str, *, owner: str | None) -> None:
        with mounted(image.folders, self._folder / "other", writable=False) as other:
            origin = other / source.lstrip("/")
            place = root / into.lstrip("/")
            if not origin.is_dir():
                raise DockerfileError(f"COPY --from: there is no folder {source}")
            place.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "--archive", f"{origin}/.", str(place)], check=True)
            if owner is not None:
                subprocess.run(["chown", "--recursive", owner, str(place)], check=True)


def lendable(environment: Mapping[str, str]) -> tuple[dict[str, str], list[Path]]:
    """The variables of this machine that a build may know, and the files they name; one of a folder is left out."""
    variables: dict[str, str] = {}
    files: list[Path] = []
    for name, value in environment.items():
        if not (name.startswith(_LENT_PREFIXES) or name.upper() in _LENT_NAMES) or Path(value).is_dir():
            continue
        variables[name] = value
        if value.startswith("/") and Path(value).is_file() and Path(value) not in files:
            files.append(Path(value))
    return variables, files


def _secrets(step: Instruction, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a step asks for by `--mount=type=secret,env=NAME`, as far as this machine has them."""
    asked = dict(pair.partition("=")[::2] for pair in step.flags.get("mount", "").split(",") if pair)
    if set(step.flags) - {"mount"} or (asked and (asked.get("type") != "secret" or "env" not in asked)):
        raise DockerfileError(
            f"line {step.line}: of the flags of RUN only --mount=type=secret,env= is carried out here"
        )
    name = asked.get("env", "")
    return {name: environment[name]} if name in environment else {}


def _exec_form(step: Instruction) -> tuple[str, ...]:
    words = step.exec_form()
    if words is None:
        raise DockerfileError(f"line {step.line}: {step.name} must be in the exec form, or signals do not arrive")
    return tuple(words)


def _number(user: str, step: Instruction) -> str:
    uid, _, gid = user.partition(":")
    if not (uid.isdigit() and gid.isdigit()):
        raise DockerfileError(f"line {step.line}: USER must be UID:GID, in numbers")
    return user


def _make_folder(root: Path, folder: str) -> None:
    (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)


def home_of(root: Path, user: str | None) -> str:
    """The home of a user given as UID:GID, by the root's own table; `/` for one that is not in it."""
    uid = user.partition(":")[0] if user else "0"
    entries = (line.split(":") for line in (root / "etc/passwd").read_text(encoding="utf-8").splitlines())
    return next((entry[5] for entry in entries if entry[2] == uid), "/")


def command_of(image: Image, arguments: Sequence[str] = ()) -> list[str]:
    """What the image runs: its entry point, and its command or these arguments in place of it."""
    return [*image.entrypoint, *(arguments or image.command)]
