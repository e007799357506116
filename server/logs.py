"""Logs with the session and the turn that each line is of, as text or as JSON. What callers say is in none of them."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

SESSION: ContextVar[int | None] = ContextVar("session", default=None)
"""The number of the session that this task serves; tasks that it starts inherit it."""
TURN: ContextVar[int | None] = ContextVar("turn", default=None)


def log_to_stderr(form: Literal["text", "json"]) -> None:
    """Log whatever is worth an operator's while, one line an event; with `text` a traceback follows its line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(note_ids)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # It tells of every port scan with a traceback, and at a lower level of every header, secret ones too.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)


def note_ids(record: logging.LogRecord) -> bool:
    """A filter that lets everything pass, with `session` and `turn`."""
    record.session = SESSION.get()
    if not hasattr(record, "turn"):  # which pipeline/ may know better
        record.turn = TURN.get()
    return True


class TextFormatter(logging.Formatter):
    """`2026-11-24 12:00:00,000 INFO server [session 3 turn 2]: reply completed`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s%(ids)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        ids = [f"{name} {number}" for name in ("session", "turn") if (number := getattr(record, name)) is not None]
        record.ids = f" [{' '.join(ids)}]" if ids else ""
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is the library's
        """One line, whatever is in it: nobody writes lines of his own into the log."""
        return _printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is the library's
        """Indented, so that no line of an error's own words looks like one of the log."""
        return "\n".join("    " + _printable(line) for line in super().formatException(ei).split("\n"))


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


class JsonFormatter(logging.Formatter):
    """One object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, `session` and `turn` where there is one,
    and `exception` with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {name: number for name in ("session", "turn") if (number := getattr(record, name)) is not None}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)
