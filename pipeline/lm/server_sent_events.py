"""Server-sent events (WHATWG HTML, section 9.2.6), as far as streamed chat completions use them: their data."""

from __future__ import annotations

import codecs

_MOST_CHARACTERS = 1 << 20


class EventStreamError(ValueError):
    """Not a stream of events, or one that no honest server sends."""


class EventStream:
    """Takes a stream as it arrives, cut anywhere; what is no data (comments, names, numbers) is left out."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="strict")
        self._line = ""
        self._after_return = False
        self._data: list[str] = []

    def push(self, content: bytes) -> list[str]:
        """The data of each event that is whole now.

        Raises:
            EventStreamError: it is not UTF-8, or an event of more than a million characters.
        """
        try:
            text = self._decoder.decode(content)
        except UnicodeDecodeError as error:
            raise EventStreamError(f"the stream is not UTF-8: {error.reason} at byte {error.start}") from None
        if self._after_return and text.startswith("\n"):
            text = text[1:]
        if text:
            self._after_return = text.endswith("\r")
        *lines, self._line = (self._line + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        whole = [data for line in lines if (data := self._take(line)) is not None]
        if len(self._line) + sum(map(len, self._data)) > _MOST_CHARACTERS:
            raise EventStreamError(f"an event has more than {_MOST_CHARACTERS} characters")
        return whole

    def _take(self, line: str) -> str | None:
        if not line:
            data, self._data = self._data, []
            return "\n".join(data) if data else None
        field, _, value = line.partition(":")
        if field == "data":
            self._data.append(value.removeprefix(" "))
        return None
