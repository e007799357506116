"""Bearer tokens: who may come in. From the environment, a file, or both; the file is read anew on SIGHUP."""

from __future__ import annotations

import hmac
import re
from pathlib import Path

VARIABLE = "S2S_TOKENS"

# A token as RFC 6750 has it, and before it, if one likes, the name by which logs and metrics may call its holder.
_ENTRY = re.compile(r"(?:(?P<name>[\w.-]{1,64})\s*:\s*)?(?P<token>[A-Za-z0-9._~+/-]+=*)")


class TokenError(ValueError):
    """A list of tokens that cannot be understood. The message never shows one."""


class Tokens:
    """The tokens that are good now. Without any, the server is open to everybody.

    Args:
        listed: `token` or `name: token`, several with commas between them.
        file: the same, one a line; `#` begins a comment.

    Raises:
        TokenError: one that is malformed, a name or a token twice, or a file that cannot be read or lists none.
    """

    def __init__(self, listed: str = "", file: Path | None = None) -> None:
        self._listed = listed
        self._file = file
        self._names: dict[bytes, str] = {}
        self.reload()

    def reload(self) -> None:
        """Read the file anew. The tokens stay what they were when this fails.

        Raises:
            TokenError: as when it was read first.
        """
        entries = [(f"{VARIABLE}, entry {number}", entry) for number, entry in enumerate(self._listed.split(","), 1)]
        if self._file is not None:
            lines = _read(self._file)
            if not any(line.strip() for line in lines):
                raise TokenError(f"{self._file} lists no token; write one a line, or leave the file out")
            entries += [(f"{self._file}, line {number}", line) for number, line in enumerate(lines, 1)]
        self._names = _parse(entries)

    def __len__(self) -> int:
        return len(self._names)

    def holder(self, token: str) -> str | None:
        """The name of whoever holds this token; None if it is no good. Takes as long whichever it is."""
        asked = token.encode("utf-8", "surrogateescape")
        found = None
        for good, name in self._names.items():
            if hmac.compare_digest(good, asked):
                found = name
        return found


def _read(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise TokenError(f"the tokens in {file} cannot be read: {why}") from None
    return [line.partition("#")[0] for line in text.splitlines()]


def _parse(entries: list[tuple[str, str]]) -> dict[bytes, str]:
    names: dict[bytes, str] = {}
    for where, entry in entries:
        if not entry.strip():
            continue
        match = _ENTRY.fullmatch(entry.strip())
        if match is None:
            raise TokenError(f"{where} is neither `token` nor `name: token`, of letters, digits and - . _ ~ + / =")
        name, token = match["name"] or f"token-{len(names) + 1}", match["token"].encode()
        if token in names or name in names.values():
            raise TokenError(f"{where} has the token or the name of another; give each its own")
        names[token] = name
    return names
