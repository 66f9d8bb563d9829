"""What the widgets and other tools manage over HTTP: providers, the vault, access keys, the ledger. No HTTP here.

Answers are plain JSON that holds names and origins, never a secret; one exception is a new access key, shown once.
Whatever may wait for a file, a keychain or its user runs off the loop.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from osaurus_nb.config.billing import BillingFile
from osaurus_nb.config.paths import Paths
from osaurus_nb.identity.book import AccessKeys
from osaurus_nb.runtime import Backend
from osaurus_nb.secrets import secrets_of
from osaurus_nb_server.administration.identity import IdentityDesk
from osaurus_nb_server.administration.keys import KeyDesk
from osaurus_nb_server.administration.ledger import LedgerDesk
from osaurus_nb_server.administration.ledger_care import LedgerCare
from osaurus_nb_server.administration.ledger_files import LedgerFiles
from osaurus_nb_server.administration.providers import ProviderDesk
from osaurus_nb_server.administration.reconciling import ReconcilingDesk
from osaurus_nb_server.administration.states import States
from osaurus_nb_server.administration.vault import VaultDesk


class Administration:
    """The desks of one home."""

    def __init__(self, paths: Paths, backend: Callable[[], Awaitable[Backend]]) -> None:
        secrets = secrets_of(paths)
        self.states = States(backend)
        self.providers = ProviderDesk(secrets, self.states)
        self.keys = KeyDesk(secrets, self.providers, self.states)
        self.vault = VaultDesk(secrets, self.states)
        self.identity = IdentityDesk(secrets.slots, AccessKeys(paths.home / "identity"))
        self.ledger = LedgerDesk(backend, BillingFile(paths))
        self.ledger_care = LedgerCare(paths, secrets, backend)
        self.ledger_files = LedgerFiles(paths, secrets, backend)
        self.reconciling = ReconcilingDesk(paths, secrets, backend)

    async def aclose(self) -> None:
        await self.states.aclose()


__all__ = ["Administration"]
