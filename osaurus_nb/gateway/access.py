"""The `osk-v1` keys of the identity here, at our own door: each opens what a key of ours opens.

Whoever has one got it from the identity's owner, shown once and revocable, so it may spend the owner's credit too.
"""

from __future__ import annotations

from datetime import UTC, datetime

from osaurus_nb.gateway.keys import IssuedKey, Scope
from osaurus_nb.identity.book import AccessKeys

_SCOPES: frozenset[Scope] = frozenset({"models", "generate", "status", "spend"})


class AccessDoor:
    """Checks such keys by the book that all processes share: one that was revoked anywhere opens nothing here."""

    def __init__(self, book: AccessKeys) -> None:
        self._book = book

    def match(self, token: str) -> IssuedKey:
        """The key. Raises AccessDenied that says what is wrong with it. Slow at the first sight of a key: 5 ms."""
        key = self._book.check(token)
        issued = datetime.fromtimestamp(key.issued_at, UTC)
        expires = None if key.expires_at is None else datetime.fromtimestamp(key.expires_at, UTC)
        return IssuedKey(f"osk-{key.nonce[:12]}", key.label or "osk-v1", _SCOPES, issued, expires)
