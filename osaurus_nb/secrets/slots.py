"""What the vault keeps for rooms of ours: the identity's master key, the ledger's, how far a store has come.

Nothing here stays in memory in the vault's stead: a key that ends with its process would lock a room out of its files.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from osaurus_nb.secrets.custody import NoPlace
from osaurus_nb.secrets.sealing import Place
from osaurus_nb.secrets.values import OWN, Head, Hidden, RolledBack, SecretsLocked
from osaurus_nb.secrets.vault import Entries, Vault

T = TypeVar("T")

_HEAD = "head"


class Slots:
    """Named by owner, e.g. `identity` or `ledger`; no provider can have such a name in the vault."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def get(self, owner: str, name: str, /) -> str | None:
        """None where it is missing. Raises SecretsLocked where it is there and the vault cannot be opened."""
        found = self._vault.get(_place(owner, name))
        return None if found is None else found.reveal().decode()

    def set(self, owner: str, name: str, value: str, /) -> None:
        """Raises SecretsLocked where nothing would keep it."""
        hidden = Hidden(value)
        del value
        self._edit(lambda entries: entries.set(_place(owner, name), hidden))

    def delete(self, owner: str, name: str | None = None, /) -> None:
        """One entry, or all of this owner."""
        ours, _ = _place(owner, "")
        if any(known == ours and name in (None, entry) for known, entry in self._vault.places()):
            self._edit(lambda entries: entries.drop(ours, name))

    def key(self, owner: str, name: str = "key", /) -> bytes:
        """32 random bytes, made when first asked for, then the same in every process. Raises SecretsLocked."""
        place = _place(owner, name)
        found = self._vault.get(place) or self._edit(lambda entries: _made(entries, place))
        return bytes.fromhex(found.reveal().decode())

    def head(self, owner: str, /) -> Head | None:
        """How far the owner's store has come, as it was last told."""
        found = self._vault.get(_place(owner, _HEAD))
        return None if found is None else _head(found)

    def advance(self, owner: str, head: Head, /) -> None:
        """Remember `head`. Raises RolledBack where the vault remembers a later one, or another of the same count."""
        self._edit(lambda entries: _advance(entries, owner, head))

    def _edit(self, change: Callable[[Entries], T]) -> T:
        try:
            return self._vault.edit(change)
        except NoPlace as exc:
            raise SecretsLocked(f"Nothing here keeps a key. {exc}") from None


def _place(owner: str, name: str) -> Place:
    return f"{OWN}{owner}", name


def _made(entries: Entries, place: Place) -> Hidden:
    found = entries.get(place)
    if found is None:
        found = Hidden(os.urandom(32).hex())
        entries.set(place, found)
    return found


def _advance(entries: Entries, owner: str, head: Head) -> None:
    place = _place(owner, _HEAD)
    found = entries.get(place)
    before = None if found is None else _head(found)
    if before == head:
        return
    if before is not None and before.count >= head.count:
        raise RolledBack(
            f"The store of '{owner}' is at {head.count}, and was at {before.count} before: an older copy was put back, "
            "or it was altered."
        )
    entries.set(place, Hidden(f"{head.count} {head.digest}"))


def _head(found: Hidden) -> Head:
    count, _, digest = found.reveal().decode().partition(" ")
    return Head(int(count), digest)
