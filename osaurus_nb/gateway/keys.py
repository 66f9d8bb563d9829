"""Keys that open our endpoint and nothing else. Keeps no key, only its keyed digest; shows a key once, when issued.

A key is `osk_live_`, 40 random base62 characters and 6 of checksum: a typo is told from a stranger's key without a
look-up, and scanners for leaked secrets know the prefix.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args
from zlib import crc32

from osaurus_nb.ports import Clock, SystemClock

#: What a key may be used for: see what there is, ask for answers, see how the server does, spend the Router's credit,
#: set up providers, their secrets and other people's keys.
Scope = Literal["models", "generate", "status", "spend", "admin"]
ALL_SCOPES: frozenset[Scope] = frozenset(get_args(Scope))
#: What a key is good for unless more is said: nothing that costs its owner or changes the server.
PLAIN_SCOPES: frozenset[Scope] = frozenset({"models", "generate", "status"})

PREFIX = "osk_live_"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY, _CHECK = 40, 6
_LENGTH = len(PREFIX) + _BODY + _CHECK


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """What is remembered of a key. `expires` is None for one that lasts as long as the process."""

    id: str
    label: str
    scopes: frozenset[Scope]
    issued: datetime
    expires: datetime | None = None

    def opens(self, scope: Scope) -> bool:
        return scope in self.scopes


class KeyRing:
    """The keys of this process. Nobody can read a key back from it: digests are made with a pepper of its own."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._pepper = secrets.token_bytes(32)
        self._keys: dict[bytes, IssuedKey] = {}

    def __repr__(self) -> str:
        return f"KeyRing({len(self._keys)} keys)"

    def issue(
        self, label: str, *, scopes: Collection[Scope] = PLAIN_SCOPES, expires_in: timedelta | None
    ) -> tuple[str, IssuedKey]:
        """A new key in plain, shown this once, and what is remembered of it."""
        now = self._clock.now()
        body = PREFIX + "".join(secrets.choice(_DIGITS) for _ in range(_BODY))
        plain = body + _checksum(body)
        expires = now + expires_in if expires_in is not None else None
        key = IssuedKey(secrets.token_hex(6), label, frozenset(scopes), now, expires)
        self._keys[self._digest(plain)] = key
        return plain, key

    def match(self, text: str | None) -> IssuedKey | None:
        """The key that this text is, unless it is unknown, expired or revoked."""
        if text is None or not is_well_formed(text):
            return None
        digest = self._digest(text)
        # The digest depends on a secret, so how long this look-up takes tells nothing about any key.
        key = self._keys.get(digest)
        if key is None:
            return None
        if key.expires is not None and self._clock.now() >= key.expires:
            del self._keys[digest]
            return None
        return key

    def revoke(self, id: str) -> bool:
        """Forget the key with this id; it opens nothing from now on. False when there is none."""
        found = [digest for digest, key in self._keys.items() if key.id == id]
        for digest in found:
            del self._keys[digest]
        return bool(found)

    def list(self) -> Sequence[IssuedKey]:
        """The keys that open something now, oldest first."""
        now = self._clock.now()
        self._keys = {digest: key for digest, key in self._keys.items() if key.expires is None or now < key.expires}
        return list(self._keys.values())

    def _digest(self, plain: str) -> bytes:
        return hmac.digest(self._pepper, plain.encode("ascii"), "sha256")


def is_access_key(text: str | None) -> bool:
    """Does it claim to be an `osk-v1` key, which an identity issues and signs?"""
    return text is not None and text.startswith("osk-v1.")


def is_well_formed(text: str) -> bool:
    """Does it look like a key of ours, checksum included? Says nothing about whether it opens anything."""
    if len(text) != _LENGTH or not text.startswith(PREFIX) or not text.isascii():
        return False
    return text[-_CHECK:] == _checksum(text[:-_CHECK])


def _checksum(body: str) -> str:
    rest, digits = crc32(body.encode("ascii")), ""
    for _ in range(_CHECK):
        rest, digit = divmod(rest, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
