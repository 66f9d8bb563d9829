"""The identity of whoever works here: one key in a vault, and all that is done with it. Shows the key to nobody.

The key is in the vault and, while an `Identity` is held, in this process. Python cannot wipe memory for certain; wiping
means that the vault forgets it, and that no process signs with it from its next request on.
"""

from __future__ import annotations

import secrets
from typing import Any, NoReturn, Protocol

from osaurus_nb.errors import ConfigError, RequestError
from osaurus_nb.identity import requests
from osaurus_nb.identity._state import Records, State, StateUnreadable
from osaurus_nb.identity.access import AccessKey, Lifetime
from osaurus_nb.identity.addresses import checksummed, same
from osaurus_nb.identity.book import AccessKeys, Agent
from osaurus_nb.identity.phrase import phrase_of, secret_of
from osaurus_nb.identity.signer import KEY_BYTES, Signer, is_secret
from osaurus_nb.ports import SecretStore

#: Where the vault has the key, as hex.
PROVIDER, NAME = "identity", "master"


class Keeper(SecretStore, Protocol):
    """Where the identity's key is kept: the vault."""

    def set(self, provider: str, name: str, value: str, /) -> None: ...

    def delete(self, provider: str, name: str, /) -> None: ...


class IdentityExists(RequestError):
    """There is one already. `present` is its address. Another one takes its place only with `replace=True`."""

    status, code = 409, "identity_exists"

    def __init__(self, message: str, *, present: str) -> None:
        super().__init__(message)
        self.present = present


class AnotherIdentity(IdentityExists):
    """The phrase is that of another identity than the one here: `offered` is its address."""

    code = "another_identity"

    def __init__(self, message: str, *, present: str, offered: str) -> None:
        super().__init__(message, present=present)
        self.offered = offered


class IdentityGone(ConfigError):
    """It was wiped or replaced since, maybe by another process."""

    code = "identity_gone"


