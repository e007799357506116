"""The build context: what of a folder a COPY may take, by its .dockerignore."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path


class Context:
    """A folder as a build sees it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ignore = folder / ".dockerignore"
        lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
        self._rules = [_rule(line.strip()) for line in lines if line.strip() and not line.startswith("#")]

    def files(self, source: str) -> Iterator[tuple[Path, Path]]:
        """Each file at or below `source`: its path here, and relative to `source` (`.` if it is `source`)."""
        start = self._folder / source
        if start.is_file():
            if self.takes(start):
                yield start, Path()
            return
        for parent, _, names in os.walk(start):
            for name in sorted(names):
                path = Path(parent) / name
                if self.takes(path):
                    yield path, path.relative_to(start)

    def takes(self, path: Path) -> bool:
        """Whether this file is of the context: the last rule that matches it or a folder above it decides."""
        relative = path.relative_to(self._folder).as_posix()
        ignored = False
        for pattern, ignores in self._rules:
            if pattern.fullmatch(relative):
                ignored = ignores
        return not ignored


def _rule(line: str) -> tuple[re.Pattern[str], bool]:
    """A pattern is rooted in the folder; `*` and `?` stay within a name, `**` does not; a folder means all in it."""
    ignores = not line.startswith("!")
    pattern = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?)", line.removeprefix("!").strip("/")):
        pattern += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return re.compile(f"{pattern}(?:/.*)?"), ignores
