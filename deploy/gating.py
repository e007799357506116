"""The gate as a process of its own: however it ends, what must be done afterwards can be done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

Gate: TypeAlias = Callable[[str, str | None, Path], int]
"""Gates the server at a websocket's address, with its token, into a folder; gives the exit code of `s2s gate`."""

PASS, FAIL, INCONCLUSIVE, INVALID = range(4)
MEANINGS = {PASS: "green", FAIL: "red", INCONCLUSIVE: "inconclusive", INVALID: "invalid"}


def gate_process(options: Sequence[str]) -> Gate:
    """`s2s gate` with these options besides; what it says goes where our output goes."""

    def gate(url: str, token: str | None, folder: Path) -> int:
        program = (sys.executable, "-m", "cli", "gate")
        environment = dict(os.environ)
        if token:  # by the environment, not by an argument: arguments are read by whoever lists processes
            environment["S2S_TOKEN"] = token
        command = [*program, "--endpoint", url, "--report", str(folder), *options]
        return subprocess.run(command, env=environment, check=False).returncode  # noqa: S603 - this program, and options of its user

    return gate


def meaning(code: int) -> str:
    """What an exit code of the gate says, in words."""
    return MEANINGS.get(code, f"without a verdict: it ended with exit code {code}")
