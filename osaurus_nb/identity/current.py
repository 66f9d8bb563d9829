"""The identity that there is now, as processes make, replace and wipe it. Cheap enough to be asked on every call."""

from __future__ import annotations

from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.identity.identity import Identity, Keeper
from osaurus_nb.identity.signer import Signer


class Current:
    """Opens the vault once, and again only when the book names another identity."""

    def __init__(self, keeper: Keeper, keys: AccessKeys) -> None:
        self._keeper = keeper
        self._keys = keys
        self._opened = False
        self._identity: Identity | None = None

    def __repr__(self) -> str:
        return f"Current({self._identity!r})"

    def identity(self) -> Identity | None:
        """The one that there is, or None. Raises what the vault raises while it is locked, and StateUnreadable."""
        address = self._keys.address
        known = self._identity.address if self._identity is not None else None
        # The first time the vault is asked whatever the book says: the book may have been lost.
        if not self._opened or address != known:
            self._identity = Identity.open(self._keeper, self._keys) if address or not self._opened else None
            self._opened = True
        return self._identity

    def signer(self) -> Signer | None:
        """What signs as the identity that there is, or None."""
        identity = self.identity()
        return identity.signer if identity is not None else None