class Identity:
    """One identity. Make it with `create`, `restore` or `open`; each takes the vault and the book of access keys."""

    __slots__ = ("_keeper", "_keys", "_signer", "address")

    def __init__(self, signer: Signer, keeper: Keeper, keys: AccessKeys) -> None:
        self._signer: Signer | None = signer
        self._keeper, self._keys, self.address = keeper, keys, signer.address

    def __repr__(self) -> str:
        return f"Identity({self.address})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("an identity holds a private key: it is not copied and not pickled")

    @classmethod
    def create(cls, keeper: Keeper, keys: AccessKeys, *, replace: bool = False) -> Identity:
        """A new identity. Show its phrase at once: without it, what the vault loses is lost. Raises IdentityExists."""
        signer = _fresh()
        with keys.changing() as state:
            present = _present(keeper, state)
            if present is not None and not replace:
                raise IdentityExists(
                    f"There is an identity already, {present}. To put another in its place, whose address no one knows"
                    " and which has none of its credit, say replace=True; keep its recovery phrase.",
                    present=present,
                )
            _keep(keeper, signer)
            _adopt(state, signer, Records())
        return cls(signer, keeper, keys)

    @classmethod
    def restore(cls, phrase: str, keeper: Keeper, keys: AccessKeys, *, replace: bool = False) -> Identity:
        """The identity that 24 words stand for. Raises PhraseRejected, and AnotherIdentity unless `replace`.

        Keys that it issued elsewhere are taken here; which of them were revoked there is not known here. Counters go
        on from a number that was never reached.
        """
        signer = Signer(secret_of(phrase))
        with keys.changing() as state:
            present = _present(keeper, state)
            if present is not None and not same(present, signer.address) and not replace:
                raise AnotherIdentity(
                    f"These words are of the identity {signer.address}; here is {present}. To put it in the place of"
                    " that one, say replace=True; keep that one's recovery phrase first.",
                    present=present,
                    offered=signer.address,
                )
            _keep(keeper, signer)
            _adopt(state, signer, _going_on(keys))
        return cls(signer, keeper, keys)

    @classmethod
    def open(cls, keeper: Keeper, keys: AccessKeys) -> Identity | None:
        """The identity in the vault; None without one.

        Where the book of access keys was lost, every key that was issued before is revoked.
        """
        signer = _stored(keeper)
        if signer is not None and not _is_active(keys, signer.address):
            with keys.changing() as state:
                signer = _stored(keeper)  # whoever wiped it held the lock
                if signer is not None:
                    records = _going_on(keys)
                    records.floor = records.next_count - 1
                    _adopt(state, signer, records)
        return cls(signer, keeper, keys) if signer is not None else None

    @property
    def keys(self) -> AccessKeys:
        """The book of access keys, to list and revoke them."""
        return self._keys

    def phrase(self) -> str:
        """The 24 words that are the key. Whoever reads them is this identity."""
        return phrase_of(self._held().secret())

    def sign_request(self, method: str, url: str, body: bytes = b"", *, nonce: str = "") -> dict[str, str]:
        """The headers that make this request one of this identity. Call it for each attempt, with the bytes sent.

        Raises IdentityGone.
        """
        now = int(self._keys.clock.now().timestamp())
        return requests.sign(self.signer, method, url, body, timestamp=now, nonce=nonce)

    @property
    def signer(self) -> Signer:
        """What signs as this identity. Raises IdentityGone once it was wiped or replaced, in whichever process."""
        if not same(self._keys.address or "", self.address):
            self._signer = None
        return self._held()

    def agent(self, index: int) -> Signer:
        """What signs as agent `index`; the key is derived anew each time and kept nowhere."""
        return self.signer.agent(index)

    def add_agent(self, *, label: str = "", index: int | None = None) -> Agent:
        """A new agent, with an index that none ever had; or a known one, as the app may have it."""
        signer = self.signer
        return self._keys.add_agent(lambda number: signer.agent(number).address, label=label, index=index)

    def issue(self, *, label: str = "", agent: int | None = None, expires: Lifetime = "90d") -> tuple[str, AccessKey]:
        """A new access key in plain, shown this once, and what it says: for everything, or for one agent."""
        signer = self.signer if agent is None else self.agent(agent)
        return self._keys.issue(signer, label=label, expires=expires)

    def wipe(self) -> None:
        """Forget the key. What it issued opens nothing any more, in every process, from the next request on.

        What was revoked is remembered, for the case that the identity is restored.
        """
        with self._keys.changing() as state:
            stored = _stored(self._keeper)
            if stored is not None and stored.address == self.address:
                self._keeper.delete(PROVIDER, NAME)
                if self._keeper.get(PROVIDER, NAME) is not None:
                    raise ConfigError("The vault did not forget the identity's key.")
            if state.active == self.address.lower():
                state.active = None
        self._signer = None

    def _held(self) -> Signer:
        if self._signer is None:
            raise IdentityGone(f"The identity {self.address} was wiped or replaced. Open the one that there is.")
        return self._signer


def _fresh() -> Signer:
    while not is_secret(raw := secrets.token_bytes(KEY_BYTES)):
        pass
    return Signer(raw)


def _stored(keeper: Keeper) -> Signer | None:
    text = keeper.get(PROVIDER, NAME)
    if text is None:
        return None
    try:
        return Signer(bytes.fromhex(text))
    except ValueError:
        raise ConfigError("The vault's entry for the identity is not a key. Restore it from its phrase.") from None


def _keep(keeper: Keeper, signer: Signer) -> None:
    keeper.set(PROVIDER, NAME, signer.secret().hex())  # no name for it: some tracebacks show what names stand for
    if keeper.get(PROVIDER, NAME) != signer.secret().hex():
        raise ConfigError("The vault did not keep the identity's key. Nothing was changed.")


def _present(keeper: Keeper, state: State) -> str | None:
    """The identity that there is: in this vault, or in one that is not open to this process."""
    stored = _stored(keeper)
    if stored is not None:
        return stored.address
    return checksummed(state.active) if state.active is not None else None


def _is_active(keys: AccessKeys, address: str) -> bool:
    try:
        return same(keys.address or "", address)
    except StateUnreadable:
        return False


def _adopt(state: State, signer: Signer, unless_known: Records) -> None:
    """Make it the identity here. What is known of it already stays as it is."""
    address = signer.address.lower()
    state.identities.setdefault(address, unless_known)
    state.active = address


def _going_on(keys: AccessKeys) -> Records:
    """Counters for an identity with a past that is not known here: nobody has issued a key for each second of it."""
    now = int(keys.clock.now().timestamp())
    return Records(next_count=now, next_agent=now)
