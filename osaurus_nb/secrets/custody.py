"""Where the vault's key lives, by one policy in order. It never falls back to clear text by itself.

1. given to this process: `OSAURUS_VAULT_KEY`, or a file that `OSAURUS_VAULT_KEY_FILE` names
2. the system's keychain: one item for each vault
3. a passphrase, typed once in each process
4. `vault.key` beside the vault, 0600, where the user said so: `OSAURUS_INSECURE_KEY_FILE=1`, or `keep("file")`

A vault says which of these it was made with; what was given wins over it. With none of them there is no vault.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from osaurus_nb.config.files import locked
from osaurus_nb.config.paths import write_private
from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets import forms
from osaurus_nb.secrets.keychain import Keychain, KeychainFailed
from osaurus_nb.secrets.lookup import Given
from osaurus_nb.secrets.sealing import Scrypt, Sealed, begin
from osaurus_nb.secrets.values import Hidden, SecretsLocked, Tier, VaultKey

KEY_VARIABLE = "OSAURUS_VAULT_KEY"
OPT_IN = "OSAURUS_INSECURE_KEY_FILE"
#: What keeps secrets wherever there is no keychain.
REMEDY = (
    f"To keep them, start with {KEY_VARIABLE} set "
    "(`python -c 'import secrets; print(secrets.token_hex(32))'` makes one), or choose a passphrase: "
    "`osaurus-nb vault keep passphrase`."
)
NO_CIPHER = "The vault needs the package 'cryptography', which is not installed."
INSTALL = "To keep them: pip install 'osaurus-nb[keys]'"


@dataclass(frozen=True, slots=True)
class Opening:
    """A vault and the key that opens it; a new vault's key is in its place already."""

    vault: Sealed
    key: VaultKey


class NoPlace(Exception):
    """A key made here could be put nowhere. The text says why, for each place."""


