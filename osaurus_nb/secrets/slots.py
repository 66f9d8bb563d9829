"""What the vault keeps for rooms of ours: a key for the ledger, the identity's master key, how far a store has come."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from osaurus_nb.secrets.custody import NoPlace
from osaurus_nb.secrets.values import Head, Hidden, RolledBack, SecretsLocked
from osaurus_nb.secrets.vault import Entries, Vault

T = TypeVar("T")

_KEY = "key"
_HEAD = "head"


class Slot:
    """The entries of one owner, e.g. `osaurus.ledger`. Nothing here is kept in memory in the vault's stead."""

    def __init__(self, owner: str, vault: Vault) -> None:
        self.owner = owner
        self._vault = vault

    def __repr__(self) -> str:
        return f"Slot({self.owner!r})"

    def key(self, name: str = _KEY) -> bytes:
        """32 random bytes, made when first asked for, then the same in every process. Raises SecretsLocked."""
        found = self.get(name)
        return found if found is not None else self._edit(lambda entries: self._made(entries, name))

    def get(self, name: str) -> bytes | None:
        """None where it is missing. Raises SecretsLocked where it is there and the vault cannot be opened."""
        found = self._vault.get((self.owner, name))
        return None if found is None else found.reveal()

    def set(self, name: str, value: bytes) -> None:
        """Raises SecretsLocked where nothing would keep it."""
        hidden = Hidden(value)
        del value
        self._edit(lambda entries: entries.set((self.owner, name), hidden))

    def delete(self, name: str | None = None) -> None:
        """One entry, or all of this owner."""
        if any(owner == self.owner for owner, _ in self._vault.places()):
            self._edit(lambda entries: entries.drop(self.owner, name))

    def head(self) -> Head | None:
        """How far the owner's store has come, as it was last told."""
        found = self.get(_HEAD)
        return None if found is None else _head(found)

    def advance(self, head: Head) -> None:
        """Remember `head`. Raises RolledBack where the vault remembers a later one, or another of the same count."""
        self._edit(lambda entries: self._advanced(entries, head))

    def _made(self, entries: Entries, name: str) -> bytes:
        found = entries.get((self.owner, name))
        if found is None:
            found = Hidden(os.urandom(32))
            entries.set((self.owner, name), found)
        return found.reveal()

    def _advanced(self, entries: Entries, head: Head) -> None:
        found = entries.get((self.owner, _HEAD))
        before = None if found is None else _head(found.reveal())
        if before == head:
            return
        if before is not None and before.count >= head.count:
            raise RolledBack(
                f"The store of '{self.owner}' is at {head.count}, and was at {before.count} before: it was put back to "
                "an older copy, or altered."
            )
        entries.set((self.owner, _HEAD), Hidden(f"{head.count} {head.digest}"))

    def _edit(self, change: Callable[[Entries], T]) -> T:
        try:
            return self._vault.edit(change)
        except NoPlace as exc:
            raise SecretsLocked(f"Nothing here keeps a key. {exc}") from None


def _head(text: bytes) -> Head:
    count, _, digest = text.decode().partition(" ")
    return Head(int(count), digest)
