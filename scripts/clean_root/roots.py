"""Roots made of layers: a Debian from debootstrap, and on top of it a folder for each step, joined by overlayfs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
_PACKAGES = "ca-certificates,python3,python3-venv"
_KEEP_NOTHING = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";
"""
_IMAGE = re.compile(r"python:(?P<version>\d+\.\d+)(?:\.\d+)?-slim-(?P<suite>[a-z]+)")


class RootError(RuntimeError):
    """A root cannot be made or a command in it failed; the message says which."""


def make_base(image: str, folder: Path, mirror: str) -> Path:
    """A Debian with its own Python in place of an official image of Python; made once for each folder.

    The Python is put into /usr/local, as the image has it: by a venv, since Debian forbids its own pip to install.

    Raises:
        RootError: another kind of image, another Python in that Debian, or debootstrap fails.
    """
    match = _IMAGE.fullmatch(image)
    if match is None:
        raise RootError(f"only images python:X.Y.Z-slim-SUITE can be had from Debian, not {image}")
    root = folder / f"base-{match['suite']}"
    if not root.exists():
        if shutil.which("debootstrap") is None:
            raise RootError("debootstrap is not here: apt-get install debootstrap")
        new = root.with_suffix(".new")
        with (folder / "debootstrap.log").open("wb") as log:
            command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", match["suite"], str(new), mirror]
            done = subprocess.run(command, stdout=log, stderr=log, check=False)
        for mounted in ("proc", "sys"):  # debootstrap leaves them
            if (new / mounted).is_mount():
                subprocess.run(["umount", str(new / mounted)], check=True)
        if done.returncode:
            raise RootError(f"debootstrap failed; see {folder / 'debootstrap.log'}")
        subprocess.run(["chroot", str(new), "python3", "-m", "venv", "/usr/local"], check=True)
        # As in the official images: apt keeps neither packages nor its own tables.
        (new / "etc/apt/apt.conf.d/docker-clean").write_text(_KEEP_NOTHING)
        for kept in (*(new / "var/cache/apt").glob("*.bin"), *(new / "var/cache/apt/archives").glob("*.deb")):
            kept.unlink()
        shutil.rmtree(new / "var/lib/apt/lists")
        (new / "etc/resolv.conf").write_text("")  # of this machine; it is lent to the steps that may have a network
        new.rename(root)
    said = subprocess.run(["chroot", str(root), "python3", "--version"], capture_output=True, text=True, check=True)
    if not said.stdout.startswith(f"Python {match['version']}."):
        raise RootError(f"{image} is asked for, and Debian {match['suite']} has {said.stdout.strip()}")
    return root


@contextmanager
def mounted(layers: Sequence[Path], at: Path, *, writable: bool) -> Iterator[Path]:
    """The layers joined, the last on top; writes go into it. Read-only, with an empty /tmp, unless `writable`."""
    at.mkdir(exist_ok=True)
    with ExitStack() as stack:

        def mount(target: Path, *arguments: str) -> None:
            subprocess.run(["mount", *arguments, str(target)], check=True)
            stack.callback(subprocess.run, ["umount", str(target)], check=True)

        lower = layers[:-1] if writable else layers
        options = f"lowerdir={':'.join(str(layer) for layer in reversed(lower))}"
        if writable:
            work = layers[-1].with_suffix(".work")
            work.mkdir(exist_ok=True)
            options += f",upperdir={layers[-1]},workdir={work}"
        mount(at, "-t", "overlay", "overlay", "-o", options)
        mount(at / "sys", "--bind", "-o", "ro", "/sys")
        for device in ("null", "zero", "random", "urandom"):
            mount(at / "dev" / device, "--bind", f"/dev/{device}")
        mount(at / "dev" / "shm", "-t", "tmpfs", "tmpfs")
        if not writable:
            mount(at / "tmp", "-t", "tmpfs", "-o", "mode=1777", "tmpfs")
        yield at


@contextmanager
def lent(root: Path, files: Sequence[Path]) -> Iterator[None]:
    """Files of this machine, read-only at the same place in the root; only where the root has such a file."""
    with ExitStack() as stack:
        for file in files:
            target = root / file.relative_to("/")
            if target.is_file():
                subprocess.run(["mount", "--bind", "-o", "ro", str(file), str(target)], check=True)
                stack.callback(subprocess.run, ["umount", str(target)], check=True)
        yield


def command_in(
    root: Path, command: Sequence[str], *, folder: str, environment: Mapping[str, str], user: str | None
) -> list[str]:
    """What runs a command in the root, first process of its own, with this environment and no other.

    A user is given by number, `UID:GID`. It may bind a port below 1024, as Docker lets it, and can gain nothing else.
    """
    variables = [f"{name}={value}" for name, value in environment.items()]
    inside = ["env", "--ignore-environment", f"--chdir={folder}", *variables, *command]
    if user is not None:
        uid, _, gid = user.partition(":")
        capabilities = [f"--{kind}=-all,+net_bind_service" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
        inside = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *capabilities, *inside]
    return [
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={root / 'proc'}"),
        *("chroot", str(root), *inside),
    ]


def bytes_in(folder: Path) -> int:
    """Of all files below, on disk or not."""
    return sum((Path(parent) / name).lstat().st_size for parent, _, names in os.walk(folder) for name in names)
