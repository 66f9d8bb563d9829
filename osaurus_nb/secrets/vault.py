"""The vault, opened with whatever key it has. Keeps nothing in clear: an entry is opened each time it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets.custody import Custody, Opening
from osaurus_nb.secrets.file import VaultFile
from osaurus_nb.secrets.keychain import Keychain
from osaurus_nb.secrets.sealing import Broken, Place, Sealed, pack, seal_entry
from osaurus_nb.secrets.values import Hidden, Tier, VaultKey

T = TypeVar("T")

_ATTEMPTS = 5


class Entries:
    """What is in the vault while it is being changed."""

    def __init__(self, vault: Sealed, key: VaultKey) -> None:
        self._vault = vault
        self._key = key
        self.changed = False

    def get(self, place: Place) -> Hidden | None:
        """Raises Broken for one that was sealed for another place."""
        return self._vault.reveal(place, self._key) if place in self._vault.entries else None

    def set(self, place: Place, value: Hidden) -> None:
        self._put({**self._vault.entries, place: seal_entry(self._vault, place, value, self._key)})

    def drop(self, owner: str, name: str | None = None) -> None:
        """One entry of `owner`, or all."""
        gone = {place for place in self._vault.entries if place[0] == owner and name in (None, place[1])}
        if gone:
            self._put({place: entry for place, entry in self._vault.entries.items() if place not in gone})

    def packed(self) -> bytes:
        return pack(self._vault, self._key)

    def _put(self, entries: Mapping[Place, bytes]) -> None:
        self._vault = replace(self._vault, entries=entries)
        self.changed = True


class Vault:
    """One for each process and home."""

    def __init__(self, folder: Path, env: Mapping[str, str], keychain: Keychain) -> None:
        self.file = VaultFile(folder / "vault.bin")
        self.custody = Custody(folder, env, keychain)
        self._whole: Sealed | None = None

    def places(self) -> Collection[Place]:
        """Who owns what. Needs no key."""
        vault = self.file.read()
        return () if vault is None else vault.entries.keys()

    def get(self, place: Place) -> Hidden | None:
        """None for a missing entry, without asking for the key. Raises SecretsLocked, VaultDamaged."""
        vault = self.file.read()
        if vault is None or place not in vault.entries:
            return None
        key = self.custody.find(vault)
        with self._damage_told():
            self._check(vault, key)
            return vault.reveal(place, key)

    def settled(self) -> bool:
        """Would opening it ask nobody?"""
        vault = self.file.read()
        return vault is None or self.custody.known(vault) is not None or self.custody.failed(vault) is not None

    def open(self) -> None:
        """Find the key and check the whole. May wait for the user. Raises SecretsLocked, VaultDamaged."""
        vault = self.file.read()
        if vault is not None:
            key = self.custody.find(vault)
            with self._damage_told():
                self._check(vault, key)

    def edit(self, change: Callable[[Entries], T]) -> T:
        """Change it, or found it, in one step between processes. Raises NoPlace, SecretsLocked, VaultDamaged."""
        for _ in range(_ATTEMPTS):
            seen = self.file.read()
            # The key is looked for before the file is held: somebody may have to allow it.
            opening = self.custody.found() if seen is None else Opening(seen, self.custody.find(seen))
            with self._damage_told(), self.file.held():
                now = self.file.load()
                if _id(now) == _id(seen):
                    return self._change(Opening(now or opening.vault, opening.key), change, founded=now is None)
            if seen is None:
                self.custody.leave(opening.vault)
        raise ConfigError("Other processes replaced the vault again and again. Nothing was changed; try again.")

    def rekey(self, tier: Tier, passphrase: Hidden | None, change: Callable[[Entries], None]) -> None:
        """Close the vault with a new key, which is kept in `tier`. Raises KeychainFailed, and as `edit` does."""
        seen = self.file.read()
        key = None if seen is None else self.custody.find(seen, as_given=tier != "given")
        new = self.custody.found_in(tier, passphrase)
        entries = Entries(new.vault, new.key)
        with self._damage_told(), self.file.held():
            now = self.file.load()
            if _id(now) != _id(seen):
                raise ConfigError("Another process replaced the vault meanwhile. Nothing was changed; try again.")
            if now is not None and key is not None:
                self._check(now, key)
                for place in now.entries:
                    entries.set(place, now.reveal(place, key))
            change(entries)
            self.file.replace(entries.packed())
        if seen is not None:
            self.custody.leave(seen, successor=tier)

    def _change(self, opening: Opening, change: Callable[[Entries], T], *, founded: bool) -> T:
        if not founded:
            self._check(opening.vault, opening.key)
        entries = Entries(opening.vault, opening.key)
        result = change(entries)
        if entries.changed:
            self.file.replace(entries.packed())
        return result

    def _check(self, vault: Sealed, key: VaultKey) -> None:
        """Once for each vault that was read. Raises Broken for one that was changed without its key."""
        if self._whole is not vault:
            if not vault.intact(key):
                raise Broken
            self._whole = vault

    @contextmanager
    def _damage_told(self) -> Iterator[None]:
        """Broken becomes VaultDamaged, once the file is put aside. To be entered before the file is held."""
        try:
            yield
        except Broken:
            raise self.file.condemn(self._altered) from None

    def _altered(self, vault: Sealed) -> bool:
        key = self.custody.known(vault)
        return key is not None and not vault.intact(key)


def _id(vault: Sealed | None) -> str | None:
    return None if vault is None else vault.id
