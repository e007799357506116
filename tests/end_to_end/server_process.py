"""`s2s serve` as a process of its own, with the embedded models, warm."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

CLIPS = Path(__file__).parents[2] / "fixtures" / "audio" / "synthetic"
LOADING_LIMIT_S = 300


@dataclass(frozen=True)
class ServerProcess:
    """Attributes:
    log: what it says.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def websocket(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def resident_bytes(self) -> int:
        """Of the server and the processes of its models."""
        whole = psutil.Process(self.process.pid)
        return sum(int(one.memory_info().rss) for one in (whole, *whole.children()))

    def model_process(self, worker: str) -> psutil.Process:
        (found,) = (one for one in psutil.Process(self.process.pid).children() if one.cmdline()[-1:] == [worker])
        return found


@contextmanager
def started(log: Path, *options: str) -> Iterator[ServerProcess]:
    """Ready, and seen to say that it was loading before; killed afterwards, if it is still there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "cli", "serve", "--port", str(port), "--max-sessions", "8", *options]
    with log.open("wb") as output:
        server = ServerProcess(port, subprocess.Popen(command, stdout=output, stderr=output), log)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def _wait_until_ready(server: ServerProcess) -> None:
    states = set()
    for _ in range(LOADING_LIMIT_S * 10):
        status, body = _health(server.port)
        states.add((status, body.partition(":")[0]))
        if status == 200:
            break
        assert server.process.poll() is None, server.log.read_text()
        time.sleep(0.1)
    assert (200, "Ok") in states, server.log.read_text()
    assert (503, "loading") in states


def _health(port: int) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()
    except OSError:
        return 0, ""
