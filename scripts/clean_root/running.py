"""Starting what was built, as its instructions say, and asking it from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.clean_root.build import Image, command_of, home_of
from scripts.clean_root.roots import RootError, command_in, mounted

_HEALTH_LIMIT_S = 300.0
_LEAVING_LIMIT_S = 30.0
_ASK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Running:
    """A started image.

    Attributes:
        log: what it said.
    """

    image: Image
    root: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes]
    log: Path

    def wait_until_healthy(self, port: int) -> float:
        """The seconds until /health answers 200.

        Raises:
            RootError: it ended before, or took too long.
        """
        started = time.monotonic()
        while time.monotonic() < started + _HEALTH_LIMIT_S:
            if (code := self.process.poll()) is not None:
                raise RootError(f"it ended with exit code {code}; {self.log} says: {_end_of(self.log)}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return time.monotonic() - started
            except OSError:  # not listening yet, or 503
                pass
            time.sleep(_ASK_EVERY_S)
        raise RootError(f"/health was not 200 within {_HEALTH_LIMIT_S:.0f} s; see {self.log}")

    def check_health_as_the_image_says(self) -> int:
        """The exit code of its HEALTHCHECK, run inside."""
        command = command_in(
            self.root,
            self.image.health,
            folder=self.image.folder,
            environment=self.environment,
            user=self.image.user,
        )
        return subprocess.run(command, check=False).returncode

    def user_id(self) -> int:
        """Under which user the server itself runs, seen from outside."""
        status = Path(f"/proc/{self._server()}/status").read_text(encoding="utf-8")
        return int(next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1])

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM; the exit code, and the seconds until it had left.

        Raises:
            RootError: it did not leave.
        """
        started = time.monotonic()
        os.kill(self._server(), signal.SIGTERM)
        try:
            return self.process.wait(_LEAVING_LIMIT_S), time.monotonic() - started
        except subprocess.TimeoutExpired:
            raise RootError(f"it did not leave within {_LEAVING_LIMIT_S:.0f} s of SIGTERM; see {self.log}") from None

    def _server(self) -> int:
        """The one child of `unshare`, which is the first process of its own space and hears no signal by itself."""
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(task.read_text(encoding="utf-8").split()[0])


@contextmanager
def started(image: Image, folder: Path, environment: Mapping[str, str]) -> Iterator[Running]:
    """The image's own command as its own user, in a root that is read-only but for /tmp and that can look up no name.

    Args:
        folder: for the mount and the log.
        environment: beside the image's own (`docker run --env`).
    """
    log = folder / "server.log"
    with mounted(image.folders, folder / "running", writable=False) as root, log.open("wb") as output:
        variables = {"HOME": home_of(root, image.user), **image.environment, **environment}
        process = subprocess.Popen(
            command_in(root, command_of(image), folder=image.folder, environment=variables, user=image.user),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            yield Running(image, root, variables, process, log)
        finally:
            process.kill()  # and with it, by --kill-child, the server
            process.wait()


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace").strip()[-500:] or "nothing"
