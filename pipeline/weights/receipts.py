"""Notes of which files were verified, so that loading 350 MB does not hash 350 MB each time.

A receipt holds a file's size and both its timestamps from just after it matched its checksum. Any write, and any copy,
changes the inode's own timestamp, so what was altered or brought from elsewhere is hashed again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.weights.catalogue import WeightFile

RECEIPTS = ".verified.json"


class Receipts:
    """The receipts of one store. Reading needs no lock; writing needs the store's."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def vouch_for(self, file: WeightFile) -> bool:
        """Whether the file on disk is untouched since it was last found to match this checksum."""
        try:
            fingerprint = self._fingerprint(file)
        except OSError:
            return False
        receipt = self._read().get(file.path)
        return isinstance(receipt, dict) and all(receipt.get(key) == value for key, value in fingerprint.items())

    def source_of(self, file: WeightFile) -> str | None:
        """Where the file came from, as far as is known."""
        receipt = self._read().get(file.path)
        source = receipt.get("source") if isinstance(receipt, dict) else None
        return source if isinstance(source, str) else None

    def write(self, file: WeightFile, source: str | None) -> None:
        """Note that the file was just verified."""
        receipts = self._read() | {file.path: self._fingerprint(file) | {"source": source}}
        fresh = self._root / f"{RECEIPTS}.new"
        fresh.write_text(json.dumps(receipts, indent=1), encoding="utf-8")
        fresh.replace(self._root / RECEIPTS)

    def _fingerprint(self, file: WeightFile) -> dict[str, int | str]:
        stat = (self._root / file.path).stat()
        return {
            "sha256": file.sha256,
            "size": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "ctime_ns": stat.st_ctime_ns,
        }

    def _read(self) -> dict[str, Any]:
        try:
            receipts = json.loads((self._root / RECEIPTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none yet, or spoilt: hashing again costs a second and is always right
            return {}
        return receipts if isinstance(receipts, dict) else {}
