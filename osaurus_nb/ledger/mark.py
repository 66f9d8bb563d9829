"""A small file beside the ledger's by which we know it as ours, and its key as the one that it was closed with.

It tells a lost key from damage, and our file from a stranger's. The key cannot be had from it.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from pathlib import Path

from osaurus_nb.config.paths import write_private


@dataclass(frozen=True, slots=True)
class Mark:
    """The ledger's id, and its key's check value; of a ledger in clear that is empty."""

    id: str
    check: str

    @classmethod
    def of(cls, id: str, key: str | None) -> Mark:
        return cls(
            id, "" if key is None else hmac.digest(bytes.fromhex(key), f"osaurus-ledger/{id}".encode(), "sha256").hex()
        )

    @classmethod
    def read(cls, file: Path) -> Mark | None:
        try:
            found = json.loads(cls.path(file).read_bytes())
            return cls(str(found["id"]), str(found["check"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def path(file: Path) -> Path:
        return file.with_name(f"{file.name}.check")

    @property
    def plain(self) -> bool:
        return not self.check

    def fits(self, key: str) -> bool:
        return hmac.compare_digest(self.check, self.of(self.id, key).check)

    def write(self, file: Path) -> None:
        write_private(self.path(file), json.dumps({"id": self.id, "check": self.check}).encode())
