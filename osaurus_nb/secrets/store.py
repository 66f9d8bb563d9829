"""Every secret of this home, behind one object: the providers' keys and headers, and the keys that are ours.

What is set goes to the vault or, where there is no place for the vault's key, to this process's memory, and the status
says so. It never goes to a file in clear. One object serves a whole process, so that the keychain is asked once.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets.background import aside
from osaurus_nb.secrets.custody import NoPlace
from osaurus_nb.secrets.keychain import Keychain, KeychainFailed
from osaurus_nb.secrets.lookup import Given, ProviderVariables
from osaurus_nb.secrets.reporting import report
from osaurus_nb.secrets.sealing import Place
from osaurus_nb.secrets.slots import Slots
from osaurus_nb.secrets.values import (
    API_KEY,
    OWN,
    Hidden,
    SecretsLocked,
    SecretsStatus,
    Tier,
    header,
    numbered,
    position_of,
)
from osaurus_nb.secrets.vault import Entries, Vault

#: The Osaurus app's own items in the macOS Keychain.
APP_SERVICE = "ai.osaurus.remote"


class Secrets:
    """Thread-safe. A provider is named by its id, a secret by `apiKey` or `header.<Name>`.

    `get` answers at once, once the vault is open: `await ready()` opens it without holding up the loop. All that
    changes something, and `unlock`, may wait for the user (at most the keychain's deadline): call them in a thread.
    """

    def __init__(
        self,
        paths: Paths,
        *,
        env: Mapping[str, str] = os.environ,
        variables: Callable[[str, str], Sequence[str]] | None = None,
        keychain: Keychain | None = None,
    ) -> None:
        self._vault = Vault(paths.home / "secrets", env, keychain or Keychain())
        self._given = Given(env)
        self._variables = variables or ProviderVariables(ProviderFile(paths))
        #: What is kept for rooms of ours.
        self.slots = Slots(self._vault)
        self._lock = threading.Lock()
        self._memory: dict[Place, Hidden] = {}

    def __repr__(self) -> str:
        return f"Secrets({self._vault.file.path})"

    def get(self, provider: str, name: str, /) -> str | None:
        """The environment's, else the vault's. None where there is none; SecretsLocked where it cannot be opened."""
        if provider.startswith(OWN):
            return None
        found = self._given.get(*self._variables(provider, name))
        if found is None:
            found = self._from_memory((provider, name))
        if found is None:
            found = self._vault.get((provider, name))
        return None if found is None else found.reveal().decode()

    def set(self, provider: str, name: str, value: str, /) -> SecretsStatus:
        """Keep it; "" clears it. The status says whether it outlasts this process."""
        secret = Hidden(value.strip())
        del value
        self._refuse_given(provider, name)
        if not len(secret):
            self.delete(provider, name)
        elif not secret.is_line():
            raise ConfigError("A secret is one line of text, without control characters. This one was not kept.")
        else:
            self._keep({(provider, name): secret})
        return self.status()

    def delete(self, provider: str, name: str | None = None, /) -> None:
        """Forget one secret of the provider, or all. Raises SecretsLocked where the vault cannot be changed."""
        _refuse_ours(provider)
        self._forget({place: held for place, held in dict(self._memory).items() if _is(place, provider, name)})
        if not any(_is(place, provider, name) for place in self._vault.places()):
            return
        try:
            self._vault.edit(lambda entries: entries.drop(provider, name))
        except SecretsLocked as exc:
            raise SecretsLocked(f"The provider's secrets were not deleted: the vault is locked. {exc}") from None

    def names(self, provider: str, /) -> tuple[str, ...]:
        """What is stored for it, by name. Opens nothing."""
        return tuple(sorted({name for owner, name in (*self._memory, *self._vault.places()) if owner == provider}))

    def further(self, provider: str, name: str, /) -> Iterator[int]:
        """The positions of more secrets like `name`, from 2: as far as one is stored, or given without a gap."""
        last = max((position_of(stored, name) for stored in self.names(provider)), default=1)
        for position in count(2):
            if position > last and self.origin(provider, numbered(name, position)) is None:
                return
            yield position

    def origin(self, provider: str, name: str, /) -> str | None:
        """Where `get` would find it, in words; None where it would not. Opens nothing."""
        given = self._given.origin(*self._variables(provider, name))
        if given is not None or provider.startswith(OWN):
            return given
        if (provider, name) in self._memory:
            return "memory of this process"
        return "vault" if (provider, name) in self._vault.places() else None

    @property
    def settled(self) -> bool:
        """Is the vault open, or known not to open? Cheap: it is asked for every request."""
        return self._vault.settled()

    async def ready(self) -> SecretsStatus:
        """Open the vault, off the loop, if there is one and it was not tried before. Raises VaultDamaged."""
        if not self._vault.settled():
            await asyncio.wrap_future(aside(self._open))
        return self.status()

    def status(self) -> SecretsStatus:
        """What is known by now. Asks nobody, opens nothing."""
        return report(self._vault, held=len(self._memory))

    def unlock(self, passphrase: str | None = None) -> SecretsStatus:
        """Try again: with the passphrase, or whatever failed before. Raises SecretsLocked for a wrong passphrase."""
        secret = None if passphrase is None else Hidden(passphrase)
        del passphrase
        self._vault.custody.retry()
        vault = self._vault.file.read()
        if secret is not None:
            if vault is None:
                raise ConfigError("There is no vault yet that a passphrase could open.")
            self._vault.custody.unlock(vault, secret)
        self._open()
        if vault is None and not self._memory:
            self._vault.custody.probe()
        self._keep({})
        return self.status()

    def keep(self, where: Tier, *, passphrase: str | None = None) -> SecretsStatus:
        """Keep the vault's key there from now on, closing the vault anew. "file" is insecure, and is shown as such."""
        secret = None if passphrase is None else Hidden(passphrase)
        del passphrase
        waiting = dict(self._memory)
        try:
            self._vault.rekey(where, secret, _all_of(waiting))
        except KeychainFailed as exc:
            raise ConfigError(f"{exc} Nothing was changed.") from None
        self._forget(waiting)
        return self.status()

    def import_from_app(self, provider: str, headers: Iterable[str] = ()) -> tuple[str, ...]:
        """Copy the provider's secrets from the Osaurus app's keychain items: only when asked, and never over ours."""
        self._vault.custody.retry()
        found: dict[Place, Hidden] = {}
        for name in (API_KEY, *map(header, headers)):
            try:
                secret = self._vault.custody.keychain.read(f"{provider.upper()}.{name}", APP_SERVICE)
            except KeychainFailed as exc:
                raise ConfigError(f"Nothing was imported. {exc}") from None
            if secret is not None and len(secret) and name not in self.names(provider):
                found[provider, name] = secret
        if found:
            self._keep(found)
        return tuple(name for _, name in found)

    def close(self) -> None:
        """Wipe what this process holds; the vault stays. It opens again when asked."""
        self._vault.custody.wipe()
        self._forget(dict(self._memory))

    def _open(self) -> None:
        with suppress(SecretsLocked):  # the status says it
            self._vault.open()

    def _keep(self, secrets: Mapping[Place, Hidden]) -> None:
        """In the vault, together with what waited in memory for one; else in memory."""
        waiting = dict(self._memory)
        if not (secrets or waiting):
            return
        try:
            self._vault.edit(_all_of({**waiting, **secrets}))
        except (NoPlace, SecretsLocked):
            with self._lock:
                for place, secret in secrets.items():
                    before = self._memory.get(place)
                    self._memory[place] = secret
                    if before is not None:
                        before.wipe()
        else:
            self._forget({**waiting, **secrets})

    def _forget(self, secrets: Mapping[Place, Hidden]) -> None:
        """Out of this process's memory, unless another thread has put newer ones in their places."""
        with self._lock:
            for place, secret in secrets.items():
                if self._memory.get(place) is secret:
                    del self._memory[place]
                secret.wipe()

    def _from_memory(self, place: Place) -> Hidden | None:
        """A copy: ours may be wiped any time."""
        with self._lock:
            held = self._memory.get(place)
            return None if held is None else Hidden(held.reveal())

    def _refuse_given(self, provider: str, name: str) -> None:
        _refuse_ours(provider)
        origin = self._given.origin(*self._variables(provider, name))
        if origin is not None:
            raise ConfigError(f"This secret comes from the {origin}, which wins over a stored one. Unset it first.")


def _all_of(secrets: Mapping[Place, Hidden]) -> Callable[[Entries], None]:
    def change(entries: Entries) -> None:
        for place, secret in secrets.items():
            entries.set(place, secret)

    return change


def _is(place: Place, owner: str, name: str | None) -> bool:
    return place[0] == owner and name in (None, place[1])


def _refuse_ours(provider: str) -> None:
    if provider.startswith(OWN) or not provider:
        raise ConfigError(f"'{provider}' is no provider's id.")