class Custody:
    """Finds the key of a vault, or a place for that of a new one. Each place is asked once in a process."""

    def __init__(self, folder: Path, env: Mapping[str, str], keychain: Keychain) -> None:
        self.keychain = keychain
        self._file = folder / "vault.key"
        self._env = env
        self._given = Given(env)
        self._known: dict[str, VaultKey] = {}
        self._failed: dict[str, str] = {}
        self._nowhere: str | None = None

    def known(self, vault: Sealed) -> VaultKey | None:
        """The key, if it was found before. Asks nobody."""
        return self._known.get(vault.id)

    def failed(self, vault: Sealed) -> str | None:
        """Why the key was not found when it was looked for."""
        return self._failed.get(vault.id)

    @property
    def nowhere(self) -> str | None:
        """Why there was no place for a new key when one was looked for."""
        return self._nowhere

    def given(self) -> bool:
        return self._given.origin(KEY_VARIABLE) is not None

    def find(self, vault: Sealed, *, as_given: bool = True) -> VaultKey:
        """The key of `vault`. May wait for the user. Raises SecretsLocked where it is not to be had.

        What was given to this process wins, unless not `as_given`.
        """
        known = self._known.get(vault.id)
        if known is not None and vault.opened_by(known):
            return known
        if self._answered(vault):
            raise SecretsLocked(self._failed[vault.id])
        if find_spec("cryptography") is None:
            raise SecretsLocked(NO_CIPHER)
        try:
            key = self._given_key() if self.given() and as_given else self._look(vault)
            if not vault.opened_by(key):
                raise SecretsLocked(self._wrong(vault))
        except SecretsLocked as exc:
            self._failed[vault.id] = str(exc)
            raise
        return self._remember(vault, key)

    def found(self) -> Opening:
        """A new vault's key, in the first place that keeps it. May wait for the user. Raises NoPlace."""
        if find_spec("cryptography") is None:
            raise self._no_place(NO_CIPHER)
        if self.given():
            try:
                return self.found_in("given")
            except SecretsLocked as exc:
                raise self._no_place(str(exc)) from None
        if self._nowhere is not None:
            raise NoPlace(self._nowhere)
        try:
            return self.found_in("keychain")
        except KeychainFailed as exc:
            if self._opted_in():
                return self.found_in("file")
            raise self._no_place(str(exc)) from None

    def found_in(self, tier: Tier, passphrase: Hidden | None = None) -> Opening:
        """A new vault's key, in this place. Raises KeychainFailed, or ConfigError for what cannot be."""
        match tier:
            case "keychain":
                opening = self._opening(tier, VaultKey(os.urandom(32)))
                self.keychain.write(_account(opening.vault), forms.text(opening.key))
                return opening
            case "passphrase":
                scrypt = Scrypt(os.urandom(16))
                return self._opening(tier, scrypt.derive(forms.fit(passphrase)), scrypt)
            case "file":
                with locked(self._file):
                    if not self._file.exists():
                        write_private(self._file, forms.text(VaultKey(os.urandom(32))).reveal())
                return self._opening(tier, self._file_key())
            case "given":
                return self._opening(tier, self._given_key())

    def unlock(self, vault: Sealed, passphrase: Hidden) -> VaultKey:
        """Raises SecretsLocked for a wrong passphrase, ConfigError for a vault that has none."""
        if vault.scrypt is None:
            raise ConfigError("The vault is not protected by a passphrase.")
        key = vault.scrypt.derive(forms.normal(passphrase))
        if not vault.opened_by(key):
            raise SecretsLocked("That is not the vault's passphrase. Nothing was changed; try again.")
        return self._remember(vault, key)

    def leave(self, vault: Sealed, *, successor: Tier | None = None) -> None:
        """`vault` is no more: take its key away from where it was. `successor` is where the next one's is."""
        if vault.tier == "keychain":
            with suppress(KeychainFailed):  # what stays then is a key that opens nothing
                self.keychain.forget(_account(vault))
        if vault.tier == "file" and successor not in (None, "file"):
            self._file.unlink(missing_ok=True)
        known = self._known.pop(vault.id, None)
        if known is not None:
            known.wipe()

    def probe(self) -> None:
        """Find out whether there is a place for a new vault's key. Reads nothing that is kept there."""
        try:
            if self.given():
                self._given_key()
            else:
                self.keychain.name()
        except SecretsLocked as exc:
            self._nowhere = str(exc)
        except KeychainFailed as exc:
            self._nowhere = None if self._opted_in() else str(exc)

    def retry(self) -> None:
        """What failed may be asked again."""
        self.keychain.retry()
        self._failed.clear()
        self._nowhere = None

    def wipe(self) -> None:
        for key in self._known.values():
            key.wipe()
        self._known.clear()

    def _opted_in(self) -> bool:
        return self._env.get(OPT_IN) == "1" or self._file.exists()

    def _answered(self, vault: Sealed) -> bool:
        """Has the keychain said what it has for this vault, and was it not the key? Then it is not asked again."""
        asked_once = vault.id in self._failed and vault.tier == "keychain" and not self.given()
        return asked_once and not self.keychain.asked(_account(vault))

    def _look(self, vault: Sealed) -> VaultKey:
        match vault.tier:
            case "given" if self.given():
                return self._given_key()
            case "given":
                told = (
                    f"The vault was made with a key that is not given here: set {KEY_VARIABLE} or {KEY_VARIABLE}_FILE."
                )
                raise SecretsLocked(told)
            case "keychain":
                return self._keychain_key(vault)
            case "passphrase":
                raise SecretsLocked("The vault is protected by a passphrase, which was not typed yet in this process.")
            case "file":
                return self._file_key()

    def _keychain_key(self, vault: Sealed) -> VaultKey:
        try:
            text = self.keychain.read(_account(vault))
        except KeychainFailed as exc:
            raise SecretsLocked(f"The vault's key is in the system's keychain. {exc}") from None
        if text is None:
            told = f"The vault's key should be in the system's keychain as '{_account(vault)}', and is not there."
            raise SecretsLocked(told)
        return forms.key(text, "The vault's key in the system's keychain")

    def _given_key(self) -> VaultKey:
        text = self._given.get(KEY_VARIABLE)
        if text is None:
            raise SecretsLocked(f"No key is given here: set {KEY_VARIABLE} or {KEY_VARIABLE}_FILE.")
        return forms.key(text, f"The vault's key ({self._given.origin(KEY_VARIABLE)})")

    def _file_key(self) -> VaultKey:
        try:
            mode = self._file.stat().st_mode
            text = Hidden(self._file.read_bytes())
        except OSError as exc:
            raise SecretsLocked(f"The vault's key is in {self._file}, which cannot be read: {exc.strerror}.") from None
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            raise SecretsLocked(f"Others can read {self._file}, so it is not used. Close it: chmod 600 {self._file}")
        return forms.key(text, f"The vault's key in {self._file}")

    def _wrong(self, vault: Sealed) -> str:
        if self.given():
            return (
                f"The key given by the {self._given.origin(KEY_VARIABLE)} does not open the vault, which was made with "
                f"{_MADE_WITH[vault.tier]}. Nothing was changed."
            )
        return f"The vault was made with another key than {_MADE_WITH[vault.tier]}. Nothing was changed."

    def _opening(self, tier: Tier, key: VaultKey, scrypt: Scrypt | None = None) -> Opening:
        vault = begin(os.urandom(16).hex(), tier, key, scrypt)
        self._remember(vault, key)
        return Opening(vault, key)

    def _remember(self, vault: Sealed, key: VaultKey) -> VaultKey:
        self._known[vault.id] = key
        self._failed.pop(vault.id, None)
        return key

    def _no_place(self, told: str) -> NoPlace:
        self._nowhere = told
        return NoPlace(told)


_MADE_WITH: Mapping[Tier, str] = {
    "given": "the one given then",
    "keychain": "the one in the system's keychain",
    "passphrase": "a passphrase",
    "file": "the one in its key file",
}


def _account(vault: Sealed) -> str:
    return f"vault:{vault.id}"
